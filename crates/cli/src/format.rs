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

/// `1` as `1 thread`, `2` as `2 threads`.
pub(crate) fn count(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(n as u64))
}

/// A share as `98.2 %`.
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
        assert_eq!(count(1, "thread"), "1 thread");
        assert_eq!(count(2, "thread"), "2 threads");
        assert_eq!(percent(0.9821), "98.2 %");
    }
}
