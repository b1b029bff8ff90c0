//! Saying a sentence, in French and in English. What depends on the neighbouring word (elision and
//! contraction, a and an) is done by the pen, as a person does it: when the next word comes.

use super::grammar::{Clause, Mood, NounPhrase, Predicate, Sentence, Subject};
use super::lexicon::{ALLER, Adjective, BE, ETRE, Gender, Noun, PERSON, Verb};

/// A line of text that grows by words.
#[derive(Debug, Default)]
struct Pen {
    text: String,
}

impl Pen {
    fn new() -> Self {
        Self {
            text: String::with_capacity(80),
        }
    }

    fn last_word(&self) -> &str {
        self.text.rsplit(' ').next().unwrap_or_default()
    }

    fn write(&mut self, word: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\'') {
            self.text.push(' ');
        }
        self.text.push_str(word);
    }

    /// Before a vowel `le` becomes `l'`, and so for la, de, ne, que and je; else `de le` becomes
    /// `du`, and `de les` always `des`.
    fn french(&mut self, word: &str) {
        if begins_with_vowel(word) {
            if matches!(self.last_word(), "le" | "la" | "de" | "ne" | "que" | "je") {
                self.text.pop();
                self.text.push('\'');
            }
        } else if self.text.ends_with(" de le") {
            self.text.truncate(self.text.len() - "e le".len());
            self.text.push('u');
        }
        if word == "les" && self.last_word() == "de" {
            self.text.push('s');
        } else {
            self.write(word);
        }
    }

    /// Before a vowel `a` becomes `an`.
    fn english(&mut self, word: &str) {
        if word.starts_with(['a', 'e', 'i', 'o', 'u']) && self.last_word() == "a" {
            self.text.push('n');
        }
        self.write(word);
    }
}

/// Whether French elides before this word. An h is aspirate (`le hibou`), but in the words named
/// here.
pub(super) fn begins_with_vowel(word: &str) -> bool {
    word.starts_with(['a', 'e', 'i', 'o', 'u', 'é', 'ê', 'œ'])
        || word.starts_with("horloge")
        || word.starts_with("hôtel")
}

/// What a French verb and adjective have to agree with.
#[derive(Clone, Copy, Debug)]
struct Agreement {
    /// 0 to 5: je, tu, il, nous, vous, ils. `il` stands for every singular noun.
    person: usize,
    gender: Gender,
}

impl Agreement {
    /// A subject of two is masculine unless both are feminine.
    fn of(subject: &Subject) -> Self {
        let of_nouns = |many, gender| Self {
            person: if many { 5 } else { 2 },
            gender,
        };
        match subject {
            Subject::Pronoun(pronoun, gender) => Self {
                person: pronoun.person,
                gender: *gender,
            },
            Subject::Noun(phrase) => of_nouns(phrase.many, phrase.noun.gender),
            Subject::Both(first, second) if first.noun.gender == second.noun.gender => {
                of_nouns(true, first.noun.gender)
            }
            Subject::Both(..) => of_nouns(true, Gender::Masculine),
        }
    }

    fn many(self) -> bool {
        self.person >= 3
    }

    /// The adjective's form: masculine and feminine singular, masculine and feminine plural.
    fn of_adjective(self, adjective: &Adjective) -> &'static str {
        adjective.french[form(self.gender, self.many())]
    }

    /// The English verb's form: base, or third person singular.
    fn of_english_verb(self, verb: &Verb) -> &'static str {
        verb.english[usize::from(self.person == 2)]
    }
}

fn form(gender: Gender, many: bool) -> usize {
    usize::from(gender == Gender::Feminine) + 2 * usize::from(many)
}

/// The French sentence.
pub(super) fn french(sentence: &Sentence) -> String {
    let mut pen = Pen::new();
    match sentence.mood {
        Mood::Statement => {}
        Mood::Question => ["est-ce", "que"].iter().for_each(|word| pen.french(word)),
        Mood::ThereIs => ["il", "y", "a"].iter().for_each(|word| pen.french(word)),
    }
    match &sentence.subject {
        Subject::Pronoun(pronoun, _) => pen.french(pronoun.french),
        Subject::Noun(phrase) => french_phrase(&mut pen, phrase),
        Subject::Both(first, second) => {
            french_phrase(&mut pen, first);
            pen.french("et");
            french_phrase(&mut pen, second);
        }
    }
    let agreement = Agreement::of(&sentence.subject);
    if let Some(relative) = &sentence.relative {
        pen.french("qui");
        french_clause(&mut pen, relative, agreement);
    }
    match (&sentence.clause.predicate, sentence.mood) {
        (predicate, Mood::ThereIs) => french_complement(&mut pen, predicate, agreement),
        _ => french_clause(&mut pen, &sentence.clause, agreement),
    }
    pen.text
}

fn french_clause(pen: &mut Pen, clause: &Clause, agreement: Agreement) {
    let verb = match clause.predicate {
        Predicate::Is(_) | Predicate::At(..) => None,
        Predicate::Acts(verb) | Predicate::ActsAt(verb, ..) | Predicate::ActsOn(verb, _) => {
            Some(verb)
        }
    };
    if clause.negated {
        pen.french("ne");
    }
    pen.french(match verb {
        None => ETRE[agreement.person],
        Some(_) if clause.future => ALLER[agreement.person],
        Some(verb) => verb.french[agreement.person],
    });
    if clause.negated {
        pen.french("pas");
    }
    if let Some(verb) = verb.filter(|_| clause.future) {
        pen.french(verb.infinitive);
    }
    french_complement(pen, &clause.predicate, agreement);
}

fn french_complement(pen: &mut Pen, predicate: &Predicate, agreement: Agreement) {
    match predicate {
        Predicate::Is(adjective) => pen.french(agreement.of_adjective(adjective)),
        Predicate::At(preposition, place) | Predicate::ActsAt(_, preposition, place) => {
            preposition.french.iter().for_each(|word| pen.french(word));
            french_phrase(pen, place);
        }
        Predicate::Acts(_) => {}
        Predicate::ActsOn(_, object) => french_phrase(pen, object),
    }
}

/// A noun phrase alone, as it stands where nothing before it changes its determiner.
pub(super) fn french_noun_phrase(phrase: &NounPhrase) -> String {
    let mut pen = Pen::new();
    french_phrase(&mut pen, phrase);
    pen.text
}

fn french_phrase(pen: &mut Pen, phrase: &NounPhrase) {
    let Noun { gender, french, .. } = phrase.noun;
    let noun = french[usize::from(phrase.many)];
    let adjective = |adjective: &Adjective| adjective.french[form(*gender, phrase.many)];
    let before = phrase.before.map(|before| {
        let to_vowel = !phrase.many && *gender == Gender::Masculine && begins_with_vowel(noun);
        if to_vowel {
            before.before_vowel
        } else {
            adjective(before)
        }
    });
    let determiner = phrase.determiner;
    pen.french(if phrase.many {
        // Good French says `de petits chats`, not `des petits chats`.
        if determiner.plural == "des" && before.is_some() {
            "de"
        } else {
            determiner.plural
        }
    } else {
        let to_vowel = begins_with_vowel(before.unwrap_or(noun));
        determiner.singular[form(*gender, to_vowel)]
    });
    if let Some(before) = before {
        pen.french(before);
    }
    pen.french(noun);
    if let Some(after) = phrase.after {
        pen.french(adjective(after));
    }
}

/// The English sentence. A question moves the auxiliary before the subject; without an auxiliary,
/// negations and questions take `do`.
pub(super) fn english(sentence: &Sentence) -> String {
    let mut pen = Pen::new();
    let agreement = Agreement::of(&sentence.subject);
    let clause = &sentence.clause;
    match sentence.mood {
        Mood::Statement => {
            english_subject(&mut pen, sentence, agreement);
            english_clause(&mut pen, clause, agreement);
        }
        Mood::Question => {
            pen.english(auxiliary(clause, agreement));
            english_subject(&mut pen, sentence, agreement);
            english_rest(&mut pen, clause);
        }
        Mood::ThereIs => {
            pen.english("there");
            pen.english(auxiliary(clause, agreement));
            english_subject(&mut pen, sentence, agreement);
            english_rest(&mut pen, clause);
        }
    }
    pen.text
}

fn english_subject(pen: &mut Pen, sentence: &Sentence, agreement: Agreement) {
    match &sentence.subject {
        Subject::Pronoun(pronoun, _) => pen.english(pronoun.english),
        Subject::Noun(phrase) => english_phrase(pen, phrase),
        Subject::Both(first, second) => {
            english_phrase(pen, first);
            pen.english("and");
            english_phrase(pen, second);
        }
    }
    if let Some(relative) = &sentence.relative {
        // Who of people, that of animals.
        pen.english(if sentence.subject.fits(PERSON) {
            "who"
        } else {
            "that"
        });
        english_clause(pen, relative, agreement);
    }
}

/// A statement's words after its subject.
fn english_clause(pen: &mut Pen, clause: &Clause, agreement: Agreement) {
    match &clause.predicate {
        Predicate::Acts(verb) | Predicate::ActsAt(verb, ..) | Predicate::ActsOn(verb, _)
            if !clause.negated && !clause.future =>
        {
            pen.english(agreement.of_english_verb(verb));
            english_complement(pen, &clause.predicate);
        }
        _ => {
            pen.english(auxiliary(clause, agreement));
            if clause.negated {
                pen.english("not");
            }
            english_rest(pen, clause);
        }
    }
}

/// Be, or do for an action in the present.
fn auxiliary(clause: &Clause, agreement: Agreement) -> &'static str {
    let being = matches!(clause.predicate, Predicate::Is(_) | Predicate::At(..));
    match (being || clause.future, agreement.person) {
        (true, person) => BE[person],
        (false, 2) => "does",
        (false, _) => "do",
    }
}

/// What follows the auxiliary.
fn english_rest(pen: &mut Pen, clause: &Clause) {
    if let Predicate::Acts(verb) | Predicate::ActsAt(verb, ..) | Predicate::ActsOn(verb, _) =
        clause.predicate
    {
        if clause.future {
            pen.english("going to");
        }
        pen.english(verb.english[0]);
    }
    english_complement(pen, &clause.predicate);
}

fn english_complement(pen: &mut Pen, predicate: &Predicate) {
    match predicate {
        Predicate::Is(adjective) => pen.english(adjective.english),
        Predicate::At(preposition, place) | Predicate::ActsAt(_, preposition, place) => {
            pen.english(preposition.english);
            english_phrase(pen, place);
        }
        Predicate::Acts(_) => {}
        Predicate::ActsOn(_, object) => english_phrase(pen, object),
    }
}

fn english_phrase(pen: &mut Pen, phrase: &NounPhrase) {
    let number = usize::from(phrase.many);
    pen.english(phrase.determiner.english[number]);
    for adjective in [phrase.before, phrase.after].into_iter().flatten() {
        pen.english(adjective.english);
    }
    pen.english(phrase.noun.english[number]);
}
