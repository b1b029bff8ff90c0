mod overlay;
mod property;
mod validate;

use std::path::Path;

use super::value::Value;
use super::*;

fn flags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `baby` under these flags.
fn baby(pairs: &[(&str, &str)]) -> Result<Config> {
    Config::resolve(Some("baby"), None, &flags(pairs))
}

fn refused(pairs: &[(&str, &str)]) -> ConfigError {
    baby(pairs).expect_err("refused")
}

fn from_text(text: &str) -> Result<Config> {
    Config::from_toml(text, Path::new("run.toml"))
}

// ---- table and structs

#[test]
fn keys_are_the_fields_of_the_structs_in_order() {
    let mut fields = Vec::new();
    let mut section = String::new();
    for line in toml::to_string(&Config::preset("baby").unwrap())
        .unwrap()
        .lines()
    {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name.to_owned();
        } else if let Some((name, _)) = line.split_once(" = ") {
            fields.push(format!("{section}.{name}"));
        }
    }
    assert_eq!(fields.remove(0), ".preset");
    assert_eq!(fields, KEYS.iter().map(Key::path).collect::<Vec<_>>());
}

#[test]
fn names_are_unique_and_found_by_every_spelling() {
    for key in KEYS {
        let same_name = KEYS.iter().filter(|other| other.name == key.name).count();
        assert_eq!(same_name, 1, "{}", key.path());
        for spelling in [key.name.to_owned(), key.path(), key.flag()[2..].to_owned()] {
            assert_eq!(Key::find(&spelling).unwrap().path(), key.path());
        }
        assert!(
            !key.help.ends_with('.') && !key.help.contains('\n'),
            "{}",
            key.help
        );
    }
}

#[test]
fn every_value_is_of_its_keys_kind_and_can_be_set_back() {
    for preset in PRESETS {
        let config = Config::preset(preset.name).unwrap();
        let mut copy = config.clone();
        for key in KEYS {
            let value = key.get(&config);
            let fits = match (key.value, &value) {
                (KeyKind::Integer, Value::Integer(_))
                | (KeyKind::Float, Value::Float(_))
                | (KeyKind::Bool, Value::Bool(_))
                | (KeyKind::Text, Value::Text(_))
                | (KeyKind::TextList, Value::TextList(_))
                | (KeyKind::FloatList, Value::FloatList(_)) => true,
                (KeyKind::Choice(names), Value::Text(name)) => names.contains(&name.as_str()),
                _ => false,
            };
            assert!(fits, "{}: {value:?}", key.path());
            key.set(&mut copy, value).unwrap();
        }
        assert_eq!(copy, config);
    }
}

// ---- presets

#[test]
fn every_preset_is_valid_under_its_own_name() {
    for preset in PRESETS {
        let config = Config::preset(preset.name).unwrap();
        assert_eq!(config.preset, preset.name);
        config.validate().unwrap();
        assert_eq!(config.warnings(), Vec::<String>::new());
        assert_eq!(config.require_data().is_ok(), preset.name != "gpt2-124m");
    }
    assert_eq!(
        Config::resolve(None, None, &[]).unwrap(),
        Config::preset(DEFAULT_PRESET).unwrap()
    );
}

#[test]
fn presets_have_the_published_sizes() {
    for (name, vocab_size, parameters) in [
        ("seed", 256, 42_368),
        ("baby", 65, 809_856),
        ("char10m", 65, 10_770_816),
        ("char10m-b8", 65, 10_770_816),
        ("lm0", 65, 7_297),
        ("lm1", 65, 7_297),
        ("lm2", 65, 8_865),
        ("lm3", 65, 9_921),
        ("lm4", 65, 54_657),
        ("lm5", 65, 30_017),
        ("scaled", 65, 10_788_929),
        ("gpt2-124m", 50_257, 124_439_808),
    ] {
        let model = Config::preset(name).unwrap().model.with_vocab(vocab_size);
        let (_, declarations) = latimer_nn::Gpt::new(&model).unwrap();
        assert_eq!(declarations.num_parameters(), parameters, "{name}");
    }
}

/// What each rung changes, key by key: nothing of the training, and no switch by accident.
#[test]
fn each_model_of_the_ladder_is_the_one_before_with_these_changes() {
    let changes = |before: &str, after: &str| -> Vec<String> {
        let [before, after] = [before, after].map(|name| Config::preset(name).unwrap());
        let changed = diff(&before, &after);
        changed.iter().map(ToString::to_string).collect()
    };
    for (before, after, expected) in [
        ("lm0", "lm1", &["model.causal: false → true"][..]),
        (
            "lm1",
            "lm2",
            &[
                "model.n_head: 1 → 2",
                "model.positions: \"none\" → \"learned\"",
                "model.attn_proj: false → true",
            ],
        ),
        ("lm2", "lm3", &["model.mlp: \"none\" → \"plain\""]),
        (
            "lm3",
            "lm4",
            &[
                "model.n_layer: 1 → 4",
                "model.ff_proj: false → true",
                "model.residual: false → true",
            ],
        ),
        (
            "lm4",
            "lm5",
            &["model.n_layer: 4 → 2", "model.norm: \"none\" → \"layer\""],
        ),
        // The last is the larger model in small.
        (
            "lm5",
            "scaled",
            &[
                "model.n_layer: 2 → 6",
                "model.n_head: 2 → 6",
                "model.n_embd: 32 → 384",
                "model.block_size: 16 → 256",
                "model.dropout: 0.0 → 0.2",
            ],
        ),
    ] {
        assert_eq!(changes(before, after), expected, "{before} → {after}");
    }
}

#[test]
fn an_unknown_preset_offers_the_nearest_and_all() {
    let error = Config::preset("bab").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown preset `bab`: did you mean `baby`? (presets: phrasebook, seed, lm0, lm1, lm2, \
         lm3, lm4, lm5, scaled, baby, char10m, char10m-b8, gpt2-124m)"
    );
    for (typed, meant) in [
        ("gpt2", "gpt2-124m"),
        ("Phrasebok", "phrasebook"),
        ("sede", "seed"),
    ] {
        match Config::resolve(Some(typed), None, &[]).unwrap_err() {
            error @ ConfigError::UnknownPreset { .. } => {
                assert!(error.is_usage());
                let start =
                    format!("unknown preset `{typed}` (from --preset): did you mean `{meant}`?");
                assert!(error.to_string().starts_with(&start), "{error}");
            }
            other => panic!("{other}"),
        }
    }
    let error = from_text("\npreset = \"bayb\"").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`bayb` (from run.toml, line 2): did you"),
        "{error}"
    );
    assert!(!error.is_usage());
}

// ---- printing

#[test]
fn every_preset_reads_back_from_its_commented_toml() {
    for preset in PRESETS {
        let config = Config::preset(preset.name).unwrap();
        let text = config.to_commented_toml();
        assert_eq!(from_text(&text).unwrap(), config);
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        let uncommented = text
            .lines()
            .filter(|line| line.contains(" = ") && !line.contains(" # "));
        assert_eq!(uncommented.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

#[test]
fn printed_text_is_as_a_person_writes_it() {
    let text = Config::preset("char10m").unwrap().to_commented_toml();
    for start in [
        "preset = \"char10m\"            # ",
        "[model]\nn_layer = 6 ",
        "\ndropout = 0.2 ",
        "\nlearning_rate = 0.001 ",
        "\neps = 1e-8 ",
        "\ndata = \"shakespeare\" ",
        "\nschedule = \"cosine\"           # course of the learning rate after the warm-up: constant, cosine",
    ] {
        assert!(text.contains(start), "{start:?} is not in:\n{text}");
    }
}

#[test]
fn serde_writes_what_it_reads() {
    let mut config = baby(&[("dropout", "0.2"), ("seed", "18446744073709551615")]).unwrap();
    for data in [&[][..], &["a"], &["a", "b"], &[""]] {
        config.data.data = data.iter().map(|&name| name.to_owned()).collect();
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains("\"dropout\":0.2,"), "{json}");
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }
}

#[test]
fn differences_are_listed_by_key() {
    let before = baby(&[]).unwrap();
    assert!(diff(&before, &before).is_empty());
    let after = baby(&[("seed", "7"), ("data", "a.txt"), ("dropout", "0.1")]).unwrap();
    let differences: Vec<_> = diff(&before, &after)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        differences,
        [
            "model.dropout: 0.0 → 0.1",
            "train.seed: 1337 → 7",
            "data.data: \"shakespeare\" → \"a.txt\""
        ]
    );
}
