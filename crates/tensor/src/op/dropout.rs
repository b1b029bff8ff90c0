//! Dropout, with masks that are a function of element, site and step. Srivastava et al. 2014.

use super::{OpSpec, op};
use crate::{Host, Real, Result, View, philox::philox4x32, philox::split};

/// The mask of a dropout: the elements that it keeps.
///
/// Element `e` of the global batch, at `site` in the model and at a step, is kept iff lane `e % 4`
/// of `philox4x32(seed, [e/4, site, step])` is at least `rate·2³²`: an integer comparison, the same
/// on every device. Kept elements are divided by `1 - rate`.
#[derive(Clone, Copy, Debug)]
pub struct DropoutMask {
    key: [u32; 2],
    site: u32,
    step: u32,
    threshold: u32,
    /// `1 / (1 - rate)`.
    pub scale: f32,
}

impl DropoutMask {
    /// Elements of the random words: seed (low, high), step, first row of the global batch.
    pub const WORDS: usize = 4;

    /// The mask of these words at a site.
    #[must_use]
    pub fn new(words: [u32; Self::WORDS], site: u32, rate: f32) -> Self {
        let threshold = (f64::from(rate) * 2f64.powi(32))
            .round()
            .min(f64::from(u32::MAX)) as u32;
        Self {
            key: [words[0], words[1]],
            site,
            step: words[2],
            threshold,
            scale: 1.0 / (1.0 - rate),
        }
    }

    /// The factors of elements `4·block .. 4·block + 4`: `scale` or 0.
    #[inline]
    #[must_use]
    pub fn factors(&self, block: u64) -> [f32; 4] {
        let [low, high] = split(block);
        let draws = philox4x32(self.key, [low, high, self.site, self.step]);
        draws.map(|draw| {
            if draw >= self.threshold {
                self.scale
            } else {
                0.0
            }
        })
    }

    /// The factor of one element.
    #[inline]
    #[must_use]
    pub fn factor(&self, element: u64) -> f32 {
        self.factors(element / 4)[(element % 4) as usize]
    }
}

/// Reads the words of a device block.
pub(crate) fn read_words<R: Real>(
    host: &Host<'_, R>,
    random: View<'_>,
) -> Result<[u32; DropoutMask::WORDS]> {
    let words = host.read_ids(random)?;
    Ok(std::array::from_fn(|i| words[i] as u32))
}

/// The factor of what is kept, `1 / (1 - rate)`.
pub(crate) fn kept_factor<R: Real>(rate: f32) -> R {
    R::from(1.0) / (R::from(1.0) - R::from(rate))
}

op! {
    /// `y = x · keep / (1 - rate)`. The same operation on the gradient is its backward.
    ///
    /// Elements are numbered over the global batch: before row 0 of `x` come `first_row` rows of
    /// axis 0, a number that is one of the random words.
    Dropout "dropout" {
        /// The values that some are dropped from.
        x: In "float", "[N.., C]";
        /// The result.
        y: Out "as x", "as x";
        /// The random words: see [`DropoutMask::WORDS`].
        random: In "u32", "[4]";
    } {
        /// The share that is dropped.
        rate: f32, DropoutShare;
        /// The number of this dropout in the model.
        site: u32;
    }
}

impl Dropout<'_> {
    /// The number of this tensor's first element in the global batch.
    #[must_use]
    pub fn first_element(&self, first_row: u32) -> u64 {
        let row = self.x.numel() / self.x.shape().dims()[0].max(1);
        u64::from(first_row) * row as u64
    }
}

impl OpSpec for Dropout<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let x = host.read(self.x)?;
        let words = read_words(host, self.random)?;
        let (mask, first) = (
            DropoutMask::new(words, self.site, self.rate),
            self.first_element(words[3]),
        );
        let scale = kept_factor(self.rate);
        let kept = |(x, e)| {
            if mask.factor(e) == 0.0 {
                R::from(0.0)
            } else {
                x * scale
            }
        };
        host.write("y", x.into_iter().zip(first..).map(kept).collect());
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.x.numel() as u64
    }
}
