//! Where a text is cut into a part to train on and a part to validate on.

use crate::Result;
use latimer_tokenizer::Tokenizer;

/// The ids of a text's two parts. The second is about the last `val_fraction` of the characters:
/// the cut is moved to the nearest place known where the tokenizer may be cut, so that both parts
/// together are the ids of the whole text. A word that is known is known in either part.
///
/// # Errors
/// [`crate::Error::Tokenizer`], with the place in the whole text.
pub(super) fn encode_split(
    text: &str,
    tokenizer: &dyn Tokenizer,
    val_fraction: f64,
) -> Result<[Vec<u32>; 2]> {
    // As nanoGPT: the first int((1 - fraction) * n) characters are trained on.
    let characters = text.chars().count();
    let kept = (characters as f64 * (1.0 - val_fraction)) as usize;
    let wanted = text
        .char_indices()
        .nth(kept)
        .map_or(text.len(), |(at, _)| at);
    let (train, validation) = text.split_at(place_near(text, tokenizer, wanted));
    let encode = |part: &str| tokenizer.encode(part);
    match encode(train).and_then(|train| Ok([train, encode(validation)?])) {
        Ok(parts) => Ok(parts),
        // An error names line and column: those of the text as the person knows it.
        Err(error) => Err(tokenizer.encode(text).err().unwrap_or(error).into()),
    }
}

/// The place nearest to `wanted` where the tokenizer may be cut, of those that are easily found;
/// `wanted` itself if there is no such place.
fn place_near(text: &str, tokenizer: &dyn Tokenizer, wanted: usize) -> usize {
    if wanted == 0 || wanted == text.len() {
        return wanted;
    }
    let before = tokenizer.cut(&text[..wanted]);
    if before == wanted {
        return wanted;
    }
    let after = place_after(text, tokenizer, wanted);
    match (before, after) {
        (0, None) => wanted,
        (0, Some(after)) => after,
        (before, Some(after)) if after - wanted < wanted - before => after,
        (before, _) => before,
    }
}

/// The last place to cut of the shortest beginning that reaches past `wanted` and has one there.
/// The beginnings reach twice as far each time. A place at the very end leaves no second part.
fn place_after(text: &str, tokenizer: &dyn Tokenizer, wanted: usize) -> Option<usize> {
    let mut reach = 1;
    loop {
        let mut end = wanted.saturating_add(reach).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let cut = tokenizer.cut(&text[..end]);
        if cut >= wanted {
            return Some(cut).filter(|&cut| cut < text.len());
        }
        if end == text.len() {
            return None;
        }
        reach *= 2;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use latimer_tokenizer::{
        BpeTrainer, CharTokenizer, NgramOptions, NgramTokenizer, Pattern, WordTokenizer,
    };

    fn tokenizers(text: &str) -> Vec<Box<dyn Tokenizer>> {
        vec![
            Box::new(CharTokenizer::fit(text).unwrap()),
            Box::new(WordTokenizer::fit(text).unwrap()),
            Box::new(
                NgramTokenizer::fit_with(text.split('\n'), NgramOptions::language_model(200))
                    .unwrap(),
            ),
            Box::new(
                BpeTrainer::new(300, Pattern::Gpt2)
                    .train(&[text], &mut |_| {})
                    .unwrap(),
            ),
        ]
    }

    /// Whatever the length, and so wherever the cut is wanted: both parts are the whole, and the
    /// cut is less than a word off.
    #[test]
    fn both_parts_are_the_whole_for_every_kind() {
        let lines = "Wherefore art thou, l'été? – Here!\n\n  What's a name:\tunpronounceable…\n";
        let whole = lines.repeat(8);
        let lengths = (lines.chars().count() * 4)..(lines.chars().count() * 5);
        for length in lengths {
            let text: String = whole.chars().take(length).collect();
            for tokenizer in tokenizers(&text) {
                for fraction in [0.0, 0.1, 0.37, 0.5] {
                    let [train, validation] = encode_split(&text, &*tokenizer, fraction).unwrap();
                    let all = tokenizer.encode(&text).unwrap();
                    let kind = tokenizer.kind();
                    assert_eq!([&train[..], &validation].concat(), all, "{kind} {length}");
                    let kept = tokenizer.decode(&train).unwrap().chars().count() as f64;
                    let share = kept / tokenizer.decode(&all).unwrap().chars().count() as f64;
                    let off = (1.0 - fraction - share).abs() * length as f64;
                    assert!(
                        off < 20.0,
                        "{kind} {length} {fraction}: {off} characters off"
                    );
                    assert_eq!(validation.is_empty(), fraction == 0.0);
                }
            }
        }
    }

    /// The first int(0.9 n) characters, as ever.
    #[test]
    fn characters_are_cut_where_they_always_were() {
        let text: String = ('a'..='z').cycle().take(1003).collect();
        let tokenizer = CharTokenizer::fit(&text).unwrap();
        let [train, validation] = encode_split(&text, &tokenizer, 0.1).unwrap();
        assert_eq!((train.len(), validation.len()), (902, 101));
    }

    /// A tokenizer that can be cut after a `|` alone.
    #[derive(Debug)]
    struct Bars(CharTokenizer);

    impl Tokenizer for Bars {
        fn kind(&self) -> &'static str {
            "bars"
        }
        fn vocab_size(&self) -> usize {
            self.0.vocab_size()
        }
        fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> latimer_tokenizer::Result<()> {
            self.0.encode_into(text, ids)
        }
        fn decode_next(
            &self,
            previous: Option<u32>,
            id: u32,
            bytes: &mut Vec<u8>,
        ) -> latimer_tokenizer::Result<()> {
            self.0.decode_next(previous, id, bytes)
        }
        fn cut(&self, text: &str) -> usize {
            text.rfind('|').map_or(0, |at| at + 1)
        }
        fn is_lossless(&self) -> bool {
            true
        }
        fn special(&self, _: &str) -> Option<u32> {
            None
        }
        fn token_bytes(&self, id: u32) -> Option<&[u8]> {
            self.0.token_bytes(id)
        }
        fn to_json(&self) -> String {
            self.0.to_json()
        }
    }

    #[test]
    fn the_nearest_place_is_taken_and_never_the_end() {
        let bars = Bars(CharTokenizer::fit("a|é").unwrap());
        for (text, wanted, place) in [
            ("aaaaaaaaaa", 7, 7),
            ("a|aaaaaaaa", 7, 2),
            ("a|aaaaaaa|a", 7, 10),
            ("a|aa|aa|aa", 6, 5),
            ("aaaaaaaaa|", 7, 7),
            ("aa|aaaaaa|", 7, 3),
            ("aaaaaaa|éa", 7, 8),
            ("aaaaaaaéé|a", 7, 12),
            ("aaaa", 0, 0),
            ("a|aa", 4, 4),
        ] {
            assert_eq!(place_near(text, &bars, wanted), place, "{text} {wanted}");
        }
    }

    #[test]
    fn an_unknown_word_is_named_by_its_place_in_the_whole_text() {
        let tokenizer = WordTokenizer::fit("a b c\n").unwrap();
        let text = "a b c\n".repeat(20) + "a x c\n";
        let error = encode_split(&text, &tokenizer, 0.2).unwrap_err();
        assert!(error.to_string().contains("line 21, column 3"), "{error}");
    }
}
