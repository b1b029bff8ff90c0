//! Counting: the words of a text, then the n-grams of the words that got no id.

use std::cmp::Reverse;

use super::names::{Key, Names};
use super::options::NgramOptions;
use super::split;

/// A count higher than any text can give: it puts required tokens first.
const FIRST: u64 = 1 << 63;

/// The table of n-grams is trimmed after every this many distinct words.
const TRIM_EVERY: usize = 10_000;

/// Strings with counts, in the order of first occurrence.
struct Counts {
    names: Names,
    counts: Vec<u64>,
}

impl Counts {
    fn new() -> Self {
        Self {
            names: Names::new(),
            counts: Vec::new(),
        }
    }

    #[inline]
    fn add<'n>(&mut self, key: Key, name: impl Fn() -> &'n str, count: u64) {
        let (number, new) = self.names.insert_key(key, name);
        if new {
            self.counts.push(count);
        } else {
            self.counts[number as usize] += count;
        }
    }

    /// Puts `name` before all counted strings. Required names are ordered by first occurrence, in
    /// the text or here.
    fn require(&mut self, name: &str) {
        let (number, new) = self.names.insert(name);
        if new {
            self.counts.push(FIRST);
        } else {
            self.counts[number as usize] = FIRST;
        }
    }

    /// The numbers by falling count; equal counts keep the order of first occurrence.
    fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.counts.len()).collect();
        order.sort_by_key(|&number| Reverse(self.counts[number]));
        order
    }

    /// Python's `sorted(…)[:n]`: the `n` most frequent, or for a negative `n` all but the last
    /// `-n`.
    fn most_frequent(&self, n: i64) -> Vec<usize> {
        let mut order = self.sorted();
        order.truncate(slice_end(order.len(), n));
        order
    }

    /// Keeps the `n` most frequent strings, as [`most_frequent`](Self::most_frequent) selects them,
    /// in their order. A dropped string that comes again comes last.
    fn trim(&mut self, n: i64) {
        let mut kept = self.most_frequent(n);
        if kept.len() == self.counts.len() {
            return;
        }
        kept.sort_unstable();
        self.names = self.pick(&kept);
        self.counts = kept.iter().map(|&number| self.counts[number]).collect();
    }

    fn pick(&self, numbers: &[usize]) -> Names {
        numbers
            .iter()
            .filter_map(|&number| self.names.get(number))
            .collect()
    }
}

/// Where Python's slice `[:n]` of a list ends.
fn slice_end(len: usize, n: i64) -> usize {
    let most = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    if n < 0 {
        len.saturating_sub(most)
    } else {
        len.min(most)
    }
}

/// The vocabularies of `texts`: words, then sub-words, each in the order of its ids.
pub(super) fn fit<S: AsRef<str>>(
    texts: impl IntoIterator<Item = S>,
    options: &NgramOptions,
) -> (Names, Names) {
    let mut words = Counts::new();
    let mut buffer = String::new();
    let mut count = |line: &str| {
        for word in split::prepare(line, options.lowercase, &mut buffer).words() {
            words.add(word.key, || word.text(), 1);
        }
    };
    for text in texts {
        let text = text.as_ref();
        // A line end is white space and ends every word and every sigma. Lines can therefore be cut
        // one by one, and a long text need not be copied whole.
        if text.len() > 4096 {
            text.split('\n').for_each(&mut count);
        } else {
            count(text);
        }
    }
    for token in options.required() {
        words.require(token);
    }
    let (word_size, subword_size) = options.sizes();
    let kept = words.most_frequent(word_size);
    let subwords = subwords(&words, &kept, subword_size, options);
    (words.pick(&kept), subwords)
}

/// The sub-words of the words that are not among `kept`.
fn subwords(words: &Counts, kept: &[usize], size: i64, options: &NgramOptions) -> Names {
    let mut known = vec![false; words.counts.len()];
    for &number in kept {
        known[number] = true;
    }
    let mut table = Counts::new();
    table.require(&options.sow);
    table.require(&options.eow);
    let mut bounds = Vec::new();
    let unknown = words.names.iter().zip(&words.counts).zip(known);
    let unknown = unknown.filter_map(|(word, known)| (!known).then_some(word));
    for ((word, &count), seen) in unknown.zip(1..) {
        bounds.clear();
        bounds.extend(word.char_indices().map(|(at, _)| at));
        bounds.push(word.len());
        let mut add = |ngram: &str, count| table.add(Key::new(ngram), || ngram, count);
        for pair in bounds.windows(2) {
            add(&word[pair[0]..pair[1]], count);
        }
        let longest = options.ngram_max.min(bounds.len() - 1);
        for size in options.ngram_min.max(1)..=longest {
            for (start, end) in bounds.iter().zip(&bounds[size..]) {
                add(&word[*start..*end], count);
            }
        }
        if seen % TRIM_EVERY == 0 {
            table.trim(size.saturating_mul(10));
        }
    }
    table.pick(&table.most_frequent(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &Names) -> Vec<&str> {
        names.iter().collect()
    }

    #[test]
    fn slices_end_where_pythons_do() {
        for (n, end) in [
            (0, 0),
            (2, 2),
            (9, 3),
            (-1, 2),
            (-3, 0),
            (-9, 0),
            (i64::MIN, 0),
        ] {
            assert_eq!(slice_end(3, n), end, "{n}");
        }
    }

    #[test]
    fn a_trimmed_string_comes_again_at_the_end() {
        let mut counts = Counts::new();
        for (name, count) in [("a", 1), ("b", 3), ("c", 1), ("d", 2)] {
            counts.add(Key::new(name), || name, count);
        }
        counts.trim(3);
        assert_eq!(
            names(&counts.names),
            ["a", "b", "d"],
            "the last of equals goes"
        );
        counts.trim(-1);
        assert_eq!(names(&counts.names), ["b", "d"]);
        counts.add(Key::new("a"), || "a", 2);
        let order = counts.sorted();
        assert_eq!(names(&counts.pick(&order)), ["b", "d", "a"]);
    }

    #[test]
    fn unigrams_come_before_ngrams() {
        let options = NgramOptions {
            vocab_size: 12,
            pct_bpe: 1.0,
            ngram_max: 3,
            ..NgramOptions::default()
        };
        let (words, subwords) = fit(["Abcb x", "x abcb"], &options);
        assert_eq!(names(&words), ["__unk", "__pad"]);
        assert_eq!(
            names(&subwords),
            [
                "__sow", "__eow", "b", "a", "c", "ab", "bc", "cb", "abc", "bcb"
            ]
        );
    }

    #[test]
    fn required_tokens_of_the_text_keep_their_place() {
        let (words, _) = fit(["b __pad a b"], &NgramOptions::default());
        assert_eq!(names(&words), ["__pad", "__unk", "b", "a"]);
    }
}
