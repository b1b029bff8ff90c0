//! Attention, from a lookup to the formula of Vaswani et al. 2017, equation 1.

use crate::{Error, Result};
use latimer_tensor::Tensor;

/// The result of one attention, with all intermediate results.
#[derive(Clone, Debug)]
pub struct Attention {
    /// `Q·Kᵀ`, `[T, N]`: the similarity of each query to each key.
    pub scores: Tensor,
    /// `[T, N]`: the share of each value in each query's output.
    pub weights: Tensor,
    /// `weights·V`, `[T, M]`.
    pub output: Tensor,
}

/// The factor of scores before the softmax: `scale / temperature`.
///
/// For mathematics the two are one number; for people they differ: the scale belongs to the model
/// (`1/√d` in the paper), the temperature is the user's choice.
///
/// ```
/// use latimer_lessons::Sharpness;
///
/// let sharpness = Sharpness { temperature: 0.5, ..Sharpness::formula(16) };
/// assert_eq!(sharpness.factor()?, 0.25 / 0.5);
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharpness {
    /// The model's factor; 1 leaves scores as they are.
    pub scale: f32,
    /// Below 1 the weights get sharper, above 1 they blur.
    pub temperature: f32,
}

impl Default for Sharpness {
    /// Leaves scores as they are.
    fn default() -> Self {
        Self {
            scale: 1.0,
            temperature: 1.0,
        }
    }
}

impl Sharpness {
    /// The paper's `1/√d` for vectors of length `d`.
    #[must_use]
    pub fn formula(d: usize) -> Self {
        Self {
            scale: 1.0 / (d as f32).sqrt(),
            ..Self::default()
        }
    }

    /// `scale / temperature`.
    ///
    /// # Errors
    /// [`Error::BadScale`], [`Error::BadTemperature`], [`Error::TooSharp`].
    pub fn factor(self) -> Result<f32> {
        let Self { scale, temperature } = self;
        if !(scale.is_finite() && scale >= 0.0) {
            return Err(Error::BadScale { got: scale });
        }
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(Error::BadTemperature { got: temperature });
        }
        let factor = scale / temperature;
        if !factor.is_finite() {
            return Err(Error::TooSharp { scale, temperature });
        }
        Ok(factor)
    }
}

/// A lookup without a softmax: `Q·Kᵀ·V`. The weights are the scores.
///
/// ```
/// use latimer_lessons::{Dictionary, keys_and_values, lookup};
/// use latimer_tensor::Device;
///
/// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let found = lookup(&m.query("sous")?, &m.k, &m.v)?;
/// assert_eq!(found.scores.to_string(), "[[0 0 0 1 0 0]]");
/// assert_eq!(found.output.to_string(), "[[0 0 0 0 1]]"); // under
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
///
/// # Shapes
/// - `q`: `[T, C]`; `k`: `[N, C]`; `v`: `[N, M]`; the output: `[T, M]`
///
/// # Errors
/// Shapes that do not match.
pub fn lookup(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Attention> {
    // lesson: begin lookup
    let scores = q.matmul(&k.t()?)?; // [T, N]
    let output = scores.matmul(v)?; // [T, M]
    // lesson: end
    Ok(Attention {
        weights: scores.clone(),
        scores,
        output,
    })
}

/// `softmax(scale·Q·Kᵀ / temperature)·V`, each query's row normalised over the keys.
///
/// ```
/// use latimer_lessons::{Dictionary, Sharpness, attention, keys_and_values};
/// use latimer_tensor::Device;
///
/// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let q = m.query("sous")?;
/// let found = attention(&q, &m.k, &m.v, Sharpness::default())?;
/// assert_eq!(format!("{:.4}", found.output), "[[0.1296 0.1296 0.1296 0.2591 0.3522]]");
/// assert_eq!(m.output.decode(&found.output)?, Some("under"));
/// // Divided by √6 the scores of one-hot vectors are too small: `the`, which two keys share, wins.
/// let found = attention(&q, &m.k, &m.v, Sharpness::formula(6))?;
/// assert_eq!(m.output.decode(&found.output)?, Some("the"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
///
/// # Shapes
/// - `q`: `[T, C]`; `k`: `[N, C]`; `v`: `[N, M]`; the output: `[T, M]`
///
/// # Errors
/// Shapes that do not match, or an error of [`Sharpness::factor`].
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, sharpness: Sharpness) -> Result<Attention> {
    // lesson: begin attention
    let scores = q.matmul(&k.t()?)?; // [T, N]
    let weights = scores.softmax(sharpness.factor()?)?; // [T, N], rows sum to 1
    let output = weights.matmul(v)?; // [T, M]
    // lesson: end
    Ok(Attention {
        scores,
        weights,
        output,
    })
}

/// The tutorial's mistake, kept as an example: the softmax runs over the queries, so each *key*
/// distributes its weight, and the result for a word depends on the other words of the sentence.
///
/// ```
/// use latimer_lessons::{Dictionary, Sharpness, attention_over_queries, keys_and_values};
/// use latimer_tensor::Device;
///
/// let m = keys_and_values(&Device::reference(), &Dictionary::tutorial())?;
/// let chat = m.query("chat")?; // alone, so that every key hands it all
/// let found = attention_over_queries(&chat, &m.k, &m.v, Sharpness::default())?;
/// assert_eq!(found.output.to_string(), "[[1 1 1 2 1]]");
/// assert_eq!(m.output.decode(&found.output)?, Some("the"));
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
///
/// # Shapes
/// As for [`attention`]; here the *columns* of the weights sum to 1.
///
/// # Errors
/// As [`attention`].
pub fn attention_over_queries(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    sharpness: Sharpness,
) -> Result<Attention> {
    // lesson: begin over_queries
    let scores = q.matmul(&k.t()?)?; // [T, N]
    let weights = scores.t()?.softmax(sharpness.factor()?)?.t()?; // [T, N], columns sum to 1
    let output = weights.matmul(v)?; // [T, M]
    // lesson: end
    Ok(Attention {
        scores,
        weights,
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharpness_is_checked() {
        let factor = |scale, temperature| Sharpness { scale, temperature }.factor();
        assert_eq!(factor(0.5, 0.25).unwrap(), 2.0);
        assert!(matches!(factor(-1.0, 1.0), Err(Error::BadScale { .. })));
        assert!(matches!(factor(f32::NAN, 1.0), Err(Error::BadScale { .. })));
        for temperature in [0.0, -1.0, f32::INFINITY] {
            assert!(matches!(
                factor(1.0, temperature),
                Err(Error::BadTemperature { .. })
            ));
        }
        assert!(matches!(factor(1e30, 1e-30), Err(Error::TooSharp { .. })));
    }
}
