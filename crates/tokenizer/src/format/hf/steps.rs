//! The steps around the model: changes to a text before it, and to tokens after it.

use serde_json::{Map, Value};

use super::field::Field;
use crate::bpe::{BpeError, Named, Part, Pattern, Template};

/// Whether the text is brought to form NFC. Other normalizers are accepted only if they leave the
/// text unchanged.
pub(super) fn normalizer(field: Field<'_>) -> Result<bool, BpeError> {
    const NONE: &str = "only \"NFC\" and null can be read";
    let mut nfc = false;
    for step in field.flat("normalizers")? {
        let is_off = |name: &str| {
            matches!(
                step.value.get(name),
                None | Some(Value::Null | Value::Bool(false))
            )
        };
        let known: &[&str] = match step.kind() {
            "NFC" => {
                step.only(&["type"])?;
                nfc = true;
                continue;
            }
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
    Ok(nfc)
}

/// The pattern that the file's steps cut text by.
pub(super) fn pre_tokenizer(field: Field<'_>) -> Result<Pattern, BpeError> {
    const SHAPES: &str = "only \"ByteLevel\", or a \"Sequence\" of a \"Split\" or \"Digits\" and a \
                          \"ByteLevel\", can be read";
    let steps = field.flat("pretokenizers")?;
    if let Some(other) = steps
        .iter()
        .find(|step| !matches!(step.kind(), "Split" | "Digits" | "ByteLevel"))
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
                    .refuse("the text is already split, only false can be read here");
            }
            split_pattern(*split)
        }
        (["Digits", "ByteLevel"], [digits, bytes]) => {
            digits.only(&["type", "individual_digits"])?;
            if !part(*digits, "individual_digits")?.flag(false)? {
                return part(*digits, "individual_digits")?
                    .refuse("numbers of several digits are not kept whole, only true can be read");
            }
            if !byte_level(*bytes)? {
                return part(*bytes, "use_regex")?.refuse("after \"Digits\" only true can be read");
            }
            Ok(Pattern::Smollm)
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
            .refuse("only the expressions of GPT-2, GPT-4 (Llama-3 has the same), cl100k, o200k, nanochat, Qwen2 and SmolLM can be read"),
    }
}

/// Whether a `ByteLevel` step cuts text by its own expression.
fn byte_level(step: Field<'_>) -> Result<bool, BpeError> {
    step.only(BYTE_LEVEL_FIELDS)?;
    let prefix = part(step, "add_prefix_space")?;
    // The format defines no default for this field.
    if prefix.value != &Value::from(false) {
        return prefix.refuse("nothing is added before a text, only false can be read");
    }
    part(step, "trim_offsets")?.flag(true)?;
    part(step, "use_regex")?.flag(true)
}

const BYTE_LEVEL_FIELDS: &[&str] = &["type", "add_prefix_space", "trim_offsets", "use_regex"];

/// The template of the steps after the model, unless it adds nothing to a text. Other steps are
/// accepted if they add no token; they may change the offsets of tokens, which are not used here.
pub(super) fn post_processor(field: Field<'_>) -> Result<Option<Template>, BpeError> {
    let mut found = None;
    for step in field.flat("processors")? {
        match step.kind() {
            "ByteLevel" => offsets_only(step)?,
            "TemplateProcessing" => {
                let template = template(step)?;
                if template.around() != (&[], &[]) && found.replace(template).is_some() {
                    return step.refuse("only one template that adds tokens can be read");
                }
            }
            _ => return step.refuse("only \"ByteLevel\" and \"TemplateProcessing\" can be read"),
        }
    }
    Ok(found)
}

fn template(step: Field<'_>) -> Result<Template, BpeError> {
    step.only(&["type", "single", "pair", "special_tokens"])?;
    let mut names = match step.value.get("special_tokens") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, value)| named(name, value))
            .collect::<Option<Vec<_>>>()
            .map_or_else(
                || {
                    part(step, "special_tokens")?
                        .refuse("expected an object of names with \"ids\" and \"tokens\"")
                },
                Ok,
            )?,
        Some(_) => return part(step, "special_tokens")?.refuse("expected an object"),
    };
    names.sort_by(|a, b| a.name.cmp(&b.name));
    let parts = |name: &str| {
        let list = step.value.get(name).and_then(Value::as_array);
        let list: Option<Vec<Part>> = list?.iter().map(|value| piece(value, &names)).collect();
        list
    };
    let Some(single) = parts("single") else {
        return step
            .refuse("expected a template in \"single\", whose names are in \"special_tokens\"");
    };
    let pair = parts("pair").unwrap_or_default();
    match Template::new(single, pair, names) {
        Some(template) => Ok(template),
        None => step.refuse("only a template with the text \"A\" once in \"single\" can be read"),
    }
}

fn named(name: &str, value: &Value) -> Option<Named> {
    let list = |field: &str| value.get(field).and_then(Value::as_array);
    let known = ["id", "ids", "tokens"];
    let is_known = value
        .as_object()?
        .keys()
        .all(|key| known.contains(&key.as_str()));
    (is_known && value.get("id")?.as_str() == Some(name)).then_some(())?;
    Some(Named {
        name: name.to_owned(),
        ids: list("ids")?
            .iter()
            .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
            .collect::<Option<_>>()?,
        tokens: list("tokens")?
            .iter()
            .map(|token| token.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
    })
}

fn piece(value: &Value, names: &[Named]) -> Option<Part> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (kind, fields) = map.iter().next()?;
    let id = fields.get("id")?.as_str()?;
    let type_id = match fields.get("type_id") {
        None => 0,
        Some(number) => u32::try_from(number.as_u64()?).ok()?,
    };
    match (kind.as_str(), id) {
        ("Sequence", "A") => Some(Part::A(type_id)),
        ("Sequence", "B") => Some(Part::B(type_id)),
        ("SpecialToken", name) => {
            let at = names.iter().position(|named| named.name == name)?;
            Some(Part::Named(at, type_id))
        }
        _ => None,
    }
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
