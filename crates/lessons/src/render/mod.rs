//! Lessons to look at: on a terminal, as LaTeX, as a page or a book.
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
