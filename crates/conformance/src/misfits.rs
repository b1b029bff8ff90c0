//! Operands and attributes that do not fit, made from a case that does. Which error is the right
//! answer to each is [`crate::blame`]'s.

use crate::blame::Change;
use crate::case::{Attributes, Case, Layout};
use crate::check::{Failure, Property};
use crate::memory::Memory;
use crate::operands::{Operand, Role};
use latimer_tensor::op::{Over, ReduceKind};
use latimer_tensor::{DType, Device, DryRun, Result, Shape};
use std::cell::Cell;

/// Changes the case in every way that must be answered with an error, and says how many those are.
pub(crate) fn all_refused(device: &Device, case: &Case) -> Result<usize, Box<Failure>> {
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
    let tried = Cell::new(0);
    let refused =
        |case: &Case, operands: &[Operand], foreign: Option<(usize, &Device)>, change: Change| {
            tried.set(tried.get() + 1);
            let (op, result) = attempt(device, case, operands, foreign);
            match result {
                Err(error) if change.is_told_by(&error, op, operands) => Ok(()),
                Err(error) => Err(fail(format!("{change} is answered with `{error}`"))),
                Ok(()) => Err(fail(format!("{change} is accepted"))),
            }
        };
    for (i, operand) in operands.iter().enumerate() {
        let (name, shape, dtype) = (operand.name, operand.shape, operand.dtype);
        for to in other_shapes(shape) {
            if !shape_fits_too(&case.attributes, name, shape, to) {
                let change = Change::Shape {
                    operand: name,
                    from: shape,
                    to,
                };
                refused(case, &with(&operands, i, to, dtype), None, change)?;
            }
        }
        for to in [DType::F32, DType::Bf16, DType::U32] {
            if to != dtype && !dtype_fits_too(case, name, to) {
                let change = Change::DType {
                    operand: name,
                    from: dtype,
                    to,
                };
                refused(case, &with(&operands, i, shape, to), None, change)?;
            }
        }
        // An operand without elements, or one that this use does not read, may go unnoticed.
        let idle = name == "random"
            && matches!(case.attributes, Attributes::Dropout { rate, .. } if rate == 0.0);
        if operands.iter().all(|o| o.shape.numel() > 0) && !idle {
            let other = Device::new(DryRun::default());
            let change = Change::Memory { operand: name };
            refused(case, &operands, Some((i, &other)), change)?;
        }
    }
    for (attributes, attribute) in misfits(&case.attributes) {
        let changed = Case {
            attributes,
            ..case.clone()
        };
        refused(&changed, &operands, None, Change::Attribute { attribute })?;
    }
    if let Some((name, id)) = ids(&case.attributes) {
        let mut changed = operands.clone();
        let found = changed.iter_mut().find(|operand| operand.name == name);
        if let Some(operand) = found.filter(|operand| !operand.bytes.is_empty()) {
            let last = operand.bytes.len() - 4;
            operand.bytes[last..].copy_from_slice(&(id as u32).to_ne_bytes());
            let change = Change::Id {
                operand: name,
                id,
                position: last / 4,
            };
            refused(case, &changed, None, change)?;
        }
    }
    Ok(tried.get())
}

/// Runs the operation and waits for it; gives the name that it goes by in messages too.
fn attempt(
    device: &Device,
    case: &Case,
    operands: &[Operand],
    foreign: Option<(usize, &Device)>,
) -> (&'static str, Result<()>) {
    let mut name = case.name();
    let mut run = || {
        let mut memory = Memory::place(device, operands, case.layout, 0, foreign)?;
        memory.with(operands, |bound| {
            let op = case.op(bound);
            name = op.name();
            device.run(op)
        })?;
        device.synchronize()?;
        memory.left(operands).map(drop)
    };
    let result = run();
    (name, result)
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

fn narrow(dtype: DType) -> bool {
    matches!(dtype, DType::Bf16 | DType::F16)
}

/// Whether a sum of such terms may have this type.
fn is_sum(sum: DType, terms: DType) -> bool {
    sum == terms || (sum == DType::F32 && narrow(terms))
}

/// Whether an operand may have this other type while all others keep theirs.
fn dtype_fits_too(case: &Case, name: &str, other: DType) -> bool {
    match (&case.attributes, name) {
        (Attributes::Fill { .. } | Attributes::Cast { .. }, _) => true,
        (Attributes::SumSquares { .. } | Attributes::ArgMax { .. }, "x") => other.is_float(),
        (Attributes::CrossEntropy { .. }, "logits") => other.is_float() && case.dtype != DType::F64,
        (Attributes::Matmul { .. }, "y") => is_sum(other, case.dtype),
        (Attributes::Reduce { .. }, "y") => is_sum(other, case.dtype),
        (Attributes::Reduce { f32_sum, .. }, "x") => {
            let y = if *f32_sum && narrow(case.dtype) {
                DType::F32
            } else {
                case.dtype
            };
            other.is_float() && is_sum(y, other)
        }
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

/// The attributes with one that is out of its range, and its name.
fn misfits(attributes: &Attributes) -> Vec<(Attributes, &'static str)> {
    let mut found = Vec::new();
    let mut but = |change: &dyn Fn(&mut Attributes) -> Option<&'static str>| {
        let mut changed = attributes.clone();
        if let Some(name) = change(&mut changed) {
            found.push((changed, name));
        }
    };
    /// Sets a field, and gives its name.
    macro_rules! set {
        ($field:ident = $wrong:expr) => {{
            *$field = $wrong;
            Some(stringify!($field))
        }};
        ($a:ident.$field:ident = $wrong:expr) => {{
            $a.$field = $wrong;
            Some(stringify!($field))
        }};
    }
    but(&|a| match a {
        Attributes::Permute { shape, axes } if shape.rank() > 1 => {
            axes[1] = axes[0];
            Some("axes")
        }
        Attributes::Reduce {
            kind: ReduceKind::Max,
            accumulate,
            ..
        } => set!(accumulate = true),
        Attributes::Axpby { alpha, .. } => set!(alpha = f32::NAN),
        Attributes::Embedding {
            positions: Some(spare),
            first_position,
            ..
        } => set!(first_position = *first_position + *spare + 1),
        Attributes::LayerNorm { eps, .. }
        | Attributes::AddLayerNorm { eps, .. }
        | Attributes::AdamW { eps, .. } => set!(eps = 0.0),
        Attributes::AttentionDecode {
            position, room, t, ..
        } => set!(position = *room + 1 - *t),
        Attributes::ClipScale { max_norm } => set!(max_norm = 0.0),
        Attributes::Slice { shape, axis, .. } | Attributes::Concat { shape, axis, .. } => {
            set!(axis = shape.rank())
        }
        _ => None,
    });
    but(&|a| match a {
        Attributes::Slice {
            shape,
            axis,
            first,
            length,
        } => set!(first = shape.dims()[*axis] - *length + 1),
        Attributes::AdamW { beta2, .. } => set!(beta2 = 1.0),
        _ => None,
    });
    but(&|a| match a {
        Attributes::AttentionDecode { position, .. } => set!(position = usize::MAX),
        Attributes::Slice { first, .. } => set!(first = usize::MAX),
        Attributes::Embedding {
            positions: Some(_),
            first_position,
            ..
        } => set!(first_position = usize::MAX),
        _ => None,
    });
    for wrong in [0, usize::MAX] {
        but(&|a| match a {
            Attributes::ArgMax { valid_columns, .. }
            | Attributes::Softmax { valid_columns, .. }
            | Attributes::CrossEntropy { valid_columns, .. } => set!(valid_columns = wrong),
            _ => None,
        });
    }
    for wrong in [f32::NAN, 1.0, -0.1] {
        but(&|a| match a {
            Attributes::Dropout { rate, .. } => set!(rate = wrong),
            Attributes::Attention(a) | Attributes::AttentionBackward(a) => set!(a.rate = wrong),
            Attributes::AdamW { beta1, .. } => set!(beta1 = wrong),
            _ => None,
        });
    }
    for wrong in [f32::NAN, f32::INFINITY] {
        but(&|a| match a {
            Attributes::Softmax { scale, .. }
            | Attributes::SoftmaxBackward { scale, .. }
            | Attributes::AttentionDecode { scale, .. } => set!(scale = wrong),
            Attributes::Attention(a) | Attributes::AttentionBackward(a) => set!(a.scale = wrong),
            Attributes::CrossEntropy { gradient, .. } => set!(gradient = Some(wrong)),
            _ => None,
        });
    }
    but(&|a| match a {
        Attributes::Attention(a) | Attributes::AttentionBackward(a) => set!(a.n_head = 0),
        Attributes::AdamW { weight_decay, .. } => set!(weight_decay = -1.0),
        Attributes::Matmul { alpha, .. } => set!(alpha = f32::NAN),
        _ => None,
    });
    but(&|a| match a {
        Attributes::Axpby { beta, .. } | Attributes::Matmul { beta, .. } => set!(beta = f32::NAN),
        _ => None,
    });
    found
}
