//! Reports which operations a device runs natively.

use crate::case::{Case, Layout};
use crate::memory::Memory;
use crate::strategies;
use latimer_tensor::{DType, Device, Handled, Op, Result};
use std::fmt;

/// A table of operations and element types: native, or by the meaning on the host.
///
/// ```
/// use latimer_conformance::Support;
/// let table = Support::of(&latimer_tensor::Device::reference());
/// assert_eq!(table.native(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Support {
    device: String,
    rows: Vec<(&'static str, [Option<bool>; Support::DTYPES.len()])>,
}

impl Support {
    /// The element types that have a column.
    pub const DTYPES: [DType; 4] = [DType::F32, DType::Bf16, DType::F16, DType::F64];

    /// Asks the backend of a device, with one small case for each entry. An error counts as
    /// native: the backend tried.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        let row = |name| {
            let entries = Self::DTYPES.map(|dtype| {
                let case = Case {
                    dtype,
                    ..strategies::smallest(name)
                };
                asked(device, &case).unwrap_or(Some(true))
            });
            (name, entries)
        };
        Self {
            device: device.info().name,
            rows: Op::NAMES.iter().map(|&name| row(name)).collect(),
        }
    }

    /// Whether an operation is native for a type; `None` if it does not accept the type.
    #[must_use]
    pub fn is_native(&self, op: &str, dtype: DType) -> Option<bool> {
        let column = Self::DTYPES.iter().position(|d| *d == dtype)?;
        let row = self.rows.iter().find(|(name, _)| *name == op)?;
        row.1[column]
    }

    /// The number of native entries.
    #[must_use]
    pub fn native(&self) -> usize {
        let entries = self.rows.iter().flat_map(|(_, entries)| entries);
        entries.filter(|entry| **entry == Some(true)).count()
    }
}

/// Whether the backend ran the case itself. The case bypasses the device, so its settings stay the
/// same.
fn asked(device: &Device, case: &Case) -> Result<Option<bool>> {
    let operands = case.operands()?;
    let mut memory = Memory::place(device, &operands, Layout::Apart { lead: 64 }, 0, None)?;
    memory.with(&operands, |bound| {
        let mut op = case.op(bound);
        if op.check().is_err() || !case.takes_type() {
            return Ok(None);
        }
        Ok(Some(device.backend().run(&mut op)? == Handled::Done))
    })
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20}", self.device)?;
        for dtype in Self::DTYPES {
            write!(f, " {dtype:<8}")?;
        }
        for (name, entries) in &self.rows {
            write!(f, "\n{name:<20}")?;
            for entry in entries {
                let text = match entry {
                    Some(true) => "native",
                    Some(false) => "fallback",
                    None => "-",
                };
                write!(f, " {text:<8}")?;
            }
        }
        Ok(())
    }
}
