//! The operands of a case, drawn from its seed.

use crate::case::{Attributes, Case, Special, Values};
use crate::oracle::{self, rounded};
use latimer_tensor::op::{BinaryKind, DropoutMask};
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Result, Scalars, Shape};

/// How an operation uses an operand in one case. An operand that some attributes make it read and
/// others only overwrite is an [`Role::Out`] where it must not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    In,
    Out,
    InOut,
}

/// One operand as host data.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    /// Its elements' bytes; none for an output.
    pub(crate) bytes: Vec<u8>,
}

/// Statistics are `F32`, whatever the operands, but for the oracle's `F64`.
fn statistics(dtype: DType) -> DType {
    if dtype == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

/// `shape` with another length along `axis`.
fn with_length(shape: Shape, axis: usize, length: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims[axis] = length;
    Shape::new(&dims)
}

/// The operands made so far, and the stream that more are drawn from.
struct Draw<'c> {
    case: &'c Case,
    stream: Stream,
    /// Float operands drawn so far.
    floats: usize,
    /// Which of them gets the special value.
    target: Option<(usize, Special)>,
    /// Shapes and types are asked for only.
    blank: bool,
    made: Vec<Operand>,
}

impl Case {
    /// The operands, in any order.
    pub(crate) fn operands(&self) -> Result<Vec<Operand>> {
        let (operands, floats) = self.draw(None, false)?;
        match self.special {
            Some(special) if floats > 0 => {
                let target = Some((special.operand % floats, special));
                Ok(self.draw(target, false)?.0)
            }
            _ => Ok(operands),
        }
    }

    /// The operands without their values: names, shapes and types.
    pub(crate) fn outline(&self) -> Result<Vec<Operand>> {
        Ok(self.draw(None, true)?.0)
    }

    fn draw(&self, target: Option<(usize, Special)>, blank: bool) -> Result<(Vec<Operand>, usize)> {
        let mut draw = Draw {
            case: self,
            stream: Stream::new(self.seed, 0, 0),
            floats: 0,
            target,
            blank,
            made: Vec::new(),
        };
        draw.all()?;
        Ok((draw.made, draw.floats))
    }
}

impl Draw<'_> {
    // ---- values

    fn floats(&mut self, n: usize) -> Vec<f64> {
        let n = if self.blank { 0 } else { n };
        let large = self.case.attributes.large();
        let level = self.stream.normal();
        // Where all are alike nothing is drawn: an interpreter would spend its time on that.
        let alike = match self.case.values {
            Values::Zeros => Some(0.0),
            Values::Equal => Some(level),
            _ => None,
        };
        let mut values: Vec<f64> = (0..n)
            .map(|_| {
                if let Some(value) = alike {
                    return value;
                }
                let x = self.stream.normal();
                match self.case.values {
                    Values::Normal => x,
                    Values::Large => large * x,
                    Values::Small => 1e-3 * x,
                    Values::Tiny => 1e-30 * x,
                    Values::Denormal => 1e-39 * x,
                    Values::Zeros => 0.0,
                    Values::Equal => level,
                    Values::Mixed => [0.0, 1e-3, 1.0, large][self.stream.below(4) as usize] * x,
                }
            })
            .collect();
        if let Some((_, special)) = self.target.filter(|(which, _)| *which == self.floats)
            && n > 0
        {
            values[special.element % n] = special.value;
        }
        self.floats += 1;
        values
    }

    fn ids(&mut self, n: usize, below: usize) -> Vec<f64> {
        (0..n)
            .map(|_| self.stream.below(below as u64) as f64)
            .collect()
    }

    /// Floats, or small integers where the type holds no others.
    fn anything(&mut self, n: usize, dtype: DType) -> Vec<f64> {
        if dtype.is_float() {
            self.floats(n)
        } else {
            self.ids(n, 1000)
        }
    }

    // ---- operands

    fn make(
        &mut self,
        role: Role,
        name: &'static str,
        dtype: DType,
        shape: Shape,
        values: &[f64],
    ) -> Result<()> {
        let bytes = match self.blank {
            true => Vec::new(),
            false => rounded(values, dtype)?,
        };
        self.made.push(Operand {
            name,
            role,
            dtype,
            shape,
            bytes,
        });
        Ok(())
    }

    /// A float input of the case's type.
    fn input(&mut self, name: &'static str, shape: impl Into<Shape>) -> Result<()> {
        let shape = shape.into();
        let values = self.floats(shape.numel());
        self.make(Role::In, name, self.case.dtype, shape, &values)
    }

    /// The type of a sum of operands of the case's type.
    fn sum_type(&self, f32_sum: bool) -> DType {
        match self.case.dtype {
            DType::Bf16 | DType::F16 if f32_sum => DType::F32,
            dtype => dtype,
        }
    }

    /// An input of the case's type, floats or not.
    fn moved(&mut self, name: &'static str, shape: Shape) -> Result<()> {
        let dtype = self.case.dtype;
        let values = self.anything(shape.numel(), dtype);
        self.make(Role::In, name, dtype, shape, &values)
    }

    fn ids_input(
        &mut self,
        name: &'static str,
        shape: impl Into<Shape>,
        below: usize,
    ) -> Result<()> {
        let shape = shape.into();
        let values = self.ids(shape.numel(), below);
        self.make(Role::In, name, DType::U32, shape, &values)
    }

    fn output(&mut self, name: &'static str, dtype: DType, shape: impl Into<Shape>) -> Result<()> {
        self.make(Role::Out, name, dtype, shape.into(), &[])
    }

    /// What is added to if `reads`, else overwritten.
    fn sum(
        &mut self,
        name: &'static str,
        dtype: DType,
        shape: impl Into<Shape>,
        reads: bool,
    ) -> Result<()> {
        let shape = shape.into();
        if !reads {
            return self.output(name, dtype, shape);
        }
        let values = self.floats(shape.numel());
        self.make(Role::InOut, name, dtype, shape, &values)
    }

    /// Random words: any seed and step, and a first row that makes local numbering wrong.
    fn random(&mut self) -> Result<()> {
        let mut words: Vec<f64> = (0..DropoutMask::WORDS)
            .map(|_| f64::from(self.stream.next_u32()))
            .collect();
        words[3] = self.stream.below(3) as f64;
        self.make(
            Role::In,
            "random",
            DType::U32,
            [DropoutMask::WORDS].into(),
            &words,
        )
    }

    /// An input that a forward operation on the operands so far computes.
    fn derived(
        &mut self,
        forward: &Attributes,
        from: &'static str,
        name: &'static str,
        dtype: DType,
        shape: impl Into<Shape>,
    ) -> Result<()> {
        if self.blank {
            return self.make(Role::In, name, dtype, shape.into(), &[]);
        }
        let case = Case {
            attributes: forward.clone(),
            special: None,
            ..self.case.clone()
        };
        // Its inputs are those made so far, its outputs those that it would have made itself.
        let mut operands: Vec<Operand> = self.made.clone();
        for operand in case.draw(None, false)?.0 {
            if operand.role == Role::Out || !operands.iter().any(|o| o.name == operand.name) {
                operands.retain(|o| o.name != operand.name);
                operands.push(operand);
            }
        }
        let written = oracle::meaning(&case, &operands)?;
        let values = written
            .into_iter()
            .find(|w| w.operand == from)
            .map(|w| w.values);
        let values = values.unwrap_or_else(|| unreachable!("{from} is an output of the forward"));
        self.make(Role::In, name, dtype, shape.into(), &values)
    }

    fn all(&mut self) -> Result<()> {
        let (dtype, attributes) = (self.case.dtype, self.case.attributes.clone());
        match &attributes {
            Attributes::Fill { shape, .. } => self.output("y", dtype, *shape),
            &Attributes::Cast { shape, to } => {
                // Floats are cast to integers only where they are integers.
                let values = if to.is_float() {
                    self.anything(shape.numel(), dtype)
                } else {
                    self.ids(shape.numel(), 200)
                };
                self.make(Role::In, "x", dtype, shape, &values)?;
                self.output("y", to, shape)
            }
            &Attributes::Permute { shape, axes } => {
                self.moved("x", shape)?;
                let to: Vec<usize> = (0..shape.rank()).map(|i| shape.dims()[axes[i]]).collect();
                self.output("y", dtype, &to[..])
            }
            &Attributes::Slice {
                shape,
                axis,
                length,
                ..
            } => {
                self.moved("x", shape)?;
                self.output("y", dtype, with_length(shape, axis, length))
            }
            &Attributes::Concat { shape, axis, of_a } => {
                let of_b = shape.dims()[axis] - of_a;
                self.moved("a", with_length(shape, axis, of_a))?;
                self.moved("b", with_length(shape, axis, of_b))?;
                self.output("y", dtype, shape)
            }
            &Attributes::Custom { shape } => {
                for name in ["input0", "input1"] {
                    self.input(name, shape)?;
                }
                self.output("output0", dtype, shape)?;
                self.output("output1", dtype, shape)
            }
            &Attributes::Unary { shape, .. } => {
                self.input("x", shape)?;
                self.output("y", dtype, shape)
            }
            &Attributes::UnaryBackward { shape, .. } => {
                self.input("x", shape)?;
                self.input("dy", shape)?;
                self.output("dx", dtype, shape)
            }
            &Attributes::Binary {
                kind,
                shape,
                b_rank,
            } => {
                self.input("a", shape)?;
                let b = Shape::new(&shape.dims()[shape.rank() - b_rank..]);
                if kind == BinaryKind::Div {
                    // Away from zero: a quotient's size must stay within the type.
                    let values: Vec<f64> = (0..b.numel())
                        .map(|_| {
                            let x = self.stream.normal();
                            x + x.signum()
                        })
                        .collect();
                    self.make(Role::In, "b", dtype, b, &values)?;
                } else {
                    self.input("b", b)?;
                }
                self.output("y", dtype, shape)
            }
            &Attributes::Axpby { shape, beta, .. } => {
                self.input("x", shape)?;
                self.sum("y", dtype, shape, beta != 0.0)
            }
            &Attributes::Matmul {
                batch,
                m,
                n,
                k,
                trans_a,
                trans_b,
                beta,
                bias,
                f32_sum,
                ..
            } => {
                let of = |transposed, rows, columns| {
                    let (rows, columns) = if transposed {
                        (columns, rows)
                    } else {
                        (rows, columns)
                    };
                    batch.map_or(Shape::new(&[rows, columns]), |s| {
                        Shape::new(&[s, rows, columns])
                    })
                };
                self.input("a", of(trans_a, m, k))?;
                self.input("b", of(trans_b, k, n))?;
                if bias {
                    self.input("bias", [n])?;
                }
                let sum = self.sum_type(f32_sum);
                self.sum("y", sum, of(false, m, n), beta != 0.0)
            }
            other => self.rows(other),
        }
    }

    fn rows(&mut self, attributes: &Attributes) -> Result<()> {
        let dtype = self.case.dtype;
        let gradients = |f32_gradients| {
            if f32_gradients { DType::F32 } else { dtype }
        };
        match *attributes {
            Attributes::Reduce {
                over,
                shape,
                accumulate,
                f32_sum,
                ..
            } => {
                self.input("x", shape)?;
                let kept = match over {
                    latimer_tensor::op::Over::Rows => shape.columns(),
                    latimer_tensor::op::Over::Columns => shape.rows(),
                };
                self.sum("y", self.sum_type(f32_sum), [kept], accumulate)
            }
            Attributes::ArgMax { rows, columns, .. } => {
                self.input("x", [rows, columns])?;
                self.output("y", DType::U32, [rows])
            }
            Attributes::Embedding {
                b,
                t,
                v,
                c,
                positions,
                first_position,
            } => {
                self.ids_input("ids", [b, t], v)?;
                self.input("wte", [v, c])?;
                if let Some(spare) = positions {
                    self.input("wpe", [first_position + t + spare, c])?;
                }
                self.output("y", dtype, [b, t, c])
            }
            Attributes::EmbeddingBackward {
                b,
                t,
                v,
                c,
                positions,
                f32_gradients,
            } => {
                let gradients = gradients(f32_gradients);
                self.ids_input("ids", [b, t], v)?;
                self.input("dy", [b, t, c])?;
                self.sum("dwte", gradients, [v, c], true)?;
                match positions {
                    Some(spare) => self.sum("dwpe", gradients, [t + spare, c], true),
                    None => Ok(()),
                }
            }
            Attributes::LayerNorm { shape, bias, .. }
            | Attributes::AddLayerNorm { shape, bias, .. } => {
                self.input("x", shape)?;
                if matches!(attributes, Attributes::AddLayerNorm { .. }) {
                    self.input("r", shape)?;
                    self.output("s", dtype, shape)?;
                }
                self.input("weight", [shape.columns()])?;
                if bias {
                    self.input("bias", [shape.columns()])?;
                }
                self.output("y", dtype, shape)?;
                self.output("mean", statistics(dtype), [shape.rows()])?;
                self.output("rstd", statistics(dtype), [shape.rows()])
            }
            Attributes::LayerNormBackward {
                shape,
                bias,
                accumulate,
                f32_gradients,
            } => {
                self.input("x", shape)?;
                self.input("weight", [shape.columns()])?;
                let forward = Attributes::LayerNorm {
                    shape,
                    bias: false,
                    eps: 1e-5,
                };
                for name in ["mean", "rstd"] {
                    self.derived(&forward, name, name, statistics(dtype), [shape.rows()])?;
                }
                self.input("dy", shape)?;
                self.sum("dx", dtype, shape, accumulate)?;
                let gradients = gradients(f32_gradients);
                self.sum("dweight", gradients, [shape.columns()], true)?;
                if bias {
                    self.sum("dbias", gradients, [shape.columns()], true)?;
                }
                Ok(())
            }
            Attributes::Softmax { shape, .. } => {
                self.input("x", shape)?;
                self.output("y", dtype, shape)
            }
            Attributes::SoftmaxBackward {
                shape,
                scale,
                causal,
            } => {
                self.input("x", shape)?;
                let forward = Attributes::Softmax {
                    shape,
                    scale,
                    causal,
                    valid_columns: shape.columns(),
                };
                self.derived(&forward, "y", "y", dtype, shape)?;
                self.made.retain(|operand| operand.name != "x");
                self.input("dy", shape)?;
                self.output("dx", dtype, shape)
            }
            Attributes::Attention(a) => {
                self.input("qkv", [a.b, a.t, 3 * a.n_head * a.d])?;
                if a.rate > 0.0 {
                    self.random()?;
                }
                self.output("y", dtype, [a.b, a.t, a.n_head * a.d])?;
                self.output("lse", statistics(dtype), [a.b, a.n_head, a.t])
            }
            Attributes::AttentionBackward(a) => {
                let (width, forward) = (a.n_head * a.d, Attributes::Attention(a));
                self.input("qkv", [a.b, a.t, 3 * width])?;
                if a.rate > 0.0 {
                    self.random()?;
                }
                let lse = [a.b, a.n_head, a.t];
                self.derived(&forward, "lse", "lse", statistics(dtype), lse)?;
                self.derived(&forward, "y", "y", dtype, [a.b, a.t, width])?;
                self.input("dy", [a.b, a.t, width])?;
                self.output("dqkv", dtype, [a.b, a.t, 3 * width])
            }
            Attributes::AttentionDecode {
                b,
                t,
                n_head,
                d,
                room,
                ..
            } => {
                self.input("qkv", [b, t, 3 * n_head * d])?;
                self.sum("k_cache", dtype, [b, n_head, room, d], true)?;
                self.sum("v_cache", dtype, [b, n_head, room, d], true)?;
                self.output("y", dtype, [b, t, n_head * d])
            }
            Attributes::CrossEntropy {
                rows,
                columns,
                valid_columns,
                ..
            } => {
                self.sum("logits", dtype, [rows, columns], true)?;
                self.ids_input("targets", [rows], valid_columns)?;
                self.output("losses", statistics(dtype), [rows])
            }
            Attributes::Dropout { shape, .. } => {
                self.input("x", shape)?;
                self.random()?;
                self.output("y", dtype, shape)
            }
            Attributes::SumSquares { shape, accumulate } => {
                self.input("x", shape)?;
                if accumulate {
                    let old = self.stream.normal().powi(2);
                    return self.make(Role::InOut, "y", DType::F32, [1].into(), &[old]);
                }
                self.output("y", DType::F32, [1])
            }
            Attributes::ClipScale { .. } => {
                let sum: Vec<f64> = self.floats(1).iter().map(|x| x * x).collect();
                self.make(Role::In, "sum_squares", dtype, [1].into(), &sum)?;
                let block: Vec<f64> = (0..Scalars::LEN).map(|_| self.stream.normal()).collect();
                self.make(
                    Role::InOut,
                    "scalars",
                    DType::F32,
                    [Scalars::LEN].into(),
                    &block,
                )
            }
            Attributes::AdamW {
                n,
                beta1,
                working,
                broken,
                ..
            } => {
                self.sum("param", DType::F32, [n], true)?;
                self.input("grad", [n])?;
                self.sum("m", DType::F32, [n], true)?;
                let squares: Vec<f64> = self.floats(n).iter().map(|x| x * x).collect();
                self.make(Role::InOut, "v", DType::F32, [n].into(), &squares)?;
                if working {
                    self.output("working", DType::Bf16, [n])?;
                }
                let mut block: Vec<f64> = (0..Scalars::LEN).map(|_| self.stream.normal()).collect();
                let steps = 1 + self.stream.below(100) as i32;
                block[Scalars::LR] = 0.1 * self.stream.uniform();
                block[Scalars::CLIP] = 1.0 - 0.9 * self.stream.uniform();
                if broken {
                    block[Scalars::CLIP] = f64::NAN;
                }
                block[Scalars::BIAS1] = 1.0 - f64::from(beta1).powi(steps);
                block[Scalars::BIAS2] = 1.0 - 0.999_f64.powi(steps);
                self.make(
                    Role::In,
                    "scalars",
                    DType::F32,
                    [Scalars::LEN].into(),
                    &block,
                )
            }
            _ => unreachable!("Draw::all takes the other operations"),
        }
    }
}
