//! The gradients on the way back, which backward rules read and add to.

use crate::step_memory::StepMemory;
use crate::{Error, Params, Result, tape::Known};
use latimer_tensor::op::Axpby;
use latimer_tensor::{DType, Device, Shape, Tensor, TensorId, View, ViewMut};
use std::collections::BTreeMap;

/// Names the gradient of a tensor: its id, shape and type, without holding its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GradientKey {
    id: TensorId,
    shape: Shape,
    dtype: DType,
}

impl From<&Tensor> for GradientKey {
    fn from(x: &Tensor) -> Self {
        Self {
            id: x.id(),
            shape: x.shape(),
            dtype: x.dtype(),
        }
    }
}

impl GradientKey {
    /// The shape of the tensor, and so of its gradient.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn empty(&self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::empty(device, self.shape, self.dtype)?)
    }
}

/// The gradients on the way back. A backward rule receives it together with `dy`, and adds to the
/// gradient of each operand by one call; no second call has to follow, so none can be forgotten.
///
/// | what the rule has | call |
/// |---|---|
/// | an operation that can add to `dx` | [`Gradients::accumulate`] |
/// | an operation that overwrites `dx` | [`Gradients::contribute`] |
/// | `dx` already, as a tensor | [`Gradients::pass_on`] |
/// | one that makes parameters' gradients | [`Params::with_gradients`] of [`Gradients::params`] |
#[derive(Debug)]
pub struct Gradients<'p> {
    params: &'p Params,
    scalars: &'p StepMemory,
    wanted: Known,
    /// Gradients of tensors whose own operation has not been reached yet. A tree, because entries
    /// come and go: a hash table's room would depend on its random keys, and a step's allocations
    /// are the same every time.
    pending: BTreeMap<TensorId, Tensor>,
    pub(crate) seed: TensorId,
}

impl<'p> Gradients<'p> {
    pub(crate) fn new(
        params: &'p Params,
        scalars: &'p StepMemory,
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

    /// The device that computes.
    #[must_use]
    pub fn device(&self) -> &'p Device {
        self.params.device()
    }

    /// The parameters, and their gradients by [`Params::with_gradients`].
    #[must_use]
    pub fn params(&self) -> &'p Params {
        self.params
    }

    /// The random words of this step: the ones that the forward pass had.
    #[must_use]
    pub fn random(&self) -> View<'p> {
        self.scalars.random()
    }

    /// Whether a gradient of `x` is wanted. A rule need not ask: what is not wanted is not
    /// computed. It may, to leave out work that prepares a gradient.
    ///
    /// # Errors
    /// [`Error::UnknownGradient`] for a tensor that the pass has not seen.
    pub fn wants(&self, x: impl Into<GradientKey>) -> Result<bool> {
        let GradientKey { id, shape, .. } = x.into();
        let known = self.wanted.get(id);
        known.ok_or(Error::UnknownGradient { shape })
    }

    /// Adds to the gradient of `x`. Calls `write(dx, add)`, unless no gradient of `x` is wanted.
    /// `dx` has the shape of `x`; if `add` is true, `write` must add to it, else overwrite all of
    /// it.
    ///
    /// # Errors
    /// [`Error::UnknownGradient`], what `write` fails with, or the device's failure.
    pub fn accumulate<E>(
        &mut self,
        x: impl Into<GradientKey>,
        write: impl FnOnce(ViewMut<'_>, bool) -> Result<(), E>,
    ) -> Result<()>
    where
        Error: From<E>,
    {
        let key = x.into();
        if self.wants(key)? {
            self.write(key, write)
        } else {
            Ok(())
        }
    }

    /// As [`Gradients::accumulate`], for an operation that makes several gradients at once and
    /// cannot leave one out: `write` is always called, on memory that is dropped if no gradient of
    /// `x` is wanted.
    ///
    /// # Errors
    /// Fails as [`Gradients::accumulate`] does.
    pub fn accumulate_or_drop<E>(
        &mut self,
        x: impl Into<GradientKey>,
        write: impl FnOnce(ViewMut<'_>, bool) -> Result<(), E>,
    ) -> Result<()>
    where
        Error: From<E>,
    {
        let key = x.into();
        if self.wants(key)? {
            self.write(key, write)
        } else {
            let mut dropped = key.empty(self.device())?;
            Ok(write(dropped.view_mut()?, false)?)
        }
    }

    fn write<E>(
        &mut self,
        key: GradientKey,
        write: impl FnOnce(ViewMut<'_>, bool) -> Result<(), E>,
    ) -> Result<()>
    where
        Error: From<E>,
    {
        let (mut dx, add) = match self.pending.remove(&key.id) {
            None => (key.empty(self.device())?, false),
            Some(old) => (self.own(key, old)?, true),
        };
        write(dx.view_mut()?, add)?;
        self.pending.insert(key.id, dx);
        Ok(())
    }

    /// Adds to the gradient of `x` what `write(dx)` leaves in `dx`, which has the shape of `x` and
    /// must be overwritten. `write` is not called if no gradient of `x` is wanted.
    ///
    /// # Errors
    /// [`Error::UnknownGradient`], what `write` fails with, or the device's failure.
    pub fn contribute<E>(
        &mut self,
        x: impl Into<GradientKey>,
        write: impl FnOnce(ViewMut<'_>) -> Result<(), E>,
    ) -> Result<()>
    where
        Error: From<E>,
    {
        let key = x.into();
        if !self.wants(key)? {
            return Ok(());
        }
        let mut dx = key.empty(self.device())?;
        write(dx.view_mut()?)?;
        self.add(key, dx)
    }

    /// Adds `dx` to the gradient of `x`. The first to do so shares the memory of `dx`, so a sum's
    /// `dy` goes to both summands without a copy.
    ///
    /// # Errors
    /// [`Error::UnknownGradient`], or the device's failure.
    pub fn pass_on(&mut self, x: impl Into<GradientKey>, dx: Tensor) -> Result<()> {
        let key = x.into();
        if self.wants(key)? {
            self.add(key, dx)
        } else {
            Ok(())
        }
    }

    fn add(&mut self, key: GradientKey, dx: Tensor) -> Result<()> {
        let sum = match self.pending.remove(&key.id) {
            None => dx,
            Some(old) => {
                let mut sum = self.own(key, old)?;
                axpby(&dx.reshape(key.shape)?, 1.0, &mut sum)?;
                sum
            }
        };
        self.pending.insert(key.id, sum);
        Ok(())
    }

    /// The gradient in memory that nothing else uses, so that it can be added to.
    fn own(&self, key: GradientKey, old: Tensor) -> Result<Tensor> {
        if old.is_sole_owner() {
            return Ok(old.reshape(key.shape)?);
        }
        // The other summand of a residual still needs this memory as it is.
        let mut own = key.empty(self.device())?;
        axpby(&old.reshape(key.shape)?, 0.0, &mut own)?;
        Ok(own)
    }

    /// The finished gradient of a recorded output, if anything added to it.
    pub(crate) fn take(&mut self, output: TensorId) -> Option<Tensor> {
        self.pending.remove(&output)
    }
}

/// `y = x + beta · y`.
fn axpby(x: &Tensor, beta: f32, y: &mut Tensor) -> Result<()> {
    Ok(x.device().run(Axpby {
        alpha: 1.0,
        x: x.view(),
        beta,
        y: y.view_mut()?,
    })?)
}
