//! Attention weights, logits, loss, every named gradient and ten AdamW updates of sixteen small
//! models, against PyTorch: GPTs in every combination of activation, tied and untied head, biases
//! on and off; and the ladder's six, from one unmasked head on.
//!
//! The golden files hold each number twice: as PyTorch computed it in f32, and in f64 from the same
//! f32 weights. The bound is flash-attention's rule: our error against f64 may be at most twice
//! that of PyTorch's f32 run, plus one rounding. Errors are relative to a tensor's greatest value,
//! and PyTorch's error is the worst over the tensors of a kind, since that of one small tensor is
//! chance.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{AdamW, Optimizer, Params, Pass, Slab};
use latimer_backend_cpu::Cpu;
use latimer_nn::{Generator, Sampler, Sampling, attention_weights};
use latimer_tensor::{Device, Tensor};
use latimer_tests::Golden;

/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;

fn devices() -> Vec<(&'static str, Device)> {
    let cpu = |threads| Device::new(Cpu::new(threads).unwrap());
    vec![
        ("reference", Device::reference()),
        ("cpu x1", cpu(1)),
        ("cpu x2", cpu(2)),
    ]
}

fn max_abs(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(f64::abs).fold(0.0, f64::max)
}

/// The greatest error, relative to the greatest value.
fn relative_error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    max_abs(got.iter().zip(want).map(|(g, w)| g - w)) / max_abs(want.iter().copied())
}

fn widen(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

fn assert_close(what: &str, got: &[f64], want: &[f64], torch: f64) {
    let (error, bound) = (relative_error(got, want), 2.0 * torch + U);
    assert!(
        error <= bound,
        "{what}: relative error {error:.2e} above {bound:.2e}"
    );
}

/// The elements of a gradient or a trained tensor that are worth comparing: all but the biases of
/// keys. Their gradient is 0 (a softmax is invariant to shifts), so only rounding moves them.
fn meaningful(golden: &Golden, name: &str, values: Vec<f64>) -> Vec<f64> {
    let c = golden.config.n_embd;
    if !name.ends_with("attn.c_attn.bias") {
        return values;
    }
    [&values[..c], &values[2 * c..]].concat()
}

/// The worst relative error of PyTorch's own f32 run over all parameters of a kind.
fn worst_of_torch(golden: &Golden, params: &Params, kind: &str) -> f64 {
    let of = |name: &str| {
        let got = meaningful(golden, name, golden.get(&format!("{kind}/{name}")));
        let want = meaningful(golden, name, golden.get(&format!("f64/{kind}/{name}")));
        relative_error(&got, &want)
    };
    params
        .iter()
        .map(|(_, info)| of(info.name()))
        .fold(0.0, f64::max)
}

/// PyTorch's own error in ten losses or norms. Ten numbers are few, so the small files have several
/// runs, which differ only in the order of the batch's rows; this is the worst of them.
fn worst_of_orders(golden: &Golden, kind: &str) -> f64 {
    let want = golden.get(&format!("f64/{kind}"));
    let runs = golden.find(&format!("orders/{kind}"));
    runs.unwrap_or_else(|| golden.get(kind))
        .chunks(want.len())
        .map(|run| relative_error(run, &want))
        .fold(0.0, f64::max)
}

/// The exact gradients of the keys' biases are 0. Each is a sum of `B·T` terms that cancel, so it
/// may be off by that many roundings of terms no larger than the largest gradient of the same
/// layer.
fn key_biases_are_noise(golden: &Golden, params: &Params, device: &str) {
    let (c, terms) = (golden.config.n_embd, golden.ids("ids").len() as f64);
    for (param, info) in params
        .iter()
        .filter(|(_, i)| i.name().ends_with("c_attn.bias"))
    {
        let all = widen(params.get(Slab::Gradients, param).unwrap());
        let (noise, bound) = (
            max_abs(all[c..2 * c].iter().copied()),
            terms * U * max_abs(all.clone()),
        );
        assert!(
            noise <= bound,
            "{device} {}: {noise:.2e} above {bound:.2e}",
            info.name()
        );
    }
}

fn compare_all(golden: &Golden, params: &Params, slab: Slab, kind: &str, device: &str) {
    let torch = worst_of_torch(golden, params, kind);
    for (param, info) in params.iter() {
        let name = info.name();
        let got = meaningful(golden, name, widen(params.get(slab, param).unwrap()));
        let want = meaningful(golden, name, golden.get(&format!("f64/{kind}/{name}")));
        assert_close(&format!("{device} {kind}/{name}"), &got, &want, torch);
    }
}

fn batch(golden: &Golden, device: &Device) -> (Tensor, Tensor) {
    let tensor = |name| {
        let (ids, seq_len) = (golden.ids(name), golden.config.block_size);
        Tensor::from_slice(device, &ids, [ids.len() / seq_len, seq_len]).unwrap() // [B, T]
    };
    (tensor("ids"), tensor("targets"))
}

fn check(golden: &Golden) {
    for (name, device) in devices() {
        device.enter(|| {
            weights_of_attention(golden, name, &device);
            logits_loss_and_gradients(golden, name, &device);
            ten_updates(golden, name, &device);
            greedy(golden, name, &device);
        });
    }
}

/// Checks the attention weights of each layer, which the small files hold.
fn weights_of_attention(golden: &Golden, name: &str, device: &Device) {
    if golden.find("attention/0").is_none() {
        return;
    }
    let (gpt, params) = golden.model(device);
    let (ids, _) = batch(golden, device);
    let want = |layer| golden.get(&format!("f64/attention/{layer}"));
    let torch = (0..golden.config.n_layer)
        .map(|layer| relative_error(&golden.get(&format!("attention/{layer}")), &want(layer)))
        .fold(0.0, f64::max);
    let all = attention_weights(&gpt, &params, &ids).unwrap();
    assert_eq!(all.len(), golden.config.n_layer);
    for (layer, weights) in all.iter().enumerate() {
        let got = widen(weights.to_vec().unwrap());
        assert_close(
            &format!("{name} attention/{layer}"),
            &got,
            &want(layer),
            torch,
        );
    }
}

fn logits_loss_and_gradients(golden: &Golden, name: &str, device: &Device) {
    let (gpt, mut params) = golden.model(device);
    let optimizer = Optimizer::new(&mut params, AdamW::default()).unwrap();
    let (ids, targets) = batch(golden, device);

    let pass = Pass::evaluate(&params);
    let got = widen(gpt.logits(&pass, &ids).unwrap().to_vec().unwrap());
    let want = golden.get("f64/logits");
    let torch = relative_error(&golden.get("logits"), &want);
    assert_close(&format!("{name} logits"), &got, &want, torch);

    let want = golden.get("f64/loss");
    let torch = worst_of_orders(golden, "losses");
    let evaluated = widen(gpt.loss(&pass, &ids, &targets).unwrap().to_vec().unwrap());
    assert_close(&format!("{name} loss"), &evaluated, &want, torch);

    let pass = optimizer.pass(&params);
    let loss = gpt.loss(&pass, &ids, &targets).unwrap();
    assert_eq!(
        widen(loss.to_vec().unwrap()),
        evaluated,
        "{name}: training computes the same loss"
    );
    pass.backward(loss).unwrap();
    params.check_gradients().unwrap();
    compare_all(golden, &params, Slab::Gradients, "gradients", name);
    key_biases_are_noise(golden, &params, name);
}

fn ten_updates(golden: &Golden, name: &str, device: &Device) {
    let (gpt, mut params) = golden.model(device);
    let mut optimizer = Optimizer::new(&mut params, golden.adamw()).unwrap();
    let (ids, targets) = batch(golden, device);
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let loss = optimizer.step(&mut params, |pass| gpt.loss(pass, &ids, &targets));
        losses.push(f64::from(loss.unwrap().to_vec::<f32>().unwrap()[0]));
        norms.push(f64::from(optimizer.results().unwrap().grad_norm));
    }
    for (kind, got) in [("losses", losses), ("grad_norms", norms)] {
        let want = golden.get(&format!("f64/{kind}"));
        let torch = worst_of_orders(golden, kind);
        assert_close(&format!("{name} {kind}"), &got, &want, torch);
    }
    compare_all(golden, &params, Slab::Values, "final", name);
}

fn greedy(golden: &Golden, name: &str, device: &Device) {
    let (gpt, params) = golden.model(device);
    let want = golden.ids("greedy");
    for cached in [true, false] {
        let mut generator = Generator::new(&gpt, &params, &want[..4]).unwrap();
        if !cached {
            generator = generator.without_cache();
        }
        let mut sampler = Sampler::new(Sampling::greedy(), 0).unwrap();
        while generator.ids().len() < want.len() {
            generator.next_id(&mut sampler).unwrap();
        }
        assert_eq!(generator.ids(), want, "{name}, cached: {cached}");
    }
}

#[test]
fn gelu_tied() {
    check(&Golden::gelu_tied());
}

#[test]
fn relu_untied() {
    check(&Golden::relu_untied());
}

/// One test for each file, under the file's name.
macro_rules! files {
    ($open:path: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(&$open(stringify!($name)));
            }
        )*
    };
}

files! {
    Golden::small:
    gelu_tied_unbiased
    gelu_untied_biased
    gelu_untied_unbiased
    relu_tied_biased
    relu_tied_unbiased
    relu_untied_biased
    relu_untied_unbiased
    gelu_erf_tied_biased
}

files! {
    Golden::ladder:
    lm0
    lm1
    lm2
    lm3
    lm4
    lm5
}
