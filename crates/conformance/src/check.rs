//! Requirements for a backend, and the tests of them.
//!
//! For every case:
//!
//! 1. every output is written in full, without reading what is only overwritten, and agrees with
//!    the f64 meaning within [`crate::tolerance`], NaN and infinities included; where sums or
//!    exponentials are involved, a tensor as a whole loses at most twice what a naive evaluation
//!    in the same precision loses;
//! 2. nothing but the outputs changes: not the inputs, not the memory around;
//! 3. a second run, over other old contents and inside [`Device::enter`], gives the same bits;
//! 4. recorded by [`Device::capture`] over other contents and then launched, it gives the same bits,
//!    where the device records and the operation runs natively;
//! 5. the devices that promise the same bits (other thread counts) keep the promise, inside
//!    [`Device::enter`] too, where a backend has its threads at hand.
//!
//! And for operands or attributes that do not fit: no panic, and the error that says what does not
//! fit (`refuses`): of the right kind, with the operation, and blaming what was changed or what is
//! measured by it.

use crate::case::Case;
use crate::failure::{Failure, Property};
use crate::memory::{Left, Memory};
use crate::operands::{Operand, Role};
use crate::tolerance::Spread;
use crate::{misfits, oracle, regressions, strategies, tolerance};
use latimer_tensor::{Bounded, DType, Device, Error, Written};
use proptest::strategy::{BoxedStrategy, Just, Strategy};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;

/// A device under test, and other devices that must give the same bits.
#[derive(Clone, Debug)]
pub struct Subject {
    device: Device,
    same_bits: Vec<Device>,
}

impl Subject {
    /// A device without others to compare with.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self {
            device,
            same_bits: Vec::new(),
        }
    }

    /// Adds a device that must give the same bits: the same backend with another thread count.
    #[must_use]
    pub fn same_bits(mut self, other: Device) -> Self {
        self.same_bits.push(other);
        self
    }

    /// The device under test.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// Cases for each operation and property; `LATIMER_CASES` overrides it.
pub const CASES: u32 = 64;

fn cases() -> u32 {
    number("LATIMER_CASES", CASES)
}

/// The number in an environment variable, or `otherwise` if it is not set.
fn number(variable: &str, otherwise: u32) -> u32 {
    let asked = std::env::var(variable).ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Number of smaller cases that are tried after a failure; `LATIMER_SHRINK` overrides it.
const SHRINK: u32 = 512;

/// Checks that the operation agrees with its meaning on finite operands.
///
/// # Errors
/// The smallest failing case found.
pub fn agrees(op: &str, subject: &Subject) -> Result<(), Box<Failure>> {
    agreeing(op, |case| held(subject, case).map(drop))
}

/// Checks that NaN and infinity in an input reach exactly the outputs that they reach in the
/// meaning.
///
/// # Errors
/// The smallest failing case found.
pub fn spreads(op: &str, subject: &Subject) -> Result<(), Box<Failure>> {
    spreading(op, |case| held(subject, case).map(drop))
}

/// Checks that operands and attributes that do not fit give the right error.
///
/// # Errors
/// The smallest failing case found.
pub fn refuses(op: &str, subject: &Subject) -> Result<(), Box<Failure>> {
    refusing(op, |case| {
        misfits::all_refused(subject.device(), case).map(drop)
    })
}

// ---- the tests of single cases, shared with other modules

type Test<'t> = &'t dyn Fn(&Case) -> Result<(), Box<Failure>>;

pub(crate) fn agreeing(
    op: &str,
    test: impl Fn(&Case) -> Result<(), Box<Failure>>,
) -> Result<(), Box<Failure>> {
    let kept = regressions::all();
    for case in kept.iter().filter(|case| case.name() == op) {
        guarded(case, &test)?;
    }
    hold(strategies::cases(op), cases(), &test)
}

pub(crate) fn spreading(
    op: &str,
    test: impl Fn(&Case) -> Result<(), Box<Failure>>,
) -> Result<(), Box<Failure>> {
    hold(strategies::nonfinite(op), cases(), &test)
}

pub(crate) fn refusing(
    op: &str,
    test: impl Fn(&Case) -> Result<(), Box<Failure>>,
) -> Result<(), Box<Failure>> {
    // Each case is changed in every possible way, so a few cases give many runs.
    hold(strategies::cases(op), cases().div_ceil(6), &test)
}

/// Tests one case; a panic counts as a failure.
fn guarded(case: &Case, test: Test<'_>) -> Result<(), Box<Failure>> {
    hold(Just(case.clone()).boxed(), 1, test)
}

fn hold(strategy: BoxedStrategy<Case>, cases: u32, test: Test<'_>) -> Result<(), Box<Failure>> {
    let config = Config {
        cases,
        max_shrink_iters: number("LATIMER_SHRINK", SHRINK),
        failure_persistence: None,
        ..Config::default()
    };
    // The cases are the same every time, so a failure can be reproduced.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let last = RefCell::new(None);
    let found = TestRunner::new_with_rng(config, rng).run(&strategy, |case| {
        test(&case).map_err(|failure| {
            let text = failure.detail.clone();
            last.replace(Some((format!("{case:?}"), failure)));
            TestCaseError::fail(text)
        })
    });
    match found {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, case)) => {
            // Compare as text: a case with a NaN does not equal itself. A panic leaves no failure.
            let told = last
                .into_inner()
                .filter(|(of, _)| *of == format!("{case:?}"));
            Err(told.map_or_else(
                || {
                    Box::new(Failure {
                        property: Property::Runs,
                        detail: format!("it panicked: {reason}"),
                        case,
                    })
                },
                |(_, failure)| failure,
            ))
        }
        Err(TestError::Abort(reason)) => unreachable!("no case is ever rejected: {reason}"),
    }
}

/// Checks one case for properties 1 to 5.
///
/// # Errors
/// The first property that does not hold.
pub fn one(subject: &Subject, case: &Case) -> Result<(), Box<Failure>> {
    held(subject, case).map(drop)
}

/// As [`one`]; returns the largest part used of the error that the rule of the same precision
/// allows.
pub(crate) fn held(subject: &Subject, case: &Case) -> Result<Option<f64>, Box<Failure>> {
    let fail = |property, detail: String| {
        Err(Box::new(Failure {
            property,
            case: case.clone(),
            detail,
        }))
    };
    let broken = |error: Error| {
        Box::new(Failure {
            property: Property::Runs,
            case: case.clone(),
            detail: error.to_string(),
        })
    };
    let operands = case.operands().map_err(broken)?;
    let want = oracle::meaning(case, &operands).map_err(broken)?;

    let fallbacks = subject.device.fallbacks();
    // Outputs are NaN at first, so that elements which are not written, or read too early, show.
    let left = run(&subject.device, case, &operands, 0xFF).map_err(broken)?;
    if let Some(damage) = left.damage {
        return fail(Property::StaysInside, damage);
    }
    for (operand, got) in operands.iter().zip(&left.operands) {
        match want.iter().find(|w| w.operand == operand.name) {
            Some(want) => {
                let misfit = tolerance::first_misfit(want, got, operand.dtype, case.dtype);
                if let Some(misfit) = misfit.map_err(broken)? {
                    return fail(Property::Agrees, misfit);
                }
            }
            None if operand.role == Role::InOut && *got != operand.bytes => {
                let detail = format!("{} was written", operand.name);
                return fail(Property::StaysInside, detail);
            }
            None => {}
        }
    }

    if let Some(detail) = torn_copy(case, &operands, &left.operands).map_err(broken)? {
        return fail(Property::Agrees, detail);
    }

    let spread = widest(case, &operands, &want, &left.operands).map_err(broken)?;
    if let Some((name, spread)) = &spread
        && spread.used() > 1.0
        && !by_luck(&subject.device, case).map_err(broken)?
    {
        let detail = format!("{name} {spread}, in most draws of this case");
        return fail(Property::AsPreciseAsNaive, detail);
    }

    let again = run_inside(&subject.device, case, &operands).map_err(broken)?;
    if let Some(detail) = difference(&operands, &left.operands, &again.operands) {
        return fail(Property::Repeats, detail);
    }
    if subject.device.fallbacks() == fallbacks {
        match run_captured(&subject.device, case, &operands) {
            Err(error) => return fail(Property::Captured, error.to_string()),
            Ok(Some(launched)) => {
                if let Some(damage) = launched.damage {
                    return fail(Property::Captured, damage);
                }
                if let Some(detail) = difference(&operands, &left.operands, &launched.operands) {
                    return fail(Property::Captured, detail);
                }
            }
            Ok(None) => {}
        }
    }
    for (i, other) in subject.same_bits.iter().enumerate() {
        let other = run_inside(other, case, &operands).map_err(broken)?;
        if let Some(detail) = difference(&operands, &left.operands, &other.operands) {
            let detail = format!("device {} of same_bits: {detail}", i + 1);
            return fail(Property::SameBits, detail);
        }
    }
    Ok(spread.map(|(_, spread)| spread.used()))
}

/// Checks that an output which is another one rounded, the optimizer's working copy, equals it to
/// the bit.
fn torn_copy(
    case: &Case,
    operands: &[Operand],
    got: &[Vec<u8>],
) -> latimer_tensor::Result<Option<String>> {
    let Some((from, to)) = case.spec().copy else {
        return Ok(None);
    };
    let of = |name: &str| operands.iter().zip(got).find(|(o, _)| o.name == name);
    let (Some((whole, values)), Some((rounded, copy))) = (of(from), of(to)) else {
        return Ok(None);
    };
    let values = oracle::widened(values, whole.dtype)?;
    let want = oracle::widened(&oracle::rounded(&values, rounded.dtype)?, rounded.dtype)?;
    let copy = oracle::widened(copy, rounded.dtype)?;
    let differs = |(want, got): (&f64, &f64)| {
        want.to_bits() != got.to_bits() && !(want.is_nan() && got.is_nan())
    };
    Ok(want.iter().zip(&copy).position(differs).map(|i| {
        let (got, value, want) = (copy[i], values[i], want[i]);
        format!("{to}[{i}] is {got:e}, but {from}[{i}], {value:e}, rounds to {want:e}")
    }))
}

/// The output that uses most of what the rule of the same precision allows; `None` if the rule
/// applies to none.
fn widest(
    case: &Case,
    operands: &[Operand],
    want: &[Written<Bounded>],
    got: &[Vec<u8>],
) -> latimer_tensor::Result<Option<(&'static str, Spread)>> {
    let long = want
        .iter()
        .any(|want| want.values.len() >= tolerance::SPREAD);
    if !long || case.dtype == DType::F64 || case.special.is_some() {
        return Ok(None);
    }
    let mut widest: Option<(&'static str, Spread)> = None;
    for (name, naive) in oracle::naive(case, operands)? {
        let written = want.iter().find(|want| want.operand == name);
        let at = operands.iter().position(|operand| operand.name == name);
        let Some((want, at)) = written.zip(at) else {
            continue;
        };
        let spread = Spread::of(want, &got[at], &naive, operands[at].dtype)?;
        let most = widest.map_or(0.0, |(_, spread)| spread.used());
        widest = spread
            .filter(|spread| spread.used() >= most)
            .map(|spread| (name, spread))
            .or(widest);
    }
    Ok(widest)
}

/// Whether a case breaks the rule of the same precision for its own seed but not for most seeds;
/// see [`tolerance::DRAWS`].
fn by_luck(device: &Device, case: &Case) -> latimer_tensor::Result<bool> {
    let mut broken = 1;
    for draw in 1..tolerance::DRAWS as u64 {
        let case = Case {
            seed: case.seed.wrapping_add(draw),
            ..case.clone()
        };
        let operands = case.operands()?;
        let want = oracle::meaning(&case, &operands)?;
        let left = run(device, &case, &operands, 0xFF)?;
        let spread = widest(&case, &operands, &want, &left.operands)?;
        broken += usize::from(spread.is_some_and(|(_, spread)| spread.used() > 1.0));
    }
    Ok(2 * broken <= tolerance::DRAWS)
}

/// Checks that two devices agree on an operation's cases. On the same operands each keeps within
/// the bound around the meaning, so they differ by at most twice the bound.
///
/// # Errors
/// The smallest failing case found.
pub fn alike(op: &str, one: &Device, other: &Device) -> Result<(), Box<Failure>> {
    agreeing(op, |case| alike_on(case, [one, other]))
}

fn alike_on(case: &Case, devices: [&Device; 2]) -> Result<(), Box<Failure>> {
    let fail = |property, detail: String| {
        Box::new(Failure {
            property,
            case: case.clone(),
            detail,
        })
    };
    let broken = |error: Error| fail(Property::Runs, error.to_string());
    let operands = case.operands().map_err(broken)?;
    let want = oracle::meaning(case, &operands).map_err(broken)?;
    for device in devices {
        let left = run(device, case, &operands, 0xFF).map_err(broken)?;
        for (operand, got) in operands.iter().zip(&left.operands) {
            let Some(want) = want.iter().find(|want| want.operand == operand.name) else {
                continue;
            };
            let misfit = tolerance::first_misfit(want, got, operand.dtype, case.dtype);
            if let Some(misfit) = misfit.map_err(broken)? {
                let name = device.info().name;
                return Err(fail(Property::Agrees, format!("on {name}: {misfit}")));
            }
        }
    }
    Ok(())
}

/// Runs one case once on the device and on each of those that promise the same bits, and compares
/// the bits. It leaves out the f64 meaning, which takes most of the time of [`one`]. It is for
/// interpreters, which check by themselves what is read and written.
///
/// # Errors
/// [`Property::Runs`], [`Property::StaysInside`], [`Property::SameBits`].
pub fn runs(subject: &Subject, case: &Case) -> Result<(), Box<Failure>> {
    let fail = |property, detail: String| {
        Box::new(Failure {
            property,
            case: case.clone(),
            detail,
        })
    };
    let broken = |error: Error| fail(Property::Runs, error.to_string());
    let operands = case.operands().map_err(broken)?;
    let left = run_inside(&subject.device, case, &operands).map_err(broken)?;
    if let Some(damage) = left.damage {
        return Err(fail(Property::StaysInside, damage));
    }
    for other in &subject.same_bits {
        let other = run_inside(other, case, &operands).map_err(broken)?;
        if let Some(detail) = difference(&operands, &left.operands, &other.operands) {
            return Err(fail(Property::SameBits, detail));
        }
    }
    Ok(())
}

fn run(
    device: &Device,
    case: &Case,
    operands: &[Operand],
    fill: u8,
) -> latimer_tensor::Result<Left> {
    let mut memory = Memory::place(device, operands, case.layout, fill, None)?;
    memory.with(operands, |bound| device.run(case.op(bound)))?;
    device.synchronize()?;
    memory.left(operands)
}

fn run_inside(device: &Device, case: &Case, operands: &[Operand]) -> latimer_tensor::Result<Left> {
    device.enter(|| run(device, case, operands, 0x40))
}

/// Records a case while its operands hold meaningless values, then launches it on the right ones:
/// this reveals values that the host read too early. Returns `None` if the device records nothing.
/// The case must have been run before, since a recording allocates and compiles nothing.
fn run_captured(
    device: &Device,
    case: &Case,
    operands: &[Operand],
) -> latimer_tensor::Result<Option<Left>> {
    if device.capture::<Error>(&mut || Ok(()))?.is_none() {
        return Ok(None);
    }
    let mut memory = Memory::place(device, operands, case.layout, 0x40, None)?;
    memory.upload(Some(0x40))?;
    let step = device.capture(&mut || memory.with(operands, |bound| device.run(case.op(bound))))?;
    memory.upload(None)?;
    if let Some(step) = step {
        step.launch()?;
    }
    device.synchronize()?;
    memory.left(operands).map(Some)
}

/// Describes in a sentence the first byte of an output that differs.
fn difference(operands: &[Operand], a: &[Vec<u8>], b: &[Vec<u8>]) -> Option<String> {
    operands
        .iter()
        .zip(a.iter().zip(b))
        .find_map(|(o, (a, b))| {
            let byte = (0..a.len()).find(|&i| a[i] != b[i])?;
            let element = byte / o.dtype.size();
            let bits = |bytes: &[u8]| {
                let value = &bytes[element * o.dtype.size()..][..o.dtype.size()];
                value
                    .iter()
                    .rev()
                    .map(|b| format!("{b:02x}"))
                    .collect::<String>()
            };
            let name = o.name;
            Some(format!(
                "{name}[{element}] has bits {}, then {}",
                bits(a),
                bits(b)
            ))
        })
}
