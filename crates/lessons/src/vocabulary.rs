//! A vocabulary: words in order, each a one-hot vector.

use crate::{Error, Result};
use latimer_tensor::{Device, Tensor};

/// The words of one language, sorted and without repeats. A word's number is its position.
///
/// ```
/// use latimer_lessons::{Dictionary, Vocabulary};
/// use latimer_tensor::{Device, Tensor};
///
/// let output = Vocabulary::new(Dictionary::tutorial().values());
/// assert_eq!(output.words(), ["cat", "is", "table", "the", "under"]);
/// let device = Device::reference();
/// let under = output.one_hot(&device, "under")?.expect("the word is known");
/// assert_eq!(under.to_vec::<f32>()?, [0.0, 0.0, 0.0, 0.0, 1.0]);
/// // The word most alike: `the` has 0.2591 here, `under` 0.3522.
/// let blurred = Tensor::from_slice(&device, &[0.1296f32, 0.1296, 0.1296, 0.2591, 0.3522], [5])?;
/// assert_eq!(output.decode(&blurred)?, Some("under"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
}

impl Vocabulary {
    /// The vocabulary of these words.
    #[must_use]
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        // lesson: begin vocabulary
        let mut words: Vec<String> = words.into_iter().map(Into::into).collect();
        words.sort();
        words.dedup();
        // lesson: end
        Self { words }
    }

    /// All words in order.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Number of words, which is also the length of their vectors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the vocabulary has no words.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// A word's number.
    #[must_use]
    pub fn index(&self, word: &str) -> Option<usize> {
        self.words
            .binary_search_by(|known| known.as_str().cmp(word))
            .ok()
    }

    /// `e[j] = 1` for the word's number `j`, 0 elsewhere, as `[V]`; `None` for an unknown word.
    ///
    /// ```
    /// use latimer_lessons::Vocabulary;
    /// use latimer_tensor::Device;
    ///
    /// let output = Vocabulary::new(["the", "cat", "is", "under", "the", "table"]);
    /// let under = output.one_hot(&Device::reference(), "under")?;
    /// assert_eq!(under.map(|x| x.to_string()).as_deref(), Some("[0 0 0 0 1]"));
    /// # Ok::<(), latimer_lessons::Error>(())
    /// ```
    ///
    /// # Errors
    /// The device's failure.
    pub fn one_hot(&self, device: &Device, word: &str) -> Result<Option<Tensor>> {
        let Some(index) = self.index(word) else {
            return Ok(None);
        };
        // lesson: begin one_hot
        let mut vector = vec![0.0f32; self.len()];
        vector[index] = 1.0;
        let vector = Tensor::from_slice(device, &vector, [self.len()])?; // [V]
        // lesson: end
        Ok(Some(vector))
    }

    /// All one-hot vectors in order, as `[V, V]`: the identity.
    ///
    /// # Errors
    /// The device's failure.
    pub fn one_hots(&self, device: &Device) -> Result<Tensor> {
        let n = self.len();
        let mut rows = vec![0.0f32; n * n];
        for i in 0..n {
            rows[i * n + i] = 1.0;
        }
        Ok(Tensor::from_slice(device, &rows, [n, n])?)
    }

    /// The word whose one-hot vector has the greatest dot product with `y`; if `y` has length 1,
    /// that is their cosine. The first of several is returned; `None` if no product is above 0.
    ///
    /// # Shapes
    /// - `y`: `[V]` or `[1, V]`
    ///
    /// # Errors
    /// [`Error::WrongWidth`], or the device's failure.
    pub fn decode(&self, y: &Tensor) -> Result<Option<&str>> {
        if y.shape().numel() != self.len() {
            let (expected, got) = (self.len(), y.shape());
            return Err(Error::WrongWidth { expected, got });
        }
        Ok(self.decode_rows(&y.reshape([1, self.len()])?)?[0])
    }

    /// The result of [`Vocabulary::decode`] for each row.
    ///
    /// # Shapes
    /// - `y`: `[T, V]`
    ///
    /// # Errors
    /// As [`Vocabulary::decode`].
    pub fn decode_rows(&self, y: &Tensor) -> Result<Vec<Option<&str>>> {
        let (rows, n) = (y.shape().rows(), self.len());
        if y.shape().rank() != 2 || y.shape().columns() != n || n == 0 {
            let (expected, got) = (n, y.shape());
            return Err(Error::WrongWidth { expected, got });
        }
        // lesson: begin decode
        let products = y.matmul(&self.one_hots(y.device())?.t()?)?; // [T, V]
        let products = products.to_vec::<f32>()?;
        let mut words = vec![None; rows];
        for (row, word) in products.chunks(n).zip(&mut words) {
            let mut best = 0.0;
            for (j, &product) in row.iter().enumerate() {
                if product > best {
                    (best, *word) = (product, Some(self.words[j].as_str()));
                }
            }
        }
        // lesson: end
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_above_zero_is_no_word() -> Result<()> {
        let vocabulary = Vocabulary::new(["b", "a", "b"]);
        assert_eq!(vocabulary.words(), ["a", "b"]);
        let device = Device::reference();
        let decode = |values: [f32; 2]| -> Result<Option<String>> {
            let y = Tensor::from_slice(&device, &values, [2])?;
            Ok(vocabulary.decode(&y)?.map(str::to_owned))
        };
        assert_eq!(decode([0.0, 0.0])?, None);
        assert_eq!(decode([-1.0, 0.0])?, None);
        assert_eq!(decode([f32::NAN, 0.5])?, None); // NaN times 0 is NaN too
        assert_eq!(decode([0.5, 0.5])?.as_deref(), Some("a"));
        Ok(())
    }

    #[test]
    fn a_vector_of_another_length_is_refused() -> Result<()> {
        let y = Tensor::from_slice(&Device::reference(), &[1.0f32; 3], [3])?;
        let error = Vocabulary::new(["a", "b"]).decode(&y).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a vector of shape [3] cannot be decoded by a vocabulary of 2 words"
        );
        Ok(())
    }
}
