//! The named sentence structures, and how often each is drawn.

/// A sentence structure. `S` is a subject: a noun phrase or a pronoun.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Structure {
    /// `S` est adjective: `la souris est grise`, the mouse is grey.
    Quality,
    /// `S` est preposition noun phrase, the tutorial's template: `le chien est sous la table`.
    Place,
    /// `S` verb: `elle dort`, she sleeps.
    Action,
    /// `S` verb preposition noun phrase: `le roi danse devant la reine`.
    ActionPlace,
    /// `S` verb object: `l'enfant ouvre la porte`, the child opens the door.
    ActionObject,
    /// `S` n'est pas adjective or place: `tu n'es pas vieux`, you are not old.
    NotQuality,
    /// `S` ne verb pas, with or without object: `il ne dort pas`, he does not sleep.
    NotAction,
    /// est-ce que `S` est adjective or place: `est-ce que le lit est sale`, is the bed dirty.
    QualityQuestion,
    /// est-ce que `S` verb, with or without object: `est-ce qu'elle lit`, does she read.
    ActionQuestion,
    /// noun phrase qui verb est adjective: `le roi qui chante est triste`, the king who sings is
    /// sad.
    Relative,
    /// `S` va infinitive: `nous allons dormir`, we are going to sleep.
    Future,
    /// est-ce que `S` va infinitive: `est-ce qu'il va courir`, is he going to run.
    FutureQuestion,
    /// il y a noun phrase preposition noun phrase: `il y a un œuf dans la boîte`.
    ThereIs,
    /// noun phrase et noun phrase, in the plural: `le chat et la souris sont petits`.
    Both,
    /// A subject or an object with an adjective on each side of its noun in French:
    /// `le petit chat noir dort`, the small black cat sleeps.
    TwoAdjectives,
    /// Held out: a negation in a relative clause. `le roi qui ne dort pas est malade`.
    NotRelative,
    /// Held out: a negated near future. `il ne va pas dormir`, he is not going to sleep.
    NotFuture,
    /// Held out: a place with two adjectives. `elle est sous la petite table noire`.
    TwoAdjectivesPlace,
}

use Structure::*;

impl Structure {
    /// Every structure, trained ones first.
    pub const ALL: [Self; 18] = [
        Quality,
        Place,
        Action,
        ActionPlace,
        ActionObject,
        NotQuality,
        NotAction,
        QualityQuestion,
        ActionQuestion,
        Relative,
        Future,
        FutureQuestion,
        ThereIs,
        Both,
        TwoAdjectives,
        NotRelative,
        NotFuture,
        TwoAdjectivesPlace,
    ];

    /// Its name in reports: `quality`, `not-relative`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Quality => "quality",
            Place => "place",
            Action => "action",
            ActionPlace => "action-place",
            ActionObject => "action-object",
            NotQuality => "not-quality",
            NotAction => "not-action",
            QualityQuestion => "quality-question",
            ActionQuestion => "action-question",
            Relative => "relative",
            Future => "future",
            FutureQuestion => "future-question",
            ThereIs => "there-is",
            Both => "both",
            TwoAdjectives => "two-adjectives",
            NotRelative => "not-relative",
            NotFuture => "not-future",
            TwoAdjectivesPlace => "two-adjectives-place",
        }
    }

    /// Whether no sentence of this structure is ever in training. Each such structure puts
    /// together parts that training shows apart.
    #[must_use]
    pub fn is_held_out(self) -> bool {
        matches!(self, NotRelative | NotFuture | TwoAdjectivesPlace)
    }

    /// How often it is drawn among those of its kind (trained or held out), out of their sum.
    /// `Action` has few sentences; `ActionObject` carries most of the verbs' vocabulary.
    pub(super) fn weight(self) -> u64 {
        match self {
            Action => 1,
            Quality | NotQuality | ActionPlace | Future | Both => 2,
            ActionObject => 3,
            Place | Relative => 4,
            FutureQuestion => 5,
            NotAction | QualityQuestion | ThereIs => 6,
            ActionQuestion | TwoAdjectives => 7,
            NotRelative | NotFuture | TwoAdjectivesPlace => 1,
        }
    }
}
