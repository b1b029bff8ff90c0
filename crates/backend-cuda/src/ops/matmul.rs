//! Products: launches of `kernels/matmul.cu` and `kernels/matmul_bf16.cu`, or cuBLASLt if it is
//! installed.

use crate::Cuda;
use crate::kernel::{Arg, Geometry};
use crate::memory::pointer;
use latimer_tensor::op::{Matmul, MatmulSizes};
use latimer_tensor::{DType, Handled, Result};

/// A product on the device: addresses, and the properties that a kernel is chosen by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) sizes: MatmulSizes,
    pub(crate) trans_a: bool,
    pub(crate) trans_b: bool,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    pub(crate) a: u64,
    pub(crate) b: u64,
    /// The bias's address; 0 for no bias.
    pub(crate) bias: u64,
    pub(crate) y: u64,
    pub(crate) types: Types,
}

/// The combinations of types that have kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Types {
    /// All are `f32`.
    F32,
    /// All are `bf16`, sums are `f32`.
    Bf16,
    /// `y` is `f32`, the others `bf16`.
    Bf16ToF32,
}

impl Types {
    fn of(op: &Matmul<'_>) -> Option<Self> {
        match (op.a.dtype(), op.y.dtype()) {
            (DType::F32, DType::F32) => Some(Self::F32),
            (DType::Bf16, DType::Bf16) => Some(Self::Bf16),
            (DType::Bf16, DType::F32) => Some(Self::Bf16ToF32),
            _ => None,
        }
    }

    /// Bytes of an element of `a`, `b` and `bias`.
    pub(crate) fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// Bytes of an element of `y`.
    pub(crate) fn y_bytes(self) -> usize {
        if self == Self::Bf16 { 2 } else { 4 }
    }
}

pub(crate) fn matmul(cuda: &Cuda, op: &mut Matmul<'_>) -> Result<Handled> {
    let Some(types) = Types::of(op) else {
        return Ok(Handled::Unsupported);
    };
    if types != Types::F32 && !cuda.has_bf16() {
        return Ok(Handled::Unsupported);
    }
    let sizes = op.sizes();
    let MatmulSizes { batch, m, n, k } = sizes;
    // Kernels count in 32 bits within a matrix.
    if [m, n, k].into_iter().any(|side| side >= 1 << 31)
        || m.div_ceil(64) * n.div_ceil(64) >= 1 << 31
    {
        return Ok(Handled::Unsupported);
    }
    if batch * m * n == 0 {
        return Ok(Handled::Done);
    }
    run(
        cuda,
        &Product {
            sizes,
            trans_a: op.trans_a,
            trans_b: op.trans_b,
            alpha: op.alpha,
            beta: op.beta,
            a: pointer(op.a)?,
            b: pointer(op.b)?,
            bias: op.bias.map_or(Ok(0), pointer)?,
            y: pointer(op.y.as_view())?,
            types,
        },
    )
}

/// Enqueues a product by cuBLASLt if it supports it, otherwise by our own kernels.
fn run(cuda: &Cuda, p: &Product) -> Result<Handled> {
    let MatmulSizes { batch, m, n, .. } = p.sizes;
    let plan = Plan::of(p.sizes, p.trans_b, p.types, cuda.driver.multiprocessors);
    // cuBLASLt is slow at few rows: its tiles are as tall as ours.
    if matches!(plan.way, Way::Tiles(_)) && cuda.blas.product(&cuda.driver, p)? == Handled::Done {
        return Ok(Handled::Done);
    }
    let name = plan.kernel(p);
    if plan.slices == 1 {
        let places = Places {
            bias: p.bias,
            y: p.y,
            flags: p.flags(),
            alpha: p.alpha,
            beta: p.beta,
        };
        launch(cuda, name, p, &plan, places)?;
        return Ok(Handled::Done);
    }
    let cells = batch * m * n;
    let sums = cuda.workspace(4 * plan.slices * cells)?;
    let places = Places {
        bias: 0,
        y: sums,
        flags: p.flags() & !Y_WIDE | Y_F32 | wide(sums, n, 2, Y_WIDE),
        alpha: 1.0,
        beta: 0.0,
    };
    launch(cuda, name, p, &plan, places)?;
    let finish = match p.types {
        Types::F32 => "matmul_finish_f32",
        Types::Bf16 | Types::Bf16ToF32 => "matmul_finish_bf16",
    };
    cuda.launch(
        finish,
        Geometry::row(cells.div_ceil(256), 256),
        &[
            Arg::Pointer(sums),
            Arg::Pointer(p.bias),
            Arg::Pointer(p.y),
            (cells as u64).into(),
            (n as u32).into(),
            (plan.slices as u32).into(),
            p.flags().into(),
            p.alpha.into(),
            p.beta.into(),
        ],
    )
}

// Flags of a product, the same in kernels/matmul.cuh.
const A_WIDE: u32 = 1;
const B_WIDE: u32 = 2;
const Y_WIDE: u32 = 4;
const Y_F32: u32 = 8;
const A_TRANSPOSED: u32 = 16;

/// `flag` if all rows of `columns` elements begin at multiples of 16 bytes, else 0.
fn wide(pointer: u64, columns: usize, bytes: usize, flag: u32) -> u32 {
    if pointer.is_multiple_of(16) && (columns * bytes).is_multiple_of(16) {
        flag
    } else {
        0
    }
}

impl Product {
    fn flags(&self) -> u32 {
        let MatmulSizes { m, n, k, .. } = self.sizes;
        let bytes = self.types.bytes();
        let flag = |is, flag| if is { flag } else { 0 };
        wide(self.a, if self.trans_a { m } else { k }, bytes, A_WIDE)
            | wide(self.b, if self.trans_b { k } else { n }, bytes, B_WIDE)
            | wide(self.y, n, 2, Y_WIDE)
            | flag(self.types == Types::Bf16ToF32, Y_F32)
            | flag(self.trans_a, A_TRANSPOSED)
    }
}

/// The arguments in which the launches of a whole product and of its slices differ.
struct Places {
    bias: u64,
    y: u64,
    flags: u32,
    alpha: f32,
    beta: f32,
}

/// The most blocks along a grid's y, and so the most matrices of one launch.
const GRID_Y: usize = 65_535;

fn launch(cuda: &Cuda, name: &'static str, p: &Product, plan: &Plan, to: Places) -> Result<()> {
    let MatmulSizes { batch, m, n, k } = p.sizes;
    let bytes = p.types.bytes();
    let y_bytes = if to.flags & Y_F32 > 0 {
        4
    } else {
        p.types.y_bytes()
    };
    for first in (0..batch).step_by(GRID_Y) {
        let after = |pointer: u64, bytes: usize| Arg::Pointer(pointer + (first * bytes) as u64);
        cuda.kernels.launch(
            name,
            Geometry {
                grid: [
                    plan.blocks(p.sizes) as u32,
                    (batch - first).min(GRID_Y) as u32,
                    plan.slices as u32,
                ],
                ..plan.geometry
            },
            &[
                after(p.a, bytes * m * k),
                after(p.b, bytes * k * n),
                Arg::Pointer(to.bias),
                after(to.y, y_bytes * m * n),
                (m as u32).into(),
                (n as u32).into(),
                (k as u32).into(),
                (plan.slice as u32).into(),
                to.flags.into(),
                to.alpha.into(),
                to.beta.into(),
            ],
        )?;
    }
    Ok(())
}

/// How a product's elements are divided among threads and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// For at most this many rows (1 or 4): each warp or lane takes a column of `b`.
    Rows(usize),
    /// Each block computes a square of this side (64 or 128).
    Tiles(usize),
}

/// The kernel for a product, and the number of slices of `k`.
///
/// The slices follow from the sizes alone, and the tile does not change the order of an element's
/// sum, so the bits of a product do not depend on the size of the GPU.
#[derive(Clone, Copy, Debug)]
struct Plan {
    way: Way,
    slices: usize,
    /// Terms of a slice.
    slice: usize,
    /// Columns of a block of [`Way::Rows`].
    columns: usize,
    /// The geometry, with the grid still to be set.
    geometry: Geometry,
}

/// Sums are cut into slices only below this many small tiles: four per multiprocessor of a large
/// GPU.
const TILES_WANTED: usize = 512;
/// A slice has at least this many terms; fewer are not worth a second kernel.
const LEAST_SLICE: usize = 512;
/// A slice is a multiple of every kernel's strip.
const STRIP: usize = 32;

impl Plan {
    fn of(sizes: MatmulSizes, trans_b: bool, types: Types, multiprocessors: u32) -> Self {
        let MatmulSizes { batch, m, n, k } = sizes;
        let tiles = |side: usize| batch * m.div_ceil(side) * n.div_ceil(side);
        let mut plan = Self {
            way: Way::Tiles(64),
            slices: 1,
            slice: k,
            columns: 0,
            geometry: Geometry::row(0, 0),
        };
        if m <= 4 {
            let rows = if m == 1 { 1 } else { 4 };
            plan.way = Way::Rows(rows);
            (plan.columns, plan.geometry) = if trans_b {
                (8, Geometry::row(0, 256))
            } else {
                let columns = 32 * 4 / types.bytes();
                let shared = 32 * rows * columns * 4;
                (columns, Geometry::row(0, 1024).shared(shared))
            };
            return plan;
        }
        let slices = (TILES_WANTED / tiles(64)).min(k / LEAST_SLICE);
        if slices > 1 {
            plan.slice = k.div_ceil(slices).next_multiple_of(STRIP);
            plan.slices = k.div_ceil(plan.slice);
        }
        let large = tiles(128) * plan.slices >= multiprocessors as usize;
        let side = if large { 128 } else { 64 };
        plan.way = Way::Tiles(side);
        let shared = match types {
            // Two strips of 8 terms of both operands.
            Types::F32 => 2 * 8 * 2 * side * 4,
            // Three strips of 32.
            Types::Bf16 | Types::Bf16ToF32 => 3 * 32 * 2 * side * 2,
        };
        plan.geometry = Geometry::row(0, if large { 256 } else { 128 }).shared(shared);
        plan
    }

    /// Blocks for one matrix.
    fn blocks(&self, sizes: MatmulSizes) -> usize {
        match self.way {
            Way::Rows(_) => sizes.n.div_ceil(self.columns),
            Way::Tiles(side) => sizes.m.div_ceil(side) * sizes.n.div_ceil(side),
        }
    }

    fn kernel(&self, p: &Product) -> &'static str {
        macro_rules! transposed {
            ($rest:literal) => {
                match (p.trans_a, p.trans_b) {
                    (false, false) => concat!("matmul_nn", $rest),
                    (false, true) => concat!("matmul_nt", $rest),
                    (true, false) => concat!("matmul_tn", $rest),
                    (true, true) => concat!("matmul_tt", $rest),
                }
            };
        }
        macro_rules! rows {
            ($rest:literal) => {
                if p.trans_b {
                    concat!("matmul_rows_nt", $rest)
                } else {
                    concat!("matmul_rows_nn", $rest)
                }
            };
        }
        match (p.types, self.way) {
            (Types::F32, Way::Tiles(64)) => transposed!("_64_f32"),
            (Types::F32, Way::Tiles(_)) => transposed!("_128_f32"),
            (Types::F32, Way::Rows(1)) => rows!("_1_f32"),
            (Types::F32, Way::Rows(_)) => rows!("_4_f32"),
            (_, Way::Tiles(64)) => transposed!("_64_bf16"),
            // mutant: large_tiles_by_the_small_kernel
            (_, Way::Tiles(_)) => transposed!("_128_bf16"),
            (_, Way::Rows(1)) => rows!("_1_bf16"),
            (_, Way::Rows(_)) => rows!("_4_bf16"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(batch: usize, [m, n, k]: [usize; 3], multiprocessors: u32) -> Plan {
        let sizes = MatmulSizes { batch, m, n, k };
        Plan::of(sizes, false, Types::Bf16, multiprocessors)
    }

    #[test]
    fn large_products_have_large_tiles_and_decoding_has_none() {
        assert_eq!(plan(1, [4096, 768, 768], 132).way, Way::Tiles(128));
        assert_eq!(plan(1, [1024, 768, 768], 132).way, Way::Tiles(64));
        // The tests of the large kernels rely on this.
        assert_eq!(plan(4, [127, 128, 64], 4).way, Way::Tiles(128));
        assert_eq!(plan(2, [128, 129, 7], 4).way, Way::Tiles(128));
        assert_eq!(plan(1, [1536, 1536, 40], 132).way, Way::Tiles(128));
        assert_eq!(plan(1, [1, 50_304, 768], 132).way, Way::Rows(1));
        assert_eq!(plan(1, [4, 768, 768], 132).way, Way::Rows(4));
    }

    #[test]
    fn slices_cover_long_sums_whatever_the_gpu() {
        for (sides, slices) in [
            ([768, 768, 32_768], 3),
            ([64, 64, 32_768], 64),
            ([768, 50_304, 32_768], 1),
            ([384, 384, 1023], 1),
            ([17, 9, 2051], 4),
        ] {
            for multiprocessors in [4, 40, 132] {
                let plan = plan(1, sides, multiprocessors);
                assert_eq!(plan.slices, slices, "{sides:?}");
                assert!(plan.slice * slices >= sides[2], "{sides:?}");
                assert!(plan.slice * (slices - 1) < sides[2], "{sides:?}");
                assert!(slices == 1 || plan.slice.is_multiple_of(STRIP), "{sides:?}");
            }
        }
    }
}
