//! Matrix products.

use super::Spec;
use crate::naive::{Output, read, sum, twin};
use crate::strategies::{drawn, factor};
use latimer_tensor::op::{Matmul, MatmulSizes, Outline};
use latimer_tensor::{DType, Host, Result};
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

/// A length of a matrix product.
fn side() -> BoxedStrategy<usize> {
    prop_oneof![1 => Just(0), 24 => select(vec![1, 2, 3, 5, 8, 13, 17, 33, 65, 129])].boxed()
}

pub(super) const fn matmul(spec: Spec) -> Spec {
    spec.draws(|op| {
        let few = || select(vec![1, 2, 3, 5, 17, 50]);
        // Long sums, which kernels split into blocks, and operands that exceed every cache.
        let sizes = prop_oneof![
            28 => (side(), side(), side()),
            3 => (few(), few(), select(vec![257, 1025, 1100])),
            1 => (select(vec![1, 5, 50]), Just(1030), Just(1100)),
            // There is enough work for several threads, which split along either side.
            6 => (select(vec![33, 50, 97, 129]), select(vec![65, 129, 257]), select(vec![65, 257])),
        ];
        let batch = option::of(select(vec![1, 2, 3]));
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        drawn((batch, sizes, flags, (factor(), factor())), move |drawn| {
            let (batch, (m, n, k), (trans_a, trans_b, bias, f32_sum), (alpha, beta)) = drawn;
            let outline = match batch.filter(|_| n * k < 1_000_000) {
                Some(batch) => Outline::of(op).sizes("S", [batch]),
                None => Outline::of(op),
            };
            let outline = outline.sizes("MNK", [m, n, k]).give("bias", bias);
            let outline = outline.dtype("y", f32_sum.then_some(DType::F32));
            let outline = outline.set("trans_a", trans_a).set("trans_b", trans_b);
            // Two products of five overwrite their output.
            let beta = if beta < 0.0 { 0.0 } else { beta };
            outline.set("alpha", alpha).set("beta", beta)
        })
    })
    .naive(twin!(Matmul, naive))
}

fn naive(op: &Matmul<'_>, host: &Host<'_>) -> Result<Vec<Output>> {
    let MatmulSizes { batch, m, n, k } = op.sizes();
    let (a, b) = (read(host, op.a)?, read(host, op.b)?);
    let bias = op.bias.map(|bias| read(host, bias)).transpose()?;
    let mut y = match op.beta {
        0.0 => vec![0.0; batch * m * n],
        _ => read(host, op.y.as_view())?,
    };
    for (s, y) in y.chunks_exact_mut((m * n).max(1)).enumerate() {
        let (a, b) = (&a[s * m * k..][..m * k], &b[s * k * n..][..k * n]);
        // Strides: of one step along the sum, and of one row of `a` or one column of `b`.
        let (along_a, across_a) = if op.trans_a { (m, 1) } else { (1, k) };
        let (along_b, across_b) = if op.trans_b { (1, k) } else { (n, 1) };
        for (at, y) in y.iter_mut().enumerate() {
            let (i, j) = (at / n * across_a, at % n * across_b);
            let product = sum((0..k).map(|l| a[i + l * along_a] * b[j + l * along_b]));
            let product = op.alpha * product + bias.as_ref().map_or(0.0, |bias| bias[at % n]);
            *y = match op.beta {
                0.0 => product,
                beta => product + beta * *y,
            };
        }
    }
    Ok(vec![("y", y)])
}
