// target: compute_75
// Embedding of f32, and the order of ids for its gradients of any type; equations, shapes and
// geometry: embedding.cuh.
#include "embedding.cuh"

EMBEDDING_FORWARD_KERNEL(f32, float)
KERNEL LAUNCH_BOUNDS(1024, 1) embedding_backward_sort(const u32* ids, u64* keys, u32 n, u32 rows,
                                                      u32 tile, u64* fault) {
    sort(ids, keys, n, rows, tile, fault);
}
KERNEL embedding_backward_rank(const u64* tiles, u64* keys, u32 n, u32 tile) {
    rank(tiles, keys, n, tile);
}
EMBEDDING_BACKWARD_KERNELS(f32, float, float)
EMBEDDING_JOIN_KERNEL(f32, float)
