//! A lesson as a page, or several as a small book: a single file without outside resources.

use super::{plot, said};
use crate::course::{TUTORIAL, TUTORIAL_URL};
use crate::{Lesson, Matrix, Part, Table, Widget};
use serde_json::{Value, json};
use std::fmt::Write;

const CSS: &str = include_str!("page.css");
/// A result of more characters than this is shown below its name.
const LONG: usize = 60;
const JS: &str = include_str!("page.js");

/// Makes one page of lessons, without outside resources. Several lessons get a table of contents.
///
/// ```
/// use latimer_lessons::{Setting, course::Entry, render};
/// use latimer_tensor::Device;
///
/// let lesson = Entry::find("8")?.build(&Setting::new(&Device::reference()))?;
/// let page = render::page(&[lesson]);
/// assert!(page.starts_with("<!doctype html>"));
/// assert!(!page.contains("src=") && !page.contains("@import"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[must_use]
pub fn page(lessons: &[Lesson]) -> String {
    let title = match lessons {
        [lesson] => format!("Lesson {}: {}", lesson.id, lesson.title),
        _ => "From a dictionary to a GPT".to_owned(),
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n",
        escaped(&title)
    );
    if lessons.len() > 1 {
        html += &contents(lessons);
    }
    html += "<main>\n";
    if lessons.len() > 1 {
        let _ = writeln!(html, "<h1>{}</h1>", escaped(&title));
        html += "<p class=\"lead\">One sentence, <i lang=\"fr\">le chat est sous la table</i>, and every idea on \
                 the way from a list of words to a language model. The program that wrote these pages \
                 computed their numbers, except for those that tell of earlier trainings, such as the \
                 losses after 5,000 steps; what can be moved computes in the page.</p>\n<noscript><p class=\"lead\">Without scripts the figures stand \
                 still.</p></noscript>\n";
    }
    for (number, lesson) in lessons.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|n| lessons.get(n));
        html += &section(lesson, before, lessons.get(number + 1), lessons.len() == 1);
    }
    let _ = writeln!(
        html,
        "<footer><p class=\"lead\">After the tutorial <a href=\"{TUTORIAL_URL}\">{}</a> by pcingola; \
         the ladder, lessons lm0 to lm5, after its part 2.</p></footer>",
        escaped(TUTORIAL)
    );
    let _ = write!(html, "</main>\n<script>\n{JS}</script>\n</body>\n</html>\n");
    html
}

fn contents(lessons: &[Lesson]) -> String {
    let links: String = lessons
        .iter()
        .map(|lesson| {
            format!(
                "<li><a href=\"#lesson-{0}\"><span>{0}</span> {1}</a></li>\n",
                escaped(lesson.id),
                escaped(lesson.title)
            )
        })
        .collect();
    format!(
        "<nav aria-label=\"Lessons\"><details open><summary>Lessons</summary>\n\
         <ul>\n{links}</ul></details></nav>\n"
    )
}

fn section(
    lesson: &Lesson,
    before: Option<&Lesson>,
    after: Option<&Lesson>,
    alone: bool,
) -> String {
    let (id, title) = (escaped(lesson.id), escaped(lesson.title));
    // Headings are one level below the book's title, or below the lesson's own.
    let level = if alone { 1 } else { 2 };
    let mut html = format!(
        "<section id=\"lesson-{id}\">\n<h{level}><span>{id}</span> {title}</h{level}>\n\
         <p class=\"about\">{}</p>\n",
        escaped(lesson.about)
    );
    for part in &lesson.parts {
        html += &shown(part, level);
    }
    let link = |lesson: Option<&Lesson>, class: &str, arrow: &str| {
        lesson.map_or_else(String::new, |lesson| {
            format!(
                "<a class=\"{class}\" href=\"#lesson-{}\">{arrow} {}</a>\n",
                escaped(lesson.id),
                escaped(lesson.title)
            )
        })
    };
    if before.is_some() || after.is_some() {
        let (before, after) = (link(before, "before", "←"), link(after, "after", "→"));
        let _ = writeln!(html, "<p class=\"turn\">{before}{after}</p>");
    }
    html + "</section>\n"
}

/// A part under a heading of this level.
fn shown(part: &Part, level: usize) -> String {
    match part {
        Part::Text(text) => format!("<p>{}</p>\n", prose(text)),
        Part::Equation { plain, .. } => {
            format!("<p class=\"equation\">{}</p>\n", raised(plain))
        }
        Part::Matrix(m) => matrix(m),
        Part::Table(t) => table(t),
        Part::Output { name, value } => {
            let (value, wrong) = said(value);
            let is_long = value.contains('\n') || value.chars().count() > LONG;
            let class = match (wrong, is_long) {
                (true, _) => " error",
                (false, true) => " long",
                (false, false) => "",
            };
            format!(
                "<p class=\"output{class}\"><span>{}</span> <b>{}</b></p>\n",
                prose(name),
                output_value(&value, wrong)
            )
        }
        Part::Tokens { name, tokens } => {
            let tokens: String = tokens
                .iter()
                .map(|(token, id)| {
                    let id = id.map_or_else(String::new, |id| format!("<sub>{id}</sub>"));
                    format!("<span class=\"token\">{}{id}</span>", escaped(token))
                })
                .collect();
            format!(
                "<figure><figcaption>{}</figcaption><p class=\"tokens\">{tokens}</p></figure>\n",
                escaped(name)
            )
        }
        Part::Curve(curve) => plot::curve(curve),
        Part::Bars(bars) => plot::bars(bars),
        Part::Code { file, text } => format!(
            "<figure class=\"code\"><figcaption>{}</figcaption><pre><code>{}</code></pre></figure>\n",
            escaped(file),
            escaped(text)
        ),
        Part::Source { name, text } => format!(
            "<figure class=\"code\"><figcaption>{}</figcaption><pre>{}</pre></figure>\n",
            escaped(name),
            escaped(text)
        ),
        Part::Try(commands) => {
            // The page is the output of `--html`, so commands for it are left out.
            let items: String = commands
                .iter()
                .filter(|(command, _)| !command.contains(" --html "))
                .map(|(command, shows)| {
                    format!(
                        "<li><code>{}</code><br>{}</li>\n",
                        unbroken(command),
                        prose(shows)
                    )
                })
                .collect();
            let below = level + 1;
            format!("<div class=\"next\"><h{below}>Try next</h{below}>\n<ul>\n{items}</ul></div>\n")
        }
        Part::Widget(w) => widget(w),
    }
}

/// A heat-map: the darker a cell, the greater its number within the matrix.
fn matrix(m: &Matrix) -> String {
    let greatest = m
        .values
        .iter()
        .flatten()
        .fold(0.0f64, |a, x| a.max(x.abs()));
    let head: String = m
        .columns
        .iter()
        .map(|c| format!("<th scope=\"col\">{}</th>", escaped(c)))
        .collect();
    let mut rows = String::new();
    for (i, row) in m.values.iter().enumerate() {
        let class = if m.winning_row == Some(i) {
            " class=\"wins\""
        } else {
            ""
        };
        let name = m.rows.get(i).map_or("", String::as_str);
        let _ = write!(rows, "<tr{class}><th scope=\"row\">{}</th>", escaped(name));
        for (j, &x) in row.iter().enumerate() {
            let best = m.winners.get(i).copied().flatten() == Some(j);
            let class = match (best, x < 0.0) {
                (true, _) => " class=\"best\"",
                (false, true) => " class=\"below\"",
                (false, false) => "",
            };
            let heat = if greatest > 0.0 {
                x.abs() / greatest
            } else {
                0.0
            };
            let _ = write!(
                rows,
                "<td{class} style=\"--h:{:.0}%\">{}</td>",
                heat * 100.0,
                m.cell(i, j)
            );
        }
        if let Some(note) = m.notes.get(i) {
            let _ = write!(rows, "<td class=\"note\">{}</td>", escaped(note));
        }
        rows += "</tr>\n";
    }
    format!(
        "<div class=\"scroll\"><table class=\"matrix\"><caption>{}</caption>\n\
         <thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
        escaped(&m.name)
    )
}

fn table(t: &Table) -> String {
    let cells = |row: &[String], tag: &str, scope: &str| -> String {
        let cells = row.iter().enumerate().map(|(j, cell)| {
            let class = if t.is_numeric(j) {
                " class=\"number\""
            } else {
                ""
            };
            format!("<{tag}{scope}{class}>{}</{tag}>", escaped(cell))
        });
        cells.collect()
    };
    let mut rows = String::new();
    for (i, row) in t.rows.iter().enumerate() {
        let class = if t.winning_row == Some(i) {
            " class=\"wins\""
        } else {
            ""
        };
        let _ = writeln!(rows, "<tr{class}>{}</tr>", cells(row, "td", ""));
    }
    // A long table has a box of its own.
    let class = if t.rows.len() > 24 {
        "scroll long"
    } else {
        "scroll"
    };
    format!(
        "<div class=\"{class}\"><table class=\"list\"><caption>{}</caption>\n\
         <thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
        escaped(&t.name),
        cells(&t.header, "th", " scope=\"col\"")
    )
}

/// An element that the page's script draws in, with its data.
fn widget(widget: &Widget) -> String {
    let (kind, name, data) = match widget {
        Widget::Attention {
            text,
            entries,
            scale,
            strength,
        } => (
            "attention",
            "Attention over a sentence",
            json!({ "text": text, "entries": entries, "scale": scale, "strength": strength }),
        ),
        Widget::Levenshtein { word, keys } => (
            "levenshtein",
            "Edits between two words",
            json!({ "word": word, "keys": keys }),
        ),
        Widget::Merges {
            text,
            pattern,
            merges,
        } => (
            "merges",
            "Merges, one at a time",
            json!({ "text": text, "pattern": pattern, "merges": merges }),
        ),
        Widget::Steps { steps } => {
            let steps: Vec<Value> = steps
                .iter()
                .map(|(step, loss, m)| {
                    json!({
                        "step": step, "loss": loss, "rows": m.rows, "columns": m.columns,
                        "values": m.values, "winners": m.winners, "notes": m.notes,
                    })
                })
                .collect();
            (
                "steps",
                "Answers at each step of the training",
                json!({ "steps": steps }),
            )
        }
    };
    // A `<` in the text could end the script element that contains it.
    let data = data.to_string().replace('<', "\\u003c");
    format!(
        "<div class=\"widget\" data-kind=\"{kind}\" role=\"group\" aria-label=\"{name}\">\
         <script type=\"application/json\">{data}</script></div>\n"
    )
}

/// A result. If it reports an error it is prose; otherwise it is shown character by character.
fn output_value(value: &str, wrong: bool) -> String {
    if wrong { prose(value) } else { escaped(value) }
}

/// A command in which lines may break only between words.
fn unbroken(command: &str) -> String {
    let words = command
        .split(' ')
        .map(|word| format!("<span>{}</span>", escaped(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// A formula in which the text after a `^` is raised.
fn raised(plain: &str) -> String {
    let mut parts = plain.split('^');
    let mut html = escaped(parts.next().unwrap_or_default());
    for part in parts {
        let is_raised = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
        let end = part.find(|c| !is_raised(c)).unwrap_or(part.len());
        let (up, rest) = part.split_at(end);
        let _ = write!(html, "<sup>{}</sup>{}", escaped(up), escaped(rest));
    }
    html
}

/// Prose in which text between backticks becomes code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(i, part)| match i % 2 {
        0 => raised(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

/// Text escaped for HTML, also within attributes.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_marked_and_heated_by_their_numbers() {
        let values = vec![vec![1.0, -3.0], vec![0.0, 4.0]];
        let mut m = Matrix::of("scores", ["a", "b"], ["c", "d"], values);
        m.winners = vec![Some(0), None];
        m.winning_row = Some(1);
        let html = shown(&Part::Matrix(m), 2);
        let cells: Vec<&str> = html
            .split("<td")
            .skip(1)
            .filter_map(|cell| cell.split_once("%\">").map(|(begin, _)| begin.trim()))
            .collect();
        // The cells are a quarter, three quarters, nothing and all of the greatest number.
        let expected = [
            "class=\"best\" style=\"--h:25",
            "class=\"below\" style=\"--h:75",
            "style=\"--h:0",
            "style=\"--h:100",
        ];
        assert_eq!(cells, expected);
        assert!(html.contains("<tr><th scope=\"row\">a</th>"), "{html}");
        assert!(
            html.contains("<tr class=\"wins\"><th scope=\"row\">b</th>"),
            "{html}"
        );
    }

    #[test]
    fn a_learners_words_cannot_break_the_page() {
        let part = Part::Widget(Widget::Levenshtein {
            word: "</script><b>".to_owned(),
            keys: vec!["\"&".to_owned()],
        });
        let html = shown(&part, 2);
        assert_eq!(html.matches("</script>").count(), 1, "{html}");
        assert_eq!(
            escaped("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
        assert_eq!(
            raised("W^Q, C^-0.5<"),
            "W<sup>Q</sup>, C<sup>-0.5</sup>&lt;"
        );
        assert_eq!(prose("say `a<b` now"), "say <code>a&lt;b</code> now");
    }
}
