//! What a device does with an operation its backend does not know.

use crate::{Backend, Error, Host, Op, Result, View, dtype::narrow, op::Operand};

/// Runs the f64 meaning of a checked operation on the host: downloads the operands, computes,
/// uploads the outputs.
///
/// # Errors
/// What the meaning or the backend's copies fail with; for an operand in another device's memory
/// [`Error::ForeignBuffer`] with its name.
pub fn run(backend: &dyn Backend, op: &mut Op<'_>) -> Result<()> {
    match by_meaning(backend, op) {
        // A copy knows neither the operation nor the operand.
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
