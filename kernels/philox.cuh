// Philox4x32-10 and the dropout masks made of it, equal bit for bit to those of the CPU.
//
// Element e of the global batch, at `site` in the model and at a step, is kept iff lane e % 4 of
// philox(seed, [e / 4, site, step]) is at least `threshold` = rate * 2^32. A kept element is
// multiplied by `scale` = 1 / (1 - rate), a dropped one by 0. The host computes both numbers; the
// four words of `random` (seed low, seed high, step, first row) are in device memory, so that a
// recorded step draws other masks each time.
//
// A call of `philox` costs 20 wide products and about 40 other instructions for 4 elements, so
// neighbours should share one: `dropout_factors` for four that begin at a multiple of 4,
// `dropout_factor` with a `Draws` for elements that a thread visits nearly in order.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once
#include "prims.cuh"

/// Ten rounds over a counter, in place.
DEVICE void philox(u32 (&counter)[4], u32 key_0, u32 key_1) {
#pragma unroll
    for (u32 round = 0; round < 10; round++) {
        u64 product_0 = u64(0xd2511f53u) * counter[0];
        u64 product_1 = u64(0xcd9e8d57u) * counter[2];
        counter[0] = u32(product_1 >> 32) ^ counter[1] ^ key_0;
        counter[1] = u32(product_1);
        counter[2] = u32(product_0 >> 32) ^ counter[3] ^ key_1;
        counter[3] = u32(product_0);
        key_0 += 0x9e3779b9u;
        key_1 += 0xbb67ae85u;
    }
}

/// Which elements a dropout keeps.
struct DropoutMask {
    u32 key_0, key_1, site, step;
    u32 threshold;
    float scale;
};

/// The mask at a site, from the four words in device memory (aligned to 4 bytes).
DEVICE DropoutMask dropout_mask(const u32* random, u32 site, u32 threshold, float scale) {
    return {random[0], random[1], site, random[2], threshold, scale};
}
/// How many rows of the global batch come before this device's.
DEVICE u64 dropout_first_row(const u32* random) { return random[3]; }

/// The draws of elements 4 * block .. 4 * block + 4.
DEVICE void dropout_draws(u32 (&draw)[4], const DropoutMask& mask, u64 block) {
    draw[0] = u32(block);
    draw[1] = u32(block >> 32);
    draw[2] = mask.site;
    // mutant: kernel_philox_forgets_the_step
    draw[3] = mask.step;
    philox(draw, mask.key_0, mask.key_1);
}
/// What a draw says.
DEVICE float dropout_factor_of(const DropoutMask& mask, u32 draw) {
    return draw >= mask.threshold ? mask.scale : 0.0f;
}

/// The factors of elements 4 * block .. 4 * block + 4: `scale` or 0.
DEVICE void dropout_factors(float (&factor)[4], const DropoutMask& mask, u64 block) {
    u32 draw[4];
    dropout_draws(draw, mask, block);
#pragma unroll
    for (u32 i = 0; i < 4; i++) factor[i] = dropout_factor_of(mask, draw[i]);
}

/// A lane of four, without memory that is addressed.
DEVICE u32 lane_of(const u32 (&draw)[4], u32 lane) {
    u32 even = lane & 2 ? draw[2] : draw[0], odd = lane & 2 ? draw[3] : draw[1];
    return lane & 1 ? odd : even;
}

/// The draws that a thread made last, and of which block; starts with none.
struct Draws {
    u64 block = ~u64(0);
    u32 draw[4] = {0, 0, 0, 0};
};
/// The factor of any element; draws anew only when its block is not that of the last call.
DEVICE float dropout_factor(const DropoutMask& mask, Draws& last, u64 element) {
    u64 block = element / 4;
    if (block != last.block) {
        dropout_draws(last.draw, mask, block);
        last.block = block;
    }
    return dropout_factor_of(mask, lane_of(last.draw, u32(element) & 3));
}
/// The factor of one element alone.
DEVICE float dropout_factor(const DropoutMask& mask, u64 element) {
    u32 draw[4];
    dropout_draws(draw, mask, element / 4);
    return dropout_factor_of(mask, lane_of(draw, u32(element) & 3));
}
/// `x` by its factor: what is dropped is 0 even where `x` is not finite.
// mutant: kernel_dropped_infinity_is_nan
DEVICE float dropped(float x, float factor) { return factor == 0.0f ? 0.0f : x * factor; }
