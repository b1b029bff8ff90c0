//! Property tests that hold any Latimer backend to the f64 meaning of every operation.
//!
//! A backend's own tests instantiate the whole suite in one line:
//!
//! ```
//! use latimer_tensor::Device;
//! latimer_conformance::suite!(|| Device::reference());
//! ```
//!
//! which makes, for every operation of [`latimer_tensor::Op`], a module of its name with three
//! tests: it agrees with its meaning, it spreads NaN and infinity as its meaning does, it refuses
//! operands that do not fit, with the error that says which.
//!
//! | if you want to | read |
//! |---|---|
//! | hold your backend to the meaning | [`suite!`] |
//! | know what is asked of it | [`check`] |
//! | know how close is close enough | [`tolerance`] |
//! | run one case again, or keep it | [`Case`], [`ops`], [`regressions`] |
//! | know what is native on a device | [`Support`] |
//! | know what was drawn, and how close it came | [`Coverage`] |
//! | check a gradient by differences | [`gradcheck`] |

mod blame;
pub mod case;
pub mod check;
mod coverage;
mod failure;
pub mod gradcheck;
mod memory;
mod misfits;
mod naive;
mod operands;
pub mod ops;
mod oracle;
mod outsider;
pub mod regressions;
mod report;
pub mod strategies;
mod suite;
pub mod tolerance;

pub use case::{Case, Layout, Source, Special, Values};
pub use check::Subject;
pub use coverage::{Coverage, Row};
pub use failure::{Failure, Property};
pub use report::Support;

/// The crate [`suite!`] refers to, so that its callers need not depend on it.
#[doc(hidden)]
pub use latimer_tensor as tensor;
