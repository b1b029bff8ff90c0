//! Plans: a product described for cuBLASLt, and the algorithm that it chose.

use super::WORKSPACE;
use super::api::Api;
use crate::ops::{Product, Types};
use cudarc::cublaslt::result::CublasError;
use cudarc::cublaslt::sys::{
    self, cublasLtMatmulDescAttributes_t as Of, cublasLtMatmulPreferenceAttributes_t as Want,
    cublasLtMatrixLayoutAttribute_t as Laid,
};
use std::ffi::c_void;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// The properties of a product that its plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    trans_a: bool,
    trans_b: bool,
    types: Types,
    bias: bool,
    /// Whether the old `y` is read.
    keeps: bool,
    /// The alignment of `a`, `b` and `y` in bytes, at most 16.
    alignment: [u32; 3],
}

impl Key {
    pub(super) fn of(p: &Product) -> Self {
        let alignment = |address: u64| 1 << address.trailing_zeros().min(4);
        Self {
            batch: p.sizes.batch,
            m: p.sizes.m,
            n: p.sizes.n,
            k: p.sizes.k,
            trans_a: p.trans_a,
            trans_b: p.trans_b,
            types: p.types,
            bias: p.bias != 0,
            keeps: p.beta != 0.0,
            alignment: [p.a, p.b, p.y].map(alignment),
        }
    }
}

impl fmt::Display for Key {
    /// Writes the product, for example `bf16 4 x [768, 3072] · [3072, 768]ᵀ + bias`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = match self.types {
            Types::F32 => "f32",
            Types::Bf16 => "bf16",
            Types::Bf16ToF32 => "bf16 to f32",
        };
        let batch = match self.batch {
            1 => String::new(),
            batch => format!("{batch} x "),
        };
        let matrix = |transposed, [rows, columns]: [usize; 2]| match transposed {
            true => format!("[{columns}, {rows}]ᵀ"),
            false => format!("[{rows}, {columns}]"),
        };
        let a = matrix(self.trans_a, [self.m, self.k]);
        let b = matrix(self.trans_b, [self.k, self.n]);
        let bias = if self.bias { " + bias" } else { "" };
        write!(f, "{types} {batch}{a} · {b}{bias}")
    }
}

/// A descriptor that is destroyed with its owner.
macro_rules! owned {
    ($name:ident, $raw:ident, $destroy:ident) => {
        #[derive(Debug)]
        struct $name(sys::$raw, &'static Api);

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: created with this value, and used by nothing else. After a failure
                // nothing more can be done.
                let _ = unsafe { (self.1.$destroy)(self.0) };
            }
        }
    };
}
owned!(Description, cublasLtMatmulDesc_t, description_destroy);
owned!(Layout, cublasLtMatrixLayout_t, layout_destroy);
owned!(Preference, cublasLtMatmulPreference_t, preference_destroy);

/// The address and the size of an attribute's value.
fn value<T>(value: &T) -> (*const c_void, usize) {
    ((&raw const *value).cast(), size_of::<T>())
}

impl Description {
    fn new(api: &'static Api) -> Result<Self, CublasError> {
        let (compute, scale) = (
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType::CUDA_R_32F,
        );
        let mut raw = null_mut();
        // SAFETY: the pointer is to a live pointer.
        unsafe { (api.description_create)(&raw mut raw, compute, scale) }.result()?;
        Ok(Self(raw, api))
    }

    fn set<T>(&self, attribute: Of, to: T) -> Result<(), CublasError> {
        let (at, bytes) = value(&to);
        // SAFETY: the descriptor is alive, and the value is read during the call.
        unsafe { (self.1.description_set)(self.0, attribute, at, bytes) }.result()
    }
}

impl Layout {
    /// The layout of a batch of matrices stored by rows: by columns, each is `columns` x `rows`.
    fn new(
        api: &'static Api,
        kind: sys::cudaDataType,
        rows: usize,
        columns: usize,
        batch: usize,
    ) -> Result<Self, CublasError> {
        let mut raw = null_mut();
        // SAFETY: the pointer is to a live pointer.
        let made = unsafe {
            (api.layout_create)(
                &raw mut raw,
                kind,
                columns as u64,
                rows as u64,
                columns as i64,
            )
        };
        made.result()?;
        let layout = Self(raw, api);
        if batch > 1 {
            let set = |attribute, (at, bytes)| {
                // SAFETY: the layout is alive, and the value is read during the call.
                unsafe { (api.layout_set)(layout.0, attribute, at, bytes) }.result()
            };
            let apart = (rows * columns) as i64;
            set(
                Laid::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                value(&(batch as i32)),
            )?;
            set(
                Laid::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                value(&apart),
            )?;
        }
        Ok(layout)
    }
}

impl Preference {
    fn new(api: &'static Api) -> Result<Self, CublasError> {
        let mut raw = null_mut();
        // SAFETY: the pointer is to a live pointer.
        unsafe { (api.preference_create)(&raw mut raw) }.result()?;
        Ok(Self(raw, api))
    }

    fn set<T>(&self, attribute: Want, to: T) -> Result<(), CublasError> {
        let (at, bytes) = value(&to);
        // SAFETY: the descriptor is alive, and the value is read during the call.
        unsafe { (self.1.preference_set)(self.0, attribute, at, bytes) }.result()
    }
}

/// The descriptors and the algorithm for products of one kind.
#[derive(Debug)]
pub(super) struct Plan {
    description: Description,
    a: Layout,
    b: Layout,
    y: Layout,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

// SAFETY: descriptors belong to no thread; the cache's lock lets one thread at a time use them.
unsafe impl Send for Plan {}

impl Plan {
    /// Makes a plan. `bias` is an address of a bias for the search for an algorithm: some versions
    /// find no algorithm that adds a bias unless they know an address. [`Self::run`] then sets the
    /// product's own.
    ///
    /// # Errors
    /// The library's status, also if it does not support the product.
    pub(super) fn new(
        api: &'static Api,
        handle: sys::cublasLtHandle_t,
        key: &Key,
        bias: u64,
    ) -> Result<Self, CublasError> {
        use sys::cudaDataType::{CUDA_R_16BF, CUDA_R_32F};
        let (kind, y_kind) = match key.types {
            Types::F32 => (CUDA_R_32F, CUDA_R_32F),
            Types::Bf16 => (CUDA_R_16BF, CUDA_R_16BF),
            Types::Bf16ToF32 => (CUDA_R_16BF, CUDA_R_32F),
        };
        let description = Description::new(api)?;
        // cublasOperation_t, which has no name here: 0 as it is, 1 transposed.
        let operation = i32::from;
        // The library's first operand is our second.
        description.set(Of::CUBLASLT_MATMUL_DESC_TRANSA, operation(key.trans_b))?;
        description.set(Of::CUBLASLT_MATMUL_DESC_TRANSB, operation(key.trans_a))?;
        if key.bias {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            description.set(Of::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
            description.set(Of::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        let Key { batch, m, n, k, .. } = *key;
        let stored = |transposed, rows, columns| {
            let (rows, columns) = if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            };
            Layout::new(api, kind, rows, columns, batch)
        };
        let a = stored(key.trans_a, m, k)?;
        let b = stored(key.trans_b, k, n)?;
        let y = Layout::new(api, y_kind, m, n, batch)?;

        let preference = Preference::new(api)?;
        let scheme = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
        preference.set(
            Want::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            WORKSPACE as u64,
        )?;
        preference.set(
            Want::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            scheme as u32,
        )?;
        for (attribute, bytes) in [
            (
                Want::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                key.alignment[1],
            ),
            (
                Want::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                key.alignment[0],
            ),
            (
                Want::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                key.alignment[2],
            ),
            (
                Want::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                key.alignment[2],
            ),
        ] {
            preference.set(attribute, bytes)?;
        }
        let mut found = MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::uninit();
        let mut count = 0;
        // SAFETY: all of these are alive, and there is room for the one result that is requested.
        let asked = unsafe {
            (api.heuristic)(
                handle,
                description.0,
                b.0,
                a.0,
                y.0,
                y.0,
                preference.0,
                1,
                found.as_mut_ptr(),
                &raw mut count,
            )
        };
        asked.result()?;
        if count == 0 {
            return Err(CublasError(
                sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
            ));
        }
        // SAFETY: the library reported that it wrote a result.
        let found = unsafe { found.assume_init() };
        found.state.result()?;
        Ok(Self {
            description,
            a,
            b,
            y,
            algorithm: found.algo,
        })
    }

    /// Enqueues a product whose key is this plan's.
    ///
    /// # Safety
    /// The product's addresses, `bias` and `workspace` (of [`WORKSPACE`] bytes) are of memory that
    /// lives until the stream has done it; `stream` is of the handle's device.
    ///
    /// # Errors
    /// The library's status.
    pub(super) unsafe fn run(
        &self,
        handle: sys::cublasLtHandle_t,
        p: &Product,
        bias: u64,
        workspace: u64,
        stream: sys::cudaStream_t,
    ) -> Result<(), CublasError> {
        if bias != 0 {
            self.description
                .set(Of::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        // SAFETY: the caller's promise; `y` is read at its place where `beta` is not 0, which the
        // library allows.
        unsafe {
            (self.description.1.matmul)(
                handle,
                self.description.0,
                value(&p.alpha).0,
                p.b as *const c_void,
                self.b.0,
                p.a as *const c_void,
                self.a.0,
                value(&p.beta).0,
                p.y as *const c_void,
                self.y.0,
                p.y as *mut c_void,
                self.y.0,
                &raw const self.algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                stream,
            )
        }
        .result()
    }
}
