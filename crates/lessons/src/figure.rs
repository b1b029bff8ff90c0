//! What a lesson or an explanation shows, as data: nothing here knows how it will look.

use crate::Result;
use latimer_tensor::{DType, Tensor};
use serde_json::{Value, json};

/// Numbers with names on both sides.
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
    /// What it is called, `K` or `softmax(q·Kᵀ)`.
    pub name: String,
    /// The names of the rows.
    pub rows: Vec<String>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The numbers, row by row.
    pub values: Vec<Vec<f64>>,
    /// For each row, the column that wins it.
    pub winners: Vec<Option<usize>>,
    /// For each row, what is said at its end.
    pub notes: Vec<String>,
    /// The row that wins among all.
    pub winning_row: Option<usize>,
}

impl Matrix {
    /// A tensor of two axes, or one as a single row, with names.
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

    /// The same of numbers.
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

    /// Marks the greatest number above 0 of each row, the first of several.
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

    /// Says something at the end of each row.
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

    /// Whether all numbers are integers, which are then shown without a point.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.values.iter().flatten().all(|x| x.fract() == 0.0)
    }

    /// A number as it is shown: four digits after the point unless all are whole.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> String {
        let x = self.values[row][column];
        if self.is_whole() {
            return format!("{}", x + 0.0);
        }
        let shown = format!("{x:.4}");
        // What rounds to nothing has no sign.
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
    /// What it is called.
    pub name: String,
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// The row that wins.
    pub winning_row: Option<usize>,
}

impl Table {
    /// Whether a column holds numbers or percentages and nothing else.
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
    /// What it is.
    pub name: String,
    /// What is counted along it.
    pub of: String,
    /// Place and value.
    pub points: Vec<(f64, f64)>,
}

/// Shares from 0 to 1, in groups to be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What they are shares of.
    pub name: String,
    /// What each bar of a group stands for.
    pub series: Vec<String>,
    /// Groups by name, a share for each of the series.
    pub groups: Vec<(String, Vec<f64>)>,
}

/// What can be moved in a page; a terminal shows the figures around it instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Widget {
    /// Attention over a sentence, with temperature and scale to move.
    Attention {
        /// The sentence to begin with.
        text: String,
        /// Keys with their values, in order.
        entries: Vec<(String, String)>,
        /// The scale to begin with.
        scale: f64,
        /// Strength that each edit leaves of a query.
        strength: f64,
    },
    /// The grid of Levenshtein's distance between two words.
    Levenshtein {
        /// The word to begin with.
        word: String,
        /// The words to measure it against.
        keys: Vec<String>,
    },
    /// A text cut into bytes, and merges to be made one at a time.
    Merges {
        /// The text.
        text: String,
        /// What cuts it into pieces before any merge, a regular expression.
        pattern: String,
        /// Which two ids become which one, in order; ids below 256 are bytes.
        merges: Vec<(u32, u32, u32)>,
    },
    /// A matrix at several steps of a training.
    Steps {
        /// Step, loss and matrix.
        steps: Vec<(u32, f64, Matrix)>,
    },
}

/// One thing that is shown.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A formula: for a terminal, and as LaTeX.
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
    /// A sentence that came out.
    Output {
        /// What it came out of.
        name: String,
        /// It.
        value: String,
    },
    /// Text cut into tokens: what a person reads, and the ids where there are some.
    Tokens {
        /// What was cut.
        name: String,
        /// The tokens in order.
        tokens: Vec<(String, Option<u32>)>,
    },
    /// Shares side by side.
    Bars(Bars),
    /// A training's course.
    Curve(Curve),
    /// Lines of our own source, as they were compiled.
    Code {
        /// The file, from the crate's root.
        file: &'static str,
        /// The lines.
        text: String,
    },
    /// Text in another notation, to be copied.
    Source {
        /// What it is.
        name: String,
        /// It.
        text: String,
    },
    /// What can be moved in a page.
    Widget(Widget),
    /// Commands to try next, each with what it shows.
    Try(Vec<(String, String)>),
}

impl Part {
    /// Name and content of what has a result, as JSON.
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
