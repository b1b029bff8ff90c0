//! The learning rate of each optimizer step: a pure function of the configuration and the step's
//! number, so that a resumed run needs no schedule state.
//!
//! With `t = step - 1` steps done, `W` steps of warm-up out of `N`, `hi = learning_rate` and
//! `lo = min_lr`:
//!
//! ```text
//! t < W        hi (t + 1) / (W + 1)                 warm-up, of every schedule
//! otherwise    r = (t - W) / (N - W), at most 1
//! constant     hi
//! linear       hi + (lo - hi) r
//! cosine       lo + (hi - lo) (1 + cos(π r)) / 2
//! wsd          hi, and from t = S on hi + (lo - hi) (t - S) / (N - S), where S = N - decay_iters
//! ```
//!
//! The first step moves already, the peak falls on step `W + 1`, and `lo` is reached when all `N`
//! steps are done and held after. These are nanoGPT's `get_lr(t)` (`train.py`), the cosine being
//! that of Loshchilov and Hutter, *SGDR* (2017), without restarts. `wsd` (warm-up, stable, decay:
//! Hu et al., *MiniCPM*, 2024) needs no length until it falls: until then a run may be made longer.

use std::f64::consts::PI;

use crate::config::{Schedule, TrainConfig};

/// The learning rate of optimizer step `step`, counted from 1. Step 0 is taken for step 1; steps
/// after `max_iters` keep a falling schedule's `min_lr`.
///
/// ```
/// # use latimer_trainer::{config::Config, schedule::learning_rate};
/// let train = Config::preset("baby")?.train; // 2000 steps, 100 of them warm-up
/// assert_eq!(learning_rate(&train, 101), 1e-3);
/// assert_eq!(learning_rate(&train, 2001), 1e-4);
/// # Ok::<(), latimer_trainer::config::ConfigError>(())
/// ```
#[must_use]
pub fn learning_rate(config: &TrainConfig, step: u64) -> f64 {
    let &TrainConfig {
        learning_rate: hi,
        min_lr: lo,
        warmup_iters,
        max_iters,
        decay_iters,
        ..
    } = config;
    let done = step.saturating_sub(1);
    if done < warmup_iters {
        return hi * (done + 1) as f64 / (warmup_iters + 1) as f64;
    }
    // At both ends the exact values, not what rounding makes of them.
    match config.schedule {
        Schedule::Constant => hi,
        _ if done >= max_iters => lo,
        _ if done == warmup_iters => hi,
        Schedule::Wsd => {
            let fall = max_iters.saturating_sub(decay_iters).max(warmup_iters);
            match done.saturating_sub(fall) {
                0 => hi,
                past => hi + (lo - hi) * (past as f64 / (max_iters - fall) as f64),
            }
        }
        schedule => {
            let ratio = (done - warmup_iters) as f64 / (max_iters - warmup_iters) as f64;
            match schedule {
                Schedule::Cosine => lo + (hi - lo) * 0.5 * (1.0 + (PI * ratio).cos()),
                _ => hi + (lo - hi) * ratio,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn train(schedule: Schedule) -> TrainConfig {
        let train = Config::preset("baby").unwrap().train;
        TrainConfig {
            schedule,
            learning_rate: 1e-3,
            min_lr: 1e-4,
            warmup_iters: 100,
            max_iters: 2000,
            ..train
        }
    }

    /// A few roundings of numbers below 1e-3 and of a cosine.
    fn close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() <= 4e-16,
            "got {got}, expected {expected}"
        );
    }

    #[test]
    fn warm_up_climbs_to_the_peak() {
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::Linear] {
            let train = train(schedule);
            close(learning_rate(&train, 1), 1e-3 / 101.0);
            close(learning_rate(&train, 50), 1e-3 * 50.0 / 101.0);
            close(learning_rate(&train, 100), 1e-3 * 100.0 / 101.0);
            assert_eq!(learning_rate(&train, 101), 1e-3);
            assert_eq!(learning_rate(&train, 0), learning_rate(&train, 1));
        }
    }

    #[test]
    fn middle_and_end() {
        let [constant, cosine, linear] =
            [Schedule::Constant, Schedule::Cosine, Schedule::Linear].map(train);
        for step in [102, 1051, 2000, 2001, u64::MAX] {
            assert_eq!(learning_rate(&constant, step), 1e-3);
        }
        // Half of the 1900 steps after the warm-up are done.
        close(learning_rate(&cosine, 1051), 5.5e-4);
        close(learning_rate(&linear, 1051), 5.5e-4);
        // A quarter.
        close(
            learning_rate(&cosine, 576),
            1e-4 + 9e-4 * (2.0 + 2.0_f64.sqrt()) / 4.0,
        );
        close(learning_rate(&linear, 576), 7.75e-4);
        // The last step is one decrement above the floor.
        close(learning_rate(&linear, 2000), 1e-4 + 9e-4 / 1900.0);
        assert!(learning_rate(&cosine, 2000) - 1e-4 < 1e-9);
        for step in [2001, 2002, u64::MAX] {
            assert_eq!(learning_rate(&cosine, step), 1e-4);
            assert_eq!(learning_rate(&linear, step), 1e-4);
        }
    }

    #[test]
    fn falls_and_never_leaves_its_bounds() {
        for schedule in [Schedule::Cosine, Schedule::Linear] {
            let train = train(schedule);
            for step in 101..2100 {
                let [now, next] = [step, step + 1].map(|step| learning_rate(&train, step));
                assert!(
                    next <= now && (1e-4..=1e-3).contains(&next),
                    "step {step}: {now}, {next}"
                );
            }
        }
    }

    #[test]
    fn wsd_stays_and_then_falls() {
        let wsd = TrainConfig {
            decay_iters: 400,
            ..train(Schedule::Wsd)
        };
        close(learning_rate(&wsd, 50), 1e-3 * 50.0 / 101.0);
        for step in [101, 102, 1600, 1601] {
            assert_eq!(learning_rate(&wsd, step), 1e-3, "step {step}");
        }
        // Half of the fall is done.
        close(learning_rate(&wsd, 1801), 5.5e-4);
        for step in [2001, u64::MAX] {
            assert_eq!(learning_rate(&wsd, step), 1e-4);
        }
        // A longer run agrees until the shorter one falls; one without a fall stays.
        let longer = TrainConfig {
            max_iters: 3000,
            ..wsd.clone()
        };
        for step in 1..=1601 {
            assert_eq!(learning_rate(&wsd, step), learning_rate(&longer, step));
        }
        let level = TrainConfig {
            decay_iters: 0,
            ..wsd
        };
        assert_eq!(learning_rate(&level, 2000), 1e-3);
    }

    #[test]
    fn no_warm_up_starts_at_the_peak() {
        let train = TrainConfig {
            warmup_iters: 0,
            ..train(Schedule::Cosine)
        };
        assert_eq!(learning_rate(&train, 1), 1e-3);
    }

    #[test]
    fn a_run_within_its_warm_up_divides_by_nothing() {
        let train = TrainConfig {
            max_iters: 100,
            ..train(Schedule::Cosine)
        };
        close(learning_rate(&train, 100), 1e-3 * 100.0 / 101.0);
        assert_eq!(learning_rate(&train, 101), 1e-4);
        let short = TrainConfig {
            max_iters: 5,
            ..train
        };
        close(learning_rate(&short, 5), 1e-3 * 5.0 / 101.0);
    }
}
