//! The operands of a case, drawn from its seed.

use crate::case::{Case, Source, Special, Values};
use crate::oracle::{self, rounded};
use latimer_tensor::op::table::Outlined;
use latimer_tensor::op::{Outline, ScalarBlock, Value};
use latimer_tensor::philox::Stream;
use latimer_tensor::{DType, Real, Result, Shape};

/// How an operation uses an operand in a case; never [`Role::OutOrInOut`].
pub(crate) use latimer_tensor::op::table::Access as Role;

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
    made: Vec<Operand>,
}

impl Case {
    /// The operands, in any order.
    pub(crate) fn operands(&self) -> Result<Vec<Operand>> {
        let (operands, floats) = self.draw(None)?;
        match self.special {
            Some(special) if floats > 0 => {
                let target = Some((special.operand % floats, special));
                Ok(self.draw(target)?.0)
            }
            _ => Ok(operands),
        }
    }

    fn draw(&self, target: Option<(usize, Special)>) -> Result<(Vec<Operand>, usize)> {
        let mut draw = Draw {
            case: self,
            stream: Stream::new(self.seed, 0, 0),
            floats: 0,
            target,
            made: Vec::new(),
        };
        draw.all()?;
        Ok((draw.made, draw.floats))
    }
}

impl Draw<'_> {
    // ---- values

    fn floats(&mut self, n: usize) -> Vec<f64> {
        let large = (self.case.spec().large)(&self.case.outline);
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

    // ---- operands

    fn all(&mut self) -> Result<()> {
        let (case, main) = (self.case, self.case.dtype);
        let all = case.outline.operands(main);
        // Results of a forward operation come last, since it reads the other operands.
        let (computed, drawn): (Vec<_>, Vec<_>) = all
            .map(|operand| (operand, case.source_of(operand.name)))
            .partition(|(_, source)| matches!(source, Source::Forward(_)));
        // An input that only a forward operation reads is drawn first.
        let has = |name| case.outline.table().operand(name).is_some();
        let forward = computed.first().and_then(|(_, source)| match source {
            Source::Forward(forward) => forward.operands(main).next(),
            _ => None,
        });
        let hidden = forward.filter(|input| !has(input.name));
        let hidden_first = hidden.map(|input| (input, Source::Anything)).into_iter();
        for (operand, source) in hidden_first.chain(drawn).chain(computed) {
            let Outlined {
                name,
                shape,
                dtype,
                access,
                ..
            } = operand;
            let values = match access {
                Role::Out => Vec::new(),
                _ => self.values(&source, name, shape.numel(), dtype)?,
            };
            self.made.push(Operand {
                name,
                role: access,
                dtype,
                shape,
                bytes: rounded(&values, dtype)?,
            });
        }
        let is_hidden = |name| hidden.is_some_and(|input| input.name == name);
        self.made.retain(|made| !is_hidden(made.name));
        Ok(())
    }

    fn values(&mut self, source: &Source, name: &str, n: usize, dtype: DType) -> Result<Vec<f64>> {
        let stream = &mut self.stream;
        Ok(match *source {
            Source::Anything if dtype.is_float() => self.floats(n),
            Source::Anything => self.ids(n, 1000),
            Source::Ids(below) => self.ids(n, below),
            Source::Squares => self.floats(n).iter().map(|x| x * x).collect(),
            Source::AwayFromZero => {
                let normal = (0..n).map(|_| stream.normal());
                normal.map(|x| x + x.signum()).collect()
            }
            // Any seed and step, and a first row that exposes numbering by local rows.
            Source::RandomWords => {
                let mut words: Vec<f64> = (0..n).map(|_| stream.next_u32().into()).collect();
                words[3] = stream.below(3) as f64;
                words
            }
            Source::Scalars => (0..n).map(|_| stream.normal()).collect(),
            Source::Update { is_broken } => {
                let mut block: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
                let beta1 = self.case.outline.attribute("beta1");
                let beta1 = beta1.map_or(0.0, Value::number);
                let steps = 1 + stream.below(100) as i32;
                block[ScalarBlock::LR] = 0.1 * stream.uniform();
                block[ScalarBlock::CLIP] = 1.0 - 0.9 * stream.uniform();
                if is_broken {
                    block[ScalarBlock::CLIP] = f64::NAN;
                }
                block[ScalarBlock::BIAS1] = 1.0 - beta1.powi(steps);
                block[ScalarBlock::BIAS2] = 1.0 - 0.999_f64.powi(steps);
                block
            }
            Source::Forward(ref forward) => self.computed(forward, name)?,
        })
    }

    /// An output of a forward operation on the operands made so far.
    fn computed(&self, forward: &Outline, from: &str) -> Result<Vec<f64>> {
        let case = Case {
            outline: forward.clone(),
            special: None,
            sources: Vec::new(),
            ..self.case.clone()
        };
        // Its inputs are the operands made so far; its outputs are those that it would have by
        // itself.
        let mut operands: Vec<Operand> = self.made.clone();
        for operand in case.draw(None)?.0 {
            if operand.role == Role::Out || !operands.iter().any(|o| o.name == operand.name) {
                operands.retain(|o| o.name != operand.name);
                operands.push(operand);
            }
        }
        let mut written = oracle::meaning(&case, &operands)?.into_iter();
        let written = written.find(|w| w.operand == from);
        let values = written.map(|w| w.values.into_iter().map(Real::value).collect());
        Ok(values.unwrap_or_else(|| unreachable!("{from} is an output of the forward")))
    }
}
