// target: compute_75
// y = x, rounded once (to nearest even) to y's type where that is narrower; from float to integer
// towards zero.
//
// n elements. Grid: a block of 256 threads for every 2048 elements, no shared memory. With
// `aligned` (pointers at multiples of four elements, 16 bytes at most) a thread moves four
// elements at once, twice; the last block, and all blocks otherwise, go one element a thread at
// a time. Copies that change no type are movement.cu's. Meant to be bound by memory: unmeasured.
#include "prims.cuh"

CONSTANT u32 THREADS = 256, TILE = THREADS * 8;

/// A half, as bits.
struct alignas(2) f16 {
    u16 bits;
};

// ---- through what

DEVICE float wide_of(float x) { return x; }
DEVICE float wide_of(bf16 x) { return to_float(x); }
DEVICE float wide_of(f16 x) { return half_value(x.bits); }
DEVICE double wide_of(double x) { return x; }
DEVICE u32 wide_of(u32 x) { return x; }
DEVICE i64 wide_of(i64 x) { return x; }

template <class W>
DEVICE void set(float& y, W x) {
    y = float(x);
}
template <class W>
DEVICE void set(double& y, W x) {
    y = double(x);
}
/// What an integer cannot hold becomes the nearest that it can, NaN becomes 0.
DEVICE void set(u32& y, float x) { y = x >= 4294967296.0f ? ~u32(0) : x > 0.0f ? u32(x) : 0; }
DEVICE void set(u32& y, i64 x) { y = x >> 32 > 0 ? ~u32(0) : x > 0 ? u32(x) : 0; }
DEVICE void set(i64& y, u32 x) { y = x; }
DEVICE void set(i64& y, float x) {
    constexpr i64 MOST = i64(~u64(0) >> 1);
    constexpr float LIMIT = 9223372036854775808.0f;
    y = is_nan(x) ? 0 : x >= LIMIT ? MOST : x < -LIMIT ? -MOST - 1 : i64(x);
}
DEVICE void set(bf16& y, float x) { y = round_bf16(x); }
DEVICE void set(f16& y, float x) { y.bits = half_bits(x); }

/// Four elements, moved at once.
template <class T>
struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) Four {
    T at[4];
};

template <class X, class Y>
DEVICE void cast(const X* x, Y* y, u64 n, u32 aligned) {
    u64 begin = u64(block_x()) * TILE, end = begin + TILE;
    if (aligned && end <= n) {
        Four<X> from[2];
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            const X* at = x + begin + (i * THREADS + thread_index()) * 4;
            from[i] = *static_cast<const Four<X>*>(check_aligned((const void*)at, alignof(Four<X>)));
        }
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            Four<Y> to;
#pragma unroll
            for (u32 j = 0; j < 4; j++) set(to.at[j], wide_of(from[i].at[j]));
            Y* at = y + begin + (i * THREADS + thread_index()) * 4;
            *static_cast<Four<Y>*>(check_aligned((void*)at, alignof(Four<Y>))) = to;
        }
        return;
    }
    for (u64 at = begin + thread_index(); at < n && at < end; at += THREADS)
        set(y[at], wide_of(x[at]));
}

#define CAST_KERNEL(from, X, to, Y)                                              \
    KERNEL cast_##from##_##to(const X* x, Y* y, u64 n, u32 aligned) {            \
        cast(x, y, n, aligned);                                                  \
    }
CAST_KERNEL(f32, float, bf16, bf16)
CAST_KERNEL(f32, float, f16, f16)
CAST_KERNEL(f32, float, f64, double)
CAST_KERNEL(f32, float, u32, u32)
CAST_KERNEL(f32, float, i64, i64)
CAST_KERNEL(bf16, bf16, f32, float)
CAST_KERNEL(bf16, bf16, f16, f16)
CAST_KERNEL(bf16, bf16, f64, double)
CAST_KERNEL(f16, f16, f32, float)
CAST_KERNEL(f16, f16, bf16, bf16)
CAST_KERNEL(f16, f16, f64, double)
CAST_KERNEL(f64, double, f32, float)
CAST_KERNEL(u32, u32, f32, float)
CAST_KERNEL(u32, u32, f64, double)
CAST_KERNEL(u32, u32, i64, i64)
CAST_KERNEL(i64, i64, f64, double)
CAST_KERNEL(i64, i64, u32, u32)
