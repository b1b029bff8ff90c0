//! The host side of an operation's meaning: it reads operands and collects results.

use crate::{Backend, Real, Result, View, dtype::widen};

/// The values of an output, computed by the reference.
#[derive(Clone, Debug)]
pub struct Written<R = f64> {
    /// The operand's field name.
    pub operand: &'static str,
    /// Its elements.
    pub values: Vec<R>,
}

/// The host's side of one operation: operands widened on the way in, results kept until the
/// operation is over. All numbers are `f64`, or another [`Real`].
#[derive(Debug)]
pub struct Host<'h, R = f64> {
    backend: &'h dyn Backend,
    written: Vec<Written<R>>,
}

impl<'h, R: Real> Host<'h, R> {
    /// A host that reads operands from this backend's memory.
    #[must_use]
    pub fn new(backend: &'h dyn Backend) -> Self {
        Self {
            backend,
            written: Vec::new(),
        }
    }

    fn widened(&self, view: View<'_>) -> Result<Vec<f64>> {
        let mut bytes = vec![0; view.bytes()];
        self.backend.download(view, &mut bytes)?;
        Ok(widen(view.dtype(), &bytes))
    }

    /// The elements of a view of any type.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read(&self, view: View<'_>) -> Result<Vec<R>> {
        Ok(self.widened(view)?.into_iter().map(R::from).collect())
    }

    /// The elements of an optional view.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read_some(&self, view: Option<View<'_>>) -> Result<Option<Vec<R>>> {
        view.map(|v| self.read(v)).transpose()
    }

    /// The elements of an output that an operation adds to, or as many zeros if it overwrites them.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read_old(&self, view: View<'_>, adds: bool) -> Result<Vec<R>> {
        match adds {
            true => self.read(view),
            false => Ok(vec![R::from(0.0); view.numel()]),
        }
    }

    /// Unsigned integers, as indices.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn read_ids(&self, view: View<'_>) -> Result<Vec<usize>> {
        let ids = self.widened(view)?;
        Ok(ids.into_iter().map(|x| x as usize).collect())
    }

    /// Sets the values of an output. They are rounded once, to nearest even, when the operation
    /// ends.
    pub fn write(&mut self, operand: &'static str, values: Vec<R>) {
        self.written.push(Written { operand, values });
    }

    /// All outputs that were written, in order.
    #[must_use]
    pub fn into_written(self) -> Vec<Written<R>> {
        self.written
    }
}
