// Element by element, in one pass:
//   unary             y = f(x)
//   unary_backward    dx = f'(x) * dy
//   binary            y = f(a, b), b repeated over the leading axes of a
//   axpby             y = alpha * x + beta * y; with beta 0, y is not read
//
// All operands have n elements, except b, which has nb, a divisor of n. Grid: a block of 256
// threads for every 256 * 16 bytes, no shared memory. All is computed in f32 and rounded once to
// the type; there are no sums but that of axpby.
//
// With `aligned` (all pointers at multiples of 16 bytes) a thread moves 16 bytes of each operand
// at once; the last block, and all blocks otherwise, go one element a thread at a time, still in
// whole lines. Meant to be bound by memory (85% of a copy's bandwidth or more): unmeasured.
//
// Sources: Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.
#include "wide.cuh"

CONSTANT u32 THREADS = 256;

// ---- functions of one value, each named by a type

struct Relu {};
struct GeluTanh {};
struct GeluErf {};
struct Tanh {};
struct Exp {};

/// NaN stays NaN.
DEVICE float value_of(Relu, float x) { return x <= 0.0f ? 0.0f : x; }
DEVICE float derivative_of(Relu, float x) { return is_nan(x) ? x : x <= 0.0f ? 0.0f : 1.0f; }

/// -2u, where GELU's tanh form is x/2 * (1 + tanh u), u = sqrt(2/pi) * (x + 0.044715 x^3).
CONSTANT float GELU_LINEAR = -1.5957691216f, GELU_CUBIC = -0.0713548163f;
DEVICE float gelu_exponent(float x) {
    return x * fused_multiply_add(GELU_CUBIC * x, x, GELU_LINEAR);
}
/// x/2 * (1 + tanh u) is x / (1 + e^(-2u)): one exponential and one quotient.
DEVICE float value_of(GeluTanh, float x) { return x / (1.0f + exponential(gelu_exponent(x))); }
/// With e = e^(-2u), s = 1 / (1 + e): s + x * s * (1 - s) * (2u)', where 1 - s = e * s.
DEVICE float derivative_of(GeluTanh, float x) {
    // Beyond 16 it is 0 or 1 in f32; without bounds e * s would be infinity times 0 there.
    float near = absolute(x) > 16.0f ? (x > 0.0f ? 16.0f : -16.0f) : x;
    float exponent = gelu_exponent(near);
    float e = exponential(exponent > 80.0f ? 80.0f : exponent);
    float s = 1.0f / (1.0f + e);
    float slope = fused_multiply_add(3.0f * GELU_CUBIC * near, near, GELU_LINEAR);
    // x * 0 is NaN where the meaning has infinity times 0.
    return fused_multiply_add(-near * (e * s * s), slope, s) + x * 0.0f;
}

CONSTANT float SQRT_HALF = 0.70710678119f, DENSITY_AT_0 = 0.39894228040f;
DEVICE float value_of(GeluErf, float x) { return 0.5f * x * (1.0f + error_function(x * SQRT_HALF)); }
DEVICE float derivative_of(GeluErf, float x) {
    float below = 0.5f * (1.0f + error_function(x * SQRT_HALF));
    float density = DENSITY_AT_0 * exponential(-0.5f * x * x);
    return fused_multiply_add(x, density, below);
}

DEVICE float value_of(Tanh, float x) { return hyperbolic_tangent(x); }
DEVICE float derivative_of(Tanh, float x) {
    float t = hyperbolic_tangent(x);
    return fused_multiply_add(-t, t, 1.0f);
}

DEVICE float value_of(Exp, float x) { return exponential(x); }
DEVICE float derivative_of(Exp, float x) { return exponential(x); }

template <class F, class T>
DEVICE void unary(const T* x, T* y, u64 n, u32 aligned) {
    constexpr u32 TILE = THREADS * WIDE<T>;
    u64 begin = u64(block_x()) * TILE, end = begin + TILE;
    if (aligned && end <= n) {
        u64 at = begin + thread_index() * WIDE<T>;
        float value[WIDE<T>];
        load_wide(value, x + at);
#pragma unroll
        for (u32 i = 0; i < WIDE<T>; i++) value[i] = value_of(F(), value[i]);
        store_wide(y + at, value);
        return;
    }
    for (u64 at = begin + thread_index(); at < n && at < end; at += THREADS)
        store(y + at, value_of(F(), to_float(x[at])));
}

template <class F, class T>
DEVICE void unary_backward(const T* x, const T* dy, T* dx, u64 n, u32 aligned) {
    constexpr u32 TILE = THREADS * WIDE<T>;
    u64 begin = u64(block_x()) * TILE, end = begin + TILE;
    if (aligned && end <= n) {
        u64 at = begin + thread_index() * WIDE<T>;
        float value[WIDE<T>], gradient[WIDE<T>];
        load_wide(value, x + at);
        load_wide(gradient, dy + at);
#pragma unroll
        for (u32 i = 0; i < WIDE<T>; i++) gradient[i] *= derivative_of(F(), value[i]);
        store_wide(dx + at, gradient);
        return;
    }
    for (u64 at = begin + thread_index(); at < n && at < end; at += THREADS)
        store(dx + at, derivative_of(F(), to_float(x[at])) * to_float(dy[at]));
}

// ---- functions of two values

struct Add {};
struct Sub {};
struct Mul {};
struct Div {};

DEVICE float value_of(Add, float a, float b) { return a + b; }
DEVICE float value_of(Sub, float a, float b) { return a - b; }
DEVICE float value_of(Mul, float a, float b) { return a * b; }
DEVICE float value_of(Div, float a, float b) { return a / b; }

/// `aligned` says besides that nb is n or a multiple of what 16 bytes hold. One quotient a thread.
template <class F, class T>
DEVICE void binary(const T* a, const T* b, T* y, u64 n, u64 nb, u32 aligned) {
    constexpr u32 TILE = THREADS * WIDE<T>;
    u64 begin = u64(block_x()) * TILE, end = begin + TILE;
    if (aligned && end <= n) {
        u64 at = begin + thread_index() * WIDE<T>;
        u64 in_b = nb == n ? at : at - quotient(at, nb) * nb;
        float left[WIDE<T>], right[WIDE<T>];
        load_wide(left, a + at);
        load_wide(right, b + in_b);
#pragma unroll
        for (u32 i = 0; i < WIDE<T>; i++) left[i] = value_of(F(), left[i], right[i]);
        store_wide(y + at, left);
        return;
    }
    u64 at = begin + thread_index();
    if (at >= n) return;
    u64 in_b = at - quotient(at, nb) * nb, step = THREADS - quotient(THREADS, nb) * nb;
    for (; at < n && at < end; at += THREADS) {
        store(y + at, value_of(F(), to_float(a[at]), to_float(b[in_b])));
        in_b += step;
        // mutant: kernel_binary_loses_its_place
        if (in_b >= nb) in_b -= nb;
    }
}

// ---- scaled sums

/// The product with the old value is rounded, the other one is not.
template <class T>
DEVICE void axpby(float alpha, const T* x, float beta, T* y, u64 n, u32 aligned) {
    constexpr u32 TILE = THREADS * WIDE<T>;
    u64 begin = u64(block_x()) * TILE, end = begin + TILE;
    if (aligned && end <= n) {
        u64 at = begin + thread_index() * WIDE<T>;
        float value[WIDE<T>], old[WIDE<T>];
        load_wide(value, x + at);
        if (beta != 0.0f) load_wide(old, y + at);
#pragma unroll
        for (u32 i = 0; i < WIDE<T>; i++) {
            value[i] = beta != 0.0f ? fused_multiply_add(alpha, value[i], beta * old[i])
                                    : alpha * value[i];
        }
        store_wide(y + at, value);
        return;
    }
    for (u64 at = begin + thread_index(); at < n && at < end; at += THREADS) {
        float value = to_float(x[at]);
        store(y + at, beta != 0.0f ? fused_multiply_add(alpha, value, beta * to_float(y[at]))
                                   : alpha * value);
    }
}

// ---- the kernels of one type

#define UNARY_KERNELS(name, F, dtype, T)                                                         \
    KERNEL unary_##name##_##dtype(const T* x, T* y, u64 n, u32 aligned) {                        \
        unary<F>(x, y, n, aligned);                                                              \
    }                                                                                            \
    KERNEL unary_backward_##name##_##dtype(const T* x, const T* dy, T* dx, u64 n, u32 aligned) { \
        unary_backward<F>(x, dy, dx, n, aligned);                                                \
    }
#define BINARY_KERNEL(name, F, dtype, T)                                               \
    KERNEL binary_##name##_##dtype(const T* a, const T* b, T* y, u64 n, u64 nb, u32 aligned) { \
        binary<F>(a, b, y, n, nb, aligned);                                            \
    }
#define ELEMENTWISE_KERNELS(dtype, T)                                                        \
    UNARY_KERNELS(relu, Relu, dtype, T)                                                      \
    UNARY_KERNELS(gelu_tanh, GeluTanh, dtype, T)                                             \
    UNARY_KERNELS(gelu_erf, GeluErf, dtype, T)                                               \
    UNARY_KERNELS(tanh, Tanh, dtype, T)                                                      \
    UNARY_KERNELS(exp, Exp, dtype, T)                                                        \
    BINARY_KERNEL(add, Add, dtype, T)                                                        \
    BINARY_KERNEL(sub, Sub, dtype, T)                                                        \
    BINARY_KERNEL(mul, Mul, dtype, T)                                                        \
    BINARY_KERNEL(div, Div, dtype, T)                                                        \
    KERNEL axpby_##dtype(float alpha, const T* x, float beta, T* y, u64 n, u32 aligned) {    \
        axpby(alpha, x, beta, y, n, aligned);                                                \
    }
