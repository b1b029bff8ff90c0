//! Numbers for people.

/// `10770816` as `10,770,816`.
pub(crate) fn thousands(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate per second as `1,234`, `12`, `2.5` or `0.04`; never as 0 unless it is 0.
pub(crate) fn speed(per_second: f64) -> String {
    match per_second {
        x if x >= 10.0 => thousands(x as u64),
        x if x >= 1.0 => format!("{x:.1}"),
        x if x >= 0.01 => format!("{x:.2}"),
        x if x > 0.0 => format!("{x:.1e}"),
        _ => "0".to_owned(),
    }
}

/// A rate with its unit, inverted if it is below one per second: `12/s`, `1.4 s each`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        x if x >= 1.0 => format!("{}/s", speed(x)),
        x if x > 0.0 => format!("{} each", duration(1.0 / x)),
        _ => String::new(),
    }
}

/// Seconds as `4.2 s`, `1 min 50 s`, `3 h 05 min` or `12 days`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "an unknown time".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days", thousands(whole / 86_400)),
    }
}

/// A number with its noun: `1` as `1 thread`, `2` as `2 threads`.
pub(crate) fn count(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(n as u64))
}

/// A share in per cent, such as `98.2 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(7u64), "7");
        assert_eq!(thousands(10_770_816u64), "10,770,816");
        assert_eq!(thousands(123_456u64), "123,456");
        for (seconds, text) in [
            (0.25, "0.2 s"),
            (42.0, "42 s"),
            (110.0, "1 min 50 s"),
            (3600.0 * 3.1, "3 h 06 min"),
            (1e7, "115 days"),
            (f64::INFINITY, "an unknown time"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (per_second, text, turned) in [
            (1234.5, "1,234", "1,234/s"),
            (12.9, "12", "12/s"),
            (2.54, "2.5", "2.5/s"),
            (0.7, "0.70", "1.4 s each"),
            (0.01, "0.01", "1 min 40 s each"),
            (1e-6, "1.0e-6", "11 days each"),
            (0.0, "0", ""),
            (f64::NAN, "0", ""),
        ] {
            assert_eq!(speed(per_second), text);
            assert_eq!(rate(per_second), turned);
        }
        assert_eq!(count(1, "thread"), "1 thread");
        assert_eq!(count(2, "thread"), "2 threads");
        assert_eq!(percent(0.9821), "98.2 %");
    }
}
