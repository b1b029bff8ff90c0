//! Several corpora at once, each as often as its weight says.
//!
//! Where texts are joined, a large one is seen more often than a small one. Here each is a source
//! of its own with its own windows, epochs and validation part, and rows are taken from them in
//! given proportions: the order of turns is a function of the row's number alone, and a source's
//! own row is the next of its own epochs. No window of a source comes twice before all of it came
//! once. A small source with a large weight goes through many epochs while a large one is in its
//! first: what a run is to tell before it begins.
//!
//! Others draw the source of each row at random (`interleave_datasets` of Hugging Face's
//! `datasets`), fix counts for an epoch (MosaicML's `streaming`), or take the one that is furthest
//! behind (NVIDIA's Megatron); turns here are nearest to the last, without a table as long as the
//! run.

use super::fingerprint::first_bits;
use super::shares::Shares;
use super::source::{Part, RowKey, Source, Split, Windows};
use sha2::{Digest, Sha256};

/// What sets apart the permutations of sources under one seed: `2^64` over the golden ratio.
const SEEDS_APART: u64 = 0x9E37_79B9_7F4A_7C15;

/// Sources with a name and a share each.
#[derive(Debug)]
pub struct Mixture {
    sources: Vec<(String, Box<dyn Source>)>,
    shares: Shares,
}

impl Mixture {
    /// Sources by name, and as many weights: as
    /// [`Config::validate`](crate::config::Config::validate) lets them through.
    pub(crate) fn new(sources: Vec<(String, Box<dyn Source>)>, weights: &[f64]) -> Self {
        Self {
            sources,
            shares: Shares::new(weights),
        }
    }
}

impl Source for Mixture {
    fn row(&self, seed: u64, key: RowKey, ids: &mut [u32]) {
        match key.split {
            // As `validation` would have it: a token is as likely wherever it lies.
            Split::Validation => {
                let mut place = key.place_below(self.validation_tokens(), seed);
                for (_, source) in &self.sources {
                    let tokens = source.validation_tokens();
                    if place < tokens {
                        return source.row(seed, key, ids);
                    }
                    place -= tokens;
                }
            }
            Split::Train => {
                let (source, number) = self.shares.source_of_row(key.number());
                let seed = seed.wrapping_add(SEEDS_APART.wrapping_mul(source as u64));
                let key = match key.estimate {
                    true => key,
                    // The source's own row of that number.
                    false => RowKey {
                        step: number.saturating_add(1),
                        row: 0,
                        rows: 1,
                        ..key
                    },
                };
                self.sources[source].1.row(seed, key, ids);
            }
        }
    }

    fn validation(&self) -> Windows<'_> {
        Box::new(self.sources.iter().flat_map(|(_, s)| s.validation()))
    }

    fn validation_tokens(&self) -> usize {
        let tokens = self.sources.iter().map(|(_, s)| s.validation_tokens());
        tokens.sum()
    }

    fn training_tokens(&self) -> Option<usize> {
        self.sources.iter().map(|(_, s)| s.training_tokens()).sum()
    }

    fn fingerprint(&self) -> u64 {
        let mut hash = Sha256::new();
        for (_, source) in &self.sources {
            hash.update(source.fingerprint().to_le_bytes());
        }
        first_bits(hash)
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let parts = self.sources.iter().enumerate();
        let parts = parts.map(|(at, (name, source))| Part {
            name,
            share: self.shares.share(at),
            source: &**source,
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::config::Order;
    use crate::data::TextTokens;
    use latimer_tokenizer::CharTokenizer;
    use std::collections::BTreeMap;

    const BLOCK: usize = 4;

    /// Two texts of the given numbers of tokens, with ids that tell which and where.
    fn mixture(lengths: [usize; 2], weights: &[f64], order: Order) -> Mixture {
        let alphabet: String = (0..lengths[0] + lengths[1])
            .filter_map(|i| char::from_u32(0x4E00 + i as u32))
            .collect();
        let tokenizer = CharTokenizer::fit(&alphabet).unwrap();
        let mut letters = alphabet.chars();
        let sources = lengths.map(|length| {
            let text: String = letters.by_ref().take(length).collect();
            let tokens = TextTokens::new(&text, &tokenizer, 0.0, BLOCK).unwrap();
            let source: Box<dyn Source> = Box::new(tokens.in_order(order));
            (format!("{length}.txt"), source)
        });
        Mixture::new(sources.into(), weights)
    }

    fn key(number: u64, rows: u32) -> RowKey {
        RowKey {
            split: Split::Train,
            estimate: false,
            step: 1 + number / u64::from(rows),
            row: (number % u64::from(rows)) as u32,
            rows,
        }
    }

    fn first_id(mixture: &Mixture, key: RowKey) -> usize {
        let mut ids = [0; BLOCK + 1];
        mixture.row(7, key, &mut ids);
        ids[0] as usize
    }

    /// A run through three epochs of the small text: shares are exact, and of each text no window
    /// comes twice before all came once.
    #[test]
    fn shares_are_exact_and_epochs_are_each_sources_own() {
        let lengths = [41, 401]; // 10 and 100 windows
        for order in [Order::Spread, Order::Shuffle] {
            let mixture = mixture(lengths, &[1.0, 3.0], order);
            let mut windows = [Vec::new(), Vec::new()];
            for number in 0..120 {
                let id = first_id(&mixture, key(number, 6));
                let source = usize::from(id >= lengths[0]);
                windows[source].push((id - source * lengths[0]) / BLOCK);
            }
            assert_eq!(windows.each_ref().map(Vec::len), [30, 90]);
            for (source, epoch) in [(0, 10), (1, 100)] {
                for (at, windows) in windows[source].chunks(epoch).enumerate() {
                    let mut times = BTreeMap::new();
                    for window in windows {
                        *times.entry(window).or_insert(0) += 1;
                    }
                    // Where an epoch cuts elsewhere, its last window gives way into the one before.
                    let twice = times.values().filter(|&&n| n > 1).count();
                    assert!(
                        twice <= 1,
                        "{order}, source {source}, epoch {at}: {times:?}"
                    );
                    assert!(times.len() + 1 >= windows.len());
                }
            }
        }
    }

    /// How a run is cut into batches decides nothing.
    #[test]
    fn rows_are_a_function_of_their_number() {
        let mixture = mixture([41, 401], &[1.0, 3.0], Order::Shuffle);
        for number in [0, 1, 7, 118, 119] {
            let rows = [1, 2, 6, 120].map(|rows| first_id(&mixture, key(number, rows)));
            assert!(rows.iter().all(|&id| id == rows[0]), "{number}: {rows:?}");
        }
        let estimate = RowKey {
            estimate: true,
            ..key(5, 6)
        };
        assert_eq!(first_id(&mixture, estimate), first_id(&mixture, estimate));
        let last = RowKey {
            step: u64::MAX,
            ..key(5, 6)
        };
        assert!(first_id(&mixture, last) < 442);
    }

    #[test]
    fn equal_texts_are_taken_in_orders_of_their_own() {
        let mixture = mixture([401, 401], &[1.0, 1.0], Order::Shuffle);
        let of = |source: usize| -> Vec<usize> {
            let ids = (0..100).map(|number| first_id(&mixture, key(2 * number + source as u64, 1)));
            ids.map(|id| id - 401 * source).collect()
        };
        assert_ne!(of(0), of(1));
    }

    #[test]
    fn lengths_are_sums_and_the_fingerprint_is_of_all() {
        let one = mixture([41, 401], &[1.0, 3.0], Order::Spread);
        assert_eq!(one.training_tokens(), Some(442));
        assert_eq!(one.validation_tokens(), 0);
        let parts = one.parts();
        assert_eq!((parts[1].name, parts[1].share), ("401.txt", 0.75));
        let other = mixture([401, 41], &[1.0, 3.0], Order::Spread);
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
