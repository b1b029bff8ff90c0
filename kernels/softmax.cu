// target: compute_75
// Softmax over f32 rows: see softmax.cuh.
#include "softmax.cuh"

SOFTMAX_KERNELS(f32, float, 4)
