//! Every command does what it says.

use crate::place::{Outcome, Place, TINY};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

#[test]
fn train_tells_its_events_as_json() {
    let place = Place::new();
    let flags = "--eval-interval 2 --sample-interval 4 --checkpoint-interval 3 --out run";
    let events = place.json(&format!("train {TINY} {flags}"));
    let names: Vec<_> = events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names.join(" "),
        "plan step step eval step checkpoint step eval sample step checkpoint eval sample done"
    );
    assert_eq!(events[0]["tokens_per_step"], 64);
    for key in ["step", "loss", "lr", "grad_norm", "tokens_per_s"] {
        assert!(events[1][key].is_number(), "{key}: {}", events[1]);
    }
    assert!(place.path(events[5]["path"].as_str().unwrap()).is_dir());
    let done = &events[events.len() - 1];
    assert_eq!((&done["steps"], &done["run"]), (&5.into(), &"run".into()));
    for key in ["val_loss", "best_val_loss", "tokens_per_s", "peak_rss_mb"] {
        assert!(
            done[key].is_number() || done[key].is_null(),
            "{key}: {done}"
        );
    }
    // No object has a key twice: some readers reject that.
    let line = place.output(&format!("train {TINY} --json --out again"));
    let step = line.lines().nth(1).unwrap();
    assert_eq!(step.matches("\"step\":").count(), 1, "{step}");
}

#[test]
fn train_speaks_to_people_on_stderr_and_sums_up_on_stdout() {
    let place = Place::new();
    let outcome = place.run(&format!("train {TINY} -v"));
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("validation loss"), "{outcome:?}");
    for said in [
        "parameters",
        "predicted",
        "loss",
        "saved runs",
        "next: latimer generate",
    ] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome:?}");
    }
    // Neither stdout nor stderr is a terminal: no colour, no bar.
    assert!(!outcome.stderr.contains(['\x1b', '\r']), "{outcome:?}");
    assert!(place.path("runs/baby-001/latest").is_file());
    let quiet = place.run(&format!("train {TINY} --quiet"));
    assert_eq!((quiet.status, quiet.stderr.as_str()), (Some(0), ""));
    assert!(place.path("runs/baby-002/latest").is_file());
}

#[test]
fn generate_streams_what_its_json_holds() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet"));
    let generate = "generate --prompt to --temperature 0 --max-new-tokens 40";
    let text = place.output(generate);
    assert_eq!(text, place.output(generate));
    let samples = place.json(generate);
    let sample = &samples[0];
    assert_eq!(format!("{}\n", sample["text"].as_str().unwrap()), text);
    assert_eq!(
        (&sample["prompt_tokens"], &sample["new_tokens"]),
        (&2.into(), &40.into())
    );
    assert_eq!(sample["ids"].as_array().unwrap().len(), 42);
    assert!(sample["tokens_per_s"].as_f64().unwrap() > 0.0);

    let draw = |seed: u32| {
        let samples = place.json(&format!("generate --seed {seed} --num-samples 2 --top-k 5"));
        samples
            .into_iter()
            .map(|mut s| s["text"].take())
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(draw(1)[0], draw(1)[1]);
}

#[test]
fn generate_converses_line_by_line() {
    let place = Place::new();
    place.output(&format!("train {TINY} --quiet"));
    let mut child = place
        .command("generate --interactive --json --max-new-tokens 3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A prompt that the model cannot read does not end the loop.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"to be\n#\nthat")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let texts: Vec<Value> = stdout
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(texts.len(), 2);
    assert!(texts[0]["text"].as_str().unwrap().starts_with("to be"));
    assert!(texts[1]["text"].as_str().unwrap().starts_with("that"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: unknown character '#'"),
        "{stderr}"
    );
}

#[test]
fn logits_are_the_vocabularys_columns() {
    let place = Place::new();
    let plan = &place.json(&format!("train {TINY} --quiet"))[0];
    let vocab_size = plan["vocab_size"].as_u64().unwrap();
    let written = &place.json("logits --ids 1,2,3 --out l.safetensors")[0];
    assert_eq!(written["shape"], Value::from(vec![3, vocab_size]));
    assert_eq!(written["out"], "l.safetensors");
    let bytes = std::fs::read(place.path("l.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..][..length]).unwrap();
    assert_eq!(header["logits"]["shape"], written["shape"]);
    assert_eq!(bytes.len() - 8 - length, 3 * vocab_size as usize * 4);
    // Later ids change nothing at earlier positions.
    place.output("logits --ids 1,2 --out shorter.safetensors");
    let shorter = std::fs::read(place.path("shorter.safetensors")).unwrap();
    let row = vocab_size as usize * 4;
    let values = |bytes: &[u8], rows: usize| -> Vec<f32> {
        let end = bytes.len() - (rows - 2) * row;
        let (quads, _) = bytes[end - 2 * row..end].as_chunks::<4>();
        quads.iter().map(|&quad| f32::from_le_bytes(quad)).collect()
    };
    for (a, b) in values(&bytes, 3).iter().zip(values(&shorter, 2)) {
        // Logits of a fresh model are below 1; f32 keeps 6 digits through one block.
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn the_phrasebook_trains_and_translates() {
    let place = Place::new();
    let flags = "--n-layer 1 --n-embd 16 --n-head 2 --batch-size 4 --eval-iters 1 --max-iters 2 \
        --warmup-iters 1";
    let events = place.json(&format!("train {flags}"));
    let done = &events[events.len() - 1];
    for key in ["exact_match", "exact_match_structures", "word_by_word"] {
        assert!(done[key].is_number(), "{key}: {done}");
    }
    // A newer run of another preset is not taken as the translator.
    place.output(&format!("train {TINY} --quiet"));
    let outcome = Outcome::of(
        place
            .command("translate --json")
            .arg("le chat est sous la table"),
    );
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let translation: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(translation["method"], "gpt");
    let (text, tokens) = (&translation["text"], &translation["tokens"]);
    assert!(text.is_string() && tokens.is_array(), "{translation}");

    // The same sentence, as a person would write it, gives the same answer.
    let written = place.run_args(&[
        "translate",
        "--json",
        "«\u{a0}Le chat est sous la table.\u{a0}»",
    ]);
    let written: Value = serde_json::from_str(&written.stdout).unwrap();
    assert_eq!(&written["tokens"], tokens);
    assert!(
        written["text"].as_str().unwrap().ends_with('.'),
        "{written}"
    );
    let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["method", "text", "tokens"]);

    // Answers that the model is unsure of come with their probabilities.
    for (text, said) in [
        (
            "table la sous",
            "`table la sous` is not a sentence of the phrasebook's grammar",
        ),
        (
            "The cat dort",
            "`the` and `cat` are not French words of the phrasebook",
        ),
        (
            "le chat ne va pas dormir",
            "training never shows a sentence with the structure of `le chat ne va pas dormir`",
        ),
    ] {
        let unsure = place.run_args(&["translate", text]);
        assert!(unsure.stderr.contains(said), "{unsure:?}");
        assert!(
            unsure.stderr.contains(" % on average, the smallest to `"),
            "{unsure:?}"
        );
    }
    // A model of two steps is unsure of everything.
    let doubted = place.run_args(&["translate", "Le chat dort."]);
    let said = "the model doubts its answer for `le chat dort`: ";
    assert!(doubted.stderr.contains(said), "{doubted:?}");

    let unknown = place.run("translate Le chatt, dort zzz!");
    assert_eq!(unknown.status, Some(1));
    for said in [
        "`chatt`, word 2 of the text (the nearest is `chat`)",
        "`zzz`, word 4",
    ] {
        assert!(unknown.stderr.contains(said), "{unknown:?}");
    }
}

#[test]
fn bench_times_steps() {
    let place = Place::new();
    let flags = "--n-layer 1 --n-embd 16 --n-head 2 --block-size 16 --seq-len 8 --batch-size 4";
    let measured = &place.json(&format!("bench train --preset baby --steps 2 {flags}"))[0];
    assert_eq!(measured["preset"], "baby");
    assert_eq!(measured["backend"], "cpu");
    // There are 65 characters and 16 positions of width 16, one block of 12*16*16 + 13*16, and a
    // norm of 2*16.
    assert_eq!(
        measured["params"],
        65 * 16 + 16 * 16 + 12 * 256 + 13 * 16 + 32
    );
    let ms = &measured["step_ms"];
    let ms = |key: &str| ms[key].as_f64().unwrap();
    assert!(0.0 < ms("min") && ms("min") <= ms("median") && ms("median") <= ms("max"));
    for key in ["tokens_per_s", "mfu", "loss_first", "loss_last"] {
        assert!(measured[key].as_f64().unwrap() > 0.0, "{key}: {measured}");
    }
    // After the warm-up every buffer is reused.
    assert_eq!(measured["allocations_per_step"], 0.0);
    assert_eq!(measured["pool_mb"], measured["predicted_mb"]);
    assert!(
        measured["dispatch_ms"].as_f64().unwrap() > 0.0,
        "{measured}"
    );
    assert!(measured["profile"].is_null(), "{measured}");
    let shares =
        measured["peak_share"].as_f64().unwrap() * measured["peak_gflops"].as_f64().unwrap();
    assert!(shares > 0.0, "{measured}");
    // The tokens of a step count all its micro-batches.
    let tokens = |measured: &serde_json::Value| {
        let ms = measured["step_ms"]["median"].as_f64().unwrap();
        measured["tokens_per_s"].as_f64().unwrap() * ms * 1e-3
    };
    assert!((tokens(measured) - 32.0).abs() < 1e-6, "{measured}");
    let thrice = format!("bench train --preset baby {flags} --steps 1 --grad-accum 3");
    let thrice = &place.json(&thrice)[0];
    assert!((tokens(thrice) - 96.0).abs() < 1e-6, "{thrice}");
    place.output(&format!("bench train {flags} --steps 1 --warmup 0"));
    let wide = format!("bench train --preset baby --steps 1 {flags} --vocab-size 100");
    let wide = &place.json(&wide)[0];
    let more = wide["params"].as_u64().unwrap() - measured["params"].as_u64().unwrap();
    assert_eq!((more, &wide["vocab_size"]), (35 * 16, &100.into()));
}

#[test]
fn a_profile_says_where_the_time_goes() {
    let place = Place::new();
    let flags =
        "--n-layer 2 --n-embd 16 --n-head 2 --block-size 8 --batch-size 4 --steps 2 --profile";
    let profile = &place.json(&format!("bench train --preset baby {flags}"))[0]["profile"];
    let rows = profile["rows"].as_array().unwrap();
    let number = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap();
    let of = |phase: &str, op: &str| -> Vec<_> {
        let is = |row: &&serde_json::Value| row["phase"] == phase && row["op"] == op;
        rows.iter().filter(is).collect()
    };
    let sum = |key: &str| rows.iter().map(|row| number(row, key)).sum::<f64>();
    let whole = number(profile, "ops_ms") + number(profile, "dispatch_ms");
    assert!((sum("ms") - number(profile, "ops_ms")).abs() < 1e-9 * whole);
    assert!((sum("share") * whole - number(profile, "ops_ms")).abs() < 1e-9 * whole);
    // Each product of the forward pass has two in the backward pass, with as many operations each.
    let mflop = |phase| {
        let products = of(phase, "matmul").into_iter();
        products
            .map(|row| number(row, "gflops") * number(row, "ms"))
            .sum::<f64>()
    };
    let (forward, backward) = (mflop("forward"), mflop("backward"));
    assert!(
        (backward - 2.0 * forward).abs() < 1e-9 * backward,
        "{forward} {backward}"
    );
    // Attention and MLP have two products a block each, and the head has one: 2·M·K·N operations
    // each.
    let (tokens, c) = (32.0, 16.0);
    let operations = 2.0 * tokens * c * (2.0 * 12.0 * c + 65.0);
    assert!(
        (forward * 1e6 - operations).abs() < 1e-6 * operations,
        "{forward}"
    );
    assert_eq!(of("backward", "attention_backward")[0]["calls"], 2);
    assert_eq!(of("forward", "attention")[0]["calls"], 2);
    assert_eq!(of("update", "adamw").len(), 1);
    let table = place.output(&format!("bench train --preset baby {flags}"));
    assert!(table.contains("\nbackward attention_backward "), "{table}");
}

#[test]
fn bench_times_tokens() {
    let place = Place::new();
    let flags = "--n-layer 1 --n-embd 16 --n-head 2 --block-size 16 --runs 2";
    let bench = format!("bench generate --preset baby {flags} --new-tokens 5");
    let begin = std::time::Instant::now();
    let measured = &place.json(&bench)[0];
    // Four tokens of each of two texts take at least that long, since no token is faster.
    let least = measured["ms_per_token"]["min"].as_f64().unwrap();
    assert!(
        10.0 * least <= begin.elapsed().as_secs_f64() * 1e3,
        "{measured}"
    );
    let parameters = 65 * 16 + 16 * 16 + 12 * 256 + 13 * 16 + 32;
    assert_eq!(measured["params"], parameters);
    assert_eq!(
        (&measured["batch_size"], &measured["prompt_tokens"]),
        (&1.into(), &1.into())
    );
    // Every parameter is read except the positions, of which a token reads one.
    assert_eq!(measured["weight_bytes"], 4 * (parameters - 16 * 16));
    let number = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap();
    let ms = &measured["ms_per_token"];
    assert!(0.0 < number(ms, "min") && number(ms, "min") <= number(ms, "median"));
    for key in [
        "first_token_ms",
        "bandwidth_gb_s",
        "bandwidth_share",
        "peak_rss_mb",
    ] {
        assert!(number(measured, key) > 0.0, "{key}: {measured}");
    }
    // Three rows side by side give three tokens a step.
    let batch = "--prompt-tokens 4 --batch-size 3 --dtype bf16";
    let measured = &place.json(&format!("{bench} {batch}"))[0];
    assert_eq!(
        (&measured["batch_size"], &measured["dtype"]),
        (&3.into(), &"bf16".into())
    );
    let tokens = number(measured, "tokens_per_s") * number(&measured["ms_per_token"], "median");
    assert!((tokens - 3000.0).abs() < 1e-6, "{measured}");
    assert_eq!(measured["weight_bytes"], 2 * (parameters - 16 * 16));
    assert!(place.output(&bench).contains("tokens/s"));
    // The profile shows the last of five tokens, in three more texts: five positions are attended
    // to.
    let profile = &place.json(&format!("{bench} --profile"))[0]["profile"];
    let rows = profile["rows"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["phase"] == "forward"),
        "{profile}"
    );
    assert_eq!(profile["steps"], 3);
    // The block's four products and the head read every weight but biases, norms and positions.
    let products = rows.iter().filter(|row| row["op"] == "matmul");
    let mflop = products.map(|row| number(row, "gflops") * number(row, "ms"));
    let operations = 2.0 * 16.0 * (12.0 * 16.0 + 65.0);
    let got = mflop.sum::<f64>() * 1e6;
    assert!((got - operations).abs() < 1e-6 * operations, "{got}");
    let calls = |op: &str| {
        rows.iter()
            .find(|row| row["op"] == op)
            .map(|row| &row["calls"])
    };
    assert_eq!(calls("attention_decode"), Some(&1.into()));
    let table = place.output(&format!("{bench} --profile"));
    assert!(table.contains("\nforward  attention_decode "), "{table}");
}

#[test]
fn bench_times_every_operation_it_lists() {
    let place = Place::new();
    let listed = place.json("bench op");
    assert_eq!(place.output("bench op").lines().count(), listed.len());
    for row in listed {
        let name = row["op"].as_str().unwrap();
        // Small sizes are used so that the whole table takes a second.
        let shape = vec!["3"; row["shape"].as_array().unwrap().len()].join(",");
        let bench = format!("bench op {name} --shape {shape} --runs 2 --warmup 1");
        let measured = &place.json(&bench)[0];
        assert_eq!(
            (&measured["op"], &measured["runs"]),
            (&name.into(), &2.into())
        );
        assert_eq!(measured["native"], true, "{measured}");
        let number = |key: &str| measured[key].as_f64().unwrap();
        assert!(0.0 < number("min_us") && number("min_us") <= number("median_us"));
        assert!(number("gb_s") > 0.0, "{measured}");
    }
    // A product of [2, 3] by [3, 4] has 2·3·4 fused multiply-adds, on 6 + 12 + 8 numbers of 4
    // bytes.
    let measured = &place.json("bench op matmul --shape 2,3,4 --runs 1")[0];
    let number = |key: &str| measured[key].as_f64().unwrap();
    let seconds = number("median_us") * 1e-6;
    assert!(
        (number("gflops") * seconds * 1e9 - 48.0).abs() < 1e-6,
        "{measured}"
    );
    assert!(
        (number("gb_s") * seconds * 1e9 - 104.0).abs() < 1e-6,
        "{measured}"
    );
    // This backend runs other number types by the f64 meaning, and says so.
    let slow = place.output("bench op softmax --shape 2,3 --dtype f16 --runs 1");
    assert!(slow.contains("no version of its own"), "{slow}");
}

#[test]
fn devices_and_corpora_are_listed() {
    let place = Place::new();
    let devices = place.json("devices --threads 2");
    let cpu = devices.iter().find(|d| d["backend"] == "cpu").unwrap();
    assert_eq!(
        (&cpu["available"], &cpu["threads"]),
        (&true.into(), &2.into())
    );
    let cuda = devices.iter().find(|d| d["backend"] == "cuda").unwrap();
    assert!(
        cuda["available"] == true || cuda["reason"].is_string(),
        "{cuda}"
    );
    assert!(place.output("devices").starts_with("cpu "));

    let corpora = place.json("data list");
    assert_eq!(corpora[0]["name"], "phrasebook");
    assert_eq!(corpora[0]["cached"], true);
    let shakespeare = corpora.iter().find(|c| c["name"] == "shakespeare");
    let shakespeare = shakespeare.unwrap();
    assert_eq!(shakespeare["bytes"], 1_115_394);
    assert_eq!(shakespeare["cached"], false);
    let cached = place.path("cache").join("shakespeare.txt");
    assert_eq!(shakespeare["path"], cached.to_str().unwrap());
    assert!(place.output("data list").contains("not cached"));
}

#[test]
fn a_printed_configuration_is_read_back_and_flags_lie_over_it() {
    let place = Place::new();
    let print = "train --preset seed --n-layer 3 --tie --set train.beta2=0.98 --print-config";
    let printed = place.output(print);
    assert!(printed.starts_with("preset = \"seed\""), "{printed}");
    for line in ["n_layer = 3 ", "tie = true ", "beta2 = 0.98 "] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    std::fs::write(place.path("run.toml"), &printed).unwrap();
    assert_eq!(
        place.output("train --config run.toml --print-config"),
        printed
    );
    let over = place.output("train --config run.toml --tie false --print-config");
    assert!(
        over.contains("n_layer = 3 ") && over.contains("tie = false "),
        "{over}"
    );
    let as_json = &place.json("train --config run.toml --print-config")[0];
    assert_eq!(as_json["model"]["n_layer"], 3);
}

#[test]
fn help_names_what_works_and_nothing_else() {
    let place = Place::new();
    let help = place.output("--help");
    let works = [
        "train",
        "generate",
        "translate",
        "lesson",
        "eval",
        "logits",
        "data",
        "devices",
        "bench",
    ];
    for command in works {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
        place.output(&format!("{command} --help"));
    }
    let train = place.output("train --help");
    assert!(
        train.contains("--learning-rate") && train.contains("Presets:"),
        "{train}"
    );
    assert!(place.output("--version").starts_with("latimer "));
    assert_eq!(place.run("").status, Some(2));
}
