//! Dropout: Philox in lanes, multiplied into the values.

use crate::memory::{read, write};
use crate::parallel::{Par, Rows, RowsMut};
use crate::real::Real;
use crate::simd::simd;
use latimer_tensor::op::{Dropout, DropoutMask};
use latimer_tensor::{Error, Handled, Result, View};
use std::ops::Range;

/// The random words of a device block.
pub(crate) fn words(random: View<'_>) -> Result<[u32; DropoutMask::WORDS]> {
    let words = read::<u32>(random)?;
    words.try_into().map_err(|_| Error::ShapeMismatch {
        op: "dropout",
        operand: "random",
        expected: [DropoutMask::WORDS].into(),
        got: random.shape(),
    })
}

/// [`DropoutMask`], many elements at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    one: DropoutMask,
    key: [u32; 2],
    site: u32,
    step: u32,
    /// The threshold of the operation's meaning: elements whose draw is below it are dropped.
    threshold: u32,
}

/// Philox blocks drawn side by side, four elements each.
const BLOCKS: usize = 16;

impl Mask {
    pub(crate) fn new(words: [u32; DropoutMask::WORDS], site: u32, rate: f32) -> Self {
        let threshold = (f64::from(rate) * 2f64.powi(32)).round();
        Self {
            one: DropoutMask::new(words, site, rate),
            key: [words[0], words[1]],
            site,
            step: words[2],
            threshold: threshold.min(f64::from(u32::MAX)) as u32,
        }
    }

    /// Writes into `y` the factors (0 or `scale`) of the elements that begin at `first`.
    pub(crate) fn factors(&self, first: u64, y: &mut [f32]) {
        let skip = ((4 - first % 4) % 4) as usize;
        let (head, rest) = y.split_at_mut(skip.min(y.len()));
        for (y, element) in head.iter_mut().zip(first..) {
            *y = self.one.factor(element);
        }
        // mutant: dropout_counter_late
        let mut block = (first + skip as u64) / 4;
        for y in rest.chunks_mut(4 * BLOCKS) {
            if let Ok(y) = <&mut [f32; 4 * BLOCKS]>::try_from(&mut *y) {
                side_by_side(self, block, y);
            } else {
                let mut whole = [0.0; 4 * BLOCKS];
                side_by_side(self, block, &mut whole);
                y.copy_from_slice(&whole[..y.len()]);
            }
            block += BLOCKS as u64;
        }
    }
}

simd! {
    /// Philox4x32-10 on 16 counters at once; see `latimer_tensor::philox` for its meaning.
    fn side_by_side(mask: &Mask, block: u64, y: &mut [f32; 4 * BLOCKS]) {
        const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
        const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
        let [mut k0, mut k1] = mask.key;
        let mut c0: [u32; BLOCKS] = std::array::from_fn(|i| (block + i as u64) as u32);
        let mut c1: [u32; BLOCKS] = std::array::from_fn(|i| ((block + i as u64) >> 32) as u32);
        let (mut c2, mut c3) = ([mask.site; BLOCKS], [mask.step; BLOCKS]);
        for _ in 0..10 {
            for i in 0..BLOCKS {
                let product_0 = u64::from(MULTIPLIERS[0]) * u64::from(c0[i]);
                let product_1 = u64::from(MULTIPLIERS[1]) * u64::from(c2[i]);
                c0[i] = (product_1 >> 32) as u32 ^ c1[i] ^ k0;
                c1[i] = product_1 as u32;
                c2[i] = (product_0 >> 32) as u32 ^ c3[i] ^ k1;
                c3[i] = product_0 as u32;
            }
            k0 = k0.wrapping_add(WEYL[0]);
            k1 = k1.wrapping_add(WEYL[1]);
        }
        let scale = mask.one.scale;
        let factor = |draw: u32| if draw >= mask.threshold { scale } else { 0.0 };
        let (quads, _) = y.as_chunks_mut::<4>();
        for (i, y) in quads.iter_mut().enumerate() {
            *y = [factor(c0[i]), factor(c1[i]), factor(c2[i]), factor(c3[i])];
        }
    }
}

simd! {
    /// Replaces the factors in `y` by their products with `x`; a dropped element is 0 even if `x`
    /// is not finite.
    fn keep<E: Real>(x: &[E], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            let kept = x.load() * *y;
            // mutant: dropped_infinity_is_nan
            *y = if *y == 0.0 { 0.0 } else { kept };
        }
    }
}

/// Elements handed out together: a multiple of Philox's four.
const UNIT: usize = 256;

pub(crate) fn run<E: Real>(op: &mut Dropout<'_>, par: Par) -> Result<Handled> {
    let words = words(op.random)?;
    let mask = Mask::new(words, op.site, op.rate);
    let first = op.first_element(words[3]);
    let x = read::<E>(op.x)?;
    let y = write(op.y.reborrow())?;
    let units = x.len().div_ceil(UNIT);
    let parts = (0..units, Rows(x, UNIT), RowsMut(y, UNIT));
    let work = |(units, x, y): (Range<usize>, Rows<'_, E>, RowsMut<'_, E>)| {
        for ((unit, x), y) in units.zip(x.0.chunks(UNIT)).zip(y.0.chunks_mut(UNIT)) {
            E::overwrite(y, |y| {
                mask.factors(first + (unit * UNIT) as u64, y);
                keep(x, y);
            });
        }
    };
    par.split(units, 4 * x.len(), parts, &work);
    Ok(Handled::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_as_one() {
        let words = [7, 9, 11, 0];
        let (mask, one) = (Mask::new(words, 3, 0.3), DropoutMask::new(words, 3, 0.3));
        for first in [0, 1, 6, (1 << 34) - 70] {
            let mut y = [0.0; 200];
            mask.factors(first, &mut y);
            for (y, element) in y.into_iter().zip(first..) {
                assert_eq!(y, one.factor(element), "element {element}");
            }
        }
    }
}
