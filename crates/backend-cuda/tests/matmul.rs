#![allow(unsafe_code, reason = "sets an environment variable")]
//! Products whose sides end before, at and after a tile, a strip and a slice, on every kernel. They
//! must pass all checks of the conformance suite, including the same bits under three orders of
//! threads.

mod device;

use device::cuda;
use latimer_conformance::{Case, Layout, Subject, check};
use latimer_tensor::op::Outline;
use latimer_tensor::{DType, Device};
use std::sync::OnceLock;

/// The types of the operands, and whether `y` is `f32` regardless of them.
const TYPES: [(DType, bool); 3] = [
    (DType::F32, false),
    (DType::Bf16, false),
    (DType::Bf16, true),
];

/// A product, nothing transposed, nothing added.
#[derive(Clone, Copy)]
struct Product {
    batch: Option<usize>,
    sides: [usize; 3],
    trans: [bool; 2],
    factors: [f32; 2],
    bias: bool,
    /// Elements before each operand: rows are at multiples of 16 bytes only if this and their
    /// length are.
    lead: usize,
}

impl Product {
    fn of(m: usize, n: usize, k: usize) -> Self {
        Self {
            batch: None,
            sides: [m, n, k],
            trans: [false; 2],
            factors: [1.0, 0.0],
            bias: false,
            lead: 64,
        }
    }
}

/// A device whose own kernels do all products.
fn own(ordinal: usize) -> Device {
    static OFF: OnceLock<()> = OnceLock::new();
    latimer_cuda_shim::use_as_driver();
    // SAFETY: nothing reads the environment at the same time: every test comes here first.
    OFF.get_or_init(|| unsafe { std::env::set_var("LATIMER_CUBLASLT", "off") });
    cuda(ordinal)
}

/// Runs the suite's checks on these products in every type, and checks that the device itself ran
/// them.
fn hold(products: impl IntoIterator<Item = Product>) {
    let subject = Subject::new(own(0)).same_bits(own(1)).same_bits(own(2));
    for (seed, p) in products.into_iter().enumerate() {
        for (dtype, f32_sum) in TYPES {
            let mut outline = Outline::of("matmul")
                .sizes("MNK", p.sides)
                .give("bias", p.bias);
            if let Some(batch) = p.batch {
                outline = outline.sizes("S", [batch]);
            }
            let outline = outline.dtype("y", f32_sum.then_some(DType::F32));
            let outline = outline
                .set("trans_a", p.trans[0])
                .set("trans_b", p.trans[1]);
            let case = Case {
                dtype,
                seed: seed as u64,
                layout: Layout::Apart { lead: p.lead },
                ..outline
                    .set("alpha", p.factors[0])
                    .set("beta", p.factors[1])
                    .into()
            };
            let held = check::one(&subject, &case);
            held.unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran on the device");
}

/// A product in each way of storing the operands, with everything that may be added and with
/// nothing.
fn in_every_way(product: Product) -> impl Iterator<Item = Product> {
    (0..4).map(move |way| Product {
        trans: [way & 1 > 0, way & 2 > 0],
        bias: way != 1,
        factors: [[1.0, 0.0], [0.5, -1.5], [2.0, 1.0], [-1.0, 0.0]][way],
        ..product
    })
}

#[test]
fn sides_around_a_small_tile() {
    let sides = [(5, 64, 31), (63, 65, 32), (64, 72, 33), (65, 63, 40)];
    hold(
        sides
            .into_iter()
            .flat_map(|(m, n, k)| in_every_way(Product::of(m, n, k))),
    );
}

#[test]
fn sides_around_a_large_tile() {
    // Four large tiles are enough for the large kernel on the shim's four multiprocessors.
    let sides = [(127, 128, 64), (128, 129, 7), (129, 120, 65)];
    hold(sides.into_iter().flat_map(|(m, n, k)| {
        in_every_way(Product {
            batch: Some(if m > 128 || n > 128 { 2 } else { 4 }),
            ..Product::of(m, n, k)
        })
    }));
}

/// How many multiprocessors a device says it has.
fn multiprocessors(device: &Device) -> usize {
    let detail = device.info().detail;
    let count = detail.split(", ").find_map(|part| {
        let count = part.strip_suffix(" multiprocessors")?;
        count.parse().ok()
    });
    count.unwrap_or_else(|| panic!("no count in {detail:?}"))
}

/// [`sides_around_a_large_tile`] has enough large tiles for the shim's four multiprocessors, but
/// not for a GPU: here every multiprocessor of the device gets at least one, however many it has.
#[test]
fn large_tiles_fill_a_large_gpu() {
    let count = multiprocessors(&own(0));
    let tiles = (1..).find(|tiles| tiles * tiles >= count).unwrap_or(1);
    hold((0..4).map(|way| Product {
        trans: [way & 1 > 0, way & 2 > 0],
        ..Product::of(tiles * 128, tiles * 128, 40)
    }));
}

#[test]
fn more_rows_of_tiles_than_are_taken_together() {
    // Blocks go down eight rows of tiles, then to the next column; here two more rows of tiles
    // are left over.
    hold([Product {
        trans: [false, true],
        bias: true,
        ..Product::of(1153, 130, 8)
    }]);
}

#[test]
fn rows_that_do_not_begin_at_multiples_of_16_bytes() {
    hold([1, 4].into_iter().flat_map(|lead| {
        in_every_way(Product {
            lead,
            ..Product::of(40, 56, 48)
        })
    }));
}

#[test]
fn few_rows_as_when_a_text_is_continued() {
    let sides = [
        (1, 300, 96),
        (1, 8, 1030),
        (2, 64, 257),
        (3, 33, 40),
        (4, 65, 128),
    ];
    hold(
        sides
            .into_iter()
            .flat_map(|(m, n, k)| in_every_way(Product::of(m, n, k))),
    );
    // More matrices than few rows, and one row each.
    hold(in_every_way(Product {
        batch: Some(5),
        ..Product::of(1, 70, 24)
    }));
}

#[test]
fn long_sums_in_slices() {
    // Two equal slices, and three of which the last is short; each in one way of storing operands.
    let even = in_every_way(Product {
        batch: Some(2),
        ..Product::of(6, 24, 1024)
    });
    let odd = in_every_way(Product::of(17, 9, 1543));
    hold(even.take(1).chain(odd.skip(1)));
}

#[test]
fn empty_sums_and_matrices() {
    for sides in [[3, 5, 0], [70, 8, 0], [0, 5, 4], [3, 0, 4]] {
        hold(in_every_way(Product {
            sides,
            ..Product::of(0, 0, 0)
        }));
    }
}

/// The products of a small GPT (batch 2, 24 positions, width 48, vocabulary 65), forward and back.
#[test]
fn products_of_a_training_step() {
    let (rows, c, v) = (2 * 24, 48, 65);
    let of = |sides: [usize; 3], trans: [bool; 2], beta: f32, bias: bool| Product {
        sides,
        trans,
        factors: [1.0, beta],
        bias,
        ..Product::of(0, 0, 0)
    };
    hold([
        of([rows, 3 * c, c], [false, false], 0.0, true),
        of([rows, c, 4 * c], [false, false], 0.0, true),
        of([rows, v, c], [false, true], 0.0, false),
        of([rows, c, v], [false, false], 0.0, false),
        of([rows, c, 3 * c], [false, true], 0.0, false),
        of([c, 3 * c, rows], [true, false], 1.0, false),
        of([v, c, rows], [true, false], 1.0, false),
    ]);
}
