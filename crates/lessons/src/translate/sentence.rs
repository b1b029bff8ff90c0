//! Sentences: from ordinary writing to the translators' spelling and back.

use crate::{Error, Remark, Result};
use unicode_normalization::UnicodeNormalization;

/// Signs that end a sentence.
const ENDS: [char; 3] = ['.', '!', '?'];
/// Signs that are not part of a word. `’` and `‘` count as apostrophes.
const PUNCTUATION: &str = ",;:()[]{}\"«»‹›“”„‟–—―·•¿¡";

/// A sentence in the dictionaries' spelling, with a record of what was changed.
///
/// | written | taken as |
/// |---|---|
/// | capitals, with or without accents | small letters |
/// | `’` and other apostrophes | `'`; a word is cut after it |
/// | any white space, soft hyphens, other hyphens | one space, nothing, `-` |
/// | `oeu`, and `oe` at a word's beginning | `œu`, `œ` |
/// | letters with their accents apart | letters that have them |
/// | `.`, `!`, `?`, `…` | the end of a sentence |
/// | other punctuation | white space |
///
/// ```
/// use latimer_lessons::Sentence;
///
/// let all = Sentence::all("Est-ce que l’OEUF\u{202f}est cassé\u{202f}?")?;
/// let [question] = &all[..] else { panic!() };
/// assert_eq!(question.words(), ["est-ce", "que", "l'", "œuf", "est", "cassé"]);
/// assert_eq!(question.text(), "est-ce que l'œuf est cassé");
/// assert_eq!(question.restored("is the egg broken"), "Is the egg broken?");
/// assert_eq!(Sentence::all("le chat")?[0].restored("the cat"), "the cat");
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    words: Vec<String>,
    /// Whether its first letter is a capital.
    capital: bool,
    /// The signs that end it.
    mark: String,
    /// Punctuation that the translation leaves out, each sign once.
    left_out: Vec<char>,
}

impl Sentence {
    /// The sentences of a text, at least one.
    ///
    /// # Errors
    /// [`Error::EmptyText`] if the text has no word.
    pub fn all(text: &str) -> Result<Vec<Self>> {
        let text: String = text.chars().filter_map(plain).nfkc().collect();
        let signs: Vec<char> = text.chars().collect();
        let mut sentences = vec![Self::default()];
        let mut word = String::new();
        for (at, &sign) in signs.iter().enumerate() {
            let current = sentences.len() - 1;
            let is_digit = |at: Option<usize>| {
                let sign = at.and_then(|at| signs.get(at));
                sign.is_some_and(char::is_ascii_digit)
            };
            let in_number = is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
            if ENDS.contains(&sign) && !in_number {
                sentences[current].add(&std::mem::take(&mut word));
                match sentences[current].words.is_empty() {
                    true => sentences[current].leave_out(sign),
                    false => sentences[current].mark.push(sign),
                }
            } else if PUNCTUATION.contains(sign) {
                sentences[current].add(&std::mem::take(&mut word));
                sentences[current].leave_out(sign);
            } else if sign.is_whitespace() || sign.is_control() {
                sentences[current].add(&std::mem::take(&mut word));
            } else {
                if !sentences[current].mark.is_empty() {
                    sentences.push(Self::default());
                }
                word.push(sign);
            }
        }
        if let Some(last) = sentences.last_mut() {
            last.add(&word);
        }
        // A sentence without words consists of signs, which belong to the sentence before.
        let (mut full, empty): (Vec<_>, Vec<_>) = sentences
            .into_iter()
            .partition(|s: &Self| !s.words.is_empty());
        let Some(last) = full.last_mut() else {
            return Err(Error::EmptyText);
        };
        for sign in empty.into_iter().flat_map(|sentence| sentence.left_out) {
            last.leave_out(sign);
        }
        Ok(full)
    }

    /// Its words, cut after each apostrophe.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// Its words as text: no space follows an apostrophe.
    #[must_use]
    pub fn text(&self) -> String {
        joined(&self.words())
    }

    /// A translation with the capital and the final signs of this sentence, without a space before
    /// the signs, and with the English `I`. If the sentence has neither, the translation stays as
    /// it is.
    #[must_use]
    pub fn restored(&self, english: &str) -> String {
        if english.is_empty() || (!self.capital && self.mark.is_empty()) {
            return english.to_owned();
        }
        let words = english.split(' ').map(|word| match word {
            "i" => "I",
            word => word,
        });
        let text = words.collect::<Vec<_>>().join(" ");
        let mut letters = text.chars();
        let first = letters.next().filter(|_| self.capital);
        match first {
            Some(first) => format!("{}{}{}", first.to_uppercase(), letters.as_str(), self.mark),
            None => format!("{text}{}", self.mark),
        }
    }

    /// A remark on the punctuation that the translation leaves out.
    pub(crate) fn remark(&self) -> Option<Remark> {
        let signs = self.left_out.clone();
        (!signs.is_empty()).then_some(Remark::LeftOut { signs })
    }

    /// Adds a word in its original spelling.
    fn add(&mut self, word: &str) {
        let begins = word.find(|c| c != '\'' && c != '-').unwrap_or(word.len());
        let (signs, word) = word.split_at(begins);
        signs.chars().for_each(|sign| self.leave_out(sign));
        let mut end = word.len();
        while word[..end].ends_with(['-', '\'']) && !is_elided(&word[..end]) {
            end -= 1;
        }
        let (word, signs) = word.split_at(end);
        signs.chars().for_each(|sign| self.leave_out(sign));
        if word.is_empty() {
            return;
        }
        if self.words.is_empty() {
            self.capital = word.chars().next().is_some_and(char::is_uppercase);
        }
        for piece in word.to_lowercase().split_inclusive('\'') {
            let piece = piece.replace("oeu", "œu");
            self.words.push(match piece.strip_prefix("oe") {
                Some(rest) => format!("œ{rest}"),
                None => piece,
            });
        }
    }

    fn leave_out(&mut self, sign: char) {
        if !self.left_out.contains(&sign) {
            self.left_out.push(sign);
        }
    }
}

/// Words as text: no space follows an apostrophe.
pub(crate) fn joined(words: &[&str]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() && !text.ends_with('\'') {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Whether an apostrophe at the end belongs to the word: `l'`, `qu'`, `jusqu'`.
fn is_elided(word: &str) -> bool {
    let word = word.to_lowercase();
    let Some(before) = word.strip_suffix('\'') else {
        return false;
    };
    before.ends_with("qu") || matches!(before, "c" | "d" | "j" | "l" | "m" | "n" | "s" | "t")
}

/// The usual form of a sign: all apostrophes become one, all hyphens become one, invisible signs
/// vanish.
fn plain(sign: char) -> Option<char> {
    match sign {
        '’' | '‘' | '‛' | 'ʼ' | 'ʹ' | '′' | '`' | '´' | '＇' => Some('\''),
        '\u{2010}'..='\u{2012}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => Some('-'),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{2069}' | '\u{feff}' => None,
        sign => Some(sign),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let sentences = Sentence::all(text).unwrap();
        sentences.iter().map(Sentence::text).collect()
    }

    #[test]
    fn a_sentence_is_taken_however_it_is_typed() {
        let plain = "le chat est sous la table";
        for typed in [
            "Le chat est sous la table.",
            "LE CHAT EST SOUS LA TABLE !",
            "  le\u{a0}chat \t est\nsous la   table  ",
            "« Le chat est sous la table. »",
            "“Le chat est sous la table”…",
            "– Le chat, est sous la table ?!",
            "\u{feff}le chat est sous la ta\u{ad}ble",
            "'le chat est sous la table'",
            "‘Le chat est sous la table’",
            "-le chat est sous la table-",
            "…le chat est sous la table",
            "(le chat; est: sous [la] table)",
        ] {
            assert_eq!(texts(typed), [plain], "{typed:?}");
        }
        for (typed, taken) in [
            ("L’œuf n´est pas cassé", "l'œuf n'est pas cassé"),
            ("L' Oeuf n' est pas cassé", "l'œuf n'est pas cassé"),
            ("Les OEUFS", "les œufs"),
            ("ÉLÉPHANT", "éléphant"),
            ("e\u{301}le\u{301}phant", "éléphant"),
            ("est‑ce qu’il dort", "est-ce qu'il dort"),
            ("3.14 chats", "3.14 chats"),
            ("le chat = la table", "le chat = la table"),
            ("moelle", "moelle"),
        ] {
            assert_eq!(texts(typed), [taken], "{typed:?}");
        }
    }

    #[test]
    fn a_text_of_several_sentences_is_cut_into_them() {
        let text = "Le chat dort. La table est grande ! est-ce que je joue ?";
        assert_eq!(
            texts(text),
            ["le chat dort", "la table est grande", "est-ce que je joue"]
        );
        let english = ["the cat sleeps", "the table is big", "do i play"];
        let sentences = Sentence::all(text).unwrap();
        let restored: Vec<String> = sentences
            .iter()
            .zip(english)
            .map(|(sentence, english)| sentence.restored(english))
            .collect();
        assert_eq!(
            restored.join(" "),
            "The cat sleeps. The table is big! do I play?"
        );
    }

    #[test]
    fn what_a_translation_does_not_give_back_is_known() {
        let left_out = |text: &str| Sentence::all(text).unwrap()[0].left_out.clone();
        assert_eq!(left_out("Le chat est sous la table."), []);
        assert_eq!(left_out("« le chat, la table, »"), ['«', ',', '»']);
        assert_eq!(left_out("le chat. »"), ['»']);
    }

    #[test]
    fn a_text_without_a_word_is_none() {
        for text in ["", "  ", "...", "?", "« »", "'", "-", "\u{200b}", "\u{7}"] {
            let refused = Sentence::all(text);
            assert!(matches!(refused, Err(Error::EmptyText)), "{text:?}");
        }
    }
}
