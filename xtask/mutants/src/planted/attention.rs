//! The faults in attention on the CPU, most of them twice: processors with AVX-512 have tiles in
//! registers, others have tiles that go through products.

use super::list::Fault;

faults! {
    attention_sees_one_key_ahead: "the causal mask hides one key too few"
        in avx2, attention breaks Agrees,
        "let sees = (hidden + j as isize) as i32;"
        => "let sees = (hidden + j as isize - 1) as i32;";

    attention_scale_missing: "scores are not scaled"
        in avx2, attention breaks Agrees,
        "pack(q, queries, d, lanes, head.scale, packed)"
        => "pack(q, queries, d, lanes, 1.0, packed)";

    attention_never_shrinks: "what was summed under an older maximum is not rescaled"
        in avx2, attention breaks Agrees,
        "if first > 0 {\n"
        => "if first > usize::MAX / 2 {\n";

    attention_adds_to_old_output: "the first tile adds to the output's old content"
        in avx2, attention breaks Repeats,
        "Product::plain(queries, d, keys, first > 0)"
        => "Product::plain(queries, d, keys, true)";

    attention_sum_skips_a_key: "the narrower kernel's sums leave the first key of a tile out"
        in avx2, attention breaks Agrees,
        "for row in tile.chunks_exact(lanes) {\n"
        => "for row in tile.chunks_exact(lanes).skip(1) {\n";

    tile512_sees_one_key_ahead: "forward's mask in registers hides one key too few"
        in avx512, attention breaks Agrees,
        "_mm512_set1_epi32(s.hidden + j as i32 - (v * LANES) as i32)"
        => "_mm512_set1_epi32(s.hidden + j as i32 - (v * LANES) as i32 - 1)";

    tile512_scale_missing: "queries are scaled for powers of two only"
        in avx512, attention breaks Agrees,
        "pack(q, queries, d, lanes, head.scale * LOG2_E, packed)"
        => "pack(q, queries, d, lanes, LOG2_E, packed)";

    tile512_never_shrinks: "output summed under an older maximum is not rescaled"
        in avx512, attention breaks Agrees,
        "_ => Before::Scaled(&shrink),"
        => "_ => Before::Sum,";

    tile512_total_never_shrinks: "weights summed under an older maximum are not rescaled"
        in avx512, attention breaks Agrees,
        "total[v] = _mm512_mul_ps(total[v], change);"
        => "";

    tile512_adds_to_old_output: "the first tile in registers adds to the output's old content"
        in avx512, attention breaks Repeats,
        "0 => Before::Nothing,"
        => "0 => Before::Sum,";

    packing_forgets_the_factor: "the portable transpose copies without the factor"
        in portable, attention breaks Agrees,
        "scale * unsafe { *from.add(i * row + x) }"
        => "unsafe { *from.add(i * row + x) }";

    backward_swaps_dk_and_dv: "gradients of keys and values are swapped"
        in any, attention_backward breaks Agrees,
        "dk: gradient(1),\n                dv: gradient(2),"
        => "dk: gradient(2),\n                dv: gradient(1),";

    backward_without_delta: "the softmax's own term is missing from its gradient"
        in avx2, attention_backward breaks Agrees,
        "scores[i] = p * (scores[i] - delta_here[i]) * scale;"
        => "scores[i] = p * scores[i] * scale;";

    backward_adds_to_old_gradients: "the block that should overwrite dk and dv adds to them"
        in avx2, attention_backward breaks Repeats,
        "let adds = if head.causal { first < top } else { top > 0 };"
        => "let adds = if head.causal { first <= top } else { top > 0 };";

    backward512_without_delta: "the softmax's own term is missing where nothing is dropped"
        in avx512, attention_backward breaks Agrees,
        "(weight, _mm512_sub_ps(gradients[v], delta[v]))"
        => "(weight, gradients[v])";

    backward512_keeps_what_was_dropped: "values' gradients leave dropout out"
        in avx512, attention_backward breaks Agrees,
        "(_mm512_mul_ps(weight, mask), gradient)"
        => "(weight, gradient)";

    backward512_adds_to_old_gradients: "dk and dv in registers begin with their old content"
        in avx512, attention_backward breaks Repeats,
        "match if head.causal { first < top } else { top > 0 } {"
        => "match if head.causal { first <= top } else { top > 0 } {";

    decode_forgets_the_position: "new keys go to the front of the cache"
        in any, attention_decode breaks Agrees,
        "old.get_mut(position + i, d)"
        => "old.get_mut(i, d)";

    decode_reaches_one_key_less: "a position does not see itself"
        in any, attention_decode breaks Agrees,
        "(i + offset + 1).min(self.keys)"
        => "(i + offset).min(self.keys)";

    decode_sees_ahead_in_bf16: "a new position sees those after it, too"
        in any, attention_decode breaks Agrees,
        "let seen = (position + i + 1) * d;"
        => "let seen = (position + t) * d;";
}
