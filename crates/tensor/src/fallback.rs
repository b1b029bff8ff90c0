//! The fallback: how a device runs an operation that its backend does not implement.

use crate::{Backend, Host, Op, Result, dtype::narrow, op::Operand};

/// Runs the f64 meaning of a checked operation on the host: downloads the operands, computes,
/// uploads the outputs.
///
/// # Errors
/// The error of the meaning or of the backend's copies.
pub fn run(backend: &dyn Backend, op: &mut Op<'_>) -> Result<()> {
    let mut host = Host::new(backend);
    op.reference(&mut host)?;
    let written = host.into_written();
    let mut result = Ok(());
    op.operands(&mut |name, operand| {
        let (Operand::Out(view) | Operand::InOut(view)) = operand else {
            return;
        };
        let Some(output) = written.iter().find(|w| w.operand == name) else {
            return;
        };
        if result.is_ok() {
            result = backend.upload(&narrow(view.dtype(), &output.values), view);
        }
    });
    result
}
