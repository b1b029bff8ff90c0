//! Makes operands and attributes that do not fit from a case that fits. The operation's own check
//! decides whether they fit; [`crate::blame`] decides which error is right for each.

use crate::blame::Change;
use crate::case::{Case, Layout, Source};
use crate::failure::{Failure, Property};
use crate::memory::Memory;
use crate::operands::{Operand, Role};
use crate::oracle;
use latimer_tensor::op::Value;
use latimer_tensor::op::table::{DTypeRule, OperandRule, Range};
use latimer_tensor::{DType, Device, DryRun, Result, Shape};
use std::cell::Cell;

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
    let other = Device::new(DryRun::default());
    let tried = Cell::new(0);
    let refused = |case: &Case, operands: &[Operand], foreign, change: Change| {
        tried.set(tried.get() + 1);
        let (op, result) = attempt(device, case, operands, foreign);
        match result {
            Err(error) if change.is_told_by(&error, op, case, operands) => Ok(()),
            Err(error) => Err(fail(format!("{change} is answered with `{error}`"))),
            Ok(()) => Err(fail(format!("{change} is accepted"))),
        }
    };
    for (i, operand) in operands.iter().enumerate() {
        let (name, shape, dtype) = (operand.name, operand.shape, operand.dtype);
        let shapes = other_shapes(shape).into_iter();
        let shapes = shapes.map(|to| (Change::Shape(name, shape, to), to, dtype));
        let types = [DType::F32, DType::Bf16, DType::U32];
        let types = types.map(|to| (Change::DType(name, dtype, to), shape, to));
        for (change, shape, dtype) in shapes.chain(types) {
            let changed = with(&operands, i, shape, dtype);
            if oracle::checked(case, &changed).is_err() {
                refused(case, &changed, None, change)?;
            }
        }
        // An operand without elements, or one that this case does not read, may go unnoticed.
        let idle = name == "random" && !case.outline.drops();
        if operands.iter().all(|o| o.shape.numel() > 0) && !idle {
            refused(case, &operands, Some((i, &other)), Change::Memory(name))?;
        }
        let rules = case.outline.table().operands.iter();
        let is_id = |rule: &OperandRule| rule.name == name && rule.dtype == DTypeRule::Is(dtype);
        if let Source::Ids(end) = case.source_of(name)
            && rules.into_iter().any(is_id)
            && shape.numel() > 0
        {
            let mut changed = operands.clone();
            let last = operand.bytes.len() - 4;
            changed[i].bytes[last..].copy_from_slice(&(end as u32).to_ne_bytes());
            refused(case, &changed, None, Change::Id(name, end, last / 4))?;
        }
    }
    for (name, value) in wrong_attributes(case) {
        let outline = case.outline.clone().set(name, value);
        let changed = Case {
            outline,
            ..case.clone()
        };
        refused(&changed, &operands, None, Change::Attribute(name))?;
    }
    Ok(tried.get())
}

/// Invalid values of attributes, each with the attribute's name.
pub(crate) fn wrong_attributes(case: &Case) -> Vec<(&'static str, Value)> {
    let outline = &case.outline;
    let mut wrong = (case.spec().misfits)(outline);
    for rule in outline.table().attributes {
        let numbers = match rule.range {
            Range::Any | Range::Causal => vec![],
            Range::NotNan => vec![f64::NAN],
            Range::Finite => vec![f64::NAN, f64::INFINITY],
            Range::Positive => vec![f64::NAN, 0.0],
            Range::NotNegative => vec![f64::NAN, -1.0],
            Range::Share | Range::DropoutShare => vec![f64::NAN, 1.0, -0.1],
            Range::Sets(_) => vec![0.0],
            Range::UpTo(letter, _) => {
                let most = outline.length(letter).unwrap_or(0);
                vec![0.0, most as f64 + 1.0, f64::INFINITY]
            }
            Range::OffsetOf(part, whole, _) => {
                match (outline.length(part), outline.length(whole)) {
                    (Some(part), Some(whole)) => vec![(whole - part + 1) as f64, f64::INFINITY],
                    _ => vec![],
                }
            }
        };
        wrong.extend(numbers.into_iter().filter_map(|number| {
            let (single, whole) = (number as f32, number as usize);
            let kinds = [
                number.into(),
                single.into(),
                Some(single).into(),
                whole.into(),
            ];
            let value = kinds.into_iter().find(|value| (rule.takes)(*value))?;
            Some((rule.name, value))
        }));
    }
    wrong
}

/// Runs the operation and waits for it; also returns the name that it has in messages.
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
