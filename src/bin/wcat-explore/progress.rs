//! What happens meanwhile, on standard error: bars on a terminal, a plain line for each tenth of a stage elsewhere.

use crate::args::General;
use crate::interrupt::CANCEL;
use crate::show::labelled;
use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use wcat_explore::error::printable;
use wcat_explore::kernel::{Arithmetic, Isa};
use wcat_explore::run::{AttackProgress, Monitor, Stage, SweepProgress};
use wcat_explore::train::{EpochRow, StepProgress};

/// Most characters of a line.
const LONGEST_LINE: usize = 1_800;
/// Most characters of a task beside its bar.
const LONGEST_TASK: usize = 100;
/// Nothing is shown before so much time has passed.
const QUIET_START: Duration = Duration::from_secs(2);

/// Bars or lines, and remarks.
pub(crate) struct Progress {
    quiet: bool,
    verbose: bool,
    terminal: bool,
    started: Instant,
    bars: MultiProgress,
    state: Mutex<State>,
}

/// Where the command stands: its stage, and the tasks that run in it.
#[derive(Default)]
struct State {
    stage: Option<Running>,
    tasks: BTreeMap<String, Meter>,
}

/// The stage that runs.
struct Running {
    /// Such as `stage 2 of 3: 1,100 trials`.
    label: String,
    tasks: usize,
    /// Tasks that have ended.
    ended: usize,
    began: Instant,
    /// Since it was first shown.
    meter: Option<Meter>,
}

/// How far a stage or a task is.
struct Meter {
    began: Instant,
    /// Fraction that was done when it was first heard of.
    first: f64,
    fraction: f64,
    bar: Option<ProgressBar>,
}

impl Meter {
    fn new(fraction: f64) -> Self {
        Self {
            began: Instant::now(),
            first: fraction,
            fraction,
            bar: None,
        }
    }

    /// Takes the share that is done now; true where a tenth of the whole was passed.
    fn passes(&mut self, fraction: f64) -> bool {
        let before = std::mem::replace(&mut self.fraction, fraction);
        (fraction * 10.0).floor() > (before * 10.0).floor()
    }

    /// `, 1 min 20 s left`, once enough is done to say so.
    fn left(&self) -> String {
        remaining(
            self.began.elapsed(),
            self.fraction - self.first,
            1.0 - self.fraction,
        )
    }

    fn draw(&mut self, bars: &MultiProgress, label: &str, message: &str) {
        let left = self.left();
        let bar = self.bar.get_or_insert_with(|| bars.add(bar(label)));
        bar.set_position((self.fraction * 1000.0) as u64);
        bar.set_message(format!("{message}{left}"));
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Makes the thread pool (0: of every core), and starts to listen.
pub(crate) fn start(general: &General) -> anyhow::Result<Progress> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if general.threads == 0 {
        cores
    } else {
        general.threads.min(1024)
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
    let progress = Progress {
        quiet: general.quiet,
        verbose: general.verbose,
        terminal,
        started: Instant::now(),
        bars: MultiProgress::with_draw_target(target),
        state: Mutex::default(),
    };
    let (isa, arithmetic) = (Isa::current(), Arithmetic::current());
    let version = env!("CARGO_PKG_VERSION");
    progress.detail(&format!(
        "wcat-explore {version}, {isa} instructions, {arithmetic} convolutions, threads: {threads}"
    ));
    Ok(progress)
}

impl Progress {
    /// A line on standard error, above the bars. A closed standard error is no reason to stop.
    fn line(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(anstream::stderr(), "{text}");
        });
    }

    /// True where more was asked for.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A remark for those who asked for more.
    fn detail(&self, text: &str) {
        if self.verbose {
            self.line(&printable(text, LONGEST_LINE));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Shows how far a task is, `fraction` in [0, 1], and the stage with it: on a terminal as bars, elsewhere as a line for
    /// each tenth of the stage. A task without a stage is shown as one.
    pub(crate) fn show(&self, task: &str, fraction: f64, message: &str) {
        if self.quiet || self.started.elapsed() < QUIET_START {
            return;
        }
        let State { stage, tasks } = &mut *self.state();
        let own = tasks
            .entry(task.to_owned())
            .or_insert_with(|| Meter::new(fraction));
        let Some(stage) = stage else {
            let passed = own.passes(fraction);
            return self.tell(own, passed, task, message);
        };
        own.fraction = fraction;
        if stage.tasks <= 1 {
            let whole = stage.meter.get_or_insert_with(|| Meter::new(fraction));
            let passed = whole.passes(fraction);
            return self.tell(whole, passed, &stage.label, message);
        }
        if self.terminal {
            own.draw(&self.bars, task, message);
        }
        let running: f64 = tasks.values().map(|task| task.fraction).sum();
        let fraction = ((stage.ended as f64 + running) / stage.tasks as f64).min(1.0);
        let whole = stage.meter.get_or_insert_with(|| Meter::new(fraction));
        let passed = whole.passes(fraction);
        let message = if self.terminal {
            String::new()
        } else {
            format!("{task}: {message}")
        };
        self.tell(whole, passed, &stage.label, &message);
    }

    /// The bar of a stage, or its line where a tenth was passed.
    fn tell(&self, meter: &mut Meter, passed: bool, label: &str, message: &str) {
        if self.terminal {
            meter.draw(&self.bars, label, message);
        } else if passed {
            let (percent, left) = (100.0 * meter.fraction, meter.left());
            let message = if message.is_empty() {
                String::new()
            } else {
                format!(", {message}")
            };
            let text = format!("{label}: {percent:.0} %{left}{message}");
            self.line(&printable(&text, LONGEST_LINE));
        }
    }

    /// Takes the bar of a task away.
    fn end(&self, task: &str) {
        let mut state = self.state();
        state.tasks.remove(task);
        if let Some(stage) = &mut state.stage {
            stage.ended += 1;
        }
    }

    /// Says, to those who asked for more, how long a stage that has ended took.
    fn ended(&self, stage: Option<Running>) {
        if let Some(stage) = stage {
            let seconds = stage.began.elapsed().as_secs_f64();
            self.detail(&format!("{}: {seconds:.1} s", stage.label));
        }
    }

    /// The command is done.
    pub(crate) fn finish(&self) {
        let stage = self.state().stage.take();
        self.ended(stage);
        let seconds = self.started.elapsed().as_secs_f64();
        self.detail(&format!("done in {seconds:.1} s"));
    }
}

fn bar(label: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>24} {bar:30} {percent:>3} % {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1000)
        .with_style(style)
        .with_prefix(printable(label, LONGEST_TASK).into_owned())
}

/// `, 1 min 20 s left`; nothing where too little is done to say so.
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

fn attack_task(model: &str, restart: u32) -> String {
    format!("{model}, restart {restart}")
}

impl Monitor for Progress {
    fn note(&self, message: &str) {
        if !self.quiet {
            self.line(&printable(message, LONGEST_LINE));
        }
    }

    fn warn(&self, message: &str) {
        self.line(&labelled("warning", &printable(message, LONGEST_LINE)));
    }

    fn stage(&self, stage: &Stage) {
        let label = if stage.of > 1 {
            format!("stage {} of {}: {}", stage.number, stage.of, stage.what)
        } else {
            stage.what.to_owned()
        };
        let before = std::mem::take(&mut *self.state());
        self.ended(before.stage);
        self.detail(&label);
        self.state().stage = Some(Running {
            label,
            tasks: stage.tasks,
            ended: 0,
            began: Instant::now(),
            meter: None,
        });
    }

    fn step(&self, model: &str, progress: &StepProgress) {
        let within = progress.step as f64 / progress.steps.max(1) as f64;
        let fraction = ((progress.epoch - 1) as f64 + within) / progress.epochs.max(1) as f64;
        let message = format!(
            "epoch {}/{} loss {:.4} accuracy {:.1} %",
            progress.epoch,
            progress.epochs,
            progress.loss,
            100.0 * progress.accuracy
        );
        self.show(model, fraction, &message);
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
        let fraction = progress.done as f64 / progress.owed.max(1) as f64;
        self.show("trials", fraction, "");
    }

    fn flip(&self, progress: &AttackProgress) {
        let accuracy = progress
            .accuracy
            .map_or(String::new(), |a| format!(", accuracy {:.1} %", 100.0 * a));
        let random = if progress.random { "random " } else { "" };
        let (flips, most) = (progress.flips, progress.most);
        let message = format!("{flips} of {most} {random}flips{accuracy}");
        // the bit search, then as many random flips
        let half = 0.5 * flips as f64 / most.max(1) as f64;
        let fraction = if progress.random { 0.5 + half } else { half };
        let task = attack_task(progress.model, progress.restart);
        self.show(&task, fraction, &message);
    }

    fn attacked(&self, model: &str, restart: u32) {
        self.end(&attack_task(model, restart));
    }

    fn cancel(&self) -> &AtomicBool {
        &CANCEL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_for_each_tenth() {
        let mut meter = Meter::new(0.35);
        let passed = (35..=100).filter(|percent| meter.passes(f64::from(*percent) / 100.0));
        assert_eq!(passed.collect::<Vec<_>>(), [40, 50, 60, 70, 80, 90, 100]);
    }
}
