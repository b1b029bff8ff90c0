//! The functions of cuBLASLt that we call, all from the one library that was found.
//!
//! cudarc opens the library by its own list of names, and so may get another library than the one
//! that was found: a system's plain `libcublasLt.so` before the `libcublasLt.so.13` that the user
//! names. Therefore we use cudarc's types, but not its functions.

use crate::driver::Loaded;
use cudarc::cublaslt::sys::{
    cublasComputeType_t, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t, cublasLtMatmulHeuristicResult_t, cublasLtMatmulPreference_t,
    cublasLtMatmulPreferenceAttributes_t, cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t,
    cublasStatus_t, cudaDataType, cudaStream_t,
};
use std::ffi::{c_int, c_void};

/// The functions, each with its name in the library and its type.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions of one library, which stays loaded.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Api {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Api {
            /// Looks the functions up; an error names the function that is missing.
            pub(super) fn of(library: &Loaded) -> Result<Self, String> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the type is that of NVIDIA's header, which cudarc's types are
                        // made from.
                        let found = unsafe { library.get($name.as_bytes()) };
                        *found.map_err(|_| concat!("libcublasLt has no ", $name))?
                    },)*
                })
            }
        }
    };
}

functions! {
    create = "cublasLtCreate": fn(*mut cublasLtHandle_t) -> cublasStatus_t;
    destroy = "cublasLtDestroy": fn(cublasLtHandle_t) -> cublasStatus_t;
    version = "cublasLtGetVersion": fn() -> usize;
    matmul = "cublasLtMatmul": fn(
        cublasLtHandle_t, cublasLtMatmulDesc_t, *const c_void, *const c_void, cublasLtMatrixLayout_t,
        *const c_void, cublasLtMatrixLayout_t, *const c_void, *const c_void, cublasLtMatrixLayout_t,
        *mut c_void, cublasLtMatrixLayout_t, *const cublasLtMatmulAlgo_t, *mut c_void, usize, cudaStream_t
    ) -> cublasStatus_t;
    heuristic = "cublasLtMatmulAlgoGetHeuristic": fn(
        cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
        cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, c_int,
        *mut cublasLtMatmulHeuristicResult_t, *mut c_int
    ) -> cublasStatus_t;
    description_create = "cublasLtMatmulDescCreate": fn(
        *mut cublasLtMatmulDesc_t, cublasComputeType_t, cudaDataType
    ) -> cublasStatus_t;
    description_destroy = "cublasLtMatmulDescDestroy": fn(cublasLtMatmulDesc_t) -> cublasStatus_t;
    description_set = "cublasLtMatmulDescSetAttribute": fn(
        cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, *const c_void, usize
    ) -> cublasStatus_t;
    preference_create = "cublasLtMatmulPreferenceCreate": fn(*mut cublasLtMatmulPreference_t) -> cublasStatus_t;
    preference_destroy = "cublasLtMatmulPreferenceDestroy": fn(cublasLtMatmulPreference_t) -> cublasStatus_t;
    preference_set = "cublasLtMatmulPreferenceSetAttribute": fn(
        cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, *const c_void, usize
    ) -> cublasStatus_t;
    layout_create = "cublasLtMatrixLayoutCreate": fn(
        *mut cublasLtMatrixLayout_t, cudaDataType, u64, u64, i64
    ) -> cublasStatus_t;
    layout_destroy = "cublasLtMatrixLayoutDestroy": fn(cublasLtMatrixLayout_t) -> cublasStatus_t;
    layout_set = "cublasLtMatrixLayoutSetAttribute": fn(
        cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, *const c_void, usize
    ) -> cublasStatus_t;
}
