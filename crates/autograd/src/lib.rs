//! Reverse-mode differentiation over fused operations, the parameter store and AdamW.
//!
//! The tape is coarse: about ten nodes a transformer block, each the backward of one fused
//! operation. A model declares parameters ([`Scope`]) without a device, holds plain [`Param`] keys,
//! and computes by the methods of a [`Pass`].
//!
//! ```
//! use latimer_autograd::{AdamW, Declarations, Init, LmHead, Optimizer, Params};
//! use latimer_tensor::{Device, Tensor};
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
//! let adamw = AdamW { lr: 0.1, weight_decay: 0.0, ..AdamW::default() };
//! let mut optimizer = Optimizer::new(&mut params, adamw)?;
//!
//! let ids = Tensor::from_slice(&device, &[0u32, 1, 2, 3], [1, 4])?;
//! let targets = Tensor::from_slice(&device, &[1u32, 2, 3, 0], [1, 4])?;
//! let mut losses = Vec::new();
//! for _ in 0..30 {
//!     let loss = optimizer.step(&mut params, |pass| {
//!         let x = pass.embedding(&ids, wte, None, 0)?; // [1, 4, 8]
//!         pass.lm_loss(&x, head, &targets)
//!     })?;
//!     losses.push(loss.to_vec::<f32>()?[0]);
//! }
//! assert!(losses[29] < 0.1 * losses[0]);
//! # Ok::<(), latimer_autograd::Error>(())
//! ```

mod adamw;
mod error;
mod gradients;
mod ops;
mod optimizer;
mod params;
mod pass;
#[rustfmt::skip] // a table of rules: a line a field would hide it
mod rules;
mod scope;
mod sound;
mod step_memory;
mod tape;

pub use adamw::AdamW;
pub use error::{Error, Result};
pub use gradients::{GradientKey, Gradients};
pub use ops::{AttentionSpec, LmHead};
pub use optimizer::Optimizer;
pub use params::{Init, Param, ParamInfo, Params, Slab};
pub use pass::{Mode, Pass};
pub use scope::{Declarations, Scope};
pub use sound::Unsound;
pub use step_memory::StepResults;
