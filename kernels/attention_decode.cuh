// Attention of few new positions over a cache, of any element type: a row of blocks for each query
// of each head, a stretch of keys a block. attention.cu says the rest.
//
// Eight lanes share a key, so a block has 16 keys at a time and several on their way; each such
// group keeps its own running softmax. Groups are put together in their order, then blocks, by
// `attention_decode_combine`: orders that depend on the sizes alone.
#pragma once
#include "attention.cuh"

/// What decoding is given. The new positions are in qkv, [B, T, 3C]; the caches are [B, NH, S, D].
/// `partial` has splits rows of width + 2 floats for each row of y: most, sum, Σ weight·v.
template <class T>
struct Decode {
    const T* qkv;
    T *k_cache, *v_cache, *y;
    float* partial;
    u32 n_head, queries, room, position, width, quads, stretch, splits;
    float scale;
};

/// Groups of 8 lanes in a block.
CONSTANT u32 GROUPS = THREADS / 8;

/// Running softmaxes put together: `count` rows, each of most, sum and values, `row` floats apart.
DEVICE float greatest(const float* rows, u32 count, u32 row) {
    float most = -INFINITY;
    for (u32 n = 0; n < count; n++) most = maximum(most, rows[u64(n) * row]);
    return most;
}
/// Their element `at`, in the measure of `most`.
DEVICE float together(const float* rows, u32 count, u32 row, u32 at, float most) {
    float sum = 0, base = base_of(most);
    for (u32 n = 0; n < count; n++) {
        const float* one = rows + u64(n) * row;
        // mutant: kernel_decode_groups_unweighted
        sum += exponential(one[0] - base) * one[at];
    }
    return sum;
}

/// The new key or value is read where it is new, so that only one block, the one whose query it
/// belongs to, need write it to the cache, at any time.
template <class T, u32 WIDTH>
DEVICE void attention_decode(const Decode<T>& p) {
    CONSTANT u32 QUADS = WIDTH / 32, AHEAD = WIDTH < 128 ? 128 / WIDTH : 1;
    float* rows = reinterpret_cast<float*>(dynamic_shared());
    u32 row = block_x() / p.splits, split = block_x() % p.splits;
    u32 t = row % p.queries, head = row / p.queries, b = head / p.n_head, h = head % p.n_head;
    u32 group = thread_index() / 8, reach = p.position + t + 1;
    u32 begin = split * p.stretch;
    u32 end = reach - (begin < reach ? begin : reach) < p.stretch ? reach : begin + p.stretch;
    u64 c = u64(p.n_head) * p.width;
    // Row 0 of this head's queries; its keys and values are c and 2c further.
    const T* fresh = p.qkv + u64(b) * p.queries * 3 * c + u64(h) * p.width;
    // mutant: kernel_decode_wrong_stride
    u64 cached = u64(head) * p.room * p.width;

    Quad q[QUADS], out[QUADS];
#pragma unroll
    for (u32 n = 0; n < QUADS; n++) {
        q[n] = load_of_row(fresh + t * 3 * c, n * 32 + my_column(), p.width, p.quads);
        out[n] = {{0, 0, 0, 0}};
    }
    Running running = {-INFINITY, 0};
    // The same number of steps for every lane: they meet in the sums.
#pragma unroll 1
    for (u32 first = begin; first < end; first += GROUPS * AHEAD) {
        Quad k[AHEAD][QUADS], v[AHEAD][QUADS];
#pragma unroll
        for (u32 a = 0; a < AHEAD; a++) {
            u32 j = first + a * GROUPS + group;
            bool there = j < end, is_new = j >= p.position;
            u64 new_row = is_new ? (j - p.position) * 3 * c : 0;
            u64 old_row = cached + u64(j) * p.width;
            const T* key = is_new ? fresh + c + new_row : p.k_cache + old_row;
            const T* value = is_new ? fresh + 2 * c + new_row : p.v_cache + old_row;
#pragma unroll
            for (u32 n = 0; n < QUADS; n++) {
                u32 x = n * 32 + my_column(), width = there ? p.width : 0;
                k[a][n] = load_of_row(key, x, width, p.quads);
                v[a][n] = load_of_row(value, x, width, p.quads);
            }
        }
#pragma unroll
        for (u32 a = 0; a < AHEAD; a++) {
            u32 j = first + a * GROUPS + group;
            if (j == p.position + t && j < end) {
#pragma unroll
                for (u32 n = 0; n < QUADS; n++) {
                    u32 x = n * 32 + my_column();
                    u64 at = cached + u64(j) * p.width;
                    store_of_row(p.k_cache + at, x, p.width, p.quads, k[a][n]);
                    store_of_row(p.v_cache + at, x, p.width, p.quads, v[a][n]);
                }
            }
            float s = 0;
#pragma unroll
            for (u32 n = 0; n < QUADS; n++)
#pragma unroll
                for (u32 e = 0; e < 4; e++) s += q[n].x[e] * k[a][n].x[e];
#pragma unroll
            for (u32 lanes = 4; lanes > 0; lanes /= 2) s += from_lane_xor(s, lanes);
            s = j < end ? s * p.scale : -INFINITY;
            float most = maximum(running.most, s), base = base_of(most);
            float shrink = exponential(running.most - base), weight = exponential(s - base);
            running = {most, running.sum * shrink + weight};
#pragma unroll
            for (u32 n = 0; n < QUADS; n++)
#pragma unroll
                for (u32 e = 0; e < 4; e++)
                    out[n].x[e] = out[n].x[e] * shrink + weight * v[a][n].x[e];
        }
    }

    float* mine = rows + group * (WIDTH + 4);
    if (lane_index() % 8 == 0) {
        mine[0] = running.most;
        mine[1] = running.sum;
    }
#pragma unroll
    for (u32 n = 0; n < QUADS; n++) store_quad(mine + 4 + n * 32 + my_column(), out[n]);
    block_barrier();
    float most = greatest(rows, GROUPS, WIDTH + 4);
    float sum = together(rows, GROUPS, WIDTH + 4, 1, most);
    if (p.splits == 1) {
        // No weight at all (every score is -∞) makes 0/0, NaN.
        T* y = p.y + (u64(b) * p.queries + t) * c + u64(h) * p.width;
        for (u32 x = thread_index(); x < p.width; x += THREADS)
            store(y + x, together(rows, GROUPS, WIDTH + 4, 4 + x, most) / sum);
    } else {
        float* partial = p.partial + u64(block_x()) * (p.width + 2);
        if (thread_index() == 0) {
            partial[0] = most;
            partial[1] = sum;
        }
        for (u32 x = thread_index(); x < p.width; x += THREADS)
            partial[2 + x] = together(rows, GROUPS, WIDTH + 4, 4 + x, most);
    }
}

/// y of what the blocks of a row found: a block a row.
template <class T>
DEVICE void attention_decode_combine(const float* partial, T* y, u32 n_head, u32 queries, u32 width,
                                     u32 splits) {
    u32 row = block_x(), t = row % queries, head = row / queries;
    u32 b = head / n_head, h = head % n_head;
    // mutant: kernel_decode_combines_the_first_row
    const float* rows = partial + u64(row) * splits * (width + 2);
    float most = greatest(rows, splits, width + 2);
    float sum = together(rows, splits, width + 2, 1, most);
    y += ((u64(b) * queries + t) * n_head + h) * width;
    for (u32 x = thread_index(); x < width; x += THREADS)
        store(y + x, together(rows, splits, width + 2, 2 + x, most) / sum);
}

/// Writes the new keys and values into their caches: a warp a position and head.
template <class T>
DEVICE void attention_append(const T* qkv, T* k_cache, T* v_cache, u32 rows, u32 n_head,
                             u32 queries, u32 room, u32 position, u32 width) {
    // Rows as they lie: [B, T, NH].
    u32 row = block_x() * (THREADS / 32) + warp_index();
    if (row >= rows) return;
    u32 h = row % n_head, of_batch = row / n_head, t = of_batch % queries, b = of_batch / queries;
    u64 c = u64(n_head) * width;
    const T* from = qkv + u64(of_batch) * 3 * c + u64(h) * width;
    u64 to = ((u64(b) * n_head + h) * room + position + t) * width;
    for (u32 x = lane_index(); x < width; x += 32) {
        k_cache[to + x] = from[c + x];
        v_cache[to + x] = from[2 * c + x];
    }
}
