//! One body, three machines: AVX-512, AVX2 with FMA, and whatever the compiler assumes.
//!
//! Kernels over rows are written once as plain loops. [`simd!`] compiles each of them under every
//! feature set and picks one at run time, so a portable build uses the machine it runs on. Inside
//! a body `FMA` says whether `a·b + c` is one instruction; where it is not, the library call that
//! emulates it would be slower than everything else.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The vector instructions that the processor has, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// The target's baseline.
    Portable = 1,
    /// 256-bit vectors and fused multiply-add.
    Avx2 = 2,
    /// 512-bit vectors.
    Avx512 = 3,
}

/// How products of `bf16` are summed, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Dots {
    /// Operands are widened, and products are those of `f32`.
    Widened = 1,
    /// Each instruction adds two terms per lane (AVX512_BF16).
    Pairs = 2,
    /// Tiles of 16 by 16 sums (AMX).
    Tiles = 3,
}

/// The [`Level`] of this processor, once it is known; 0 before.
static LEVEL: AtomicU8 = AtomicU8::new(0);
/// The [`Dots`] of this processor, once they are known; 0 before.
static DOTS: AtomicU8 = AtomicU8::new(0);

/// The level of this processor. Detected by the first call; later calls only load it.
#[inline]
pub(crate) fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Level {
    let most = most_asked().ok().flatten();
    let level = best().min(most.map_or(Level::Avx512, |(level, _)| level));
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

/// How this processor sums products of `bf16`. Detected by the first call; later calls only load
/// it.
#[inline]
pub(crate) fn dots() -> Dots {
    match DOTS.load(Ordering::Relaxed) {
        1 => Dots::Widened,
        2 => Dots::Pairs,
        3 => Dots::Tiles,
        _ => detect_dots(),
    }
}

#[cold]
fn detect_dots() -> Dots {
    let most = most_asked().ok().flatten();
    let most = most.map_or(Dots::Tiles, |(_, dots)| dots);
    let dots = if level() < Level::Avx512 || most == Dots::Widened {
        Dots::Widened
    } else {
        best_dots(most)
    };
    DOTS.store(dots as u8, Ordering::Relaxed);
    dots
}

#[cfg(target_arch = "x86_64")]
fn best_dots(most: Dots) -> Dots {
    if !is_x86_feature_detected!("avx512bf16") {
        Dots::Widened
    } else if most == Dots::Tiles && crate::amx::tiles_are_there() {
        Dots::Tiles
    } else if most == Dots::Pairs || pairs_are_fast() {
        Dots::Pairs
    } else {
        Dots::Widened
    }
}

/// Whether one `vdpbf16ps`, which adds two terms, takes less time than two multiply-adds of `f32`.
/// AMD's processors start equally many of both per cycle; Intel's start one `vdpbf16ps` every two
/// cycles but two multiply-adds in each cycle.
#[cfg(target_arch = "x86_64")]
fn pairs_are_fast() -> bool {
    let intel = u32::from_le_bytes(*b"Genu");
    std::arch::x86_64::__cpuid(0).ebx != intel
}

#[cfg(not(target_arch = "x86_64"))]
fn best_dots(_most: Dots) -> Dots {
    Dots::Widened
}

/// Prefetches into the second-level cache the memory `ahead` elements after the start of `these`,
/// as many bytes as `these` has. It is only a hint, so the address may lie outside any allocation.
/// Processors prefetch by themselves, but not far enough ahead to keep memory busy.
#[inline(always)]
pub(crate) fn soon<T>(these: &[T], ahead: usize) {
    const LINE: usize = 64;
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(these)).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let at = these.as_ptr().wrapping_add(ahead).wrapping_byte_add(at);
        #[allow(unsafe_code, reason = "the instruction takes a pointer")]
        // SAFETY: a prefetch reads nothing and ignores invalid addresses.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(at.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (these, ahead);
}

/// This environment variable, set to a name of [`NAMES`], caps the instruction sets that are used,
/// and allows [`Dots::Pairs`] even where they are slow: tests reach the code of other machines.
const VARIABLE: &str = "LATIMER_SIMD";

const NAMES: [(&str, Level, Dots); 5] = [
    ("portable", Level::Portable, Dots::Widened),
    ("avx2", Level::Avx2, Dots::Widened),
    ("avx512", Level::Avx512, Dots::Widened),
    ("avx512bf16", Level::Avx512, Dots::Pairs),
    ("amx", Level::Avx512, Dots::Tiles),
];

/// The highest level that `LATIMER_SIMD` allows, if it is set; an error message if its value is not
/// one of [`NAMES`].
pub(crate) fn most_asked() -> Result<Option<(Level, Dots)>, String> {
    std::env::var_os(VARIABLE)
        .map(|asked| named(&asked))
        .transpose()
}

fn named(asked: &OsStr) -> Result<(Level, Dots), String> {
    let found = NAMES.iter().find(|(name, ..)| asked == *name);
    found.map(|&(_, level, dots)| (level, dots)).ok_or_else(|| {
        let (asked, names) = (asked.display(), NAMES.map(|(name, ..)| name).join(", "));
        format!("{VARIABLE} is {asked}, which is none of {names}: change it or unset it")
    })
}

#[cfg(target_arch = "x86_64")]
fn best() -> Level {
    let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (fma, wide) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        (false, _) => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn best() -> Level {
    Level::Portable
}

/// The instruction sets used, for reports.
pub(crate) fn description() -> &'static str {
    match (level(), dots()) {
        (Level::Avx512, Dots::Tiles) => "amx_bf16 avx512_bf16 avx512f avx2 fma",
        (Level::Avx512, Dots::Pairs) => "avx512_bf16 avx512f avx2 fma",
        (Level::Avx512, Dots::Widened) => "avx512f avx2 fma",
        (Level::Avx2, _) => "avx2 fma",
        (Level::Portable, _) => "portable",
    }
}

/// `a·b + c`, fused where that is one instruction.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Compiles a function for every [`Level`] and calls the right one. The body may use `FMA`.
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
        $crate::simd::simd! { @make [$(#[$meta])* $vis] [] $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis unsafe fn $($rest:tt)*) => {
        $crate::simd::simd! { @make [$(#[$meta])* $vis] [unsafe] $($rest)* }
    };
    (@make [$($front:tt)*] [$($unsafe:tt)?]
        $name:ident $(<$($generic:ident: $bound:path),+>)? (
            $($arg:ident: $ty:ty),* $(,)?
        ) $(-> $ret:ty)? $body:block
    ) => {
        #[allow(
            unsafe_code, unused_unsafe, clippy::too_many_arguments,
            reason = "features are checked below; operands are the caller's promise"
        )]
        $($front)* $($unsafe)? fn $name $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters, reason = "not every body asks for FMA")]
            $($unsafe)? fn body<$($($generic: $bound,)+)? const FMA: bool>(
                $($arg: $ty),*
            ) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            $($unsafe)? fn avx512 $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, if there is one.
                unsafe { body::<$($($generic,)+)? true>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            $($unsafe)? fn avx2 $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, if there is one.
                unsafe { body::<$($($generic,)+)? true>($($arg),*) }
            }
            match $crate::simd::level() {
                // SAFETY: `level` answers this only after it has found all these features.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 => unsafe { avx512 $(::<$($generic),+>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { avx2 $(::<$($generic),+>)? ($($arg),*) },
                // SAFETY: the caller's promise, if there is one.
                _ => unsafe { body::<$($($generic,)+)? false>($($arg),*) },
            }
        }
    };
}
pub(crate) use simd;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_nothing_else_is_one() {
        assert_eq!(named("avx2".as_ref()), Ok((Level::Avx2, Dots::Widened)));
        let said = named("AVX2".as_ref()).unwrap_err();
        assert!(
            said.starts_with("LATIMER_SIMD is AVX2, which is none of portable, avx2, avx512, ")
        );
    }
}
