//! Sums, means and maxima over rows or columns; the place of a row's maximum; sums of squares.
//!
//! Over rows, the rows are cut into chunks (how many depends on the shape only), each chunk is
//! summed from its first row to its last, and the partial sums are added in order.

use crate::math::{dot, max, sum};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::scratch::op_scratch;
use crate::simd::simd;
use latimer_tensor::op::{ArgMax, Over, Reduce, ReduceKind, SumSquares};
use latimer_tensor::{Handled, Result};

/// Rows of a chunk: at least 32, and at most 32 chunks.
pub(crate) fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(32).max(32)
}

simd! {
    /// `sums[j] = Σ_i x[i, j]` over whole rows.
    fn sum_rows<E: Real>(x: &[E], sums: &mut [f32]) {
        sums.fill(0.0);
        for row in x.chunks_exact(sums.len()) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += x.load();
            }
        }
    }
}

simd! {
    fn max_rows<E: Real>(x: &[E], most: &mut [f32]) {
        most.fill(f32::NEG_INFINITY);
        for row in x.chunks_exact(most.len()) {
            for (most, &x) in most.iter_mut().zip(row) {
                let x = x.load();
                // mutant: maximum_drops_nan
                *most = if x.is_nan() || x > *most { x } else { *most };
                // NaN stays: nothing is greater than it.
            }
        }
    }
}

simd! {
    fn row_sum<E: Real>(x: &[E]) -> f32 {
        sum::<FMA, _>(x, |x| x)
    }
}

simd! {
    fn row_max<E: Real>(x: &[E]) -> f32 {
        // The maximum ignores NaNs; this sum finds them.
        let poison = sum::<FMA, _>(x, |x| if x.is_nan() { x } else { 0.0 });
        if poison.is_nan() { poison } else { max::<FMA, _>(x) }
    }
}

/// `X` is the type of `x`, `Y` that of `y`.
pub(crate) fn reduce<X: Real, Y: Real>(op: &mut Reduce<'_>, par: Par) -> Result<Handled> {
    let (rows, columns) = (op.x.shape().rows(), op.x.shape().columns());
    let x = read::<X>(op.x)?;
    let y = write::<Y>(op.y.reborrow())?;
    let keep = op.accumulate;
    let kind = op.kind;
    let write_back = |y: &mut Y, value: f32| {
        *y = Y::store(if keep { y.load() + value } else { value });
    };
    let ns = x.len() / 8;
    match op.over {
        Over::Columns => {
            let parts = (Rows(x, columns), RowsMut(y, 1));
            par.split(rows, ns, parts, &|(x, y): (Rows<'_, X>, RowsMut<'_, Y>)| {
                for (y, row) in y.0.iter_mut().zip(x.0.chunks_exact(columns)) {
                    let value = match kind {
                        ReduceKind::Mean => row_sum(row) / columns as f32,
                        ReduceKind::Max => row_max(row),
                        _ => row_sum(row),
                    };
                    write_back(y, value);
                }
            });
        }
        Over::Rows => {
            let tall = chunk_rows(rows);
            let chunks = rows.div_ceil(tall);
            let by_max = kind == ReduceKind::Max;
            op_scratch(chunks * columns, |partial| {
                let parts = (Rows(x, tall * columns), RowsMut(&mut *partial, columns));
                par.split(chunks, ns, parts, &|(x, partial): (
                    Rows<'_, X>,
                    RowsMut<'_>,
                )| {
                    let chunks = x.0.chunks(tall * columns);
                    for (x, partial) in chunks.zip(partial.0.chunks_exact_mut(columns)) {
                        if by_max {
                            max_rows(x, partial);
                        } else {
                            sum_rows(x, partial);
                        }
                    }
                });
                let (first, rest) = partial.split_at_mut(columns);
                for row in rest.chunks_exact(columns) {
                    for (a, &b) in first.iter_mut().zip(row) {
                        *a = match by_max {
                            false => *a + b,
                            true if a.is_nan() || *a > b => *a,
                            true => b,
                        };
                    }
                }
                for (y, &value) in y.iter_mut().zip(&*first) {
                    let mean = kind == ReduceKind::Mean;
                    // mutant: mean_over_the_wrong_axis
                    write_back(y, if mean { value / rows as f32 } else { value });
                }
            });
        }
    }
    Ok(Handled::Done)
}

simd! {
    /// The place of the first NaN if the row has one, otherwise the first place of the greatest
    /// value.
    fn place_of_max<E: Real>(row: &[E]) -> u32 {
        // The maximum ignores NaNs; this sum finds them.
        let poison = sum::<FMA, _>(row, |x| if x.is_nan() { x } else { 0.0 });
        // mutant: arg_max_passes_over_nan
        let place = if poison.is_nan() {
            row.iter().position(|&x| x.load().is_nan())
        } else {
            let most = max::<FMA, _>(row);
            // mutant: arg_max_takes_the_last
            row.iter().position(|&x| x.load() == most)
        };
        place.unwrap_or(0) as u32
    }
}

pub(crate) fn arg_max<E: Real>(op: &mut ArgMax<'_>, par: Par) -> Result<Handled> {
    let (columns, valid) = (op.x.shape().columns(), op.valid_columns);
    let x = read::<E>(op.x)?;
    let y = write::<u32>(op.y.reborrow())?;
    let ns = x.len() / 4;
    let parts = (Rows(x, columns), RowsMut(y, 1));
    par.split(op.x.shape().rows(), ns, parts, &|(x, y): (
        Rows<'_, E>,
        RowsMut<'_, u32>,
    )| {
        for (y, row) in y.0.iter_mut().zip(x.0.chunks_exact(columns)) {
            *y = place_of_max(&row[..valid]);
        }
    });
    Ok(Handled::Done)
}

simd! {
    fn squares(x: &[f32]) -> f32 {
        dot::<FMA, _, _>(x, x)
    }
}

/// Elements of a partial sum of squares.
const SQUARES: usize = 4096;

pub(crate) fn sum_squares(op: &mut SumSquares<'_>, par: Par) -> Result<Handled> {
    let x = read(op.x)?;
    let y = write(op.y.reborrow())?;
    // mutant: sum_squares_cut_by_threads
    let chunks = x.len().div_ceil(SQUARES);
    let total = op_scratch(chunks, |partial| {
        let parts = (Rows(x, SQUARES), RowsMut(&mut *partial, 1));
        par.split(chunks, x.len() / 12, parts, &|(x, partial): (
            Rows<'_>,
            RowsMut<'_>,
        )| {
            for (sum, x) in partial.0.iter_mut().zip(x.0.chunks(SQUARES)) {
                *sum = squares(x);
            }
        });
        partial.iter().map(|&x| f64::from(x)).sum::<f64>()
    });
    for y in y {
        let old = if op.accumulate { f64::from(*y) } else { 0.0 };
        *y = (old + total) as f32;
    }
    Ok(Handled::Done)
}
