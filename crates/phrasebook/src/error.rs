//! What the phrasebook cannot do.

/// Why a model cannot be trained on the phrasebook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line needs more positions than the model has.
    #[error(
        "the phrasebook's longest line has {longest} tokens, but block_size = {block_size}: raise \
         --block-size"
    )]
    LineTooLong {
        /// Tokens of that line.
        longest: usize,
        /// The model's context.
        block_size: usize,
    },
}

impl From<Error> for latimer_trainer::Error {
    fn from(error: Error) -> Self {
        Self::Task(Box::new(error))
    }
}
