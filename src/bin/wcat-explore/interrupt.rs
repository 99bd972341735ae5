//! Signals: Ctrl-C, TERM and HUP stop the program within two seconds, and it says that the same command goes on.

use crate::show;
use anyhow::Context;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use wcat_explore::error::Error;
use wcat_explore::store;

/// Raised by the first signal; a command that saves what it has stops at its next look.
pub(crate) static CANCEL: AtomicBool = AtomicBool::new(false);
/// True while a command runs that saves what is finished; others end at once.
static SAVES: AtomicBool = AtomicBool::new(false);
/// A command that saves what is finished gets so long for it. Every file is whole at any moment: tables and models get
/// their names when they are written, a torn last line of a journal is dropped.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Time between two looks while it does.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest wait for a standard error that nobody reads.
const SAYING: Duration = Duration::from_millis(250);

/// The command that runs stops at its next look at [`CANCEL`].
pub(crate) fn saves() {
    SAVES.store(true, Ordering::Relaxed);
}

/// Listens from now on. Where HUP is ignored (`nohup`) it stays so. A write beyond the limit of file sizes fails instead
/// of ending the program.
#[cfg(unix)]
pub(crate) fn listen() -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    let hup = (!ignores(SIGHUP)).then_some(SIGHUP);
    let signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hup));
    let mut signals = signals.context("cannot listen for signals")?;
    // what the handler does is of no interest: that there is one makes the write fail
    let unread = std::sync::Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, unread).context("cannot listen for signals")?;
    let attend = move || {
        while signals.wait().next().is_none() {}
        stop(|| signals.pending().next().is_some());
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread
        .spawn(attend)
        .context("cannot start the thread that listens for signals")?;
    Ok(())
}

/// Elsewhere only Ctrl-C is known.
#[cfg(not(unix))]
pub(crate) fn listen() -> anyhow::Result<()> {
    static SEEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let attend = || {
        if SEEN.fetch_add(1, Ordering::Relaxed) == 0 {
            std::thread::spawn(|| stop(|| SEEN.load(Ordering::Relaxed) > 1));
        }
    };
    ctrlc::set_handler(attend).context("cannot listen for Ctrl-C")
}

/// True where the process was started with a signal ignored. Where the system does not say, true: the signal is left
/// as it is, so `nohup` holds, and without it a hang-up ends the program as any other.
#[cfg(unix)]
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match line.map(|mask| u128::from_str_radix(mask.trim(), 16)) {
        Some(Ok(mask)) => mask >> (signal - 1) & 1 == 1,
        _ => true,
    }
}

/// Asks the command to stop and ends the program when it has not after a while, or when asked `again`.
fn stop(mut again: impl FnMut() -> bool) {
    if SAVES.load(Ordering::Relaxed) {
        // said first: a command that stops at once ends the program, and this with it
        say("\nstopping; what is finished is kept (again: at once)".into());
        CANCEL.store(true, Ordering::Relaxed);
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE && !again() {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    store::abandon_writes();
    say(show::labelled("error", &Error::Interrupted.to_string()));
    exit();
}

/// Ends the process without the clean-up of a normal end, which other threads are in no state for.
#[cfg(unix)]
fn exit() -> ! {
    signal_hook::low_level::exit(show::GOES_ON.into())
}

#[cfg(not(unix))]
#[allow(clippy::exit)] // the command does not end by itself
fn exit() -> ! {
    std::process::exit(show::GOES_ON.into())
}

/// Says something on standard error, without waiting for long where nobody reads it.
fn say(text: String) {
    let (said, heard) = mpsc::channel();
    let speak = move || {
        let _ = writeln!(anstream::stderr(), "{text}");
        let _ = said.send(());
    };
    if std::thread::Builder::new().spawn(speak).is_ok() {
        let _ = heard.recv_timeout(SAYING);
    }
}
