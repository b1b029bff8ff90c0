//! Models in Hugging Face's format, and broken models.

use crate::place::{Outcome, Place};
use std::fs;
use std::path::{Path, PathBuf};

/// The bytes of one f32.
type Element = [u8; 4];

/// Copies a folder that transformers wrote (`tests/golden/make_hf.py`): 19 ids, 9 positions.
fn copy(place: &Place, name: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/hf");
    let to = place.path(name);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from.join(name)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap();
        if file != "expected.safetensors" {
            fs::copy(&path, to.join(file)).unwrap();
        }
    }
    to
}

/// Changes the elements of a file's tensors, which are all f32.
fn change(file: &Path, change: impl FnOnce(&mut [Element])) {
    let mut bytes = fs::read(file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    change(bytes[8 + header..].as_chunks_mut().0);
    fs::write(file, bytes).unwrap();
}

fn refused(outcome: &Outcome, words: &str) {
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    // `generate` prints the prompt before the model computes.
    assert!(["", "be"].contains(&&*outcome.stdout), "{outcome:?}");
    let lines = outcome.stderr.lines().count();
    assert!(
        lines == 1 && outcome.stderr.contains(words),
        "{words}: {outcome:?}"
    );
}

/// The commands that use a model, on a text that its tokenizer can encode.
const USES: [&str; 4] = [
    "generate --max-new-tokens 3 --prompt be",
    "eval --data text.txt --max-tokens 20",
    "eval --data text.txt --max-tokens 20 --stride 2",
    "logits --ids 1,2,3 --out logits.safetensors",
];

#[test]
fn folders_of_transformers_are_used_and_what_is_not_said_by_them_is_said() {
    let place = Place::new();
    for name in ["plain", "sharded", "half", "old", "everything"] {
        copy(&place, name);
        let outcome = place.run(&format!(
            "logits --model {name} --ids 1,2 --out l.safetensors"
        ));
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert_eq!(outcome.stdout, "logits [2, 19] in l.safetensors\n");
        let warns = outcome.stderr.contains("holds another lm_head.weight");
        assert_eq!(warns, name == "everything", "{outcome:?}");
    }
}

#[test]
fn what_a_folder_asks_for_and_is_not_computed_is_one_sentence() {
    let place = Place::new();
    let folder = copy(&place, "plain");
    let whole = fs::read_to_string(folder.join("config.json")).unwrap();
    let with = |from: &str, to: &str, words: &str| {
        assert!(whole.contains(from), "{from}");
        fs::write(folder.join("config.json"), whole.replacen(from, to, 1)).unwrap();
        refused(
            &place.run("logits --model plain --ids 1 --out l.safetensors"),
            words,
        );
    };
    with(
        "\"gelu_new\"",
        "\"quick_gelu\"",
        "plain/config.json: activation_function is \"quick_gelu\": it must be one of gelu_new,",
    );
    with(
        "\"n_inner\": null",
        "\"n_inner\": \"32\"",
        "n_inner is \"32\": it must be a whole number",
    );
    with(
        "\"tie_word_embeddings\": true",
        "\"tie_word_embeddings\": \"no\"",
        "must be true or false",
    );
    with(
        "\"use_cache\": true",
        "\"alibi\": true",
        "alibi is true: Latimer does not know this key",
    );
    fs::write(folder.join("config.json"), &whole).unwrap();
    fs::rename(
        folder.join("model.safetensors"),
        folder.join("pytorch_model.bin"),
    )
    .unwrap();
    let outcome = place.run("logits --model plain --ids 1 --out l.safetensors");
    refused(
        &outcome,
        "plain holds no weights: it holds pytorch_model.bin",
    );
    assert!(outcome.stderr.contains("python -c \"import"), "{outcome:?}");
    fs::write(folder.join("model.safetensors"), "").unwrap();
    let outcome = place.run("logits --model plain --ids 1 --out l.safetensors");
    refused(
        &outcome,
        "model.safetensors is not a valid safetensors file: it is empty",
    );
}

/// The model has 19 ids, its tokenizer 15 characters. Sampling evenly would soon, within a hundred
/// draws, give each id without a character.
#[test]
fn ids_without_a_token_are_never_sampled() {
    let place = Place::new();
    copy(&place, "plain");
    place.output("tokenizer train --kind char --data text.txt --out plain/tokenizer.json");
    for flags in [
        "",
        "--temperature 0",
        "--top-k 19",
        "--top-p 1",
        "--top-p 0.99 --top-k 18",
    ] {
        let temperature = if flags.contains("temperature") {
            ""
        } else {
            "--temperature 1000"
        };
        let samples = place.json(&format!(
            "generate --model plain --prompt be --max-new-tokens 300 {temperature} {flags}"
        ));
        let ids = samples[0]["ids"].as_array().unwrap();
        assert_eq!(ids.len(), 302, "{flags}");
        assert!(
            ids.iter().all(|id| id.as_u64().unwrap() < 15),
            "{flags}: {ids:?}"
        );
    }
    place.output("eval --model plain --data text.txt --max-tokens 50");
    // All columns of the model are there, and its own ids are accepted.
    let written = place.output("logits --model plain --ids 0,18 --out l.safetensors");
    assert!(written.starts_with("logits [2, 19]"), "{written}");
    let outcome = place.run("logits --model plain --ids 19 --out l.safetensors");
    refused(&outcome, "id 19 is outside the vocabulary of 19");

    // If a tokenizer were larger than the model's vocabulary, it would give ids that the model does
    // not have.
    fs::write(place.path("many.txt"), "abcdefghijklmnopqrstuvwxyz").unwrap();
    fs::remove_file(place.path("plain/tokenizer.json")).unwrap();
    place.output("tokenizer train --kind char --data many.txt --out plain/tokenizer.json");
    for uses in USES {
        let outcome = place.run(&format!("{uses} --model plain"));
        refused(
            &outcome,
            "the tokenizer has 26 tokens, but the model has 19 ids",
        );
    }
}

#[test]
fn one_weight_that_is_no_number_is_named_by_all() {
    let place = Place::new();
    let folder = copy(&place, "plain");
    place.output("tokenizer train --kind char --data text.txt --out plain/tokenizer.json");
    for uses in USES {
        assert_eq!(
            place.run(&format!("{uses} --model plain")).status,
            Some(0),
            "{uses}"
        );
    }
    let _ = fs::remove_file(place.path("logits.safetensors"));
    for bad in [f32::NAN, f32::INFINITY] {
        change(&folder.join("model.safetensors"), |all| {
            all[all.len() - 1] = bad.to_le_bytes();
        });
        for uses in USES {
            let outcome = place.run(&format!("{uses} --model plain"));
            refused(&outcome, "plain/model.safetensors: element ");
            assert!(outcome.stderr.contains("of transformer."), "{outcome:?}");
        }
    }
    assert!(!place.path("logits.safetensors").exists());
}

/// Every weight is a finite number, but the logits are not.
#[test]
fn logits_that_are_no_numbers_are_refused_by_all() {
    let place = Place::new();
    let folder = copy(&place, "plain");
    place.output("tokenizer train --kind char --data text.txt --out plain/tokenizer.json");
    change(&folder.join("model.safetensors"), |all| {
        all.fill(1e38f32.to_le_bytes())
    });
    for uses in USES {
        let outcome = place.run(&format!("{uses} --model plain"));
        refused(&outcome, "the model's logits are not finite");
    }
    assert!(!place.path("logits.safetensors").exists());
}

/// Such a tokenizer also has a gap between the ids of its words and of its pieces.
#[test]
fn a_tokenizer_that_leaves_out_ends_of_lines_is_used_where_it_can_be() {
    let place = Place::new();
    copy(&place, "plain");
    place.output(
        "tokenizer train --kind ngram --vocab-size 18 --data text.txt --out plain/tokenizer.json",
    );
    let samples = place.json("generate --model plain --max-new-tokens 300 --temperature 1000");
    assert_eq!(samples[0]["new_tokens"], 300);
    let train = "train --preset baby --data text.txt --tokenizer plain/tokenizer.json --n-layer 1 \
        --n-embd 16 --n-head 2 --block-size 8 --batch-size 4 --eval-iters 1 --warmup-iters 1 \
        --max-iters 2 --sample-interval 1 --out run";
    place.output(train);
    let words = "no token for the end of a line";
    refused(&place.run("translate be --model plain"), words);
    let phrasebook = place.run("train --data phrasebook --tokenizer plain/tokenizer.json --out p");
    refused(&phrasebook, words);
}
