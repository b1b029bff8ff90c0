//! What a step's time grows with: one size at a time, and the exponent it grows by.

use crate::contest::{median, number};
use crate::{Options, machine, say};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A size that is varied while the others stay as in [`BASE`].
struct Axis {
    name: &'static str,
    /// Its flags.
    flags: &'static [&'static str],
    values: &'static [usize],
}

/// The model in the middle of all axes.
const BASE: &[&str] = &[
    "--preset=baby",
    "--n-layer=2",
    "--n-head=4",
    "--n-embd=128",
    "--block-size=64",
    "--batch-size=8",
    "--vocab-size=256",
];

const AXES: [Axis; 5] = [
    Axis {
        name: "n_embd",
        flags: &["--n-embd"],
        values: &[32, 64, 128, 256, 512],
    },
    Axis {
        name: "T",
        flags: &["--block-size"],
        values: &[16, 32, 64, 128, 256, 512],
    },
    Axis {
        name: "B",
        flags: &["--batch-size"],
        values: &[1, 2, 4, 8, 16, 32],
    },
    Axis {
        name: "layers",
        flags: &["--n-layer"],
        values: &[1, 2, 4, 8, 16],
    },
    Axis {
        name: "vocabulary",
        flags: &["--vocab-size"],
        values: &[64, 256, 1024, 4096, 16384],
    },
];

/// A curve: a number of threads, and milliseconds at each value.
struct Curve {
    threads: usize,
    points: Vec<(f64, f64)>,
}

/// Measures, prints and draws all axes.
pub(crate) fn measure(latimer: &Path, options: &Options) -> Result<(), String> {
    let folder = match options.record {
        true => Path::new("benches/record").join(machine::name()),
        false => PathBuf::from("target/bench"),
    };
    let path = |name: &str| folder.join(format!("{}-scaling{name}", machine::today()));
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(path, text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    let mut all_threads = vec![1, options.threads];
    all_threads.dedup();
    let mut csv = "axis,value,threads,runs,step_ms\n".to_owned();
    say("time grows with the size to the power of\naxis        threads   all   last doubling\n");
    for axis in AXES {
        let mut curves = Vec::new();
        for &threads in &all_threads {
            let mut points = Vec::new();
            for &value in axis.values {
                let ms = time(latimer, &axis, value, threads, options.runs)?;
                let runs = options.runs;
                let _ = writeln!(csv, "{},{value},{threads},{runs},{ms:.4}", axis.name);
                points.push((value as f64, ms));
            }
            let (all, last) = (slope(&points), slope(&points[points.len() - 2..]));
            say(&format!(
                "{:<11} {threads:>7} {all:>5.2} {last:>15.2}\n",
                axis.name
            ));
            curves.push(Curve { threads, points });
        }
        write(
            &path(&format!("-{}.svg", axis.name)),
            &drawing(axis.name, &curves),
        )?;
    }
    write(&path(".csv"), &csv)?;
    eprintln!("points and drawings are in {}", path("*").display());
    Ok(())
}

/// The median over processes of a step's median milliseconds.
fn time(
    latimer: &Path,
    axis: &Axis,
    value: usize,
    threads: usize,
    runs: usize,
) -> Result<f64, String> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let mut command = Command::new(latimer);
        command.args(["bench", "train", "--json", "--quiet", "--backend", "cpu"]);
        command.args([
            "--steps",
            "15",
            "--warmup",
            "3",
            "--threads",
            &threads.to_string(),
        ]);
        let fixed = BASE.iter();
        command.args(fixed.filter(|flag| {
            let name = flag.split('=').next();
            !axis.flags.iter().any(|varied| name == Some(varied))
        }));
        command.args(axis.flags.iter().map(|flag| format!("{flag}={value}")));
        let output = command
            .output()
            .map_err(|error| format!("cannot start {}: {error}", latimer.display()))?;
        let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let error = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        times.push(number(&said, &["step_ms", "median"]).ok_or_else(error)?);
    }
    Ok(median(&times))
}

/// The slope of a line through the logarithms, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    fit(points).0
}

/// Slope and height at 1 of that line.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let logs = || points.iter().map(|&(x, y)| (x.ln(), y.ln()));
    let (sx, sy) = logs().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mx, my) = (sx / n, sy / n);
    let (xy, xx) = logs().fold((0.0, 0.0), |(a, b), (x, y)| {
        (a + (x - mx) * (y - my), b + (x - mx) * (x - mx))
    });
    (xy / xx, my - xy / xx * mx)
}

/// Width and height, and the room around the axes.
const SIZE: (f64, f64) = (480.0, 300.0);
const ROOM: f64 = 48.0;
const COLOURS: [&str; 2] = ["#1a6fb5", "#c2551a"];

/// Points, fitted lines and exponents, both scales logarithmic.
fn drawing(name: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        all()
            .map(of)
            .fold((f64::INFINITY, 0.0f64), |(low, high), at| {
                (low.min(at), high.max(at))
            })
    };
    let ((left, right), (low, high)) = (bounds(|p| p.0), bounds(|p| p.1));
    let x = |at: f64| ROOM + (at / left).ln() / (right / left).ln() * (SIZE.0 - 2.0 * ROOM);
    let y = |at: f64| SIZE.1 - ROOM - (at / low).ln() / (high / low).ln() * (SIZE.1 - 2.0 * ROOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{ROOM}\" y=\"20\">milliseconds a training step against {name}</text>\n",
        SIZE.0, SIZE.1
    );
    let mut ticks: Vec<f64> = all().map(|point| point.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for tick in ticks {
        let (at, under) = (x(tick), SIZE.1 - ROOM + 18.0);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{under}\" text-anchor=\"middle\">{tick}</text>"
        );
    }
    for ms in [low, (low * high).sqrt(), high] {
        let (height, end) = (y(ms), SIZE.0 - ROOM);
        let _ = writeln!(
            svg,
            "<line x1=\"{ROOM}\" x2=\"{end}\" y1=\"{height:.1}\" y2=\"{height:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{height:.1}\" text-anchor=\"end\">{ms:.2}</text>",
            ROOM - 4.0
        );
    }
    for (i, curve) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let (slope, height) = fit(&curve.points);
        // Only what lies inside the drawing: a fitted end may lie beyond the outermost points.
        let on_line = |at: f64| y((height + slope * at.ln()).exp()).clamp(0.0, SIZE.1);
        let (start, end) = (on_line(left), on_line(right));
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" y1=\"{start:.1}\" x2=\"{:.1}\" y2=\"{end:.1}\" stroke=\"{colour}\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{} thread{}: exponent {slope:.2}</text>",
            x(left),
            x(right),
            ROOM + 8.0,
            40.0 + 16.0 * i as f64,
            curve.threads,
            if curve.threads == 1 { "" } else { "s" },
        );
        for &(at, ms) in &curve.points {
            let (across, up) = (x(at), y(ms));
            let _ = writeln!(
                svg,
                "<circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_found_and_drawn() {
        let law = |factor: f64, power: f64| -> Vec<(f64, f64)> {
            let xs = [1.0, 2.0, 4.0, 8.0f64];
            xs.map(|x| (x, factor * x.powf(power))).to_vec()
        };
        let points = law(3.0, 1.5);
        assert!((slope(&points) - 1.5).abs() < 1e-12);
        assert!((fit(&points).1 - 3.0f64.ln()).abs() < 1e-12);
        let curves =
            [(1, points), (2, law(2.0, 1.0))].map(|(threads, points)| Curve { threads, points });
        let svg = drawing("T", &curves);
        assert!(
            svg.contains("1 thread: exponent 1.50") && svg.contains("2 threads: exponent 1.00")
        );
        // The least of all points lies in the corner, and so does the greatest.
        assert!(
            svg.contains("cx=\"48.0\" cy=\"252.0\"") && svg.contains("cx=\"432.0\" cy=\"48.0\"")
        );
        assert_eq!(svg.matches("<circle").count(), 8);
    }
}
