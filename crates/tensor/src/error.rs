//! The errors of this crate. Each names both sides: what was expected, and what was given.

use crate::{DType, Shape};

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a tensor, an operation or a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- operands that do not fit their operation
    /// An operand's shape is not the one that the other operands imply.
    #[error("{op}: {operand} has shape {got}, expected {expected}")]
    ShapeMismatch {
        /// The operation.
        op: &'static str,
        /// The operand's field name.
        operand: &'static str,
        /// The shape that the other operands imply.
        expected: Shape,
        /// What was given.
        got: Shape,
    },
    /// An operand has a shape that the operation cannot use.
    #[error("{op}: {operand} has shape {got}, but {reason}")]
    InvalidShape {
        /// The operation.
        op: &'static str,
        /// The operand's field name.
        operand: &'static str,
        /// What was given.
        got: Shape,
        /// The requirement that it breaks.
        reason: &'static str,
    },
    /// An operand's element type is not the one that the operation takes.
    #[error("{op}: {operand} is {got}, expected {expected}")]
    DTypeMismatch {
        /// The operation.
        op: &'static str,
        /// The operand's field name.
        operand: &'static str,
        /// The type that the operation takes.
        expected: DType,
        /// What was given.
        got: DType,
    },
    /// A number that configures the operation is out of its range.
    #[error("{op}: {attribute} is {got}: {reason}")]
    InvalidAttribute {
        /// The operation.
        op: &'static str,
        /// The attribute's field name.
        attribute: &'static str,
        /// What was given.
        got: f64,
        /// The requirement that it breaks.
        reason: &'static str,
    },
    /// An id that names no row.
    #[error("{op}: {operand} holds id {id} at position {position}, but ids go from 0 to {last}")]
    IdOutOfRange {
        /// The operation.
        op: &'static str,
        /// The operand's field name.
        operand: &'static str,
        /// The id.
        id: u64,
        /// The position of the id, counted in elements.
        position: usize,
        /// The largest legal id.
        last: usize,
    },

    // ---- memory
    /// A buffer made by one backend was given to another.
    #[error("{op}: {operand} lies in another device's memory")]
    ForeignBuffer {
        /// The operation.
        op: &'static str,
        /// The operand's field name.
        operand: &'static str,
    },
    /// A tensor cannot be written while another handle to the same memory exists.
    #[error("a tensor of shape {shape} cannot be written: another handle shares its memory")]
    Shared {
        /// The tensor's shape.
        shape: Shape,
    },
    /// A window reaches outside its memory.
    #[error("elements {first}..{end} reach past the end of a view of {len} elements")]
    OutOfBounds {
        /// First element of the window.
        first: usize,
        /// One past its last element.
        end: usize,
        /// The number of elements of the view.
        len: usize,
    },
    /// The device has not enough free memory.
    #[error("{device} cannot allocate {requested} bytes more ({in_use} bytes in use)")]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// Bytes requested.
        requested: usize,
        /// Bytes this device's pool holds already.
        in_use: usize,
    },
    /// The host data has another length than the tensor.
    #[error("{got} values given for shape {shape}, which has {} elements", shape.numel())]
    WrongLength {
        /// The tensor's shape.
        shape: Shape,
        /// Values given.
        got: usize,
    },
    /// A `reshape` would change the number of elements.
    #[error("cannot reshape {from} to {to}: {} elements against {}", from.numel(), to.numel())]
    Reshape {
        /// The old shape.
        from: Shape,
        /// The new shape.
        to: Shape,
    },

    // ---- devices
    /// An operation has no native version here, and falling back to the host was denied.
    #[error("{device} has no native {op}, and host fallback is denied")]
    FallbackDenied {
        /// The device's name.
        device: String,
        /// The operation.
        op: &'static str,
    },
    /// Something needed the host while a step was captured, which will be repeated without the
    /// host.
    #[error("{device}: {what} needs the host, so it cannot be part of a captured step")]
    InCapture {
        /// The device's name.
        device: String,
        /// What needed the host: an operation's name, a download and the like.
        what: &'static str,
    },
    /// The device failed.
    #[error("{device}: {message}")]
    Device {
        /// The device's name.
        device: String,
        /// The device's message.
        message: String,
    },
}
