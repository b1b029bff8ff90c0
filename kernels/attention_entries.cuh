// The entries of attention.cu and attention_plain_bf16.cu: each template under one name for an
// element type and a width that heads are padded to. Three blocks a multiprocessor leave a thread
// 168 registers.
#pragma once
#include "attention_backward.cuh"
#include "attention_decode.cuh"

#define ATTENTION_FORWARD(T, TYPE, width, rows, columns)                                           \
    KERNEL LAUNCH_BOUNDS(THREADS, 3)                                                               \
    attention_forward_plain_##TYPE##_d##width(                                                           \
        const T* q, const T* k, const T* v, T* y, float* lse, const u32* random, u64 kv_head,      \
        u64 kv_batch, u32 q_row, u32 kv_row, u32 n_head, u32 queries, u32 keys, u32 head_width,    \
        u32 offset, u32 quads, float scale, u32 site, u32 threshold, float kept) {                 \
        attention_forward<Tiles<width, rows, columns>>(                                            \
            Forward<T>{q, k, v, y, lse, random, kv_head, kv_batch, q_row, kv_row, n_head, queries, \
                       keys, head_width, offset, quads, scale, site, threshold, kept});            \
    }

#define ATTENTION_BACKWARD(T, pass, TYPE, width, rows, columns)                                    \
    KERNEL LAUNCH_BOUNDS(THREADS, 3)                                                               \
    pass##_##TYPE##_d##width(const T* qkv, const T* dy, const float* lse, const float* delta,      \
                             T* dqkv, const u32* random, u32 n_head, u32 seq_len, u32 head_width,  \
                             u32 offset, u32 quads, float scale, u32 site, u32 threshold,          \
                             float kept) {                                                         \
        pass<Tiles<width, rows, columns>>(Backward<T>{qkv, dy, lse, delta, dqkv, random, n_head,   \
                                                      seq_len, head_width, offset, quads, scale,   \
                                                      site, threshold, kept});                     \
    }

#define ATTENTION_DECODE(T, TYPE, width)                                                           \
    KERNEL LAUNCH_BOUNDS(THREADS, 2)                                                               \
    attention_decode_##TYPE##_d##width(const T* qkv, T* k_cache, T* v_cache, T* y, float* partial, \
                                       u32 n_head, u32 queries, u32 room, u32 position,            \
                                       u32 head_width, u32 quads, u32 stretch, u32 splits,         \
                                       float scale) {                                              \
        attention_decode<T, width>(Decode<T>{qkv, k_cache, v_cache, y, partial, n_head, queries,   \
                                             room, position, head_width, quads, stretch, splits,   \
                                             scale});                                              \
    }

/// All entries of an element type, TYPE as their names have it.
#define ATTENTION_ENTRIES(T, TYPE)                                                                 \
    ATTENTION_FORWARD(T, TYPE, 64, 4, 64)                                                          \
    ATTENTION_FORWARD(T, TYPE, 128, 4, 32)                                                         \
    ATTENTION_FORWARD(T, TYPE, 256, 2, 32)                                                         \
    ATTENTION_BACKWARD(T, attention_backward_kv, TYPE, 64, 4, 32)                                  \
    ATTENTION_BACKWARD(T, attention_backward_kv, TYPE, 128, 2, 32)                                 \
    ATTENTION_BACKWARD(T, attention_backward_kv, TYPE, 256, 1, 32)                                 \
    ATTENTION_BACKWARD(T, attention_backward_q, TYPE, 64, 4, 32)                                   \
    ATTENTION_BACKWARD(T, attention_backward_q, TYPE, 128, 2, 32)                                  \
    ATTENTION_BACKWARD(T, attention_backward_q, TYPE, 256, 1, 32)                                  \
    ATTENTION_DECODE(T, TYPE, 32)                                                                  \
    ATTENTION_DECODE(T, TYPE, 64)                                                                  \
    ATTENTION_DECODE(T, TYPE, 128)                                                                 \
    ATTENTION_DECODE(T, TYPE, 256)                                                                 \
    KERNEL attention_delta_##TYPE(const T* y, const T* dy, float* delta, u32 rows, u32 n_head,     \
                                  u32 seq_len, u32 width) {                                        \
        attention_delta(y, dy, delta, rows, n_head, seq_len, width);                               \
    }                                                                                              \
    KERNEL attention_decode_combine_##TYPE(const float* partial, T* y, u32 n_head, u32 queries,    \
                                           u32 width, u32 splits) {                                \
        attention_decode_combine(partial, y, n_head, queries, width, splits);                      \
    }                                                                                              \
    KERNEL attention_append_##TYPE(const T* qkv, T* k_cache, T* v_cache, u32 rows, u32 n_head,     \
                                   u32 queries, u32 room, u32 position, u32 width) {               \
        attention_append(qkv, k_cache, v_cache, rows, n_head, queries, room, position, width);     \
    }
