//! The PyPI package `bpe` 1.0 on record: the same ids, texts and JSON.
//!
//! `ngram/make_golden.py` made the cases. For a longer comparison it can make any number of random
//! ones; `LATIMER_NGRAM_GOLDEN` names their file.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::{env, fs};

use latimer_tokenizer::{NgramOptions, NgramTokenizer, Tokenizer, from_json};
use serde_json::Value;

#[test]
fn answers_are_the_packages() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ngram/golden.jsonl");
    let path = env::var_os("LATIMER_NGRAM_GOLDEN").map_or(committed, Into::into);
    let cases = fs::read_to_string(&path).unwrap();
    let mut count = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        check(&case);
        count += 1;
    }
    assert!(count > 0);
    println!("{count} cases agree");
}

fn check(case: &Value) {
    let settings = &case["settings"];
    let queries = strings(&case["queries"]);
    let fitted = NgramTokenizer::fit_with(strings(&case["lines"]), options(settings)).unwrap();
    let json = case["json"].as_str().unwrap();
    // Python keeps a whole number if it was given one.
    let json = json.replace("\"pct_bpe\": 0,", "\"pct_bpe\": 0.0,");
    let json = json.replace("\"pct_bpe\": 1,", "\"pct_bpe\": 1.0,");
    assert_eq!(fitted.to_python_json().unwrap(), json, "{settings}");
    let loaded = NgramTokenizer::from_python_json(&json).unwrap();
    assert_eq!(loaded.to_python_json().unwrap(), json);
    // The package's order within an object does not matter.
    let sorted: Value = serde_json::from_str(&json).unwrap();
    let sorted = NgramTokenizer::from_python_json(&sorted.to_string()).unwrap();

    for t in [&fitted, &loaded, &sorted] {
        let tokens: Vec<_> = queries.iter().map(|query| t.tokenize(query)).collect();
        assert_eq!(serde_json::json!(tokens), case["tokens"], "{settings}");
        let rows = |reverse, length| serde_json::json!(t.transform(&queries, reverse, length));
        assert_eq!(rows(false, None), case["ids"], "{settings}");
        assert_eq!(rows(true, None), case["reversed"], "{settings}");
        for (length, fixed) in [0, 1, 5].into_iter().zip(case["fixed"].as_array().unwrap()) {
            assert_eq!(&rows(false, Some(length)), fixed, "{settings}");
        }
        assert_eq!(rows(true, Some(7)), case["fixed_reversed"], "{settings}");
        for (query, ids) in queries.iter().zip(case["ids"].as_array().unwrap()) {
            assert_eq!(serde_json::json!(t.encode(query).unwrap()), *ids);
        }
        for (row, text) in ids(&case["rows"])
            .iter()
            .zip(case["inverse"].as_array().unwrap())
        {
            let ours = t
                .inverse_transform(&[row])
                .ok()
                .map(|mut texts| texts.remove(0));
            assert_eq!(ours.as_deref(), text.as_str(), "{settings} {row:?}");
        }
        if let Some(back) = case["back"].as_array() {
            for ((row, text), query) in ids(&case["ids"]).iter().zip(back).zip(&queries) {
                let text = text.as_str().unwrap();
                assert_eq!(t.inverse_transform(&[row]).unwrap(), [text], "{settings}");
                if all_closed(t, row) {
                    assert_eq!(t.decode(row).unwrap(), text, "{settings} {query:?}");
                }
            }
        }
        let again = from_json(&t.to_json()).unwrap();
        assert_eq!(again.to_json(), t.to_json());
        assert_eq!(from_json(&json).unwrap().kind(), "ngram");
    }
}

/// Whether every word that begins also ends: the package drops those that do not, a model shows
/// them. If there is no room for `__eow`, or both marks are the same, no word ends.
fn all_closed(t: &NgramTokenizer, row: &[u32]) -> bool {
    let count = |mark| {
        let id = t.subword_id(mark);
        row.iter().filter(|&&at| Some(at) == id).count()
    };
    let (sow, eow) = (&t.options().sow, &t.options().eow);
    sow != eow && count(sow) == count(eow)
}

fn options(settings: &Value) -> NgramOptions {
    let mut options = NgramOptions::default();
    for (name, value) in settings.as_object().unwrap() {
        let size = || value.as_u64().unwrap() as usize;
        match name.as_str() {
            "vocab_size" => options.vocab_size = size(),
            "ngram_min" => options.ngram_min = size(),
            "ngram_max" => options.ngram_max = size(),
            "pct_bpe" => options.pct_bpe = value.as_f64().unwrap(),
            "strict" => options.strict = value.as_bool().unwrap(),
            "required_tokens" => options.required_tokens = strings(value),
            "UNK" => options.unk = value.as_str().unwrap().to_owned(),
            "PAD" => options.pad = value.as_str().unwrap().to_owned(),
            "SOW" => options.sow = value.as_str().unwrap().to_owned(),
            "EOW" => options.eow = value.as_str().unwrap().to_owned(),
            other => panic!("{other}"),
        }
    }
    options
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|s| s.as_str().unwrap().to_owned())
        .collect()
}

fn ids(rows: &Value) -> Vec<Vec<u32>> {
    let row = |row: &Value| {
        let ids = row.as_array().unwrap().iter();
        ids.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
            .collect()
    };
    rows.as_array().unwrap().iter().map(row).collect()
}
