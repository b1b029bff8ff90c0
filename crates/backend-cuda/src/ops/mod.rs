//! The operations, one file per family of kernels: geometry and launches, nothing else.

mod adamw;
mod attention;
mod cast;
mod cross_entropy;
mod dropout;
mod elementwise;
mod embedding;
mod fill;
mod layer_norm;
mod matmul;
mod movement;
mod reduce;
mod rows;
mod softmax;
mod wide;

pub(crate) use matmul::{Product, Types};

use crate::Cuda;
use latimer_tensor::{Handled, Op, Result};

/// Runs an operation by the function that implements it.
///
/// # Errors
/// The errors of that function.
pub(crate) fn run(cuda: &Cuda, op: &mut Op<'_>) -> Result<Handled> {
    match op {
        Op::Fill(op) => fill::fill(cuda, op),
        Op::AdamW(op) => adamw::adamw(cuda, op),
        Op::ClipScale(op) => adamw::clip_scale(cuda, op),
        Op::Attention(op) => attention::forward(cuda, op),
        Op::AttentionBackward(op) => attention::backward(cuda, op),
        Op::AttentionDecode(op) => attention::decode(cuda, op),
        Op::CrossEntropy(op) => cross_entropy::cross_entropy(cuda, op),
        Op::Dropout(op) => dropout::dropout(cuda, op),
        Op::Unary(op) => elementwise::unary(cuda, op),
        Op::UnaryBackward(op) => elementwise::unary_backward(cuda, op),
        Op::Binary(op) => elementwise::binary(cuda, op),
        Op::Axpby(op) => elementwise::axpby(cuda, op),
        Op::Embedding(op) => embedding::forward(cuda, op),
        Op::EmbeddingBackward(op) => embedding::backward(cuda, op),
        Op::LayerNorm(op) => layer_norm::forward(cuda, op),
        Op::AddLayerNorm(op) => layer_norm::add_forward(cuda, op),
        Op::LayerNormBackward(op) => layer_norm::backward(cuda, op),
        Op::Matmul(op) => matmul::matmul(cuda, op),
        Op::Cast(op) => cast::cast(cuda, op),
        Op::Permute(op) => movement::permute(cuda, op),
        Op::Slice(op) => movement::slice(cuda, op),
        Op::Concat(op) => movement::concat(cuda, op),
        Op::Reduce(op) => reduce::reduce(cuda, op),
        Op::ArgMax(op) => reduce::arg_max(cuda, op),
        Op::SumSquares(op) => reduce::sum_squares(cuda, op),
        Op::Softmax(op) => softmax::forward(cuda, op),
        Op::SoftmaxBackward(op) => softmax::backward(cuda, op),
        _ => Ok(Handled::Unsupported),
    }
}
