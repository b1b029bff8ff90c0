//! From a case and its placed operands to the operation.

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

    /// The same with another value of an attribute.
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
        // Of two values the first is found.
        parts.attributes = but.into_iter().chain(facts.attributes).collect();
        Op::assemble(facts.table.name, parts)
            .unwrap_or_else(|| unreachable!("the case has all of {}", facts.table.name))
    }
}
