//! What a step left behind: whether it can be computed with, and what to do where it cannot.

use super::engine::not_finite;
use super::{MOMENTS, Training};
use crate::Result;
use crate::data::Source;
use crate::error::{Error, Remedy};
use latimer_autograd::Slab;

/// Steps that are tried after one that is not finite, to see whether leaving it out would help.
const TRIED: u64 = 3;

impl Training {
    /// Checks that the weights can be computed with: before they are evaluated.
    ///
    /// # Errors
    /// [`Error::Unsound`], or the device's failure.
    pub(crate) fn check_weights(&self) -> Result<()> {
        self.check_slab(Slab::Values)
    }

    /// Checks weights and moments: before they are saved.
    ///
    /// # Errors
    /// [`Error::Unsound`], or the device's failure.
    pub(crate) fn check_state(&self) -> Result<()> {
        self.check_weights()?;
        MOMENTS
            .iter()
            .try_for_each(|(slab, _)| self.check_slab(*slab))
    }

    fn check_slab(&self, slab: Slab) -> Result<()> {
        match self.model.params.find_unsound(slab)? {
            None => Ok(()),
            Some(found) => Err(Error::Unsound {
                slab,
                name: self.model.params.info(found.param).name().to_owned(),
                value: found.value,
                step: self.step,
            }),
        }
    }

    /// What helps against a step that is not finite. The steps after it are tried with the weights
    /// as they are: that is how a run leaves the step out.
    pub(super) fn remedy(&mut self, step: u64, source: &dyn Source) -> Remedy {
        let next = step + 1..=step + TRIED;
        let goes_on = next.into_iter().any(|step| {
            let results = self.try_step(step, source);
            results.is_ok_and(|results| not_finite(results).is_none())
        });
        match goes_on {
            true => Remedy::SkipBatch,
            false if step == 1 => Remedy::OtherSettings,
            false => Remedy::BeginAgain,
        }
    }

    /// A step without its update: loss and gradient norm.
    fn try_step(&mut self, step: u64, source: &dyn Source) -> Result<[f32; 2]> {
        let batch = self.batch_of(self.rows_of(step, source), self.engine.shape.all_rows());
        self.engine.begin(step, 0.0, &batch)?;
        self.engine.run_gradients(&mut self.model, false)?;
        self.engine.results()
    }
}
