//! Launches of `kernels/cast.cu`.

use super::movement::copy;
use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use crate::memory::pointer;
use latimer_tensor::op::Cast;
use latimer_tensor::{DType, Handled, Result};

const BLOCK: u32 = 256;
/// Elements that a block converts.
const TILE: usize = 2048;

pub(crate) fn cast(cuda: &Cuda, op: &mut Cast<'_>) -> Result<Handled> {
    use DType::{Bf16, F16, F32, F64, I64, U32};
    let (n, from, to) = (op.x.numel(), op.x.dtype(), op.y.dtype());
    let name = match (from, to) {
        (from, to) if from == to => {
            let x = pointer(op.x)?;
            let y = pointer(op.y.as_view())?;
            return copy(cuda, x, y, op.x.bytes());
        }
        (F32, Bf16) => "cast_f32_bf16",
        (F32, F16) => "cast_f32_f16",
        (F32, F64) => "cast_f32_f64",
        (F32, U32) => "cast_f32_u32",
        (F32, I64) => "cast_f32_i64",
        (Bf16, F32) => "cast_bf16_f32",
        (Bf16, F16) => "cast_bf16_f16",
        (Bf16, F64) => "cast_bf16_f64",
        (F16, F32) => "cast_f16_f32",
        (F16, Bf16) => "cast_f16_bf16",
        (F16, F64) => "cast_f16_f64",
        (F64, F32) => "cast_f64_f32",
        (U32, F32) => "cast_u32_f32",
        (U32, F64) => "cast_u32_f64",
        (U32, I64) => "cast_u32_i64",
        (I64, F64) => "cast_i64_f64",
        (I64, U32) => "cast_i64_u32",
        _ => return Ok(Handled::Unsupported),
    };
    let x = pointer(op.x)?;
    let y = pointer(op.y.as_view())?;
    let fits = |at: u64, dtype: DType| at.is_multiple_of((4 * dtype.size() as u64).min(16));
    let aligned = fits(x, from) && fits(y, to);
    cuda.launch(
        name,
        Geometry::row(n.div_ceil(TILE), BLOCK),
        &[
            Arg::Pointer(x),
            Arg::Pointer(y),
            (n as u64).into(),
            aligned.into(),
        ],
    )
}
