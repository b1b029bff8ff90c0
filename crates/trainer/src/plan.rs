//! What a run needs, found before anything large is allocated.

use crate::Result;
use crate::config::Config;
use crate::data::Source;
use crate::event::{Plan, PlanPart};
use crate::setup::Material;
use crate::speed::matmul_speed;
use crate::step::{StepNeeds, Training};
use latimer_tensor::Device;

/// Counts what a step needs.
pub(crate) fn plan(
    config: &Config,
    device: &Device,
    material: &Material,
) -> Result<(Plan, StepNeeds)> {
    let Material {
        tokenizer, source, ..
    } = material;
    let model = config.model.with_vocab(tokenizer.vocab_size());
    let needs = Training::needs(device, &model, &config.train)?;
    let flops_per_s = matmul_speed(device, 512, config.train.dtype.dtype())?;
    let plan = Plan {
        parameters: needs.parameters,
        vocab_size: tokenizer.vocab_size(),
        training_tokens: source.training_tokens(),
        validation_tokens: source.validation_tokens(),
        parts: plan_parts(config, &**source),
        steps_done: 0,
        tokens_per_step: config.train.batch_size * config.train.grad_accum * model.block_size,
        flops_per_step: needs.flops,
        memory_bytes: needs.memory_bytes,
        estimated_seconds: config.train.max_iters as f64 * step_seconds(&needs, flops_per_s),
        device: device.info().name,
    };
    Ok((plan, needs))
}

/// Seconds of one step on a device that makes `flops_per_s` in one large product.
fn step_seconds(needs: &StepNeeds, flops_per_s: f64) -> f64 {
    // Small products and everything between them run below that speed; an operation costs a few
    // microseconds on top.
    needs.flops as f64 / (0.6 * flops_per_s) + 5e-6 * needs.ops as f64
}

/// What a run takes from each of several corpora.
fn plan_parts(config: &Config, source: &dyn Source) -> Vec<PlanPart> {
    let train = &config.train;
    let rows = train.max_iters as f64 * (train.batch_size * train.grad_accum) as f64;
    let parts = source.parts().into_iter().map(|part| {
        let tokens = part.source.training_tokens();
        let windows = tokens.map(|tokens| tokens.saturating_sub(1) / config.model.block_size);
        PlanPart {
            data: part.name.to_owned(),
            share: part.share,
            training_tokens: tokens,
            validation_tokens: part.source.validation_tokens(),
            epochs: windows.map(|windows| rows * part.share / windows.max(1) as f64),
        }
    });
    parts.collect()
}

/// The greatest resident memory of this process in MiB, where `/proc` tells.
#[must_use]
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<f64>()
        .ok()
        .map(|kb| kb / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_twice_as_fast_takes_half_the_time_but_for_the_operations() {
        let needs = StepNeeds {
            memory_bytes: 0,
            flops: 6_000_000,
            ops: 0,
            parameters: 0,
        };
        let seconds = |per_s: f64, ops: u64| step_seconds(&StepNeeds { ops, ..needs }, per_s);
        let near = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 1e-12, "{got} {want}");
        // 6 MFLOP at 0.6 of 10 MFLOP/s.
        near(seconds(1e7, 0), 1.0);
        near(seconds(2e7, 0), 0.5);
        near(seconds(1e7, 200_000), 2.0);
    }
}
