//! The tensor: a counted handle to dense memory on a device.

use crate::device::Storage;
use crate::dtype::{Element, bytes_of, bytes_of_mut};
use crate::op::{ArgMax, Cast, Concat, Fill, Matmul, Permute, Slice, Softmax};
use crate::op::{attribute_such, axis_is, with_length};
use crate::{DType, Device, Error, Result, Shape, View, ViewMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies one value: clones and reshapes of a tensor keep it, every operation's output gets a new
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(u64);

impl TensorId {
    fn next() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        Self(COUNTER.fetch_add(1, Ordering::Relaxed))
    }
}

/// A dense, row-major array of numbers on a device.
///
/// A `Tensor` is a handle: cloning it shares the memory, which goes back to the device's pool with
/// the last handle. The methods here run one operation each and give a new tensor; they are what
/// lessons and small programs need. Models use `latimer-autograd`'s recorded operations instead.
///
/// ```
/// use latimer_tensor::{Device, Tensor};
/// let device = Device::reference();
/// let q = Tensor::from_slice(&device, &[0.0f32, 1.0], [1, 2])?;
/// let k = Tensor::from_slice(&device, &[1.0f32, 0.0, 0.0, 1.0], [2, 2])?;
/// let v = Tensor::from_slice(&device, &[5.0f32, 6.0, 7.0, 8.0], [2, 2])?;
/// let y = q.matmul(&k.t()?)?.matmul(&v)?;
/// assert_eq!(y.to_vec::<f32>()?, [7.0, 8.0]);
/// # Ok::<(), latimer_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tensor {
    storage: Arc<Storage>,
    /// Where the tensor begins in its memory, in bytes.
    offset: usize,
    shape: Shape,
    dtype: DType,
    id: TensorId,
}

impl Tensor {
    // ---- made from outside

    /// A tensor whose content is unspecified until something writes it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn empty(device: &Device, shape: impl Into<Shape>, dtype: DType) -> Result<Self> {
        let shape = shape.into();
        let storage = Arc::new(device.storage(shape.numel() * dtype.size())?);
        Ok(Self {
            storage,
            offset: 0,
            shape,
            dtype,
            id: TensorId::next(),
        })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or the device's failure.
    pub fn zeros(device: &Device, shape: impl Into<Shape>, dtype: DType) -> Result<Self> {
        Self::full(device, shape, dtype, 0.0)
    }

    /// A tensor whose elements are all `value`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or the device's failure.
    pub fn full(
        device: &Device,
        shape: impl Into<Shape>,
        dtype: DType,
        value: f64,
    ) -> Result<Self> {
        let mut y = Self::empty(device, shape, dtype)?;
        device.run(Fill {
            y: y.view_mut()?,
            value,
        })?;
        Ok(y)
    }

    /// A tensor of these values, given row by row.
    ///
    /// # Errors
    /// [`Error::WrongLength`] when their number is not that of the shape; [`Error::OutOfMemory`].
    pub fn from_slice<E: Element>(
        device: &Device,
        values: &[E],
        shape: impl Into<Shape>,
    ) -> Result<Self> {
        let shape = shape.into();
        if values.len() != shape.numel() {
            return Err(Error::WrongLength {
                shape,
                got: values.len(),
            });
        }
        let mut y = Self::empty(device, shape, E::DTYPE)?;
        device.upload(bytes_of(values), y.view_mut()?)?;
        Ok(y)
    }

    // ---- looked at

    /// The lengths of the axes.
    #[must_use]
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The lengths of the axes, as a slice.
    #[must_use]
    #[inline]
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }

    /// The element type.
    #[must_use]
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that the tensor lies on.
    #[must_use]
    #[inline]
    pub fn device(&self) -> &Device {
        self.storage.device()
    }

    /// Identifies the value that the tensor holds.
    #[must_use]
    #[inline]
    pub fn id(&self) -> TensorId {
        self.id
    }

    /// The elements, row by row; waits for the device.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] when `E` is not the element type ([`Tensor::cast`] first), or the
    /// device's failure.
    pub fn to_vec<E: Element>(&self) -> Result<Vec<E>> {
        self.check_element::<E>("to_vec")?;
        let mut values = vec![E::default(); self.shape.numel()];
        self.copy_to_slice(&mut values)?;
        Ok(values)
    }

    /// Copies the elements, row by row, into memory that you provide; waits for the device.
    ///
    /// ```
    /// use latimer_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&Device::reference(), &[1.0f32, 2.0], [2])?;
    /// let mut values = [0.0f32; 2];
    /// x.copy_to_slice(&mut values)?;
    /// assert_eq!(values, [1.0, 2.0]);
    /// # Ok::<(), latimer_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails as [`Tensor::to_vec`] does, and with [`Error::WrongLength`] when `values` has another
    /// number of elements.
    pub fn copy_to_slice<E: Element>(&self, values: &mut [E]) -> Result<()> {
        self.check_element::<E>("copy_to_slice")?;
        self.device().download(self.view(), bytes_of_mut(values))
    }

    fn check_element<E: Element>(&self, op: &'static str) -> Result<()> {
        if E::DTYPE == self.dtype {
            return Ok(());
        }
        Err(Error::DTypeMismatch {
            op,
            operand: "self",
            expected: E::DTYPE,
            got: self.dtype,
        })
    }

    /// A view of the whole tensor, to be read by an operation.
    #[must_use]
    #[inline]
    pub fn view(&self) -> View<'_> {
        View::new(self.storage.buffer(), self.offset, self.shape, self.dtype)
    }

    /// A view of the whole tensor, to be written by an operation.
    ///
    /// # Errors
    /// [`Error::Shared`] while another handle to this memory exists.
    #[inline]
    pub fn view_mut(&mut self) -> Result<ViewMut<'_>> {
        let (shape, offset) = (self.shape, self.offset);
        let storage = Arc::get_mut(&mut self.storage).ok_or(Error::Shared { shape })?;
        Ok(ViewMut::new(storage.buffer(), offset, shape, self.dtype))
    }

    /// Whether this is the only handle to its memory.
    #[must_use]
    #[inline]
    pub fn is_sole_owner(&self) -> bool {
        Arc::strong_count(&self.storage) == 1
    }

    // ---- one operation each

    pub(crate) fn output(&self, shape: impl Into<Shape>) -> Result<Self> {
        Self::empty(self.device(), shape, self.dtype)
    }

    /// The same elements under another shape; shares the memory.
    ///
    /// # Errors
    /// [`Error::Reshape`] when the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.numel() != self.shape.numel() {
            return Err(Error::Reshape {
                from: self.shape,
                to: shape,
            });
        }
        Ok(Self {
            shape,
            ..self.clone()
        })
    }

    /// The last two axes exchanged: `[…, R, C]` to `[…, C, R]`.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] with fewer than two axes.
    pub fn t(&self) -> Result<Self> {
        let rank = self.shape.rank();
        let reason = "only tensors of two axes or more can be transposed";
        crate::op::shape_such("t", "self", self.shape, rank >= 2, reason)?;
        let mut axes = [0, 1, 2, 3];
        axes.swap(rank - 1, rank - 2);
        self.permute(&axes[..rank])
    }

    /// The axes in another order: axis `i` of the result is axis `axes[i]` of this.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] when `axes` is no permutation of this tensor's axes.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let mut all = [0, 1, 2, 3];
        let named = axes.len() == self.shape.rank();
        if named {
            all[..axes.len()].copy_from_slice(axes);
        }
        let shape = Permute::output_shape(self.shape, all).filter(|_| named);
        let reason = "axes is no permutation of its axes";
        crate::op::shape_such("permute", "self", self.shape, shape.is_some(), reason)?;
        let mut y = self.output(shape.unwrap_or(self.shape))?;
        self.device().run(Permute {
            x: self.view(),
            y: y.view_mut()?,
            axes: all,
        })?;
        Ok(y)
    }

    /// `n` rows from row `first` on without copying them: the memory is shared.
    ///
    /// ```
    /// use latimer_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&Device::reference(), &[1u32, 2, 3, 4, 5, 6], [3, 2])?;
    /// assert_eq!(x.view_rows(1, 2)?.to_vec::<u32>()?, [3, 4, 5, 6]);
    /// # Ok::<(), latimer_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails as [`Tensor::slice_rows`] does.
    pub fn view_rows(&self, first: usize, n: usize) -> Result<Self> {
        axis_is("view_rows", 0, self.shape)?;
        let fits = first.saturating_add(n) <= self.dims()[0];
        let reason = "the rows must lie within the tensor";
        attribute_such("view_rows", "first", first as f64, fits, reason)?;
        let shape = with_length(self.shape, 0, n);
        let row: usize = self.dims()[1..].iter().product();
        Ok(Self {
            offset: self.offset + first * row * self.dtype.size(),
            shape,
            id: TensorId::next(),
            ..self.clone()
        })
    }

    /// `n` rows from row `first` on, rows being indices of the outermost axis: `[N, …]` to `[n, …]`.
    ///
    /// ```
    /// use latimer_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&Device::reference(), &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2])?;
    /// assert_eq!(x.slice_rows(1, 2)?.to_vec::<f32>()?, [3.0, 4.0, 5.0, 6.0]);
    /// # Ok::<(), latimer_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] when the tensor has fewer rows, or no axis.
    pub fn slice_rows(&self, first: usize, n: usize) -> Result<Self> {
        self.slice(0, first, n)
    }

    /// `n` indices of any axis, from `first` on.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] when there is no such axis, or it is shorter than `first + n`.
    pub fn slice(&self, axis: usize, first: usize, n: usize) -> Result<Self> {
        axis_is("slice", axis, self.shape)?;
        let mut y = self.output(with_length(self.shape, axis, n))?;
        self.device().run(Slice {
            x: self.view(),
            y: y.view_mut()?,
            axis,
            first,
        })?;
        Ok(y)
    }

    /// Concatenates tensors along an axis; their other lengths must be equal. A single tensor is
    /// returned as it is.
    ///
    /// ```
    /// use latimer_tensor::{Device, Tensor};
    /// let device = Device::reference();
    /// let a = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let b = Tensor::from_slice(&device, &[8.0f32, 9.0], [2, 1])?;
    /// let y = Tensor::cat(&[&a, &b, &b], 1)?;
    /// assert_eq!(y.dims(), [2, 4]);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 8.0, 8.0, 3.0, 4.0, 9.0, 9.0]);
    /// # Ok::<(), latimer_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] and its like; [`Error::InvalidAttribute`] when there is no such
    /// axis, or no tensor.
    pub fn cat(tensors: &[&Self], axis: usize) -> Result<Self> {
        match *tensors {
            [] => Err(Error::InvalidAttribute {
                op: "cat",
                attribute: "tensors",
                got: 0.0,
                reason: "there must be one at least",
            }),
            [one] => {
                axis_is("cat", axis, one.shape)?;
                Ok(one.clone())
            }
            // Joins halves recursively: of `n` tensors, each element is copied `log₂ n` times, not
            // `n`.
            _ => {
                let (a, b) = tensors.split_at(tensors.len() / 2);
                Self::cat(a, axis)?.concat(&Self::cat(b, axis)?, axis)
            }
        }
    }

    fn concat(&self, b: &Self, axis: usize) -> Result<Self> {
        // The operation's check reports shapes that do not fit.
        let of_b = b.dims().get(axis).copied().unwrap_or(0);
        let mut y = self.output(with_length(self.shape, axis, self.dims()[axis] + of_b))?;
        self.device().run(Concat {
            a: self.view(),
            b: b.view(),
            y: y.view_mut()?,
            axis,
        })?;
        Ok(y)
    }

    /// The product of matrices `[M, K] · [K, N]`, or of batches of them.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] and its like.
    pub fn matmul(&self, b: &Self) -> Result<Self> {
        let mut dims = [0; 4];
        let rank = self.shape.rank();
        dims[..rank].copy_from_slice(self.dims());
        if let Some(last) = dims[..rank].last_mut() {
            *last = b.shape.columns();
        }
        let mut y = self.output(&dims[..rank])?;
        self.device()
            .run(Matmul::new(self.view(), b.view(), y.view_mut()?))?;
        Ok(y)
    }

    /// Softmax over the last axis of `scale · self`.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] when there are no columns, [`Error::InvalidAttribute`] when `scale`
    /// is not finite.
    pub fn softmax(&self, scale: f32) -> Result<Self> {
        let mut y = self.output(self.shape)?;
        self.device().run(Softmax {
            x: self.view(),
            y: y.view_mut()?,
            scale,
            causal: false,
            valid_columns: self.shape.columns(),
        })?;
        Ok(y)
    }

    /// The column of the greatest element of each row, the first if several are equal: `[N, C]` to
    /// `[N]`, `U32`. If a row has NaNs, the column of the first one, as in NumPy and PyTorch.
    ///
    /// ```
    /// use latimer_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&Device::reference(), &[1.0, 3.0, 3.0, 5.0, f32::NAN, 9.0], [2, 3])?;
    /// assert_eq!(x.argmax()?.to_vec::<u32>()?, [1, 1]);
    /// # Ok::<(), latimer_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidShape`] unless there are two axes and a column.
    pub fn argmax(&self) -> Result<Self> {
        let mut y = Self::empty(self.device(), [self.shape.rows()], DType::U32)?;
        let valid_columns = self.shape.columns();
        self.device().run(ArgMax {
            x: self.view(),
            y: y.view_mut()?,
            valid_columns,
        })?;
        Ok(y)
    }

    /// The same values in another type, rounded once to nearest even.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or the device's failure.
    pub fn cast(&self, dtype: DType) -> Result<Self> {
        let mut y = Self::empty(self.device(), self.shape, dtype)?;
        self.device().run(Cast {
            x: self.view(),
            y: y.view_mut()?,
        })?;
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_tensor_cannot_be_written() -> Result<()> {
        let mut x = Tensor::zeros(&Device::reference(), [2, 3], DType::F32)?;
        let y = x.clone();
        assert!(matches!(x.view_mut(), Err(Error::Shared { .. })));
        drop(y);
        assert!(x.view_mut().is_ok());
        Ok(())
    }

    #[test]
    fn memory_comes_back_to_the_pool() -> Result<()> {
        let device = Device::reference();
        // Miri is some thousand times slower.
        let side = if cfg!(miri) { 10 } else { 100 };
        for _ in 0..5 {
            let x = Tensor::full(&device, [side, side], DType::F32, 2.0)?;
            let _ = (&x + &x).softmax(1.0)?;
        }
        let stats = device.pool_stats();
        assert_eq!((stats.live_bytes, stats.misses), (0, 3));
        device.trim();
        assert_eq!(device.pool_stats().held_bytes, 0);
        Ok(())
    }

    #[test]
    fn misfits_name_both_sides() -> Result<()> {
        let device = Device::reference();
        let a = Tensor::zeros(&device, [2, 3], DType::F32)?;
        let error = a.matmul(&a).unwrap_err();
        assert_eq!(
            error.to_string(),
            "matmul: b has shape [2, 3], expected [3, 3]"
        );
        let other = Tensor::zeros(&Device::new(crate::DryRun::default()), [3, 2], DType::F32)?;
        let error = a.matmul(&other).unwrap_err();
        assert!(matches!(error, Error::ForeignBuffer { .. }), "{error}");
        Ok(())
    }
}
