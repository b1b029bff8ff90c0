// Attention backward, of any element type; attention.cu says what it computes. Weights are computed
// again from lse, twice: once by blocks of keys (dk, dv), once by blocks of queries (dq), so that
// each gradient is one block's own sum and nothing is added atomically.
#pragma once
#include "attention.cuh"

/// What the passes over tiles are given. Rows of q, k and v (and of their gradients) are 3C
/// elements apart; dy is [B, T, C], lse and delta [B, NH, T]. Query i sees keys j <= i + offset.
/// `random` may be null.
template <class T>
struct Backward {
    const T *qkv, *dy;
    const float *lse, *delta;
    T* dqkv;
    const u32* random;
    u32 n_head, seq_len, width, offset, quads;
    float scale;
    u32 site, threshold;
    float kept;
};

/// Where a head's rows are, and which of them this block has.
struct Place {
    u32 b, h, top, count;
    /// Elements of a row of y, C; a row of qkv is 3C.
    u32 c;
    /// The head's first row in qkv and in dy; its first entry in lse and delta.
    u64 start, dy_start;
    u32 statistics;
};
template <class S, class T>
DEVICE Place backward_place(const Backward<T>& p, bool last_first) {
    u32 blocks = (p.seq_len + S::BLOCK_ROWS - 1) / S::BLOCK_ROWS;
    u32 head = block_x() / blocks, block = block_x() % blocks;
    u32 top = (last_first ? blocks - 1 - block : block) * S::BLOCK_ROWS;
    u32 b = head / p.n_head, h = head % p.n_head, c = p.n_head * p.width;
    u32 count = p.seq_len - top < S::BLOCK_ROWS ? p.seq_len - top : S::BLOCK_ROWS;
    u64 before = u64(b) * p.seq_len * c;
    // mutant: kernel_attention_backward_wrong_head
    return {b, h, top, count, c, 3 * before + h * p.width, before + h * p.width,
            head * p.seq_len};
}
/// A part of qkv, and dy, from row `first` of this head on.
template <class T>
DEVICE Rows<T> part(const Backward<T>& p, const Place& at, u32 which, u32 first) {
    return {p.qkv + at.start + which * at.c + u64(first) * (3 * at.c), 3 * at.c};
}
template <class T>
DEVICE Rows<T> dy_rows(const Backward<T>& p, const Place& at, u32 first) {
    return {p.dy + at.dy_start + u64(first) * at.c, at.c};
}
/// Where the gradients of this block's rows begin.
template <class T>
DEVICE T* gradient(const Backward<T>& p, const Place& at, u32 which) {
    return p.dqkv + at.start + which * at.c + u64(at.top) * (3 * at.c);
}
template <class T>
DEVICE WeightMask backward_mask(const Backward<T>& p, const Place& at) {
    return weight_mask(p.random, p.site, p.threshold, p.kept, at.b, at.h, p.n_head, p.seq_len,
                       p.seq_len);
}

/// delta = Σ dy·y of each row and head: a warp each, a lane every 32nd element, then in pairs.
template <class T>
DEVICE void attention_delta(const T* y, const T* dy, float* delta, u32 rows, u32 n_head,
                            u32 seq_len, u32 width) {
    // Rows as they lie: [B, T, NH].
    u32 row = block_x() * (THREADS / 32) + warp_index();
    if (row >= rows) return;
    u64 start = u64(row) * width;
    float sum = 0;
    for (u32 x = lane_index(); x < width; x += 32)
        sum += to_float(dy[start + x]) * to_float(y[start + x]);
#pragma unroll
    for (u32 lanes = 16; lanes > 0; lanes /= 2) sum += from_lane_xor(sum, lanes);
    u32 position = row / n_head, h = row % n_head;
    u32 b = position / seq_len, i = position % seq_len;
    if (lane_index() == 0) delta[(u64(b) * n_head + h) * seq_len + i] = sum;
}

/// dk and dv of a block of keys: rows are keys, columns queries.
template <class S, class T>
DEVICE void attention_backward_kv(const Backward<T>& p) {
    float* a_k = reinterpret_cast<float*>(dynamic_shared());
    float *a_v = a_k + S::A, *b = a_v + S::A, *w = b + S::B;
    float *lse = w + S::W, *delta = lse + S::COLUMNS;
    u32* broken = reinterpret_cast<u32*>(delta + S::COLUMNS);
    const Place at = backward_place<S>(p, false);
    u32 mine = at.top + my_place() * S::ROWS;

    if (thread_index() == 0) *broken = 0;
    load_a<S>(a_k, part(p, at, 1, at.top), at.count, p.width, p.quads);
    load_a<S>(a_v, part(p, at, 2, at.top), at.count, p.width, p.quads);
    float dk[S::ROWS][S::OUT], dv[S::ROWS][S::OUT];
    clear(dk);
    clear(dv);

#pragma unroll 1
    for (u32 first = at.top > p.offset ? (at.top - p.offset) / S::COLUMNS * S::COLUMNS : 0;
         first < p.seq_len; first += S::COLUMNS) {
        u32 here = p.seq_len - first < S::COLUMNS ? p.seq_len - first : S::COLUMNS;
        const Rows<T> q = part(p, at, 0, first), dy = dy_rows(p, at, first);
        float s[S::ROWS][S::MINE], ds[S::ROWS][S::MINE];
        clear(s);
        clear(ds);
#pragma unroll 1
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, q, here, chunk, p.width, p.quads, broken);
            multiply_rows<S>(s, a_k, b, chunk, p.width);
        }
        // Nobody reads these since the last tile's products; the barriers of dy come before use.
        if (thread_index() < S::COLUMNS) {
            u32 i = thread_index();
            lse[i] = i < here ? p.lse[at.statistics + first + i] : 0;
            delta[i] = i < here ? p.delta[at.statistics + first + i] : 0;
        }
#pragma unroll 1
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, dy, here, chunk, p.width, p.quads, broken);
            multiply_rows<S>(ds, a_v, b, chunk, p.width);
        }
        if (p.random) {
            const WeightMask mask = backward_mask(p, at);
#pragma unroll 1
            for (u32 n = 0; n < S::MINE; n++) {
                u32 column = n / 4 * 32 + my_column() + n % 4;
                float factors[S::ROWS];
                weight_factors(factors, mask, first + column, mine);
#pragma unroll
                for (u32 r = 0; r < S::ROWS; r++)
                    my_weights<S>(w, r, n / 4)[n % 4] = factors[r];
            }
        }

        // Weights into w, gradients of scores into ds.
#pragma unroll
        for (u32 group = 0; group < S::COLUMNS / 32; group++) {
            Quad lses = load_quad(lse + group * 32 + my_column());
            Quad deltas = load_quad(delta + group * 32 + my_column());
#pragma unroll
            for (u32 r = 0; r < S::ROWS; r++) {
                float* own = my_weights<S>(w, r, group);
                Quad weights, factors = {{1, 1, 1, 1}};
                if (p.random) factors = load_quad(own);
#pragma unroll
                for (u32 e = 0; e < 4; e++) {
                    u32 n = group * 4 + e, column = group * 32 + my_column() + e;
                    bool seen = column < here && sees(first + column, mine + r, p.offset);
                    float weight = exponential(s[r][n] * p.scale - lses.x[e]);
                    // mutant: kernel_attention_backward_without_delta
                    float gradient = weight * (factors.x[e] * ds[r][n] - deltas.x[e]) * p.scale;
                    weights.x[e] = seen ? weight * factors.x[e] : 0.0f;
                    ds[r][n] = seen ? gradient : 0.0f;
                }
                store_quad(own, weights);
            }
        }

        bool all_seen = sees(first, at.top + S::BLOCK_ROWS - 1, p.offset);
#pragma unroll
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            if (S::CHUNKS > 1)
                load_b<S>(b, dy, here, chunk, p.width, p.quads, broken);
            // mutant: kernel_attention_backward_warp_does_not_wait
            else
                warp_barrier();
            if (all_seen || *broken == 0)
                add_product<S>(dv, w, b, chunk);
            else
                add_seen<S, false>(dv, w, b, chunk, mine, first, p.offset);
        }
        warp_barrier();
#pragma unroll
        for (u32 r = 0; r < S::ROWS; r++)
#pragma unroll
            for (u32 group = 0; group < S::COLUMNS / 32; group++)
                store_quad(my_weights<S>(w, r, group),
                           {{ds[r][group * 4], ds[r][group * 4 + 1], ds[r][group * 4 + 2],
                             ds[r][group * 4 + 3]}});
#pragma unroll
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, q, here, chunk, p.width, p.quads, broken);
            if (all_seen || *broken == 0)
                add_product<S>(dk, w, b, chunk);
            else
                add_seen<S, false>(dk, w, b, chunk, mine, first, p.offset);
        }
    }

    float one[S::ROWS];
#pragma unroll
    for (u32 r = 0; r < S::ROWS; r++) one[r] = 1;
    store_rows<S>(gradient(p, at, 1), 3 * at.c, at.count, p.width, p.quads, a_k, dk, one);
    store_rows<S>(gradient(p, at, 2), 3 * at.c, at.count, p.width, p.quads, a_v, dv, one);
}

/// dq of a block of queries: rows are queries, columns keys.
template <class S, class T>
DEVICE void attention_backward_q(const Backward<T>& p) {
    float* a_q = reinterpret_cast<float*>(dynamic_shared());
    float *a_dy = a_q + S::A, *b = a_dy + S::A, *w = b + S::B;
    u32* broken = reinterpret_cast<u32*>(w + S::W);
    const Place at = backward_place<S>(p, true);
    u32 mine = at.top + my_place() * S::ROWS;

    if (thread_index() == 0) *broken = 0;
    load_a<S>(a_q, part(p, at, 0, at.top), at.count, p.width, p.quads);
    load_a<S>(a_dy, dy_rows(p, at, at.top), at.count, p.width, p.quads);
    float dq[S::ROWS][S::OUT], lse[S::ROWS], delta[S::ROWS];
    clear(dq);
#pragma unroll
    for (u32 r = 0; r < S::ROWS; r++) {
        bool there = mine + r < p.seq_len;
        lse[r] = there ? p.lse[at.statistics + mine + r] : 0;
        delta[r] = there ? p.delta[at.statistics + mine + r] : 0;
    }

    u32 reach = at.top + at.count + p.offset;
    if (reach > p.seq_len) reach = p.seq_len;
#pragma unroll 1
    for (u32 first = 0; first < reach; first += S::COLUMNS) {
        u32 here = p.seq_len - first < S::COLUMNS ? p.seq_len - first : S::COLUMNS;
        const Rows<T> k = part(p, at, 1, first), v = part(p, at, 2, first);
        float s[S::ROWS][S::MINE], ds[S::ROWS][S::MINE];
        clear(s);
        clear(ds);
#pragma unroll 1
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, v, here, chunk, p.width, p.quads, broken);
            multiply_rows<S>(ds, a_dy, b, chunk, p.width);
        }
#pragma unroll 1
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            load_b<S>(b, k, here, chunk, p.width, p.quads, broken);
            multiply_rows<S>(s, a_q, b, chunk, p.width);
        }
        if (p.random) factors_by_query<S>(w, backward_mask(p, at), mine, first);

#pragma unroll
        for (u32 r = 0; r < S::ROWS; r++) {
#pragma unroll
            for (u32 group = 0; group < S::COLUMNS / 32; group++) {
                float* own = my_weights<S>(w, r, group);
                Quad gradients, factors = {{1, 1, 1, 1}};
                if (p.random) factors = load_quad(own);
#pragma unroll
                for (u32 e = 0; e < 4; e++) {
                    u32 n = group * 4 + e, column = group * 32 + my_column() + e;
                    bool seen = column < here && sees(mine + r, first + column, p.offset);
                    float weight = exponential(s[r][n] * p.scale - lse[r]);
                    float gradient = weight * (factors.x[e] * ds[r][n] - delta[r]) * p.scale;
                    gradients.x[e] = seen ? gradient : 0.0f;
                }
                store_quad(own, gradients);
            }
        }
        bool all_seen = sees(at.top, first + S::COLUMNS - 1, p.offset);
#pragma unroll
        for (u32 chunk = 0; chunk < S::CHUNKS; chunk++) {
            // The last chunk of the keys is still there.
            if (S::CHUNKS > 1)
                load_b<S>(b, k, here, chunk, p.width, p.quads, broken);
            else
                warp_barrier();
            if (all_seen || *broken == 0)
                add_product<S>(dq, w, b, chunk);
            else
                add_seen<S, true>(dq, w, b, chunk, mine, first, p.offset);
        }
    }

    float one[S::ROWS];
#pragma unroll
    for (u32 r = 0; r < S::ROWS; r++) one[r] = 1;
    store_rows<S>(gradient(p, at, 0), 3 * at.c, at.count, p.width, p.quads, a_q, dq, one);
}
