//! A gradient cannot get lost silently: every way to lose one is an error that names it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use latimer_autograd::{AdamW, Declarations, Error, Init, LmHead, Optimizer, Param, Params, Pass};
use latimer_tensor::op::UnaryKind;
use latimer_tensor::{DType, Device, Tensor};

struct Fixture {
    params: Params,
    optimizer: Optimizer,
    wte: Param,
    w: Param,
    head: LmHead,
}

fn fixture() -> Fixture {
    let mut declarations = Declarations::new();
    let mut root = declarations.root();
    let normal = Init::Normal { std: 0.5 };
    let wte = root.child("wte").param("weight", [5, 4], normal);
    let w = root.child("middle").param("weight", [4, 4], normal);
    let weight = root.child("lm_head").param("weight", [5, 4], normal);
    let head = LmHead {
        weight,
        bias: None,
        valid_columns: 5,
    };
    let device = Device::reference();
    let mut params = Params::new(&device, declarations, 1).unwrap();
    Fixture {
        optimizer: Optimizer::new(&mut params, AdamW::default()).unwrap(),
        params,
        wte,
        w,
        head,
    }
}

#[test]
fn a_parameter_without_a_gradient_is_named() {
    let f = fixture();
    let device = f.params.device();
    let tensor = |x: [u32; 3]| Tensor::from_slice(device, &x, [1, 3]).unwrap();
    let pass = f.optimizer.pass(&f.params);
    let x = pass.embedding(&tensor([0, 1, 2]), f.wte, None, 0).unwrap();
    // The middle layer is forgotten.
    let loss = pass.lm_loss(&x, f.head, &tensor([1, 2, 3])).unwrap();
    pass.backward(loss).unwrap();
    let error = f.params.check_gradients().unwrap_err().to_string();
    assert!(
        error.contains("middle.weight is missing: the loss does not depend on it"),
        "{error}"
    );
}

/// A parameter whose result does not reach the loss: it is dropped, or passed on as a constant.
#[test]
fn a_parameter_whose_result_leads_nowhere_is_named() {
    let f = fixture();
    let device = f.params.device();
    let tensor = |x: [u32; 3]| Tensor::from_slice(device, &x, [1, 3]).unwrap();
    for constant in [false, true] {
        f.params.zero_gradients().unwrap();
        let pass = f.optimizer.pass(&f.params);
        let x = pass.embedding(&tensor([0, 1, 2]), f.wte, None, 0).unwrap();
        let y = pass.linear(&x, f.w, None).unwrap();
        let h = if constant {
            let detached = Tensor::from_slice(device, &y.to_vec::<f32>().unwrap(), y.dims());
            pass.add(&x, &pass.constant(detached.unwrap())).unwrap()
        } else {
            x
        };
        let loss = pass.lm_loss(&h, f.head, &tensor([1, 2, 3])).unwrap();
        pass.backward(loss).unwrap();
        let error = f.params.check_gradients().unwrap_err().to_string();
        assert!(error.contains("middle.weight is missing"), "{error}");
    }
}

/// A head that is certain of every target: all gradients are zero, and nothing is wrong. Parameters
/// that were reached before the gradients were last set to zero do not count as reached.
#[test]
fn gradients_that_are_zero_are_no_mistake() {
    let f = fixture();
    let device = f.params.device();
    let ids = Tensor::from_slice(device, &[0u32, 1, 2], [1, 3]).unwrap();
    let head = LmHead {
        valid_columns: 1,
        ..f.head
    };
    let targets = Tensor::from_slice(device, &[0u32; 3], [1, 3]).unwrap();
    let pass = f.optimizer.pass(&f.params);
    let x = pass.embedding(&ids, f.wte, None, 0).unwrap();
    let x = pass.linear(&x, f.w, None).unwrap();
    let loss = pass.lm_loss(&x, head, &targets).unwrap();
    assert_eq!(loss.to_vec::<f32>().unwrap(), [0.0]);
    pass.backward(loss).unwrap();
    let gradient = f.params.get(latimer_autograd::Slab::Gradients, f.w);
    assert!(gradient.unwrap().iter().all(|&g| g == 0.0));
    f.params.check_gradients().unwrap();
    f.params.zero_gradients().unwrap();
    assert!(matches!(
        f.params.check_gradients(),
        Err(Error::BadGradient { .. })
    ));
}

#[test]
fn a_tensor_made_outside_the_pass_is_refused() {
    let f = fixture();
    let pass = f.optimizer.pass(&f.params);
    let tensor = Tensor::zeros(f.params.device(), [1, 3, 4], DType::F32).unwrap();
    let error = pass.linear(&tensor, f.w, None).unwrap_err();
    assert!(matches!(error, Error::Untracked { .. }), "{error}");
    // Once given to the pass, the tensor is accepted; an eager method in between loses it again.
    let x = pass.input(tensor);
    let y = pass.linear(&x, f.w, None).unwrap();
    let eager = y.map(UnaryKind::Relu).unwrap();
    assert!(pass.linear(&eager, f.w, None).is_err());
    // In evaluation there is nothing to lose.
    let pass = Pass::evaluate(&f.params);
    assert!(pass.linear(&eager, f.w, None).is_ok());
}

#[test]
fn a_loss_that_goes_on_is_refused() {
    let f = fixture();
    let device = f.params.device().clone();
    let tensor = |x: [u32; 3]| Tensor::from_slice(&device, &x, [1, 3]).unwrap();
    let pass = f.optimizer.pass(&f.params);
    let x = pass.embedding(&tensor([0, 1, 2]), f.wte, None, 0).unwrap();
    let loss = pass.lm_loss(&x, f.head, &tensor([1, 2, 3])).unwrap();
    let squashed = pass.unary(UnaryKind::Tanh, &loss).unwrap();
    assert!(matches!(
        pass.backward(squashed),
        Err(Error::LossMustBeLast)
    ));

    let pass = f.optimizer.pass(&f.params);
    let foreign = Tensor::zeros(&device, [1], DType::F32).unwrap();
    assert!(matches!(
        pass.backward(foreign.clone()),
        Err(Error::ForeignLoss)
    ));
    let pass = Pass::evaluate(&f.params);
    assert!(matches!(pass.backward(foreign), Err(Error::NotRecording)));
}

#[test]
fn ids_from_another_device_and_out_of_range_are_refused() {
    let f = fixture();
    let pass = f.optimizer.pass(&f.params);
    let elsewhere = Device::new(latimer_tensor::DryRun::default());
    let foreign = Tensor::from_slice(&elsewhere, &[0u32, 1, 2], [1, 3]).unwrap();
    let error = pass
        .embedding(&foreign, f.wte, None, 0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("another device's memory"), "{error}");
    let device = f.params.device();
    let wrong = Tensor::from_slice(device, &[0u32, 9, 1], [1, 3]).unwrap();
    let error = pass
        .embedding(&wrong, f.wte, None, 0)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "embedding: ids holds id 9 at position 1, but ids go from 0 to 4"
    );
}

/// A rule from outside whose forward half did not check its operand.
#[test]
fn a_rule_for_a_tensor_that_the_pass_has_not_seen_is_refused() {
    let f = fixture();
    let device = f.params.device().clone();
    let pass = f.optimizer.pass(&f.params);
    let [x, y] = [1.0, 2.0].map(|x| Tensor::full(&device, [1], DType::F32, x).unwrap());
    pass.record(&y, move |gradients, dy| gradients.pass_on(&x, dy));
    let error = pass.backward(y).unwrap_err();
    assert!(matches!(error, Error::UnknownGradient { .. }), "{error}");
}

/// A residual's gradient reaches both summands, and one tensor used twice gets the sum.
#[test]
fn gradients_of_a_tensor_used_twice_add_up() {
    let f = fixture();
    let device = f.params.device().clone();
    let x = Tensor::from_slice(&device, &[1.0f32, -2.0, 0.5, 3.0], [1, 4]).unwrap();
    let gradient = |twice: bool| -> Vec<f32> {
        f.params.zero_gradients().unwrap();
        let pass = f.optimizer.pass(&f.params);
        let y = pass.linear(&pass.input(x.clone()), f.w, None).unwrap();
        let sum = if twice { pass.add(&y, &y).unwrap() } else { y };
        let ones = pass.constant(Tensor::full(&device, [4, 1], DType::F32, 1.0).unwrap());
        let loss = pass.matmul(&sum, &ones, false).unwrap();
        pass.backward(loss).unwrap();
        f.params
            .get(latimer_autograd::Slab::Gradients, f.w)
            .unwrap()
    };
    let (once, twice) = (gradient(false), gradient(true));
    assert!(once.iter().all(|&g| g != 0.0));
    assert!(
        once.iter().zip(&twice).all(|(a, b)| *b == 2.0 * a),
        "{once:?} {twice:?}"
    );
}
