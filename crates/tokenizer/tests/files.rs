//! The file: what is written, and what is refused.

use std::error::Error as _;
use std::fs;

use latimer_tokenizer::{
    CharTokenizer, Error, Tokenizer, WordOptions, WordTokenizer, from_json, kinds, load,
};
use proptest::prelude::*;

fn char_file(vocab: &str) -> String {
    format!(r#"{{"format":"latimer-tokenizer","version":1,"kind":"char","vocab":{vocab}}}"#)
}

fn word_file(vocab: &str) -> String {
    format!(
        r#"{{"format":"latimer-tokenizer","version":1,"kind":"word",
            "unknown":true,"vocab":{vocab}}}"#
    )
}

#[test]
fn bytes_and_fingerprints_are_pinned() {
    // Checkpoints contain these bytes, and token files their hash: a change needs a new version.
    let chars = CharTokenizer::fit("b\n\"a").unwrap();
    assert_eq!(
        chars.to_json(),
        "{\n  \"format\": \"latimer-tokenizer\",\n  \"version\": 1,\n  \
         \"kind\": \"char\",\n  \"vocab\": [\n    \"\\n\",\n    \"\\\"\",\n    \"a\",\n    \"b\"\n  ]\n}\n"
    );
    let options = WordOptions {
        max_vocab_size: None,
        unknown: true,
    };
    let words = WordTokenizer::fit_with(["l'été\n"], options).unwrap();
    assert_eq!(
        words.to_json(),
        "{\n  \"format\": \"latimer-tokenizer\",\n  \"version\": 1,\n  \
         \"kind\": \"word\",\n  \"unknown\": true,\n  \
         \"vocab\": [\n    \"\\n\",\n    \"l'\",\n    \"été\"\n  ]\n}\n"
    );
    assert_eq!(format!("{:016x}", chars.fingerprint()), "f1366672ce4c8263");
    assert_eq!(format!("{:016x}", words.fingerprint()), "637bd1f10a0ec99d");
}

#[test]
fn saved_and_loaded_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let chars = CharTokenizer::fit("first").unwrap();
    chars.save(&path).unwrap();
    let words = WordTokenizer::fit("le chat\n").unwrap();
    words.save(&path).unwrap(); // replaces
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.kind(), "word");
    assert_eq!(loaded.to_json(), words.to_json());
    assert_eq!(fs::read_to_string(&path).unwrap(), words.to_json());
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn failed_saves_name_the_path_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let chars = CharTokenizer::fit("a").unwrap();
    let absent = folder.path().join("absent").join("tokenizer.json");
    let error = chars.save(&absent).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot write {}", absent.display())
    );
    assert!(error.source().is_some());
    // A folder is in the way: the rename fails and the temporary file is removed.
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("inside")).unwrap();
    assert!(matches!(
        chars.save(&taken),
        Err(Error::Io {
            action: "write",
            ..
        })
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(chars.save(std::path::Path::new("/")).is_err());
}

#[test]
fn failed_loads_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    assert!(matches!(load(&path), Err(Error::Io { action: "read", .. })));
    fs::write(&path, "{").unwrap();
    let error = load(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot load the tokenizer file {}", path.display())
    );
    let cause = error.source().unwrap();
    assert_eq!(cause.to_string(), "not valid JSON");
    assert!(
        cause
            .source()
            .unwrap()
            .to_string()
            .contains("line 1 column 1")
    );
    fs::write(&path, [0xff]).unwrap();
    assert!(matches!(load(&path), Err(Error::Text(_))));
}

#[test]
fn each_fault_has_its_sentence() {
    let foreign = "not a tokenizer file of this program: \"format\" is";
    let cases = [
        (
            "[]".to_owned(),
            format!("{foreign} missing, expected \"latimer-tokenizer\""),
        ),
        (
            r#"{"model":"BPE"}"#.to_owned(),
            format!("{foreign} missing, expected \"latimer-tokenizer\""),
        ),
        (
            r#"{"format":"other"}"#.to_owned(),
            format!("{foreign} \"other\", expected \"latimer-tokenizer\""),
        ),
        (
            r#"{"format":"latimer-tokenizer"}"#.to_owned(),
            "the field \"version\" must be a number".to_owned(),
        ),
        (
            r#"{"format":"latimer-tokenizer","version":2,"kind":"char"}"#.to_owned(),
            "tokenizer file version 2 is not supported, this program reads version 1: update the \
             program, or make the tokenizer again"
                .to_owned(),
        ),
        (
            r#"{"format":"latimer-tokenizer","version":1}"#.to_owned(),
            "the field \"kind\" must be a string".to_owned(),
        ),
        (
            r#"{"format":"latimer-tokenizer","version":1,"kind":"chars"}"#.to_owned(),
            "unknown tokenizer kind \"chars\": the nearest known one is \"char\"".to_owned(),
        ),
        (
            r#"{"format":"latimer-tokenizer","version":1,"kind":"sentencepiece"}"#.to_owned(),
            format!(
                "unknown tokenizer kind \"sentencepiece\": the known ones are {}",
                kinds().collect::<Vec<_>>().join(", ")
            ),
        ),
        (
            char_file("3"),
            "the field \"vocab\" must be a list of strings".to_owned(),
        ),
        (
            char_file(r#"["a",1]"#),
            "the field \"vocab\" must be a list of strings".to_owned(),
        ),
        (
            char_file("[]"),
            "the vocabulary is empty: a char tokenizer needs a text with at least one token"
                .to_owned(),
        ),
        (
            char_file(r#"["a","b","a"]"#),
            "\"a\" occurs twice in the vocabulary, as ids 0 and 2".to_owned(),
        ),
        (
            char_file(r#"["ab"]"#),
            "\"ab\" cannot be in the vocabulary of a char tokenizer: it is not one character"
                .to_owned(),
        ),
        (
            char_file(r#"["a"],"unknown":true"#),
            "unknown field \"unknown\" in a tokenizer file of kind \"char\"".to_owned(),
        ),
        (
            char_file(r#"["a"]"#).replace("char", "word"),
            "the field \"unknown\" must be true or false".to_owned(),
        ),
        (
            word_file(r#"["chat","chat"]"#),
            "\"chat\" occurs twice in the vocabulary, as ids 0 and 1".to_owned(),
        ),
        (
            word_file(r#"["__unk"]"#),
            "\"__unk\" cannot be in the vocabulary of a word tokenizer: \
             it is not distinct from the unknown token"
                .to_owned(),
        ),
        (
            word_file(r#"["a b"]"#),
            "\"a b\" cannot be in the vocabulary of a word tokenizer: \
             it is not one word, mark or line end"
                .to_owned(),
        ),
    ];
    for (json, message) in cases {
        assert_eq!(from_json(&json).unwrap_err().to_string(), message, "{json}");
    }
}

#[test]
fn a_file_keeps_its_order() {
    // The characters are not sorted: the file was made elsewhere, and the rows of its model have
    // this order.
    let t = from_json(&char_file(r#"["b","a"]"#)).unwrap();
    assert_eq!(t.encode("ab").unwrap(), [1, 0]);
}

proptest! {
    #[test]
    fn characters_round_trip(text: String, order in any::<[String; 2]>()) {
        prop_assume!(!text.is_empty());
        let t = CharTokenizer::fit_iter([&order[0], &text, &order[1]]).unwrap();
        let ids = t.encode(&text).unwrap();
        prop_assert_eq!(ids.len(), text.chars().count());
        prop_assert!(ids.iter().all(|&id| (id as usize) < t.vocab_size()));
        prop_assert_eq!(t.decode(&ids).unwrap(), text.as_str());
        let again = from_json(&t.to_json()).unwrap();
        prop_assert_eq!(again.encode(&text).unwrap(), ids);
        prop_assert_eq!(again.to_json(), t.to_json());
    }

    #[test]
    fn words_round_trip_to_normal_form(text in r"[a-cé'’.!=\n \t\u{a0}]{1,40}") {
        let Ok(t) = WordTokenizer::fit(&text) else {
            return Ok(()); // only white space
        };
        let ids = t.encode(&text).unwrap();
        prop_assert!(ids.iter().all(|&id| (id as usize) < t.vocab_size()));
        let normal = WordTokenizer::normalize(&text);
        prop_assert_eq!(t.decode(&ids).unwrap(), normal.as_str());
        prop_assert_eq!(t.encode(&normal).unwrap(), ids.as_slice());
        let again = from_json(&t.to_json()).unwrap();
        prop_assert_eq!(again.encode(&text).unwrap(), ids);
        prop_assert_eq!(again.fingerprint(), t.fingerprint());
    }

    #[test]
    fn a_limited_vocabulary_takes_any_text(text: String, other: String, max in 2usize..9) {
        let options = WordOptions { max_vocab_size: Some(max), unknown: true };
        let Ok(t) = WordTokenizer::fit_with([&text], options) else {
            return Ok(());
        };
        prop_assert!(t.vocab_size() <= max);
        let ids = t.encode(&other).unwrap();
        prop_assert_eq!(ids.len(), WordTokenizer::split(&other).count());
        t.decode(&ids).unwrap();
        prop_assert_eq!(from_json(&t.to_json()).unwrap().special("__unk"), t.special("__unk"));
    }

    #[test]
    fn damaged_files_are_errors_not_panics(at in 0usize..200, byte in 0u8..128, cut: bool) {
        let mut json = WordTokenizer::fit("l'eau = water\n").unwrap().to_json().into_bytes();
        let at = at.min(json.len() - 1);
        if cut { json.truncate(at) } else { json[at] = byte }
        if let Ok(text) = String::from_utf8(json)
            && let Ok(t) = from_json(&text)
        {
            prop_assert!(t.vocab_size() > 0);
        }
    }
}
