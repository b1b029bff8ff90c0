//! Data larger than memory should be: the memory of training does not grow with the data.

#![cfg(target_os = "linux")]

use crate::place::{Place, TINY};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

/// Bytes of the files of tokens.
const SMALL: usize = 2_000_000;
const LARGE: usize = 2_000_000_000;
/// Where a file's header keeps the number of its tokens, and where its tokens begin.
const COUNT: std::ops::Range<usize> = 32..40;
const HEADER: usize = 64;

/// Its peak anonymous memory, sampled, is at most 5 % above that of a run on a thousandth of the
/// data.
#[ignore = "writes 2 GB and takes a minute"]
#[test]
fn two_gigabytes_take_the_memory_of_two_megabytes() {
    let place = Place::new();
    place.output("tokenizer train --kind char --data text.txt --out t.json --quiet");
    place.output("data prepare text.txt --tokenizer t.json --out prepared --quiet");
    let shard = fs::read(place.path("prepared/shard-00000.bin")).unwrap();
    let peak = |name: &str, bytes: usize| {
        let folder = place.path(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(
            place.path("prepared/tokenizer.json"),
            folder.join("tokenizer.json"),
        )
        .unwrap();
        let mut header = shard[..HEADER].to_vec();
        header[COUNT].copy_from_slice(&(bytes as u64 / 2).to_le_bytes());
        let mut file = fs::File::create(folder.join("shard-00000.bin")).unwrap();
        file.write_all(&header).unwrap();
        let tokens = shard[HEADER..].repeat((1 << 20) / (shard.len() - HEADER));
        let mut left = bytes;
        while left > 0 {
            let n = left.min(tokens.len());
            file.write_all(&tokens[..n]).unwrap();
            left -= n;
        }
        let keys = TINY
            .replace("--data text.txt", "")
            .replace("--max-iters 5", "");
        let rest = "--max-iters 100 --eval-interval 20 --val-fraction 0.0005 --threads 2 --quiet";
        let mut command = place.command(&format!(
            "train {keys} {rest} --data {name} --out {name}-run"
        ));
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let (mut anonymous, mut mapped) = (0, 0);
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let of = |key: &str| -> u64 {
                let line = text.lines().find_map(|line| line.strip_prefix(key));
                let number = line.and_then(|line| line.split_whitespace().next());
                number.and_then(|number| number.parse().ok()).unwrap_or(0)
            };
            anonymous = anonymous.max(of("RssAnon:"));
            mapped = mapped.max(of("RssFile:"));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        fs::remove_dir_all(folder).unwrap();
        eprintln!("{bytes} bytes of tokens: RssAnon {anonymous} kB, RssFile {mapped} kB");
        anonymous
    };
    let (small, large) = (peak("small", SMALL), peak("large", LARGE));
    assert!(large * 100 <= small * 105, "{small} kB, then {large} kB");
}
