//! Layer normalisation over rows, and its gradient.

use super::Spec;
use crate::case::{Case, Source};
use crate::naive::{Output, dot, read, sum, twin};
use crate::strategies::{columns, drawn, rows_of};
use latimer_tensor::op::{LayerNorm, LayerNormBackward, Outline};
use latimer_tensor::{DType, Host, Result};
use proptest::prelude::{BoxedStrategy, any};
use proptest::sample::select;

pub(super) fn draw(op: &'static str) -> BoxedStrategy<Case> {
    let parts = (rows_of(columns()), any::<bool>(), select(vec![1e-5, 1e-3]));
    drawn(parts, move |(x, bias, eps)| {
        Outline::of(op)
            .shape("x", x)
            .give("bias", bias)
            .set("eps", eps)
    })
}

pub(super) const fn layer_norm(spec: Spec) -> Spec {
    spec.draws(draw).naive(twin!(LayerNorm, naive))
}

pub(super) const fn layer_norm_backward(spec: Spec) -> Spec {
    spec.draws(|op| {
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        drawn(
            (rows_of(columns()), flags),
            move |(x, (bias, accumulate, f32_gradients))| {
                let outline = Outline::of(op).shape("x", x).give("dbias", bias);
                let outline = outline.dtype("dweight", f32_gradients.then_some(DType::F32));
                outline.set("accumulate", accumulate)
            },
        )
    })
    .source(|backward, operand| match operand {
        "mean" | "rstd" => {
            let forward = Outline::of("layer_norm").shape("x", backward.shape_of("x"));
            Source::Forward(Box::new(forward.set("eps", 1e-5)))
        }
        _ => Source::Anything,
    })
    .naive(twin!(LayerNormBackward, naive_backward))
}

// ---- naive evaluation

pub(super) fn normalised(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32) -> Vec<Output> {
    let n = weight.len() as f32;
    let (mut y, mut means, mut rstds) = (Vec::new(), Vec::new(), Vec::new());
    for row in x.chunks(weight.len()) {
        let mean = sum(row.iter().copied()) / n;
        let variance = sum(row.iter().map(|x| (x - mean) * (x - mean))) / n;
        let rstd = 1.0 / (variance + eps).sqrt();
        for (j, x) in row.iter().enumerate() {
            y.push((x - mean) * rstd * weight[j] + bias.map_or(0.0, |bias| bias[j]));
        }
        means.push(mean);
        rstds.push(rstd);
    }
    vec![("y", y), ("mean", means), ("rstd", rstds)]
}

fn naive(op: &LayerNorm<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (x, weight) = (read(host, op.x)?, read(host, op.weight)?);
    let bias = op.bias.map(|bias| read(host, bias)).transpose()?;
    Ok(normalised(&x, &weight, bias.as_deref(), op.eps))
}

fn naive_backward(op: &LayerNormBackward<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (x, weight, dy) = (
        read(host, op.x)?,
        read(host, op.weight)?,
        read(host, op.dy)?,
    );
    let (mean, rstd) = (read(host, op.mean)?, read(host, op.rstd)?);
    let c = weight.len();
    let n = c as f32;
    let mut dx = match op.accumulate {
        true => read(host, op.dx.as_view())?,
        false => vec![0.0; x.len()],
    };
    let mut dweight = read(host, op.dweight.as_view())?;
    let mut dbias = match &op.dbias {
        Some(dbias) => read(host, dbias.as_view())?,
        None => vec![0.0; c],
    };
    for (i, (x, dy)) in x.chunks_exact(c).zip(dy.chunks_exact(c)).enumerate() {
        let normal: Vec<f32> = x.iter().map(|x| (x - mean[i]) * rstd[i]).collect();
        let g: Vec<f32> = dy.iter().zip(&weight).map(|(dy, w)| dy * w).collect();
        let (g_mean, gn_mean) = (sum(g.iter().copied()) / n, dot(&g, &normal) / n);
        for j in 0..c {
            dx[i * c + j] += rstd[i] * (g[j] - g_mean - normal[j] * gn_mean);
            dweight[j] += dy[j] * normal[j];
            dbias[j] += dy[j];
        }
    }
    let mut written = vec![("dx", dx), ("dweight", dweight)];
    if op.dbias.is_some() {
        written.push(("dbias", dbias));
    }
    Ok(written)
}
