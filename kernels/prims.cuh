// Device primitives, each one small function: nothing else in this folder writes `asm` or names an
// intrinsic. On a GPU they are the instructions below; on the CPU shim (SHIM_CPU) the same names
// come from crates/backend-cuda/shim/shim.h, with the same register layouts.
//
// Rules that make both worlds agree:
//   - shared memory is dynamic, by one name (`dynamic_shared`), its size chosen by the launcher;
//   - functions marked "warp" are called by all 32 lanes, `block_barrier` by all threads of a block;
//   - blocks are multiples of 32 threads;
//   - 16-byte accesses are aligned to 16 bytes.
// Instructions: PTX ISA 8.4, https://docs.nvidia.com/cuda/archive/12.4.1/parallel-thread-execution/
#pragma once
#ifdef SHIM_CPU
#include "shim.h"
#else

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

/// A bfloat16: the upper half of a float.
struct __align__(2) bf16 {
    u16 bits;
};
/// Sixteen bytes, moved at once.
struct __align__(16) Bytes16 {
    u32 word[4];
};
/// Eight bytes, moved at once.
struct __align__(8) Bytes8 {
    u32 word[2];
};

#define DEVICE __device__ __forceinline__
#define CONSTANT static constexpr
#define KERNEL extern "C" __global__ void
/// At most this many threads a block, and at least so many blocks a multiprocessor.
#define LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)

/// Nothing here; the shim stops at an address that is not a multiple.
DEVICE const void* check_aligned(const void* at, u32) { return at; }
DEVICE void* check_aligned(void* at, u32) { return at; }

// ---- where this thread stands

DEVICE u32 thread_index() { return threadIdx.x; }
DEVICE u32 block_threads() { return blockDim.x; }
DEVICE u32 block_x() { return blockIdx.x; }
DEVICE u32 block_y() { return blockIdx.y; }
DEVICE u32 block_z() { return blockIdx.z; }
DEVICE u32 grid_x() { return gridDim.x; }
DEVICE u32 grid_y() { return gridDim.y; }
DEVICE u32 lane_index() { return threadIdx.x % 32; }
DEVICE u32 warp_index() { return threadIdx.x / 32; }

// ---- shared memory and waiting

/// The block's shared memory, aligned to 128 bytes; as large as the launcher asked for.
DEVICE u8* dynamic_shared() {
    extern __shared__ __align__(128) u8 memory[];
    return memory;
}
/// All threads of the block arrive, and see what the others wrote.
DEVICE void block_barrier() { __syncthreads(); }
/// Warp: all lanes arrive, and see what the others wrote.
DEVICE void warp_barrier() { __syncwarp(); }
/// What this thread wrote before is seen by other blocks before what it writes after.
DEVICE void device_fence() { __threadfence(); }

// ---- between lanes (warp)

DEVICE float from_lane(float x, u32 lane) { return __shfl_sync(0xffffffffu, x, lane); }
DEVICE u32 from_lane(u32 x, u32 lane) { return __shfl_sync(0xffffffffu, x, lane); }
DEVICE float from_lane_xor(float x, u32 mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
DEVICE u32 from_lane_xor(u32 x, u32 mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }

// ---- integers

/// Upper half of the product.
DEVICE u32 multiply_high(u32 a, u32 b) { return __umulhi(a, b); }
DEVICE u32 bits_of(float x) { return __float_as_uint(x); }
DEVICE float float_of(u32 bits) { return __uint_as_float(bits); }
/// The old value; `at` becomes the smaller of it and `x`.
DEVICE u64 atomic_min(u64* at, u64 x) { return atomicMin(at, x); }
/// The old value; `at` grows by `x`.
DEVICE u32 atomic_add(u32* at, u32 x) { return atomicAdd(at, x); }

// ---- floats; none of these is compiled to an approximation unless its name says so

DEVICE float fused_multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
/// Product and sum, each rounded, never fused: where bits must equal another program's.
DEVICE float multiply_rounded(float a, float b) { return __fmul_rn(a, b); }
DEVICE float add_rounded(float a, float b) { return __fadd_rn(a, b); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE float logarithm(float x) { return logf(x); }
DEVICE float hyperbolic_tangent(float x) { return tanhf(x); }
DEVICE float error_function(float x) { return erff(x); }
DEVICE float square_root(float x) { return sqrtf(x); }
DEVICE float absolute(float x) { return fabsf(x); }
/// The greater one that is a number.
DEVICE float maximum(float a, float b) { return fmaxf(a, b); }
DEVICE float minimum(float a, float b) { return fminf(a, b); }
DEVICE bool is_nan(float x) { return x != x; }
DEVICE bool is_finite(float x) { return absolute(x) < INFINITY; }
/// 2^x, with a relative error of 2^-22.
DEVICE float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// ---- bfloat16

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
/// Two floats rounded to nearest even, `low` in the lower half.
DEVICE u32 pack_bf16(float low, float high) {
#if __CUDA_ARCH__ >= 800
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#else
    u32 pair[2] = {__float_as_uint(low), __float_as_uint(high)};
    for (int i = 0; i < 2; i++) {
        bool nan = (pair[i] & 0x7fffffffu) > 0x7f800000u;
        pair[i] = nan ? 0x7fffu : (pair[i] + 0x7fffu + ((pair[i] >> 16) & 1u)) >> 16;
    }
    return pair[0] | pair[1] << 16;
#endif
}
DEVICE float low_half(u32 pair) { return __uint_as_float(pair << 16); }
DEVICE float high_half(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

// ---- half precision, as bits

DEVICE float half_value(u16 bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
/// Rounds to nearest even.
DEVICE u16 half_bits(float x) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

// ---- copies from global to shared memory that run beside the computation (compute_80)

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }
#if __CUDA_ARCH__ >= 800
/// Sixteen bytes, zeros unless `valid`; both addresses aligned to 16. Arrives at `wait_copies`.
DEVICE void copy_async_16(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
}
/// Four bytes, zeros unless `valid`; both addresses aligned to 4.
DEVICE void copy_async_4(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(valid ? 4 : 0)
                 : "memory");
}
/// Makes the copies since the last call one group.
DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `N` groups of this thread are under way.
template <int N>
DEVICE void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
#endif

// ---- tensor cores (warp)

/// Four 8x8 matrices of bf16 from shared memory: lane 8i+j names row j of matrix i (16 bytes,
/// aligned); lane l gets elements 2(l%4), 2(l%4)+1 of row l/4 of each.
DEVICE void load_matrix_x4(u32 (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
/// The same, each matrix transposed.
DEVICE void load_matrix_x4_transposed(u32 (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
#if __CUDA_ARCH__ >= 800
/// c += a·b for a 16x16, b 16x8 (bf16), c 16x8 (f32). Lane l holds of a: rows l/4 and l/4+8, columns
/// 2(l%4)+{0,1} and +8; of b: rows 2(l%4)+{0,1} and +8, column l/4; of c: rows l/4 and l/4+8,
/// columns 2(l%4)+{0,1}.
DEVICE void multiply_accumulate(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
#endif  // SHIM_CPU

// ---- the same for both worlds

DEVICE bf16 round_bf16(float x) {
    bf16 r;
    r.bits = (u16)pack_bf16(x, 0.0f);
    return r;
}
DEVICE void store(float* at, float x) { *at = x; }
DEVICE void store(bf16* at, float x) { *at = round_bf16(x); }
/// Sixteen aligned bytes.
DEVICE Bytes16 load_16(const void* at) { return *static_cast<const Bytes16*>(check_aligned(at, 16)); }
DEVICE void store_16(void* at, Bytes16 x) { *static_cast<Bytes16*>(check_aligned(at, 16)) = x; }
