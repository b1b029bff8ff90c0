//! One pass through a model: operations run at once and, in training, are remembered.

use crate::tape::{Node, Tape};
use crate::{Error, Gradients, Params, Result};
use latimer_tensor::{Device, Phase, Scalars, Tensor, View};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Remembers operations and drops out. The loss's gradient starts at `loss_scale`: 1, or one
    /// over the number of micro-steps when gradients are accumulated.
    Train {
        /// Factor of all gradients.
        loss_scale: f32,
    },
    /// Remembers nothing, drops nothing.
    Evaluate,
}

/// A pass: the device, the parameters, the step's values and, in training, the tape.
///
/// Its methods are the differentiable operations (see `ops/mod.rs`); model code calls them and reads
/// top to bottom. A float tensor that goes into one must have come out of one, or have been given
/// by [`Pass::input`] or [`Pass::constant`]: gradients cannot get lost silently.
#[derive(Debug)]
pub struct Pass<'a> {
    pub(crate) params: &'a Params,
    /// `None` in evaluation.
    scalars: Option<&'a Scalars>,
    mode: Mode,
    stop: Option<&'a AtomicBool>,
    tape: RefCell<Tape<'a>>,
}

impl<'a> Pass<'a> {
    /// A pass that evaluates: nothing is remembered, nothing dropped out.
    #[must_use]
    pub fn evaluate(params: &'a Params) -> Self {
        Self::new(params, None, Mode::Evaluate)
    }

    /// A pass that trains: [`Pass::backward`] adds `loss_scale` times the loss's gradients. Dropout
    /// reads its random words from `scalars`. [`crate::Optimizer::step`] makes one for you.
    #[must_use]
    pub fn train(params: &'a Params, scalars: &'a Scalars, loss_scale: f32) -> Self {
        Self::new(params, Some(scalars), Mode::Train { loss_scale })
    }

    fn new(params: &'a Params, scalars: Option<&'a Scalars>, mode: Mode) -> Self {
        Self {
            params,
            scalars,
            mode,
            stop: None,
            tape: RefCell::default(),
        }
    }

    /// The same pass, given up between two operations once `stop` is set: a pass through a large
    /// model takes seconds on a slow device, too long for a person who pressed Ctrl-C.
    #[must_use]
    pub fn stopped_by(self, stop: &'a AtomicBool) -> Self {
        Self {
            stop: Some(stop),
            ..self
        }
    }

    /// The random words of dropout; `None` in evaluation.
    pub(crate) fn random(&self) -> Option<View<'a>> {
        self.scalars.map(Scalars::random)
    }

    /// An error once the flag of [`Pass::stopped_by`] is set.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(crate) fn check_stop(&self) -> Result<()> {
        match self.stop {
            Some(stop) if stop.load(Relaxed) => Err(Error::Stopped),
            _ => Ok(()),
        }
    }

    /// Where everything lies.
    #[must_use]
    #[inline]
    pub fn device(&self) -> &'a Device {
        self.params.device()
    }

    /// What the pass is for.
    #[must_use]
    #[inline]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether operations are remembered.
    #[must_use]
    #[inline]
    pub fn is_training(&self) -> bool {
        matches!(self.mode, Mode::Train { .. })
    }

    /// Makes a tensor from outside known, its gradient wanted.
    #[must_use]
    #[inline]
    pub fn input(&self, x: Tensor) -> Tensor {
        self.tape.borrow_mut().known.insert(x.id(), true);
        x
    }

    /// Makes a tensor from outside known, without a gradient.
    #[must_use]
    #[inline]
    pub fn constant(&self, x: Tensor) -> Tensor {
        self.tape.borrow_mut().known.insert(x.id(), false);
        x
    }

    /// Checks a float operand: what every method here begins with. `op` and `operand` go into the
    /// message.
    ///
    /// # Errors
    /// [`Error::Untracked`] in training, when the pass does not know `x`; [`Error::Stopped`].
    pub fn check_operand(&self, op: &'static str, operand: &'static str, x: &Tensor) -> Result<()> {
        self.wants(op, operand, x).map(|_| ())
    }

    /// Checks as [`Pass::check_operand`], and says whether the gradient of `x` is wanted, for an
    /// operation that keeps less if it is not. In evaluation none is.
    ///
    /// # Errors
    /// As [`Pass::check_operand`].
    pub fn wants(&self, op: &'static str, operand: &'static str, x: &Tensor) -> Result<bool> {
        self.check_stop()?;
        if self.is_training() {
            self.tape.borrow().wants(op, operand, x)
        } else {
            Ok(false)
        }
    }

    /// Records an operation by its output and its backward rule: what every method here ends with,
    /// and how an operation from outside joins that [`Pass::custom`] does not fit. Nothing is kept
    /// in evaluation.
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

    /// Walks back from a loss of one element and adds to the store's gradients. Every node is
    /// freed as it is passed.
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
