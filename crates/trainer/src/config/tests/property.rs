//! For any valid configuration.

use proptest::prelude::*;

use super::super::value::Value;
use super::super::*;
use super::from_text;

/// A value of each key's kind, such that the whole is valid.
fn any_config() -> impl Strategy<Value = Config> {
    let preset = prop::sample::select(PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>());
    let integers = prop::collection::vec(1_u64..500, KEYS.len());
    // A product of two, too, is a number that 32 bits hold.
    let floats = prop::collection::vec(prop_oneof![1e-6..1.0_f64, 1e-18..1e-6_f64], KEYS.len());
    let bools = prop::collection::vec(any::<bool>(), KEYS.len());
    let texts = prop::collection::vec(
        prop::collection::vec("\\PC{1,8}|[\t\r\n\"'\\\\#=]{1,4}", 1..4),
        KEYS.len(),
    );
    (preset, integers, floats, bools, texts, any::<u64>()).prop_map(
        |(preset, integers, floats, bools, texts, seed)| {
            let mut config = Config::preset(preset).unwrap();
            for (i, key) in KEYS.iter().enumerate() {
                let value = match key.value {
                    KeyKind::Integer => Value::Integer(integers[i]),
                    KeyKind::Float => Value::Float(floats[i]),
                    KeyKind::Bool => Value::Bool(bools[i]),
                    KeyKind::Choice(names) => {
                        Value::Text(names[integers[i] as usize % names.len()].to_owned())
                    }
                    KeyKind::Text => Value::Text(texts[i][0].clone()),
                    KeyKind::TextList => Value::TextList(texts[i].clone()),
                    KeyKind::FloatList => Value::FloatList(Vec::new()),
                };
                key.set(&mut config, value).unwrap();
            }
            config.model.n_embd = 8 * config.model.n_head;
            config.model.ff_proj = true;
            config.model.dropout = config.model.dropout.min(0.999);
            config.train.min_lr *= config.train.learning_rate;
            config.train.seed = seed;
            // Endings are no texts of any kind.
            config.data.extensions = vec![format!("e{seed}"); config.data.data.len() - 1];
            if config.data.data.len() > 1 {
                let weights = config.data.data.iter().zip(&floats);
                // None so small that it would be no share of the whole.
                config.data.data_weights = weights.map(|(_, &x)| x.max(1e-3)).collect();
            }
            config
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(config in any_config()) {
        let text = config.to_commented_toml();
        prop_assert_eq!(&from_text(&text).unwrap(), &config);
        prop_assert_eq!(&toml::from_str::<Config>(&text).unwrap(), &config);
    }

    #[test]
    fn flags_rebuild_a_configuration(config in any_config()) {
        let flags: Vec<_> = KEYS
            .iter()
            .map(|key| {
                let value = match key.get(&config) {
                    Value::Text(text) => text,
                    value => value.to_string(),
                };
                (key.path(), value)
            })
            .filter(|(key, _)| key != "data.data" && key != "data.extensions")
            .chain(config.data.data.iter().map(|name| ("data".to_owned(), name.clone())))
            .chain(config.data.extensions.iter().map(|end| ("extensions".to_owned(), end.clone())))
            .collect();
        prop_assert_eq!(Config::resolve(Some(&config.preset), None, &flags).unwrap(), config);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(\\PC|\n){0,40}|\\[(model|train)\\]\n[a-z_]{1,8} = \\PC{0,9}") {
        let _ = from_text(&text);
    }
}
