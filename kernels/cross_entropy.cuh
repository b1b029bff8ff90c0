// Cross-entropy of logits [N, C] of f32 or bf16 against target ids [N] (u32), over the first `valid`
// columns; losses [N] f32, in nats. The gradient takes the place of the logits.
//
//   losses[i] = log Σ_j exp(x[j]) - x[target]
//   x[j]      = factor · (exp(x[j]) / Σ_k exp(x[k]) - [j = target]), 0 beyond valid; kept as it is
//               where `gradient` is 0
//
// A target that is not below `valid` is noted in `faults` (position << 32 | id, the least one
// stays) and reads nothing: its loss is NaN, its logits are kept.
//
// Launch     as softmax.cuh (`warp`, `block`, `wide`), 2 · 128 bytes of shared memory for `block`.
// Sums       rows.cuh, exponentials.cuh.
// Speed      memory-bound: one read and one write of the logits up to C = 32 768; of longer rows the
//            rest is read again from the L2 cache, and its exponentials computed again. Unmeasured.
#pragma once
#include "exponentials.cuh"

template <int W>
DEVICE void to_gradient(float (&p)[W], u32 j, u32 valid, u32 target, float share, float factor) {
#pragma unroll
    for (int i = 0; i < W; i++) {
        float hit = j + i == target ? 1.0f : 0.0f;
        // mutant: kernel_cross_entropy_padding_left
        p[i] = j + i < valid ? factor * (p[i] * share - hit) : 0.0f;
    }
}

template <bool WARP, int W, class T>
DEVICE void cross_entropy(T* x, const u32* __restrict__ targets, float* __restrict__ losses,
                          u64* __restrict__ faults, u32 rows, u32 columns, u32 valid, u32 gradient,
                          float factor) {
    u32 row = team_row<WARP>();
    if (row >= rows) return;
    u32 thread = team_thread<WARP>(), target = targets[row];
    if (target >= valid) {
        if (thread == 0) {
            atomic_min(faults, u64(row) << 32 | target);
            losses[row] = float_of(0x7fc00000u);
        }
        return;
    }
    x += u64(row) * columns;
    // Read by all before any of them overwrites it: the reductions below are barriers of a block,
    // and this one is a warp's.
    float own = to_float(x[target]);
    if constexpr (WARP) warp_barrier();
    Exponentials<W> all;
    exponentials<WARP, W>(all, x, valid, 1.0f);
    if (thread == 0) losses[row] = logarithm(all.sum) + (all.greatest - own);
    if (!gradient) return;

    float share = 1.0f / all.sum;
    u32 step = team_threads<WARP>() * W, mine = thread * W;
#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        u32 j = k * step + mine;
        if (j >= columns) continue;
        to_gradient<W>(all.kept[k], j, valid, target, share, factor);
        store_floats<W>(x + j, all.kept[k]);
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = KEPT<W> * step + mine; j < columns; j += step) {
        float p[W];
        load_scores<W>(p, x, j, valid, 1.0f);
#pragma unroll
        for (int i = 0; i < W; i++) p[i] = exponential(p[i] - all.greatest);
        to_gradient<W>(p, j, valid, target, share, factor);
        store_floats<W>(x + j, p);
    }
}

#define CROSS_ENTROPY(variant, dtype, T, WARP, W, threads)                                         \
    KERNEL LAUNCH_BOUNDS(threads, 1) cross_entropy_##variant##_##dtype(                            \
        T* logits, const u32* targets, float* losses, u64* faults, u32 rows, u32 columns,          \
        u32 valid, u32 gradient, float factor) {                                                   \
        cross_entropy<WARP, W>(logits, targets, losses, faults, rows, columns, valid, gradient,    \
                               factor);                                                            \
    }
#define CROSS_ENTROPY_KERNELS(dtype, T, W)                                                         \
    CROSS_ENTROPY(warp, dtype, T, true, 1, 256)                                                    \
    CROSS_ENTROPY(warp_wide, dtype, T, true, W, 256)                                               \
    CROSS_ENTROPY(block, dtype, T, false, 1, 1024)                                                 \
    CROSS_ENTROPY(block_wide, dtype, T, false, W, 1024)
