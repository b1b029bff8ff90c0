// Dropout of attention's weights in the layout of tensor cores (see attention_tiles_bf16.cuh): weight
// (b, h, i, j) is element ((first_row + b)·NH + h)·T + i)·T + j of the mask.
//
// One call of Philox serves four neighbouring keys of a query. Where T is a multiple of 4 these lie
// in one tile, in several lanes, so each lane draws for some of its own elements and some of its
// neighbours', and they exchange bits. Elsewhere each lane draws for each of its elements.
#pragma once
#include "attention_tiles_bf16.cuh"
#include "philox.cuh"

/// The mask of one head; `on` is false where nothing is dropped.
struct Drops {
    bool on;
    DropoutMask mask;
    /// The element of query 0, key 0.
    u64 first;
    u32 seq_len;
};

/// Of this block's head; `random` is null where nothing is dropped.
DEVICE Drops drops_of_head(const u32* random, u32 site, u32 threshold, float scale, u32 seq_len) {
    Drops drops = {random != nullptr, {0, 0, 0, 0, 0, 1.0f}, 0, seq_len};
    if (drops.on) {
        drops.mask = dropout_mask(random, site, threshold, scale);
        u64 head = (dropout_first_row(random) + block_z()) * grid_y() + block_y();
        drops.first = head * seq_len * seq_len;
    }
    return drops;
}

DEVICE u64 element_of(const Drops& drops, u32 query, u32 key) {
    return drops.first + u64(query) * drops.seq_len + key;
}

/// 0, or 1 / (1 - rate).
DEVICE float drop_factor(const Drops& drops, u32 query, u32 key) {
    return drops.on ? dropout_factor(drops.mask, element_of(drops, query, key)) : 1.0f;
}

/// Which of the elements 4·block .. 4·block + 4 are kept, a bit each.
DEVICE u32 kept_of_block(const Drops& drops, u64 block) {
    u32 draw[4];
    dropout_draws(draw, drops.mask, block);
    u32 kept = 0;
#pragma unroll
    for (u32 i = 0; i < 4; i++) kept |= u32(draw[i] >= drops.mask.threshold) << i;
    return kept;
}

/// Whether bit 4n + e of a word says that element [n][e] is kept.
DEVICE bool is_kept(u32 kept, u32 n, u32 e) { return kept >> (4 * n + e) & 1; }

/// The bits of 16 rows from `row` on and 8·N columns from `column` on, for `is_kept`. Rows are
/// queries and columns keys, or, if `KEYS`, rows are keys and columns queries.
template <u32 N, bool KEYS>
DEVICE u32 kept_bits(const Drops& drops, u32 row, u32 column) {
    static_assert(N <= 8, "a word has 32 bits");
    u32 lane = lane_index(), mine = 0;
    if (drops.seq_len % 4 != 0) {
#pragma unroll 1
        for (u32 bit = 0; bit < 4 * N; bit++) {
            u32 r = row + row_of(0, bit % 4), c = column + column_of(bit / 4, bit % 4);
            u64 element = KEYS ? element_of(drops, c, r) : element_of(drops, r, c);
            mine |= (kept_of_block(drops, element / 4) >> (element % 4) & 1) << bit;
        }
        return mine;
    }
    if (KEYS) {
        // Lanes t = 0..4 of a group hold keys 4g + t of the same queries: lane t draws for element
        // e = t of each [n], all four keys; then each takes its key's bit from each lane.
        u32 t = lane / 4 % 4;
        // mutant: kernel_tensor_backward_draws_of_other_keys
        u32 key = row + lane / 16 * 4 + t / 2 * 8;
#pragma unroll 1
        for (u32 n = 0; n < N; n++) {
            u64 element = element_of(drops, column + column_of(n, t), key);
            mine |= kept_of_block(drops, element / 4) << (4 * n);
        }
        u32 bits = 0;
#pragma unroll
        for (u32 e = 0; e < 4; e++) {
            u32 theirs = from_lane(mine, (lane & ~12u) | e << 2);
            bits |= (theirs >> t & 0x11111111u) << e;
        }
        return bits;
    }
    // Two lanes hold four neighbouring keys: the even one draws for even [n], both rows, the odd one
    // for odd [n]. Nibble n of a word is then for [n & ~1] or [n | 1], row n % 2.
    u32 odd = lane % 2;
    u32 key = column + lane % 4 / 2 * 4 + 8 * odd;
#pragma unroll 1
    for (u32 n = 0; n < N; n++) {
        // mutant: kernel_tensor_attention_draws_of_other_keys
        u64 element = element_of(drops, row + row_of(0, n % 2 * 2), key + n / 2 * 16);
        mine |= kept_of_block(drops, element / 4) << (4 * n);
    }
    u32 theirs = from_lane_xor(mine, 1);
    // The even lane holds keys 0, 1 of the four and the odd one keys 2, 3.
    u32 of_even = odd ? theirs >> 2 : mine, of_odd = odd ? mine >> 2 : theirs;
    return (of_even & 0x03030303u) | (of_even >> 2 & 0x0c0c0c0cu) | (of_odd << 4 & 0x30303030u) |
           (of_odd << 2 & 0xc0c0c0c0u);
}
