// target: compute_75
// The optimizer: clip factor and AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), over f32
// slabs. What changes from step to step is read from the scalar block on the device (8 floats), so
// that a recorded step stays valid.
//
// adamw        with g = clip·grad:
//              m = beta1·m + (1 - beta1)·g, v = beta2·v + (1 - beta2)·g²,
//              p = p·(1 - lr·weight_decay) - lr/bias1 · m / (√v/√bias2 + eps);
//              where clip is NaN these keep their values. `working` (null for none) becomes p
//              rounded to bf16 in both cases.
//              Grid: a thread takes 1 element, or 4 neighbouring ones (`wide`: p, grad, m, v aligned
//              to 16 bytes, working to 8; the last few one by one); blocks of 256; no shared memory.
// clip_scale   norm = √sum_squares, clip = min(1, max_norm / (norm + 1e-6)), NaN where the norm is
//              not finite. One thread of one warp.
//
// f32; no sums. adamw moves 28 bytes a parameter (30 with `working`) and is to reach the speed of a
// copy of as many. Unmeasured.
#include "rows.cuh"

// The scalar block, as crates/tensor/src/scalars.rs.
CONSTANT u32 LR = 0;
CONSTANT u32 CLIP = 1;
CONSTANT u32 BIAS1 = 2;
CONSTANT u32 BIAS2 = 3;
CONSTANT u32 GRAD_NORM = 4;

/// W bf16 values, at an address aligned to all of them.
template <int W>
DEVICE void store_working(bf16* at, const float (&p)[W]) {
    static_assert(W == 1 || W == 4);
    if constexpr (W == 1) {
        *at = round_bf16(p[0]);
    } else {
        Bytes8 all = {{pack_bf16(p[0], p[1]), pack_bf16(p[2], p[3])}};
        *static_cast<Bytes8*>(check_aligned(static_cast<void*>(at), 8)) = all;
    }
}

struct AdamW {
    float* __restrict__ param;
    const float* __restrict__ grad;
    float* __restrict__ m;
    float* __restrict__ v;
    bf16* __restrict__ working;
    const float* __restrict__ scalars;
    float beta1, rest1, beta2, rest2, eps, weight_decay;
};

/// Updates W parameters from the i-th.
template <int W>
DEVICE void update(const AdamW& all, u64 i) {
    float p[W];
    load_floats<W>(p, all.param + i);
    float clip = all.scalars[CLIP];
    // mutant: kernel_adamw_updates_with_nan
    if (!is_nan(clip)) {
        float lr = all.scalars[LR];
        float keep = fused_multiply_add(-lr, all.weight_decay, 1.0f);
        float rate = lr / all.scalars[BIAS1];
        float scale = 1.0f / square_root(all.scalars[BIAS2]);
        float g[W], m[W], v[W];
        load_floats<W>(g, all.grad + i);
        load_floats<W>(m, all.m + i);
        load_floats<W>(v, all.v + i);
#pragma unroll
        for (int k = 0; k < W; k++) {
            g[k] *= clip;
            m[k] = fused_multiply_add(all.beta1, m[k], all.rest1 * g[k]);
            v[k] = fused_multiply_add(all.beta2, v[k], all.rest2 * g[k] * g[k]);
            // The quotient first: tiny moments times a small rate would vanish.
            float step = m[k] / fused_multiply_add(square_root(v[k]), scale, all.eps);
            p[k] = fused_multiply_add(-rate, step, p[k] * keep);
        }
        store_floats<W>(all.param + i, p);
        store_floats<W>(all.m + i, m);
        store_floats<W>(all.v + i, v);
    // mutant: kernel_adamw_working_copy_stale
    }
    if (all.working) store_working<W>(all.working + i, p);
}

KERNEL adamw_f32(float* param, const float* grad, float* m, float* v, bf16* working,
                 const float* scalars, u64 n, float beta1, float rest1, float beta2, float rest2,
                 float eps, float weight_decay) {
    AdamW all = {param,  grad,  m,     v,     working, scalars,
                 beta1, rest1, beta2, rest2, eps,     weight_decay};
    u64 i = u64(block_x()) * block_threads() + thread_index();
    if (i < n) update<1>(all, i);
}

KERNEL adamw_wide_f32(float* param, const float* grad, float* m, float* v, bf16* working,
                      const float* scalars, u64 n, float beta1, float rest1, float beta2,
                      float rest2, float eps, float weight_decay) {
    AdamW all = {param,  grad,  m,     v,     working, scalars,
                 beta1, rest1, beta2, rest2, eps,     weight_decay};
    u64 i = (u64(block_x()) * block_threads() + thread_index()) * 4;
    if (i + 4 <= n) {
        update<4>(all, i);
    } else {
        for (; i < n; i++) update<1>(all, i);
    }
}

KERNEL clip_scale_f32(const float* sum_squares, float* scalars, float max_norm) {
    if (thread_index() > 0) return;
    float norm = square_root(*sum_squares);
    float clip = minimum(max_norm / (norm + 1e-6f), 1.0f);
    // mutant: kernel_clip_hides_an_overflow
    scalars[CLIP] = is_finite(norm) ? clip : float_of(0x7fc00000u);
    scalars[GRAD_NORM] = norm;
}
