//! The word rule: how text is cut into words and joined again.
//!
//! Cutting: white space separates, except that a line end (`\n`) is a token. From the end of each
//! run without white space the marks `. , ; : ! ?` are cut off one by one; what is left is cut
//! after each apostrophe (`'` or `’`). So `l'eau n'est pas là.` is `l'` `eau` `n'` `est` `pas` `là`
//! `.`
//!
//! Joining: one space between two tokens, except around a line end, after a token that ends in an
//! apostrophe, and before a single mark.
//!
//! Cutting, joining and cutting again gives the same tokens, which makes the normal form stable: a
//! mark is only ever cut from the end of a run, and joining puts only marks, white space or the end
//! after it.

use std::borrow::Borrow;

const MARKS: [char; 6] = ['.', ',', ';', ':', '!', '?'];
const APOSTROPHES: [char; 2] = ['\'', '’'];

/// The tokens of `text`, in order, each with the byte offset where it starts.
pub(crate) fn split(text: &str) -> Split<'_> {
    Split {
        text,
        at: 0,
        marks: 0,
        end: 0,
    }
}

/// Whether a space stands between two tokens.
pub(crate) fn spaced(before: &str, after: &str) -> bool {
    before != "\n" && after != "\n" && !before.ends_with(APOSTROPHES) && !is_mark(after)
}

/// The text of `tokens`.
pub(crate) fn join<S: Borrow<str>>(tokens: impl IntoIterator<Item = S>) -> String {
    let mut text = String::new();
    let mut previous: Option<S> = None;
    for token in tokens {
        if previous.is_some_and(|previous| spaced(previous.borrow(), token.borrow())) {
            text.push(' ');
        }
        text.push_str(token.borrow());
        previous = Some(token);
    }
    text
}

/// Whether the rule cuts `text` into exactly itself.
pub(crate) fn is_token(text: &str) -> bool {
    let mut tokens = split(text);
    tokens.next().is_some_and(|(_, token)| token == text) && tokens.next().is_none()
}

fn is_mark(token: &str) -> bool {
    let mut chars = token.chars();
    chars.next().is_some_and(|c| MARKS.contains(&c)) && chars.next().is_none()
}

/// Iterator of [`split`]: `at` is where the next token starts; the current run ends at `end`, and
/// its marks start at `marks`.
pub(crate) struct Split<'t> {
    text: &'t str,
    at: usize,
    marks: usize,
    end: usize,
}

impl<'t> Iterator for Split<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.end {
            let rest = &self.text[self.at..];
            self.at += rest.find(|c: char| c == '\n' || !c.is_whitespace())?;
            let rest = &self.text[self.at..];
            let run = match rest.find(char::is_whitespace) {
                Some(0) => "\n", // the only white space at which `at` can stop
                Some(len) => &rest[..len],
                None => rest,
            };
            self.end = self.at + run.len();
            self.marks = self.at + run.trim_end_matches(MARKS).len();
        }
        let start = self.at;
        self.at = if start < self.marks {
            let word = &self.text[start..self.marks];
            let cut = word.char_indices().find(|(_, c)| APOSTROPHES.contains(c));
            start + cut.map_or(word.len(), |(at, c)| at + c.len_utf8())
        } else {
            start + 1 // every mark is ASCII
        };
        Some((start, &self.text[start..self.at]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        split(text).map(|(_, word)| word).collect()
    }

    fn normalize(text: &str) -> String {
        join(words(text))
    }

    #[test]
    fn cuts() {
        for (text, expected) in [
            ("", vec![]),
            (" \t\r ", vec![]),
            ("le chat", vec!["le", "chat"]),
            (
                "le chat = the cat\n",
                vec!["le", "chat", "=", "the", "cat", "\n"],
            ),
            ("a\r\n\n b", vec!["a", "\n", "\n", "b"]),
            ("l'eau n’est pas", vec!["l'", "eau", "n’", "est", "pas"]),
            (
                "quoi ?! non...",
                vec!["quoi", "?", "!", "non", ".", ".", "."],
            ),
            (
                "3.14 .5 a,b; est-il",
                vec!["3.14", ".5", "a,b", ";", "est-il"],
            ),
            ("'oui', dit-il", vec!["'", "oui'", ",", "dit-il"]),
            ("l'.", vec!["l'", "."]),
            ("été\u{202f}!", vec!["été", "!"]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn joins() {
        for (text, expected) in [
            ("l' eau\u{a0}: froide .", "l'eau: froide."),
            ("  a \n  b  ", "a\nb"),
            ("the dogs' bones", "the dogs'bones"),
            (". . a .5", ".. a .5"),
        ] {
            assert_eq!(normalize(text), expected, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_their_own_only_token() {
        for token in ["\n", "l'", "'", "eau", "=", "?", ".5", "a.b", "été"] {
            assert!(is_token(token), "{token:?}");
        }
        for other in [
            "", " ", "a b", " a", "a ", "l'eau", "a.", "..", "\n\n", "a\n", "\t",
        ] {
            assert!(!is_token(other), "{other:?}");
        }
    }

    /// The normal form, defined without cutting.
    fn is_normal(text: &str) -> bool {
        text.split('\n').all(|line| {
            let runs: Vec<&str> = line.split(' ').collect();
            let (last, all) = (runs.len() - 1, runs.iter().enumerate());
            line.is_empty()
                || all.into_iter().all(|(i, run)| {
                    !run.is_empty()
                        && !run.contains(char::is_whitespace)
                        && (i == last || !run.ends_with(APOSTROPHES))
                        && (i == 0 || !run.chars().all(|c| MARKS.contains(&c)))
                })
        })
    }

    /// Texts dense in the characters that the rule looks at.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), r"[ab'’.!=\n \t\u{202f}é-]{0,16}"]
    }

    proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(text in text()) {
            let once = normalize(&text);
            prop_assert_eq!(normalize(&once), once.as_str());
            prop_assert_eq!(words(&once), words(&text));
            prop_assert!(is_normal(&once));
        }

        #[test]
        fn normal_texts_are_kept(text in text()) {
            prop_assert_eq!(is_normal(&text), normalize(&text) == text);
        }

        #[test]
        fn offsets_and_tokens_are_right(text in text()) {
            let mut end = 0;
            for (at, word) in split(&text) {
                prop_assert!(text[end..at].chars().all(char::is_whitespace));
                prop_assert_eq!(&text[at..at + word.len()], word);
                prop_assert!(is_token(word));
                end = at + word.len();
            }
            prop_assert!(text[end..].chars().all(char::is_whitespace));
        }
    }
}
