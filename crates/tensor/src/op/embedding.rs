//! Rows of a table, by id.

use super::{OpSpec, op};
use crate::{Error, Host, Real, Result};

op! {
    /// `y[b, t] = wte[ids[b, t]] + wpe[first_position + t]`: what a token is, and where it stands.
    Embedding "embedding" {
        /// The tokens, each below `V`.
        ids: In "u32", "[B, T]";
        /// The embedding of each token.
        wte: In "float", "[V, C]";
        /// The embedding of each position; without it, positions add nothing.
        wpe: MaybeIn "as wte", "[P, C]";
        /// The sum.
        y: Out "as wte", "[B, T, C]";
    } {
        /// The position of column 0; above 0 when decoding continues a text.
        first_position: usize, OffsetOf('T', 'P', "first_position + T <= P must hold");
    }
}

impl OpSpec for Embedding<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (t, c) = (self.ids.shape().columns(), self.wte.shape().columns());
        let ids = host.read_ids(self.ids)?;
        let (wte, wpe) = (host.read(self.wte)?, host.read_some(self.wpe)?);
        let mut values = Vec::with_capacity(self.y.numel());
        for (at, &id) in ids.iter().enumerate() {
            check_id(Self::NAME, "ids", id as u64, at, self.wte.shape().rows())?;
            for j in 0..c {
                let position = wpe
                    .as_ref()
                    .map_or(R::from(0.0), |p| p[(self.first_position + at % t) * c + j]);
                values.push(wte[id * c + j] + position);
            }
        }
        host.write("y", values);
        Ok(())
    }

    fn flops(&self) -> u64 {
        if self.wpe.is_some() {
            self.y.numel() as u64
        } else {
            0
        }
    }
}

/// Fails unless `id < rows`.
///
/// # Errors
/// [`Error::IdOutOfRange`].
pub(crate) fn check_id(
    op: &'static str,
    operand: &'static str,
    id: u64,
    position: usize,
    rows: usize,
) -> Result<()> {
    if (id as usize) < rows {
        return Ok(());
    }
    Err(Error::IdOutOfRange {
        op,
        operand,
        id,
        position,
        last: rows.saturating_sub(1),
    })
}

op! {
    /// `dwte[ids[b, t]] += dy[b, t]`, `dwpe[t] += Σ_b dy[b, t]`; sums in the order of `b, t`.
    EmbeddingBackward "embedding_backward" {
        /// The tokens, each below `V`.
        ids: In "u32", "[B, T]";
        /// The gradient of the sum.
        dy: In "float", "[B, T, C]";
        /// The table's gradient so far, which the sums are added to.
        dwte: InOut "float", "[V, C]";
        /// The table's gradient so far, which the sums are added to.
        dwpe: MaybeInOut "as dwte", "[P>=T, C]";
    } {
    }
}

impl OpSpec for EmbeddingBackward<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let (t, c) = (self.ids.shape().columns(), self.dwte.shape().columns());
        let (ids, dy) = (host.read_ids(self.ids)?, host.read(self.dy)?);
        let mut dwte = host.read(self.dwte.as_view())?;
        for (at, &id) in ids.iter().enumerate() {
            check_id(Self::NAME, "ids", id as u64, at, self.dwte.shape().rows())?;
            add_row(&mut dwte[id * c..][..c], &dy[at * c..]);
        }
        host.write("dwte", dwte);
        if let Some(dwpe) = &self.dwpe {
            let mut dwpe = host.read(dwpe.as_view())?;
            for at in 0..ids.len() {
                add_row(&mut dwpe[at % t * c..][..c], &dy[at * c..]);
            }
            host.write("dwpe", dwpe);
        }
        Ok(())
    }

    fn flops(&self) -> u64 {
        2 * self.dy.numel() as u64
    }
}

/// Adds a row to a sum of rows, in this order.
fn add_row<R: Real>(sum: &mut [R], row: &[R]) {
    for (sum, &x) in sum.iter_mut().zip(row) {
        *sum = *sum + x;
    }
}
