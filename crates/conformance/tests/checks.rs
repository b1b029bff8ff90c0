//! Former faults of the operations' own checks.

use latimer_tensor::op::SoftmaxBackward;
use latimer_tensor::{DType, Device, Error, Result, Tensor};

/// Rows without columns cannot be divided into rows; the reference used to panic.
#[test]
fn softmax_backward_needs_columns() -> Result<()> {
    let device = Device::reference();
    let y = Tensor::zeros(&device, [3, 0], DType::F32)?;
    let mut dx = Tensor::zeros(&device, [3, 0], DType::F32)?;
    let ran = device.run(SoftmaxBackward {
        y: y.view(),
        dy: y.view(),
        dx: dx.view_mut()?,
        scale: 1.0,
    });
    assert!(matches!(ran, Err(Error::InvalidShape { .. })), "{ran:?}");
    Ok(())
}
