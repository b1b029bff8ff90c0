//! `latimer logits`: writes a model's logits for some ids to a file.

use crate::args::ModelArgs;
use crate::context::Context;
use crate::error::Result;
use crate::numbers::whole;
use crate::terminal;
use latimer_autograd::Pass;
use latimer_nn::io::write_tensor;
use latimer_tensor::Tensor;
use latimer_trainer::Model;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which ids, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Token ids, separated by commas; at least one, at most the model's block_size
    #[arg(long, value_name = "IDS", required = true, value_delimiter = ',', value_parser = whole(0u32))]
    ids: Vec<u32>,
    /// Safetensors file to write, with one tensor `logits` of shape [T, V] in f32
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The result of `logits`.
#[derive(Serialize)]
struct Written {
    shape: [usize; 2],
    out: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let model = context.model(&args.model, None)?;
    let (shape, logits) = logits(&model, &args.ids)?;
    write_tensor("logits", logits, shape, &args.out)?;
    if context.terminal.json {
        let out = args.out.display().to_string();
        terminal::json_result(&Written { shape, out })?;
    } else {
        let [t, v] = shape;
        terminal::result(format_args!("logits [{t}, {v}] in {}", args.out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The logits at every position, `[T, V]`: the columns of the vocabulary without the padding.
fn logits(model: &Model, ids: &[u32]) -> Result<([usize; 2], Vec<f32>)> {
    let config = model.gpt.config();
    let vocab_size = config.vocab_size;
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
        return Err(latimer_nn::Error::IdOutOfRange { id, vocab_size }.into());
    }
    let device = model.params.device();
    let padded = device.enter(|| -> Result<Vec<f32>, latimer_nn::Error> {
        let pass = Pass::evaluate(&model.params);
        let ids = Tensor::from_slice(device, ids, [1, ids.len()])?; // [1, T]
        let logits = model.gpt.logits(&pass, &ids)?; // [T, Vp]
        Ok(logits.to_vec()?)
    })?;
    let rows = padded.chunks_exact(config.padded_vocab_size);
    let valid: Vec<f32> = rows.flat_map(|row| &row[..vocab_size]).copied().collect();
    match valid.iter().all(|logit| logit.is_finite()) {
        true => Ok(([ids.len(), vocab_size], valid)),
        false => Err(latimer_nn::Error::BadLogits.into()),
    }
}
