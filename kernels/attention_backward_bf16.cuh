// Backward of attention, bf16 on tensor cores. Included by attention_bf16_d*.cu. With weights p,
// mask m and delta = Σ dy·y:
//
//   ds = p·(m·(dy·vᵀ) - delta)     dq = scale · ds·k     dk = scale · dsᵀ·q     dv = (p·m)ᵀ·dy
//
//   qkv, dqkv  [B, T, 3C]  bf16, aligned to 16 bytes; C = NH·D
//   y, dy      [B, T, C]   bf16, aligned to 16 bytes
//   lse        [B, NH, T]  f32, from forward
//   delta      [B, NH, T]  f32, workspace
//
// Three kernels: delta; dk and dv, a block owning keys, queries passing by in tiles; dq, a block
// owning queries, keys passing by. Both compute p again from lse, so the scores twice: that costs
// two products in seven and saves atomic sums, whose order would change from run to run. Rows pass
// by in their order, whatever the grid.
//
// The last two are one function. A block owns rows a (keys: k and v; queries: q and dy), rows b pass
// by (q and dy; k and v), and both need a₁·b₁ᵀ, the scores, and a₂·b₂ᵀ = dy·vᵀ or its transpose. As a
// warp has its rows' scores in the layout of a left operand, it goes on to ds·b₁ and, for keys,
// p·b₂ by itself. Sums are f32; p·m and ds are rounded to bf16 before they multiply.
//
// Grid: x = blocks of 64·ATOMS rows, y = heads, z = batch; 128 threads.
// Shared: 4·D·(64·ATOMS + 2·OTHERS) bytes: the block's rows, and two tiles of others in turn; for
// keys 16·OTHERS more, for lse and delta. Of delta: see there.
//
// After FlashAttention-2 (Dao 2023, arXiv 2307.08691). Needs scale > 0, as forward. Unmeasured.
#pragma once
#include "attention_dropout.cuh"

CONSTANT float LOG2_E = 1.44269504f;

/// delta of each row of each head: two or four lanes a row, each 16 bytes at a time.
///
/// Grid: x = blocks of 128 lanes over T·(lanes a row), y = heads, z = batch; no shared memory.
template <u32 D>
DEVICE void attention_delta(const bf16* y, const bf16* dy, float* delta, u32 seq_len) {
    constexpr u32 CHUNKS = D / 8, LANES = CHUNKS < 4 ? CHUNKS : 4;
    u32 row = (block_x() * THREADS + thread_index()) / LANES;
    u32 lane = thread_index() % LANES;
    bool valid = row < seq_len;
    u64 at = (u64(block_z()) * seq_len + (valid ? row : 0)) * grid_y() * D + block_y() * D;
    float sum = 0.0f;
#pragma unroll
    for (u32 chunk = 0; chunk < CHUNKS; chunk += LANES) {
        Bytes16 a = load_16(y + at + (chunk + lane) * 8);
        Bytes16 b = load_16(dy + at + (chunk + lane) * 8);
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            sum = fused_multiply_add(low_half(a.word[i]), low_half(b.word[i]), sum);
            sum = fused_multiply_add(high_half(a.word[i]), high_half(b.word[i]), sum);
        }
    }
    sum += from_lane_xor(sum, 1);
    if (LANES == 4) sum += from_lane_xor(sum, 2);
    if (valid && lane == 0)
        delta[(u64(block_z()) * grid_y() + block_y()) * seq_len + row] = sum;
}

/// One head's rows: `own` of this block's kind, `other` those that pass by.
struct BackwardRows {
    const bf16* own_1;
    const bf16* own_2;
    const bf16* other_1;
    const bf16* other_2;
    /// From row to row of the four.
    u32 own_stride_1, own_stride_2, other_stride_1, other_stride_2;
    const float* lse;
    const float* delta;
};

/// The gradients of row `r` again, by a warp (see attention_tiles_bf16.cuh); causal.
template <u32 D, bool KEYS>
DEVICE void backward_plain(const BackwardRows& rows, bf16* to_1, bf16* to_2, u32 stride, u32 r,
                           u32 seq_len, float scale, float scale_log2, const Drops& drops) {
    float sum_1[(D + 31) / 32] = {}, sum_2[(D + 31) / 32] = {};
    const bf16* own_1 = row_at(rows.own_1, rows.own_stride_1, r);
    const bf16* own_2 = row_at(rows.own_2, rows.own_stride_2, r);
    u32 end = KEYS ? seq_len : r + 1;
#pragma unroll 1
    for (u32 first = KEYS ? r : 0; first < end; first += 32) {
        u32 other = first + lane_index();
        float p = 0.0f, ds = 0.0f;
        if (other < end) {
            u32 query = KEYS ? other : r, key = KEYS ? r : other;
            float score = plain_product<D>(own_1, row_at(rows.other_1, rows.other_stride_1, other));
            float dp = plain_product<D>(own_2, row_at(rows.other_2, rows.other_stride_2, other));
            float factor = drop_factor(drops, query, key);
            float lse_log2 = rows.lse[query] * LOG2_E;
            p = exp2_approximate(fused_multiply_add(score, scale_log2, -lse_log2));
            ds = p * fused_multiply_add(factor, dp, -rows.delta[query]) * scale;
            p *= factor;
        }
#pragma unroll 1
        for (u32 t = 0; t < 32 && first + t < end; t++) {
            add_plain<D>(sum_1, from_lane(ds, t),
                         row_at(rows.other_1, rows.other_stride_1, first + t));
            if (KEYS)
                add_plain<D>(sum_2, from_lane(p, t),
                             row_at(rows.other_2, rows.other_stride_2, first + t));
        }
    }
    store_plain<D>(row_at(to_1, stride, r), sum_1);
    if (KEYS) store_plain<D>(row_at(to_2, stride, r), sum_2);
}

template <u32 D, u32 ATOMS, u32 OTHERS, bool KEYS>
DEVICE void attention_backward(const bf16* qkv, const bf16* dy, const float* lse,
                               const float* delta, bf16* dqkv, u32 seq_len, float scale,
                               float scale_log2, bool causal, const Drops& drops) {
    constexpr u32 ROWS = 16 * ATOMS * WARPS, N = OTHERS / 8;
    static_assert(ROWS % OTHERS == 0, "a block of keys is first met at the start of a tile");
    u32 width = grid_y() * D;
    u32 stride = 3 * width;
    u64 head = u64(block_z()) * seq_len * stride + block_y() * D;
    const bf16* q = qkv + head;
    const bf16* k = q + width;
    const bf16* v = k + width;
    dy += u64(block_z()) * seq_len * width + block_y() * D;
    u64 statistics = (u64(block_z()) * grid_y() + block_y()) * seq_len;
    BackwardRows rows = KEYS ? BackwardRows{k, v, q, dy, stride, stride, stride, width, lse, delta}
                             : BackwardRows{q, dy, k, v, stride, width, stride, stride, lse, delta};
    rows.lse += statistics;
    rows.delta += statistics;

    // Most is to be done for the first keys and for the last queries, and that goes first.
    u32 first = (KEYS ? block_x() : grid_x() - 1 - block_x()) * ROWS;
    u32 row = 16 * ATOMS * warp_index();
    u32 first_of_warp = first + row, last_of_warp = first_of_warp + 16 * ATOMS - 1;

    // Shared: own rows 1 and 2; then for each of two stages other rows 1 and 2; for keys, then for
    // each of two stages lse and delta of the queries.
    bf16* own_1 = reinterpret_cast<bf16*>(dynamic_shared());
    bf16* own_2 = own_1 + ROWS * D;
    bf16* stages = own_2 + ROWS * D;
    float* query_stages = reinterpret_cast<float*>(stages + 4 * OTHERS * D);
    auto copy_tile = [&](u32 tile) {
        bf16* stage = stages + tile % 2 * (2 * OTHERS * D);
        u32 from = tile * OTHERS;
        copy_rows<D, OTHERS>(stage, rows.other_1, rows.other_stride_1, from, seq_len);
        copy_rows<D, OTHERS>(stage + OTHERS * D, rows.other_2, rows.other_stride_2, from, seq_len);
        if (KEYS && thread_index() < 2 * OTHERS) {
            u32 i = thread_index() % OTHERS;
            bool valid = from + i < seq_len;
            const float* of = thread_index() < OTHERS ? rows.lse : rows.delta;
            // mutant: kernel_tensor_backward_one_buffer
            copy_async_4(query_stages + tile % 2 * (2 * OTHERS) + thread_index(),
                         of + (valid ? from + i : 0), valid);
        }
        commit_copies();
    };
    u32 begin = KEYS && causal ? first / OTHERS : 0;
    u32 end = !KEYS && causal && first + ROWS < seq_len ? first + ROWS : seq_len;
    u32 tiles = (end + OTHERS - 1) / OTHERS;
    copy_rows<D, ROWS>(own_1, rows.own_1, rows.own_stride_1, first, seq_len);
    copy_rows<D, ROWS>(own_2, rows.own_2, rows.own_stride_2, first, seq_len);
    copy_tile(begin);

    float sum_1[ATOMS][D / 8][4], sum_2[KEYS ? ATOMS : 1][KEYS ? D / 8 : 1][4];
    set_zero(sum_1);
    set_zero(sum_2);
    // Of the lane's own queries.
    float own_lse[ATOMS][2], own_delta[ATOMS][2];
    if (!KEYS) {
#pragma unroll
        for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                u32 query = first_of_warp + row_of(i, 2 * half);
                own_lse[i][half] = query < seq_len ? rows.lse[query] * LOG2_E : 0.0f;
                own_delta[i][half] = query < seq_len ? rows.delta[query] : 0.0f;
            }
    }
    wait_copies<0>();
    block_barrier();

#pragma unroll 1
    for (u32 tile = begin; tile < tiles; tile++) {
        // All are done with the tile before, so its place is free.
        if (tile + 1 < tiles) copy_tile(tile + 1);
        bf16* other_1 = stages + tile % 2 * (2 * OTHERS * D);
        bf16* other_2 = other_1 + OTHERS * D;
        const float* queries = query_stages + tile % 2 * (2 * OTHERS);
        u32 column = tile * OTHERS, last_column = column + OTHERS - 1;
        bool sees = KEYS ? last_column >= first_of_warp : column <= last_of_warp;
        if (first_of_warp < seq_len && (sees || !causal)) {
            float p[ATOMS][N][4], ds[ATOMS][N][4];
            products<D>(p, own_1, row, other_1);
            products<D>(ds, own_2, row, other_2);
            u32 kept[ATOMS];
            if (drops.on) {
#pragma unroll
                for (u32 i = 0; i < ATOMS; i++) {
                    kept[i] = kept_bits<N, KEYS>(drops, first_of_warp + 16 * i, column);
                    // Products, so that 0·∞ and 0·NaN are what they are in the equation.
#pragma unroll
                    for (u32 n = 0; n < N; n++)
#pragma unroll
                        for (u32 e = 0; e < 4; e++)
                            ds[i][n][e] *= is_kept(kept[i], n, e) ? drops.mask.scale : 0.0f;
                }
            }
#pragma unroll
            for (u32 n = 0; n < N; n++)
#pragma unroll
                for (u32 e = 0; e < 4; e++) {
                    float lse_log2 = 0.0f, of_query = 0.0f;
                    if (KEYS) {
                        lse_log2 = queries[column_of(n, e)] * LOG2_E;
                        of_query = queries[OTHERS + column_of(n, e)];
                    }
#pragma unroll
                    for (u32 i = 0; i < ATOMS; i++) {
                        float shift = KEYS ? lse_log2 : own_lse[i][e / 2];
                        float mean = KEYS ? of_query : own_delta[i][e / 2];
                        float score = fused_multiply_add(p[i][n][e], scale_log2, -shift);
                        p[i][n][e] = exp2_approximate(score);
                        // mutant: kernel_tensor_backward_without_delta
                        ds[i][n][e] = p[i][n][e] * (ds[i][n][e] - mean);
                    }
                }
            bool hides = KEYS ? column < last_of_warp : last_column > first_of_warp;
            if (last_column >= seq_len || (causal && hides)) {
#pragma unroll
                for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
                    for (u32 n = 0; n < N; n++)
#pragma unroll
                        for (u32 e = 0; e < 4; e++) {
                            u32 own = first_of_warp + row_of(i, e);
                            u32 other = column + column_of(n, e);
                            // mutant: kernel_tensor_backward_sees_one_key_ahead
                            bool hidden = causal && (KEYS ? own > other : other > own);
                            if (hidden || other >= seq_len) p[i][n][e] = ds[i][n][e] = 0.0f;
                        }
            }
            add_weighted<D>(sum_1, ds, other_1);
            if constexpr (KEYS) {
                if (drops.on) {
#pragma unroll
                    for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
                        for (u32 n = 0; n < N; n++)
#pragma unroll
                            for (u32 e = 0; e < 4; e++)
                                p[i][n][e] *= is_kept(kept[i], n, e) ? drops.mask.scale : 0.0f;
                }
                add_weighted<D>(sum_2, p, other_2);
            }
        }
        wait_copies<0>();
        block_barrier();
    }
    if (first_of_warp >= seq_len) return;

    bf16* to_1 = dqkv + head + (KEYS ? width : 0);
    bf16* to_2 = to_1 + width;
    float factor[ATOMS][2];
#pragma unroll
    for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
        // mutant: kernel_tensor_backward_unscaled
        for (u32 half = 0; half < 2; half++) factor[i][half] = scale;
    u32 broken = store_rows<D>(to_1, stride, first, seq_len, own_1, row, sum_1, factor);
    if constexpr (KEYS) {
#pragma unroll
        for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
            for (u32 half = 0; half < 2; half++) factor[i][half] = 1.0f;
        broken |= store_rows<D>(to_2, stride, first, seq_len, own_2, row, sum_2, factor);
    }
    if (!causal) return;
#pragma unroll 1
    for (u32 r = 0; r < 16 * ATOMS; r++)
        if ((broken >> r & 1) && first_of_warp + r < seq_len)
            backward_plain<D, KEYS>(rows, to_1, to_2, stride, first_of_warp + r, seq_len, scale,
                                    scale_log2, drops);
}

/// `OF`: keys (and values) or queries.
#define ATTENTION_BACKWARD_OF(D, OF, IS_KEYS, ATOMS, OTHERS)                                       \
    KERNEL LAUNCH_BOUNDS(128, 2) attention_backward_##OF##_bf16_d##D(                              \
        const bf16* qkv, const bf16* dy, const float* lse, const float* delta, bf16* dqkv,         \
        const u32* random, u32 seq_len, float scale, float scale_log2, u32 causal, u32 site,       \
        u32 threshold, float keep_scale) {                                                         \
        Drops drops = drops_of_head(random, site, threshold, keep_scale, seq_len);                 \
        attention_backward<D, ATOMS, OTHERS, IS_KEYS>(qkv, dy, lse, delta, dqkv, seq_len, scale,   \
                                                      scale_log2, causal != 0, drops);             \
    }

#define ATTENTION_BACKWARD(D, KEY_ATOMS, QUERIES, QUERY_ATOMS, KEYS)                               \
    KERNEL attention_backward_delta_bf16_d##D(const bf16* y, const bf16* dy, float* delta,         \
                                              u32 seq_len) {                                       \
        attention_delta<D>(y, dy, delta, seq_len);                                                 \
    }                                                                                              \
    ATTENTION_BACKWARD_OF(D, keys, true, KEY_ATOMS, QUERIES)                                       \
    ATTENTION_BACKWARD_OF(D, queries, false, QUERY_ATOMS, KEYS)
