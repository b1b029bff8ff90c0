//! Printing tensors as aligned rows.

use crate::{DType, Tensor};
use std::fmt;

/// Elements shown at each end of a long axis.
const EDGE: usize = 4;

/// Writes the values in aligned columns, `precision` digits after the point (`{:.2}`; 4 unless
/// given, none when all values are integers); long axes show their ends.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widened = self.cast(DType::F64).and_then(|x| x.to_vec::<f64>());
        let Ok(values) = widened else {
            return write!(f, "Tensor{} (unreadable)", self.shape());
        };
        let whole = values.iter().all(|x| x.fract() == 0.0 && x.abs() < 1e9);
        let digits = f.precision().unwrap_or(if whole { 0 } else { 4 });
        let columns = self.shape().columns();
        let shown = |n: usize| -> Vec<Option<usize>> {
            if n <= 3 * EDGE {
                return (0..n).map(Some).collect();
            }
            (0..EDGE)
                .map(Some)
                .chain([None])
                .chain((n - EDGE..n).map(Some))
                .collect()
        };
        let text = |x: f64| format!("{x:.digits$}");
        let rows = shown(self.shape().rows());
        let width = rows
            .iter()
            .flatten()
            .flat_map(|i| {
                shown(columns)
                    .into_iter()
                    .flatten()
                    .map(move |j| i * columns + j)
            })
            .map(|at| text(values[at]).len())
            .max()
            .unwrap_or(0);
        for (n, row) in rows.iter().enumerate() {
            let open = if n == 0 { "[[" } else { " [" };
            let close = if n + 1 == rows.len() { "]]" } else { "]\n" };
            let Some(i) = row else {
                writeln!(f, "  …")?;
                continue;
            };
            let cells: Vec<String> = shown(columns)
                .into_iter()
                .map(|j| {
                    j.map_or("…".into(), |j| {
                        format!("{:>width$}", text(values[i * columns + j]))
                    })
                })
                .collect();
            let (open, close) = if self.shape().rank() < 2 {
                ("[", "]")
            } else {
                (open, close)
            };
            write!(f, "{open}{}{close}", cells.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Device, Result, Tensor};

    #[test]
    fn rows_are_aligned() -> Result<()> {
        let device = Device::reference();
        let x = Tensor::from_slice(&device, &[1.0f32, -20.0, 3.0, 4.0], [2, 2])?;
        assert_eq!(x.to_string(), "[[  1 -20]\n [  3   4]]");
        let y = Tensor::from_slice(&device, &[0.5f32, 10.25], [2])?;
        assert_eq!(format!("{y:.2}"), "[ 0.50 10.25]");
        Ok(())
    }
}
