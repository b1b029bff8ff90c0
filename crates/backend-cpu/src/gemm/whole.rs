//! Products by `matrixmultiply`, on processors without tiles of our own.
//!
//! The library packs both operands on every call, so calls are as large as sharing among threads
//! allows: each is for some rows, or for some columns if the output is wider than high, and a
//! thread takes one to four of them. The library cuts sums over `k` into blocks of its own.

use super::kernel::{Left, Output, Product, WHOLE_UNIT, whole_product};
use super::{Gemm, nanoseconds};
use crate::memory::Shared;
use crate::parallel::Par;
use std::ops::Range;

impl Gemm<'_> {
    /// Does what [`Gemm::run`] does, on processors without tiles of our own.
    pub(super) fn run_whole(&self, y: &mut [f32], par: Par) {
        let (m, n, k) = (self.m, self.n, self.k);
        let y = Shared::new(y);
        let (wide, all) = (n > m, n.max(m));
        let units = all.div_ceil(WHOLE_UNIT);
        let ns = nanoseconds(m, n, k);
        par.split(units, ns, 0..units, &|units: Range<usize>| {
            let part = units.start * WHOLE_UNIT..(units.end * WHOLE_UNIT).min(all);
            let (rows, columns) = if wide { (0..m, part) } else { (part, 0..n) };
            let p = Product {
                m: rows.len(),
                n: columns.len(),
                k,
                alpha: self.alpha,
                beta: self.beta,
                bias: match self.bias {
                    Some(bias) => bias[columns.start..].as_ptr(),
                    None => std::ptr::null(),
                },
            };
            let strides =
                |turned: bool, rows, columns| if turned { (1, rows) } else { (columns, 1) };
            let (row, column) = strides(self.trans_a, m, k);
            let a = Left {
                start: self.a.as_ptr().wrapping_add(rows.start * row),
                row,
                column,
            };
            let (row, column) = strides(self.trans_b, k, n);
            let b = Left {
                start: self.b.as_ptr().wrapping_add(columns.start * column),
                row,
                column,
            };
            let c = Output {
                start: y.get().wrapping_add(rows.start * n + columns.start),
                row: n,
            };
            // SAFETY: rows below m, columns below n, all terms: in the slices that the pointers come
            // from. `y` is borrowed exclusively by the caller, and no two pieces share a row and a column.
            unsafe { whole_product(p, a, b, c) };
        });
    }
}
