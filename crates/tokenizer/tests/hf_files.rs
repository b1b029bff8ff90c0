//! Different ways to write one `tokenizer.json`: the ids equal those of `tokenizers`, and whatever
//! cannot be reproduced exactly is named. `peers/hf_files.py` makes the cases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use latimer_tokenizer::{AllowedSpecial, BpeTokenizer, Pattern, Tokenizer, from_json};
use serde_json::{Value, json};

fn golden() -> Value {
    serde_json::from_str(include_str!("peers/hf_files.json")).unwrap()
}

/// The base file with the changes of a case.
fn changed(base: &Value, case: &Value) -> String {
    let mut file = base.clone();
    let place = |file: &mut Value, path: &str| -> (String, String) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() {
            String::new()
        } else {
            format!("/{parent}")
        };
        assert!(file.pointer(&parent).is_some(), "{path}");
        (parent, name.to_owned())
    };
    for (path, value) in case["set"].as_object().unwrap() {
        let (parent, name) = place(&mut file, path);
        file.pointer_mut(&parent).unwrap()[name] = value.clone();
    }
    for path in case["drop"].as_array().unwrap() {
        let (parent, name) = place(&mut file, path.as_str().unwrap());
        file.pointer_mut(&parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&name);
    }
    file.to_string()
}

#[test]
fn each_way_of_writing_gives_its_ids() {
    let golden = golden();
    let mut counted = [0, 0];
    for case in golden["cases"].as_array().unwrap() {
        let file = changed(&golden["base"], case);
        if let Some(field) = case["refused"].as_str() {
            let error = from_json(&file).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("the field {field} is ")),
                "{field}: {error}"
            );
            counted[0] += 1;
            continue;
        }
        let tokenizer = BpeTokenizer::from_hf(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        for (text, ids) in golden["texts"]
            .as_array()
            .unwrap()
            .iter()
            .zip(case["ids"].as_array().unwrap())
        {
            let text = text.as_str().unwrap();
            let got = tokenizer
                .encode_with_special(text, AllowedSpecial::All)
                .unwrap();
            assert_eq!(&json!(got), ids, "{} {text:?}", case["name"]);
            assert_eq!(tokenizer.decode(&got).unwrap(), text, "{}", case["name"]);
        }
        // The written file means the same.
        let again = BpeTokenizer::from_hf(&tokenizer.to_json()).unwrap();
        assert_eq!(
            again.fingerprint(),
            tokenizer.fingerprint(),
            "{}",
            case["name"]
        );
        counted[1] += 1;
    }
    assert_eq!(counted, [30, 27]);
}

#[test]
fn the_kind_of_model_is_named_before_anything_else() {
    let golden = golden();
    for kind in ["WordPiece", "Unigram", "WordLevel"] {
        let of_kind =
            golden["cases"].as_array().unwrap().iter().filter(|case| {
                case["refused"] == "model.type" && case["set"]["model"]["type"] == kind
            });
        assert_eq!(of_kind.clone().count(), 1);
        for case in of_kind {
            let mut file: Value = serde_json::from_str(&changed(&golden["base"], case)).unwrap();
            for typed in [true, false] {
                if !typed {
                    file["model"].as_object_mut().unwrap().remove("type");
                }
                let error = from_json(&file.to_string()).unwrap_err().to_string();
                assert!(error.contains(kind) && error.contains("BPE"), "{error}");
            }
        }
    }
}

#[test]
fn a_special_token_that_merges_make_is_no_text() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    let case = cases
        .iter()
        .find(|case| case["name"] == "special that merges make")
        .unwrap();
    let tokenizer = BpeTokenizer::from_hf(&changed(&golden["base"], case)).unwrap();
    let end = tokenizer.special("end").unwrap();
    let asked = tokenizer
        .encode_with_special("the end", AllowedSpecial::All)
        .unwrap();
    assert_eq!(asked.last(), Some(&end));
    let plain = tokenizer.encode("the end").unwrap();
    assert!(!plain.contains(&end), "{plain:?}");
    assert_eq!(tokenizer.decode(&plain).unwrap(), "the end");
}

#[test]
fn a_special_token_that_is_a_byte_is_refused_by_name() {
    let golden = golden();
    let mut file = golden["base"].clone();
    let bang = file["model"]["vocab"]["!"].clone();
    let mut entry = file["added_tokens"][0].clone();
    entry["content"] = json!("!");
    entry["id"] = bang;
    file["added_tokens"].as_array_mut().unwrap().push(entry);
    let error = from_json(&file.to_string()).unwrap_err().to_string();
    assert!(
        error.starts_with("the field added_tokens.content is \"!\": "),
        "{error}"
    );
}

#[test]
fn pairs_of_files_that_are_not_gpt2s_are_refused() {
    let tokenizer =
        BpeTokenizer::from_merges(Pattern::Gpt2, &[(116, 104)], &["中", "<|x|>"]).unwrap();
    let (vocab, merges) = tokenizer.to_vocab_and_merges();
    // A special token of one character is not one of the bytes.
    let again = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, Pattern::Gpt2).unwrap();
    assert_eq!(again.to_json(), tokenizer.to_json());
    let clip = vocab.replacen('{', "{\"a</w>\":300,", 1);
    let error = BpeTokenizer::from_vocab_and_merges(&clip, &merges, Pattern::Gpt2).unwrap_err();
    assert!(error.to_string().contains("</w>"), "{error}");
}
