//! Element types, a run-time field of every tensor.

use half::{bf16, f16};

/// The type of a tensor's elements. Statistics and gradients are `F32`; token ids are `U32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64, the oracle's type.
    F64,
    /// bfloat16: the upper half of an `F32`.
    Bf16,
    /// IEEE 754 binary16, for storage.
    F16,
    /// Unsigned 32 bits: token ids, random words.
    U32,
    /// Signed 64 bits.
    I64,
}

impl DType {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::F32,
        Self::Bf16,
        Self::F16,
        Self::F64,
        Self::U32,
        Self::I64,
    ];

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Whether the elements are floating-point numbers.
    #[must_use]
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::Bf16 | Self::F16)
    }

    /// Unit roundoff of a float type: half the distance from 1 to the next number; 0 for integers.
    #[must_use]
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            Self::F64 => f64::EPSILON / 2.0,
            Self::F32 => f32::EPSILON as f64 / 2.0,
            Self::F16 => 1.0 / 2048.0,
            Self::Bf16 => 1.0 / 256.0,
            Self::U32 | Self::I64 => 0.0,
        }
    }

    /// The name used in files and messages: `f32`, `bf16`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::U32 => "u32",
            Self::I64 => "i64",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A Rust type that is the element of some tensor.
///
/// # Safety
/// `Self` is plain data: `DTYPE.size()` bytes without padding, every bit pattern valid.
#[expect(
    unsafe_code,
    reason = "promises plain data, which lets slices be viewed as bytes"
)]
pub unsafe trait Element: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// The matching run-time type.
    const DTYPE: DType;
}

macro_rules! elements { ($($t:ty => $d:ident),*) => { $(
    #[expect(unsafe_code, reason = "see Element")]
    // SAFETY: a primitive number (or `half`'s transparent wrapper of `u16`): no padding, all bits valid.
    unsafe impl Element for $t { const DTYPE: DType = DType::$d; }
)* } }
elements! { f32 => F32, f64 => F64, bf16 => Bf16, f16 => F16, u32 => U32, i64 => I64 }

/// The bytes of a slice, in memory order.
#[expect(unsafe_code, reason = "one cast, guarded by Element")]
#[must_use]
pub fn bytes_of<E: Element>(values: &[E]) -> &[u8] {
    // SAFETY: Element promises plain data without padding; u8 has alignment 1; length is exact.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of a slice, in memory order, to be written.
#[expect(unsafe_code, reason = "one cast, guarded by Element")]
#[must_use]
pub fn bytes_of_mut<E: Element>(values: &mut [E]) -> &mut [u8] {
    let bytes = size_of_val(values);
    // SAFETY: as `bytes_of`, and Element promises that every bit pattern is valid.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), bytes) }
}

/// Widens raw elements of any type to `f64`, exactly (but `I64` beyond 2^53).
pub(crate) fn widen(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|&b| f(b)).collect()
    }
    match dtype {
        DType::F32 => each(bytes, |b| f64::from(f32::from_ne_bytes(b))),
        DType::F64 => each(bytes, f64::from_ne_bytes),
        DType::Bf16 => each(bytes, |b| bf16::from_ne_bytes(b).to_f64()),
        DType::F16 => each(bytes, |b| f16::from_ne_bytes(b).to_f64()),
        DType::U32 => each(bytes, |b| f64::from(u32::from_ne_bytes(b))),
        DType::I64 => each(bytes, |b| i64::from_ne_bytes(b) as f64),
    }
}

/// Rounds `f64` values once, to nearest even, into raw elements.
pub(crate) fn narrow(dtype: DType, values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * dtype.size());
    for &x in values {
        match dtype {
            DType::F32 => bytes.extend((x as f32).to_ne_bytes()),
            DType::F64 => bytes.extend(x.to_ne_bytes()),
            DType::Bf16 => bytes.extend(bf16_from_f64(x).to_ne_bytes()),
            DType::F16 => bytes.extend(f16::from_f64(x).to_ne_bytes()),
            DType::U32 => bytes.extend((x as u32).to_ne_bytes()),
            DType::I64 => bytes.extend((x as i64).to_ne_bytes()),
        }
    }
    bytes
}

/// One rounding, not two: through `f32` with round-to-odd, so the second rounding cannot err.
fn bf16_from_f64(x: f64) -> bf16 {
    let near = x as f32;
    if !near.is_finite() || f64::from(near) == x {
        return bf16::from_f32(near);
    }
    let toward_zero = if f64::from(near).abs() > x.abs() {
        near.to_bits() - 1
    } else {
        near.to_bits()
    };
    bf16::from_f32(f32::from_bits(toward_zero | 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_rounded_once() {
        // 1 + 2^-8 is a tie of bf16; a hair above it must go up, though f32 cannot see the hair.
        let x = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        assert_eq!(bf16_from_f64(x).to_f64(), 1.0 + 2f64.powi(-7));
        assert_eq!(bf16_from_f64(1.0 + 2f64.powi(-8)).to_f64(), 1.0);
    }

    #[test]
    fn every_type_survives_the_round_trip() {
        for dtype in [DType::F32, DType::F64, DType::Bf16, DType::F16] {
            let values = [0.0, -1.5, 96.0, f64::INFINITY];
            assert_eq!(widen(dtype, &narrow(dtype, &values)), values, "{dtype}");
        }
        assert_eq!(widen(DType::U32, &narrow(DType::U32, &[7.0])), [7.0]);
    }
}
