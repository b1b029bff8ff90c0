// target: compute_80
// expects: HMMA attention_forward_bf16_d32
// expects: LDSM attention_forward_bf16_d32
// expects: LDGSTS attention_forward_bf16_d32
// expects: HMMA attention_backward_keys_bf16_d32 attention_backward_queries_bf16_d32
// expects: LDSM attention_backward_keys_bf16_d32 attention_backward_queries_bf16_d32
// expects: LDGSTS attention_backward_keys_bf16_d32 attention_backward_queries_bf16_d32
// Attention of bf16 heads that are 32 wide: see the headers. A file for each width, as the driver
// compiles a file as a whole when one of its kernels is first used, and a model has one width.
#include "attention_backward_bf16.cuh"
#include "attention_forward_bf16.cuh"

// Atoms of queries, keys of a tile.
ATTENTION_FORWARD(32, 2, 64)
// Atoms of keys, queries of a tile; atoms of queries, keys of a tile.
ATTENTION_BACKWARD(32, 2, 32, 2, 32)
