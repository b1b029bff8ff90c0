//! Every operation with operands for timing it.

use crate::error::Result;
use latimer_tensor::op::table::{Access, DTypeRule, Outlined};
use latimer_tensor::op::{BinaryKind, Outline, Over, Parts, ReduceKind, UnaryKind};
use latimer_tensor::philox::Stream;
use latimer_tensor::{Cost, DType, Device, DryRun, Tensor};

/// An operation bound to its operands: each call runs it once.
pub(super) type Bound = Box<dyn FnMut(&Device) -> latimer_tensor::Result<()> + Send>;

/// An operation that can be timed.
pub(super) struct Timed {
    pub(super) name: &'static str,
    /// The names of the sizes that `--shape` gives, in order.
    pub(super) sizes: &'static [&'static str],
    /// The default sizes: those of GPT-2's smallest model, or of one of its blocks, on four rows of
    /// 64 tokens.
    pub(super) usual: &'static [usize],
    /// A remark on the variant that is timed, if the name leaves that open.
    pub(super) note: &'static str,
    /// Adds sizes and attributes, given the sizes and the main type.
    outline: fn(Outline, &[usize], DType) -> Outline,
}

impl Timed {
    /// Makes the operands on a device.
    pub(super) fn bind(&self, device: &Device, dtype: DType, sizes: &[usize]) -> Result<Bound> {
        let mut outline = (self.outline)(Outline::of(self.name), sizes, dtype);
        let table = outline.table();
        if table.free_type().is_none() {
            // The operation itself refuses it.
            outline = outline.dtype(table.operands[0].name, dtype);
        }
        let vocabulary = self.sizes.iter().position(|name| *name == "V");
        let ids = vocabulary.map_or(1, |at| sizes[at]);
        let made = outline.operands(dtype).map(|operand| {
            let tensor = made(device, &operand, ids)?;
            Ok((operand.name, operand.access == Access::In, tensor))
        });
        let mut made = made.collect::<latimer_tensor::Result<Vec<_>>>()?;
        Ok(Box::new(move |device| {
            let mut parts = Parts::default();
            for (name, is_read, tensor) in &mut made {
                if *is_read {
                    parts.inputs.push((name, tensor.view()));
                } else {
                    parts.outputs.push((name, tensor.view_mut()?));
                }
            }
            device.run(outline.op(parts))
        }))
    }

    /// The cost of one run, and the bytes of all operands, found on a device that only counts.
    pub(super) fn needs(&self, dtype: DType, sizes: &[usize]) -> Result<(Cost, u64)> {
        let dry = DryRun::default();
        let device = Device::new(dry.clone());
        let mut once = self.bind(&device, dtype, sizes)?;
        let before = dry.cost();
        once(&device)?;
        let after = dry.cost();
        Ok((
            Cost {
                flops: after.flops - before.flops,
                bytes: after.bytes - before.bytes,
            },
            device.pool_stats().peak_bytes as u64,
        ))
    }
}

/// Number of normal values that are drawn; longer operands repeat them.
const DRAWS: usize = 1 << 16;

/// `n` normally distributed values.
pub(super) fn normal_values(n: usize, seed: u32) -> Vec<f32> {
    let mut stream = Stream::new(0, seed, 0);
    let draws: Vec<f32> = (0..DRAWS.min(n)).map(|_| stream.normal() as f32).collect();
    draws.iter().copied().cycle().take(n).collect()
}

fn some_ids(n: usize, below: usize) -> Vec<u32> {
    let mut stream = Stream::new(1, 0, 0);
    (0..n).map(|_| stream.below(below as u64) as u32).collect()
}

/// An operand, whose ids are below `ids`. On a device that only counts it has no values.
fn made(device: &Device, o: &Outlined, ids: usize) -> latimer_tensor::Result<Tensor> {
    let (n, shape) = (o.shape.numel(), o.shape);
    if o.access == Access::Out || device.info().backend == DryRun::NAME {
        return Tensor::zeros(device, shape, o.dtype);
    }
    match (o.name, o.rule.dtype) {
        // A step of learning rate 0 that clips nothing, and its random words.
        ("scalars", _) => Tensor::from_slice(device, &[0f32, 1., 1., 1., 0., 0., 0., 0.], shape),
        ("random", _) => Tensor::from_slice(device, &[0u32, 0, 1, 0], shape),
        (_, DTypeRule::Is(DType::U32)) => Tensor::from_slice(device, &some_ids(n, ids), shape),
        (_, DTypeRule::StatisticsOf(_)) => Tensor::full(device, shape, o.dtype, 1.0),
        _ => {
            let mut values = normal_values(n, shape.rank() as u32);
            if o.access == Access::InOut {
                // Squares are among them.
                values.iter_mut().for_each(|x| *x = x.abs());
            }
            Tensor::from_slice(device, &values, shape)?.cast(o.dtype)
        }
    }
}

const fn timed(
    name: &'static str,
    sizes: &'static [&'static str],
    usual: &'static [usize],
    note: &'static str,
    outline: fn(Outline, &[usize], DType) -> Outline,
) -> Timed {
    Timed {
        name,
        sizes,
        usual,
        note,
        outline,
    }
}

/// Sizes `[B, T, NH, D]`, with GPT-2's scale.
fn attention(op: Outline, sizes: &[usize], _: DType) -> Outline {
    let op = op.sizes("BTHD", sizes).set("scale", scale(sizes[3]));
    op.set("causal", true).set("rate", 0.0).set("site", 0u32)
}

/// GPT-2's attention scale for rows of width `D`.
fn scale(head_dim: usize) -> f32 {
    1.0 / (head_dim as f32).sqrt()
}

/// GPT-2's epsilon.
const EPS: f32 = 1e-5;

/// Every operation except `clip_scale`, which is that of a scalar, and `custom`, which is the
/// caller's.
#[rustfmt::skip] // table
pub(super) const TIMED: &[Timed] = &[
    timed("fill", &["N"], &[196_608], "", |op, s, _| op.shape("y", s).set("value", 1.0)),
    timed("cast", &["N"], &[196_608], "to bf16; from it, to f32", |op, s, from| {
        op.shape("x", s).dtype("y", if from == DType::Bf16 { DType::F32 } else { DType::Bf16 })
    }),
    timed("permute", &["B", "T", "NH", "D"], &[4, 64, 12, 64], "[B, T, NH, D] to [B, NH, T, D]", |op, s, _| {
        op.shape("x", s).shape("y", [s[0], s[2], s[1], s[3]]).set("axes", [0, 2, 1, 3])
    }),
    timed("slice", &["N", "C"], &[256, 768], "columns C to 2C of [N, 3C]", |op, s, _| {
        op.shape("x", [s[0], 3 * s[1]]).shape("y", s).set("axis", 1usize).set("first", s[1])
    }),
    timed("concat", &["N", "C"], &[256, 768], "two [N, C] side by side", |op, s, _| {
        op.shape("a", s).shape("b", s).shape("y", [s[0], 2 * s[1]]).set("axis", 1usize)
    }),
    timed("unary", &["N"], &[786_432], "GELU (tanh)", |op, s, _| op.shape("x", s).set("kind", UnaryKind::GeluTanh)),
    timed("unary_backward", &["N"], &[786_432], "GELU (tanh)", |op, s, _| {
        op.shape("x", s).set("kind", UnaryKind::GeluTanh)
    }),
    timed("binary", &["N"], &[196_608], "a sum", |op, s, _| op.shape("a", s).shape("b", s).set("kind", BinaryKind::Add)),
    timed("axpby", &["N"], &[196_608], "x + y", |op, s, _| op.shape("x", s).set("alpha", 1.0).set("beta", 1.0)),
    timed("matmul", &["M", "K", "N"], &[256, 768, 768], "[M, K] by [K, N]", |op, s, _| {
        op.sizes("MKN", s).set("trans_a", false).set("trans_b", false).set("alpha", 1.0).set("beta", 0.0)
    }),
    timed("reduce", &["N", "C"], &[256, 768], "sums of columns", |op, s, _| {
        let op = op.shape("x", s).shape("y", [s[1]]).set("kind", ReduceKind::Sum);
        op.set("over", Over::Rows).set("accumulate", false)
    }),
    timed("arg_max", &["N", "V"], &[4, 50_257], "", |op, s, _| op.sizes("NC", s).set("valid_columns", s[1])),
    timed("embedding", &["B", "T", "V", "C"], &[4, 64, 50_257, 768], "", |op, s, _| {
        op.sizes("BTVC", s).shape("wpe", [s[1], s[3]]).set("first_position", 0usize)
    }),
    timed("embedding_backward", &["B", "T", "V", "C"], &[4, 64, 50_257, 768], "", |op, s, _| {
        op.sizes("BTVC", s).shape("dwpe", [s[1], s[3]])
    }),
    timed("layer_norm", &["N", "C"], &[256, 768], "", |op, s, _| op.sizes("NC", s).give("bias", true).set("eps", EPS)),
    timed("add_layer_norm", &["N", "C"], &[256, 768], "", |op, s, _| {
        op.sizes("NC", s).give("bias", true).set("eps", EPS)
    }),
    timed("layer_norm_backward", &["N", "C"], &[256, 768], "", |op, s, _| {
        op.sizes("NC", s).give("dbias", true).set("accumulate", false)
    }),
    timed("rms_norm", &["N", "C"], &[256, 768], "", |op, s, _| op.sizes("NC", s).set("eps", EPS)),
    timed("rms_norm_backward", &["N", "C"], &[256, 768], "", |op, s, _| op.sizes("NC", s).set("accumulate", false)),
    timed("softmax", &["N", "C"], &[3072, 64], "", |op, s, _| {
        op.sizes("NC", s).set("scale", 1.0).set("causal", false).set("valid_columns", s[1])
    }),
    timed("softmax_backward", &["N", "C"], &[3072, 64], "", |op, s, _| op.sizes("NC", s).set("scale", 1.0)),
    timed("attention", &["B", "T", "NH", "D"], &[4, 64, 12, 64], "causal", attention),
    timed("attention_backward", &["B", "T", "NH", "D"], &[4, 64, 12, 64], "causal", attention),
    timed("attention_decode", &["B", "S", "NH", "D"], &[1, 1024, 12, 64], "one new position after S - 1", |op, s, _| {
        op.sizes("BSHD", s).sizes("T", [1]).set("position", s[1] - 1).set("scale", scale(s[3]))
    }),
    timed("cross_entropy", &["N", "V"], &[256, 50_257], "with its gradient in place", |op, s, _| {
        op.sizes("NC", s).set("valid_columns", s[1]).set("gradient", Some(1.0 / s[0] as f32))
    }),
    timed("dropout", &["N", "C"], &[256, 768], "rate 0.1", |op, s, _| {
        op.sizes("NC", s).set("rate", 0.1).set("site", 0u32)
    }),
    timed("sum_squares", &["N"], &[7_087_872], "", |op, s, _| op.shape("x", s).set("accumulate", false)),
    timed("adamw", &["N"], &[7_087_872], "", |op, s, _| {
        let op = op.sizes("N", s).set("beta1", 0.9).set("beta2", 0.95);
        op.set("eps", 1e-8).set("weight_decay", 0.1)
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Some machines multiply zeros faster than other numbers.
    #[test]
    fn operands_have_values_where_they_are_timed() {
        let device = Device::reference();
        let timed = TIMED
            .iter()
            .find(|timed| timed.name == "embedding")
            .unwrap();
        let sizes = [1, 1000, 50, 64];
        let outline = (timed.outline)(Outline::of(timed.name), &sizes, DType::F32);
        let all = outline
            .operands(DType::F32)
            .map(|o| made(&device, &o, 50).unwrap());
        let [ids, wte, ..] = &all.collect::<Vec<_>>()[..] else {
            panic!("it has tables")
        };
        let values = wte.to_vec::<f32>().unwrap();
        assert!(values.iter().all(|&x| x != 0.0));
        let ids = ids.to_vec::<u32>().unwrap();
        assert!(ids.iter().all(|&id| id < 50) && ids.iter().any(|&id| id > 0));
    }
}
