//! How many different sentences there are, by multiplication over the same tables and rules that
//! the grammar draws from. Where words are not to meet (a noun near itself), it is a sum over them.

use std::collections::BTreeSet;

use super::grammar::{Adjectives, Determiners, fits, says_more};
use super::lexicon::{
    ADJECTIVES, ANY, Adjective, DETERMINERS, LIVING, NOUNS, Noun, PERSON, PREPOSITIONS, PRONOUNS,
    VERBS,
};
use super::structure::Structure;

use Adjectives::{None as Bare, Two, UpToOne};
use Determiners::{Any, Definite, Indefinite};

/// The number of different French sentences, held-out ones included: the sum over all structures.
#[must_use]
pub fn sentence_count() -> u128 {
    Structure::ALL.into_iter().map(structure_count).sum()
}

/// The number of different French sentences of this structure, held-out ones included.
#[must_use]
pub fn structure_count(structure: Structure) -> u128 {
    match structure {
        Structure::Quality => qualities(),
        Structure::Place => places(Any, UpToOne),
        Structure::NotQuality | Structure::QualityQuestion => qualities() + places(Any, UpToOne),
        Structure::Action => living_subjects() * intransitive(),
        Structure::ActionPlace => living_places() * intransitive(),
        Structure::ActionObject => living_subjects() * objects(Any, UpToOne),
        Structure::NotAction | Structure::NotFuture => living_subjects() * actions(Definite),
        Structure::ActionQuestion | Structure::Future | Structure::FutureQuestion => {
            living_subjects() * actions(Any)
        }
        Structure::Relative => living_qualities() * actions(Any),
        Structure::NotRelative => living_qualities() * actions(Definite),
        Structure::ThereIs => noun_places(Indefinite, UpToOne, ANY),
        Structure::Both => both(),
        Structure::TwoAdjectives => {
            sum(living(), |noun| phrases(noun, Any, Two)) * intransitive()
                + sum(living(), |noun| phrases(noun, Any, Bare)) * objects(Any, Two)
        }
        Structure::TwoAdjectivesPlace => places(Any, Two),
    }
}

fn sum<T>(items: impl Iterator<Item = T>, count: impl FnMut(T) -> u128) -> u128 {
    items.map(count).sum()
}

fn living() -> impl Iterator<Item = &'static Noun> {
    NOUNS.iter().filter(|noun| fits(noun.traits, LIVING))
}

fn fitting(noun: &Noun) -> impl Iterator<Item = &'static Adjective> {
    ADJECTIVES
        .iter()
        .filter(|adjective| fits(noun.traits, adjective.fits))
}

fn determiners(set: Determiners) -> u128 {
    let number = |many| DETERMINERS.iter().filter(|d| set.allow(d, many)).count();
    (number(false) + number(true)) as u128
}

/// Noun phrases around `noun`.
fn phrases(noun: &Noun, set: Determiners, adjectives: Adjectives) -> u128 {
    let before = fitting(noun).filter(|adjective| adjective.before).count() as u128;
    let after = fitting(noun).count() as u128 - before;
    determiners(set)
        * match adjectives {
            Bare => 1,
            UpToOne => 1 + before + after,
            Two => before * after,
        }
}

fn living_subjects() -> u128 {
    PRONOUNS.len() as u128 + sum(living(), |noun| phrases(noun, Any, UpToOne))
}

/// `S est ADJECTIVE`, the subject a noun phrase of `noun`.
fn noun_qualities(noun: &Noun) -> u128 {
    let attributes = std::iter::once(None).chain(fitting(noun).map(Some));
    let pairs = sum(attributes, |attribute| {
        fitting(noun)
            .filter(|predicate| says_more(attribute, predicate))
            .count() as u128
    });
    determiners(Any) * pairs
}

fn living_qualities() -> u128 {
    sum(living(), noun_qualities)
}

/// `S est ADJECTIVE`. `je suis malade` is one sentence for men and women.
fn qualities() -> u128 {
    let of_people = || {
        ADJECTIVES
            .iter()
            .filter(|adjective| fits(PERSON, adjective.fits))
    };
    let pronouns = sum(PRONOUNS.iter(), |pronoun| {
        sum(of_people(), |adjective| {
            let number = if pronoun.person >= 3 { 2 } else { 0 };
            let forms = &adjective.french[number..number + 2];
            match pronoun.gender {
                Some(_) => 1,
                None => forms.iter().collect::<BTreeSet<_>>().len() as u128,
            }
        })
    });
    pronouns + sum(NOUNS.iter(), noun_qualities)
}

/// Noun phrase, preposition, another noun's phrase.
fn noun_places(subjects: Determiners, places: Adjectives, traits: u16) -> u128 {
    sum(
        NOUNS.iter().filter(|noun| fits(noun.traits, traits)),
        |subject| {
            let others = || NOUNS.iter().filter(|noun| !std::ptr::eq(*noun, subject));
            phrases(subject, subjects, UpToOne) * places_among(others, subject.traits, places)
        },
    )
}

/// Preposition and place, for a subject of these traits.
fn places_among<I: Iterator<Item = &'static Noun>>(
    nouns: impl Fn() -> I,
    subject: u16,
    adjectives: Adjectives,
) -> u128 {
    sum(
        PREPOSITIONS.iter().filter(|p| fits(subject, p.subject)),
        |preposition| {
            sum(
                nouns().filter(|noun| fits(noun.traits, preposition.place)),
                |noun| phrases(noun, Determiners::after(preposition), adjectives),
            )
        },
    )
}

fn pronoun_places(adjectives: Adjectives) -> u128 {
    PRONOUNS.len() as u128 * places_among(|| NOUNS.iter(), PERSON, adjectives)
}

fn places(subjects: Determiners, adjectives: Adjectives) -> u128 {
    pronoun_places(adjectives) + noun_places(subjects, adjectives, ANY)
}

fn living_places() -> u128 {
    pronoun_places(UpToOne) + noun_places(Any, UpToOne, LIVING)
}

fn intransitive() -> u128 {
    VERBS.iter().filter(|verb| verb.object == 0).count() as u128
}

/// Transitive verb and object.
fn objects(set: Determiners, adjectives: Adjectives) -> u128 {
    sum(VERBS.iter(), |verb| {
        sum(
            NOUNS.iter().filter(|noun| fits(noun.traits, verb.object)),
            |noun| phrases(noun, set, adjectives),
        )
    })
}

fn actions(set: Determiners) -> u128 {
    intransitive() + objects(set, UpToOne)
}

fn both() -> u128 {
    let qualities = sum(NOUNS.iter(), |first| {
        sum(
            NOUNS.iter().filter(|second| !std::ptr::eq(*second, first)),
            |second| {
                let shared = fitting(first).filter(|adjective| fits(second.traits, adjective.fits));
                phrases(first, Any, Bare) * phrases(second, Any, Bare) * shared.count() as u128
            },
        )
    });
    let pairs = sum(living(), |first| {
        let others = living().filter(|second| !std::ptr::eq(*second, first));
        phrases(first, Any, UpToOne) * sum(others, |second| phrases(second, Any, UpToOne))
    });
    qualities + pairs * actions(Any)
}
