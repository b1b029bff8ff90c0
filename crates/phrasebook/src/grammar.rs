//! A sentence as a meaning: who, what, where, negated or asked. Drawn once, then said twice
//! ([`say`](super::say)), so that the English is never computed from the French text.

use latimer_tensor::philox::Stream;

use super::lexicon::{
    ADJECTIVES, ANY, Adjective, DETERMINERS, Determiner, Gender, LIVING, Lexeme, NOUNS, Noun,
    PERSON, PREPOSITIONS, PRONOUNS, Preposition, Pronoun, Sort, VERBS, Verb,
};
use super::structure::Structure;

/// Where choices come from: a [`Stream`], a search for a given sentence
/// ([`recognise`](super::recognise)), or in tests a counter that goes through all of them.
pub(super) trait Choices {
    /// One of `0..n`.
    fn below(&mut self, n: u64) -> u64;

    /// Whether a word may be chosen. Only a search rules any out.
    fn allows(&self, _word: &dyn Lexeme) -> bool {
        true
    }

    /// Nothing that may be chosen fits: what is drawn from here on does not matter.
    fn give_up(&mut self) {
        unreachable!("the lexicon has a word for each question that the grammar asks");
    }

    /// Takes note of a noun phrase that was drawn.
    fn drew(&mut self, _phrase: &NounPhrase) {}

    /// True once in `n` times.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Choices for Stream {
    fn below(&mut self, n: u64) -> u64 {
        Self::below(self, n)
    }
}

/// One of the `items` that fit, each equally likely.
fn choose<T: Lexeme>(
    from: &mut dyn Choices,
    items: &'static [T],
    fits: &dyn Fn(&T) -> bool,
) -> &'static T {
    let may = |item: &&T| fits(item) && from.allows(*item);
    let count = items.iter().filter(may).count();
    if count == 0 {
        from.give_up();
        return &items[0];
    }
    let nth = from.below(count as u64) as usize;
    let mut fitting = items.iter().filter(|item| fits(item) && from.allows(*item));
    fitting.nth(nth).expect("nth is below the count")
}

/// Which determiners a noun phrase may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Determiners {
    /// All.
    Any,
    /// After `ne … pas` and `sans`, where French changes `un` and `des`.
    Definite,
    /// After `il y a`.
    Indefinite,
    /// After `près de`: all but `des`.
    NotSome,
}

impl Determiners {
    pub(super) fn allow(self, determiner: &Determiner, many: bool) -> bool {
        let sort = determiner.sort;
        (many || sort != Sort::Number)
            && match self {
                Self::Any => true,
                Self::Definite => sort == Sort::Definite,
                Self::Indefinite => sort != Sort::Definite,
                Self::NotSome => !(many && sort == Sort::Indefinite),
            }
    }

    /// What the place after `preposition` may have.
    pub(super) fn after(preposition: &Preposition) -> Self {
        match preposition.french {
            ["sans"] => Self::Definite,
            ["près", "de"] => Self::NotSome,
            _ => Self::Any,
        }
    }
}

/// How many adjectives a noun phrase has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adjectives {
    None,
    UpToOne,
    /// One before and one after the noun in French.
    Two,
}

#[derive(Debug)]
pub(super) struct NounPhrase {
    pub(super) determiner: &'static Determiner,
    pub(super) noun: &'static Noun,
    pub(super) many: bool,
    pub(super) before: Option<&'static Adjective>,
    pub(super) after: Option<&'static Adjective>,
}

#[derive(Debug)]
pub(super) enum Subject {
    /// The gender is that of the people meant.
    Pronoun(&'static Pronoun, Gender),
    Noun(NounPhrase),
    Both(NounPhrase, NounPhrase),
}

#[derive(Debug)]
pub(super) enum Predicate {
    Is(&'static Adjective),
    At(&'static Preposition, NounPhrase),
    Acts(&'static Verb),
    ActsAt(&'static Verb, &'static Preposition, NounPhrase),
    ActsOn(&'static Verb, NounPhrase),
}

/// What is said of a subject.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) predicate: Predicate,
    pub(super) negated: bool,
    pub(super) future: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Statement,
    Question,
    /// `il y a`, with the subject after it.
    ThereIs,
}

#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) mood: Mood,
    pub(super) subject: Subject,
    pub(super) relative: Option<Clause>,
    pub(super) clause: Clause,
}

impl Sentence {
    fn statement(subject: Subject, predicate: Predicate) -> Self {
        let clause = Clause {
            predicate,
            negated: false,
            future: false,
        };
        Self {
            mood: Mood::Statement,
            subject,
            relative: None,
            clause,
        }
    }

    fn negated(mut self) -> Self {
        self.clause.negated = true;
        self
    }

    fn future(mut self) -> Self {
        self.clause.future = true;
        self
    }

    fn mood(self, mood: Mood) -> Self {
        Self { mood, ..self }
    }

    fn with_relative(mut self, predicate: Predicate, negated: bool) -> Self {
        self.relative = Some(Clause {
            predicate,
            negated,
            future: false,
        });
        self
    }
}

impl Subject {
    /// Whether it, or both of it, has one of the traits. Pronouns are people.
    pub(super) fn fits(&self, wanted: u16) -> bool {
        match self {
            Self::Pronoun(..) => fits(PERSON, wanted),
            Self::Noun(phrase) => fits(phrase.noun.traits, wanted),
            Self::Both(first, second) => {
                fits(first.noun.traits, wanted) && fits(second.noun.traits, wanted)
            }
        }
    }

    fn has_noun(&self, noun: &Noun) -> bool {
        matches!(self, Self::Noun(phrase) if std::ptr::eq(phrase.noun, noun))
    }
}

/// Whether at least one trait is shared.
pub(super) fn fits(traits: u16, wanted: u16) -> bool {
    traits & wanted != 0
}

/// Whether `predicate` may be said of a noun that already has `attribute`.
pub(super) fn says_more(attribute: Option<&Adjective>, predicate: &Adjective) -> bool {
    attribute.is_none_or(|attribute| attribute.family != predicate.family)
}

/// A sentence of this structure.
pub(super) fn draw(structure: Structure, from: &mut dyn Choices) -> Sentence {
    use Adjectives::{Two, UpToOne};
    use Determiners::{Any, Definite, Indefinite};
    match structure {
        Structure::Quality => {
            let subject = draw_subject(from, ANY);
            let predicate = draw_quality(from, &subject);
            Sentence::statement(subject, predicate)
        }
        Structure::Place => {
            let subject = draw_subject(from, ANY);
            let predicate = draw_place(from, &subject, UpToOne);
            Sentence::statement(subject, predicate)
        }
        Structure::NotQuality => draw_being(from).negated(),
        Structure::QualityQuestion => draw_being(from).mood(Mood::Question),
        Structure::Action => Sentence::statement(
            draw_subject(from, LIVING),
            Predicate::Acts(draw_verb(from, false)),
        ),
        Structure::ActionPlace => {
            let subject = draw_subject(from, LIVING);
            let (preposition, place) = draw_where(from, &subject, UpToOne);
            let verb = draw_verb(from, false);
            Sentence::statement(subject, Predicate::ActsAt(verb, preposition, place))
        }
        Structure::ActionObject => Sentence::statement(
            draw_subject(from, LIVING),
            draw_action_on(from, Any, UpToOne),
        ),
        Structure::NotAction => draw_acting(from, Definite).negated(),
        Structure::ActionQuestion => draw_acting(from, Any).mood(Mood::Question),
        Structure::Future => draw_acting(from, Any).future(),
        Structure::FutureQuestion => draw_acting(from, Any).future().mood(Mood::Question),
        Structure::NotFuture => draw_acting(from, Definite).future().negated(),
        Structure::Relative => draw_relative(from, false),
        Structure::NotRelative => draw_relative(from, true),
        Structure::ThereIs => {
            let subject = Subject::Noun(draw_phrase(from, Indefinite, UpToOne, &|_| true));
            let predicate = draw_place(from, &subject, UpToOne);
            Sentence::statement(subject, predicate).mood(Mood::ThereIs)
        }
        Structure::Both => draw_both(from),
        Structure::TwoAdjectives => draw_two_adjectives(from),
        Structure::TwoAdjectivesPlace => {
            let subject = draw_subject(from, ANY);
            let predicate = draw_place(from, &subject, Two);
            Sentence::statement(subject, predicate)
        }
    }
}

/// `S est ADJECTIVE` or `S est PLACE`.
fn draw_being(from: &mut dyn Choices) -> Sentence {
    let subject = draw_subject(from, ANY);
    let predicate = if from.once_in(2) {
        draw_quality(from, &subject)
    } else {
        draw_place(from, &subject, Adjectives::UpToOne)
    };
    Sentence::statement(subject, predicate)
}

/// `S VERB` or `S VERB OBJECT`.
fn draw_acting(from: &mut dyn Choices, objects: Determiners) -> Sentence {
    let subject = draw_subject(from, LIVING);
    Sentence::statement(subject, draw_action(from, objects))
}

fn draw_relative(from: &mut dyn Choices, negated: bool) -> Sentence {
    let objects = if negated {
        Determiners::Definite
    } else {
        Determiners::Any
    };
    let subject = Subject::Noun(draw_living(from));
    let predicate = draw_quality(from, &subject);
    let relative = draw_action(from, objects);
    Sentence::statement(subject, predicate).with_relative(relative, negated)
}

/// Two different nouns.
fn draw_both(from: &mut dyn Choices) -> Sentence {
    use Adjectives::{None, UpToOne};
    if from.once_in(2) {
        let first = draw_phrase(from, Determiners::Any, None, &|_| true);
        let second = draw_phrase(from, Determiners::Any, None, &|noun| {
            !std::ptr::eq(noun, first.noun)
        });
        let subject = Subject::Both(first, second);
        let predicate = draw_quality(from, &subject);
        Sentence::statement(subject, predicate)
    } else {
        let first = draw_living(from);
        let second = draw_phrase(from, Determiners::Any, UpToOne, &|noun| {
            fits(noun.traits, LIVING) && !std::ptr::eq(noun, first.noun)
        });
        Sentence::statement(
            Subject::Both(first, second),
            draw_action(from, Determiners::Any),
        )
    }
}

/// Two adjectives at the subject of `S VERB`, or at the object of a subject without adjective.
fn draw_two_adjectives(from: &mut dyn Choices) -> Sentence {
    use Determiners::Any;
    if from.once_in(2) {
        let living = |noun: &Noun| fits(noun.traits, LIVING);
        let subject = Subject::Noun(draw_phrase(from, Any, Adjectives::Two, &living));
        Sentence::statement(subject, Predicate::Acts(draw_verb(from, false)))
    } else {
        let living = |noun: &Noun| fits(noun.traits, LIVING);
        let subject = Subject::Noun(draw_phrase(from, Any, Adjectives::None, &living));
        Sentence::statement(subject, draw_action_on(from, Any, Adjectives::Two))
    }
}

/// A pronoun (one in three) or a noun phrase with one of `traits` and up to one adjective.
fn draw_subject(from: &mut dyn Choices, traits: u16) -> Subject {
    if from.once_in(3) {
        let pronoun = choose(from, &PRONOUNS, &|_| true);
        let gender = pronoun.gender.unwrap_or_else(|| {
            if from.once_in(2) {
                Gender::Masculine
            } else {
                Gender::Feminine
            }
        });
        return Subject::Pronoun(pronoun, gender);
    }
    Subject::Noun(draw_phrase(
        from,
        Determiners::Any,
        Adjectives::UpToOne,
        &|noun| fits(noun.traits, traits),
    ))
}

fn draw_living(from: &mut dyn Choices) -> NounPhrase {
    draw_phrase(from, Determiners::Any, Adjectives::UpToOne, &|noun| {
        fits(noun.traits, LIVING)
    })
}

/// An adjective that the subject can have, of another family than the one it already has.
fn draw_quality(from: &mut dyn Choices, subject: &Subject) -> Predicate {
    let attribute = match subject {
        Subject::Noun(phrase) => phrase.before.or(phrase.after),
        Subject::Pronoun(..) | Subject::Both(..) => None,
    };
    Predicate::Is(choose(from, &ADJECTIVES, &|adjective| {
        subject.fits(adjective.fits) && says_more(attribute, adjective)
    }))
}

fn draw_place(from: &mut dyn Choices, subject: &Subject, adjectives: Adjectives) -> Predicate {
    let (preposition, place) = draw_where(from, subject, adjectives);
    Predicate::At(preposition, place)
}

/// A preposition and a place, which is not the subject itself.
fn draw_where(
    from: &mut dyn Choices,
    subject: &Subject,
    adjectives: Adjectives,
) -> (&'static Preposition, NounPhrase) {
    let preposition = choose(from, &PREPOSITIONS, &|p| subject.fits(p.subject));
    let place = draw_phrase(from, Determiners::after(preposition), adjectives, &|noun| {
        fits(noun.traits, preposition.place) && !subject.has_noun(noun)
    });
    (preposition, place)
}

fn draw_verb(from: &mut dyn Choices, transitive: bool) -> &'static Verb {
    choose(from, &VERBS, &|verb| (verb.object != 0) == transitive)
}

/// An action, without object or with one.
fn draw_action(from: &mut dyn Choices, objects: Determiners) -> Predicate {
    if from.once_in(2) {
        Predicate::Acts(draw_verb(from, false))
    } else {
        draw_action_on(from, objects, Adjectives::UpToOne)
    }
}

fn draw_action_on(
    from: &mut dyn Choices,
    objects: Determiners,
    adjectives: Adjectives,
) -> Predicate {
    let verb = draw_verb(from, true);
    let object = draw_phrase(from, objects, adjectives, &|noun| {
        fits(noun.traits, verb.object)
    });
    Predicate::ActsOn(verb, object)
}

/// A noun phrase: singular or plural, `le` one time in four more than its share, without adjective
/// one time in four where `adjectives` allow one.
fn draw_phrase(
    from: &mut dyn Choices,
    determiners: Determiners,
    adjectives: Adjectives,
    wanted: &dyn Fn(&Noun) -> bool,
) -> NounPhrase {
    let noun = choose(from, &NOUNS, wanted);
    let many = from.once_in(2);
    let the = &DETERMINERS[0];
    let the_may_be = determiners.allow(the, many) && from.allows(the);
    let determiner = if the_may_be && from.once_in(4) {
        the
    } else {
        choose(from, &DETERMINERS, &|determiner| {
            determiners.allow(determiner, many)
        })
    };
    let adjective_that = |from: &mut dyn Choices, wanted: fn(&Adjective) -> bool| {
        choose(from, &ADJECTIVES, &|a| {
            fits(noun.traits, a.fits) && wanted(a)
        })
    };
    let (before, after) = match adjectives {
        Adjectives::UpToOne if !from.once_in(4) => {
            let adjective = adjective_that(from, |_| true);
            if adjective.before {
                (Some(adjective), None)
            } else {
                (None, Some(adjective))
            }
        }
        Adjectives::None | Adjectives::UpToOne => (None, None),
        Adjectives::Two => {
            let before = adjective_that(from, |a| a.before);
            (Some(before), Some(adjective_that(from, |a| !a.before)))
        }
    };
    let phrase = NounPhrase {
        determiner,
        noun,
        many,
        before,
        after,
    };
    from.drew(&phrase);
    phrase
}
