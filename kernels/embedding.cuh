// Rows of a table by id, and their gradients.
//   forward     y[b, t] = wte[ids[b, t]] + wpe[first_position + t]
//   backward    dwte[ids[b, t]] += dy[b, t], dwpe[t] += sum over b of dy[b, t]
//
// ids: u32 [B, T], n = B * T of them; wte: [V, C]; wpe: [P, C]; y, dy: [B, T, C]. All is added in
// f32 and rounded once. An id that is not below V is noted as `position << 32 | id`, the least of
// them, and nothing is read or written for it.
//
// dwte without float atomics, every sum in a fixed order, dy read once:
//   1. `sort`: tiles of up to 4096 keys `id << 32 | position`, a block each. Keys are all
//      different, so their order does not depend on how they are sorted.
//   2. `rank`, where there are several tiles: a key's place is the number of smaller keys, found
//      in each tile by bisection. n * n / 4096 * 12 steps: made for n up to some hundred thousand.
//   3. `rows`: a warp takes 32 neighbours in that order and adds their rows of dy, each id's in
//      the order of positions, to the id's row of dwte. Where an id has rows in several warps'
//      parts, each of them leaves a partial sum (`edges`: [parts, 2, C] f32: of the id that came
//      from the part before, of the id that goes on in the next one).
//   4. `join`: adds the partial sums of an id in order.
// So the work is even however often an id occurs. dwpe: a thread adds over b, in order.
//
// `wide`: a thread takes 16 bytes of dy (all rows and pointers aligned), else one element.
// Geometry is said at each kernel; only `sort` uses shared memory. Meant to be bound by reading
// dy (rows, positions) and by latency (sort: 3 us or so, rank: the like): unmeasured.
#include "wide.cuh"

CONSTANT u32 THREADS = 256, PART = 32;

// ---- forward
// Grid: a thread for each `wide` unit of y, blocks of 256.

template <u32 W, class T>
DEVICE void forward_units(const u32* ids, const T* wte, const T* wpe, T* y, u64 units, u32 rows,
                          u32 columns, u32 seq_len, u64 first_position, u64* fault) {
    u64 at = u64(block_x()) * THREADS + thread_index();
    if (at >= units) return;
    u32 across = columns / W;
    u64 row = quotient(at, across);
    u32 column = u32(at - row * across) * W;
    u32 id = ids[row];
    if (id >= rows) {
        if (column == 0) atomic_min(fault, row << 32 | id);
        return;
    }
    float x[W];
    load_wide(x, wte + u64(id) * columns + column);
    if (wpe) {
        u64 t = first_position + (row - quotient(row, seq_len) * seq_len);
        float position[W];
        load_wide(position, wpe + t * columns + column);
#pragma unroll
        for (u32 i = 0; i < W; i++) x[i] += position[i];
    }
    store_wide(y + row * columns + column, x);
}

template <class T>
DEVICE void forward(const u32* ids, const T* wte, const T* wpe, T* y, u64 units, u32 rows,
                    u32 columns, u32 seq_len, u64 first_position, u64* fault, u32 wide) {
    if (wide)
        forward_units<WIDE<T>>(ids, wte, wpe, y, units, rows, columns, seq_len, first_position,
                               fault);
    else
        forward_units<1>(ids, wte, wpe, y, units, rows, columns, seq_len, first_position, fault);
}

// ---- backward: the order of ids

DEVICE u32 id_of(u64 key) { return u32(key >> 32); }

/// Grid: a block for every `tile` keys, a power of two of at least 64; tile / 2 threads, at most
/// 1024; shared: the keys. Bitonic: Batcher, "Sorting networks and their applications", 1968.
DEVICE void sort(const u32* ids, u64* keys, u32 n, u32 rows, u32 tile, u64* fault) {
    u64* key = reinterpret_cast<u64*>(dynamic_shared());
    u64 begin = u64(block_x()) * tile;
    for (u32 i = thread_index(); i < tile; i += block_threads()) {
        u64 at = begin + i;
        // What is past the end sorts behind all ids.
        key[i] = ~u64(0);
        if (at >= n) continue;
        u32 id = ids[at];
        key[i] = u64(id) << 32 | at;
        if (id >= rows) atomic_min(fault, at << 32 | id);
    }
    block_barrier();
    for (u32 length = 2; length <= tile; length *= 2) {
        // mutant: kernel_embedding_sort_lacks_a_step
        for (u32 apart = length / 2; apart > 0; apart /= 2) {
            for (u32 pair = thread_index(); pair < tile / 2; pair += block_threads()) {
                u32 low = (pair & ~(apart - 1)) * 2 | (pair & (apart - 1)), high = low | apart;
                bool rising = (low & length) == 0;
                u64 a = key[low], b = key[high];
                if ((a > b) == rising) {
                    key[low] = b;
                    key[high] = a;
                }
            }
            block_barrier();
        }
    }
    for (u32 i = thread_index(); i < tile; i += block_threads())
        if (begin + i < n) keys[begin + i] = key[i];
}

/// Grid: a thread a key, blocks of 256. Four tiles are searched at a time, as each step waits for
/// memory.
DEVICE void rank(const u64* tiles, u64* keys, u32 n, u32 tile) {
    constexpr u32 AT_ONCE = 4;
    u64 mine = u64(block_x()) * THREADS + thread_index();
    if (mine >= n) return;
    u64 key = tiles[mine], smaller = 0;
    for (u64 begin = 0; begin < n; begin += u64(tile) * AT_ONCE) {
        // In each tile as many keys are known to be smaller; one of length `tile` may be the last.
        u32 found[AT_ONCE] = {0, 0, 0, 0};
        for (u32 step = tile; step > 0; step /= 2) {
#pragma unroll
            for (u32 i = 0; i < AT_ONCE; i++) {
                u64 last = u64(found[i]) + step - 1, at = begin + u64(i) * tile + last;
                // mutant: kernel_embedding_rank_counts_itself
                if (last < tile && at < n && tiles[at] < key) found[i] += step;
            }
        }
#pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) smaller += found[i];
    }
    keys[smaller] = key;
}

// ---- backward: sums

/// A warp's part of the order and of the columns.
struct Part {
    u64 index;
    u32 column;
    bool inside;
};
/// Grid: a warp for every part and 32 units of columns, 8 warps a block.
template <u32 W>
DEVICE Part part_of(u32 columns) {
    u64 warp = u64(block_x()) * (THREADS / 32) + warp_index();
    u32 groups = (columns / W + 31) / 32;
    u64 index = quotient(warp, groups);
    u32 column = (u32(warp - index * groups) * 32 + lane_index()) * W;
    return {index, column, column < columns};
}

/// What `rows` and `join` need to know of a part: whether its first id came from the part before,
/// whether its last one goes on in the next.
struct Ends {
    bool from_before, goes_on;
};
DEVICE Ends ends_of(const u64* keys, u64 n, u64 part) {
    u64 first = part * PART, next = first + PART;
    return {first > 0 && id_of(keys[first - 1]) == id_of(keys[first]),
            next < n && id_of(keys[next - 1]) == id_of(keys[next])};
}

template <u32 W, class T, class G>
DEVICE void rows_units(const u64* keys, const T* dy, G* dwte, float* edges, u64 n, u32 rows,
                       u32 columns) {
    constexpr u32 AT_ONCE = 4;
    Part part = part_of<W>(columns);
    u64 begin = part.index * PART;
    if (begin >= n) return;
    Ends ends = ends_of(keys, n, part.index);
    u32 count = n - begin < PART ? u32(n - begin) : PART;
    u64 key = lane_index() < count ? keys[begin + lane_index()] : 0;
    u32 id = id_of(key), position = u32(key);
    // Whether a sum that starts with the old gradient begins at this lane's key.
    u32 before = from_lane(id, (lane_index() + 31) % 32);
    u32 begins = lane_index() == 0 ? !ends.from_before : id != before;

    float* edge = edges + part.index * 2 * columns + part.column;
    bool open = ends.from_before;
    u32 current = from_lane(id, 0);
    float sum[W];
#pragma unroll
    for (u32 i = 0; i < W; i++) sum[i] = 0.0f;
    auto finish = [&] {
        if (!part.inside) return;
        if (open)
            store_wide(edge, sum);
        else if (current < rows)
            store_wide(dwte + u64(current) * columns + part.column, sum);
    };
    for (u32 first = 0; first < count; first += AT_ONCE) {
        float value[AT_ONCE][W], old[AT_ONCE][W];
        u32 ids[AT_ONCE], starts[AT_ONCE];
#pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) {
            ids[i] = from_lane(id, first + i);
            starts[i] = from_lane(begins, first + i);
            u32 from = from_lane(position, first + i);
            bool there = part.inside && first + i < count;
            if (there) load_wide(value[i], dy + u64(from) * columns + part.column);
            if (there && starts[i] && ids[i] < rows)
                load_wide(old[i], dwte + u64(ids[i]) * columns + part.column);
        }
#pragma unroll
        for (u32 i = 0; i < AT_ONCE; i++) {
            if (first + i >= count) break;
            if (starts[i]) {
                if (first + i > 0) finish();
                open = false;
                current = ids[i];
            }
#pragma unroll
            for (u32 j = 0; j < W; j++) sum[j] = (starts[i] ? old[i][j] : sum[j]) + value[i][j];
        }
    }
    if (ends.goes_on) {
        if (part.inside) store_wide(edge + columns, sum);
    } else {
        finish();
    }
}

template <class T, class G>
DEVICE void rows(const u64* keys, const T* dy, G* dwte, float* edges, u64 n, u32 rows, u32 columns,
                 u32 wide) {
    if (wide)
        rows_units<WIDE<T>>(keys, dy, dwte, edges, n, rows, columns);
    else
        rows_units<1>(keys, dy, dwte, edges, n, rows, columns);
}

/// The part in which an id begins adds what the parts after it left.
template <u32 W, class G>
DEVICE void join_units(const u64* keys, const float* edges, G* dwte, u64 n, u32 rows,
                       u32 columns) {
    Part part = part_of<W>(columns);
    u64 last = part.index * PART + PART - 1;
    if (last >= n || !part.inside) return;
    Ends ends = ends_of(keys, n, part.index);
    u32 id = id_of(keys[last]);
    bool begins_here = !ends.from_before || id_of(keys[last + 1 - PART]) != id;
    if (!ends.goes_on || !begins_here || id >= rows) return;
    float sum[W], more[W];
    load_wide(sum, edges + (part.index * 2 + 1) * columns + part.column);
    for (u64 next = part.index + 1;; next++) {
        u64 end = next * PART + PART;
        bool goes_on = end < n && id_of(keys[end]) == id;
        load_wide(more, edges + (next * 2 + goes_on) * columns + part.column);
#pragma unroll
        // mutant: kernel_embedding_parts_not_joined
        for (u32 i = 0; i < W; i++) sum[i] += more[i];
        if (!goes_on) break;
    }
    store_wide(dwte + u64(id) * columns + part.column, sum);
}

/// `wide` here: rows of dwte are aligned to 16 bytes, and a thread takes as many of its columns.
template <class G>
DEVICE void join(const u64* keys, const float* edges, G* dwte, u64 n, u32 rows, u32 columns,
                 u32 wide) {
    if (wide)
        join_units<WIDE<G>>(keys, edges, dwte, n, rows, columns);
    else
        join_units<1>(keys, edges, dwte, n, rows, columns);
}

/// Grid: a thread for each unit of [T, C], blocks of 256.
template <u32 W, class T, class G>
DEVICE void positions_units(const T* dy, G* dwpe, u32 batch_size, u32 seq_len, u32 columns) {
    u64 at = (u64(block_x()) * THREADS + thread_index()) * W;
    u64 all = u64(seq_len) * columns;
    if (at >= all) return;
    float sum[W];
    load_wide(sum, dwpe + at);
#pragma unroll 4
    for (u32 b = 0; b < batch_size; b++) {
        float value[W];
        load_wide(value, dy + b * all + at);
#pragma unroll
        for (u32 i = 0; i < W; i++) sum[i] += value[i];
    }
    store_wide(dwpe + at, sum);
}

template <class T, class G>
DEVICE void positions(const T* dy, G* dwpe, u32 batch_size, u32 seq_len, u32 columns, u32 wide) {
    if (wide)
        positions_units<WIDE<T>>(dy, dwpe, batch_size, seq_len, columns);
    else
        positions_units<1>(dy, dwpe, batch_size, seq_len, columns);
}

// ---- the kernels

#define EMBEDDING_FORWARD_KERNEL(dtype, T)                                                        \
    KERNEL embedding_forward_##dtype(const u32* ids, const T* wte, const T* wpe, T* y, u64 units, \
                                     u32 rows, u32 columns, u32 seq_len, u64 first_position,      \
                                     u64* fault, u32 wide) {                                      \
        forward(ids, wte, wpe, y, units, rows, columns, seq_len, first_position, fault, wide);    \
    }
/// `name`: the type of dy, then that of the gradients where it is another.
#define EMBEDDING_BACKWARD_KERNELS(name, T, G)                                                  \
    KERNEL embedding_backward_rows_##name(const u64* keys, const T* dy, G* dwte, float* edges,  \
                                          u64 n, u32 v, u32 columns, u32 wide) {                \
        rows(keys, dy, dwte, edges, n, v, columns, wide);                                       \
    }                                                                                           \
    KERNEL embedding_backward_positions_##name(const T* dy, G* dwpe, u32 batch_size,            \
                                               u32 seq_len, u32 columns, u32 wide) {            \
        positions(dy, dwpe, batch_size, seq_len, columns, wide);                                \
    }
#define EMBEDDING_JOIN_KERNEL(dtype, G)                                                         \
    KERNEL embedding_backward_join_##dtype(const u64* keys, const float* edges, G* dwte, u64 n, \
                                           u32 v, u32 columns, u32 wide) {                      \
        join(keys, edges, dwte, n, v, columns, wide);                                           \
    }
