// Sixteen bytes of floats at once: four f32 or eight bf16, in registers as f32. The same names with
// one element, for addresses that are not aligned, and with eight f32, which go beside eight bf16.
#pragma once
#include "prims.cuh"

/// How many elements of a type sixteen bytes hold.
template <class T>
constexpr u32 WIDE = 16 / sizeof(T);

/// `from` is aligned to 16 bytes.
DEVICE void load_wide(float (&x)[4], const float* from) {
    Bytes16 bytes = load_16(from);
#pragma unroll
    for (u32 i = 0; i < 4; i++) x[i] = float_of(bytes.word[i]);
}
DEVICE void load_wide(float (&x)[8], const bf16* from) {
    Bytes16 bytes = load_16(from);
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        x[2 * i] = low_half(bytes.word[i]);
        x[2 * i + 1] = high_half(bytes.word[i]);
    }
}
DEVICE void load_wide(float (&x)[8], const float* from) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        Bytes16 bytes = load_16(from + 4 * half);
#pragma unroll
        for (u32 i = 0; i < 4; i++) x[4 * half + i] = float_of(bytes.word[i]);
    }
}
template <class T>
DEVICE void load_wide(float (&x)[1], const T* from) {
    x[0] = to_float(*from);
}
/// Rounds to nearest even where the type is narrower; `to` is aligned to 16 bytes.
DEVICE void store_wide(float* to, const float (&x)[4]) {
    Bytes16 bytes;
#pragma unroll
    for (u32 i = 0; i < 4; i++) bytes.word[i] = bits_of(x[i]);
    store_16(to, bytes);
}
DEVICE void store_wide(bf16* to, const float (&x)[8]) {
    Bytes16 bytes;
#pragma unroll
    for (u32 i = 0; i < 4; i++) bytes.word[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
    store_16(to, bytes);
}
DEVICE void store_wide(float* to, const float (&x)[8]) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        Bytes16 bytes;
#pragma unroll
        for (u32 i = 0; i < 4; i++) bytes.word[i] = bits_of(x[4 * half + i]);
        store_16(to + 4 * half, bytes);
    }
}
template <class T>
DEVICE void store_wide(T* to, const float (&x)[1]) {
    store(to, x[0]);
}

/// a / b, by a division of 32 bits where that will do.
DEVICE u64 quotient(u64 a, u64 b) { return (a | b) >> 32 == 0 ? u32(a) / u32(b) : a / b; }
