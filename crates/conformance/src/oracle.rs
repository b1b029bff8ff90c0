//! The f64 meaning of a case, its naive evaluation, and rounding by the reference device.

use crate::case::{Case, Layout};
use crate::memory::Memory;
use crate::naive;
use crate::operands::Operand;
use latimer_tensor::{Bounded, DType, Device, Host, Op, Result, Tensor, Written};
use std::sync::OnceLock;

/// The reference device, which computes the meaning.
pub(crate) fn reference() -> &'static Device {
    static REFERENCE: OnceLock<Device> = OnceLock::new();
    REFERENCE.get_or_init(Device::reference)
}

/// The unrounded outputs of the operation, with the errors that an evaluation may have.
pub(crate) fn meaning(case: &Case, operands: &[Operand]) -> Result<Vec<Written<Bounded>>> {
    placed(case, operands, |op| op.bounded(reference().backend()))
}

/// Checks that the operands fit the operation, values aside.
pub(crate) fn checked(case: &Case, operands: &[Operand]) -> Result<()> {
    placed(case, operands, |_| Ok(()))
}

/// The outputs of the naive evaluation, not rounded to the output's type; see [`naive`].
pub(crate) fn naive(case: &Case, operands: &[Operand]) -> Result<Vec<naive::Output>> {
    placed(case, operands, |op| {
        naive::outputs(op, reference().backend())
    })
}

/// The checked operation over its operands in the reference's memory.
fn placed<T>(
    case: &Case,
    operands: &[Operand],
    work: impl FnOnce(&Op<'_>) -> Result<T>,
) -> Result<T> {
    let layout = Layout::Apart { lead: 1 };
    let mut memory = Memory::place(reference(), operands, layout, 0, None)?;
    memory.with(operands, |bound| {
        let op = case.op(bound);
        op.check()?;
        work(&op)
    })
}

/// The bytes of values rounded once to a type.
pub(crate) fn rounded(values: &[f64], dtype: DType) -> Result<Vec<u8>> {
    let x = Tensor::from_slice(reference(), values, [values.len()])?.cast(dtype)?;
    let mut bytes = vec![0; values.len() * dtype.size()];
    reference().download(x.view(), &mut bytes)?;
    Ok(bytes)
}

/// The elements of raw bytes of any type, as `f64`.
pub(crate) fn widened(bytes: &[u8], dtype: DType) -> Result<Vec<f64>> {
    let mut x = Tensor::empty(reference(), [bytes.len() / dtype.size()], dtype)?;
    reference().upload(bytes, x.view_mut()?)?;
    Host::new(reference().backend()).read(x.view())
}
