//! Launches of `kernels/attention_bf16_d*.cu`: bf16 on tensor cores, for the head widths listed
//! here, with a positive scale, in memory aligned to 16 bytes.

use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use crate::memory::{input, input_or_null, output};
use crate::ops::dropout::mask_arguments;
use latimer_tensor::op::{Attention, AttentionBackward, AttentionSizes};
use latimer_tensor::{DType, Handled, Result};

/// Threads of every block, four warps.
const THREADS: u32 = 128;
/// Bytes of a `bf16`.
const ELEMENT: usize = 2;

/// The kernels for heads of one width, with the numbers of rows that their sources name.
struct Kernels {
    head_dim: usize,
    forward: Kernel,
    delta: &'static str,
    /// The kernel for the gradients of keys and values.
    keys: Kernel,
    /// The kernel for the gradients of queries.
    queries: Kernel,
}

/// A kernel: a block owns `rows` rows and takes tiles of `others` rows of the other operands in
/// turn.
struct Kernel {
    name: &'static str,
    rows: usize,
    others: usize,
}

macro_rules! kernels {
    ($($d:literal: [$($forward:literal)*] [$($keys:literal)*] [$($queries:literal)*];)*) => {
        const KERNELS: &[Kernels] = &[$(Kernels {
            head_dim: $d,
            forward: kernels!(@ concat!("attention_forward_bf16_d", $d), $($forward)*),
            delta: concat!("attention_backward_delta_bf16_d", $d),
            keys: kernels!(@ concat!("attention_backward_keys_bf16_d", $d), $($keys)*),
            queries: kernels!(@ concat!("attention_backward_queries_bf16_d", $d), $($queries)*),
        }),*];
    };
    (@ $name:expr, $rows:literal $others:literal) => {
        Kernel { name: $name, rows: $rows, others: $others }
    };
}

// `rows` and `others` of each kernel, as in `kernels/attention_bf16_d*.cu`: 64 rows for each atom
// there.
kernels! {
    16: [64 64] [64 64] [64 64];
    32: [128 64] [128 32] [128 32];
    64: [128 64] [128 32] [128 32];
    96: [128 64] [64 32] [128 32];
    128: [128 32] [64 32] [64 32];
}

impl Kernel {
    /// Blocks along the sequence, heads and batch. A block has `own_tiles` tiles of its own rows in
    /// shared memory, and two tiles of other rows in each of two stages.
    fn geometry(&self, s: AttentionSizes, own_tiles: usize) -> Geometry {
        let rows = own_tiles * self.rows + 4 * self.others;
        Geometry {
            grid: grid(s, self.rows),
            block: THREADS,
            shared: (rows * s.head_dim * ELEMENT) as u32,
        }
    }
}

/// The grid along the sequence (in blocks of `rows` rows), heads and batch.
fn grid(s: AttentionSizes, rows: usize) -> [u32; 3] {
    [s.seq_len.div_ceil(rows), s.n_head, s.batch].map(|n| n as u32)
}

/// The kernels for these sizes, if tensor cores support them.
fn kernels(cuda: &Cuda, dtype: DType, s: AttentionSizes, scale: f32) -> Option<&'static Kernels> {
    let fits = cuda.has_bf16()
        && dtype == DType::Bf16
        // Kernels find the greatest score before scaling, with hidden scores at minus infinity.
        && scale_log2(scale).is_normal()
        && scale > 0.0
        && s.seq_len < 1 << 31
        && s.n_head.max(s.batch) <= 65535;
    let found = KERNELS.iter().find(|k| k.head_dim == s.head_dim);
    found.filter(|_| fits)
}

/// The factor that turns scores into exponents of 2.
fn scale_log2(scale: f32) -> f32 {
    (f64::from(scale) * std::f64::consts::LOG2_E) as f32
}

fn aligned(pointers: &[Arg]) -> bool {
    let is_aligned = |arg: &Arg| matches!(arg, Arg::Pointer(at) if at.is_multiple_of(16));
    pointers.iter().all(is_aligned)
}

/// `site`, `threshold` and `keep_scale`, as [`latimer_tensor::op::DropoutMask`] has them.
fn dropout(site: u32, rate: f32) -> [Arg; 3] {
    let [threshold, scale] = mask_arguments(rate);
    [site.into(), threshold, scale]
}

pub(crate) fn forward(cuda: &Cuda, op: &mut Attention<'_>) -> Result<Handled> {
    let s = op.sizes();
    let Some(kernels) = kernels(cuda, op.qkv.dtype(), s, op.scale) else {
        return Ok(Handled::Unsupported);
    };
    let qkv = input(op.qkv)?;
    let y = output(&mut op.y)?;
    let lse = output(&mut op.lse)?;
    let random = input_or_null(op.random.filter(|_| op.rate > 0.0))?;
    if !aligned(&[qkv, y]) {
        return Ok(Handled::Unsupported);
    }
    let [site, threshold, keep_scale] = dropout(op.site, op.rate);
    cuda.launch(
        kernels.forward.name,
        kernels.forward.geometry(s, 1),
        &[
            qkv,
            y,
            lse,
            random,
            (s.seq_len as u32).into(),
            scale_log2(op.scale).into(),
            op.causal.into(),
            site,
            threshold,
            keep_scale,
        ],
    )
}

pub(crate) fn backward(cuda: &Cuda, op: &mut AttentionBackward<'_>) -> Result<Handled> {
    let s = op.sizes();
    let Some(kernels) = kernels(cuda, op.qkv.dtype(), s, op.scale) else {
        return Ok(Handled::Unsupported);
    };
    let qkv = input(op.qkv)?;
    let y = input(op.y)?;
    let lse = input(op.lse)?;
    let dy = input(op.dy)?;
    let dqkv = output(&mut op.dqkv)?;
    let random = input_or_null(op.random.filter(|_| op.rate > 0.0))?;
    if !aligned(&[qkv, y, dy, dqkv]) {
        return Ok(Handled::Unsupported);
    }
    let statistics = s.batch * s.n_head * s.seq_len;
    let delta = Arg::Pointer(cuda.workspace(statistics * size_of::<f32>())?);
    let seq_len = Arg::U32(s.seq_len as u32);

    // Two or four lanes per row, each 16 bytes at a time.
    let lanes = (s.head_dim * ELEMENT / 16).min(4);
    let geometry = Geometry {
        grid: grid(s, THREADS as usize / lanes),
        block: THREADS,
        shared: 0,
    };
    cuda.kernels
        .launch(kernels.delta, geometry, &[y, dy, delta, seq_len])?;

    let [site, threshold, keep_scale] = dropout(op.site, op.rate);
    let args = [
        qkv,
        dy,
        lse,
        delta,
        dqkv,
        random,
        seq_len,
        op.scale.into(),
        scale_log2(op.scale).into(),
        op.causal.into(),
        site,
        threshold,
        keep_scale,
    ];
    let mut geometry = kernels.keys.geometry(s, 2);
    // Besides the tiles: lse and delta of the queries of two stages.
    geometry.shared += (4 * kernels.keys.others * size_of::<f32>()) as u32;
    cuda.kernels.launch(kernels.keys.name, geometry, &args)?;
    cuda.launch(kernels.queries.name, kernels.queries.geometry(s, 2), &args)
}
