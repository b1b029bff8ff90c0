//! The suite finds planted faults: a backend that is the reference except for one fault fails, and
//! by the property that the fault breaks.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use latimer_conformance::{Case, Failure, Property, Subject, check, regressions};
use latimer_tensor::op::{AdamW, ScalarBlock};
use latimer_tensor::{
    Backend, Buffer, DType, Device, DeviceInfo, Error, Handled, Host, Op, Result, View, ViewMut,
    dtype::bytes_of, fallback,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs or corrupts an operation in place of the backend.
type Fault = fn(&Faulty, &mut Op<'_>) -> Result<()>;

/// The reference with memory of its own, which the faults can misuse.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    /// A thread count, which should not matter.
    threads: u32,
    runs: AtomicU32,
}

#[derive(Debug)]
struct Bytes(Mutex<Vec<u8>>);
impl Buffer for Bytes {}

impl Backend for Faulty {
    fn info(&self) -> DeviceInfo {
        DeviceInfo::default()
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Bytes(Mutex::new(vec![0; bytes]))))
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        let mut bytes = dst.buffer::<Bytes>()?.0.lock().unwrap();
        bytes[dst.offset()..][..src.len()].copy_from_slice(src);
        Ok(())
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        let bytes = src.buffer::<Bytes>()?.0.lock().unwrap();
        dst.copy_from_slice(&bytes[src.offset()..][..dst.len()]);
        Ok(())
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        (self.fault)(self, op)?;
        Ok(Handled::Done)
    }
}

// ---- tools of the faults

impl Faulty {
    fn read(&self, view: View<'_>) -> Result<Vec<f64>> {
        Host::new(self).read(view)
    }

    /// Overwrites an `F32` output.
    fn write(&self, view: &mut ViewMut<'_>, values: &[f64]) -> Result<()> {
        let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        self.upload(bytes_of(&values), view.reborrow())
    }
}

/// Changes the bytes of a buffer beyond what a view allows.
fn poke(view: View<'_>, byte: usize, change: impl Fn(&mut u8)) -> Result<()> {
    let mut bytes = view.buffer::<Bytes>()?.0.lock().unwrap();
    change(&mut bytes[byte]);
    Ok(())
}

/// The upper halves of `F32` values, after adding `add` to their bits: `Bf16` by rounding or
/// cutting off.
fn upper_halves(values: &[f64], add: u32) -> Vec<u8> {
    let half = |x: &f64| (((*x as f32).to_bits().wrapping_add(add)) >> 16) as u16;
    values.iter().flat_map(|x| half(x).to_ne_bytes()).collect()
}

fn subject(fault: Fault) -> Subject {
    let device = |threads| {
        Device::new(Faulty {
            fault,
            threads,
            runs: AtomicU32::new(0),
        })
    };
    Subject::new(device(1)).same_bits(device(2))
}

/// The failure that the suite reports for a fault, if any.
fn found(op: &str, fault: Fault) -> Option<Failure> {
    let subject = subject(fault);
    for asked in [check::agrees, check::spreads, check::refuses] {
        if let Err(failure) = asked(op, &subject) {
            println!("{failure}");
            return Some(*failure);
        }
    }
    None
}

#[test]
fn without_a_fault_nothing_is_found() {
    for op in Op::NAMES {
        let failure = found(op, |backend, op| fallback::run(backend, op));
        assert!(failure.is_none(), "{failure:?}");
    }
}

/// Whether every suite runs this case first. Compared as text, since a NaN does not equal itself.
fn is_kept(case: &Case) -> bool {
    let text = format!("{case:?}");
    regressions::all()
        .iter()
        .any(|kept| format!("{kept:?}") == text)
}

/// Faults by the property that they break; `at once` if a kept case must find it.
macro_rules! planted { ($(
    $name:ident in $op:ident breaks $property:ident $(at $once:ident)?: $fault:expr;
)*) => { $(
    #[test]
    fn $name() {
        let failure = found(stringify!($op), $fault).expect("the fault is found");
        assert_eq!(failure.property, Property::$property);
        $(assert!(is_kept(&failure.case), "not at {}: {failure}", stringify!($once));)?
    }
)* } }

planted! {
    causal_mask_one_column_late in softmax breaks Agrees at once: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Softmax(op) = op else { return Ok(()) };
        if !op.causal || op.y.dtype() != DType::F32 { return Ok(()) }
        let (x, mut y) = (backend.read(op.x)?, backend.read(op.y.as_view())?);
        let columns = op.x.shape().columns();
        for row in 0..op.x.shape().rows() {
            let reach = (op.reach(row) + 1).min(op.valid_columns);
            let terms = x[row * columns..][..reach].iter().map(|x| (x * f64::from(op.scale)).exp());
            let terms: Vec<f64> = terms.collect();
            let sum: f64 = terms.iter().sum();
            (0..reach).for_each(|j| y[row * columns + j] = terms[j] / sum);
        }
        backend.write(&mut op.y, &y)
    };

    mask_forgotten in attention breaks Agrees at once: |backend, op| {
        if let Op::Attention(op) = op { op.causal = false }
        fallback::run(backend, op)
    };

    scale_forgotten in attention_backward breaks Agrees at once: |backend, op| {
        if let Op::AttentionBackward(op) = op { op.scale = 1.0 }
        fallback::run(backend, op)
    };

    gradients_of_queries_and_keys_swapped in attention_backward breaks Agrees at once: |backend, op| {
        fallback::run(backend, op)?;
        let Op::AttentionBackward(op) = op else { return Ok(()) };
        if op.dqkv.dtype() != DType::F32 { return Ok(()) }
        let width = op.dqkv.shape().columns() / 3;
        let mut dqkv = backend.read(op.dqkv.as_view())?;
        for row in dqkv.chunks_mut(3 * width) {
            let (q, rest) = row.split_at_mut(width);
            q.swap_with_slice(&mut rest[..width]);
        }
        backend.write(&mut op.dqkv, &dqkv)
    };

    operand_and_gradient_swapped in unary_backward breaks Agrees: |backend, op| {
        if let Op::UnaryBackward(op) = op { std::mem::swap(&mut op.x, &mut op.dy) }
        fallback::run(backend, op)
    };

    gradient_overwritten_not_added_to in layer_norm_backward breaks Agrees at once: |backend, op| {
        if let Op::LayerNormBackward(op) = op {
            backend.upload(&vec![0; op.dweight.bytes()], op.dweight.reborrow())?;
        }
        fallback::run(backend, op)
    };

    repeated_ids_added_once in embedding_backward breaks Agrees at once: |backend, op| {
        let Op::EmbeddingBackward(inner) = op else { return Ok(()) };
        let mut before = backend.read(inner.dwte.as_view())?;
        fallback::run(backend, op)?;
        let Op::EmbeddingBackward(op) = op else { return Ok(()) };
        if op.dwte.dtype() != DType::F32 { return Ok(()) }
        let (ids, dy, c) = (backend.read(op.ids)?, backend.read(op.dy)?, op.dwte.shape().columns());
        let old = before.clone();
        for (at, id) in ids.iter().enumerate() {
            (0..c).for_each(|j| before[*id as usize * c + j] = old[*id as usize * c + j] + dy[at * c + j]);
        }
        backend.write(&mut op.dwte, &before)
    };

    old_values_forgotten in matmul breaks Agrees at once: |backend, op| {
        if let Op::Matmul(op) = op { op.beta = 0.0 }
        fallback::run(backend, op)
    };

    overwritten_output_read in matmul breaks Agrees: |backend, op| {
        if let Op::Matmul(op) = op && op.beta == 0.0 { op.beta = f32::MIN_POSITIVE }
        fallback::run(backend, op)
    };

    variance_over_one_fewer in layer_norm breaks Agrees at once: |backend, op| {
        fallback::run(backend, op)?;
        let Op::LayerNorm(op) = op else { return Ok(()) };
        let c = op.x.shape().columns() as f64;
        if op.rstd.dtype() != DType::F32 || c < 2.0 { return Ok(()) }
        let rstd = backend.read(op.rstd.as_view())?;
        let fewer: Vec<f64> = rstd.iter().map(|r| r * ((c - 1.0) / c).sqrt()).collect();
        backend.write(&mut op.rstd, &fewer)
    };

    padding_taken_for_columns in cross_entropy breaks Agrees at once: |backend, op| {
        if let Op::CrossEntropy(op) = op { op.valid_columns = op.logits.shape().columns() }
        fallback::run(backend, op)
    };

    sum_in_half_precision in reduce breaks Agrees: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Reduce(op) = op else { return Ok(()) };
        let sums = op.kind == latimer_tensor::op::ReduceKind::Sum && !op.accumulate;
        if !sums || op.over == latimer_tensor::op::Over::Rows || op.y.dtype() != DType::F32 {
            return Ok(());
        }
        let half = |x: f64| f64::from(f32::from_bits((x as f32).to_bits() & 0xFFFF_0000));
        let x = backend.read(op.x)?;
        let rows = x.chunks(op.x.shape().columns());
        let sums: Vec<f64> = rows.map(|row| row.iter().fold(0.0, |sum, x| half(sum + x))).collect();
        backend.write(&mut op.y, &sums)
    };

    // Five bits of an exponential are lost in long rows, which is within the bound for the worst
    // signs.
    coarse_exponential in softmax breaks AsPreciseAsNaive: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Softmax(op) = op else { return Ok(()) };
        if op.y.dtype() != DType::F32 || op.x.shape().columns() < 129 { return Ok(()) }
        let y = backend.read(op.y.as_view())?;
        let long = |row: usize| op.reach(row) >= 129;
        let columns = op.x.shape().columns();
        let coarse = 1.0 + 32.0 * DType::F32.unit_roundoff();
        let y = y.iter().enumerate().map(|(i, y)| if long(i / columns) { y * coarse } else { *y });
        let y: Vec<f64> = y.collect();
        backend.write(&mut op.y, &y)
    };

    rows_numbered_in_the_local_batch in dropout breaks Agrees at once: |backend, op| {
        let Op::Dropout(inner) = op else { return Ok(()) };
        let (words, first_row) = (inner.random, inner.random.offset() + 12);
        let row = backend.read(words)?[3] as u8;
        poke(words, first_row, |byte| *byte = 0)?;
        let ran = fallback::run(backend, op);
        poke(words, first_row, |byte| *byte = row)?;
        ran
    };

    last_element_not_written in permute breaks Agrees: |backend, op| {
        let Op::Permute(inner) = op else { return Ok(()) };
        let (size, bytes) = (inner.y.dtype().size(), inner.y.bytes());
        let mut before = vec![0; bytes];
        backend.download(inner.y.as_view(), &mut before)?;
        fallback::run(backend, op)?;
        let Op::Permute(op) = op else { return Ok(()) };
        let last = op.y.offset() + bytes - size.min(bytes);
        for (i, byte) in before.iter().rev().take(size).rev().enumerate() {
            poke(op.y.as_view(), last + i, |b| *b = *byte)?;
        }
        Ok(())
    };

    one_byte_past_the_end in axpby breaks StaysInside: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Axpby(op) = op else { return Ok(()) };
        poke(op.y.as_view(), op.y.offset() + op.y.bytes(), |byte| *byte = 0)
    };

    one_byte_before_the_start in binary breaks StaysInside: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Binary(op) = op else { return Ok(()) };
        poke(op.y.as_view(), op.y.offset() - 1, |byte| *byte = 0)
    };

    input_used_as_scratch in sum_squares breaks StaysInside: |backend, op| {
        fallback::run(backend, op)?;
        let Op::SumSquares(op) = op else { return Ok(()) };
        let bytes = op.x.bytes();
        (0..bytes).try_for_each(|i| poke(op.x, op.x.offset() + i, |byte| *byte ^= 1))
    };

    another_order_each_time in softmax_backward breaks Repeats: |backend, op| {
        fallback::run(backend, op)?;
        let Op::SoftmaxBackward(op) = op else { return Ok(()) };
        if backend.runs.load(Ordering::Relaxed) % 2 == 1 || op.dx.dtype() != DType::F32 {
            return Ok(());
        }
        // One unit in the last place is within every tolerance, but not the same bits.
        poke(op.dx.as_view(), op.dx.offset(), |byte| *byte ^= 1)
    };

    chunks_as_many_as_threads in adamw breaks SameBits: |backend, op| {
        fallback::run(backend, op)?;
        let Op::AdamW(op) = op else { return Ok(()) };
        if backend.threads == 1 || op.param.numel() == 0 { return Ok(()) }
        poke(op.param.as_view(), op.param.offset(), |byte| *byte ^= 1)
    };

    working_copy_of_the_old_parameters in adamw breaks Agrees at once: |backend, op| {
        let Op::AdamW(AdamW { param, .. }) = op else { return Ok(()) };
        let old = backend.read(param.as_view())?;
        fallback::run(backend, op)?;
        let Op::AdamW(AdamW { working: Some(working), .. }) = op else { return Ok(()) };
        backend.upload(&upper_halves(&old, 0x8000), working.reborrow())
    };

    working_copy_cut_off in adamw breaks Agrees at once: |backend, op| {
        fallback::run(backend, op)?;
        let Op::AdamW(AdamW { working: Some(working), param, .. }) = op else { return Ok(()) };
        let cut = upper_halves(&backend.read(param.as_view())?, 0);
        backend.upload(&cut, working.reborrow())
    };

    broken_gradients_reach_the_moments in adamw breaks Agrees at once: |backend, op| {
        fallback::run(backend, op)?;
        let Op::AdamW(op) = op else { return Ok(()) };
        if !backend.read(op.scalars)?[ScalarBlock::CLIP].is_nan() { return Ok(()) }
        let numel = op.m.numel();
        backend.write(&mut op.m, &vec![f64::NAN; numel])
    };

    sum_rounded_to_its_terms_type in matmul breaks Agrees: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Matmul(op) = op else { return Ok(()) };
        if op.a.dtype() != DType::Bf16 || op.y.dtype() != DType::F32 { return Ok(()) }
        let y: Vec<f64> = backend.read(op.y.as_view())?.into_iter().map(|y| {
            f64::from(f32::from_bits((y as f32).to_bits() & 0xFFFF_0000))
        }).collect();
        backend.write(&mut op.y, &y)
    };

    nan_taken_for_zero in unary breaks Agrees: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Unary(op) = op else { return Ok(()) };
        if op.y.dtype() != DType::F32 { return Ok(()) }
        let y: Vec<f64> = backend.read(op.y.as_view())?.iter().map(|y| if y.is_nan() { 0.0 } else { *y }).collect();
        backend.write(&mut op.y, &y)
    };

    masked_nan_multiplied_by_zero in attention breaks Agrees at once: |backend, op| {
        fallback::run(backend, op)?;
        let Op::Attention(op) = op else { return Ok(()) };
        if op.y.dtype() != DType::F32 { return Ok(()) }
        let qkv = backend.read(op.qkv)?;
        if !qkv.iter().any(|x| x.is_nan()) { return Ok(()) }
        let numel = op.y.numel();
        backend.write(&mut op.y, &vec![f64::NAN; numel])
    };

    ids_clamped_in_silence in embedding breaks Refuses: |backend, op| {
        match fallback::run(backend, op) {
            Err(Error::IdOutOfRange { .. }) => Ok(()),
            other => other,
        }
    };

    another_position_reported in cross_entropy breaks Refuses: |backend, op| {
        match fallback::run(backend, op) {
            Err(Error::IdOutOfRange { op, operand, id, last, .. }) => {
                Err(Error::IdOutOfRange { op, operand, id, last, position: 1000 })
            }
            other => other,
        }
    };

    panic_on_an_empty_range in adamw breaks Runs: |backend, op| {
        if let Op::AdamW(op) = op { assert!(op.param.numel() > 0, "planted") }
        fallback::run(backend, op)
    };
}
