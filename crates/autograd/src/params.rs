//! The parameter store: flat memory, one slab each for values, gradients, `m` and `v`.
//!
//! Models are plain data that hold [`Param`] keys; what the keys stand for lives here. A slab holds
//! the decayed parameters first (rank 2 and more), then the others, each padded to 256 bytes, so
//! zeroing, clipping and AdamW are a few operations over ranges.
//!
//! In mixed precision ([`Params::enable_bf16`]) there is one more slab: the values rounded to
//! `Bf16`, in the same layout. Passes read that copy and compute in its type; the optimizer works
//! on the `F32` master values, which files hold. Micikevicius et al. 2018, arXiv 1710.03740; `Bf16`
//! has enough exponents for the loss not to need scaling.

use crate::{Declarations, Error, Result};
use latimer_tensor::op::{Cast, Fill};
use latimer_tensor::philox::Stream;
use latimer_tensor::{
    DType, Device, Shape, Tensor, View, ViewMut, dtype::bytes_of, dtype::bytes_of_mut,
};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Elements in 256 bytes of `F32`.
pub(crate) const ALIGNMENT: usize = 64;

/// Floats of a gradient that are checked at a time.
const PIECE: usize = 1 << 16;

/// The site of the randomness of initial weights, see [`Stream::new`].
const INIT_SITE: u32 = 0x1417_0000;

/// Names one parameter of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Param(pub(crate) usize);

/// The distribution of initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in `-bound..bound`.
    Uniform {
        /// The bound.
        bound: f64,
    },
}

/// A model's declaration of one parameter.
#[derive(Clone, Debug)]
pub struct ParamInfo {
    name: String,
    shape: Shape,
    stored: Shape,
    init: Init,
    first: usize,
}

impl ParamInfo {
    pub(crate) fn new(name: String, shape: Shape, stored_rows: usize, init: Init) -> Self {
        let mut dims = [1; Shape::MAX_RANK];
        dims[..shape.rank()].copy_from_slice(shape.dims());
        dims[0] = stored_rows.max(shape.dims()[0]);
        Self {
            name,
            shape,
            stored: Shape::new(&dims[..shape.rank()]),
            init,
            first: 0,
        }
    }

    /// The parameter's full name, such as `transformer.h.0.attn.c_attn.weight`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameter's logical shape, as files have it.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The parameter's shape in memory, with padded rows.
    #[must_use]
    pub fn stored_shape(&self) -> Shape {
        self.stored
    }

    /// Whether AdamW decays the parameter: weights of rank 2 and more, not biases and norms.
    #[must_use]
    pub fn is_decayed(&self) -> bool {
        self.shape.rank() >= 2
    }
}

/// A slab of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slab {
    /// The parameters themselves, the `F32` ones.
    Values,
    /// Their gradients.
    Gradients,
    /// AdamW's first moment.
    M,
    /// AdamW's second moment.
    V,
}

/// Gradients and moments.
#[derive(Debug)]
pub(crate) struct Training {
    pub(crate) gradients: Mutex<Tensor>,
    pub(crate) m: Tensor,
    pub(crate) v: Tensor,
    /// For each parameter, whether an operation's backward added to its gradient since
    /// [`Params::zero_gradients`].
    reached: Box<[AtomicBool]>,
}

/// The parameters of one model on one device, in `F32`, with a `Bf16` copy if
/// [`Params::enable_bf16`] was called.
#[derive(Debug)]
pub struct Params {
    pub(crate) device: Device,
    infos: Vec<ParamInfo>,
    decayed: usize,
    pub(crate) len: usize,
    pub(crate) values: Tensor,
    /// The values in `Bf16`, always those of `values` rounded to nearest even.
    pub(crate) working: Option<Tensor>,
    pub(crate) training: Option<Training>,
}

impl Params {
    /// Allocates a model's declared parameters on a device and draws their initial values on the
    /// host, so that every backend starts from the same bits. This is enough for inference; for
    /// training see [`Params::enable_training`].
    ///
    /// # Errors
    /// [`Error::DuplicateName`], or the device's lack of memory.
    pub fn new(device: &Device, declarations: Declarations, seed: u64) -> Result<Self> {
        let mut params = Self::zeroed(device, declarations)?;
        for index in 0..params.infos.len() {
            let info = &params.infos[index];
            let mut stream = Stream::new(seed, INIT_SITE, index as u32);
            let n = info.shape.numel();
            let values: Vec<f32> = match info.init {
                Init::Zeros => continue,
                Init::Ones => vec![1.0; n],
                Init::Normal { std } => (0..n).map(|_| (std * stream.normal()) as f32).collect(),
                Init::Uniform { bound } => (0..n)
                    .map(|_| (bound * (2.0 * stream.uniform() - 1.0)) as f32)
                    .collect(),
            };
            params.set(Slab::Values, Param(index), &values)?;
        }
        Ok(params)
    }

    /// Allocates the parameters as [`Params::new`] does, with all values 0, to be set from a file.
    ///
    /// # Errors
    /// Fails as [`Params::new`] does.
    pub fn zeroed(device: &Device, declarations: Declarations) -> Result<Self> {
        let mut infos = declarations.params;
        let mut names = HashSet::new();
        if let Some(twice) = infos.iter().find(|info| !names.insert(info.name.as_str())) {
            return Err(Error::DuplicateName {
                name: twice.name.clone(),
            });
        }
        let (mut len, mut decayed) = (0, 0);
        for decays in [true, false] {
            for info in infos.iter_mut().filter(|info| info.is_decayed() == decays) {
                info.first = len;
                len += info.stored.numel().next_multiple_of(ALIGNMENT);
            }
            if decays {
                decayed = len;
            }
        }
        let values = Tensor::zeros(device, [len], DType::F32)?;
        Ok(Self {
            device: device.clone(),
            infos,
            decayed,
            len,
            values,
            working: None,
            training: None,
        })
    }

    /// Adds a `Bf16` copy of the values. Every pass from then on reads it and computes in its type:
    /// activations and their gradients become `Bf16`, the gradients of parameters and the loss stay
    /// `F32`. Every write to the values updates the copy.
    ///
    /// ```
    /// use latimer_autograd::{Declarations, Init, Params, Slab};
    /// use latimer_tensor::{DType, Device};
    /// let mut declarations = Declarations::new();
    /// let w = declarations.root().param("w", [2], Init::Zeros);
    /// let mut params = Params::new(&Device::reference(), declarations, 1)?;
    /// params.enable_bf16()?;
    /// params.set(Slab::Values, w, &[1.0, 1.001])?;
    /// assert_eq!(params.value(w)?.dtype(), DType::Bf16); // holds 1 and 1
    /// assert_eq!(params.get(Slab::Values, w)?, [1.0, 1.001]);
    /// # Ok::<(), latimer_autograd::Error>(())
    /// ```
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn enable_bf16(&mut self) -> Result<()> {
        if self.working.is_none() {
            self.working = Some(Tensor::empty(&self.device, [self.len], DType::Bf16)?);
            self.refresh(0, self.len)?;
        }
        Ok(())
    }

    /// Rounds `n` values from `first` on into the working copy, if there is one.
    fn refresh(&mut self, first: usize, n: usize) -> Result<()> {
        let Some(working) = &mut self.working else {
            return Ok(());
        };
        Ok(self.device.run(Cast {
            x: self.values.view().slice(first, [n])?,
            y: working.view_mut()?.slice(first, [n])?,
        })?)
    }

    /// The type that passes compute in: `F32`, or `Bf16` after [`Params::enable_bf16`].
    #[must_use]
    #[inline]
    pub fn dtype(&self) -> DType {
        self.working.as_ref().unwrap_or(&self.values).dtype()
    }

    /// Adds gradients and AdamW's moments, all zero.
    ///
    /// # Errors
    /// The device's lack of memory.
    pub fn enable_training(&mut self) -> Result<()> {
        if self.training.is_none() {
            let slab = || Tensor::zeros(&self.device, [self.len], DType::F32);
            self.training = Some(Training {
                gradients: Mutex::new(slab()?),
                m: slab()?,
                v: slab()?,
                reached: self.infos.iter().map(|_| AtomicBool::new(false)).collect(),
            });
        }
        Ok(())
    }

    /// Gives up gradients and moments, whose memory returns to the device.
    pub fn disable_training(&mut self) {
        self.training = None;
    }

    /// The device that the parameters lie on.
    #[must_use]
    #[inline]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters with their keys, in order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (Param, &ParamInfo)> {
        self.infos
            .iter()
            .enumerate()
            .map(|(index, info)| (Param(index), info))
    }

    /// The declaration of one parameter.
    #[must_use]
    pub fn info(&self, param: Param) -> &ParamInfo {
        &self.infos[param.0]
    }

    /// Elements of all logical shapes: the model's number of parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.infos.iter().map(|info| info.shape.numel()).sum()
    }

    /// The range of a slab's elements that AdamW decays, and the range of those that it does not.
    #[must_use]
    pub fn groups(&self) -> [Range<usize>; 2] {
        [0..self.decayed, self.decayed..self.len]
    }

    /// The current value as passes read it, in its stored shape and of [`Params::dtype`].
    ///
    /// # Errors
    /// Never in practice: a key's range lies within its store's slab.
    #[inline]
    pub fn value(&self, param: Param) -> Result<View<'_>> {
        let info = self.info(param);
        let values = self.working.as_ref().unwrap_or(&self.values);
        Ok(values.view().slice(info.first, info.stored)?)
    }

    /// Sets every gradient to 0.
    ///
    /// # Errors
    /// [`Error::NoGradients`].
    pub fn zero_gradients(&self) -> Result<()> {
        for reached in self.training.iter().flat_map(|training| &training.reached) {
            reached.store(false, Relaxed);
        }
        let mut gradients = self.gradients()?;
        Ok(self.device.run(Fill {
            y: gradients.view_mut()?,
            value: 0.0,
        })?)
    }

    pub(crate) fn gradients(&self) -> Result<MutexGuard<'_, Tensor>> {
        let training = self.training.as_ref().ok_or(Error::NoGradients)?;
        Ok(training
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `write` with the gradients of `N` different parameters, to be added to.
    ///
    /// # Errors
    /// [`Error::NoGradients`], or what `write` fails with.
    ///
    /// # Panics
    /// When a parameter is named twice: its gradient cannot be lent twice at once.
    pub fn with_gradients<const N: usize>(
        &self,
        params: [Option<Param>; N],
        write: impl FnOnce([Option<ViewMut<'_>>; N]) -> Result<()>,
    ) -> Result<()> {
        let mut slab = self.gradients()?;
        let mut order: Vec<usize> = (0..N).filter(|&i| params[i].is_some()).collect();
        let first = |i: usize| params[i].map_or(0, |p| self.info(p).first);
        order.sort_by_key(|&i| first(i));
        let (mut rest, mut passed) = (slab.view_mut()?, 0);
        let mut views = [const { None }; N];
        for i in order {
            let Some(param) = params[i] else { continue };
            let info = self.info(param);
            assert!(info.first >= passed, "{} is lent twice at once", info.name);
            let (_, from) = rest.split_at(info.first - passed)?;
            let (view, after) = from.split_at(info.stored.numel())?;
            views[i] = Some(view.slice(0, info.stored)?);
            (rest, passed) = (after, info.first + info.stored.numel());
        }
        write(views)?;
        if let Some(training) = &self.training {
            for param in params.iter().flatten() {
                training.reached[param.0].store(true, Relaxed);
            }
        }
        Ok(())
    }

    /// Calls `write` with the gradients of a weight and, if there is one, of its bias.
    ///
    /// # Errors
    /// Fails as [`Params::with_gradients`] does.
    pub(crate) fn with_weight_and_bias<E>(
        &self,
        weight: Param,
        bias: Option<Param>,
        write: impl FnOnce(ViewMut<'_>, Option<ViewMut<'_>>) -> Result<(), E>,
    ) -> Result<()>
    where
        Error: From<E>,
    {
        self.with_gradients([Some(weight), bias], |[dw, db]| match dw {
            Some(dw) => Ok(write(dw, db)?),
            None => unreachable!("a gradient that was asked for is there"),
        })
    }

    fn slab(&self, slab: Slab) -> Result<SlabRef<'_>> {
        let training = || self.training.as_ref().ok_or(Error::NoGradients);
        Ok(match slab {
            Slab::Values => SlabRef::Plain(&self.values),
            Slab::Gradients => SlabRef::Locked(self.gradients()?),
            Slab::M => SlabRef::Plain(&training()?.m),
            Slab::V => SlabRef::Plain(&training()?.v),
        })
    }

    /// One parameter's part of a slab, in its logical shape; waits for the device.
    ///
    /// # Errors
    /// [`Error::NoGradients`], or the device's failure.
    pub fn get(&self, slab: Slab, param: Param) -> Result<Vec<f32>> {
        let mut values = vec![0.0f32; self.info(param).shape.numel()];
        self.copy_to(slab, param, bytes_of_mut(&mut values))?;
        Ok(values)
    }

    /// Copies one parameter's part of a slab, in its logical shape, to as many bytes.
    ///
    /// # Errors
    /// Fails as [`Params::get`] does, and when `bytes` does not have four bytes for each element.
    pub fn copy_to(&self, slab: Slab, param: Param, bytes: &mut [u8]) -> Result<()> {
        let info = self.info(param);
        let slab = self.slab(slab)?;
        let view = slab.tensor().view().slice(info.first, info.shape)?;
        Ok(self.device.download(view, bytes)?)
    }

    /// Overwrites one parameter's part of a slab, given in its logical shape.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::NoGradients`], or the device's failure.
    pub fn set(&mut self, slab: Slab, param: Param, values: &[f32]) -> Result<()> {
        let (first, shape) = (self.info(param).first, self.info(param).shape);
        if values.len() != shape.numel() {
            let name = self.info(param).name.clone();
            return Err(Error::WrongLength {
                name,
                expected: shape.numel(),
                got: values.len(),
            });
        }
        let device = self.device.clone();
        let tensor = match (slab, &mut self.training) {
            (Slab::Values, _) => &mut self.values,
            (_, None) => return Err(Error::NoGradients),
            (Slab::Gradients, Some(training)) => training
                .gradients
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
            (Slab::M, Some(training)) => &mut training.m,
            (Slab::V, Some(training)) => &mut training.v,
        };
        device.upload(bytes_of(values), tensor.view_mut()?.slice(first, shape)?)?;
        match slab {
            Slab::Values => self.refresh(first, shape.numel()),
            _ => Ok(()),
        }
    }

    /// Checks that the backward pass reached every parameter, and that every gradient is finite.
    ///
    /// A parameter is reached when an operation that used it got a gradient from the loss. Its own
    /// gradient may still be zero: a model that predicts every token with certainty has nothing
    /// left to learn, which is no error.
    ///
    /// # Errors
    /// [`Error::BadGradient`] names the first that was not reached or is not finite.
    pub fn check_gradients(&self) -> Result<()> {
        let training = self.training.as_ref().ok_or(Error::NoGradients)?;
        // In pieces: a copy of the largest parameter would raise the peak of a run's memory.
        let mut piece = vec![0.0f32; PIECE];
        let slab = self.slab(Slab::Gradients)?;
        for (info, reached) in self.infos.iter().zip(&training.reached) {
            let bad = |what| {
                Err(Error::BadGradient {
                    name: info.name.clone(),
                    what,
                })
            };
            if !reached.load(Relaxed) {
                return bad("missing: the loss does not depend on it".to_owned());
            }
            let n = info.shape.numel();
            for first in (0..n).step_by(PIECE) {
                let piece = &mut piece[..PIECE.min(n - first)];
                let view = slab.tensor().view();
                let view = view.slice(info.first + first, [piece.len()])?;
                self.device.download(view, bytes_of_mut(piece))?;
                if let Some(at) = piece.iter().position(|g| !g.is_finite()) {
                    return bad(format!("{} at element {}", piece[at], first + at));
                }
            }
        }
        Ok(())
    }
}

enum SlabRef<'a> {
    Plain(&'a Tensor),
    Locked(MutexGuard<'a, Tensor>),
}

impl SlabRef<'_> {
    fn tensor(&self) -> &Tensor {
        match self {
            Self::Plain(tensor) => tensor,
            Self::Locked(guard) => guard,
        }
    }
}
