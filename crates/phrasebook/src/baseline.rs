//! The words one by one: a plain dictionary, what it makes of a sentence, and the list of all
//! tokens. A model that has learnt no grammar can do no better than [`word_by_word`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::lexicon::{
    ADJECTIVES, ALLER, BE, DETERMINERS, ENGLISH_ONLY, ETRE, GRAMMAR_WORDS, NOUNS, PREPOSITIONS,
    PRONOUNS, VERBS,
};

/// What aller is for, in these sentences.
const GOING_TO: [&str; 6] = [
    "am going to",
    "are going to",
    "is going to",
    "are going to",
    "are going to",
    "are going to",
];

static DICTIONARY: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut dictionary = BTreeMap::new();
    // The first entry of a word stands: `lit` is a bed, `souris` one mouse.
    let mut add = |french: &'static str, english: &'static str| {
        dictionary.entry(french).or_insert(english);
    };
    for noun in &NOUNS {
        (0..2).for_each(|number| add(noun.french[number], noun.english[number]));
    }
    for adjective in &ADJECTIVES {
        for french in adjective.french.into_iter().chain([adjective.before_vowel]) {
            add(french, adjective.english);
        }
    }
    for verb in &VERBS {
        add(verb.french[2], verb.english[1]);
        verb.french
            .iter()
            .for_each(|french| add(french, verb.english[0]));
        add(verb.infinitive, verb.english[0]);
    }
    for determiner in &DETERMINERS {
        for french in determiner
            .singular
            .into_iter()
            .filter(|french| !french.is_empty())
        {
            add(french, determiner.english[0]);
        }
        add(determiner.plural, determiner.english[1]);
    }
    PREPOSITIONS
        .iter()
        .for_each(|preposition| add(preposition.french[0], preposition.english));
    PRONOUNS
        .iter()
        .for_each(|pronoun| add(pronoun.french, pronoun.english));
    for person in 0..6 {
        add(ETRE[person], BE[person]);
        add(ALLER[person], GOING_TO[person]);
    }
    GRAMMAR_WORDS
        .iter()
        .for_each(|&(french, english)| add(french, english));
    dictionary
});

/// The tokens of a line: words, cut at blanks and after an apostrophe.
///
/// `l'œuf n'est pas cassé` gives `l'`, `œuf`, `n'`, `est`, `pas`, `cassé`.
pub fn tokens(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
        .flat_map(|word| word.split_inclusive('\''))
}

/// Each French token with the one English translation that a plain dictionary gives it, sorted.
///
/// The translation is the commonest in this corpus, may be several words (`in front of`), and is
/// empty where English mostly says nothing (`ne`).
pub fn dictionary() -> impl Iterator<Item = (&'static str, &'static str)> {
    DICTIONARY
        .iter()
        .map(|(&french, &english)| (french, english))
}

/// The sentence translated by [`dictionary`], word by word, in the French order; an unknown word
/// stays as it is. The honest baseline for a model.
///
/// `le chat noir ne dort pas` gives `the cat black sleeps not`.
#[must_use]
pub fn word_by_word(french: &str) -> String {
    let translated = tokens(french).map(|token| DICTIONARY.get(token).copied().unwrap_or(token));
    translated
        .filter(|english| !english.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Every token that a line can hold, French and English, with `=` and the newline; sorted,
/// distinct.
#[must_use]
pub fn words() -> Vec<String> {
    let english = DICTIONARY.values().flat_map(|english| english.split(' '));
    let english = english
        .chain(NOUNS.iter().flat_map(|noun| noun.english))
        .chain(
            VERBS
                .iter()
                .flat_map(|verb| verb.english)
                .flat_map(|english| english.split(' ')),
        )
        .filter(|word| !word.is_empty());
    let all = DICTIONARY
        .keys()
        .copied()
        .chain(english)
        .chain(ENGLISH_ONLY)
        .chain(["=", "\n"]);
    all.collect::<BTreeSet<_>>()
        .into_iter()
        .map(String::from)
        .collect()
}
