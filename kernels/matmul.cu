// target: compute_75
// y = alpha a.b + bias + beta y in f32, on the ordinary units (no tensor cores, no TF32).
// Shapes and layouts: matmul.cuh; "nt" in a name: a as it is, b stored transposed.
//
// matmul_XX_128_f32: a block 128x128 of y, 256 threads (2x4 warps of 64x32, lanes 8x4), 8x8 a thread,
//   strips of 8 terms, two of them in shared memory: 16 KiB.
// matmul_XX_64_f32: a block 64x64 of y, 128 threads (2x2 warps of 32x32), 4x8 a thread; 8 KiB.
//   Grid of both: x tiles of y, y the batch, z slices of K (each writes a y of its own, then).
// matmul_rows_XX_R_f32: at most R rows; see matmul.cuh.
// matmul_finish_f32: adds up the slices.
//
// Sums: in f32, every product fused into its sum, one after the other along K (of a slice) for each
// cell, so the bits do not depend on the tile. Loads of 16 bytes where rows begin at multiples of 16.
// In shared memory a strip is [8][rows], the halves of each 32 exchanged in the last four terms
// (`place`), so that both ways of writing it, and the reading, touch every bank once.
// A design for about two thirds of the f32 peak at large sizes; not measured.
// Source of the scheme: S. Boehm, "How to optimize a CUDA matmul kernel", 2022; NVIDIA CUTLASS docs.
#include "matmul.cuh"

CONSTANT u32 DEPTH = 8;

/// Where term `term` of a row lies in a strip of `ROWS` rows.
template <u32 ROWS>
DEVICE u32 place(u32 term, u32 row) {
    return term * ROWS + (row ^ (term / 4 * 16));
}

/// Four neighbours in a strip.
DEVICE void read_4(float* x, const float* at) {
    Bytes16 bytes = load_16(at);
#pragma unroll
    for (u32 j = 0; j < 4; j++) x[j] = float_of(bytes.word[j]);
}

DEVICE void write_4(float* at, const float* x) {
    Bytes16 bytes;
#pragma unroll
    for (u32 j = 0; j < 4; j++) bytes.word[j] = bits_of(x[j]);
    store_16(at, bytes);
}

/// What a thread carries of every strip of an operand: four neighbours as stored.
struct Carrier {
    const float* from;
    /// Where the first lies in a strip.
    u32 to;
    /// Its row and term in the matrix.
    u32 row, term;
};

/// `K_INNER`: the matrix is stored [rows, terms], else [terms, rows]. `ROWS` of a strip are taken
/// from `first_row` on by `ROWS` * 2 threads.
template <bool K_INNER, u32 ROWS>
DEVICE Carrier carrier(const float* from, u32 rows, u32 first_row, const Product& p) {
    u32 thread = thread_index();
    u32 row = K_INNER ? thread / (DEPTH / 4) : thread % (ROWS / 4) * 4;
    u32 term = K_INNER ? thread % (DEPTH / 4) * 4 : thread / (ROWS / 4);
    u32 r = first_row + row, t = p.first + term;
    from += K_INNER ? u64(r) * p.k + t : u64(t) * rows + r;
    return {from, place<ROWS>(term, row), r, t};
}

/// From global memory into registers, then goes on to the next strip; zeros outside of the matrix.
template <bool K_INNER>
DEVICE void load_strip(float (&x)[4], Carrier& c, u32 rows, u32 end, bool is_wide) {
    bool inside = c.row < rows && c.term < end;
    if (is_wide && inside) {
        read_4(x, c.from);
    } else {
        u32 count = inside ? (K_INNER ? end - c.term : rows - c.row) : 0;
#pragma unroll
        for (u32 j = 0; j < 4; j++) x[j] = j < count ? c.from[j] : 0.0f;
    }
    c.term += DEPTH;
    c.from += K_INNER ? u64(DEPTH) : u64(DEPTH) * rows;
}

template <bool K_INNER, u32 ROWS>
DEVICE void store_strip(float* strip, const float (&x)[4], const Carrier& c) {
    if (K_INNER) {
#pragma unroll
        for (u32 j = 0; j < 4; j++) strip[c.to + j * ROWS] = x[j];
    } else {
        write_4(strip + c.to, x);
    }
}

template <u32 WARPS_M, u32 WARPS_N, u32 THREAD_M, u32 THREAD_N, bool TRANS_A, bool TRANS_B>
DEVICE void tiled_product(const float* a, const float* b, const float* bias, float* y,
                          const Product& p) {
    constexpr u32 M = WARPS_M * 8 * THREAD_M, N = WARPS_N * 4 * THREAD_N;
    static_assert(M == N && M * DEPTH / 4 == 32 * WARPS_M * WARPS_N, "a thread carries four");
    static_assert(THREAD_N == 8, "a warp's columns are written by a lane each");
    float* strips = reinterpret_cast<float*>(dynamic_shared());

    u32 tile_m, tile_n;
    tile_of(block_x(), (p.m + M - 1) / M, (p.n + N - 1) / N, tile_m, tile_n);
    a += p.batch * p.m * p.k;
    b += p.batch * p.k * p.n;
    y += p.of_y * p.m * p.n;

    // This thread's cells: rows from `row` in fours, 32 apart, columns from `column`, 16 apart.
    u32 row = warp_index() / WARPS_N * 8 * THREAD_M + lane_index() / 4 * 4;
    u32 column = warp_index() % WARPS_N * 4 * THREAD_N + lane_index() % 4 * 4;
    float sum[THREAD_M][THREAD_N] = {};

    Carrier from_a = carrier<!TRANS_A, M>(a, p.m, tile_m * M, p);
    Carrier from_b = carrier<TRANS_B, N>(b, p.n, tile_n * N, p);
    float next_a[4], next_b[4];
    auto load = [&] {
        load_strip<!TRANS_A>(next_a, from_a, p.m, p.end, p.flags & A_WIDE);
        load_strip<TRANS_B>(next_b, from_b, p.n, p.end, p.flags & B_WIDE);
    };
    auto store_at = [&](u32 turn) {
        float* strip = strips + turn * DEPTH * (M + N);
        store_strip<!TRANS_A, M>(strip, next_a, from_a);
        store_strip<TRANS_B, N>(strip + DEPTH * M, next_b, from_b);
    };
    load();
    store_at(0);
    block_barrier();
    u32 turn = 0;
    for (u32 term = p.first; term < p.end; term += DEPTH) {
        bool more = term + DEPTH < p.end;
        if (more) load();
        const float* strip_a = strips + turn * DEPTH * (M + N);
        const float* strip_b = strip_a + DEPTH * M;
#pragma unroll
        for (u32 l = 0; l < DEPTH; l++) {
            float xs[THREAD_M], ws[THREAD_N];
#pragma unroll
            for (u32 i = 0; i < THREAD_M; i += 4)
                read_4(xs + i, strip_a + place<M>(l, row + i * 8));
#pragma unroll
            for (u32 j = 0; j < THREAD_N; j += 4)
                // mutant: kernel_matmul_swizzle_of_one_side
                read_4(ws + j, strip_b + place<N>(l, column + j * 4));
#pragma unroll
            for (u32 i = 0; i < THREAD_M; i++)
#pragma unroll
                for (u32 j = 0; j < THREAD_N; j++)
                    sum[i][j] = fused_multiply_add(xs[i], ws[j], sum[i][j]);
        }
        turn ^= 1;
        if (more) store_at(turn);
        // mutant: kernel_matmul_strips_race
        block_barrier();
    }

    // A warp's rows by way of its own shared memory, so that lanes write neighbouring columns.
    float* stage = strips + warp_index() * 8 * 4 * THREAD_N;
    u32 from_row = tile_m * M + warp_index() / WARPS_N * 8 * THREAD_M;
    u32 to_column = tile_n * N + warp_index() % WARPS_N * 4 * THREAD_N + lane_index();
    float shift = to_column < p.n ? bias_at(bias, to_column) : 0.0f;
#pragma unroll
    for (u32 i = 0; i < THREAD_M; i++) {
        float* at = stage + lane_index() / 4 * 4 * THREAD_N + lane_index() % 4 * 4;
#pragma unroll
        for (u32 j = 0; j < THREAD_N; j += 4) write_4(at + j * 4, &sum[i][j]);
        warp_barrier();
#pragma unroll 1
        for (u32 of = 0; of < 8; of++) {
            u32 to_row = from_row + i / 4 * 32 + of * 4 + i % 4;
            // mutant: kernel_matmul_one_column_more
            if (to_row < p.m && to_column < p.n)
                finish(y + u64(to_row) * p.n + to_column, stage[of * 4 * THREAD_N + lane_index()],
                       shift, p.alpha, p.beta);
        }
        warp_barrier();
    }
}

#define PARAMETERS                                                                             \
    const float *a, const float *b, const float *bias, float *y, u32 m, u32 n, u32 k, u32 slice, \
        u32 flags, float alpha, float beta
#define PRODUCT product(m, n, k, slice, flags, alpha, beta)

#define TILED(letters, trans_a, trans_b)                                              \
    KERNEL LAUNCH_BOUNDS(256, 2) matmul_##letters##_128_f32(PARAMETERS) {             \
        tiled_product<2, 4, 8, 8, trans_a, trans_b>(a, b, bias, y, PRODUCT);          \
    }                                                                                 \
    KERNEL LAUNCH_BOUNDS(128, 4) matmul_##letters##_64_f32(PARAMETERS) {              \
        tiled_product<2, 2, 4, 8, trans_a, trans_b>(a, b, bias, y, PRODUCT);          \
    }
TILED(nn, false, false)
TILED(nt, false, true)
TILED(tn, true, false)
TILED(tt, true, true)

KERNEL LAUNCH_BOUNDS(1024, 1) matmul_rows_nn_1_f32(PARAMETERS) {
    product_of_rows_nn<float, 1>(a, b, bias, y, PRODUCT);
}
KERNEL LAUNCH_BOUNDS(1024, 1) matmul_rows_nn_4_f32(PARAMETERS) {
    product_of_rows_nn<float, 4>(a, b, bias, y, PRODUCT);
}
KERNEL LAUNCH_BOUNDS(256, 4) matmul_rows_nt_1_f32(PARAMETERS) {
    product_of_rows_nt<float, 1>(a, b, bias, y, PRODUCT);
}
KERNEL LAUNCH_BOUNDS(256, 4) matmul_rows_nt_4_f32(PARAMETERS) {
    product_of_rows_nt<float, 4>(a, b, bias, y, PRODUCT);
}

KERNEL matmul_finish_f32(const float* sums, const float* bias, float* y, u64 cells, u32 n,
                         u32 slices, u32 flags, float alpha, float beta) {
    finish_slices(sums, bias, y, cells, n, slices, flags, alpha, beta);
}
