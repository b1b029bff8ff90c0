//! Makes the operation from a case and its operands in memory.

use crate::case::{Attributes, Case};
use crate::facts::Facts;
use crate::outsider::Outsider;
use latimer_tensor::Op;
use latimer_tensor::op::{Custom, Parts, Value};

impl Case {
    pub(crate) fn facts(&self) -> Facts {
        self.attributes.facts(self.dtype)
    }

    /// The operation over these operands.
    pub(crate) fn op<'a>(&self, parts: Parts<'a>) -> Op<'a> {
        self.op_but(parts, None)
    }

    /// As `op`, with another value for one attribute.
    pub(crate) fn op_but<'a>(
        &self,
        mut parts: Parts<'a>,
        but: Option<(&'static str, Value)>,
    ) -> Op<'a> {
        if matches!(self.attributes, Attributes::Custom { .. }) {
            parts.inputs.sort_unstable_by_key(|(name, _)| *name);
            parts.outputs.sort_unstable_by_key(|(name, _)| *name);
            return Custom {
                kind: &Outsider,
                inputs: parts.inputs.into_iter().map(|(_, view)| view).collect(),
                outputs: parts.outputs.into_iter().map(|(_, view)| view).collect(),
            }
            .into();
        }
        let facts = self.facts();
        // If an attribute is given twice, the first value is found.
        parts.attributes = but.into_iter().chain(facts.attributes).collect();
        Op::assemble(facts.table.name, parts)
            .unwrap_or_else(|| unreachable!("the case has all of {}", facts.table.name))
    }
}
