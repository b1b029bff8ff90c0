// A row's greatest score and the sum of e^(score - greatest), which softmax and cross-entropy share.
//
// What is kept in registers is read once: its greatest, then (the team's greatest being known) its
// exponentials. Of what is longer each thread keeps a running pair, greatest and sum, in the same
// pass ("online": Milakov and Gimelshein 2018, arXiv 1805.02867). Sums in f32: each thread's from
// its first element to its last, then between threads as reduce.cuh says.
//
// Infinities end where the equation lets them: a greatest of +inf or -inf makes e^(inf - inf) = NaN,
// and so the sum; NaN is passed over by the maximum, not by the sum.
#pragma once
#include "rows.cuh"

template <int W>
struct Exponentials {
    /// e^(score - greatest), 0 at and beyond `reach`; access k of the thread.
    float kept[KEPT<W>][W];
    float greatest;
    float sum;
};

/// Scores `scale * x[j..j + W]`; -inf at and beyond `reach`, whatever lies there.
template <int W, class T>
DEVICE void load_scores(float (&score)[W], const T* x, u32 j, u32 reach, float scale) {
    load_floats<W>(score, x + j);
#pragma unroll
    for (int i = 0; i < W; i++)
        score[i] = j + i < reach ? multiply_rounded(scale, score[i]) : -INFINITY;
}

/// Of the first `reach` of a row, at least one. Uses the team's reductions 0 and 1.
template <bool WARP, int W, class T>
DEVICE void exponentials(Exponentials<W>& row, const T* x, u32 reach, float scale) {
    u32 step = team_threads<WARP>() * W, mine = team_thread<WARP>() * W;
    float greatest = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        u32 j = k * step + mine;
        if (j < reach) {
            load_scores<W>(row.kept[k], x, j, reach, scale);
        } else {
#pragma unroll
            for (int i = 0; i < W; i++) row.kept[k][i] = -INFINITY;
        }
#pragma unroll
        for (int i = 0; i < W; i++) greatest = maximum(greatest, row.kept[k][i]);
    }
#pragma unroll AT_ONCE<W>
    for (u32 j = KEPT<W> * step + mine; j < reach; j += step) {
        float score[W];
        load_scores<W>(score, x, j, reach, scale);
        float before = greatest;
#pragma unroll
        for (int i = 0; i < W; i++) greatest = maximum(greatest, score[i]);
        // While all are -inf their exponentials are nothing yet, not NaN.
        float from = greatest == -INFINITY ? 0.0f : greatest;
        if (greatest > before) sum *= exponential(before - greatest);
#pragma unroll
        for (int i = 0; i < W; i++) sum += exponential(score[i] - from);
    }
    row.greatest = reduce_team<Greatest, WARP>(greatest, 0);
    if (sum != 0.0f) sum *= exponential(greatest - row.greatest);
#pragma unroll
    for (int k = 0; k < KEPT<W>; k++) {
        // A short row does without the exponentials of nothing.
        if (k * step >= reach) continue;
#pragma unroll
        for (int i = 0; i < W; i++) {
            row.kept[k][i] = exponential(row.kept[k][i] - row.greatest);
            sum += row.kept[k][i];
        }
    }
    row.sum = reduce_team<Sum, WARP>(sum, 1);
}
