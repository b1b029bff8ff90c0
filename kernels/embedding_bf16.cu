// target: compute_80
// Embedding of bf16, its gradients bf16 or f32; equations, shapes and geometry: embedding.cuh.
#include "embedding.cuh"

EMBEDDING_FORWARD_KERNEL(bf16, bf16)
EMBEDDING_BACKWARD_KERNELS(bf16, bf16, bf16)
EMBEDDING_BACKWARD_KERNELS(bf16_f32, bf16, float)
EMBEDDING_JOIN_KERNEL(bf16, bf16)
