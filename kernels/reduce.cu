// target: compute_75
// Reductions of f32: see reductions.cuh.
#include "reductions.cuh"

REDUCTION_KERNELS(f32, float, 4)

KERNEL sum_squares_finish(const float* partials, float* y, u32 blocks, u32 accumulate) {
    sum_squares_partials(partials, y, blocks, accumulate);
}
