//! Operations on rows, and on single elements.

use super::{Output, dot, exp, probabilities, read, sum};
use latimer_tensor::op::{
    AddLayerNorm, CrossEntropy, LayerNorm, LayerNormBackward, Softmax, SoftmaxBackward, Unary,
    UnaryBackward, UnaryKind,
};
use latimer_tensor::{Host, Result};
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// GELU's factor `√(2/π)`; the cubic coefficient below is GPT-2's too.
const GELU_SCALE: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const GELU_CUBIC: f32 = 0.044_715;

fn tanh(x: f32) -> f32 {
    f64::from(x).tanh() as f32
}

/// `erf(x/√2)`, computed from the meaning of GELU, `x/2·(1 + erf(x/√2))`.
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    if x == 0.0 {
        return 0.0;
    }
    (2.0 * UnaryKind::GeluErf.value(x) / x - 1.0) as f32
}

/// `f(x)` and `f'(x)`.
fn function(kind: UnaryKind, x: f32) -> (f32, f32) {
    match kind {
        UnaryKind::Exp => (exp(x), exp(x)),
        UnaryKind::Tanh => (tanh(x), 1.0 - tanh(x) * tanh(x)),
        UnaryKind::GeluTanh => {
            let t = tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
            let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
            let slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
            (0.5 * x * (1.0 + t), slope)
        }
        UnaryKind::GeluErf => {
            let density = exp(-0.5 * x * x) * (0.5 * GELU_SCALE);
            let below = 0.5 * (1.0 + erf(x));
            (x * below, below + x * density)
        }
        _ => (
            kind.value(x.into()) as f32,
            kind.derivative(x.into()) as f32,
        ),
    }
}

pub(super) fn unary(op: &Unary<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let x = read(host, op.x)?;
    Ok(vec![(
        "y",
        x.into_iter().map(|x| function(op.kind, x).0).collect(),
    )])
}

pub(super) fn unary_backward(op: &UnaryBackward<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (x, dy) = (read(host, op.x)?, read(host, op.dy)?);
    let slopes = x.into_iter().map(|x| function(op.kind, x).1);
    Ok(vec![("dx", slopes.zip(dy).map(|(f, dy)| f * dy).collect())])
}

fn normalised(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32) -> Vec<Output> {
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

pub(super) fn layer_norm(op: &LayerNorm<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (x, weight) = (read(host, op.x)?, read(host, op.weight)?);
    let bias = op.bias.map(|bias| read(host, bias)).transpose()?;
    Ok(normalised(&x, &weight, bias.as_deref(), op.eps))
}

pub(super) fn add_layer_norm(op: &AddLayerNorm<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let (mut s, r, weight) = (read(host, op.x)?, read(host, op.r)?, read(host, op.weight)?);
    let bias = op.bias.map(|bias| read(host, bias)).transpose()?;
    s.iter_mut().zip(r).for_each(|(s, r)| *s += r);
    let mut written = normalised(&s, &weight, bias.as_deref(), op.eps);
    written.push(("s", s));
    Ok(written)
}

pub(super) fn layer_norm_backward(
    op: &LayerNormBackward<'_>,
    host: &Host<'_>,
) -> Result<Vec<Output>> {
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

pub(super) fn softmax(op: &Softmax<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let mut y = read(host, op.x)?;
    for (i, row) in y.chunks_mut(op.x.shape().columns()).enumerate() {
        let (p, _) = probabilities(&row[..op.reach(i)], op.scale);
        row.fill(0.0);
        row[..p.len()].copy_from_slice(&p);
    }
    Ok(vec![("y", y)])
}

pub(super) fn softmax_backward(op: &SoftmaxBackward<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let c = op.y.shape().columns();
    let (y, dy) = (read(host, op.y)?, read(host, op.dy)?);
    let mut dx = Vec::new();
    for (y, dy) in y.chunks(c).zip(dy.chunks(c)) {
        let mean = dot(y, dy);
        dx.extend(y.iter().zip(dy).map(|(y, dy)| op.scale * y * (dy - mean)));
    }
    Ok(vec![("dx", dx)])
}

pub(super) fn cross_entropy(op: &CrossEntropy<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let mut logits = read(host, op.logits.as_view())?;
    let targets = host.read_ids(op.targets)?;
    let mut losses = Vec::new();
    for (row, target) in logits.chunks_mut(op.logits.shape().columns()).zip(targets) {
        let (p, lse) = probabilities(&row[..op.valid_columns], 1.0);
        losses.push(lse - row[target]);
        let Some(factor) = op.gradient else { continue };
        row.fill(0.0);
        for (j, (x, p)) in row.iter_mut().zip(p).enumerate() {
            *x = factor * (p - f32::from(u8::from(j == target)));
        }
    }
    Ok(vec![("logits", logits), ("losses", losses)])
}
