//! Randomness as a function: Philox4x32-10.
//!
//! A draw depends on a key (the seed) and a counter (which element, which site in the model, which
//! step) and on nothing else, so a dropout mask is the same on every device, for any number of
//! threads, and when a forward pass is computed again.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

const MULTIPLIER_0: u32 = 0xD251_1F53;
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
const WEYL_0: u32 = 0x9E37_79B9;
const WEYL_1: u32 = 0xBB67_AE85;

/// Four independent uniform `u32` for one `key` and `counter`: ten rounds of Philox4x32.
///
/// ```
/// use latimer_tensor::philox::philox4x32;
/// assert_eq!(philox4x32([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
#[inline]
#[must_use]
pub fn philox4x32(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let [mut k0, mut k1] = key;
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    for _ in 0..10 {
        let product_0 = u64::from(MULTIPLIER_0) * u64::from(c0);
        let product_1 = u64::from(MULTIPLIER_1) * u64::from(c2);
        let (high_0, low_0) = ((product_0 >> 32) as u32, product_0 as u32);
        let (high_1, low_1) = ((product_1 >> 32) as u32, product_1 as u32);
        (c0, c1, c2, c3) = (high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0);
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0, c1, c2, c3]
}

/// A stream of draws over one `(seed, site, step)`, for work on the host: initial weights, data
/// order, sampling.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    site: u32,
    step: u32,
    block: u64,
    drawn: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of draws for `seed`, `site` (the number of this use of randomness) and `step`.
    #[must_use]
    pub fn new(seed: u64, site: u32, step: u32) -> Self {
        Self {
            key: split(seed),
            site,
            step,
            block: 0,
            drawn: [0; 4],
            used: 4,
        }
    }

    /// The next uniform 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            let [low, high] = split(self.block);
            self.drawn = philox4x32(self.key, [low, high, self.site, self.step]);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.drawn[self.used - 1]
    }

    /// The next uniform 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// A draw uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A draw uniform in `0..n`, without bias (Lemire 2019). `n` must be positive.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0) asks for a number in an empty range");
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if (product as u64) >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// A standard normal draw, by Box and Muller (1958); the second value of each pair is
    /// discarded.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Splits a number into its low and its high half.
#[inline]
#[must_use]
pub fn split(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the authors' Random123 distribution (`kat_vectors`).
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        assert_eq!(
            philox4x32([ones; 2], [ones; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut stream = Stream::new(7, 0, 0);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[stream.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| n > 120), "{seen:?}");
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut stream = Stream::new(7, 1, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 2e4;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2e4;
        // Standard errors: 1/sqrt(n) = 0.007 and sqrt(2/n) = 0.01; five of each.
        assert!(
            mean.abs() < 0.036 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }
}
