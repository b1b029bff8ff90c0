//! Number types: bf16 works wherever f32 does, without a warning, since every processor runs it
//! natively.

use crate::place::{Place, TINY};

#[test]
fn bf16_trains_writes_and_measures_natively() {
    let place = Place::new();
    let warning = "bf16 is correct but very slow";
    let train = place.run(&format!("train {TINY} --dtype bf16 --out narrow"));
    assert_eq!(train.status, Some(0), "{train:?}");
    assert!(!train.stderr.contains(warning), "{train:?}");
    place.output(&format!("train {TINY} --out wide --quiet"));
    let metrics = |run: &str| std::fs::read(place.path(run).join("metrics.jsonl")).unwrap();
    assert_ne!(metrics("narrow"), metrics("wide"));

    // A model can be used in either type, whichever type it was trained in.
    for model in ["narrow", "wide"] {
        let loss = |dtype: &str| {
            let eval = format!("eval --model {model} --data text.txt --max-tokens 40");
            place.json(&format!("{eval} --dtype {dtype} --quiet"))[0]["loss"]
                .as_f64()
                .unwrap()
        };
        let (wide, narrow) = (loss("f32"), loss("bf16"));
        // The bound of the trainer's own test, whose two layers have more roundings.
        let bound = 24.0f64.sqrt() / 256.0 * wide;
        assert!(
            wide != narrow && (wide - narrow).abs() < bound,
            "{wide} {narrow}"
        );
        let generate = "generate --prompt to --max-new-tokens 3 --dtype bf16 --model";
        let outcome = place.run(&format!("{generate} {model}"));
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        assert!(!outcome.stderr.contains(warning), "{outcome:?}");
    }
    let bench = "bench train --preset baby --n-layer 1 --n-embd 16 --n-head 2 --block-size 16 \
        --batch-size 4 --steps 1 --dtype bf16";
    assert_eq!(place.json(bench)[0]["dtype"], "bf16");
}
