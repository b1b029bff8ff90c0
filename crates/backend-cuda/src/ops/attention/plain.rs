//! Launches of `kernels/attention.cu` and `kernels/attention_plain_bf16.cu`: heads up to 256 wide.

use crate::kernel::{Arg, Geometry};
use crate::memory::{input, input_or_null, output};
use crate::ops::dropout::mask_arguments;
use crate::{Cuda, kernel::by_dtype};
use latimer_tensor::op::{Attention, AttentionBackward, AttentionDecode, AttentionSizes};
use latimer_tensor::{DType, Handled, Result, View};

/// Threads of a block, in all of these kernels.
const BLOCK: u32 = 128;
const WARPS: usize = 4;

/// Widths that heads are padded to, forward and backward.
const WIDTHS: &[usize] = &[64, 128, 256];
/// Widths that heads are padded to when few positions are decoded: reading memory limits the speed
/// there, so padding costs more.
const DECODE_WIDTHS: &[usize] = &[32, 64, 128, 256];

/// A kernel's name for an element type and the width that heads are padded to.
macro_rules! by_width {
    ($dtype:expr, $width:expr, $name:literal, [$($d:literal)*]) => {
        match ($dtype, $width) {
            $((DType::F32, $d) => concat!($name, "_f32_d", $d),
            (DType::Bf16, $d) => concat!($name, "_bf16_d", $d),)*
            _ => return Ok(Handled::Unsupported),
        }
    };
    ($dtype:expr, $width:expr, $name:literal) => {
        by_width!($dtype, $width, $name, [64 128 256])
    };
}

/// The narrowest of `widths` that a head fits into; `None` if there is no kernel for the width or
/// the type.
fn padded(cuda: &Cuda, dtype: DType, s: AttentionSizes, widths: &[usize]) -> Option<usize> {
    let known = match dtype {
        DType::F32 => true,
        DType::Bf16 => cuda.has_bf16(),
        _ => false,
    };
    // Rows, columns and a row's elements are counted in 32 bits.
    let counted = s.seq_len < 1 << 30
        && s.batch * s.seq_len * s.n_head < 1 << 31
        && s.n_head * s.head_dim < 1 << 24;
    let width = widths.iter().copied().find(|w| s.head_dim <= *w);
    width.filter(|_| known && counted)
}

/// The tiles of a block, as `Tiles` in `kernels/attention_tiles.cuh` defines them.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    /// Padded width of a head.
    width: usize,
    /// Rows that one lane computes.
    rows: usize,
    columns: usize,
}

impl Tiles {
    /// The tiles of forward, as in `kernels/attention_entries.cuh`.
    fn forward(width: usize) -> Self {
        let (rows, columns) = match width {
            64 => (4, 64),
            128 => (4, 32),
            _ => (2, 32),
        };
        Self {
            width,
            rows,
            columns,
        }
    }

    /// The tiles of both passes of backward.
    fn backward(width: usize) -> Self {
        let rows = match width {
            64 => 4,
            128 => 2,
            _ => 1,
        };
        Self {
            width,
            rows,
            columns: 32,
        }
    }

    /// The blocks for all rows of all heads, each with shared memory for `resident` operands that
    /// stay, a chunk of those that are streamed, the weights, and `more` floats.
    fn geometry(self, s: AttentionSizes, resident: usize, more: usize) -> Geometry {
        let block_rows = 16 * self.rows;
        let floats = resident * block_rows * (self.width + 4)
            + self.columns * (self.width.min(64) + 4)
            + block_rows * (self.columns + 4)
            + more;
        let blocks = s.batch * s.n_head * s.seq_len.div_ceil(block_rows);
        // One more word notes whether something is not finite.
        Geometry::row(blocks, BLOCK).shared(4 * (floats + 1))
    }
}

/// Whether rows of heads begin at multiples of four elements, for all of these addresses.
fn in_quads(dtype: DType, head_dim: usize, operands: &[Arg]) -> bool {
    let aligned = |arg: &Arg| match arg {
        Arg::Pointer(address) => address.is_multiple_of(4 * dtype.size() as u64),
        _ => true,
    };
    head_dim.is_multiple_of(4) && operands.iter().all(aligned)
}

/// The random words and, from the rate, which draws are dropped and what kept weights are
/// multiplied by: [`latimer_tensor::op::DropoutMask`]'s numbers.
fn dropout(random: Option<View<'_>>, site: u32, rate: f32) -> Result<(Arg, [Arg; 3])> {
    let random = input_or_null(random.filter(|_| rate > 0.0))?;
    let [threshold, kept] = mask_arguments(rate);
    Ok((random, [site.into(), threshold, kept]))
}

/// The number of keys after its own position that a query sees.
fn offset(causal: bool, s: AttentionSizes) -> u32 {
    if causal { 0 } else { s.seq_len as u32 }
}

/// The address `elements` elements after `base`.
fn further(base: Arg, elements: usize, dtype: DType) -> Arg {
    match base {
        Arg::Pointer(address) => Arg::Pointer(address + (elements * dtype.size()) as u64),
        other => other,
    }
}

pub(crate) fn forward(cuda: &Cuda, op: &mut Attention<'_>) -> Result<Handled> {
    let (s, dtype) = (op.sizes(), op.qkv.dtype());
    let Some(width) = padded(cuda, dtype, s, WIDTHS) else {
        return Ok(Handled::Unsupported);
    };
    let qkv = input(op.qkv)?;
    let y = output(&mut op.y)?;
    let lse = output(&mut op.lse)?;
    let (random, mask) = dropout(op.random, op.site, op.rate)?;
    let c = s.n_head * s.head_dim;
    let head = Head {
        q: qkv,
        k: further(qkv, c, dtype),
        v: further(qkv, 2 * c, dtype),
        y,
        lse,
        kv_row: 3 * c as u32,
        kv_head: s.head_dim as u64,
        kv_batch: (3 * c * s.seq_len) as u64,
        keys: s.seq_len,
        offset: offset(op.causal, s),
        quads: in_quads(dtype, s.head_dim, &[qkv, y]),
        scale: op.scale,
    };
    launch_forward(cuda, dtype, width, s, head, random, mask)
}

/// The arguments in which forward and decoding of many positions differ.
#[derive(Clone, Copy, Debug)]
struct Head {
    q: Arg,
    k: Arg,
    v: Arg,
    y: Arg,
    lse: Arg,
    kv_row: u32,
    kv_head: u64,
    kv_batch: u64,
    keys: usize,
    offset: u32,
    quads: bool,
    scale: f32,
}

fn launch_forward(
    cuda: &Cuda,
    dtype: DType,
    width: usize,
    s: AttentionSizes,
    head: Head,
    random: Arg,
    mask: [Arg; 3],
) -> Result<Handled> {
    let [site, threshold, kept] = mask;
    cuda.launch(
        by_width!(dtype, width, "attention_forward_plain"),
        Tiles::forward(width).geometry(s, 1, 0),
        &[
            head.q,
            head.k,
            head.v,
            head.y,
            head.lse,
            random,
            head.kv_head.into(),
            head.kv_batch.into(),
            ((3 * s.n_head * s.head_dim) as u32).into(),
            head.kv_row.into(),
            (s.n_head as u32).into(),
            (s.seq_len as u32).into(),
            (head.keys as u32).into(),
            (s.head_dim as u32).into(),
            head.offset.into(),
            head.quads.into(),
            head.scale.into(),
            site,
            threshold,
            kept,
        ],
    )
}

pub(crate) fn backward(cuda: &Cuda, op: &mut AttentionBackward<'_>) -> Result<Handled> {
    let (s, dtype) = (op.sizes(), op.qkv.dtype());
    let Some(width) = padded(cuda, dtype, s, WIDTHS) else {
        return Ok(Handled::Unsupported);
    };
    let qkv = input(op.qkv)?;
    let y = input(op.y)?;
    let dy = input(op.dy)?;
    let lse = input(op.lse)?;
    let dqkv = output(&mut op.dqkv)?;
    let (random, [site, threshold, kept]) = dropout(op.random, op.site, op.rate)?;
    let rows = s.batch * s.seq_len * s.n_head;
    let delta = Arg::Pointer(cuda.workspace(4 * rows)?);
    let [n_head, seq_len, head_dim] = [s.n_head, s.seq_len, s.head_dim].map(|n| n as u32);
    cuda.kernels.launch(
        by_dtype!(dtype, "attention_delta"),
        Geometry::row(rows.div_ceil(WARPS), BLOCK),
        &[
            y,
            dy,
            delta,
            (rows as u32).into(),
            n_head.into(),
            seq_len.into(),
            head_dim.into(),
        ],
    )?;
    let args = [
        qkv,
        dy,
        lse,
        delta,
        dqkv,
        random,
        n_head.into(),
        seq_len.into(),
        head_dim.into(),
        offset(op.causal, s).into(),
        in_quads(dtype, s.head_dim, &[qkv, dy, dqkv]).into(),
        op.scale.into(),
        site,
        threshold,
        kept,
    ];
    let tiles = Tiles::backward(width);
    cuda.kernels.launch(
        by_width!(dtype, width, "attention_backward_kv"),
        tiles.geometry(s, 2, 2 * tiles.columns),
        &args,
    )?;
    cuda.launch(
        by_width!(dtype, width, "attention_backward_q"),
        tiles.geometry(s, 2, 0),
        &args,
    )
}

/// Up to this many new positions, each reads the cache by itself; more positions share tiles of it.
const FEW: usize = 8;
/// Blocks that fill a device: with fewer rows, the keys of a row are cut into stretches.
const ROWS_ENOUGH: usize = 512;
/// Keys of a stretch: first if rows are few, then if there are [`ROWS_ENOUGH`].
const STRETCHES: [usize; 2] = [256, 4096];

pub(crate) fn decode(cuda: &Cuda, op: &mut AttentionDecode<'_>) -> Result<Handled> {
    let (s, dtype) = (op.sizes(), op.qkv.dtype());
    let room = op.k_cache.shape().dims()[2];
    let keys = op.position + s.seq_len;
    let is_few = s.seq_len <= FEW;
    let widths = if is_few { DECODE_WIDTHS } else { WIDTHS };
    let Some(width) = padded(cuda, dtype, s, widths).filter(|_| room < 1 << 30) else {
        return Ok(Handled::Unsupported);
    };
    let qkv = input(op.qkv)?;
    let k_cache = output(&mut op.k_cache)?;
    let v_cache = output(&mut op.v_cache)?;
    let y = output(&mut op.y)?;
    let quads = in_quads(dtype, s.head_dim, &[qkv, k_cache, v_cache, y]);
    let rows = s.batch * s.n_head * s.seq_len;
    let [n_head, seq_len, head_dim] = [s.n_head, s.seq_len, s.head_dim].map(|n| n as u32);
    let [room_u32, position] = [room, op.position].map(|n| n as u32);

    if !is_few {
        cuda.kernels.launch(
            by_dtype!(dtype, "attention_append"),
            Geometry::row(rows.div_ceil(WARPS), BLOCK),
            &[
                qkv,
                k_cache,
                v_cache,
                (rows as u32).into(),
                n_head.into(),
                seq_len.into(),
                room_u32.into(),
                position.into(),
                head_dim.into(),
            ],
        )?;
        let per_head = (room * s.head_dim) as u64;
        let head = Head {
            q: qkv,
            k: k_cache,
            v: v_cache,
            y,
            lse: Arg::Pointer(0),
            kv_row: s.head_dim as u32,
            kv_head: per_head,
            kv_batch: per_head * s.n_head as u64,
            keys,
            offset: position,
            quads,
            scale: op.scale,
        };
        let mask = [0u32.into(), 0u32.into(), 1.0f32.into()];
        return launch_forward(cuda, dtype, width, s, head, Arg::Pointer(0), mask);
    }

    let stretch = STRETCHES[usize::from(rows >= ROWS_ENOUGH)];
    let splits = keys.div_ceil(stretch);
    let partial = match splits {
        0 | 1 => Arg::Pointer(0),
        _ => Arg::Pointer(cuda.workspace(4 * rows * splits * (s.head_dim + 2))?),
    };
    // 16 running softmaxes per block: two numbers (and two of padding) besides the values.
    let shared = 4 * 16 * (width + 4);
    cuda.kernels.launch(
        by_width!(dtype, width, "attention_decode", [32 64 128 256]),
        Geometry::row(rows * splits, BLOCK).shared(shared),
        &[
            qkv,
            k_cache,
            v_cache,
            y,
            partial,
            n_head.into(),
            seq_len.into(),
            room_u32.into(),
            position.into(),
            head_dim.into(),
            quads.into(),
            (stretch as u32).into(),
            (splits as u32).into(),
            op.scale.into(),
        ],
    )?;
    if splits > 1 {
        cuda.kernels.launch(
            by_dtype!(dtype, "attention_decode_combine"),
            Geometry::row(rows, BLOCK),
            &[
                partial,
                y,
                n_head.into(),
                seq_len.into(),
                head_dim.into(),
                (splits as u32).into(),
            ],
        )?;
    }
    Ok(Handled::Done)
}
