//! The innermost product of `bf16`: 32 by 32 sums of packed operands, in `f32`.
//!
//! Every sum is one chain over the terms, two at a time, whatever block it falls into, so how an
//! output is cut does not change a bit. The instructions treat subnormal numbers as 0.

#![expect(
    unsafe_code,
    reason = "instructions without intrinsics, and pointers into operands"
)]

use super::pairs::TERMS;
use half::bf16;
use std::arch::asm;
use std::arch::x86_64::{
    __m512bh, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

/// Rows and columns of a block of sums.
pub(super) const SIDE: usize = 32;

/// Sums of a block, rows adjacent.
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [[f32; SIDE]; SIDE]);

/// 32 rows of a left operand: term `l` of row `i` is at
/// `start + i/16·down + l/32·across + i%16·row + l%32`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) start: *const bf16,
    pub(super) down: usize,
    pub(super) across: usize,
    pub(super) row: usize,
}

/// Elements of 32 terms of a panel.
pub(super) const STEP: usize = TERMS * SIDE;

/// The shape of all eight tiles: 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shapes([u8; 64]);

static SHAPES: Shapes = {
    let mut shapes = [0; 64];
    // Palette 1; bytes of a row from 16 on, two bytes each; rows from 48 on.
    shapes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        shapes[16 + 2 * tile] = 64;
        shapes[48 + tile] = 16;
        tile += 1;
    }
    Shapes(shapes)
};

/// Tiles of the calling thread, ready for use until this is dropped.
#[derive(Debug)]
pub(super) struct Tiles(());

impl Tiles {
    /// Sets up the tiles.
    ///
    /// # Safety
    /// [`tiles_are_there`] must have returned true.
    pub(super) unsafe fn new() -> Self {
        // SAFETY: the CPU has the instruction; it reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &SHAPES, options(nostack, readonly)) };
        Self(())
    }

    /// `sums[i, j] = Σ_l a[i, l]·b[l, j]` over `steps` times 32 terms.
    ///
    /// # Safety
    /// 32 rows of `a`, and `steps` times [`STEP`] elements from `b` on, may be read.
    pub(super) unsafe fn block(&self, a: Left, b: *const bf16, steps: usize, sums: &mut Sums) {
        const BYTES: usize = size_of::<bf16>();
        if steps == 0 {
            *sums = Sums([[0.0; SIDE]; SIDE]);
            return;
        }
        // SAFETY: `new` has set the tiles up; addresses by the caller's promise, and 32 rows of
        // 128 bytes of `sums`.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm6, [{b} + {line} * 1]",
                "tileloadd tmm4, [{top} + {row} * 1]",
                "tileloadd tmm7, [{b} + {line} * 1 + 64]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{bottom} + {row} * 1]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                // mutant: tiles_take_upper_rows_twice
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {top}, {across}",
                "add {bottom}, {across}",
                "add {b}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {line} * 1], tmm0",
                "tilestored [{sums} + {line} * 1 + 64], tmm1",
                "tilestored [{sums} + {line} * 1 + 2048], tmm2",
                "tilestored [{sums} + {line} * 1 + 2112], tmm3",
                b = inout(reg) b => _,
                top = inout(reg) a.start => _,
                bottom = inout(reg) a.start.wrapping_add(a.down) => _,
                steps = inout(reg) steps => _,
                across = in(reg) a.across * BYTES,
                row = in(reg) a.row * BYTES,
                line = in(reg) 128usize,
                sums = in(reg) sums,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: `new` required the instruction. Unreleased tiles would slow every thread switch.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Rows whose sums are kept in registers at a time: with two vectors of columns, 16 of 32
/// registers.
const ROWS: usize = 8;

/// Computes what [`Tiles::block`] computes, with AVX512_BF16 vectors instead of tiles.
///
/// # Safety
/// Same contract as [`Tiles::block`]. The CPU must support AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn pairs_block(a: Left, b: *const bf16, steps: usize, sums: &mut Sums) {
    for top in (0..SIDE).step_by(ROWS) {
        let rows = a.start.wrapping_add(top / 16 * a.down + top % 16 * a.row);
        let mut lanes = [[_mm512_setzero_ps(); 2]; ROWS];
        for step in 0..steps {
            let (a_at, b_at) = (
                rows.wrapping_add(step * a.across),
                b.wrapping_add(step * STEP),
            );
            for pair in 0..TERMS / 2 {
                let at = b_at.wrapping_add(pair * 2 * SIDE);
                // SAFETY: 32 columns' pairs of the panel.
                let right: [__m512bh; 2] = unsafe {
                    [
                        _mm512_loadu_si512(at.cast()),
                        _mm512_loadu_si512(at.add(SIDE).cast()),
                    ]
                    .map(|x| std::mem::transmute(x))
                };
                for (i, lanes) in lanes.iter_mut().enumerate() {
                    let at = a_at.wrapping_add(i * a.row + 2 * pair).cast::<i32>();
                    // SAFETY: two terms of row `top + i`, at any address; both are 512 bits.
                    let left: __m512bh =
                        unsafe { std::mem::transmute(_mm512_set1_epi32(at.read_unaligned())) };
                    lanes[0] = _mm512_dpbf16_ps(lanes[0], left, right[0]);
                    lanes[1] = _mm512_dpbf16_ps(lanes[1], left, right[1]);
                }
            }
        }
        for (lanes, sums) in lanes.into_iter().zip(&mut sums.0[top..]) {
            let (near, far) = sums.split_at_mut(SIDE / 2);
            // SAFETY: 16 floats.
            unsafe { _mm512_storeu_ps(near.as_mut_ptr(), lanes[0]) };
            // SAFETY: 16 floats.
            unsafe { _mm512_storeu_ps(far.as_mut_ptr(), lanes[1]) };
        }
    }
}
