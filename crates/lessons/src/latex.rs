//! Matrices as LaTeX.

use crate::{Error, Result};
use latimer_tensor::{DType, Tensor};

/// Decimals of numbers that are not integers, as in [`Tensor`]'s `Display`.
const DIGITS: usize = 4;

/// A vector or matrix as `\left[\begin{matrix} … \end{matrix}\right]`: one row a line, indented by
/// two spaces and ended by `\\`, entries joined by ` & `, integers without a point.
///
/// ```
/// use latimer_lessons::latex_matrix;
/// use latimer_tensor::{Device, Tensor};
///
/// let x = Tensor::from_slice(&Device::reference(), &[1.0f32, 0.0, 0.5, -2.0], [2, 2])?;
/// assert_eq!(
///     latex_matrix(&x)?,
///     r"\left[\begin{matrix}
///   1 & 0\\
///   0.5000 & -2\\
/// \end{matrix}\right]"
/// );
/// # Ok::<(), latimer_lessons::Error>(())
/// ```
///
/// # Errors
/// [`Error::TooManyAxes`] beyond two dimensions, or the device's failure.
pub fn latex_matrix(x: &Tensor) -> Result<String> {
    if x.shape().rank() > 2 {
        return Err(Error::TooManyAxes { shape: x.shape() });
    }
    let values = x.cast(DType::F64)?.to_vec::<f64>()?;
    let columns = x.shape().columns().max(1);
    Ok(latex_rows(values.chunks(columns)))
}

/// A matrix as in [`latex_matrix`], from rows of numbers.
pub(crate) fn latex_rows<'a>(rows: impl Iterator<Item = &'a [f64]>) -> String {
    // lesson: begin latex
    let mut text = String::from("\\left[\\begin{matrix}\n");
    for row in rows {
        let entries: Vec<String> = row.iter().map(|&x| entry(x)).collect();
        text += &format!("  {}\\\\\n", entries.join(" & "));
    }
    text += "\\end{matrix}\\right]";
    // lesson: end
    text
}

fn entry(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e9 {
        // Adding 0 removes the sign of a negative zero.
        format!("{}", x + 0.0)
    } else {
        format!("{x:.DIGITS$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_tensor::Device;

    #[test]
    fn whole_numbers_have_no_decimals_until_they_are_too_long_to_be_read() {
        let whole = [3.0, -0.0, -2.0, 999_999_999.0].map(entry);
        assert_eq!(whole, ["3", "0", "-2", "999999999"]);
        for x in [0.5, 1e9, -1e9] {
            assert_eq!(entry(x), format!("{x:.DIGITS$}"));
        }
    }

    #[test]
    fn vectors_are_one_row_and_cubes_are_refused() -> Result<()> {
        let device = Device::reference();
        let x = Tensor::from_slice(&device, &[0.0f32, -0.0, 3.0], [3])?;
        let text = "\\left[\\begin{matrix}\n  0 & 0 & 3\\\\\n\\end{matrix}\\right]";
        assert_eq!(latex_matrix(&x)?, text);
        let cube = Tensor::zeros(&device, [2, 2, 2], DType::F32)?;
        assert_eq!(
            latex_matrix(&cube).unwrap_err().to_string(),
            "a tensor of shape [2, 2, 2] is not a matrix: LaTeX shows at most two dimensions"
        );
        Ok(())
    }
}
