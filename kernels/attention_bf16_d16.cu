// target: compute_80
// expects: HMMA attention_forward_bf16_d16
// expects: LDSM attention_forward_bf16_d16
// expects: LDGSTS attention_forward_bf16_d16
// Attention of bf16 heads that are 16 wide: see the headers. A file for each width, as the driver
// compiles a file as a whole when one of its kernels is first used, and a model has one width.
#include "attention_forward_bf16.cuh"

ATTENTION_FORWARD(16, 1, 64)
