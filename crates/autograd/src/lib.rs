//! Reverse-mode differentiation over fused operations, the parameter store and AdamW.
//!
//! The tape is coarse: about ten nodes a transformer block, each the backward of one fused
//! operation. A model declares parameters ([`Scope`]) without a device, holds plain [`Param`] keys,
//! and computes by the methods of a [`Pass`].
//!
//! ```
//! use latimer_autograd::{AdamW, Declarations, Init, LmHead, Mode, Params, Pass};
//! use latimer_tensor::{Device, Scalars, StepValues, Tensor};
//!
//! // A bigram model: the next token's logits are a row of a table, here through a head.
//! let mut declarations = Declarations::new();
//! let mut root = declarations.root();
//! let wte = root.param("wte", [4, 8], Init::Normal { std: 0.5 });
//! let head = LmHead {
//!     weight: root.param("head", [4, 8], Init::Normal { std: 0.5 }),
//!     bias: None,
//!     valid_columns: 4,
//! };
//! let device = Device::reference();
//! let mut params = Params::new(&device, declarations, 1)?;
//! params.enable_training()?;
//! let mut scalars = Scalars::new(&device)?;
//! let adamw = AdamW {
//!     beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.0, decay_all: false, grad_clip: 1.0,
//! };
//!
//! let ids = Tensor::from_slice(&device, &[0u32, 1, 2, 3], [1, 4])?;
//! let targets = Tensor::from_slice(&device, &[1u32, 2, 3, 0], [1, 4])?;
//! let mut losses = Vec::new();
//! for step in 1..=30 {
//!     let [bias1, bias2] = adamw.bias_corrections(step);
//!     scalars.set(&StepValues { lr: 0.1, bias1, bias2, seed: 1, step })?;
//!     params.zero_gradients()?;
//!     let pass = Pass::new(&params, &scalars, Mode::Train { loss_scale: 1.0 });
//!     let x = pass.embedding(&ids, wte, None, 0)?; // [1, 4, 8]
//!     let loss = pass.lm_loss(&x, head, &targets)?;
//!     losses.push(loss.to_vec::<f32>()?[0]);
//!     pass.backward(loss)?;
//!     adamw.update(&mut params, &mut scalars)?;
//! }
//! assert!(losses[29] < 0.1 * losses[0]);
//! # Ok::<(), latimer_autograd::Error>(())
//! ```

mod error;
mod gradients;
mod ops;
mod optim;
mod params;
mod pass;
#[rustfmt::skip] // a table of rules: a line a field would hide it
mod rules;
mod scope;
mod sound;
mod tape;

pub use error::{Error, Result};
pub use gradients::{GradientKey, Gradients};
pub use ops::{AttentionSpec, LmHead};
pub use optim::AdamW;
pub use params::{Init, Param, ParamInfo, Params, Slab};
pub use pass::{Mode, Pass};
pub use scope::{Declarations, Scope};
pub use sound::Unsound;
