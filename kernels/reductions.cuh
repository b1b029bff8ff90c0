// Reductions of x [N, C] of f32 or bf16: sums, means and maxima over columns (y [N]) or rows (y [C]);
// the place of a row's maximum; the sum of squares.
//
// columns      y[i] (+)= f_j x[i, j] / divisor. As softmax.cuh (`warp`, `block`, `wide`); 128 bytes
//              of shared memory for `block`.
// rows         y[j] (+)= f_i x[i, j] / divisor. Grid (ceil(C / 32W), chunks of `tall` rows), blocks of
//              8 warps; a lane has W columns (`wide`: 16 bytes), a warp every 8th row of the chunk;
//              1024·W bytes of shared memory. Where there is one chunk, its block writes y; else it
//              leaves partials [chunks, C] f32 for
// partials     y[j] (+)= f_i partials[i, j] / divisor: 32 columns a block of 16 warps (columns.cuh).
// arg_max      y[i] = the first of the greatest in row i's valid columns: a block a row; 256 bytes of
//              shared memory. Where the row has a NaN, the first NaN's place.
// sum_squares  partials[block] = Σ x² over every grid-th stretch; 256 threads, 128 bytes of shared
//              memory. sum_squares_finish: y (+)= Σ partials in one block; the same.
//
// Sums         f32, each thread's in W separate sums, then as reduce.cuh and columns.cuh say. A
//              maximum is NaN if any of its values is.
// Speed        memory-bound: to reach the speed of reading x. Unmeasured.
#pragma once
#include "columns.cuh"
#include "rows.cuh"

/// Writes a result, or adds it to what is there.
template <class T>
DEVICE void finish(T* y, float value, u32 accumulate) {
    // mutant: kernel_reduce_overwrites
    store(y, accumulate ? to_float(*y) + value : value);
}
/// The same, to a y of f32 instead where `y_f32` says so.
template <class T>
DEVICE void finish(void* y, u32 at, float value, u32 accumulate, u32 y_f32) {
    if (y_f32) finish(static_cast<float*>(y) + at, value, accumulate);
    else finish(static_cast<T*>(y) + at, value, accumulate);
}

template <class F, bool WARP, int W, class T>
DEVICE void reduce_columns(const T* __restrict__ x, void* __restrict__ y, u32 rows, u32 columns,
                           float divisor, u32 accumulate, u32 y_f32) {
    F f;
    u32 row = team_row<WARP>();
    if (row >= rows) return;
    x += u64(row) * columns;
    u32 step = team_threads<WARP>() * W;
    float all[W];
#pragma unroll
    for (int i = 0; i < W; i++) all[i] = f.nothing();
#pragma unroll 4
    for (u32 j = team_thread<WARP>() * W; j < columns; j += step) {
        float v[W];
        load_floats<W>(v, x + j);
#pragma unroll
        for (int i = 0; i < W; i++) all[i] = f.join(all[i], v[i]);
    }
#pragma unroll
    for (int i = 1; i < W; i++) all[0] = f.join(all[0], all[i]);
    float value = reduce_team<F, WARP>(all[0], 0);
    if (team_thread<WARP>() == 0) finish<T>(y, row, value / divisor, accumulate, y_f32);
}

template <class F, int W, class T>
DEVICE void reduce_rows(const T* __restrict__ x, void* __restrict__ y, float* __restrict__ partials,
                        u32 rows, u32 columns, u32 tall, float divisor, u32 accumulate, u32 y_f32) {
    F f;
    float* shared = reinterpret_cast<float*>(dynamic_shared());
    u32 column = (block_x() * 32 + lane_index()) * W;
    u32 first = block_y() * tall, warps = block_threads() / 32;
    u32 end = rows - first < tall ? rows : first + tall;
    float all[W];
#pragma unroll
    for (int i = 0; i < W; i++) all[i] = f.nothing();
    if (column < columns) {
        const T* at = x + u64(first + warp_index()) * columns + column;
#pragma unroll 4
        for (u32 row = first + warp_index(); row < end; row += warps) {
            float v[W];
            load_floats<W>(v, at);
            at += u64(warps) * columns;
#pragma unroll
            for (int i = 0; i < W; i++) all[i] = f.join(all[i], v[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < W; i++) shared[(warp_index() * W + i) * 32 + lane_index()] = all[i];
    block_barrier();
    if (warp_index() > 0 || column >= columns) return;
#pragma unroll
    for (int i = 0; i < W; i++) {
        for (u32 warp = 1; warp < warps; warp++)
            all[i] = f.join(all[i], shared[(warp * W + i) * 32 + lane_index()]);
        if (partials) partials[u64(block_y()) * columns + column + i] = all[i];
        else finish<T>(y, column + i, all[i] / divisor, accumulate, y_f32);
    }
}

template <class F, class T>
DEVICE void reduce_partials(const float* __restrict__ partials, T* __restrict__ y, u32 chunks,
                            u32 columns, float divisor, u32 accumulate) {
    u32 column = block_x() * 32 + lane_index();
    bool inside = column < columns;
    float value = reduce_column<F>(partials + column, chunks, columns, inside);
    if (inside && warp_index() == 0) finish(y + column, value / divisor, accumulate);
}

/// A value and where it stands; nothing at all has no place.
struct Best {
    float value;
    u32 place;
};
CONSTANT u32 NO_PLACE = 0xffffffffu;
/// Whether `b` is above `a`: greater, or NaN where `a` is not.
// mutant: kernel_arg_max_passes_over_nan
DEVICE bool is_above(float b, float a) { return b > a || (is_nan(b) && !is_nan(a)); }
/// The one above, the first of equals; NaN equals NaN.
DEVICE Best better(Best a, Best b) {
    return is_above(b.value, a.value) || (!is_above(a.value, b.value) && b.place < a.place) ? b : a;
}
DEVICE Best best_of_warp(Best a) {
#pragma unroll
    for (u32 bit = 16; bit > 0; bit /= 2)
        a = better(a, {from_lane_xor(a.value, bit), from_lane_xor(a.place, bit)});
    return a;
}

template <class T>
DEVICE void arg_max(const T* __restrict__ x, u32* __restrict__ y, u32 columns, u32 valid) {
    Best* shared = reinterpret_cast<Best*>(dynamic_shared());
    x += u64(block_x()) * columns;
    u32 j = thread_index();
    Best best = {-INFINITY, j < valid ? j : NO_PLACE};
#pragma unroll 4
    for (; j < valid; j += block_threads()) {
        float value = to_float(x[j]);
        if (is_above(value, best.value)) best = {value, j};
    }
    best = best_of_warp(best);
    if (lane_index() == 0) shared[warp_index()] = best;
    block_barrier();
    if (warp_index() > 0) return;
    Best nothing = {-INFINITY, NO_PLACE};
    best = best_of_warp(lane_index() < block_threads() / 32 ? shared[lane_index()] : nothing);
    if (lane_index() == 0) y[block_x()] = best.place;
}

template <int W, class T>
DEVICE void sum_squares(const T* __restrict__ x, float* __restrict__ partials, u64 n) {
    u64 thread = u64(block_x()) * block_threads() + thread_index();
    u64 step = u64(grid_x()) * block_threads() * W, whole = n - n % W;
    float all[W] = {};
#pragma unroll 4
    for (u64 i = thread * W; i < whole; i += step) {
        float v[W];
        load_floats<W>(v, x + i);
#pragma unroll
        for (int k = 0; k < W; k++) all[k] = fused_multiply_add(v[k], v[k], all[k]);
    }
    // What fills no access of W elements.
    if (W > 1 && thread < n - whole) {
        float v = to_float(x[whole + thread]);
        all[0] = fused_multiply_add(v, v, all[0]);
    }
#pragma unroll
    for (int k = 1; k < W; k++) all[0] += all[k];
    float sum = reduce_block<Sum>(all[0], reinterpret_cast<float*>(dynamic_shared()));
    if (thread_index() == 0) partials[block_x()] = sum;
}

DEVICE void sum_squares_partials(const float* __restrict__ partials, float* __restrict__ y,
                                 u32 blocks, u32 accumulate) {
    float sum = 0.0f;
    for (u32 i = thread_index(); i < blocks; i += block_threads()) sum += partials[i];
    sum = reduce_block<Sum>(sum, reinterpret_cast<float*>(dynamic_shared()));
    if (thread_index() == 0) finish(y, sum, accumulate);
}

#define REDUCE_COLUMNS(kind, F, variant, dtype, T, WARP, W)                                        \
    KERNEL reduce_##kind##_columns_##variant##_##dtype(const T* x, void* y, u32 rows, u32 columns, \
                                                       float divisor, u32 accumulate, u32 y_f32) { \
        reduce_columns<F, WARP, W>(x, y, rows, columns, divisor, accumulate, y_f32);               \
    }
#define REDUCE_ROWS(kind, F, variant, T, W)                                                        \
    KERNEL reduce_##kind##_rows_##variant(const T* x, void* y, float* partials, u32 rows,          \
                                          u32 columns, u32 tall, float divisor, u32 accumulate,    \
                                          u32 y_f32) {                                             \
        reduce_rows<F, W>(x, y, partials, rows, columns, tall, divisor, accumulate, y_f32);        \
    }
#define REDUCE(kind, F, dtype, T, W)                                                               \
    REDUCE_COLUMNS(kind, F, warp, dtype, T, true, 1)                                               \
    REDUCE_COLUMNS(kind, F, warp_wide, dtype, T, true, W)                                          \
    REDUCE_COLUMNS(kind, F, block, dtype, T, false, 1)                                             \
    REDUCE_COLUMNS(kind, F, block_wide, dtype, T, false, W)                                        \
    REDUCE_ROWS(kind, F, dtype, T, 1)                                                              \
    REDUCE_ROWS(kind, F, wide_##dtype, T, W)                                                       \
    KERNEL reduce_##kind##_partials_##dtype(const float* partials, T* y, u32 chunks, u32 columns,  \
                                            float divisor, u32 accumulate) {                       \
        reduce_partials<F>(partials, y, chunks, columns, divisor, accumulate);                     \
    }
#define REDUCTION_KERNELS(dtype, T, W)                                                             \
    REDUCE(sum, Sum, dtype, T, W)                                                                  \
    REDUCE(max, GreatestOrNan, dtype, T, W)                                                        \
    KERNEL arg_max_##dtype(const T* x, u32* y, u32 columns, u32 valid) {                           \
        arg_max(x, y, columns, valid);                                                             \
    }                                                                                              \
    KERNEL sum_squares_##dtype(const T* x, float* partials, u64 n) {                               \
        sum_squares<1>(x, partials, n);                                                            \
    }                                                                                              \
    KERNEL sum_squares_wide_##dtype(const T* x, float* partials, u64 n) {                          \
        sum_squares<W>(x, partials, n);                                                            \
    }
