//! Errors of byte-pair encoding.

use super::{Pattern, TieRule};

/// Why a vocabulary, a file or a training run was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BpeError {
    // Names.
    /// No such pattern.
    #[error("unknown pattern {name:?}: the known ones are {}", Pattern::ALL.map(Pattern::name).join(", "))]
    UnknownPattern {
        /// The name given.
        name: String,
    },
    /// No such encoding of tiktoken.
    #[error("unknown encoding {name:?}: the known ones are {known}")]
    UnknownEncoding {
        /// The name given.
        name: String,
        /// The names of all encodings.
        known: String,
    },
    /// No such rule for ties.
    #[error("unknown tie rule {name:?}: the known ones are {}", TieRule::ALL.map(TieRule::name).join(", "))]
    UnknownTieRule {
        /// The name given.
        name: String,
    },
    /// A special token was named that the vocabulary does not have.
    #[error("{token:?} is not a special token of this vocabulary")]
    UnknownSpecial {
        /// The name given.
        token: String,
    },

    // Vocabularies.
    /// A single byte has no token, so that not every text could be encoded.
    #[error("the byte 0x{byte:02x} has no token: a byte-level vocabulary needs all 256")]
    MissingByte {
        /// The byte.
        byte: u8,
    },
    /// Two tokens have the same id, or one id two tokens.
    #[error("the id {id} is given twice, to {first} and to {second}")]
    DuplicateId {
        /// The id or rank.
        id: u32,
        /// The token that has it first, in quotation marks.
        first: String,
        /// The other token.
        second: String,
    },
    /// Two ids have the same token.
    #[error("the token {token} occurs twice, as ids {first} and {second}")]
    DuplicateBytes {
        /// The token in quotation marks.
        token: String,
        /// Its lower id.
        first: u32,
        /// The id that repeats the token.
        second: u32,
    },
    /// An id so high that the table of tokens would be mostly empty.
    #[error("the id {id} is too high for {tokens} tokens: ids may be at most {limit} here")]
    IdTooHigh {
        /// The id.
        id: u32,
        /// How many tokens there are.
        tokens: usize,
        /// The highest id allowed for that many tokens.
        limit: u32,
    },
    /// A merge names a token that is not in the vocabulary.
    #[error("merge {rank} needs the token {token}, which is not in the vocabulary")]
    MergeOfUnknown {
        /// The merge, from 0.
        rank: usize,
        /// The token in quotation marks.
        token: String,
    },
    /// A pair is merged twice.
    #[error("merge {rank} repeats the pair of an earlier one")]
    DuplicateMerge {
        /// The later merge, from 0.
        rank: usize,
    },
    /// A special token without text.
    #[error("the special token of id {id} is empty")]
    EmptySpecial {
        /// The token's id.
        id: u32,
    },

    // Files of ranks.
    /// A line that is not a token in base64, a space and a rank.
    #[error("line {line}: expected a token in base64, a space and its rank")]
    RankLine {
        /// The line, from 1.
        line: usize,
    },
    /// A rank file whose pattern is not known.
    #[error(
        "a rank file does not contain the pattern that cuts text, and this one is not named after \
         an encoding ({known}): give the pattern with `latimer tokenizer convert --pattern NAME \
         --to hf`, where NAME is one of {}",
        Pattern::ALL.map(Pattern::name).join(", ")
    )]
    NeedsPattern {
        /// The names of encodings.
        known: String,
    },
    /// A token that merging by lower ranks does not leave as two parts, so that it is in no merge.
    #[error(
        "the token {token} of rank {rank} is {parts} parts after the merges of lower rank, \
         expected 2: these ranks do not come from byte-pair training"
    )]
    NotByMerges {
        /// The rank.
        rank: u32,
        /// The token in quotation marks.
        token: String,
        /// Parts left.
        parts: usize,
    },
    /// A vocabulary whose ids are not in the order of its merges, which ranks cannot say.
    #[error(
        "a file of ranks cannot hold this vocabulary: {reason}; write Hugging Face's tokenizer.json"
    )]
    NotRanks {
        /// The obstacle.
        reason: String,
    },

    // Hugging Face files.
    /// The file uses something that this program cannot reproduce exactly.
    #[error("the field {field} is {found}: {expected}")]
    Unsupported {
        /// The path of the field, as in `model.dropout`.
        field: String,
        /// The value found, shortened.
        found: String,
        /// The values that can be read.
        expected: &'static str,
    },
    /// A line of `merges.txt` or an entry of `merges` that is not two tokens.
    #[error("merge {rank}: expected two tokens, with one space between them")]
    MergeLine {
        /// The merge, from 0.
        rank: usize,
    },
    /// A token contains a character that does not stand for a byte.
    #[error("the token {token:?} has the character {character:?}, which does not stand for a byte")]
    NotByteLevel {
        /// The token.
        token: String,
        /// The character.
        character: char,
    },

    // Training.
    /// The vocabulary is too small to hold even the single bytes.
    #[error(
        "a vocabulary of {asked} is too small: 256 bytes and {specials} special tokens need {least}"
    )]
    VocabTooSmall {
        /// The size asked for.
        asked: usize,
        /// Special tokens asked for.
        specials: usize,
        /// The smallest size that would do.
        least: usize,
    },
    /// The distinct pieces are longer than the training's 32-bit positions can count.
    #[error(
        "the distinct pieces have {bytes} bytes, more than the {limit} that training can hold: use a pattern, or less text"
    )]
    TooMuchText {
        /// Their size in bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A special token is given twice.
    #[error("the special token {token:?} is given twice")]
    DuplicateSpecial {
        /// The token.
        token: String,
    },
}

/// Bytes in quotation marks, other than printable ASCII escaped, a long token shortened.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    match bytes.get(..SHOWN) {
        Some(start) => format!("\"{}\"…", start.escape_ascii()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}
