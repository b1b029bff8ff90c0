//! The differentiable operations, each a method of [`Pass`]; their backward halves are the table in
//! `rules.rs`.
//!
//! A method builds the operation, gives it outputs from the pool, runs it, and records the rule
//! with the tensors that the rule needs. Nothing is kept that backward does not read.

mod arithmetic;
mod attention;
mod custom;
mod dropout;
mod elementwise;
mod embedding;
mod loss;
mod movement;
mod norm;
mod products;

pub use attention::AttentionSpec;
pub use loss::LmHead;

use crate::{Param, Pass, Result};
use latimer_tensor::{DType, Shape, Tensor, View};

impl<'a> Pass<'a> {
    /// Memory for a result of this shape, in the type of `x`.
    fn like(&self, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(Tensor::empty(self.device(), shape, x.dtype())?)
    }

    /// Memory for statistics, losses and returned logits, which are `F32` whatever type the
    /// activations have.
    fn empty_f32(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        Ok(Tensor::empty(self.device(), shape, DType::F32)?)
    }

    fn value(&self, param: Param) -> Result<View<'a>> {
        self.params.value(param)
    }

    fn value_of(&self, param: Option<Param>) -> Result<Option<View<'a>>> {
        param.map(|p| self.value(p)).transpose()
    }
}
