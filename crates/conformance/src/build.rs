//! From a case and its placed operands to the operation.

use crate::case::{Attributes, Case};
use crate::outsider::Outsider;
use latimer_tensor::op::{
    AdamW, AddLayerNorm, ArgMax, Attention, AttentionBackward, AttentionDecode, Axpby, Binary,
    Cast, ClipScale, Concat, CrossEntropy, Custom, Dropout, Embedding, EmbeddingBackward, Fill,
    LayerNorm, LayerNormBackward, Matmul, Permute, Reduce, Slice, Softmax, SoftmaxBackward,
    SumSquares, Unary, UnaryBackward,
};
use latimer_tensor::{Op, View, ViewMut};

/// Views of a case's operands, by name; each is taken once.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) inputs: Vec<(&'static str, View<'a>)>,
    pub(crate) outputs: Vec<(&'static str, ViewMut<'a>)>,
}

impl<'a> Bound<'a> {
    fn maybe_read(&self, name: &str) -> Option<View<'a>> {
        let found = self.inputs.iter().find(|(given, _)| *given == name);
        found.map(|(_, view)| *view)
    }

    fn read(&self, name: &str) -> View<'a> {
        self.maybe_read(name)
            .unwrap_or_else(|| unreachable!("the case made no input {name}"))
    }

    fn maybe_write(&mut self, name: &str) -> Option<ViewMut<'a>> {
        let at = self.outputs.iter().position(|(given, _)| *given == name)?;
        Some(self.outputs.swap_remove(at).1)
    }

    fn write(&mut self, name: &str) -> ViewMut<'a> {
        self.maybe_write(name)
            .unwrap_or_else(|| unreachable!("the case made no output {name}"))
    }
}

impl Case {
    /// The operation over these operands.
    pub(crate) fn op<'a>(&self, mut o: Bound<'a>) -> Op<'a> {
        match self.attributes {
            Attributes::Fill { value, .. } => Fill {
                y: o.write("y"),
                value,
            }
            .into(),
            Attributes::Cast { .. } => Cast {
                x: o.read("x"),
                y: o.write("y"),
            }
            .into(),
            Attributes::Permute { axes, .. } => Permute {
                x: o.read("x"),
                y: o.write("y"),
                axes,
            }
            .into(),
            Attributes::Slice { axis, first, .. } => Slice {
                x: o.read("x"),
                y: o.write("y"),
                axis,
                first,
            }
            .into(),
            Attributes::Concat { axis, .. } => Concat {
                a: o.read("a"),
                b: o.read("b"),
                y: o.write("y"),
                axis,
            }
            .into(),
            Attributes::Unary { kind, .. } => Unary {
                kind,
                x: o.read("x"),
                y: o.write("y"),
            }
            .into(),
            Attributes::UnaryBackward { kind, .. } => UnaryBackward {
                kind,
                x: o.read("x"),
                dy: o.read("dy"),
                dx: o.write("dx"),
            }
            .into(),
            Attributes::Binary { kind, .. } => Binary {
                kind,
                a: o.read("a"),
                b: o.read("b"),
                y: o.write("y"),
            }
            .into(),
            Attributes::Axpby { alpha, beta, .. } => Axpby {
                alpha,
                x: o.read("x"),
                beta,
                y: o.write("y"),
            }
            .into(),
            Attributes::Matmul {
                trans_a,
                trans_b,
                alpha,
                beta,
                ..
            } => Matmul {
                a: o.read("a"),
                b: o.read("b"),
                bias: o.maybe_read("bias"),
                y: o.write("y"),
                trans_a,
                trans_b,
                alpha,
                beta,
            }
            .into(),
            Attributes::Reduce {
                kind,
                over,
                accumulate,
                ..
            } => Reduce {
                kind,
                over,
                x: o.read("x"),
                y: o.write("y"),
                accumulate,
            }
            .into(),
            Attributes::ArgMax { valid_columns, .. } => ArgMax {
                x: o.read("x"),
                y: o.write("y"),
                valid_columns,
            }
            .into(),
            Attributes::Embedding { first_position, .. } => Embedding {
                ids: o.read("ids"),
                wte: o.read("wte"),
                wpe: o.maybe_read("wpe"),
                y: o.write("y"),
                first_position,
            }
            .into(),
            Attributes::EmbeddingBackward { .. } => EmbeddingBackward {
                ids: o.read("ids"),
                dy: o.read("dy"),
                dwte: o.write("dwte"),
                dwpe: o.maybe_write("dwpe"),
            }
            .into(),
            Attributes::LayerNorm { eps, .. } => LayerNorm {
                x: o.read("x"),
                weight: o.read("weight"),
                bias: o.maybe_read("bias"),
                y: o.write("y"),
                mean: o.write("mean"),
                rstd: o.write("rstd"),
                eps,
            }
            .into(),
            Attributes::AddLayerNorm { eps, .. } => AddLayerNorm {
                x: o.read("x"),
                r: o.read("r"),
                weight: o.read("weight"),
                bias: o.maybe_read("bias"),
                s: o.write("s"),
                y: o.write("y"),
                mean: o.write("mean"),
                rstd: o.write("rstd"),
                eps,
            }
            .into(),
            Attributes::LayerNormBackward { accumulate, .. } => LayerNormBackward {
                x: o.read("x"),
                weight: o.read("weight"),
                mean: o.read("mean"),
                rstd: o.read("rstd"),
                dy: o.read("dy"),
                dx: o.write("dx"),
                accumulate,
                dweight: o.write("dweight"),
                dbias: o.maybe_write("dbias"),
            }
            .into(),
            Attributes::Softmax {
                scale,
                causal,
                valid_columns,
                ..
            } => Softmax {
                x: o.read("x"),
                y: o.write("y"),
                scale,
                causal,
                valid_columns,
            }
            .into(),
            Attributes::SoftmaxBackward { scale, .. } => SoftmaxBackward {
                y: o.read("y"),
                dy: o.read("dy"),
                dx: o.write("dx"),
                scale,
            }
            .into(),
            Attributes::Attention(a) => Attention {
                qkv: o.read("qkv"),
                y: o.write("y"),
                lse: o.write("lse"),
                n_head: a.n_head,
                scale: a.scale,
                causal: a.causal,
                rate: a.rate,
                site: a.site,
                random: o.maybe_read("random"),
            }
            .into(),
            Attributes::AttentionBackward(a) => AttentionBackward {
                qkv: o.read("qkv"),
                y: o.read("y"),
                lse: o.read("lse"),
                dy: o.read("dy"),
                dqkv: o.write("dqkv"),
                n_head: a.n_head,
                scale: a.scale,
                causal: a.causal,
                rate: a.rate,
                site: a.site,
                random: o.maybe_read("random"),
            }
            .into(),
            Attributes::AttentionDecode {
                position, scale, ..
            } => AttentionDecode {
                qkv: o.read("qkv"),
                k_cache: o.write("k_cache"),
                v_cache: o.write("v_cache"),
                y: o.write("y"),
                position,
                scale,
            }
            .into(),
            Attributes::CrossEntropy {
                valid_columns,
                gradient,
                ..
            } => CrossEntropy {
                logits: o.write("logits"),
                targets: o.read("targets"),
                losses: o.write("losses"),
                valid_columns,
                gradient,
            }
            .into(),
            Attributes::Dropout { rate, site, .. } => Dropout {
                x: o.read("x"),
                y: o.write("y"),
                rate,
                site,
                random: o.read("random"),
            }
            .into(),
            Attributes::SumSquares { accumulate, .. } => SumSquares {
                x: o.read("x"),
                y: o.write("y"),
                accumulate,
            }
            .into(),
            Attributes::ClipScale { max_norm } => ClipScale {
                sum_squares: o.read("sum_squares"),
                scalars: o.write("scalars"),
                max_norm,
            }
            .into(),
            Attributes::AdamW {
                beta1,
                beta2,
                eps,
                weight_decay,
                ..
            } => AdamW {
                param: o.write("param"),
                grad: o.read("grad"),
                m: o.write("m"),
                v: o.write("v"),
                working: o.maybe_write("working"),
                scalars: o.read("scalars"),
                beta1,
                beta2,
                eps,
                weight_decay,
            }
            .into(),
            Attributes::Custom { .. } => Custom {
                kind: &Outsider,
                inputs: ["input0", "input1"].map(|name| o.read(name)).into(),
                outputs: ["output0", "output1"].map(|name| o.write(name)).into(),
            }
            .into(),
        }
    }
}
