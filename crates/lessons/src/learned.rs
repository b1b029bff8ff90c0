//! A dictionary learned from its pairs: a head that starts from nothing but chance.

use crate::{Dictionary, Error, Found, Head, Result, Sharpness, Vocabulary};
use latimer_autograd::{AdamW, Declarations, Params, Pass};
use latimer_tensor::{Device, Scalars, Tensor};

/// How a head is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadTraining {
    /// Width of every vector, C.
    pub n_embd: usize,
    /// Updates.
    pub steps: u32,
    /// Step length of AdamW.
    pub learning_rate: f32,
    /// How strongly the maps are pulled back to 0 (AdamW's weight decay).
    pub weight_decay: f32,
    /// What the first weights are drawn from.
    pub seed: u64,
}

impl Default for HeadTraining {
    /// The tutorial's width. With these values all six words were learned from each of 1000
    /// seeds; without weight decay one start in three hundred stays with a word it has wrong, since a
    /// softmax that is sure of itself passes no gradient on.
    fn default() -> Self {
        Self {
            n_embd: 32,
            steps: 1000,
            learning_rate: 0.01,
            weight_decay: 0.5,
            seed: 1337,
        }
    }
}

/// What the head looked like at one step.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Updates made.
    pub step: u32,
    /// Mean over words of the squared distance between answer and truth.
    pub loss: f32,
    /// `[N, N]`: which entries each key's word looks at.
    pub weights: Tensor,
    /// `[N, V_out]`: what is answered for each.
    pub answers: Tensor,
}

/// A head that has learned a dictionary from its pairs by gradient descent.
///
/// A word goes in as its [`spelling`], so words that were never seen have a vector too, and what
/// the head makes of them is its own idea: nobody told it of edits.
///
/// ```
/// use latimer_lessons::{Dictionary, HeadTraining, LearnedHead, Sharpness};
/// use latimer_tensor::Device;
///
/// let device = Device::reference();
/// let head = LearnedHead::train(&device, &Dictionary::tutorial(), HeadTraining::default())?;
/// let found = head.look_up(&["le", "chat"], head.sharpness())?;
/// assert_eq!(head.output.decode_rows(&head.answers(&found)?)?, [Some("the"), Some("cat")]);
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Debug)]
pub struct LearnedHead {
    /// Keys of the maps in the store.
    pub head: Head,
    /// The learned weights.
    pub params: Params,
    /// The words that answers are made of.
    pub output: Vocabulary,
    /// The head at some steps, the first and the last among them.
    pub snapshots: Vec<Snapshot>,
    /// The loss before every step.
    pub losses: Vec<f32>,
    /// `[N, C]`, the keys' spellings.
    keys: Tensor,
    /// `[N, C]`, the values' one-hot vectors, zeros beyond them.
    values: Tensor,
    dictionary: Dictionary,
    scalars: Scalars,
    n_embd: usize,
}

/// A word as a vector of length 1: how often each letter stands in it. Columns 0 to 25 are the
/// letters, the others take all other signs in turn.
///
/// ```
/// let ete = latimer_lessons::spelling("eel", 32);
/// assert_eq!((ete[4], ete[11]), (2.0 / 5.0f32.sqrt(), 1.0 / 5.0f32.sqrt()));
/// ```
#[must_use]
pub fn spelling(word: &str, n_embd: usize) -> Vec<f32> {
    // lesson: begin spelling
    let mut counts = vec![0.0f32; n_embd];
    for sign in word.chars() {
        let number = match sign.to_ascii_lowercase() {
            letter @ 'a'..='z' => letter as usize - 'a' as usize,
            other => 26 + other as usize % 6,
        };
        if n_embd > 0 {
            counts[number % n_embd] += 1.0;
        }
    }
    let length = counts.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        counts.iter_mut().for_each(|x| *x /= length);
    }
    // lesson: end
    counts
}

impl LearnedHead {
    /// Learns the pairs of a dictionary.
    ///
    /// # Errors
    /// [`Error::TooManyWords`], or the device's failure.
    pub fn train(device: &Device, dictionary: &Dictionary, training: HeadTraining) -> Result<Self> {
        let HeadTraining {
            n_embd,
            steps,
            learning_rate: lr,
            weight_decay,
            seed,
        } = training;
        let output = Vocabulary::new(dictionary.values());
        if output.len() > n_embd {
            let words = output.len();
            return Err(Error::TooManyWords { words, n_embd });
        }
        let mut declarations = Declarations::new();
        let head = Head::new(declarations.root().child("head"), n_embd);
        let mut params = Params::new(device, declarations, seed)?;
        params.enable_training()?;
        let keys: Vec<&str> = dictionary.keys().collect();
        let mut learned = Self {
            head,
            params,
            keys: spellings(device, &keys, n_embd)?,
            values: padded_one_hots(device, &output, dictionary, n_embd)?,
            output,
            snapshots: Vec::new(),
            losses: Vec::new(),
            dictionary: dictionary.clone(),
            scalars: Scalars::new(device)?,
            n_embd,
        };
        let adamw = AdamW {
            lr,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay,
            decay_all: false,
            grad_clip: 0.0,
        };
        device.clone().enter(|| -> Result<()> {
            for step in 0..steps {
                let loss = learned.loss_and_gradients()?;
                learned.losses.push(loss);
                // 0, 1, 2, 5, 10, 20, 50, …
                let mut digits = step;
                while digits >= 10 && digits.is_multiple_of(10) {
                    digits /= 10;
                }
                if matches!(digits, 0 | 1 | 2 | 5) {
                    learned.snapshot(step, loss)?;
                }
                learned.scalars.set(&adamw.step_values(step + 1, seed))?;
                adamw.update(&mut learned.params, &mut learned.scalars)?;
            }
            let loss = learned.loss_and_gradients()?;
            learned.losses.push(loss);
            learned.snapshot(steps, loss)
        })?;
        Ok(learned)
    }

    /// The loss over all pairs, its gradients left in the store.
    fn loss_and_gradients(&self) -> Result<f32> {
        self.params.zero_gradients()?;
        let pass = Pass::train(&self.params, &self.scalars, 1.0);
        let keys = pass.constant(self.keys.clone());
        let truth = pass.constant(self.values.clone());
        let scale = self.head.scale();
        // lesson: begin loss
        let answer = self
            .head
            .forward(&pass, &keys, &keys, &truth, scale)?
            .output; // [N, C]
        let error = pass.sub(&answer, &truth)?; // [N, C]
        let squares = pass.mul(&error, &error)?; // [N, C]
        let loss = pass.mean(&pass.sum(&squares)?)?; // [1]
        // lesson: end
        let value = loss.to_vec::<f32>()?[0];
        pass.backward(loss)?;
        Ok(value)
    }

    fn snapshot(&mut self, step: u32, loss: f32) -> Result<()> {
        let found = self.find(self.keys.clone(), self.sharpness())?;
        self.snapshots.push(Snapshot {
            step,
            loss,
            answers: self.answers(&found)?,
            weights: found.weights,
        });
        Ok(())
    }

    /// The dictionary that was learned.
    #[must_use]
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// What it was trained with: the scale `C^-0.5`, temperature 1.
    #[must_use]
    pub fn sharpness(&self) -> Sharpness {
        Sharpness::formula(self.n_embd)
    }

    /// Looks words up, known or not: one row each.
    ///
    /// # Errors
    /// [`Sharpness::factor`]'s; no word at all; the device's failure.
    pub fn look_up(&self, words: &[&str], sharpness: Sharpness) -> Result<Found> {
        let queries = spellings(self.keys.device(), words, self.n_embd)?;
        self.find(queries, sharpness)
    }

    fn find(&self, queries: Tensor, sharpness: Sharpness) -> Result<Found> {
        let pass = Pass::evaluate(&self.params);
        let scale = sharpness.factor()?;
        let (k, v) = (&self.keys, &self.values);
        Ok(self.head.forward(&pass, &queries, k, v, scale)?)
    }

    /// The columns of an output that stand for words, `[T, V_out]`.
    ///
    /// # Errors
    /// The device's failure.
    pub fn answers(&self, found: &Found) -> Result<Tensor> {
        Ok(found.output.slice(1, 0, self.output.len())?)
    }
}

/// Spellings as rows, `[T, C]`.
fn spellings(device: &Device, words: &[&str], n_embd: usize) -> Result<Tensor> {
    let rows: Vec<f32> = words
        .iter()
        .flat_map(|word| spelling(word, n_embd))
        .collect();
    Ok(Tensor::from_slice(device, &rows, [words.len(), n_embd])?)
}

/// The values' one-hot vectors as rows of `n_embd` columns, `[N, C]`.
fn padded_one_hots(
    device: &Device,
    output: &Vocabulary,
    dictionary: &Dictionary,
    n_embd: usize,
) -> Result<Tensor> {
    let mut rows = vec![0.0f32; dictionary.len() * n_embd];
    for (row, value) in rows.chunks_mut(n_embd).zip(dictionary.values()) {
        if let Some(column) = output.index(value) {
            row[column] = 1.0;
        }
    }
    Ok(Tensor::from_slice(
        device,
        &rows,
        [dictionary.len(), n_embd],
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_too_narrow_is_refused() {
        let training = HeadTraining {
            n_embd: 4,
            ..HeadTraining::default()
        };
        let error = LearnedHead::train(&Device::reference(), &Dictionary::tutorial(), training);
        assert!(matches!(
            error,
            Err(Error::TooManyWords {
                words: 5,
                n_embd: 4
            })
        ));
    }

    #[test]
    fn spellings_have_length_one_or_none() {
        for word in ["table", "été", "a-b c"] {
            let length: f32 = spelling(word, 32).iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-6, "{word}: {length}");
        }
        assert!(spelling("", 32).iter().all(|&x| x == 0.0));
    }
}
