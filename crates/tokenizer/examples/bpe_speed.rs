//! Times training and encoding, one JSON line a measurement, for a comparison with other programs.
//!
//! ```text
//! bpe_speed train CORPUS VOCAB_SIZE PATTERN TIES [MERGES_OUT]
//! bpe_speed train-documents CORPUS VOCAB_SIZE PATTERN TIES [MERGES_OUT]
//! bpe_speed encode RANKS ENCODING CORPUS MB REPETITIONS [IDS_OUT]
//! bpe_speed odd RANKS ENCODING BYTES [FOLDER_OUT]
//! ```
//!
//! `train` maps the corpus as one text; `train-documents` reads it and cuts it as `encode` does,
//! which is the input that programs for lists of texts get. `encode` takes the first `MB`
//! megabytes, cut into documents of about 8 KiB at line ends. `odd` makes its inputs (or takes the
//! file of that name if the folder has one) and encodes each once with a tokenizer that has not
//! encoded anything yet. Results are written for a comparison: merges in hexadecimal, ids as 32-bit
//! little-endian numbers. Memory is the peak of the whole process, in MiB.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use latimer_tokenizer::{
    BpeTokenizer, BpeTrainer, Encoding, Pattern, TieRule, Tokenizer, TrainProgress,
};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [
            kind @ ("train" | "train-documents"),
            corpus,
            size,
            pattern,
            ties,
            out @ ..,
        ] => {
            let is_cut = *kind == "train-documents";
            train(corpus, is_cut, size, pattern, ties, out.first().copied())
        }
        [
            "encode",
            ranks,
            name,
            corpus,
            megabytes,
            repetitions,
            out @ ..,
        ] => read(ranks, name).and_then(|tokenizer| {
            encode(
                &tokenizer,
                corpus,
                megabytes,
                repetitions,
                out.first().copied(),
            )
        }),
        ["odd", ranks, name, bytes, out @ ..] => odd(ranks, name, bytes, out.first().copied()),
        _ => Err("expected train, encode or odd; see the top of the file".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn train(
    corpus: &str,
    is_cut: bool,
    size: &str,
    pattern: &str,
    ties: &str,
    out: Option<&str>,
) -> Result<()> {
    let trainer = BpeTrainer::new(size.parse()?, Pattern::from_name(pattern)?)
        .ties(TieRule::from_name(ties)?);
    let text = if is_cut {
        fs::read_to_string(corpus)?
    } else {
        String::new()
    };
    let documents = documents(&text, 8192);
    let start = Instant::now();
    let mut counted = None;
    let mut progress = |progress| {
        if let TrainProgress::Merging { merges: 0, .. } = progress {
            counted = Some(start.elapsed().as_secs_f64());
        }
    };
    let tokenizer = if is_cut {
        trainer.train(&documents, &mut progress)?
    } else {
        trainer.train_files(&[corpus], &mut progress)?
    };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({"peer": "latimer", "kind": "train", "vocab": tokenizer.vocab_size(), "train_s": seconds,
               "count_s": counted, "peak_rss_mib": peak_mib(), "ties": ties, "pattern": pattern})
    );
    if let Some(out) = out {
        let hex = |id: u32| -> String {
            let bytes = tokenizer.token_bytes(id).unwrap_or_default();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let mut lines = String::new();
        for (left, right, _) in tokenizer.merges() {
            writeln!(lines, "{} {}", hex(left), hex(right))?;
        }
        fs::write(out, lines)?;
    }
    Ok(())
}

fn read(ranks: &str, name: &str) -> Result<BpeTokenizer> {
    let encoding = Encoding::from_name(name)?;
    Ok(BpeTokenizer::from_tiktoken(
        &fs::read(ranks)?,
        encoding.pattern(),
        encoding.special_tokens(),
    )?)
}

fn encode(
    tokenizer: &BpeTokenizer,
    corpus: &str,
    megabytes: &str,
    repetitions: &str,
    out: Option<&str>,
) -> Result<()> {
    let text = fs::read_to_string(corpus)?;
    let mut len = (megabytes.parse::<f64>()? * 1e6) as usize;
    len = len.min(text.len());
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    let documents = documents(&text[..len], 8192);
    for threads in ["1", "all"] {
        let mut seconds = Vec::new();
        let mut processor = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..repetitions.parse()? {
            let (start, cpu) = (Instant::now(), cpu_seconds());
            ids = if threads == "1" {
                let mut all = Vec::with_capacity(documents.len());
                for text in &documents {
                    all.push(tokenizer.encode(text)?);
                }
                all
            } else {
                tokenizer.encode_batch(&documents)
            };
            seconds.push(start.elapsed().as_secs_f64());
            processor.extend(cpu_seconds().zip(cpu).map(|(end, start)| end - start));
        }
        processor.sort_by(f64::total_cmp);
        let cold = seconds[0];
        seconds.sort_by(f64::total_cmp);
        let ids = ids.concat();
        let start = Instant::now();
        let back = tokenizer.decode(&ids)?;
        let decode = start.elapsed().as_secs_f64();
        let rate = |seconds: f64| len as f64 / 1e6 / seconds;
        println!(
            "{}",
            json!({"peer": "latimer", "kind": "encode", "threads": threads, "mb": len as f64 / 1e6,
                   "mb_s": rate(seconds[seconds.len() / 2]), "cold_mb_s": rate(cold),
                   "best_mb_s": rate(seconds[0]),
                   "thread_cpu_mb_s": processor.get(processor.len() / 2).map(|s| rate(*s)), "decode_mb_s": rate(decode),
                   "tokens": ids.len(), "round_trip": back == text[..len],
                   "peak_rss_mib": peak_mib()})
        );
        if let Some(out) = out {
            write_ids(Path::new(out), &ids)?;
        }
    }
    Ok(())
}

/// Documents of about `size` characters, cut after a line end if one is near.
fn documents(text: &str, size: usize) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text;
    while let Some((at, _)) = rest.char_indices().nth(size) {
        let line = rest.as_bytes()[at..].iter().position(|byte| *byte == b'\n');
        let end = match line {
            Some(more) if rest[at..at + more].chars().count() <= 4 * size => at + more + 1,
            _ => at,
        };
        documents.push(&rest[..end]);
        rest = &rest[end..];
    }
    documents.push(rest);
    documents
}

/// Seconds of processor time of this thread, if the system reports it. Unlike elapsed time, it
/// excludes other programs' work on a busy machine.
fn cpu_seconds() -> Option<f64> {
    let line = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

fn odd(ranks: &str, name: &str, bytes: &str, out: Option<&str>) -> Result<()> {
    let len: usize = bytes.parse()?;
    let mut state = 1u64;
    let mut random = |letters: &[u8]| -> String {
        (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                char::from(letters[(state >> 33) as usize % letters.len()])
            })
            .collect()
    };
    let inputs = [
        ("letter", "a".repeat(len)),
        ("blanks", " ".repeat(len)),
        ("newlines", "\n".repeat(len)),
        ("letters", random(b"abcdefghijklmnopqrstuvwxyz")),
        (
            "base64",
            random(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
        ),
        ("two", random(b"ab")),
        ("ideographs", "\u{4e2d}".repeat(len / 3)),
    ];
    for (input, mut text) in inputs {
        if let Some(out) = out
            && let Ok(given) = fs::read_to_string(Path::new(out).join(input))
        {
            text = given;
        }
        let tokenizer = read(ranks, name)?;
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let ids = tokenizer.encode(&text)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds().zip(cpu).map(|(end, start)| end - start);
        println!(
            "{}",
            json!({"peer": "latimer", "kind": "odd", "input": input, "bytes": text.len(),
                   "mb_s": text.len() as f64 / 1e6 / seconds,
                   "thread_cpu_mb_s": cpu.map(|cpu| text.len() as f64 / 1e6 / cpu), "tokens": ids.len(),
                   "round_trip": tokenizer.decode(&ids)? == text, "peak_rss_mib": peak_mib()})
        );
        if let Some(out) = out {
            fs::write(Path::new(out).join(input), &text)?;
            write_ids(&Path::new(out).join(format!("{input}.ids")), &ids)?;
        }
    }
    Ok(())
}

fn write_ids(path: &Path, ids: &[u32]) -> Result<()> {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    Ok(fs::write(path, bytes)?)
}

/// The peak memory of this process, if the system reports it.
fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib / 1024)
}
