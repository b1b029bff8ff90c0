//! Showing lessons: on a terminal, as LaTeX, as a page or a book.
//!
//! | in | with |
//! |---|---|
//! | a terminal, coloured or not | [`terminal`] |
//! | a document | [`latex`] |
//! | a browser, without a network | [`page`] |

mod html;
mod latex;
mod plot;
mod terminal;

pub use html::page;
pub use latex::latex;
pub use terminal::{parts, terminal};

/// A result in readable form, and whether it reports an error.
fn said(value: &str) -> (String, bool) {
    match value.strip_prefix("error: ") {
        Some(error) => (error.to_owned(), true),
        None if value.len() > 3 && value.bytes().all(|b| b.is_ascii_digit()) => {
            (grouped(value), false)
        }
        None => (value.to_owned(), false),
    }
}

/// Digits in groups of three: `10788929` as `10,788,929`.
pub(crate) fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
