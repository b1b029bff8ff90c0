//! Launches of `kernels/dropout.cuh`, and the arguments that every kernel with a mask gets.

use super::wide;
use crate::Cuda;
use crate::kernel::{Arg, by_dtype};
use crate::memory::{input, output};
use latimer_tensor::op::Dropout;
use latimer_tensor::{Handled, Result};

/// The arguments `threshold` and `scale` of kernels that use `philox.cuh`, as
/// [`latimer_tensor::op::DropoutMask`] has them: draws below `rate·2³²` are dropped, the rest is
/// multiplied by `1 / (1 - rate)`.
pub(super) fn mask_arguments(rate: f32) -> [Arg; 2] {
    let threshold = (f64::from(rate) * 2f64.powi(32)).round();
    let threshold = threshold.min(f64::from(u32::MAX)) as u32;
    [threshold.into(), (1.0 / (1.0 - rate)).into()]
}

pub(crate) fn dropout(cuda: &Cuda, op: &mut Dropout<'_>) -> Result<Handled> {
    let dtype = op.x.dtype();
    if !wide::computes_in(cuda, dtype) {
        return Ok(Handled::Unsupported);
    }
    let name = by_dtype!(dtype, "dropout");
    let (n, row) = (op.x.numel(), op.first_element(1));
    let x = input(op.x)?;
    let y = output(&mut op.y)?;
    let random = input(op.random)?;
    // mutant: host_reads_random_words
    let aligned = wide::aligned(&[x, y]) && row.is_multiple_of(4);
    let [threshold, scale] = mask_arguments(op.rate);
    cuda.launch(
        name,
        wide::geometry(n, dtype.size()),
        &[
            x,
            y,
            random,
            (n as u64).into(),
            row.into(),
            op.site.into(),
            threshold,
            scale,
            aligned.into(),
        ],
    )
}
