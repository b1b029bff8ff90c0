//! What a model is trained on: a corpus becomes tokens, and a row of a batch is a function of
//! where it is asked for.

pub(crate) mod batch;
pub mod corpora;
pub(crate) mod files;
mod fingerprint;
pub mod mixture;
mod prepare;
pub mod sampler;
pub(crate) mod shard;
pub(crate) mod shares;
mod source;
mod split;
mod text;

pub use batch::{Batch, Batches, Text};
pub use files::{DataFiles, NamedFiles, NotRead, TEXT_EXTENSIONS, is_ending};
pub use fingerprint::fingerprint_of;
pub use mixture::Mixture;
pub use prepare::{Prepared, prepare};
pub use shard::{ShardTokens, discard_unfinished, is_prepared};
pub use source::{Part, RowKey, Source, Split, Windows, windows};
pub use text::TextTokens;
pub(crate) use text::join;
