//! A dictionary as two matrices, and words as queries.

use crate::{Dictionary, Result, Vocabulary};
use latimer_tensor::{Device, Tensor};

/// The factor by which one edit weakens a query: `tables`, one letter from `table`, is a query for
/// `table` with strength 0.95, the tutorial's number.
pub const STRENGTH_PER_EDIT: f32 = 0.95;

/// A dictionary of N entries as matrices, with vocabularies that name their columns.
#[derive(Clone, Debug)]
pub struct KeysAndValues {
    /// `[N, V_in]`: row i is the one-hot vector of key i, in the dictionary's order.
    pub k: Tensor,
    /// `[N, V_out]`: row i is the one-hot vector of value i.
    pub v: Tensor,
    /// The words that k's columns stand for.
    pub input: Vocabulary,
    /// The words that v's columns stand for.
    pub output: Vocabulary,
    dictionary: Dictionary,
}

/// The matrices K and V of a dictionary.
///
/// ```
/// use latimer_lessons::{Dictionary, keys_and_values};
/// use latimer_tensor::Device;
///
/// let matrices = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let q = matrices.query("sous")?; // [1, 6]
/// let scores = q.matmul(&matrices.k.t()?)?; // [1, 6]
/// assert_eq!(scores.to_vec::<f32>()?, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
/// let answer = scores.matmul(&matrices.v)?; // [1, 5]
/// assert_eq!(matrices.output.decode(&answer)?, Some("under"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
///
/// # Errors
/// The device's failure.
pub fn keys_and_values(device: &Device, dictionary: &Dictionary) -> Result<KeysAndValues> {
    let input = Vocabulary::new(dictionary.keys());
    let output = Vocabulary::new(dictionary.values());
    // lesson: begin keys_and_values
    let k = stack(device, &input, dictionary.keys())?; // [N, V_in]
    let v = stack(device, &output, dictionary.values())?; // [N, V_out]
    // lesson: end
    Ok(KeysAndValues {
        k,
        v,
        input,
        output,
        dictionary: dictionary.clone(),
    })
}

/// The one-hot vectors of `words` as rows; the vocabulary must contain all of them.
fn stack<'a>(
    device: &Device,
    vocabulary: &Vocabulary,
    words: impl Iterator<Item = &'a str>,
) -> Result<Tensor> {
    let mut rows = Vec::new();
    for word in words {
        if let Some(row) = vocabulary.one_hot(device, word)? {
            rows.push(row.reshape([1, vocabulary.len()])?);
        }
    }
    Ok(Tensor::cat(&rows.iter().collect::<Vec<_>>(), 0)?)
}

impl KeysAndValues {
    /// The dictionary that the matrices were made of.
    #[must_use]
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// The one-hot vector of a key as `[1, V_in]`.
    ///
    /// ```
    /// use latimer_lessons::{Dictionary, keys_and_values};
    /// use latimer_tensor::Device;
    ///
    /// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
    /// assert_eq!(m.query("chat")?.to_string(), "[[1 0 0 0 0 0]]");
    /// assert!(m.query("chats").is_err());
    /// # Ok::<(), latimer_lessons::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::UnknownWords`]: a word that is not a key has no one-hot vector.
    pub fn query(&self, word: &str) -> Result<Tensor> {
        let vector = self.input.one_hot(self.k.device(), word)?;
        let vector = vector.ok_or_else(|| self.dictionary.unknown(&[word]))?;
        Ok(vector.reshape([1, self.input.len()])?)
    }

    /// A query for any word, as `[1, V_in]`: the one-hot vector of the nearest key times
    /// [`STRENGTH_PER_EDIT`] to the power of the edits between them. For a key that is zero edits.
    ///
    /// ```
    /// use latimer_lessons::{Dictionary, keys_and_values};
    /// use latimer_tensor::Device;
    ///
    /// let matrices = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
    /// let q = matrices.near_query("tables")?;
    /// assert_eq!(q.to_vec::<f32>()?, [0.0, 0.0, 0.0, 0.0, 0.0, 0.95]);
    /// # Ok::<(), latimer_lessons::Error>(())
    /// ```
    ///
    /// # Errors
    /// The device's failure.
    pub fn near_query(&self, word: &str) -> Result<Tensor> {
        // lesson: begin near_query
        let nearest = self.dictionary.nearest(word);
        let strength = STRENGTH_PER_EDIT.powi(nearest.distance.min(1000) as i32);
        let mut vector = vec![0.0f32; self.input.len()];
        if let Some(column) = self.input.index(nearest.key) {
            vector[column] = strength;
        }
        // lesson: end
        let shape = [1, self.input.len()];
        Ok(Tensor::from_slice(self.k.device(), &vector, shape)?)
    }

    /// The queries of all words, one a row: `[T, V_in]`.
    ///
    /// # Errors
    /// The device's failure, or an empty list of words.
    pub fn near_queries(&self, words: &[&str]) -> Result<Tensor> {
        let rows = words
            .iter()
            .map(|word| self.near_query(word))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&rows.iter().collect::<Vec<_>>(), 0)?)
    }
}
