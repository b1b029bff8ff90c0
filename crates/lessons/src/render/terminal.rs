//! A lesson as text in aligned columns, with or without colour.

use super::said;
use crate::{Bars, Curve, Lesson, Matrix, Part, Table};
use std::fmt::Write;

/// Width in columns at which paragraphs are wrapped.
const WIDTH: usize = 88;
/// The most rows of a table shown as a list; longer tables are set side by side.
const LONG: usize = 24;
/// The characters for the heights of a curve.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A lesson for a terminal. Without `colour` it contains no escape sequences.
///
/// ```
/// use latimer_lessons::{Setting, course::Entry, render};
/// use latimer_tensor::Device;
///
/// let lesson = Entry::find("3")?.build(&Setting::new(&Device::reference()))?;
/// let shown = render::terminal(&lesson, false);
/// assert!(shown.contains("▸ table"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[must_use]
pub fn terminal(lesson: &Lesson, colour: bool) -> String {
    let style = Style { colour };
    let title = format!("Lesson {}: {}", lesson.id, lesson.title);
    let line = "─".repeat(title.chars().count());
    let mut text = format!("{}\n{}\n", style.bold(&title), style.dim(&line));
    text += &parts(&lesson.parts, colour);
    text
}

/// Only the parts, each after an empty line.
#[must_use]
pub fn parts(parts: &[Part], colour: bool) -> String {
    let style = Style { colour };
    let mut text = String::new();
    let mut before: Option<&Part> = None;
    let mut told = false;
    for part in parts {
        let mut shown = style.part(part);
        // The star is explained at the first matrix that has one.
        if let Part::Matrix(m) = part
            && !told
            && is_starred(m)
            && m.winners.iter().any(Option::is_some)
        {
            told = true;
            shown += &format!("    {}\n", style.dim("* the greatest of its row"));
        }
        // Successive results stand together.
        let together = matches!(
            (before, part),
            (Some(Part::Output { .. }), Part::Output { .. })
        );
        if !shown.is_empty() {
            text += if together { "" } else { "\n" };
            text += &shown;
            before = Some(part);
        }
    }
    text
}

/// The ways to emphasise words.
#[derive(Clone, Copy)]
struct Style {
    colour: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn name(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn winner(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    fn part(self, part: &Part) -> String {
        match part {
            Part::Text(text) => wrapped(text, WIDTH),
            Part::Equation { plain, .. } => format!("    {}\n", self.bold(plain)),
            Part::Matrix(matrix) => self.matrix(matrix),
            Part::Table(table) => self.table(table),
            Part::Output { name, value } => {
                let (value, wrong) = said(value);
                let name_shown = self.name(name);
                let paint = |line: &str| match wrong {
                    true => self.paint("31", line),
                    false => self.bold(line),
                };
                if !value.contains('\n')
                    && name.chars().count() + value.chars().count() + 4 <= WIDTH
                {
                    return format!("  {name_shown}: {}\n", paint(&value));
                }
                // A value that is too long is shown below; a sample keeps its own lines.
                let value = match value.contains('\n') {
                    true => value,
                    false => wrapped(&value, WIDTH - 4),
                };
                let lines = value.trim_end().lines();
                let lines = lines.map(|line| format!("    {}\n", paint(line)));
                format!("  {name_shown}:\n{}", lines.collect::<String>())
            }
            Part::Tokens { name, tokens } => self.tokens(name, tokens),
            Part::Curve(curve) => self.curve(curve),
            Part::Bars(bars) => self.bars(bars),
            Part::Code { file, text } => {
                let mut shown = format!("  {}\n", self.dim(file));
                for line in text.lines() {
                    let line = format!("  {} {}", self.dim("│"), line);
                    shown = format!("{shown}{}\n", line.trim_end());
                }
                shown
            }
            Part::Source { name, text } => {
                let lines = text.lines().map(|line| format!("    {line}\n"));
                format!("  {}\n{}", self.name(name), lines.collect::<String>())
            }
            Part::Try(commands) => {
                let mut shown = format!("{}\n", self.bold("Try next"));
                for (command, shows) in commands {
                    let _ = writeln!(shown, "  {}\n      {}", self.name(command), self.dim(shows));
                }
                shown
            }
            Part::Widget(_) => String::new(),
        }
    }

    fn matrix(self, m: &Matrix) -> String {
        let names = m.rows.iter().map(|row| row.chars().count());
        let margin = names.max().unwrap_or(0);
        let cells: Vec<Vec<String>> = (0..m.values.len())
            .map(|i| (0..m.values[i].len()).map(|j| m.cell(i, j)).collect())
            .collect();
        let widths: Vec<usize> = (0..m.columns.len())
            .map(|j| {
                let cells = cells.iter().filter_map(|row| row.get(j));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(m.columns[j].chars().count())
            })
            .collect();
        let starred = is_starred(m);
        let mut shown = format!("  {}\n", self.name(&m.name));
        let _ = write!(shown, "    {:margin$}", "");
        for (column, &width) in m.columns.iter().zip(&widths) {
            let _ = write!(shown, "  {}", self.dim(&format!("{column:>width$}")));
            shown += if starred { " " } else { "" };
        }
        shown = format!("{}\n", shown.trim_end());
        for (i, row) in cells.iter().enumerate() {
            let wins = m.winning_row == Some(i);
            let name = format!("{:margin$}", m.rows.get(i).map_or("", String::as_str));
            let name = if wins { self.winner(&name) } else { name };
            let mut line = format!("  {} {name}", if wins { "▸" } else { " " });
            for (j, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let is_best = m.winners.get(i).copied().flatten() == Some(j);
                let padded = format!("{cell:>width$}");
                let _ = match () {
                    () if is_best => write!(line, "  {}", self.winner(&padded)),
                    () if m.values[i][j] == 0.0 => write!(line, "  {}", self.dim(&padded)),
                    () => write!(line, "  {padded}"),
                };
                line += match (starred, is_best) {
                    (true, true) => "*",
                    (true, false) => " ",
                    (false, _) => "",
                };
            }
            if let Some(note) = m.notes.get(i) {
                let _ = write!(line, "  {}", self.winner(note));
            }
            let _ = writeln!(shown, "{}", line.trim_end());
        }
        shown
    }

    fn table(self, table: &Table) -> String {
        let mut shown = format!("  {}\n", self.name(&table.name));
        if table.rows.len() > LONG {
            return shown + &in_columns(&table.rows);
        }
        let widths: Vec<usize> = (0..table.header.len())
            .map(|j| {
                let cells = table.rows.iter().filter_map(|row| row.get(j));
                let cells = cells.chain(table.header.get(j));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let numeric: Vec<bool> = (0..widths.len()).map(|j| table.is_numeric(j)).collect();
        let line = |cells: &[String]| -> String {
            let cells = cells.iter().zip(&widths).zip(&numeric);
            let padded = cells.map(|((cell, &w), numeric)| match numeric {
                true => format!("{cell:>w$}"),
                false => format!("{cell:w$}"),
            });
            let padded: Vec<String> = padded.collect();
            padded.join("  ").trim_end().to_owned()
        };
        let _ = writeln!(shown, "    {}", self.dim(&line(&table.header)));
        for (i, row) in table.rows.iter().enumerate() {
            let _ = if table.winning_row == Some(i) {
                writeln!(shown, "  ▸ {}", self.winner(&line(row)))
            } else {
                writeln!(shown, "    {}", line(row))
            };
        }
        shown
    }

    fn tokens(self, name: &str, tokens: &[(String, Option<u32>)]) -> String {
        // Adjacent tokens are separated by colour, or by a bar.
        let colours = ["30;46", "30;43", "30;42", "30;45"];
        let shown: Vec<String> = tokens
            .iter()
            .enumerate()
            .map(|(i, (token, _))| self.paint(colours[i % colours.len()], token))
            .collect();
        let text = shown.join(if self.colour { "" } else { "|" });
        let ids: Vec<String> = tokens
            .iter()
            .filter_map(|(_, id)| id.map(|id| id.to_string()))
            .collect();
        let count = format!("{} tokens", tokens.len());
        let ids = wrapped(&ids.join(" "), WIDTH).replace('\n', "\n    ");
        format!(
            "  {} ({count})\n    {text}\n    {}\n",
            self.name(name),
            self.dim(ids.trim_end())
        )
    }

    fn bars(self, bars: &Bars) -> String {
        /// Width of a full bar.
        const WHOLE: f64 = 40.0;
        let names = bars.series.iter().map(|name| name.chars().count());
        let margin = names.max().unwrap_or(0);
        let mut shown = format!("  {}\n", self.name(&bars.name));
        for (group, shares) in &bars.groups {
            let _ = writeln!(shown, "    {group}");
            for (name, share) in bars.series.iter().zip(shares) {
                let bar = "█".repeat((share * WHOLE).round() as usize);
                let percent = format!("{:.1} %", 100.0 * share);
                let _ = writeln!(
                    shown,
                    "      {name:margin$} {percent:>7} {}",
                    self.winner(&bar)
                );
            }
        }
        shown
    }

    fn curve(self, curve: &Curve) -> String {
        let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) else {
            return String::new();
        };
        let values = curve.points.iter().map(|&(_, y)| y);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        // One bar stands for the mean of every few points.
        let some = curve.points.len().div_ceil(60).max(1);
        let bars = curve.points.chunks(some).map(|chunk| {
            let mean = chunk.iter().map(|&(_, y)| y).sum::<f64>() / chunk.len() as f64;
            let share = (mean - low) / (high - low).max(f64::MIN_POSITIVE);
            BARS[((share * 7.0).round() as usize).min(7)]
        });
        let bars: String = bars.collect();
        format!(
            "  {}\n    {bars}\n    {:.6} at {} {}, {:.6} at {} {}\n",
            self.name(&curve.name),
            first.1,
            curve.of,
            first.0,
            last.1,
            curve.of,
            last.0
        )
    }
}

/// Whether the greatest number of a row gets a star; one-hot rows need none.
fn is_starred(m: &Matrix) -> bool {
    !m.is_whole()
}

/// A paragraph in lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines += &line;
            lines.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    format!("{lines}{line}\n")
}

/// The rows of a long table side by side, read line by line.
fn in_columns(rows: &[Vec<String>]) -> String {
    let cells: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
    let width = cells.iter().map(|c| c.chars().count()).max().unwrap_or(0) + 2;
    let across = (WIDTH / width).max(1);
    let lines = cells.chunks(across).map(|line| {
        let line: String = line.iter().map(|cell| format!("{cell:width$}")).collect();
        format!("    {}\n", line.trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_winners_marked() {
        let values = vec![vec![0.25, 0.75], vec![0.5, 0.125]];
        let matrix = Matrix::of("w", ["a", "bcd"], ["x", "y"], values)
            .with_winners()
            .with_notes(["→ y", "→ x"])
            .with_winning_row(1);
        assert_eq!(
            parts(&[Part::Matrix(matrix)], false),
            "\n  w\n              x        y\n    a    0.2500   0.7500*  → y\n  ▸ bcd  0.5000*  0.1250   → x\n    * the greatest of its row\n"
        );
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        let part = Part::Output {
            name: "a".to_owned(),
            value: "b".to_owned(),
        };
        assert!(!parts(std::slice::from_ref(&part), false).contains('\x1b'));
        assert!(parts(&[part], true).contains('\x1b'));
    }

    #[test]
    fn long_and_wrong_results_stand_below_their_name() {
        let output = |value: &str| {
            let (name, value) = ("le".to_owned(), value.to_owned());
            parts(&[Part::Output { name, value }], false)
        };
        assert_eq!(output("10788929"), "\n  le: 10,788,929\n");
        assert_eq!(output("error: no"), "\n  le: no\n");
        assert_eq!(output("a\n  b\n"), "\n  le:\n    a\n      b\n");
        let long = output(&"word ".repeat(40));
        assert!(long.starts_with("\n  le:\n    word word"), "{long}");
        assert!(long.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn columns_of_numbers_are_aligned_at_their_end() {
        let rows = [["a", "100.0 %", "3 x"], ["b", "0.4 %", "12 x"]];
        let table = Table {
            name: "t".to_owned(),
            header: ["what", "share", "holds"].map(str::to_owned).into(),
            rows: rows.map(|row| row.map(str::to_owned).into()).into(),
            winning_row: Some(1),
        };
        let shown =
            "\n  t\n    what    share  holds\n    a     100.0 %  3 x\n  ▸ b       0.4 %  12 x\n";
        assert_eq!(parts(&[Part::Table(table)], false), shown);
    }

    #[test]
    fn paragraphs_are_broken_between_words() {
        let text = "word ".repeat(100);
        assert!(
            wrapped(&text, WIDTH)
                .lines()
                .all(|l| l.chars().count() <= WIDTH)
        );
        assert_eq!(wrapped(&text, WIDTH).split_whitespace().count(), 100);
    }
}
