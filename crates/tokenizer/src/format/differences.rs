//! Differences between a tokenizer and what another program's file keeps of it.

use crate::bpe::BpeTokenizer;
use crate::ngram::NgramTokenizer;
use crate::tokenizer::Tokenizer;
use std::any::Any;

/// Compares a tokenizer with `after`, which was written in another program's format and read back.
/// Returns a phrase for each difference; none if both give the same ids for every text.
///
/// ```
/// use latimer_tokenizer::{BpeTokenizer, Pattern, differences};
///
/// let before = BpeTokenizer::from_merges(Pattern::Gpt4, &[], &["<|end|>"])?;
/// let (vocab, merges) = before.to_vocab_and_merges();
/// let after = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, Pattern::Gpt2)?;
/// assert_eq!(differences(&before, &after), ["the pattern gpt4, read back as gpt2"]);
/// # Ok::<(), latimer_tokenizer::Error>(())
/// ```
#[must_use]
pub fn differences(before: &dyn Tokenizer, after: &dyn Tokenizer) -> Vec<String> {
    let mut found = Vec::new();
    let (any, other) = (before as &dyn Any, after as &dyn Any);
    if let (Some(before), Some(after)) = (any.downcast_ref(), other.downcast_ref()) {
        of_bpe(before, after, &mut found);
    }
    if let (Some(before), Some(after)) = (
        any.downcast_ref::<NgramTokenizer>(),
        other.downcast_ref::<NgramTokenizer>(),
    ) && before.options().lines
        && !after.options().lines
    {
        found.push("that line ends are tokens (the setting lines)".to_owned());
    }
    if found.is_empty() && before.to_json() != after.to_json() {
        found.push("settings or tokens of this kind".to_owned());
    }
    found
}

fn of_bpe(before: &BpeTokenizer, after: &BpeTokenizer, found: &mut Vec<String>) {
    let (was, is) = (before.pattern(), after.pattern());
    if was != is {
        found.push(format!("the pattern {was}, read back as {is}"));
    }
    let gone = |from: &BpeTokenizer, to: &BpeTokenizer| {
        let has = |name, id| to.special(name) == Some(id);
        let names = from
            .added_tokens()
            .iter()
            .filter(|(name, id)| !has(name, *id));
        names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let (lost, made) = (gone(before, after), gone(after, before));
    if !lost.is_empty() {
        found.push(format!(
            "{} ({})",
            count(lost.len(), "special token"),
            listed(&lost)
        ));
    }
    if !made.is_empty() {
        let tokens = count(made.len(), "token");
        found.push(format!(
            "that {tokens} without a merge ({}) are not special",
            listed(&made)
        ));
    }
    if before.is_nfc() && !after.is_nfc() {
        found.push("that text is brought to form NFC".to_owned());
    }
    let (flags, kept) = (before.added_tokens().all_flags(), after.added_tokens());
    let changed: Vec<String> = before
        .added_tokens()
        .iter()
        .filter(|(name, id)| {
            kept.id(name) == Some(*id) && flags.get(id).is_some_and(|f| *f != kept.flags(*id))
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    if !changed.is_empty() {
        found.push(format!(
            "how texts are searched for {} ({})",
            count(changed.len(), "added token"),
            listed(&changed)
        ));
    }
    if before.template() != after.template() {
        found.push("the tokens around a text (the template in post_processor)".to_owned());
    }
    if before.ignore_merges() != after.ignore_merges() {
        found.push("that a piece which is a token is not merged (ignore_merges)".to_owned());
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The first names of a list.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}
