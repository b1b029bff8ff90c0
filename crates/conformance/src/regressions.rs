//! Cases that every suite runs first: the smallest ones that expose a classic fault, and those that
//! once failed on some backend.

use crate::case::{Case, Layout, Special, Values};
use crate::ops::{attends, decodes, reduced, scatters, update};
use latimer_tensor::op::{Outline, Over, ReduceKind};
use latimer_tensor::{DType, Shape};

/// All kept cases. To add one, paste what the failing test printed and say what it exposed.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = classics();
    all.extend(tiles());
    all.extend(found());
    all
}

fn softmax(c: usize, causal: bool, valid_columns: usize) -> Outline {
    let outline = Outline::of("softmax").shape("x", [2, c]).set("scale", 1.0);
    outline
        .set("causal", causal)
        .set("valid_columns", valid_columns)
}

fn loss(c: usize, valid_columns: usize) -> Outline {
    let outline = Outline::of("cross_entropy").sizes("NC", [2, c]);
    outline
        .set("gradient", Some(0.5))
        .set("valid_columns", valid_columns)
}

fn adamw(n: usize, beta2: f32, working: bool, is_broken: bool) -> Case {
    update(n, [0.9, beta2, 1e-8, 0.1], working, is_broken)
}

/// `[m, n, k]`, without a bias.
fn matmul(sides: [usize; 3], trans_a: bool, trans_b: bool, [alpha, beta]: [f32; 2]) -> Outline {
    let outline = Outline::of("matmul").sizes("MNK", sides);
    let outline = outline.set("trans_a", trans_a).set("trans_b", trans_b);
    outline.set("alpha", alpha).set("beta", beta)
}

fn layer_norm_backward(x: impl Into<Shape>, bias: bool, accumulate: bool) -> Outline {
    let outline = Outline::of("layer_norm_backward")
        .shape("x", x)
        .give("dbias", bias);
    outline.set("accumulate", accumulate)
}

/// Common faults, each at the smallest size at which it shows.
fn classics() -> Vec<Case> {
    let attention = |t, rate| attends([2, t, 1, 2], 0.5, true, rate);
    let backward = |t, rate| attention(t, rate).renamed("attention_backward");
    let product = |trans_a, trans_b| {
        let outline = matmul([2, 3, 4], trans_a, trans_b, [0.5, 1.0]);
        outline.sizes("S", [2]).give("bias", true)
    };
    let mean = reduced(ReduceKind::Mean, Over::Rows, [3, 2], true);
    let sum = reduced(ReduceKind::Sum, Over::Rows, [3, 2], true);
    let (bf16, unaligned) = (DType::Bf16, Layout::Slab { lead: 2 });
    vec![
        // Fault: a causal mask one column early or late. Query 0 sees itself and nothing else.
        softmax(2, true, 2).into(),
        attention(2, 0.0).into(),
        backward(2, 0.0).into(),
        // A mask with more columns than rows is aligned at the end, not at the start.
        softmax(3, true, 3).into(),
        // Fault: padding taken for a column. Both the start of the padding and the end of a causal
        // row are limits.
        softmax(3, true, 2).into(),
        loss(3, 2).into(),
        Outline::of("arg_max")
            .sizes("NC", [2, 3])
            .set("valid_columns", 2usize)
            .into(),
        // Fault: exponentials without subtracting the maximum. The logits are some thousand.
        with(loss(3, 3), |case| case.values = Values::Large),
        with(softmax(3, false, 3), |case| case.values = Values::Large),
        // A row of nothing but -infinity gives NaN, neither 0 nor equal weights.
        with(softmax(1, false, 1), |case| {
            case.special = special(0, f64::NEG_INFINITY)
        }),
        // An infinite score behind the mask must not reach the result.
        with(softmax(2, true, 2), |case| {
            case.special = special(1, f64::INFINITY)
        }),
        // Fault: a NaN behind the mask, multiplied by a weight of 0. It is in the first key of
        // position 1.
        with(attention(2, 0.0), |case| {
            case.special = special(8, f64::NAN)
        }),
        // Faults: dropout counted from the row instead of the tensor (rows of 3, blocks of 4); and
        // forgetting the first row that the random words state.
        Outline::of("dropout")
            .shape("x", [7, 3])
            .set("rate", 0.9)
            .set("site", 3u32)
            .into(),
        attention(5, 0.5).into(),
        backward(5, 0.5).into(),
        // Fault: a sum that overwrites its output instead of adding to it.
        mean.into(),
        Outline::of("sum_squares")
            .shape("x", [3])
            .set("accumulate", true)
            .into(),
        layer_norm_backward([2, 3], true, true).into(),
        // All three sizes of a product differ, and both operands may be stored transposed.
        product(false, false).into(),
        product(true, false).into(),
        product(false, true).into(),
        product(true, true).into(),
        // Fault: vector loads that rely on an alignment of 16 or 32 bytes.
        with(product(false, false), |case| case.layout = unaligned),
        with(
            Outline::of("axpby")
                .shape("x", [33])
                .set("alpha", 0.5)
                .set("beta", 1.0),
            |case| case.layout = unaligned,
        ),
        with(
            Outline::of("layer_norm")
                .shape("x", [2, 33])
                .give("bias", true)
                .set("eps", 1e-5),
            |case| case.layout = unaligned,
        ),
        // Faults: repeated ids added only once (five ids of two rows); a position's row counted by
        // the batch.
        scatters([2, 5, 2, 3], Some(1), false).into(),
        // Faults: new keys written at row 0; a query that sees the cache's unused rows.
        decodes([2, 2, 2, 2], 3, 1, 1.0).into(),
        // With one parameter no vector is full. Fault: weight decay that goes through the moments.
        adamw(1, 0.999, false, false),
        // Fault: a working copy of the old parameters, or one cut off instead of rounded.
        adamw(17, 0.95, true, false),
        // After gradients that were not finite, the moments must not change either.
        adamw(17, 0.95, true, true),
        adamw(17, 0.95, false, true),
        // The gradient of a bf16 model's weight and bias: sums in f32 must stay f32.
        with(
            matmul([3, 5, 4], true, false, [1.0, 1.0]).dtype("y", DType::F32),
            |case| case.dtype = bf16,
        ),
        with(sum.dtype("y", DType::F32), |case| case.dtype = bf16),
        // The norm is 0: nothing is divided by it, and nothing is clipped.
        with(Outline::of("clip_scale").set("max_norm", 1.0), |case| {
            case.values = Values::Zeros;
        }),
        // Fault: rounding to bf16 by cutting off.
        Outline::of("cast").shape("x", [9]).dtype("y", bf16).into(),
    ]
}

/// Sizes that are rarely drawn: more than one tile of GPU kernels, and rows aligned to 16 bytes,
/// above all in `Bf16`.
fn tiles() -> Vec<Case> {
    let bf16 = |outline| with(outline, |case| case.dtype = DType::Bf16);
    let biased =
        |sides, trans_a, trans_b| matmul(sides, trans_a, trans_b, [0.5, 1.0]).give("bias", true);
    let decode = decodes([2, 2, 2, 3], 300, 1, 0.5);
    let mut all = vec![
        bf16(biased([65, 72, 104], false, false).dtype("y", DType::F32)),
        bf16(biased([72, 65, 104], true, true)),
        // There are enough columns, and long enough rows, that the left operand is packed as well.
        biased([67, 115, 72], false, false).into(),
        biased([67, 115, 72], true, false).into(),
        // There is enough work for several threads, and the factors round: whole tiles and ragged
        // ones may do so in another order.
        matmul([129, 65, 65], false, false, [1.7, 1.7]).into(),
        // A sum of this many terms is split.
        biased([5, 3, 1030], false, true).into(),
        // A weight's gradient, whose terms are split: without a bias, added to what was there.
        matmul([5, 3, 1030], true, false, [0.5, 1.7]).into(),
        bf16(biased([5, 8, 1030], true, false).dtype("y", DType::F32)),
        decode.clone().into(),
        bf16(decode),
        // This many ids are sorted in two tiles, and most of them occur in several parts.
        scatters([1, 4099, 29, 1], None, false).into(),
    ];
    for (d, t, causal) in [
        (16, 132, true),
        (32, 70, true),
        (64, 66, false),
        (96, 36, true),
        (128, 64, true),
    ] {
        let attention = attends([1, t, 2, d], 0.25, causal, 0.1);
        all.push(bf16(attention.clone()));
        all.push(bf16(attention.renamed("attention_backward")));
    }
    all
}

/// Cases that once failed on a backend of this workspace.
fn found() -> Vec<Case> {
    vec![
        // CPU: with one column the gradient is exactly 0, but a fused product left its own rounding
        // error times up to 1/√eps.
        layer_norm_backward([515, 1], false, false).into(),
    ]
}

fn with(outline: Outline, change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::from(outline);
    change(&mut case);
    case
}

/// A special value for the first operand.
fn special(element: usize, value: f64) -> Option<Special> {
    Some(Special {
        operand: 0,
        element,
        value,
    })
}
