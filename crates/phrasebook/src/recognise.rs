//! Whether a text is a sentence of the grammar: the grammar draws with every choice that could lead
//! to it, so that nothing is written down twice.

use super::grammar::{self, Choices, NounPhrase};
use super::lexicon::{Lexeme, NOUNS, VERBS};
use super::structure::Structure;
use super::{say, tokens};

/// Tokens of the longest sentence that is looked for; the grammar's longest has fewer.
const LONGEST: usize = 40;
/// Noun phrases of any sentence of the grammar, at most: `S et S VERB OBJECT`.
const MOST_NOUNS: usize = 3;

/// The structure of a French sentence in the corpus's spelling (lower case, no punctuation), or
/// `None` if the grammar never makes it. A structure that training shows is preferred to one that
/// is held out.
///
/// ```
/// use latimer_phrasebook::{Structure, structure_of};
///
/// assert_eq!(structure_of("le chat est sous la table"), Some(Structure::Place));
/// assert_eq!(structure_of("l'œuf n'est pas cassé"), Some(Structure::NotQuality));
/// // Known words in no order that the grammar has, and a verb that does not agree:
/// assert_eq!(structure_of("table la sous est chat le"), None);
/// assert_eq!(structure_of("les chats dort"), None);
/// ```
#[must_use]
pub fn structure_of(french: &str) -> Option<Structure> {
    let mut structures = Structure::ALL;
    structures.sort_by_key(|structure| structure.is_held_out());
    let mut structures = structures.into_iter();
    structures.find(|&structure| Search::new(french).is_some_and(|search| search.finds(structure)))
}

/// A search through the choices of the grammar, depth first.
struct Search<'a> {
    wanted: Vec<&'a str>,
    /// What the words of the sentence may be forms of: `du` is `de le`.
    words: Vec<&'a str>,
    /// The choices of this draw: what was taken, and of how many.
    path: Vec<(u64, u64)>,
    /// How many of them have been asked for again.
    at: usize,
    /// Whether this draw cannot come to the sentence any more.
    lost: bool,
}

impl<'a> Search<'a> {
    fn new(french: &'a str) -> Option<Self> {
        let wanted: Vec<&str> = tokens(french).take(LONGEST + 1).collect();
        if wanted.is_empty() || wanted.len() > LONGEST {
            return None;
        }
        let is_noun = |word: &&&str| {
            let is = |form: &str| form == **word;
            NOUNS.iter().any(|noun| noun.has_form(&is)) && !VERBS.iter().any(|v| v.has_form(&is))
        };
        if wanted.iter().filter(is_noun).count() > MOST_NOUNS {
            return None;
        }
        let mut words = wanted.clone();
        for word in &wanted {
            words.extend(match *word {
                "l'" => &["le", "la"][..],
                "du" => &["le"],
                "de" | "d'" => &["des"],
                "des" => &["les"],
                "j'" => &["je"],
                _ => &[],
            });
        }
        Some(Self {
            wanted,
            words,
            path: Vec::new(),
            at: 0,
            lost: false,
        })
    }

    fn finds(mut self, structure: Structure) -> bool {
        loop {
            let sentence = grammar::draw(structure, &mut self);
            if !self.lost && tokens(&say::french(&sentence)).eq(self.wanted.iter().copied()) {
                return true;
            }
            if !self.turn() {
                return false;
            }
        }
    }

    /// Moves to the next path; false after the last one.
    fn turn(&mut self) -> bool {
        self.path.truncate(self.at);
        (self.at, self.lost) = (0, false);
        while let Some((taken, of)) = self.path.pop() {
            if taken + 1 < of {
                self.path.push((taken + 1, of));
                return true;
            }
        }
        false
    }
}

impl Choices for Search<'_> {
    fn below(&mut self, n: u64) -> u64 {
        if self.lost {
            return 0;
        }
        if self.at == self.path.len() {
            self.path.push((0, n));
        }
        self.at += 1;
        self.path[self.at - 1].0
    }

    fn allows(&self, word: &dyn Lexeme) -> bool {
        word.has_form(&|form| self.words.contains(&form))
    }

    fn give_up(&mut self) {
        self.lost = true;
    }

    fn drew(&mut self, phrase: &NounPhrase) {
        if self.lost {
            return;
        }
        let text = say::french_noun_phrase(phrase);
        let drawn: Vec<&str> = tokens(&text).collect();
        // After `de` the determiner is one word with it: `près du chat`.
        let begins = |word: &str| {
            word == drawn[0] || matches!((drawn[0], word), ("le", "du") | ("les", "des"))
        };
        let mut places = self.wanted.windows(drawn.len());
        self.lost = !places.any(|some| begins(some[0]) && some[1..] == drawn[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Unseen, training_pair, unseen_pairs};
    use super::*;

    #[test]
    fn every_sentence_that_is_made_is_recognised() {
        let trained = (0..200).map(|index| training_pair(5, index));
        let unseen = unseen_pairs(Unseen::Structures, 60);
        for pair in trained.chain(unseen) {
            let found = structure_of(&pair.french);
            let found = found.unwrap_or_else(|| panic!("{} is not recognised", pair.french));
            // One text can have two structures; then the trained one is returned.
            assert!(
                found == pair.structure || !found.is_held_out(),
                "{}: {found:?}",
                pair.french
            );
        }
    }

    #[test]
    fn what_the_grammar_never_makes_is_not() {
        for text in [
            "",
            "le",
            "chat",
            "le chat",
            "the cat is under the table",
            "le chat est sous la tables",
            "le chat sont sous la table",
            "la chat est sous la table",
            "le chat est sous la table la table",
            "le chat mange le pont",
            "le chat noir est blanc",
            "le chat est",
            "est-ce que",
            "le œuf est cassé",
        ] {
            assert_eq!(structure_of(text), None, "{text}");
        }
        let nouns = "le chat est sous la table et ".repeat(50);
        assert_eq!(structure_of(&nouns), None);
    }

    #[test]
    fn a_sentence_of_many_nouns_is_searched_to_its_end() {
        let many = "le chat le chien le roi la reine la vache le loup la table le lit un deux \
                    petit grand noir vert bleu triste mange voit aime sous sur est sont et";
        assert_eq!(structure_of(many), None);
    }
}
