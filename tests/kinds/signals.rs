//! Signals stop what they should stop, and nothing else.
#![cfg(target_os = "linux")]

use crate::program::{signal, wait_until, Ended, Place};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What an interrupted program says last.
const INTERRUPTED: &str =
    "error: interrupted; what is finished is kept, the same command continues";
/// Two seconds are allowed; a loaded machine gets more. What is stopped here would go on much longer.
const SOON: Duration = Duration::from_secs(6);
/// So many glyphs are drawn for seconds.
const MANY: &str = "dataset.glyphs.test_images=300000";

/// The program under a line of shell before it.
fn under(place: &Place, shell: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_wcat-explore"))
        .args(args)
        .current_dir(&place.folder)
        .env("XDG_CACHE_HOME", &place.cache)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// True where the program has set its handlers.
fn listens(child: &Child) -> bool {
    // its name for the thread that listens
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id()));
    let mut names = tasks.into_iter().flatten().flatten();
    names.any(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "signals\n")
    })
}

/// The signals that stop a command: not HUP where these tests run under `nohup`, which hands its ignoring on.
fn stopping() -> &'static [&'static str] {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.unwrap_or(0) & 1 == 0 {
        &["INT", "TERM", "HUP"]
    } else {
        &["INT", "TERM"]
    }
}

/// Sends a signal once the program listens and `so`; how it ended, and that it was soon.
#[track_caller]
fn stopped(place: &Place, args: &[&str], name: &str, so: impl Fn() -> bool) -> Ended {
    let mut child = place.start(args);
    let id = child.id();
    assert!(id > 0 && wait_until_listening(&mut child, so));
    signal(&child, name);
    let sent = Instant::now();
    let ended = place.end(child);
    assert!(sent.elapsed() < SOON, "{name}: {:?}", sent.elapsed());
    assert_eq!(ended.code, Some(75), "{name}: {}", ended.stderr);
    assert_eq!(ended.stdout, "", "{name}");
    assert_eq!(ended.stderr.lines().last(), Some(INTERRUPTED), "{name}");
    ended
}

fn wait_until_listening(child: &mut Child, so: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !(listens(child) && so()) {
        if child.try_wait().unwrap().is_some() || started.elapsed() > Duration::from_secs(60) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Places with an untrained model.
fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

/// A sweep that takes long.
const SWEEP: [&str; 11] = [
    "sweep",
    "--model",
    "m.safetensors",
    "--voltages",
    "0.8",
    "--chips",
    "1000000",
    "--out",
    "run",
    "--threads",
    "1",
];

fn trials(place: &Place) -> usize {
    let journal = fs::read(place.path("results/run/trials.journal")).unwrap_or_default();
    journal.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn a_command_that_saves_nothing_ends_at_once() {
    let place = place();
    let eval = [
        "eval",
        "--model",
        "m.safetensors",
        "--dataset",
        "glyphs",
        "--set",
        MANY,
    ];
    for name in stopping() {
        stopped(&place, &eval, name, || true);
    }
}

#[test]
fn a_command_that_is_blocked_in_the_system_ends_too() {
    let place = place();
    let made = Command::new("mkfifo").arg(place.path("m.csv")).status();
    assert!(made.unwrap().success());
    // nobody ever writes into the pipe
    let fit = ["memory", "fit", "m.csv", "--out", "fitted.yaml"];
    stopped(&place, &fit, "TERM", || true);
    stopped(&place, &["inspect", "--model", "m.csv"], "INT", || true);
}

#[test]
fn a_long_stretch_without_a_look_is_cut_off() {
    let place = place();
    let sweep = ["sweep", "--config", "quickstart", "--out", "run"];
    for (settings, name) in [(&["--set", MANY][..], "TERM"), (&["--set", MANY], "INT")] {
        let ended = stopped(&place, &[&sweep, settings].concat(), name, || true);
        assert!(ended
            .stderr
            .contains("\nstopping; what is finished is kept"));
    }
}

#[test]
fn every_command_with_work_stops_and_says_that_it_goes_on() {
    let place = place();
    for name in stopping() {
        stopped(&place, &SWEEP, name, || trials(&place) > 3);
    }
    let attack = [
        "attack",
        "--model",
        "m.safetensors",
        "--flips",
        "1000000",
        "--until-accuracy",
        "0",
        "--batch",
        "16",
        "--images",
        "20",
        "--out",
        "attacked",
    ];
    let begun = || place.path("results/attacked/run.yaml").exists();
    stopped(&place, &attack, "INT", begun);
    let train = [
        "train",
        "--config",
        "quickstart",
        "--set",
        "trainer.epochs=10000",
        "--set",
        "dataset.glyphs.training_images=1000",
        "--out",
        "models",
    ];
    let begun = || fs::read_dir(place.path("models")).is_ok_and(|mut all| all.next().is_some());
    let last = stopping().last().unwrap();
    stopped(&place, &train, last, begun);
}

#[test]
fn a_hang_up_that_is_ignored_stays_so() {
    let place = place();
    let sweep = [&SWEEP[..6], &["600", "--out", "run", "--threads", "1"]].concat();
    let mut child = under(&place, "trap '' HUP", &sweep).spawn().unwrap();
    assert!(wait_until_listening(&mut child, || trials(&place) > 3));
    signal(&child, "HUP");
    let ended = place.end(child);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut child = under(&place, "trap '' HUP", &SWEEP).spawn().unwrap();
    assert!(wait_until_listening(&mut child, || trials(&place) > 603));
    signal(&child, "HUP");
    signal(&child, "TERM");
    assert_eq!(place.end(child).code, Some(75));
}

#[test]
fn a_closed_standard_output_is_no_failure() {
    let place = Place::new();
    for args in [
        &["memory", "list"][..],
        &["data", "info", "-q"],
        &["--help"],
    ] {
        let mut child = place.start(args);
        drop(child.stdout.take());
        let ended = place.end(child);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

#[test]
fn a_second_training_of_the_same_model_waits_and_uses_it() {
    let place = Place::new();
    let train = |epochs: &'static str| {
        [
            "train",
            "--config",
            "quickstart",
            "--set",
            "dataset.glyphs.training_images=400",
            "--set",
            epochs,
            "--out",
            "models",
        ]
    };
    let waits = |holder: &Child, log: &str, args: &[&str]| {
        let said = fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(place.path(log))
            .unwrap();
        let mut second = place.command(args).stderr(said).spawn().unwrap();
        let line = format!("waiting for process {}", holder.id());
        let heard = || String::from_utf8_lossy(&place.read(log)).contains(&line);
        assert!(wait_until(&mut second, heard), "{log}");
        second
    };
    let state = |name: &str| {
        let folders = fs::read_dir(place.path("models")).into_iter().flatten();
        folders
            .flatten()
            .any(|folder| folder.path().join(name).exists())
    };
    // one that never ends: the waiting one is interrupted, the first is killed, a third goes on in its place
    let endless = train("trainer.epochs=100000");
    let mut first = place.start(&endless);
    assert!(wait_until(&mut first, || state("state.safetensors")));
    let second = waits(&first, "second", &endless);
    signal(&second, "INT");
    assert_eq!(place.end(second).code, Some(75));
    let mut third = waits(&first, "third", &endless);
    first.kill().unwrap();
    first.wait().unwrap();
    let heard = || String::from_utf8_lossy(&place.read("third")).contains("going on after epoch");
    assert!(wait_until(&mut third, heard));
    signal(&third, "TERM");
    assert_eq!(place.end(third).code, Some(75));
    // one that ends: the second takes what it made
    fs::remove_dir_all(place.path("models")).unwrap();
    let short = train("trainer.epochs=8");
    let mut first = place.start(&short);
    assert!(wait_until(&mut first, || state("config.yaml")));
    signal(&first, "STOP");
    let second = waits(&first, "fourth", &short);
    signal(&first, "CONT");
    assert_eq!(place.end(first).code, Some(0));
    assert_eq!(place.end(second).code, Some(0));
    let said = String::from_utf8(place.read("fourth")).unwrap();
    assert!(said.contains("already trained"), "{said}");
}
