// target: compute_80
// expects: HMMA attention_forward_bf16_d128
// expects: LDSM attention_forward_bf16_d128
// expects: LDGSTS attention_forward_bf16_d128
// expects: HMMA attention_backward_keys_bf16_d128 attention_backward_queries_bf16_d128
// expects: LDSM attention_backward_keys_bf16_d128 attention_backward_queries_bf16_d128
// expects: LDGSTS attention_backward_keys_bf16_d128 attention_backward_queries_bf16_d128
// Attention of bf16 heads that are 128 wide: see the headers. A file for each width, as the driver
// compiles a file as a whole when one of its kernels is first used, and a model has one width.
#include "attention_backward_bf16.cuh"
#include "attention_forward_bf16.cuh"

// Atoms of queries, keys of a tile.
ATTENTION_FORWARD(128, 2, 32)
// Atoms of keys, queries of a tile; atoms of queries, keys of a tile.
ATTENTION_BACKWARD(128, 1, 32, 1, 32)
