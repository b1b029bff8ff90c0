//! Parsers of numbers on the command line, with errors for numbers out of range.
//!
//! A parser's error says what the number must be; [`usage`](crate::usage) puts the flag and the
//! value before it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A parser of whole numbers from `least` on.
pub(crate) fn whole<T>(
    least: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Copy + Send + Sync + Bound + 'static,
{
    within(least..=T::MOST)
}

/// A parser of whole numbers in a range.
pub(crate) fn within<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Copy + Send + Sync + Bound + 'static,
{
    move |text| {
        // Underscores are allowed, as in configuration keys: 1_000_000.
        let number = text.replace('_', "").parse().ok();
        number.filter(|n| range.contains(n)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!("a whole number from {least} to {most}")
        })
    }
}

/// The largest number of a type.
pub(crate) trait Bound {
    /// The largest value.
    const MOST: Self;
}

impl Bound for u32 {
    const MOST: Self = Self::MAX;
}

impl Bound for u64 {
    const MOST: Self = Self::MAX;
}

impl Bound for usize {
    const MOST: Self = Self::MAX;
}

/// Parses a number that is finite and 0 or more.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    real(
        text,
        |x| x.is_finite() && x >= 0.0,
        "a finite number, 0 or more",
    )
}

/// Parses a number that is finite and above 0.
pub(crate) fn above_zero(text: &str) -> Result<f64, String> {
    real(
        text,
        |x| x.is_finite() && x > 0.0,
        "a finite number above 0",
    )
}

/// Parses a probability that is not 0.
pub(crate) fn probability(text: &str) -> Result<f64, String> {
    real(
        text,
        |x| x > 0.0 && x <= 1.0,
        "a number above 0 and at most 1",
    )
}

/// Parses a part of a whole.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    real(text, |x| (0.0..=1.0).contains(&x), "a number from 0 to 1")
}

fn real(text: &str, holds: fn(f64) -> bool, what: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number.filter(|&x| holds(x)).ok_or_else(|| what.to_owned())
}
