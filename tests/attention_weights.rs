//! Attention weights computed step by step are the ones that fused attention applies.
//!
//! For every layer, both start from the same queries, keys and values. Both must give the f64
//! meaning of the fused operation, within the tolerance that the conformance suite derives for an
//! evaluation that rounds every term to f32. Flash-attention's rule must hold too: applied to the
//! values, the weights err at most twice as much as the fused result, plus one rounding.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{Params, Pass, Slab};
use latimer_backend_cpu::Cpu;
use latimer_conformance::tolerance::first_misfit;
use latimer_nn::{
    Activation, Error, Gpt, GptConfig, MlpKind, NormKind, PositionKind, attention_weights,
};
use latimer_tensor::op::Attention;
use latimer_tensor::philox::Stream;
use latimer_tensor::{Bounded, DType, Device, Op, Real, Tensor, Written};

/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;

const BATCH_SIZE: usize = 2;

fn cpu(threads: usize) -> Device {
    Device::new(Cpu::new(threads).unwrap())
}

/// Configurations with every switch that attention, or its inputs, depend on. 71 positions are more
/// than two tiles.
fn configs() -> Vec<(&'static str, GptConfig)> {
    let gpt2 = GptConfig {
        n_layer: 2,
        n_head: 3,
        n_embd: 15,
        block_size: 80,
        ..GptConfig::gpt2(31)
    };
    let bare = GptConfig {
        attn_proj: false,
        mlp: MlpKind::None,
        ff_proj: false,
        positions: PositionKind::None,
        residual: false,
        norm: NormKind::None,
        bias: false,
        qkv_bias: false,
        n_layer: 1,
        ..gpt2.clone()
    };
    let all_see_all = GptConfig {
        causal: false,
        dropout: 0.5, // evaluation must not see it
        qkv_bias: false,
        ..gpt2.clone()
    };
    let departures = GptConfig {
        activation: Activation::Relu,
        padded_vocab_size: 40,
        positions: PositionKind::None,
        attn_proj: false,
        tie: false,
        ..gpt2.clone()
    };
    let one_head = GptConfig {
        n_head: 1,
        residual: false,
        ..gpt2.clone()
    };
    vec![
        ("gpt2", gpt2),
        ("bare", bare),
        ("all see all", all_see_all),
        ("departures", departures),
        ("one head", one_head),
    ]
}

/// A model whose queries and keys are large enough that attention is far from uniform.
fn model(device: &Device, config: &GptConfig) -> (Gpt, Params) {
    let (gpt, declarations) = Gpt::new(config).unwrap();
    let mut params = Params::new(device, declarations, 3).unwrap();
    let matrices: Vec<_> = params
        .iter()
        .filter(|(_, info)| info.is_decayed())
        .map(|(param, _)| param)
        .collect();
    for param in matrices {
        let mut w = params.get(Slab::Values, param).unwrap();
        w.iter_mut().for_each(|w| *w *= 20.0);
        params.set(Slab::Values, param, &w).unwrap();
    }
    (gpt, params)
}

fn ids(device: &Device, seq_len: usize) -> Tensor {
    let mut stream = Stream::new(5, 0, 0);
    let ids: Vec<u32> = (0..BATCH_SIZE * seq_len)
        .map(|_| stream.below(31) as u32)
        .collect();
    Tensor::from_slice(device, &ids, [BATCH_SIZE, seq_len]).unwrap()
}

/// The fused operation over one layer's queries, keys and values.
struct Fused {
    qkv: Tensor, // [B, T, 3C]
    y: Tensor,   // [B, T, C]
    lse: Tensor, // [B, NH, T]
}

impl Fused {
    fn new(qkv: Tensor, n_head: usize) -> Self {
        let [b, t, width] = qkv.dims().try_into().unwrap();
        let device = qkv.device();
        let y = Tensor::zeros(device, [b, t, width / 3], DType::F32).unwrap();
        let lse = Tensor::zeros(device, [b, n_head, t], DType::F32).unwrap();
        Self { qkv, y, lse }
    }

    fn op(&mut self, causal: bool) -> Attention<'_> {
        let n_head = self.lse.dims()[1];
        let head_dim = self.y.shape().columns() / n_head;
        Attention {
            qkv: self.qkv.view(),
            y: self.y.view_mut().unwrap(),
            lse: self.lse.view_mut().unwrap(),
            n_head,
            scale: 1.0 / (head_dim as f32).sqrt(),
            causal,
            rate: 0.0,
            site: 0,
            random: None,
        }
    }

    /// The operation's meaning: `y` and `lse`.
    fn meaning(&mut self, causal: bool) -> [Written<Bounded>; 2] {
        let device = self.qkv.device().clone();
        let op = Op::from(self.op(causal));
        let outputs = op.bounded(device.backend()).unwrap();
        outputs.try_into().unwrap()
    }

    /// The weights that follow from the `lse` that the operation kept: `exp(scale·q·k - lse)`.
    /// `meant` is its meaning.
    fn implied_weights(&self, meant: &[Bounded], causal: bool) -> Written<Bounded> {
        let ([b, n_head, t], c) = (
            self.lse.dims().try_into().unwrap(),
            self.y.shape().columns(),
        );
        let (d, qkv) = (c / n_head, widen(&self.qkv));
        let scale = Bounded::from(1.0 / (d as f32).sqrt());
        let lse = widen(&self.lse);
        let mut values = Vec::new();
        for row in 0..b * n_head * t {
            let (b, h, i) = (row / t / n_head, row / t % n_head, row % t);
            let part =
                |which: usize, at: usize| &qkv[(b * t + at) * 3 * c + which * c + h * d..][..d];
            let reach = if causal { i + 1 } else { t };
            // It is off, and so is the sum that the weights under test are divided by.
            let lse = Bounded::new(lse[row], 2.0 * meant[row].magnitude());
            for j in 0..t {
                let pairs = part(0, i).iter().zip(part(1, j));
                let terms = pairs.map(|(&q, &k)| Bounded::from(q) * Bounded::from(k));
                let weight = (scale * Bounded::sum(terms) - lse).exp();
                values.push(if j < reach {
                    weight
                } else {
                    Bounded::from(0.0)
                });
            }
        }
        let operand = "weights";
        Written { operand, values }
    }
}

fn widen(x: &Tensor) -> Vec<f64> {
    let narrow = x.to_vec::<f32>().unwrap();
    narrow.into_iter().map(f64::from).collect()
}

/// Weights times values, heads side by side again: `[B, T, C]`.
fn applied(pass: &Pass<'_>, weights: &Tensor, qkv: &Tensor) -> Tensor {
    let [b, n_head, t, _] = weights.dims().try_into().unwrap();
    let c = qkv.shape().columns() / 3;
    let v = pass.slice(qkv, 2, 2 * c, c).unwrap(); // [B, T, C]
    let v = v.reshape([b, t, n_head, c / n_head]).unwrap();
    let v = pass.permute(&v, &[0, 2, 1, 3]).unwrap(); // [B, NH, T, D]
    let v = v.reshape([b * n_head, t, c / n_head]).unwrap();
    let weights = weights.reshape([b * n_head, t, t]).unwrap();
    let y = pass.matmul(&weights, &v, false).unwrap(); // [B * NH, T, D]
    let y = y.reshape([b, n_head, t, c / n_head]).unwrap();
    let y = pass.permute(&y, &[0, 2, 1, 3]).unwrap(); // [B, T, NH, D]
    y.reshape([b, t, c]).unwrap()
}

fn assert_fits(what: &str, want: &Written<Bounded>, got: &Tensor) {
    let bytes: Vec<u8> = got
        .to_vec::<f32>()
        .unwrap()
        .into_iter()
        .flat_map(f32::to_ne_bytes)
        .collect();
    let misfit = first_misfit(want, &bytes, DType::F32, DType::F32).unwrap();
    assert_eq!(misfit, None, "{what}");
}

/// Checks that rows sum to 1, within the roundings of T terms and of the division.
fn rows_sum_to_1(what: &str, weights: &Tensor) {
    let t = weights.shape().columns();
    for (row, weights) in widen(weights).chunks(t).enumerate() {
        let (sum, bound) = (weights.iter().sum::<f64>(), (t as f64 + 1.0) * U);
        assert!(
            (sum - 1.0).abs() <= bound,
            "{what}: row {row} sums to {sum}"
        );
    }
}

/// Checks one layer's weights against its fused attention.
fn check_layer(what: &str, pass: &Pass<'_>, weights: &Tensor, fused: &mut Fused, causal: bool) {
    pass.device().run(fused.op(causal)).unwrap();
    let y = applied(pass, weights, &fused.qkv); // [B, T, C]
    let [want, lse] = fused.meaning(causal);
    assert_fits(&format!("{what}, lse"), &lse, &fused.lse);
    assert_fits(&format!("{what}, fused"), &want, &fused.y);
    assert_fits(&format!("{what}, composed"), &want, &y);
    let implied = fused.implied_weights(&lse.values, causal);
    assert_fits(what, &implied, weights);
    rows_sum_to_1(what, weights);

    let error = |got: &Tensor| {
        let errors = widen(got).into_iter().zip(&want.values);
        errors
            .map(|(g, w)| (g - w.value()).abs())
            .fold(0.0, f64::max)
    };
    let largest = want
        .values
        .iter()
        .map(|y| y.value().abs())
        .fold(0.0, f64::max);
    let (composed, fused) = (error(&y), error(&fused.y));
    // The reference device rounds the fused operation once: no composition comes near that.
    if pass.device().info().name != Device::reference().info().name {
        assert!(
            composed <= 2.0 * fused + U * largest,
            "{what}: {composed} but {fused} fused"
        );
    }
}

#[test]
fn they_are_what_fused_attention_applies() {
    for (name, config) in configs() {
        for device in [Device::reference(), cpu(1), cpu(2)] {
            let (gpt, params) = model(&device, &config);
            let ids = ids(&device, 71);
            let all = attention_weights(&gpt, &params, &ids).unwrap();
            assert_eq!(all.len(), config.n_layer);

            let pass = Pass::evaluate(&params);
            let mut x = pass.embedding(&ids, gpt.wte, gpt.wpe, 0).unwrap(); // [B, T, C]
            for (layer, (block, weights)) in gpt.h.iter().zip(&all).enumerate() {
                let what = format!("{name} on {}, layer {layer}", device.info().name);
                assert_eq!(
                    weights.dims(),
                    [BATCH_SIZE, config.n_head, 71, 71],
                    "{what}"
                );
                let normed = block.ln_1.map(|norm| norm.forward(&pass, &x).unwrap());
                let seen = normed.as_ref().unwrap_or(&x);
                let qkv = block.attn.c_attn.forward(&pass, seen).unwrap(); // [B, T, 3C]
                let mut fused = Fused::new(qkv, config.n_head);
                check_layer(&what, &pass, weights, &mut fused, config.causal);
                if !config.attn_proj {
                    let y = block.attn.forward(&pass, seen, None).unwrap();
                    assert_eq!(
                        widen(&y),
                        widen(&fused.y),
                        "{what}: the layer is what was checked"
                    );
                }
                let stream = block.forward(&pass, x.into(), None).unwrap();
                x = stream.sum(&pass).unwrap();
            }
        }
    }
}

#[test]
fn threads_change_no_bit_and_the_mask_holds() {
    for (name, config) in configs() {
        let weights = |device: Device, seq_len| -> Vec<Vec<f32>> {
            let (gpt, params) = model(&device, &config);
            let all = attention_weights(&gpt, &params, &ids(&device, seq_len)).unwrap();
            all.iter().map(|w| w.to_vec().unwrap()).collect()
        };
        let one = weights(cpu(1), 71);
        assert_eq!(one, weights(cpu(2), 71), "{name}");
        // Weights of later positions occur only without a mask, and some weights are far from even.
        let later = |w: &[f32]| (0..71 * 71).any(|at| at % 71 > at / 71 && w[at] != 0.0);
        for layer in &one {
            let sees_later = layer.chunks(71 * 71).any(later);
            assert_eq!(sees_later, !config.causal, "{name}");
            let sharp = layer.iter().filter(|&&w| w > 0.5 && w < 1.0).count();
            assert!(sharp > 0, "{name}: weights so even would prove little");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = Device::reference();
    let config = GptConfig {
        n_layer: 1,
        n_head: 1,
        n_embd: 4,
        block_size: 8,
        ..GptConfig::gpt2(31)
    };
    let (gpt, params) = model(&device, &config);
    let error = |ids: &Tensor| attention_weights(&gpt, &params, ids).unwrap_err();
    let long = error(&ids(&device, 9));
    assert!(
        matches!(
            long,
            Error::TooLong {
                got: 9,
                block_size: 8
            }
        ),
        "{long}"
    );
    let unknown = Tensor::from_slice(&device, &[30u32, 31], [1, 2]).unwrap();
    let unknown = error(&unknown).to_string();
    assert!(unknown.contains("31"), "{unknown}");
    let flat = Tensor::from_slice(&device, &[1u32, 2], [2]).unwrap();
    let flat = error(&flat).to_string();
    assert!(flat.contains("it must be [B, T]"), "{flat}");
    // A layer by itself, with an input that has no batch axis.
    let pass = Pass::evaluate(&params);
    let x = Tensor::zeros(&device, [3, 4], DType::F32).unwrap();
    assert!(gpt.h[0].attn.weights(&pass, &x).is_err());
}
