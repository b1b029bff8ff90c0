//! Files and flags over presets.

use std::fs;
use std::path::Path;

use super::super::*;
use super::{baby, flags, from_text, refused};
use latimer_nn::{MlpKind, NormKind, PositionKind};

#[test]
fn flags_are_laid_over_the_file_and_the_file_over_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    let text = "preset = \"baby\"\n[train]\nmax_iters = 300\nlearning_rate = 1\n\
                [data]\ndata = ['a.txt', 'b.txt']\n[model]\ndropout = 0.1\n";
    fs::write(&file, text).unwrap();

    let config = Config::resolve(None, Some(&file), &flags(&[("max-iters", "200")])).unwrap();
    let mut expected = Config::preset("baby").unwrap();
    expected.train.max_iters = 200;
    expected.train.learning_rate = 1.0;
    expected.data.data = vec!["a.txt".to_owned(), "b.txt".to_owned()];
    expected.model.dropout = 0.1;
    assert_eq!(config, expected);

    // A preset named by flag is the base; the file's other keys still count.
    let config = Config::resolve(Some("seed"), Some(&file), &[]).unwrap();
    assert_eq!((config.preset.as_str(), config.model.n_embd), ("seed", 32));
    assert_eq!(config.train.max_iters, 300);
}

#[test]
fn flags_of_every_kind() {
    let config = baby(&[
        ("n_layer", "6"),
        ("train.learning_rate", "2e-3"),
        ("max_iters", "10_000"),
        ("tie", "false"),
        ("init", "torch"),
        ("data.tokenizer", "char.json"),
        ("data", "a.txt"),
        ("data.data", "b.txt"),
        ("seed", "18446744073709551615"),
        ("n-layer", "7"),
    ])
    .unwrap();
    assert_eq!(config.model.n_layer, 7);
    assert_eq!(config.train.learning_rate, 2e-3);
    assert_eq!(config.train.max_iters, 10_000);
    assert!(!config.model.tie);
    assert_eq!(config.model.init, latimer_nn::WeightInit::Torch);
    assert_eq!(config.data.tokenizer, "char.json");
    assert_eq!(config.data.data, ["a.txt", "b.txt"]);
    assert_eq!(config.train.seed, u64::MAX);
    let config = baby(&[("data.data", r#"["a.txt", 'b.txt']"#)]).unwrap();
    assert_eq!(config.data.data, ["a.txt", "b.txt"]);
    assert_eq!(
        baby(&[("data", "[draft].txt")]).unwrap().data.data,
        ["[draft].txt"]
    );
    assert!(baby(&[("data", "")]).unwrap().data.data.is_empty());
}

#[test]
fn weights_of_every_spelling() {
    let names = [("data", "a.txt"), ("data", "b.txt")];
    for spelling in [
        &[("data_weights", "3,0.5")][..],
        &[("data-weights", "3, 5e-1")],
        &[("data.data_weights", "[3, 0.5]")],
        &[("data_weights", "3"), ("data_weights", "0.5")],
    ] {
        let config = baby(&[&names, spelling].concat()).unwrap();
        assert_eq!(config.data.data_weights, [3.0, 0.5], "{spelling:?}");
    }
    let text = "preset = 'baby'\n[data]\ndata = ['a', 'b']\ndata_weights = [3, 0.5]\n";
    let config = from_text(text).unwrap();
    assert_eq!(config.data.data_weights, [3.0, 0.5]);
    assert!(
        config
            .to_commented_toml()
            .contains("data_weights = [3.0, 0.5]")
    );
    for (value, is) in [
        (
            "3,",
            "data.data_weights is 3,: it must be a list of numbers",
        ),
        ("a,b", "data.data_weights is a,b: it must be"),
    ] {
        let error = baby(&[&names[..], &[("data_weights", value)]].concat()).unwrap_err();
        assert!(error.to_string().contains(is), "{error}");
    }
    let error = from_text("[data]\ndata_weights = ['3', '1']\n").unwrap_err();
    let is = "['3', '1']: it must be a list of numbers such as [3, 1] (from run.toml, line 2)";
    assert!(error.to_string().ends_with(is), "{error}");
    let error = from_text("[data]\nweights = [3, 1]\n").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("did you mean `data.data_weights`?"),
        "{error}"
    );
}

#[test]
fn numbers_of_every_spelling_in_files() {
    let text = "preset = 'baby'\ntrain.seed = 0xFF\ntrain.max_iters = 1_000\n\
                train.learning_rate = 5e-1\nmodel = { dropout = 0 }\n";
    let config = from_text(text).unwrap();
    assert_eq!((config.train.seed, config.train.max_iters), (255, 1000));
    assert_eq!(
        (config.train.learning_rate, config.model.dropout),
        (0.5, 0.0)
    );
}

#[test]
fn an_unknown_key_offers_the_nearest() {
    for (typed, meant) in [
        ("lerning-rate", "train.learning_rate"),
        ("n_layers", "model.n_layer"),
        ("train.n_layer", "model.n_layer"),
        ("d_model", "model.n_embd"),
        ("lr", "train.learning_rate"),
        ("vocab_size", "data.max_vocab_size"),
        ("model.n-heads", "model.n_head"),
    ] {
        match refused(&[(typed, "1")]) {
            error @ ConfigError::UnknownKey { .. } => {
                assert!(error.is_usage());
                let message = error.to_string();
                assert!(
                    message.starts_with(&format!("unknown key `{typed}` (from --")),
                    "{message}"
                );
                assert!(
                    message.ends_with(&format!("): did you mean `{meant}`?")),
                    "{message}"
                );
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        refused(&[("xyzzy", "1")]).to_string(),
        "unknown key `xyzzy` (from --xyzzy): `--print-config` lists every key"
    );
}

#[test]
fn unknown_names_in_files_say_their_line() {
    for (text, message) in [
        (
            "preset = 'baby'\n\n[train]\nseed = 1\nmax_iter = 3\n",
            "unknown key `train.max_iter` (from run.toml, line 5): \
             did you mean `train.max_iters`?",
        ),
        (
            "learning_rate = 1.0",
            "unknown key `learning_rate` (from run.toml, line 1): \
             did you mean `train.learning_rate`?",
        ),
        (
            "[model]\n[modle]\nn_layer = 1",
            "unknown section `[modle]` (from run.toml, line 2): did you mean `model`? \
             (sections: model, train, data)",
        ),
    ] {
        let error = from_text(text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(!error.is_usage());
    }
    assert!(toml::from_str::<Config>("preset = 'baby'\nextra = 1").is_err());
}

#[test]
fn values_of_the_wrong_kind_name_key_value_and_source() {
    for (key, value, message) in [
        (
            "train.learning_rate",
            "abc",
            "abc: it must be a number, finite and above 0 (from --set train.learning_rate)",
        ),
        (
            "learning_rate",
            "abc",
            "abc: it must be a number, finite and above 0 (from --learning-rate)",
        ),
        (
            "learning_rate",
            "",
            "empty: it must be a number, finite and above 0 (from --learning-rate)",
        ),
        (
            "max-iters",
            "-5",
            "-5: it must be a whole number from 1 to 1000000000000 (from --max-iters)",
        ),
        (
            "max_iters",
            "1e3",
            "1e3: it must be a whole number from 1 to 1000000000000 (from --max-iters)",
        ),
        ("tie", "yes", "yes: it must be true or false (from --tie)"),
        (
            "activation",
            "gelu_tan",
            "gelu_tan: it must be one of gelu_tanh, gelu, relu (from --activation): \
             did you mean `gelu_tanh`?",
        ),
    ] {
        let error = refused(&[(key, value)]);
        let path = Key::find(key).unwrap().path();
        assert_eq!(error.to_string(), format!("{path} is {message}"));
        assert!(error.is_usage());
    }
    for (text, line, message) in [
        (
            "[train]\nseed = 1.5",
            2,
            "train.seed is 1.5: it must be a whole number, 0 or more",
        ),
        (
            "\n[train]\nseed = -1",
            3,
            "train.seed is -1: it must be a whole number, 0 or more",
        ),
        (
            "train.min_lr = '1'\n",
            1,
            "train.min_lr is '1': it must be a number, finite and 0 or more",
        ),
        (
            "[model]\ntie = 1",
            2,
            "model.tie is 1: it must be true or false",
        ),
        (
            "[data]\ndata = [1]",
            2,
            "data.data is [1]: it must be a text or a list of texts",
        ),
        (
            "[model]\ninit = 'gtp2'",
            2,
            "model.init is gtp2: it must be one of gpt2, torch",
        ),
        ("preset = 3", 1, "preset is 3: it must be a preset's name"),
        ("model = 3", 1, "model is 3: it must be a section"),
    ] {
        let error = from_text(text).unwrap_err();
        assert!(!error.is_usage());
        let start = format!("{message} (from run.toml, line {line})");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[test]
fn file_trouble_is_a_failure_with_its_cause() {
    use std::error::Error;
    let error = Config::resolve(None, Some(Path::new("no/such.toml")), &[]).unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such.toml");
    assert!(error.source().is_some() && !error.is_usage());
    let error = from_text("[train]\nseed = 1\nseed = 2\n").unwrap_err();
    assert_eq!(error.to_string(), "run.toml, line 3: not valid TOML");
    assert!(error.source().is_some() && !error.is_usage());
}

// ---- keys of earlier versions

#[test]
fn old_keys_are_read_from_files_and_flags() {
    let model = |pairs: &[(&str, &str)]| baby(pairs).unwrap().model;
    assert_eq!(model(&[("layer_norm", "false")]).norm, NormKind::None);
    assert_eq!(model(&[("layer-norm", "true")]).norm, NormKind::Layer);
    assert_eq!(
        model(&[("positions", "false")]).positions,
        PositionKind::None
    );
    let learned = [("positions", "none"), ("model.positions", "true")];
    assert_eq!(model(&learned).positions, PositionKind::Learned);
    assert_eq!(model(&[("ff_factor", "0")]).mlp, MlpKind::None);
    // `baby` is 128 wide.
    assert_eq!(model(&[("model.ff_factor", "2")]).ff_width, 256);
    assert_eq!(model(&[("ff_factor", "4")]), model(&[]));
    let text = "preset = 'baby'\n[model]\nff_factor = 2\nlayer_norm = false\npositions = false\n";
    let read = from_text(text).unwrap().model;
    let now = [("ff_width", "256"), ("norm", "none"), ("positions", "none")];
    assert_eq!(read, model(&now));
}

/// It was a multiple of the width that the run ended up with.
#[test]
fn an_old_factor_is_of_the_final_width() {
    let widths = |pairs: &[(&str, &str)]| {
        let model = baby(pairs).unwrap().model;
        (model.ff_width, model.inner_width())
    };
    let (factor, width) = (("ff_factor", "2"), ("n_embd", "64"));
    assert_eq!(widths(&[factor, width]), (128, 128));
    assert_eq!(widths(&[width, factor]), (128, 128));
    assert_eq!(widths(&[factor, ("ff_width", "100")]), (100, 100));
    assert_eq!(widths(&[("ff_width", "100"), factor]), (256, 256));
    assert_eq!(
        widths(&[("ff_proj", "false"), ("ff_factor", "1")]),
        (0, 128)
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    fs::write(&file, "preset = 'baby'\nmodel.ff_factor = 2\n").unwrap();
    let config = Config::resolve(None, Some(&file), &flags(&[width])).unwrap();
    assert_eq!(config.model.ff_width, 128);
}

#[test]
fn old_keys_of_a_wrong_kind_are_named() {
    for (key, value, message) in [
        (
            "layer_norm",
            "3",
            "model.layer_norm is 3: it must be true or false (from --layer-norm)",
        ),
        (
            "ff_factor",
            "-1",
            "model.ff_factor is -1: it must be a whole number, 0 or more (from --ff-factor)",
        ),
        (
            "positions",
            "yes",
            "model.positions is yes: it must be one of none, learned (from --positions)",
        ),
    ] {
        assert_eq!(refused(&[(key, value)]).to_string(), message);
    }
    let error = from_text("[model]\nactivation = true\n").unwrap_err();
    let message = "model.activation is true: it must be one of gelu_tanh, gelu, relu";
    assert!(error.to_string().starts_with(message), "{error}");
}

/// What `--print-config` said before there were kinds of norms, positions and feed-forward parts.
#[test]
fn files_of_version_3_are_todays_presets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/version-3/presets");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let config = Config::resolve(None, Some(&path), &[]).unwrap();
        assert_eq!(config, Config::preset(name).unwrap(), "{name}");
        read += 1;
    }
    assert_eq!(read, 6);
}
