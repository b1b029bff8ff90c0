//! Weights in several files, and the index that lists them.

use super::*;

#[test]
fn sharded_weights_are_those_of_one_file() {
    assert_eq!(Folder::sharded().logits(), Folder::of(&weights()).logits());
}

#[test]
fn an_index_names_files_of_its_own_folder() {
    for name in [
        "../a.safetensors",
        "/tmp/a.safetensors",
        "sub/a.safetensors",
        "sub\\a.safetensors",
        "C:a.safetensors",
        "..",
        "",
        ".safetensors",
        "a.bin",
        "a\0.safetensors",
    ] {
        let folder = Folder::sharded();
        folder.index(|index| index["weight_map"][WTE] = name.into());
        let said = folder.said();
        assert!(
            said.starts_with(
                "model.safetensors.index.json is not a valid index of weights: it puts"
            ) && said.contains("of its own folder"),
            "{name}: {said}"
        );
    }
    let folder = Folder::sharded();
    folder.index(|index| index["weight_map"][WTE] = json!(["a.safetensors"]));
    assert!(folder.said().contains("of its own folder"));
}

#[test]
fn an_index_and_its_files_agree() {
    let folder = Folder::sharded();
    fs::remove_file(folder.path("b.safetensors")).unwrap();
    let said = "model.safetensors.index.json names b.safetensors, which is not in its folder";
    assert_eq!(folder.said(), said);

    // In the other file, in none, in both, unlisted, listed twice.
    let folder = Folder::sharded();
    folder.index(|index| index["weight_map"][WTE] = "a.safetensors".into());
    let said = folder.said();
    assert!(
        said.contains("it should be in a.safetensors, but is in b.safetensors"),
        "{said}"
    );
    let folder = Folder::sharded();
    folder.index(|index| index["weight_map"]["more"] = "a.safetensors".into());
    let said = folder.said();
    assert!(
        said.contains("more is not read: a.safetensors, which should hold it, does not"),
        "{said}"
    );
    let folder = Folder::sharded();
    fs::copy(folder.path("a.safetensors"), folder.path("c.safetensors")).unwrap();
    folder.index(|index| index["weight_map"][WTE] = "c.safetensors".into());
    assert!(folder.said().contains("holds it too"), "{}", folder.said());
    let folder = Folder::sharded();
    folder.index(|index| {
        index["weight_map"].as_object_mut().unwrap().remove(WTE);
    });
    assert!(
        folder.said().contains("index.json does not list it"),
        "{}",
        folder.said()
    );
    let folder = Folder::sharded();
    let text = fs::read_to_string(folder.path(INDEX)).unwrap();
    folder.put(
        INDEX,
        text.replacen(
            "{\"transformer",
            "{\"transformer.wte.weight\": \"a.safetensors\", \"transformer",
            1,
        ),
    );
    assert!(
        folder
            .said()
            .contains("transformer.wte.weight occurs twice"),
        "{}",
        folder.said()
    );
}

#[test]
fn an_index_that_is_none_says_so() {
    for (text, words) in [
        ("", "it is empty"),
        ("{}", "it has no weight_map"),
        (r#"{"weight_map": []}"#, "it has no weight_map"),
        (r#"{"weight_map": {}}"#, "lists no tensor"),
        (
            r#"{"weight_map": {"x": "a.safetensors"}, "shards": 2}"#,
            "a key shards",
        ),
    ] {
        let folder = Folder::sharded();
        folder.put(INDEX, text);
        assert!(folder.said().contains(words), "{}", folder.said());
    }
}

#[test]
fn of_a_file_and_an_index_the_file_is_read_and_a_note_says_so() {
    let folder = Folder::sharded();
    let mut other = weights();
    other.insert(WTE.to_owned(), Stored::f32(&[5, 2], vec![0.25; 10]));
    write(&folder.path("model.safetensors"), &other);
    let notes = folder.load().unwrap().notes;
    assert!(
        notes.len() == 1 && notes[0].contains("index.json is not read"),
        "{notes:?}"
    );
    assert_eq!(folder.logits(), Folder::of(&other).logits());
}
