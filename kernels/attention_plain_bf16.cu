// target: compute_80
// Attention of attention.cu in bf16, for decoding and for what tensor cores do not take (see
// attention_bf16.cu): loaded from bf16, computed in f32 throughout, rounded once where stored. lse
// and delta are f32. Entries, launches and sums are those of attention.cu.
#include "attention_entries.cuh"

ATTENTION_ENTRIES(bf16, bf16)
