//! The macro that makes the suite's tests.

/// Makes the tests of every operation for a backend.
///
/// The argument is a closure that makes a [`latimer_tensor::Device`]. It is called once a test, so
/// a device that is expensive to make should be made once and cloned. `same_bits` lists devices
/// that must give the same bits, for example with other thread counts.
///
/// ```
/// use latimer_tensor::Device;
/// latimer_conformance::suite!(|| Device::reference(), same_bits = [|| Device::reference()]);
/// ```
///
/// For each operation there is a module of its name with the tests `agrees_with_its_meaning`,
/// `spreads_nan_and_infinity` and `refuses_misfits`; see [`crate::check`]. The environment variable
/// `LATIMER_CASES` sets how many cases each draws (64 if unset); the cases are the same every time.
/// `LATIMER_SHRINK` sets how many smaller ones are tried after a failure (512 if unset).
#[macro_export]
macro_rules! suite {
    ($device:expr $(, same_bits = [$($other:expr),* $(,)?])? $(,)?) => {
        fn conformance_subject() -> $crate::Subject {
            #[allow(clippy::redundant_closure_call, reason = "the caller's closure")]
            $crate::Subject::new(($device)()) $($(.same_bits(($other)()))*)?
        }
        $crate::operations! { $crate::suite_of! }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! suite_of {
    ($($op:ident)*) => {
        $(mod $op {
            #[test]
            fn agrees_with_its_meaning() {
                let held = $crate::check::agrees(stringify!($op), &super::conformance_subject());
                held.unwrap_or_else(|failure| panic!("{failure}"));
            }

            #[test]
            fn spreads_nan_and_infinity() {
                let held = $crate::check::spreads(stringify!($op), &super::conformance_subject());
                held.unwrap_or_else(|failure| panic!("{failure}"));
            }

            #[test]
            fn refuses_misfits() {
                let held = $crate::check::refuses(stringify!($op), &super::conformance_subject());
                held.unwrap_or_else(|failure| panic!("{failure}"));
            }
        })*

        #[test]
        fn every_operation_is_held() {
            let held = [$(stringify!($op)),*];
            assert_eq!($crate::tensor::Op::NAMES, held, "the suite lacks an operation");
            println!("{}", $crate::Support::of(conformance_subject().device()));
            println!("{}", $crate::Coverage::drawn());
        }
    };
}
