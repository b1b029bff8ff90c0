// Softmax over the last axis, and its backward. Rows [N, C] of f32 or bf16, computed in f32.
//
// forward    y[j] = exp(scale·x[j] - m) / Σ_k exp(scale·x[k] - m), m the greatest scale·x[k], over
//            the first reach = min(valid, first + row % height) columns; 0 in the others.
//            A causal mask on [.., R, C] is height = R, first = C - R + 1; none is height 1, first C.
// backward   dx[j] = scale · y[j] · (dy[j] - Σ_k dy[k]·y[k])
//
// Launch     `warp`: blocks of 8 warps, a row each, grid ceil(N / 8), no shared memory.
//            `block`: a row a block of up to 1024 threads, grid N, 2 · 128 bytes of shared memory.
//            `wide`: all operands and C times the element size are multiples of 16 bytes.
// Sums       rows.cuh, exponentials.cuh.
// Speed      memory-bound: to reach the speed of a copy of as many bytes where a row is kept in
//            registers (32 elements a thread, half of that in backward: C <= 32 768 forward). Unmeasured.
#pragma once
#include "exponentials.cuh"

template <bool WARP, int W, class T>
DEVICE void softmax_forward(const T* __restrict__ x, T* __restrict__ y, u32 rows, u32 columns,
                            u32 valid, u32 height, u32 first, float scale) {
    u32 row = team_row<WARP>();
    if (row >= rows) return;
    x += u64(row) * columns;
    y += u64(row) * columns;
    u32 reach = first + row % height;
    // mutant: kernel_softmax_ignores_padding
    reach = reach < valid ? reach : valid;
    Exponentials<W> all;
    exponentials<WARP, W>(all, x, reach, scale);

    float factor = 1.0f / all.sum;
    u32 step = team_threads<WARP>() * W, mine = team_thread<WARP>() * W;
#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        u32 j = k * step + mine;
        if (j >= columns) continue;
        float p[W];
#pragma unroll
        for (int i = 0; i < W; i++) p[i] = j + i < reach ? all.kept[k][i] * factor : 0.0f;
        store_floats<W>(y + j, p);
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = KEPT<W> * step + mine; j < columns; j += step) {
        float p[W];
        load_scores<W>(p, x, j, reach, scale);
#pragma unroll
        for (int i = 0; i < W; i++)
            p[i] = j + i < reach ? exponential(p[i] - all.greatest) * factor : 0.0f;
        store_floats<W>(y + j, p);
    }
}

template <bool WARP, int W, class T>
DEVICE void softmax_backward(const T* __restrict__ y, const T* __restrict__ dy, T* __restrict__ dx,
                             u32 rows, u32 columns, float scale) {
    // Two operands are kept, so half as much of each.
    constexpr int HALF = KEPT<W> / 2;
    u32 row = team_row<WARP>();
    if (row >= rows) return;
    y += u64(row) * columns;
    dy += u64(row) * columns;
    dx += u64(row) * columns;
    u32 step = team_threads<WARP>() * W, mine = team_thread<WARP>() * W;
    float p[HALF][W], d[HALF][W], dot = 0.0f;
#pragma unroll
    for (int k = 0; k < HALF; k++) {
        u32 j = k * step + mine;
        if (j >= columns) continue;
        load_floats<W>(p[k], y + j);
        load_floats<W>(d[k], dy + j);
#pragma unroll
        for (int i = 0; i < W; i++) dot = fused_multiply_add(p[k][i], d[k][i], dot);
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = HALF * step + mine; j < columns; j += step) {
        float q[W], e[W];
        load_floats<W>(q, y + j);
        load_floats<W>(e, dy + j);
#pragma unroll
        for (int i = 0; i < W; i++) dot = fused_multiply_add(q[i], e[i], dot);
    }
    dot = reduce_team<Sum, WARP>(dot, 0);
#pragma unroll
    for (int k = 0; k < HALF; k++) {
        u32 j = k * step + mine;
        if (j >= columns) continue;
#pragma unroll
        for (int i = 0; i < W; i++) d[k][i] = scale * p[k][i] * (d[k][i] - dot);
        store_floats<W>(dx + j, d[k]);
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = HALF * step + mine; j < columns; j += step) {
        float q[W], e[W];
        load_floats<W>(q, y + j);
        load_floats<W>(e, dy + j);
#pragma unroll
        for (int i = 0; i < W; i++) e[i] = scale * q[i] * (e[i] - dot);
        store_floats<W>(dx + j, e);
    }
}

#define SOFTMAX(variant, dtype, T, WARP, W, threads)                                               \
    KERNEL LAUNCH_BOUNDS(threads, 1) softmax_forward_##variant##_##dtype(                          \
        const T* x, T* y, u32 rows, u32 columns, u32 valid, u32 height, u32 first, float scale) {  \
        softmax_forward<WARP, W>(x, y, rows, columns, valid, height, first, scale);                \
    }                                                                                              \
    KERNEL LAUNCH_BOUNDS(threads, 1) softmax_backward_##variant##_##dtype(                         \
        const T* y, const T* dy, T* dx, u32 rows, u32 columns, float scale) {                      \
        softmax_backward<WARP, W>(y, dy, dx, rows, columns, scale);                                \
    }
#define SOFTMAX_KERNELS(dtype, T, W)                                                               \
    SOFTMAX(warp, dtype, T, true, 1, 256)                                                          \
    SOFTMAX(warp_wide, dtype, T, true, W, 256)                                                     \
    SOFTMAX(block, dtype, T, false, 1, 1024)                                                       \
    SOFTMAX(block_wide, dtype, T, false, W, 1024)
