// A fake libcuda: host memory as device memory, kernels run by the shim. It offers what the backend
// calls through cudarc and nothing more. Device n runs threads in the order of seed n (0: as
// numbered), so that one test can ask for the same bits under several orders.
//
// What a test may ask for by environment variables, read at each cuInit or call:
//   SHIM_INIT=100            cuInit answers with this error
//   SHIM_DRIVER=12000        the driver's version
//   SHIM_CAPABILITY=75       compute capability 7.5 (default 80)
//   SHIM_MEMORY=1000000      bytes of device memory (default 8 GiB)
//   SHIM_FAIL_KERNEL=name    this kernel's launch fails (error 719)
#include "shim.h"

#include <mutex>

#define ENTRY extern "C" __attribute__((visibility("default"))) int

namespace {
enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
    STREAM_CAPTURE_UNSUPPORTED = 900,
};
constexpr int DEVICES = 4;

long number_from(const char* name, long otherwise) {
    const char* text = getenv(name);
    return text ? atol(text) : otherwise;
}

struct Context {
    int ordinal;
};
struct Stream {
    int ordinal;
    bool capturing = false;
    std::vector<std::function<void()>> recorded;
};
struct Graph {
    std::vector<std::function<void()>> steps;
};
struct Module {
    std::string ptx;
};
struct Function {
    std::string name;
    shim::Bind bind;
    int shared_limit = 48 << 10;
};
struct Event {};

Context contexts[DEVICES] = {{0}, {1}, {2}, {3}};
thread_local Context* current = nullptr;

std::mutex memory_lock;
std::map<u8*, size_t> allocations;
size_t allocated = 0;
size_t total_memory() { return size_t(number_from("SHIM_MEMORY", 8l << 30)); }

/// Whether all of a range lies in one allocation.
bool is_device_memory(const void* at, size_t bytes) {
    std::lock_guard<std::mutex> guard(memory_lock);
    const u8* from = static_cast<const u8*>(at);
    auto after = allocations.upper_bound(const_cast<u8*>(from));
    if (after == allocations.begin()) return false;
    auto [start, size] = *--after;
    return from + bytes <= start + size;
}

/// Does work now, or notes it while the stream is being captured.
int enqueue(Stream* stream, std::function<void()> work) {
    if (stream && stream->capturing)
        stream->recorded.push_back(std::move(work));
    else
        work();
    return SUCCESS;
}
thread_local int capturing_here = 0;
}  // namespace

// ---- the driver and its devices

ENTRY cuInit(unsigned) { return int(number_from("SHIM_INIT", SUCCESS)); }
ENTRY cuDriverGetVersion(int* version) {
    *version = int(number_from("SHIM_DRIVER", 13000));
    return SUCCESS;
}
ENTRY cuDeviceGetCount(int* count) {
    *count = DEVICES;
    return SUCCESS;
}
ENTRY cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= DEVICES) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}
ENTRY cuDeviceGetName(char* name, int size, int) {
    snprintf(name, size_t(size), "cpu-shim");
    return SUCCESS;
}
ENTRY cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = total_memory();
    return SUCCESS;
}
ENTRY cuDeviceGetAttribute(int* value, int attribute, int) {
    long capability = number_from("SHIM_CAPABILITY", 80);
    switch (attribute) {
        case 16: *value = 4; break;                        // multiprocessors
        case 39: *value = 2048; break;                     // threads a multiprocessor
        case 75: *value = int(capability / 10); break;     // compute capability, major
        case 76: *value = int(capability % 10); break;     // minor
        case 97: *value = capability >= 80 ? 164 << 10 : 64 << 10; break;  // shared memory a block, opted in
        case 115: *value = 0; break;                       // memory pools
        default: *value = 0;
    }
    return SUCCESS;
}
ENTRY cuDevicePrimaryCtxRetain(Context** context, int device) {
    *context = &contexts[device];
    return SUCCESS;
}
ENTRY cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
ENTRY cuCtxGetCurrent(Context** context) {
    *context = current;
    return SUCCESS;
}
ENTRY cuCtxSetCurrent(Context* context) {
    current = context;
    return SUCCESS;
}
ENTRY cuCtxSynchronize() { return capturing_here ? STREAM_CAPTURE_UNSUPPORTED : SUCCESS; }
ENTRY cuGetErrorName(int error, const char** name) {
    switch (error) {
        case OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
        case 100: *name = "CUDA_ERROR_NO_DEVICE"; break;
        case INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
        case LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
        case STREAM_CAPTURE_UNSUPPORTED: *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
        default: *name = "CUDA_ERROR_UNKNOWN";
    }
    return SUCCESS;
}
ENTRY cuGetErrorString(int error, const char** text) {
    switch (error) {
        case OUT_OF_MEMORY: *text = "out of memory"; break;
        case 100: *text = "no CUDA-capable device is detected"; break;
        case INVALID_DEVICE: *text = "invalid device ordinal"; break;
        case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        case STREAM_CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; break;
        default: *text = "an error of the fake driver";
    }
    return SUCCESS;
}

// ---- memory

ENTRY cuMemAlloc_v2(void** at, size_t bytes) {
    if (capturing_here) return STREAM_CAPTURE_UNSUPPORTED;
    std::lock_guard<std::mutex> guard(memory_lock);
    if (allocated + bytes > total_memory()) return OUT_OF_MEMORY;
    u8* memory = static_cast<u8*>(aligned_alloc(256, (bytes + 255) / 256 * 256));
    if (!memory) return OUT_OF_MEMORY;
    memset(memory, 0xff, bytes);  // NaN in every float type
    allocations[memory] = bytes;
    allocated += bytes;
    *at = memory;
    return SUCCESS;
}
ENTRY cuMemFree_v2(void* at) {
    std::lock_guard<std::mutex> guard(memory_lock);
    auto found = allocations.find(static_cast<u8*>(at));
    if (found == allocations.end()) shim::stop("memory is freed that is not allocated");
    allocated -= found->second;
    allocations.erase(found);
    free(at);
    return SUCCESS;
}
ENTRY cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
    std::lock_guard<std::mutex> guard(memory_lock);
    *total = total_memory();
    *free_bytes = *total - allocated;
    return SUCCESS;
}
ENTRY cuMemHostAlloc(void** at, size_t bytes, unsigned) {
    *at = aligned_alloc(256, (bytes + 255) / 256 * 256);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
ENTRY cuMemFreeHost(void* at) {
    free(at);
    return SUCCESS;
}
ENTRY cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, Stream* stream) {
    if (!is_device_memory(to, bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] { memcpy(to, from, bytes); });
}
ENTRY cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, Stream* stream) {
    if (!is_device_memory(from, bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] { memcpy(to, from, bytes); });
}
ENTRY cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t bytes, Stream* stream) {
    if (!is_device_memory(to, bytes) || !is_device_memory(from, bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] { memmove(to, from, bytes); });
}
ENTRY cuMemsetD8Async(void* to, unsigned char value, size_t bytes, Stream* stream) {
    if (!is_device_memory(to, bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] { memset(to, value, bytes); });
}

// ---- streams, events, graphs

ENTRY cuStreamCreate(Stream** stream, unsigned) {
    *stream = new Stream{current ? current->ordinal : 0};
    return SUCCESS;
}
ENTRY cuStreamDestroy_v2(Stream* stream) {
    delete stream;
    return SUCCESS;
}
ENTRY cuStreamSynchronize(Stream* stream) {
    return stream && stream->capturing ? STREAM_CAPTURE_UNSUPPORTED : SUCCESS;
}
ENTRY cuLaunchHostFunc(Stream* stream, void (*function)(void*), void* argument) {
    return enqueue(stream, [=] { function(argument); });
}
ENTRY cuStreamWaitEvent(Stream*, Event*, unsigned) { return SUCCESS; }
ENTRY cuEventCreate(Event** event, unsigned) {
    *event = new Event;
    return SUCCESS;
}
ENTRY cuEventDestroy_v2(Event* event) {
    delete event;
    return SUCCESS;
}
ENTRY cuEventRecord(Event*, Stream*) { return SUCCESS; }
ENTRY cuEventSynchronize(Event*) { return SUCCESS; }
ENTRY cuStreamBeginCapture_v2(Stream* stream, int) {
    if (!stream || stream->capturing) return INVALID_VALUE;
    stream->capturing = true;
    stream->recorded.clear();
    capturing_here++;
    return SUCCESS;
}
ENTRY cuStreamEndCapture(Stream* stream, Graph** graph) {
    if (!stream->capturing) return INVALID_VALUE;
    stream->capturing = false;
    capturing_here--;
    *graph = new Graph{std::move(stream->recorded)};
    stream->recorded.clear();
    return SUCCESS;
}
ENTRY cuStreamIsCapturing(Stream* stream, int* status) {
    *status = stream && stream->capturing;
    return SUCCESS;
}
ENTRY cuGraphInstantiateWithFlags(Graph** exec, Graph* graph, u64) {
    *exec = new Graph(*graph);
    return SUCCESS;
}
ENTRY cuGraphUpload(Graph*, Stream*) { return SUCCESS; }
ENTRY cuGraphLaunch(Graph* exec, Stream*) {
    for (auto& step : exec->steps) step();
    return SUCCESS;
}
ENTRY cuGraphExecDestroy(Graph* exec) {
    delete exec;
    return SUCCESS;
}
ENTRY cuGraphDestroy(Graph* graph) {
    delete graph;
    return SUCCESS;
}

// ---- kernels

ENTRY cuModuleLoadData(Module** module, const void* image) {
    *module = new Module{static_cast<const char*>(image)};
    return SUCCESS;
}
ENTRY cuModuleUnload(Module* module) {
    delete module;
    return SUCCESS;
}
ENTRY cuModuleGetFunction(Function** function, Module* module, const char* name) {
    auto found = shim::kernels().find(name);
    bool in_ptx = module->ptx.find(std::string(".entry ") + name + "(") != std::string::npos;
    if (!in_ptx || found == shim::kernels().end()) return NOT_FOUND;
    *function = new Function{name, found->second};
    return SUCCESS;
}
ENTRY cuFuncSetAttribute(Function* function, int attribute, int value) {
    if (attribute == 8) function->shared_limit = value;  // dynamic shared memory
    return SUCCESS;
}
ENTRY cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                     unsigned by, unsigned bz, unsigned shared, Stream* stream, void** args, void**) {
    if (const char* failing = getenv("SHIM_FAIL_KERNEL"))
        if (function->name == failing) return LAUNCH_FAILED;
    if (int(shared) > function->shared_limit) return INVALID_VALUE;
    std::function<void()> body = function->bind(args);
    u64 order = stream ? u64(stream->ordinal) : 0;
    const char* name = function->name.c_str();
    return enqueue(stream, [=] {
        shim::launch(name, {gx, gy, gz}, {bx, by, bz}, shared, body, order);
    });
}
