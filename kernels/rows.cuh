// Rows and who works on them. A row belongs to a *team* of threads: a warp where it is short
// (several warps a block), else the whole block (one row a block). A thread takes W neighbouring
// elements at once, then those one team further on: accesses of neighbouring threads touch
// neighbouring memory, 16 bytes each where W fills them. W is 1 where an operand or its rows are
// not aligned to 16 bytes.
//
// What a thread takes first it keeps in registers (`KEPT` accesses), so that a row is read from
// memory once; only what is longer is read again, and then most likely from the L2 cache.
#pragma once
#include "reduce.cuh"

// ---- the team (WARP: a warp, else a block)

template <bool WARP>
DEVICE u32 team_threads() {
    return WARP ? 32 : block_threads();
}
template <bool WARP>
DEVICE u32 team_thread() {
    return WARP ? lane_index() : thread_index();
}
/// The row that this thread's team works on.
template <bool WARP>
DEVICE u32 team_row() {
    return WARP ? block_x() * (block_threads() / 32) + warp_index() : block_x();
}
/// Of all the team's values, to all its threads. `which` numbers the reductions of a kernel: each
/// has its own shared memory, so each may be used once a block.
template <class F, bool WARP>
DEVICE float reduce_team(float x, u32 which) {
    if constexpr (WARP) return reduce_warp<F>(x);
    else return reduce_block<F>(x, reinterpret_cast<float*>(dynamic_shared()) + which * REDUCTION_PLACE);
}
template <bool WARP>
DEVICE void team_barrier() {
    if constexpr (WARP) warp_barrier();
    else block_barrier();
}

/// Accesses of W elements that a thread keeps of its row.
template <int W>
CONSTANT int KEPT = W == 1 ? 8 : 32 / W;
/// Accesses under way at once in a loop over what is not kept.
template <int W>
CONSTANT int AT_ONCE = W == 1 ? 4 : 1;

// ---- W neighbouring elements as floats

template <int W>
DEVICE void load_floats(float (&x)[W], const float* at) {
    static_assert(W == 1 || W == 4);
    if constexpr (W == 1) {
        x[0] = *at;
    } else {
        Bytes16 all = load_16(at);
#pragma unroll
        for (int i = 0; i < W; i++) x[i] = float_of(all.word[i]);
    }
}
template <int W>
DEVICE void load_floats(float (&x)[W], const bf16* at) {
    static_assert(W == 1 || W == 8);
    if constexpr (W == 1) {
        x[0] = to_float(*at);
    } else {
        Bytes16 all = load_16(at);
#pragma unroll
        for (int i = 0; i < W; i += 2) {
            x[i] = low_half(all.word[i / 2]);
            x[i + 1] = high_half(all.word[i / 2]);
        }
    }
}

template <int W>
DEVICE void store_floats(float* at, const float (&x)[W]) {
    static_assert(W == 1 || W == 4);
    if constexpr (W == 1) {
        *at = x[0];
    } else {
        Bytes16 all;
#pragma unroll
        for (int i = 0; i < W; i++) all.word[i] = bits_of(x[i]);
        store_16(at, all);
    }
}
template <int W>
DEVICE void store_floats(bf16* at, const float (&x)[W]) {
    static_assert(W == 1 || W == 8);
    if constexpr (W == 1) {
        *at = round_bf16(x[0]);
    } else {
        Bytes16 all;
#pragma unroll
        for (int i = 0; i < W; i += 2) all.word[i / 2] = pack_bf16(x[i], x[i + 1]);
        store_16(at, all);
    }
}
