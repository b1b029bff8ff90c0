// target: compute_75
// Dropout of f32; equation, shapes and geometry: dropout.cuh.
#include "dropout.cuh"

KERNEL dropout_f32(const float* x, float* y, const u32* random, u64 n, u64 row, u32 site,
                   u32 threshold, float scale, u32 aligned) {
    dropout(x, y, random, n, row, site, threshold, scale, aligned);
}
