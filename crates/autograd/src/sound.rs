//! Checks on the device that the numbers an optimizer wrote can be computed with.

use crate::params::ALIGNMENT;
use crate::{Error, Param, Params, Result, Slab};
use latimer_tensor::op::{Over, Reduce, ReduceKind, SumSquares};
use latimer_tensor::{DType, Tensor};

/// A number that makes any computation with it useless, and the parameter that holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsound {
    /// The parameter.
    pub param: Param,
    /// NaN or an infinity if there is one, else the number that is farthest from 0.
    pub value: f32,
}

impl Params {
    /// Looks for numbers that make any computation with them useless: NaN and infinities in any
    /// slab, and values so large that the sum of their squares overflows, as the first product with
    /// them would. If there are none, this costs one reduction and the copy of its result.
    ///
    /// ```
    /// use latimer_autograd::{Declarations, Init, Params, Slab};
    /// use latimer_tensor::Device;
    /// let mut declarations = Declarations::new();
    /// let w = declarations.root().param("w", [2], Init::Ones);
    /// let mut params = Params::new(&Device::reference(), declarations, 1)?;
    /// assert_eq!(params.find_unsound(Slab::Values)?, None);
    /// params.set(Slab::Values, w, &[-1e30, 1.0])?;
    /// assert_eq!(params.find_unsound(Slab::Values)?.map(|found| found.value), Some(-1e30));
    /// # Ok::<(), latimer_autograd::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoGradients`], or the device's failure.
    pub fn find_unsound(&self, slab: Slab) -> Result<Option<Unsound>> {
        if self.is_sound(slab)? {
            return Ok(None);
        }
        let mut worst: Option<Unsound> = None;
        for (param, _) in self.iter() {
            for value in self.get(slab, param)? {
                if !value.is_finite() {
                    return Ok(Some(Unsound { param, value }));
                }
                if worst.as_ref().is_none_or(|w| value.abs() > w.value.abs()) {
                    worst = Some(Unsound { param, value });
                }
            }
        }
        Ok(worst)
    }

    fn is_sound(&self, slab: Slab) -> Result<bool> {
        let training = || self.training.as_ref().ok_or(Error::NoGradients);
        if self.len == 0 {
            return Ok(true);
        }
        match slab {
            Slab::Values => {
                let mut sum = Tensor::empty(&self.device, [1], DType::F32)?;
                self.device.run(SumSquares {
                    x: self.values.view(),
                    y: sum.view_mut()?,
                    accumulate: false,
                })?;
                Ok(sum.to_vec::<f32>()?[0].is_finite())
            }
            Slab::Gradients => self.has_finite_sums(&*self.gradients()?),
            Slab::M => self.has_finite_sums(&training()?.m),
            Slab::V => self.has_finite_sums(&training()?.v),
        }
    }

    /// Whether the sums over every 64th number are finite. Sums of squares would not do, because
    /// the second moment is a square already.
    fn has_finite_sums(&self, slab: &Tensor) -> Result<bool> {
        let rows = self.len / ALIGNMENT;
        let mut sums = Tensor::empty(&self.device, [ALIGNMENT], DType::F32)?;
        self.device.run(Reduce {
            kind: ReduceKind::Sum,
            over: Over::Rows,
            x: slab.view().slice(0, [rows, ALIGNMENT])?,
            y: sums.view_mut()?,
            accumulate: false,
        })?;
        Ok(sums.to_vec::<f32>()?.iter().all(|sum| sum.is_finite()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::{Declarations, Init};
    use latimer_tensor::Device;

    /// One bad number in each slab: at the beginning, in the middle, at the end.
    #[test]
    fn a_single_bad_number_is_found_and_named() {
        let mut declarations = Declarations::new();
        let (mut root, n) = (declarations.root(), 67);
        let a = root.param("a", [n, 3], Init::Ones);
        let b = root.param("b", [n], Init::Ones);
        let mut params = Params::new(&Device::reference(), declarations, 1).unwrap();
        let missing = params.find_unsound(Slab::M);
        assert!(matches!(missing, Err(Error::NoGradients)));
        params.enable_training().unwrap();
        for slab in [Slab::Values, Slab::Gradients, Slab::M, Slab::V] {
            assert_eq!(params.find_unsound(slab).unwrap(), None);
            for (param, len) in [(a, 3 * n), (b, n)] {
                let sound = params.get(slab, param).unwrap();
                for at in [0, len / 2, len - 1] {
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        let mut values = sound.clone();
                        values[at] = bad;
                        params.set(slab, param, &values).unwrap();
                        let found = params.find_unsound(slab).unwrap().unwrap();
                        assert_eq!(found.param, param);
                        assert_eq!(found.value.to_bits(), bad.to_bits());
                    }
                }
                params.set(slab, param, &sound).unwrap();
            }
        }
        // Among finite values, the one that is too large is found; moments may be as large as that.
        let mut values = vec![1.0; n];
        values[5] = -2e19;
        for (slab, sound) in [(Slab::Values, false), (Slab::M, true), (Slab::V, true)] {
            params.set(slab, b, &values).unwrap();
            let found = params.find_unsound(slab).unwrap();
            let expected = (!sound).then_some(Unsound {
                param: b,
                value: -2e19,
            });
            assert_eq!(found, expected);
        }
    }
}
