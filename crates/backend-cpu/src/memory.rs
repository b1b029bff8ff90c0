//! Memory of the host, and the one place where a window on it becomes a slice.

#![expect(
    unsafe_code,
    reason = "raw memory: allocation, and slices made under the aliasing rule of View and ViewMut"
)]

use latimer_tensor::{Buffer, DType, Element, Error, Result, View, ViewMut};
use memmap2::MmapMut;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Alignment of every buffer in bytes: what [`latimer_tensor::Backend::alloc`] asks for.
const ALIGNMENT: usize = 256;

/// Buffers of at least this many bytes get a mapping of their own, in the largest pages the system
/// has. Small pages would need more entries than the processor's TLB holds, and every step would
/// walk the page tables again.
const LARGE: usize = 4 << 20;

/// The memory that all buffers together may hold, and how much they hold now.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        let limit = limit.map_or(isize::MAX as usize, |l| l as usize);
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }
}

/// Zeroed memory.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    layout: Layout,
    /// The mapping of a large buffer. The system gives its pages to the process one by one, when
    /// they are first touched.
    mapped: Option<MmapMut>,
    budget: Arc<Budget>,
}

// SAFETY: plain bytes without thread affinity; access goes through views, whose rule forbids races.
unsafe impl Send for Memory {}
// SAFETY: as above: `&Memory` gives no access to the bytes without a view.
unsafe impl Sync for Memory {}

impl Buffer for Memory {}

impl Memory {
    pub(crate) fn new(bytes: usize, budget: &Arc<Budget>, device: &str) -> Result<Self> {
        let in_use = budget.used.load(Ordering::Relaxed);
        let full = || Error::OutOfMemory {
            device: device.to_owned(),
            requested: bytes,
            in_use,
        };
        // Linux grants more memory than it has and kills the process later, so we keep the limit.
        if in_use
            .checked_add(bytes)
            .is_none_or(|sum| sum > budget.limit)
        {
            return Err(full());
        }
        let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).map_err(|_| full())?;
        let mut mapped = (bytes >= LARGE).then(|| map(bytes)).flatten();
        let start = match &mut mapped {
            Some(mapped) => mapped.as_mut_ptr(),
            // SAFETY: the layout's size is at least 1.
            None => unsafe { alloc_zeroed(layout) },
        };
        let start = NonNull::new(start).ok_or_else(full)?;
        budget.used.fetch_add(layout.size(), Ordering::Relaxed);
        Ok(Self {
            start,
            layout,
            mapped,
            budget: Arc::clone(budget),
        })
    }

    /// The address of a window's first byte; an error if the window does not lie in this memory.
    fn at(&self, offset: usize, bytes: usize) -> Result<*mut u8> {
        let len = self.layout.size();
        let end = offset.saturating_add(bytes);
        if end > len {
            return Err(Error::OutOfBounds {
                first: offset,
                end,
                len,
            });
        }
        // SAFETY: `offset <= len`, so the result is within the allocation or one past its end.
        Ok(unsafe { self.start.as_ptr().add(offset) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.budget
            .used
            .fetch_sub(self.layout.size(), Ordering::Relaxed);
        if self.mapped.is_none() {
            // SAFETY: allocated in `new` with this layout, and freed only here.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

/// Zeroed memory in large pages where there are any; `None` if the system refuses.
fn map(bytes: usize) -> Option<MmapMut> {
    let mapped = MmapMut::map_anon(bytes).ok()?;
    // Pages are larger than `ALIGNMENT` on every known system; otherwise the allocator is used.
    let aligned = mapped.as_ptr().align_offset(ALIGNMENT) == 0;
    #[cfg(target_os = "linux")]
    // Only a hint: a system without large pages uses small ones.
    let _ = mapped.advise(memmap2::Advice::HugePage);
    aligned.then_some(mapped)
}

/// The checks of an operation's operands leave only types that its function was chosen for.
fn typed<E: Element>(got: DType) -> Result<()> {
    if got == E::DTYPE {
        return Ok(());
    }
    Err(Error::DTypeMismatch {
        op: "the backend",
        operand: "an operand",
        expected: E::DTYPE,
        got,
    })
}

/// The elements of a window.
///
/// # Errors
/// A foreign buffer, another element type, or a window that does not lie in its buffer.
pub(crate) fn read<'a, E: Element>(view: View<'a>) -> Result<&'a [E]> {
    typed::<E>(view.dtype())?;
    let memory: &'a Memory = view.buffer()?;
    let start = memory.at(view.offset(), view.bytes())?;
    // SAFETY: in bounds (`at`), initialised (zeroed at first), aligned (the buffer to 256 bytes, the
    // offset to the element), any bits valid (`Element`); no `ViewMut` overlaps while `view` lives.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), view.numel()) })
}

/// The elements of an exclusive window.
///
/// # Errors
/// Fails as [`read`] does.
pub(crate) fn write<'a, E: Element>(view: ViewMut<'a>) -> Result<&'a mut [E]> {
    typed::<E>(view.dtype())?;
    let memory: &'a Memory = view.buffer()?;
    let start = memory.at(view.offset(), view.bytes())?;
    // SAFETY: as `read`; and `view` is given up here, so for `'a` nothing else reaches this window.
    Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), view.numel()) })
}

/// The bytes of a window of any type.
///
/// # Errors
/// A foreign buffer, or a window that does not lie in its buffer.
pub(crate) fn read_bytes<'a>(view: View<'a>) -> Result<&'a [u8]> {
    let memory: &'a Memory = view.buffer()?;
    let start = memory.at(view.offset(), view.bytes())?;
    // SAFETY: as `read`, for bytes.
    Ok(unsafe { std::slice::from_raw_parts(start, view.bytes()) })
}

/// The bytes of an exclusive window of any type.
///
/// # Errors
/// Fails as [`read_bytes`] does.
pub(crate) fn write_bytes<'a>(view: ViewMut<'a>) -> Result<&'a mut [u8]> {
    let memory: &'a Memory = view.buffer()?;
    let start = memory.at(view.offset(), view.bytes())?;
    // SAFETY: as `write`, for bytes.
    Ok(unsafe { std::slice::from_raw_parts_mut(start, view.bytes()) })
}

/// A pointer that threads may share. Code that dereferences it justifies that where it does so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared<T>(*mut T);

// SAFETY: only a number until dereferenced, which every user justifies where it does so.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// A pointer that is only read through.
    pub(crate) fn from_const(start: *const T) -> Self {
        Self(start.cast_mut())
    }

    /// The pointer.
    pub(crate) fn get(self) -> *mut T {
        self.0
    }
}

/// Scratch memory as narrower floats, twice as many.
#[cfg(target_arch = "x86_64")]
pub(crate) fn as_bf16(memory: &mut [f32]) -> &mut [half::bf16] {
    // SAFETY: two of them take the place of one float, aligned as it is; any bits are valid.
    unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), 2 * memory.len()) }
}
