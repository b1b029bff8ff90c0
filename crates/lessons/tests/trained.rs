//! The lessons that train on Shakespeare's plays, if `$LATIMER_CACHE` holds them: what they show,
//! and their losses, within what the rounding of another machine may change.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_backend_cpu::Cpu;
use latimer_lessons::course::{Entry, Setting};
use latimer_tensor::Device;
use std::path::PathBuf;

/// The seeds of one rung differ by 0.1 after the whole training; rounding alone changes far less.
const TOLERANCE: f64 = 0.05;

#[test]
fn a_training_is_shown_from_before_to_after() {
    let cache = std::env::var_os("LATIMER_CACHE").map(PathBuf::from);
    let Some(cache) = cache.filter(|cache| cache.join("shakespeare.txt").is_file()) else {
        eprintln!("skipped: $LATIMER_CACHE/shakespeare.txt is not there");
        return;
    };
    let device = Device::new(Cpu::new(2).unwrap());
    let setting = Setting {
        cache: Some(&cache),
        text: Some("Romeo, "),
        ..Setting::new(&device)
    };
    for (id, parameters, steps, loss) in [
        ("lm0", "7297", 500, 3.002),
        ("lm2", "8865", 500, 3.024),
        ("lm5", "30017", 500, 2.727),
        ("12", "30144", 1000, 2.370),
    ] {
        let lesson = Entry::find(id).unwrap().build(&setting).unwrap();
        let outputs = lesson.outputs();
        let text = |name: &str| outputs[name].as_str().unwrap();
        let number = |name: &str| text(name).parse::<f64>().unwrap();
        assert_eq!(text("parameters"), parameters, "{id}");
        assert_eq!(number("steps"), f64::from(steps), "{id}");
        // Knowing nothing costs ln 65; a fresh model is a little worse.
        let before = number("validation loss before");
        assert!((4.1..4.7).contains(&before), "{id}: {before}");
        let after = number("validation loss after");
        assert!((after - loss).abs() < TOLERANCE, "{id}: {after}");
        let curve = outputs["training loss"].as_array().unwrap();
        assert_eq!(curve.len(), steps as usize / 10, "{id}");
        for sample in ["sample before", "sample after"] {
            // The learner's words, and 60 more characters.
            let written = text(sample);
            assert!(written.starts_with("Romeo, "), "{id}: {written}");
            assert_eq!(written.chars().count(), 7 + 60, "{id}: {written}");
        }
    }
}
