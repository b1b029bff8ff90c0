//! From logits to a token.

use crate::{Error, Result};
use latimer_tensor::philox::Stream;

/// Which use of randomness sampling is, see [`Stream::new`].
const SAMPLE_SITE: u32 = 0x5A3B_1E00;

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this; 0 always takes the likeliest token.
    pub temperature: f64,
    /// Only the `k` likeliest tokens take part.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability take part (Holtzman et al.
    /// 2020).
    pub top_p: Option<f64>,
    /// Key of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            seed: 1337,
        }
    }
}

impl Sampling {
    /// Always the likeliest token.
    #[must_use]
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            ..Self::default()
        }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the first that does not.
    pub fn check(&self) -> Result<()> {
        let must = |holds: bool, key, got: String, reason: &str| {
            let reason = reason.to_owned();
            if holds {
                Ok(())
            } else {
                Err(Error::InvalidConfig { key, got, reason })
            }
        };
        let t = self.temperature;
        must(
            t.is_finite() && t >= 0.0,
            "temperature",
            t.to_string(),
            "it must be 0 or more",
        )?;
        let k = self.top_k.unwrap_or(1);
        must(k >= 1, "top_k", k.to_string(), "it must be at least 1")?;
        let p = self.top_p.unwrap_or(1.0);
        must(
            p > 0.0 && p <= 1.0,
            "top_p",
            p.to_string(),
            "it must be above 0 and at most 1",
        )
    }
}

/// Draws tokens: a function of the sampling, of which sample this is, and of how many were drawn.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    stream: Stream,
    /// Ids that are never drawn, in order.
    without: Vec<u32>,
    order: Vec<u32>,
    weights: Vec<f64>,
}

impl Sampler {
    /// The draws of sample number `sample`.
    ///
    /// # Errors
    /// As [`Sampling::check`].
    pub fn new(sampling: Sampling, sample: u32) -> Result<Self> {
        sampling.check()?;
        let stream = Stream::new(sampling.seed, SAMPLE_SITE, sample);
        Ok(Self {
            sampling,
            stream,
            without: Vec::new(),
            order: Vec::new(),
            weights: Vec::new(),
        })
    }

    /// The same, but some ids are never drawn, whatever their logits: those that a model's
    /// vocabulary has beyond its tokenizer's.
    #[must_use]
    pub fn without(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.without.extend(ids);
        self.without.sort_unstable();
        self.without.dedup();
        self
    }

    /// Draws a token from its logits. Of equal logits, the lower id counts as the likelier.
    ///
    /// # Errors
    /// [`Error::BadLogits`] when one is NaN or infinite, [`Error::NothingToDraw`] when every id is
    /// left out by [`Sampler::without`].
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        let (mut best, mut first) = likeliest(logits).ok_or(Error::BadLogits)?;
        self.order.clear();
        if self.without.is_empty() {
            self.order.extend(0..logits.len() as u32);
        } else {
            let mut left_out = self.without.iter().copied().peekable();
            let drawn = (0..logits.len() as u32).filter(|&id| left_out.next_if_eq(&id).is_none());
            self.order.extend(drawn);
            // Of equals, `max_by` takes the last: from the end, that is the first.
            let by_logit = |a: &u32, b: &u32| logits[*a as usize].total_cmp(&logits[*b as usize]);
            let likeliest = self.order.iter().copied().rev().max_by(by_logit);
            first = likeliest.ok_or(Error::NothingToDraw)?;
            best = logits[first as usize];
        }
        let Sampling {
            temperature,
            top_k,
            top_p,
            ..
        } = self.sampling;
        if temperature == 0.0 {
            return Ok(first);
        }
        // Every token together reaches 1: nothing is cut off, and the order, which the draw depends
        // on, stays that of no limit.
        let top_p = top_p.filter(|&p| p < 1.0);
        let n = self.order.len();
        let k = top_k.unwrap_or(n).min(n);
        // All take part in any order; to cut the tail off, they are put into theirs.
        if k < n || top_p.is_some() {
            let likelier = |&a: &u32, &b: &u32| {
                logits[b as usize]
                    .total_cmp(&logits[a as usize])
                    .then(a.cmp(&b))
            };
            if k < n {
                self.order.select_nth_unstable_by(k - 1, likelier);
                self.order.truncate(k);
            }
            self.order.sort_unstable_by(likelier);
        }
        let best = f64::from(best);
        let weight = |&id: &u32| ((f64::from(logits[id as usize]) - best) / temperature).exp();
        self.weights.clear();
        self.weights.extend(self.order.iter().map(weight));
        if let Some(p) = top_p {
            let total: f64 = self.weights.iter().sum();
            let mut reached = 0.0;
            let last = self.weights.iter().position(|weight| {
                reached += weight;
                reached >= p * total
            });
            self.weights
                .truncate(last.map_or(usize::MAX, |last| last + 1));
        }
        let total: f64 = self.weights.iter().sum();
        let drawn = place(&self.weights, self.stream.uniform() * total);
        Ok(self.order[drawn])
    }
}

/// The index of the interval that contains `point`, if the weights are the lengths of adjacent
/// intervals. A border belongs to the interval that begins there.
fn place(weights: &[f64], mut point: f64) -> usize {
    let found = weights.iter().position(|weight| {
        point -= weight;
        point < 0.0
    });
    // Rounding may leave a tiny rest beyond the last one.
    found.unwrap_or(weights.len().saturating_sub(1))
}

/// The greatest logit and the first token that has it; `None` if a logit is NaN or infinite, or if
/// there are no logits.
fn likeliest(logits: &[f32]) -> Option<(f32, u32)> {
    const LANES: usize = 16;
    /// Of an infinity or NaN, and of nothing else, all are set.
    const EXPONENT: u32 = 0x7F80_0000;
    let (lanes, tail) = logits.as_chunks::<LANES>();
    let (mut best, mut bad) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
    for x in lanes {
        for i in 0..LANES {
            best[i] = if x[i] > best[i] { x[i] } else { best[i] };
            bad[i] |= u32::from(x[i].to_bits() & EXPONENT == EXPONENT);
        }
    }
    if bad != [0; LANES] || !tail.iter().all(|x| x.is_finite()) {
        return None;
    }
    let best = best.iter().chain(tail).copied().reduce(f32::max)?;
    let first = logits.iter().position(|&x| x == best)?;
    Some((best, first as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sampling: Sampling, logits: &[f32]) -> Vec<f64> {
        let mut sampler = Sampler::new(sampling, 0).unwrap();
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampler.sample(logits).unwrap() as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0, 2.0f32.ln(), 4.0f32.ln(), 1.0f32.ln()];
        // Standard error of a share: at most 0.5/sqrt(20000) = 0.0036; five of them.
        for (got, want) in shares(Sampling::default(), &logits)
            .iter()
            .zip([0.125, 0.25, 0.5, 0.125])
        {
            assert!((got - want).abs() < 0.018, "{got} {want}");
        }
        let cold = shares(
            Sampling {
                temperature: 0.5,
                ..Sampling::default()
            },
            &logits,
        );
        assert!((cold[2] - 16.0 / 22.0).abs() < 0.018, "{cold:?}");
    }

    #[test]
    fn a_point_lies_in_one_weight_alone() {
        let weights = [0.0, 1.0, 0.5, 0.0, 0.5];
        for (point, at) in [(0.0, 1), (0.5, 1), (1.0, 2), (1.5, 4), (1.75, 4)] {
            assert_eq!(place(&weights, point), at, "{point}");
        }
        // The sum of the weights, and what rounding may make of it.
        assert_eq!((place(&weights, 2.0), place(&weights, 2.1)), (4, 4));
    }

    /// Runs of earlier versions write the same text: with nothing cut off, the stream's number is
    /// laid on the ids in their own order.
    #[test]
    fn a_draw_is_the_streams_number_among_all_ids_in_order() {
        let logits = [0.0, 2.0f32.ln(), 4.0f32.ln(), 0.0];
        let mut sampler = Sampler::new(Sampling::default(), 3).unwrap();
        let mut stream = Stream::new(Sampling::default().seed, SAMPLE_SITE, 3);
        for _ in 0..200 {
            let point = 8.0 * stream.uniform();
            // Whose weights are 1, 2, 4 and 1.
            let expected = [1.0, 3.0, 7.0].iter().filter(|&&border| point >= border);
            assert_eq!(
                sampler.sample(&logits).unwrap() as usize,
                expected.count(),
                "{point}"
            );
        }
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let logits = [0.0, 2.0f32.ln(), 4.0f32.ln(), 1.0f32.ln()];
        let top_k = shares(
            Sampling {
                top_k: Some(2),
                ..Sampling::default()
            },
            &logits,
        );
        assert!(top_k[0] == 0.0 && top_k[3] == 0.0 && (top_k[2] - 2.0 / 3.0).abs() < 0.018);
        let top_p = shares(
            Sampling {
                top_p: Some(0.51),
                ..Sampling::default()
            },
            &logits,
        );
        assert!(
            top_p[0] == 0.0 && top_p[1] > 0.3 && top_p[3] == 0.0,
            "{top_p:?}"
        );
        let one = shares(
            Sampling {
                top_p: Some(0.5),
                ..Sampling::default()
            },
            &logits,
        );
        assert!(one[0] == 0.0 && one[1] == 0.0 && one[3] == 0.0, "{one:?}");
    }

    /// The same tokens, not only the same distribution.
    #[test]
    fn limits_that_cut_nothing_change_no_draw() {
        let logits: Vec<f32> = (0..50).map(|i| ((i * 37) % 50) as f32 * 0.1).collect();
        let draws = |top_k, top_p| -> Vec<u32> {
            let sampling = Sampling {
                top_k,
                top_p,
                ..Sampling::default()
            };
            let mut sampler = Sampler::new(sampling, 0).unwrap();
            (0..200).map(|_| sampler.sample(&logits).unwrap()).collect()
        };
        let free = draws(None, None);
        for (top_k, top_p) in [
            (None, Some(1.0)),
            (Some(50), None),
            (Some(usize::MAX), None),
            (Some(50), Some(1.0)),
        ] {
            assert_eq!(draws(top_k, top_p), free, "{top_k:?} {top_p:?}");
        }
        assert_ne!(draws(None, Some(0.5)), free);
    }

    /// Left out, the likeliest id is drawn in no way of choosing; the others' shares are those of a
    /// vocabulary without it.
    #[test]
    fn ids_that_are_left_out_are_never_drawn() {
        // 5 is beyond the vocabulary; of -0 and 0, and of the first and the last, all are fit.
        let logits = [9.0, 0.0, 1.0, 1.0, 9.5];
        for (temperature, top_k, top_p) in [
            (0.0, None, None),
            (1.0, None, None),
            (1.0, Some(1), None),
            (1.0, Some(4), None),
            (1.0, None, Some(0.3)),
            (50.0, None, Some(1.0)),
        ] {
            let sampling = Sampling {
                temperature,
                top_k,
                top_p,
                ..Sampling::default()
            };
            let mut sampler = Sampler::new(sampling, 0).unwrap().without([4, 5, 0, 4]);
            for _ in 0..500 {
                let id = sampler.sample(&logits).unwrap();
                assert!((1..=3).contains(&id), "{sampling:?}: {id}");
                // Greedily, and among one, the first of the equal ones.
                assert!((temperature > 0.0 && top_k != Some(1)) || id == 2);
            }
            // A logit of an id that is left out says as much about the model as any other.
            let bad = sampler.sample(&[f32::NAN, 0.0, 1.0, 1.0, 9.5]);
            assert!(matches!(bad, Err(Error::BadLogits)));
        }
        let mut all = Sampler::new(Sampling::default(), 0)
            .unwrap()
            .without([1, 2, 3]);
        let mut rest = Sampler::new(Sampling::default(), 0).unwrap();
        for _ in 0..500 {
            let drawn = all.sample(&[0.5, 7.0, 7.0, 7.0, 1.5]).unwrap();
            assert_eq!(drawn, 4 * rest.sample(&[0.5, 1.5]).unwrap());
        }
        let mut none = all.without([0, 4]);
        let refused = none.sample(&[0.0; 5]);
        assert!(matches!(refused, Err(Error::NothingToDraw)), "{refused:?}");
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_bad_input_is_refused() {
        let mut greedy = Sampler::new(Sampling::greedy(), 0).unwrap();
        assert_eq!(greedy.sample(&[1.0, 3.0, 3.0]).unwrap(), 1);
        // In whole groups of lanes, and behind them.
        for len in [2, 16, 33, 50] {
            let mut logits: Vec<f32> = (0..len).map(|i| -(i as f32) - 1.0).collect();
            for at in 0..len {
                logits[at] = 0.5;
                assert_eq!(greedy.sample(&logits).unwrap() as usize, at);
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let kept = std::mem::replace(&mut logits[at], bad);
                    let refused = greedy.sample(&logits);
                    assert!(matches!(refused, Err(Error::BadLogits)), "{len} {at}");
                    logits[at] = kept;
                }
                logits[at] = -1.0 - at as f32;
            }
        }
        assert!(matches!(greedy.sample(&[]), Err(Error::BadLogits)));
        assert!(
            Sampler::new(
                Sampling {
                    temperature: -1.0,
                    ..Sampling::default()
                },
                0
            )
            .is_err()
        );
        assert!(
            Sampler::new(
                Sampling {
                    top_p: Some(0.0),
                    ..Sampling::default()
                },
                0
            )
            .is_err()
        );
        assert!(
            Sampler::new(
                Sampling {
                    top_k: Some(0),
                    ..Sampling::default()
                },
                0
            )
            .is_err()
        );
    }
}
