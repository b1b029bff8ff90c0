//! `config.json`: a model's shape beside its weights. Hugging Face's GPT-2 files are read too.
//!
//! Every key of a file is used, or checked to say what Latimer computes, or refused by its name.

use super::config_hf;
use super::json;
use crate::{Activation, Error, GptConfig, Result, WeightInit};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::Path;

/// What our files say they are.
const MODEL_TYPE: &str = "latimer-gpt";
/// What messages call such a file.
const WHAT: &str = "model configuration";
/// Characters of a value that a message shows.
const SHOWN: usize = 60;

/// The file's text. Keys that came after the first version are written only where they depart from
/// GPT-2's architecture, so that an earlier version reads every model that it can compute.
#[must_use]
pub fn config_to_json(config: &GptConfig) -> String {
    let name_of = |names: &[(&'static str, Activation)]| {
        names
            .iter()
            .find(|(_, a)| *a == config.activation)
            .map_or("gelu_tanh", |(name, _)| name)
    };
    let init = WeightInit::NAMES.iter().find(|(_, i)| *i == config.init);
    let mut value = json!({
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
        "padded_vocab_size": config.padded_vocab_size,
        "block_size": config.block_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "ff_proj": config.ff_proj,
        "attn_proj": config.attn_proj,
        "activation": name_of(&Activation::NAMES),
        "init": init.map_or("gpt2", |(name, _)| name),
        "dropout": f64::from(config.dropout),
        "bias": config.bias,
        "qkv_bias": config.qkv_bias,
        "head_bias": config.head_bias,
        "tie": config.tie,
        "causal": config.causal,
        "positions": config.positions,
        "residual": config.residual,
        "layer_norm": config.layer_norm,
    });
    let width = config.n_embd.max(1);
    match config.ff_width.is_multiple_of(width) {
        true => value["ff_factor"] = (config.ff_width / width).into(),
        false => value["ff_width"] = config.ff_width.into(),
    }
    if config.layer_norm_eps != GptConfig::LAYER_NORM_EPS {
        value["layer_norm_eps"] = f64::from(config.layer_norm_eps).into();
    }
    if !config.scale_attn_weights {
        value["scale_attn_weights"] = false.into();
    }
    if config.scale_attn_by_inverse_layer_idx {
        value["scale_attn_by_inverse_layer_idx"] = true.into();
    }
    format!("{value:#}\n")
}

/// Reads a file's text; `path` goes into messages.
///
/// Of Hugging Face's GPT-2 files, dropout rates are checked and not taken: the model is read to be
/// evaluated.
///
/// # Errors
/// [`Error::Malformed`] when it is no JSON, another kind of model, or lacks a key;
/// [`Error::ConfigKey`] names a key whose value is of a wrong kind, or asks for what Latimer does not
/// compute, and a key that is not known.
pub fn config_from_json(text: &str, path: &Path) -> Result<GptConfig> {
    Ok(Source::parse(&json::object(text.as_bytes(), path, WHAT)?, path)?.config)
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
    /// Whether it is Hugging Face's.
    pub(super) foreign: bool,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::parse(&json::read_object(path, WHAT)?, path)
    }

    fn parse(object: &Map<String, Value>, path: &Path) -> Result<Self> {
        let mut keys = Keys::new(object, path);
        let model_type = keys.get("model_type", "a name", |v| v.as_str().map(str::to_owned))?;
        let foreign = match model_type.as_deref() {
            Some(MODEL_TYPE) => false,
            Some(config_hf::MODEL_TYPE) => true,
            Some(other) => {
                return Err(keys.malformed(format!(
                    "its model_type is {other}, not {MODEL_TYPE} or {}",
                    config_hf::MODEL_TYPE
                )));
            }
            None => {
                return Err(keys.malformed(format!(
                    "it has no model_type ({MODEL_TYPE} or {})",
                    config_hf::MODEL_TYPE
                )));
            }
        };
        let config = match foreign {
            true => config_hf::read(&mut keys)?,
            false => ours(&mut keys)?,
        };
        keys.refuse_unknown(foreign)?;
        config.check().map_err(|error| match error {
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

/// The keys of a file, and which have been read.
pub(super) struct Keys<'v> {
    object: &'v Map<String, Value>,
    path: &'v Path,
    read: HashSet<&'static str>,
}

impl<'v> Keys<'v> {
    fn new(object: &'v Map<String, Value>, path: &'v Path) -> Self {
        let read = HashSet::new();
        Self { object, path, read }
    }

    /// A key's value as it stands.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'v Value> {
        self.read.insert(key);
        self.object.get(key)
    }

    /// A key's value, or `None` without the key; `kind` says what it must be.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        kind: &str,
        as_kind: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match as_kind(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.refuse(key, value, &format!("it must be {kind}"))),
            },
        }
    }

    pub(super) fn size(&mut self, key: &'static str) -> Result<Option<usize>> {
        self.get(key, "a whole number, 0 or more", as_size)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.get(key, "true or false", Value::as_bool)
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<f64>> {
        self.get(key, "a number", Value::as_f64)
    }

    /// One of several names.
    pub(super) fn named<T: Copy>(
        &mut self,
        key: &'static str,
        names: &[(&str, T)],
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let found = names
            .iter()
            .find(|(known, _)| value.as_str() == Some(*known));
        let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
        match found {
            Some((_, named)) => Ok(Some(*named)),
            None => {
                let reason = format!("it must be one of {}", known.join(", "));
                Err(self.refuse(key, value, &reason))
            }
        }
    }

    fn required<T>(&self, key: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| self.malformed(format!("it has no {key}")))
    }

    pub(super) fn malformed(&self, reason: String) -> Error {
        Error::Malformed {
            path: self.path.to_owned(),
            what: WHAT,
            reason,
        }
    }

    /// The refusal of a key's value.
    pub(super) fn refuse(&self, key: &str, value: &Value, reason: &str) -> Error {
        let mut got = value.to_string();
        if let Some((end, _)) = got.char_indices().nth(SHOWN) {
            got.truncate(end);
            got.push('…');
        }
        Error::ConfigKey {
            path: self.path.to_owned(),
            key: key.to_owned(),
            got,
            reason: reason.to_owned(),
        }
    }

    /// Refuses the first key that nothing has read.
    fn refuse_unknown(&self, foreign: bool) -> Result<()> {
        let unknown = self.object.iter();
        let mut unknown = unknown.filter(|(key, _)| !self.read.contains(key.as_str()));
        let Some((key, value)) = unknown.next() else {
            return Ok(());
        };
        let reason = match foreign {
            true => {
                "Latimer does not know this key of a GPT-2 model: remove it from the file if it \
                 changes nothing"
            }
            false => "this version does not know the key: was the file written by a later one?",
        };
        Err(self.refuse(key, value, reason))
    }
}

/// A whole number that is not negative.
pub(super) fn as_size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

/// Reads a file of ours, [`config_to_json`]'s of this version or an earlier one.
fn ours(keys: &mut Keys<'_>) -> Result<GptConfig> {
    let mut size = |key| {
        let size = keys.size(key)?;
        keys.required(key, size)
    };
    let [vocab_size, padded_vocab_size, block_size] = [
        size("vocab_size")?,
        size("padded_vocab_size")?,
        size("block_size")?,
    ];
    let [n_layer, n_head, n_embd] = [size("n_layer")?, size("n_head")?, size("n_embd")?];
    let ff_width = match (keys.size("ff_factor")?, keys.size("ff_width")?) {
        (Some(factor), None) => factor.saturating_mul(n_embd),
        (None, Some(width)) => width,
        (Some(_), Some(_)) => {
            return Err(keys.malformed("it has both ff_factor and ff_width".to_owned()));
        }
        (None, None) => return Err(keys.malformed("it has no ff_factor".to_owned())),
    };
    let activation = keys.named("activation", &Activation::NAMES)?;
    let init = keys.named("init", &WeightInit::NAMES)?;
    let dropout = keys.number("dropout")?;
    let layer_norm_eps = keys.number("layer_norm_eps")?;
    let scale_attn_weights = keys.flag("scale_attn_weights")?.unwrap_or(true);
    let by_layer = keys.flag("scale_attn_by_inverse_layer_idx")?;
    let (activation, init, dropout) = (
        keys.required("activation", activation)?,
        keys.required("init", init)?,
        keys.required("dropout", dropout)?,
    );
    let mut flag = |key| {
        let flag = keys.flag(key)?;
        keys.required(key, flag)
    };
    Ok(GptConfig {
        vocab_size,
        padded_vocab_size,
        block_size,
        n_layer,
        n_head,
        n_embd,
        ff_width,
        ff_proj: flag("ff_proj")?,
        attn_proj: flag("attn_proj")?,
        activation,
        init,
        dropout: dropout as f32,
        bias: flag("bias")?,
        qkv_bias: flag("qkv_bias")?,
        head_bias: flag("head_bias")?,
        tie: flag("tie")?,
        causal: flag("causal")?,
        positions: flag("positions")?,
        residual: flag("residual")?,
        layer_norm: flag("layer_norm")?,
        layer_norm_eps: layer_norm_eps.map_or(GptConfig::LAYER_NORM_EPS, |eps| eps as f32),
        scale_attn_weights,
        scale_attn_by_inverse_layer_idx: by_layer.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GptConfig> {
        config_from_json(text, Path::new("m/config.json"))
    }

    fn said(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let standard = GptConfig {
            activation: Activation::Relu,
            init: WeightInit::Torch,
            dropout: 0.2,
            tie: false,
            head_bias: true,
            ..GptConfig::gpt2(65, 256, 6, 6, 384)
        };
        let odd = GptConfig {
            ff_width: 1000,
            layer_norm_eps: 3e-4,
            scale_attn_weights: false,
            scale_attn_by_inverse_layer_idx: true,
            ..standard.clone()
        };
        let none = GptConfig {
            ff_width: 0,
            ..standard.clone()
        };
        for config in [standard, odd, none] {
            assert_eq!(read(&config_to_json(&config)).unwrap(), config);
        }
    }

    /// Earlier versions read these bytes.
    #[test]
    fn standard_models_are_written_as_ever() {
        let text = config_to_json(&GptConfig::gpt2(65, 256, 6, 6, 384));
        assert!(text.contains("\"ff_factor\": 4,\n"), "{text}");
        for key in ["ff_width", "layer_norm_eps", "scale_attn"] {
            assert!(!text.contains(key), "{text}");
        }
    }

    /// Any number may stand in a file; none may overflow, or ask for memory without end.
    #[test]
    fn sizes_that_no_model_has_are_refused() {
        let say = |change: &dyn Fn(&mut GptConfig)| {
            let mut config = GptConfig::gpt2(65, 256, 6, 6, 384);
            change(&mut config);
            said(&config_to_json(&config))
        };
        assert_eq!(
            say(&|c| c.n_layer = 1 << 20),
            "m/config.json: n_layer is 1048576: it must be at most 1024"
        );
        let padded = say(&|c| c.padded_vocab_size = 1 << 20);
        assert!(
            padded.starts_with("m/config.json: padded_vocab_size is 1048576: "),
            "{padded}"
        );
        let large = say(&|c| (c.n_layer, c.n_embd, c.n_head) = (1024, 1 << 24, 1));
        assert!(
            large.contains("parameters, and no model is that large"),
            "{large}"
        );
        let wide = say(&|c| c.ff_width = usize::MAX);
        assert!(wide.contains("ff_width is 18446744073709551615"), "{wide}");
        let eps = say(&|c| c.layer_norm_eps = 0.0);
        assert!(
            eps.ends_with("layer_norm_eps is 0: it must be above 0"),
            "{eps}"
        );
    }

    #[test]
    fn other_files_are_named() {
        assert!(said("{").starts_with("m/config.json is no model configuration: EOF"));
        assert!(said(r#"{"model_type": "bert"}"#).ends_with("is bert, not latimer-gpt or gpt2"));
        assert!(said("{}").ends_with("it has no model_type (latimer-gpt or gpt2)"));
        assert!(said(r#"{"model_type": 2}"#).ends_with("model_type is 2: it must be a name"));
    }

    #[test]
    fn no_key_of_ours_is_passed_over() {
        let whole = config_to_json(&GptConfig::gpt2(65, 256, 6, 6, 384));
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
        assert!(twice.contains("bias stands twice"), "{twice}");
        let both = with("\"ff_factor\": 4", "\"ff_factor\": 4, \"ff_width\": 9");
        assert!(
            both.ends_with("it has both ff_factor and ff_width"),
            "{both}"
        );
        let relu = with("\"gelu_tanh\"", "\"swish\"");
        assert!(
            relu.ends_with("activation is \"swish\": it must be one of gelu_tanh, gelu, relu"),
            "{relu}"
        );
    }
}
