//! Products of matrices, one or a batch.

use super::{OpSpec, op};
use crate::{Host, Real, Result, Shape, View, ViewMut};

op! {
    /// `y = alpha · a·b + bias + beta · y`, over a batch when the operands have three axes.
    ///
    /// With `trans_a` the left operand is `aᵀ`, with `a` stored as `[K, M]`; likewise `trans_b`.
    /// With `beta` 0, `y` is not read.
    Matmul "matmul" {
        /// The left operand.
        a: In "float", "[S?, M, K], turned if trans_a";
        /// The right operand.
        b: In "as a", "[S?, K, N], turned if trans_b";
        /// Added to every row.
        bias: MaybeIn "as a", "[N]";
        /// The result. It may be `f32` although `a` and `b` are narrower, as for a weight's
        /// gradient.
        y: OutOrInOut(op: op.beta != 0.0) "sum of a", "[S?, M, N]";
    } {
        /// Whether `a` is stored transposed.
        trans_a: bool;
        /// Whether `b` is stored transposed.
        trans_b: bool;
        /// Factor of the product.
        alpha: f32, NotNan;
        /// Factor of the old `y`.
        beta: f32, NotNan;
    }
}

/// The sizes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulSizes {
    /// Products in the batch; 1 if there is no batch.
    pub batch: usize,
    /// Rows of `y`.
    pub m: usize,
    /// Columns of `y`.
    pub n: usize,
    /// Terms in each sum.
    pub k: usize,
}

impl<'a> Matmul<'a> {
    /// `y = a·b`, nothing transposed, nothing added.
    #[must_use]
    pub fn new(a: View<'a>, b: View<'a>, y: ViewMut<'a>) -> Self {
        Self {
            a,
            b,
            bias: None,
            y,
            trans_a: false,
            trans_b: false,
            alpha: 1.0,
            beta: 0.0,
        }
    }

    /// Takes `a` as stored transposed.
    #[must_use]
    pub fn trans_a(self) -> Self {
        Self {
            trans_a: true,
            ..self
        }
    }

    /// Takes `b` as stored transposed.
    #[must_use]
    pub fn trans_b(self) -> Self {
        Self {
            trans_b: true,
            ..self
        }
    }

    /// Sets the factors of the product and of the old `y`.
    #[must_use]
    pub fn scaled(self, alpha: f32, beta: f32) -> Self {
        Self {
            alpha,
            beta,
            ..self
        }
    }

    /// Adds a row to every row.
    #[must_use]
    pub fn with_bias(self, bias: Option<View<'a>>) -> Self {
        Self { bias, ..self }
    }

    /// The sizes of a checked product.
    #[must_use]
    pub fn sizes(&self) -> MatmulSizes {
        let (batch, rows, columns) = split(self.a.shape());
        let (m, k) = if self.trans_a {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let (_, rows, columns) = split(self.b.shape());
        MatmulSizes {
            batch,
            m,
            n: if self.trans_b { rows } else { columns },
            k,
        }
    }
}

/// A shape's batch, rows and columns.
fn split(shape: Shape) -> (usize, usize, usize) {
    match *shape.dims() {
        [rows, columns] => (1, rows, columns),
        [batch, rows, columns] => (batch, rows, columns),
        _ => (0, 0, 0),
    }
}

impl OpSpec for Matmul<'_> {
    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let MatmulSizes { batch, m, n, k } = self.sizes();
        let (a, b) = (host.read(self.a)?, host.read(self.b)?);
        let bias = host.read_some(self.bias)?;
        let old = if self.beta == 0.0 {
            None
        } else {
            Some(host.read(self.y.as_view())?)
        };
        let (alpha, beta) = (R::from(self.alpha), R::from(self.beta));
        let mut y = Vec::new();
        for s in 0..batch {
            let (a, b) = (&a[s * m * k..][..m * k], &b[s * k * n..][..k * n]);
            for i in 0..m {
                for j in 0..n {
                    let mut sum = R::from(0.0);
                    for l in 0..k {
                        let a = a[if self.trans_a { l * m + i } else { i * k + l }];
                        let b = b[if self.trans_b { j * k + l } else { l * n + j }];
                        sum.accumulate(a * b);
                    }
                    // The bias and the old value may be added first.
                    let mut sum = alpha * sum;
                    sum.accumulate(bias.as_ref().map_or(R::from(0.0), |bias| bias[j]));
                    let kept = old.as_ref().map(|old| beta * old[(s * m + i) * n + j]);
                    sum.accumulate(kept.unwrap_or(R::from(0.0)));
                    y.push(sum);
                }
            }
        }
        host.write("y", y);
        Ok(())
    }

    fn flops(&self) -> u64 {
        let MatmulSizes { batch, m, n, k } = self.sizes();
        2 * (batch * m * n * k) as u64
    }
}
