//! Losses over many windows.

use crate::Result;
use latimer_autograd::{Mode, Params, Pass};
use latimer_nn::Gpt;
use latimer_tensor::{Scalars, Tensor};

/// Windows of one product, when several of a length follow each other.
const BATCH: usize = 16;

/// Mean next-token cross-entropy in nats over windows of tokens, each predicting all but its
/// first ([`crate::data::windows`] cuts a text into such). `None` where there is nothing to predict.
///
/// # Errors
/// The device's failure.
pub fn mean_loss(
    gpt: &Gpt,
    params: &Params,
    scalars: &Scalars,
    windows: &[&[u32]],
) -> Result<Option<f32>> {
    let (mut sum, mut predicted) = (0.0f64, 0);
    for alike in windows.chunk_by(|a, b| a.len() == b.len()) {
        let seq_len = alike[0].len().saturating_sub(1);
        for batch in alike.chunks(BATCH).filter(|_| seq_len > 0) {
            let n = batch.len() * seq_len;
            let tensor = |first: usize| {
                let ids: Vec<u32> = batch
                    .iter()
                    .flat_map(|w| w[first..][..seq_len].iter().copied())
                    .collect();
                Tensor::from_slice(params.device(), &ids, [batch.len(), seq_len])
            };
            let (ids, targets) = (tensor(0)?, tensor(1)?); // [b, T]
            let loss = params.device().enter(|| -> Result<f32> {
                let pass = Pass::new(params, scalars, Mode::Evaluate);
                Ok(gpt.loss(&pass, &ids, &targets)?.to_vec::<f32>()?[0])
            })?;
            sum += f64::from(loss) * n as f64;
            predicted += n;
        }
    }
    Ok((predicted > 0).then(|| (sum / predicted as f64) as f32))
}
