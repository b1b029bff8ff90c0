//! A tokenizer as Hugging Face's `tokenizer.json`.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::alphabet::to_text;
use super::added::written;
use crate::bpe::{BpeTokenizer, Part, Pattern, Template};
use crate::tokenizer::Tokenizer;

/// Writes the whole file. The order of fields and tokens is fixed, since it is part of the
/// fingerprint.
pub(crate) fn write(tokenizer: &BpeTokenizer) -> String {
    let quote = |text: &str| quoted(text);
    let mut json = String::from("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n");
    json += "  \"padding\": null,\n  \"added_tokens\": [";
    let mut comma = "";
    // Writing to a String cannot fail, so the results are dropped below.
    let added = tokenizer.added_tokens();
    for (name, id) in added.iter() {
        let _ = write!(
            json,
            "{comma}\n    {{\"id\": {id}, \"content\": {}, {}}}",
            quote(name),
            written(added.flags(id))
        );
        comma = ",";
    }
    json += if comma.is_empty() { "],\n" } else { "\n  ],\n" };
    json += match tokenizer.is_nfc() {
        true => "  \"normalizer\": {\"type\": \"NFC\"},\n",
        false => "  \"normalizer\": null,\n",
    };
    json += "  \"pre_tokenizer\": ";
    let byte_level = |prefix: bool, regex: bool| {
        format!(
            "{{\"type\": \"ByteLevel\", \"add_prefix_space\": {prefix}, \
             \"trim_offsets\": true, \"use_regex\": {regex}}}"
        )
    };
    match (tokenizer.pattern(), tokenizer.pattern().regex()) {
        (Pattern::Gpt2, _) => json += &byte_level(false, true),
        (Pattern::Smollm, _) => {
            let _ = write!(
                json,
                "{{\"type\": \"Sequence\", \"pretokenizers\": [\n    {{\"type\": \"Digits\", \
                 \"individual_digits\": true}},\n    {}\n  ]}}",
                byte_level(false, true)
            );
        }
        (_, None) => json += &byte_level(false, false),
        (_, Some(regex)) => {
            let _ = write!(
                json,
                "{{\"type\": \"Sequence\", \"pretokenizers\": [\n    {{\"type\": \"Split\", \
                 \"pattern\": {{\"Regex\": {}}}, \"behavior\": \"Isolated\", \"invert\": false}},\
                 \n    {}\n  ]}}",
                quote(regex),
                byte_level(false, false)
            );
        }
    }
    let _ = write!(
        json,
        ",\n  \"post_processor\": {},\n  \"decoder\": {},\n  \"model\": {{\n    \
         \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    \
         \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \
         \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": {},\n    \
         \"vocab\": {{",
        template(tokenizer.template()),
        byte_level(true, true),
        tokenizer.ignore_merges()
    );
    let names: Vec<Option<String>> = spelled(tokenizer);
    let mut comma = "";
    for (id, name) in names.iter().enumerate() {
        if let Some(name) = name {
            let _ = write!(json, "{comma}\n      {}: {id}", quote(name));
            comma = ",";
        }
    }
    json += "\n    },\n    \"merges\": [";
    let mut comma = "";
    let name = |id: u32| names[id as usize].as_deref().unwrap_or_default();
    for (left, right, _) in tokenizer.merges() {
        let line = quote(&format!("{} {}", name(left), name(right)));
        let _ = write!(json, "{comma}\n      {line}");
        comma = ",";
    }
    json += if comma.is_empty() {
        "]\n  }\n}\n"
    } else {
        "\n    ]\n  }\n}\n"
    };
    json
}

/// Every token in printable characters, special ones unchanged; `None` for an id without a token.
pub(in super::super) fn spelled(tokenizer: &BpeTokenizer) -> Vec<Option<String>> {
    let mut names: Vec<Option<String>> = (0..tokenizer.vocab_size() as u32)
        .map(|id| tokenizer.token_bytes(id).map(to_text))
        .collect();
    for (name, id) in tokenizer.added_tokens().iter() {
        names[id as usize] = Some(name.to_owned());
    }
    names
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn template(template: Option<&Template>) -> String {
    let Some(template) = template else {
        return "null".to_owned();
    };
    let parts = |parts: &[Part]| {
        let part = |part: &Part| {
            let (kind, id, type_id) = match part {
                Part::Named(at, type_id) => {
                    ("SpecialToken", template.names[*at].name.as_str(), type_id)
                }
                Part::A(type_id) => ("Sequence", "A", type_id),
                Part::B(type_id) => ("Sequence", "B", type_id),
            };
            format!(
                "{{\"{kind}\": {{\"id\": {}, \"type_id\": {type_id}}}}}",
                quoted(id)
            )
        };
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    };
    let names: Vec<String> = template
        .names
        .iter()
        .map(|named| {
            let (name, tokens) = (quoted(&named.name), Value::from(named.tokens.clone()));
            let ids = Value::from(named.ids.clone());
            format!("{name}: {{\"id\": {name}, \"ids\": {ids}, \"tokens\": {tokens}}}")
        })
        .collect();
    format!(
        "{{\"type\": \"TemplateProcessing\",\n    \"single\": [{}],\n    \"pair\": [{}],\n    \
         \"special_tokens\": {{{}}}}}",
        parts(&template.single),
        parts(&template.pair),
        names.join(", ")
    )
}
