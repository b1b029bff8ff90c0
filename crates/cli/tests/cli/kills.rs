//! `kill -9` at any moment, then `--resume`: the run must leave the same files as if never killed.

use crate::place::{Place, TINY};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Number of kills of the ordinary test; `cargo xtask kills` sets a higher one by `LATIMER_KILLS`.
const KILLS: u32 = 50;
/// The most kills of one run before it may finish.
const LIVES: u32 = 7;
/// Covers everything that a checkpoint must restore: accumulated gradients, masks, the best and the
/// last.
const RUN: &str = "--grad-accum 2 --dropout 0.1 --max-iters 60 --checkpoint-interval 2 \
    --eval-interval 7 --sample-interval 10 --keep-last 3 --keep-best --patience 50";

#[test]
fn a_run_killed_at_any_moment_is_the_run_never_killed() {
    let asked = std::env::var("LATIMER_KILLS").ok();
    let wanted = asked.and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let place = Place::new();
    let begin = Instant::now();
    place.output(&format!(
        "train {TINY} {RUN} --quiet --threads 1 --out straight"
    ));
    let whole = begin.elapsed();
    let want = left(&place, "straight");
    let mut random = Random(0x5EED);
    let (mut kills, mut in_write, mut early, mut runs) = (0, 0, 0, 0);
    while kills < wanted {
        let out = format!("run-{runs}");
        runs += 1;
        for life in 0..=LIVES {
            let last = life == LIVES || kills >= wanted;
            let mut child = begin_or_resume(&place, &out, 1 + random.below(2));
            if last {
                assert_eq!(child.wait().unwrap().code(), Some(0), "{out}");
                break;
            }
            // One kill in four comes while a checkpoint is being written; another comes early,
            // before or soon after the first step.
            let checkpoints = place.path(&out).join("checkpoints");
            let moment = match random.below(4) {
                0 => Moment::InWrite(random.below(3)),
                1 => Moment::After(whole.mul_f64(random.below(300) as f64 / 1e3)),
                _ => Moment::After(whole.mul_f64(random.below(1100) as f64 / 1e3)),
            };
            let wrote = moment.wait(&mut child, &checkpoints);
            let _ = child.kill();
            if child.wait().unwrap().success() {
                break;
            }
            kills += 1;
            in_write += u32::from(wrote);
            early += u32::from(!place.path(&out).join("latest").exists());
        }
        let got = left(&place, &out);
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&got), names(&want), "{out}");
        for ((name, got), (_, want)) in got.iter().zip(&want) {
            assert!(got == want, "{out}/{} differs", name.display());
        }
        fs::remove_dir_all(place.path(&out)).unwrap();
    }
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!(
        "{kills} kills of {runs} runs, {in_write} of them inside the writing of a checkpoint, \
         {early} before the first: 0 differences in {seconds:.0} s"
    );
    assert!(in_write > 0 && runs < wanted);
}

/// When a process is killed.
enum Moment {
    /// This long after its start.
    After(Duration),
    /// When it has begun to write a checkpoint after this many others.
    InWrite(u64),
}

impl Moment {
    /// Waits for the moment or the end of the process; returns whether a checkpoint was being
    /// written.
    fn wait(&self, child: &mut Child, checkpoints: &Path) -> bool {
        let begin = Instant::now();
        let writes = || {
            let entries = fs::read_dir(checkpoints).into_iter().flatten().flatten();
            let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.any(|name| name.starts_with(".tmp-step-"))
        };
        let (mut seen, mut wrote) = (0, true);
        while child.try_wait().unwrap().is_none() {
            match self {
                Self::After(moment) if begin.elapsed() >= *moment => return writes(),
                Self::After(_) => std::thread::sleep(Duration::from_millis(1)),
                Self::InWrite(others) => {
                    let now = writes();
                    if now && !wrote {
                        if seen == *others {
                            return true;
                        }
                        seen += 1;
                    }
                    // A file left by an earlier process does not count.
                    wrote = now;
                }
            }
        }
        false
    }
}

/// Starts a process that resumes the run, or begins it if it has left nothing.
fn begin_or_resume(place: &Place, out: &str, threads: u64) -> Child {
    let args = match place.path(out).join("config.toml").exists() {
        true => format!("train --resume --quiet --threads {threads} --out {out}"),
        false => format!("train {TINY} {RUN} --quiet --threads {threads} --out {out}"),
    };
    let mut command = place.command(&args);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// The files that a run left, without times.
fn left(place: &Place, run: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = place.path(run);
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("timings.jsonl") {
                let bytes = fs::read(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), bytes));
            }
        }
    }
    files.sort();
    files
}

/// Marsaglia's xorshift: the moments must differ; the quality of the numbers does not matter.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
