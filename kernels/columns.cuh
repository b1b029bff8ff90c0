// What becomes of a column of f32 partial results: the second stage of sums over rows. A lane is a
// column, so that a warp reads 128 bytes of a row at once; the block's warps take every so many-th
// row each, and their results are joined in the order of the warps.
#pragma once
#include "reduce.cuh"

/// Block: of `x[i·stride]` over `rows` rows, for lane's own column at `x` (nothing where `inside` is
/// false). To the first warp; shared memory holds a float a thread.
template <class F>
DEVICE float reduce_column(const float* x, u32 rows, u32 stride, bool inside) {
    F f;
    float* shared = reinterpret_cast<float*>(dynamic_shared());
    float all = f.nothing();
    u32 warps = block_threads() / 32;
    // mutant: kernel_parameters_leave_a_barrier
    if (inside) {
#pragma unroll 4
        // mutant: kernel_parameters_lose_a_partial
        for (u32 i = warp_index(); i < rows; i += warps) all = f.join(all, x[u64(i) * stride]);
    }
    shared[thread_index()] = all;
    block_barrier();
    if (warp_index() == 0)
        for (u32 warp = 1; warp < warps; warp++) all = f.join(all, shared[warp * 32 + lane_index()]);
    return all;
}
