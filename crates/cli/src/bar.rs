//! A bar for a task whose length is known.

use crate::format::{duration, percent, rate, thousands};
use crate::terminal::Terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::time::{Duration, Instant};

/// A bar is drawn only if the task takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Without a bar, a line is printed at this interval.
const SILENCE: Duration = Duration::from_secs(10);

/// Shows the progress of a task: as a bar on a terminal, as an occasional line elsewhere.
pub(crate) struct Bar<'a> {
    terminal: &'a Terminal,
    what: &'static str,
    len: u64,
    /// Parts that were done by an earlier command.
    first: u64,
    begin: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Bar<'a> {
    /// Starts a task of `len` parts (0 if that is not known); `what` names the task.
    pub(crate) fn new(terminal: &'a Terminal, what: &'static str, len: u64) -> Self {
        let begin = Instant::now();
        Self {
            terminal,
            what,
            len,
            first: 0,
            begin,
            last_line: begin,
            bar: None,
        }
    }

    /// Sets how many parts an earlier command did; they do not count for the rate.
    pub(crate) fn after(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// Sets the number of parts done.
    pub(crate) fn set(&mut self, done: u64) {
        if self.bar.is_none() && self.terminal.has_bar() && self.begin.elapsed() > PATIENCE {
            self.bar = self.draw();
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if !self.terminal.has_bar() && self.last_line.elapsed() > SILENCE {
            self.last_line = Instant::now();
            let state = match self.len {
                0 => thousands(done),
                len => percent(done as f64 / len as f64),
            };
            self.terminal.note(format_args!("{}: {state}", self.what));
        }
    }

    fn draw(&self) -> Option<ProgressBar> {
        let target = ProgressDrawTarget::stderr();
        if target.is_hidden() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(Some(self.len).filter(|len| *len > 0), target)
            .with_elapsed(self.begin.elapsed());
        let template = match self.len {
            0 => "{msg} {human_pos}  {rate}",
            _ => "{msg} {bar:24} {human_pos}/{human_len}  {rate}  {left} left",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            // Use the mean rate so far: the bar's own estimate begins when it is drawn, not with
            // the task.
            let first = self.first;
            let per_second = move |state: &ProgressState| {
                state.pos().saturating_sub(first) as f64 / state.elapsed().as_secs_f64()
            };
            let speed = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                let _ = write!(text, "{}", rate(per_second(state)));
            };
            let left = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                let more = state.len().unwrap_or(0).saturating_sub(state.pos());
                let _ = write!(text, "{}", duration(more as f64 / per_second(state)));
            };
            bar.set_style(style.with_key("rate", speed).with_key("left", left));
        }
        bar.set_message(self.what);
        Some(bar)
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
