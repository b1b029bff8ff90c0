// The scheduler: fibers, barriers, meetings of a warp.
#include "shim.h"

#include <algorithm>
#include <numeric>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#endif

// Saves this fiber's registers and stack pointer and takes up another's (x86-64, System V).
extern "C" void shim_switch(void** save, void* load);
asm(R"(
.text
.globl shim_switch
shim_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
)");

namespace shim {

thread_local Block* block;
static thread_local const char* running = "";

constexpr size_t STACK = 128 << 10;
/// Watched bytes after the shared memory.
constexpr size_t FENCE = 256;
constexpr u8 FENCE_BYTE = 0xA5;

void stop(const char* what) {
    fprintf(stderr, "cpu-shim: %s: %s (block %u,%u,%u)\n", running, what, block ? block->index.x : 0,
            block ? block->index.y : 0, block ? block->index.z : 0);
    fflush(stderr);
    abort();
}

std::map<std::string, Bind>& kernels() {
    static std::map<std::string, Bind> all;
    return all;
}

void yield() { shim_switch(&block->current->stack_pointer, block->scheduler); }

void block_barrier() {
    Block& b = *block;
    if (b.live != b.size.x) stop("a barrier that a thread has left behind by returning");
    u32 mine = b.barriers;
    if (++b.arrived == b.live) {
        b.arrived = 0;
        b.barriers++;
    }
    while (b.barriers == mine) yield();
}

const u8 (*meet(const void* bytes, u32 size))[64] {
    Block& b = *block;
    u32 index = b.current->index;
    Warp& warp = b.warps[index / LANES];
    u32 mine = warp.meetings;
    // Two rows of places in turn: a lane that runs ahead does not disturb those still reading.
    memcpy(warp.left[mine % 2][index % LANES], bytes, size);
    if (++warp.arrived == LANES) {
        warp.arrived = 0;
        warp.meetings++;
    }
    while (warp.meetings == mine) yield();
    return warp.left[mine % 2];
}

static void run_fiber() {
    block->body();
    Fiber& fiber = *block->current;
    if (!fiber.open.empty() || !fiber.groups.empty()) stop("a copy that nobody waited for");
    fiber.done = true;
    block->live--;
    yield();
    stop("a finished thread was run");
}

static void prepare(Block& b) {
    b.warps.assign(b.size.x / LANES, Warp{});
    b.live = b.size.x;
    b.arrived = b.barriers = 0;
    for (u32 i = 0; i < b.size.x; i++) {
        Fiber& fiber = b.fibers[i];
        fiber.index = i;
        fiber.done = false;
        // A finished thread never returned from its frames, which the sanitizer still guards.
        ASAN_UNPOISON_MEMORY_REGION(fiber.stack, STACK);
        void** top = reinterpret_cast<void**>(fiber.stack + STACK - 64);
        *--top = nullptr;  // keeps the stack aligned as a call would
        *--top = reinterpret_cast<void*>(run_fiber);
        for (int saved = 0; saved < 6; saved++) *--top = nullptr;
        fiber.stack_pointer = top;
    }
}

/// A small generator for orders (xorshift64).
struct Shuffle {
    u64 state;
    explicit Shuffle(u64 order) : state(order * 0x9E3779B97F4A7C15ull + 1) {}
    void operator()(std::vector<u32>& all) {
        for (size_t i = all.size(); i > 1; i--) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            std::swap(all[i - 1], all[state % i]);
        }
    }
};

/// Barriers and meetings of all warps so far.
static u64 met(const Block& b) {
    u64 sum = b.barriers;
    for (auto& warp : b.warps) sum += warp.meetings;
    return sum;
}

/// Lets a thread go on to its next waiting point.
static void run(Block& b, u32 thread) {
    if (b.fibers[thread].done) return;
    b.current = &b.fibers[thread];
    shim_switch(&b.scheduler, b.fibers[thread].stack_pointer);
}

/// Lets the threads of a warp go on until all wait for the block, or are done: so far ahead of the
/// others does a warp get that is never kept waiting.
static void run_ahead(Block& b, u32 warp, Shuffle& shuffle) {
    std::vector<u32> order(LANES);
    std::iota(order.begin(), order.end(), warp * LANES);
    u64 live, meetings;
    do {
        live = b.live;
        meetings = met(b);
        shuffle(order);
        for (u32 thread : order) run(b, thread);
    } while (live != b.live || meetings != met(b));
}

/// Order 0 runs threads as numbered, odd orders all of the block mixed, even ones a warp as far as it
/// gets and then another.
static void run_block(Block& b, u64 order, Shuffle& shuffle) {
    prepare(b);
    block = &b;
    std::vector<u32> threads(b.size.x), warps(b.size.x / LANES);
    std::iota(threads.begin(), threads.end(), 0);
    std::iota(warps.begin(), warps.end(), 0);
    u32 idle_rounds = 0;
    while (b.live > 0) {
        u64 live = b.live, meetings = met(b);
        if (order == 0 || order % 2 == 1) {
            if (order) shuffle(threads);
            for (u32 thread : threads) run(b, thread);
        } else {
            shuffle(warps);
            for (u32 warp : warps) run_ahead(b, warp, shuffle);
        }
        idle_rounds = live == b.live && meetings == met(b) ? idle_rounds + 1 : 0;
        if (idle_rounds > 2)
            stop("threads wait for each other for ever: a barrier or a warp's function is not reached by all");
    }
}

void launch(const char* name, Dim3 grid, Dim3 size, size_t shared_bytes, std::function<void()> body,
            u64 order) {
    running = name;
    if (size.y != 1 || size.z != 1 || size.x % LANES || size.x == 0 || size.x > 1024)
        stop("a block must be a multiple of 32 threads, at most 1024, in one row");
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
        stop("a grid's size is out of range");
    Block b;
    b.grid = grid;
    b.size = size;
    b.body = std::move(body);
    size_t room = (shared_bytes + FENCE + 127) / 128 * 128;
    b.shared = static_cast<u8*>(aligned_alloc(128, room));
    b.fibers.resize(size.x);
    // Stacks are kept: most of a small kernel's time would go into fresh pages.
    static thread_local std::vector<u8*> stacks;
    while (stacks.size() < size.x) stacks.push_back(static_cast<u8*>(aligned_alloc(64, STACK)));
    for (u32 i = 0; i < size.x; i++) b.fibers[i].stack = stacks[i];

    Shuffle shuffle(order);
    u64 blocks = u64(grid.x) * grid.y * grid.z;
    std::vector<u32> numbers(blocks);
    std::iota(numbers.begin(), numbers.end(), 0);
    if (order) shuffle(numbers);
    for (u32 number : numbers) {
        b.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
        memset(b.shared, 0xff, shared_bytes);  // NaN in every float type
        memset(b.shared + shared_bytes, FENCE_BYTE, room - shared_bytes);
        run_block(b, order, shuffle);
        for (size_t i = shared_bytes; i < room; i++)
            if (b.shared[i] != FENCE_BYTE) stop("a write past the end of shared memory");
    }
    free(b.shared);
    block = nullptr;
}
}  // namespace shim
