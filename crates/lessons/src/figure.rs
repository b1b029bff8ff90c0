//! The contents of lessons and explanations as data, independent of how they are shown.

use crate::Result;
use latimer_tensor::{DType, Tensor};
use serde_json::{Value, json};

/// Numbers with names for rows and columns.
///
/// ```
/// use latimer_lessons::{Matrix, Part, render};
///
/// let weights = vec![vec![0.25, 0.75], vec![0.5, 0.5]];
/// let matrix = Matrix::of("weights", ["le", "chat"], ["the", "cat"], weights).with_winners();
/// assert_eq!(matrix.winners, [Some(1), Some(0)]); // of equals, the first
/// assert!(render::parts(&[Part::Matrix(matrix)], false).contains("0.2500   0.7500*"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Its name, such as `K` or `softmax(q·Kᵀ)`.
    pub name: String,
    /// The names of the rows.
    pub rows: Vec<String>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The numbers, row by row.
    pub values: Vec<Vec<f64>>,
    /// For each row, the column that wins it.
    pub winners: Vec<Option<usize>>,
    /// For each row, a note at its end.
    pub notes: Vec<String>,
    /// The row that wins over all others.
    pub winning_row: Option<usize>,
}

impl Matrix {
    /// Makes a matrix of a tensor with two axes, or with one axis as a single row.
    ///
    /// # Errors
    /// The device's failure.
    pub fn new<R: AsRef<str>, C: AsRef<str>>(
        name: impl Into<String>,
        rows: impl IntoIterator<Item = R>,
        columns: impl IntoIterator<Item = C>,
        x: &Tensor,
    ) -> Result<Self> {
        let values = x.cast(DType::F64)?.to_vec::<f64>()?;
        let values = values
            .chunks(x.shape().columns().max(1))
            .map(<[f64]>::to_vec)
            .collect();
        Ok(Self::of(name, rows, columns, values))
    }

    /// Makes a matrix of numbers with names.
    pub fn of<R: AsRef<str>, C: AsRef<str>>(
        name: impl Into<String>,
        rows: impl IntoIterator<Item = R>,
        columns: impl IntoIterator<Item = C>,
        values: Vec<Vec<f64>>,
    ) -> Self {
        Self {
            name: name.into(),
            rows: rows.into_iter().map(|r| r.as_ref().to_owned()).collect(),
            columns: columns.into_iter().map(|c| c.as_ref().to_owned()).collect(),
            values,
            winners: Vec::new(),
            notes: Vec::new(),
            winning_row: None,
        }
    }

    /// Marks the greatest number above 0 in each row, the first if there are several.
    #[must_use]
    pub fn with_winners(mut self) -> Self {
        let winner = |row: &Vec<f64>| {
            let mut best = (None, 0.0);
            for (j, &x) in row.iter().enumerate() {
                if x > best.1 {
                    best = (Some(j), x);
                }
            }
            best.0
        };
        self.winners = self.values.iter().map(winner).collect();
        self
    }

    /// Adds a note at the end of each row.
    #[must_use]
    pub fn with_notes<N: Into<String>>(mut self, notes: impl IntoIterator<Item = N>) -> Self {
        self.notes = notes.into_iter().map(Into::into).collect();
        self
    }

    /// Marks one row.
    #[must_use]
    pub fn with_winning_row(mut self, row: usize) -> Self {
        self.winning_row = Some(row);
        self
    }

    /// Whether all numbers are integers, which are then shown without a decimal point.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.values.iter().flatten().all(|x| x.fract() == 0.0)
    }

    /// A number as it is shown: with four decimals unless all numbers are integers.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> String {
        let x = self.values[row][column];
        if self.is_whole() {
            return format!("{}", x + 0.0);
        }
        let shown = format!("{x:.4}");
        // A number that rounds to zero has no sign.
        let nothing = shown.strip_prefix('-').filter(|rest| *rest == "0.0000");
        nothing.map_or(shown.clone(), str::to_owned)
    }
}

/// Rows of text.
///
/// ```
/// use latimer_lessons::Table;
///
/// let table = Table {
///     name: "edits".to_owned(),
///     header: vec!["key".to_owned(), "edits".to_owned()],
///     rows: vec![vec!["table".to_owned(), "1".to_owned()]],
///     winning_row: Some(0),
/// };
/// assert!(table.is_numeric(1) && !table.is_numeric(0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// The row that wins.
    pub winning_row: Option<usize>,
}

impl Table {
    /// Whether a column holds only numbers and percentages.
    #[must_use]
    pub fn is_numeric(&self, column: usize) -> bool {
        let is_number = |cell: &String| cell.trim_end_matches(" %").parse::<f64>().is_ok();
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        !self.rows.is_empty() && cells.all(is_number)
    }
}

/// A number that changes from step to step.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// The unit of the horizontal axis.
    pub of: String,
    /// Positions and values.
    pub points: Vec<(f64, f64)>,
}

/// Shares from 0 to 1, in groups for comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The name of the quantity that they are shares of.
    pub name: String,
    /// The meaning of each bar in a group.
    pub series: Vec<String>,
    /// The groups by name, with one share for each of the series.
    pub groups: Vec<(String, Vec<f64>)>,
}

/// Interactive figures of a page; a terminal shows the figures around them instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Widget {
    /// Attention over a sentence, with adjustable temperature and scale.
    Attention {
        /// The initial sentence.
        text: String,
        /// Keys with their values, in order.
        entries: Vec<(String, String)>,
        /// The initial scale.
        scale: f64,
        /// The factor that each edit applies to the strength of a query.
        strength: f64,
    },
    /// The grid of Levenshtein's distance between two words.
    Levenshtein {
        /// The initial word.
        word: String,
        /// The words that it is compared with.
        keys: Vec<String>,
    },
    /// A text cut into bytes, and merges to be made one at a time.
    Merges {
        /// The text.
        text: String,
        /// The regular expression that cuts the text into pieces before any merge.
        pattern: String,
        /// The merges in order: two ids and the id of their result. Ids below 256 are bytes.
        merges: Vec<(u32, u32, u32)>,
    },
    /// A matrix at several training steps.
    Steps {
        /// Step, loss and matrix.
        steps: Vec<(u32, f64, Matrix)>,
    },
}

/// One element of a lesson.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A formula, in plain text and as LaTeX.
    Equation {
        /// In plain characters.
        plain: String,
        /// In LaTeX.
        latex: String,
    },
    /// Numbers.
    Matrix(Matrix),
    /// Rows of text.
    Table(Table),
    /// A resulting sentence.
    Output {
        /// The name of the result.
        name: String,
        /// The sentence.
        value: String,
    },
    /// Text cut into tokens: readable tokens, with their ids if there are any.
    Tokens {
        /// Its name.
        name: String,
        /// The tokens in order.
        tokens: Vec<(String, Option<u32>)>,
    },
    /// Shares side by side.
    Bars(Bars),
    /// The course of a training.
    Curve(Curve),
    /// Lines of our own source code, exactly as compiled.
    Code {
        /// The path of the file from the crate's root.
        file: &'static str,
        /// The lines.
        text: String,
    },
    /// Text in another notation, to be copied.
    Source {
        /// Its name.
        name: String,
        /// The text.
        text: String,
    },
    /// An interactive figure.
    Widget(Widget),
    /// Commands to try next, each with a description.
    Try(Vec<(String, String)>),
}

impl Part {
    /// The name and content of a part with a result, as JSON.
    ///
    /// ```
    /// use latimer_lessons::Part;
    ///
    /// let (name, value) = ("translation".to_owned(), "the cat".to_owned());
    /// let part = Part::Output { name, value };
    /// assert_eq!(part.output(), Some(("translation".to_owned(), "the cat".into())));
    /// assert_eq!(Part::Text("why".to_owned()).output(), None);
    /// ```
    #[must_use]
    pub fn output(&self) -> Option<(String, Value)> {
        Some(match self {
            Self::Matrix(m) => (
                m.name.clone(),
                json!({ "rows": m.rows, "columns": m.columns, "values": m.values }),
            ),
            Self::Table(t) => {
                let rows: Vec<Value> = t
                    .rows
                    .iter()
                    .map(|row| {
                        t.header
                            .iter()
                            .cloned()
                            .zip(row.iter().cloned().map(Value::from))
                    })
                    .map(|row| Value::Object(row.collect()))
                    .collect();
                (t.name.clone(), rows.into())
            }
            Self::Output { name, value } => (name.clone(), value.clone().into()),
            Self::Source { name, text } => (name.clone(), text.clone().into()),
            Self::Tokens { name, tokens } => {
                let tokens: Vec<Value> = tokens
                    .iter()
                    .map(|(text, id)| json!({ "token": text, "id": id }))
                    .collect();
                (name.clone(), tokens.into())
            }
            Self::Curve(curve) => (curve.name.clone(), json!(curve.points)),
            _ => return None,
        })
    }
}
