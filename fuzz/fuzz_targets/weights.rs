//! A safetensors file, read into a model of two small tensors: all of it or nothing.
#![no_main]

use latimer_autograd::{Params, Slab};
use latimer_fuzz::{device, folder, smallest};
use latimer_nn::{Gpt, io};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::path::PathBuf;

struct Model {
    params: Params,
    file: PathBuf,
}

thread_local! {
    static MODEL: RefCell<Model> = RefCell::new({
        let (_, declarations) = Gpt::new(&smallest()).expect("it is a model");
        let params = Params::new(&device(), declarations, 1).expect("it has room");
        Model { params, file: folder().join("weights.safetensors") }
    });
}

fn values(params: &Params) -> Vec<u32> {
    let each = params.iter().map(|(param, _)| params.get(Slab::Values, param).expect("is read"));
    each.flatten().map(f32::to_bits).collect()
}

fuzz_target!(|bytes: &[u8]| {
    MODEL.with_borrow_mut(|Model { params, file }| {
        std::fs::write(&*file, bytes).expect("there is room for a file");
        let before = values(params);
        if let Err(error) = io::read_weights(params, file) {
            assert!(!error.to_string().is_empty());
            assert_eq!(values(params), before, "a refused file was read in part");
        }
    });
});
