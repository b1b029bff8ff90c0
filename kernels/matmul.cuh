// What the products of matrices share, whatever their type: y = alpha a.b + bias + beta y.
// Shapes: a [M, K] ("n") or [K, M] ("t"), b [K, N] ("n") or [N, K] ("t"), bias [N], y [M, N];
// one after the other in a batch. Rows are packed.
#pragma once
#include "prims.cuh"

// Flags of a product, the same in crates/backend-cuda/src/ops/matmul.rs.
/// Every row of the operand as stored begins and ends at a multiple of 16 bytes.
CONSTANT u32 A_WIDE = 1, B_WIDE = 2, Y_WIDE = 4;
/// y is f32 though a and b are bf16.
CONSTANT u32 Y_F32 = 8;
/// For the kernels that are not named by it: a is stored [K, M].
CONSTANT u32 A_TRANSPOSED = 16;

/// The sizes and factors of a product, and the part of it that this block does.
struct Product {
    u32 m, n, k;
    /// The terms of this block's slice.
    u32 first, end;
    /// Matrices before this block's in a and b, and in y.
    u64 batch, of_y;
    u32 flags;
    float alpha, beta;
};

/// Grid: y is the batch, z the slices of K. A slice writes a y of its own, all of a batch.
DEVICE Product product(u32 m, u32 n, u32 k, u32 slice, u32 flags, float alpha, float beta) {
    u32 first = block_z() * slice;
    u32 end = k - first < slice ? k : first + slice;
    u64 batch = block_y();
    return {m, n, k, first, end, batch, u64(block_z()) * grid_y() + batch, flags, alpha, beta};
}

/// Which tile a block does: down a group of eight tile rows, then the next column, so that blocks
/// which run together read few different strips of a and b.
DEVICE void tile_of(u32 index, u32 tiles_m, u32 tiles_n, u32& tile_m, u32& tile_n) {
    constexpr u32 GROUP = 8;
    u32 group = index / (GROUP * tiles_n), within = index - group * GROUP * tiles_n;
    u32 first = group * GROUP;
    u32 rows = tiles_m - first < GROUP ? tiles_m - first : GROUP;
    tile_m = first + within % rows;
    tile_n = within / rows;
}

template <class T>
DEVICE float bias_at(const T* bias, u32 column) {
    return bias ? to_float(bias[column]) : 0.0f;
}

/// One cell of y from its sum. With beta 0 the old one is not read.
template <class T>
DEVICE void finish(T* y, float sum, float shift, float alpha, float beta) {
    float value = alpha * sum + shift;
    // mutant: kernel_matmul_reads_y
    if (beta != 0.0f) value += beta * to_float(*y);
    store(y, value);
}

/// The same, where only the flags tell y's type.
DEVICE void finish_at(void* y, u64 cell, float sum, float shift, const Product& p, float*) {
    finish(static_cast<float*>(y) + cell, sum, shift, p.alpha, p.beta);
}
DEVICE void finish_at(void* y, u64 cell, float sum, float shift, const Product& p, bf16*) {
    if (p.flags & Y_F32)
        finish(static_cast<float*>(y) + cell, sum, shift, p.alpha, p.beta);
    else
        finish(static_cast<bf16*>(y) + cell, sum, shift, p.alpha, p.beta);
}

/// y from the sums of the slices, in their order: `sums` is [slices, cells], cells = batch M N.
/// Grid: a thread a cell, blocks of 256.
template <class T>
DEVICE void finish_slices(const float* sums, const T* bias, void* y, u64 cells, u32 n, u32 slices,
                          u32 flags, float alpha, float beta) {
    u64 cell = u64(block_x()) * block_threads() + thread_index();
    if (cell >= cells) return;
    float sum = sums[cell];
    // mutant: kernel_matmul_bias_with_every_slice
    // mutant: kernel_matmul_loses_a_slice
    for (u32 slice = 1; slice < slices; slice++) sum += sums[slice * cells + cell];
    Product p{};
    p.flags = flags;
    p.alpha = alpha;
    p.beta = beta;
    finish_at(y, cell, sum, bias_at(bias, u32(cell % n)), p, static_cast<T*>(nullptr));
}

// ---- sixteen bytes as floats

/// Elements in 16 bytes.
template <class T>
DEVICE constexpr u32 wide() {
    return 16 / sizeof(T);
}

DEVICE void widen(float (&x)[4], const Bytes16& bytes, const float*) {
    for (u32 j = 0; j < 4; j++) x[j] = float_of(bytes.word[j]);
}
DEVICE void widen(float (&x)[8], const Bytes16& bytes, const bf16*) {
    for (u32 j = 0; j < 4; j++) {
        x[2 * j] = low_half(bytes.word[j]);
        x[2 * j + 1] = high_half(bytes.word[j]);
    }
}

DEVICE Bytes16 narrowed(const float (&x)[4]) {
    return {{bits_of(x[0]), bits_of(x[1]), bits_of(x[2]), bits_of(x[3])}};
}
DEVICE Bytes16 narrowed(const float (&x)[8]) {
    return {{pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]),
             pack_bf16(x[6], x[7])}};
}

/// The elements at `at` and `stride` apart, as floats; zeros from `count` on.
template <class T>
DEVICE void load_row(float (&x)[16 / sizeof(T)], const T* at, u32 stride, u32 count, bool is_wide) {
    if (is_wide) {
        Bytes16 bytes = load_16(at);
        widen(x, bytes, at);
    } else {
        for (u32 j = 0; j < wide<T>(); j++) x[j] = j < count ? to_float(at[u64(j) * stride]) : 0.0f;
    }
}

// ---- few rows, as when a text is continued: the time is that of reading b once

CONSTANT u32 DOT_WARPS = 8;

/// b stored [N, K]: a warp a column. Lane l takes terms W l to W l + W - 1 of every 32 W (W elements
/// are 16 bytes), then lanes add up by halves. Grid x: a block 8 columns; 256 threads.
template <class T, u32 ROWS>
DEVICE void product_of_rows_nt(const T* a, const T* b, const T* bias, void* y, const Product& p) {
    constexpr u32 W = wide<T>();
    u32 column = block_x() * DOT_WARPS + warp_index();
    if (column >= p.n) return;  // a whole warp
    bool transposed = p.flags & A_TRANSPOSED;
    u32 a_row = transposed ? 1 : p.k, a_term = transposed ? p.m : 1;
    a += p.batch * p.m * p.k;
    b += (p.batch * p.n + column) * p.k;
    float sum[ROWS] = {};
#pragma unroll 2
    for (u32 term = lane_index() * W; term < p.k; term += 32 * W) {
        u32 count = p.k - term;
        float bs[W];
        load_row(bs, b + term, 1, count, p.flags & B_WIDE);
#pragma unroll
        for (u32 row = 0; row < ROWS; row++) {
            if (row >= p.m) break;
            float as[W];
            load_row(as, a + u64(row) * a_row + u64(term) * a_term, a_term, count,
                     p.flags & A_WIDE && !transposed);
#pragma unroll
            for (u32 j = 0; j < W; j++) sum[row] = fused_multiply_add(as[j], bs[j], sum[row]);
        }
    }
#pragma unroll
    for (u32 row = 0; row < ROWS; row++) {
#pragma unroll
        for (u32 mask = 16; mask > 0; mask /= 2) sum[row] += from_lane_xor(sum[row], mask);
        if (row < p.m && lane_index() == 0) {
            u64 cell = (p.batch * p.m + row) * p.n + column;
            finish_at(y, cell, sum[row], bias_at(bias, column), p, static_cast<T*>(nullptr));
        }
    }
}

CONSTANT u32 COLUMN_WARPS = 32;

/// b stored [K, N]: a lane V neighbouring columns (4 bytes), warp w the terms w, w + 32, ...; then the
/// warps' sums are added in their order. Grid x: a block 32 V columns; 1024 threads; shared:
/// 32 ROWS 32 V floats.
template <class T, u32 ROWS>
DEVICE void product_of_rows_nn(const T* a, const T* b, const T* bias, void* y, const Product& p) {
    constexpr u32 V = 4 / sizeof(T), COLUMNS = 32 * V;
    float* sums = reinterpret_cast<float*>(dynamic_shared());
    u32 first = block_x() * COLUMNS, column = first + lane_index() * V;
    bool transposed = p.flags & A_TRANSPOSED;
    u32 a_row = transposed ? 1 : p.k, a_term = transposed ? p.m : 1;
    a += p.batch * p.m * p.k;
    b += p.batch * p.k * p.n;
    float sum[ROWS][V] = {};
    if (column < p.n) {
        bool pairs = V == 2 && p.flags & B_WIDE;
#pragma unroll 4
        for (u32 term = warp_index(); term < p.k; term += COLUMN_WARPS) {
            const T* at = b + u64(term) * p.n + column;
            float bs[V];
            if (pairs) {
                u32 pair = *reinterpret_cast<const u32*>(at);
                bs[0] = low_half(pair);
                bs[V - 1] = high_half(pair);
            } else {
                for (u32 j = 0; j < V; j++) bs[j] = column + j < p.n ? to_float(at[j]) : 0.0f;
            }
#pragma unroll
            for (u32 row = 0; row < ROWS; row++) {
                float x = row < p.m ? to_float(a[u64(row) * a_row + u64(term) * a_term]) : 0.0f;
                for (u32 j = 0; j < V; j++) sum[row][j] = fused_multiply_add(x, bs[j], sum[row][j]);
            }
        }
    }
#pragma unroll
    for (u32 row = 0; row < ROWS; row++)
        for (u32 j = 0; j < V; j++)
            sums[(warp_index() * ROWS + row) * COLUMNS + lane_index() * V + j] = sum[row][j];
    block_barrier();
    u32 row = thread_index() / COLUMNS;
    column = first + thread_index() % COLUMNS;
    if (row >= ROWS || row >= p.m || column >= p.n) return;
    float total = 0.0f;
    // mutant: kernel_matmul_few_rows_lose_a_warp
    for (u32 warp = 0; warp < COLUMN_WARPS; warp++)
        total += sums[(warp * ROWS + row) * COLUMNS + thread_index() % COLUMNS];
    u64 cell = (p.batch * p.m + row) * p.n + column;
    finish_at(y, cell, total, bias_at(bias, column), p, static_cast<T*>(nullptr));
}
