//! Matrix products.

use super::Spec;
use crate::strategies::{drawn, factor};
use latimer_tensor::DType;
use latimer_tensor::op::Outline;
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
    .sums()
}
