//! Attention on tensor cores: every head width, sequences that end before, at and past the edges of
//! tiles, in memory that these kernels support. Each case must pass all checks of the suite: close
//! to the meaning, at most twice a naive run's error, nothing else written, the same bits in three
//! orders of threads.

mod device;

use device::cuda;
use latimer_conformance::ops::attends;
use latimer_conformance::{Case, Layout, Special, Subject, check};
use latimer_tensor::DType;
use latimer_tensor::op::Outline;

/// The head widths that have kernels.
const WIDTHS: [usize; 5] = [16, 32, 64, 96, 128];

fn hold(cases: impl IntoIterator<Item = impl Into<Case>>) {
    let subject = Subject::new(cuda(0)).same_bits(cuda(1)).same_bits(cuda(2));
    for case in cases.into_iter().map(Into::into) {
        let case = Case {
            dtype: DType::Bf16,
            // Guards of 16 bytes: rows keep the alignment that tensor cores need.
            layout: Layout::Apart { lead: 8 },
            ..case
        };
        check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran natively");
}

/// An outline of these sizes; `turn` selects causal or not, and with or without dropout.
fn sizes(turn: usize, sizes: [usize; 4]) -> Outline {
    let scale = 1.0 / (sizes[3] as f32).sqrt();
    let (causal, rate) = (!turn.is_multiple_of(3), [0.0, 0.25][turn % 2]);
    attends(sizes, scale, causal, rate)
}

/// The pass of this outline and its backward.
fn both(outline: &Outline) -> [Outline; 2] {
    ["attention", "attention_backward"].map(|op| outline.renamed(op))
}

/// 64 and 128 queries are a block's, 32 and 64 keys a tile; masks are drawn in fours where the
/// length is a multiple of 4, else one by one.
fn across_tiles() -> impl Iterator<Item = Outline> {
    let small = [[2, 1, 3], [1, 15, 2], [2, 16, 2], [1, 17, 3], [1, 32, 2]];
    let large = [[1, 63, 1], [1, 64, 1], [1, 65, 1], [1, 130, 1], [1, 132, 1]];
    let lengths = small.into_iter().chain(large).enumerate();
    lengths.flat_map(|(i, [b, t, n_head])| {
        let widths = WIDTHS.into_iter().enumerate();
        widths.map(move |(j, d)| sizes(i + j, [b, t, n_head, d]))
    })
}

#[test]
fn forward_across_tiles() {
    hold(across_tiles());
}

#[test]
fn backward_across_tiles() {
    hold(across_tiles().map(|outline| outline.renamed("attention_backward")));
}

/// Several tiles per row, so that the running maximum grows in some and not in others.
#[test]
fn long_rows() {
    let long = [[1, 260, 1, 16], [1, 257, 1, 64]];
    let causal = [true, false];
    let cases = long.into_iter().zip(causal);
    let cases = cases.map(|(shape, causal)| both(&sizes(0, shape).set("causal", causal)));
    hold(cases.flatten());
}

/// Non-finite values in the middle row: in its query, its key or its value.
fn specials(op: &'static str) -> impl Iterator<Item = Case> {
    let widths = [(16, 70), (32, 33), (64, 20), (128, 40)];
    let turns = (0..6).flat_map(move |turn| widths.map(|shape| (turn, shape)));
    turns.enumerate().map(move |(i, (turn, (d, t)))| {
        let (part, causal) = (turn % 3, turn < 3);
        Case {
            special: Some(Special {
                operand: 0,
                element: t / 2 * 3 * d + part * d + 5,
                value: [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][i % 3],
            }),
            ..sizes(i, [1, t, 1, d])
                .set("causal", causal)
                .renamed(op)
                .into()
        }
    })
}

/// Non-finite values reach the rows that see them and nothing else, although hidden keys, and rows
/// past the end, lie in the same tile as seen keys.
#[test]
fn what_is_no_number_stays_where_it_is_seen() {
    hold(specials("attention"));
    hold(specials("attention_backward"));
}

/// For queries of the other sign an infinite key has weight 0 and contributes nothing: rows past
/// the end, which are zeros, must not turn it into 0·∞.
#[test]
fn keys_without_weight_have_gradients() {
    let cases = (0..8).flat_map(|seed| {
        let outline = sizes(0, [1, 3, 1, 16]).set("causal", false);
        both(&outline).map(|outline| Case {
            seed,
            special: Some(Special {
                operand: 0,
                element: 3 * 16 + 16 + 5,
                value: f64::INFINITY,
            }),
            ..outline.into()
        })
    });
    hold(cases);
}
