//! A head: attention with three learned maps. Vaswani et al. 2017, section 3.2.2.

use latimer_autograd::{Init, Param, Pass, Result, Scope};
use latimer_tensor::Tensor;

/// `softmax(scale · (Q·W^Q)·(K·W^K)ᵀ)·(V·W^V)`: one head of attention without a mask. Its maps have
/// no bias and are as wide as their inputs.
///
/// ```
/// use latimer_autograd::{Declarations, Params, Pass};
/// use latimer_lessons::Head;
/// use latimer_tensor::{DType, Device, Tensor};
///
/// let mut declarations = Declarations::new();
/// let head = Head::new(declarations.root().child("head"), 32);
/// let device = Device::reference();
/// let params = Params::new(&device, declarations, 1)?;
/// let pass = Pass::evaluate(&params);
/// let x = Tensor::full(&device, [3, 32], DType::F32, 0.5)?;
/// let found = head.forward(&pass, &x, &x, &x, head.scale())?;
/// assert_eq!(found.weights.dims(), [3, 3]);
/// assert_eq!(found.output.dims(), [3, 32]);
/// # Ok::<(), latimer_autograd::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// W^Q, `[C, C]`.
    pub query: Param,
    /// W^K, `[C, C]`.
    pub key: Param,
    /// W^V, `[C, C]`.
    pub value: Param,
    n_embd: usize,
}

/// The result of a head, with all intermediate results.
#[derive(Clone, Debug)]
pub struct Found {
    /// `Q·W^Q`, `[T, C]`.
    pub q: Tensor,
    /// `K·W^K`, `[N, C]`.
    pub k: Tensor,
    /// `V·W^V`, `[N, C]`.
    pub v: Tensor,
    /// `[T, N]`, rows sum to 1.
    pub weights: Tensor,
    /// `weights·v`, `[T, C]`.
    pub output: Tensor,
}

impl Head {
    /// Declares a head of width `n_embd`. Its weights are drawn as in PyTorch's `Linear`: uniformly
    /// up to `1/√C`.
    pub fn new(mut scope: Scope<'_>, n_embd: usize) -> Self {
        let bound = 1.0 / (n_embd.max(1) as f64).sqrt();
        let mut map = |name: &str| {
            let shape = [n_embd, n_embd];
            scope
                .child(name)
                .param("weight", shape, Init::Uniform { bound })
        };
        Self {
            query: map("query"),
            key: map("key"),
            value: map("value"),
            n_embd,
        }
    }

    /// The factor of the scores in the formula, `C^-0.5`.
    #[must_use]
    pub fn scale(&self) -> f32 {
        (self.n_embd.max(1) as f32).powf(-0.5)
    }

    /// Looks up `q` among `k` and mixes `v`. In training `scale` is [`Head::scale`]; afterwards any
    /// [`crate::Sharpness::factor`] may be tried.
    ///
    /// # Shapes
    /// - `q`: `[T, C]`; `k`, `v`: `[N, C]`
    ///
    /// # Errors
    /// Widths that do not match; inputs that a training pass does not know.
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        scale: f32,
    ) -> Result<Found> {
        // lesson: begin head
        let q = pass.linear(q, self.query, None)?; // [T, C]
        let k = pass.linear(k, self.key, None)?; // [N, C]
        let v = pass.linear(v, self.value, None)?; // [N, C]
        let scores = pass.matmul(&q, &k, true)?; // [T, N]
        let weights = pass.softmax(&scores, scale, false)?; // [T, N]
        let output = pass.matmul(&weights, &v, false)?; // [T, C]
        // lesson: end
        Ok(Found {
            q,
            k,
            v,
            weights,
            output,
        })
    }
}
