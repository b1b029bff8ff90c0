//! tiktoken's rank files: each line is a token in base64 and its rank.
//!
//! The rank is the token's id and its place in the order of merges. The merges themselves are not
//! in the file; they follow from the ranks.

use std::fmt::Write as _;

use crate::bpe::{BpeError, BpeTokenizer, Parts, Pattern, ranks_to_merges, shown};
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// OpenAI's encodings: what their rank files do not contain, the pattern and the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// GPT-2 and GPT-3.
    R50kBase,
    /// Codex.
    P50kBase,
    /// Codex for edits: the ranks of `p50k_base` with special tokens for infilling.
    P50kEdit,
    /// GPT-3.5 and GPT-4.
    Cl100kBase,
    /// GPT-4o.
    O200kBase,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 5] = [
        Self::R50kBase,
        Self::P50kBase,
        Self::P50kEdit,
        Self::Cl100kBase,
        Self::O200kBase,
    ];

    /// tiktoken's name: `r50k_base`, `p50k_base`, `p50k_edit`, `cl100k_base`, `o200k_base`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::R50kBase => "r50k_base",
            Self::P50kBase => "p50k_base",
            Self::P50kEdit => "p50k_edit",
            Self::Cl100kBase => "cl100k_base",
            Self::O200kBase => "o200k_base",
        }
    }

    /// The encoding called `name`; `gpt2` is `r50k_base`.
    ///
    /// # Errors
    ///
    /// [`UnknownEncoding`](BpeError::UnknownEncoding).
    pub fn from_name(name: &str) -> Result<Self, BpeError> {
        let wanted = if name == "gpt2" { "r50k_base" } else { name };
        Self::ALL
            .into_iter()
            .find(|encoding| encoding.name() == wanted)
            .ok_or_else(|| BpeError::UnknownEncoding {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }

    /// The pattern that cuts text into pieces.
    #[must_use]
    pub fn pattern(self) -> Pattern {
        match self {
            Self::R50kBase | Self::P50kBase | Self::P50kEdit => Pattern::Gpt2,
            Self::Cl100kBase => Pattern::Cl100k,
            Self::O200kBase => Pattern::O200k,
        }
    }

    /// The number of ranks in its file.
    fn ranks(self) -> usize {
        match self {
            Self::R50kBase => 50_256,
            Self::P50kBase | Self::P50kEdit => 50_280,
            Self::Cl100kBase => 100_256,
            Self::O200kBase => 199_998,
        }
    }

    /// The special tokens and their ids.
    #[must_use]
    pub fn special_tokens(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::R50kBase | Self::P50kBase => &[("<|endoftext|>", 50256)],
            Self::P50kEdit => &[
                ("<|endoftext|>", 50256),
                ("<|fim_prefix|>", 50281),
                ("<|fim_middle|>", 50282),
                ("<|fim_suffix|>", 50283),
            ],
            Self::Cl100kBase => &[
                ("<|endoftext|>", 100_257),
                ("<|fim_prefix|>", 100_258),
                ("<|fim_middle|>", 100_259),
                ("<|fim_suffix|>", 100_260),
                ("<|endofprompt|>", 100_276),
            ],
            Self::O200kBase => &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
        }
    }
}

impl Encoding {
    /// Whether these tokens, sorted by rank, are as many as the encoding has, special tokens aside.
    fn is_whole(self, tokens: &[(u32, Vec<u8>)]) -> bool {
        let is_free = |id: u32| tokens.binary_search_by_key(&id, |(rank, _)| *rank).is_err();
        tokens.len() == self.ranks() && self.special_tokens().iter().all(|(_, id)| is_free(*id))
    }
}

impl BpeTokenizer {
    /// Reads a rank file. The pattern and the special tokens, which the file lacks, are given;
    /// those of OpenAI's files are in [`Encoding`].
    ///
    /// # Errors
    ///
    /// A line that is not a token and a rank, a rank or a token that occurs twice, a missing byte,
    /// special tokens in conflict, and ranks that no training gives: each token of several bytes
    /// must be two parts after the merges of lower rank.
    pub fn from_tiktoken(ranks: &[u8], pattern: Pattern, specials: &[(&str, u32)]) -> Result<Self> {
        Self::from_tokens(read(ranks)?, pattern, specials)
    }

    /// Reads a rank file that may be named after an encoding. The name selects the pattern if
    /// `pattern` is `None`. It selects the special tokens only if the file also has the encoding's
    /// ranks: the name alone does not prove which vocabulary this is.
    ///
    /// # Errors
    ///
    /// As [`from_tiktoken`](Self::from_tiktoken), and [`NeedsPattern`](BpeError::NeedsPattern).
    pub fn from_ranks(
        ranks: &[u8],
        named: Option<Encoding>,
        pattern: Option<Pattern>,
    ) -> Result<Self> {
        let tokens = read(ranks)?;
        let Some(pattern) = pattern.or(named.map(Encoding::pattern)) else {
            let known = Encoding::ALL.map(Encoding::name).join(", ");
            return Err(BpeError::NeedsPattern { known }.into());
        };
        let specials = match named {
            Some(encoding) if encoding.is_whole(&tokens) && pattern == encoding.pattern() => {
                encoding.special_tokens()
            }
            _ => &[],
        };
        Self::from_tokens(tokens, pattern, specials)
    }

    fn from_tokens(
        tokens: Vec<(u32, Vec<u8>)>,
        pattern: Pattern,
        specials: &[(&str, u32)],
    ) -> Result<Self> {
        let merges = ranks_to_merges(&tokens)?;
        Self::from_parts(Parts {
            pattern: Some(pattern),
            tokens,
            merges,
            specials: specials
                .iter()
                .map(|(name, id)| ((*name).to_owned(), *id))
                .collect(),
            is_made_by_merges: true,
            ..Parts::default()
        })
    }

    /// Writes a rank file. It holds neither the pattern nor the special tokens, which its reader
    /// must be given.
    ///
    /// # Errors
    ///
    /// [`NotRanks`](BpeError::NotRanks) if ids are not in the order of merges, a token has two
    /// merges, or merging its bytes does not give it: tiktoken would then give other ids.
    pub fn to_tiktoken(&self) -> Result<String> {
        let refuse = |reason: String| Err(BpeError::NotRanks { reason }.into());
        if let Some(id) = self.unmade() {
            let token = shown(self.token_bytes(id).unwrap_or_default());
            return refuse(format!(
                "merging does not give the token {token} of id {id}"
            ));
        }
        let mut last = None;
        for (_, _, made) in self.merges() {
            if last >= Some(made) {
                return refuse(format!("the id {made} is not in the order of merges"));
            }
            last = Some(made);
        }
        let mut file = String::new();
        for id in 0..self.vocab_size() as u32 {
            if let Some(token) = self.token_bytes(id)
                && !self.is_special(id)
            {
                // Writing to a String cannot fail.
                let _ = writeln!(file, "{} {id}", base64(token));
            }
        }
        Ok(file)
    }
}

fn read(file: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, BpeError> {
    let mut tokens = Vec::new();
    for (number, line) in (1..).zip(file.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        tokens.push(rank_line(line).ok_or(BpeError::RankLine { line: number })?);
    }
    tokens.sort_by_key(|(rank, _)| *rank);
    if let Some(twice) = tokens.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(BpeError::DuplicateId {
            id: twice[0].0,
            first: shown(&twice[0].1),
            second: shown(&twice[1].1),
        });
    }
    Ok(tokens)
}

/// Whether a line is a token in base64, a space and its rank.
pub(crate) fn is_rank_line(line: &[u8]) -> bool {
    rank_line(line.trim_ascii()).is_some()
}

fn rank_line(line: &[u8]) -> Option<(u32, Vec<u8>)> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let rank = std::str::from_utf8(&line[space + 1..]).ok()?.parse().ok()?;
    let token = from_base64(&line[..space])?;
    (!token.is_empty()).then_some((rank, token))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes by RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if i <= three.len() {
                text.push(char::from(DIGITS[(all >> (18 - 6 * i)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in digits.chunks(4) {
        let mut all = 0;
        for i in 0..4 {
            let digit = match four.get(i) {
                None => 0,
                Some(byte @ b'A'..=b'Z') => byte - b'A',
                Some(byte @ b'a'..=b'z') => byte - b'a' + 26,
                Some(byte @ b'0'..=b'9') => byte - b'0' + 52,
                Some(b'+') => 62,
                Some(b'/') => 63,
                Some(_) => return None,
            };
            all = all << 6 | u32::from(digit);
        }
        let three = all.to_be_bytes();
        let len = four.len() - 1;
        if three[1 + len..].iter().any(|rest| *rest != 0) {
            return None; // bits that no encoder writes
        }
        bytes.extend_from_slice(&three[1..1 + len]);
    }
    Some(bytes)
}
