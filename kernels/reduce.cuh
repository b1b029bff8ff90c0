// Sums and maxima between threads, in an order that depends on the number of threads alone: every
// run gives the same bits.
//
// Between lanes the partner is the lane whose number differs in one bit. Both join the same two
// values, so all lanes end with the same bits and none has to tell the others. A block's warps
// leave their values in shared memory, and every warp joins these in the same way.
#pragma once
#include "prims.cuh"

/// The greater one; NaN if either is.
// mutant: kernel_maximum_drops_nan
DEVICE float greater_or_nan(float a, float b) { return is_nan(a) || a > b ? a : b; }

// ---- what is joined, and what changes nothing

struct Sum {
    DEVICE float nothing() { return 0.0f; }
    DEVICE float join(float a, float b) { return a + b; }
};
/// NaN is passed over.
struct Greatest {
    DEVICE float nothing() { return -INFINITY; }
    DEVICE float join(float a, float b) { return maximum(a, b); }
};
/// NaN wins.
struct GreatestOrNan {
    DEVICE float nothing() { return -INFINITY; }
    DEVICE float join(float a, float b) { return greater_or_nan(a, b); }
};

/// Warp: of all lanes' values, to all lanes.
template <class F>
DEVICE float reduce_warp(float x) {
    F f;
#pragma unroll
    for (u32 bit = 16; bit > 0; bit /= 2) x = f.join(x, from_lane_xor(x, bit));
    return x;
}

/// Floats of shared memory that one reduction over a block takes: one a warp, at most 32.
CONSTANT u32 REDUCTION_PLACE = 32;

/// Block: of all threads' values, to all threads. There is one barrier inside, so `place` must not
/// be used by another reduction before the block has met once more.
template <class F>
DEVICE float reduce_block(float x, float* place) {
    F f;
    x = reduce_warp<F>(x);
    if (lane_index() == 0) place[warp_index()] = x;
    // mutant: kernel_reduction_does_not_wait
    block_barrier();
    x = lane_index() < block_threads() / 32 ? place[lane_index()] : f.nothing();
    return reduce_warp<F>(x);
}

/// The same of two values at once, with one barrier; `place` has room for both.
template <class F>
DEVICE void reduce_block_pair(float& a, float& b, float* place) {
    F f;
    a = reduce_warp<F>(a);
    b = reduce_warp<F>(b);
    if (lane_index() == 0) {
        place[warp_index()] = a;
        place[REDUCTION_PLACE + warp_index()] = b;
    }
    block_barrier();
    bool there = lane_index() < block_threads() / 32;
    a = reduce_warp<F>(there ? place[lane_index()] : f.nothing());
    b = reduce_warp<F>(there ? place[REDUCTION_PLACE + lane_index()] : f.nothing());
}
