//! Losses over many windows.

use crate::data::{Part, windows};
use crate::{Error, Result};
use latimer_autograd::{Params, Pass};
use latimer_nn::Gpt;
use latimer_tensor::Tensor;
use std::sync::atomic::AtomicBool;

/// Windows of one product, when several of a length follow each other.
const BATCH: usize = 16;
/// Logits taken to the host at once, at most, in elements: 64 MiB of them. One window may be more.
const LOGITS: usize = 1 << 24;

/// Mean next-token cross-entropy in nats over windows of tokens, each predicting all but its first
/// ([`crate::data::windows`] cuts a text into such). `None` where there is nothing to predict.
///
/// # Errors
/// The device's failure.
pub fn mean_loss(
    gpt: &Gpt,
    params: &Params,
    windows: impl IntoIterator<Item = impl AsRef<[u32]>>,
) -> Result<Option<f32>> {
    mean_loss_with(gpt, params, windows, &NEVER, &mut |_| ())
}

/// A wish to stop that never comes.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// As [`mean_loss`], telling after each product how many tokens were predicted so far.
///
/// # Errors
/// [`Error::Stopped`] soon after `stop` is set; the device's failure.
pub(crate) fn mean_loss_with(
    gpt: &Gpt,
    params: &Params,
    windows: impl IntoIterator<Item = impl AsRef<[u32]>>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(usize),
) -> Result<Option<f32>> {
    let (mut sum, mut predicted) = (0.0f64, 0);
    let mut windows = windows.into_iter().peekable();
    while let Some(first) = windows.next() {
        let length = first.as_ref().len();
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match windows.next_if(|next| next.as_ref().len() == length) {
                Some(next) => batch.push(next),
                None => break,
            }
        }
        let seq_len = length.saturating_sub(1);
        if seq_len == 0 {
            continue;
        }
        let batch: Vec<&[u32]> = batch.iter().map(AsRef::as_ref).collect();
        let n = batch.len() * seq_len;
        let (ids, targets) = (
            columns(params, &batch, 0, seq_len)?,
            columns(params, &batch, 1, seq_len)?,
        ); // [b, T]
        let loss = params.device().enter(|| -> Result<f32> {
            let pass = Pass::evaluate(params).stopped_by(stop);
            Ok(gpt.loss(&pass, &ids, &targets)?.to_vec::<f32>()?[0])
        })?;
        sum += f64::from(loss) * n as f64;
        predicted += n;
        tell(predicted);
    }
    Ok((predicted > 0).then(|| (sum / predicted as f64) as f32))
}

/// The loss over several validation splits, from that of each: a prediction counts the same in all.
pub(crate) fn mean_of_parts(parts: &[Part<'_>], losses: &[f32]) -> f32 {
    let (mut sum, mut predicted) = (0.0, 0.0);
    for (part, &loss) in parts.iter().zip(losses) {
        // All tokens but the first are predicted.
        let n = part.source.validation_tokens().saturating_sub(1) as f64;
        sum += n * f64::from(loss);
        predicted += n;
    }
    (sum / predicted) as f32
}

/// `seq_len` tokens of each window, from number `first` on: `[b, T]`.
fn columns(params: &Params, batch: &[&[u32]], first: usize, seq_len: usize) -> Result<Tensor> {
    let ids: Vec<u32> = batch
        .iter()
        .flat_map(|window| window[first..][..seq_len].iter().copied())
        .collect();
    Ok(Tensor::from_slice(
        params.device(),
        &ids,
        [batch.len(), seq_len],
    )?)
}

/// Mean next-token cross-entropy of a whole text in nats: every token but the first is predicted
/// once, from windows of the model's `block_size` that begin `stride` tokens apart.
///
/// With `stride` equal to `block_size` the windows lie side by side, and the loss is
/// [`mean_loss`]'s to the bit. With a smaller one they overlap, and of each window after the first
/// only the predictions that no window before it made are counted: its last `stride`. Each of those
/// sees at least `block_size - stride` tokens before it, so the loss is lower and nearer to what
/// the model knows, at `block_size / stride` times the cost.
///
/// `tell` gets the number of tokens predicted so far, now and then.
///
/// # Errors
/// [`Error::NothingToPredict`], [`Error::BadStride`], [`latimer_nn::Error::BadLogits`] when the
/// loss is not finite, or the device's failure.
pub fn text_loss(
    gpt: &Gpt,
    params: &Params,
    tokens: &[u32],
    stride: usize,
    tell: &mut dyn FnMut(usize),
) -> Result<f32> {
    let loss = any_text_loss(gpt, params, tokens, stride, tell)?;
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(latimer_nn::Error::BadLogits.into()),
    }
}

/// As [`text_loss`], finite or not.
fn any_text_loss(
    gpt: &Gpt,
    params: &Params,
    tokens: &[u32],
    stride: usize,
    tell: &mut dyn FnMut(usize),
) -> Result<f32> {
    let block_size = gpt.config().block_size;
    if stride == 0 || stride > block_size {
        return Err(Error::BadStride { stride, block_size });
    }
    let nothing = Error::NothingToPredict {
        tokens: tokens.len(),
    };
    if tokens.len() < 2 {
        return Err(nothing);
    }
    if stride == block_size {
        let windows = windows(tokens, block_size);
        return mean_loss_with(gpt, params, &windows, &NEVER, tell)?.ok_or(nothing);
    }
    let windows = overlapping(tokens, block_size, stride);
    let columns_of_row = gpt.config().padded_vocab_size;
    let most = (LOGITS / (block_size * columns_of_row)).clamp(1, BATCH);
    let (mut sum, mut predicted) = (0.0f64, 0);
    for alike in windows.chunk_by(|a, b| a.tokens.len() == b.tokens.len()) {
        for batch in alike.chunks(most) {
            let rows: Vec<&[u32]> = batch.iter().map(|window| window.tokens).collect();
            let seq_len = rows[0].len() - 1;
            let ids = columns(params, &rows, 0, seq_len)?; // [b, T]
            let logits = params.device().enter(|| -> Result<Vec<f32>> {
                let pass = Pass::evaluate(params);
                Ok(gpt.logits(&pass, &ids)?.to_vec::<f32>()?) // [b * T, Vp]
            })?;
            for (window, logits) in batch
                .iter()
                .zip(logits.chunks_exact(seq_len * columns_of_row))
            {
                let first = seq_len - window.counted;
                let rows = logits.chunks_exact(columns_of_row).skip(first);
                for (row, &target) in rows.zip(&window.tokens[first + 1..]) {
                    sum += cross_entropy(&row[..gpt.config().vocab_size], target);
                }
                predicted += window.counted;
            }
            tell(predicted);
        }
    }
    Ok((sum / predicted as f64) as f32)
}

/// A window, of whose predictions the last `counted` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window<'a> {
    tokens: &'a [u32],
    counted: usize,
}

/// Windows of `block_size` predictions, `stride` tokens apart, up to the one that reaches the end.
fn overlapping(tokens: &[u32], block_size: usize, stride: usize) -> Vec<Window<'_>> {
    let (mut windows, mut first, mut predicted) = (Vec::new(), 0, 0);
    while predicted + 1 < tokens.len() {
        let end = tokens.len().min(first + block_size + 1);
        windows.push(Window {
            tokens: &tokens[first..end],
            counted: end - 1 - predicted,
        });
        (predicted, first) = (end - 1, first + stride);
    }
    windows
}

/// `log Σ exp(logits) - logits[target]`, in f64.
fn cross_entropy(logits: &[f32], target: u32) -> f64 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let greatest = f64::from(greatest);
    let sum: f64 = logits
        .iter()
        .map(|&x| (f64::from(x) - greatest).exp())
        .sum();
    greatest + sum.ln() - f64::from(logits[target as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use latimer_tensor::Device;

    #[test]
    fn overlapping_windows_count_every_prediction_once() {
        let tokens: Vec<u32> = (0..100).collect();
        for (len, block_size) in [(2, 8), (9, 8), (10, 8), (17, 8), (100, 8), (100, 7)] {
            for stride in 1..=block_size {
                let windows = overlapping(&tokens[..len], block_size, stride);
                let counted: Vec<u32> = windows
                    .iter()
                    .flat_map(|w| &w.tokens[w.tokens.len() - w.counted..])
                    .copied()
                    .collect();
                assert_eq!(counted, tokens[1..len], "{len} {block_size} {stride}");
                assert!(windows.iter().skip(1).all(|w| w.counted <= stride));
                assert!(windows.iter().all(|w| w.tokens.len() <= block_size + 1));
            }
        }
    }

    /// The two ways to a loss, and a loss by hand, prediction by prediction.
    #[test]
    fn strides_agree_with_predictions_made_one_by_one() {
        let mut model = Config::preset("baby").unwrap().model;
        (model.n_layer, model.n_head, model.n_embd, model.block_size) = (1, 2, 8, 6);
        let (gpt, declarations) = Gpt::new(&model.with_vocab(11)).unwrap();
        let params = Params::new(&Device::reference(), declarations, 3).unwrap();
        let tokens: Vec<u32> = (0..25).map(|i| i * i % 11).collect();
        let loss =
            |tokens: &[u32], stride| text_loss(&gpt, &params, tokens, stride, &mut |_| ()).unwrap();
        let side_by_side = mean_loss(&gpt, &params, windows(&tokens, 6)).unwrap();
        assert_eq!(Some(loss(&tokens, 6)), side_by_side);
        for stride in 1..6 {
            let mut sum = 0.0;
            for target in 1..tokens.len() {
                // The first window that reaches the target.
                let window = target.saturating_sub(6).div_ceil(stride);
                let seen = &tokens[window * stride..=target];
                let whole = f64::from(loss(seen, 6)) * (seen.len() - 1) as f64;
                let before = match seen.len() {
                    2 => 0.0,
                    n => f64::from(loss(&seen[..n - 1], 6)) * (n - 2) as f64,
                };
                sum += whole - before;
            }
            let by_hand = sum / (tokens.len() - 1) as f64;
            // Losses near 2.4 in f32, six of them taken from seven: rounding of a few times 1e-6.
            let by_windows = f64::from(loss(&tokens, stride));
            assert!(
                (by_windows - by_hand).abs() < 1e-5,
                "{stride}: {by_windows} {by_hand}"
            );
        }
    }

    fn tiny() -> (Gpt, Params) {
        let mut model = Config::preset("baby").unwrap().model;
        (model.n_layer, model.n_head, model.n_embd, model.block_size) = (1, 2, 8, 6);
        let (gpt, declarations) = Gpt::new(&model.with_vocab(11)).unwrap();
        let params = Params::new(&Device::reference(), declarations, 3).unwrap();
        (gpt, params)
    }

    /// A prediction counts the same wherever it is made: a short window less than a long one, a
    /// product of many windows more than one of few.
    #[test]
    fn windows_count_by_their_predictions() {
        let (gpt, params) = tiny();
        let tokens: Vec<u32> = (0..200).map(|i| i * i * i % 11).collect();
        let loss = |windows: &[&[u32]]| {
            let loss = mean_loss(&gpt, &params, windows).unwrap();
            f64::from(loss.unwrap())
        };
        // Lengths in an order that cuts products of one, of a few, and of more windows than one
        // takes.
        let lengths = [[2, 7, 7, 3].as_slice(), &[5; 20], &[2, 2, 7]].concat();
        let (mut at, mut windows) = (0, Vec::new());
        for length in lengths {
            windows.push(&tokens[at..at + length]);
            at += length;
        }
        let (mut sum, mut predicted) = (0.0, 0.0);
        for &window in &windows {
            let n = window.len() as f64 - 1.0;
            sum += loss(&[window]) * n;
            predicted += n;
        }
        let (all, by_hand) = (loss(&windows), sum / predicted);
        let alike = windows.iter().map(|&w| loss(&[w])).sum::<f64>() / windows.len() as f64;
        // Rounding of losses near 2.4 in f32; were windows weighed alike, it would be off by more.
        assert!((all - by_hand).abs() < 2e-6, "{all} {by_hand}");
        assert!((all - alike).abs() > 1e-4, "{all} {alike}");
        // What predicts nothing does not count.
        windows.insert(1, &tokens[..1]);
        windows.push(&[]);
        assert_eq!(loss(&windows), all);
        let nothing = mean_loss(&gpt, &params, [&tokens[..1]]);
        assert_eq!(nothing.unwrap(), None);
    }

    /// Of two corpora, the one with the longer validation split counts more.
    #[test]
    fn corpora_count_by_their_predictions() {
        use crate::data::{Source, TextTokens};
        use latimer_tokenizer::CharTokenizer;
        let tokenizer = CharTokenizer::fit("ab").unwrap();
        let source = |length| TextTokens::new(&"ab".repeat(length), &tokenizer, 0.5, 2).unwrap();
        let (small, large) = (source(4), source(31));
        let part = |name, source| Part {
            name,
            share: 0.5,
            source,
        };
        let parts = [part("small", &small as &dyn Source), part("large", &large)];
        // 4 and 31 tokens, of which 3 and 30 are predicted.
        assert_eq!(mean_of_parts(&parts, &[1.0, 2.0]), (63.0 / 33.0) as f32);
        assert_eq!(mean_of_parts(&parts[1..], &[2.5]), 2.5);
    }

    /// Once the flag is set, no product is done.
    #[test]
    fn a_stopped_evaluation_is_an_error() {
        use std::sync::atomic::Ordering;
        let (gpt, params) = tiny();
        let tokens: Vec<u32> = (0..200).map(|i| i % 11).collect();
        let windows = windows(&tokens, 6);
        let (stop, mut told) = (AtomicBool::new(false), Vec::new());
        let stopped = mean_loss_with(&gpt, &params, windows, &stop, &mut |predicted| {
            told.push(predicted);
            stop.store(true, Ordering::Relaxed);
        });
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        assert_eq!(told, [BATCH * 6]);
    }

    #[test]
    fn what_cannot_be_measured_says_why() {
        let mut model = Config::preset("baby").unwrap().model;
        (model.n_layer, model.n_head, model.n_embd, model.block_size) = (1, 2, 8, 6);
        let (gpt, declarations) = Gpt::new(&model.with_vocab(11)).unwrap();
        let params = Params::new(&Device::reference(), declarations, 3).unwrap();
        let refused = |tokens: &[u32], stride| {
            let error = text_loss(&gpt, &params, tokens, stride, &mut |_| ());
            error.unwrap_err().to_string()
        };
        assert!(refused(&[1], 6).contains("at least 2"));
        assert!(refused(&[1, 2, 3], 7).contains("from 1 to block_size = 6"));
        assert!(refused(&[1, 2, 3], 0).contains("from 1 to block_size = 6"));
    }
}
