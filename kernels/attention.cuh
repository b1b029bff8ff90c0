// Attention forward, of any element type: for each block of queries one pass over the keys with a
// running softmax; what belongs to T × T exists for a tile at a time. attention.cu says the rest.
#pragma once
#include "attention_tiles.cuh"
#include "philox.cuh"

/// Dropout of weights: element ((row·NH + head)·T + i)·T + j of the mask, `row` counted over the
/// global batch.
struct WeightMask {
    DropoutMask mask;
    /// Of weight (0, 0) of this head.
    u64 head;
    u32 keys;
};
DEVICE WeightMask weight_mask(const u32* random, u32 site, u32 threshold, float scale, u32 b, u32 h,
                              u32 n_head, u32 queries, u32 keys) {
    u64 head = (dropout_first_row(random) + b) * n_head + h;
    return {dropout_mask(random, site, threshold, scale), head * queries * keys, keys};
}
/// Factors of N <= 4 neighbouring weights of query i from key j on: one or two draws of four.
template <u32 N>
DEVICE void weight_factors(float (&factor)[N], const WeightMask& mask, u32 i, u32 j) {
    u64 first = mask.head + u64(i) * mask.keys + j;
    u32 lane = u32(first) % 4;
    u32 draw[4], next[4] = {0, 0, 0, 0};
    dropout_draws(draw, mask.mask, first / 4);
    if (lane + N > 4) dropout_draws(next, mask.mask, first / 4 + 1);
#pragma unroll
    for (u32 n = 0; n < N; n++) {
        u32 word = lane + n < 4 ? lane_of(draw, lane + n) : lane_of(next, lane + n - 4);
        factor[n] = dropout_factor_of(mask.mask, word);
    }
}
/// Factors for this lane's weights, into its own places of w: rows are queries, columns keys.
template <class S>
DEVICE void factors_by_query(float* w, const WeightMask& mask, u32 first_query, u32 first_key) {
#pragma unroll 1
    for (u32 n = 0; n < S::ROWS * (S::COLUMNS / 32); n++) {
        u32 r = n % S::ROWS, group = n / S::ROWS;
        Quad quad;
        weight_factors(quad.x, mask, first_query + r, first_key + group * 32 + my_column());
        store_quad(my_weights<S>(w, r, group), quad);
    }
}

/// What forward is given. Rows of q are q_row elements apart, those of a head of k and v kv_row;
/// heads and batch rows of k and v are kv_head and kv_batch apart. y is [B, queries, C]. Query i
/// sees keys j <= i + offset. `lse` and `random` may be null.
template <class T>
struct Forward {
    const T *q, *k, *v;
    T* y;
    float* lse;
    const u32* random;
    u64 kv_head, kv_batch;
    u32 q_row, kv_row, n_head, queries, keys, width, offset, quads;
    float scale;
    u32 site, threshold;
    float kept;
};

/// What a running softmax keeps of its scores: the greatest, and the sum of exponentials (this
/// lane's own, where lanes share a row).
struct Running {
    float most, sum;
};
/// What exponents are measured from: while all scores are -∞, from 0, so that they become 0.
DEVICE float base_of(float most) { return most == -INFINITY ? 0.0f : most; }

template <class S, class T>
DEVICE void attention_forward(const Forward<T>& p) {
    float* a = reinterpret_cast<float*>(dynamic_shared());
    float *b = a + S::A, *w = b + S::B;
    u32* broken = reinterpret_cast<u32*>(w + S::W);
    // Heads one after the other; the blocks of queries that see most keys come first.
    u32 blocks = (p.queries + S::BLOCK_ROWS - 1) / S::BLOCK_ROWS;
    u32 head = block_x() / blocks, top = (blocks - 1 - block_x() % blocks) * S::BLOCK_ROWS;
    u32 row_of_batch = head / p.n_head, h = head % p.n_head;
    u32 count = p.queries - top < S::BLOCK_ROWS ? p.queries - top : S::BLOCK_ROWS;
    const Rows<T> q = {p.q + (u64(row_of_batch) * p.queries + top) * p.q_row + h * p.width,
                       p.q_row};
    u64 kv = row_of_batch * p.kv_batch + h * p.kv_head;
    u32 reach = top + count + p.offset < p.keys ? top + count + p.offset : p.keys;
    u32 mine = top + my_place() * S::ROWS;

    if (thread_index() == 0) *broken = 0;
    load_a<S>(a, q, count, p.width, p.quads);
    float out[S::ROWS][S::OUT];
    clear(out);
    Running running[S::ROWS];
#pragma unroll
    for (u32 r = 0; r < S::ROWS; r++) running[r] = {-INFINITY, 0};

#pragma unroll 1
    for (u32 first = 0; first < reach; first += S::COLUMNS) {
        u32 here = p.keys - first < S::COLUMNS ? p.keys - first : S::COLUMNS;
        const Rows<T> k = {p.k + kv + u64(first) * p.kv_row, p.kv_row};
        const Rows<T> v = {p.v + kv + u64(first) * p.kv_row, p.kv_row};
        float s[S::ROWS][S::MINE];
        clear(s);
#pragma unroll 1
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, k, here, chunk, p.width, p.quads, broken);
            multiply_rows<S>(s, a, b, chunk, p.width);
        }
        if (p.random)
            factors_by_query<S>(w,
                                weight_mask(p.random, p.site, p.threshold, p.kept, row_of_batch, h,
                                            p.n_head, p.queries, p.keys),
                                mine, first);

#pragma unroll
        for (u32 r = 0; r < S::ROWS; r++) {
            float most = running[r].most;
#pragma unroll
            for (u32 c = 0; c < S::MINE; c++) {
                u32 column = c / 4 * 32 + my_column() + c % 4;
                // mutant: kernel_attention_keys_past_the_end
                // mutant: kernel_attention_sees_one_key_ahead
                bool seen = column < here && sees(mine + r, first + column, p.offset);
                s[r][c] = seen ? s[r][c] * p.scale : -INFINITY;
                most = maximum(most, s[r][c]);
            }
#pragma unroll
            for (u32 lanes = 4; lanes > 0; lanes /= 2)
                most = maximum(most, from_lane_xor(most, lanes));
            float base = base_of(most), shrink = exponential(running[r].most - base);
            running[r] = {most, running[r].sum * shrink};
#pragma unroll
            // mutant: kernel_attention_never_shrinks
            for (u32 n = 0; n < S::OUT; n++) out[r][n] *= shrink;
#pragma unroll
            for (u32 group = 0; group < S::COLUMNS / 32; group++) {
                Quad weights;
#pragma unroll
                for (u32 e = 0; e < 4; e++) {
                    weights.x[e] = exponential(s[r][group * 4 + e] - base);
                    running[r].sum += weights.x[e];
                }
                float* own = my_weights<S>(w, r, group);
                if (p.random) {
                    Quad factors = load_quad(own);
#pragma unroll
                    for (u32 e = 0; e < 4; e++) weights.x[e] *= factors.x[e];
                }
                store_quad(own, weights);
            }
        }
        bool all_seen = sees(top, first + S::COLUMNS - 1, p.offset);
#pragma unroll
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, v, here, chunk, p.width, p.quads, broken);
            if (all_seen || *broken == 0)
                add_product<S>(out, w, b, chunk);
            else
                add_seen<S, true>(out, w, b, chunk, mine, first, p.offset);
        }
    }

    float factor[S::ROWS];
#pragma unroll
    for (u32 r = 0; r < S::ROWS; r++) {
        float sum = running[r].sum, most = running[r].most;
#pragma unroll
        for (u32 lanes = 4; lanes > 0; lanes /= 2) sum += from_lane_xor(sum, lanes);
        // No weight at all (every score is -∞) makes 0·∞, NaN, here and -∞ + ∞ below.
        factor[r] = 1.0f / sum;
        float lse = most + (sum == 0 ? INFINITY : logarithm(sum));
        u32 i = mine + r;
        if (p.lse && lane_index() % 8 == 0 && i < p.queries) p.lse[u64(head) * p.queries + i] = lse;
    }
    T* y = p.y + (u64(row_of_batch) * p.queries + top) * (p.n_head * p.width) + h * p.width;
    store_rows<S>(y, p.n_head * p.width, count, p.width, p.quads, a, out, factor);
}
