//! The `ngram` tokenizer: what must hold for every text and every file, damaged ones included.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_tokenizer::{
    Error, LINE, NgramOptions, NgramTokenizer, StreamDecoder, Tokenizer, from_json,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words, marks, white space and case of many kinds.
const TEXT: &str = "([a-cA-C]{1,4}|__line|__unk|__pad|__sow|[İΣσßéǅ中𐐀٣½]|[.,!'\u{301}\u{0}]|[ \t\n\u{1c}\u{a0}]|.){0,30}";

fn options() -> impl Strategy<Value = NgramOptions> {
    let sizes = (1usize..80, -0.5..1.5f64, 0usize..4, 1usize..7);
    let required = prop::collection::vec("[a-c]{1,2}|__line|.{0,3}", 0..3);
    let flags = (any::<bool>(), any::<bool>());
    (sizes, required, flags).prop_map(|(sizes, required_tokens, (strict, lowercase))| {
        let (vocab_size, pct_bpe, ngram_min, ngram_max) = sizes;
        NgramOptions {
            vocab_size,
            pct_bpe,
            ngram_min,
            ngram_max,
            required_tokens,
            strict,
            lowercase,
            ..NgramOptions::default()
        }
    })
}

fn streamed(t: &NgramTokenizer, ids: &[u32]) -> String {
    let mut stream = StreamDecoder::new(t);
    let mut text = String::new();
    for &id in ids {
        text += stream.push(id).unwrap();
    }
    text + stream.finish()
}

#[test]
fn words_are_python_counted_and_numbered() {
    // The package sorts by falling count; equal counts keep the order in which they came.
    let t = NgramTokenizer::fit(["b a b", "c a d"]).unwrap();
    let words: Vec<_> = t.words().map(|(word, _)| word).collect();
    assert_eq!(words, ["__unk", "__pad", "b", "a", "c", "d"]);
    assert_eq!(t.subwords().next(), Some(("__sow", 6553)));
    assert_eq!(t.vocab_size(), 6555);
    assert_eq!(t.special("__eow"), Some(6554));
    assert_eq!((t.special("b"), t.special("e")), (None, None));
}

#[test]
fn a_model_needs_room_for_its_marks() {
    let fit = |max| NgramTokenizer::fit_with(["a b c"], NgramOptions::language_model(max));
    assert!(matches!(
        fit(4),
        Err(Error::VocabularyTooLarge {
            found: 5,
            max: 4,
            ..
        })
    ));
    assert!(matches!(fit(0), Err(Error::Setting { .. })));
    for max in 5..40 {
        if let Ok(t) = fit(max) {
            assert!(t.vocab_size() <= max);
            assert_eq!(t.special(LINE), Some(2));
        }
    }
    assert!(matches!(
        NgramTokenizer::fit_with(
            ["a"],
            NgramOptions {
                vocab_size: usize::MAX,
                ..NgramOptions::default()
            }
        ),
        Err(Error::VocabularyTooLarge { .. })
    ));
}

#[test]
fn lines_can_be_asked_for_later() {
    let required_tokens = vec![LINE.to_owned()];
    let options = NgramOptions {
        required_tokens,
        ..NgramOptions::default()
    };
    let plain = NgramTokenizer::fit_with(["a b"], options).unwrap();
    assert_eq!(plain.decode(&plain.encode("a\nb").unwrap()).unwrap(), "a b");
    let python = plain.to_python_json().unwrap();
    let model = NgramTokenizer::from_python_json(&python)
        .unwrap()
        .with_lines()
        .unwrap();
    assert_eq!(
        model.decode(&model.encode("a\nb").unwrap()).unwrap(),
        "a\nb"
    );
    assert_eq!(model.to_python_json().unwrap(), python);
    let without = NgramTokenizer::fit(["a"]).unwrap().with_lines();
    assert!(matches!(without, Err(Error::MissingToken { .. })));
}

#[test]
fn the_packages_file_loads_as_any_other() {
    let t = NgramTokenizer::fit(["a b"]).unwrap();
    let loaded = from_json(&t.to_python_json().unwrap()).unwrap();
    assert_eq!(loaded.fingerprint(), t.fingerprint());
    let upper = NgramOptions {
        lowercase: false,
        ..NgramOptions::default()
    };
    let upper = NgramTokenizer::fit_with(["A a"], upper).unwrap();
    assert!(upper.word_id("A").is_some());
    assert_eq!(
        upper.to_python_json().unwrap_err().to_string(),
        "the format of the Python package bpe cannot hold a tokenizer that keeps upper case"
    );
}

proptest! {
    #[test]
    fn a_model_gives_back_the_normal_form(
        texts in prop::collection::vec(TEXT, 1..4),
        other in TEXT,
        options in options(),
    ) {
        let options = NgramOptions { lines: true, ..options };
        let max = options.vocab_size;
        let Ok(t) = NgramTokenizer::fit_with(&texts, options) else {
            return Ok(()); // no room
        };
        prop_assert!(t.vocab_size() <= max);
        for text in texts.iter().chain([&other]) {
            let ids = t.encode(text).unwrap();
            prop_assert!(ids.iter().all(|&id| (id as usize) < t.vocab_size()));
            let normal = t.normalize(text);
            prop_assert_eq!(t.normalize(&normal), normal.as_str());
            prop_assert_eq!(&t.encode(&normal).unwrap(), &ids);
            let unknown = ids.contains(&t.special("__unk").unwrap());
            let line = t.special(LINE).unwrap();
            let lines = ids.iter().filter(|&&id| id == line).count();
            prop_assert_eq!(lines, text.matches('\n').count());
            prop_assert!(!ids.contains(&t.special("__pad").unwrap()));
            let back = t.decode(&ids).unwrap();
            prop_assert_eq!(back == normal, !unknown, "{:?} {:?}", back, normal);
            prop_assert_eq!(streamed(&t, &ids), back);
        }
    }

    #[test]
    fn the_packages_methods_agree_with_each_other(
        texts in prop::collection::vec(TEXT, 1..4),
        other in TEXT,
        options in options(),
    ) {
        let options = NgramOptions { strict: false, ..options };
        let t = NgramTokenizer::fit_with(&texts, options).unwrap();
        for text in texts.iter().chain([&other]) {
            let rows = t.transform(&[text], false, None);
            prop_assert_eq!(&t.encode(text).unwrap(), &rows[0]);
            let tokens = t.tokenize(text);
            prop_assert_eq!(tokens.len(), rows[0].len());
            for (token, &id) in tokens.iter().zip(&rows[0]) {
                let known = t.word_id(token).or(t.subword_id(token));
                prop_assert_eq!(id, known.or(t.word_id("__unk")).unwrap());
            }
            let back = t.inverse_transform(&rows).unwrap().remove(0);
            // Both marks have ids of their own, and the text spells neither.
            let normal = t.normalize(text);
            let has_marks = ["__sow", "__eow"].iter().all(|mark| {
                let has_own_id = t.subword_id(mark).is_some() && t.word_id(mark).is_none();
                has_own_id && !normal.contains(mark)
            });
            if has_marks {
                prop_assert_eq!(&t.decode(&rows[0]).unwrap(), &back);
                if !rows[0].contains(&t.word_id("__unk").unwrap()) {
                    prop_assert_eq!(&back, &normal);
                }
            }
            let fixed = t.transform(&[text], true, Some(6)).remove(0);
            let mut expected = rows[0].clone();
            expected.resize(6, t.special("__pad").unwrap());
            expected.reverse();
            prop_assert_eq!(fixed, expected);
        }
    }

    #[test]
    fn files_give_the_same_tokenizer(
        texts in prop::collection::vec(TEXT, 0..4),
        options in options(),
        lines: bool,
    ) {
        let options = NgramOptions { lines, ..options };
        let Ok(t) = NgramTokenizer::fit_with(&texts, options) else {
            return Ok(());
        };
        let again = from_json(&t.to_json()).unwrap();
        prop_assert_eq!(again.to_json(), t.to_json());
        for text in &texts {
            prop_assert_eq!(again.encode(text).unwrap(), t.encode(text).unwrap());
        }
        if let Ok(python) = t.to_python_json() {
            let again = NgramTokenizer::from_python_json(&python).unwrap();
            prop_assert_eq!(&again.to_python_json().unwrap(), &python);
            for text in &texts {
                prop_assert_eq!(again.tokenize(text), t.tokenize(text));
            }
        }
    }

    #[test]
    fn any_ids_decode_the_same_way_in_a_stream(
        ids in prop::collection::vec(0u32..18, 0..30),
        lines: bool,
    ) {
        let options = NgramOptions { lines, pct_bpe: 0.4, ..NgramOptions::language_model(18) };
        let t = NgramTokenizer::fit_with(["a a b xy xz é"], options).unwrap();
        let ids: Vec<u32> = ids.into_iter().filter(|&id| (id as usize) < t.vocab_size()).collect();
        let text = t.decode(&ids).unwrap();
        prop_assert_eq!(streamed(&t, &ids), text.as_str());
        let mut bytes = Vec::new();
        let mut previous = None;
        for id in ids {
            t.decode_next(previous, id, &mut bytes).unwrap();
            previous = Some(t.remember(previous, id));
        }
        prop_assert_eq!(bytes, text.into_bytes());
    }

    #[test]
    fn damaged_files_are_errors_not_panics(
        at in 0usize..2000,
        byte in 0u8..128,
        cut: bool,
        python: bool,
    ) {
        let t = NgramTokenizer::fit_with(["aa ab é"], NgramOptions::language_model(12)).unwrap();
        let json = if python { t.to_python_json().unwrap() } else { t.to_json() };
        let mut json = json.into_bytes();
        let at = at % json.len();
        if cut { json.truncate(at) } else { json[at] = byte }
        if let Ok(text) = String::from_utf8(json) {
            used(from_json(&text).ok().as_deref());
        }
    }

    #[test]
    fn any_json_is_a_tokenizer_or_an_error(
        words in value(), pairs in value(), name in "[a-zA-Z_]{1,6}", setting in value(),
        key in prop::sample::select(&[
            "vocab_size", "pct_bpe", "ngram_min", "ngram_max", "required_tokens", "strict", "UNK",
            "PAD", "SOW", "EOW", "silent",
        ][..]),
        drop in 0usize..12,
    ) {
        let kwargs = json!({ key: setting, name: 1 });
        for kwargs in [json!({}), json!({ key: setting }), kwargs] {
            let file = json!({ "words": words, "byte_pairs": pairs, "kwargs": kwargs });
            let t = NgramTokenizer::from_python_json(&file.to_string()).ok();
            used(t.as_ref().map(|t| t as &dyn Tokenizer));
        }
        // One field of our own file is replaced or missing.
        let t = NgramTokenizer::fit(["a"]).unwrap();
        let mut file: Value = serde_json::from_str(&t.to_json()).unwrap();
        let fields = file.as_object_mut().unwrap();
        let field = fields.keys().nth(drop % fields.len()).unwrap().clone();
        fields.insert(field.clone(), setting);
        used(from_json(&file.to_string()).ok().as_deref());
        file.as_object_mut().unwrap().remove(&field);
        prop_assert!(from_json(&file.to_string()).is_err());
    }
}

/// A tokenizer that could be loaded must work.
fn used(t: Option<&dyn Tokenizer>) {
    if let Some(t) = t {
        let ids = t.encode("aa b\n__unk é").unwrap();
        t.decode(&ids).unwrap();
        assert!(ids.iter().all(|&id| (id as usize) < t.vocab_size()));
        assert_eq!(from_json(&t.to_json()).unwrap().to_json(), t.to_json());
    }
}

/// A JSON value, often a vocabulary.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        (0u64..6).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.clone(),
        "[ab_]{0,3}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        "[a-b]{0,2}",
        Just("__unk".to_owned()),
        Just("__pad".to_owned()),
        Just("__sow".to_owned()),
    ];
    let counted =
        (prop::collection::vec(name.clone(), 0..6), 0u64..9).prop_map(|(names, first)| {
            let mut map = serde_json::Map::new();
            for token in ["__unk", "__pad"]
                .map(str::to_owned)
                .into_iter()
                .chain(names)
            {
                let next = first % 3 * 2 + map.len() as u64;
                map.entry(token).or_insert(next.into());
            }
            Value::Object(map)
        });
    let map = prop::collection::btree_map(name, number, 0..5);
    let object = map.prop_map(|map| Value::Object(map.into_iter().collect()));
    let list = prop::collection::vec(leaf.clone(), 0..4).prop_map(Value::from);
    prop_oneof![leaf, counted.clone(), counted, object, list]
}
