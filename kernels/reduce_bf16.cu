// target: compute_80
// Reductions of bf16: see reductions.cuh.
#include "reductions.cuh"

REDUCTION_KERNELS(bf16, bf16, 8)
