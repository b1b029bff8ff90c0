// target: compute_80
// Functions of bf16, one or two at a time; equations, geometry: elementwise.cuh.
#include "elementwise.cuh"

ELEMENTWISE_KERNELS(bf16, bf16)
