//! `eval`: how well a model predicts a text.

use crate::place::{Place, TINY};
use std::fs;

#[test]
fn eval_of_the_validation_part_is_the_runs_own_loss() {
    let place = Place::new();
    let events = place.json(&format!("train {TINY} --out run"));
    let done = &events[events.len() - 1];
    // The preset `baby` keeps the last tenth for validation.
    let text = fs::read_to_string(place.path("text.txt")).unwrap();
    let cut = (text.len() as f64 * 0.9) as usize;
    fs::write(place.path("part.txt"), &text[cut..]).unwrap();
    let eval = "eval --model run --data part.txt";
    let measured = &place.json(eval)[0];
    assert_eq!(measured["loss"], done["val_loss"]);
    assert_eq!(measured["tokens"], text.len() - cut - 1);
    assert_eq!(measured["bytes"], measured["tokens"]);
    let number = |key: &str| measured[key].as_f64().unwrap();
    // A loss near 3 is printed with enough digits to tell it from other f32, to 2⁻²³.
    assert!((number("perplexity").ln() - number("loss")).abs() < 2e-7);
    let bits = number("loss") / std::f64::consts::LN_2;
    assert!((number("bits_per_byte") - bits).abs() < 4e-7);

    // A stride of the context's length gives the same windows; a shorter one predicts the same
    // tokens.
    let with = |flags: &str| place.json(&format!("{eval} {flags}"))[0].clone();
    assert_eq!(with("--stride 16")["loss"], measured["loss"]);
    let overlapping = with("--stride 5");
    assert_eq!(overlapping["tokens"], measured["tokens"]);
    let loss = overlapping["loss"].as_f64().unwrap();
    assert!((loss - number("loss")).abs() < 0.2, "{loss}");
    // Within the first window the stride makes no difference.
    let few = ["1", "16"].map(|s| with(&format!("--max-tokens 16 --stride {s}")));
    assert_eq!(few[0]["tokens"], 16);
    let [a, b] = few.map(|m| m["loss"].as_f64().unwrap());
    // The sums of 16 losses near 3 in f32 differ only in their order.
    assert!((a - b).abs() < 1e-5, "{a} {b}");
    assert!(place.output(eval).contains("bits per byte"));
}
