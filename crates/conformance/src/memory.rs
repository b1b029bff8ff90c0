//! Operands on a device, with guards around them.

use crate::case::Layout;
use crate::operands::{Operand, Role};
use latimer_tensor::op::Parts;
use latimer_tensor::{DType, Device, Result, Tensor};

/// Every byte of a guard. In float types it is a NaN, and in `U32` not a valid id, so that reading
/// a guard shows in the result. It differs from every NaN that arithmetic produces, so that writing
/// one shows in the guard.
const GUARD: u8 = 0xFF;

/// The operands of one case on one device.
#[derive(Debug)]
pub(crate) struct Memory {
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    tensor: Tensor,
    before: Vec<u8>,
    /// The operands in this block: each operand's number and its first element.
    spots: Vec<(usize, usize)>,
}

/// The state of the memory after a run.
#[derive(Debug)]
pub(crate) struct Left {
    /// Bytes of each operand.
    pub(crate) operands: Vec<Vec<u8>>,
    /// A sentence about the first byte that was changed outside the outputs.
    pub(crate) damage: Option<String>,
}

impl Memory {
    /// Uploads the operands; every byte of an output is `fill` until it is written. One operand may
    /// be placed on a foreign device.
    pub(crate) fn place(
        device: &Device,
        operands: &[Operand],
        layout: Layout,
        fill: u8,
        foreign: Option<(usize, &Device)>,
    ) -> Result<Self> {
        let mut groups: Vec<(DType, Vec<usize>)> = Vec::new();
        for (i, operand) in operands.iter().enumerate() {
            let slab = matches!(layout, Layout::Slab { .. });
            match groups
                .iter_mut()
                .find(|(dtype, _)| slab && *dtype == operand.dtype)
            {
                Some((_, group)) => group.push(i),
                None => groups.push((operand.dtype, vec![i])),
            }
        }
        let lead = layout.lead();
        let blocks = groups.into_iter().map(|(dtype, group)| {
            let guard = vec![GUARD; lead * dtype.size()];
            let (mut before, mut spots) = (guard.clone(), Vec::new());
            for i in group {
                spots.push((i, before.len() / dtype.size()));
                let operand = &operands[i];
                match operand.role {
                    Role::Out => {
                        before.extend(vec![fill; operand.shape.numel() * dtype.size()]);
                    }
                    _ => before.extend(&operand.bytes),
                }
                before.extend(&guard);
            }
            let device = foreign.map_or(device, |(i, other)| {
                if spots.iter().any(|&(at, _)| at == i) {
                    other
                } else {
                    device
                }
            });
            let mut tensor = Tensor::empty(device, [before.len() / dtype.size()], dtype)?;
            device.upload(&before, tensor.view_mut()?)?;
            Ok(Block {
                tensor,
                before,
                spots,
            })
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
        })
    }

    /// Sets every byte to one value, or restores all bytes to what was placed.
    pub(crate) fn upload(&mut self, byte: Option<u8>) -> Result<()> {
        for block in &mut self.blocks {
            let same = byte.map(|byte| vec![byte; block.before.len()]);
            let bytes = same.as_ref().unwrap_or(&block.before);
            let device = block.tensor.device().clone();
            device.upload(bytes, block.tensor.view_mut()?)?;
        }
        Ok(())
    }

    /// Calls `work` with a view of every operand.
    pub(crate) fn with<R>(
        &mut self,
        operands: &[Operand],
        work: impl FnOnce(Parts<'_>) -> Result<R>,
    ) -> Result<R> {
        let mut parts = Vec::new();
        for block in &mut self.blocks {
            let (mut rest, mut at) = (block.tensor.view_mut()?, 0);
            for &(i, first) in &block.spots {
                let shape = operands[i].shape;
                let (_guard, tail) = rest.split_at(first - at)?;
                let (part, tail) = tail.split_at(shape.numel())?;
                parts.push((&operands[i], part.slice(0, shape)?));
                (rest, at) = (tail, first + shape.numel());
            }
        }
        let mut bound = Parts::default();
        for (operand, part) in &mut parts {
            if operand.role == Role::In {
                let part: &_ = part;
                bound.inputs.push((operand.name, part.as_view()));
            } else {
                bound.outputs.push((operand.name, part.reborrow()));
            }
        }
        work(bound)
    }

    /// Downloads all memory.
    pub(crate) fn left(&self, operands: &[Operand]) -> Result<Left> {
        let mut left = Left {
            operands: vec![Vec::new(); operands.len()],
            damage: None,
        };
        for block in &self.blocks {
            let mut after = vec![0; block.before.len()];
            block
                .tensor
                .device()
                .download(block.tensor.view(), &mut after)?;
            let size = block.tensor.dtype().size();
            let mut may_change = vec![false; after.len()];
            for &(i, first) in &block.spots {
                let bytes = first * size..(first + operands[i].shape.numel()) * size;
                left.operands[i] = after[bytes.clone()].to_vec();
                if operands[i].role != Role::In {
                    may_change[bytes].fill(true);
                }
            }
            let damaged = (0..after.len()).find(|&b| !may_change[b] && after[b] != block.before[b]);
            if let Some(byte) = damaged {
                left.damage.get_or_insert(block.locate(operands, byte));
            }
        }
        Ok(left)
    }
}

impl Block {
    /// Describes where a changed byte lies.
    fn locate(&self, operands: &[Operand], byte: usize) -> String {
        let element = byte / self.tensor.dtype().size();
        let (i, first) = self
            .spots
            .iter()
            .rev()
            .find(|(_, first)| *first <= element)
            .or(self.spots.first())
            .copied()
            .unwrap_or_default();
        let (name, numel) = (operands[i].name, operands[i].shape.numel());
        if element < first {
            format!("element {} before {name} was written", first - element)
        } else if element < first + numel {
            format!("the input {name} was written, element {}", element - first)
        } else {
            let beyond = element - first - numel;
            format!("element {beyond} after the end of {name} was written")
        }
    }
}
