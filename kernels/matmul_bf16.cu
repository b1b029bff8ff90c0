// target: compute_80
// expects: HMMA matmul_nn_128_bf16 matmul_nt_128_bf16 matmul_tn_128_bf16 matmul_tt_128_bf16
// expects: HMMA matmul_nn_64_bf16 matmul_nt_64_bf16 matmul_tn_64_bf16 matmul_tt_64_bf16
// expects: LDSM matmul_nn_128_bf16 matmul_nt_128_bf16 matmul_tn_128_bf16 matmul_tt_128_bf16
// expects: LDGSTS matmul_nn_128_bf16 matmul_nt_128_bf16 matmul_tn_128_bf16 matmul_tt_128_bf16
// y = alpha a.b + bias + beta y for a, b and bias in bf16, y in bf16 or f32, on tensor cores.
// Shapes and layouts: matmul.cuh; "nt" in a name: a as it is, b stored transposed.
//
// matmul_XX_128_bf16: a block 128x128 of y, 256 threads (2x4 warps of 64x32), three strips of 32
//   terms in shared memory, two of them on their way: 48 KiB.
// matmul_XX_64_bf16: a block 64x64 of y, 128 threads (2x2 warps of 32x32); 24 KiB.
//   Grid of both: x tiles of y, y the batch, z slices of K (each writes an f32 y of its own, then).
// matmul_rows_XX_R_bf16: at most R rows, on the ordinary units; see matmul.cuh.
// matmul_finish_bf16: adds up the slices.
//
// Sums: in f32, 16 terms at once by the tensor core, along K (of a slice); the same in either tile.
// The core is known to cut off a sum's last bits where others round (Fasi et al., "Numerical
// behavior of NVIDIA tensor cores", 2021), which shows in a long f32 sum only. y is rounded once. Strips come by asynchronous copies of 16 bytes, zeros past the edges; where rows
// do not begin at multiples of 16 bytes, by single loads, which is slow: pad such sizes.
// In shared memory a strip is [rows][32] or [32][rows] as the matrix is stored, its pieces of 16 bytes
// exchanged (`place`) so that eight lines of a fragment lie in different banks.
// A design for about half of an A100's peak at large sizes; not measured.
// Source of the scheme: NVIDIA CUTLASS docs, "Efficient GEMM in CUDA"; PTX ISA 8.4, ldmatrix and mma.
#include "matmul.cuh"

CONSTANT u32 DEPTH = 32;
CONSTANT u32 STRIPS = 3;
/// Columns of a warp.
CONSTANT u32 WARP_N = 32;

/// Where a piece of 16 bytes lies in a strip of `ROWS` rows. `K_INNER`: the matrix is stored
/// [rows, terms] (and `term` is a multiple of 8), else [terms, rows] (and `row` is one).
template <bool K_INNER, u32 ROWS>
DEVICE u32 place(u32 row, u32 term) {
    if (K_INNER) return row * DEPTH + ((term / 8) ^ (row / 2 % 4)) * 8 + term % 8;
    return term * ROWS + ((row / 8) ^ (term % 8)) * 8 + row % 8;
}

/// What a thread carries of every strip of an operand: two pieces of 16 bytes.
struct Carrier {
    /// The first one of the next strip, and where it goes in a strip.
    const bf16* from;
    u32 to;
    /// Its row and term in the matrix.
    u32 row, term;
};

/// `K_INNER`: the matrix is stored [rows, terms], else [terms, rows]. `ROWS` of a strip are taken
/// from `first_row` on by `ROWS` * 2 threads.
template <bool K_INNER, u32 ROWS>
DEVICE Carrier carrier(const bf16* from, u32 rows, u32 first_row, const Product& p) {
    u32 thread = thread_index();
    u32 row = K_INNER ? thread / (DEPTH / 8) : thread % (ROWS / 8) * 8;
    u32 term = K_INNER ? thread % (DEPTH / 8) * 8 : thread / (ROWS / 8);
    u32 r = first_row + row, t = p.first + term;
    u64 at = K_INNER ? u64(r) * p.k + t : u64(t) * rows + r;
    return {from + at, place<K_INNER, ROWS>(row, term), r, t};
}

/// Asks for a strip from global to shared memory, and goes on to the next; zeros outside of the
/// matrix. `start` is the matrix.
template <bool K_INNER, u32 ROWS>
DEVICE void load_strip(bf16* strip, Carrier& c, const bf16* start, u32 rows, const Product& p,
                       bool is_wide) {
#pragma unroll
    for (u32 piece = 0; piece < 2; piece++) {
        // The second piece is half a strip further: its place is exchanged as the first one's.
        u32 row = c.row + (K_INNER ? piece * ROWS / 2 : 0);
        u32 term = c.term + (K_INNER ? 0 : piece * DEPTH / 2);
        const bf16* from = c.from + (K_INNER ? u64(piece * ROWS / 2) * p.k
                                             : u64(piece * DEPTH / 2) * rows);
        bf16* to = strip + c.to + piece * ROWS * DEPTH / 2;
        // mutant: kernel_matmul_terms_past_the_slice
        bool inside = row < rows && term < p.end;
        if (is_wide) {
            copy_async_16(to, inside ? from : start, inside);
        } else {
            u32 count = inside ? (K_INNER ? p.end - term : rows - row) : 0;
            Bytes16 bytes;
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                u32 low = 2 * j < count ? from[2 * j].bits : 0;
                u32 high = 2 * j + 1 < count ? from[2 * j + 1].bits : 0;
                bytes.word[j] = low | high << 16;
            }
            store_16(to, bytes);
        }
    }
    c.term += DEPTH;
    c.from += K_INNER ? u64(DEPTH) : u64(DEPTH) * rows;
}

/// Four 8x8 matrices of a strip, two by two: 16 rows from `row` on, 16 terms from `term` on, the
/// second one `down_row` 8 rows further, else 8 terms.
template <bool K_INNER, u32 ROWS>
DEVICE void load_fragment(u32 (&r)[4], const bf16* strip, u32 row, u32 term, bool down_row) {
    // mutant: kernel_matmul_lanes_swapped
    u32 matrix = lane_index() / 8, line = lane_index() % 8;
    row += 8 * (down_row ? matrix % 2 : matrix / 2);
    term += 8 * (down_row ? matrix / 2 : matrix % 2);
    if (K_INNER)
        load_matrix_x4(r, strip + place<K_INNER, ROWS>(row + line, term));
    else
        load_matrix_x4_transposed(r, strip + place<K_INNER, ROWS>(row, term + line));
}

/// Floats between the rows of a warp's stage: one more piece of 16 bytes than there are, for the banks.
CONSTANT u32 STAGE_ROW = WARP_N + 4;

/// Eight neighbouring cells of y from their sums.
template <class T>
DEVICE void finish_8(T* y, const float* sums, const float (&shift)[8], const Product& p) {
    constexpr u32 PIECES = 8 / wide<T>();
#pragma unroll
    for (u32 piece = 0; piece < PIECES; piece++) {
        T* at = y + piece * wide<T>();
        float old[wide<T>()] = {}, value[wide<T>()];
        if (p.beta != 0.0f) load_row(old, at, 1, wide<T>(), true);
#pragma unroll
        for (u32 j = 0; j < wide<T>(); j++) {
            u32 i = piece * wide<T>() + j;
            // mutant: kernel_matmul_first_piece_twice
            value[j] = p.alpha * sums[i] + shift[i];
            if (p.beta != 0.0f) value[j] += p.beta * old[j];
        }
        store_16(at, narrowed(value));
    }
}

/// `sums` are a warp's, in the order of the tensor core's registers, of 16 rows a time.
template <u32 TILES_M>
DEVICE void write_cells(const float (&sums)[TILES_M][4][4], float* stage, const bf16* bias, void* y,
                        u32 first_row, u32 first_column, const Product& p) {
    u32 lane = lane_index();
    u64 of_y = p.of_y * p.m * p.n;
    bool is_wide = p.flags & Y_WIDE;
    // Four lanes have a row's columns, or all of them have.
    u32 within = is_wide ? lane % 4 * 8 : lane, column = first_column + within;
    float shift[8];
#pragma unroll
    for (u32 j = 0; j < 8; j++) shift[j] = column + j < p.n ? bias_at(bias, column + j) : 0.0f;
#pragma unroll
    for (u32 i = 0; i < TILES_M; i++) {
#pragma unroll
        for (u32 j = 0; j < 4; j++)
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                float* at = stage + (lane / 4 + 8 * half) * STAGE_ROW + j * 8 + lane % 4 * 2;
                at[0] = sums[i][j][2 * half];
                at[1] = sums[i][j][2 * half + 1];
            }
        warp_barrier();
        u32 row = is_wide ? lane / 4 : 0, step = is_wide ? 8 : 1;
#pragma unroll 1
        for (; row < 16; row += step) {
            u32 to_row = first_row + i * 16 + row;
            if (to_row >= p.m || column >= p.n) continue;
            u64 cell = of_y + u64(to_row) * p.n + column;
            const float* from = stage + row * STAGE_ROW + within;
            if (!is_wide)
                finish_at(y, cell, *from, shift[0], p, static_cast<bf16*>(nullptr));
            else if (p.flags & Y_F32)
                finish_8(static_cast<float*>(y) + cell, from, shift, p);
            else
                finish_8(static_cast<bf16*>(y) + cell, from, shift, p);
        }
        warp_barrier();
    }
}

/// `TILES_M`: 16x8 tiles of a warp along M; along N there are four.
template <u32 WARPS_M, u32 WARPS_N, u32 TILES_M, bool TRANS_A, bool TRANS_B>
DEVICE void tiled_product(const bf16* a, const bf16* b, const bf16* bias, void* y,
                          const Product& p) {
    constexpr u32 M = WARPS_M * TILES_M * 16, N = WARPS_N * WARP_N, STRIP = DEPTH * (M + N);
    static_assert(M == N && 32 * WARPS_M * WARPS_N == 2 * M, "a thread carries two pieces");
    bf16* strips = reinterpret_cast<bf16*>(dynamic_shared());

    u32 tile_m, tile_n;
    tile_of(block_x(), (p.m + M - 1) / M, (p.n + N - 1) / N, tile_m, tile_n);
    a += p.batch * p.m * p.k;
    b += p.batch * p.k * p.n;
    u32 row = warp_index() / WARPS_N * TILES_M * 16, column = warp_index() % WARPS_N * WARP_N;
    float sums[TILES_M][4][4] = {};

    Carrier from_a = carrier<!TRANS_A, M>(a, p.m, tile_m * M, p);
    Carrier from_b = carrier<TRANS_B, N>(b, p.n, tile_n * N, p);
    constexpr u32 AHEAD = STRIPS - 1;
    u32 count = (p.end - p.first + DEPTH - 1) / DEPTH;
    bf16 *next = strips, *now = strips;
    auto turn = [&](bf16*& strip) {
        strip = strip == strips + AHEAD * STRIP ? strips : strip + STRIP;
    };
    for (u32 i = 0; i < count + AHEAD; i++) {
        if (i >= AHEAD) {
            // mutant: kernel_matmul_waits_for_one_copy_less
            wait_copies<AHEAD - 1>();
            // Strip i - 2 is there for all, and strip i - 3, in whose place i goes, is read by none.
            block_barrier();
        }
        if (i < count) {
            load_strip<!TRANS_A, M>(next, from_a, a, p.m, p, p.flags & A_WIDE);
            load_strip<TRANS_B, N>(next + DEPTH * M, from_b, b, p.n, p, p.flags & B_WIDE);
            turn(next);
        }
        // Also an empty one, so that the i-th group is the i-th strip.
        commit_copies();
        if (i < AHEAD) continue;
        const bf16* strip = now;
        turn(now);
#pragma unroll
        for (u32 term = 0; term < DEPTH; term += 16) {
            u32 xs[TILES_M][4], ws[2][4];
#pragma unroll
            for (u32 t = 0; t < TILES_M; t++)
                load_fragment<!TRANS_A, M>(xs[t], strip, row + t * 16, term, true);
#pragma unroll
            for (u32 t = 0; t < 2; t++)
                load_fragment<TRANS_B, N>(ws[t], strip + DEPTH * M, column + t * 16, term, false);
#pragma unroll
            for (u32 s = 0; s < TILES_M; s++)
#pragma unroll
                for (u32 t = 0; t < 4; t++)
                    multiply_accumulate(sums[s][t], xs[s], ws[t / 2][t % 2 * 2],
                                        ws[t / 2][t % 2 * 2 + 1]);
        }
    }
    wait_copies<0>();
    block_barrier();
    float* stage = reinterpret_cast<float*>(strips) + warp_index() * 16 * STAGE_ROW;
    write_cells(sums, stage, bias, y, tile_m * M + row, tile_n * N + column, p);
}

#define PARAMETERS                                                                           \
    const bf16 *a, const bf16 *b, const bf16 *bias, void *y, u32 m, u32 n, u32 k, u32 slice, \
        u32 flags, float alpha, float beta
#define PRODUCT product(m, n, k, slice, flags, alpha, beta)

#define TILED(letters, trans_a, trans_b)                                    \
    KERNEL LAUNCH_BOUNDS(256, 2) matmul_##letters##_128_bf16(PARAMETERS) {  \
        tiled_product<2, 4, 4, trans_a, trans_b>(a, b, bias, y, PRODUCT);   \
    }                                                                       \
    KERNEL LAUNCH_BOUNDS(128, 4) matmul_##letters##_64_bf16(PARAMETERS) {   \
        tiled_product<2, 2, 2, trans_a, trans_b>(a, b, bias, y, PRODUCT);   \
    }
TILED(nn, false, false)
// mutant: kernel_matmul_transposes_the_other
TILED(nt, false, true)
TILED(tn, true, false)
TILED(tt, true, true)

KERNEL LAUNCH_BOUNDS(1024, 1) matmul_rows_nn_1_bf16(PARAMETERS) {
    product_of_rows_nn<bf16, 1>(a, b, bias, y, PRODUCT);
}
KERNEL LAUNCH_BOUNDS(1024, 1) matmul_rows_nn_4_bf16(PARAMETERS) {
    product_of_rows_nn<bf16, 4>(a, b, bias, y, PRODUCT);
}
KERNEL LAUNCH_BOUNDS(256, 4) matmul_rows_nt_1_bf16(PARAMETERS) {
    product_of_rows_nt<bf16, 1>(a, b, bias, y, PRODUCT);
}
KERNEL LAUNCH_BOUNDS(256, 4) matmul_rows_nt_4_bf16(PARAMETERS) {
    product_of_rows_nt<bf16, 4>(a, b, bias, y, PRODUCT);
}

KERNEL matmul_finish_bf16(const float* sums, const bf16* bias, void* y, u64 cells, u32 n,
                          u32 slices, u32 flags, float alpha, float beta) {
    finish_slices(sums, bias, y, cells, n, slices, flags, alpha, beta);
}
