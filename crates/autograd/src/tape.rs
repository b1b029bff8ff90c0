//! What was done, and the walk back.

use crate::{Error, Param, Params, Result};
use latimer_tensor::op::Axpby;
use latimer_tensor::{DType, Device, Scalars, Shape, Tensor, TensorId, View, ViewMut};
use std::collections::BTreeMap;

/// Which gradient: the name, shape and type of a tensor, without holding its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    id: TensorId,
    shape: Shape,
    dtype: DType,
}

impl From<&Tensor> for Slot {
    fn from(x: &Tensor) -> Self {
        Self {
            id: x.id(),
            shape: x.shape(),
            dtype: x.dtype(),
        }
    }
}

impl Slot {
    /// New memory for this gradient.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn empty(&self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::empty(device, self.shape, self.dtype)?)
    }
}

/// The backward half of one recorded operation: given `dy`, hands out gradients.
pub(crate) type Backward<'a> = Box<dyn FnOnce(&mut Gradients<'_>, Tensor) -> Result<()> + 'a>;

pub(crate) struct Node<'a> {
    pub(crate) output: TensorId,
    pub(crate) backward: Backward<'a>,
}

/// Whether each known tensor wants a gradient, in the order of ids. They are counted up, so nearly
/// every new one comes last, and a pass asks for one some hundred times.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<(TensorId, bool)>);

impl Known {
    pub(crate) fn insert(&mut self, id: TensorId, wanted: bool) {
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => self.0[at].1 = wanted,
            Err(at) => self.0.insert(at, (id, wanted)),
        }
    }

    pub(crate) fn get(&self, id: TensorId) -> Option<bool> {
        let at = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.0[at].1)
    }
}

/// Recorded operations in order, and which tensors the pass knows.
#[derive(Default)]
pub(crate) struct Tape<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    /// Whether each known tensor wants a gradient.
    pub(crate) known: Known,
}

/// The gradients on the way back: what backward halves read and add to.
#[derive(Debug)]
pub struct Gradients<'p> {
    params: &'p Params,
    scalars: &'p Scalars,
    wanted: Known,
    /// Gradients on their way. A tree, because things come and go: a hash table's room would hang
    /// on its random keys, and a step's allocations are the same every time.
    pending: BTreeMap<TensorId, Tensor>,
    pub(crate) seed: TensorId,
}

impl<'p> Gradients<'p> {
    pub(crate) fn new(
        params: &'p Params,
        scalars: &'p Scalars,
        wanted: Known,
        loss: &Tensor,
        seed: Tensor,
    ) -> Self {
        let id = seed.id();
        Self {
            params,
            scalars,
            wanted,
            pending: BTreeMap::from([(loss.id(), seed)]),
            seed: id,
        }
    }

    /// Where everything lies.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.params.device()
    }

    /// A parameter's value.
    ///
    /// # Errors
    /// See [`Params::value`].
    pub fn value(&self, param: Param) -> Result<View<'p>> {
        self.params.value(param)
    }

    /// The random words of this step.
    #[must_use]
    pub fn random(&self) -> View<'p> {
        self.scalars.random()
    }

    /// See [`Params::with_gradients`].
    ///
    /// # Errors
    /// What `write` fails with.
    pub fn with_params<const N: usize>(
        &self,
        params: [Option<Param>; N],
        write: impl FnOnce([Option<ViewMut<'_>>; N]) -> Result<()>,
    ) -> Result<()> {
        self.params.with_gradients(params, write)
    }

    /// Whether anything upstream of `x` is trained.
    #[must_use]
    pub fn wants(&self, x: impl Into<Slot>) -> bool {
        self.wanted.get(x.into().id).unwrap_or(false)
    }

    pub(crate) fn take(&mut self, output: TensorId) -> Option<Tensor> {
        self.pending.remove(&output)
    }

    /// Adds `dx` to the gradient of `x`; the first to do so gives its memory.
    ///
    /// # Errors
    /// The device's failure.
    pub fn give(&mut self, x: impl Into<Slot>, dx: Tensor) -> Result<()> {
        let slot = x.into();
        if !self.wants(slot) {
            return Ok(());
        }
        let (mut sum, add) = match self.pending.remove(&slot.id) {
            Some(old) => self.own(slot, old)?,
            None => (dx.clone(), false),
        };
        if add {
            let x = dx.reshape(slot.shape)?;
            let y = sum.view_mut()?;
            self.device().run(Axpby {
                alpha: 1.0,
                x: x.view(),
                beta: 1.0,
                y,
            })?;
        }
        self.pending.insert(slot.id, sum);
        Ok(())
    }

    /// Memory for the gradient of `x`, in `x`'s shape, and whether it must be added to (`true`) or
    /// holds nothing yet. To be handed back by [`Gradients::put`].
    ///
    /// # Errors
    /// The device's failure.
    pub fn target(&mut self, x: impl Into<Slot>) -> Result<(Tensor, bool)> {
        let slot = x.into();
        match self.pending.remove(&slot.id) {
            None => Ok((slot.empty(self.device())?, false)),
            Some(old) => self.own(slot, old),
        }
    }

    /// A gradient as memory of its own, to be added to.
    fn own(&self, slot: Slot, old: Tensor) -> Result<(Tensor, bool)> {
        if old.is_sole_owner() {
            return Ok((old.reshape(slot.shape)?, true));
        }
        // The other summand of a residual still needs this memory as it is.
        let mut own = slot.empty(self.device())?;
        let old = old.reshape(slot.shape)?;
        let y = own.view_mut()?;
        self.device().run(Axpby {
            alpha: 1.0,
            x: old.view(),
            beta: 0.0,
            y,
        })?;
        Ok((own, true))
    }

    /// Hands back what [`Gradients::target`] gave.
    pub fn put(&mut self, x: impl Into<Slot>, dx: Tensor) {
        self.pending.insert(x.into().id, dx);
    }
}

impl std::fmt::Debug for Tape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape")
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Tape<'a> {
    /// An error unless the float tensor `x` is known; says whether it wants a gradient.
    pub(crate) fn wants(
        &self,
        op: &'static str,
        operand: &'static str,
        x: &Tensor,
    ) -> Result<bool> {
        debug_assert!(
            x.dtype() != DType::U32,
            "{op}: {operand} holds ids, which have no gradient"
        );
        let shape = x.shape();
        self.known
            .get(x.id())
            .ok_or(Error::Untracked { op, operand, shape })
    }
}
