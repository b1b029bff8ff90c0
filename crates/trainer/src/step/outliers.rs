//! Steps that lie far from those before them: a batch of broken text, a spike of the loss.
//!
//! A step is an outlier when its loss or its gradient norm exceeds the mean of the last [`WINDOW`]
//! steps by more than `z` of their standard deviations (as OLMo 2, 2025, skips steps). Outliers
//! count among the last steps, too: what becomes the rule is not skipped for ever.

use crate::event::Step;
use std::collections::VecDeque;

/// Steps that are looked back on.
const WINDOW: usize = 128;
/// Steps before which nothing is called far.
const LEAST: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Outliers {
    /// Loss and gradient norm, the oldest first.
    recent: VecDeque<[f32; 2]>,
}

impl Outliers {
    pub(super) fn from(recent: &[[f32; 2]]) -> Self {
        Self {
            recent: recent.iter().copied().collect(),
        }
    }

    pub(super) fn recent(&self) -> Vec<[f32; 2]> {
        self.recent.iter().copied().collect()
    }

    /// Whether a step is one, by `z` standard deviations; it is remembered. What is not finite
    /// stops the run and is no matter of degree.
    pub(super) fn judge(&mut self, step: &Step, z: f64) -> bool {
        let now = [step.loss, step.grad_norm];
        if now.iter().any(|x| !x.is_finite()) {
            return false;
        }
        let far = self.recent.len() >= LEAST
            && (0..now.len()).any(|i| {
                let n = self.recent.len() as f64;
                let mean = self.recent.iter().map(|x| f64::from(x[i])).sum::<f64>() / n;
                let squares = self.recent.iter().map(|x| (f64::from(x[i]) - mean).powi(2));
                let deviation = (squares.sum::<f64>() / (n - 1.0)).sqrt();
                f64::from(now[i]) > mean + z * deviation
            });
        self.recent.push_back(now);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_is_seen_once_there_is_a_rule() {
        let mut outliers = Outliers::default();
        let mut judge = |loss, grad_norm| {
            let step = Step {
                step: 1,
                loss,
                lr: 0.1,
                grad_norm,
                skipped: false,
            };
            outliers.judge(&step, 6.0)
        };
        assert!(!judge(50.0, 1.0));
        for i in 0..200 {
            let wave = (i % 5) as f32 / 10.0;
            assert!(!judge(3.0 + wave, 1.0 - wave / 2.0), "step {i}");
        }
        // The deviations are 0.14 and 0.07.
        assert!(!judge(4.0, 1.0) && !judge(3.0, 1.2));
        assert!(judge(4.6, 1.0) && judge(3.0, 9.0));
        assert!(!judge(0.0, 0.0) && !judge(f32::NAN, 1.0));
        assert_eq!(outliers.recent().len(), WINDOW);
    }
}
