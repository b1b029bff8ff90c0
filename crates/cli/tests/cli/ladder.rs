//! The ladder's presets under every command that users run on them.

use crate::place::Place;
use std::fs;

const FEW: &str = "--data text.txt --batch-size 4 --eval-iters 1 --quiet";

#[test]
fn every_model_trains_goes_on_is_measured_and_writes() {
    let place = Place::new();
    for (preset, parameters) in [
        ("lm0", 7_297),
        ("lm1", 7_297),
        ("lm2", 8_865),
        ("lm3", 9_921),
        ("lm4", 54_657),
        ("lm5", 30_017),
    ] {
        let bench = place.json(&format!("bench train --preset {preset} --steps 1 --quiet"));
        assert_eq!(bench[0]["params"], parameters, "{preset}");
        let config = place.output(&format!("train --preset {preset} --print-config"));
        assert!(
            config.starts_with(&format!("preset = \"{preset}\"")),
            "{config}"
        );

        let (straight, stopped) = (format!("{preset}-straight"), format!("{preset}-stopped"));
        place.output(&format!(
            "train --preset {preset} {FEW} --max-iters 4 --out {straight}"
        ));
        place.output(&format!(
            "train --preset {preset} {FEW} --max-iters 2 --out {stopped}"
        ));
        place.output(&format!(
            "train --resume --max-iters 4 --quiet --out {stopped}"
        ));
        for file in [
            "metrics.jsonl",
            "samples.txt",
            "checkpoints/step-000004/model.safetensors",
        ] {
            let [one, two] =
                [&straight, &stopped].map(|run| fs::read(place.path(run).join(file)).unwrap());
            assert!(one == two, "{preset}: {file} differs");
        }

        // Generate past the window of 16 tokens, from a prompt that fills it and from one that does
        // not.
        for prompt in ["to", "to be or not to be, that is"] {
            let mut command = place.command(&format!(
                "generate --model {straight} --max-new-tokens 20 --temperature 0 --json --quiet"
            ));
            let written = crate::place::Outcome::of(command.args(["--prompt", prompt]));
            assert_eq!(written.status, Some(0), "{preset}: {written:?}");
            let written: serde_json::Value = serde_json::from_str(&written.stdout).unwrap();
            assert_eq!(written["new_tokens"], 20, "{preset}: {written}");
        }

        let loss = |stride: &str| {
            let args = format!("eval --model {straight} --data text.txt --max-tokens 200 {stride}");
            place.json(&format!("{args} --quiet"))[0]["loss"]
                .as_f64()
                .unwrap()
        };
        // After four steps the model knows nothing yet: the loss is near the logarithm of 13
        // characters or above.
        for loss in [loss(""), loss("--stride 1")] {
            assert!((2.0..5.0).contains(&loss), "{preset}: {loss}");
        }
    }
}
