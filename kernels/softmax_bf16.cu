// target: compute_80
// Softmax over bf16 rows: see softmax.cuh.
#include "softmax.cuh"

SOFTMAX_KERNELS(bf16, bf16, 8)
