//! A sum and its layer normalisation.

use super::Spec;
use super::layer_norm::{draw, normalised};
use crate::naive::{Output, read, twin};
use latimer_tensor::op::AddLayerNorm;
use latimer_tensor::{Host, Result};

pub(super) const fn add_layer_norm(spec: Spec) -> Spec {
    spec.draws(draw).naive(twin!(AddLayerNorm, naive))
}

fn naive(op: &AddLayerNorm<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (mut s, r, weight) = (read(host, op.x)?, read(host, op.r)?, read(host, op.weight)?);
    let bias = op.bias.map(|bias| read(host, bias)).transpose()?;
    s.iter_mut().zip(r).for_each(|(s, r)| *s += r);
    let mut written = normalised(&s, &weight, bias.as_deref(), op.eps);
    written.push(("s", s));
    Ok(written)
}
