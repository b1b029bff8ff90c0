//! Cross-entropy: one row at a time, the gradient in place of the logits.

use crate::embedding::check_ids;
use crate::math::{exp, exponentials, max, sum};
use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::simd;
use latimer_tensor::op::CrossEntropy;
use latimer_tensor::{Ran, Result};

simd! {
    /// `log Σ e^x`, in nats.
    fn log_sum_exp<E: Real>(x: &[E]) -> f32 {
        let most = max::<FMA, _>(x);
        most + sum::<FMA, _>(x, |x| exp::<FMA>(x - most)).ln()
    }
}

simd! {
    /// The same, and leaves `factor · softmax(x)` in `x`.
    fn log_sum_exp_and_softmax(x: &mut [f32], factor: f32) -> f32 {
        let most = max::<FMA, _>(x);
        let total = exponentials::<FMA>(x, most);
        let factor = factor / total;
        for x in x.iter_mut() {
            *x *= factor;
        }
        most + total.ln()
    }
}

pub(crate) fn run<E: Real>(op: &mut CrossEntropy<'_>, par: Par) -> Result<Ran> {
    let (rows, c) = (op.logits.shape().rows(), op.logits.shape().columns());
    let (valid, gradient) = (op.valid_columns, op.gradient);
    let targets = read::<u32>(op.targets, "cross_entropy", "targets")?;
    check_ids("cross_entropy", "targets", targets, valid)?;
    let logits = write::<E>(op.logits.reborrow(), "cross_entropy", "logits")?;
    let losses = write(op.losses.reborrow(), "cross_entropy", "losses")?;
    let ns = logits.len() + rows * 10;
    let parts = (RowsMut(logits, c), Rows(targets, 1), RowsMut(losses, 1));
    let work = |(logits, targets, losses): (RowsMut<'_, E>, Rows<'_, u32>, RowsMut<'_>)| {
        let rows = logits.0.chunks_exact_mut(c).zip(targets.0);
        for ((row, &target), loss) in rows.zip(losses.0) {
            let (row, padding) = row.split_at_mut(valid);
            let own = row[target as usize].load();
            *loss = match gradient {
                None => log_sum_exp(row) - own,
                Some(scale) => {
                    padding.fill(E::store(0.0));
                    E::update(row, |row| {
                        let lse = log_sum_exp_and_softmax(row, scale);
                        row[target as usize] -= scale;
                        lse - own
                    })
                }
            };
        }
    };
    par.split(rows, ns, parts, &work);
    Ok(Ran::Done)
}
