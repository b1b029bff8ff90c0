// target: compute_80
// Layer normalisation of bf16 rows: see layer_norm.cuh.
#include "layer_norm.cuh"

LAYER_NORM_KERNELS(bf16, bf16, 8)
