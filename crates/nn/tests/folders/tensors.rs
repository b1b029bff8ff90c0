//! Tensors under other names, of other types, and with other values than a model needs.

use super::*;

#[test]
fn types_that_are_not_read_are_named() {
    for dtype in [
        Dtype::F64,
        Dtype::I8,
        Dtype::BOOL,
        Dtype::I64,
        Dtype::F8_E4M3,
    ] {
        let mut weights = weights();
        weights.insert(WTE.to_owned(), Stored::zeros(dtype, &[5, 2]));
        let said = Folder::of(&weights).said();
        let words =
            format!("model.safetensors: {WTE} is of type {dtype:?}, but weights are read from");
        assert!(said.starts_with(&words), "{said}");
    }
    for dtype in [Dtype::F16, Dtype::BF16] {
        let mut weights = weights();
        weights.insert(WTE.to_owned(), Stored::zeros(dtype, &[5, 2]));
        Folder::of(&weights).load().unwrap();
    }
}

#[test]
fn a_wrappers_prefix_is_named() {
    let renamed = |name: &dyn Fn(&str) -> String| -> Weights {
        let all = weights().into_iter();
        all.map(|(key, stored)| (name(&key), stored)).collect()
    };
    let short = |name: &str| name.replacen("transformer.", "", 1);
    for prefix in [
        "model.",
        "module.",
        "_orig_mod.",
        "_orig_mod.module.",
        "mine",
    ] {
        for short_names in [false, true] {
            let weights = renamed(&|name| match short_names {
                true => format!("{prefix}{}", short(name)),
                false => format!("{prefix}{name}"),
            });
            let said = Folder::of(&weights).said();
            let words = format!("16 of 16 tensors have names that begin with `{prefix}`");
            assert!(said.contains(&words), "{said}");
        }
    }
    // All but the head, which a wrapper of the body alone leaves as it is.
    let mut body = renamed(&|name| format!("model.{name}"));
    body.insert(HEAD.to_owned(), weights()[WTE].clone());
    let said = Folder::of(&body).said();
    assert!(said.contains("16 of 17 tensors"), "{said}");
    // Without the prefix of GPT-2's own files all is read.
    let plain = Folder::of(&renamed(&short));
    assert_eq!(plain.logits(), Folder::of(&weights()).logits());
    // A model of another kind has no prefix, but other tensors.
    let other = BTreeMap::from([("embed.weight".to_owned(), Stored::f32(&[1], vec![1.0]))]);
    let said = Folder::of(&other).said();
    assert!(
        said.ends_with("has no tensor transformer.wte.weight, which this model needs: it holds embed.weight alone"),
        "{said}"
    );
}

#[test]
fn tensors_that_are_no_parameters_are_checked() {
    let with = |name: &str, stored: Stored| {
        let mut weights = weights();
        weights.insert(name.to_owned(), stored);
        Folder::of(&weights)
    };
    let mask = |later: f32| {
        let element = |at: usize| if at % 4 <= at / 4 { 1.0 } else { later };
        Stored::f32(&[1, 1, 4, 4], (0..16).map(element).collect())
    };
    with(MASK, mask(0.0)).load().unwrap();
    with(
        "transformer.h.0.attn.masked_bias",
        Stored::f32(&[], vec![-1e4]),
    )
    .load()
    .unwrap();
    let bools = Stored {
        dtype: Dtype::BOOL,
        shape: vec![1, 1, 2, 2],
        bytes: vec![1, 0, 1, 1],
    };
    with(MASK, bools).load().unwrap();
    let all = with(MASK, mask(1.0)).said();
    assert!(
        all.ends_with("it is not the causal mask that GPT-2 has"),
        "{all}"
    );
    let flat = with(MASK, Stored::f32(&[2], vec![1.0; 2])).said();
    assert!(
        flat.ends_with("it is not the causal mask that GPT-2 has"),
        "{flat}"
    );
    let low = with(
        "transformer.h.0.attn.masked_bias",
        Stored::f32(&[], vec![-1.0]),
    )
    .said();
    assert!(low.contains("not as low as GPT-2's"), "{low}");
    for name in [
        "transformer.h.1.attn.bias", // of a layer that is not
        "score.weight",
        "transformer.h.0.crossattention.c_attn.weight",
        "lm_head.bias",
        "x.attn.bias",
    ] {
        let said = with(name, mask(0.0)).said();
        let words = format!("has a tensor {name}, which this model does not know");
        assert!(said.ends_with(&words), "{said}");
    }
    // Both names of one parameter.
    let said = with("wte.weight", Stored::f32(&[5, 2], vec![0.0; 10])).said();
    assert!(
        said.ends_with("has a tensor wte.weight, which this model does not know"),
        "{said}"
    );
}

#[test]
fn a_head_beside_a_tie_is_used_where_it_differs() {
    let head = Stored::f32(
        &[5, 2],
        vec![0.5, -0.5, 1.0, 1.0, 0.0, 2.0, 0.1, 0.2, 3.0, -3.0],
    );
    let mut weights = weights();
    let tied = Folder::of(&weights);
    // A copy of the embedding changes nothing; nor does one in another type of the same values.
    weights.insert(HEAD.to_owned(), weights[WTE].clone());
    let copied = Folder::of(&weights);
    assert_eq!(copied.logits(), tied.logits());
    assert!(copied.load().unwrap().notes.is_empty());
    weights.insert(HEAD.to_owned(), head.clone());
    let differs = Folder::of(&weights);
    let notes = differs.load().unwrap().notes;
    assert!(
        notes.len() == 1 && notes[0].contains("another lm_head.weight"),
        "{notes:?}"
    );
    let untied = Folder::of(&weights);
    let mut said_so = config();
    said_so["tie_word_embeddings"] = false.into();
    untied.put("config.json", said_so.to_string());
    assert_eq!(differs.logits(), untied.logits());
    assert!(untied.load().unwrap().notes.is_empty());
    // A head of another shape is no head of this model; nor is one without numbers.
    weights.insert(HEAD.to_owned(), Stored::f32(&[4, 2], vec![0.0; 8]));
    let said = Folder::of(&weights).said();
    assert!(
        said.contains("lm_head.weight has shape [4, 2], but this model needs [5, 2]"),
        "{said}"
    );
    // The embedding under the head's name alone.
    let embedding = weights.remove(WTE).unwrap();
    weights.insert(HEAD.to_owned(), embedding);
    assert_eq!(Folder::of(&weights).logits(), tied.logits());
    // Without a tie, the head may not be missing.
    let mut without = self::weights();
    without.remove(HEAD);
    let folder = Folder::of(&without);
    folder.put("config.json", said_so.to_string());
    assert!(
        folder.said().contains("has no tensor lm_head.weight"),
        "{}",
        folder.said()
    );
}

/// A file of ours that ties and has another head contradicts itself.
#[test]
fn our_own_files_do_not_untie() {
    let mut weights = weights();
    weights.insert(HEAD.to_owned(), Stored::f32(&[5, 2], vec![0.5; 10]));
    let folder = Folder::of(&weights);
    let ours = latimer_nn::GptConfig {
        n_layer: 1,
        n_head: 1,
        n_embd: 2,
        block_size: 4,
        ..latimer_nn::GptConfig::gpt2(5)
    };
    folder.put("config.json", latimer_nn::io::config_to_json(&ours));
    let said = folder.said();
    assert!(
        said.contains("lm_head.weight is not read: it differs from the token embedding"),
        "{said}"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    for (name, shape) in SHAPES {
        for (dtype, bytes) in [
            (Dtype::F32, f32::NAN.to_le_bytes().to_vec()),
            (Dtype::F32, f32::INFINITY.to_le_bytes().to_vec()),
            (Dtype::F16, 0xFC00u16.to_le_bytes().to_vec()),
            (Dtype::BF16, 0x7FC0u16.to_le_bytes().to_vec()),
        ] {
            let mut weights = weights();
            let mut stored = Stored::zeros(dtype, shape);
            let end = stored.bytes.len() - bytes.len();
            let at = end / bytes.len();
            stored.bytes[end..].copy_from_slice(&bytes);
            weights.insert(name.to_owned(), stored);
            let said = Folder::of(&weights).said();
            let words = format!("model.safetensors: element {at} of {name} is ");
            assert!(said.starts_with(&words), "{said}");
        }
    }
    let mut weights = weights();
    let mut head = weights[WTE].clone();
    head.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    weights.insert(HEAD.to_owned(), head);
    let said = Folder::of(&weights).said();
    assert!(
        said.contains("element 0 of lm_head.weight is NaN"),
        "{said}"
    );
}
