//! Everything that a program on Latimer usually needs: `use latimer::prelude::*;`.

pub use crate::OpenDevice;
pub use latimer_autograd::{AdamW, Declarations, Init, Optimizer, Params, Pass};
pub use latimer_nn::{Activation, GptConfig, MlpKind, NormKind, PositionKind, Sampling};
pub use latimer_tensor::{DType, Device, Tensor};
pub use latimer_tokenizer::{BpeTrainer, CharTokenizer, Pattern, Tokenizer, WordTokenizer};
pub use latimer_trainer::{Batch, Model, Text, TrainStep, Trainer};
