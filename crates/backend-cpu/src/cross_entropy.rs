//! Cross-entropy: one row at a time, the gradient in place of the logits.

use crate::embedding::check_ids;
use crate::math::{exponentials, max};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::scratch::scratch;
use crate::simd::simd;
use latimer_tensor::op::CrossEntropy;
use latimer_tensor::{Handled, Result};

simd! {
    /// Replaces `x` by `e^(x - most)`; returns the sum of these, and `log Σ e^x` in nats.
    fn log_sum_exp(x: &mut [f32]) -> [f32; 2] {
        let most = max::<FMA, _>(x);
        let total = exponentials::<FMA>(x, most);
        [total, most + total.ln()]
    }
}

simd! {
    fn scale(x: &mut [f32], factor: f32) {
        for x in x.iter_mut() {
            *x *= factor;
        }
    }
}

pub(crate) fn run<E: Real>(op: &mut CrossEntropy<'_>, par: Par) -> Result<Handled> {
    let (rows, c) = (op.logits.shape().rows(), op.logits.shape().columns());
    let (valid, gradient) = (op.valid_columns, op.gradient);
    let targets = read::<u32>(op.targets)?;
    check_ids("cross_entropy", "targets", targets, valid)?;
    let logits = write::<E>(op.logits.reborrow())?;
    let losses = write(op.losses.reborrow())?;
    let ns = logits.len() + rows * 10;
    let parts = (RowsMut(logits, c), Rows(targets, 1), RowsMut(losses, 1));
    let work = |(logits, targets, losses): (RowsMut<'_, E>, Rows<'_, u32>, RowsMut<'_>)| {
        let rows = logits.0.chunks_exact_mut(c).zip(targets.0);
        for ((row, &target), loss) in rows.zip(losses.0) {
            let (row, padding) = row.split_at_mut(valid);
            let own = row[target as usize].load();
            *loss = match gradient {
                // The loss has the same bits as in a call that also writes the gradient.
                None => scratch(valid, |copy| {
                    for (copy, x) in copy.iter_mut().zip(&*row) {
                        *copy = x.load();
                    }
                    log_sum_exp(copy)[1] - own
                }),
                Some(factor) => {
                    // mutant: cross_entropy_padding_left
                    padding.fill(E::store(0.0));
                    E::update(row, |row| {
                        let [total, lse] = log_sum_exp(row);
                        scale(row, factor / total);
                        // mutant: cross_entropy_target_unscaled
                        row[target as usize] -= factor;
                        lse - own
                    })
                }
            };
        }
    };
    par.split(rows, ns, parts, &work);
    Ok(Handled::Done)
}
