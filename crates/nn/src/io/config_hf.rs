//! Hugging Face's `config.json` of a GPT-2 model (`transformers`' `GPT2Config`, version 5).
//!
//! [`read`] uses a key, checks that it says what Latimer computes, or refuses it. Keys of
//! [`NO_NUMBERS`] never change a logit: they are about training, generation, labels, other heads,
//! or the library itself.

use super::keys::{Keys, as_size};
use crate::{Activation, GptConfig, Result};
use serde_json::Value;

/// What such files say they are.
pub(super) const MODEL_TYPE: &str = "gpt2";

/// The library's names of activations that Latimer computes. Several names are of one function.
const ACTIVATIONS: [(&str, Activation); 8] = [
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("relu", Activation::Relu),
];

/// Classes whose logits are those of the language-model head.
const ARCHITECTURES: [&str; 2] = ["GPT2LMHeadModel", "GPT2Model"];

/// Types of weights, by PyTorch's names: a remark, since each tensor has its own. It may not be one
/// that stands for numbers in another way, such as `int8` or `float8_e4m3fn`.
const DTYPES: [&str; 5] = ["float32", "float16", "bfloat16", "float64", "auto"];

/// Rates of dropout, which a model in evaluation does not have.
const DROPOUT: [&str; 4] = [
    "attn_pdrop",
    "embd_pdrop",
    "resid_pdrop",
    "summary_first_dropout",
];

/// Parts that Latimer does not compute: their keys may only say that the model has none of them.
const ABSENT: [&str; 14] = [
    "add_cross_attention",
    "attention_chunk_size",
    "auto_map",
    "cross_attention_hidden_size",
    "is_encoder_decoder",
    "per_layer_config",
    "pruned_heads",
    "quantization_config",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_encoder_decoder",
    "use_bfloat16",
];

/// Keys that change no logit.
const NO_NUMBERS: [&str; 81] = [
    // the library
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_experts_implementation",
    "_name_or_path",
    "attn_implementation",
    "name_or_path",
    "transformers_version",
    "tokenizer_class",
    "torchscript",
    "chunk_size_feed_forward",
    "gradient_checkpointing",
    "is_decoder",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "return_dict",
    "tie_last_hidden_states",
    "use_cache",
    "use_return_dict",
    "tf_legacy_loss",
    "xla_device",
    // first weights
    "initializer_range",
    // tasks and other heads
    "_num_labels",
    "finetuning_task",
    "id2label",
    "label2id",
    "line_by_line",
    "n_special",
    "num_labels",
    "predict_special_tokens",
    "problem_type",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    // tokens with a meaning
    "bos_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "pad_token_id",
    "sep_token_id",
    // generation, whose settings `generate` has of its own
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "penalty_alpha",
    "prefix",
    "remove_invalid_values",
    "renormalize_logits",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "target_lookbehind",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "max_new_tokens",
    "min_new_tokens",
];

/// The file's name of a key of [`GptConfig`].
pub(super) fn name(key: &'static str) -> &'static str {
    match key {
        "block_size" => "n_positions",
        "ff_width" => "n_inner",
        "norm_eps" => "layer_norm_epsilon",
        other => other,
    }
}

/// The configuration of a GPT-2 model. An absent key has the library's default.
pub(super) fn read(keys: &mut Keys<'_>) -> Result<GptConfig> {
    let vocab_size = alike(keys, ["vocab_size", "n_vocab"])?.unwrap_or(50257);
    let positions = alike(keys, ["n_positions", "max_position_embeddings", "n_ctx"])?;
    let n_layer = alike(keys, ["n_layer", "num_hidden_layers"])?.unwrap_or(12);
    let n_head = alike(keys, ["n_head", "num_attention_heads"])?.unwrap_or(12);
    let n_embd = alike(keys, ["n_embd", "hidden_size"])?.unwrap_or(768);
    let config = GptConfig {
        // Their tables have exactly these rows.
        padded_vocab_size: vocab_size,
        n_layer,
        n_head,
        n_embd,
        block_size: positions.unwrap_or(1024),
        ..GptConfig::gpt2(vocab_size)
    };

    let inner = "a whole number above 0, or null for 4 times n_embd";
    let ff_width = keys.get("n_inner", inner, |value| match value {
        Value::Null => Some(0),
        value => as_size(value).filter(|&n| n > 0),
    })?;
    let eps = keys.get("layer_norm_epsilon", "a number above 0", |value| {
        // A number that f32 rounds to 0 is refused, too.
        let eps = value.as_f64()? as f32;
        (eps > 0.0 && eps.is_finite()).then_some(eps)
    })?;
    let activation = keys.named("activation_function", &ACTIVATIONS)?;
    let tie = keys.flag("tie_word_embeddings")?;
    let scale_attn_weights = keys.flag("scale_attn_weights")?;
    let by_layer = keys.flag("scale_attn_by_inverse_layer_idx")?;
    // It says in which order, and that in f32: the numbers are the same.
    keys.flag("reorder_and_upcast_attn")?;
    check(keys)?;
    Ok(GptConfig {
        ff_width: ff_width.unwrap_or(config.ff_width),
        norm_eps: eps.unwrap_or(config.norm_eps),
        activation: activation.unwrap_or(config.activation),
        tie: tie.unwrap_or(config.tie),
        scale_attn_weights: scale_attn_weights.unwrap_or(config.scale_attn_weights),
        scale_attn_by_inverse_layer_idx: by_layer.unwrap_or(config.scale_attn_by_inverse_layer_idx),
        ..config
    })
}

/// A size that has several names: those that are there must agree.
fn alike<const N: usize>(keys: &mut Keys<'_>, names: [&'static str; N]) -> Result<Option<usize>> {
    let mut found: Option<(&str, usize)> = None;
    for name in names {
        let Some(size) = keys.size(name)? else {
            continue;
        };
        match found {
            Some((first, other)) if other != size => {
                let reason = format!("{first}, which means the same, is {other}");
                return Err(keys.refuse(name, &size.into(), &reason));
            }
            _ => found = found.or(Some((name, size))),
        }
    }
    Ok(found.map(|(_, size)| size))
}

/// Keys that are not used: they must say what Latimer computes.
fn check(keys: &mut Keys<'_>) -> Result<()> {
    for key in DROPOUT {
        let rate = |value: &Value| value.as_f64().filter(|rate| (0.0..=1.0).contains(rate));
        keys.get(key, "a rate from 0 to 1", rate)?;
    }
    for key in ABSENT {
        let Some(value) = keys.value(key) else {
            continue;
        };
        let absent = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Object(parts) => parts.is_empty(),
            Value::Array(parts) => parts.is_empty(),
            _ => false,
        };
        if !absent {
            let reason = "Latimer does not compute such a part of a model";
            return Err(keys.refuse(key, value, reason));
        }
    }
    if let Some(value) = keys.value("is_causal").filter(|&v| *v != Value::Bool(true)) {
        let reason = "Latimer's GPT-2 sees earlier positions only: it must be true";
        return Err(keys.refuse("is_causal", value, reason));
    }
    let names = |value: &Value| -> Option<Vec<String>> {
        match value {
            Value::Null => Some(Vec::new()),
            Value::Array(names) => names
                .iter()
                .map(|name| name.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        }
    };
    let classes = keys.get("architectures", "a list of names", names)?;
    let mut classes = classes.into_iter().flatten();
    if let Some(class) = classes.find(|class| !ARCHITECTURES.contains(&class.as_str())) {
        let reason = format!("Latimer computes {} only", ARCHITECTURES.join(" and "));
        return Err(keys.refuse("architectures", &class.into(), &reason));
    }
    for key in ["torch_dtype", "dtype"] {
        let kind = format!("one of {}, or null", DTYPES.join(", "));
        keys.get(key, &kind, |value| match value {
            Value::Null => Some(()),
            value => {
                let name = value.as_str()?;
                let name = name.strip_prefix("torch.").unwrap_or(name);
                DTYPES.contains(&name).then_some(())
            }
        })?;
    }
    for key in NO_NUMBERS {
        keys.value(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::config_from_json;
    use super::*;
    use serde_json::json;
    use std::path::Path;

    /// A small model's file with some keys added or changed.
    fn with(changes: Value) -> Result<GptConfig> {
        let mut file = json!({"model_type": "gpt2", "vocab_size": 11, "n_positions": 8,
            "n_embd": 6, "n_layer": 2, "n_head": 2});
        for (key, value) in changes.as_object().unwrap() {
            file[key] = value.clone();
        }
        config_from_json(&file.to_string(), Path::new("m/config.json"))
    }

    fn said(changes: Value) -> String {
        match with(changes.clone()) {
            Ok(_) => panic!("{changes} is read"),
            Err(error) => error.to_string(),
        }
    }

    fn small() -> GptConfig {
        GptConfig {
            n_layer: 2,
            n_head: 2,
            n_embd: 6,
            block_size: 8,
            ..GptConfig::gpt2(11)
        }
    }

    #[test]
    fn absent_keys_have_the_librarys_defaults() {
        let text = r#"{"model_type": "gpt2"}"#;
        let read = config_from_json(text, Path::new("config.json")).unwrap();
        let gpt2 = GptConfig {
            padded_vocab_size: 50257,
            ..GptConfig::gpt2(50257)
        };
        assert_eq!(read, gpt2);
        assert_eq!(with(json!({})).unwrap(), small());
    }

    #[test]
    fn keys_that_change_numbers_are_used() {
        let used = with(json!({"layer_norm_epsilon": 1e-3, "n_inner": 7,
            "scale_attn_by_inverse_layer_idx": true, "scale_attn_weights": false,
            "activation_function": "relu", "tie_word_embeddings": false}));
        let want = GptConfig {
            norm_eps: 1e-3,
            ff_width: 7,
            scale_attn_by_inverse_layer_idx: true,
            scale_attn_weights: false,
            activation: Activation::Relu,
            tie: false,
            ..small()
        };
        assert_eq!(used.unwrap(), want);
        assert_eq!(with(json!({"n_inner": null})).unwrap(), small());
        let aliases = json!({"model_type": "gpt2", "vocab_size": 11, "n_ctx": 8,
            "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2});
        let read = config_from_json(&aliases.to_string(), Path::new("config.json"));
        assert_eq!(read.unwrap(), small());
    }

    /// Whatever `GPT2Config` of transformers 5.24 writes, and what files of other versions hold.
    #[test]
    fn files_of_the_library_are_read() {
        let saved = json!({"activation_function": "gelu_new", "add_cross_attention": false,
            "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256,
            "dtype": "float32", "embd_pdrop": 0.1, "eos_token_id": 50256,
            "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "n_inner": null,
            "pad_token_id": null, "reorder_and_upcast_attn": false, "resid_pdrop": 0.1,
            "scale_attn_by_inverse_layer_idx": false, "scale_attn_weights": true,
            "summary_activation": null, "summary_first_dropout": 0.1,
            "summary_proj_to_labels": true, "summary_type": "cls_index",
            "summary_use_proj": true, "tie_word_embeddings": true,
            "transformers_version": "5.24.0", "use_cache": true});
        assert_eq!(with(saved).unwrap(), small());
        let older = json!({"_num_labels": 1, "n_ctx": 8, "output_past": true, "n_special": 0,
            "predict_special_tokens": true, "id2label": {"0": "LABEL_0"},
            "label2id": {"LABEL_0": 0}, "pruned_heads": {}, "torch_dtype": "torch.float16",
            "gradient_checkpointing": false, "is_encoder_decoder": false,
            "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}},
            "architectures": ["GPT2Model"], "quantization_config": null, "is_causal": true,
            "line_by_line": true, "n_vocab": 11, "use_bfloat16": false});
        assert_eq!(with(older).unwrap(), small());
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (key, value, words) in [
            (
                "activation_function",
                json!("quick_gelu"),
                "one of gelu_new,",
            ),
            ("activation_function", json!("silu"), "one of gelu_new,"),
            ("activation_function", json!("gelu_10"), "one of gelu_new,"),
            ("activation_function", json!(null), "one of gelu_new,"),
            ("add_cross_attention", json!(true), "such a part"),
            ("is_encoder_decoder", json!(true), "such a part"),
            ("pruned_heads", json!({"0": [1]}), "such a part"),
            ("quantization_config", json!({"bits": 4}), "such a part"),
            ("auto_map", json!({"AutoModel": "x.Y"}), "such a part"),
            ("per_layer_config", json!({"0": {}}), "such a part"),
            ("rope_theta", json!(1e4), "such a part"),
            ("is_causal", json!(false), "it must be true"),
            (
                "architectures",
                json!(["GPT2ForSequenceClassification"]),
                "GPT2LMHeadModel",
            ),
            ("architectures", json!("GPT2LMHeadModel"), "a list of names"),
            ("dtype", json!("int8"), "one of float32,"),
            ("layer_norm_eps", json!(1e-5), "does not know this key"),
            ("alibi", json!(null), "does not know this key"),
            (
                "n_ctx",
                json!(16),
                "n_positions, which means the same, is 8",
            ),
            (
                "hidden_size",
                json!(8),
                "n_embd, which means the same, is 6",
            ),
        ] {
            let said = said(json!({key: value}));
            let place = format!("m/config.json: {key} is ");
            assert!(said.starts_with(&place) && said.contains(words), "{said}");
        }
    }

    #[test]
    fn wrong_kinds_never_become_defaults() {
        let wrong = [
            json!("x"),
            json!([]),
            json!({}),
            json!("true"),
            json!("8"),
            json!(-1),
        ];
        for key in [
            "vocab_size",
            "n_positions",
            "n_ctx",
            "n_embd",
            "n_layer",
            "n_head",
            "n_inner",
            "layer_norm_epsilon",
            "tie_word_embeddings",
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "reorder_and_upcast_attn",
            "activation_function",
            "attn_pdrop",
            "model_type",
        ] {
            for value in &wrong {
                let said = said(json!({key: value}));
                assert!(
                    said.contains(&format!("{key} is ")),
                    "{key}: {value}: {said}"
                );
            }
        }
        for (key, value) in [
            ("n_inner", json!(0)),
            ("n_inner", json!(6.5)),
            ("n_inner", json!(24.0)),
            ("n_layer", json!(null)),
            ("n_positions", json!(null)),
            ("layer_norm_epsilon", json!(null)),
            ("layer_norm_epsilon", json!(0.0)),
            ("layer_norm_epsilon", json!(1e-60)),
            ("layer_norm_epsilon", json!(true)),
            ("tie_word_embeddings", json!(null)),
            ("tie_word_embeddings", json!(1)),
            ("scale_attn_weights", json!(0)),
            ("attn_pdrop", json!(1.5)),
        ] {
            let said = said(json!({key: value}));
            assert!(
                said.contains(&format!("m/config.json: {key} is ")),
                "{said}"
            );
        }
        let large = said(json!({"n_embd": 9223372036854775807u64, "n_head": 1}));
        assert!(
            large.starts_with("m/config.json: n_embd is 9223372036854775807"),
            "{large}"
        );
        let wide = said(json!({"n_inner": 1u64 << 40}));
        assert!(
            wide.starts_with("m/config.json: n_inner is 1099511627776"),
            "{wide}"
        );
    }
}
