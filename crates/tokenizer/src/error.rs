//! Errors of this crate. Messages are one sentence; causes are chained by `source`.

use std::fmt;
use std::path::PathBuf;

/// This crate's `Result`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a text, a list of ids, a vocabulary or a file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Encoding: text that the vocabulary does not cover.
    /// The text has a character without an id.
    #[error(
        "unknown character {character:?} (U+{code:04X}) at {place}: \
         this vocabulary has {vocab_size} characters, learnt from the training text",
        code = u32::from(*character)
    )]
    UnknownCharacter {
        /// The character.
        character: char,
        /// Where it first occurs in the text.
        place: Place,
        /// How many characters have an id.
        vocab_size: usize,
    },
    /// The text has a word without an id.
    #[error(
        "unknown word {} at {place}: {}",
        quoted(word),
        word_hint(nearest.as_deref(), *vocab_size)
    )]
    UnknownWord {
        /// The whole word; the message shows the start of a long one.
        word: String,
        /// Where it first occurs in the text.
        place: Place,
        /// A known word of nearly the same spelling, if there is one.
        nearest: Option<String>,
        /// How many tokens have an id.
        vocab_size: usize,
    },

    // Decoding.
    /// An id is not below the vocabulary size.
    #[error("unknown token id {id}: this vocabulary has {vocab_size} tokens, numbered from 0")]
    UnknownId {
        /// The id.
        id: u32,
        /// How many tokens have an id.
        vocab_size: usize,
    },

    /// A row of ids contains an id between or after the vocabularies.
    #[error("row {row}, position {position}: no word or sub-word has the id {id}")]
    NoSuchToken {
        /// The id.
        id: u32,
        /// The row, from 0.
        row: usize,
        /// The id's place in the row, from 0.
        position: usize,
    },
    /// Sub-words and their marks do not match, although only matching ones are allowed.
    #[error("row {row}, position {position}: {fault} (id {id})")]
    Unbalanced {
        /// The id that does not match.
        id: u32,
        /// The row, from 0.
        row: usize,
        /// The id's place in the row, from 0.
        position: usize,
        /// The mistake.
        fault: &'static str,
    },

    // Making a vocabulary.
    /// A setting is outside its range.
    #[error("{name} is {found}: it must be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The values it may have.
        expected: &'static str,
        /// The value it has.
        found: String,
    },
    /// A vocabulary lacks a token that its kind cannot do without.
    #[error(
        "the vocabulary has no {}, which a {kind} tokenizer needs",
        quoted(token)
    )]
    MissingToken {
        /// The token.
        token: String,
        /// The kind of tokenizer.
        kind: &'static str,
    },
    /// The ids of a vocabulary are not consecutive.
    #[error(
        "the ids of \"{vocabulary}\" must count up without a gap: {} has {id}, not {expected}",
        quoted(token)
    )]
    ScatteredId {
        /// The name of the vocabulary.
        vocabulary: &'static str,
        /// The token.
        token: String,
        /// Its id, as found.
        id: String,
        /// The id that it should have, or the smallest that it may have.
        expected: usize,
    },
    /// There is nothing to number.
    #[error("the vocabulary is empty: a {kind} tokenizer needs a text with at least one token")]
    EmptyVocabulary {
        /// The kind of tokenizer.
        kind: &'static str,
    },
    /// The text has more distinct tokens than were allowed.
    #[error("the vocabulary has {found} tokens, more than the {max} allowed: {hint}")]
    VocabularyTooLarge {
        /// Distinct tokens found.
        found: usize,
        /// The limit.
        max: usize,
        /// Advice to the user.
        hint: &'static str,
    },
    /// One token occurs twice in a vocabulary, so that it would have two ids.
    #[error(
        "{} occurs twice in the vocabulary, as ids {first} and {second}",
        quoted(token)
    )]
    DuplicateToken {
        /// The token.
        token: String,
        /// Its first id.
        first: usize,
        /// Its second id.
        second: usize,
    },
    /// A vocabulary entry that the kind's own rule would never cut from a text.
    #[error(
        "{} cannot be in the vocabulary of a {kind} tokenizer: it is not {expected}",
        quoted(token)
    )]
    NotAToken {
        /// The entry.
        token: String,
        /// The kind of tokenizer.
        kind: &'static str,
        /// The form that an entry must have.
        expected: &'static str,
    },

    // Byte-pair encoding.
    /// An error that only byte-pair encoding has.
    #[error(transparent)]
    Bpe(#[from] crate::bpe::BpeError),

    // Files.
    /// The file system reported an error.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file is not text in UTF-8.
    #[error(transparent)]
    Text(latimer_text::Error),
    /// A folder in which no tokenizer is found.
    #[error("the folder {} has no tokenizer: {instead}", path.display())]
    NoTokenizerInFolder {
        /// The folder.
        path: PathBuf,
        /// The files in the folder, or the one that it lacks.
        instead: &'static str,
    },
    /// A file was read but is not a tokenizer; the source says why.
    #[error("cannot load the tokenizer file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The mistake in its content.
        #[source]
        source: Box<Error>,
    },
    /// The content is not JSON.
    #[error("not valid JSON")]
    Json {
        /// Where it stops being JSON.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON is another program's, or another part of this program wrote it.
    #[error(
        "not a tokenizer file of this program: \"format\" is {}, expected \"{}\"",
        found.as_deref().map_or_else(|| "missing".to_owned(), quoted),
        crate::FORMAT
    )]
    ForeignFile {
        /// The file's `format`, if it has one.
        found: Option<String>,
    },
    /// The file was written by a newer program.
    #[error(
        "tokenizer file version {found} is not supported, this program reads version {supported}: \
         update the program, or make the tokenizer again"
    )]
    UnsupportedVersion {
        /// The file's `version`, as written there.
        found: String,
        /// The version this program reads and writes.
        supported: u64,
    },
    /// The `kind` is not one of [`kinds`](crate::kinds).
    #[error("unknown tokenizer kind {}: {}", quoted(kind), kind_hint(*nearest))]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The known kind of nearly the same spelling, if there is one.
        nearest: Option<&'static str>,
    },
    /// Another program's format cannot say what this tokenizer does.
    #[error("the format of {format} cannot hold {what}")]
    NotInFormat {
        /// The program.
        format: &'static str,
        /// The property that the format cannot express.
        what: &'static str,
    },
    /// A field is missing or has the wrong type.
    #[error("the field \"{name}\" must be {expected}")]
    Field {
        /// The field.
        name: &'static str,
        /// The content that it must have.
        expected: &'static str,
    },
    /// A field that this kind does not have, most likely misspelt.
    #[error(
        "unknown field {} in a tokenizer file of kind \"{kind}\"",
        quoted(name)
    )]
    UnknownField {
        /// The field.
        name: String,
        /// The kind of tokenizer.
        kind: &'static str,
    },
}

/// A position in a text, as shown to people: lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Offset in bytes, from 0.
    pub byte: usize,
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
}

impl Place {
    /// The place of the byte offset `byte` of `text`; an offset inside a character means that
    /// character, one past the end means the end.
    #[must_use]
    pub fn new(text: &str, byte: usize) -> Self {
        let mut place = Self {
            byte,
            line: 1,
            column: 1,
        };
        for (_, c) in text
            .char_indices()
            .take_while(|(at, c)| at + c.len_utf8() <= byte)
        {
            if c == '\n' {
                place.line += 1;
                place.column = 1;
            } else {
                place.column += 1;
            }
        }
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<latimer_text::Error> for Error {
    fn from(error: latimer_text::Error) -> Self {
        match error {
            latimer_text::Error::Read { path, source } => Self::Io {
                action: "read",
                path,
                source,
            },
            other => Self::Text(other),
        }
    }
}

/// The known name most like `name`: the one with the smallest edit distance in lower case, the
/// first of equals. It may differ by at most a third of the name's letters (for short names one
/// letter).
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Names are short. The distance to a pasted page would take a time that grows with the page.
    const LONGEST: usize = 64;
    let letters = name.chars().take(LONGEST + 1).count();
    if letters > LONGEST {
        return None;
    }
    // A word of one letter is similar to every other, so it has no nearest name.
    let limit = (letters.max(3) / 3).min(letters.saturating_sub(1));
    let name = name.to_lowercase();
    known
        // Meanwhile, positions in the order of ranks are used as ranks.
        .filter(|k| k.len() <= 4 * (letters + limit))
        .map(|k| (strsim::levenshtein(&name, &k.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// `text` in quotation marks, control characters escaped, a long one shortened.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn word_hint(nearest: Option<&str>, vocab_size: usize) -> String {
    match nearest {
        Some(word) => format!("the nearest known one is {}", quoted(word)),
        None => format!("this vocabulary has {vocab_size} words, learnt from the training text"),
    }
}

fn kind_hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(kind) => format!("the nearest known one is \"{kind}\""),
        None => format!(
            "the known ones are {}",
            crate::kinds().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "été\nà la mer";
        let at = text.find("la").unwrap();
        assert_eq!(
            Place::new(text, at),
            Place {
                byte: at,
                line: 2,
                column: 3
            }
        );
        assert_eq!(Place::new(text, 0).to_string(), "line 1, column 1");
        assert_eq!(Place::new(text, 2).column, 2, "byte 2 is the t");
        assert_eq!(
            Place::new(text, 3).column,
            3,
            "byte 3 is the first of the second é"
        );
        assert_eq!(Place::new(text, 4).column, 3, "byte 4 is inside it");
        assert_eq!(Place::new("ab", 99).column, 3);
    }

    #[test]
    fn nearest_is_near_or_nothing() {
        let known = || ["char", "word", "table", "tables"].into_iter();
        assert_eq!(nearest("chr", known()), Some("char"));
        assert_eq!(nearest("TABLE", known()), Some("table"));
        assert_eq!(nearest("tabl", known()), Some("table"));
        assert_eq!(nearest("elephant", known()), None);
        assert_eq!(nearest("x", ["\n", "="].into_iter()), None);
        assert_eq!(nearest("", ["a"].into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known()), None);
        // Letters count, not bytes: each has three or four bytes here.
        for (written, meant) in [("漢字仮名交文", "漢字仮名交じり文"), ("𐐨𐐩𐐪𐐫𐐬𐐭", "𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯")]
        {
            assert_eq!(nearest(written, [meant].into_iter()), Some(meant));
        }
    }

    #[test]
    fn quotes_escape_and_shorten() {
        assert_eq!(quoted("l\u{1b}eau"), r#""l\u{1b}eau""#);
        assert_eq!(quoted(&"é".repeat(50)), format!("\"{}\"…", "é".repeat(40)));
    }
}
