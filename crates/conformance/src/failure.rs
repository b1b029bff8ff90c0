//! The properties of a backend, and how one of them fails.

use crate::case::Case;
use std::fmt;

/// A property that a backend can lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// A valid case runs without an error or a panic.
    Runs,
    /// The results agree with the f64 meaning.
    Agrees,
    /// The error is at most twice that of a naive evaluation in the same precision.
    AsPreciseAsNaive,
    /// Nothing but the outputs is written.
    StaysInside,
    /// A second run gives the same bits.
    Repeats,
    /// The case gives the same bits if it is recorded first and then launched.
    Captured,
    /// Another device that promises the same bits gives them.
    SameBits,
    /// Operands and attributes that do not fit get the right error.
    Refuses,
}

/// A property that does not hold, with the smallest failing case found.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The property.
    pub property: Property,
    /// The case.
    pub case: Case,
    /// A sentence about the failure.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            property,
            case,
            detail,
        } = self;
        let name = case.name();
        write!(f, "{name} ({property:?}): {detail}\n  in {case:?}")
    }
}

impl std::error::Error for Failure {}
