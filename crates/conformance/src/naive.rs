//! The naive evaluation of the operations that add up or take exponentials: the loops of their
//! meaning as they stand, in `f32`, every sum from left to right.
//!
//! It is not a second meaning, and nothing must agree with it. It shows how much the equation loses
//! in the precision that backends accumulate in if nothing is done about it; a backend may lose
//! twice as much: see [`crate::tolerance::Spread`].
//!
//! Operands narrower than `f32` are widened; the caller that compares the results rounds them once
//! more. Elementary functions are those of `f64`, rounded once, and thus right to half a unit on
//! every machine.

use crate::ops::Spec;
use latimer_tensor::{Backend, Host, Op, Real, Result};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One output: the operand's name and its values.
pub(crate) type Output = (&'static str, Vec<f32>);

/// The outputs of the operation; none for operations without a sum or an exponential.
pub(crate) fn outputs(op: &Op<'_>, backend: &dyn Backend) -> Result<Vec<Output>> {
    if !Spec::named(op.name()).is_some_and(|spec| spec.sums) {
        return Ok(Vec::new());
    }
    let mut host = Host::<Single>::new(backend);
    op.reference(&mut host)?;
    let single = |values: Vec<Single>| values.into_iter().map(|Single(x)| x).collect();
    let written = host.into_written().into_iter();
    Ok(written.map(|w| (w.operand, single(w.values))).collect())
}

/// A number in single precision.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Single(f32);

impl Single {
    fn function(self, f: impl Fn(f64) -> f64) -> Self {
        f(self.0.into()).into()
    }
}

impl From<f64> for Single {
    fn from(x: f64) -> Self {
        Self(x as f32)
    }
}

impl From<f32> for Single {
    fn from(x: f32) -> Self {
        Self(x)
    }
}

impl Neg for Single {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

macro_rules! arithmetic {
    ($($Trait:ident $method:ident $op:tt;)*) => { $(
        impl $Trait for Single {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                Self(self.0 $op other.0)
            }
        }
    )* };
}
arithmetic! { Add add +; Sub sub -; Mul mul *; Div div /; }

impl Real for Single {
    fn value(self) -> f64 {
        self.0.into()
    }

    fn constant(value: f64) -> Self {
        value.into()
    }

    fn accumulate(&mut self, term: Self) {
        *self = *self + term;
    }

    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }

    fn exp(self) -> Self {
        self.function(f64::exp)
    }

    fn ln(self) -> Self {
        self.function(f64::ln)
    }

    fn tanh(self) -> Self {
        self.function(f64::tanh)
    }

    fn erf(self) -> Self {
        self.function(Real::erf)
    }

    fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::agreeing;
    use crate::oracle::{meaning, naive, rounded};
    use crate::tolerance::first_misfit;
    use latimer_tensor::DType;
    use std::cell::Cell;

    /// If the naive evaluation lost more than necessary, the rule that is measured by it would
    /// allow anything.
    #[test]
    fn is_within_the_first_order_bound_itself() {
        for &op in Op::NAMES {
            let compared = Cell::new(0);
            let held = agreeing(op, |case| {
                if case.dtype == DType::F64 || case.special.is_some() {
                    return Ok(());
                }
                let operands = case.operands().unwrap();
                let want = meaning(case, &operands).unwrap();
                for (name, values) in naive(case, &operands).unwrap() {
                    let want = want.iter().find(|want| want.operand == name).unwrap();
                    let dtype = operands.iter().find(|o| o.name == name).unwrap().dtype;
                    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                    let got = rounded(&values, dtype).unwrap();
                    let misfit = first_misfit(want, &got, dtype, case.dtype).unwrap();
                    assert_eq!(misfit, None, "{case:?}");
                    compared.set(compared.get() + 1);
                }
                Ok(())
            });
            held.unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(compared.get() > 0, Spec::find(op).sums, "{op}");
        }
    }
}
