// Tiles of bf16 rows in shared memory, and what warps do with them on tensor cores.
//
// A block has 4 warps. Each owns 16·ATOMS rows of a tile and never looks at those of other warps,
// so that whatever is computed for a row stays in one warp: products of it with all rows of
// another tile, and sums of rows of another tile weighted by such products, need no exchange but
// between the four lanes (a "quad") that hold a row.
//
// Numbers that a warp holds, `float x[ATOMS][COLUMNS / 8][4]`, lie as `multiply_accumulate` leaves
// them: x[i][n][e] of lane l is row 16i + l/4 + 8(e/2), column 8n + 2(l%4) + e%2. Rounded to bf16
// in pairs, the same registers are the left operand of the next product (FlashAttention-2, Dao
// 2023, arXiv 2307.08691).
//
// In shared memory a row of D elements is D/8 chunks of 16 bytes. Chunks trade places within a row
// so that the eight chunks, one of each of eight rows, that a matrix is loaded from lie in
// different banks: `chunk_at`.
#pragma once
#include "prims.cuh"

CONSTANT u32 WARPS = 4;
CONSTANT u32 THREADS = 32 * WARPS;

/// Row and column of the lane's element `x[i][n][e]`.
DEVICE u32 row_of(u32 i, u32 e) { return 16 * i + lane_index() / 4 + e / 2 * 8; }
DEVICE u32 column_of(u32 n, u32 e) { return 8 * n + lane_index() % 4 * 2 + e % 2; }

/// What the number of a chunk of a row is changed by, bit by bit.
///
/// Eight rows and one number must give eight different places modulo 128 bytes. Rows that take up
/// 128 bytes or a multiple begin at the same bank, so the number is changed by the row; shorter
/// ones (and those of 192 bytes) begin at one of 2 or 4 banks in turn, so it is changed by half or a
/// quarter of the row.
template <u32 D>
DEVICE u32 trade(u32 row) {
    constexpr u32 CHUNKS = D / 8;
    constexpr u32 TRADED = CHUNKS % 8 == 0 ? 8 : CHUNKS % 4 == 0 ? 4 : 2;
    return row / (8 / TRADED) % TRADED;
}
template <u32 D>
DEVICE bf16* chunk_at(bf16* tile, u32 row, u32 chunk) {
    return tile + row * D + (chunk ^ trade<D>(row)) * 8;
}

/// What a lane loads matrices from: chunk 2·step + side of its row and of rows 16, 32, … further on.
/// Steps and rows are constants where this is used, so they cost little.
struct LaneChunks {
    bf16* row;
    u32 changed_side;
};
template <u32 D>
DEVICE LaneChunks lane_chunks(bf16* tile, u32 row, u32 side) {
    // mutant: kernel_tensor_attention_swizzle_of_one_side
    return {tile + row * D, side ^ trade<D>(row)};
}
template <u32 D>
DEVICE const bf16* chunk_of(const LaneChunks& lane, u32 step, u32 block) {
    return lane.row + (2 * step ^ lane.changed_side) * 8 + block * (16 * D);
}

/// Row `row` of rows that are `stride` elements apart.
DEVICE const bf16* row_at(const bf16* from, u32 stride, u32 row) {
    // One wide product of bytes.
    return reinterpret_cast<const bf16*>(reinterpret_cast<const u8*>(from) +
                                         u64(row) * (stride * 2));
}
DEVICE bf16* row_at(bf16* from, u32 stride, u32 row) {
    return const_cast<bf16*>(row_at(const_cast<const bf16*>(from), stride, row));
}

/// Begins to copy rows `first .. first + ROWS` into a tile; zeros from row `count` on.
template <u32 D, u32 ROWS>
DEVICE void copy_rows(bf16* tile, const bf16* from, u32 stride, u32 first, u32 count) {
    constexpr u32 CHUNKS = D / 8;
#pragma unroll
    for (u32 at = 0; at < ROWS * CHUNKS; at += THREADS) {
        u32 i = at + thread_index();
        u32 row = i / CHUNKS, chunk = i % CHUNKS;
        if (ROWS * CHUNKS % THREADS != 0 && i >= ROWS * CHUNKS) continue;
        bool valid = first + row < count;
        const bf16* source = row_at(from + chunk * 8, stride, valid ? first + row : 0);
        copy_async_16(chunk_at<D>(tile, row, chunk), source, valid);
    }
}

/// 16 rows from `row` on, elements 16·step .. 16·step + 16, as a left operand.
template <u32 D>
DEVICE void load_left(u32 (&left)[4], bf16* tile, u32 row, u32 step) {
    u32 lane = lane_index();
    LaneChunks own = lane_chunks<D>(tile + row * D, lane % 16, lane / 16);
    load_matrix_x4(left, chunk_of<D>(own, step, 0));
}

template <u32 ATOMS, u32 N>
DEVICE void set_zero(float (&x)[ATOMS][N][4]) {
#pragma unroll
    for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
        for (u32 n = 0; n < N; n++)
#pragma unroll
            for (u32 e = 0; e < 4; e++) x[i][n][e] = 0.0f;
}

/// x += left · tileᵀ over elements 16·step .. 16·step + 16: each row with each row of a tile.
template <u32 D, u32 ATOMS, u32 N>
DEVICE void add_products(float (&x)[ATOMS][N][4], const u32 (&left)[ATOMS][4], bf16* tile,
                         u32 step) {
    u32 lane = lane_index();
    LaneChunks rows = lane_chunks<D>(tile, lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
    for (u32 pair = 0; pair < N / 2; pair++) {
        u32 right[4];
        load_matrix_x4(right, chunk_of<D>(rows, step, pair));
#pragma unroll
        for (u32 i = 0; i < ATOMS; i++) {
            multiply_accumulate(x[i][2 * pair], left[i], right[0], right[1]);
            multiply_accumulate(x[i][2 * pair + 1], left[i], right[2], right[3]);
        }
    }
}

/// x = own · tileᵀ, for the 16·ATOMS rows of `own` from `row` on.
template <u32 D, u32 ATOMS, u32 N>
DEVICE void products(float (&x)[ATOMS][N][4], bf16* own, u32 row, bf16* tile) {
    set_zero(x);
#pragma unroll
    for (u32 step = 0; step < D / 16; step++) {
        u32 left[ATOMS][4];
#pragma unroll
        for (u32 i = 0; i < ATOMS; i++) load_left<D>(left[i], own, row + 16 * i, step);
        add_products<D>(x, left, tile, step);
    }
}

/// sum += weights · tile: rows of a tile by their weights, these rounded to bf16.
template <u32 D, u32 ATOMS, u32 N>
DEVICE void add_weighted(float (&sum)[ATOMS][D / 8][4], const float (&weights)[ATOMS][N][4],
                         bf16* tile) {
    u32 lane = lane_index();
    LaneChunks rows = lane_chunks<D>(tile, lane % 16, lane / 16);
#pragma unroll
    for (u32 step = 0; step < N / 2; step++) {
        u32 left[ATOMS][4];
#pragma unroll
        for (u32 i = 0; i < ATOMS; i++) {
            const float(&low)[4] = weights[i][2 * step];
            const float(&high)[4] = weights[i][2 * step + 1];
            left[i][0] = pack_bf16(low[0], low[1]);
            left[i][1] = pack_bf16(low[2], low[3]);
            left[i][2] = pack_bf16(high[0], high[1]);
            left[i][3] = pack_bf16(high[2], high[3]);
        }
#pragma unroll
        for (u32 pair = 0; pair < D / 16; pair++) {
            u32 right[4];
            load_matrix_x4_transposed(right, chunk_of<D>(rows, pair, step));
#pragma unroll
            for (u32 i = 0; i < ATOMS; i++) {
                multiply_accumulate(sum[i][2 * pair], left[i], right[0], right[1]);
                multiply_accumulate(sum[i][2 * pair + 1], left[i], right[2], right[3]);
            }
        }
    }
}

/// Over the four lanes that hold a row.
DEVICE float quad_sum(float x) {
    x += from_lane_xor(x, 1);
    return x + from_lane_xor(x, 2);
}
DEVICE float quad_maximum(float x) {
    x = maximum(x, from_lane_xor(x, 1));
    return maximum(x, from_lane_xor(x, 2));
}

/// Writes factor · sum, rounded, to global rows `first + row ..` that lie before `count`, 16 bytes a
/// lane, by way of the warp's own rows of a tile, which all of its lanes are done with. Answers which
/// rows are not finite: bit r is the warp's row r.
template <u32 D, u32 ATOMS>
DEVICE u32 store_rows(bf16* to, u32 stride, u32 first, u32 count, bf16* tile, u32 row,
                      const float (&sum)[ATOMS][D / 8][4], const float (&factor)[ATOMS][2]) {
    constexpr u32 CHUNKS = D / 8;
    u32 lane = lane_index(), broken = 0;
#pragma unroll
    for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            u32 local = row + row_of(i, 2 * half);
            float poison = 0.0f;
#pragma unroll
            for (u32 n = 0; n < D / 8; n++) {
                float low = sum[i][n][2 * half] * factor[i][half];
                float high = sum[i][n][2 * half + 1] * factor[i][half];
                poison = fused_multiply_add(low, 0.0f, fused_multiply_add(high, 0.0f, poison));
                u32* at = reinterpret_cast<u32*>(chunk_at<D>(tile, local, n)) + lane % 4;
                *at = pack_bf16(low, high);
            }
            if (poison != 0.0f) broken |= 1u << (8 * (2 * i + half) + lane / 4);
        }
    warp_barrier();
#pragma unroll
    for (u32 at = 0; at < 16 * ATOMS * CHUNKS; at += 32) {
        u32 local = row + (at + lane) / CHUNKS, chunk = (at + lane) % CHUNKS;
        if (first + local < count)
            store_16(row_at(to + chunk * 8, stride, first + local),
                     load_16(chunk_at<D>(tile, local, chunk)));
    }
#pragma unroll
    for (u32 mask = 1; mask < 32; mask *= 2) broken |= from_lane_xor(broken, mask);
    // What is written after this comes after what was written before, whichever lane wrote it.
    warp_barrier();
    return broken;
}

// ---- rows that are not finite
//
// A weight that is 0 because its key is hidden still multiplies: 0·∞ is NaN, in tensor cores too.
// So in a causal attention a value that is no number spoils rows that must not see it, if it lies
// in the same tile. Nothing is done about that ahead: rows whose results are not finite are
// computed again by one warp in plain loops that leave hidden keys out.

/// Σ a[x]·b[x].
template <u32 D>
DEVICE float plain_product(const bf16* a, const bf16* b) {
    float sum = 0.0f;
#pragma unroll 1
    for (u32 x = 0; x < D; x++) sum = fused_multiply_add(to_float(a[x]), to_float(b[x]), sum);
    return sum;
}

/// Warp: sum += weight · row, elements lane, lane + 32, …
template <u32 D>
DEVICE void add_plain(float (&sum)[(D + 31) / 32], float weight, const bf16* row) {
#pragma unroll
    for (u32 x = 0; x < (D + 31) / 32; x++) {
        u32 at = 32 * x + lane_index();
        if (D % 32 == 0 || at < D)
            sum[x] = fused_multiply_add(weight, to_float(row[at]), sum[x]);
    }
}

/// Warp: writes what `add_plain` summed.
template <u32 D>
DEVICE void store_plain(bf16* row, const float (&sum)[(D + 31) / 32]) {
#pragma unroll
    for (u32 x = 0; x < (D + 31) / 32; x++) {
        u32 at = 32 * x + lane_index();
        if (D % 32 == 0 || at < D) store(row + at, sum[x]);
    }
}
