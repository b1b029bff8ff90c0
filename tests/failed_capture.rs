//! If a device cannot record a step, or make the recording executable, training continues kernel by
//! kernel, with the same bits, and says so once. The test runs on the CPU shim, which is asked to
//! fail by an environment variable, and therefore is a program of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unsafe_code, reason = "sets an environment variable")]

use latimer_autograd::Slab;
use latimer_backend_cuda::Cuda;
use latimer_tensor::Device;
use latimer_trainer::Training;
use latimer_trainer::config::Config;
use latimer_trainer::data::{RowKey, Source, Windows};

const FAIL: &str = "SHIM_FAIL_CAPTURE";

/// Ids that depend on the row and the step.
#[derive(Debug)]
struct Ids;

impl Source for Ids {
    fn row(&self, _seed: u64, key: RowKey, ids: &mut [u32]) {
        for (i, id) in (0..).zip(ids) {
            *id = (i * 7 + key.row * 3 + key.step as u32) % 11;
        }
    }

    fn validation(&self) -> Windows<'_> {
        Box::new(std::iter::empty())
    }

    fn validation_tokens(&self) -> usize {
        0
    }

    fn training_tokens(&self) -> Option<usize> {
        None
    }
}

/// Trains five steps; returns the message about the recording, and the bits of losses and
/// parameters.
fn train() -> (Option<String>, Vec<u32>) {
    let device = Device::new(Cuda::new(0).unwrap());
    let mut config = Config::preset("baby").unwrap();
    let model = &mut config.model;
    (model.n_layer, model.n_head, model.n_embd, model.block_size) = (1, 1, 8, 4);
    config.train.batch_size = 2;
    let model = config.model.with_vocab(11);
    let mut training = Training::new(&device, &model, &config.train).unwrap();
    let (mut said, mut bits) = (None, Vec::new());
    for _ in 0..5 {
        bits.push(training.next_step(&Ids).unwrap().loss.to_bits());
        let refusal = training.take_capture_failure();
        assert!(refusal.is_none() || said.is_none(), "it is said once");
        said = said.or(refusal);
    }
    assert_eq!(training.is_captured(), said.is_none());
    assert_eq!(device.fallbacks(), 0);
    let params = training.params();
    for (param, _) in params.iter() {
        let values = params.get(Slab::Values, param).unwrap();
        bits.extend(values.iter().map(|x| x.to_bits()));
    }
    (said, bits)
}

#[test]
fn training_goes_on_kernel_by_kernel() {
    if !latimer_cuda_shim::can_be_driver() {
        return;
    }
    if std::env::var_os(latimer_cuda_shim::GPU_REQUIRED).is_some() {
        eprintln!("skipped: a GPU cannot be asked to fail");
        return;
    }
    let (said, recorded) = train();
    assert_eq!(said, None);
    for step in ["begin", "launch", "end", "instantiate", "upload", "first"] {
        // SAFETY: this is the only test of this program.
        unsafe { std::env::set_var(FAIL, step) };
        let (said, bits) = train();
        let said = said.unwrap_or_else(|| panic!("{step}: nothing was said"));
        assert!(said.contains("failed (CUDA_ERROR_"), "{step}: {said}");
        assert!(bits == recorded, "{step}: other bits");
    }
}
