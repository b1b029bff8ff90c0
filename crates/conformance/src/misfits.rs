//! Makes operands and attributes that do not fit from a case that fits. The operation's own check
//! decides whether they fit; [`crate::blame`] decides which error is right for each.

use crate::blame::Change;
use crate::case::{Case, Layout};
use crate::check::{Failure, Property};
use crate::facts::Source;
use crate::memory::Memory;
use crate::operands::{Operand, Role};
use crate::oracle;
use latimer_tensor::op::Value;
use latimer_tensor::op::table::DTypeRule;
use latimer_tensor::{DType, Device, DryRun, Result, Shape};
use std::cell::Cell;

/// An attribute whose value is not that of the case.
type But = Option<(&'static str, Value)>;

/// Changes the case in every way that must give an error, and returns the number of such changes.
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
        |operands: &[Operand], foreign: Option<(usize, &Device)>, but: But, change: Change| {
            tried.set(tried.get() + 1);
            let (op, result) = attempt(device, case, operands, foreign, but);
            match result {
                Err(error) if change.is_told_by(&error, op, operands) => Ok(()),
                Err(error) => Err(fail(format!("{change} is answered with `{error}`"))),
                Ok(()) => Err(fail(format!("{change} is accepted"))),
            }
        };
    for (i, operand) in operands.iter().enumerate() {
        let (name, shape, dtype) = (operand.name, operand.shape, operand.dtype);
        for to in other_shapes(shape) {
            let changed = with(&operands, i, to, dtype);
            if oracle::checked(case, &changed).is_err() {
                let change = Change::Shape {
                    operand: name,
                    from: shape,
                    to,
                };
                refused(&changed, None, None, change)?;
            }
        }
        for to in [DType::F32, DType::Bf16, DType::U32] {
            let changed = with(&operands, i, shape, to);
            if oracle::checked(case, &changed).is_err() {
                let change = Change::DType {
                    operand: name,
                    from: dtype,
                    to,
                };
                refused(&changed, None, None, change)?;
            }
        }
        // An operand without elements, or one that this case does not read, may go unnoticed.
        let idle = name == "random" && case.facts().attribute("rate") == Some(Value::F32(0.0));
        if operands.iter().all(|o| o.shape.numel() > 0) && !idle {
            let other = Device::new(DryRun::default());
            let change = Change::Memory { operand: name };
            refused(&operands, Some((i, &other)), None, change)?;
        }
    }
    let facts = case.facts();
    for but in facts.wrong_attributes() {
        let change = Change::Attribute { attribute: but.0 };
        refused(&operands, None, Some(but), change)?;
    }
    let ids = facts.given().find_map(|at| match facts.source_of(at) {
        Some(&Source::Ids(end)) if facts.table.operands[at].dtype == DTypeRule::Is(DType::U32) => {
            Some((facts.table.operands[at].name, end))
        }
        _ => None,
    });
    if let Some((name, id)) = ids {
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
            refused(&changed, None, None, change)?;
        }
    }
    Ok(tried.get())
}

/// Runs the operation and waits for it; also returns the name that it has in messages.
fn attempt(
    device: &Device,
    case: &Case,
    operands: &[Operand],
    foreign: Option<(usize, &Device)>,
    but: But,
) -> (&'static str, Result<()>) {
    let mut name = case.name();
    let mut run = || {
        let mut memory = Memory::place(device, operands, case.layout, 0, foreign)?;
        memory.with(operands, |bound| {
            let op = case.op_but(bound, but);
            name = op.name();
            device.run(op)
        })?;
        device.synchronize()?;
        memory.left(operands).map(drop)
    };
    let result = run();
    (name, result)
}

/// The operands, one of them replaced by zeros of another shape or type.
fn with(operands: &[Operand], i: usize, shape: Shape, dtype: DType) -> Vec<Operand> {
    let mut changed = operands.to_vec();
    let operand = &mut changed[i];
    (operand.shape, operand.dtype) = (shape, dtype);
    if operand.role != Role::Out {
        operand.bytes = vec![0; shape.numel() * dtype.size()];
    }
    changed
}

/// Other shapes: with one more axis, with one axis longer by one, with one axis (not the last) left
/// out.
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
