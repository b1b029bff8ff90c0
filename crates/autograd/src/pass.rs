//! One pass through a model: operations run at once and, in training, are recorded.

use crate::step_memory::StepMemory;
use crate::tape::{Node, Tape};
use crate::{Error, Gradients, Params, Result};
use latimer_tensor::{Device, Phase, Tensor, View};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The mode of a pass: training or evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Records operations and applies dropout. The loss's gradient starts at `loss_scale`: 1, or
    /// one over the number of micro-steps when gradients are accumulated.
    Train {
        /// Factor of all gradients.
        loss_scale: f32,
    },
    /// Records nothing and applies no dropout.
    Evaluate,
}

/// A pass: the device, the parameters, the step's values and, in training, the tape.
///
/// Its methods are the differentiable operations (see `ops/mod.rs`); model code calls them and
/// reads top to bottom. A float tensor that goes into one must have come out of one, or have been
/// given by [`Pass::input`] or [`Pass::constant`]: gradients cannot get lost silently.
#[derive(Debug)]
pub struct Pass<'a> {
    pub(crate) params: &'a Params,
    /// `None` in evaluation.
    scalars: Option<&'a StepMemory>,
    mode: Mode,
    stop: Option<&'a AtomicBool>,
    tape: RefCell<Tape<'a>>,
}

impl<'a> Pass<'a> {
    /// A pass that evaluates: it records nothing and applies no dropout.
    #[must_use]
    pub fn evaluate(params: &'a Params) -> Self {
        Self::new(params, None, Mode::Evaluate)
    }

    /// A pass that trains: [`Pass::backward`] adds `loss_scale` times the loss's gradients. Dropout
    /// reads its random words from `scalars`.
    pub(crate) fn train(params: &'a Params, scalars: &'a StepMemory, loss_scale: f32) -> Self {
        Self::new(params, Some(scalars), Mode::Train { loss_scale })
    }

    fn new(params: &'a Params, scalars: Option<&'a StepMemory>, mode: Mode) -> Self {
        Self {
            params,
            scalars,
            mode,
            stop: None,
            tape: RefCell::default(),
        }
    }

    /// Makes the pass stop with [`Error::Stopped`], between two operations, once `stop` is set: a
    /// pass through a large model takes seconds on a slow device, too long for a person who pressed
    /// Ctrl-C.
    #[must_use]
    pub fn stopped_by(self, stop: &'a AtomicBool) -> Self {
        Self {
            stop: Some(stop),
            ..self
        }
    }

    /// The random words of dropout; `None` in evaluation.
    pub(crate) fn random(&self) -> Option<View<'a>> {
        self.scalars.map(StepMemory::random)
    }

    /// Fails once the flag of [`Pass::stopped_by`] is set.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(crate) fn check_stop(&self) -> Result<()> {
        match self.stop {
            Some(stop) if stop.load(Relaxed) => Err(Error::Stopped),
            _ => Ok(()),
        }
    }

    /// The device that everything lies on.
    #[must_use]
    #[inline]
    pub fn device(&self) -> &'a Device {
        self.params.device()
    }

    /// The mode of the pass.
    #[must_use]
    #[inline]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether operations are recorded.
    #[must_use]
    #[inline]
    pub fn is_training(&self) -> bool {
        matches!(self.mode, Mode::Train { .. })
    }

    /// Makes a tensor from outside known to the pass, which then computes its gradient.
    #[must_use]
    #[inline]
    pub fn input(&self, x: Tensor) -> Tensor {
        self.tape.borrow_mut().known.insert(x.id(), true);
        x
    }

    /// Makes a tensor from outside known to the pass, which computes no gradient of it.
    #[must_use]
    #[inline]
    pub fn constant(&self, x: Tensor) -> Tensor {
        self.tape.borrow_mut().known.insert(x.id(), false);
        x
    }

    /// Checks a float operand; every operation's method begins with this. `op` and `operand` go
    /// into the message.
    ///
    /// # Errors
    /// [`Error::Untracked`] in training, when the pass does not know `x`; [`Error::Stopped`].
    pub fn check_operand(&self, op: &'static str, operand: &'static str, x: &Tensor) -> Result<()> {
        self.wants(op, operand, x).map(|_| ())
    }

    /// Checks as [`Pass::check_operand`] does, and returns whether the gradient of `x` is wanted,
    /// so that an operation can keep less if it is not. In evaluation no gradient is wanted.
    ///
    /// # Errors
    /// Fails as [`Pass::check_operand`] does.
    pub fn wants(&self, op: &'static str, operand: &'static str, x: &Tensor) -> Result<bool> {
        self.check_stop()?;
        if self.is_training() {
            self.tape.borrow().wants(op, operand, x)
        } else {
            Ok(false)
        }
    }

    /// Records an operation by its output and its backward rule. Every operation's method ends with
    /// this; use it for operations of your own that do not fit [`Pass::custom`]. In evaluation
    /// nothing is kept.
    ///
    /// `rule` receives `dy` in the shape of `output`, and adds to the gradients of the operands by
    /// the methods of [`Gradients`].
    pub fn record(
        &self,
        output: &Tensor,
        rule: impl FnOnce(&mut Gradients<'_>, Tensor) -> Result<()> + 'a,
    ) {
        if !self.is_training() {
            return;
        }
        let mut tape = self.tape.borrow_mut();
        tape.known.insert(output.id(), true);
        tape.nodes.push(Node {
            output: output.id(),
            shape: output.shape(),
            rule: Box::new(rule),
        });
    }

    /// Walks back from a loss of one element and adds to the store's gradients. Each node is freed
    /// as soon as its rule has run.
    ///
    /// # Errors
    /// [`Error::NotRecording`] in evaluation, [`Error::ForeignLoss`], or an operation's failure.
    pub fn backward(self, loss: Tensor) -> Result<()> {
        let (Mode::Train { loss_scale }, Some(scalars)) = (self.mode, self.scalars) else {
            return Err(Error::NotRecording);
        };
        let Tape { mut nodes, known } = self.tape.into_inner();
        if !known.get(loss.id()).unwrap_or(false) {
            return Err(Error::ForeignLoss);
        }
        let _backward = self.params.device().begin_phase(Phase::Backward);
        let seed = Tensor::full(
            self.params.device(),
            loss.shape(),
            loss.dtype(),
            loss_scale.into(),
        )?;
        let mut gradients = Gradients::new(self.params, scalars, known, &loss, seed);
        drop(loss);
        while let Some(Node {
            output,
            shape,
            rule,
        }) = nodes.pop()
        {
            if let Some(dy) = gradients.take(output) {
                rule(&mut gradients, dy.reshape(shape)?)?;
            }
        }
        Ok(())
    }
}
