//! Figures about the cases that the suite draws, and about its results.

use crate::case::Case;
use crate::check::{self, Subject};
use crate::failure::Failure;
use crate::{misfits, oracle, strategies};
use latimer_tensor::{DType, Op, Shape};
use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

/// A table with a row for each operation: how many cases of which element types and edges are
/// drawn; and, for a device that was tested with them, how much of the allowed error it used and
/// how long it took.
///
/// ```
/// use latimer_conformance::Coverage;
/// use latimer_tensor::DType;
/// let drawn = Coverage::drawn();
/// let matmul = drawn.row("matmul").expect("an operation");
/// assert!(matmul.of_type(DType::Bf16) > 0 && matmul.empty > 0);
/// ```
#[derive(Clone, Debug)]
pub struct Coverage {
    device: Option<String>,
    rows: Vec<Row>,
}

/// One operation.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name.
    pub op: &'static str,
    /// Cases that must agree with the meaning: those with finite operands, and those with a NaN or
    /// infinity.
    pub cases: usize,
    /// Wrong operands and attributes that must be refused; 0 if no device was tested.
    pub misfits: usize,
    /// Cases with an operand without elements.
    pub empty: usize,
    /// Cases with an axis of length 1.
    pub one: usize,
    /// Cases with an axis of an odd prime length.
    pub prime: usize,
    /// Cases with an axis one longer than a multiple of 16, and thus one past a tile.
    pub past_tile: usize,
    /// The largest part used of the error that the rule of the same precision allows (see
    /// [`crate::tolerance::Spread`]). It exceeds 1 only after a single unlucky draw.
    pub used: Option<f64>,
    /// The time it took, if a device was tested.
    pub time: Duration,
    dtypes: [usize; Coverage::DTYPES.len()],
}

impl Row {
    /// Cases with main operands of this type.
    #[must_use]
    pub fn of_type(&self, dtype: DType) -> usize {
        let at = Coverage::DTYPES.iter().position(|d| *d == dtype);
        at.map_or(0, |at| self.dtypes[at])
    }

    fn count(&mut self, case: &Case) {
        let operands = case.outline.operands(case.dtype);
        let shapes: Vec<Shape> = operands.map(|operand| operand.shape).collect();
        self.cases += 1;
        let dtypes = self.dtypes.iter_mut().zip(Coverage::DTYPES);
        for (count, dtype) in dtypes {
            *count += usize::from(dtype == case.dtype);
        }
        let axis = |such: fn(usize) -> bool| {
            let mut axes = shapes.iter().flat_map(|shape| shape.dims());
            usize::from(axes.any(|&n| such(n)))
        };
        self.empty += usize::from(shapes.iter().any(|shape| shape.numel() == 0));
        self.one += axis(|n| n == 1);
        self.prime += axis(is_odd_prime);
        self.past_tile += axis(|n| n > 16 && n % 16 == 1);
    }
}

fn is_odd_prime(n: usize) -> bool {
    let divides = |d: usize| n.is_multiple_of(d);
    n > 2 && !(2..n).take_while(|d| d * d <= n).any(divides)
}

impl Coverage {
    /// The element types that have a column.
    pub const DTYPES: [DType; 6] = DType::ALL;

    /// The figures of the cases that are drawn, without running them.
    ///
    /// # Panics
    /// If a case cannot be outlined, which the suite's own tests rule out.
    #[must_use]
    pub fn drawn() -> Self {
        let rows = Op::NAMES.iter().map(|&op| {
            let row = RefCell::new(Row {
                op,
                ..Row::default()
            });
            let note = |case: &Case| {
                row.borrow_mut().count(case);
                Ok(())
            };
            let drawn = check::agreeing(op, note).and_then(|()| check::spreading(op, note));
            drawn.unwrap_or_else(|failure| panic!("{failure}"));
            row.into_inner()
        });
        Self {
            device: None,
            rows: rows.collect(),
        }
    }

    /// Tests a device with everything, as [`crate::suite!`] does, and counts.
    ///
    /// # Errors
    /// The first failure.
    pub fn of(subject: &Subject) -> Result<Self, Box<Failure>> {
        let mut rows = Vec::new();
        for &op in Op::NAMES {
            let start = Instant::now();
            let row = RefCell::new(Row {
                op,
                ..Row::default()
            });
            let held = |case: &Case| {
                let used = check::held(subject, case)?;
                let mut row = row.borrow_mut();
                row.count(case);
                row.used = row.used.into_iter().chain(used).reduce(f64::max);
                Ok(())
            };
            check::agreeing(op, held)?;
            check::spreading(op, held)?;
            check::refusing(op, |case| {
                row.borrow_mut().misfits += misfits::all_refused(subject.device(), case)?;
                Ok(())
            })?;
            rows.push(Row {
                time: start.elapsed(),
                ..row.into_inner()
            });
        }
        Ok(Self {
            device: Some(subject.device().info().name),
            rows,
        })
    }

    /// Whether an operation accepts main operands of this type, according to its own check.
    #[must_use]
    pub fn takes(op: &str, dtype: DType) -> bool {
        let case = Case {
            dtype,
            ..strategies::smallest(op)
        };
        if !case.takes_type() {
            return false;
        }
        let meant = case.operands().and_then(|o| oracle::meaning(&case, &o));
        meant.is_ok()
    }

    /// All rows, in the order of [`Op::NAMES`].
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of an operation.
    #[must_use]
    pub fn row(&self, op: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.op == op)
    }

    /// The number of pairs of an operation and an element type that have a case.
    #[must_use]
    pub fn pairs(&self) -> usize {
        let counts = self.rows.iter().flat_map(|row| row.dtypes);
        counts.filter(|count| *count > 0).count()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.as_deref().unwrap_or("cases drawn");
        write!(f, "{device}\n{:<20} {:>6}", "", "cases")?;
        for dtype in Self::DTYPES {
            write!(f, " {:>5}", dtype.to_string())?;
        }
        write!(
            f,
            "  {:>5} {:>5} {:>5} {:>5}",
            "empty", "one", "prime", "tile+1"
        )?;
        let held = self.device.is_some();
        if held {
            write!(f, "  {:>7} {:>5} {:>7}", "misfits", "used", "s")?;
        }
        for row in &self.rows {
            write!(f, "\n{:<20} {:>6}", row.op, row.cases)?;
            for count in row.dtypes {
                write!(f, " {count:>5}")?;
            }
            let Row {
                empty,
                one,
                prime,
                past_tile,
                ..
            } = row;
            write!(f, "  {empty:>5} {one:>5} {prime:>5} {past_tile:>6}")?;
            if held {
                let used = row.used.map_or("-".into(), |used| format!("{used:.2}"));
                let seconds = row.time.as_secs_f64();
                write!(f, "  {:>7} {used:>5} {seconds:>7.3}", row.misfits)?;
            }
        }
        let cases: usize = self.rows.iter().map(|row| row.cases).sum();
        let (operations, pairs) = (self.rows.len(), self.pairs());
        write!(
            f,
            "\n{operations} operations, {pairs} with their types, {cases} cases"
        )?;
        if held {
            let misfits: usize = self.rows.iter().map(|row| row.misfits).sum();
            let time: Duration = self.rows.iter().map(|row| row.time).sum();
            write!(f, ", {misfits} misfits, {:.1} s", time.as_secs_f64())?;
        }
        Ok(())
    }
}
