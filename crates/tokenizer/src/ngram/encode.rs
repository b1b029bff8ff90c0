//! Text to pieces and ids.

use super::names::Names;
use super::split::Word;
use super::{NgramTokenizer, split};

/// How text is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As in the package: required tokens are words like any other.
    Package,
    /// For a language model: no text encodes to `unk`, `pad` or `__line`, or produces a mark.
    Model,
}

impl NgramTokenizer {
    /// The tokens of a sentence as strings: words, and pieces between their marks.
    #[must_use]
    pub fn tokenize(&self, sentence: &str) -> Vec<String> {
        let mut buffer = String::new();
        let mut tokens = Vec::new();
        let sentence = split::prepare(sentence, self.options.lowercase, &mut buffer);
        for word in sentence.words().map(Word::text) {
            if self.words.find(word).is_some() {
                tokens.push(word.to_owned());
                continue;
            }
            tokens.push(self.options.sow.clone());
            for piece in self.pieces.cut(word, |_| true) {
                let piece = piece.and_then(|number| self.subwords.get(number as usize));
                tokens.push(piece.unwrap_or(&self.options.unk).to_owned());
            }
            tokens.push(self.options.eow.clone());
        }
        tokens
    }

    /// The ids of each sentence.
    ///
    /// With `fixed_length` each row is cut to that many ids, or filled with `__pad` at its end.
    /// `reverse` then reverses the whole row, so that the padding comes first.
    ///
    /// ```
    /// use latimer_tokenizer::NgramTokenizer;
    ///
    /// let tokenizer = NgramTokenizer::fit(["thou art"])?;
    /// let rows = tokenizer.transform(&["Art thou", "thou art thou art"], true, Some(3));
    /// assert_eq!(rows, [[1, 2, 3], [2, 3, 2]]);
    /// # Ok::<(), latimer_tokenizer::Error>(())
    /// ```
    #[must_use]
    pub fn transform<S: AsRef<str>>(
        &self,
        sentences: &[S],
        reverse: bool,
        fixed_length: Option<usize>,
    ) -> Vec<Vec<u32>> {
        let mut encoder = Encoder::new(self, Manner::Package);
        let mut ids = Vec::new();
        let row = |sentence: &S| {
            ids.clear();
            encoder.line(sentence.as_ref(), &mut ids);
            if let Some(length) = fixed_length {
                ids.resize(length, self.pad);
            }
            if reverse {
                ids.reverse();
            }
            ids.clone() // of exactly its length
        };
        sentences.iter().map(row).collect()
    }

    /// Appends the ids of a text.
    pub(super) fn encode_text(&self, text: &str, ids: &mut Vec<u32>) {
        let manner = if self.line.is_some() {
            Manner::Model
        } else {
            Manner::Package
        };
        let mut encoder = Encoder::new(self, manner);
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                ids.extend(self.line);
            }
            encoder.line(line, ids);
        }
    }

    /// `text` in normal form: in lower case, cut by the rule, and joined by single spaces. With
    /// [`NgramOptions::lines`](super::NgramOptions::lines) line ends stay; otherwise they become
    /// spaces too.
    ///
    /// ```
    /// use latimer_tokenizer::{NgramOptions, NgramTokenizer};
    ///
    /// let tokenizer = NgramTokenizer::fit_with([""], NgramOptions::language_model(64))?;
    /// assert_eq!(tokenizer.normalize(" Don't\tGO!\n\nStay"), "don ' t go !\n\nstay");
    /// # Ok::<(), latimer_tokenizer::Error>(())
    /// ```
    #[must_use]
    pub fn normalize(&self, text: &str) -> String {
        let mut normal = String::with_capacity(text.len());
        let mut buffer = String::new();
        let mut spaced = false;
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 && self.line.is_some() {
                normal.push('\n');
                spaced = false;
            }
            let line = split::prepare(line, self.options.lowercase, &mut buffer);
            for word in line.words().map(Word::text) {
                if spaced {
                    normal.push(' ');
                }
                normal.push_str(word);
                spaced = true;
            }
        }
        normal
    }
}

/// The encoder's state from one line to the next.
struct Encoder<'t> {
    tokenizer: &'t NgramTokenizer,
    manner: Manner,
    buffer: String,
    /// Words that were cut before, with the range of their ids in `cut_ids`.
    cut: Names,
    ranges: Vec<(usize, usize)>,
    cut_ids: Vec<u32>,
}

/// The number of words that are remembered (`REMEMBERED`), and the most bytes of such a word. All
/// others are cut each time, so that memory stays within some MiB on any text.
const REMEMBERED: usize = 1 << 16;
const LONGEST_REMEMBERED: usize = 64;

impl<'t> Encoder<'t> {
    fn new(tokenizer: &'t NgramTokenizer, manner: Manner) -> Self {
        Self {
            tokenizer,
            manner,
            buffer: String::new(),
            cut: Names::new(),
            ranges: Vec::new(),
            cut_ids: Vec::new(),
        }
    }

    fn line(&mut self, line: &str, ids: &mut Vec<u32>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let t = self.tokenizer;
        for word in split::prepare(line, t.options.lowercase, &mut buffer).words() {
            match t.words.find_key(word.key, || word.text()) {
                Some(id) if self.may_name(id) => ids.push(id),
                _ => self.rare_word(word, ids),
            }
        }
        self.buffer = buffer;
    }

    fn rare_word(&mut self, word: Word<'_>, ids: &mut Vec<u32>) {
        let text = || word.text();
        if let Some(number) = self.cut.find_key(word.key, text) {
            let (start, end) = self.ranges[number as usize];
            ids.extend_from_slice(&self.cut_ids[start..end]);
            return;
        }
        let start = ids.len();
        ids.push(self.tokenizer.sow);
        let pieces = self
            .tokenizer
            .pieces
            .cut(text(), |number| self.may_cut(number));
        ids.extend(pieces.map(|piece| match piece {
            Some(number) => self.tokenizer.piece_ids[number as usize],
            None => self.tokenizer.unk,
        }));
        ids.push(self.tokenizer.eow);
        if self.cut.len() < REMEMBERED && text().len() <= LONGEST_REMEMBERED {
            self.cut.insert_key(word.key, text);
            let from = self.cut_ids.len();
            self.cut_ids.extend_from_slice(&ids[start..]);
            self.ranges.push((from, self.cut_ids.len()));
        }
    }

    /// Whether a word of the text may encode to this id.
    fn may_name(&self, id: u32) -> bool {
        let t = self.tokenizer;
        self.manner == Manner::Package || (id != t.unk && id != t.pad && Some(id) != t.line)
    }

    /// Whether a piece of the text may encode to this sub-word. Long n-grams may spell a mark.
    fn may_cut(&self, number: u32) -> bool {
        let id = self.tokenizer.piece_ids[number as usize];
        self.manner == Manner::Package
            || (self.may_name(id) && id != self.tokenizer.sow && id != self.tokenizer.eow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LINE, NgramOptions, Tokenizer};

    #[test]
    fn pieces_that_are_words_have_the_words_id() {
        let options = NgramOptions {
            vocab_size: 20,
            pct_bpe: 0.8,
            ..NgramOptions::default()
        };
        let t = NgramTokenizer::fit_with(["a a a ab ab abc bca"], options).unwrap();
        assert_eq!(t.words().last(), Some(("a", 2)), "the share of words is 3");
        assert_eq!(t.tokenize("ca"), ["__sow", "ca", "__eow"]);
        assert_eq!(t.tokenize("AA"), ["__sow", "a", "a", "__eow"]);
        let (sow, eow) = (3, 4);
        assert_eq!(t.encode("aa").unwrap(), [sow, 2, 2, eow]);
        assert_ne!(t.subword_id("a"), Some(2));
    }

    #[test]
    fn without_room_for_marks_they_are_unknown() {
        let options = NgramOptions {
            pct_bpe: 0.0,
            vocab_size: 3,
            ..NgramOptions::default()
        };
        let t = NgramTokenizer::fit_with(["a"], options).unwrap();
        assert_eq!(t.encode("a bc").unwrap(), [2, 0, 0, 0, 0]);
        assert_eq!(t.vocab_size(), 3);
    }

    #[test]
    fn a_model_reads_no_special_token_from_text() {
        let text = "__line __unk __pad __line __unk __sow __eow x__line punkad";
        let options = NgramOptions {
            ngram_max: 6,
            pct_bpe: 1.0, // required words only
            ..NgramOptions::language_model(500)
        };
        let t = NgramTokenizer::fit_with([text], options).unwrap();
        assert_eq!(t.word_id(LINE), Some(0), "the text's place");
        let special = ["__line", "__unk", "__pad"].map(|name| t.special(name).unwrap());
        let ids = t.encode(text).unwrap();
        assert!(ids.iter().all(|id| !special.contains(id)), "{ids:?}");
        assert_eq!(t.tokenize("q__line")[2], LINE, "a piece may spell it there");
        assert!(!t.encode("q__line").unwrap().contains(&0));
        assert_eq!(t.decode(&ids).unwrap(), text);
        assert_eq!(t.transform(&["__line __pad"], false, None), [[0, 2]]);
        assert_eq!(t.encode("\n").unwrap(), [0]);
    }

    #[test]
    fn a_word_of_a_megabyte_is_cut_in_one_go() {
        let word = "abcdefg".repeat(150_000);
        let options = NgramOptions {
            ngram_max: 3,
            pct_bpe: 1.0, // required words only
            ..NgramOptions::language_model(64)
        };
        let t = NgramTokenizer::fit_with([&word], options).unwrap();
        let ids = t.encode(&word).unwrap();
        assert_eq!(ids.len(), 350_000 + 2);
        // Not assert_eq: it would print the word.
        assert!(t.decode(&ids).unwrap() == word);
        assert_eq!(t.tokenize(&word).len(), ids.len());
    }
}
