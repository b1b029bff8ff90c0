//! Embedding in sizes that the shared suite does not draw: several tiles of sorted ids, ids whose
//! rows fill parts of many warps, rows that are aligned and rows that are not.

mod device;

use device::cuda;
use latimer_conformance::ops::{gathers, scatters};
use latimer_conformance::{Case, Layout, Subject, check};
use latimer_tensor::op::{Embedding, EmbeddingBackward};
use latimer_tensor::{DType, Device, Error, Op, Result, Tensor};

fn subject() -> Subject {
    Subject::new(cuda(0)).same_bits(cuda(1)).same_bits(cuda(2))
}

/// Runs the suite's checks on these sizes: batch, positions, vocabulary, columns.
fn hold(sizes: impl IntoIterator<Item = [usize; 4]>) {
    let subject = subject();
    for (seed, sizes) in (0..).zip(sizes) {
        let forward = gathers(sizes, Some(2), 3);
        let backward = |f32_gradients| scatters(sizes, Some(1), f32_gradients);
        for (outline, dtype) in [
            (forward.clone(), DType::F32),
            (forward, DType::Bf16),
            (backward(false), DType::F32),
            (backward(false), DType::Bf16),
            (backward(true), DType::Bf16),
        ] {
            for layout in [Layout::Apart { lead: 64 }, Layout::Slab { lead: 3 }] {
                let case = Case {
                    dtype,
                    layout,
                    seed,
                    ..outline.clone().into()
                };
                check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran natively");
}

#[test]
fn rows_of_any_width() {
    // One element, less than a warp's columns, just as many as a warp takes, more of both kinds.
    hold([1, 24, 32, 128, 264, 301].map(|c| [3, 37, 11, c]));
}

#[test]
fn parts_of_the_order() {
    // One part, one that is full, one more; one id for all; as many ids as positions.
    hold([
        [1, 1, 1, 8],
        [1, 31, 4, 8],
        [2, 16, 4, 8],
        [3, 11, 2, 8],
        [5, 64, 1, 8],
        [2, 150, 5000, 8],
    ]);
}

#[test]
fn many_tiles_of_ids() {
    // 4096 keys a tile; four are searched at a time. The order is the same for all types.
    let subject = subject();
    for [b, t, v] in [[1, 4097, 70], [3, 5500, 300]] {
        let case = scatters([b, t, v, 1], None, false).into();
        check::one(&subject, &case).unwrap_or_else(|failure| panic!("{failure}"));
    }
    assert_eq!(subject.device().fallbacks(), 0, "all ran natively");
}

/// The error for bad ids, to be compared with that of the other backends.
fn refusal(device: &Device, backward: bool, ids: &[u32]) -> Result<Error> {
    let n = ids.len();
    let ids = Tensor::from_slice(device, ids, [1, n])?;
    let mut table = Tensor::from_slice(device, &[1.0f32; 24], [6, 4])?;
    let mut rows = Tensor::from_slice(device, &vec![1.0f32; 4 * n], [1, n, 4])?;
    let ran = if backward {
        device.run(Op::from(EmbeddingBackward {
            ids: ids.view(),
            dy: rows.view(),
            dwte: table.view_mut()?,
            dwpe: None,
        }))
    } else {
        device.run(Op::from(Embedding {
            ids: ids.view(),
            wte: table.view(),
            wpe: None,
            y: rows.view_mut()?,
            first_position: 0,
        }))
    };
    let told = ran.and_then(|()| device.synchronize());
    Ok(told.expect_err("an id is out of range"))
}

#[test]
fn the_first_bad_id_is_told() -> Result<()> {
    for ordinal in 0..3 {
        let device = cuda(ordinal);
        let mut ids = vec![5u32; 5000];
        (ids[4321], ids[70], ids[4999]) = (6, 4_000_000_000, u32::MAX);
        for (backward, name) in [(false, "embedding"), (true, "embedding_backward")] {
            let error = refusal(&device, backward, &ids)?;
            let Error::IdOutOfRange {
                op,
                operand,
                id,
                position,
                last,
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!(
                (op, operand, id, position, last),
                (name, "ids", 4_000_000_000, 70, 5)
            );
            // The error is reported once.
            device.synchronize()?;
        }
        assert_eq!(device.fallbacks(), 0);
    }
    Ok(())
}
