//! Arithmetic with tensors: functions of every element, of pairs of elements, and of rows.
//!
//! The operators `+`, `-`, `*` and `/` panic where their operands do not fit; [`Tensor::try_add`] and its
//! like return an error instead.

use crate::op::{Binary, BinaryKind, Over, Reduce, ReduceKind, Unary, UnaryKind};
use crate::{Result, Tensor};

impl Tensor {
    /// Applies a function to every element.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`](crate::Error::DTypeMismatch) on integers.
    pub fn map(&self, kind: UnaryKind) -> Result<Self> {
        let mut y = self.output(self.shape())?;
        self.device().run(Unary {
            kind,
            x: self.view(),
            y: y.view_mut()?,
        })?;
        Ok(y)
    }

    /// Applies a function to each pair of elements; if `b` lacks leading axes, it is repeated.
    ///
    /// # Errors
    /// [`Error::InvalidShape`](crate::Error::InvalidShape) when `b` does not fit.
    pub fn zip(&self, kind: BinaryKind, b: &Self) -> Result<Self> {
        let mut y = self.output(self.shape())?;
        self.device().run(Binary {
            kind,
            a: self.view(),
            b: b.view(),
            y: y.view_mut()?,
        })?;
        Ok(y)
    }

    /// The sum over the last axis: `[N, C]` to `[N]`.
    ///
    /// # Errors
    /// [`Error::InvalidShape`](crate::Error::InvalidShape) when there is nothing to sum.
    pub fn sum(&self) -> Result<Self> {
        self.reduce(ReduceKind::Sum)
    }

    /// The mean over the last axis: `[N, C]` to `[N]`.
    ///
    /// # Errors
    /// Fails as [`Tensor::sum`] does.
    pub fn mean(&self) -> Result<Self> {
        self.reduce(ReduceKind::Mean)
    }

    /// The greatest element of each row: `[N, C]` to `[N]`; NaN if a row has one.
    ///
    /// # Errors
    /// Fails as [`Tensor::sum`] does.
    pub fn max(&self) -> Result<Self> {
        self.reduce(ReduceKind::Max)
    }

    fn reduce(&self, kind: ReduceKind) -> Result<Self> {
        let mut y = self.output([self.shape().rows()])?;
        self.device().run(Reduce {
            kind,
            over: Over::Columns,
            x: self.view(),
            y: y.view_mut()?,
            accumulate: false,
        })?;
        Ok(y)
    }

    /// This number for each column, to be repeated over the rows.
    fn repeated(&self, value: f32) -> Result<Self> {
        let columns = [self.shape().columns()];
        Self::full(self.device(), columns, self.dtype(), value.into())
    }
}

macro_rules! functions { ($($(#[$about:meta])* $name:ident $kind:ident),*) => { impl Tensor { $(
    $(#[$about])*
    ///
    /// # Errors
    /// Fails as [`Tensor::map`] does.
    pub fn $name(&self) -> Result<Self> {
        self.map(UnaryKind::$kind)
    }
)* } } }
functions!(
    /// `max(x, 0)` of every element.
    relu Relu,
    /// GELU of every element, in GPT-2's form with tanh.
    gelu GeluTanh,
    /// `tanh(x)` of every element.
    tanh Tanh,
    /// `exp(x)` of every element.
    exp Exp
);

#[track_caller]
fn or_panic(result: Result<Tensor>) -> Tensor {
    match result {
        Ok(tensor) => tensor,
        Err(error) => panic!("{error}"),
    }
}

macro_rules! operators { ($($trait:ident $method:ident $try:ident $kind:ident $sign:literal),*) => {
    impl Tensor { $(
        #[doc = concat!("`self ", $sign, " b`; if `b` lacks leading axes, it is repeated. The operator `&a ", $sign, " &b`")]
        /// does the same but panics on an error.
        ///
        /// # Errors
        /// Fails as [`Tensor::zip`] does.
        pub fn $try(&self, b: &Self) -> Result<Self> {
            self.zip(BinaryKind::$kind, b)
        }
    )* }
$(
    impl std::ops::$trait for &Tensor {
        type Output = Tensor;

        /// # Panics
        #[doc = concat!("When shapes or dtypes do not fit; [`Tensor::", stringify!($try), "`] returns an error instead.")]
        #[track_caller]
        fn $method(self, b: Self) -> Tensor {
            or_panic(self.$try(b))
        }
    }

    impl std::ops::$trait<f32> for &Tensor {
        type Output = Tensor;

        /// Every element with the same number.
        ///
        /// # Panics
        /// On a tensor of integers, or when the device fails.
        #[track_caller]
        fn $method(self, b: f32) -> Tensor {
            or_panic(self.repeated(b).and_then(|b| self.$try(&b)))
        }
    }
)* } }
operators!(Add add try_add Add "+", Sub sub try_sub Sub "-", Mul mul try_mul Mul "*", Div div try_div Div "/");

#[cfg(test)]
mod tests {
    use crate::{DType, Device, Error, Tensor};

    fn tensor(values: &[f32], shape: [usize; 2]) -> Tensor {
        Tensor::from_slice(&Device::reference(), values, shape).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec().unwrap()
    }

    #[test]
    fn operators_and_functions_are_what_they_say() {
        let a = tensor(&[1.0, -2.0, 3.0, 4.0], [2, 2]);
        let row = Tensor::from_slice(a.device(), &[2.0f32, 4.0], [2]).unwrap();
        assert_eq!(values(&(&a + &row)), [3.0, 2.0, 5.0, 8.0]);
        assert_eq!(values(&(&a - &row)), [-1.0, -6.0, 1.0, 0.0]);
        assert_eq!(values(&(&a * &row)), [2.0, -8.0, 6.0, 16.0]);
        assert_eq!(values(&(&a / &row)), [0.5, -0.5, 1.5, 1.0]);
        assert_eq!(values(&(&a + 1.0)), [2.0, -1.0, 4.0, 5.0]);
        assert_eq!(values(&(&a - 1.0)), [0.0, -3.0, 2.0, 3.0]);
        assert_eq!(values(&(&a * 2.0)), [2.0, -4.0, 6.0, 8.0]);
        assert_eq!(values(&(&a / 2.0)), [0.5, -1.0, 1.5, 2.0]);
        assert_eq!(values(&a.relu().unwrap()), [1.0, 0.0, 3.0, 4.0]);
        assert_eq!(values(&a.sum().unwrap()), [-1.0, 7.0]);
        assert_eq!(values(&a.mean().unwrap()), [-0.5, 3.5]);
        assert_eq!(values(&a.max().unwrap()), [1.0, 4.0]);
        let exact = |f: fn(f64) -> f64| {
            values(&a)
                .iter()
                .map(|&x| f(x.into()) as f32)
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&a.exp().unwrap()), exact(f64::exp));
        assert_eq!(values(&a.tanh().unwrap()), exact(f64::tanh));
        // Hendrycks and Gimpel 2016: gelu(1) is 0.8412 in the form with tanh.
        assert!((values(&a.gelu().unwrap())[0] - 0.8412).abs() < 1e-4);
    }

    #[test]
    fn what_does_not_fit_is_an_error_or_a_panic_with_its_sentence() {
        let (a, b) = (tensor(&[1.0; 4], [2, 2]), tensor(&[1.0; 6], [2, 3]));
        for tried in [a.try_add(&b), a.try_sub(&b), a.try_mul(&b), a.try_div(&b)] {
            assert!(
                matches!(tried, Err(Error::InvalidShape { .. })),
                "{tried:?}"
            );
        }
        let said = |work: fn(&Tensor, &Tensor) -> Tensor| {
            let (a, b) = (a.clone(), b.clone());
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&a, &b)));
            *caught.unwrap_err().downcast::<String>().unwrap()
        };
        assert_eq!(said(|a, b| a + b), a.try_add(&b).unwrap_err().to_string());
        let ids = Tensor::zeros(a.device(), [2], DType::U32).unwrap();
        assert!(matches!(ids.relu(), Err(Error::DTypeMismatch { .. })));
    }
}
