//! `config.json`: a model's shape beside its weights. Hugging Face's GPT-2 files are read too.

use crate::{Activation, Error, GptConfig, Result, WeightInit};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What our files say they are.
const MODEL_TYPE: &str = "latimer-gpt";

/// The file's text.
#[must_use]
pub fn config_to_json(config: &GptConfig) -> String {
    let name_of = |names: &[(&'static str, Activation)]| {
        names
            .iter()
            .find(|(_, a)| *a == config.activation)
            .map_or("gelu_tanh", |(name, _)| name)
    };
    let init = WeightInit::NAMES.iter().find(|(_, i)| *i == config.init);
    let value = json!({
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
        "padded_vocab_size": config.padded_vocab_size,
        "block_size": config.block_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "ff_factor": config.ff_factor,
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
    format!("{value:#}\n")
}

/// Reads a file's text; `path` goes into messages.
///
/// # Errors
/// [`Error::Malformed`] when it is no JSON, another kind of model, or lacks a key;
/// [`Error::InvalidConfig`] when it describes no model.
pub fn config_from_json(text: &str, path: &Path) -> Result<GptConfig> {
    let malformed = |reason: String| Error::Malformed {
        path: path.to_owned(),
        what: "model configuration",
        reason,
    };
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let keys = Keys(
        value
            .as_object()
            .ok_or_else(|| malformed("it holds no object".into()))?,
    );
    let config = match keys.0.get("model_type").and_then(Value::as_str) {
        Some(MODEL_TYPE) => keys.ours(),
        Some("gpt2") => keys.gpt2(),
        Some(other) => Err(format!(
            "its model_type is {other}, not {MODEL_TYPE} or gpt2"
        )),
        None => Err(format!("it has no model_type ({MODEL_TYPE} or gpt2)")),
    };
    let config = config.map_err(malformed)?;
    config.check()?;
    Ok(config)
}

/// Reads `config.json`.
///
/// # Errors
/// [`Error::Io`], and as [`config_from_json`].
pub fn read_config(path: &Path) -> Result<GptConfig> {
    let io = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    config_from_json(&std::fs::read_to_string(path).map_err(io)?, path)
}

struct Keys<'v>(&'v Map<String, Value>);

impl Keys<'_> {
    fn get<T>(
        &self,
        key: &str,
        kind: &str,
        as_kind: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, String> {
        let value = self.0.get(key).ok_or_else(|| format!("it has no {key}"))?;
        as_kind(value).ok_or_else(|| format!("its {key} is {value}, not {kind}"))
    }

    fn size(&self, key: &str) -> Result<usize, String> {
        self.get(key, "a size", |v| {
            v.as_u64().and_then(|n| usize::try_from(n).ok())
        })
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn named<T: Copy>(&self, key: &str, names: &[(&str, T)]) -> Result<T, String> {
        let name = self.get(key, "a name", |v| v.as_str().map(str::to_owned))?;
        let found = names.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("its {key} is {name}, which is unknown"))
    }

    fn ours(&self) -> Result<GptConfig, String> {
        Ok(GptConfig {
            vocab_size: self.size("vocab_size")?,
            padded_vocab_size: self.size("padded_vocab_size")?,
            block_size: self.size("block_size")?,
            n_layer: self.size("n_layer")?,
            n_head: self.size("n_head")?,
            n_embd: self.size("n_embd")?,
            ff_factor: self.size("ff_factor")?,
            ff_proj: self.flag("ff_proj")?,
            attn_proj: self.flag("attn_proj")?,
            activation: self.named("activation", &Activation::NAMES)?,
            init: self.named("init", &WeightInit::NAMES)?,
            dropout: self.get("dropout", "a number", Value::as_f64)? as f32,
            bias: self.flag("bias")?,
            qkv_bias: self.flag("qkv_bias")?,
            head_bias: self.flag("head_bias")?,
            tie: self.flag("tie")?,
            causal: self.flag("causal")?,
            positions: self.flag("positions")?,
            residual: self.flag("residual")?,
            layer_norm: self.flag("layer_norm")?,
        })
    }

    /// Hugging Face's keys (`transformers/models/gpt2/configuration_gpt2.py`).
    fn gpt2(&self) -> Result<GptConfig, String> {
        let sizes = ["n_layer", "n_head", "n_embd"].map(|key| self.size(key));
        let [n_layer, n_head, n_embd] = sizes;
        let block_size = self.size("n_positions").or_else(|_| self.size("n_ctx"))?;
        let config = GptConfig::gpt2(
            self.size("vocab_size")?,
            block_size,
            n_layer?,
            n_head?,
            n_embd?,
        );
        let names = [
            ("gelu_new", Activation::GeluTanh),
            ("gelu_pytorch_tanh", Activation::GeluTanh),
            ("gelu", Activation::Gelu),
            ("relu", Activation::Relu),
        ];
        let activation = match self.0.get("activation_function") {
            None => Activation::GeluTanh,
            Some(_) => self.named("activation_function", &names)?,
        };
        let tie = self
            .0
            .get("tie_word_embeddings")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        // Null or missing: four times the width, as `GptConfig::gpt2` has it.
        let ff_factor = match self.0.get("n_inner").and_then(Value::as_u64) {
            None => config.ff_factor,
            Some(n_inner) => {
                let width = config.n_embd.max(1) as u64;
                if n_inner % width != 0 {
                    return Err(format!(
                        "its n_inner is {n_inner}, not a multiple of n_embd"
                    ));
                }
                usize::try_from(n_inner / width).unwrap_or(usize::MAX)
            }
        };
        Ok(GptConfig {
            activation,
            tie,
            ff_factor,
            ..config
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let config = GptConfig {
            activation: Activation::Relu,
            init: WeightInit::Torch,
            dropout: 0.2,
            tie: false,
            head_bias: true,
            ..GptConfig::gpt2(65, 256, 6, 6, 384)
        };
        let read = config_from_json(&config_to_json(&config), Path::new("config.json"));
        assert_eq!(read.unwrap(), config);
    }

    #[test]
    fn hugging_faces_gpt2_is_read() {
        let text = r#"{"model_type": "gpt2", "activation_function": "gelu_new", "n_ctx": 1024,
            "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257}"#;
        let read = config_from_json(text, Path::new("config.json")).unwrap();
        assert_eq!(read, GptConfig::gpt2(50257, 1024, 12, 12, 768));
    }

    /// Any number may stand in a file; none may overflow, or ask for memory without end.
    #[test]
    fn sizes_that_no_model_has_are_refused() {
        let say = |change: &dyn Fn(&mut GptConfig)| {
            let mut config = GptConfig::gpt2(65, 256, 6, 6, 384);
            change(&mut config);
            let read = config_from_json(&config_to_json(&config), Path::new("config.json"));
            read.unwrap_err().to_string()
        };
        let said = say(&|c| c.n_layer = 1 << 20);
        assert_eq!(said, "n_layer is 1048576, but it must be at most 1024");
        let said = say(&|c| c.padded_vocab_size = 1 << 20);
        assert!(
            said.starts_with("padded_vocab_size is 1048576, but"),
            "{said}"
        );
        let said = say(&|c| (c.n_layer, c.n_embd, c.n_head) = (1024, 1 << 24, 1));
        assert!(
            said.contains("parameters, and no model is that large"),
            "{said}"
        );
        let text = r#"{"model_type": "gpt2", "n_embd": 9223372036854775807, "n_head": 1,
            "n_layer": 1, "n_positions": 8, "vocab_size": 5}"#;
        let said = config_from_json(text, Path::new("config.json")).unwrap_err();
        assert!(
            said.to_string()
                .starts_with("n_embd is 9223372036854775807"),
            "{said}"
        );
    }

    #[test]
    fn foreign_files_are_named() {
        let say = |text| {
            config_from_json(text, Path::new("m/config.json"))
                .unwrap_err()
                .to_string()
        };
        assert!(say("{").starts_with("m/config.json is no model configuration: EOF"));
        assert!(say(r#"{"model_type": "bert"}"#).ends_with("is bert, not latimer-gpt or gpt2"));
    }
}
