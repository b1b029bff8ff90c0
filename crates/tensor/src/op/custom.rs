//! Operations defined outside of this crate.

use super::{Declared, OpSpec, Operand, Table, attribute_such};
use crate::{DType, Error, Host, Real, Result, Shape, View, ViewMut};
use std::any::Any;
use std::fmt::Debug;

/// The definition of an operation outside of this crate, as [`OpSpec`] is for those in it.
///
/// An operation defined so runs on every device, by its meaning on the host. A backend that has a
/// kernel for it recognises [`Custom::kind`] when [`crate::Backend::run`] gets an
/// [`crate::Op::Custom`]: by [`CustomOp::name`], or by `(op.kind as &dyn Any).downcast_ref()` as
/// its own type, which holds its attributes.
///
/// ```
/// use latimer_tensor::op::{Custom, CustomOp};
/// use latimer_tensor::{Device, Result, Tensor};
///
/// /// `|a - b|`.
/// #[derive(Debug)]
/// struct Distance;
///
/// impl CustomOp for Distance {
///     fn name(&self) -> &'static str {
///         "distance"
///     }
///     fn check(&self, op: &Custom<'_>) -> Result<()> {
///         op.expect_operands(2, 1)?;
///         op.expect_elementwise()
///     }
///     fn reference(&self, _op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
///         let distances = inputs[0].iter().zip(&inputs[1]).map(|(a, b)| (a - b).abs());
///         vec![distances.collect()]
///     }
/// }
///
/// let device = Device::reference();
/// let a = Tensor::from_slice(&device, &[1.0f32, 5.0], [2])?;
/// let b = Tensor::from_slice(&device, &[3.0f32, 4.0], [2])?;
/// let mut y = Tensor::zeros(&device, [2], a.dtype())?;
/// device.run(Custom {
///     kind: &Distance,
///     inputs: vec![a.view(), b.view()],
///     outputs: vec![y.view_mut()?],
/// })?;
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 1.0]);
/// # Ok::<(), latimer_tensor::Error>(())
/// ```
pub trait CustomOp: Any + Debug + Send + Sync {
    /// The operation's name in messages and tables.
    fn name(&self) -> &'static str;

    /// Checks that the operands fit; [`Custom::expect_operands`] and [`Custom::expect_elementwise`]
    /// do so in the simplest cases. It is called before anything else.
    ///
    /// # Errors
    /// The first operand that does not fit.
    fn check(&self, op: &Custom<'_>) -> Result<()>;

    /// The operation's f64 meaning: computes the elements of each output, in order, from those of
    /// the inputs. They are rounded once, to the outputs' types.
    fn reference(&self, op: &Custom<'_>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>>;

    /// Floating-point operations, not counting bytes; one for each element of an output, unless
    /// you know better.
    fn flops(&self, op: &Custom<'_>) -> u64 {
        op.outputs.iter().map(|y| y.numel() as u64).sum()
    }
}

/// A custom operation with its operands. Inputs are read, outputs overwritten without being read;
/// messages call them `input0`, `input1`, …, `output0`, ….
#[derive(Debug)]
pub struct Custom<'a> {
    /// The operation.
    pub kind: &'a dyn CustomOp,
    /// The operands that are read, at most [`Custom::MAX_OPERANDS`].
    pub inputs: Vec<View<'a>>,
    /// The operands that are written, at most [`Custom::MAX_OPERANDS`].
    pub outputs: Vec<ViewMut<'a>>,
}

/// The operands' names.
const INPUTS: [&str; Custom::MAX_OPERANDS] = [
    "input0", "input1", "input2", "input3", "input4", "input5", "input6", "input7",
];
const OUTPUTS: [&str; Custom::MAX_OPERANDS] = [
    "output0", "output1", "output2", "output3", "output4", "output5", "output6", "output7",
];

impl<'a> Custom<'a> {
    /// Always `None`: the name `custom` does not tell which operation is meant.
    pub(super) fn assemble(_parts: &mut super::Parts<'a>) -> Option<Self> {
        None
    }
}

impl Custom<'_> {
    /// At most this many inputs, and at most this many outputs.
    pub const MAX_OPERANDS: usize = 8;

    /// Checks the numbers of inputs and outputs.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] if a number differs.
    pub fn expect_operands(&self, inputs: usize, outputs: usize) -> Result<()> {
        let name = self.kind.name();
        let reason = "it takes another number of them";
        for (what, got, want) in [
            ("inputs", self.inputs.len(), inputs),
            ("outputs", self.outputs.len(), outputs),
        ] {
            attribute_such(name, what, got as f64, got == want, reason)?;
        }
        Ok(())
    }

    /// Checks that all operands are floats of the first input's type and have its shape.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] or [`Error::ShapeMismatch`] for the first operand that differs.
    pub fn expect_elementwise(&self) -> Result<()> {
        let name = self.kind.name();
        let Some(first) = self.inputs.first() else {
            return Ok(());
        };
        let inputs = INPUTS.into_iter().zip(&self.inputs);
        let inputs = inputs.map(|(operand, view)| (operand, view.dtype(), view.shape()));
        let outputs = OUTPUTS.into_iter().zip(&self.outputs);
        let outputs = outputs.map(|(operand, view)| (operand, view.dtype(), view.shape()));
        for (operand, dtype, shape) in inputs.chain(outputs) {
            let expected = if first.dtype().is_float() {
                first.dtype()
            } else {
                DType::F32
            };
            if dtype != expected {
                let (op, got) = (name, dtype);
                return Err(Error::DTypeMismatch {
                    op,
                    operand,
                    expected,
                    got,
                });
            }
            if shape != first.shape() {
                return Err(Error::ShapeMismatch {
                    op: name,
                    operand,
                    expected: first.shape(),
                    got: shape,
                });
            }
        }
        Ok(())
    }
}

impl Declared for Custom<'_> {
    /// The table of a custom operation has no rules: only [`CustomOp::check`] knows its operands.
    const TABLE: &'static Table = &Table {
        name: "custom",
        operands: &[],
        attributes: &[],
    };

    fn operands<'s>(&'s mut self, visit: &mut dyn FnMut(&'static str, Operand<'s>)) {
        for (view, name) in self.inputs.iter().zip(INPUTS) {
            visit(name, Operand::In(*view));
        }
        for (view, name) in self.outputs.iter_mut().zip(OUTPUTS) {
            visit(name, Operand::Out(view.reborrow()));
        }
    }

    fn check_table(&self, _computed: &dyn Fn(&'static str) -> Result<Shape>) -> Result<()> {
        Ok(())
    }
}

impl OpSpec for Custom<'_> {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn check(&self) -> Result<()> {
        let name = self.kind.name();
        for (what, got, least) in [
            ("inputs", self.inputs.len(), 0),
            ("outputs", self.outputs.len(), 1),
        ] {
            let fits = (least..=Self::MAX_OPERANDS).contains(&got);
            let reason = "there must be 1 to 8 outputs and at most 8 inputs";
            attribute_such(name, what, got as f64, fits, reason)?;
        }
        self.kind.check(self)
    }

    fn reference<R: Real>(&self, host: &mut Host<'_, R>) -> Result<()> {
        let mut inputs = Vec::new();
        for &view in &self.inputs {
            inputs.push(host.read(view)?.into_iter().map(R::value).collect());
        }
        let mut computed = self.kind.reference(self, &inputs).into_iter();
        for (view, name) in self.outputs.iter().zip(OUTPUTS) {
            let values = computed.next().unwrap_or_default();
            // The code is not ours, so the length of its result is checked.
            let (shape, got) = (view.shape(), values.len());
            if got != shape.numel() {
                return Err(Error::WrongLength { shape, got });
            }
            host.write(name, values.into_iter().map(R::from).collect());
        }
        Ok(())
    }

    fn flops(&self) -> u64 {
        self.kind.flops(self)
    }
}
