//! Every operation with operands for timing it.

use crate::error::Result;
use latimer_tensor::op::{
    AdamW, AddLayerNorm, ArgMax, Attention, AttentionBackward, AttentionDecode, Axpby, Binary,
    BinaryKind, Cast, Concat, CrossEntropy, Dropout, Embedding, EmbeddingBackward, Fill, LayerNorm,
    LayerNormBackward, Matmul, Over, Permute, Reduce, ReduceKind, Slice, Softmax, SoftmaxBackward,
    SumSquares, Unary, UnaryBackward, UnaryKind,
};
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
    bind: fn(&Operands<'_>, &[usize]) -> latimer_tensor::Result<Bound>,
}

impl Timed {
    /// Makes the operands on a device.
    pub(super) fn bind(&self, device: &Device, dtype: DType, sizes: &[usize]) -> Result<Bound> {
        Ok((self.bind)(&Operands { device, dtype }, sizes)?)
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

/// Makes normally distributed operands of one type. On a device that only counts they have no
/// values.
struct Operands<'a> {
    device: &'a Device,
    dtype: DType,
}

impl Operands<'_> {
    fn normal(&self, shape: &[usize]) -> latimer_tensor::Result<Tensor> {
        if self.only_counts() {
            return self.out(shape);
        }
        let values = normal_values(shape.iter().product(), shape.len() as u32);
        Tensor::from_slice(self.device, &values, shape)?.cast(self.dtype)
    }

    fn only_counts(&self) -> bool {
        self.device.info().backend == DryRun::NAME
    }

    fn out(&self, shape: &[usize]) -> latimer_tensor::Result<Tensor> {
        Tensor::zeros(self.device, shape, self.dtype)
    }

    /// Statistics of rows: `F64` for `F64` operands, otherwise `F32`.
    fn statistics(&self, shape: &[usize]) -> latimer_tensor::Result<Tensor> {
        let wide = self.dtype == DType::F64;
        let dtype = if wide { DType::F64 } else { DType::F32 };
        Tensor::full(self.device, shape, dtype, 1.0)
    }

    /// The block of scalars that an update reads: factor 1, nothing to correct.
    fn scalars(&self) -> latimer_tensor::Result<Tensor> {
        Tensor::from_slice(
            self.device,
            &[0.0f32, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            [8],
        )
    }

    fn ids(&self, shape: &[usize], below: usize) -> latimer_tensor::Result<Tensor> {
        if self.only_counts() {
            return Tensor::zeros(self.device, shape, DType::U32);
        }
        let mut stream = Stream::new(1, 0, 0);
        let n = shape.iter().product();
        let ids: Vec<u32> = (0..n).map(|_| stream.below(below as u64) as u32).collect();
        Tensor::from_slice(self.device, &ids, shape)
    }
}

/// A table entry. Its closure makes the operands once; each call then runs the operation once.
macro_rules! timed {
    ($name:literal, [$($size:ident = $usual:literal),*], $note:literal, |$o:ident| {
        $($made:tt)*
    } => $op:expr) => {
        Timed {
            name: $name,
            sizes: &[$(stringify!($size)),*],
            usual: &[$($usual),*],
            note: $note,
            bind: |$o, sizes| {
                #[allow(non_snake_case, reason = "sizes are written as in shapes")]
                let [$($size),*] = *sizes else {
                    unreachable!("their number was checked")
                };
                $($made)*
                Ok(Box::new(move |device| device.run($op)))
            },
        }
    };
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
    timed!("fill", [N = 196_608], "", |o| { let mut y = o.out(&[N])?; }
        => Fill { y: y.view_mut()?, value: 1.0 }),
    timed!("cast", [N = 196_608], "to bf16; from it, to f32", |o| {
        let x = o.normal(&[N])?;
        let to = if o.dtype == DType::Bf16 { DType::F32 } else { DType::Bf16 };
        let mut y = Tensor::zeros(o.device, [N], to)?;
    } => Cast { x: x.view(), y: y.view_mut()? }),
    timed!("permute", [B = 4, T = 64, NH = 12, D = 64], "[B, T, NH, D] to [B, NH, T, D]", |o| {
        let (x, mut y) = (o.normal(&[B, T, NH, D])?, o.out(&[B, NH, T, D])?);
    } => Permute { x: x.view(), y: y.view_mut()?, axes: [0, 2, 1, 3] }),
    timed!("slice", [N = 256, C = 768], "columns C to 2C of [N, 3C]", |o| {
        let (x, mut y) = (o.normal(&[N, 3 * C])?, o.out(&[N, C])?);
    } => Slice { x: x.view(), y: y.view_mut()?, axis: 1, first: C }),
    timed!("concat", [N = 256, C = 768], "two [N, C] side by side", |o| {
        let (a, b, mut y) = (o.normal(&[N, C])?, o.normal(&[N, C])?, o.out(&[N, 2 * C])?);
    } => Concat { a: a.view(), b: b.view(), y: y.view_mut()?, axis: 1 }),
    timed!("unary", [N = 786_432], "GELU (tanh)", |o| {
        let (x, mut y) = (o.normal(&[N])?, o.out(&[N])?);
    } => Unary { kind: UnaryKind::GeluTanh, x: x.view(), y: y.view_mut()? }),
    timed!("unary_backward", [N = 786_432], "GELU (tanh)", |o| {
        let (x, dy, mut dx) = (o.normal(&[N])?, o.normal(&[N])?, o.out(&[N])?);
    } => UnaryBackward { kind: UnaryKind::GeluTanh, x: x.view(), dy: dy.view(), dx: dx.view_mut()? }),
    timed!("binary", [N = 196_608], "a sum", |o| {
        let (a, b, mut y) = (o.normal(&[N])?, o.normal(&[N])?, o.out(&[N])?);
    } => Binary { kind: BinaryKind::Add, a: a.view(), b: b.view(), y: y.view_mut()? }),
    timed!("axpby", [N = 196_608], "x + y", |o| {
        let (x, mut y) = (o.normal(&[N])?, o.out(&[N])?);
    } => Axpby { alpha: 1.0, x: x.view(), beta: 1.0, y: y.view_mut()? }),
    timed!("matmul", [M = 256, K = 768, N = 768], "[M, K] by [K, N]", |o| {
        let (a, b, mut y) = (o.normal(&[M, K])?, o.normal(&[K, N])?, o.out(&[M, N])?);
    } => Matmul::new(a.view(), b.view(), y.view_mut()?)),
    timed!("reduce", [N = 256, C = 768], "sums of columns", |o| {
        let (x, mut y) = (o.normal(&[N, C])?, o.out(&[C])?);
    } => Reduce { kind: ReduceKind::Sum, over: Over::Rows, x: x.view(), y: y.view_mut()?, accumulate: false }),
    timed!("arg_max", [N = 4, V = 50_257], "", |o| {
        let (x, mut y) = (o.normal(&[N, V])?, Tensor::zeros(o.device, [N], DType::U32)?);
    } => ArgMax { valid_columns: x.shape().columns(), x: x.view(), y: y.view_mut()? }),
    timed!("embedding", [B = 4, T = 64, V = 50_257, C = 768], "", |o| {
        let (ids, wte, wpe) = (o.ids(&[B, T], V)?, o.normal(&[V, C])?, o.normal(&[T, C])?);
        let mut y = o.out(&[B, T, C])?;
    } => Embedding { ids: ids.view(), wte: wte.view(), wpe: Some(wpe.view()), y: y.view_mut()?, first_position: 0 }),
    timed!("embedding_backward", [B = 4, T = 64, V = 50_257, C = 768], "", |o| {
        let (ids, dy) = (o.ids(&[B, T], V)?, o.normal(&[B, T, C])?);
        let (mut dwte, mut dwpe) = (o.out(&[V, C])?, o.out(&[T, C])?);
    } => EmbeddingBackward { ids: ids.view(), dy: dy.view(), dwte: dwte.view_mut()?, dwpe: Some(dwpe.view_mut()?) }),
    timed!("layer_norm", [N = 256, C = 768], "", |o| {
        let (x, weight, bias) = (o.normal(&[N, C])?, o.normal(&[C])?, o.normal(&[C])?);
        let (mut y, mut mean, mut rstd) = (o.out(&[N, C])?, o.statistics(&[N])?, o.statistics(&[N])?);
    } => LayerNorm {
        x: x.view(), weight: weight.view(), bias: Some(bias.view()),
        y: y.view_mut()?, mean: mean.view_mut()?, rstd: rstd.view_mut()?, eps: EPS,
    }),
    timed!("add_layer_norm", [N = 256, C = 768], "", |o| {
        let (x, r, weight, bias) = (o.normal(&[N, C])?, o.normal(&[N, C])?, o.normal(&[C])?, o.normal(&[C])?);
        let (mut s, mut y) = (o.out(&[N, C])?, o.out(&[N, C])?);
        let (mut mean, mut rstd) = (o.statistics(&[N])?, o.statistics(&[N])?);
    } => AddLayerNorm {
        x: x.view(), r: r.view(), weight: weight.view(), bias: Some(bias.view()), s: s.view_mut()?,
        y: y.view_mut()?, mean: mean.view_mut()?, rstd: rstd.view_mut()?, eps: EPS,
    }),
    timed!("layer_norm_backward", [N = 256, C = 768], "", |o| {
        let (x, dy, weight) = (o.normal(&[N, C])?, o.normal(&[N, C])?, o.normal(&[C])?);
        let (mean, rstd, mut dx) = (o.statistics(&[N])?, o.statistics(&[N])?, o.out(&[N, C])?);
        let (mut dweight, mut dbias) = (o.out(&[C])?, o.out(&[C])?);
    } => LayerNormBackward {
        x: x.view(), weight: weight.view(), mean: mean.view(), rstd: rstd.view(), dy: dy.view(),
        dx: dx.view_mut()?, accumulate: false, dweight: dweight.view_mut()?, dbias: Some(dbias.view_mut()?),
    }),
    timed!("softmax", [N = 3072, C = 64], "", |o| {
        let (x, mut y) = (o.normal(&[N, C])?, o.out(&[N, C])?);
    } => Softmax { valid_columns: x.shape().columns(), x: x.view(), y: y.view_mut()?, scale: 1.0, causal: false }),
    timed!("softmax_backward", [N = 3072, C = 64], "", |o| {
        let (y, dy, mut dx) = (o.normal(&[N, C])?, o.normal(&[N, C])?, o.out(&[N, C])?);
    } => SoftmaxBackward { y: y.view(), dy: dy.view(), dx: dx.view_mut()?, scale: 1.0 }),
    timed!("attention", [B = 4, T = 64, NH = 12, D = 64], "causal", |o| {
        let qkv = o.normal(&[B, T, 3 * NH * D])?;
        let (mut y, mut lse) = (o.out(&[B, T, NH * D])?, o.statistics(&[B, NH, T])?);
    } => Attention {
        qkv: qkv.view(), y: y.view_mut()?, lse: lse.view_mut()?,
        n_head: NH, scale: scale(D), causal: true, rate: 0.0, site: 0, random: None,
    }),
    timed!("attention_backward", [B = 4, T = 64, NH = 12, D = 64], "causal", |o| {
        let (qkv, dy) = (o.normal(&[B, T, 3 * NH * D])?, o.normal(&[B, T, NH * D])?);
        let (mut y, mut lse) = (o.out(&[B, T, NH * D])?, o.statistics(&[B, NH, T])?);
        o.device.run(Attention {
            qkv: qkv.view(), y: y.view_mut()?, lse: lse.view_mut()?,
            n_head: NH, scale: scale(D), causal: true, rate: 0.0, site: 0, random: None,
        })?;
        let mut dqkv = o.out(&[B, T, 3 * NH * D])?;
    } => AttentionBackward {
        qkv: qkv.view(), y: y.view(), lse: lse.view(), dy: dy.view(), dqkv: dqkv.view_mut()?,
        n_head: NH, scale: scale(D), causal: true, rate: 0.0, site: 0, random: None,
    }),
    timed!("attention_decode", [B = 1, S = 1024, NH = 12, D = 64], "one new position after S - 1", |o| {
        let (qkv, mut y) = (o.normal(&[B, 1, 3 * NH * D])?, o.out(&[B, 1, NH * D])?);
        let (mut k_cache, mut v_cache) = (o.normal(&[B, NH, S, D])?, o.normal(&[B, NH, S, D])?);
    } => AttentionDecode {
        qkv: qkv.view(), k_cache: k_cache.view_mut()?, v_cache: v_cache.view_mut()?, y: y.view_mut()?,
        position: S - 1, scale: scale(D),
    }),
    timed!("cross_entropy", [N = 256, V = 50_257], "with its gradient in place", |o| {
        let (mut logits, targets, mut losses) = (o.normal(&[N, V])?, o.ids(&[N], V)?, o.statistics(&[N])?);
    } => CrossEntropy {
        logits: logits.view_mut()?, targets: targets.view(), losses: losses.view_mut()?,
        valid_columns: V, gradient: Some(1.0 / N as f32),
    }),
    timed!("dropout", [N = 256, C = 768], "rate 0.1", |o| {
        let (x, mut y, random) = (o.normal(&[N, C])?, o.out(&[N, C])?, Tensor::zeros(o.device, [4], DType::U32)?);
    } => Dropout { x: x.view(), y: y.view_mut()?, rate: 0.1, site: 0, random: random.view() }),
    timed!("sum_squares", [N = 7_087_872], "", |o| {
        let (x, mut y) = (o.normal(&[N])?, Tensor::zeros(o.device, [1], DType::F32)?);
    } => SumSquares { x: x.view(), y: y.view_mut()?, accumulate: false }),
    timed!("adamw", [N = 7_087_872], "", |o| {
        let (mut param, grad, scalars) = (o.normal(&[N])?, o.normal(&[N])?, o.scalars()?);
        let (mut m, mut v) = (o.out(&[N])?, o.out(&[N])?);
    } => AdamW {
        param: param.view_mut()?, grad: grad.view(), m: m.view_mut()?, v: v.view_mut()?,
        working: None, scalars: scalars.view(), beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1,
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Some machines multiply zeros faster than other numbers.
    #[test]
    fn operands_have_values_where_they_are_timed() {
        let device = Device::reference();
        let operands = Operands {
            device: &device,
            dtype: DType::F32,
        };
        let values = operands.normal(&[64, 64]).unwrap().to_vec::<f32>().unwrap();
        assert!(values.iter().all(|&x| x != 0.0));
        let ids = operands.ids(&[1000], 50).unwrap().to_vec::<u32>().unwrap();
        assert!(ids.iter().all(|&id| id < 50) && ids.iter().any(|&id| id > 0));
    }
}
