//! The progress of a run: a bar on a terminal, plain lines elsewhere.

use crate::format::{count, duration, speed, thousands};
use crate::terminal::{Terminal, dim};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use latimer_tensor::DeviceInfo;
use latimer_trainer::config::Config;
use latimer_trainer::event::{Eval, Event, Plan, PlanPart, Sample, Step, StepTiming};
use latimer_trainer::size;
use std::time::{Duration, Instant};

/// Without a bar, a line is printed at each tenth of the run, and at least this often.
const SILENCE: Duration = Duration::from_secs(10);
/// The least time between two lines.
const HASTE: Duration = Duration::from_millis(500);

/// Shows the events of a run.
pub(crate) struct Progress<'a> {
    terminal: &'a Terminal,
    steps: u64,
    device: String,
    /// The reason why no GPU is used, if the backend was `auto`; shown after the device.
    no_gpu: String,
    bar: Option<ProgressBar>,
    begin: Instant,
    last_line: Option<Instant>,
    /// Tokens and milliseconds since the last line.
    recent: (f64, f64),
    /// Steps done before the run was resumed.
    first_step: u64,
    last_step: u64,
    /// Step of the last sample.
    sampled_at: Option<u64>,
    told_of_stop: bool,
    /// Names of the corpora, if they have weights.
    parts: Vec<String>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(
        terminal: &'a Terminal,
        config: &Config,
        device: &DeviceInfo,
        no_gpu: Option<String>,
    ) -> Self {
        let threads = device.threads.map(|n| format!(", {}", count(n, "thread")));
        Self {
            terminal,
            steps: config.train.max_iters,
            device: format!("{}{}", device.backend, threads.unwrap_or_default()),
            no_gpu: no_gpu.map_or_else(String::new, |reason| format!(", as {reason}")),
            bar: None,
            begin: Instant::now(),
            last_line: None,
            recent: (0.0, 0.0),
            first_step: 0,
            last_step: 0,
            sampled_at: None,
            told_of_stop: false,
            parts: Vec::new(),
        }
    }

    /// Shows one event; `stopping` is true once a signal has arrived.
    pub(crate) fn show(&mut self, event: &Event, stopping: bool) {
        match event {
            Event::Plan(plan) => self.plan(plan),
            Event::Step(step, timing) => self.step(step, timing),
            Event::Skip(skip) => {
                let step = thousands(skip.step);
                self.above(|terminal| terminal.note(format_args!("step {step} is skipped")));
            }
            Event::Eval(eval) => self.eval(eval),
            Event::Sample(sample) => self.sample(sample),
            Event::Checkpoint(checkpoint) => {
                let path = checkpoint.path.display();
                self.above(|terminal| terminal.detail(1, format_args!("saved {path}")));
            }
            Event::Warning(warning) => {
                self.above(|terminal| terminal.warn(&warning.message));
            }
            _ => {}
        }
        if stopping && !self.told_of_stop {
            self.told_of_stop = true;
            self.above(|terminal| terminal.note("stopping: the model is saved first"));
        }
    }

    /// Removes the bar.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn plan(&mut self, plan: &Plan) {
        let corpus = match plan.training_tokens {
            Some(tokens) => format!("{} training tokens", thousands(tokens as u64)),
            None => "an endless corpus".to_owned(),
        };
        self.terminal.note(format_args!(
            "{} parameters; {corpus}, a vocabulary of {}; {} of {} tokens\n\
             on {} ({}){}\n\
             predicted: {} of memory for tensors (the program and its data come on top), about {}",
            thousands(plan.parameters as u64),
            thousands(plan.vocab_size as u64),
            count(self.steps as usize, "step"),
            thousands(plan.tokens_per_step as u64),
            self.device,
            plan.device,
            self.no_gpu,
            size(plan.memory_bytes),
            duration(plan.estimated_seconds),
        ));
        for part in &plan.parts {
            self.terminal.note(part_of_run(part));
        }
        self.parts = plan.parts.iter().map(|part| part.data.clone()).collect();
        self.begin = Instant::now();
        (self.first_step, self.last_step) = (plan.steps_done, plan.steps_done);
        let target = ProgressDrawTarget::stderr();
        // A terminal that cannot move the cursor back (TERM=dumb) gets lines too.
        if self.terminal.has_bar() && !target.is_hidden() {
            let bar = ProgressBar::with_draw_target(Some(self.steps), target);
            let template = "{bar:24} {human_pos}/{human_len}  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, step: &Step, timing: &StepTiming) {
        self.last_step = step.step;
        if step.skipped {
            let (at, loss, norm) = (thousands(step.step), step.loss, step.grad_norm);
            self.above(|terminal| {
                terminal.note(format_args!(
                    "step {at} is far from the recent steps (loss {loss:.4}, gradient norm \
                     {norm:.3}): nothing is updated"
                ));
            });
        }
        self.recent.0 += timing.tokens_per_s * timing.step_ms * 1e-3;
        self.recent.1 += timing.step_ms * 1e-3;
        let last = step.step == self.steps;
        if let Some(bar) = &self.bar {
            bar.set_position(step.step);
            let rate = self.recent.0 / self.recent.1.max(1e-9);
            bar.set_message(match last {
                true => "measuring the validation split".to_owned(),
                false => format!(
                    "loss {:.4}  {} tokens/s  {} left",
                    step.loss,
                    speed(rate),
                    duration(self.left())
                ),
            });
            // Use the rate of the last seconds, not that of the whole run.
            if self.recent.1 > 5.0 {
                self.recent = (rate, 1.0);
            }
            return;
        }
        let tenth = |step: u64| step * 10 / self.steps.max(1);
        let since = self.last_line.map(|last| last.elapsed());
        let due = match since {
            None => true,
            Some(since) => {
                since >= SILENCE || (tenth(step.step) > tenth(step.step - 1) && since >= HASTE)
            }
        };
        if due || last {
            let rate = self.recent.0 / self.recent.1.max(1e-9);
            let left = match last {
                true => String::new(),
                false => format!("  {} left", duration(self.left())),
            };
            self.terminal.note(format_args!(
                "step {:>7}  loss {:.4}  {} tokens/s{left}",
                thousands(step.step),
                step.loss,
                speed(rate),
            ));
            self.last_line = Some(Instant::now());
            self.recent = (0.0, 0.0);
        }
    }

    /// Seconds to the last step, at the mean pace of the steps so far, pauses between them
    /// included.
    fn left(&self) -> f64 {
        let done = self.last_step.saturating_sub(self.first_step);
        time_left(self.begin.elapsed(), done, self.steps - self.last_step)
    }

    fn eval(&mut self, eval: &Eval) {
        let validation = eval.val_loss.map(|loss| format!(", validation {loss:.4}"));
        let text = format!(
            "step {:>7}  sampled losses: train {:.4}{}",
            thousands(eval.step),
            eval.train_loss,
            validation.unwrap_or_default()
        ) + &of_each(&self.parts, &eval.val_losses);
        self.above(|terminal| terminal.note(text));
    }

    fn sample(&mut self, sample: &Sample) {
        let first = self.sampled_at != Some(sample.step);
        self.sampled_at = Some(sample.step);
        // A translation is shown beside its prompt; other text continues the prompt.
        let text = match sample.text.starts_with(&sample.prompt) {
            true => sample.text.trim().to_owned(),
            false => format!("{} = {}", sample.prompt, sample.text),
        };
        let heading = format!("the model writes after step {}:", thousands(sample.step));
        self.above(|terminal| {
            if first {
                terminal.note(dim(heading));
            }
            for line in text.lines() {
                terminal.note(format_args!("  {line}"));
            }
        });
    }

    /// Prints something above the bar.
    fn above(&self, print: impl FnOnce(&Terminal)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(self.terminal)),
            None => print(self.terminal),
        }
    }
}

/// Seconds that `left` more steps take if `done` steps took `taken`.
fn time_left(taken: Duration, done: u64, left: u64) -> f64 {
    taken.as_secs_f64() / done.max(1) as f64 * left as f64
}

/// The share of a run that comes from one of several corpora: `75.00 % from a.txt (1,000 training
/// tokens, 1.20 epochs; …)`.
pub(crate) fn part_of_run(part: &PlanPart) -> String {
    let tokens = part.training_tokens.map_or(0, |tokens| tokens as u64);
    format!(
        "{:.2} % from {} ({} training tokens, {:.2} epochs; {} validation tokens)",
        100.0 * part.share,
        part.data,
        thousands(tokens),
        part.epochs.unwrap_or(0.0),
        thousands(part.validation_tokens as u64)
    )
}

/// The losses of several corpora: ` (a.txt 1.2345, b.txt 2.3456)`. Empty for a single one.
pub(crate) fn of_each(names: &[String], losses: &[f32]) -> String {
    if losses.is_empty() {
        return String::new();
    }
    let each = names.iter().zip(losses);
    let each: Vec<_> = each
        .map(|(name, loss)| format!("{name} {loss:.4}"))
        .collect();
    format!(" ({})", each.join(", "))
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_left_take_as_long_as_those_done() {
        let left = |seconds, done, left| time_left(Duration::from_secs(seconds), done, left);
        assert_eq!((left(10, 5, 20), left(10, 20, 5)), (40.0, 2.5));
        assert_eq!((left(10, 5, 0), left(10, 0, 3)), (0.0, 30.0));
    }
}
