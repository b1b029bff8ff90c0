//! Special tokens: marks such as `<|endoftext|>` that stand beside the text, not in it.

use std::collections::HashMap;

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

/// The special tokens of a vocabulary.
#[derive(Debug, Clone, Default)]
pub(crate) struct Specials {
    /// In the order of ids.
    list: Vec<(String, u32)>,
    by_name: HashMap<String, u32>,
}

impl Specials {
    /// Names must be distinct and not empty.
    pub(crate) fn new(mut list: Vec<(String, u32)>) -> Self {
        list.sort_by_key(|(_, id)| *id);
        let by_name = list.iter().cloned().collect();
        Self { list, by_name }
    }

    pub(crate) fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Names and ids in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.list.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// A finder of the allowed tokens; the error is the first unknown name.
    pub(crate) fn finder<'a>(&'a self, allowed: AllowedSpecial<'a>) -> Result<Finder<'a>, &'a str> {
        let names: Vec<&str> = match allowed {
            AllowedSpecial::None => Vec::new(),
            AllowedSpecial::All => self.list.iter().map(|(name, _)| name.as_str()).collect(),
            AllowedSpecial::Only(names) => names.to_vec(),
        };
        let mut finder = Finder {
            starts: [false; 256],
            lens: Vec::new(),
            names: HashMap::with_capacity(names.len()),
        };
        for name in names {
            let id = self.id(name).ok_or(name)?;
            finder.starts[usize::from(name.as_bytes()[0])] = true;
            finder.lens.push(name.len());
            finder.names.insert(name.as_bytes(), id);
        }
        finder.lens.sort_unstable_by(|a, b| b.cmp(a));
        finder.lens.dedup();
        Ok(finder)
    }
}

/// Finds special tokens in a text: the leftmost one, and the longest of those that start at one
/// place.
#[derive(Debug)]
pub(crate) struct Finder<'a> {
    /// Whether a name starts with this byte.
    starts: [bool; 256],
    /// Lengths of names, falling.
    lens: Vec<usize>,
    names: HashMap<&'a [u8], u32>,
}

impl Finder<'_> {
    /// The next special token at or after `from`: where it starts and ends, and its id.
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
            for &len in &self.lens {
                if let Some(id) = bytes
                    .get(at..at + len)
                    .and_then(|name| self.names.get(name))
                {
                    return Some((at, at + len, *id));
                }
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_and_then_the_longest() {
        let specials = Specials::new(vec![
            ("<a>".to_owned(), 7),
            ("<a><b>".to_owned(), 8),
            ("é".to_owned(), 9),
        ]);
        let all = specials.finder(AllowedSpecial::All).unwrap();
        let text = "<<a><b><a>é";
        assert_eq!(all.next(text, 0), Some((1, 7, 8)));
        assert_eq!(all.next(text, 7), Some((7, 10, 7)));
        assert_eq!(all.next(text, 10), Some((10, 12, 9)));
        assert_eq!(all.next(text, 12), None);
        let one = specials.finder(AllowedSpecial::Only(&["<a>"])).unwrap();
        assert_eq!(one.next(text, 0), Some((1, 4, 7)));
        let none = specials.finder(AllowedSpecial::None).unwrap();
        assert_eq!(none.next(text, 0), None);
        let unknown = specials.finder(AllowedSpecial::Only(&["<c>"]));
        assert_eq!(unknown.unwrap_err(), "<c>");
    }
}
