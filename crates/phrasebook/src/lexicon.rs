//! The words: each table pairs French forms with English ones and says, in traits, what a word goes
//! with, so that kings sleep, boxes open and nobody eats a bridge.

/// A person; pronouns too.
pub(super) const PERSON: u16 = 1;
/// An animal. Ours may read and dance, as in any fable.
pub(super) const ANIMAL: u16 = 1 << 1;
/// Anything that does not act.
pub(super) const THING: u16 = 1 << 2;
/// Something can be on it.
const ON: u16 = 1 << 3;
/// Something can be under it.
const UNDER: u16 = 1 << 4;
/// Something can be in it.
const IN: u16 = 1 << 5;
/// It can be eaten.
const FOOD: u16 = 1 << 6;
/// It can be read.
const TEXT: u16 = 1 << 7;
/// It can be opened.
const LID: u16 = 1 << 8;
/// It can be carried.
const LOAD: u16 = 1 << 9;
/// Nouns that can be the subject of an action.
pub(super) const LIVING: u16 = PERSON | ANIMAL;
/// Every noun.
pub(super) const ANY: u16 = LIVING | THING;

/// Grammatical gender, which French adjectives and determiners follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gender {
    Masculine,
    Feminine,
}

use Gender::{Feminine, Masculine};

/// `chat, chats` and `cat, cats`.
#[derive(Debug)]
pub(super) struct Noun {
    /// Singular, plural.
    pub(super) french: [&'static str; 2],
    /// Singular, plural.
    pub(super) english: [&'static str; 2],
    pub(super) gender: Gender,
    pub(super) traits: u16,
}

/// What an adjective speaks of: a sentence does not say two things of one family about one noun
/// (`the black cat is white`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Age,
    Colour,
    Mood,
    Quality,
    Size,
    State,
}

use Family::{Age, Colour, Mood, Quality, Size, State};

/// `petit, petite, petits, petites` and `small`.
#[derive(Debug)]
pub(super) struct Adjective {
    /// Masculine and feminine singular, masculine and feminine plural.
    pub(super) french: [&'static str; 4],
    /// The masculine singular before a vowel: `vieil`.
    pub(super) before_vowel: &'static str,
    pub(super) english: &'static str,
    /// Whether it stands before its noun in French; in English all do.
    pub(super) before: bool,
    pub(super) fits: u16,
    pub(super) family: Family,
}

/// `mange … mangent, manger` and `eat, eats`.
#[derive(Debug)]
pub(super) struct Verb {
    /// Present tense: je, tu, il, nous, vous, ils.
    pub(super) french: [&'static str; 6],
    pub(super) infinitive: &'static str,
    /// Base form, third person singular.
    pub(super) english: [&'static str; 2],
    /// The traits that its object has one of; 0 for an intransitive verb.
    pub(super) object: u16,
}

/// `le, la, les` and `the`.
#[derive(Debug)]
pub(super) struct Determiner {
    /// Masculine, feminine, masculine and feminine before a vowel; empty for a number.
    pub(super) singular: [&'static str; 4],
    pub(super) plural: &'static str,
    /// Singular, plural.
    pub(super) english: [&'static str; 2],
    pub(super) sort: Sort,
}

/// Where a determiner may stand: see [`Determiners`](super::grammar::Determiners).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Definite,
    Indefinite,
    Number,
}

use Sort::{Definite, Indefinite};

/// `sous` and `under`.
#[derive(Debug)]
pub(super) struct Preposition {
    pub(super) french: &'static [&'static str],
    pub(super) english: &'static str,
    /// The traits that what stands there has one of.
    pub(super) subject: u16,
    /// The traits that the place has one of.
    pub(super) place: u16,
}

/// `je` and `i`.
#[derive(Debug)]
pub(super) struct Pronoun {
    pub(super) french: &'static str,
    pub(super) english: &'static str,
    /// 0 to 5: je, tu, il, nous, vous, ils.
    pub(super) person: usize,
    /// `None` where the pronoun does not tell and the adjective does: `je suis petite`.
    pub(super) gender: Option<Gender>,
}

/// A word with the French forms that it can have in a sentence.
pub(super) trait Lexeme {
    /// Whether `holds` is true of one of its forms; of a preposition of two words, of the first.
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool;
}

impl Lexeme for Noun {
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        self.french.into_iter().any(holds)
    }
}

impl Lexeme for Adjective {
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        holds(self.before_vowel) || self.french.into_iter().any(holds)
    }
}

impl Lexeme for Verb {
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        holds(self.infinitive) || self.french.into_iter().any(holds)
    }
}

impl Lexeme for Determiner {
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        holds(self.plural) || self.singular.into_iter().any(holds)
    }
}

impl Lexeme for Preposition {
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        holds(self.french[0])
    }
}

impl Lexeme for Pronoun {
    fn has_form(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        holds(self.french)
    }
}

/// Être in the present: je, tu, il, nous, vous, ils.
pub(super) const ETRE: [&str; 6] = ["suis", "es", "est", "sommes", "êtes", "sont"];
/// Aller in the present; with an infinitive it makes the near future.
pub(super) const ALLER: [&str; 6] = ["vais", "vas", "va", "allons", "allez", "vont"];
/// To be in the present, for the same six persons.
pub(super) const BE: [&str; 6] = ["am", "are", "is", "are", "are", "are"];

type Forms<const N: usize> = [&'static str; N];

const fn noun(french: Forms<2>, english: Forms<2>, gender: Gender, traits: u16) -> Noun {
    Noun {
        french,
        english,
        gender,
        traits,
    }
}

/// 49 nouns, singular and plural. Table and chat are the tutorial's.
#[rustfmt::skip]
pub(super) static NOUNS: [Noun; 49] = [
    noun(["chat", "chats"], ["cat", "cats"], Masculine, ANIMAL),
    noun(["chien", "chiens"], ["dog", "dogs"], Masculine, ANIMAL),
    noun(["cheval", "chevaux"], ["horse", "horses"], Masculine, ANIMAL),
    noun(["oiseau", "oiseaux"], ["bird", "birds"], Masculine, ANIMAL),
    noun(["lapin", "lapins"], ["rabbit", "rabbits"], Masculine, ANIMAL),
    noun(["loup", "loups"], ["wolf", "wolves"], Masculine, ANIMAL),
    noun(["mouton", "moutons"], ["sheep", "sheep"], Masculine, ANIMAL),
    noun(["hibou", "hiboux"], ["owl", "owls"], Masculine, ANIMAL),
    noun(["éléphant", "éléphants"], ["elephant", "elephants"], Masculine, ANIMAL),
    noun(["enfant", "enfants"], ["child", "children"], Masculine, PERSON),
    noun(["garçon", "garçons"], ["boy", "boys"], Masculine, PERSON),
    noun(["roi", "rois"], ["king", "kings"], Masculine, PERSON),
    noun(["oncle", "oncles"], ["uncle", "uncles"], Masculine, PERSON),
    noun(["voisin", "voisins"], ["neighbour", "neighbours"], Masculine, PERSON),
    noun(["souris", "souris"], ["mouse", "mice"], Feminine, ANIMAL | FOOD),
    noun(["vache", "vaches"], ["cow", "cows"], Feminine, ANIMAL),
    noun(["chèvre", "chèvres"], ["goat", "goats"], Feminine, ANIMAL),
    noun(["oie", "oies"], ["goose", "geese"], Feminine, ANIMAL),
    noun(["abeille", "abeilles"], ["bee", "bees"], Feminine, ANIMAL),
    noun(["reine", "reines"], ["queen", "queens"], Feminine, PERSON),
    noun(["tante", "tantes"], ["aunt", "aunts"], Feminine, PERSON),
    noun(["étudiante", "étudiantes"], ["student", "students"], Feminine, PERSON),
    noun(["livre", "livres"], ["book", "books"], Masculine, THING | TEXT | LID | LOAD),
    noun(["journal", "journaux"], ["newspaper", "newspapers"], Masculine, THING | TEXT | LOAD),
    noun(["arbre", "arbres"], ["tree", "trees"], Masculine, THING | UNDER),
    noun(["jardin", "jardins"], ["garden", "gardens"], Masculine, THING | IN),
    noun(["gâteau", "gâteaux"], ["cake", "cakes"], Masculine, THING | FOOD | LOAD),
    noun(["œuf", "œufs"], ["egg", "eggs"], Masculine, THING | FOOD | LOAD),
    noun(["bateau", "bateaux"], ["boat", "boats"], Masculine, THING | IN | LOAD),
    noun(["couteau", "couteaux"], ["knife", "knives"], Masculine, THING | LOAD),
    noun(["lit", "lits"], ["bed", "beds"], Masculine, THING | ON | UNDER | LOAD),
    noun(["sac", "sacs"], ["bag", "bags"], Masculine, THING | IN | LID | LOAD),
    noun(["château", "châteaux"], ["castle", "castles"], Masculine, THING | IN),
    noun(["hôtel", "hôtels"], ["hotel", "hotels"], Masculine, THING | IN),
    noun(["tapis", "tapis"], ["rug", "rugs"], Masculine, THING | ON | UNDER | LOAD),
    noun(["pont", "ponts"], ["bridge", "bridges"], Masculine, THING | ON | UNDER),
    noun(["table", "tables"], ["table", "tables"], Feminine, THING | ON | UNDER | LOAD),
    noun(["chaise", "chaises"], ["chair", "chairs"], Feminine, THING | ON | UNDER | LOAD),
    noun(["maison", "maisons"], ["house", "houses"], Feminine, THING | IN),
    noun(["pomme", "pommes"], ["apple", "apples"], Feminine, THING | FOOD | LOAD),
    noun(["orange", "oranges"], ["orange", "oranges"], Feminine, THING | FOOD | LOAD),
    noun(["fleur", "fleurs"], ["flower", "flowers"], Feminine, THING | LOAD),
    noun(["voiture", "voitures"], ["car", "cars"], Feminine, THING | UNDER | IN),
    noun(["boîte", "boîtes"], ["box", "boxes"], Feminine, THING | ON | IN | LID | LOAD),
    noun(["école", "écoles"], ["school", "schools"], Feminine, THING | IN),
    noun(["porte", "portes"], ["door", "doors"], Feminine, THING | LID),
    noun(["fenêtre", "fenêtres"], ["window", "windows"], Feminine, THING | LID),
    noun(["lettre", "lettres"], ["letter", "letters"], Feminine, THING | TEXT | LID | LOAD),
    noun(["horloge", "horloges"], ["clock", "clocks"], Feminine, THING | LOAD),
];

const fn before(french: Forms<4>, english: &'static str, fits: u16, family: Family) -> Adjective {
    Adjective {
        french,
        before_vowel: french[0],
        english,
        before: true,
        fits,
        family,
    }
}

const fn after(french: Forms<4>, english: &'static str, fits: u16, family: Family) -> Adjective {
    Adjective {
        french,
        before_vowel: french[0],
        english,
        before: false,
        fits,
        family,
    }
}

const fn with_vowel_form(adjective: Adjective, before_vowel: &'static str) -> Adjective {
    Adjective {
        before_vowel,
        ..adjective
    }
}

/// 27 adjectives: nine stand before their noun in French, the others after it.
#[rustfmt::skip]
pub(super) static ADJECTIVES: [Adjective; 27] = [
    before(["petit", "petite", "petits", "petites"], "small", ANY, Size),
    before(["grand", "grande", "grands", "grandes"], "big", ANIMAL | THING, Size),
    with_vowel_form(
        before(["vieux", "vieille", "vieux", "vieilles"], "old", ANY, Age),
        "vieil",
    ),
    with_vowel_form(
        before(["nouveau", "nouvelle", "nouveaux", "nouvelles"], "new", ANY, Age),
        "nouvel",
    ),
    before(["jeune", "jeune", "jeunes", "jeunes"], "young", LIVING, Age),
    with_vowel_form(
        before(["beau", "belle", "beaux", "belles"], "beautiful", ANY, Quality),
        "bel",
    ),
    before(["joli", "jolie", "jolis", "jolies"], "pretty", ANIMAL | THING, Quality),
    before(["bon", "bonne", "bons", "bonnes"], "good", ANY, Quality),
    before(["mauvais", "mauvaise", "mauvais", "mauvaises"], "bad", ANY, Quality),
    after(["noir", "noire", "noirs", "noires"], "black", ANIMAL | THING, Colour),
    after(["blanc", "blanche", "blancs", "blanches"], "white", ANIMAL | THING, Colour),
    after(["rouge", "rouge", "rouges", "rouges"], "red", ANIMAL | THING, Colour),
    after(["vert", "verte", "verts", "vertes"], "green", ANIMAL | THING, Colour),
    after(["bleu", "bleue", "bleus", "bleues"], "blue", ANIMAL | THING, Colour),
    after(["gris", "grise", "gris", "grises"], "grey", ANIMAL | THING, Colour),
    after(["jaune", "jaune", "jaunes", "jaunes"], "yellow", ANIMAL | THING, Colour),
    after(["heureux", "heureuse", "heureux", "heureuses"], "happy", LIVING, Mood),
    after(["triste", "triste", "tristes", "tristes"], "sad", LIVING, Mood),
    after(["calme", "calme", "calmes", "calmes"], "calm", LIVING, Mood),
    after(["fatigué", "fatiguée", "fatigués", "fatiguées"], "tired", LIVING, State),
    after(["malade", "malade", "malades", "malades"], "sick", LIVING, State),
    after(["rapide", "rapide", "rapides", "rapides"], "fast", LIVING, State),
    after(["sale", "sale", "sales", "sales"], "dirty", ANY, State),
    after(["cassé", "cassée", "cassés", "cassées"], "broken", LOAD | LID, State),
    after(["vide", "vide", "vides", "vides"], "empty", IN, State),
    after(["lourd", "lourde", "lourds", "lourdes"], "heavy", LOAD, State),
    after(["cher", "chère", "chers", "chères"], "expensive", THING, State),
];

const fn verb(french: Forms<6>, infinitive: &'static str, english: Forms<2>, object: u16) -> Verb {
    Verb {
        french,
        infinitive,
        english,
        object,
    }
}

/// A regular verb in -er: the stem and its endings.
macro_rules! er {
    ($stem:literal, $english:expr, $object:expr) => {
        verb(
            [
                concat!($stem, "e"),
                concat!($stem, "es"),
                concat!($stem, "e"),
                concat!($stem, "ons"),
                concat!($stem, "ez"),
                concat!($stem, "ent"),
            ],
            concat!($stem, "er"),
            $english,
            $object,
        )
    };
}

/// 18 verbs: eight intransitive, ten with an object. `lit` and `porte` are also nouns.
#[rustfmt::skip]
pub(super) static VERBS: [Verb; 18] = [
    verb(
        ["dors", "dors", "dort", "dormons", "dormez", "dorment"],
        "dormir", ["sleep", "sleeps"], 0,
    ),
    verb(["cours", "cours", "court", "courons", "courez", "courent"], "courir", ["run", "runs"], 0),
    er!("chant", ["sing", "sings"], 0),
    er!("dans", ["dance", "dances"], 0),
    verb(["nage", "nages", "nage", "nageons", "nagez", "nagent"], "nager", ["swim", "swims"], 0),
    er!("pleur", ["cry", "cries"], 0),
    er!("travaill", ["work", "works"], 0),
    er!("jou", ["play", "plays"], 0),
    verb(
        ["mange", "manges", "mange", "mangeons", "mangez", "mangent"],
        "manger", ["eat", "eats"], FOOD,
    ),
    verb(["vois", "vois", "voit", "voyons", "voyez", "voient"], "voir", ["see", "sees"], ANY),
    er!("aim", ["love", "loves"], ANY),
    er!("cherch", ["look for", "looks for"], ANY),
    er!("regard", ["look at", "looks at"], ANY),
    er!("trouv", ["find", "finds"], ANY),
    er!("écout", ["listen to", "listens to"], LIVING),
    er!("port", ["carry", "carries"], LOAD),
    verb(["lis", "lis", "lit", "lisons", "lisez", "lisent"], "lire", ["read", "reads"], TEXT),
    verb(
        ["ouvre", "ouvres", "ouvre", "ouvrons", "ouvrez", "ouvrent"],
        "ouvrir", ["open", "opens"], LID,
    ),
];

const fn number(plural: &'static str, english: &'static str) -> Determiner {
    Determiner {
        singular: [""; 4],
        plural,
        english: ["", english],
        sort: Sort::Number,
    }
}

const fn determiner(
    singular: Forms<4>,
    plural: &'static str,
    english: Forms<2>,
    sort: Sort,
) -> Determiner {
    Determiner {
        singular,
        plural,
        english,
        sort,
    }
}

/// 14 determiners. `son, sa, ses` are left out: they do not tell his from her.
pub(super) static DETERMINERS: [Determiner; 14] = [
    determiner(["le", "la", "le", "la"], "les", ["the", "the"], Definite),
    determiner(["un", "une", "un", "une"], "des", ["a", "some"], Indefinite),
    determiner(
        ["ce", "cette", "cet", "cette"],
        "ces",
        ["this", "these"],
        Definite,
    ),
    determiner(["mon", "ma", "mon", "mon"], "mes", ["my", "my"], Definite),
    determiner(
        ["ton", "ta", "ton", "ton"],
        "tes",
        ["your", "your"],
        Definite,
    ),
    determiner(["notre"; 4], "nos", ["our", "our"], Definite),
    determiner(["votre"; 4], "vos", ["your", "your"], Definite),
    determiner(["leur"; 4], "leurs", ["their", "their"], Definite),
    number("deux", "two"),
    number("trois", "three"),
    number("quatre", "four"),
    number("cinq", "five"),
    number("six", "six"),
    number("dix", "ten"),
];

const fn preposition(
    french: &'static [&'static str],
    english: &'static str,
    subject: u16,
    place: u16,
) -> Preposition {
    Preposition {
        french,
        english,
        subject,
        place,
    }
}

/// 8 prepositions.
pub(super) static PREPOSITIONS: [Preposition; 8] = [
    preposition(&["sous"], "under", LIVING | LOAD, UNDER),
    preposition(&["sur"], "on", LIVING | LOAD, ON),
    preposition(&["dans"], "in", LIVING | LOAD, IN),
    preposition(&["devant"], "in front of", ANY, ANY),
    preposition(&["derrière"], "behind", ANY, ANY),
    preposition(&["près", "de"], "near", ANY, ANY),
    preposition(&["avec"], "with", LIVING, LIVING),
    preposition(&["sans"], "without", LIVING, LIVING),
];

const fn pronoun(
    french: &'static str,
    english: &'static str,
    person: usize,
    gender: Option<Gender>,
) -> Pronoun {
    Pronoun {
        french,
        english,
        person,
        gender,
    }
}

/// 8 pronouns; all of them are people.
pub(super) static PRONOUNS: [Pronoun; 8] = [
    pronoun("je", "i", 0, None),
    pronoun("tu", "you", 1, None),
    pronoun("il", "he", 2, Some(Masculine)),
    pronoun("elle", "she", 2, Some(Feminine)),
    pronoun("nous", "we", 3, None),
    pronoun("vous", "you", 4, None),
    pronoun("ils", "they", 5, Some(Masculine)),
    pronoun("elles", "they", 5, Some(Feminine)),
];

/// The words of the grammar itself, each with the English word that a plain dictionary gives it:
/// its commonest meaning in these sentences, or nothing where English mostly says nothing.
pub(super) static GRAMMAR_WORDS: [(&str, &str); 16] = [
    ("l'", "the"),
    ("du", "the"),
    ("de", ""),
    ("d'", ""),
    ("ne", ""),
    ("n'", ""),
    ("pas", "not"),
    ("est-ce", ""),
    ("que", ""),
    ("qu'", ""),
    ("qui", "that"),
    ("et", "and"),
    ("j'", "i"),
    ("y", "there"),
    ("a", "is"),
    ("près", "near"),
];

/// English words that no French word stands for: auxiliaries and what the grammar puts in.
pub(super) static ENGLISH_ONLY: [&str; 8] =
    ["an", "do", "does", "not", "who", "there", "going", "to"];
