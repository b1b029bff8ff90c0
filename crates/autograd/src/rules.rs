//! The rule of every differentiable operation, as a table: from `dy`, the gradient of its output,
//! to the gradients of its operands.
//!
//! A rule keeps what its equation names and nothing else. It adds to the gradient of an operand by
//! one call on [`Gradients`], which computes nothing if that gradient is not wanted; parameters'
//! gradients are always added to. `lm_loss` is not here: `ops/loss.rs` computes its gradients
//! together with the loss.

use crate::{AttentionSpec, Gradients, GradientKey, Param, Result};
use latimer_tensor::op::{
    AttentionBackward, Axpby, BinaryKind, Custom, CustomOp, Dropout, EmbeddingBackward, LayerNormBackward,
    Matmul, Over, Permute, Reduce, ReduceKind, RmsNormBackward, SoftmaxBackward, UnaryBackward, UnaryKind,
};
use latimer_tensor::{Elementwise, Shape, Tensor};

/// A backward rule: a closure that takes the gradients and `dy`.
pub(crate) trait Rule: FnOnce(&mut Gradients<'_>, Tensor) -> Result<()> {}
impl<F: FnOnce(&mut Gradients<'_>, Tensor) -> Result<()>> Rule for F {}

// ---- arithmetic

/// `y = a + b`:  `da = dy`,  `db = dy`.
pub(crate) fn add(a: GradientKey, b: GradientKey) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.pass_on(a, dy.clone())?;
        g.pass_on(b, dy)
    }
}

/// `y = a - b`:  `db = -Σ dy`,  `da = dy`.  Here and in the next two, Σ is over the axes that `b`
/// lacks.
pub(crate) fn sub(a: GradientKey, b: GradientKey) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        if g.wants(b)? { add_sums(g, b, -1.0, &dy)?; }
        g.pass_on(a, dy)
    }
}

/// `y = a · b`, by element:  `db = Σ dy·a`,  `da = dy·b`.  A value is kept if the other's gradient
/// is wanted.
pub(crate) fn mul(a: GradientKey, b: GradientKey, [a_value, b_value]: [Option<Tensor>; 2]) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        if let Some(a) = a_value { add_sums(g, b, 1.0, &dy.zip(BinaryKind::Mul, &a)?)?; }
        if let Some(b) = b_value { g.pass_on(a, dy.zip(BinaryKind::Mul, &b)?)?; }
        Ok(())
    }
}

/// `y = a / b`, by element:  `da = dy/b`,  `db = -Σ da·y`.  `y` is kept if the gradient of `b` is
/// wanted.
pub(crate) fn div(a: GradientKey, b: Tensor, y: Option<Tensor>) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let da = dy.zip(BinaryKind::Div, &b)?;
        if let Some(y) = y { add_sums(g, (&b).into(), -1.0, &da.zip(BinaryKind::Mul, &y)?)?; }
        g.pass_on(a, da)
    }
}

/// `y = factor · x`:  `dx = factor · dy`.
pub(crate) fn scale(x: GradientKey, factor: f32) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.contribute(x, |y| dy.device().run(Axpby { alpha: factor, x: dy.view(), beta: 0.0, y }))
    }
}

/// `y = slope · Σ_columns x`:  `dx = slope · dy`, for every column of the row.
pub(crate) fn reduce(x: GradientKey, slope: f32) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let [rows, columns] = [x.shape().rows(), x.shape().columns()];
        let dy = dy.reshape([rows, 1])?;
        let row = || Tensor::full(dy.device(), [1, columns], dy.dtype(), 1.0);
        g.contribute(x, |dx| {
            let (row, dx) = (row()?, dx.slice(0, [rows, columns])?);
            dy.device().run(Matmul::new(dy.view(), row.view(), dx).scaled(slope, 0.0))
        })
    }
}

/// `y = f(x)`, by element:  `dx = f'(x) · dy`.
pub(crate) fn unary(kind: UnaryKind, x: Tensor) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.contribute(&x, |dx| x.device().run(UnaryBackward { kind, x: x.view(), dy: dy.view(), dx }))
    }
}

// ---- products

/// `y = x · w + b`:  `dw += xᵀ · dy`,  `db += Σ_rows dy`,  `dx = dy · wᵀ`.
pub(crate) fn linear(x: Tensor, w: Param, b: Option<Param>) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let (device, w_value) = (g.device(), g.params().value(w)?);
        g.params().with_weight_and_bias(w, b, |dw, db| {
            device.run(Matmul::new(x.view(), dy.view(), dw).trans_a().scaled(1.0, 1.0))?;
            let Some(y) = db else { return Ok(()) };
            device.run(Reduce { kind: ReduceKind::Sum, over: Over::Rows, x: dy.view(), y, accumulate: true })
        })?;
        g.accumulate(&x, |dx, add| {
            let beta = if add { 1.0 } else { 0.0 };
            device.run(Matmul::new(dy.view(), w_value, dx).trans_b().scaled(1.0, beta))
        })
    }
}

/// `y = a · b`:  `da = dy · bᵀ`,  `db = aᵀ · dy`;  `y = a · bᵀ`:  `da = dy · b`,  `db = dyᵀ · a`.
pub(crate) fn matmul(a: Tensor, b: Tensor, trans_b: bool) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let device = g.device();
        g.contribute(&a, |da| device.run(Matmul { trans_b: !trans_b, ..Matmul::new(dy.view(), b.view(), da) }))?;
        let (left, right) = if trans_b { (&dy, &a) } else { (&a, &dy) };
        g.contribute(&b, |db| device.run(Matmul::new(left.view(), right.view(), db).trans_a()))
    }
}

/// `y = wte[ids] + wpe[positions]`:  `dwte[ids] += dy`,  `dwpe[positions] += dy`.
pub(crate) fn embedding(ids: Tensor, wte: Param, wpe: Option<Param>) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.params().with_weight_and_bias(wte, wpe, |dwte, dwpe| {
            dy.device().run(EmbeddingBackward { ids: ids.view(), dy: dy.view(), dwte, dwpe })
        })
    }
}

// ---- normalisation, attention, dropout: each is one operation of its own

/// `y = layer_norm(x) · w + b`:  `dw +=`, `db +=` and `dx`, see [`LayerNormBackward`].
pub(crate) fn layer_norm(x: Tensor, w: Param, b: Option<Param>, mean: Tensor, rstd: Tensor) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let (params, weight) = (g.params(), g.params().value(w)?);
        let (device, mean, rstd, dy) = (g.device(), mean.view(), rstd.view(), dy.view());
        g.accumulate_or_drop(&x, |dx, accumulate| params.with_weight_and_bias(w, b, |dweight, dbias| {
            let x = x.view();
            device.run(LayerNormBackward { x, weight, mean, rstd, dy, dx, accumulate, dweight, dbias })
        }))
    }
}

/// `y = rms_norm(x) · w`:  `dw +=` and `dx`, see [`RmsNormBackward`].
pub(crate) fn rms_norm(x: Tensor, w: Param, rstd: Tensor) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let (params, weight) = (g.params(), g.params().value(w)?);
        let (device, rstd, dy) = (g.device(), rstd.view(), dy.view());
        g.accumulate_or_drop(&x, |dx, accumulate| params.with_weight_and_bias(w, None, |dweight, _| {
            device.run(RmsNormBackward { x: x.view(), weight, rstd, dy, dx, accumulate, dweight })
        }))
    }
}

/// `y = softmax(scale · x)` by row:  `dx = scale · y · (dy - Σ_columns dy·y)`.
pub(crate) fn softmax(x: GradientKey, y: Tensor, scale: f32) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.contribute(x, |dx| y.device().run(SoftmaxBackward { y: y.view(), dy: dy.view(), dx, scale }))
    }
}

/// `y = attention(qkv)`:  `dqkv`, see [`AttentionBackward`]; `rate` is the dropout of the forward
/// pass.
pub(crate) fn attention(qkv: Tensor, y: Tensor, lse: Tensor, spec: AttentionSpec, rate: f32) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let AttentionSpec { n_head, scale, causal, site, .. } = spec;
        let random = Some(g.random()).filter(|_| rate > 0.0);
        let (device, y, lse, dy) = (g.device(), y.view(), lse.view(), dy.view());
        g.contribute(&qkv, |dqkv| {
            let qkv = qkv.view();
            device.run(AttentionBackward { qkv, y, lse, dy, dqkv, n_head, scale, causal, rate, site, random })
        })
    }
}

/// `y = mask · x / (1 - rate)`:  `dx = mask · dy / (1 - rate)`, the mask drawn again.
pub(crate) fn dropout(x: GradientKey, rate: f32, site: u32) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let random = g.random();
        g.contribute(x, |y| dy.device().run(Dropout { x: dy.view(), y, rate, site, random }))
    }
}

// ---- movement

/// `y = permute(x, axes)`:  `dx = permute(dy, axes⁻¹)`.
pub(crate) fn permute(x: GradientKey, back: [usize; 4]) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.contribute(x, |y| dy.device().run(Permute { x: dy.view(), y, axes: back }))
    }
}

/// `y = x[first..first + n]` along an axis:  `dx = [0, dy, 0]` along it.
pub(crate) fn slice(x: GradientKey, axis: usize, first: usize, n: usize) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let longest = x.shape().dims()[axis];
        if n == longest || !g.wants(x)? { return g.pass_on(x, dy); }
        let zeros = |length| Tensor::zeros(dy.device(), with_length(x.shape(), axis, length), dy.dtype());
        let (before, after) = (zeros(first)?, zeros(longest - first - n)?);
        // Leave out empty parts: often the slice begins or ends where `x` does.
        let mut parts = vec![&before, &dy, &after];
        parts.retain(|part| part.dims()[axis] > 0);
        g.pass_on(x, Tensor::cat(&parts, axis)?)
    }
}

/// `y = [a, b]` along an axis:  `da` and `db` are the two parts of `dy`.
pub(crate) fn concat(a: GradientKey, b: GradientKey, axis: usize) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let [of_a, of_b] = [a, b].map(|x| x.shape().dims()[axis]);
        if g.wants(a)? { g.pass_on(a, dy.slice(axis, 0, of_a)?)?; }
        if g.wants(b)? { g.pass_on(b, dy.slice(axis, of_a, of_b)?)?; }
        Ok(())
    }
}

// ---- operations from outside

/// `y = f(x)`, by element:  `dx = f'(x) · dy`.
pub(crate) fn apply(x: Tensor, f: Elementwise) -> impl Rule {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        g.contribute(&x, |dx| {
            let (inputs, outputs) = (vec![x.view(), dy.view()], vec![dx]);
            x.device().run(Custom { kind: &f.backward(), inputs, outputs })
        })
    }
}

/// `y = op(x₁, x₂, …)`:  `dx₁, dx₂, … = backward(x₁, x₂, …, dy)`, for the inputs that are floats.
pub(crate) fn custom<'a>(backward: &'a dyn CustomOp, inputs: Vec<Tensor>) -> impl Rule + 'a {
    move |g: &mut Gradients<'_>, dy: Tensor| {
        let floats = || inputs.iter().filter(|x| x.dtype().is_float());
        let empty = |x: &Tensor| Tensor::empty(g.device(), x.shape(), x.dtype());
        let mut all = floats().map(empty).collect::<Result<Vec<_>, _>>()?;
        let outputs = all.iter_mut().map(Tensor::view_mut).collect::<Result<_, _>>()?;
        let read = inputs.iter().chain([&dy]).map(Tensor::view).collect();
        g.device().run(Custom { kind: backward, inputs: read, outputs })?;
        floats().zip(all).try_for_each(|(x, dx)| g.pass_on(x, dx))
    }
}

// ---- what rules share

/// Adds `sign · Σ terms` to the gradient of `x`. The sum is over the leading axes that `x` lacks,
/// as a product of ones and terms.
fn add_sums(g: &mut Gradients<'_>, x: GradientKey, sign: f32, terms: &Tensor) -> Result<()> {
    let n = x.shape().numel();
    let terms = terms.reshape([terms.shape().numel() / n.max(1), n])?; // [N, x]
    g.contribute(x, |dx| {
        let ones = Tensor::full(terms.device(), [1, terms.shape().rows()], terms.dtype(), 1.0)?;
        let dx = dx.slice(0, [1, n])?;
        terms.device().run(Matmul::new(ones.view(), terms.view(), dx).scaled(sign, 0.0))
    })
}

/// `shape` with another length along `axis`.
fn with_length(shape: Shape, axis: usize, length: usize) -> Shape {
    let mut dims = [1; Shape::MAX_RANK];
    dims[..shape.rank()].copy_from_slice(shape.dims());
    dims[axis] = length;
    Shape::new(&dims[..shape.rank()])
}
