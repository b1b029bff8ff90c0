//! Cases that every suite runs first: the smallest ones that expose a classic fault, and those that
//! once failed on some backend.

use crate::case::{AttentionAttributes, Attributes, Case, Layout, Special, Values};
use latimer_tensor::DType;
use latimer_tensor::op::{Over, ReduceKind};

/// All kept cases. To add one, paste what the failing test printed and say what it exposed.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = classics();
    all.extend(tiles());
    all.extend(found());
    all
}

/// Common faults, each at the smallest size at which it shows.
fn classics() -> Vec<Case> {
    let attention = |t, rate| AttentionAttributes {
        b: 2,
        t,
        n_head: 1,
        d: 2,
        scale: 0.5,
        causal: true,
        rate,
        site: 3,
    };
    let softmax = |columns, causal, valid_columns| Attributes::Softmax {
        shape: [2, columns].into(),
        scale: 1.0,
        causal,
        valid_columns,
    };
    let loss = |columns, valid_columns| Attributes::CrossEntropy {
        rows: 2,
        columns,
        valid_columns,
        gradient: Some(0.5),
    };
    let update = |working, broken| Attributes::AdamW {
        n: 17,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
        working,
        broken,
    };
    let matmul = |trans_a, trans_b| Attributes::Matmul {
        batch: Some(2),
        m: 2,
        n: 3,
        k: 4,
        trans_a,
        trans_b,
        alpha: 0.5,
        beta: 1.0,
        bias: true,
        f32_sum: false,
    };
    vec![
        // Fault: a causal mask one column early or late. Query 0 sees itself and nothing else.
        Case::new(softmax(2, true, 2)),
        Case::new(Attributes::Attention(attention(2, 0.0))),
        Case::new(Attributes::AttentionBackward(attention(2, 0.0))),
        // A mask with more columns than rows is aligned at the end, not at the start.
        Case::new(softmax(3, true, 3)),
        // Fault: padding taken for a column. Both the start of the padding and the end of a causal
        // row are limits.
        Case::new(softmax(3, true, 2)),
        Case::new(loss(3, 2)),
        Case::new(Attributes::ArgMax {
            rows: 2,
            columns: 3,
            valid_columns: 2,
        }),
        // Fault: exponentials without subtracting the maximum. The logits are some thousand.
        with(loss(3, 3), |case| case.values = Values::Large),
        with(softmax(3, false, 3), |case| case.values = Values::Large),
        // A row of nothing but -infinity gives NaN, neither 0 nor equal weights.
        with(softmax(1, false, 1), |case| {
            case.special = Some(special(0, f64::NEG_INFINITY));
        }),
        // An infinite score behind the mask must not reach the result.
        with(softmax(2, true, 2), |case| {
            case.special = Some(special(1, f64::INFINITY));
        }),
        // Fault: a NaN behind the mask, multiplied by a weight of 0. It is in the first key of
        // position 1.
        with(Attributes::Attention(attention(2, 0.0)), |case| {
            case.special = Some(special(8, f64::NAN));
        }),
        // Faults: dropout counted from the row instead of the tensor (rows of 3, blocks of 4); and
        // forgetting the first row that the random words state.
        Case::new(Attributes::Dropout {
            shape: [7, 3].into(),
            rate: 0.9,
            site: 3,
        }),
        Case::new(Attributes::Attention(attention(5, 0.5))),
        Case::new(Attributes::AttentionBackward(attention(5, 0.5))),
        // Fault: a sum that overwrites its output instead of adding to it.
        Case::new(Attributes::Reduce {
            kind: ReduceKind::Mean,
            over: Over::Rows,
            shape: [3, 2].into(),
            accumulate: true,
            f32_sum: false,
        }),
        Case::new(Attributes::SumSquares {
            shape: [3].into(),
            accumulate: true,
        }),
        Case::new(Attributes::LayerNormBackward {
            shape: [2, 3].into(),
            bias: true,
            accumulate: true,
            f32_gradients: false,
        }),
        // All three sizes of a product differ, and both operands may be stored transposed.
        Case::new(matmul(false, false)),
        Case::new(matmul(true, false)),
        Case::new(matmul(false, true)),
        Case::new(matmul(true, true)),
        // Fault: vector loads that rely on an alignment of 16 or 32 bytes.
        with(matmul(false, false), |case| {
            case.layout = Layout::Slab { lead: 2 };
        }),
        with(
            Attributes::Axpby {
                shape: [33].into(),
                alpha: 0.5,
                beta: 1.0,
            },
            |case| {
                case.layout = Layout::Slab { lead: 2 };
            },
        ),
        with(
            Attributes::LayerNorm {
                shape: [2, 33].into(),
                bias: true,
                eps: 1e-5,
            },
            |case| case.layout = Layout::Slab { lead: 2 },
        ),
        // Faults: repeated ids added only once (five ids of two rows); a position's row counted by
        // the batch.
        Case::new(Attributes::EmbeddingBackward {
            b: 2,
            t: 5,
            v: 2,
            c: 3,
            positions: Some(1),
            f32_gradients: false,
        }),
        // Faults: new keys written at row 0; a query that sees the cache's unused rows.
        Case::new(Attributes::AttentionDecode {
            b: 2,
            t: 2,
            n_head: 2,
            d: 2,
            room: 6,
            position: 3,
            scale: 1.0,
        }),
        // With one parameter no vector is full. Fault: weight decay that goes through the moments.
        Case::new(Attributes::AdamW {
            n: 1,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            working: false,
            broken: false,
        }),
        // Fault: a working copy of the old parameters, or one cut off instead of rounded.
        Case::new(update(true, false)),
        // After gradients that were not finite, the moments must not change either.
        Case::new(update(true, true)),
        Case::new(update(false, true)),
        // The gradient of a bf16 model's weight and bias: sums in f32 must stay f32.
        with(
            Attributes::Matmul {
                batch: None,
                m: 3,
                n: 5,
                k: 4,
                trans_a: true,
                trans_b: false,
                alpha: 1.0,
                beta: 1.0,
                bias: false,
                f32_sum: true,
            },
            |case| case.dtype = DType::Bf16,
        ),
        with(
            Attributes::Reduce {
                kind: ReduceKind::Sum,
                over: Over::Rows,
                shape: [3, 2].into(),
                accumulate: true,
                f32_sum: true,
            },
            |case| case.dtype = DType::Bf16,
        ),
        // The norm is 0: nothing is divided by it, and nothing is clipped.
        with(Attributes::ClipScale { max_norm: 1.0 }, |case| {
            case.values = Values::Zeros
        }),
        // Fault: rounding to bf16 by cutting off.
        Case::new(Attributes::Cast {
            shape: [9].into(),
            to: DType::Bf16,
        }),
    ]
}

/// Sizes that are rarely drawn: more than one tile of GPU kernels, and rows aligned to 16 bytes,
/// above all in `Bf16`.
fn tiles() -> Vec<Case> {
    let bf16 = |attributes| with(attributes, |case| case.dtype = DType::Bf16);
    let matmul = |[m, n, k]: [usize; 3], trans_a, trans_b, f32_sum| Attributes::Matmul {
        batch: None,
        m,
        n,
        k,
        trans_a,
        trans_b,
        alpha: 0.5,
        beta: 1.0,
        bias: true,
        f32_sum,
    };
    let attention = |d, t, causal| AttentionAttributes {
        b: 1,
        t,
        n_head: 2,
        d,
        scale: 0.25,
        causal,
        rate: 0.1,
        site: 3,
    };
    let decode = Attributes::AttentionDecode {
        b: 2,
        t: 2,
        n_head: 2,
        d: 3,
        room: 303,
        position: 300,
        scale: 0.5,
    };
    let attentions = [
        attention(16, 132, true),
        attention(32, 70, true),
        attention(64, 66, false),
        attention(96, 36, true),
        attention(128, 64, true),
    ];
    let mut all = vec![
        bf16(matmul([65, 72, 104], false, false, true)),
        bf16(matmul([72, 65, 104], true, true, false)),
        // There are enough columns, and long enough rows, that the left operand is packed as well.
        Case::new(matmul([67, 115, 72], false, false, false)),
        Case::new(matmul([67, 115, 72], true, false, false)),
        // There is enough work for several threads, and the factors round: whole tiles and ragged
        // ones may do so in another order.
        Case::new(Attributes::Matmul {
            batch: None,
            m: 129,
            n: 65,
            k: 65,
            trans_a: false,
            trans_b: false,
            alpha: 1.7,
            beta: 1.7,
            bias: false,
            f32_sum: false,
        }),
        // A sum of this many terms is split.
        Case::new(matmul([5, 3, 1030], false, true, false)),
        // A weight's gradient, whose terms are split: without a bias, added to what was there.
        Case::new(Attributes::Matmul {
            batch: None,
            m: 5,
            n: 3,
            k: 1030,
            trans_a: true,
            trans_b: false,
            alpha: 0.5,
            beta: 1.7,
            bias: false,
            f32_sum: false,
        }),
        bf16(matmul([5, 8, 1030], true, false, true)),
        Case::new(decode.clone()),
        bf16(decode),
        // This many ids are sorted in two tiles, and most of them occur in several parts.
        Case::new(Attributes::EmbeddingBackward {
            b: 1,
            t: 4099,
            v: 29,
            c: 1,
            positions: None,
            f32_gradients: false,
        }),
    ];
    for attributes in attentions {
        all.push(bf16(Attributes::Attention(attributes)));
        all.push(bf16(Attributes::AttentionBackward(attributes)));
    }
    all
}

/// Cases that once failed on a backend of this workspace.
fn found() -> Vec<Case> {
    vec![
        // CPU: with one column the gradient is exactly 0, but a fused product left its own rounding
        // error times up to 1/√eps.
        Case::new(Attributes::LayerNormBackward {
            shape: [515, 1].into(),
            bias: false,
            accumulate: false,
            f32_gradients: false,
        }),
    ]
}

fn with(attributes: Attributes, change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::new(attributes);
    change(&mut case);
    case
}

/// A special value for the first operand.
fn special(element: usize, value: f64) -> Special {
    Special {
        operand: 0,
        element,
        value,
    }
}
