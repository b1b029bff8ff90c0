//! One case: an operation with its attributes and shapes, and where its operands' values come from.
//!
//! A case is a few numbers; its operands are drawn from its seed. What a failing test prints is
//! all it takes to run that case again.

use latimer_tensor::op::{BinaryKind, Over, ReduceKind, UnaryKind};
use latimer_tensor::{DType, Shape};

/// One use of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The operation, its attributes and shapes.
    pub attributes: Attributes,
    /// Element type of its main operands.
    pub dtype: DType,
    /// What its floats look like.
    pub values: Values,
    /// Where its operands lie.
    pub layout: Layout,
    /// Key of the stream that its operands are drawn from.
    pub seed: u64,
    /// A value of an input that is no number, if any.
    pub special: Option<Special>,
}

impl Case {
    /// A case of normally distributed `F32` operands, each in its own memory.
    #[must_use]
    pub fn new(attributes: Attributes) -> Self {
        Self {
            attributes,
            dtype: DType::F32,
            values: Values::Normal,
            layout: Layout::Apart { lead: 64 },
            seed: 0,
            special: None,
        }
    }

    /// The operation's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.attributes.name()
    }
}

/// What drawn floats look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// A thousand times that; eight times where the operation takes exponentials of products.
    Large,
    /// A thousandth of that.
    Small,
    /// Products of two are below the smallest `F32`.
    Tiny,
    /// Mostly below the smallest normal `F32`.
    Denormal,
    /// All zero.
    Zeros,
    /// All elements of an operand alike.
    Equal,
    /// Zeros, small, normal and large ones together.
    Mixed,
}

/// Where the operands of a case lie. Around each there are guards: elements that nobody may read
/// (they are NaN) or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each in its own memory, `lead` elements from its start.
    Apart {
        /// Guards before and after.
        lead: usize,
    },
    /// All of one element type in one memory, as parameters and gradients are.
    Slab {
        /// Guards before, between and after.
        lead: usize,
    },
}

impl Layout {
    pub(crate) fn lead(self) -> usize {
        match self {
            Self::Apart { lead } | Self::Slab { lead } => lead,
        }
    }
}

/// A value that is no number, put into a drawn float operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Special {
    /// Selects the operand, modulo how many there are.
    pub operand: usize,
    /// Selects the element, modulo how many there are.
    pub element: usize,
    /// NaN or an infinity.
    pub value: f64,
}

/// An operation's attributes and shapes; the fields are named as the operation's own, sizes as in
/// its docs.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "attributes and sizes are documented at the operations"
)]
pub enum Attributes {
    Fill {
        shape: Shape,
        value: f64,
    },
    Cast {
        shape: Shape,
        to: DType,
    },
    Permute {
        shape: Shape,
        axes: [usize; 4],
    },
    /// `length` is `y`'s along the axis.
    Slice {
        shape: Shape,
        axis: usize,
        first: usize,
        length: usize,
    },
    /// `shape` is `y`'s; `a` has `of_a` of it along the axis.
    Concat {
        shape: Shape,
        axis: usize,
        of_a: usize,
    },
    Unary {
        kind: UnaryKind,
        shape: Shape,
    },
    UnaryBackward {
        kind: UnaryKind,
        shape: Shape,
    },
    /// `b` keeps the last `b_rank` axes of `a`.
    Binary {
        kind: BinaryKind,
        shape: Shape,
        b_rank: usize,
    },
    Axpby {
        shape: Shape,
        alpha: f32,
        beta: f32,
    },
    /// `f32_sum`: `y` is `F32` where the operands are narrower.
    Matmul {
        batch: Option<usize>,
        m: usize,
        n: usize,
        k: usize,
        trans_a: bool,
        trans_b: bool,
        alpha: f32,
        beta: f32,
        bias: bool,
        f32_sum: bool,
    },
    /// `f32_sum`: as in `Matmul`.
    Reduce {
        kind: ReduceKind,
        over: Over,
        shape: Shape,
        accumulate: bool,
        f32_sum: bool,
    },
    ArgMax {
        rows: usize,
        columns: usize,
        valid_columns: usize,
    },
    /// `positions`: rows of `wpe` beyond those needed, or no `wpe`.
    Embedding {
        b: usize,
        t: usize,
        v: usize,
        c: usize,
        positions: Option<usize>,
        first_position: usize,
    },
    /// `positions`: rows of `dwpe` beyond those needed, or no `dwpe`.
    EmbeddingBackward {
        b: usize,
        t: usize,
        v: usize,
        c: usize,
        positions: Option<usize>,
        f32_gradients: bool,
    },
    LayerNorm {
        shape: Shape,
        bias: bool,
        eps: f32,
    },
    AddLayerNorm {
        shape: Shape,
        bias: bool,
        eps: f32,
    },
    LayerNormBackward {
        shape: Shape,
        bias: bool,
        accumulate: bool,
        f32_gradients: bool,
    },
    Softmax {
        shape: Shape,
        scale: f32,
        causal: bool,
        valid_columns: usize,
    },
    SoftmaxBackward {
        shape: Shape,
        scale: f32,
        causal: bool,
    },
    Attention(AttentionAttributes),
    AttentionBackward(AttentionAttributes),
    /// The cache has `room` rows.
    AttentionDecode {
        b: usize,
        t: usize,
        n_head: usize,
        d: usize,
        room: usize,
        position: usize,
        scale: f32,
    },
    CrossEntropy {
        rows: usize,
        columns: usize,
        valid_columns: usize,
        gradient: Option<f32>,
    },
    Dropout {
        shape: Shape,
        rate: f32,
        site: u32,
    },
    SumSquares {
        shape: Shape,
        accumulate: bool,
    },
    ClipScale {
        max_norm: f32,
    },
    /// `working`: with a `Bf16` copy; `broken`: after gradients that were not finite.
    AdamW {
        n: usize,
        beta1: f32,
        beta2: f32,
        eps: f32,
        weight_decay: f32,
        working: bool,
        broken: bool,
    },
    /// An operation from outside: `input0 · input1`, and `input1 / (1 + |input1|)`.
    Custom {
        shape: Shape,
    },
}

/// What attention and its backward have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "attributes and sizes are documented at the operation"
)]
pub struct AttentionAttributes {
    pub b: usize,
    pub t: usize,
    pub n_head: usize,
    pub d: usize,
    pub scale: f32,
    pub causal: bool,
    pub rate: f32,
    pub site: u32,
}

impl Attributes {
    /// The operation's name, one of [`latimer_tensor::Op::NAMES`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "fill",
            Self::Cast { .. } => "cast",
            Self::Permute { .. } => "permute",
            Self::Slice { .. } => "slice",
            Self::Concat { .. } => "concat",
            Self::Unary { .. } => "unary",
            Self::UnaryBackward { .. } => "unary_backward",
            Self::Binary { .. } => "binary",
            Self::Axpby { .. } => "axpby",
            Self::Matmul { .. } => "matmul",
            Self::Reduce { .. } => "reduce",
            Self::ArgMax { .. } => "arg_max",
            Self::Embedding { .. } => "embedding",
            Self::EmbeddingBackward { .. } => "embedding_backward",
            Self::LayerNorm { .. } => "layer_norm",
            Self::AddLayerNorm { .. } => "add_layer_norm",
            Self::LayerNormBackward { .. } => "layer_norm_backward",
            Self::Softmax { .. } => "softmax",
            Self::SoftmaxBackward { .. } => "softmax_backward",
            Self::Attention(_) => "attention",
            Self::AttentionBackward(_) => "attention_backward",
            Self::AttentionDecode { .. } => "attention_decode",
            Self::CrossEntropy { .. } => "cross_entropy",
            Self::Dropout { .. } => "dropout",
            Self::SumSquares { .. } => "sum_squares",
            Self::ClipScale { .. } => "clip_scale",
            Self::AdamW { .. } => "adamw",
            Self::Custom { .. } => "custom",
        }
    }

    /// What [`Values::Large`] multiplies by. An exponential turns the absolute rounding of its
    /// argument into a relative one; where the argument is a product of operands, it must stay
    /// small enough that the first-order bound of [`crate::tolerance`] holds.
    pub(crate) fn large(&self) -> f64 {
        match self {
            Self::Attention(_) | Self::AttentionBackward(_) | Self::AttentionDecode { .. } => 8.0,
            Self::Unary { kind, .. } | Self::UnaryBackward { kind, .. }
                if *kind == UnaryKind::Exp =>
            {
                8.0
            }
            _ => 1000.0,
        }
    }
}
