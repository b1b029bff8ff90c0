// Layer normalisation (Ba, Kiros and Hinton 2016, arXiv 1607.06450), alone and fused with the
// residual sum before it; its backward. Rows [N, C] of f32 or bf16, statistics [N] f32.
//
// forward      mean = avg(x), rstd = 1/√(avg((x - mean)²) + eps), y = (x - mean)·rstd·weight + bias
// add_forward  the same of x + r, unrounded, which is stored too, as s
// backward     with n = (x - mean)·rstd, g = dy·weight:
//              dx (+)= rstd·(g - avg(g) - n·avg(g·n)), dweight += Σ_rows dy·n, dbias += Σ_rows dy
//
// Launch       forward, add_forward: as softmax.cuh (`warp`, `block` of up to 512 threads, `wide`).
//              backward: a block takes `tall` rows one after the other, grid ceil(N / tall), up to
//              512 threads, 4 · 128 bytes of shared memory. It leaves its sums for dweight and dbias
//              in partials [blocks, 2, C] f32.
//              parameters: adds the partials to dweight and dbias; 32 columns a block of 16 warps,
//              grid ceil(2C / 32) (C / 32 without dbias), 4 bytes of shared memory a thread.
// Sums         f32. Mean and deviations in two passes over registers. Parameters' gradients: row by
//              row within a block, then as columns.cuh says: the order depends on the shape only.
// Speed        memory-bound: to reach the speed of a copy of as many bytes, each operand being
//              touched once up to C = 16 384 forward, 4096 backward; beyond, rows are read again (and
//              backward's partial sums lie in memory). Unmeasured.
#pragma once
#include "columns.cuh"
#include "rows.cuh"

template <bool ADD, int W, class T>
DEVICE void load_stream(float (&v)[W], const T* x, const T* r, u32 j) {
    load_floats<W>(v, x + j);
    if constexpr (ADD) {
        float added[W];
        load_floats<W>(added, r + j);
#pragma unroll
        for (int i = 0; i < W; i++) v[i] += added[i];
    }
}

/// y of the W elements v from column j.
template <int W, class T>
DEVICE void store_normalised(T* y, float (&v)[W], const T* weight, const T* bias, u32 j,
                             float mean, float rstd) {
    float w[W];
    load_floats<W>(w, weight + j);
#pragma unroll
    for (int i = 0; i < W; i++) v[i] = (v[i] - mean) * rstd;
    if (bias) {
        float b[W];
        load_floats<W>(b, bias + j);
#pragma unroll
        for (int i = 0; i < W; i++) v[i] = fused_multiply_add(v[i], w[i], b[i]);
    } else {
#pragma unroll
        for (int i = 0; i < W; i++) v[i] *= w[i];
    }
    store_floats<W>(y + j, v);
}

template <bool ADD, bool WARP, int W, class T>
DEVICE void layer_norm(const T* __restrict__ x, const T* __restrict__ r,
                       const T* __restrict__ weight, const T* __restrict__ bias,
                       T* __restrict__ s, T* __restrict__ y, float* __restrict__ mean_out,
                       float* __restrict__ rstd_out, u32 rows, u32 columns, float eps) {
    u32 row = team_row<WARP>();
    if (row >= rows) return;
    u64 start = u64(row) * columns;
    x += start;
    y += start;
    if constexpr (ADD) {
        r += start;
        s += start;
    }
    u32 step = team_threads<WARP>() * W, mine = team_thread<WARP>() * W;
    float kept[KEPT<W>][W], sum = 0.0f;
#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        u32 j = k * step + mine;
        if (j >= columns) continue;
        load_stream<ADD, W>(kept[k], x, r, j);
        if constexpr (ADD) store_floats<W>(s + j, kept[k]);
#pragma unroll
        for (int i = 0; i < W; i++) sum += kept[k][i];
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = KEPT<W> * step + mine; j < columns; j += step) {
        float v[W];
        load_stream<ADD, W>(v, x, r, j);
        if constexpr (ADD) store_floats<W>(s + j, v);
#pragma unroll
        for (int i = 0; i < W; i++) sum += v[i];
    }
    float mean = reduce_team<Sum, WARP>(sum, 0) / float(columns);

    float squares = 0.0f;
#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        if (k * step + mine >= columns) continue;
#pragma unroll
        for (int i = 0; i < W; i++) {
            float deviation = kept[k][i] - mean;
            squares = fused_multiply_add(deviation, deviation, squares);
        }
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = KEPT<W> * step + mine; j < columns; j += step) {
        float v[W];
        load_stream<ADD, W>(v, x, r, j);
#pragma unroll
        for (int i = 0; i < W; i++) squares = fused_multiply_add(v[i] - mean, v[i] - mean, squares);
    }
    float variance = reduce_team<Sum, WARP>(squares, 1) / float(columns);
    float rstd = 1.0f / square_root(variance + eps);
    if (team_thread<WARP>() == 0) {
        mean_out[row] = mean;
        rstd_out[row] = rstd;
    }

#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        u32 j = k * step + mine;
        if (j < columns) store_normalised<W>(y, kept[k], weight, bias, j, mean, rstd);
    }
#pragma unroll 1
    for (u32 j = KEPT<W> * step + mine; j < columns; j += step) {
        float v[W];
        load_stream<ADD, W>(v, x, r, j);
        store_normalised<W>(y, v, weight, bias, j, mean, rstd);
    }
}

/// Of W elements from column j: their normalised values, dy, and dy·weight.
template <int W, class T>
DEVICE void load_gradients(float (&normal)[W], float (&d)[W], float (&g)[W], const T* x,
                           const T* dy, const float (&w)[W], u32 j, float mean, float rstd) {
    load_floats<W>(normal, x + j);
    load_floats<W>(d, dy + j);
#pragma unroll
    for (int i = 0; i < W; i++) {
        normal[i] = (normal[i] - mean) * rstd;
        // Rounded as it is summed: fused with the difference in dx it would leave its own rounding
        // behind where all of a row are alike and nothing should be left.
        g[i] = multiply_rounded(d[i], w[i]);
    }
}

/// dx of W elements, added to what was there.
template <int W, class T>
DEVICE void store_dx(T* dx, float (&old)[W], const float (&normal)[W], const float (&g)[W],
                     float g_mean, float gn_mean, float rstd) {
#pragma unroll
    for (int i = 0; i < W; i++)
        old[i] += rstd * fused_multiply_add(-normal[i], gn_mean, g[i] - g_mean);
    store_floats<W>(dx, old);
}

template <int W, class T>
DEVICE void layer_norm_backward(const T* __restrict__ x, const T* __restrict__ weight,
                                const float* __restrict__ mean_in,
                                const float* __restrict__ rstd_in, const T* __restrict__ dy,
                                T* __restrict__ dx, float* __restrict__ partials, u32 rows,
                                u32 columns, u32 tall, u32 accumulate) {
    // Accesses of W elements that a thread keeps, with the sums of their columns.
    constexpr int HELD = 8 / W;
    u32 step = block_threads() * W, mine = thread_index() * W;
    float* place = reinterpret_cast<float*>(dynamic_shared());
    float* dweight = partials + u64(block_x()) * 2 * columns;
    float* dbias = dweight + columns;
    float w[HELD][W] = {}, dw[HELD][W] = {}, db[HELD][W] = {};
#pragma unroll
    for (int k = 0; k < HELD; k++)
        if (k * step + mine < columns) load_floats<W>(w[k], weight + k * step + mine);
    // Sums of the columns that are not kept lie in the partials from the start: each is this
    // thread's alone.
    for (u32 j = HELD * step + mine; j < columns; j += step)
        for (int i = 0; i < W; i++) dweight[j + i] = dbias[j + i] = 0.0f;

    u32 row = block_x() * tall;
    u32 end = rows - row < tall ? rows : row + tall;
    for (; row < end; row++) {
        const T* x_row = x + u64(row) * columns;
        const T* dy_row = dy + u64(row) * columns;
        T* dx_row = dx + u64(row) * columns;
        float mean = mean_in[row], rstd = rstd_in[row];
        float normal[HELD][W], g[HELD][W], old[HELD][W] = {}, d[W], g_sum = 0.0f, gn_sum = 0.0f;
#pragma unroll
        for (int k = 0; k < HELD; k++) {
            u32 j = k * step + mine;
            if (j >= columns) continue;
            // Asked for before the threads wait for each other.
            // mutant: kernel_layer_norm_backward_overwrites
            if (accumulate) load_floats<W>(old[k], dx_row + j);
            load_gradients<W>(normal[k], d, g[k], x_row, dy_row, w[k], j, mean, rstd);
#pragma unroll
            for (int i = 0; i < W; i++) {
                dw[k][i] = fused_multiply_add(d[i], normal[k][i], dw[k][i]);
                db[k][i] += d[i];
                g_sum += g[k][i];
                gn_sum = fused_multiply_add(g[k][i], normal[k][i], gn_sum);
            }
        }
#pragma unroll 1
        for (u32 j = HELD * step + mine; j < columns; j += step) {
            float far_normal[W], far_g[W], far_w[W];
            load_floats<W>(far_w, weight + j);
            load_gradients<W>(far_normal, d, far_g, x_row, dy_row, far_w, j, mean, rstd);
#pragma unroll
            for (int i = 0; i < W; i++) {
                dweight[j + i] = fused_multiply_add(d[i], far_normal[i], dweight[j + i]);
                dbias[j + i] += d[i];
                g_sum += far_g[i];
                gn_sum = fused_multiply_add(far_g[i], far_normal[i], gn_sum);
            }
        }
        // Two places in turn: the barrier of the next row is what frees this one's.
        // mutant: kernel_layer_norm_backward_one_buffer
        reduce_block_pair<Sum>(g_sum, gn_sum, place + row % 2 * (2 * REDUCTION_PLACE));
        float g_mean = g_sum / float(columns), gn_mean = gn_sum / float(columns);
#pragma unroll
        for (int k = 0; k < HELD; k++) {
            u32 j = k * step + mine;
            if (j < columns)
                store_dx<W>(dx_row + j, old[k], normal[k], g[k], g_mean, gn_mean, rstd);
        }
#pragma unroll 1
        for (u32 j = HELD * step + mine; j < columns; j += step) {
            float far_normal[W], far_g[W], far_w[W], far_old[W] = {};
            if (accumulate) load_floats<W>(far_old, dx_row + j);
            load_floats<W>(far_w, weight + j);
            load_gradients<W>(far_normal, d, far_g, x_row, dy_row, far_w, j, mean, rstd);
            store_dx<W>(dx_row + j, far_old, far_normal, far_g, g_mean, gn_mean, rstd);
        }
    }
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        u32 j = k * step + mine;
        if (j >= columns) continue;
#pragma unroll
        for (int i = 0; i < W; i++) {
            dweight[j + i] = dw[k][i];
            dbias[j + i] = db[k][i];
        }
    }
}

/// Adds the partials of all blocks to dweight (the first C columns) and dbias (the others).
template <class T>
DEVICE void layer_norm_parameters(const float* __restrict__ partials, u32 blocks, u32 columns,
                                  T* __restrict__ dweight, T* __restrict__ dbias) {
    u32 column = block_x() * 32 + lane_index();
    bool inside = column < (dbias ? 2 * columns : columns);
    float sum = reduce_column<Sum>(partials + column, blocks, 2 * columns, inside);
    if (!inside || warp_index() > 0) return;
    T* to = column < columns ? dweight + column : dbias + (column - columns);
    store(to, to_float(*to) + sum);
}

#define LAYER_NORM(variant, dtype, T, WARP, W, threads)                                            \
    KERNEL LAUNCH_BOUNDS(threads, 1) layer_norm_forward_##variant##_##dtype(                       \
        const T* x, const T* weight, const T* bias, T* y, float* mean, float* rstd, u32 rows,      \
        u32 columns, float eps) {                                                                  \
        layer_norm<false, WARP, W>(x, (const T*)nullptr, weight, bias, (T*)nullptr, y, mean, rstd, \
                                   rows, columns, eps);                                            \
    }                                                                                              \
    KERNEL LAUNCH_BOUNDS(threads, 1) layer_norm_add_forward_##variant##_##dtype(                   \
        const T* x, const T* r, const T* weight, const T* bias, T* s, T* y, float* mean,           \
        float* rstd, u32 rows, u32 columns, float eps) {                                           \
        layer_norm<true, WARP, W>(x, r, weight, bias, s, y, mean, rstd, rows, columns, eps);       \
    }
#define LAYER_NORM_BACKWARD(variant, T, W)                                                         \
    KERNEL LAUNCH_BOUNDS(512, 1) layer_norm_backward_##variant(                                    \
        const T* x, const T* weight, const float* mean, const float* rstd, const T* dy, T* dx,     \
        float* partials, u32 rows, u32 columns, u32 tall, u32 accumulate) {                        \
        layer_norm_backward<W>(x, weight, mean, rstd, dy, dx, partials, rows, columns, tall,       \
                               accumulate);                                                        \
    }
#define LAYER_NORM_KERNELS(dtype, T, W)                                                            \
    LAYER_NORM(warp, dtype, T, true, 1, 256)                                                       \
    LAYER_NORM(warp_wide, dtype, T, true, W, 256)                                                  \
    LAYER_NORM(block, dtype, T, false, 1, 512)                                                     \
    LAYER_NORM(block_wide, dtype, T, false, W, 512)                                                \
    LAYER_NORM_BACKWARD(dtype, T, 1)                                                               \
    LAYER_NORM_BACKWARD(wide_##dtype, T, W)                                                        \
    KERNEL layer_norm_parameters_##dtype(const float* partials, u32 blocks, u32 columns,           \
                                         T* dweight, T* dbias) {                                   \
        layer_norm_parameters(partials, blocks, columns, dweight, dbias);                          \
    }
