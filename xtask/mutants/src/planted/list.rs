//! The faults: what each is, where it goes, and which operation's suite must see it.
//!
//! To add one, put an anchor above the line, and the replacement into a list. Take a line that a
//! tired person could get wrong. Prefer kernels whose mistakes are quiet: a wrong edge, a stale
//! buffer, an order that hangs on the thread count.

/// One mistake.
#[derive(Debug)]
pub(super) struct Fault {
    /// Of the anchor, too: [`crate::anchors`].
    pub(super) name: &'static str,
    /// What is wrong, in one line.
    pub(super) about: &'static str,
    /// What is replaced: it begins in the line below the anchor.
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    /// The operation whose suite must fail.
    pub(super) op: &'static str,
    /// The property (`latimer_conformance::Property`) that must be seen to break, or `Stops`.
    pub(super) breaks: &'static str,
    /// The kernels it is in, by their name in `LATIMER_SIMD`; `any` for what all processors run,
    /// `shim` for CUDA kernels.
    pub(super) simd: &'static str,
}

macro_rules! faults { ($($name:ident: $about:literal
    in $simd:ident, $op:ident breaks $breaks:ident,
    $old:literal => $new:literal;
)*) => {
    pub(super) const FAULTS: &[Fault] = &[$(Fault {
        name: stringify!($name),
        about: $about,
        old: $old,
        new: $new,
        op: stringify!($op),
        breaks: stringify!($breaks),
        simd: stringify!($simd),
    }),*];
} }

faults! {
    foreign_memory_passes: "an operand in another device's memory reaches the backend"
        in any, layer_norm breaks Refuses,
        "if own != Some(view.buffer_type()) {"
        => "if false {";

    softmax_mask_left_as_it_was: "masked columns are not set to 0"
        in any, softmax breaks Agrees,
        "            masked.fill(E::store(0.0));\n"
        => "";

    softmax_without_maximum: "exponentials overflow: the maximum is not subtracted"
        in any, softmax breaks Agrees,
        "(math::exponentials::<FMA>(y, most), most)"
        => "(math::exponentials::<FMA>(y, 0.0), most)";

    softmax_backward_unscaled: "the scores' factor is missing from their gradient"
        in any, softmax_backward breaks Agrees,
        "*dx = E::store(scale * y.load() * (dy.load() - mean));"
        => "*dx = E::store(y.load() * (dy.load() - mean));";

    layer_norm_eps_outside_the_root: "eps is added to the deviation, not to the variance"
        in any, layer_norm breaks Agrees,
        "1.0 / (variance + eps).sqrt()"
        => "1.0 / (variance.sqrt() + eps)";

    layer_norm_backward_stale_scratch: "partial sums begin with what scratch memory held"
        in any, layer_norm_backward breaks Agrees,
        "        sums.fill(0.0);\n"
        => "";

    layer_norm_backward_first_chunk_only: "weights' gradients leave all rows after the first chunk out"
        in any, layer_norm_backward breaks Agrees,
        "for sums in partial.chunks_exact(2 * c) {"
        => "for sums in partial.chunks_exact(2 * c).take(1) {";

    rms_norm_without_weight: "the result is normalised, but not multiplied by the weight"
        in any, rms_norm breaks Agrees,
        "x.load() * scale * w.load()"
        => "x.load() * scale";

    tile_writes_one_past_the_end: "a ragged tile's mask is one lane too wide"
        in avx512, matmul breaks StaysInside,
        "let mask: __mmask16 = u16::MAX >> (LANES * VECTORS - p.n);"
        => "let mask: __mmask16 = u16::MAX >> (LANES * VECTORS - p.n).saturating_sub(1);";

    matmul_bias_with_every_block: "the bias is added again with every block of a long sum"
        in any, matmul breaks Agrees,
        "Some(bias) if is_first => bias[first..].as_ptr(),"
        => "Some(bias) => bias[first..].as_ptr(),";

    matmul_beta_with_every_block: "a long sum's blocks each multiply the output by beta"
        in any, matmul breaks Agrees,
        "beta: if is_first { self.beta } else { 1.0 },"
        => "beta: self.beta,";

    matmul_ignores_the_transpose: "a few rows are read along the wrong axis"
        in any, matmul breaks Agrees,
        "*a = gemm.a[l * m + i].load();"
        => "*a = gemm.a[i * k + l].load();";

    matmul_stale_scratch: "a few rows are added to what scratch memory held"
        in any, matmul breaks Agrees,
        "        sums.fill(0.0);\n"
        => "";

    stretches_overwrite_each_other: "of the stretches of a few rows' sums only the last is kept"
        in any, matmul breaks Agrees,
        "*sum += x;"
        => "*sum = *x;";

    sums_of_threads_are_left_out: "of a few rows' sums, those that two threads have are not added, others twice"
        in any, matmul breaks Agrees,
        "added & 1 << pair.right == 0"
        => "added & 1 << pair.right != 0";

    stretches_of_equal_length: "terms that do not divide among stretches are left out"
        in any, matmul breaks Agrees,
        "let terms = k * s / stretches..k * (s + 1) / stretches;"
        => "let terms = k / stretches * s..k / stretches * (s + 1);";

    packed_tile_repeats_a_row: "a packed tile's last row is the one above it"
        in avx512, matmul breaks Agrees,
        "i.min(rows - 1) * a.row"
        => "i.min(rows.saturating_sub(2)) * a.row";

    packed_tile_lacks_a_row: "a full tile's last row, transposed, is left as scratch memory had it"
        in avx512, matmul breaks Agrees,
        "let mask = mask(height.min(rows - top));"
        => "let mask = mask((height - 1).min(rows - top).max(1));";

    matmul_cut_between_tiles: "threads cut a product where the library's tiles do not end"
        in portable, matmul breaks SameBits,
        "WHOLE_UNIT: usize = 48;"
        => "WHOLE_UNIT: usize = 7;";

    avx2_tile_writes_one_past_the_end: "a ragged tile of 8 lanes has a mask one lane too wide"
        in avx2, matmul breaks Agrees,
        "mask(p.n - LANES * (VECTORS - 1))"
        => "mask((p.n - LANES * (VECTORS - 1) + 1).min(LANES))";

    avx2_packed_tile_repeats_a_row: "a packed tile's last row is the one above it, by 8 lanes"
        in avx2, matmul breaks Agrees,
        "i.min(rows - 1) * a.row"
        => "i.min(rows.saturating_sub(2)) * a.row";

    avx2_packed_tile_lacks_a_row: "of an odd number of rows the last is left as scratch memory had it"
        in avx2, matmul breaks Runs,
        "some!(4 2 1);"
        => "some!(4 2);";

    avx2_turn_swaps_halves: "columns of a square of 8 keep their upper rows below"
        in avx2, matmul breaks Agrees,
        "_mm256_permute2f128_ps::<0x31>"
        => "_mm256_permute2f128_ps::<0x13>";

    cross_entropy_padding_left: "padded columns keep their logits for gradients"
        in any, cross_entropy breaks Agrees,
        "                    padding.fill(E::store(0.0));\n"
        => "";

    cross_entropy_target_unscaled: "the target's own term is not scaled"
        in any, cross_entropy breaks Agrees,
        "row[target as usize] -= factor;"
        => "row[target as usize] -= 1.0;";

    embedding_position_of_the_row: "the position is taken along the batch"
        in any, embedding breaks Agrees,
        "(first + at % t) * c"
        => "(first + at / t) * c";

    embedding_id_unclamped: "the first id past the table is let through"
        in any, embedding breaks Runs,
        "(most as usize) < rows"
        => "(most as usize) <= rows";

    embedding_backward_overwrites: "a repeated token keeps its last gradient only"
        in any, embedding_backward breaks Agrees,
        "*y += x.load();"
        => "*y = x.load();";

    adamw_without_bias_correction: "the first moment is not corrected for its start at 0"
        in any, adamw breaks Agrees,
        "(lr / f64::from(block[ScalarBlock::BIAS1])) as f32"
        => "lr as f32";

    adamw_decay_without_rate: "weight decay is not multiplied by the learning rate"
        in any, adamw breaks Agrees,
        "(1.0 - lr * f64::from(op.weight_decay)) as f32"
        => "(1.0 - f64::from(op.weight_decay)) as f32";

    mean_over_the_wrong_axis: "a mean over rows divides by the columns"
        in any, reduce breaks Agrees,
        "value / rows as f32"
        => "value / columns as f32";

    maximum_drops_nan: "a maximum over rows passes over NaN"
        in any, reduce breaks Agrees,
        "*most = if x.is_nan() || x > *most { x } else { *most };"
        => "*most = if x > *most { x } else { *most };";

    arg_max_takes_the_last: "of equal maxima the last is taken"
        in any, arg_max breaks Agrees,
        "row.iter().position(|&x| x.load() == most)"
        => "row.iter().rposition(|&x| x.load() == most)";

    arg_max_passes_over_nan: "a NaN is not the greatest"
        in any, arg_max breaks Agrees,
        "let place = if poison.is_nan() {"
        => "let place = if poison.is_infinite() {";

    sum_squares_cut_by_threads: "partial sums are as many as there are threads"
        in any, sum_squares breaks SameBits,
        r#"    let chunks = x.len().div_ceil(SQUARES);
    let total = op_scratch(chunks, |partial| {
        let parts = (Rows(x, SQUARES), RowsMut(&mut *partial, 1));
        par.split(chunks, x.len() / 12, parts, &|(x, partial): (
            Rows<'_>,
            RowsMut<'_>,
        )| {
            for (sum, x) in partial.0.iter_mut().zip(x.0.chunks(SQUARES)) {"#
        => r#"    let wide = x.len().div_ceil(par.pieces(4 * SQUARES)).max(1);
    let chunks = x.len().div_ceil(wide);
    let total = op_scratch(chunks, |partial| {
        let parts = (Rows(x, wide), RowsMut(&mut *partial, 1));
        par.split(chunks, x.len() / 12, parts, &|(x, partial): (
            Rows<'_>,
            RowsMut<'_>,
        )| {
            for (sum, x) in partial.0.iter_mut().zip(x.0.chunks(wide)) {"#;

    dropout_counter_late: "Philox's counter lags behind by the elements before a whole block"
        in any, dropout breaks Agrees,
        "let mut block = (first + skip as u64) / 4;"
        => "let mut block = first / 4;";

    dropped_infinity_is_nan: "what is dropped is multiplied by 0"
        in any, dropout breaks Agrees,
        "*y = if *y == 0.0 { 0.0 } else { kept };"
        => "*y = kept;";

    gelu_slope_wrong: "a factor 3 is missing from GELU's derivative"
        in avx2, unary_backward breaks Agrees,
        "fma::<FMA>(3.0 * GELU[1] * near, near, GELU[0])"
        => "fma::<FMA>(GELU[1] * near, near, GELU[0])";

    relu_slope_at_zero: "ReLU's derivative at 0 is 1"
        in any, unary_backward breaks Agrees,
        "let above = if x <= 0.0 { 0.0 } else { 1.0 };"
        => "let above = if x < 0.0 { 0.0 } else { 1.0 };";

    axpby_reads_what_it_overwrites: "with beta 0 the output's old content is read"
        in any, axpby breaks Agrees,
        "        if beta == 0.0 {"
        => "        if beta.is_nan() {";

    binary_cut_within_a_repetition: "threads cut a repeated operand in its middle"
        in any, binary breaks SameBits,
        "let width = b.len() * UNIT.div_ceil(b.len());"
        => "let width = UNIT;";

    cast_truncates: "bfloat16 is truncated, not rounded to nearest"
        in any, cast breaks Agrees,
        "convert(op, par, bf16::from_f32)"
        => "convert(op, par, |x: f32| bf16::from_bits((x.to_bits() >> 16) as u16))";

    permute_strides_of_the_output: "strides are those of the output's axes"
        in any, permute breaks Runs,
        "from.dims()[op.axes[axis] + 1..]"
        => "from.dims()[axis + 1..]";

    slice_steps_by_its_own_length: "blocks are as far apart as they are long"
        in any, slice breaks Agrees,
        "&x[i * block + first..][..length]"
        => "&x[i * length + first..][..length]";

    concat_repeats_the_first_block: "the second operand's first block is taken every time"
        in any, concat breaks Agrees,
        "&b[i * of_b..][..of_b]"
        => "&b[..of_b]";

    halves_lose_their_place: "rows of a second half are numbered from its middle"
        in any, softmax breaks SameBits,
        "let middle = self.start + at;"
        => "let middle = at;";

    clip_lengthens: "short gradients are made longer"
        in any, clip_scale breaks Agrees,
        "(f64::from(op.max_norm) / (norm + 1e-6)).min(1.0) as f32"
        => "(f64::from(op.max_norm) / (norm + 1e-6)) as f32";

    narrowing_cuts_off: "what is stored as bf16 is cut off, not rounded"
        in any, axpby breaks Agrees,
        "bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16"
        => "bits >> 16";

    pairs_swapped: "two neighbouring terms of bf16 are packed the wrong way round"
        in avx512bf16, matmul breaks Agrees,
        "_mm512_or_si512(row(2 * p), _mm512_slli_epi32::<16>(row(2 * p + 1)))"
        => "_mm512_or_si512(row(2 * p + 1), _mm512_slli_epi32::<16>(row(2 * p)))";

    tiles_take_upper_rows_twice: "a lower tile of sums is made of the upper rows"
        in amx, matmul breaks Agrees,
        "\"tdpbf16ps tmm3, tmm5, tmm7\""
        => "\"tdpbf16ps tmm3, tmm4, tmm7\"";

    working_copy_stale: "broken gradients leave the rounded parameters unwritten"
        in any, adamw breaks Agrees,
        "if let Some(working) = working {"
        => "if let Some(working) = working.filter(|_| !f.clip.is_nan()) {";
}
