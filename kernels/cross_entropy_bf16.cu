// target: compute_80
// Cross-entropy of bf16 logits: see cross_entropy.cuh.
#include "cross_entropy.cuh"

CROSS_ENTROPY_KERNELS(bf16, bf16, 8)
