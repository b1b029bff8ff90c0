//! Mixed precision: passes compute in bf16, sums and the optimizer stay in f32.

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_autograd::{
    AdamW, AttentionSpec, Declarations, Init, LmHead, Optimizer, Param, Params, Pass, Result, Slab,
};
use latimer_tensor::op::UnaryKind;
use latimer_tensor::{DType, Device, Tensor};

const V: usize = 11;
const C: usize = 16;
const T: usize = 6;

/// A model with every operation of a GPT's training, once each.
struct Model {
    wte: Param,
    wpe: Param,
    norm: [Param; 2],
    qkv: [Param; 2],
    up: [Param; 2],
    down: Param,
    last: [Param; 2],
}

impl Model {
    fn new() -> (Self, Declarations) {
        let mut declarations = Declarations::new();
        let mut root = declarations.root();
        let normal = Init::Normal { std: 0.3 };
        let model = Self {
            wte: root.param("wte", [V, C], normal),
            wpe: root.param("wpe", [T, C], normal),
            norm: [
                root.param("norm.weight", [C], Init::Ones),
                root.param("norm.bias", [C], normal),
            ],
            qkv: [
                root.param("qkv.weight", [C, 3 * C], normal),
                root.param("qkv.bias", [3 * C], normal),
            ],
            up: [
                root.param("up.weight", [C, 2 * C], normal),
                root.param("up.bias", [2 * C], normal),
            ],
            down: root.param("down.weight", [2 * C, C], normal),
            last: [
                root.param("last.weight", [C], Init::Ones),
                root.param("last.bias", [C], normal),
            ],
        };
        (model, declarations)
    }

    fn loss(&self, pass: &Pass<'_>, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let x = pass.embedding(ids, self.wte, Some(self.wpe), 0)?;
        let y = pass.layer_norm(&x, self.norm[0], Some(self.norm[1]), 1e-5)?;
        let qkv = pass.linear(&y, self.qkv[0], Some(self.qkv[1]))?;
        let spec = AttentionSpec {
            n_head: 2,
            scale: 1.0 / (C as f32 / 2.0).sqrt(),
            causal: true,
            dropout: 0.1,
            site: 0,
        };
        let y = pass.dropout(&pass.attention(&qkv, spec)?, 0.1, 1)?;
        let x = pass.add(&x, &y)?;
        let y = pass.linear(&x, self.up[0], Some(self.up[1]))?;
        let y = pass.unary(UnaryKind::GeluTanh, &y)?;
        let y = pass.linear(&y, self.down, None)?;
        let (_, y) = pass.add_layer_norm(&x, &y, self.last[0], Some(self.last[1]), 1e-5)?;
        let head = LmHead {
            weight: self.wte,
            bias: None,
            valid_columns: V,
        };
        pass.lm_loss(&y, head, targets)
    }
}

fn params(bf16: bool) -> (Model, Params) {
    let (model, declarations) = Model::new();
    let mut params = Params::new(&Device::reference(), declarations, 7).unwrap();
    if bf16 {
        params.enable_bf16().unwrap();
    }
    params.enable_training().unwrap();
    (model, params)
}

/// The loss, and the gradients in the store.
fn step(model: &Model, params: &mut Params) -> f32 {
    let device = &params.device().clone();
    let mut optimizer = Optimizer::new(params, AdamW::default()).unwrap();
    let of = |shift: u32| {
        let ids: Vec<u32> = (0..2 * T as u32)
            .map(|i| (i * i + shift) % V as u32)
            .collect();
        Tensor::from_slice(device, &ids, [2, T]).unwrap()
    };
    let loss = optimizer.backward(params, 0, |pass| model.loss(pass, &of(0), &of(3)));
    let loss = loss.unwrap();
    assert_eq!(loss.dtype(), DType::F32);
    loss.to_vec::<f32>().unwrap()[0]
}

/// The bytes of the copy that passes read.
fn working(params: &Params, param: Param) -> Vec<u8> {
    let view = params.value(param).unwrap();
    let mut bytes = vec![0; view.bytes()];
    params.device().download(view, &mut bytes).unwrap();
    bytes
}

/// The bytes of `values` rounded to bf16.
fn rounded(device: &Device, values: &[f32]) -> Vec<u8> {
    let x = Tensor::from_slice(device, values, [values.len()]).unwrap();
    let x = x.cast(DType::Bf16).unwrap();
    let mut bytes = vec![0; 2 * values.len()];
    device.download(x.view(), &mut bytes).unwrap();
    bytes
}

fn assert_copied(params: &Params) {
    for (param, info) in params.iter() {
        let values = params.get(Slab::Values, param).unwrap();
        let want = rounded(params.device(), &values);
        assert_eq!(working(params, param), want, "{}", info.name());
    }
}

/// At most this many tensors on the way to a parameter's gradient are rounded to bf16: 10
/// activations of the model above, the logits' gradients, and as many gradients on the way back.
const ROUNDINGS: f64 = 21.0;

#[test]
fn gradients_are_those_of_f32_within_the_roundings_of_bf16() {
    let ((model, mut narrow), (same, mut wide)) = (params(true), params(false));
    // Both start from the same values, so only the type that passes compute in differs.
    let all: Vec<Param> = narrow.iter().map(|(param, _)| param).collect();
    for &param in &all {
        let bytes = working(&narrow, param);
        let halves = bytes
            .chunks_exact(2)
            .map(|b| u16::from_ne_bytes([b[0], b[1]]));
        let values: Vec<f32> = halves.map(|h| f32::from_bits(u32::from(h) << 16)).collect();
        wide.set(Slab::Values, param, &values).unwrap();
    }
    let (a, b) = (step(&model, &mut narrow), step(&same, &mut wide));
    // Each rounding moves a value by at most u times itself, and roundings are independent.
    let bound = ROUNDINGS.sqrt() * DType::Bf16.unit_roundoff();
    assert!(f64::from((a - b).abs()) <= bound * f64::from(b), "{a} {b}");
    let mut apart = 0.0f64;
    for &param in &all {
        let [got, want] = [&narrow, &wide].map(|p| p.get(Slab::Gradients, param).unwrap());
        let norm =
            |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let error = norm(&mut got.iter().zip(&want).map(|(a, b)| a - b));
        let relative = error / norm(&mut want.iter().copied());
        let name = narrow.info(param).name();
        assert!(relative <= bound, "{name}: {relative} against {bound}");
        apart = apart.max(relative);
    }
    assert!(apart > 1e-4, "nothing was rounded: {apart}");
}

#[test]
fn f32_has_no_copy() {
    let (_, params) = params(false);
    assert_eq!(params.dtype(), DType::F32);
    let before = params.device().pool_stats().live_bytes;
    let (_, mixed) = self::params(true);
    let after = mixed.device().pool_stats().live_bytes;
    // Slabs of 2 bytes beside four of 4, in the pool's size classes.
    let (least, most) = (before * 17 / 16, before * 19 / 16);
    assert!(least < after && after < most, "{before} {after}");
}

/// Steps of 0.1 % are lost on a bf16 number: the next number below 1 is 0.4 % away.
#[test]
fn small_steps_add_up_in_the_master() {
    let mut declarations = Declarations::new();
    let w = declarations.root().param("w", [3, 2], Init::Ones);
    let mut params = Params::new(&Device::reference(), declarations, 1).unwrap();
    params.enable_bf16().unwrap();
    let adamw = AdamW {
        lr: 1e-3,
        beta2: 0.99,
        weight_decay: 0.0,
        ..AdamW::default()
    };
    let mut optimizer = Optimizer::new(&mut params, adamw).unwrap();
    let mut seen = Vec::new();
    for step in 1..=10 {
        optimizer.begin_step(step).unwrap();
        params.set(Slab::Gradients, w, &[0.1; 6]).unwrap();
        optimizer.measure(&params).unwrap();
        optimizer.apply(&mut params).unwrap();
        assert_copied(&params);
        seen.push(working(&params, w));
    }
    // A constant gradient makes steps of the learning rate.
    let value = params.get(Slab::Values, w).unwrap()[0];
    assert!((value - 0.99).abs() < 1e-5, "{value}");
    assert_eq!(
        seen[0],
        rounded(params.device(), &[1.0; 6]),
        "too small to be seen"
    );
    assert_ne!(seen[9], seen[0]);
}

#[test]
fn gradients_that_are_not_finite_change_nothing() {
    for (bf16, grad_clip) in [(false, 1.0), (true, 1.0), (false, 0.0)] {
        let (model, mut params) = params(bf16);
        step(&model, &mut params);
        let adamw = AdamW {
            lr: 0.1,
            beta2: 0.99,
            grad_clip,
            ..AdamW::default()
        };
        let mut optimizer = Optimizer::new(&mut params, adamw).unwrap();
        let mut update = |params: &mut Params| {
            optimizer.begin_step(1).unwrap();
            optimizer.measure(params).unwrap();
            optimizer.apply(params).unwrap();
            optimizer.results().unwrap().grad_norm
        };
        update(&mut params);
        let all: Vec<Param> = params.iter().map(|(param, _)| param).collect();
        let state = |params: &Params| {
            let slabs = [Slab::Values, Slab::M, Slab::V];
            let of = |slab| all.iter().map(move |&p| params.get(slab, p).unwrap());
            slabs.into_iter().flat_map(of).collect::<Vec<_>>()
        };
        let before = state(&params);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut gradients = params.get(Slab::Gradients, all[0]).unwrap();
            gradients[1] = bad;
            params.set(Slab::Gradients, all[0], &gradients).unwrap();
            assert!(!update(&mut params).is_finite());
            assert_eq!(state(&params), before);
        }
        step(&model, &mut params);
        update(&mut params);
        assert_ne!(state(&params), before);
    }
}
