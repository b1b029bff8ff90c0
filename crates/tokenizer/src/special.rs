//! Special tokens: marks such as `<|endoftext|>` that stand beside the text, not in it; and other
//! added tokens, which are found in every text before it is merged.

use std::collections::{BTreeMap, HashMap};

use crate::bpe::nfc;

/// Which special tokens a text may contain; see
/// [`encode_with_special`](crate::BpeTokenizer::encode_with_special).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedSpecial<'a> {
    /// None: their names are text like any other.
    None,
    /// All special tokens of the vocabulary.
    All,
    /// These names.
    Only(&'a [&'a str]),
}

/// How an added token is found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Found only when asked for; other added tokens are found in every text.
    pub(crate) special: bool,
    /// Its name, normalized, is looked for in the normalized text.
    pub(crate) normalized: bool,
    /// The white space before it is a part of it.
    pub(crate) lstrip: bool,
    /// The white space after it is a part of it.
    pub(crate) rstrip: bool,
    /// Found only where no word character stands before or after it.
    pub(crate) single_word: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            special: true,
            normalized: false,
            lstrip: false,
            rstrip: false,
            single_word: false,
        }
    }
}

/// The added tokens of a vocabulary.
#[derive(Debug, Clone, Default)]
pub(crate) struct Specials {
    /// In the order of ids.
    list: Vec<(String, u32)>,
    by_name: HashMap<String, u32>,
    /// Of the tokens that are not as by default.
    flags: BTreeMap<u32, Flags>,
    nfc: bool,
    /// Finds the tokens that are not special, if there are any.
    always: Option<Finders>,
}

impl Specials {
    /// Names must be distinct and not empty.
    pub(crate) fn new(
        mut list: Vec<(String, u32)>,
        mut flags: BTreeMap<u32, Flags>,
        nfc: bool,
    ) -> Self {
        list.sort_by_key(|(_, id)| *id);
        flags.retain(|_, flags| *flags != Flags::default());
        let by_name = list.iter().cloned().collect();
        let mut made = Self {
            list,
            by_name,
            flags,
            nfc,
            always: None,
        };
        let finders = made.finders_of(made.names(|flags| !flags.special));
        made.always = Some(finders).filter(|finders| !finders.is_empty());
        made
    }

    pub(crate) fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Names and ids of all added tokens in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.list.iter().map(|(name, id)| (name.as_str(), *id))
    }

    pub(crate) fn flags(&self, id: u32) -> Flags {
        self.flags.get(&id).copied().unwrap_or_default()
    }

    /// The flags of the tokens that are not as by default.
    pub(crate) fn all_flags(&self) -> &BTreeMap<u32, Flags> {
        &self.flags
    }

    /// The finders of the tokens that every text may contain; `None` if there are no such tokens.
    #[inline]
    pub(crate) fn always(&self) -> Option<&Finders> {
        self.always.as_ref()
    }

    /// The finders of the allowed special tokens and of those that every text may contain; the
    /// error is the first unknown name.
    pub(crate) fn finders<'a>(&'a self, allowed: AllowedSpecial<'a>) -> Result<Finders, &'a str> {
        let names = match allowed {
            AllowedSpecial::None => self.names(|flags| !flags.special),
            AllowedSpecial::All => self.names(|_| true),
            AllowedSpecial::Only(only) => {
                let mut names = self.names(|flags| !flags.special);
                for name in only {
                    names.push((name, self.id(name).ok_or(*name)?));
                }
                names
            }
        };
        Ok(self.finders_of(names))
    }

    /// Whether a text may be cut between a letter or digit of ASCII and a space or line feed: no
    /// token that every text may contain reaches or looks across such a place.
    pub(crate) fn may_be_cut(&self) -> bool {
        self.names(|flags| !flags.special).iter().all(|(name, id)| {
            let flags = self.flags(*id);
            let crosses =
                |two: &[u8]| two[0].is_ascii_alphanumeric() && matches!(two[1], b' ' | b'\n');
            // Normalization makes no space or line feed, but letters: the sign for Kelvin is a K.
            let may_cross = name.as_bytes().windows(2).any(crosses)
                || self.nfc && nfc::nfc(name).as_bytes().windows(2).any(crosses);
            !(flags.lstrip || flags.rstrip || flags.single_word || may_cross)
        })
    }

    /// Whether a token that every text may contain takes white space with it, which is lost.
    pub(crate) fn strip_text(&self) -> bool {
        let strips = |flags: &Flags| !flags.special && (flags.lstrip || flags.rstrip);
        self.flags.values().any(strips)
    }

    fn names(&self, wanted: impl Fn(Flags) -> bool) -> Vec<(&str, u32)> {
        self.iter()
            .filter(|(_, id)| wanted(self.flags(*id)))
            .collect()
    }

    fn finders_of(&self, names: Vec<(&str, u32)>) -> Finders {
        let mut finders = Finders::default();
        for (name, id) in names {
            if !self.flags(id).normalized {
                finders.raw.add(name, id);
            } else if self.nfc {
                finders.normalized.add(&nfc::nfc(name), id);
            } else {
                finders.normalized.add(name, id);
            }
        }
        finders
    }
}

/// Finds added tokens in a text, and then those whose flag says so in the normalized rest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finders {
    pub(crate) raw: Finder,
    pub(crate) normalized: Finder,
}

impl Finders {
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.names.is_empty() && self.normalized.names.is_empty()
    }
}

/// Finds tokens in a text: the leftmost one, and the longest of those that start at one place.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    /// Whether a name starts with this byte.
    starts: [bool; 256],
    /// The second bytes of names, as bits; a name of one byte allows all.
    seconds: [u64; 4],
    /// Lengths of names, falling.
    lens: Vec<usize>,
    names: HashMap<Vec<u8>, u32>,
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            starts: [false; 256],
            seconds: [0; 4],
            lens: Vec::new(),
            names: HashMap::new(),
        }
    }
}

impl Finder {
    fn add(&mut self, name: &str, id: u32) {
        let name = name.as_bytes();
        let Some(first) = name.first() else { return };
        self.starts[usize::from(*first)] = true;
        match name.get(1) {
            Some(second) => self.seconds[usize::from(second >> 6)] |= 1 << (second & 63),
            None => self.seconds = [u64::MAX; 4],
        }
        if let Err(place) = self.lens.binary_search_by(|len| name.len().cmp(len)) {
            self.lens.insert(place, name.len());
        }
        self.names.entry(name.to_vec()).or_insert(id);
    }

    /// The next token at or after `from`: where it starts and ends, and its id.
    pub(crate) fn next(&self, text: &str, from: usize) -> Option<(usize, usize, u32)> {
        if self.names.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            at += bytes
                .get(at..)?
                .iter()
                .position(|&byte| self.starts[usize::from(byte)])?;
            let is_second =
                |byte: &u8| self.seconds[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0;
            if bytes.get(at + 1).is_none_or(is_second) {
                for &len in &self.lens {
                    if let Some(id) = bytes
                        .get(at..at + len)
                        .and_then(|name| self.names.get(name))
                    {
                        return Some((at, at + len, *id));
                    }
                }
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specials(list: &[(&str, u32)]) -> Specials {
        let list = list.iter().map(|(name, id)| ((*name).to_owned(), *id));
        Specials::new(list.collect(), BTreeMap::new(), false)
    }

    #[test]
    fn the_leftmost_and_then_the_longest() {
        let specials = specials(&[("<a>", 7), ("<a><b>", 8), ("é", 9)]);
        let all = specials.finders(AllowedSpecial::All).unwrap().raw;
        let text = "<<a><b><a>é";
        assert_eq!(all.next(text, 0), Some((1, 7, 8)));
        assert_eq!(all.next(text, 7), Some((7, 10, 7)));
        assert_eq!(all.next(text, 10), Some((10, 12, 9)));
        assert_eq!(all.next(text, 12), None);
        let one = specials.finders(AllowedSpecial::Only(&["<a>"])).unwrap();
        assert_eq!(one.raw.next(text, 0), Some((1, 4, 7)));
        let none = specials.finders(AllowedSpecial::None).unwrap();
        assert!(none.is_empty() && specials.always().is_none());
        assert_eq!(none.raw.next(text, 0), None);
        let unknown = specials.finders(AllowedSpecial::Only(&["<c>"]));
        assert_eq!(unknown.unwrap_err(), "<c>");
    }

    #[test]
    fn names_of_one_byte_are_found_at_the_end_too() {
        let specials = specials(&[("!", 7), ("  ", 8), ("   ", 9)]);
        let all = specials.finders(AllowedSpecial::All).unwrap().raw;
        let text = "a   b  c !d!";
        let mut found = Vec::new();
        let mut from = 0;
        while let Some((start, end, id)) = all.next(text, from) {
            found.push((start, id));
            from = end;
        }
        assert_eq!(found, [(1, 9), (5, 8), (9, 7), (11, 7)]);
    }
}
