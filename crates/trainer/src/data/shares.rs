//! Decides which of several sources each row comes from, in given proportions.
//!
//! Proportions become whole numbers of rows in a period, in an order that repeats for ever. The
//! source of row `n`, and the number of the row within that source, are a division and a table
//! lookup. Nothing is drawn at random, so shares are exact over every period, not only on average,
//! and there is no state between rows.
//!
//! Within a period, row `j` of a source with `c` rows in a period of `p` has a window of turns,
//! from `⌊j p / c⌋` to before `⌈(j + 1) p / c⌉`; of the sources whose window is open, the one whose
//! window closes first goes first; among equals, the one that has waited longer. That order keeps
//! every window (Baruah, Cohen, Plaxton and Varvel 1996, for fair shares of one processor), so at
//! any moment each source is less than one row from its share.

/// The longest period. Shares that are multiples of 0.01 %, or repeat sooner, such as 1 : 2, are
/// exact; others are off by less than one row in this many.
pub(crate) const LONGEST: u32 = 10_000;

/// The source of every row of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Rows of each source in a period.
    counts: Vec<u32>,
    /// A period.
    turns: Vec<Turn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    source: usize,
    /// Rows of that source earlier in the period.
    before: u32,
}

impl Shares {
    /// In proportion to these weights, each finite, above 0, and at least 1 / [`LONGEST`] of all.
    pub(crate) fn new(weights: &[f64]) -> Self {
        let counts = counts(weights);
        let period: u32 = counts.iter().sum();
        let mut taken = vec![0; counts.len()];
        let turns = (0..period).map(|turn| {
            // The first turn of a source's next row, and the first after its last.
            let window = |source: usize| {
                let (j, c) = (u64::from(taken[source]), u64::from(counts[source]));
                let p = u64::from(period);
                (j * p / c, ((j + 1) * p).div_ceil(c))
            };
            let open = (0..counts.len())
                .filter(|&source| counts[source] > 0 && window(source).0 <= u64::from(turn));
            let Some(source) = open.min_by_key(|&source| {
                let (opens, closes) = window(source);
                (closes, opens)
            }) else {
                unreachable!("rows of a period sum up to it: each turn has a window open");
            };
            taken[source] += 1;
            Turn {
                source,
                before: taken[source] - 1,
            }
        });
        let turns = turns.collect();
        Self { counts, turns }
    }

    /// Whose row number `row` is, and how many that source had before.
    pub(crate) fn source_of_row(&self, row: u64) -> (usize, u64) {
        let period = self.turns.len() as u64;
        let Turn { source, before } = self.turns[(row % period) as usize];
        let periods = row / period;
        (
            source,
            periods * u64::from(self.counts[source]) + u64::from(before),
        )
    }

    /// The part of all rows that is a source's.
    pub(crate) fn share(&self, source: usize) -> f64 {
        f64::from(self.counts[source]) / self.turns.len() as f64
    }
}

/// The weights as parts of one; of the greatest first, so that no sum is too large.
fn parts_of_one(weights: &[f64]) -> Vec<f64> {
    let greatest = weights.iter().copied().fold(0.0, f64::max);
    let sum: f64 = weights.iter().map(|weight| weight / greatest).sum();
    weights
        .iter()
        .map(|weight| weight / greatest / sum)
        .collect()
}

/// The smallest of the weights as a part of all.
pub(crate) fn least_share(weights: &[f64]) -> f64 {
    parts_of_one(weights).into_iter().fold(1.0, f64::min)
}

/// Rows of each in the shortest period that has all as weighted; if none has, in the longest, by
/// largest remainder.
fn counts(weights: &[f64]) -> Vec<u32> {
    // Weights are decimal numbers in binary: what is meant as whole is this near to it.
    const WHOLE: f64 = 1e-9;
    let parts = parts_of_one(weights);
    let rows = |period: u32| parts.iter().map(move |part| part * f64::from(period));
    let period = (1..=LONGEST)
        .find(|&period| rows(period).all(|n| (n - n.round()).abs() < WHOLE && n.round() > 0.0));
    if let Some(period) = period {
        return rows(period).map(|n| n.round() as u32).collect();
    }
    let mut counts: Vec<u32> = rows(LONGEST).map(|n| n as u32).collect();
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    let remainder = |&source: &usize| {
        let n = parts[source] * f64::from(LONGEST);
        n.fract()
    };
    by_remainder.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    let missing = LONGEST.saturating_sub(counts.iter().sum()) as usize;
    for &source in by_remainder.iter().take(missing) {
        counts[source] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(weights: &[f64], rows: u64) -> Vec<usize> {
        let shares = Shares::new(weights);
        (0..rows).map(|row| shares.source_of_row(row).0).collect()
    }

    #[test]
    fn weights_become_the_shortest_period() {
        for (weights, want) in [
            (&[3.0, 1.0][..], &[3, 1][..]),
            (&[0.7, 0.2, 0.1], &[7, 2, 1]),
            (&[1.0, 1.0, 1.0], &[1, 1, 1]),
            (&[30.0, 10.0], &[3, 1]),
            (&[99.99, 0.01], &[9999, 1]),
            (&[1e308, 1e308], &[1, 1]),
            (&[1e-308, 3e-308], &[1, 3]),
            // No period has these; the longest is within half a row of each.
            (&[std::f64::consts::PI, 1.0], &[7585, 2415]),
            (&[2.0], &[1]),
        ] {
            assert_eq!(counts(weights), want, "{weights:?}");
        }
    }

    #[test]
    fn turns_are_spread() {
        assert_eq!(sources(&[1.0, 1.0], 6), [0, 1, 0, 1, 0, 1]);
        assert_eq!(sources(&[3.0, 1.0], 8), [0, 0, 1, 0, 0, 0, 1, 0]);
        assert_eq!(sources(&[2.0, 2.0, 1.0], 5), [0, 1, 2, 0, 1]);
    }

    /// At any moment each source has its share of the rows so far, but for less than one.
    #[test]
    fn no_source_is_a_row_from_its_share() {
        let many: Vec<f64> = (1..40).map(f64::from).collect();
        for weights in [
            &[3.0, 1.0][..],
            &[0.7, 0.2, 0.1],
            &[5.0, 5.0, 1.0, 1.0, 1.0],
            &[1.0, 1.0, 1.0, 97.0],
            &[0.123_456, 0.654_321, 0.222],
            &many,
        ] {
            let shares = Shares::new(weights);
            let mut taken = vec![0u64; weights.len()];
            for row in 0..2 * shares.turns.len() as u64 {
                let (source, before) = shares.source_of_row(row);
                // Its rows come one after the other, none twice.
                assert_eq!(before, taken[source], "{weights:?}, row {row}");
                taken[source] += 1;
                for (source, &taken) in taken.iter().enumerate() {
                    let due = (row + 1) as f64 * shares.share(source);
                    assert!((taken as f64 - due).abs() < 1.0, "{weights:?}, row {row}");
                }
            }
        }
    }

    proptest::proptest! {
        /// Whatever a configuration may ask for has turns, in a period less than one more or fewer
        /// than asked: by largest remainder.
        #[test]
        fn any_weights_have_turns(
            powers in proptest::collection::vec(-6.0..6.0_f64, 1..9),
            scale in -300.0..300.0_f64,
        ) {
            let weights: Vec<f64> = powers.iter().map(|x| 10_f64.powf(x / 2.0 + scale)).collect();
            let sum: f64 = powers.iter().map(|x| 10_f64.powf(x / 2.0)).sum();
            if least_share(&weights) * f64::from(LONGEST) >= 1.0 {
                let shares = Shares::new(&weights);
                let period = shares.turns.len() as f64;
                proptest::prop_assert!(period <= f64::from(LONGEST));
                for (source, x) in powers.iter().enumerate() {
                    let asked = 10_f64.powf(x / 2.0) / sum;
                    let off = (shares.share(source) - asked).abs() * period;
                    proptest::prop_assert!(shares.counts[source] > 0 && off < 1.0, "{weights:?}");
                }
            }
        }
    }

    #[test]
    fn far_rows_have_turns_too() {
        let shares = Shares::new(&[1.0, 2.0]);
        let (_, before) = shares.source_of_row(u64::MAX);
        assert!(before > u64::MAX / 4);
    }
}
