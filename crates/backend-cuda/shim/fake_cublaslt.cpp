// A fake libcublasLt: what the backend calls of it, done by plain loops as NVIDIA documents it
// (https://docs.nvidia.com/cuda/cublas/#cublasltmatmul): by columns, D = alpha op(A) op(B) + beta C,
// then a bias along D's rows. It is strict where the library may be, too:
//   - an algorithm serves only products like the one that it was found for;
//   - addresses must be aligned as was promised to the heuristic, a bias to 16 bytes;
//   - leading dimensions, types and sizes of descriptors must fit;
//   - the heuristic wants a bias's address, aligned, before it looks for an algorithm that adds one;
//   - destroying a handle waits for the whole device, as cuBLAS was seen to do, which no capture bears;
//   - a sum of a multiple of 13 terms is not supported, so that callers' other way is gone, too.
// FAKE_CUBLASLT_STATUS=13, read at each product: it answers with this status.
// FAKE_CUBLASLT_CREATE=3, read at cublasLtCreate: likewise.
// Not shown by it: which algorithms there are, their order of sums, speed.
#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#define ENTRY extern "C" __attribute__((visibility("default")))

namespace {
enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_16BF = 14 };
constexpr int COMPUTE_32F = 68;
constexpr uint32_t EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4;
constexpr uint64_t MAGIC = 0x6c6174696d6572;

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
    int32_t batch = 1;
    int64_t apart = 0;
};
struct Description {
    int transposed_a = 0, transposed_b = 0;
    uint32_t epilogue = EPILOGUE_DEFAULT;
    const void* bias = nullptr;
};
struct Preference {
    uint64_t workspace = 0;
    uint32_t reduction = 7;
    uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};
struct Algorithm {
    uint64_t data[8];
};
struct Found {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

std::atomic<uint64_t> products{0};
std::atomic<int64_t> handles{0};

/// What an algorithm was found for, but for the alignment.
uint64_t signature(const Description& d, const Layout& a, const Layout& b, const Layout& y) {
    uint64_t hash = 14695981039346656037ull;
    auto add = [&](uint64_t x) { hash = (hash ^ x) * 1099511628211ull; };
    add(uint64_t(d.transposed_a) * 2 + uint64_t(d.transposed_b));
    add(d.epilogue);
    for (const Layout* of : {&a, &b, &y}) {
        add(uint64_t(of->type));
        add(of->rows);
        add(of->columns);
        add(uint64_t(of->leading));
        add(uint64_t(of->batch));
        add(uint64_t(of->apart));
    }
    return hash;
}

/// Whether descriptors fit each other.
bool fits(const Description& d, const Layout& a, const Layout& b, const Layout& y) {
    uint64_t m = d.transposed_a ? a.columns : a.rows, k = d.transposed_a ? a.rows : a.columns;
    uint64_t n = d.transposed_b ? b.rows : b.columns, of_b = d.transposed_b ? b.columns : b.rows;
    bool types = a.type == b.type && (y.type == a.type || y.type == R_32F);
    bool batches = a.batch == y.batch && b.batch == y.batch;
    for (const Layout* of : {&a, &b, &y})
        batches &= of->batch == 1 || of->apart >= of->leading * int64_t(of->columns);
    return types && batches && m == y.rows && n == y.columns && k == of_b && m && n && k;
}

float element(const void* at, int type, uint64_t i) {
    if (type == R_32F) return static_cast<const float*>(at)[i];
    uint32_t bits = uint32_t(static_cast<const uint16_t*>(at)[i]) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

void put(void* at, int type, uint64_t i, float x) {
    if (type == R_32F) {
        static_cast<float*>(at)[i] = x;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = x != x ? 0x7fff : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    static_cast<uint16_t*>(at)[i] = uint16_t(bits);
}

bool aligned(const void* at, uint64_t bytes) { return reinterpret_cast<uintptr_t>(at) % bytes == 0; }

/// A product asked for: all that it needs, as descriptors may change before it is done.
struct Work {
    Description description;
    Layout a, b, y;
    float alpha, beta;
    const void *at_a, *at_b, *at_c;
    void* at_y;
    void* workspace;
    size_t workspace_bytes;
};

void multiply(void* given) {
    const Work& w = *static_cast<Work*>(given);
    memset(w.workspace, 0xff, w.workspace_bytes);
    bool ta = w.description.transposed_a, tb = w.description.transposed_b;
    uint64_t terms = ta ? w.a.rows : w.a.columns;
    for (int32_t s = 0; s < w.y.batch; s++)
        for (uint64_t j = 0; j < w.y.columns; j++)
            for (uint64_t i = 0; i < w.y.rows; i++) {
                float sum = 0;
                for (uint64_t l = 0; l < terms; l++) {
                    uint64_t of_a = uint64_t(s * w.a.apart) +
                                    (ta ? l + i * uint64_t(w.a.leading) : i + l * uint64_t(w.a.leading));
                    uint64_t of_b = uint64_t(s * w.b.apart) +
                                    (tb ? j + l * uint64_t(w.b.leading) : l + j * uint64_t(w.b.leading));
                    sum += element(w.at_a, w.a.type, of_a) * element(w.at_b, w.b.type, of_b);
                }
                uint64_t cell = uint64_t(s * w.y.apart) + i + j * uint64_t(w.y.leading);
                float value = w.alpha * sum;
                if (w.beta != 0) value += w.beta * element(w.at_c, w.y.type, cell);
                if (w.description.epilogue == EPILOGUE_BIAS)
                    value += element(w.description.bias, w.y.type, i);
                put(w.at_y, w.y.type, cell, value);
            }
    // It stays: a recorded graph does it again.
}

/// A function of the driver that is loaded.
template <class F>
F* of_driver(const char* name) {
    void* driver = dlopen("libcuda.so", RTLD_LAZY | RTLD_NOLOAD);
    return driver ? reinterpret_cast<F*>(dlsym(driver, name)) : nullptr;
}

/// In the order of the stream.
int enqueue(void* stream, Work* work) {
    auto launch = of_driver<int(void*, void (*)(void*), void*)>("cuLaunchHostFunc");
    if (!launch) return NOT_INITIALIZED;
    return launch(stream, multiply, work) == 0 ? SUCCESS : 13;
}

template <class T>
int read(T& to, const void* from, size_t bytes) {
    if (!from || bytes != sizeof(T)) return INVALID_VALUE;
    memcpy(&to, from, bytes);
    return SUCCESS;
}
}  // namespace

/// How many products were asked for and accepted; for tests.
ENTRY uint64_t fake_cublaslt_products() { return products; }
/// How many handles there are.
ENTRY int64_t fake_cublaslt_handles() { return handles; }

ENTRY size_t cublasLtGetVersion() { return 130000; }
ENTRY int cublasLtCreate(void** handle) {
    if (const char* status = getenv("FAKE_CUBLASLT_CREATE")) return atoi(status);
    handles++;
    *handle = new uint64_t(MAGIC);
    return SUCCESS;
}
ENTRY int cublasLtDestroy(uint64_t* handle) {
    if (auto wait = of_driver<int()>("cuCtxSynchronize")) wait();
    handles--;
    delete handle;
    return SUCCESS;
}

ENTRY int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns,
                                     int64_t leading) {
    if ((type != R_32F && type != R_16BF) || leading < int64_t(rows)) return INVALID_VALUE;
    *layout = new Layout{type, rows, columns, leading};
    return SUCCESS;
}
ENTRY int cublasLtMatrixLayoutDestroy(Layout* layout) {
    delete layout;
    return SUCCESS;
}
ENTRY int cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value,
                                           size_t bytes) {
    switch (attribute) {
        case 5: return read(layout->batch, value, bytes);
        case 6: return read(layout->apart, value, bytes);
        default: return INVALID_VALUE;
    }
}

ENTRY int cublasLtMatmulDescCreate(Description** description, int compute, int scale) {
    if (compute != COMPUTE_32F || scale != R_32F) return INVALID_VALUE;
    *description = new Description;
    return SUCCESS;
}
ENTRY int cublasLtMatmulDescDestroy(Description* description) {
    delete description;
    return SUCCESS;
}
ENTRY int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const void* value,
                                         size_t bytes) {
    switch (attribute) {
        case 3: return read(description->transposed_a, value, bytes);
        case 4: return read(description->transposed_b, value, bytes);
        case 7: return read(description->epilogue, value, bytes);
        case 8: return read(description->bias, value, bytes);
        default: return INVALID_VALUE;
    }
}

ENTRY int cublasLtMatmulPreferenceCreate(Preference** preference) {
    *preference = new Preference;
    return SUCCESS;
}
ENTRY int cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return SUCCESS;
}
ENTRY int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute,
                                               const void* value, size_t bytes) {
    switch (attribute) {
        case 1: return read(preference->workspace, value, bytes);
        case 3: return read(preference->reduction, value, bytes);
        case 5:
        case 6:
        case 7:
        case 8: return read(preference->alignment[attribute - 5], value, bytes);
        default: return INVALID_VALUE;
    }
}

ENTRY int cublasLtMatmulAlgoGetHeuristic(const uint64_t* handle, const Description* description,
                                         const Layout* a, const Layout* b, const Layout* c,
                                         const Layout* y, const Preference* preference, int asked,
                                         Found* found, int* count) {
    *count = 0;
    if (*handle != MAGIC || asked < 1 || c != y || !fits(*description, *a, *b, *y))
        return INVALID_VALUE;
    uint64_t terms = description->transposed_a ? a->rows : a->columns;
    bool biased = description->epilogue == EPILOGUE_BIAS;
    // A bias has D's type.
    if (terms % 13 == 0 || (biased && y->type != a->type)) return NOT_SUPPORTED;
    if (biased && (!description->bias || !aligned(description->bias, 16))) return NOT_SUPPORTED;
    *found = {};
    uint64_t alignments = 0;
    for (int i = 0; i < 4; i++) alignments |= uint64_t(preference->alignment[i]) << 16 * i;
    found->algorithm = {{MAGIC, signature(*description, *a, *b, *y), alignments}};
    // Some, to see that it is given.
    found->workspace = preference->workspace < 4096 ? 0 : 4096;
    found->algorithm.data[3] = found->workspace;
    *count = 1;
    return SUCCESS;
}

ENTRY int cublasLtMatmul(const uint64_t* handle, const Description* description, const float* alpha,
                         const void* at_a, const Layout* a, const void* at_b, const Layout* b,
                         const float* beta, const void* at_c, const Layout* c, void* at_y,
                         const Layout* y, const Algorithm* algorithm, void* workspace,
                         size_t workspace_bytes, void* stream) {
    if (*handle != MAGIC || c != y || at_c != at_y || !fits(*description, *a, *b, *y))
        return INVALID_VALUE;
    if (const char* status = getenv("FAKE_CUBLASLT_STATUS")) return atoi(status);
    const uint64_t* data = algorithm->data;
    if (data[0] != MAGIC || data[1] != signature(*description, *a, *b, *y)) return INVALID_VALUE;
    const void* addresses[4] = {at_a, at_b, at_c, at_y};
    for (int i = 0; i < 4; i++)
        if (!aligned(addresses[i], data[2] >> 16 * i & 0xffff)) return INVALID_VALUE;
    if (workspace_bytes < data[3] || !aligned(workspace, 256)) return INVALID_VALUE;
    if (description->epilogue == EPILOGUE_BIAS &&
        (!description->bias || !aligned(description->bias, 16)))
        abort();  // a GPU would stop with "misaligned address"
    products++;
    return enqueue(stream, new Work{*description, *a, *b, *y, *alpha, *beta, at_a, at_b, at_c, at_y,
                                    workspace, data[3]});
}
