//! The facts of a case that its operation's table does not contain: lengths, attributes, and where
//! the values of its operands come from.

use crate::case::{AttentionAttributes, Attributes};
use latimer_tensor::op::table::{Access, DTypeRule, OperandRule, Range, ShapeRule};
use latimer_tensor::op::{BinaryKind, Over, ReduceKind, Table, Value};
use latimer_tensor::{DType, Op, Shape};

/// The source of an operand's values, if it is read. Floats have the distribution of the case
/// unless the source says otherwise.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Floats, or small integers if the type holds only integers.
    Anything,
    /// Whole numbers below this.
    Ids(usize),
    /// The random words of a step.
    RandomWords,
    /// Floats, squared.
    Squares,
    /// Floats of magnitude 1 or more, so that quotients stay within the type's range.
    AwayFromZero,
    /// The scalar block: any numbers, or what [`latimer_tensor::op::AdamW`] reads.
    Block { update: Option<Update> },
    /// An output of a forward operation on the other operands.
    Forward(Box<Attributes>, &'static str),
}

/// The values that an optimizer reads from the scalar block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    pub(crate) beta1: f32,
    /// Whether the gradients were not finite.
    pub(crate) is_broken: bool,
}

/// An operation's operands and attributes in one case.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) table: &'static Table,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    /// Values that are invalid for attributes in this case although the attributes' ranges allow
    /// them.
    pub(crate) misfits: Vec<(&'static str, Value)>,
    /// An input that only a forward operation reads, and its shape.
    pub(crate) hidden: Option<(&'static str, Shape)>,
    lengths: Vec<(char, usize)>,
    leading: Shape,
    /// Shapes that do not follow from the table.
    shapes: Vec<(&'static str, Shape)>,
    absent: Vec<&'static str>,
    dtypes: Vec<(&'static str, DType)>,
    sources: Vec<(&'static str, Source)>,
    /// For an operand that may be read or overwritten: whether this case reads it.
    reads: bool,
}

impl Facts {
    fn of(op: &str) -> Self {
        let table = Op::TABLES.iter().find(|table| table.name == op);
        Self {
            table: table.unwrap_or_else(|| unreachable!("there is an operation {op}")),
            attributes: Vec::new(),
            misfits: Vec::new(),
            hidden: None,
            lengths: Vec::new(),
            leading: Shape::new(&[]),
            shapes: Vec::new(),
            absent: Vec::new(),
            dtypes: Vec::new(),
            sources: Vec::new(),
            reads: false,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    fn misfit(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.misfits.push((name, value.into()));
        self
    }

    fn lengths<const N: usize>(mut self, lengths: [(char, usize); N]) -> Self {
        self.lengths.extend(lengths);
        self
    }

    /// Sets `N..` and `C` from the shape of rows.
    fn rows(mut self, shape: Shape) -> Self {
        let dims = shape.dims();
        self.leading = Shape::new(&dims[..dims.len() - 1]);
        self.lengths([('N', shape.rows()), ('C', shape.columns())])
    }

    fn shape(mut self, name: &'static str, shape: impl Into<Shape>) -> Self {
        self.shapes.push((name, shape.into()));
        self
    }

    fn only_if(mut self, given: bool, name: &'static str) -> Self {
        if !given {
            self.absent.push(name);
        }
        self
    }

    fn dtype(mut self, name: &'static str, dtype: DType) -> Self {
        self.dtypes.push((name, dtype));
        self
    }

    fn source(mut self, name: &'static str, source: Source) -> Self {
        self.sources.push((name, source));
        self
    }

    fn reads(self, reads: bool) -> Self {
        Self { reads, ..self }
    }

    /// Whether a case may have this main type. If the table fixes all types, cases have `F32`.
    pub(crate) fn has_main_type(&self, dtype: DType) -> bool {
        let rules = self.table.operands.iter().map(|rule| rule.dtype);
        let is_free = |rule| matches!(rule, DTypeRule::Any | DTypeRule::Float);
        dtype == DType::F32 || self.table.operands.is_empty() || rules.into_iter().any(is_free)
    }

    /// The table positions of the operands that this case has.
    pub(crate) fn given(&self) -> impl Iterator<Item = usize> {
        let all = 0..self.table.operands.len();
        all.filter(|&at| !self.absent.contains(&self.table.operands[at].name))
    }

    /// The length that a letter stands for; `None` if this case does not have the letter.
    pub(crate) fn length(&self, letter: char) -> Option<usize> {
        let found = self.lengths.iter().find(|(name, _)| *name == letter);
        found.map(|(_, len)| *len)
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<Value> {
        let found = self.attributes.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| *value)
    }

    fn rule(&self, at: usize) -> &OperandRule {
        &self.table.operands[at]
    }

    pub(crate) fn shape_of(&self, at: usize) -> Shape {
        let rule = self.rule(at);
        if let Some((_, shape)) = self.shapes.iter().find(|(name, _)| *name == rule.name) {
            return *shape;
        }
        let length = |letter| {
            let of = || format!("{letter} of {}: {}", self.table.name, rule.name);
            self.length(letter)
                .unwrap_or_else(|| unreachable!("the case says {}", of()))
        };
        match rule.shape {
            ShapeRule::As(other) => self.shape_of(other),
            ShapeRule::Axes(axes) => axes.shape(&length, self.leading, false),
            ShapeRule::Turned(axes, by) => {
                let by = self.table.attributes[by].name;
                let is_turned = self.attribute(by) == Some(Value::Bool(true));
                axes.shape(&length, self.leading, is_turned)
            }
            ShapeRule::Any | ShapeRule::LastAxesOf(_) | ShapeRule::Computed => {
                unreachable!("the case says the shape of {}", rule.name)
            }
        }
    }

    /// The type of an operand, if the main operands have type `main`.
    pub(crate) fn dtype_of(&self, at: usize, main: DType) -> DType {
        let rule = self.rule(at);
        if let Some((_, dtype)) = self.dtypes.iter().find(|(name, _)| *name == rule.name) {
            return *dtype;
        }
        match rule.dtype {
            DTypeRule::Any | DTypeRule::Float => main,
            DTypeRule::Is(dtype) => dtype,
            DTypeRule::As(other) | DTypeRule::SumOf(other) => self.dtype_of(other, main),
            DTypeRule::StatisticsOf(other) => match self.dtype_of(other, main) {
                DType::F64 => DType::F64,
                _ => DType::F32,
            },
        }
    }

    /// Whether this case reads, overwrites or updates an operand.
    pub(crate) fn access(&self, at: usize) -> Access {
        match self.rule(at).access {
            Access::OutOrInOut if self.reads => Access::InOut,
            Access::OutOrInOut => Access::Out,
            access => access,
        }
    }

    pub(crate) fn source_of(&self, at: usize) -> Option<&Source> {
        let name = self.rule(at).name;
        let found = self.sources.iter().find(|(given, _)| *given == name);
        found.map(|(_, source)| source)
    }

    /// Invalid values of attributes, each with the attribute's name.
    pub(crate) fn wrong_attributes(&self) -> Vec<(&'static str, Value)> {
        let mut wrong = self.misfits.clone();
        for rule in self.table.attributes {
            let Some(given) = self.attribute(rule.name) else {
                continue;
            };
            let mut numbers = |values: &[f64]| {
                let all = values.iter().map(|value| (rule.name, like(given, *value)));
                wrong.extend(all);
            };
            match rule.range {
                Range::Any | Range::Causal => {}
                Range::NotNan => numbers(&[f64::NAN]),
                Range::Finite => numbers(&[f64::NAN, f64::INFINITY]),
                Range::Positive => numbers(&[f64::NAN, 0.0]),
                Range::NotNegative => numbers(&[f64::NAN, -1.0]),
                Range::Share | Range::DropoutShare => numbers(&[f64::NAN, 1.0, -0.1]),
                Range::Sets(_) => numbers(&[0.0]),
                Range::UpTo(letter, _) => {
                    let most = self.length(letter).unwrap_or(0);
                    wrong.extend([0, most + 1, usize::MAX].map(|n| (rule.name, n.into())));
                }
                Range::OffsetOf(part, whole, _) => {
                    if let (Some(part), Some(whole)) = (self.length(part), self.length(whole)) {
                        let past = whole - part + 1;
                        wrong.extend([past, usize::MAX].map(|n| (rule.name, n.into())));
                    }
                }
            }
        }
        wrong
    }
}

/// `number` as an attribute value of the same kind as `given`.
fn like(given: Value, number: f64) -> Value {
    match given {
        Value::F64(_) => number.into(),
        Value::Usize(_) => (number as usize).into(),
        Value::U32(_) => (number as u32).into(),
        Value::MaybeF32(_) => Some(number as f32).into(),
        _ => (number as f32).into(),
    }
}

/// `shape` with another length along `axis`.
fn with_length(shape: Shape, axis: usize, length: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims[axis] = length;
    Shape::new(&dims)
}

/// The type in which operands of type `dtype` are summed.
fn sum_type(dtype: DType, f32_sum: bool) -> DType {
    match dtype {
        DType::Bf16 | DType::F16 if f32_sum => DType::F32,
        dtype => dtype,
    }
}

impl Attributes {
    /// The facts of this case; `dtype` is the type of the main operands.
    pub(crate) fn facts(&self, dtype: DType) -> Facts {
        let facts = Facts::of(self.name());
        let gradients = |f32| if f32 { DType::F32 } else { dtype };
        match *self {
            Self::Fill { shape, value } => facts.shape("y", shape).with("value", value),
            Self::Cast { shape, to } => facts
                .shape("x", shape)
                .dtype("y", to)
                // Floats are cast to integers only if they are whole numbers.
                .source(
                    "x",
                    if to.is_float() {
                        Source::Anything
                    } else {
                        Source::Ids(200)
                    },
                ),
            Self::Permute { shape, axes } => {
                let to: Vec<usize> = (0..shape.rank()).map(|i| shape.dims()[axes[i]]).collect();
                let facts = facts
                    .shape("x", shape)
                    .shape("y", &to[..])
                    .source("x", Source::Anything)
                    .with("axes", axes);
                let [first, _, third, fourth] = axes;
                match shape.rank() {
                    0 | 1 => facts,
                    _ => facts.misfit("axes", [first, first, third, fourth]),
                }
            }
            Self::Slice {
                shape,
                axis,
                first,
                length,
            } => facts
                .shape("x", shape)
                .shape("y", with_length(shape, axis, length))
                .source("x", Source::Anything)
                .with("axis", axis)
                .with("first", first)
                .misfit("axis", shape.rank())
                .misfit("first", shape.dims()[axis] - length + 1)
                .misfit("first", usize::MAX),
            Self::Concat { shape, axis, of_a } => facts
                .shape("a", with_length(shape, axis, of_a))
                .shape("b", with_length(shape, axis, shape.dims()[axis] - of_a))
                .shape("y", shape)
                .source("a", Source::Anything)
                .source("b", Source::Anything)
                .with("axis", axis)
                .misfit("axis", shape.rank()),
            Self::Custom { .. } => facts,
            Self::Unary { kind, shape } | Self::UnaryBackward { kind, shape } => {
                facts.shape("x", shape).with("kind", kind)
            }
            Self::Binary {
                kind,
                shape,
                b_rank,
            } => {
                let b = Shape::new(&shape.dims()[shape.rank() - b_rank..]);
                let facts = facts.shape("a", shape).shape("b", b).with("kind", kind);
                match kind {
                    BinaryKind::Div => facts.source("b", Source::AwayFromZero),
                    _ => facts,
                }
            }
            Self::Axpby { shape, alpha, beta } => facts
                .shape("x", shape)
                .with("alpha", alpha)
                .with("beta", beta)
                .reads(beta != 0.0),
            Self::Matmul {
                batch,
                m,
                n,
                k,
                trans_a,
                trans_b,
                alpha,
                beta,
                bias,
                f32_sum,
            } => Facts {
                leading: batch.map_or(Shape::new(&[]), |s| [s].into()),
                ..facts
                    .lengths([('M', m), ('N', n), ('K', k)])
                    .only_if(bias, "bias")
                    .dtype("y", sum_type(dtype, f32_sum))
                    .with("trans_a", trans_a)
                    .with("trans_b", trans_b)
                    .with("alpha", alpha)
                    .with("beta", beta)
                    .reads(beta != 0.0)
            },
            Self::Reduce {
                kind,
                over,
                shape,
                accumulate,
                f32_sum,
            } => {
                let kept = match over {
                    Over::Rows => shape.columns(),
                    Over::Columns => shape.rows(),
                };
                let facts = facts
                    .shape("x", shape)
                    .shape("y", [kept])
                    .dtype("y", sum_type(dtype, f32_sum))
                    .with("kind", kind)
                    .with("over", over)
                    .with("accumulate", accumulate)
                    .reads(accumulate);
                match kind {
                    ReduceKind::Max => facts.misfit("accumulate", true),
                    _ => facts,
                }
            }
            Self::ArgMax {
                rows,
                columns,
                valid_columns,
            } => facts
                .lengths([('N', rows), ('C', columns)])
                .with("valid_columns", valid_columns),
            Self::Embedding {
                b,
                t,
                v,
                c,
                positions,
                first_position,
            } => facts
                .lengths([('B', b), ('T', t), ('V', v), ('C', c)])
                .positions("wpe", positions.map(|spare| first_position + t + spare))
                .source("ids", Source::Ids(v))
                .with("first_position", first_position),
            Self::EmbeddingBackward {
                b,
                t,
                v,
                c,
                positions,
                f32_gradients,
            } => facts
                .lengths([('B', b), ('T', t), ('V', v), ('C', c)])
                .positions("dwpe", positions.map(|spare| t + spare))
                .source("ids", Source::Ids(v))
                .dtype("dwte", gradients(f32_gradients)),
            Self::LayerNorm { shape, bias, eps } | Self::AddLayerNorm { shape, bias, eps } => {
                facts.rows(shape).only_if(bias, "bias").with("eps", eps)
            }
            Self::LayerNormBackward {
                shape,
                bias,
                accumulate,
                f32_gradients,
            } => {
                let forward = Self::LayerNorm {
                    shape,
                    bias: false,
                    eps: 1e-5,
                };
                facts
                    .rows(shape)
                    .only_if(bias, "dbias")
                    .source("mean", Source::Forward(Box::new(forward.clone()), "mean"))
                    .source("rstd", Source::Forward(Box::new(forward), "rstd"))
                    .dtype("dweight", gradients(f32_gradients))
                    .with("accumulate", accumulate)
                    .reads(accumulate)
            }
            Self::Softmax {
                shape,
                scale,
                causal,
                valid_columns,
            } => facts
                .rows(shape)
                .with("scale", scale)
                .with("causal", causal)
                .with("valid_columns", valid_columns),
            Self::SoftmaxBackward {
                shape,
                scale,
                causal,
            } => {
                let forward = Self::Softmax {
                    shape,
                    scale,
                    causal,
                    valid_columns: shape.columns(),
                };
                Facts {
                    hidden: Some(("x", shape)),
                    ..facts
                        .rows(shape)
                        .source("y", Source::Forward(Box::new(forward), "y"))
                        .with("scale", scale)
                }
            }
            Self::Attention(a) => facts.attention(a),
            Self::AttentionBackward(a) => {
                let forward = Self::Attention(a);
                facts
                    .attention(a)
                    .source("lse", Source::Forward(Box::new(forward.clone()), "lse"))
                    .source("y", Source::Forward(Box::new(forward), "y"))
            }
            Self::AttentionDecode {
                b,
                t,
                n_head,
                d,
                room,
                position,
                scale,
            } => facts
                .lengths([('B', b), ('T', t), ('H', n_head), ('D', d), ('S', room)])
                .with("position", position)
                .with("scale", scale),
            Self::CrossEntropy {
                rows,
                columns,
                valid_columns,
                gradient,
            } => facts
                .lengths([('N', rows), ('C', columns)])
                .source("targets", Source::Ids(valid_columns))
                .with("valid_columns", valid_columns)
                .with("gradient", gradient),
            Self::Dropout { shape, rate, site } => facts
                .rows(shape)
                .source("random", Source::RandomWords)
                .with("rate", rate)
                .with("site", site),
            Self::SumSquares { shape, accumulate } => facts
                .shape("x", shape)
                .source("y", Source::Squares)
                .with("accumulate", accumulate)
                .reads(accumulate),
            Self::ClipScale { max_norm } => facts
                .source("sum_squares", Source::Squares)
                .source("scalars", Source::Block { update: None })
                .with("max_norm", max_norm),
            Self::AdamW {
                n,
                beta1,
                beta2,
                eps,
                weight_decay,
                working,
                broken: is_broken,
            } => {
                let update = Some(Update { beta1, is_broken });
                facts
                    .lengths([('N', n)])
                    .only_if(working, "working")
                    .source("v", Source::Squares)
                    .source("scalars", Source::Block { update })
                    .with("beta1", beta1)
                    .with("beta2", beta2)
                    .with("eps", eps)
                    .with("weight_decay", weight_decay)
            }
        }
    }
}

impl Facts {
    fn attention(self, a: AttentionAttributes) -> Self {
        self.lengths([('B', a.b), ('T', a.t), ('H', a.n_head), ('D', a.d)])
            .only_if(a.rate > 0.0, "random")
            .source("random", Source::RandomWords)
            .with("n_head", a.n_head)
            .with("scale", a.scale)
            .with("causal", a.causal)
            .with("rate", a.rate)
            .with("site", a.site)
    }

    /// The case has a table of positions with this many rows, or no such table.
    fn positions(self, name: &'static str, rows: Option<usize>) -> Self {
        match rows {
            Some(rows) => self.lengths([('P', rows)]),
            None => self.only_if(false, name),
        }
    }
}
