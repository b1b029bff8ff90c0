//! Checks gradients against differences of the functions they are gradients of.
//!
//! The meaning's backward operations are checked once, in f64, against central differences of its
//! forward operations; backends are then compared with a trusted backward and never differenced in
//! low precision.
//!
//! For a function `f` and a step `h`, `D(h) = (f(x + h) - f(x - h)) / 2h` differs from `f'(x)` by
//! `h²·f'''/6` and higher terms, and by `u·size/h` for the roundings in `f`, `u = 2⁻⁵³` and `size`
//! the sum of the magnitudes added up in `f`. The first part is measured instead of guessed:
//! `D(2h)` has four times it, so `|D(2h) - D(h)|` is three times it.

/// The step: near the cube root of f64's roundoff, where both parts of the error are small.
pub const STEP: f64 = 1e-5;

/// Number of roundings on the way to one term of `f`: sums of some hundred terms and a few
/// elementary functions.
const ROUNDINGS: f64 = 256.0;

/// Compares `gradient` with central differences, coordinate by coordinate, and describes the first
/// one that is off in a sentence.
///
/// `f` returns the terms of a scalar, whose sum is differentiated.
///
/// ```
/// use latimer_conformance::gradcheck::first_misfit;
/// let f = |x: &[f64]| vec![x[0] * x[0], 3.0 * x[1]];
/// assert_eq!(first_misfit(f, &[2.0, 5.0], &[4.0, 3.0]), None);
/// assert!(first_misfit(f, &[2.0, 5.0], &[4.0, 3.001]).is_some());
/// ```
pub fn first_misfit(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], gradient: &[f64]) -> Option<String> {
    if x.len() != gradient.len() {
        let (coordinates, given) = (x.len(), gradient.len());
        return Some(format!("{given} slopes for {coordinates} coordinates"));
    }
    let mut x = x.to_vec();
    for (i, &got) in gradient.iter().enumerate() {
        let at = x[i];
        let step = STEP * at.abs().max(1.0);
        let mut size = 0.0f64;
        let [near, far] = [step, 2.0 * step].map(|h| {
            let sides = [at + h, at - h].map(|moved| {
                x[i] = moved;
                f(&x)
            });
            x[i] = at;
            let [up, down] = &sides;
            size = size.max(up.iter().chain(down).map(|term| term.abs()).sum());
            // Subtract term by term: terms that the coordinate does not affect cancel exactly.
            let rise: f64 = up.iter().zip(down).map(|(up, down)| up - down).sum();
            rise / (2.0 * h)
        });
        let rounding = ROUNDINGS * f64::EPSILON / 2.0 * size / step;
        let allowed = (far - near).abs() + rounding;
        let off = (got - near).abs();
        if off.is_nan() || off > allowed {
            return Some(format!(
                "slope {i} is {got:e}, differences give {near:e} within {allowed:e}"
            ));
        }
    }
    None
}
