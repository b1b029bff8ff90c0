// What the parts of the fake libcuda share: `fake_cuda.cpp` has devices, memory and kernels,
// `fake_streams.cpp` streams, events, captures and graphs.
#pragma once
#include "shim.h"

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#define ENTRY extern "C" __attribute__((visibility("default"))) int

namespace fake {

/// `CUresult`, as far as it is used.
enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    NO_BINARY_FOR_GPU = 209,
    INVALID_PTX = 218,
    JIT_COMPILER_NOT_FOUND = 221,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_OUT_OF_RESOURCES = 701,
    LAUNCH_FAILED = 719,
    STREAM_CAPTURE_UNSUPPORTED = 900,
    STREAM_CAPTURE_INVALIDATED = 901,
    STREAM_CAPTURE_WRONG_THREAD = 908,
    UNKNOWN = 999,
};
constexpr int DEVICES = 4;

/// Ends the process: the program did what no driver promises to bear.
[[noreturn]] void stop(const char* call, const char* what);

long number_from(const char* name, long otherwise);
/// Whether an environment variable has this value.
bool is_set_to(const char* name, const char* value);

/// Something for a stream to do, and the numbers of the allocations that it names.
struct Work {
    std::function<void()> run;
    std::vector<u64> names;
};

struct Stream {
    int ordinal;
    /// Decides how early queued work runs.
    u64 random;
    /// Held while anything below is used, also while work runs.
    std::mutex lock;
    std::deque<Work> queue;
    /// Works that were ever queued, and ever done.
    u64 queued = 0, done = 0;
    // Of a capture: under `captures_lock`.
    bool capturing = false, invalid = false;
    int mode = 0;
    std::thread::id by;
    std::vector<Work> recorded;
};

/// The error that a kernel of this device died of: from then on every call answers with it.
extern std::atomic<int> broken[DEVICES];

/// Queues work, or notes it while the stream is being captured.
int enqueue(Stream* stream, Work work);
/// Does what is queued on the streams of a device, or of all (-1).
void finish(int ordinal);
int finish(Stream& stream, u64 until);

/// Tells a call that this thread may not make while it captures; that capture is then invalid.
bool refused_in_capture();
/// A call that waits for the device: it invalidates every capture, whose thread it comes from or not.
/// True if there was one.
bool waited_for_device();
/// Whether this thread is capturing the stream.
bool is_capturing(Stream* stream);
/// Invalidates the stream's capture.
void invalidate(Stream* stream);

/// The device that is current in this thread.
int current_device();
/// The number of the live allocation that an address lies in (or that it is the end of), or 0.
u64 allocation_of(const void* at);
/// Whether all of a range lies in one allocation.
bool is_device_memory(const void* at, size_t bytes);

/// Counts, by allocation, how many live graphs name it.
void name_in_graph(const std::vector<Work>& works, int change);
bool is_named_in_graph(u64 allocation);

/// Live objects, and waits so far, for tests: `shim_live`.
extern std::atomic<long> live_graphs, live_execs, live_streams, live_modules, waits_ever;
}  // namespace fake
