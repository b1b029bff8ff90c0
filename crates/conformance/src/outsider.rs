//! A custom operation, which backends must run without knowing it.

use latimer_tensor::Result;
use latimer_tensor::op::{Computed, Custom, CustomOp};

/// `input0 · input1`, and `input1 / (1 + |input1|)`: two inputs and two outputs, so that a wrong
/// order shows.
#[derive(Debug)]
pub(crate) struct Outsider;

impl CustomOp for Outsider {
    fn name(&self) -> &'static str {
        "outsider"
    }

    fn check(&self, op: &Custom<'_>) -> Result<()> {
        op.has(2, 2)?;
        op.is_elementwise()
    }

    fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Computed> {
        let pairs = inputs[0].iter().zip(&inputs[1]);
        let squashed: Vec<f64> = inputs[1].iter().map(|x| x / (1.0 + x.abs())).collect();
        let magnitudes = squashed.iter().map(|y| 2.0 * y.abs()).collect();
        vec![
            Computed::exact(pairs.map(|(a, b)| a * b).collect()),
            Computed {
                values: squashed,
                magnitudes,
            },
        ]
    }

    fn flops(&self, op: &Custom<'_>) -> u64 {
        4 * op.inputs[0].numel() as u64
    }
}
