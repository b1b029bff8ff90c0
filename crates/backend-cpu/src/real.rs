//! Floats as they are stored. All arithmetic is in `f32`: narrower values are widened as they are
//! loaded, which is exact, and rounded once as they are stored.

use crate::scratch::scratch;
use crate::simd::simd;
use half::bf16;
use latimer_tensor::Element;

/// A float that operations load and store.
pub(crate) trait Real: Element {
    /// The value as `f32`.
    fn load(self) -> f32;

    /// The nearest value of this type; the even one of two that are equally near.
    fn store(x: f32) -> Self;

    /// Calls `work` with the values of `x`, widened if necessary.
    fn read<R>(x: &[Self], work: impl FnOnce(&[f32]) -> R) -> R;

    /// Calls `work` with memory to write, whose content is then rounded into `y`. The old values of
    /// `y` are not read.
    fn overwrite<R>(y: &mut [Self], work: impl FnOnce(&mut [f32]) -> R) -> R;

    /// Calls `work` with the values of `y`, then rounds what it has made of them into `y`.
    fn update<R>(y: &mut [Self], work: impl FnOnce(&mut [f32]) -> R) -> R;
}

impl Real for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }

    #[inline(always)]
    fn store(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn read<R>(x: &[Self], work: impl FnOnce(&[f32]) -> R) -> R {
        work(x)
    }

    #[inline(always)]
    fn overwrite<R>(y: &mut [Self], work: impl FnOnce(&mut [f32]) -> R) -> R {
        work(y)
    }

    #[inline(always)]
    fn update<R>(y: &mut [Self], work: impl FnOnce(&mut [f32]) -> R) -> R {
        work(y)
    }
}

impl Real for bf16 {
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// Rounds without a branch, so that loops over it become vector code.
    #[inline(always)]
    fn store(x: f32) -> Self {
        let bits = x.to_bits();
        // Half of what is cut off, less one unless the last bit kept is odd; a carry into the
        // exponent is the next power of two, or infinity.
        // mutant: narrowing_cuts_off
        let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
        // A NaN keeps its upper bits; one more bit is set so that it stays a NaN.
        let kept = if x.is_nan() {
            bits >> 16 | 0x40
        } else {
            rounded
        };
        Self::from_bits(kept as u16)
    }

    fn read<R>(x: &[Self], work: impl FnOnce(&[f32]) -> R) -> R {
        scratch(x.len(), |values| {
            widen(x, values);
            work(values)
        })
    }

    fn overwrite<R>(y: &mut [Self], work: impl FnOnce(&mut [f32]) -> R) -> R {
        scratch(y.len(), |values| {
            let result = work(values);
            narrow(values, y);
            result
        })
    }

    fn update<R>(y: &mut [Self], work: impl FnOnce(&mut [f32]) -> R) -> R {
        scratch(y.len(), |values| {
            widen(y, values);
            let result = work(values);
            narrow(values, y);
            result
        })
    }
}

simd! {
    pub(crate) fn widen(x: &[bf16], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x.load();
        }
    }
}

simd! {
    pub(crate) fn narrow(x: &[f32], y: &mut [bf16]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = bf16::store(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_half() {
        let steps = (0..=u32::MAX).step_by(4093).map(f32::from_bits);
        let ties = (0..=u16::MAX).map(|x| f32::from_bits(u32::from(x) << 16 | 0x8000));
        for x in steps.chain(ties) {
            let (got, want) = (bf16::store(x), bf16::from_f32(x));
            assert!(got == want || got.is_nan() && want.is_nan(), "{x:e}");
            assert_eq!(want.load().to_bits(), want.to_f32().to_bits());
        }
    }
}
