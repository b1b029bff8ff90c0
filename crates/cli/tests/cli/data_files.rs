//! `--data`: folders, patterns, and reports of files that are not read.

use crate::place::{Place, TINY};
use std::fs;

/// A tree of files like a program's sources: text, code, and other files.
fn tree() -> Place {
    let place = Place::new();
    for folder in ["src/a/b", "src/.git"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    let text = "to be or not to be, that is the question\n".repeat(20);
    for name in [
        "readme.md",
        "a/one.py",
        "a/b/two.PY",
        "three.py",
        "a/make",
        "a/x.bin",
        ".git/y.txt",
    ] {
        fs::write(place.path("src").join(name), &text).unwrap();
    }
    fs::write(place.path("src/a/empty.md"), "").unwrap();
    place
}

#[test]
fn a_folder_says_what_it_is_read_for() {
    let place = tree();
    let tiny = TINY.replace("--data text.txt", "--data src");
    let outcome = place.run(&format!("train {tiny} --out run"));
    let told = "src: 1 file to read; 7 not: 3 .py, 1 without an extension, 1 .bin, 1 empty, 1 \
                hidden (--extensions selects which files are read)";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
    let listing = |run: &str| fs::read_to_string(place.path(run).join("data.txt")).unwrap();
    let said = "# src: files read: 1\n# src: not read: 1 without an extension\n# src: not read: 1 .bin\n\
                # src: not read: 3 .py\n# src: not read: 1 empty\n# src: not read: 1 hidden\n\
                src/readme.md\n";
    assert_eq!(listing("run"), said);
    // The path appears in no other file of a run: a copy of the tree gives the same bytes.
    for file in [
        "metrics.jsonl",
        "samples.txt",
        "checkpoints/step-000005/state.json",
    ] {
        let text = fs::read_to_string(place.path("run").join(file)).unwrap();
        assert!(!text.contains("readme.md"), "{file}");
    }
    let outcome = place.run(&format!("train {tiny} --extensions py,.MD --out py"));
    assert!(
        outcome.stderr.contains("src: 4 files to read; 4 not: "),
        "{outcome:?}"
    );
    let files = "src/a/b/two.PY\nsrc/a/one.py\nsrc/readme.md\nsrc/three.py\n";
    assert!(listing("py").ends_with(files), "{}", listing("py"));
    let config = fs::read_to_string(place.path("py/config.toml")).unwrap();
    assert!(config.contains("extensions = \"py,.MD\""), "{config}");
    // A run that is started anew lists its own files.
    place.output(&format!("train {TINY} --out py --overwrite --quiet"));
    assert_eq!(listing("py"), "# text.txt: files read: 1\ntext.txt\n");
    let outcome = place.run(&format!("train {TINY} --out plain"));
    assert!(!outcome.stderr.contains("to read"), "{outcome:?}");
    place.output("train --max-iters 1 --eval-iters 1 --out phrases --quiet");
    assert!(
        listing("phrases").starts_with("# no files"),
        "{}",
        listing("phrases")
    );
}

#[test]
fn a_pattern_is_read_wherever_a_file_is() {
    let place = tree();
    fs::write(
        place.path("c.toml"),
        "preset = 'baby'\n[data]\ndata = 'src'\nextensions = ['py']\n",
    )
    .unwrap();
    let plan = &place.json("train --dry-run --config c.toml --block-size 16")[0];
    let pattern = TINY.replace("--data text.txt", "--data src/**/*.[pP][yY]");
    let by_pattern = &place.json(&format!("train --dry-run {pattern}"))[0];
    assert_eq!(plan["training_tokens"], by_pattern["training_tokens"]);
    place.output(&format!("train {TINY} --quiet --out run"));
    let loss = |data: &str| {
        let measured = place.json(&format!("eval --model run --data {data}"));
        (measured[0]["tokens"].clone(), measured[0]["loss"].clone())
    };
    assert_eq!(loss("src/**/*.[pP][yY]"), loss("src --extensions py"));
    assert_eq!(
        loss("src/a/*.py src/*.py"),
        loss("src/a/one.py src/three.py")
    );
    for data in ["src/**/*.[pP][yY]", "src --extensions PY"] {
        let outcome = place.run(&format!(
            "tokenizer train --kind bpe --vocab-size 260 --data {data} --out t"
        ));
        assert!(outcome.stderr.contains(": 3 files to read"), "{outcome:?}");
        let outcome = place.run(&format!(
            "data prepare {data} --tokenizer t --out {}",
            data.len()
        ));
        assert!(outcome.stderr.contains(": 3 files to read"), "{outcome:?}");
        let listing =
            fs::read_to_string(place.path(data.len().to_string()).join("data.txt")).unwrap();
        assert!(
            listing.ends_with("src/a/b/two.PY\nsrc/a/one.py\nsrc/three.py\n"),
            "{listing}"
        );
    }
    let outcome = place.run("eval --model run --data src/three.py src/*.py");
    assert!(
        outcome.stderr.contains("1 file is named more than once"),
        "{outcome:?}"
    );
    for (args, status, words) in [
        (
            "train --preset baby --data src/*.rs",
            1,
            "no file matches src/*.rs",
        ),
        (
            "train --preset baby --data src --extensions rs",
            1,
            "no text that ends in .rs: there are 1 without",
        ),
        (
            "train --preset baby --data src --extensions a/b",
            2,
            "data.extensions is [\"a/b\"]: it must be file endings",
        ),
        (
            "eval --model run --data src --extensions *",
            2,
            "--extensions is *: it must be a file ending",
        ),
        (
            "tokenizer train --data 17 --out u",
            1,
            "17 is a folder of tokens, but text is needed",
        ),
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(status), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(words), "{args}: {outcome:?}");
    }
}

/// The wording is the same, whatever the file was needed for.
#[test]
fn a_missing_file_has_one_wording() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet --out run"));
    for (args, name) in [
        ("train --preset baby --data none.txt", "none.txt"),
        ("train --preset baby --data none", "none"),
        ("train --preset baby --data none/*.txt", "none"),
        ("train --config none.toml", "none.toml"),
        (
            "train --preset baby --data text.txt --tokenizer none.json",
            "none.json",
        ),
        (
            "train --preset baby --data text.txt --tokenizer none",
            "none",
        ),
        ("train --resume --out none", "none"),
        ("eval --model run --data none.txt", "none.txt"),
        ("eval --model none --data text.txt", "none"),
        ("generate --model none", "none"),
        ("translate --model none chat", "none"),
        ("logits --model none --ids 1 --out l", "none"),
        ("tokenizer info --tokenizer none.json", "none.json"),
        (
            "tokenizer encode --tokenizer none.tiktoken",
            "none.tiktoken",
        ),
        ("tokenizer train --data none.txt --out t", "none.txt"),
        (
            "data prepare none.txt --tokenizer run/checkpoints/step-000005/tokenizer.json --out o",
            "none.txt",
        ),
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(1), "{args}: {outcome:?}");
        let words = format!("error: cannot read {name}: there is no such file or folder");
        assert!(outcome.stderr.starts_with(&words), "{args}: {outcome:?}");
    }
}
