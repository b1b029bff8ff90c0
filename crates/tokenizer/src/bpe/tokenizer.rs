//! The vocabulary: tokens, merges and special tokens, with their checks and lookup tables.

use std::collections::BTreeMap;
use std::fmt;

use super::error::{BpeError, shown};
use super::merge::{Merges, Room};
use super::pairs::{Merged, NONE, Pairs};
use super::pattern::Pattern;
use super::template::Template;
use super::words::{Index, Pool, Tokens};
use crate::error::{Error, Result};
use crate::special::{Flags, Specials};
use crate::tokenizer::Tokenizer;

/// A byte-level BPE tokenizer, as GPT-2, GPT-4 and most models since have.
///
/// Text never yields a special token: `<|endoftext|>` in a text is encoded character by character.
/// [`encode_with_special`](Self::encode_with_special) allows the special tokens that its caller
/// names. [Other added tokens](Self::text_tokens) are found in every text.
///
/// ```
/// use latimer_tokenizer::{BpeTokenizer, Pattern, Tokenizer};
///
/// // "th" and then "the", after the 256 bytes, and a special token after those.
/// let merges = [(u32::from(b't'), u32::from(b'h')), (256, u32::from(b'e'))];
/// let tokenizer = BpeTokenizer::from_merges(Pattern::Gpt2, &merges, &["<|endoftext|>"])?;
/// assert_eq!(tokenizer.encode("the hat")?, [257, 32, 104, 97, 116]);
/// assert_eq!(tokenizer.decode(&[257, 258])?, "the<|endoftext|>");
/// assert_eq!(tokenizer.vocab_size(), 259);
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[derive(Clone)]
pub struct BpeTokenizer {
    pub(super) pattern: Pattern,
    /// All tokens, special ones included.
    pub(super) tokens: Tokens,
    /// Left, right and made token in the order of ranks.
    list: Vec<[u32; 3]>,
    pub(super) merges: Merges,
    /// Pieces that are a single token.
    pub(super) whole: Index,
    /// The added tokens, special or not.
    pub(super) specials: Specials,
    /// Whether texts are brought to form NFC.
    pub(super) nfc: bool,
    /// Whether a piece whose bytes are a token becomes that token even if merging gives other
    /// tokens.
    ignore_merges: bool,
    /// The first token that merging its own bytes does not give.
    unmade: Option<u32>,
    /// Bytes of the longest token.
    pub(super) longest: usize,
    /// The tokens around a text, if the file names any.
    template: Option<Template>,
    pub(super) pool: Pool,
}

/// The parts of a vocabulary, as a file holds them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) pattern: Option<Pattern>,
    /// Tokens with their ids, in any order.
    pub(crate) tokens: Vec<(u32, Vec<u8>)>,
    /// Left, right and made token in the order of ranks.
    pub(crate) merges: Vec<[u32; 3]>,
    pub(crate) specials: Vec<(String, u32)>,
    /// Of the added tokens that are not special tokens with a plain name.
    pub(crate) flags: BTreeMap<u32, Flags>,
    pub(crate) nfc: bool,
    pub(crate) ignore_merges: bool,
    /// Whether every token is known to be the result of merging its bytes. This is true after
    /// training and after a replay of ranks, in which the bytes of each token went through all
    /// earlier merges.
    pub(crate) is_made_by_merges: bool,
    /// Whether bytes may have no token. Files of Hugging Face may lack those that the training text
    /// did not contain.
    pub(crate) may_lack_bytes: bool,
    pub(crate) template: Option<Template>,
}

impl BpeTokenizer {
    /// The `"kind"` in files.
    pub const KIND: &'static str = "bpe";

    /// Makes the tokenizer in which ids 0 to 255 are the bytes, 256 and up are the merges in their
    /// order, and the special tokens come after those.
    ///
    /// # Errors
    ///
    /// A merge of an id that is not made yet or of a pair that is already merged, two merges that
    /// make the same token, and a special token that is empty or given twice.
    pub fn from_merges(pattern: Pattern, merges: &[(u32, u32)], specials: &[&str]) -> Result<Self> {
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut list = Vec::with_capacity(merges.len());
        for (rank, &(left, right)) in merges.iter().enumerate() {
            let part = |id: u32| {
                tokens.get(id as usize).ok_or(BpeError::MergeOfUnknown {
                    rank,
                    token: format!("of id {id}"),
                })
            };
            let token = [part(left)?.as_slice(), part(right)?.as_slice()].concat();
            list.push([left, right, tokens.len() as u32]);
            tokens.push(token);
        }
        let first = tokens.len() as u32;
        Self::from_parts(Parts {
            pattern: Some(pattern),
            tokens: (0..).zip(tokens).collect(),
            merges: list,
            specials: (first..)
                .zip(specials)
                .map(|(id, name)| ((*name).to_owned(), id))
                .collect(),
            ..Parts::default()
        })
    }

    /// Checks the parts and builds the tables.
    pub(crate) fn from_parts(parts: Parts) -> Result<Self> {
        let tokens = table(&parts.tokens, &parts.specials)?;
        let mut is_special = vec![false; tokens.len()];
        for (_, id) in &parts.specials {
            is_special[*id as usize] = true;
        }
        let plain = |id: u32| {
            let known = is_special.get(id as usize) == Some(&false);
            tokens.get(id).filter(|_| known)
        };

        // Every byte and every string of bytes has at most one id.
        let mut all = Index::with_capacity(tokens.len());
        for id in (0..tokens.len() as u32).filter(|id| plain(*id).is_some()) {
            if let Some(first) = all.insert(&tokens, id) {
                return Err(BpeError::DuplicateBytes {
                    token: shown(tokens.get(id).unwrap_or_default()),
                    first,
                    second: id,
                }
                .into());
            }
        }
        let mut bytes = [NONE; 256];
        for (byte, id) in (0..=255u8).zip(&mut bytes) {
            *id = match all.get(&tokens, &[byte]) {
                Some(id) => id,
                None if parts.may_lack_bytes => NONE,
                None => return Err(BpeError::MissingByte { byte }.into()),
            };
        }

        // Files that identify tokens by their spelling could not tell these apart.
        for (name, second) in &parts.specials {
            let spelled = crate::format::alphabet::to_bytes(name).unwrap_or_default();
            if let Some(first) = all.get(&tokens, &spelled) {
                return Err(BpeError::DuplicateBytes {
                    token: format!("{name:?}"),
                    first,
                    second: *second,
                }
                .into());
            }
        }

        let mut pairs = Pairs::with_capacity(parts.merges.len());
        for (rank, &[left, right, made]) in parts.merges.iter().enumerate() {
            let part = |id: u32| {
                plain(id).ok_or_else(|| BpeError::MergeOfUnknown {
                    rank,
                    token: format!("of id {id}"),
                })
            };
            let whole = [part(left)?, part(right)?].concat();
            if part(made)? != whole {
                return Err(BpeError::MergeOfUnknown {
                    rank,
                    token: shown(&whole),
                }
                .into());
            }
            let merged = Merged {
                rank: rank as u32,
                id: made,
            };
            if !pairs.insert(left, right, merged) {
                return Err(BpeError::DuplicateMerge { rank }.into());
            }
        }
        let lens = (0..tokens.len() as u32)
            .map(|id| tokens.get(id).map_or(0, <[u8]>::len))
            .collect::<Vec<_>>();
        let longest = lens.iter().copied().max().unwrap_or(1);
        let merges = Merges::new(bytes, pairs, lens.iter().map(|len| *len as u32).collect());

        let mut whole = Index::with_capacity(tokens.len());
        let mut unmade = None;
        let mut room = Room::default();
        let mut made = Vec::new();
        for id in 0..tokens.len() as u32 {
            let Some(token) = plain(id) else { continue };
            if parts.is_made_by_merges {
                whole.insert(&tokens, id);
                continue;
            }
            made.clear();
            merges.merge(token, &mut room, &mut made);
            if made != [id] {
                unmade = unmade.or(Some(id));
            }
            if made == [id] || parts.ignore_merges {
                whole.insert(&tokens, id);
            }
        }
        Ok(Self {
            pattern: parts.pattern.unwrap_or(Pattern::None),
            tokens,
            list: parts.merges,
            merges,
            whole,
            specials: Specials::new(parts.specials, parts.flags, parts.nfc),
            nfc: parts.nfc,
            ignore_merges: parts.ignore_merges,
            unmade,
            longest,
            template: parts.template,
            pool: Pool::default(),
        })
    }

    /// The pattern that cuts text into pieces.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// The merges in their order: the left and the right token, and the token they make.
    pub fn merges(&self) -> impl ExactSizeIterator<Item = (u32, u32, u32)> {
        self.list
            .iter()
            .map(|&[left, right, made]| (left, right, made))
    }

    /// The special tokens and their ids, in the order of ids.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.added(true)
    }

    /// The added tokens that are not special, and their ids, in the order of ids. They are found in
    /// every text, such as `<tool_call>` for Qwen's models; few vocabularies have them.
    pub fn text_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.added(false)
    }

    fn added(&self, special: bool) -> impl Iterator<Item = (&str, u32)> {
        let all = self.specials.iter();
        all.filter(move |(_, id)| self.specials.flags(*id).special == special)
    }

    /// Whether a text is brought to Unicode's form NFC first, so that decoding gives that form.
    #[must_use]
    pub fn is_nfc(&self) -> bool {
        self.nfc
    }

    pub(crate) fn added_tokens(&self) -> &Specials {
        &self.specials
    }

    /// The id of the token with exactly these bytes, special tokens aside. `None` also for a token
    /// that no text yields.
    #[must_use]
    pub fn id(&self, bytes: &[u8]) -> Option<u32> {
        self.whole.get(&self.tokens, bytes)
    }

    /// The ids that the model's template puts before and after a text, such as
    /// `<|begin_of_text|>`; mostly none. [`encode_with_template`](Self::encode_with_template) adds
    /// them.
    #[must_use]
    pub fn around(&self) -> (&[u32], &[u32]) {
        self.template
            .as_ref()
            .map_or((&[], &[]), |template| template.around())
    }

    /// The bytes without a token. A text's bytes of these values are left out of its ids, as in
    /// `tokenizers`; most vocabularies have all 256.
    pub fn missing_bytes(&self) -> impl Iterator<Item = u8> {
        (0..=255).filter(|byte| !self.merges.has(*byte))
    }

    pub(crate) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    pub(crate) fn ignore_merges(&self) -> bool {
        self.ignore_merges
    }

    pub(crate) fn unmade(&self) -> Option<u32> {
        self.unmade
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.specials.iter().any(|(_, special)| special == id)
    }

    /// The bytes that an id adds to a text. Vocabularies such as `cl100k` have ids without a token;
    /// models still have rows for these ids, and they add nothing to the text.
    fn decoded(&self, id: u32) -> Result<&[u8]> {
        match self.tokens.get(id) {
            Some(token) => Ok(token),
            None if (id as usize) < self.tokens.len() => Ok(&[]),
            None => Err(self.unknown(id)),
        }
    }

    pub(super) fn unknown(&self, id: u32) -> Error {
        Error::UnknownId {
            id,
            vocab_size: self.tokens.len(),
        }
    }
}

/// The tokens by id, checked: each id once, each special token once.
fn table(tokens: &[(u32, Vec<u8>)], specials: &[(String, u32)]) -> Result<Tokens, BpeError> {
    let count = tokens.len() + specials.len();
    // Vocabularies may have gaps, but no gap larger than the vocabulary: the table has a place for
    // each id.
    let limit = (4 * count + (1 << 16)).min(NONE as usize / 2) as u32;
    let all = || {
        let plain = tokens.iter().map(|(id, token)| (*id, token.as_slice()));
        plain.chain(specials.iter().map(|(name, id)| (*id, name.as_bytes())))
    };
    let highest = all().map(|(id, _)| id).max().unwrap_or(0);
    if highest > limit {
        return Err(BpeError::IdTooHigh {
            id: highest,
            tokens: count,
            limit,
        });
    }
    let mut by_id: Vec<&[u8]> = vec![&[]; highest as usize + 1];
    for (id, token) in all() {
        let place = &mut by_id[id as usize];
        if token.is_empty() {
            return Err(BpeError::EmptySpecial { id });
        }
        if !place.is_empty() {
            return Err(BpeError::DuplicateId {
                id,
                first: shown(place),
                second: shown(token),
            });
        }
        *place = token;
    }
    let mut names: Vec<&str> = specials.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
        return Err(BpeError::DuplicateSpecial {
            token: twice[0].to_owned(),
        });
    }
    Ok(Tokens::new(by_id))
}

/// Derives the merges from the ranks by replay: each token of several bytes is made of the two
/// parts that the merges of lower rank leave of it.
///
/// With these merges every text gets the ids that tiktoken gives it. tiktoken merges any two
/// neighbours that together are a token, and such neighbours are always these two parts. (Nothing
/// has crossed the borders of the token so far, so its bytes went through the same merges as in the
/// replay.)
pub(crate) fn ranks_to_merges(tokens: &[(u32, Vec<u8>)]) -> Result<Vec<[u32; 3]>, BpeError> {
    let mut order: Vec<&(u32, Vec<u8>)> = tokens.iter().collect();
    order.sort_by_key(|(rank, _)| *rank);
    let mut bytes = [NONE; 256];
    let mut lens = vec![];
    for (place, (_, token)) in (0u32..).zip(&order) {
        lens.push(token.len() as u32);
        if let [byte] = token.as_slice() {
            bytes[usize::from(*byte)] = place;
        }
    }
    if let Some(byte) = (0..=255u8).find(|byte| bytes[usize::from(*byte)] == NONE) {
        return Err(BpeError::MissingByte { byte });
    }
    // Meanwhile, positions in the order of ranks are used as ranks.
    let mut merges = Merges::new(bytes, Pairs::with_capacity(order.len()), lens);
    let mut list = Vec::new();
    let mut room = Room::default();
    let mut parts = Vec::new();
    for (place, (rank, token)) in (0u32..).zip(&order) {
        if token.len() == 1 {
            continue;
        }
        parts.clear();
        merges.merge(token, &mut room, &mut parts);
        if let &[first] = parts.as_slice() {
            return Err(BpeError::DuplicateBytes {
                token: shown(token),
                first: order[first as usize].0,
                second: *rank,
            });
        }
        let &[left, right] = parts.as_slice() else {
            return Err(BpeError::NotByMerges {
                rank: *rank,
                token: shown(token),
                parts: parts.len(),
            });
        };
        merges.insert(
            left,
            right,
            Merged {
                rank: place,
                id: place,
            },
        );
        list.push([order[left as usize].0, order[right as usize].0, *rank]);
    }
    Ok(list)
}

impl fmt::Debug for BpeTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BpeTokenizer")
            .field("pattern", &self.pattern)
            .field("vocab_size", &self.tokens.len())
            .field("merges", &self.list.len())
            .field("specials", &self.specials.iter().count())
            .finish_non_exhaustive()
    }
}

impl Tokenizer for BpeTokenizer {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        self.encode_text(text, ids);
        Ok(())
    }

    fn decode_next(&self, previous: Option<u32>, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        for id in previous.into_iter().chain([id]) {
            self.decoded(id)?;
        }
        bytes.extend_from_slice(self.decoded(id)?);
        Ok(())
    }

    fn cut(&self, text: &str) -> usize {
        if self.pattern == Pattern::None || !self.specials.may_be_cut() {
            return 0;
        }
        // A piece ends between a letter or digit and white space, whatever the surrounding text and
        // the pattern.
        let bytes = text.as_bytes();
        (1..bytes.len())
            .rev()
            .find(|&at| bytes[at - 1].is_ascii_alphanumeric() && matches!(bytes[at], b' ' | b'\n'))
            .unwrap_or(0)
    }

    fn is_lossless(&self) -> bool {
        !self.merges.lacks_bytes && !self.nfc && !self.specials.strip_text()
    }

    fn special(&self, name: &str) -> Option<u32> {
        self.specials.id(name)
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id)
    }

    fn to_json(&self) -> String {
        crate::format::hf::write(self)
    }

    fn decode_into(&self, ids: &[u32], bytes: &mut Vec<u8>) -> Result<()> {
        let kept = bytes.len();
        bytes.reserve(4 * ids.len());
        for &id in ids {
            match self.decoded(id) {
                Ok(token) => bytes.extend_from_slice(token),
                Err(error) => {
                    bytes.truncate(kept);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn an_id_without_a_token_adds_nothing() {
        let ranks = BpeTokenizer::from_merges(Pattern::Gpt2, &[], &[]).unwrap();
        let ranks = ranks.to_tiktoken().unwrap();
        let gap = BpeTokenizer::from_tiktoken(ranks.as_bytes(), Pattern::Gpt2, &[("<|end|>", 300)])
            .unwrap();
        assert_eq!((gap.vocab_size(), gap.token_bytes(280)), (301, None));
        assert_eq!(gap.decode(&[97, 280, 98, 300]).unwrap(), "ab<|end|>");
        let mut stream = crate::StreamDecoder::new(&gap);
        for (id, text) in [(97, "a"), (280, ""), (98, "b")] {
            assert_eq!(stream.push(id).unwrap(), text);
        }
        assert!(matches!(
            gap.decode(&[97, 301]),
            Err(Error::UnknownId { id: 301, .. })
        ));
    }
}
