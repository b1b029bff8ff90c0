//! The faults in CUDA kernels. What only a wrong order of threads would show, the shim shows: it
//! runs warps as far ahead as they get, and lets copies land when they are waited for.

use super::list::Fault;

faults! {
    // ---- products

    kernel_matmul_strips_race: "a strip is read before all of it is there"
        in shim, matmul breaks Agrees,
        "        block_barrier();\n"
        => "";

    kernel_matmul_swizzle_of_one_side: "b is stored with rows exchanged, and read without"
        in shim, matmul breaks Agrees,
        "strip_b + place<N>(l, column + j * 4)"
        => "strip_b + l * N + column + j * 4";

    kernel_matmul_one_column_more: "the last tile writes one column into the next row"
        in shim, matmul breaks Agrees,
        "if (to_row < p.m && to_column < p.n)"
        => "if (to_row < p.m && to_column <= p.n)";

    kernel_matmul_reads_y: "with beta 0 the output's old content is read"
        in shim, matmul breaks Agrees,
        "if (beta != 0.0f) value += beta * to_float(*y);"
        => "value += beta * to_float(*y);";

    kernel_matmul_loses_a_slice: "the last slice of a long sum is left out"
        in shim, matmul breaks Agrees,
        "for (u32 slice = 1; slice < slices; slice++)"
        => "for (u32 slice = 1; slice + 1 < slices; slice++)";

    kernel_matmul_bias_with_every_slice: "the bias is added once for each slice of a long sum"
        in shim, matmul breaks Agrees,
        "sum += sums[slice * cells + cell];"
        => "sum += sums[slice * cells + cell] + bias_at(bias, u32(cell % n));";

    kernel_matmul_few_rows_lose_a_warp: "with few rows the last warp's terms are left out"
        in shim, matmul breaks Agrees,
        "for (u32 warp = 0; warp < COLUMN_WARPS; warp++)"
        => "for (u32 warp = 0; warp + 1 < COLUMN_WARPS; warp++)";

    kernel_matmul_transposes_the_other: "a is taken for transposed in the place of b"
        in shim, matmul breaks Agrees,
        "TILED(nt, false, true)"
        => "TILED(nt, true, false)";

    kernel_matmul_lanes_swapped: "lanes name each other's lines of a fragment"
        in shim, matmul breaks Agrees,
        "u32 matrix = lane_index() / 8, line = lane_index() % 8;"
        => "u32 matrix = lane_index() % 4, line = lane_index() / 4;";

    kernel_matmul_waits_for_one_copy_less: "the strip that is read may still be on its way"
        in shim, matmul breaks Agrees,
        "wait_copies<AHEAD - 1>();"
        => "wait_copies<AHEAD>();";

    kernel_matmul_terms_past_the_slice: "the terms after the last one are not zeros"
        in shim, matmul breaks Agrees,
        "bool inside = row < rows && term < p.end;"
        => "bool inside = row < rows;";

    kernel_matmul_first_piece_twice: "the second 16 bytes of an f32 output repeat the first"
        in shim, matmul breaks Agrees,
        "value[j] = p.alpha * sums[i] + shift[i];"
        => "value[j] = p.alpha * sums[j] + shift[j];";

    // ---- attention in f32

    kernel_attention_sees_one_key_ahead: "the causal mask hides one key too few"
        in shim, attention breaks Agrees,
        "sees(mine + r, first + column, p.offset)"
        => "sees(mine + r + 1, first + column, p.offset)";

    kernel_attention_keys_past_the_end: "zeros after the last key take a share of the weights"
        in shim, attention breaks Agrees,
        "bool seen = column < here && sees("
        => "bool seen = sees(";

    kernel_attention_never_shrinks: "what was summed under an older maximum is not rescaled"
        in shim, attention breaks Agrees,
        "out[r][n] *= shrink;"
        => "out[r][n] *= 1.0f;";

    kernel_attention_tile_overwritten: "a tile is replaced while slower warps still read it"
        in shim, attention breaks SameBits,
        "    block_barrier();\n"
        => "";

    kernel_attention_warp_does_not_wait: "rows are written out before the warp's lanes left them"
        in shim, attention breaks Agrees,
        "    warp_barrier();\n"
        => "";

    kernel_attention_backward_without_delta: "the softmax's own term is missing for keys"
        in shim, attention_backward breaks Agrees,
        "weight * (factors.x[e] * ds[r][n] - deltas.x[e]) * p.scale"
        => "weight * factors.x[e] * ds[r][n] * p.scale";

    kernel_attention_backward_wrong_head: "dy is read at the head of the batch's number"
        in shim, attention_backward breaks Agrees,
        "before + h * p.width,\n"
        => "before + b % p.n_head * p.width,\n";

    kernel_attention_backward_warp_does_not_wait: "weights are read before the warp's lanes left them"
        in shim, attention_backward breaks Agrees,
        "            else\n                warp_barrier();\n"
        => "";

    kernel_decode_wrong_stride: "heads of the cache are as far apart as they are filled"
        in shim, attention_decode breaks Agrees,
        "u64 cached = u64(head) * p.room * p.width;"
        => "u64 cached = u64(head) * (p.position + p.queries) * p.width;";

    kernel_decode_groups_unweighted: "sums under different maxima are added as they are"
        in shim, attention_decode breaks Agrees,
        "sum += exponential(one[0] - base) * one[at];"
        => "sum += one[at];";

    kernel_decode_combines_the_first_row: "every row of a head is put together from the first one's parts"
        in shim, attention_decode breaks Agrees,
        "partial + u64(row) * splits * (width + 2)"
        => "partial + u64(row - t) * splits * (width + 2)";

    // ---- attention in bf16, on tensor cores

    kernel_tensor_attention_sees_one_key_ahead: "the causal mask hides one key too few"
        in shim, attention breaks Agrees,
        "bool hidden = causal && j > first_of_warp + row_of(i, e);"
        => "bool hidden = causal && j > first_of_warp + row_of(i, e) + 1;";

    kernel_tensor_attention_keys_past_the_end: "zeros after the last key take a share of the weights"
        in shim, attention breaks Agrees,
        "if (hidden || j >= seq_len) score"
        => "if (hidden) score";

    kernel_tensor_attention_races_ahead: "a tile is read before all threads' copies of it are there"
        in shim, attention breaks Agrees,
        "        block_barrier();\n"
        => "";

    kernel_tensor_attention_drops_without_scale: "what is kept is not scaled up"
        in shim, attention breaks Agrees,
        "factor[i][half] = drops.mask.scale / all;"
        => "factor[i][half] = 1.0f / all;";

    kernel_tensor_attention_swizzle_of_one_side: "chunks are stored exchanged, and read as if they were not"
        in shim, attention breaks Agrees,
        "return {tile + row * D, side ^ trade<D>(row)};"
        => "return {tile + row * D, side};";

    kernel_tensor_attention_draws_of_other_keys: "lanes exchange draws of the wrong keys"
        in shim, attention breaks Agrees,
        "key + n / 2 * 16"
        => "key + n / 2 * 8";

    kernel_tensor_backward_without_delta: "the softmax's own term is missing from its gradient"
        in shim, attention_backward breaks Agrees,
        "ds[i][n][e] = p[i][n][e] * (ds[i][n][e] - mean);"
        => "ds[i][n][e] = p[i][n][e] * ds[i][n][e];";

    kernel_tensor_backward_one_buffer: "the next queries' lse and delta overwrite those in use"
        in shim, attention_backward breaks Agrees,
        "copy_async_4(query_stages + tile % 2 * (2 * OTHERS) + thread_index(),"
        => "copy_async_4(query_stages + thread_index(),";

    kernel_tensor_backward_unscaled: "gradients of queries and keys lack the scores' factor"
        in shim, attention_backward breaks Agrees,
        "factor[i][half] = scale;"
        => "factor[i][half] = 1.0f;";

    kernel_tensor_backward_sees_one_key_ahead: "the causal mask hides one key too few from dk and dv"
        in shim, attention_backward breaks Agrees,
        "bool hidden = causal && (KEYS ? own > other : other > own);"
        => "bool hidden = causal && (KEYS ? own > other + 1 : other > own);";

    kernel_tensor_backward_draws_of_other_keys: "lanes exchange draws of the wrong keys"
        in shim, attention_backward breaks Agrees,
        "u32 key = row + lane / 16 * 4 + t / 2 * 8;"
        => "u32 key = row + lane / 16 * 8 + t / 2 * 4;";

    // ---- rows

    kernel_softmax_ignores_padding: "columns that are not valid take part"
        in shim, softmax breaks Agrees,
        "    reach = reach < valid ? reach : valid;\n"
        => "";

    kernel_cross_entropy_padding_left: "padded columns get the exponentials for gradients"
        in shim, cross_entropy breaks Agrees,
        "p[i] = j + i < valid ? factor * (p[i] * share - hit) : 0.0f;"
        => "p[i] = factor * (p[i] * share - hit);";

    kernel_layer_norm_backward_one_buffer: "a row's sums take the place of those still read"
        in shim, layer_norm_backward breaks SameBits,
        "place + row % 2 * (2 * REDUCTION_PLACE)"
        => "place";

    kernel_layer_norm_backward_overwrites: "dx is overwritten where it is to be added to"
        in shim, layer_norm_backward breaks Agrees,
        "            if (accumulate) load_floats<W>(old[k], dx_row + j);\n"
        => "";

    kernel_parameters_lose_a_partial: "the last block's part of a column's sum is left out"
        in shim, layer_norm_backward breaks Agrees,
        "for (u32 i = warp_index(); i < rows; i += warps)"
        => "for (u32 i = warp_index(); i + 1 < rows; i += warps)";

    kernel_parameters_leave_a_barrier: "lanes without a column return before the block meets"
        in shim, layer_norm_backward breaks Stops,
        "    if (inside) {\n"
        => "    if (!inside) return all;\n    if (inside) {\n";

    kernel_reduction_does_not_wait: "a block's warps are joined before they have come"
        in shim, softmax breaks Agrees,
        "    block_barrier();\n"
        => "";

    kernel_maximum_drops_nan: "a maximum passes over NaN"
        in shim, reduce breaks Agrees,
        "return is_nan(a) || a > b ? a : b;"
        => "return a > b ? a : b;";

    kernel_reduce_overwrites: "the result is written where it is to be added"
        in shim, reduce breaks Agrees,
        "store(y, accumulate ? to_float(*y) + value : value);"
        => "store(y, value);";

    kernel_arg_max_passes_over_nan: "a NaN is not the greatest"
        in shim, arg_max breaks Agrees,
        "return b > a || (is_nan(b) && !is_nan(a));"
        => "return b > a;";

    // ---- embeddings

    kernel_embedding_parts_not_joined: "a token continued in the next part keeps the first sum"
        in shim, embedding_backward breaks Agrees,
        "for (u32 i = 0; i < W; i++) sum[i] += more[i];"
        => "";

    kernel_embedding_sort_lacks_a_step: "neighbours are never compared"
        in shim, embedding_backward breaks Stops,
        "for (u32 apart = length / 2; apart > 0; apart /= 2)"
        => "for (u32 apart = length / 2; apart > 1; apart /= 2)";

    kernel_embedding_rank_counts_itself: "a key counts itself among the smaller ones"
        in shim, embedding_backward breaks Stops,
        "if (last < tile && at < n && tiles[at] < key) found[i] += step;"
        => "if (last < tile && at < n && tiles[at] <= key) found[i] += step;";

    // ---- elements

    kernel_philox_forgets_the_step: "every step draws the same mask"
        in shim, dropout breaks Agrees,
        "draw[3] = mask.step;"
        => "draw[3] = 0;";

    kernel_dropout_one_more: "the last thread writes one element past the end"
        in shim, dropout breaks StaysInside,
        "if (element < from || element >= to) continue;"
        => "if (element < from || element > to) continue;";

    kernel_dropped_infinity_is_nan: "what is dropped is multiplied by 0"
        in shim, dropout breaks Agrees,
        "return factor == 0.0f ? 0.0f : x * factor;"
        => "return x * factor;";

    kernel_binary_loses_its_place: "a repeated operand begins anew in the middle of it"
        in shim, binary breaks Agrees,
        "if (in_b >= nb) in_b -= nb;"
        => "if (in_b >= nb) in_b = 0;";

    host_reads_random_words: "the random words are fetched when the kernel is launched"
        in shim, dropout breaks Captured,
        "    let aligned = wide::aligned(&[x, y])"
        => "    latimer_tensor::Backend::download(cuda, op.random, &mut [0; 16])?;\n    let aligned = wide::aligned(&[x, y])";

    kernel_permute_tile_rows_of_two_lengths: "a tile is written with padded rows, and read without"
        in shim, permute breaks Agrees,
        "tile[lane * (SIDE + 1) + i]"
        => "tile[lane * SIDE + i]";

    kernel_adamw_updates_with_nan: "a step whose gradients overflowed is not left out"
        in shim, adamw breaks Agrees,
        "if (!is_nan(clip)) {"
        => "{";

    kernel_adamw_working_copy_stale: "a step that is left out leaves the working copy as it was"
        in shim, adamw breaks Agrees,
        "    }\n    if (all.working) store_working<W>(all.working + i, p);\n"
        => "        if (all.working) store_working<W>(all.working + i, p);\n    }\n";

    kernel_clip_hides_an_overflow: "a norm that is not finite clips like any other"
        in shim, clip_scale breaks Agrees,
        "scalars[CLIP] = is_finite(norm) ? clip : float_of(0x7fc00000u);"
        => "scalars[CLIP] = clip;";
}
