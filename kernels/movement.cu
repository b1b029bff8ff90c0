// target: compute_75
// Copies that change the place of elements, not their bits, for units of 2, 4, 8 and 16 bytes:
//   move_rows      y[r, i] = x[r, i], rows lying `stride` units apart: Slice, Concat, plain copies
//   permute_rows   axes in another order where the last one stays last
//   permute_tiles  axes in another order where the last one does not
//
// A unit is an element, or as much of a row as the host found to be aligned everywhere. All
// sizes and strides are in units. No shared memory but permute_tiles's. Meant to be bound by
// memory; permute_tiles of 2-byte units uses half a cache line at a time. Unmeasured.
#include "prims.cuh"

CONSTANT u32 THREADS = 256;

/// The shim stops if the host's choice of unit does not fit the addresses.
template <class T>
DEVICE void check_units(const T* x, T* y) {
    check_aligned((const void*)x, sizeof(T));
    check_aligned((void*)y, sizeof(T));
}

// ---- rows
// Grid: a block of 256 threads for every 1024 units. One quotient for a thread's four units,
// of 32 bits where that will do.

template <class T>
DEVICE void move_rows(const T* x, T* y, u64 n, u64 width, u64 x_stride, u64 y_stride) {
    constexpr u32 EACH = 4;
    check_units(x, y);
    u64 at = u64(block_x()) * (THREADS * EACH) + thread_index();
    if (at >= n) return;
    bool narrow = n >> 32 == 0;
    u64 row = narrow ? u32(at) / u32(width) : at / width;
    u64 column = at - row * width;
    u64 rows_on = narrow ? THREADS / u32(width) : THREADS / width;
    u64 columns_on = THREADS - rows_on * width;
    T unit[EACH];
    u64 to[EACH];
#pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        to[i] = row * y_stride + column;
        if (at + i * THREADS < n) unit[i] = x[row * x_stride + column];
        row += rows_on;
        column += columns_on;
        if (column >= width) {
            column -= width;
            row++;
        }
    }
#pragma unroll
    for (u32 i = 0; i < EACH; i++)
        if (at + i * THREADS < n) y[to[i]] = unit[i];
}

#define MOVE_ROWS_KERNEL(name, T)                                                     \
    KERNEL name(const T* x, T* y, u64 n, u64 width, u64 x_stride, u64 y_stride) {     \
        move_rows(x, y, n, width, x_stride, y_stride);                                \
    }
MOVE_ROWS_KERNEL(move_rows_2, u16)
MOVE_ROWS_KERNEL(move_rows_4, u32)
MOVE_ROWS_KERNEL(move_rows_8, Bytes8)
MOVE_ROWS_KERNEL(move_rows_16, Bytes16)

// ---- axes in another order, whole rows
// y is [length 0, length 1, length 2, width], n units; a step along axis i of y is one of
// `stride_i` in x. Grid: one thread a unit, blocks of 256.

template <class T>
DEVICE void permute_rows(const T* x, T* y, u32 n, u32 width, u32 length_2, u32 length_1,
                         u64 stride_2, u64 stride_1, u64 stride_0) {
    check_units(x, y);
    u32 at = block_x() * THREADS + thread_index();
    if (at >= n) return;
    u32 row = at / width, column = at - row * width;
    u32 above = row / length_2, i_2 = row - above * length_2;
    u32 i_0 = above / length_1, i_1 = above - i_0 * length_1;
    y[at] = x[i_0 * stride_0 + i_1 * stride_1 + i_2 * stride_2 + column];
}

#define PERMUTE_ROWS_KERNEL(name, T)                                                        \
    KERNEL name(const T* x, T* y, u32 n, u32 width, u32 length_2, u32 length_1, u64 stride_2, \
                u64 stride_1, u64 stride_0) {                                               \
        permute_rows(x, y, n, width, length_2, length_1, stride_2, stride_1, stride_0);     \
    }
PERMUTE_ROWS_KERNEL(permute_rows_2, u16)
PERMUTE_ROWS_KERNEL(permute_rows_4, u32)
PERMUTE_ROWS_KERNEL(permute_rows_8, Bytes8)
PERMUTE_ROWS_KERNEL(permute_rows_16, Bytes16)

// ---- axes in another order, by tiles
// The `columns` are the axis along which x's units are neighbours, the `rows` that along which
// y's are; two more axes are outside. Grid: one block of 256 threads a tile of 32x32, tiles of
// columns first, then of rows, then the inner and the outer of the other axes; shared: a tile of
// 33 units a row, so that neither a row nor a column of it meets a bank twice.

template <class T>
DEVICE void permute_tiles(const T* x, T* y, u32 rows, u32 columns, u32 inner, u64 x_row,
                          u64 y_column, u64 x_inner, u64 y_inner, u64 x_outer, u64 y_outer) {
    constexpr u32 SIDE = 32;
    T* tile = (T*)dynamic_shared();
    u32 tiles_across = (columns + SIDE - 1) / SIDE, tiles_down = (rows + SIDE - 1) / SIDE;
    u32 above = block_x() / tiles_across, column = block_x() % tiles_across * SIDE;
    u32 row = above % tiles_down * SIDE;
    above /= tiles_down;
    x += above % inner * x_inner + above / inner * x_outer;
    y += above % inner * y_inner + above / inner * y_outer;
    u32 lane = lane_index();
    for (u32 i = warp_index(); i < SIDE; i += THREADS / 32)
        if (row + i < rows && column + lane < columns)
            tile[i * (SIDE + 1) + lane] = x[(row + i) * x_row + column + lane];
    block_barrier();
    for (u32 i = warp_index(); i < SIDE; i += THREADS / 32)
        if (column + i < columns && row + lane < rows)
            // mutant: kernel_permute_tile_rows_of_two_lengths
            y[(column + i) * y_column + row + lane] = tile[lane * (SIDE + 1) + i];
}

#define PERMUTE_TILES_KERNEL(name, T)                                                         \
    KERNEL name(const T* x, T* y, u32 rows, u32 columns, u32 inner, u64 x_row, u64 y_column,  \
                u64 x_inner, u64 y_inner, u64 x_outer, u64 y_outer) {                         \
        permute_tiles(x, y, rows, columns, inner, x_row, y_column, x_inner, y_inner, x_outer, \
                      y_outer);                                                               \
    }
PERMUTE_TILES_KERNEL(permute_tiles_2, u16)
PERMUTE_TILES_KERNEL(permute_tiles_4, u32)
PERMUTE_TILES_KERNEL(permute_tiles_8, Bytes8)
