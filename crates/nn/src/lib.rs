//! The parts of a GPT, its weights on disk, and sampling from it.
//!
//! Read [`Gpt`], then [`Block`], [`CausalSelfAttention`], [`Mlp`]: top to bottom, shapes in the
//! comments. Models name no backend. [`attention_weights`] shows what a model looks at.
//!
//! ```
//! use latimer_autograd::Params;
//! use latimer_nn::{Generator, Gpt, GptConfig, Sampler, Sampling};
//! use latimer_tensor::Device;
//!
//! let config = GptConfig {
//!     n_layer: 1, n_head: 2, n_embd: 8, block_size: 8,
//!     ..GptConfig::gpt2(11)
//! };
//! let (model, declarations) = Gpt::new(&config)?;
//! let params = Params::new(&Device::reference(), declarations, 1)?;
//! let mut generator = Generator::new(&model, &params, &[1, 2, 3])?;
//! let mut sampler = Sampler::new(Sampling::default(), 0)?;
//! for _ in 0..8 {
//!     generator.next_id(&mut sampler)?;
//! }
//! assert_eq!(generator.ids().len(), 11);
//! # Ok::<(), latimer_nn::Error>(())
//! ```

mod attention;
mod attention_weights;
mod block;
mod choice;
mod config;
mod error;
mod generate;
mod gpt;
pub mod io;
mod kv_cache;
mod layer_norm;
mod linear;
mod mlp;
mod sample;

pub use attention::CausalSelfAttention;
pub use attention_weights::attention_weights;
pub use block::{Block, ResidualStream};
#[doc(hidden)]
pub use config::shortest;
pub use config::{Activation, GptConfig, MlpKind, NormKind, PositionKind, WeightInit};
pub use error::{Error, Result};
pub use generate::Generator;
pub use gpt::Gpt;
pub use kv_cache::{KvCache, LayerCache};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub use sample::{Sampler, Sampling};
