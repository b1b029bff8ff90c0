//! `config.json`: a model's shape beside its weights. Hugging Face's GPT-2 files are read too.
//!
//! Every key of a file is used, or checked to say what Latimer computes, or refused by its name.

use super::json;
use super::keys::Keys;
use super::{config_hf, migrate_config};
use crate::{Error, GptConfig, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// What our files say they are.
const MODEL_TYPE: &str = "latimer-gpt";
/// What messages call such a file.
const WHAT: &str = "model configuration";
/// Characters of a value that a message shows.
const SHOWN: usize = 60;

/// The file's text: [`GptConfig`] as JSON, and `model_type`.
#[must_use]
pub fn config_to_json(config: &GptConfig) -> String {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    value["model_type"] = MODEL_TYPE.into();
    format!("{value:#}\n")
}

/// Reads a file's text, of this version or an earlier one ([`migrate_config`]); `path` goes into
/// messages.
///
/// Of Hugging Face's GPT-2 files, dropout rates are checked and not taken: the model is read to be
/// evaluated.
///
/// # Errors
/// [`Error::Malformed`] when it is no JSON, another kind of model, or lacks a key;
/// [`Error::ConfigKey`] names a key whose value is of a wrong kind, or asks for what Latimer does
/// not compute, and a key that is not known.
pub fn config_from_json(text: &str, path: &Path) -> Result<GptConfig> {
    Ok(Source::parse(json::object(text.as_bytes(), path, WHAT)?, path)?.config)
}

/// Reads `config.json`.
///
/// # Errors
/// [`Error::Io`], and as [`config_from_json`].
pub fn read_config(path: &Path) -> Result<GptConfig> {
    Ok(Source::read(path)?.config)
}

/// A configuration, and whose file it was.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) config: GptConfig,
    /// True if it is Hugging Face's.
    pub(super) foreign: bool,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::parse(json::read_object(path, WHAT)?, path)
    }

    fn parse(mut object: Map<String, Value>, path: &Path) -> Result<Self> {
        let theirs = config_hf::MODEL_TYPE;
        let foreign = match object.get("model_type") {
            Some(Value::String(name)) if name == MODEL_TYPE => false,
            Some(Value::String(name)) if name == theirs => true,
            Some(Value::String(other)) => {
                let reason = format!("its model_type is {other}, not {MODEL_TYPE} or {theirs}");
                return Err(malformed(path, reason));
            }
            Some(other) => return Err(refuse(path, "model_type", other, "it must be a name")),
            None => {
                let reason = format!("it has no model_type ({MODEL_TYPE} or {theirs})");
                return Err(malformed(path, reason));
            }
        };
        object.remove("model_type");
        let config = match foreign {
            true => {
                let mut keys = Keys::new(&object, path);
                let config = config_hf::read(&mut keys)?;
                keys.refuse_unknown().map(|()| config)
            }
            false => migrate_config(&mut object).and_then(|()| ours(&object, path)),
        };
        let checked = config.and_then(|config| config.check().map(|()| config));
        let config = checked.map_err(|error| match error {
            Error::InvalidConfig { key, got, reason } => Error::ConfigKey {
                path: path.to_owned(),
                key: if foreign { config_hf::name(key) } else { key }.to_owned(),
                got,
                reason,
            },
            error => error,
        })?;
        Ok(Self { config, foreign })
    }
}

pub(super) fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        what: WHAT,
        reason,
    }
}

/// The refusal of a key's value.
pub(super) fn refuse(path: &Path, key: &str, value: &Value, reason: &str) -> Error {
    let mut got = value.to_string();
    if let Some((end, _)) = got.char_indices().nth(SHOWN) {
        got.truncate(end);
        got.push('…');
    }
    Error::ConfigKey {
        path: path.to_owned(),
        key: key.to_owned(),
        got,
        reason: reason.to_owned(),
    }
}

/// Reads a file of ours, without its `model_type`.
fn ours(object: &Map<String, Value>, path: &Path) -> Result<GptConfig> {
    // serde says what is wrong with a value, not whose value it is: so each key is tried alone,
    // over a file that is sound.
    let sound = match serde_json::to_value(GptConfig::gpt2(1)) {
        Ok(Value::Object(sound)) => sound,
        _ => Map::new(),
    };
    let wrong_with = |key: &str, value: Value| {
        let mut whole = sound.clone();
        whole.insert(key.to_owned(), value);
        GptConfig::deserialize(Value::Object(whole)).err()
    };
    for (key, value) in object {
        let Some(error) = wrong_with(key, value.clone()) else {
            continue;
        };
        let text = error.to_string();
        let reason = if text.starts_with("unknown field") {
            "this version does not know the key: was the file written by a later version?"
                .to_owned()
        } else {
            // For an unknown name serde lists the known ones.
            let names = wrong_with(key, Value::String(String::new())).map(|e| e.to_string());
            let names = names.filter(|text| text.starts_with("unknown variant"));
            must_be(&names.unwrap_or(text))
        };
        return Err(refuse(path, key, value, &reason));
    }
    if let Some(missing) = sound.keys().find(|&key| !object.contains_key(key)) {
        return Err(malformed(path, format!("it has no {missing}")));
    }
    GptConfig::deserialize(Value::Object(object.clone()))
        .map_err(|error| malformed(path, error.to_string()))
}

/// serde's complaint in our words: "invalid type: integer `1`, expected a boolean" becomes "it must
/// be true or false".
fn must_be(complaint: &str) -> String {
    let expected = complaint
        .rsplit_once(", expected ")
        .map_or(complaint, |(_, kind)| kind);
    let kind = match expected {
        "a boolean" => "true or false".to_owned(),
        "usize" => "a whole number, 0 or more".to_owned(),
        "f32" => "a number".to_owned(),
        names => names.replace('`', ""),
    };
    format!("it must be {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, MlpKind, NormKind, PositionKind, WeightInit};

    fn read(text: &str) -> Result<GptConfig> {
        config_from_json(text, Path::new("m/config.json"))
    }

    fn said(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    fn small() -> GptConfig {
        GptConfig {
            n_layer: 6,
            n_head: 6,
            n_embd: 384,
            block_size: 256,
            dropout: 0.2,
            ..GptConfig::gpt2(65)
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let standard = GptConfig {
            activation: Activation::Relu,
            init: WeightInit::Torch,
            dropout: 0.2,
            tie: false,
            head_bias: true,
            ..small()
        };
        let odd = GptConfig {
            ff_width: 1000,
            norm_eps: 3e-4,
            scale_attn_weights: false,
            scale_attn_by_inverse_layer_idx: true,
            ..standard.clone()
        };
        let none = GptConfig {
            mlp: MlpKind::None,
            norm: NormKind::None,
            positions: PositionKind::None,
            ..standard.clone()
        };
        for config in [standard, odd, none] {
            assert_eq!(read(&config_to_json(&config)).unwrap(), config);
        }
    }

    /// What departs from GPT-2 in a way that only other programs' models do is written where it
    /// does.
    #[test]
    fn standard_models_have_no_keys_of_others() {
        let text = config_to_json(&small());
        for line in [
            "\"mlp\": \"plain\",\n",
            "\"norm\": \"layer\",\n",
            "\"dropout\": 0.2,\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("scale_attn"), "{text}");
    }

    /// Any number may stand in a file; none may overflow, or ask for memory without end.
    #[test]
    fn sizes_that_no_model_has_are_refused() {
        let say = |change: &dyn Fn(&mut GptConfig)| {
            let mut config = small();
            change(&mut config);
            said(&config_to_json(&config))
        };
        assert_eq!(
            say(&|c| c.n_layer = 1 << 20),
            "m/config.json: n_layer is 1048576: it must be from 1 to 1024"
        );
        let padded = say(&|c| c.padded_vocab_size = 1 << 20);
        assert!(
            padded.starts_with("m/config.json: padded_vocab_size is 1048576: "),
            "{padded}"
        );
        let large = say(&|c| (c.n_layer, c.n_embd, c.n_head) = (1024, 1 << 24, 1));
        assert!(
            large.contains("parameters, above the limit of 2199023255552: lower n_embd or n_layer"),
            "{large}"
        );
        let wide = say(&|c| c.ff_width = usize::MAX);
        assert!(wide.contains("ff_width is 18446744073709551615"), "{wide}");
        let eps = say(&|c| c.norm_eps = 0.0);
        assert!(
            eps.ends_with("norm_eps is 0: it must be finite and above 0"),
            "{eps}"
        );
    }

    #[test]
    fn other_files_are_named() {
        assert!(said("{").starts_with("m/config.json is not a valid model configuration: EOF"));
        assert!(said(r#"{"model_type": "bert"}"#).ends_with("is bert, not latimer-gpt or gpt2"));
        assert!(said("{}").ends_with("it has no model_type (latimer-gpt or gpt2)"));
        assert!(said(r#"{"model_type": 2}"#).ends_with("model_type is 2: it must be a name"));
    }

    #[test]
    fn no_key_of_ours_is_passed_over() {
        let whole = config_to_json(&small());
        let with = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from}");
            said(&whole.replacen(from, to, 1))
        };
        let later = with("\"bias\": true", "\"bias\": true, \"gated\": true");
        assert!(
            later.contains("gated is true: this version does not know the key"),
            "{later}"
        );
        assert!(with("\"n_layer\": 6,", "").ends_with("it has no n_layer"));
        assert!(
            with("\"tie\": true", "\"tie\": 1").ends_with("tie is 1: it must be true or false")
        );
        assert!(
            with("\"n_head\": 6", "\"n_head\": -6").contains("n_head is -6: it must be a whole")
        );
        let twice = with("\"bias\": true", "\"bias\": true, \"bias\": false");
        assert!(twice.contains("bias occurs twice"), "{twice}");
        let old = with(
            "\"norm\": \"layer\"",
            "\"norm\": \"layer\", \"layer_norm\": true",
        );
        assert!(
            old.contains("layer_norm is true: this version does not"),
            "{old}"
        );
        for (from, to, says) in [
            (
                "\"norm\": \"layer\"",
                "\"norm\": true",
                "norm is true: it must be none or layer",
            ),
            (
                "\"norm_eps\": 0.00001",
                "\"norm_eps\": \"x\"",
                "norm_eps is \"x\": it must be a number",
            ),
        ] {
            let said = with(from, to);
            assert!(said.ends_with(says), "{said}");
        }
        let relu = with("\"gelu_tanh\"", "\"swish\"");
        assert!(
            relu.ends_with("activation is \"swish\": it must be one of gelu_tanh, gelu, relu"),
            "{relu}"
        );
    }
}
