//! The naive evaluation of the operations that add up or take exponentials: the equation of each
//! as it stands, in `f32`, every sum from left to right.
//!
//! It is not a second meaning, and nothing must agree with it. It shows how much the equation loses
//! in the precision that backends accumulate in if nothing is done about it; a backend may lose
//! twice as much: see [`crate::tolerance::Spread`].
//!
//! Operands narrower than `f32` are widened; the caller that compares the results rounds them once
//! more. Elementary functions are those of `f64`, rounded once, and thus right to half a unit on
//! every machine.

use crate::ops::Spec;
use latimer_tensor::{Host, Op, Result, View};

/// One output: the operand's name and its values.
pub(crate) type Output = (&'static str, Vec<f32>);

/// The naive evaluation of an operation.
pub(crate) type Naive = fn(&Op<'_>, &Host<'_>) -> Result<Vec<Output>>;

/// A [`Naive`] from a function of the operation's struct.
macro_rules! twin {
    ($Op:ident, $function:ident) => {
        |op, host| match op {
            latimer_tensor::Op::$Op(op) => $function(op, host),
            _ => Ok(Vec::new()),
        }
    };
}
pub(crate) use twin;

/// The outputs of the operation; none for operations without a sum or an exponential.
pub(crate) fn outputs(op: &Op<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let naive = Spec::named(op.name()).and_then(|spec| spec.naive);
    naive.map_or(Ok(Vec::new()), |naive| naive(op, host))
}

/// The elements of a view as `f32`; only `f32` and narrower types are read here.
pub(crate) fn read(host: &Host<'_>, view: View<'_>) -> Result<Vec<f32>> {
    Ok(host.read(view)?.into_iter().map(|x| x as f32).collect())
}

pub(crate) fn exp(x: f32) -> f32 {
    f64::from(x).exp() as f32
}

pub(crate) fn tanh(x: f32) -> f32 {
    f64::from(x).tanh() as f32
}

fn ln(x: f32) -> f32 {
    f64::from(x).ln() as f32
}

/// The sum from left to right. `Iterator::sum` does not promise its order.
pub(crate) fn sum(terms: impl Iterator<Item = f32>) -> f32 {
    terms.fold(0.0, |sum, x| sum + x)
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a.iter().zip(b).map(|(a, b)| a * b))
}

/// Probabilities of scaled scores, and `log Σ exp`.
pub(crate) fn probabilities(x: &[f32], scale: f32) -> (Vec<f32>, f32) {
    let scores: Vec<f32> = x.iter().map(|x| x * scale).collect();
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let terms: Vec<f32> = scores.iter().map(|x| exp(x - most)).collect();
    let total = sum(terms.iter().copied());
    let p = terms.into_iter().map(|e| e / total).collect();
    (p, most + ln(total))
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
            assert_eq!(compared.get() > 0, Spec::find(op).naive.is_some(), "{op}");
        }
    }
}
