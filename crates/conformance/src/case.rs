//! One case: an operation with its attributes and shapes, and where its operands' values come from.
//!
//! A case is a few numbers; its operands are drawn from its seed. A failing test prints everything
//! needed to run the case again.

use latimer_tensor::op::{BinaryKind, Over, ReduceKind, UnaryKind};
use latimer_tensor::{DType, Shape};

/// One use of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The operation, its attributes and shapes.
    pub attributes: Attributes,
    /// Element type of its main operands.
    pub dtype: DType,
    /// The distribution of its floats.
    pub values: Values,
    /// Where its operands are placed in memory.
    pub layout: Layout,
    /// Key of the random stream that its operands are drawn from.
    pub seed: u64,
    /// A NaN or infinity in one of the inputs, if any.
    pub special: Option<Special>,
}

impl Case {
    /// A case of normally distributed `F32` operands, each in memory of its own.
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

/// The distribution of drawn floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// Normal, times a thousand; times eight if the operation takes exponentials of products.
    Large,
    /// Normal, divided by a thousand.
    Small,
    /// So small that products of two are below the smallest `F32`.
    Tiny,
    /// Mostly below the smallest normal `F32`.
    Denormal,
    /// All zero.
    Zeros,
    /// All elements of an operand are equal.
    Equal,
    /// Zeros, small, normal and large ones together.
    Mixed,
}

/// How the operands of a case are placed in memory. Each is surrounded by guards: elements that
/// must be neither read (they are NaN) nor written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each operand in memory of its own, `lead` elements from its start.
    Apart {
        /// Guards before and after.
        lead: usize,
    },
    /// All operands of one element type in one memory, as parameters and gradients are.
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

/// A NaN or infinity that is put into a drawn float operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Special {
    /// Selects the operand, modulo how many there are.
    pub operand: usize,
    /// Selects the element, modulo how many there are.
    pub element: usize,
    /// NaN or an infinity.
    pub value: f64,
}

/// An operation's attributes and shapes. The fields have the names of the operation's own; sizes
/// are named as in its docs.
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
    /// `length` is the length of `y` along the axis.
    Slice {
        shape: Shape,
        axis: usize,
        first: usize,
        length: usize,
    },
    /// `shape` is the shape of `y`; `a` takes `of_a` of its length along the axis.
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
    /// `b` has the last `b_rank` axes of `a`.
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
    /// With `f32_sum`, `y` is `F32` even if the operands are narrower.
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
    /// `positions` is the number of rows of `wpe` beyond those needed; `None` means no `wpe`.
    Embedding {
        b: usize,
        t: usize,
        v: usize,
        c: usize,
        positions: Option<usize>,
        first_position: usize,
    },
    /// `positions` is the number of rows of `dwpe` beyond those needed; `None` means no `dwpe`.
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
    /// `working`: with a `Bf16` copy of the parameters; `broken`: after gradients that were not
    /// finite.
    AdamW {
        n: usize,
        beta1: f32,
        beta2: f32,
        eps: f32,
        weight_decay: f32,
        working: bool,
        broken: bool,
    },
    /// A custom operation: `input0 · input1`, and `input1 / (1 + |input1|)`.
    Custom {
        shape: Shape,
    },
}

/// The attributes that attention and its backward share.
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

    /// The factor of [`Values::Large`]. An exponential turns the absolute rounding error of its
    /// argument into a relative one. If the argument is a product of operands, it must therefore
    /// stay small enough for the first-order bound of [`crate::tolerance`] to hold.
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
