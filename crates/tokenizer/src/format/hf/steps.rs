//! The steps around the model: changes to a text before it, and to tokens after it.

use serde_json::{Map, Value};

use super::field::Field;
use crate::bpe::{BpeError, Pattern};

/// Accepts normalizers that leave the text unchanged, and refuses all others.
pub(super) fn normalizer(field: Field<'_>) -> Result<(), BpeError> {
    const NONE: &str = "text is taken as it comes, only null can be read";
    for step in field.flat("normalizers")? {
        let is_off = |name: &str| {
            matches!(
                step.value.get(name),
                None | Some(Value::Null | Value::Bool(false))
            )
        };
        let known: &[&str] = match step.kind() {
            "Strip" => &["strip_left", "strip_right"],
            "BertNormalizer" => &[
                "clean_text",
                "handle_chinese_chars",
                "strip_accents",
                "lowercase",
            ],
            _ => return step.refuse(NONE),
        };
        // An absent field may mean "on", so every field must be given as off.
        let is_said = known.iter().all(|name| step.value.get(name).is_some());
        if !is_said || !known.iter().all(|name| is_off(name)) {
            return step.refuse(NONE);
        }
        step.only(&[&["type"], known].concat())?;
    }
    Ok(())
}

/// The pattern that the file's steps cut text by.
pub(super) fn pre_tokenizer(field: Field<'_>) -> Result<Pattern, BpeError> {
    const SHAPES: &str =
        "only \"ByteLevel\", or a \"Sequence\" of a \"Split\" and a \"ByteLevel\", can be read";
    let steps = field.flat("pretokenizers")?;
    if let Some(other) = steps
        .iter()
        .find(|step| !matches!(step.kind(), "Split" | "ByteLevel"))
    {
        return other.refuse(SHAPES);
    }
    let kinds: Vec<&str> = steps.iter().map(|step| step.kind()).collect();
    match (kinds.as_slice(), steps.as_slice()) {
        (["ByteLevel"], [bytes]) => Ok(if byte_level(*bytes)? {
            Pattern::Gpt2
        } else {
            Pattern::None
        }),
        (["Split", "ByteLevel"], [split, bytes]) => {
            if byte_level(*bytes)? {
                return part(*bytes, "use_regex")?
                    .with(&Value::from(true))
                    .refuse("text is split before, only false can be read here");
            }
            split_pattern(*split)
        }
        _ => field.refuse(SHAPES),
    }
}

/// A field of a step, under the name of the whole part of the file.
fn part<'a>(step: Field<'a>, name: &'a str) -> Result<Field<'a>, BpeError> {
    let map: &Map<String, Value> = step.object("expected an object")?;
    Ok(Field::of(map, step.name, name))
}

fn split_pattern(split: Field<'_>) -> Result<Pattern, BpeError> {
    split.only(&["type", "pattern", "behavior", "invert"])?;
    let invert = part(split, "invert")?.flag(false)?;
    let behavior = part(split, "behavior")?;
    // The known expressions match everything, so the text between matches can be removed, and
    // isolated matches are the same pieces as isolated gaps.
    match (behavior.value.as_str(), invert) {
        (Some("Isolated"), _) | (Some("Removed"), true) => {}
        (Some("Removed"), false) => {
            return part(split, "invert")?.refuse("with \"Removed\", only true can be read");
        }
        _ => return behavior.refuse("only \"Isolated\" and inverted \"Removed\" can be read"),
    }
    let pattern = part(split, "pattern")?;
    pattern.only(&["Regex", "String"])?;
    let regex = pattern.value.get("Regex").and_then(Value::as_str);
    match regex.and_then(Pattern::from_regex) {
        Some(known) => Ok(known),
        None => pattern
            .refuse("only the expressions of GPT-2, GPT-4, cl100k, o200k and nanochat can be read"),
    }
}

/// Whether a `ByteLevel` step cuts text by its own expression.
fn byte_level(step: Field<'_>) -> Result<bool, BpeError> {
    step.only(BYTE_LEVEL_FIELDS)?;
    let prefix = part(step, "add_prefix_space")?;
    // The format defines no default for this field.
    if prefix.value != &Value::from(false) {
        return prefix.refuse("text is taken as it comes, only false can be read");
    }
    part(step, "trim_offsets")?.flag(true)?;
    part(step, "use_regex")?.flag(true)
}

const BYTE_LEVEL_FIELDS: &[&str] = &["type", "add_prefix_space", "trim_offsets", "use_regex"];

/// Accepts steps after the model that add no token. They may change the offsets of tokens, which
/// are not used here.
pub(super) fn post_processor(field: Field<'_>) -> Result<(), BpeError> {
    for step in field.flat("processors")? {
        match step.kind() {
            "ByteLevel" => offsets_only(step)?,
            "TemplateProcessing" => {
                // What the template does to pairs of texts does not matter: only single texts are
                // encoded.
                step.only(&["type", "single", "pair", "special_tokens"])?;
                let is_text =
                    |piece: &Value| piece.pointer("/Sequence/id") == Some(&Value::from("A"));
                match step
                    .value
                    .get("single")
                    .and_then(Value::as_array)
                    .map(Vec::as_slice)
                {
                    Some([text]) if is_text(text) => {}
                    _ => {
                        return step
                            .refuse("only a template that adds nothing to a text can be read");
                    }
                }
            }
            _ => {
                return step
                    .refuse("only \"ByteLevel\", and a template that adds nothing, can be read");
            }
        }
    }
    Ok(())
}

/// Accepts decoders that invert `ByteLevel`; without any decoder, decoding inverts it as well.
pub(super) fn decoder(field: Field<'_>) -> Result<(), BpeError> {
    for step in field.flat("decoders")? {
        match step.kind() {
            "ByteLevel" => offsets_only(step)?,
            // `Fuse` joins the texts of tokens, which is done anyway.
            "Fuse" => step.only(&["type"])?,
            _ => return step.refuse("only \"ByteLevel\" can be read"),
        }
    }
    Ok(())
}

/// Checks a `ByteLevel` after the model: its fields change neither ids nor text.
fn offsets_only(step: Field<'_>) -> Result<(), BpeError> {
    step.only(BYTE_LEVEL_FIELDS)?;
    for name in &BYTE_LEVEL_FIELDS[1..] {
        part(step, name)?.flag(true)?;
    }
    Ok(())
}
