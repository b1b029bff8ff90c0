// target: compute_75
// Functions of f32, one or two at a time; equations, geometry: elementwise.cuh.
#include "elementwise.cuh"

ELEMENTWISE_KERNELS(f32, float)
