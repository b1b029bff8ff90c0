//! The tokenizer files of today's families of models: the ids equal those of `tokenizers`, with and
//! without special tokens, and a written file means the same. `peers/families.py` makes the cases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use latimer_tokenizer::{AllowedSpecial, BpeTokenizer, Tokenizer, differences};
use serde_json::{Value, json};

type Encode<'a> = &'a dyn Fn(&str) -> Vec<u32>;

fn golden() -> Value {
    serde_json::from_str(include_str!("peers/families.json")).unwrap()
}

fn file(golden: &Value, case: &Value) -> String {
    let mut file = golden["base"].clone();
    for (name, value) in case["set"].as_object().unwrap() {
        file[name] = value.clone();
    }
    file.to_string()
}

fn check(golden: &Value, name: &str) {
    let cases = golden["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == name).unwrap();
    let tokenizer = BpeTokenizer::from_hf(&file(golden, case)).unwrap();
    let again = BpeTokenizer::from_hf(&tokenizer.to_json()).unwrap();
    assert_eq!(again.to_json(), tokenizer.to_json(), "{name}");
    assert_eq!(differences(&tokenizer, &again), [] as [&str; 0], "{name}");
    let list = |field: &str| case[field].as_array().unwrap().clone();
    let texts: Vec<String> = list("texts")
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect();
    let mut checked = [0; 3];
    for tokenizer in [&tokenizer, &again] {
        let all = |text: &str| {
            tokenizer
                .encode_with_special(text, AllowedSpecial::All)
                .unwrap()
        };
        let whole = |text: &str| {
            tokenizer
                .encode_with_template(text, AllowedSpecial::All)
                .unwrap()
        };
        let plain = |text: &str| tokenizer.encode(text).unwrap();
        let ways: [(&str, Encode<'_>); 3] = [("ids", &all), ("whole", &whole), ("plain", &plain)];
        for (count, (field, encode)) in checked.iter_mut().zip(ways) {
            for (text, ids) in texts.iter().zip(list(field)) {
                assert_eq!(json!(encode(text)), ids, "{name} {field} {text:?}");
                *count += 1;
            }
        }
        for text in &texts {
            let ids = plain(text);
            assert_eq!(
                tokenizer.encode_bytes(text.as_bytes()),
                ids,
                "{name} {text:?}"
            );
            assert_eq!(tokenizer.count(text), ids.len());
            assert_eq!(tokenizer.count_up_to(text, ids.len()), Some(ids.len()));
            let offsets = tokenizer.encode_with_offsets(text);
            assert!(offsets.iter().map(|(id, _)| *id).eq(ids.iter().copied()));
            if tokenizer.is_lossless() {
                assert_eq!(&tokenizer.decode(&ids).unwrap(), text);
            }
        }
    }
    assert!(checked.iter().all(|count| *count >= 6), "{checked:?}");
}

#[test]
fn llama3_is_read_exactly() {
    check(&golden(), "llama3");
}

#[test]
fn qwen2_is_read_exactly() {
    check(&golden(), "qwen2");
}

#[test]
fn pythia_is_read_exactly() {
    check(&golden(), "pythia");
}

#[test]
fn added_tokens_with_every_flag_are_found_exactly() {
    check(&golden(), "strips");
    check(&golden(), "strips_raw");
}

#[test]
fn smollm_is_read_exactly() {
    check(&golden(), "smollm");
}

#[test]
fn bytes_without_a_token_are_left_out_as_in_tokenizers() {
    check(&golden(), "smollm_lacking");
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    let case = cases
        .iter()
        .find(|c| c["name"] == "smollm_lacking")
        .unwrap();
    let tokenizer = BpeTokenizer::from_hf(&file(&golden, case)).unwrap();
    assert!(!tokenizer.is_lossless());
    assert!(tokenizer.missing_bytes().count() > 10);
    // Twice, since pieces are remembered.
    for _ in 0..2 {
        assert!(tokenizer.encode("\u{1}").unwrap().is_empty());
    }
    let offsets = tokenizer.encode_with_offsets("\u{1}a\u{1}\u{1}B\u{1}");
    let ranges: Vec<_> = offsets.into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [1..2, 4..5]);
    assert_eq!(tokenizer.count_up_to(&"\u{1}".repeat(1000), 0), Some(0));
}

/// The file of a case with a change.
fn changed(name: &str, change: impl Fn(&mut Value)) -> Result<BpeTokenizer, String> {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == name).unwrap();
    let mut file: Value = serde_json::from_str(&file(&golden, case)).unwrap();
    change(&mut file);
    BpeTokenizer::from_hf(&file.to_string()).map_err(|error| error.to_string())
}

#[test]
fn a_text_is_cut_where_no_added_token_is() {
    let tokenizers: Vec<BpeTokenizer> = ["llama3", "qwen2", "smollm", "pythia"]
        .map(|name| changed(name, |_| ()).unwrap())
        .into();
    for tokenizer in &tokenizers {
        let text = "the cat   12 <tool_call> e\u{301}\n  sits  \u{301}on the 345    table";
        let whole = tokenizer.encode(text).unwrap();
        let mut left = text;
        let mut cuts = 0;
        while let cut @ 1.. = tokenizer.cut(left) {
            let (head, tail) = text.split_at(cut);
            let halves = [head, tail].map(|half| tokenizer.encode(half).unwrap());
            assert_eq!(halves.concat(), whole, "{tokenizer:?} {cut}");
            left = &head[..head.len() - 1];
            cuts += 1;
        }
        assert!(cuts >= 6, "{tokenizer:?}");
    }
    // Tokens that look across such a place: long texts are encoded whole.
    let strips = changed("strips", |_| ()).unwrap();
    assert_eq!(strips.cut("the cat sits on the table"), 0);
    let across = changed("qwen2", |file| {
        file["added_tokens"][5]["content"] = json!("cat sits");
    });
    assert_eq!(across.unwrap().cut("the cat sits on the table"), 0);
}

#[test]
fn a_token_that_texts_are_also_merged_to_is_refused_by_name() {
    // With `single_word`, "tab" in "table" is not the added token, but merges make its id.
    let with = |flag: &str, on: bool| {
        changed("smollm", |file| {
            let id = file["model"]["vocab"]["tab"].clone();
            assert!(id.is_u64());
            let mut token = file["added_tokens"][0].clone();
            token["content"] = json!("tab");
            token["id"] = id;
            token["special"] = json!(false);
            token[flag] = json!(on);
            file["added_tokens"].as_array_mut().unwrap().push(token);
        })
    };
    let error = with("single_word", true).unwrap_err();
    assert!(
        error.starts_with("the field added_tokens.content is \"tab\": "),
        "{error}"
    );
    let tokenizer = with("single_word", false).unwrap();
    let tab = tokenizer.special("tab").unwrap();
    assert_eq!(tokenizer.encode("tab").unwrap(), [tab]);
    assert_eq!(tokenizer.text_tokens().collect::<Vec<_>>(), [("tab", tab)]);
    assert_eq!(tokenizer.special_tokens().count(), 3);
}

#[test]
fn ids_that_tokenizers_would_change_are_refused() {
    let error = changed("smollm", |file| file["added_tokens"][1]["id"] = json!(999)).unwrap_err();
    assert!(
        error.starts_with("the field added_tokens.id is 999 for \"<|im_start|>\": "),
        "{error}"
    );
}

#[test]
fn what_other_files_lose_is_said() {
    let said = |name: &str| {
        let before = changed(name, |_| ()).unwrap();
        let (vocab, merges) = before.to_vocab_and_merges();
        let after = BpeTokenizer::from_vocab_and_merges(&vocab, &merges, before.pattern()).unwrap();
        differences(&before, &after).join("; ")
    };
    assert_eq!(
        said("qwen2"),
        "that text is brought to form NFC; how texts are searched for 3 added tokens (<tool_call>, \
         </tool_call>, <think>)"
    );
    let llama3 = said("llama3");
    assert!(llama3.contains("the tokens around a text"), "{llama3}");
}

/// Texts in large numbers, from the file that `LATIMER_FAMILIES` names.
#[test]
#[ignore = "needs a file of peers/families.py with arguments"]
fn many_random_texts() {
    let path = std::env::var("LATIMER_FAMILIES").expect("LATIMER_FAMILIES names the file");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        check(&golden, case["name"].as_str().unwrap());
    }
}
