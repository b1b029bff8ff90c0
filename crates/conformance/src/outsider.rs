//! A custom operation, which backends must run without knowing it.

use latimer_tensor::Result;
use latimer_tensor::op::{Custom, CustomOp};

/// `input0 · input1`, and `input1 / (1 + |input1|)`: two inputs and two outputs, so that a wrong
/// order shows.
#[derive(Debug)]
pub(crate) struct Outsider;

impl CustomOp for Outsider {
    fn name(&self) -> &'static str {
        "outsider"
    }

    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.expect_operands(2, 2)?;
        op.expect_elementwise()
    }

    fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let pairs = inputs[0].iter().zip(&inputs[1]);
        let squashed = inputs[1].iter().map(|x| x / (1.0 + x.abs()));
        vec![pairs.map(|(a, b)| a * b).collect(), squashed.collect()]
    }

    fn flops(&self, op: &Custom<'_>) -> u64 {
        4 * op.inputs[0].numel() as u64
    }
}
