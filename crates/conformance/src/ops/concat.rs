//! Two tensors joined along one axis.

use super::Spec;
use crate::strategies::{axis, drawn, with_length};
use latimer_tensor::Shape;
use latimer_tensor::op::Outline;
use proptest::prelude::any;

/// `concat` to `y`, of which `a` is `of_a` along the axis.
#[must_use]
pub fn joined(y: impl Into<Shape>, axis: usize, of_a: usize) -> Outline {
    let y = y.into();
    let [a, b] = [of_a, y.dims()[axis] - of_a].map(|length| with_length(y, axis, length));
    let outline = Outline::of("concat")
        .shape("a", a)
        .shape("b", b)
        .shape("y", y);
    outline.set("axis", axis)
}

pub(super) const fn concat(spec: Spec) -> Spec {
    let spec = spec.draws(|_| {
        drawn((axis(), any::<u16>()), |((y, axis), of_a)| {
            joined(y, axis, usize::from(of_a) % (y.dims()[axis] + 1))
        })
    });
    Spec {
        measured: &["axis"],
        ..spec.misfits(|concat| vec![("axis", concat.shape_of("y").rank().into())])
    }
}
