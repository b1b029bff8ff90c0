//! What a contest says, for people and for the record.

use crate::contest::{Contest, Program, Standing, median};
use crate::machine;
use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A line a program, and how ours compares with the best of the others.
pub(crate) fn table(contest: &Contest<'_>, standings: &[Standing]) -> String {
    let unit = match contest.options.generate {
        true => "ms/token",
        false => "ms/step",
    };
    let mut text = format!(
        "{:<12} {:<5} {:<18} {:<8} {:>7} {:>5} {unit:>10} {:>10} {:>9} {:>7}\n",
        contest.preset,
        contest.options.dtype,
        "program",
        "mode",
        "threads",
        "runs",
        "least",
        "peak MiB",
        share_of(contest),
    );
    let ours = standings.iter().find(|s| is_ours(s));
    for standing in standings {
        let _ = writeln!(
            text,
            "{:<18} {:<18} {:<8} {:>7} {:>5} {:>10.3} {:>10.3} {:>9.1} {:>6.1}%",
            "",
            standing.name,
            standing.program.mode(),
            standing.program.threads(),
            standing.medians.len(),
            median(&standing.medians),
            standing.min,
            median(&standing.memory),
            100.0 * share(contest, standing, ours),
        );
    }
    let others = standings.iter().filter(|s| !is_ours(s));
    let best = others.min_by(|a, b| median(&a.medians).total_cmp(&median(&b.medians)));
    if let Some((ours, best)) = ours.zip(best) {
        let _ = writeln!(
            text,
            "{:<18} {:.2} times as fast as {} {} by medians, {:.2} by the least; {:.3} of its memory",
            "",
            median(&best.medians) / median(&ours.medians),
            best.name,
            best.program.mode(),
            best.min / ours.min,
            median(&ours.memory) / median(&best.memory),
        );
    }
    text
}

fn is_ours(standing: &Standing) -> bool {
    matches!(standing.program, Program::Latimer { .. })
}

/// What the last column is a share of.
fn share_of(contest: &Contest<'_>) -> &'static str {
    match contest.options.generate {
        true => "memory",
        false => "peak",
    }
}

/// Share of the machine's peak in arithmetic, or in bandwidth when decoding. Others do the same
/// work, so theirs follows from ours by the times.
fn share(contest: &Contest<'_>, standing: &Standing, ours: Option<&Standing>) -> f64 {
    let Some(ours) = ours else { return f64::NAN };
    let ms = median(&standing.medians);
    if contest.options.generate {
        return median(&ours.bandwidth_share) * median(&ours.medians) / ms;
    }
    median(&ours.gflop) / (ms * 1e-3) / median(&ours.peak_gflops)
}

/// Appends a row for each program to the file of this machine, day and measurement.
pub(crate) fn record(
    contest: &Contest<'_>,
    standings: &[Standing],
    machine: &str,
) -> Result<PathBuf, String> {
    let (what, times) = match contest.options.generate {
        true => ("decode", "ms_per_token"),
        false => ("train_step", "step_ms"),
    };
    let folder = Path::new("benches/record").join(machine);
    let file = folder.join(format!("{}-{what}.csv", machine::today()));
    let mut text = String::new();
    if !file.exists() {
        let _ = writeln!(
            text,
            "preset,dtype,threads,program,mode,runs,{times}_median,{times}_min,peak_rss_mb"
        );
    }
    for standing in standings {
        text.push_str(&row(contest, standing));
    }
    let append = || {
        std::fs::create_dir_all(&folder)?;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(&file)?;
        file.write_all(text.as_bytes())
    };
    append().map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file)
}

fn row(contest: &Contest<'_>, standing: &Standing) -> String {
    // Without what the system does not tell.
    let memory = match median(&standing.memory) {
        memory if memory.is_finite() => format!("{memory:.1}"),
        _ => String::new(),
    };
    format!(
        "{},{},{},{},{},{},{:.3},{:.3},{memory}\n",
        contest.preset,
        contest.options.dtype,
        standing.program.threads(),
        standing.name,
        standing.program.mode(),
        standing.medians.len(),
        median(&standing.medians),
        standing.min,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_over_the_best_of_the_others() {
        let options = crate::parse(&["--against", "pytorch"]).unwrap();
        let contest = Contest {
            preset: "seed",
            options: &options,
            latimer: Path::new("latimer"),
        };
        let standing = |program, name: &str, medians: &[f64], min, memory| Standing {
            program,
            name: name.to_owned(),
            medians: medians.to_vec(),
            min,
            memory: vec![memory],
            peak_gflops: vec![100.0],
            gflop: vec![0.2],
            bandwidth_share: Vec::new(),
        };
        let other = |mode| Program::PyTorch { mode, threads: 2 };
        let standings = [
            standing(
                Program::Latimer { threads: 2 },
                "latimer 1",
                &[4.0, 5.0, 3.0],
                2.0,
                30.0,
            ),
            standing(other("eager"), "pytorch 2", &[8.0, 6.0], 5.0, 600.0),
            standing(other("compile"), "pytorch 2", &[9.0], 4.0, 900.0),
        ];
        let table = table(&contest, &standings);
        // 7 over 4 by medians, 5 over 2 by minima; 30 of 600 MiB; 0.2 GFLOP in 4 ms are half of 100
        // GFLOP/s.
        let said = "1.75 times as fast as pytorch 2 eager by medians, 2.50 by the least; 0.050 of its memory";
        assert!(table.contains(said), "{table}");
        assert!(table.contains(" 50.0%"), "{table}");
        let row = row(&contest, &standings[0]);
        assert_eq!(row, "seed,f32,2,latimer 1,,3,4.000,2.000,30.0\n");
    }
}
