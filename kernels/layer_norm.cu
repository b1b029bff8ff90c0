// target: compute_75
// Layer normalisation of f32 rows: see layer_norm.cuh.
#include "layer_norm.cuh"

LAYER_NORM_KERNELS(f32, float, 4)
