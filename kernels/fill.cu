// target: compute_75
// y = value, for elements of 2, 4 and 8 bytes: Fill of any number type.
// Grid: one thread an element, blocks of 256.
#include "prims.cuh"

template <class T>
DEVICE void fill(T* y, u64 n, u64 bits) {
    u64 i = u64(block_x()) * block_threads() + thread_index();
    if (i < n) y[i] = T(bits);
}

KERNEL fill_2(u16* y, u64 n, u64 bits) { fill(y, n, bits); }
KERNEL fill_4(u32* y, u64 n, u64 bits) { fill(y, n, bits); }
KERNEL fill_8(u64* y, u64 n, u64 bits) { fill(y, n, bits); }
