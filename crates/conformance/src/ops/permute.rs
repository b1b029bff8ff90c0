//! Axes in another order.

use super::Spec;
use crate::strategies::{drawn, shape};
use latimer_tensor::Shape;
use latimer_tensor::op::{Outline, Permute, Value};
use proptest::prelude::any;

/// `permute` of `x`.
///
/// # Panics
/// If `axes` is no order of its axes.
#[must_use]
pub fn permuted(x: impl Into<Shape>, axes: [usize; 4]) -> Outline {
    let x = x.into();
    let y = Permute::output_shape(x, axes).expect("an order of the axes");
    Outline::of("permute")
        .shape("x", x)
        .shape("y", y)
        .set("axes", axes)
}

pub(super) const fn permute(spec: Spec) -> Spec {
    spec.draws(|_| {
        drawn((shape(), any::<u32>()), |(x, choice)| {
            let (mut axes, mut choice) = ([0, 1, 2, 3], choice as usize);
            for i in 1..x.rank() {
                axes.swap(i, choice % (i + 1));
                choice /= i + 1;
            }
            permuted(x, axes)
        })
    })
    .misfits(|permute| match permute.attribute("axes") {
        Some(Value::Axes([first, _, third, fourth])) if permute.shape_of("x").rank() > 1 => {
            vec![("axes", [first, first, third, fourth].into())]
        }
        _ => Vec::new(),
    })
}
