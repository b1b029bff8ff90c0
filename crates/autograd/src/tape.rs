//! The tape of a pass: its operations in order, and the tensors that it knows.

use crate::{Error, Gradients, Result};
use latimer_tensor::{DType, Shape, Tensor, TensorId};

/// The backward rule of one recorded operation: given `dy`, adds to the gradients of its operands.
type Rule<'a> = Box<dyn FnOnce(&mut Gradients<'_>, Tensor) -> Result<()> + 'a>;

pub(crate) struct Node<'a> {
    pub(crate) output: TensorId,
    /// The shape in which `dy` is given: the output's shape when it was recorded.
    pub(crate) shape: Shape,
    pub(crate) rule: Rule<'a>,
}

/// Whether each known tensor wants a gradient, in the order of ids. Ids are counted up, so nearly
/// every new tensor comes last, and a pass looks one up some hundred times.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<(TensorId, bool)>);

impl Known {
    pub(crate) fn insert(&mut self, id: TensorId, wanted: bool) {
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => self.0[at].1 = wanted,
            Err(at) => self.0.insert(at, (id, wanted)),
        }
    }

    pub(crate) fn get(&self, id: TensorId) -> Option<bool> {
        let at = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.0[at].1)
    }
}

/// The recorded operations in order, and the tensors that the pass knows.
#[derive(Default)]
pub(crate) struct Tape<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) known: Known,
}

impl std::fmt::Debug for Tape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape")
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl Tape<'_> {
    /// Whether the gradient of the float tensor `x` is wanted; an error if the pass does not know
    /// it.
    pub(crate) fn wants(
        &self,
        op: &'static str,
        operand: &'static str,
        x: &Tensor,
    ) -> Result<bool> {
        debug_assert!(
            x.dtype() != DType::U32,
            "{op}: {operand} holds ids, which have no gradient"
        );
        let shape = x.shape();
        let known = self.known.get(x.id());
        known.ok_or(Error::Untracked { op, operand, shape })
    }
}
