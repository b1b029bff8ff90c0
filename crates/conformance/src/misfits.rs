//! Operands and attributes that do not fit, made from a case that does.

use crate::case::{Attributes, Case, Layout};
use crate::check::{Failure, Property};
use crate::memory::Memory;
use crate::operands::{Operand, Role};
use latimer_tensor::op::{Over, ReduceKind};
use latimer_tensor::{DType, Device, DryRun, Result, Shape};

/// Changes the case in every way that must be answered with an error.
pub(crate) fn all_refused(device: &Device, case: &Case) -> Result<(), Box<Failure>> {
    let case = &Case {
        layout: Layout::Apart { lead: 8 },
        ..case.clone()
    };
    let fail = |detail| {
        Box::new(Failure {
            property: Property::Refuses,
            case: case.clone(),
            detail,
        })
    };
    let operands = case.operands().map_err(|error| fail(error.to_string()))?;
    let refused =
        |case: &Case, operands: &[Operand], foreign: Option<(usize, &Device)>, what| match attempt(
            device, case, operands, foreign,
        ) {
            Err(_) => Ok(()),
            Ok(()) => Err(fail(what)),
        };
    for (i, operand) in operands.iter().enumerate() {
        let (name, shape, dtype) = (operand.name, operand.shape, operand.dtype);
        for other in other_shapes(shape) {
            if !shape_fits_too(&case.attributes, name, shape, other) {
                let changed = with(&operands, i, other, dtype);
                let what = format!("{name} of shape {other} is accepted for {shape}");
                refused(case, &changed, None, what)?;
            }
        }
        for other in [DType::F32, DType::Bf16, DType::U32] {
            if other != dtype && !dtype_fits_too(case, name, other) {
                let changed = with(&operands, i, shape, other);
                refused(
                    case,
                    &changed,
                    None,
                    format!("{name} of type {other} is accepted"),
                )?;
            }
        }
        // An operand without elements, or one that this use does not read, may go unnoticed.
        let idle = name == "random"
            && matches!(case.attributes, Attributes::Dropout { rate, .. } if rate == 0.0);
        if operands.iter().all(|o| o.shape.numel() > 0) && !idle {
            let other = Device::new(DryRun::default());
            let what = format!("{name} in another device's memory is accepted");
            refused(case, &operands, Some((i, &other)), what)?;
        }
    }
    for attributes in misfits(&case.attributes) {
        let changed = Case {
            attributes,
            ..case.clone()
        };
        let what = format!("{:?} is accepted", changed.attributes);
        refused(&changed, &operands, None, what)?;
    }
    if let Some((name, first_illegal)) = ids(&case.attributes) {
        let mut changed = operands.clone();
        let found = changed.iter_mut().find(|operand| operand.name == name);
        if let Some(operand) = found.filter(|operand| !operand.bytes.is_empty()) {
            let last = operand.bytes.len() - 4;
            operand.bytes[last..].copy_from_slice(&(first_illegal as u32).to_ne_bytes());
            let what = format!("id {first_illegal} is accepted among {name}");
            refused(case, &changed, None, what)?;
        }
    }
    Ok(())
}

/// Runs the operation and waits for it.
fn attempt(
    device: &Device,
    case: &Case,
    operands: &[Operand],
    foreign: Option<(usize, &Device)>,
) -> Result<()> {
    let mut memory = Memory::place(device, operands, case.layout, 0, foreign)?;
    memory.with(operands, |bound| device.run(case.op(bound)))?;
    device.synchronize()?;
    memory.left(operands).map(|_| ())
}

/// The operands with one of another shape or type, its elements all zero.
fn with(operands: &[Operand], i: usize, shape: Shape, dtype: DType) -> Vec<Operand> {
    let mut changed = operands.to_vec();
    let operand = &mut changed[i];
    (operand.shape, operand.dtype) = (shape, dtype);
    if operand.role != Role::Out {
        operand.bytes = vec![0; shape.numel() * dtype.size()];
    }
    changed
}

/// One more axis, each axis one longer, each but the last axis left out.
fn other_shapes(shape: Shape) -> Vec<Shape> {
    let dims = shape.dims();
    let mut others = Vec::new();
    if dims.len() < Shape::MAX_RANK {
        others.push(Shape::new(&[dims, &[1]].concat()));
    }
    for axis in 0..dims.len() {
        let mut longer = dims.to_vec();
        longer[axis] += 1;
        others.push(Shape::new(&longer));
    }
    if dims.len() > 1 {
        others.push(Shape::new(&dims[1..]));
    }
    others
}

/// Whether an operand may have this other shape while all others keep theirs.
fn shape_fits_too(attributes: &Attributes, name: &str, shape: Shape, other: Shape) -> bool {
    let same_rank = shape.rank() == other.rank();
    match (attributes, name) {
        (Attributes::Fill { .. }, _) | (Attributes::SumSquares { .. }, "x") => true,
        (Attributes::Binary { shape, .. }, "b") => shape.dims().ends_with(other.dims()),
        // Longer along the axis, and the part lies within it still.
        (
            &Attributes::Slice {
                shape: x,
                axis,
                first,
                ..
            },
            _,
        ) => {
            let along = same_rank
                && (0..shape.rank()).all(|i| i == axis || other.dims()[i] == shape.dims()[i]);
            along && (name == "x" || first + other.dims()[axis] <= x.dims()[axis])
        }
        (Attributes::Reduce { over, .. }, "x") => match over {
            Over::Rows => other.columns() == shape.columns(),
            Over::Columns => other.rows() == shape.rows(),
        },
        (Attributes::ArgMax { .. }, "x") | (Attributes::CrossEntropy { .. }, "logits") => {
            // More columns, beyond the valid ones.
            same_rank && other.rows() == shape.rows()
        }
        (Attributes::Embedding { .. }, "wte" | "wpe")
        | (Attributes::EmbeddingBackward { .. }, "dwte" | "dwpe") => {
            // More rows than there are ids or positions.
            same_rank && other.columns() == shape.columns()
        }
        _ => false,
    }
}

/// Whether an operand may have this other type while all others keep theirs.
fn dtype_fits_too(case: &Case, name: &str, other: DType) -> bool {
    match (&case.attributes, name) {
        (Attributes::Fill { .. } | Attributes::Cast { .. }, _) => true,
        (Attributes::SumSquares { .. } | Attributes::ArgMax { .. }, "x") => other.is_float(),
        (Attributes::CrossEntropy { .. }, "logits") => other.is_float() && case.dtype != DType::F64,
        (Attributes::EmbeddingBackward { .. }, "dy") => other.is_float(),
        (Attributes::EmbeddingBackward { positions, .. }, "dwte") => {
            other.is_float() && positions.is_none()
        }
        (Attributes::LayerNormBackward { bias, .. }, "dweight") => other.is_float() && !bias,
        _ => false,
    }
}

/// The operand of ids and the first that names no row.
fn ids(attributes: &Attributes) -> Option<(&'static str, usize)> {
    match *attributes {
        Attributes::Embedding { v, .. } | Attributes::EmbeddingBackward { v, .. } => {
            Some(("ids", v))
        }
        Attributes::CrossEntropy { valid_columns, .. } => Some(("targets", valid_columns)),
        _ => None,
    }
}

/// The attributes with one that is out of its range.
fn misfits(attributes: &Attributes) -> Vec<Attributes> {
    let mut found = Vec::new();
    let mut but = |change: &dyn Fn(&mut Attributes)| {
        let mut changed = attributes.clone();
        change(&mut changed);
        if changed != *attributes {
            found.push(changed);
        }
    };
    but(&|a| match a {
        Attributes::Permute { shape, axes } if shape.rank() > 1 => axes[1] = axes[0],
        Attributes::Reduce {
            kind: ReduceKind::Max,
            accumulate,
            ..
        } => *accumulate = true,
        Attributes::Axpby { alpha, .. } => *alpha = f32::NAN,
        Attributes::Embedding {
            positions: Some(spare),
            first_position,
            ..
        } => *first_position += *spare + 1,
        Attributes::LayerNorm { eps, .. }
        | Attributes::AddLayerNorm { eps, .. }
        | Attributes::AdamW { eps, .. } => *eps = 0.0,
        Attributes::AttentionDecode { position, room, .. } => *position = *room,
        Attributes::ClipScale { max_norm } => *max_norm = 0.0,
        Attributes::Slice { shape, axis, .. } | Attributes::Concat { shape, axis, .. } => {
            *axis = shape.rank();
        }
        _ => {}
    });
    but(&|a| {
        if let Attributes::Slice {
            shape,
            axis,
            first,
            length,
        } = a
        {
            *first = shape.dims()[*axis] - *length + 1;
        }
    });
    for wrong in [0, usize::MAX] {
        but(&|a| match a {
            Attributes::AttentionDecode { position, .. } if wrong > 0 => *position = wrong,
            Attributes::Slice { first, .. } if wrong > 0 => *first = wrong,
            Attributes::Embedding {
                positions: Some(_),
                first_position,
                ..
            } if wrong > 0 => *first_position = wrong,
            Attributes::ArgMax { valid_columns, .. }
            | Attributes::Softmax { valid_columns, .. }
            | Attributes::CrossEntropy { valid_columns, .. } => *valid_columns = wrong,
            _ => {}
        });
    }
    for wrong in [f32::NAN, 1.0, -0.1] {
        but(&|a| match a {
            Attributes::Dropout { rate, .. } => *rate = wrong,
            Attributes::Attention(a) | Attributes::AttentionBackward(a) => a.rate = wrong,
            Attributes::AdamW { beta1, .. } => *beta1 = wrong,
            Attributes::Softmax { scale, .. } if wrong.is_nan() => *scale = wrong,
            Attributes::AttentionDecode { scale, .. } if wrong.is_nan() => *scale = wrong,
            _ => {}
        });
    }
    but(&|a| match a {
        Attributes::Attention(a) | Attributes::AttentionBackward(a) => a.n_head = 0,
        Attributes::AdamW { weight_decay, .. } => *weight_decay = -1.0,
        Attributes::Matmul { alpha, .. } => *alpha = f32::NAN,
        Attributes::SoftmaxBackward { scale, .. } => *scale = f32::NAN,
        Attributes::CrossEntropy { gradient, .. } => *gradient = Some(f32::NAN),
        _ => {}
    });
    but(&|a| match a {
        Attributes::Axpby { beta, .. } | Attributes::Matmul { beta, .. } => *beta = f32::NAN,
        _ => {}
    });
    found
}
