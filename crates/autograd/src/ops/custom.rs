//! Operations that you define yourself.

use crate::{Pass, Result, rules};
use latimer_tensor::op::{Custom, CustomOp};
use latimer_tensor::{Elementwise, Shape, Tensor};

impl Pass<'_> {
    /// Applies your function to every element, as [`Tensor::apply`]; its gradient is `f'(x) · dy`.
    ///
    /// ```
    /// use latimer_autograd::{AdamW, Declarations, Init, Optimizer, Params, Slab};
    /// use latimer_tensor::{Device, Elementwise, Tensor};
    /// let square = Elementwise::new("square", |x| x * x, |x| 2.0 * x);
    /// let mut declarations = Declarations::new();
    /// let w = declarations.root().param("w", [1, 1], Init::Ones);
    /// let device = Device::reference();
    /// let mut params = Params::new(&device, declarations, 1)?;
    /// let optimizer = Optimizer::new(&mut params, AdamW::default())?;
    /// let pass = optimizer.pass(&params);
    /// let x = pass.constant(Tensor::from_slice(&device, &[3.0f32], [1, 1])?);
    /// let loss = pass.apply(&pass.linear(&x, w, None)?, &square)?; // (3·w)²
    /// pass.backward(loss)?;
    /// assert_eq!(params.get(Slab::Gradients, w)?, [18.0]); // 2·(3·w)·3
    /// # Ok::<(), latimer_autograd::Error>(())
    /// ```
    ///
    /// # Errors
    /// The device's failure.
    pub fn apply(&self, x: &Tensor, f: &Elementwise) -> Result<Tensor> {
        self.check_operand("apply", "x", x)?;
        let y = x.apply(f)?;
        self.record(&y, rules::apply(x.clone(), f.clone()));
        Ok(y)
    }
}

impl<'a> Pass<'a> {
    /// Runs your operation on some inputs, with one output of this shape and of the first input's
    /// type.
    ///
    /// `backward` reads the inputs and then `dy`, and overwrites one output for every float input,
    /// in order: its gradient. Inputs of other types, such as ids, have no gradient. Operations of
    /// another form can be written with [`Pass::check_operand`], `Device::run` and
    /// [`Pass::record`].
    ///
    /// # Errors
    /// What the operation's own check says, or the device's failure.
    pub fn custom(
        &self,
        forward: &dyn CustomOp,
        backward: &'a dyn CustomOp,
        inputs: &[&Tensor],
        shape: impl Into<Shape>,
    ) -> Result<Tensor> {
        for x in inputs.iter().filter(|x| x.dtype().is_float()) {
            self.check_operand(forward.name(), "inputs", x)?;
        }
        let dtype = inputs.first().map_or(self.params.dtype(), |x| x.dtype());
        let mut y = Tensor::empty(self.device(), shape, dtype)?;
        self.device().run(Custom {
            kind: forward,
            inputs: inputs.iter().map(|x| x.view()).collect(),
            outputs: vec![y.view_mut()?],
        })?;
        let inputs = inputs.iter().map(|&x| x.clone()).collect();
        self.record(&y, rules::custom(backward, inputs));
        Ok(y)
    }
}
