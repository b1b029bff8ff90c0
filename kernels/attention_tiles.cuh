// Tiles of attention: a block of 128 threads holds BLOCK_ROWS rows of a head and meets COLUMNS
// others at a time. Two products are all there is:
//
//   multiply_rows   s[i][j] += a_i · b_j           rows against columns, over a chunk of the width
//   add_product     out[i] += w[i][j] · b_j        weights, rows by columns, against the columns
//
// Layout in shared memory, all f32, rows padded by four floats so that neighbouring rows begin in
// neighbouring banks:
//   a  [BLOCK_ROWS][WIDTH + 4]     what stays
//   b  [COLUMNS][CHUNK + 4]        what streams by, CHUNK elements of each row at a time
//   w  [BLOCK_ROWS][COLUMNS + 4]   weights; a warp reads only what it wrote itself
//
// A warp is 4 lanes down by 8 across. A lane has ROWS neighbouring rows and groups of four
// neighbouring columns, 32 apart, so that one Philox call serves four weights. Rows that one lane
// holds are stored COUNT / GROUP places apart (`place`): what lanes read together then lies in
// consecutive places, 16 bytes each, without bank conflicts.
//
// Every sum runs over the width, or over columns, in ascending order in one thread: an order that
// depends on the sizes alone.
#pragma once
#include "prims.cuh"

/// Threads of a block: four warps.
CONSTANT u32 THREADS = 128;

/// Four neighbouring elements.
struct Quad {
    float x[4];
};

DEVICE Quad load_quad(const float* at) {
    Bytes16 bytes = load_16(at);
    return {{float_of(bytes.word[0]), float_of(bytes.word[1]), float_of(bytes.word[2]),
             float_of(bytes.word[3])}};
}
DEVICE Quad load_quad(const bf16* at) {
    const void* aligned = check_aligned(static_cast<const void*>(at), 8);
    Bytes8 bytes = *static_cast<const Bytes8*>(aligned);
    return {{low_half(bytes.word[0]), high_half(bytes.word[0]), low_half(bytes.word[1]),
             high_half(bytes.word[1])}};
}
DEVICE void store_quad(float* at, Quad quad) {
    store_16(at, {{bits_of(quad.x[0]), bits_of(quad.x[1]), bits_of(quad.x[2]),
                   bits_of(quad.x[3])}});
}
DEVICE void store_quad(bf16* at, Quad quad) {
    void* aligned = check_aligned(static_cast<void*>(at), 8);
    *static_cast<Bytes8*>(aligned) = {
        {pack_bf16(quad.x[0], quad.x[1]), pack_bf16(quad.x[2], quad.x[3])}};
}

/// Elements x .. x + 4 of a row, zeros past its `width`. `quads`: rows begin at multiples of four
/// elements and are as wide.
template <class T>
DEVICE Quad load_of_row(const T* row, u32 x, u32 width, bool quads) {
    Quad quad = {{0, 0, 0, 0}};
    if (quads) {
        if (x < width) quad = load_quad(row + x);
    } else {
#pragma unroll
        for (u32 e = 0; e < 4; e++)
            if (x + e < width) quad.x[e] = to_float(row[x + e]);
    }
    return quad;
}
template <class T>
DEVICE void store_of_row(T* row, u32 x, u32 width, bool quads, Quad quad) {
    if (quads) {
        if (x < width) store_quad(row + x, quad);
    } else {
#pragma unroll
        for (u32 e = 0; e < 4; e++)
            if (x + e < width) store(row + x + e, quad.x[e]);
    }
}

/// Where row `row` of COUNT is stored when a lane holds GROUP neighbours.
template <u32 COUNT, u32 GROUP>
DEVICE u32 place(u32 row) {
    return row % GROUP * (COUNT / GROUP) + row / GROUP;
}

/// A head of a tensor: row i begins at start + i·row.
template <class T>
struct Rows {
    const T* start;
    u32 row;
};

/// Heads are padded to `WIDTH_` elements; a lane has `ROWS_` rows, a tile `COLUMNS_` columns.
template <u32 WIDTH_, u32 ROWS_, u32 COLUMNS_>
struct Tiles {
    CONSTANT u32 WIDTH = WIDTH_, ROWS = ROWS_, COLUMNS = COLUMNS_;
    CONSTANT u32 BLOCK_ROWS = 16 * ROWS;
    CONSTANT u32 CHUNK = WIDTH < 64 ? WIDTH : 64, CHUNKS = WIDTH / CHUNK;
    CONSTANT u32 A_ROW = WIDTH + 4, B_ROW = CHUNK + 4, W_ROW = COLUMNS + 4;
    CONSTANT u32 A = BLOCK_ROWS * A_ROW, B = COLUMNS * B_ROW, W = BLOCK_ROWS * W_ROW;
    /// Of a lane: columns, and elements of an output row.
    CONSTANT u32 MINE = COLUMNS / 8, OUT = WIDTH / 8;
    /// From one row of a lane to the next, in places.
    CONSTANT u32 APART = BLOCK_ROWS / ROWS;
};

/// The place of this lane's first row; its rows are ROWS neighbours of the block.
DEVICE u32 my_place() { return warp_index() * 4 + lane_index() / 8; }
/// The first of this lane's four columns in each 32, or elements of an output row.
DEVICE u32 my_column() { return lane_index() % 8 * 4; }

/// Copies rows to shared memory, elements x .. x + N of each, zeros past `count` rows and past
/// `width`. False where something is not finite.
template <u32 COUNT, u32 GROUP, u32 N, u32 TO_ROW, class T>
DEVICE bool copy_rows(float* to, Rows<T> from, u32 count, u32 x, u32 width, bool quads) {
    // A thread has one column of quads, and every STEP-th row.
    CONSTANT u32 STEP = THREADS / (N / 4);
    static_assert(COUNT % STEP == 0 && STEP % GROUP == 0, "steps are the same for all threads");
    u32 row = thread_index() / (N / 4), at = thread_index() % (N / 4) * 4;
    const T* source = from.start + u64(row) * from.row;
    to += place<COUNT, GROUP>(row) * TO_ROW + at;
    x += at;
    float poison = 0;  // 0·x is NaN where x is not finite
    if (quads) {
        // Seen from here rows past the end have no elements.
        if (x >= width) count = 0;
        source += x;
#pragma unroll
        for (u32 step = 0; step < COUNT / STEP; step++) {
            Quad quad = {{0, 0, 0, 0}};
            if (row + step * STEP < count) quad = load_quad(source);
            source += u64(STEP * from.row);
            store_quad(to + step * (STEP / GROUP) * TO_ROW, quad);
#pragma unroll
            for (u32 e = 0; e < 4; e++) poison += quad.x[e] * 0;
        }
    } else {
#pragma unroll 1
        for (u32 step = 0; step < COUNT / STEP; step++) {
            Quad quad = {{0, 0, 0, 0}};
            if (row + step * STEP < count) quad = load_of_row(source, x, width, false);
            source += u64(STEP * from.row);
            store_quad(to + step * (STEP / GROUP) * TO_ROW, quad);
#pragma unroll
            for (u32 e = 0; e < 4; e++) poison += quad.x[e] * 0;
        }
    }
    return poison == 0;
}
/// The rows that stay, whole.
template <class S, class T>
DEVICE void load_a(float* a, Rows<T> from, u32 count, u32 width, bool quads) {
    copy_rows<S::BLOCK_ROWS, S::ROWS, S::WIDTH, S::A_ROW>(a, from, count, 0, width, quads);
}
/// A chunk of the rows that stream by. The block waits before it, until what was there is no longer
/// read, and after it. `broken` becomes 1 where something is not finite.
template <class S, class T>
DEVICE void load_b(float* b, Rows<T> from, u32 count, u32 chunk, u32 width, bool quads,
                   u32* broken) {
    // mutant: kernel_attention_tile_overwritten
    block_barrier();
    u32 x = chunk * S::CHUNK;
    if (!copy_rows<S::COLUMNS, 4, S::CHUNK, S::B_ROW>(b, from, count, x, width, quads)) *broken = 1;
    block_barrier();
}

/// s += a·bᵀ over a chunk; past `width` there are zeros, of which most are passed over.
template <class S>
DEVICE void multiply_rows(float (&s)[S::ROWS][S::MINE], const float* a, const float* b, u32 chunk,
                          u32 width) {
    a += my_place() * S::A_ROW + chunk * S::CHUNK;
    b += lane_index() % 8 * S::B_ROW;
    u32 left = width > chunk * S::CHUNK ? width - chunk * S::CHUNK : 0;
    if (left > S::CHUNK) left = S::CHUNK;
#pragma unroll 1
    for (u32 x = 0; x < left; x += 8) {
#pragma unroll
        for (u32 y = 0; y < 8; y += 4) {
            Quad qa[S::ROWS];
#pragma unroll
            for (u32 r = 0; r < S::ROWS; r++)
                qa[r] = load_quad(a + r * S::APART * S::A_ROW + x + y);
#pragma unroll
            for (u32 c = 0; c < S::MINE; c++) {
                u32 at = c % 4 * (S::COLUMNS / 4) + c / 4 * 8;
                Quad qb = load_quad(b + at * S::B_ROW + x + y);
#pragma unroll
                for (u32 r = 0; r < S::ROWS; r++)
#pragma unroll
                    for (u32 e = 0; e < 4; e++) s[r][c] += qa[r].x[e] * qb.x[e];
            }
        }
    }
}

/// out += w·b for the elements of a chunk.
template <class S>
DEVICE void add_product(float (&out)[S::ROWS][S::OUT], const float* w, const float* b, u32 chunk) {
    w += my_place() * S::W_ROW;
    b += my_column();
#pragma unroll 1
    for (u32 group = 0; group < S::COLUMNS / 4; group++) {
        Quad qw[S::ROWS];
#pragma unroll
        for (u32 r = 0; r < S::ROWS; r++)
            qw[r] = load_quad(w + r * S::APART * S::W_ROW + group * 4);
#pragma unroll
        for (u32 e = 0; e < 4; e++) {
#pragma unroll
            for (u32 n = 0; n < S::CHUNK / 32; n++) {
                Quad qb = load_quad(b + (e * (S::COLUMNS / 4) + group) * S::B_ROW + n * 32);
#pragma unroll
                for (u32 r = 0; r < S::ROWS; r++)
#pragma unroll
                    for (u32 k = 0; k < 4; k++)
                        out[r][chunk * S::CHUNK / 8 + n * 4 + k] += qw[r].x[e] * qb.x[k];
            }
        }
    }
}
/// Whether a query sees a key: earlier ones, its own, and `offset` later ones.
DEVICE bool sees(u32 query, u32 key, u32 offset) { return key <= query + offset; }
/// As `add_product`, but queries meet the keys that they see only: what is hidden must not come in
/// as 0·∞. Slower, and seldom needed. `row` and `column` number this lane's first row and the
/// tile's first column; rows are queries, or else columns are.
template <class S, bool ROWS_ARE_QUERIES>
DEVICE void add_seen(float (&out)[S::ROWS][S::OUT], const float* w, const float* b, u32 chunk,
                     u32 row, u32 column, u32 offset) {
    w += my_place() * S::W_ROW;
    b += my_column();
#pragma unroll 1
    for (u32 c = 0; c < S::COLUMNS; c++) {
#pragma unroll
        for (u32 n = 0; n < S::CHUNK / 32; n++) {
            Quad qb = load_quad(b + place<S::COLUMNS, 4>(c) * S::B_ROW + n * 32);
#pragma unroll
            for (u32 r = 0; r < S::ROWS; r++) {
                bool seen = ROWS_ARE_QUERIES ? sees(row + r, column + c, offset)
                                             : sees(column + c, row + r, offset);
                if (!seen) continue;
                float weight = w[r * S::APART * S::W_ROW + c];
#pragma unroll
                for (u32 k = 0; k < 4; k++)
                    out[r][chunk * S::CHUNK / 8 + n * 4 + k] += weight * qb.x[k];
            }
        }
    }
}

/// This lane's own four weights of its row r in a group of 32 columns.
template <class S>
DEVICE float* my_weights(float* w, u32 r, u32 group) {
    return w + (r * S::APART + my_place()) * S::W_ROW + group * 32 + my_column();
}

template <u32 N, u32 M>
DEVICE void clear(float (&x)[N][M]) {
#pragma unroll
    for (u32 n = 0; n < N; n++)
#pragma unroll
        for (u32 m = 0; m < M; m++) x[n][m] = 0;
}

/// Writes a warp's part of the first `count` rows of an output; row r of a lane is multiplied by
/// factor[r]. They go through `a`, so that a warp writes whole rows; what it held of this warp's
/// rows is lost.
template <class S, class T>
DEVICE void store_rows(T* to, u32 to_row, u32 count, u32 width, bool quads, float* a,
                       const float (&out)[S::ROWS][S::OUT], const float (&factor)[S::ROWS]) {
    // All lanes have met since they last read `a`: each product is between two meetings.
#pragma unroll
    for (u32 r = 0; r < S::ROWS; r++)
#pragma unroll
        for (u32 n = 0; n < S::WIDTH / 32; n++) {
            Quad quad;
#pragma unroll
            for (u32 k = 0; k < 4; k++) quad.x[k] = out[r][n * 4 + k] * factor[r];
            store_quad(a + (r * S::APART + my_place()) * S::A_ROW + n * 32 + my_column(), quad);
        }
    // mutant: kernel_attention_warp_does_not_wait
    warp_barrier();
    u32 first = warp_index() * 4 * S::ROWS;
#pragma unroll 1
    for (u32 n = lane_index(); n < S::ROWS * S::WIDTH; n += 32) {
        u32 row = first + n / (S::WIDTH / 4), x = n % (S::WIDTH / 4) * 4;
        Quad quad = load_quad(a + place<S::BLOCK_ROWS, S::ROWS>(row) * S::A_ROW + x);
        if (row < count) store_of_row(to + u64(row) * to_row, x, width, quads, quad);
    }
}
