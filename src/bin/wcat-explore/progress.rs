//! What happens meanwhile, on standard error: bars on a terminal, plain lines every few seconds elsewhere.

use crate::args::Common;
use crate::interrupt::CANCEL;
use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use wcat_explore::error::printable;
use wcat_explore::run::{AttackProgress, Monitor, SweepProgress};
use wcat_explore::train::{EpochRow, StepProgress};

/// Most characters of a line.
const LONGEST_LINE: usize = 1_800;
/// Most characters of a task beside its bar.
const LONGEST_TASK: usize = 100;
/// Nothing is shown before so much time has passed.
const QUIET_START: Duration = Duration::from_secs(2);
/// Plain lines come so often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Bars or lines, and remarks.
pub(crate) struct Progress {
    quiet: bool,
    verbose: bool,
    started: Instant,
    terminal: bool,
    bars: MultiProgress,
    state: Mutex<State>,
    sweep: OnceLock<Instant>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<String, Task>,
    last_line: Option<Instant>,
}

struct Task {
    started: Instant,
    /// Share that was done when the task started here.
    first: f64,
    bar: Option<ProgressBar>,
}

/// Makes the thread pool, and starts to listen.
pub(crate) fn start(common: &Common) -> anyhow::Result<Progress> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if common.threads == 0 {
        cores
    } else {
        common.threads.min(1024)
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .context("cannot start the threads")?;
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    Ok(Progress {
        quiet: common.quiet,
        verbose: common.verbose,
        started: Instant::now(),
        terminal,
        bars: MultiProgress::with_draw_target(target),
        state: Mutex::default(),
        sweep: OnceLock::new(),
    })
}

impl Progress {
    /// A line on standard error, above the bars. A closed standard error is no reason to stop.
    fn line(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{}", printable(text, LONGEST_LINE));
        });
    }

    /// A remark for those who asked for more.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.line(text);
        }
    }

    /// Shows how far a task is: `share` in [0, 1].
    pub(crate) fn show(&self, task: &str, share: f64, message: &str) {
        if self.quiet || self.started.elapsed() < QUIET_START {
            return;
        }
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let new = || Task {
            started: Instant::now(),
            first: share,
            bar: self.terminal.then(|| self.bars.add(bar(task))),
        };
        let entry = state.tasks.entry(task.to_owned()).or_insert_with(new);
        let left = remaining(entry.started.elapsed(), share - entry.first, 1.0 - share);
        let text = format!("{message}{left}");
        if let Some(bar) = &entry.bar {
            bar.set_position((share * 1000.0) as u64);
            bar.set_message(text);
        } else if state
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_EVERY)
        {
            state.last_line = Some(Instant::now());
            self.line(&format!("{task}: {:.0} % {text}", 100.0 * share));
        }
    }

    /// Takes the bar of a task away.
    pub(crate) fn end(&self, task: &str) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bar) = state.tasks.remove(task).and_then(|task| task.bar) {
            bar.finish_and_clear();
        }
    }
}

fn bar(task: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>16} {bar:30} {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1000)
        .with_style(style)
        .with_prefix(printable(task, LONGEST_TASK).into_owned())
}

/// `, 1 min 20 s left`, once enough is done to say so.
fn remaining(elapsed: Duration, done: f64, left: f64) -> String {
    if done < 1e-3 || elapsed < Duration::from_secs(1) {
        return String::new();
    }
    let seconds = (elapsed.as_secs_f64() * left / done).ceil() as u64;
    match seconds {
        s if s >= 3600 => format!(", {} h {} min left", s / 3600, s % 3600 / 60),
        s if s >= 60 => format!(", {} min {} s left", s / 60, s % 60),
        s => format!(", {s} s left"),
    }
}

fn attack_task(model: &str, restart: u32, random: bool) -> String {
    format!(
        "{model}, restart {restart}{}",
        if random { ", random" } else { "" }
    )
}

impl Monitor for Progress {
    fn note(&self, message: &str) {
        if !self.quiet {
            self.line(message);
        }
    }

    fn warn(&self, message: &str) {
        self.line(&format!("warning: {message}"));
    }

    fn step(&self, model: &str, progress: &StepProgress) {
        let within = progress.step as f64 / progress.steps.max(1) as f64;
        let share = ((progress.epoch - 1) as f64 + within) / progress.epochs.max(1) as f64;
        let message = format!(
            "epoch {}/{} loss {:.4} accuracy {:.1} %",
            progress.epoch,
            progress.epochs,
            progress.loss,
            100.0 * progress.accuracy
        );
        self.show(model, share, &message);
    }

    fn epoch(&self, model: &str, row: &EpochRow) {
        let validation = match row.validation_accuracy {
            Some(accuracy) => {
                format!(
                    ", validation {:.2} %{}",
                    100.0 * accuracy,
                    if row.best { " (best)" } else { "" }
                )
            }
            None => String::new(),
        };
        let text = format!(
            "{model}: epoch {} loss {:.4}, training {:.2} %{validation}, {:.1} s",
            row.epoch,
            row.training_loss,
            100.0 * row.training_accuracy,
            row.seconds
        );
        self.detail(&text);
    }

    fn trained(&self, model: &str) {
        self.end(model);
    }

    fn trial(&self, progress: &SweepProgress) {
        self.sweep.get_or_init(Instant::now);
        let share = progress.done as f64 / progress.owed.max(1) as f64;
        self.show(
            "sweep",
            share,
            &format!("{}/{} trials", progress.done, progress.owed),
        );
        if progress.done == progress.owed {
            self.end("sweep");
        }
    }

    fn flip(&self, progress: &AttackProgress) {
        let accuracy = progress
            .accuracy
            .map_or(String::new(), |a| format!(", accuracy {:.1} %", 100.0 * a));
        let message = format!("{}/{} flips{accuracy}", progress.flips, progress.most);
        let share = progress.flips as f64 / progress.most.max(1) as f64;
        self.show(
            &attack_task(progress.model, progress.restart, progress.random),
            share,
            &message,
        );
    }

    fn attacked(&self, model: &str, restart: u32) {
        [false, true]
            .into_iter()
            .for_each(|random| self.end(&attack_task(model, restart, random)));
    }

    fn cancel(&self) -> &AtomicBool {
        &CANCEL
    }
}
