//! The keys that earlier versions wrote for a model's shape.

use crate::{Error, GptConfig, MlpKind, NormKind, PositionKind, Result};
use serde_json::{Map, Value};

/// Makes a model's shape as versions up to 3 of the checkpoint's format wrote it what [`GptConfig`]
/// reads; nothing happens to one of today's.
///
/// | then | today |
/// |---|---|
/// | `layer_norm`: true, false | `norm`: `layer`, `none` |
/// | `layer_norm_eps`, if not 1e-5 | `norm_eps` |
/// | `positions`: true, false | `positions`: `learned`, `none` |
/// | `ff_factor`, a multiple of `n_embd` or 0; else `ff_width` | `mlp` and `ff_width` |
///
/// # Errors
/// [`Error::InvalidConfig`] names an old key whose value is of a wrong kind.
pub fn migrate_config(object: &mut Map<String, Value>) -> Result<()> {
    if object.contains_key("norm") {
        return Ok(());
    }
    let refused = |key, value: &Value, kind: &str| Error::InvalidConfig {
        key,
        got: value.to_string(),
        reason: format!("it must be {kind}"),
    };
    let mut flag = |key, now: &str, names: [&str; 2]| match object.remove(key) {
        None => Ok(()),
        Some(Value::Bool(on)) => {
            object.insert(now.to_owned(), names[usize::from(on)].into());
            Ok(())
        }
        Some(other) => Err(refused(key, &other, "true or false")),
    };
    let names = [NormKind::None, NormKind::Layer].map(NormKind::name);
    flag("layer_norm", "norm", names)?;
    let names = [PositionKind::None, PositionKind::Learned].map(PositionKind::name);
    flag("positions", "positions", names)?;
    let eps = object.remove("layer_norm_eps");
    let eps = eps.unwrap_or_else(|| GptConfig::NORM_EPS.to_string().parse().unwrap_or_default());
    object.insert("norm_eps".to_owned(), eps);
    let (mlp, width) = match (object.remove("ff_factor"), object.get("ff_width")) {
        (None, None) => return Ok(()),
        (None, Some(Value::Number(width))) if width.as_u64() == Some(0) => {
            (MlpKind::None, Value::from(0))
        }
        (None, Some(width)) => (MlpKind::Plain, width.clone()),
        (Some(_), Some(width)) => {
            return Err(refused("ff_width", width, "absent beside ff_factor"));
        }
        (Some(factor), None) => {
            let kind = "a whole number, 0 or more";
            let size = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
            let mut shape = GptConfig {
                n_embd: object.get("n_embd").and_then(size).unwrap_or(0),
                ff_proj: object.get("ff_proj") != Some(&Value::Bool(false)),
                ..GptConfig::gpt2(1)
            };
            shape.set_ff_factor(size(&factor).ok_or_else(|| refused("ff_factor", &factor, kind))?);
            (shape.mlp, shape.ff_width.into())
        }
    };
    object.insert("mlp".to_owned(), mlp.name().into());
    object.insert("ff_width".to_owned(), width);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::config_from_json;
    use crate::{Activation, GptConfig, MlpKind, NormKind, PositionKind, WeightInit};
    use std::path::Path;

    fn read(text: &str) -> crate::Result<GptConfig> {
        config_from_json(text, Path::new("config.json"))
    }

    /// `config.json` of `lm0`, 4 wide, by the last version that wrote such files.
    const BARE: &str = r#"{
  "activation": "relu",
  "attn_proj": false,
  "bias": true,
  "block_size": 16,
  "causal": false,
  "dropout": 0.20000000298023224,
  "ff_factor": 0,
  "ff_proj": false,
  "head_bias": true,
  "init": "torch",
  "layer_norm": false,
  "model_type": "latimer-gpt",
  "n_embd": 4,
  "n_head": 1,
  "n_layer": 1,
  "padded_vocab_size": 21,
  "positions": false,
  "qkv_bias": false,
  "residual": false,
  "tie": false,
  "vocab_size": 21
}
"#;

    fn bare() -> GptConfig {
        GptConfig {
            n_layer: 1,
            n_head: 1,
            n_embd: 4,
            block_size: 16,
            norm: NormKind::None,
            positions: PositionKind::None,
            mlp: MlpKind::None,
            ff_proj: false,
            attn_proj: false,
            init: WeightInit::Torch,
            dropout: 0.2,
            activation: Activation::Relu,
            qkv_bias: false,
            head_bias: true,
            tie: false,
            causal: false,
            residual: false,
            ..GptConfig::gpt2(21)
        }
    }

    #[test]
    fn earlier_files_are_read() {
        assert_eq!(read(BARE).unwrap(), bare());
        let with = |changes: &[(&str, &str)]| {
            let text = changes.iter().fold(BARE.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            });
            read(&text)
        };
        let factor = "\"ff_factor\": 0";
        let plain = |ff_width, ff_proj| GptConfig {
            mlp: MlpKind::Plain,
            ff_width,
            ff_proj,
            ..bare()
        };
        // Without a projection the inner layer is as wide as the model.
        assert_eq!(
            with(&[(factor, "\"ff_factor\": 1")]).unwrap(),
            plain(0, false)
        );
        let proj = ("\"ff_proj\": false", "\"ff_proj\": true");
        for (now, ff_width) in [
            ("\"ff_factor\": 1", 4),
            ("\"ff_factor\": 4", 0),
            ("\"ff_width\": 9", 9),
        ] {
            assert_eq!(with(&[proj, (factor, now)]).unwrap(), plain(ff_width, true));
        }
        let switched = with(&[
            (
                "\"layer_norm\": false",
                "\"layer_norm\": true, \"layer_norm_eps\": 0.001",
            ),
            ("\"positions\": false", "\"positions\": true"),
            (
                "\"tie\": false",
                "\"tie\": false, \"scale_attn_weights\": false",
            ),
        ]);
        let want = GptConfig {
            norm: NormKind::Layer,
            norm_eps: 1e-3,
            positions: PositionKind::Learned,
            scale_attn_weights: false,
            ..bare()
        };
        assert_eq!(switched.unwrap(), want);
    }

    #[test]
    fn old_keys_of_a_wrong_kind_are_named() {
        for (from, to, says) in [
            (
                "\"layer_norm\": false",
                "\"layer_norm\": 0",
                "layer_norm is 0: it must be true or false",
            ),
            (
                "\"positions\": false",
                "\"positions\": 1",
                "positions is 1: it must be true or false",
            ),
            (
                "\"ff_factor\": 0",
                "\"ff_factor\": -1",
                "ff_factor is -1: it must be a whole number, 0 or more",
            ),
            (
                "\"ff_factor\": 0",
                "\"ff_factor\": 1, \"ff_width\": 4",
                "ff_width is 4: it must be absent beside ff_factor",
            ),
            ("\"layer_norm\": false,", "", "it has no norm"),
            ("\"ff_factor\": 0,", "", "it has no ff_width"),
        ] {
            let said = read(&BARE.replace(from, to)).unwrap_err().to_string();
            assert!(said.ends_with(says), "{said}");
        }
    }
}
