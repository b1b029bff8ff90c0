//! The parts of a lesson that a document can contain: equations and matrices.

use crate::latex::latex_rows;
use crate::{Lesson, Part};
use std::fmt::Write;

/// The most columns of a matrix in `amsmath`, unless a document raises it.
const COLUMNS: usize = 10;

/// The equations and matrices of a lesson as displayed LaTeX, each under a comment with its name.
/// The document needs the package `amsmath`.
///
/// ```
/// use latimer_lessons::{Setting, course::Entry, render};
/// use latimer_tensor::Device;
///
/// let lesson = Entry::find("6")?.build(&Setting::new(&Device::reference()))?;
/// let latex = render::latex(&lesson);
/// assert!(latex.contains("\\[ q K^\\top V = \\left[\\begin{matrix}\n  0 & 0 & 0 & 0 & 1\\\\\n"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[must_use]
pub fn latex(lesson: &Lesson) -> String {
    let mut text = format!(
        "% Lesson {}: {}\n% For a document with \\usepackage{{amsmath}}.\n",
        lesson.id, lesson.title
    );
    for part in &lesson.parts {
        let _ = match part {
            Part::Equation { latex, .. } => writeln!(text, "\\[ {latex} \\]"),
            Part::Matrix(m) => {
                if m.columns.len() > COLUMNS {
                    let columns = m.columns.len();
                    let _ = writeln!(text, "\\setcounter{{MaxMatrixCols}}{{{columns}}}");
                }
                let rows = latex_rows(m.values.iter().map(Vec::as_slice));
                writeln!(
                    text,
                    "% rows: {}; columns: {}\n\\[ {} = {rows} \\]",
                    m.rows.join(", "),
                    m.columns.join(", "),
                    name(&m.name)
                )
            }
            _ => continue,
        };
    }
    text
}

/// A matrix's name: a product of letters, or words.
fn name(name: &str) -> String {
    let is_formula = name.contains('ᵀ') || name.chars().count() == 1;
    if !is_formula {
        return format!("\\text{{{name}}}");
    }
    name.replace('ᵀ', "^\\top")
        .replace('·', " ")
        .replace("√6", "\\sqrt{6}")
        .replace("softmax", "\\mathrm{softmax}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_formulas_or_words() {
        assert_eq!(name("K"), "K");
        assert_eq!(name("wrong axis"), "\\text{wrong axis}");
        assert_eq!(
            name("softmax(q·Kᵀ/√6)·V"),
            "\\mathrm{softmax}(q K^\\top/\\sqrt{6}) V"
        );
    }
}
