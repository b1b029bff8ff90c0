// A fake libcuda: host memory as device memory, kernels run by the shim. It offers what the backend
// calls through cudarc and nothing more. Device n runs threads in the order of seed n (0: as
// numbered), so that one test can ask for the same bits under several orders.
//
// It is at least as strict as a GPU's driver:
//   - work is done when something waits for it, or by chance before (`fake_streams.cpp`);
//   - what a capture forbids is refused, and the capture is then invalid; so is one in whose time
//     another thread waits for the whole device. The devices count as one here, as tests on a GPU
//     have one between them;
//   - a launch must fit the multiprocessor (registers of the report, `.maxntid`), its shared memory
//     the limit that was asked for, and each pointer must be of live memory;
//   - memory that a live graph names must not be freed.
//
// What a test may ask for by environment variables, read at each cuInit or call:
//   SHIM_INIT=100             cuInit answers with this error
//   SHIM_DRIVER=12000         the driver's version
//   SHIM_CAPABILITY=75        compute capability 7.5 (default 80)
//   SHIM_MULTIPROCESSORS=132  so many multiprocessors (default 4)
//   SHIM_MEMORY=1000000       bytes of device memory (default 8 GiB)
//   SHIM_FAIL_KERNEL=name     this kernel's launch fails (error 719)
//   SHIM_FAULT_KERNEL=name    this kernel dies of an illegal address (700) when it runs, and the device
//                             with it; CUDA_LAUNCH_BLOCKING=1 has every launch wait
//   SHIM_FAIL_CAPTURE=what    begin, launch, end, instantiate, upload or first (the first launch of the
//                             graph): that step of a capture fails
//   SHIM_FAIL_MODULE=name     the module with this kernel does not load (218), and a log says so
//   SHIM_JIT=0                PTX is not compiled (221); what is compiled already loads
// Instead of a cubin it takes a file that begins with a line `shim-cubin 80`, for compute capability
// 8.0, and goes on with the PTX.
#include "fake_cuda.h"

#include <cstddef>

namespace fake {
std::atomic<long> live_modules;
std::atomic<long> waits_ever;

void stop(const char* call, const char* what) {
    fprintf(stderr, "cpu-shim: %s: %s\n", call, what);
    fflush(stderr);
    abort();
}

long number_from(const char* name, long otherwise) {
    const char* text = getenv(name);
    return text ? atol(text) : otherwise;
}

bool is_set_to(const char* name, const char* value) {
    const char* text = getenv(name);
    return text && !strcmp(text, value);
}

namespace {
struct Context {
    int ordinal;
};
Context contexts[DEVICES] = {{0}, {1}, {2}, {3}};
thread_local Context* current = nullptr;

struct Allocation {
    size_t bytes;
    u64 number;
};
std::mutex memory_lock;
std::map<u8*, Allocation> allocations;
u64 allocations_ever = 0;
size_t allocated = 0;
size_t total_memory() { return size_t(number_from("SHIM_MEMORY", 8l << 30)); }
}  // namespace

int current_device() { return current ? current->ordinal : 0; }

u64 allocation_of(const void* at) {
    std::lock_guard<std::mutex> guard(memory_lock);
    const u8* from = static_cast<const u8*>(at);
    auto after = allocations.upper_bound(const_cast<u8*>(from));
    if (after == allocations.begin()) return 0;
    auto [start, allocation] = *--after;
    return from <= start + allocation.bytes ? allocation.number : 0;
}

bool is_device_memory(const void* at, size_t bytes) {
    std::lock_guard<std::mutex> guard(memory_lock);
    const u8* from = static_cast<const u8*>(at);
    auto after = allocations.upper_bound(const_cast<u8*>(from));
    if (after == allocations.begin()) return false;
    auto [start, allocation] = *--after;
    return from + bytes <= start + allocation.bytes;
}
}  // namespace fake

using namespace fake;

/// How many of these there are, or there were so far; for tests.
extern "C" __attribute__((visibility("default"))) long shim_live(const char* what) {
    std::string name = what;
    if (name == "graphs") return live_graphs;
    if (name == "execs") return live_execs;
    if (name == "streams") return live_streams;
    if (name == "modules") return live_modules;
    if (name == "waits") return waits_ever;
    std::lock_guard<std::mutex> guard(memory_lock);
    if (name == "allocations") return long(allocations.size());
    stop("shim_live", "it knows nothing of this name");
}

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
namespace {
long capability() { return number_from("SHIM_CAPABILITY", 80); }
/// Shared memory that a block may have if it asks.
int shared_limit() { return capability() >= 90 ? 227 << 10 : capability() >= 80 ? 163 << 10 : 64 << 10; }
}  // namespace
ENTRY cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = int(number_from("SHIM_MULTIPROCESSORS", 4)); break;
        case 39: *value = 2048; break;                     // threads a multiprocessor
        case 75: *value = int(capability() / 10); break;   // compute capability, major
        case 76: *value = int(capability() % 10); break;   // minor
        case 97: *value = shared_limit(); break;
        case 115: *value = 0; break;                       // memory pools
        default: *value = 0;
    }
    return SUCCESS;
}
ENTRY cuDevicePrimaryCtxRetain(Context** context, int device) {
    *context = &contexts[device];
    return SUCCESS;
}
ENTRY cuDevicePrimaryCtxRelease_v2(int) {
    waited_for_device();
    return SUCCESS;
}
ENTRY cuCtxGetCurrent(Context** context) {
    *context = current;
    return SUCCESS;
}
ENTRY cuCtxSetCurrent(Context* context) {
    current = context;
    return SUCCESS;
}
namespace {
struct Named {
    int error;
    const char *name, *text;
};
constexpr Named ERRORS[] = {
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {JIT_COMPILER_NOT_FOUND, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "PTX JIT compiler library not found"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
};
const Named& named_error(int error) {
    static const Named unknown{UNKNOWN, "CUDA_ERROR_UNKNOWN", "an error of the fake driver"};
    for (const Named& known : ERRORS)
        if (known.error == error) return known;
    return unknown;
}
}  // namespace
ENTRY cuGetErrorName(int error, const char** name) {
    *name = named_error(error).name;
    return SUCCESS;
}
ENTRY cuGetErrorString(int error, const char** text) {
    *text = named_error(error).text;
    return SUCCESS;
}

// ---- memory

ENTRY cuMemAlloc_v2(void** at, size_t bytes) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    if (int error = broken[current_device()]) return error;
    std::lock_guard<std::mutex> guard(memory_lock);
    if (allocated + bytes > total_memory()) return OUT_OF_MEMORY;
    u8* memory = static_cast<u8*>(aligned_alloc(256, (bytes + 255) / 256 * 256));
    if (!memory) return OUT_OF_MEMORY;
    memset(memory, 0xff, bytes);  // NaN in every float type
    allocations[memory] = {bytes, ++allocations_ever};
    allocated += bytes;
    *at = memory;
    return SUCCESS;
}
ENTRY cuMemFree_v2(void* at) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    waited_for_device();
    finish(-1);
    std::lock_guard<std::mutex> guard(memory_lock);
    auto found = allocations.find(static_cast<u8*>(at));
    if (found == allocations.end()) stop("cuMemFree", "memory is freed that is not allocated");
    if (is_named_in_graph(found->second.number))
        stop("cuMemFree", "memory is freed that a live graph names");
    allocated -= found->second.bytes;
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
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    *at = aligned_alloc(256, (bytes + 255) / 256 * 256);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
ENTRY cuMemFreeHost(void* at) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    waited_for_device();
    finish(-1);
    free(at);
    return SUCCESS;
}
ENTRY cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, Stream* stream) {
    if (!is_device_memory(to, bytes)) return INVALID_VALUE;
    return enqueue(stream, {[=] { memcpy(to, from, bytes); }, {allocation_of(to)}});
}
ENTRY cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, Stream* stream) {
    if (!is_device_memory(from, bytes)) return INVALID_VALUE;
    return enqueue(stream, {[=] { memcpy(to, from, bytes); }, {allocation_of(from)}});
}
ENTRY cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t bytes, Stream* stream) {
    if (!is_device_memory(to, bytes) || !is_device_memory(from, bytes)) return INVALID_VALUE;
    return enqueue(stream, {[=] { memmove(to, from, bytes); }, {allocation_of(to), allocation_of(from)}});
}
ENTRY cuMemsetD8Async(void* to, unsigned char value, size_t bytes, Stream* stream) {
    if (!is_device_memory(to, bytes)) return INVALID_VALUE;
    return enqueue(stream, {[=] { memset(to, value, bytes); }, {allocation_of(to)}});
}

// ---- modules

namespace {
struct Module {
    std::string ptx;
};
struct Function {
    std::string name;
    shim::Bind bind;
    /// Registers of a thread, at most, and threads of a block, at most.
    u32 registers, threads;
    int shared_limit = 48 << 10;
};
constexpr int JIT_ERROR_LOG_BUFFER = 5, JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6;
constexpr const char* CUBIN = "shim-cubin ";

/// Where a kernel's own text begins, or npos.
size_t entry_of(const std::string& ptx, const std::string& name) {
    return ptx.find(".entry " + name + "(");
}

/// The number after a word; `otherwise` if the word is not there.
u32 number_after(const std::string& text, const char* word, size_t from, size_t end, u32 otherwise) {
    size_t at = text.find(word, from);
    return at < end ? u32(atoi(text.c_str() + at + strlen(word))) : otherwise;
}

/// Loads text; on failure `log` says why.
int load(Module** module, const char* text, std::string& log) {
    std::string ptx = text;
    bool compiled = !ptx.compare(0, strlen(CUBIN), CUBIN);
    if (compiled) {
        if (atol(text + strlen(CUBIN)) != capability()) return NO_BINARY_FOR_GPU;
        ptx.erase(0, ptx.find('\n') + 1);
    } else if (is_set_to("SHIM_JIT", "0")) {
        return JIT_COMPILER_NOT_FOUND;
    }
    if (ptx.find(".version ") == std::string::npos) return INVALID_IMAGE;
    const char* failing = getenv("SHIM_FAIL_MODULE");
    if (failing && entry_of(ptx, failing) != std::string::npos) {
        log = std::string("ptxas shim, line 1; fatal   : ") + failing + " is not to be compiled";
        return INVALID_PTX;
    }
    long target = number_after(ptx, ".target sm_", 0, ptx.size(), 0);
    if (target > capability()) {
        log = "ptxas shim, line 1; fatal   : .target sm_" + std::to_string(target) + " is newer than the device";
        return INVALID_PTX;
    }
    *module = new Module{std::move(ptx)};
    live_modules++;
    return SUCCESS;
}
}  // namespace

ENTRY cuModuleLoadDataEx(Module** module, const void* image, unsigned count, const int* options,
                         void** values) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    if (int error = broken[current_device()]) return error;
    std::string log;
    int result = load(module, static_cast<const char*>(image), log);
    char* buffer = nullptr;
    size_t room = 0;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == JIT_ERROR_LOG_BUFFER) buffer = static_cast<char*>(values[i]);
        if (options[i] == JIT_ERROR_LOG_BUFFER_SIZE_BYTES) room = reinterpret_cast<size_t>(values[i]) & 0xffffffff;
    }
    if (buffer && room) snprintf(buffer, room, "%s", log.c_str());
    return result;
}
ENTRY cuModuleLoadData(Module** module, const void* image) {
    return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}
ENTRY cuModuleUnload(Module* module) {
    if (refused_in_capture()) return STREAM_CAPTURE_UNSUPPORTED;
    waited_for_device();
    finish(-1);
    live_modules--;
    delete module;
    return SUCCESS;
}
ENTRY cuModuleGetFunction(Function** function, Module* module, const char* name) {
    auto found = shim::kernels().find(name);
    size_t entry = entry_of(module->ptx, name);
    if (entry == std::string::npos || found == shim::kernels().end()) return NOT_FOUND;
    auto registers = shim::registers().find(name);
    u32 threads = number_after(module->ptx, ".maxntid ", entry, module->ptx.find('{', entry), 1024);
    *function = new Function{name, found->second,
                             registers == shim::registers().end() ? 255 : registers->second, threads};
    return SUCCESS;
}

// ---- kernels

ENTRY cuFuncSetAttribute(Function* function, int attribute, int value) {
    if (attribute != 8) return SUCCESS;
    // Dynamic shared memory.
    if (value < 0 || value > shared_limit()) return INVALID_VALUE;
    function->shared_limit = value;
    return SUCCESS;
}
ENTRY cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                     unsigned by, unsigned bz, unsigned shared, Stream* stream, void** args, void**) {
    const char* name = function->name.c_str();
    int ordinal = stream ? stream->ordinal : current_device();
    if (is_set_to("SHIM_FAIL_KERNEL", name)) return LAUNCH_FAILED;
    if (is_capturing(stream) && is_set_to("SHIM_FAIL_CAPTURE", "launch")) {
        invalidate(stream);
        return STREAM_CAPTURE_UNSUPPORTED;
    }
    u64 threads = u64(bx) * by * bz;
    if (int(shared) > function->shared_limit || threads > function->threads) return INVALID_VALUE;
    // A warp has registers by 8 for each thread.
    if (threads * ((function->registers + 7) / 8 * 8) > 65536) return LAUNCH_OUT_OF_RESOURCES;
    shim::Call call = function->bind(args);
    std::vector<u64> names;
    for (const void* pointer : call.pointers) {
        if (!pointer) continue;
        u64 allocation = allocation_of(pointer);
        if (!allocation) stop(name, "an argument points to no live memory");
        names.push_back(allocation);
    }
    if (is_set_to("SHIM_FAULT_KERNEL", name)) call.run = [=] { broken[ordinal] = ILLEGAL_ADDRESS; };
    else
        call.run = [=, body = std::move(call.run)] {
            shim::launch(name, {gx, gy, gz}, {bx, by, bz}, shared, body, u64(ordinal));
        };
    return enqueue(stream, {std::move(call.run), std::move(names)});
}
