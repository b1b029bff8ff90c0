//! Where a value that is not finite came up first.
//!
//! A step says no more than that its loss or its norm is not finite: looking at every tensor of
//! every step would cost more than the step. So the step is done again, on a copy of the model whose
//! backend looks at what every operation reads and leaves. AdamW updates nothing when the norm is not
//! finite, so the copy sees what the step saw.

use super::{Rows, Training};
use latimer_autograd::{Params, Slab};
use latimer_nn::Gpt;
use latimer_tensor::op::Operand;
use latimer_tensor::{Backend, Buffer, DType, Device, DeviceInfo, Op, Ran, Result, View, ViewMut};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// What is said when the second time nothing was found.
const UNKNOWN: &str = "and no single tensor could be found in which it came up";

impl Training {
    /// Where in a step a value that is not finite comes up first: `first in y of matmul, at
    /// transformer.h.0.mlp.c_fc`.
    pub(super) fn diagnose(&self, step: u64, row: &Rows<'_>) -> String {
        match self.find(step, row) {
            Ok(Some(place)) => place,
            Ok(None) => UNKNOWN.to_owned(),
            Err(error) => format!("and it cannot be found out where ({error})"),
        }
    }

    fn find(&self, step: u64, row: &Rows<'_>) -> crate::Result<Option<String>> {
        let watch = Watch::default();
        let device = Device::new(Watched {
            inner: self.params.device().clone(),
            watch: watch.clone(),
        });
        let (gpt, declarations) = Gpt::new(self.gpt.config())?;
        let mut params = Params::zeroed(&device, declarations)?;
        let keys: Vec<_> = self.params.iter().map(|(key, _)| key).collect();
        for &key in &keys {
            let values = self.params.get(Slab::Values, key)?;
            if values.iter().any(|x| !x.is_finite()) {
                let name = self.params.info(key).name();
                return Ok(Some(format!(
                    "whose parameter {name} was not finite before"
                )));
            }
            params.set(Slab::Values, key, &values)?;
        }
        let mut copy = Self::with_params(gpt, params, &self.config, self.seq_len)?;
        copy.launch_plainly();
        let mut names = Vec::new();
        for key in keys {
            let name = copy.params.info(key).name();
            names.push(Named::of(copy.params.value(key)?, name));
            copy.params.with_gradients([Some(key)], |[dx]| {
                if let Some(dx) = &dx {
                    names.push(Named::of(dx.as_view(), name));
                }
                Ok(())
            })?;
        }
        watch.lock().names = Some(names);
        let lr = 0.0; // It is not used: what is looked for comes up before the update.
        copy.prepare(step, lr, Some(row))?;
        device.enter(|| copy.enqueue_gradients(false))?;
        let found = watch.lock().found.take();
        Ok(found)
    }
}

/// The memory of a parameter or of its gradient.
#[derive(Debug)]
struct Named {
    memory: usize,
    offsets: std::ops::Range<usize>,
    name: String,
}

impl Named {
    fn of(view: View<'_>, name: &str) -> Self {
        Self {
            memory: view.memory(),
            offsets: view.offset()..view.offset() + view.bytes(),
            name: name.to_owned(),
        }
    }

    fn holds(&self, view: View<'_>) -> bool {
        self.memory == view.memory() && self.offsets.contains(&view.offset())
    }
}

#[derive(Clone, Debug, Default)]
struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a watched backend knows and saw.
#[derive(Debug, Default)]
struct Seen {
    /// None until the step begins.
    names: Option<Vec<Named>>,
    /// The parameter that an operation met last.
    last: Option<String>,
    found: Option<String>,
}

/// The backend of a device, which looks at every operand.
#[derive(Debug)]
struct Watched {
    inner: Device,
    watch: Watch,
}

impl Watched {
    /// Looks at an operation before it runs, or after: what it wrote is then looked at, too.
    fn look(&self, op: &mut Op<'_>, ran: bool) -> Result<()> {
        let mut seen = self.watch.lock();
        let Seen {
            names: Some(names),
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
            match self.is_finite(view) {
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

    fn is_finite(&self, view: View<'_>) -> Result<bool> {
        let mut bytes = vec![0; view.bytes()];
        // All ones in the exponent are infinity and NaN.
        let full: fn(&[u8]) -> bool = match view.dtype() {
            DType::F32 => |x| x[3] & 0x7F == 0x7F && x[2] & 0x80 == 0x80,
            DType::Bf16 => |x| x[1] & 0x7F == 0x7F && x[0] & 0x80 == 0x80,
            _ => return Ok(true),
        };
        self.inner.backend().download(view, &mut bytes)?;
        Ok(!bytes.chunks_exact(view.dtype().size()).any(full))
    }
}

impl Backend for Watched {
    fn info(&self) -> DeviceInfo {
        self.inner.info()
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        self.inner.backend().alloc(bytes)
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        self.inner.backend().upload(src, dst)
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        self.inner.backend().download(src, dst)
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Ran> {
        // Before: what the host did for an operation that the backend lacks is seen here.
        self.look(op, false)?;
        let ran = self.inner.backend().run(op)?;
        if ran == Ran::Done {
            self.look(op, true)?;
        }
        Ok(ran)
    }

    fn native(&self, dtype: DType) -> bool {
        self.inner.native(dtype)
    }

    fn has_queue(&self) -> bool {
        self.inner.has_queue()
    }

    fn chunk_bytes(&self) -> usize {
        self.inner.chunk_bytes()
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.backend().synchronize()
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        self.inner.backend().enter(work);
    }
}
