//! What this machine and this day are called on record.

use std::time::{SystemTime, UNIX_EPOCH};

/// The folder of this machine: `intel-xeon-amx-2cpu`.
pub(crate) fn name() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    named(&cpu, cpus)
}

/// Words of a model's name that say nothing.
const NOISE: [&str; 4] = ["processor", "cpu", "core", "with"];

/// The model's name without its ornaments, what its number does not say (AMD's generation, AMX,
/// AVX512_BF16), and how many processors the system shows.
fn named(cpuinfo: &str, cpus: usize) -> String {
    let field = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim())
    };
    let model = field("model name").unwrap_or(std::env::consts::ARCH);
    let model = model.split('@').next().unwrap_or(model).to_lowercase();
    let model = model.replace("(r)", "").replace("(tm)", "");
    let mut words: Vec<&str> = model
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty() && !NOISE.contains(word))
        .collect();
    let has = |flag| field("flags").is_some_and(|all| all.split(' ').any(|one| one == flag));
    words.extend(match (field("vendor_id"), field("cpu family")) {
        (Some("AuthenticAMD"), Some("26")) => Some("zen5"),
        (Some("AuthenticAMD"), Some("25")) if has("avx512f") => Some("zen4"),
        (Some("AuthenticAMD"), Some("25")) => Some("zen3"),
        _ if has("amx_tile") => Some("amx"),
        (Some("GenuineIntel"), _) if has("avx512_bf16") => Some("avx512bf16"),
        _ => None,
    });
    format!("{}-{cpus}cpu", words.join("-"))
}

/// Today in UTC, `2026-11-24`.
pub(crate) fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH);
    let [year, month, day] = date(seconds.map_or(0, |since| since.as_secs() / 86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of the day `days` days after 1970-01-01: years and months are counted off.
fn date(mut days: u64) -> [u64; 3] {
    let is_leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    [year, month, days + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_keep_their_names() {
        let intel = "model name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu avx512f amx_tile\n";
        assert_eq!(named(intel, 2), "intel-xeon-amx-2cpu");
        let intel = "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Processor\nflags\t: avx512_bf16\n";
        assert_eq!(named(intel, 2), "intel-xeon-avx512bf16-2cpu");
        let amd =
            "vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel name\t: AMD EPYC\nflags\t: a\n";
        assert_eq!(named(amd, 2), "amd-epyc-zen5-2cpu");
        let desk = "model name : Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz\n";
        assert_eq!(named(desk, 12), "intel-i7-8700-12cpu");
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), [1970, 1, 1]);
        assert_eq!(date(19_782), [2024, 2, 29]);
        assert_eq!(date(19_783), [2024, 3, 1]);
        assert_eq!(date(20_453), [2025, 12, 31]);
    }
}
