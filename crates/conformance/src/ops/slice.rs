//! A part of a tensor along one axis.

use super::Spec;
use crate::strategies::{axis, drawn, with_length};
use latimer_tensor::Shape;
use latimer_tensor::op::Outline;
use proptest::prelude::any;

/// `slice`: `length` of `x` along an axis, beginning at `first`.
#[must_use]
pub fn sliced(x: impl Into<Shape>, axis: usize, first: usize, length: usize) -> Outline {
    let x = x.into();
    let y = with_length(x, axis, length);
    let outline = Outline::of("slice").shape("x", x).shape("y", y);
    outline.set("axis", axis).set("first", first)
}

pub(super) const fn slice(spec: Spec) -> Spec {
    let spec = spec.draws(|_| {
        drawn(
            (axis(), any::<u16>(), any::<u16>()),
            |((x, axis), length, first)| {
                let longest = x.dims()[axis];
                let length = usize::from(length) % (longest + 1);
                sliced(x, axis, usize::from(first) % (longest - length + 1), length)
            },
        )
    });
    let spec = spec.misfits(|slice| {
        let (x, y) = (slice.shape_of("x"), slice.shape_of("y"));
        let axis = slice
            .attribute("axis")
            .map_or(0, |axis| axis.number() as usize);
        let past = x.dims()[axis] - y.dims()[axis] + 1;
        let first = [past, usize::MAX].map(|first| ("first", first.into()));
        [("axis", x.rank().into())]
            .into_iter()
            .chain(first)
            .collect()
    });
    Spec {
        measured: &["axis", "first"],
        ..spec
    }
}
