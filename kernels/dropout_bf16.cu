// target: compute_80
// Dropout of bf16; equation, shapes and geometry: dropout.cuh.
#include "dropout.cuh"

KERNEL dropout_bf16(const bf16* x, bf16* y, const u32* random, u64 n, u64 row, u32 site,
                    u32 threshold, float scale, u32 aligned) {
    dropout(x, y, random, n, row, site, threshold, scale, aligned);
}
