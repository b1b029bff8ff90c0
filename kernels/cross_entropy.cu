// target: compute_75
// Cross-entropy of f32 logits: see cross_entropy.cuh.
#include "cross_entropy.cuh"

CROSS_ENTROPY_KERNELS(f32, float, 4)
