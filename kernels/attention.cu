// target: compute_75
// Attention in f32, forward, backward and over a cache: heads of any width up to 256.
//
//   forward    s = scale·q·kᵀ,  p = softmax(s),  y = (p·m)·v,  lse = log Σ exp s
//   backward   δ = Σ dy·y,  p = exp(s - lse),  dv = (p·m)ᵀ·dy,  ds = p·(m·(dy·vᵀ) - δ)·scale,
//              dq = ds·k,  dk = dsᵀ·q
//   decode     k, v of new positions into the cache; y = softmax(scale·q·kᵀ)·v over the cache
//
// m are the factors of dropout (0 or 1/(1 - rate), philox.cuh), 1 without it. Causal attention sees
// keys j <= i; tiles that are hidden as a whole are not computed.
//
//   qkv, dqkv         [B, T, 3C]     q, k, v side by side, heads of width D = C / NH within each
//   y, dy             [B, T, C]
//   lse, delta        [B, NH, T]     f32
//   k_cache, v_cache  [B, NH, S, D]
//
// Entries, for heads up to d = 64, 128 and 256 (narrower ones are padded with zeros, which change no
// bit), blocks of 128 threads in a row; a block's rows, the columns it meets at a time, its shared
// memory in bytes:
//
//   d                                    64            128           256
//   attention_forward_f32_d              64x64 52228   64x32 51716   32x32 46596
//   attention_backward_kv_f32_d          64x32 52996   32x32 47364   16x32 44548
//   attention_backward_q_f32_d           64x32 52740   32x32 47108   16x32 44292
//     one block a block of rows of each head: B·NH·ceil(T / rows)
//
//   d                                    32            64            128           256
//   attention_decode_f32_d               2304          4352          8448          16640
//     B·NH·T blocks, times the stretches that keys are cut into
//
//   attention_delta_f32, attention_append_f32: a warp a row of a head
//   attention_decode_combine_f32: a block a row of a head
//
// Forward is one pass over the keys with a running softmax (attention.cuh). Backward computes the
// weights again in two passes, by blocks of keys and by blocks of queries, seven products for five,
// so that nothing is added atomically (attention_backward.cuh). Decoding reads the cache once for
// each of up to eight positions, in stretches of keys that a second kernel puts together
// (attention_decode.cuh); more positions go through forward's tiles.
//
// All is computed in f32 with exact exponentials. Sums over the width and over the columns of a
// tile ascend in one thread, sums of a row's weights are one lane's first, then of lanes 4, 2 and 1
// apart: the same order, and bits, each time. What is not finite goes where the meaning lets it go:
// hidden pairs are passed over, not multiplied by 0. Values of which a row's sum overflows before
// it is divided (|v| near 3e38 / T) become infinite.
//
// Bound by arithmetic in f32: for four elements of the width a lane multiplies 4 rows by 8 columns
// (4 by 4 in backward) and reads 16 bytes 12 (8) times; three blocks share a multiprocessor. Should
// reach half of the f32 peak where d is 64, and decoding the memory's speed where the cache is
// long. Not measured.
//
// Sources: Dao et al. 2022, arXiv 2205.14135 (tiles, running softmax); Dao 2023, arXiv 2307.08691
// (blocks of queries and of keys as separate sums); Dao et al. 2023, "Flash-Decoding" (stretches).
#include "attention_entries.cuh"

ATTENTION_ENTRIES(float, f32)
