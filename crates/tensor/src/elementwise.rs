//! Elementwise functions defined by the program that uses this crate.

use crate::op::{Custom, CustomOp};
use crate::{Result, Tensor};
use std::fmt;
use std::sync::Arc;

/// An elementwise operation of your own: `y = f(x)`, given by the function and its slope, in f64.
///
/// [`Tensor::apply`] computes it on any device; a pass of `latimer-autograd` also computes its
/// gradient, `dx = f'(x) · dy`. Both run on the host unless a backend has kernels for them, see
/// [`CustomOp`]. Clones share the functions.
///
/// ```
/// use latimer_tensor::{Device, Elementwise, Tensor};
/// let square = Elementwise::new("square", |x| x * x, |x| 2.0 * x);
/// let x = Tensor::from_slice(&Device::reference(), &[1.0f32, -3.0], [2])?;
/// assert_eq!(x.apply(&square)?.to_vec::<f32>()?, [1.0, 9.0]);
/// # Ok::<(), latimer_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct Elementwise(Arc<Functions>);

type Function = dyn Fn(f64) -> f64 + Send + Sync;

struct Functions {
    name: &'static str,
    value: Box<Function>,
    slope: Box<Function>,
}

/// The backward half of an [`Elementwise`]: `x`, `dy` to `dx = f'(x) · dy`.
#[derive(Clone, Debug)]
pub struct ElementwiseBackward(Elementwise);

impl Elementwise {
    /// Makes an operation of its name in messages, the function, and the function's derivative.
    #[must_use]
    pub fn new(
        name: &'static str,
        value: impl Fn(f64) -> f64 + Send + Sync + 'static,
        slope: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Functions {
            name,
            value: Box::new(value),
            slope: Box::new(slope),
        }))
    }

    /// `f(x)`.
    #[must_use]
    pub fn value(&self, x: f64) -> f64 {
        (self.0.value)(x)
    }

    /// `f'(x)`.
    #[must_use]
    pub fn slope(&self, x: f64) -> f64 {
        (self.0.slope)(x)
    }

    /// The backward half of this operation.
    #[must_use]
    pub fn backward(&self) -> ElementwiseBackward {
        ElementwiseBackward(self.clone())
    }
}

impl ElementwiseBackward {
    /// The operation that this is the backward half of.
    #[must_use]
    pub fn forward(&self) -> &Elementwise {
        &self.0
    }
}

impl fmt::Debug for Elementwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Elementwise").field(&self.0.name).finish()
    }
}

impl CustomOp for Elementwise {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.expect_operands(1, 1)?;
        op.expect_elementwise()
    }

    fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        vec![inputs[0].iter().map(|&x| self.value(x)).collect()]
    }
}

impl CustomOp for ElementwiseBackward {
    fn name(&self) -> &'static str {
        "elementwise_backward"
    }

    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.expect_operands(2, 1)?;
        op.expect_elementwise()
    }

    fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let pairs = inputs[0].iter().zip(&inputs[1]);
        vec![pairs.map(|(&x, dy)| self.0.slope(x) * dy).collect()]
    }

    fn flops(&self, op: &Custom<'_>) -> u64 {
        2 * op.inputs[0].numel() as u64
    }
}

impl Tensor {
    /// `f` of every element, where `f` is yours; [`Tensor::map`] has the usual ones.
    ///
    /// # Errors
    /// [`crate::Error::DTypeMismatch`] on integers.
    pub fn apply(&self, f: &Elementwise) -> Result<Self> {
        let mut y = Self::empty(self.device(), self.shape(), self.dtype())?;
        self.device().run(Custom {
            kind: f,
            inputs: vec![self.view()],
            outputs: vec![y.view_mut()?],
        })?;
        Ok(y)
    }
}
