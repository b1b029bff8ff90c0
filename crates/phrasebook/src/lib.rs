//! The built-in corpus: an endless phrasebook, French on the left, English on the right.
//!
//! It grows the tutorial's dictionary of six words (le, chat, est, sous, la, table) into a small
//! grammar: gender and number, adjectives that agree and stand on the other side of the noun,
//! elision and contraction, pronouns, negation, questions, relative clauses, a future. One line is
//! one sentence, `french = english`, in lower case and without punctuation.
//!
//! A pair is drawn as a meaning and then said twice. The English is a function of the French line,
//! always, but not of its words one by one: [`word_by_word`] is what a dictionary makes of it. What
//! a model has learnt is measured on sentences that training never shows, of two kinds:
//! [`Unseen::Sentences`] and [`Unseen::Structures`].
//!
//! The only randomness is a [`Stream`], so a pair depends on its seed and its number alone.
//!
//! [`Phrasebook`] is the trainer's [`Task`](latimer_trainer::Task) of translating it; [`library`]
//! makes both corpora known to the trainer by their names.

mod baseline;
mod count;
mod error;
mod grammar;
mod lexicon;
mod recognise;
mod say;
mod source;
mod structure;
mod task;
#[cfg(test)]
mod tests;
mod translate;

use std::collections::HashSet;

use latimer_tensor::philox::{Stream, split};

pub use baseline::{dictionary, tokens, word_by_word, words};
pub use count::{sentence_count, structure_count};
pub use error::Error;
use grammar::Choices;
pub use recognise::structure_of;
pub use source::Phrases;
pub use structure::Structure;
pub use task::{CORPORA, ENGLISH, PHRASEBOOK, Phrasebook, library};
pub use translate::{Accuracy, accuracy, answer};

/// The tutorial's first question and its answer. Never in training.
pub const TUTORIAL_SENTENCE: (&str, &str) =
    ("le chat est sous la table", "the cat is under the table");

/// One sentence of every `HELD_OUT_SHARE` is kept from training: 3.1 %.
const HELD_OUT_SHARE: u64 = 32;
/// Where the training pairs' draws are taken: `phra`, `phun` for the unseen ones.
const TRAINING_SITE: u32 = 0x7068_7261;
const UNSEEN_SITE: u32 = 0x7068_756e;
/// [`unseen_pairs`] stops looking after this many draws for each pair asked for; it needs 32 to
/// 40 where new ones are to be had.
const DRAWS_PER_UNSEEN_PAIR: u64 = 400;

/// A sentence in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The French sentence.
    pub french: String,
    /// Its translation.
    pub english: String,
    /// How it is built.
    pub structure: Structure,
}

impl Pair {
    /// The corpus line, with its newline: `le roi dort = the king sleeps\n`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} = {}\n", self.french, self.english)
    }

    /// Whether training never shows it: its structure is held out, or [`is_held_out`] says so.
    #[must_use]
    pub fn is_held_out(&self) -> bool {
        self.structure.is_held_out() || is_held_out(&self.french)
    }
}

/// What an unseen sentence has new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unseen {
    /// The sentence: training shows its structure with other words.
    Sentences,
    /// The structure: training shows its parts in other structures.
    Structures,
}

/// Pair number `index` of the training corpus of `seed`.
///
/// The low half of `index` is the stream's step, the high half is added to its site. A held-out
/// sentence is drawn again from the same stream, so none is ever returned.
#[must_use]
pub fn training_pair(seed: u64, index: u64) -> Pair {
    let [low, high] = split(index);
    let mut stream = Stream::new(seed, TRAINING_SITE.wrapping_add(high), low);
    loop {
        let pair = draw_pair(Unseen::Sentences, &mut stream);
        if !pair.is_held_out() {
            return pair;
        }
    }
}

/// The first `count` distinct unseen pairs, the same ones in every run, in the proportions of
/// training (the held-out structures: in equal ones). Fewer only if millions are asked for.
#[must_use]
pub fn unseen_pairs(which: Unseen, count: usize) -> Vec<Pair> {
    let mut stream = Stream::new(0, UNSEEN_SITE, which as u32);
    let mut seen = HashSet::new();
    let mut pairs = Vec::new();
    let mut draws = 0;
    while pairs.len() < count && draws < DRAWS_PER_UNSEEN_PAIR * count as u64 {
        let pair = draw_pair(which, &mut stream);
        if pair.is_held_out() && seen.insert(pair.french.clone()) {
            pairs.push(pair);
        }
        draws += 1;
    }
    pairs
}

/// Lines of [`english_text`].
const ENGLISH_LINES: u64 = 30_000;

/// English sentences of training pairs, one a line: a text to learn from where no other is at hand.
/// It is the same each time, a megabyte of 26 different characters.
#[must_use]
pub fn english_text() -> String {
    let mut text = String::with_capacity(1 << 20);
    for index in 0..ENGLISH_LINES {
        text.push_str(&training_pair(0, index).english);
        text.push('\n');
    }
    text
}

/// Whether this sentence of a trained structure is kept from training, whatever the seed.
///
/// True for about one sentence in 32, by a hash of the text; and for all that put chat and table
/// in places relative to each other (`le chat est sous la table`, `ces tables sont près du chat`):
/// a preposition, and no noun but these two.
#[must_use]
pub fn is_held_out(french: &str) -> bool {
    folded_hash(french.as_bytes()).is_multiple_of(HELD_OUT_SHARE) || is_filling_of_tutorial(french)
}

fn is_filling_of_tutorial(french: &str) -> bool {
    let is_ours = |word: &&str| matches!(*word, "chat" | "chats" | "table" | "tables");
    let is_preposition = |word: &str| {
        lexicon::PREPOSITIONS
            .iter()
            .any(|preposition| preposition.french[0] == word)
    };
    let is_noun = |word: &&str| lexicon::NOUNS.iter().any(|noun| noun.french.contains(word));
    tokens(french).filter(is_ours).count() >= 2
        && tokens(french).any(is_preposition)
        && tokens(french).filter(is_noun).all(|word| is_ours(&word))
}

/// FNV-1a, 64 bits, its high half folded onto the low one, which alone mixes little.
fn folded_hash(bytes: &[u8]) -> u64 {
    let hash = latimer_files::fnv1a(bytes);
    hash ^ hash >> 32
}

/// A pair of the trained structures, or of the held-out ones, by their weights.
fn draw_pair(which: Unseen, from: &mut impl Choices) -> Pair {
    let wanted = || {
        let held_out = which == Unseen::Structures;
        Structure::ALL
            .into_iter()
            .filter(move |structure| structure.is_held_out() == held_out)
    };
    let mut left = from.below(wanted().map(Structure::weight).sum());
    let mut structure = Structure::Place;
    for candidate in wanted() {
        structure = candidate;
        if left < candidate.weight() {
            break;
        }
        left -= candidate.weight();
    }
    pair_of(structure, from)
}

fn pair_of(structure: Structure, from: &mut impl Choices) -> Pair {
    let sentence = grammar::draw(structure, from);
    Pair {
        french: say::french(&sentence),
        english: say::english(&sentence),
        structure,
    }
}

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
