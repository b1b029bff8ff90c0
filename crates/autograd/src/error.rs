//! The errors of recording a pass and of walking back.

use latimer_tensor::Shape;

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a pass, the parameter store or the optimizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation did not fit its operands, or the device failed.
    #[error(transparent)]
    Tensor(#[from] latimer_tensor::Error),
    /// This pass neither made a float operand nor was given it, so its gradient would be lost.
    #[error(
        "{op}: {operand} of shape {shape} was not made by this pass: give it to Pass::input, or to \
         Pass::constant if no gradient is wanted"
    )]
    Untracked {
        /// The operation.
        op: &'static str,
        /// The operand.
        operand: &'static str,
        /// The tensor's shape.
        shape: Shape,
    },
    /// A backward rule asked for the gradient of a tensor that the pass has never seen.
    #[error(
        "a backward rule adds to the gradient of a tensor of shape {shape} that was not an operand of \
         this pass: check it with Pass::check_operand in the forward half"
    )]
    UnknownGradient {
        /// The tensor's shape.
        shape: Shape,
    },
    /// The pass was given up, as asked by the flag of [`crate::Pass::stopped_by`].
    #[error("stopped before the computation was done")]
    Stopped,
    /// `backward` was called on a pass that records nothing.
    #[error("backward needs a pass in training mode: this one only evaluates")]
    NotRecording,
    /// `lm_loss` computes its gradients on the way, so nothing may come between it and `backward`.
    #[error("the loss of lm_loss must be given to backward itself, not to another operation")]
    LossMustBeLast,
    /// The tensor given to `backward` does not depend on anything that is trained.
    #[error("the loss given to backward was not made by this pass")]
    ForeignLoss,
    /// The store was built for inference only.
    #[error("these parameters have no gradients: call Params::enable_training first")]
    NoGradients,
    /// Two parameters have the same name.
    #[error("two parameters are called {name}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A parameter was given values of another length.
    #[error("{name} has {expected} elements, but {got} were given")]
    WrongLength {
        /// The parameter.
        name: String,
        /// Elements of its logical shape.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// The loss does not reach a parameter, or a parameter's gradient is not finite.
    #[error("the gradient of {name} is {what} after the first backward pass")]
    BadGradient {
        /// The parameter.
        name: String,
        /// `missing`, with the reason, or the value that is not finite, with its place.
        what: String,
    },
}
