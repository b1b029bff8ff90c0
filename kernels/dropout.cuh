// y = x * keep / (1 - rate), elements numbered over the global batch; see philox.cuh.
//
// x, y: [B, ...], n elements, a row (all that belongs to one of B) having `row`; random: u32 [4].
// Grid: a block of 256 threads for every 256 * 16 bytes, no shared memory. Each call of Philox
// serves four elements. One rounding, that of the product; nothing is added up.
//
// With `aligned` (x and y at multiples of 16 bytes, `row` a multiple of 4, so that the first
// element begins a Philox block) a thread moves 16 bytes at once. Meant to be bound by memory on
// bf16, not far from it on f32: unmeasured.
#include "philox.cuh"
#include "wide.cuh"

template <class T>
DEVICE void dropout(const T* x, T* y, const u32* random, u64 n, u64 row, u32 site, u32 threshold,
                    float scale, u32 aligned) {
    constexpr u32 THREADS = 256, TILE = THREADS * WIDE<T>;
    DropoutMask mask = dropout_mask(random, site, threshold, scale);
    u64 first = dropout_first_row(random) * row;
    u64 begin = u64(block_x()) * TILE;
    if (aligned && begin + TILE <= n) {
        u64 at = begin + thread_index() * WIDE<T>;
        float value[WIDE<T>], factor[4];
        load_wide(value, x + at);
#pragma unroll
        for (u32 i = 0; i < WIDE<T>; i++) {
            if (i % 4 == 0) dropout_factors(factor, mask, (first + at + i) / 4);
            value[i] = dropped(value[i], factor[i % 4]);
        }
        store_wide(y + at, value);
        return;
    }
    u64 from = first + begin, to = first + (begin + TILE < n ? begin + TILE : n);
    for (u64 block = from / 4 + thread_index(); block * 4 < to; block += THREADS) {
        float factor[4];
        dropout_factors(factor, mask, block);
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            u64 element = block * 4 + i;
            // mutant: kernel_dropout_one_more
            if (element < from || element >= to) continue;
            store(y + (element - first), dropped(to_float(x[element - first]), factor[i]));
        }
    }
}
