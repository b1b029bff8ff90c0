//! A dictionary learned from its pairs: a head that starts with random weights.

use crate::{Dictionary, Error, Found, Head, Result, Sharpness, Vocabulary};
use latimer_autograd::{AdamW, Declarations, Optimizer, Params, Pass};
use latimer_tensor::{Device, Tensor};

/// The settings for training a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadTraining {
    /// Width of every vector, C.
    pub n_embd: usize,
    /// Number of updates.
    pub steps: u32,
    /// Learning rate of AdamW.
    pub learning_rate: f32,
    /// How strongly the maps are pulled back to 0 (AdamW's weight decay).
    pub weight_decay: f32,
    /// Seed of the initial weights.
    pub seed: u64,
}

impl Default for HeadTraining {
    /// The tutorial's width. With these values all six words were learned from each of 1000 seeds.
    /// Without weight decay, one start in three hundred never corrects a wrong word, since a
    /// softmax with a weight near 1 passes on no gradient.
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

/// The state of the head at one step.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Number of updates so far.
    pub step: u32,
    /// The squared distance between answer and truth, averaged over the words.
    pub loss: f32,
    /// `[N, N]`: the weights of the entries for each key's word.
    pub weights: Tensor,
    /// `[N, V_out]`: the answer for each key.
    pub answers: Tensor,
}

/// A head that has learned a dictionary from its pairs by gradient descent.
///
/// Its input is a word's [`spelling`], so unseen words have a vector too. How the head answers them
/// is its own invention: nothing in its training defines edits.
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
    /// The head: its maps as keys into `params`.
    pub head: Head,
    /// The learned weights.
    pub params: Params,
    /// The words of which answers consist.
    pub output: Vocabulary,
    /// The head at several steps, including the first and the last.
    pub snapshots: Vec<Snapshot>,
    /// The loss before every step.
    pub losses: Vec<f32>,
    /// `[N, C]`, the keys' spellings.
    keys: Tensor,
    /// `[N, C]`, the values' one-hot vectors, padded with zeros.
    values: Tensor,
    dictionary: Dictionary,
    n_embd: usize,
}

/// A word as a vector of length 1: the number of times each letter occurs in it, scaled. Columns 0
/// to 25 are the letters; the remaining columns share all other characters.
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
        let params = Params::new(device, declarations, seed)?;
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
        let mut optimizer = Optimizer::new(&mut learned.params, adamw)?;
        device.clone().enter(|| -> Result<()> {
            for step in 0..steps {
                optimizer.begin_step(step + 1)?;
                let loss = learned.backward(&mut optimizer)?;
                learned.losses.push(loss);
                // Snapshots are taken at steps 0, 1, 2, 5, 10, 20, 50, …
                let mut digits = step;
                while digits >= 10 && digits.is_multiple_of(10) {
                    digits /= 10;
                }
                if matches!(digits, 0 | 1 | 2 | 5) {
                    learned.snapshot(step, loss)?;
                }
                optimizer.measure(&learned.params)?;
                optimizer.apply(&mut learned.params)?;
            }
            let loss = learned.backward(&mut optimizer)?;
            learned.losses.push(loss);
            learned.snapshot(steps, loss)
        })?;
        Ok(learned)
    }

    /// Returns the loss over all pairs and leaves the gradients in the store.
    fn backward(&self, optimizer: &mut Optimizer) -> Result<f32> {
        let loss = optimizer.backward(&self.params, 0, |pass| -> Result<Tensor> {
            let keys = pass.constant(self.keys.clone());
            let truth = pass.constant(self.values.clone());
            let scale = self.head.scale();
            // lesson: begin loss
            let answer = self.head.forward(pass, &keys, &keys, &truth, scale)?.output; // [N, C]
            let error = pass.sub(&answer, &truth)?; // [N, C]
            let squares = pass.mul(&error, &error)?; // [N, C]
            let loss = pass.mean(&pass.sum(&squares)?)?; // [1]
            // lesson: end
            Ok(loss)
        })?;
        Ok(loss.to_vec::<f32>()?[0])
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

    /// The factors used in training: the scale `C^-0.5` and temperature 1.
    #[must_use]
    pub fn sharpness(&self) -> Sharpness {
        Sharpness::formula(self.n_embd)
    }

    /// Looks up words, known or not: one row each.
    ///
    /// # Errors
    /// An error of [`Sharpness::factor`], an empty list of words, or the device's failure.
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
