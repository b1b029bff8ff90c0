//! The naive evaluation of the operations that add up or take exponentials: the equation of each
//! as it stands, in `f32`, every sum from left to right.
//!
//! It is not a second meaning, and nothing must agree with it. It shows how much the equation loses
//! in the precision that backends accumulate in if nothing is done about it; a backend may lose
//! twice as much: see [`crate::tolerance::Spread`].
//!
//! Operands narrower than `f32` are widened; the caller that compares the results rounds them once
//! more. Elementary functions are those of `f64`, rounded once, and thus right to half a unit on
//! every machine.

mod attention;
mod matrices;
mod rows;

use latimer_tensor::{Host, Op, Result, View};

/// One output: the operand's name and its values.
pub(crate) type Output = (&'static str, Vec<f32>);

/// The outputs of the operation; none for operations without a sum or an exponential.
pub(crate) fn outputs(op: &Op<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    match op {
        Op::Unary(op) => rows::unary(op, host),
        Op::UnaryBackward(op) => rows::unary_backward(op, host),
        Op::Matmul(op) => matrices::matmul(op, host),
        Op::Reduce(op) => matrices::reduce(op, host),
        Op::EmbeddingBackward(op) => matrices::embedding_backward(op, host),
        Op::LayerNorm(op) => rows::layer_norm(op, host),
        Op::AddLayerNorm(op) => rows::add_layer_norm(op, host),
        Op::LayerNormBackward(op) => rows::layer_norm_backward(op, host),
        Op::Softmax(op) => rows::softmax(op, host),
        Op::SoftmaxBackward(op) => rows::softmax_backward(op, host),
        Op::CrossEntropy(op) => rows::cross_entropy(op, host),
        Op::Attention(op) => attention::forward(op, host),
        Op::AttentionBackward(op) => attention::backward(op, host),
        Op::AttentionDecode(op) => attention::decode(op, host),
        _ => Ok(Vec::new()),
    }
}

/// The elements of a view as `f32`; only `f32` and narrower types are read here.
fn read(host: &Host<'_>, view: View<'_>) -> Result<Vec<f32>> {
    Ok(host.read(view)?.into_iter().map(|x| x as f32).collect())
}

fn exp(x: f32) -> f32 {
    f64::from(x).exp() as f32
}

fn ln(x: f32) -> f32 {
    f64::from(x).ln() as f32
}

/// The sum from left to right. `Iterator::sum` does not promise its order.
fn sum(terms: impl Iterator<Item = f32>) -> f32 {
    terms.fold(0.0, |sum, x| sum + x)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a.iter().zip(b).map(|(a, b)| a * b))
}

/// Probabilities of scaled scores, and `log Σ exp`.
fn probabilities(x: &[f32], scale: f32) -> (Vec<f32>, f32) {
    let scores: Vec<f32> = x.iter().map(|x| x * scale).collect();
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let terms: Vec<f32> = scores.iter().map(|x| exp(x - most)).collect();
    let total = sum(terms.iter().copied());
    let p = terms.into_iter().map(|e| e / total).collect();
    (p, most + ln(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::agreeing;
    use crate::oracle::{meaning, naive, rounded};
    use crate::tolerance::first_misfit;
    use latimer_tensor::DType;
    use std::cell::Cell;

    /// The operations that the rule of the same precision applies to.
    const OPS: [&str; 14] = [
        "unary",
        "unary_backward",
        "matmul",
        "reduce",
        "embedding_backward",
        "layer_norm",
        "add_layer_norm",
        "layer_norm_backward",
        "softmax",
        "softmax_backward",
        "attention",
        "attention_backward",
        "attention_decode",
        "cross_entropy",
    ];

    /// If the naive evaluation lost more than necessary, the rule that is measured by it would
    /// allow anything.
    #[test]
    fn is_within_the_first_order_bound_itself() {
        for &op in Op::NAMES {
            let compared = Cell::new(0);
            let held = agreeing(op, |case| {
                if case.dtype == DType::F64 || case.special.is_some() {
                    return Ok(());
                }
                let operands = case.operands().unwrap();
                let want = meaning(case, &operands).unwrap();
                for (name, values) in naive(case, &operands).unwrap() {
                    let want = want.iter().find(|want| want.operand == name).unwrap();
                    let dtype = operands.iter().find(|o| o.name == name).unwrap().dtype;
                    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                    let got = rounded(&values, dtype).unwrap();
                    let misfit = first_misfit(want, &got, dtype, case.dtype).unwrap();
                    assert_eq!(misfit, None, "{case:?}");
                    compared.set(compared.get() + 1);
                }
                Ok(())
            });
            held.unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(compared.get() > 0, OPS.contains(&op), "{op}");
        }
    }
}
