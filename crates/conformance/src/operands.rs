//! The operands of a case, drawn from its seed.

use crate::case::{Attributes, Case, Special, Values};
use crate::facts::{Source, Update};
use crate::oracle::{self, rounded};
use latimer_tensor::op::ScalarBlock;
use latimer_tensor::op::table::Access;
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Result, Shape};

/// How an operation uses an operand in a case. An operand that some attributes make it read and
/// others only overwrite is [`Role::Out`] in cases where it must not be read.
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
    /// The bytes of its elements; empty for an output.
    pub(crate) bytes: Vec<u8>,
}

/// The operands made so far, and the stream that further ones are drawn from.
struct Draw<'c> {
    case: &'c Case,
    stream: Stream,
    /// Float operands drawn so far.
    floats: usize,
    /// The float operand that gets the special value.
    target: Option<(usize, Special)>,
    /// Whether only shapes and types are needed.
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
        // If all values are equal nothing is drawn, since that would take an interpreter long.
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

    /// Floats, or small integers if the type holds only integers.
    fn anything(&mut self, n: usize, dtype: DType) -> Vec<f64> {
        if dtype.is_float() {
            self.floats(n)
        } else {
            self.ids(n, 1000)
        }
    }

    // ---- operands

    fn all(&mut self) -> Result<()> {
        if let Attributes::Custom { shape } = self.case.attributes {
            let dtype = self.case.dtype;
            for name in ["input0", "input1"] {
                let values = self.floats(shape.numel());
                self.make(Role::In, name, dtype, shape, &values)?;
            }
            self.make(Role::Out, "output0", dtype, shape, &[])?;
            return self.make(Role::Out, "output1", dtype, shape, &[]);
        }
        let facts = self.case.facts();
        if let Some((name, shape)) = facts.hidden {
            let values = self.floats(shape.numel());
            self.make(Role::In, name, self.case.dtype, shape, &values)?;
        }
        // Results of a forward operation come last, since it reads the other operands.
        let (computed, drawn): (Vec<_>, Vec<_>) = facts
            .given()
            .partition(|&at| matches!(facts.source_of(at), Some(Source::Forward(..))));
        for at in drawn.into_iter().chain(computed) {
            let role = match facts.access(at) {
                Access::In => Role::In,
                Access::Out | Access::OutOrInOut => Role::Out,
                Access::InOut => Role::InOut,
            };
            let (shape, dtype) = (facts.shape_of(at), facts.dtype_of(at, self.case.dtype));
            let values = match role {
                Role::Out => Vec::new(),
                Role::In | Role::InOut => self.values(facts.source_of(at), shape.numel(), dtype)?,
            };
            self.make(role, facts.table.operands[at].name, dtype, shape, &values)?;
        }
        if let Some((hidden, _)) = facts.hidden {
            self.made.retain(|operand| operand.name != hidden);
        }
        Ok(())
    }

    fn values(&mut self, source: Option<&Source>, n: usize, dtype: DType) -> Result<Vec<f64>> {
        Ok(match source {
            None => self.floats(n),
            Some(Source::Anything) => self.anything(n, dtype),
            Some(&Source::Ids(below)) => self.ids(n, below),
            Some(Source::Squares) => self.floats(n).iter().map(|x| x * x).collect(),
            Some(Source::AwayFromZero) => (0..n)
                .map(|_| {
                    let x = self.stream.normal();
                    x + x.signum()
                })
                .collect(),
            // Any seed and step, and a first row that exposes numbering by local rows.
            Some(Source::RandomWords) => {
                let mut words: Vec<f64> = (0..n).map(|_| self.stream.next_u32().into()).collect();
                words[3] = self.stream.below(3) as f64;
                words
            }
            Some(Source::Block { update }) => {
                let mut block: Vec<f64> = (0..n).map(|_| self.stream.normal()).collect();
                if let Some(Update { beta1, is_broken }) = *update {
                    let steps = 1 + self.stream.below(100) as i32;
                    block[ScalarBlock::LR] = 0.1 * self.stream.uniform();
                    block[ScalarBlock::CLIP] = 1.0 - 0.9 * self.stream.uniform();
                    if is_broken {
                        block[ScalarBlock::CLIP] = f64::NAN;
                    }
                    block[ScalarBlock::BIAS1] = 1.0 - f64::from(beta1).powi(steps);
                    block[ScalarBlock::BIAS2] = 1.0 - 0.999_f64.powi(steps);
                }
                block
            }
            Some(Source::Forward(forward, from)) => self.computed(forward, from)?,
        })
    }

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

    /// An output of a forward operation on the operands made so far.
    fn computed(&mut self, forward: &Attributes, from: &str) -> Result<Vec<f64>> {
        if self.blank {
            return Ok(Vec::new());
        }
        let case = Case {
            attributes: forward.clone(),
            special: None,
            ..self.case.clone()
        };
        // Its inputs are the operands made so far; its outputs are those that it would have by
        // itself.
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
        Ok(values.unwrap_or_else(|| unreachable!("{from} is an output of the forward")))
    }
}
