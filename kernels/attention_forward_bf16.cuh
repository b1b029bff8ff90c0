// y = dropout(softmax(scale · q·kᵀ)) · v and lse = log Σ exp of each query's scaled scores, bf16 on
// tensor cores. Included by attention_bf16_d*.cu.
//
//   qkv  [B, T, 3C]  bf16, aligned to 16 bytes; C = NH·D
//   y    [B, T, C]   bf16, aligned to 16 bytes
//   lse  [B, NH, T]  f32
//
// Grid: x = blocks of 64·ATOMS queries, y = heads, z = batch; 128 threads.
// Shared: 2·D·(64·ATOMS + 4·KEYS) bytes: the queries, and two tiles of KEYS keys and values in turn.
//
// After FlashAttention-2 (Dao 2023, arXiv 2307.08691): each warp keeps a running maximum and sum of
// exponentials of its queries and their unfinished y in registers, while tiles of keys pass by;
// the next tile is copied during the computation on one. Products of q and k, maxima, sums and y
// are f32; weights are rounded to bf16 before they multiply values. Keys are summed in their order,
// whatever the grid. Causal: tiles that a block sees nothing of are not copied, those that a warp
// sees nothing of not computed.
//
// Needs scale > 0, as the greatest score is looked for before scaling. Exponentials are base 2 of
// scores times scale_log2 = scale · log2 e.
//
// Each chunk of 16 bytes is loaded from shared memory once for 16·ATOMS queries, and a tile that
// hides and drops nothing takes about 5 instructions for each product of tensor cores (head 64,
// counted in sm_90 machine code). Unmeasured; the published FlashAttention-2 reaches 229 TFLOP/s on
// an H100 at head 64, T 1024, causal.
#pragma once
#include "attention_dropout.cuh"

/// Numbers of one row of exponentials and of y to scale, when the maximum grows.
template <u32 D, u32 N>
DEVICE void running_softmax(float (&score)[N][4], float (&sum)[D / 8][4], float& most, float& total,
                            u32 half, float scale_log2) {
    float greatest = -INFINITY;
#pragma unroll
    for (u32 n = 0; n < N; n++)
        greatest = maximum(greatest, maximum(score[n][2 * half], score[n][2 * half + 1]));
    float now = maximum(most, quad_maximum(greatest) * scale_log2);
    // All scores so far -inf: -inf - 0 is what it should be, -inf - -inf would not.
    float shift = now == -INFINITY ? 0.0f : now;
    float shrink = exp2_approximate(most - shift);
    most = now;
    float part = 0.0f;
#pragma unroll
    for (u32 n = 0; n < N; n++)
#pragma unroll
        for (u32 e = 2 * half; e < 2 * half + 2; e++) {
            score[n][e] = exp2_approximate(fused_multiply_add(score[n][e], scale_log2, -shift));
            part += score[n][e];
        }
    total = fused_multiply_add(total, shrink, part);
#pragma unroll
    for (u32 n = 0; n < D / 8; n++) {
        sum[n][2 * half] *= shrink;
        sum[n][2 * half + 1] *= shrink;
    }
}

/// y of query `i` again, by a warp (see attention_tiles_bf16.cuh); its lse is sound.
template <u32 D>
DEVICE void forward_plain(const bf16* q, const bf16* k, const bf16* v, bf16* y, u32 stride, u32 i,
                          float lse, float scale_log2, const Drops& drops) {
    float sum[(D + 31) / 32] = {};
    float lse_log2 = lse * 1.44269504f;
#pragma unroll 1
    for (u32 first = 0; first <= i; first += 32) {
        u32 j = first + lane_index();
        float p = 0.0f;
        if (j <= i) {
            float score = plain_product<D>(row_at(q, stride, i), row_at(k, stride, j));
            p = exp2_approximate(fused_multiply_add(score, scale_log2, -lse_log2));
            p *= drop_factor(drops, i, j);
        }
#pragma unroll 1
        for (u32 t = 0; t < 32 && first + t <= i; t++)
            add_plain<D>(sum, from_lane(p, t), row_at(v, stride, first + t));
    }
    store_plain<D>(y, sum);
}

template <u32 D, u32 ATOMS, u32 KEYS>
DEVICE void attention_forward(const bf16* qkv, bf16* y, float* lse, u32 seq_len, float scale_log2,
                              bool causal, const Drops& drops) {
    constexpr u32 ROWS = 16 * ATOMS * WARPS;
    // The queries stay in registers where there is room for them.
    constexpr bool HELD = D <= 64;
    u32 width = grid_y() * D;
    u32 stride = 3 * width;
    const bf16* q = qkv + u64(block_z()) * seq_len * stride + block_y() * D;
    const bf16* k = q + width;
    const bf16* v = k + width;
    // The last queries see most keys, so they go first.
    u32 first = (grid_x() - 1 - block_x()) * ROWS;
    u32 row = 16 * ATOMS * warp_index();
    u32 first_of_warp = first + row, last_of_warp = first_of_warp + 16 * ATOMS - 1;

    bf16* queries = reinterpret_cast<bf16*>(dynamic_shared());
    bf16* stages = queries + ROWS * D;
    auto copy_tile = [&](u32 tile) {
        bf16* stage = stages + tile % 2 * (2 * KEYS * D);
        copy_rows<D, KEYS>(stage, k, stride, tile * KEYS, seq_len);
        copy_rows<D, KEYS>(stage + KEYS * D, v, stride, tile * KEYS, seq_len);
        commit_copies();
    };
    copy_rows<D, ROWS>(queries, q, stride, first, seq_len);
    copy_tile(0);

    float sum[ATOMS][D / 8][4];
    float most[ATOMS][2], total[ATOMS][2];
    set_zero(sum);
#pragma unroll
    for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            most[i][half] = -INFINITY;
            total[i][half] = 0.0f;
        }
    wait_copies<0>();
    block_barrier();
    u32 held[HELD ? D / 16 : 1][ATOMS][4];
    if (HELD) {
#pragma unroll
        for (u32 step = 0; step < D / 16; step++)
#pragma unroll
            for (u32 i = 0; i < ATOMS; i++)
                load_left<D>(held[HELD ? step : 0][i], queries, row + 16 * i, step);
    }

    u32 end = causal && first + ROWS < seq_len ? first + ROWS : seq_len;
    u32 tiles = (end + KEYS - 1) / KEYS;
#pragma unroll 1
    for (u32 tile = 0; tile < tiles; tile++) {
        // All are done with the tile before, so its place is free.
        if (tile + 1 < tiles) copy_tile(tile + 1);
        u32 key = tile * KEYS;
        bf16* stage = stages + tile % 2 * (2 * KEYS * D);
        if (first_of_warp < seq_len && !(causal && key > last_of_warp)) {
            float score[ATOMS][KEYS / 8][4];
            set_zero(score);
#pragma unroll
            for (u32 step = 0; step < D / 16; step++) {
                if (!HELD) {
#pragma unroll
                    for (u32 i = 0; i < ATOMS; i++)
                        load_left<D>(held[0][i], queries, row + 16 * i, step);
                }
                add_products<D>(score, held[HELD ? step : 0], stage, step);
            }
            if (key + KEYS > seq_len || (causal && key + KEYS - 1 > first_of_warp)) {
#pragma unroll
                for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
                    for (u32 n = 0; n < KEYS / 8; n++)
#pragma unroll
                        for (u32 e = 0; e < 4; e++) {
                            u32 j = key + column_of(n, e);
                            // mutant: kernel_tensor_attention_sees_one_key_ahead
                            bool hidden = causal && j > first_of_warp + row_of(i, e);
                            // mutant: kernel_tensor_attention_keys_past_the_end
                            if (hidden || j >= seq_len) score[i][n][e] = -INFINITY;
                        }
            }
#pragma unroll
            for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
                for (u32 half = 0; half < 2; half++)
                    running_softmax<D>(score[i], sum[i], most[i][half], total[i][half], half,
                                       scale_log2);
            if (drops.on) {
#pragma unroll
                for (u32 i = 0; i < ATOMS; i++) {
                    u32 kept = kept_bits<KEYS / 8, false>(drops, first_of_warp + 16 * i, key);
#pragma unroll
                    for (u32 n = 0; n < KEYS / 8; n++)
#pragma unroll
                        for (u32 e = 0; e < 4; e++)
                            if (!is_kept(kept, n, e)) score[i][n][e] = 0.0f;
                }
            }
            add_weighted<D>(sum, score, stage + KEYS * D);
        }
        wait_copies<0>();
        // mutant: kernel_tensor_attention_races_ahead
        block_barrier();
    }
    if (first_of_warp >= seq_len) return;

    lse += (u64(block_z()) * grid_y() + block_y()) * seq_len;
    y += u64(block_z()) * seq_len * width + block_y() * D;
    float factor[ATOMS][2];
#pragma unroll
    for (u32 i = 0; i < ATOMS; i++)
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float all = quad_sum(total[i][half]);
            // mutant: kernel_tensor_attention_drops_without_scale
            factor[i][half] = drops.mask.scale / all;
            u32 query = first_of_warp + row_of(i, 2 * half);
            // All scores -inf: the maximum minus itself is no number, and neither is this.
            float log_sum = fused_multiply_add(most[i][half], 0.693147181f, logarithm(all));
            if (most[i][half] == -INFINITY) log_sum = float_of(0x7fc00000u);
            if (lane_index() % 4 == 0 && query < seq_len) lse[query] = log_sum;
        }
    u32 broken = store_rows<D>(y, width, first, seq_len, queries, row, sum, factor);
    if (!causal) return;
#pragma unroll 1
    for (u32 r = 0; r < 16 * ATOMS; r++) {
        u32 i = first_of_warp + r;
        if ((broken >> r & 1) && i < seq_len)
            forward_plain<D>(q, k, v, row_at(y, width, i), stride, i, lse[i], scale_log2, drops);
    }
}

#define ATTENTION_FORWARD(D, ATOMS, KEYS)                                                          \
    KERNEL LAUNCH_BOUNDS(128, 2) attention_forward_bf16_d##D(                                      \
        const bf16* qkv, bf16* y, float* lse, const u32* random, u32 seq_len, float scale_log2,    \
        u32 causal, u32 site, u32 threshold, float keep_scale) {                                   \
        Drops drops = drops_of_head(random, site, threshold, keep_scale, seq_len);                 \
        attention_forward<D, ATOMS, KEYS>(qkv, y, lse, seq_len, scale_log2, causal != 0, drops);   \
    }
