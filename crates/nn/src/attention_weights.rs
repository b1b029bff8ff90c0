//! What a model looks at: the attention weights of every layer.

use crate::{Gpt, ResidualStream, Result};
use latimer_autograd::{Params, Pass};
use latimer_tensor::{DType, Tensor};

/// The attention weights of every layer, in order, as the model uses them on `ids` in evaluation:
/// for each head
///
/// `weights[i, j] = exp(s · q_i·k_j) / Σ_m exp(s · q_i·k_m)`, with `s = 1/√D` unless the
/// configuration scales otherwise
/// ([`GptConfig::attention_scale`](crate::GptConfig::attention_scale)),
///
/// the share of position `j`'s value in what position `i` takes in. In a causal model the sum goes
/// over `m <= i`, and weights of later positions are exactly 0. A row sums to 1 within rounding.
/// Vaswani et al. 2017, arXiv 1706.03762, equation 1.
///
/// A model's own pass fuses attention and never holds these `T × T` matrices. Here they are
/// computed step by step (product, softmax) from what each layer sees in the fused pass, so that
/// they equal, within rounding, what the fused operation applied. Dropout is for training: none
/// here.
///
/// # Shapes
/// - `ids`: `[B, T]`, `U32`, on the device of `params`, with `T <= block_size`
/// - each result: `[B, NH, T, T]`, `F32`, rows of queries, columns of keys; all are held together,
///   `4·L·B·NH·T²` bytes
///
/// # Errors
/// [`TooLong`](crate::Error::TooLong), an id outside the vocabulary, or the device's failure.
///
/// ```
/// use latimer_autograd::Params;
/// use latimer_nn::{Gpt, GptConfig, attention_weights};
/// use latimer_tensor::{Device, Tensor};
///
/// let device = Device::reference();
/// let (model, declarations) = Gpt::new(&GptConfig {
///     n_layer: 2, n_head: 1, n_embd: 8, block_size: 4,
///     ..GptConfig::gpt2(11)
/// })?;
/// let params = Params::new(&device, declarations, 1)?;
/// let ids = Tensor::from_slice(&device, &[3u32, 1, 4, 1], [1, 4])?;
/// for (layer, weights) in attention_weights(&model, &params, &ids)?.iter().enumerate() {
///     println!("layer {layer}"); // an untrained model looks at everything alike:
///     for row in weights.to_vec::<f32>()?.chunks(4) {
///         println!("{row:.2?}"); // [1.00, 0.00, 0.00, 0.00], then [0.50, 0.50, 0.00, 0.00], …
///     }
///     assert_eq!(weights.to_vec::<f32>()?[..4], [1.0, 0.0, 0.0, 0.0]);
/// }
/// # Ok::<(), latimer_nn::Error>(())
/// ```
pub fn attention_weights(model: &Gpt, params: &Params, ids: &Tensor) -> Result<Vec<Tensor>> {
    let pass = Pass::evaluate(params);
    let mut stream = ResidualStream::from(model.embed(&pass, ids, 0)?); // [B, T, C]
    let mut all = Vec::with_capacity(model.h.len());
    for block in &model.h {
        let (x, seen) = stream.normed(&pass, block.ln_1)?; // [B, T, C]
        let weights = block.attn.weights(&pass, &seen)?; // [B, NH, T, T]
        all.push(match weights.dtype() {
            DType::F32 => weights,
            _ => weights.cast(DType::F32)?,
        });
        stream = block.forward(&pass, x.into(), None)?; // [B, T, C]
    }
    Ok(all)
}
