//! The host side of an operation's f64 meaning: it reads operands and collects results.

use crate::{Backend, Result, View, dtype::widen};

/// A value computed by the reference, with the size of the rounding errors it may carry.
#[derive(Clone, Debug)]
pub struct Written {
    /// The operand's field name.
    pub operand: &'static str,
    /// The f64 values.
    pub values: Vec<f64>,
    /// Per value: to first order, an implementation that accumulates with unit roundoff `u` errs
    /// by at most a small constant times `u` times this (see [`Host::write`]).
    pub magnitudes: Vec<f64>,
}

/// The host's side of one operation: operands widened to f64 on the way in, results kept until
/// the operation is over.
#[derive(Debug)]
pub struct Host<'h> {
    backend: &'h dyn Backend,
    written: Vec<Written>,
}

impl<'h> Host<'h> {
    /// A host that reads operands from this backend's memory.
    #[must_use]
    pub fn new(backend: &'h dyn Backend) -> Self {
        Self {
            backend,
            written: Vec::new(),
        }
    }

    /// The elements of a view of any type, as f64.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read(&self, view: View<'_>) -> Result<Vec<f64>> {
        let mut bytes = vec![0; view.bytes()];
        self.backend.download(view, &mut bytes)?;
        Ok(widen(view.dtype(), &bytes))
    }

    /// The elements of an optional view.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read_some(&self, view: Option<View<'_>>) -> Result<Option<Vec<f64>>> {
        view.map(|v| self.read(v)).transpose()
    }

    /// Unsigned integers, as indices.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read_ids(&self, view: View<'_>) -> Result<Vec<usize>> {
        Ok(self.read(view)?.into_iter().map(|x| x as usize).collect())
    }

    /// Sets the values of an output. They are rounded once, to nearest even, when the operation
    /// ends.
    ///
    /// `magnitudes` bound, per value, the error of an implementation that works in lower precision:
    /// to first order, every rounding of relative size `u` in a straightforward evaluation moves
    /// the value by at most `u` times the term it rounds; the magnitude is the sum of all those
    /// terms (for a sum of n products, n·Σ|aᵢbᵢ|).
    pub fn write(&mut self, operand: &'static str, values: Vec<f64>, magnitudes: Vec<f64>) {
        debug_assert_eq!(
            values.len(),
            magnitudes.len(),
            "{operand}: one magnitude a value"
        );
        self.written.push(Written {
            operand,
            values,
            magnitudes,
        });
    }

    /// Sets the values of an output that any implementation must match to the bit: copies, ids, and
    /// results of a single operation in the accumulation type, such as a sum of two values. If the
    /// output is narrower than that type (`F16`, `Bf16`), the value may be rounded to it directly
    /// or, as by an implementation that works in `F32`, first to `F32` and then to the output's
    /// type.
    pub fn write_exact(&mut self, operand: &'static str, values: Vec<f64>) {
        let magnitudes = vec![0.0; values.len()];
        self.write(operand, values, magnitudes);
    }

    /// All outputs that were written, in order.
    #[must_use]
    pub fn into_written(self) -> Vec<Written> {
        self.written
    }
}
