//! The ladder's models in the sizes of their presets: they compute the same numbers as in f64, and
//! each sees only the positions that it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use latimer_autograd::{AdamW, Optimizer, Params, Pass, Slab};
use latimer_backend_cpu::Cpu;
use latimer_nn::{Gpt, GptConfig};
use latimer_tensor::{Device, Tensor, philox::Stream};
use latimer_tokenizer::{CharTokenizer, Tokenizer};
use latimer_trainer::config::Config;
use latimer_trainer::data::{Source, TextTokens};
use latimer_trainer::{Training, mean_loss, text_loss};

/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;
/// Characters of tiny Shakespeare.
const VOCAB: usize = 65;
const LADDER: [&str; 6] = ["lm0", "lm1", "lm2", "lm3", "lm4", "lm5"];

fn cpu(threads: usize) -> Device {
    Device::new(Cpu::new(threads).unwrap())
}

fn greatest(values: impl IntoIterator<Item = f32>) -> f64 {
    values
        .into_iter()
        .fold(0.0, |most, x| f64::max(most, f64::from(x.abs())))
}

/// Name and values of each gradient of the initial weights, the loss first, on a few rows of random
/// ids.
fn loss_and_gradients(device: &Device, model: &GptConfig) -> Vec<(String, Vec<f32>)> {
    let (gpt, declarations) = Gpt::new(&model.with_vocab(VOCAB)).unwrap();
    let mut params = Params::new(device, declarations, 5).unwrap();
    let optimizer = Optimizer::new(&mut params, AdamW::default()).unwrap();
    let mut stream = Stream::new(11, 0, 0);
    let mut ids = || {
        let ids: Vec<u32> = (0..3 * model.block_size)
            .map(|_| stream.below(VOCAB as u64) as u32)
            .collect();
        Tensor::from_slice(device, &ids, [3, model.block_size]).unwrap() // [B, T]
    };
    let (ids, targets) = (ids(), ids());
    device.enter(|| {
        let pass = optimizer.pass(&params);
        let loss = gpt.loss(&pass, &ids, &targets).unwrap();
        let mut all = vec![("loss".to_owned(), loss.to_vec().unwrap())];
        pass.backward(loss).unwrap();
        params.check_gradients().unwrap();
        let gradient = |(param, info): (_, &latimer_autograd::ParamInfo)| {
            let values = params.get(Slab::Gradients, param).unwrap();
            (info.name().to_owned(), values)
        };
        all.extend(params.iter().map(gradient));
        all
    })
}

/// The golden files hold these models in small sizes; here they have their own, which reach other
/// kernels. The reference device computes each operation in f64 and rounds once.
///
/// The bound: each operation of a step may add a rounding for every term of its longest sum,
/// relative to the greatest value of what it makes. Sums are over the inner layer or the rows of
/// the batch.
#[test]
fn each_model_computes_what_f64_does() {
    for name in LADDER {
        let Config { model, train, .. } = Config::preset(name).unwrap();
        let terms = model.inner_width().max(3 * model.block_size);
        let needs = Training::needs(&cpu(1), &model.with_vocab(VOCAB), &train).unwrap();
        let bound = needs.ops as f64 * terms as f64 * U;
        let want = loss_and_gradients(&Device::reference(), &model);
        for threads in [1, 2] {
            let got = loss_and_gradients(&cpu(threads), &model);
            assert_eq!(got.len(), want.len());
            for ((what, got), (_, want)) in got.iter().zip(&want) {
                let off = greatest(got.iter().zip(want).map(|(g, w)| g - w));
                let size = greatest(want.iter().copied());
                assert!(
                    off <= bound * size,
                    "{name} on {threads} threads, {what}: {off:.1e} of {size:.1e}, bound {bound:.1e}"
                );
            }
        }
    }
}

/// A later token changes the outputs before it in the model without a mask, and in no other model.
#[test]
fn only_the_first_model_sees_what_comes_next() {
    let device = cpu(1);
    for name in LADDER {
        let model = Config::preset(name).unwrap().model.with_vocab(VOCAB);
        let (gpt, declarations) = Gpt::new(&model).unwrap();
        let params = Params::new(&device, declarations, 5).unwrap();
        let logits = |last: u32| -> Vec<f32> {
            let mut ids: Vec<u32> = (0..16).collect();
            ids[15] = last;
            let ids = Tensor::from_slice(&device, &ids, [1, 16]).unwrap(); // [1, T]
            let pass = Pass::evaluate(&params);
            let logits = gpt.logits(&pass, &ids).unwrap().to_vec().unwrap(); // [T, V]
            logits[..15 * VOCAB].to_vec()
        };
        assert_eq!(logits(20) != logits(30), name == "lm0", "{name}");
    }
}

/// Letters that are drawn independently cannot be predicted: the least honest loss is `ln V`. A
/// model that sees the whole window only reads off the letters in it. Asked for the letter after
/// the last that it sees, it is no better than chance, and even worse, because it relies on letters
/// that it is not shown.
#[test]
fn a_model_that_sees_the_future_cheats_until_it_has_to_write() {
    let letters = 40;
    let mut stream = Stream::new(3, 0, 0);
    let text: String = (0..6_000)
        .map(|_| char::from(b'A' + stream.below(letters) as u8))
        .collect();
    let tokenizer = CharTokenizer::fit(&text).unwrap();
    assert_eq!(tokenizer.vocab_size(), letters as usize);
    let chance = (letters as f32).ln();
    let losses = |name: &str| {
        let Config {
            model, mut train, ..
        } = Config::preset(name).unwrap();
        (train.learning_rate, train.batch_size) = (1e-2, 16);
        let source = TextTokens::new(&text, &tokenizer, 0.2, model.block_size).unwrap();
        let model = model.with_vocab(tokenizer.vocab_size());
        let mut training = Training::new(&cpu(1), &model, &train).unwrap();
        for _ in 0..300 {
            training.next_step(&source).unwrap();
        }
        let (gpt, params) = (training.gpt(), training.params());
        let validation = source.validation();
        let whole = mean_loss(gpt, params, validation).unwrap();
        let ids = tokenizer.encode(&text[4800..]).unwrap();
        // In each window but the first, only the last prediction counts.
        let at_the_end = text_loss(gpt, params, &ids, 1, &mut |_| ()).unwrap();
        (whole.unwrap(), at_the_end)
    };
    let (whole, at_the_end) = losses("lm0");
    assert!(whole < 0.95 * chance, "unmasked: {whole} of {chance}");
    assert!(at_the_end > chance, "unmasked: {at_the_end} of {chance}");
    let (whole, at_the_end) = losses("lm1");
    assert!(whole > chance, "masked: {whole} of {chance}");
    assert!((whole - at_the_end).abs() < 0.1, "{whole} and {at_the_end}");
}
