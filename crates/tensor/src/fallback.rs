//! The fallback: how a device runs an operation that its backend does not implement.

use crate::{Backend, Error, Host, Op, Result, View, dtype::narrow, op::Operand};

/// Runs the f64 meaning of a checked operation on the host: downloads the operands, computes,
/// uploads the outputs.
///
/// # Errors
/// The error of the meaning or of the backend's copies; [`Error::ForeignBuffer`], with the
/// operand's name, if an operand lies in another device's memory.
pub fn run(backend: &dyn Backend, op: &mut Op<'_>) -> Result<()> {
    match by_meaning(backend, op) {
        // The error of a copy names neither the operation nor the operand.
        Err(error @ Error::ForeignBuffer { .. }) => Err(foreign(backend, op).unwrap_or(error)),
        other => other,
    }
}

fn by_meaning(backend: &dyn Backend, op: &mut Op<'_>) -> Result<()> {
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

/// The first operand that the backend cannot copy from, as an error.
fn foreign(backend: &dyn Backend, op: &mut Op<'_>) -> Option<Error> {
    let (mut found, name) = (None, op.name());
    let is_foreign = |view: View<'_>| {
        let nothing = view.slice(0, [0]);
        let copied = nothing.and_then(|nothing| backend.download(nothing, &mut []));
        matches!(copied, Err(Error::ForeignBuffer { .. }))
    };
    op.operands(&mut |operand, given| {
        let foreign = match &given {
            Operand::In(view) => is_foreign(*view),
            Operand::Out(view) | Operand::InOut(view) => is_foreign(view.as_view()),
        };
        if foreign {
            found.get_or_insert(Error::ForeignBuffer { op: name, operand });
        }
    });
    found
}
