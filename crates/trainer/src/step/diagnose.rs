//! Where a value that is not finite came up first.
//!
//! A step says no more than that its loss or its norm is not finite: looking at every tensor of
//! every step would cost more than the step. So the step is done again, on a copy of the model,
//! while an observer of the device looks at what every operation reads and leaves. AdamW updates
//! nothing when the norm is not finite, so the copy sees what the step saw.

use super::engine::Engine;
use crate::Model;
use latimer_autograd::{Params, Slab};
use latimer_nn::Gpt;
use latimer_tensor::op::Operand;
use latimer_tensor::{DType, Device, Observer, Op, Result, View};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// What is said when the second time nothing was found.
const UNKNOWN: &str = "and the tensor where it first appeared could not be found";

impl Engine {
    /// Where in a step on the batch that was uploaded last a value that is not finite comes up
    /// first: `first in y of matmul, at transformer.h.0.mlp.c_fc`.
    pub(crate) fn diagnose(&self, model: &Model, step: u64, seed: u64) -> String {
        match self.find(model, step, seed) {
            Ok(Some(place)) => place,
            Ok(None) => UNKNOWN.to_owned(),
            Err(error) => format!(
                "and the tensor where it first appeared could not be found \
                                   ({error})"
            ),
        }
    }

    fn find(&self, model: &Model, step: u64, seed: u64) -> crate::Result<Option<String>> {
        let (device, params) = (model.device().clone(), &model.params);
        let (gpt, declarations) = Gpt::new(model.config())?;
        let mut copied = Params::zeroed(&device, declarations)?;
        if params.dtype() == DType::Bf16 {
            copied.enable_bf16()?;
        }
        let keys: Vec<_> = params.iter().map(|(key, _)| key).collect();
        for &key in &keys {
            let values = params.get(Slab::Values, key)?;
            if values.iter().any(|x| !x.is_finite()) {
                let name = params.info(key).name();
                return Ok(Some(format!(
                    "whose parameter {name} was not finite even before this step"
                )));
            }
            copied.set(Slab::Values, key, &values)?;
        }
        let mut model = Model::of(gpt, copied);
        let mut engine = self.for_copy(&mut model, seed)?;
        let mut names = Vec::new();
        for key in keys {
            let name = model.params.info(key).name();
            names.push(Named::of(model.params.value(key)?, name));
            model.params.with_gradients([Some(key)], |[dx]| {
                if let Some(dx) = &dx {
                    names.push(Named::of(dx.as_view(), name));
                }
                Ok(())
            })?;
        }
        let search = Arc::new(Search::new(names));
        let lr = 0.0; // It is not used: what is looked for comes up before the update.
        engine.begin(step, lr, &self.batch()?)?;
        let observing = device.observe(search.clone());
        engine.run_gradients(&mut model, false)?;
        drop(observing);
        let found = search.lock().found.take();
        Ok(found)
    }
}

/// The memory of a parameter or of its gradient.
#[derive(Debug)]
struct Named {
    buffer_id: usize,
    offsets: std::ops::Range<usize>,
    name: String,
}

impl Named {
    fn of(view: View<'_>, name: &str) -> Self {
        Self {
            buffer_id: view.buffer_id(),
            offsets: view.offset()..view.offset() + view.bytes(),
            name: name.to_owned(),
        }
    }

    fn holds(&self, view: View<'_>) -> bool {
        self.buffer_id == view.buffer_id() && self.offsets.contains(&view.offset())
    }
}

/// Looks at every operand, until one is not finite.
#[derive(Debug)]
struct Search(Mutex<Seen>);

/// What a search knows and saw.
#[derive(Debug)]
struct Seen {
    names: Vec<Named>,
    /// The parameter that an operation met last.
    last: Option<String>,
    found: Option<String>,
}

impl Search {
    fn new(names: Vec<Named>) -> Self {
        Self(Mutex::new(Seen {
            names,
            last: None,
            found: None,
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at an operation before it runs, or after: what it wrote is then looked at, too.
    fn look(&self, device: &Device, op: &mut Op<'_>, ran: bool) -> Result<()> {
        let mut seen = self.lock();
        let Seen {
            names,
            last,
            found: found @ None,
        } = &mut *seen
        else {
            return Ok(());
        };
        let (name, mut failed) = (op.name(), None);
        // The layer first, whichever operand it stands at.
        op.operands(&mut |_, operand| {
            let view = match &operand {
                Operand::In(view) => *view,
                Operand::Out(view) | Operand::InOut(view) => view.as_view(),
            };
            if let Some(named) = names.iter().find(|named| named.holds(view)) {
                *last = Some(named.name.clone());
            }
        });
        op.operands(&mut |what, operand| {
            let (view, verb) = match &operand {
                Operand::In(view) => (*view, "read by"),
                Operand::InOut(view) if !ran => (view.as_view(), "read by"),
                Operand::InOut(view) | Operand::Out(view) if ran => (view.as_view(), "of"),
                _ => return,
            };
            if found.is_some() || failed.is_some() {
                return;
            }
            match is_finite(device, view) {
                Ok(true) => (),
                Ok(false) => {
                    let layer = last.as_deref().unwrap_or("the embedding");
                    *found = Some(format!("first in {what} {verb} {name}, at {layer}"));
                }
                Err(error) => failed = Some(error),
            }
        });
        failed.map_or(Ok(()), Err)
    }
}

fn is_finite(device: &Device, view: View<'_>) -> Result<bool> {
    let mut bytes = vec![0; view.bytes()];
    // All ones in the exponent are infinity and NaN.
    let full: fn(&[u8]) -> bool = match view.dtype() {
        DType::F32 => |x| x[3] & 0x7F == 0x7F && x[2] & 0x80 == 0x80,
        DType::Bf16 => |x| x[1] & 0x7F == 0x7F && x[0] & 0x80 == 0x80,
        _ => return Ok(true),
    };
    device.download(view, &mut bytes)?;
    Ok(!bytes.chunks_exact(view.dtype().size()).any(full))
}

impl Observer for Search {
    fn before(&self, device: &Device, op: &mut Op<'_>) -> Result<()> {
        self.look(device, op, false)
    }

    fn after(&self, device: &Device, op: &mut Op<'_>, native: bool) -> Result<()> {
        // What the host did for an operation that the device lacks is seen by the next one.
        if native {
            self.look(device, op, true)
        } else {
            Ok(())
        }
    }
}
