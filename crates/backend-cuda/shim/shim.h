// The CPU shim: what kernels/prims.cuh offers, for g++. A block's threads are fibers on one host
// thread; they run one after the other from one waiting point to the next, in an order that the
// device's seed decides, so that a missing barrier shows.
//
// What makes it strict, compared with a GPU that happens to be kind:
//   - shared memory is NaN before each block, and watched for writes past its end;
//   - asynchronous copies land when they are waited for, not when they are asked for;
//   - a warp's function must be reached by all 32 lanes, a barrier by all threads of the block;
//   - 16-byte accesses must be aligned.
// What the driver may be strict about, `fake_cuda.cpp` is.
// What it cannot show: speed, bank conflicts, the memory model between blocks, and the rounding inside
// tensor cores and `ex2.approx`.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct alignas(2) bf16 {
    u16 bits;
};
struct alignas(16) Bytes16 {
    u32 word[4];
};
struct alignas(8) Bytes8 {
    u32 word[2];
};

#define DEVICE static inline
#define CONSTANT static constexpr
#define KERNEL static void
#define LAUNCH_BOUNDS(threads, blocks)
#define __restrict__ __restrict

namespace shim {

constexpr u32 LANES = 32;

[[noreturn]] void stop(const char* what);

struct Dim3 {
    u32 x = 1, y = 1, z = 1;
};

/// A copy asked for and not yet waited for.
struct Copy {
    void* to;
    u32 size;
    u8 bytes[16];
};

/// A thread of the block.
struct Fiber {
    void* stack_pointer = nullptr;
    u8* stack = nullptr;
    u32 index = 0;
    bool done = false;
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
};

/// Where a warp's lanes meet: each leaves some bytes, then sees those of all.
struct Warp {
    u8 left[2][LANES][64];
    u32 arrived = 0;
    u32 meetings = 0;
};

struct Block {
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    u32 live = 0;
    u32 arrived = 0;
    u32 barriers = 0;
    Dim3 index, size, grid;
    u8* shared = nullptr;
    std::function<void()> body;
    void* scheduler = nullptr;
    Fiber* current = nullptr;
};

extern thread_local Block* block;

/// Goes on with the next thread.
void yield();
void block_barrier();
/// Leaves `size` bytes for the warp and gives those of all lanes.
const u8 (*meet(const void* bytes, u32 size))[64];

/// Runs a kernel's blocks. `order` 0 runs threads and blocks as numbered, odd ones in a random order,
/// even ones a random warp as far ahead of the others as it gets.
void launch(const char* name, Dim3 grid, Dim3 size, size_t shared_bytes, std::function<void()> body,
            u64 order);

// ---- kernels by name

/// A kernel's call, and its arguments that are pointers.
struct Call {
    std::function<void()> run;
    std::vector<const void*> pointers;
};
/// Makes the call of a kernel from the driver's array of pointers to arguments.
typedef std::function<Call(void**)> Bind;
std::map<std::string, Bind>& kernels();
/// The registers of a thread, by kernel: the most that the report has for any architecture.
const std::map<std::string, u32>& registers();

template <class A>
void note_pointer(Call& call, A argument) {
    if constexpr (std::is_pointer_v<A>) call.pointers.push_back(argument);
}

template <class... A, size_t... I>
Call bind_arguments(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    std::tuple<A...> copied{*static_cast<std::remove_const_t<A>*>(args[I])...};
    Call call{[=] { std::apply(kernel, copied); }, {}};
    (note_pointer(call, std::get<I>(copied)), ...);
    return call;
}
template <class... A>
int add_kernel(const char* name, void (*kernel)(A...)) {
    kernels()[name] = [=](void** args) {
        return bind_arguments(kernel, args, std::index_sequence_for<A...>{});
    };
    return 0;
}
}  // namespace shim

#define SHIM_ADD_KERNEL(kernel) static int shim_added_##kernel = shim::add_kernel(#kernel, kernel);

// ---- where this thread stands

DEVICE u32 thread_index() { return shim::block->current->index; }
DEVICE u32 block_threads() { return shim::block->size.x; }
DEVICE u32 block_x() { return shim::block->index.x; }
DEVICE u32 block_y() { return shim::block->index.y; }
DEVICE u32 block_z() { return shim::block->index.z; }
DEVICE u32 grid_x() { return shim::block->grid.x; }
DEVICE u32 grid_y() { return shim::block->grid.y; }
DEVICE u32 lane_index() { return thread_index() % 32; }
DEVICE u32 warp_index() { return thread_index() / 32; }

// ---- shared memory and waiting

DEVICE u8* dynamic_shared() { return shim::block->shared; }
DEVICE void block_barrier() { shim::block_barrier(); }
DEVICE void warp_barrier() {
    u32 nothing = 0;
    shim::meet(&nothing, 4);
}
DEVICE void device_fence() {}

template <class P>
DEVICE P* check_aligned(P* at, u32 bytes) {
    if (reinterpret_cast<uintptr_t>(at) % bytes) shim::stop("an address is not aligned");
    return at;
}

// ---- between lanes

template <class T>
DEVICE T shim_from_lane(T x, u32 lane) {
    auto left = shim::meet(&x, sizeof(T));
    T r;
    memcpy(&r, left[lane % 32], sizeof(T));
    return r;
}
DEVICE float from_lane(float x, u32 lane) { return shim_from_lane(x, lane); }
DEVICE u32 from_lane(u32 x, u32 lane) { return shim_from_lane(x, lane); }
DEVICE float from_lane_xor(float x, u32 mask) { return shim_from_lane(x, lane_index() ^ mask); }
DEVICE u32 from_lane_xor(u32 x, u32 mask) { return shim_from_lane(x, lane_index() ^ mask); }

// ---- integers

DEVICE u32 multiply_high(u32 a, u32 b) { return u32((u64(a) * b) >> 32); }
DEVICE u32 bits_of(float x) {
    u32 r;
    memcpy(&r, &x, 4);
    return r;
}
DEVICE float float_of(u32 bits) {
    float r;
    memcpy(&r, &bits, 4);
    return r;
}
DEVICE u64 atomic_min(u64* at, u64 x) {
    u64 old = *at;
    if (x < old) *at = x;
    return old;
}
DEVICE u32 atomic_add(u32* at, u32 x) {
    u32 old = *at;
    *at = old + x;
    return old;
}

// ---- floats (the kernels are compiled with -ffp-contract=off: what is not said to be fused is not)

DEVICE float fused_multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float multiply_rounded(float a, float b) { return a * b; }
DEVICE float add_rounded(float a, float b) { return a + b; }
DEVICE float exponential(float x) { return expf(x); }
DEVICE float logarithm(float x) { return logf(x); }
DEVICE float hyperbolic_tangent(float x) { return tanhf(x); }
DEVICE float error_function(float x) { return erff(x); }
DEVICE float square_root(float x) { return sqrtf(x); }
DEVICE float absolute(float x) { return fabsf(x); }
DEVICE float maximum(float a, float b) { return fmaxf(a, b); }
DEVICE float minimum(float a, float b) { return fminf(a, b); }
DEVICE bool is_nan(float x) { return x != x; }
DEVICE bool is_finite(float x) { return fabsf(x) < INFINITY; }
/// Flushes as `ex2.approx.ftz` does.
DEVICE float exp2_approximate(float x) {
    float y = exp2f(x);
    return y < 1.17549435e-38f ? 0.0f : y;
}

// ---- bfloat16

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return float_of(u32(x.bits) << 16); }
DEVICE u32 shim_bf16_bits(float x) {
    u32 b = bits_of(x);
    return x != x ? 0x7fffu : (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
}
DEVICE u32 pack_bf16(float low, float high) {
    return shim_bf16_bits(low) | shim_bf16_bits(high) << 16;
}
DEVICE float low_half(u32 pair) { return float_of(pair << 16); }
DEVICE float high_half(u32 pair) { return float_of(pair & 0xffff0000u); }

// ---- half precision, as bits

DEVICE float half_value(u16 bits) {
    u32 sign = u32(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    float size = exponent == 31  ? float_of(0x7f800000u | fraction << 13)
                 : exponent == 0 ? ldexpf(float(fraction), -24)
                                 : float_of((exponent + 112) << 23 | fraction << 13);
    return float_of(bits_of(size) | sign);
}
/// Among the halves, whose bits are ordered as they are, the nearest; of two the even one.
DEVICE u16 half_bits(float x) {
    u16 sign = u16(bits_of(x) >> 16 & 0x8000);
    if (x != x) return 0x7fff;
    float size = fabsf(x);
    // Half way between the greatest half and what would follow it; that one's bits are infinity's.
    if (size >= 65520.0f) return sign | 0x7c00;
    int exponent = size < 6.103515625e-5f ? -14 : ilogbf(size);
    // In units of the last place; default rounding is to nearest even.
    float units = nearbyintf(ldexpf(size, 10 - exponent));
    return sign | u16((exponent + 14) * 1024 + int(units));
}

// ---- asynchronous copies: the source is read when asked for, the target written when waited for

DEVICE void shim_copy(void* shared, const void* global, bool valid, u32 size) {
    check_aligned(shared, size);
    if (valid) check_aligned(global, size);
    shim::Copy copy{shared, size, {}};
    if (valid) memcpy(copy.bytes, global, size);
    shim::block->current->open.push_back(copy);
}
DEVICE void copy_async_16(void* shared, const void* global, bool valid) {
    shim_copy(shared, global, valid, 16);
}
DEVICE void copy_async_4(void* shared, const void* global, bool valid) {
    shim_copy(shared, global, valid, 4);
}
DEVICE void commit_copies() {
    shim::Fiber& fiber = *shim::block->current;
    fiber.groups.push_back(std::move(fiber.open));
    fiber.open.clear();
}
template <int N>
DEVICE void wait_copies() {
    auto& groups = shim::block->current->groups;
    while (groups.size() > size_t(N)) {
        for (auto& copy : groups.front()) memcpy(copy.to, copy.bytes, copy.size);
        groups.erase(groups.begin());
    }
}

// ---- tensor cores

DEVICE void shim_load_matrix(u32 (&r)[4], const void* row, bool transposed) {
    check_aligned(row, 16);
    auto rows = shim::meet(&row, sizeof row);
    u32 lane = lane_index();
    for (u32 matrix = 0; matrix < 4; matrix++) {
        u32 halves[2];
        for (u32 half = 0; half < 2; half++) {
            u32 pair = lane % 4 * 2 + half;
            u32 i = transposed ? pair : lane / 4, j = transposed ? lane / 4 : pair;
            const u16* from;
            memcpy(&from, rows[matrix * 8 + i], sizeof from);
            halves[half] = from[j];
        }
        r[matrix] = halves[0] | halves[1] << 16;
    }
    // No lane may overwrite the rows before all have read them.
    warp_barrier();
}
DEVICE void load_matrix_x4(u32 (&r)[4], const void* row) { shim_load_matrix(r, row, false); }
DEVICE void load_matrix_x4_transposed(u32 (&r)[4], const void* row) {
    shim_load_matrix(r, row, true);
}
DEVICE void multiply_accumulate(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    u32 mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    auto left = shim::meet(mine, sizeof mine);
    auto half_of = [](u32 pair, u32 upper) { return upper ? high_half(pair) : low_half(pair); };
    u32 lane = lane_index();
    for (u32 at = 0; at < 4; at++) {
        u32 i = lane / 4 + at / 2 * 8, j = lane % 4 * 2 + at % 2;
        float sum = c[at];
        for (u32 k = 0; k < 16; k++) {
            u32 a_words[6], b_words[6];
            memcpy(a_words, left[i % 8 * 4 + k % 8 / 2], sizeof a_words);
            memcpy(b_words, left[j * 4 + k % 8 / 2], sizeof b_words);
            sum += half_of(a_words[i / 8 + k / 8 * 2], k % 2) * half_of(b_words[4 + k / 8], k % 2);
        }
        c[at] = sum;
    }
}
