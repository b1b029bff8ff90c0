//! Windows on a backend's memory, and the one rule of aliasing.
//!
//! A [`View`] reads, a [`ViewMut`] writes. Only the sole owner of a memory can make a `ViewMut`
//! ([`crate::Tensor::view_mut`]), and it splits into disjoint parts only, so while one exists no
//! other view overlaps it: safe code cannot race, whatever a backend does with its pointers.

use crate::{DType, Error, Result, Shape};
use std::{
    any::{Any, TypeId},
    fmt::Debug,
    marker::PhantomData,
};

/// A backend's own memory type. Dropping it frees the memory.
pub trait Buffer: Any + Debug + Send + Sync {}

/// A shared, dense, row-major window on a buffer.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    buffer: &'a dyn Buffer,
    offset: usize,
    shape: Shape,
    dtype: DType,
}

/// An exclusive window on a buffer: what an operation writes to.
#[derive(Debug)]
pub struct ViewMut<'a> {
    view: View<'a>,
    exclusive: PhantomData<&'a mut ()>,
}

impl<'a> View<'a> {
    pub(crate) fn new(buffer: &'a dyn Buffer, offset: usize, shape: Shape, dtype: DType) -> Self {
        Self {
            buffer,
            offset,
            shape,
            dtype,
        }
    }

    /// The buffer as the backend's own type. A [`crate::Device`] passes views of other types to no
    /// backend: it names the operation and the operand in its error.
    ///
    /// # Errors
    /// [`Error::ForeignBuffer`] when another backend made it.
    pub fn buffer<T: Buffer>(&self) -> Result<&'a T> {
        let (op, operand) = ("the backend", "an operand");
        (self.buffer as &dyn Any)
            .downcast_ref()
            .ok_or(Error::ForeignBuffer { op, operand })
    }

    /// The backend's type of the buffer.
    pub(crate) fn buffer_type(&self) -> TypeId {
        (self.buffer as &dyn Any).type_id()
    }

    /// Identifies the buffer: equal for views of the same buffer, different for any other live buffer.
    #[must_use]
    #[inline]
    pub fn buffer_id(&self) -> usize {
        std::ptr::from_ref(self.buffer).cast::<()>().addr()
    }

    /// Where the window starts in the buffer, in bytes; a multiple of the element's size.
    #[must_use]
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The window's shape.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The window's element type.
    #[must_use]
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of elements.
    #[must_use]
    #[inline]
    pub fn numel(&self) -> usize {
        self.shape.numel()
    }

    /// The number of bytes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.numel() * self.dtype.size()
    }

    /// The same bytes as elements of another type of the same size.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] when the sizes differ.
    pub fn reinterpret(self, dtype: DType) -> Result<Self> {
        if dtype.size() != self.dtype.size() {
            return Err(Error::DTypeMismatch {
                op: "reinterpret",
                operand: "self",
                expected: self.dtype,
                got: dtype,
            });
        }
        Ok(Self { dtype, ..self })
    }

    /// The part that begins at element `first` and has this shape.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when that part does not lie within this view.
    pub fn slice(self, first: usize, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        let (end, len) = (first.saturating_add(shape.numel()), self.numel());
        if end > len {
            return Err(Error::OutOfBounds { first, end, len });
        }
        Ok(Self {
            offset: self.offset + first * self.dtype.size(),
            shape,
            ..self
        })
    }
}

impl<'a> ViewMut<'a> {
    /// The caller holds the only handle to `buffer`, mutably, for `'a`.
    pub(crate) fn new(buffer: &'a dyn Buffer, offset: usize, shape: Shape, dtype: DType) -> Self {
        Self {
            view: View::new(buffer, offset, shape, dtype),
            exclusive: PhantomData,
        }
    }

    /// See [`View::buffer`].
    ///
    /// # Errors
    /// [`Error::ForeignBuffer`] when another backend made it.
    pub fn buffer<T: Buffer>(&self) -> Result<&'a T> {
        self.view.buffer()
    }

    /// See [`View::offset`].
    #[must_use]
    #[inline]
    pub fn offset(&self) -> usize {
        self.view.offset
    }

    /// The window's shape.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> Shape {
        self.view.shape
    }

    /// The window's element type.
    #[must_use]
    #[inline]
    pub fn dtype(&self) -> DType {
        self.view.dtype
    }

    /// The number of elements.
    #[must_use]
    #[inline]
    pub fn numel(&self) -> usize {
        self.view.numel()
    }

    /// The number of bytes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.view.bytes()
    }

    /// A read-only view of the same window.
    #[must_use]
    #[inline]
    pub fn as_view(&self) -> View<'_> {
        self.view
    }

    /// An exclusive view of the same window, for a shorter lifetime.
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        ViewMut {
            view: self.view,
            exclusive: PhantomData,
        }
    }

    /// See [`View::reinterpret`].
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] when the sizes differ.
    pub fn reinterpret(self, dtype: DType) -> Result<Self> {
        Ok(Self {
            view: self.view.reinterpret(dtype)?,
            exclusive: PhantomData,
        })
    }

    /// The part that begins at element `first` and has this shape; the rest is given up.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when that part does not lie within this view.
    pub fn slice(self, first: usize, shape: impl Into<Shape>) -> Result<Self> {
        Ok(Self {
            view: self.view.slice(first, shape)?,
            exclusive: PhantomData,
        })
    }

    /// Splits the window into two disjoint flat ones, before and from `elements` on, so that one
    /// operation can write several gradients of one slab.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when there are fewer elements.
    pub fn split_at(self, elements: usize) -> Result<(Self, Self)> {
        let rest = self.numel().saturating_sub(elements);
        let first = self.view.slice(0, [elements])?;
        let second = self.view.slice(elements, [rest])?;
        let part = |view| Self {
            view,
            exclusive: PhantomData,
        };
        Ok((part(first), part(second)))
    }
}
