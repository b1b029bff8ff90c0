//! Launches of `kernels/fill.cu`.

use crate::Cuda;
use crate::kernel::Geometry;
use crate::memory::output;
use half::{bf16, f16};
use latimer_tensor::op::Fill;
use latimer_tensor::{DType, Handled, Result};

const BLOCK: u32 = 256;

/// Converts the value to its bits here; a kernel for the element's size then repeats them.
pub(crate) fn fill(cuda: &Cuda, op: &mut Fill<'_>) -> Result<Handled> {
    let (n, value) = (op.y.numel(), op.value);
    let (name, bits) = match op.y.dtype() {
        DType::F32 => ("fill_4", u64::from((value as f32).to_bits())),
        DType::U32 => ("fill_4", u64::from(value as u32)),
        DType::Bf16 => ("fill_2", u64::from(bf16::from_f64(value).to_bits())),
        DType::F16 => ("fill_2", u64::from(f16::from_f64(value).to_bits())),
        DType::F64 => ("fill_8", value.to_bits()),
        DType::I64 => ("fill_8", value as i64 as u64),
        _ => return Ok(Handled::Unsupported),
    };
    let y = output(&mut op.y)?;
    cuda.launch(
        name,
        Geometry::row(n.div_ceil(BLOCK as usize), BLOCK),
        &[y, (n as u64).into(), bits.into()],
    )
}
