//! Tensors, the meaning of every operation in f64, and the trait a device implements.
//!
//! An operation is a value ([`Op`]), a device is one object-safe trait ([`Backend`]), and nothing
//! above them is generic: users hold a plain [`Device`] and a plain [`Tensor`].
//!
//! ```
//! use latimer_tensor::{Device, Tensor};
//! let device = Device::reference(); // or `Device::new(latimer_backend_cpu::Cpu::new(2)?)`
//! let scores = Tensor::from_slice(&device, &[0.0f32, 1.0, 2.0, 2.0], [2, 2])?;
//! println!("{:.4}", scores.softmax(1.0)?);
//! assert_eq!(scores.softmax(1.0)?.to_vec::<f32>()?[2..], [0.5, 0.5]);
//! # Ok::<(), latimer_tensor::Error>(())
//! ```
//!
//! For debug builds of your program, put these lines into its `Cargo.toml`: without optimisation
//! the loops of this crate and of `latimer-backend-cpu` are some fifty times slower.
//!
//! ```toml
//! # Otherwise a debug build computes some fifty times slower.
//! [profile.dev.package."*"]
//! opt-level = 3
//! debug = false
//! ```
//!
//! | if you want to | read |
//! |---|---|
//! | compute with tensors | [`Tensor`] |
//! | know what an operation means | [`op`] |
//! | bring a function of your own | [`Elementwise`], and [`op::CustomOp`] |
//! | write a backend | [`Backend`] |
//! | hold a backend to the meaning | [`Op::bounded`], and the crate `latimer-conformance` |
//! | watch what a device does | [`Device::observe`] |
//! | know what a step will cost | [`DryRun`] |
//! | repeat a step at the cost of one operation | [`CapturedStep`] |

mod arithmetic;
mod backend;
mod capture;
mod device;
mod display;
mod dry_run;
pub mod dtype;
mod elementwise;
mod error;
pub mod fallback;
mod host;
mod observe;
pub mod op;
pub mod philox;
mod pool;
mod real;
mod reference;
mod shape;
mod tensor;
mod view;

pub use backend::{Backend, DeviceInfo, Graph, Handled, SMALL_CHUNK, WorkReport};
pub use capture::CapturedStep;
pub use device::Device;
pub use dry_run::DryRun;
pub use dtype::{DType, Element};
pub use elementwise::{Elementwise, ElementwiseBackward};
pub use error::{Error, Result};
pub use host::{Host, Written};
pub use observe::{Observer, Observing, Phase, PhaseGuard};
pub use op::{Cost, Op};
pub use pool::PoolStats;
pub use real::{Bounded, Real};
pub use reference::Reference;
pub use shape::Shape;
pub use tensor::{Tensor, TensorId};
pub use view::{Buffer, View, ViewMut};
