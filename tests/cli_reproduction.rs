//! A sweep comes out the same, byte for byte: again, on other threads, killed at any moment, extended, redrawn.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::{signal, wait_until, Ended, Place};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::process::Child;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Two models, four voltages, six chips: 48 trials.
const CONFIGURATION: &str = "\
name: tiny
dataset:
  name: glyphs
  glyphs: { training_images: 400, test_images: 300 }
network: { architecture: mlp }
trainer:
  epochs: 4
  batch: 16
  optimizer: { learning_rate: 0.05, momentum: 0.9 }
sweep: { voltages: '0.77,0.8,0.85,1.0', chips: 6 }
models:
  - name: normal-4bit
    quantizer: { method: normal, bits: 4 }
  - name: wcat-4bit
    quantizer: { method: wcat, bits: 4 }
";
const TRIALS: usize = 48;
const SWEEP: [&str; 3] = ["sweep", "--config", "tiny.yaml"];

/// The tables that never differ.
const TABLES: [&str; 5] = [
    "summary.csv",
    "pareto.csv",
    "answers.csv",
    "designs.csv",
    "trials.parquet",
];

fn place() -> Place {
    let place = Place::new();
    place.write("tiny.yaml", CONFIGURATION);
    place
}

/// The tables of the only run of a place.
fn tables(place: &Place) -> Vec<(&'static str, Vec<u8>)> {
    let run = place.only_run();
    TABLES
        .iter()
        .map(|name| (*name, place.read(&format!("{run}/{name}"))))
        .collect()
}

/// Tables are compared by name first, so that a failure prints no bytes.
#[track_caller]
fn same(left: &[(&'static str, Vec<u8>)], right: &[(&'static str, Vec<u8>)]) {
    let differ: Vec<&str> = left
        .iter()
        .zip(right)
        .filter(|(l, r)| l != r)
        .map(|(l, _)| l.0)
        .collect();
    assert_eq!(differ, Vec::<&str>::new(), "tables that differ");
    assert_eq!(left.len(), right.len());
}

/// The tables of [`CONFIGURATION`], swept at once.
fn at_once() -> &'static [(&'static str, Vec<u8>)] {
    static TABLES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let place = place();
        place.done(&SWEEP);
        tables(&place)
    })
}

fn sweep<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&SWEEP, flags].concat()
}

/// Trials computed and reused, as the program says.
fn counts(ended: &Ended) -> (usize, usize) {
    let line = ended
        .stderr
        .lines()
        .find(|line| line.contains(" trials computed, "))
        .unwrap();
    let numbers: Vec<usize> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0], numbers[1])
}

/// The journal of the only run, if there is one yet.
fn journal(place: &Place) -> Vec<u8> {
    let runs = fs::read_dir(place.path("results"))
        .into_iter()
        .flatten()
        .flatten();
    let journals: Vec<Vec<u8>> = runs
        .flat_map(|run| fs::read(run.path().join("trials.journal")))
        .collect();
    assert!(journals.len() < 2);
    journals.into_iter().next().unwrap_or_default()
}

/// Design point and chip of each whole trial line.
fn trials(journal: &[u8]) -> Vec<(String, u64)> {
    let whole = &journal[..journal
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1)];
    let lines = std::str::from_utf8(whole).unwrap().lines();
    let jsons = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line[9..]).unwrap());
    jsons
        .filter_map(|json| {
            let trial = json.get("trial")?;
            Some((
                trial["design_id"].as_str()?.to_owned(),
                trial["chip"].as_u64()?,
            ))
        })
        .collect()
}

#[track_caller]
fn each_once(journal: &[u8]) -> usize {
    let all = trials(journal);
    let unique: BTreeSet<&(String, u64)> = all.iter().collect();
    assert_eq!(
        unique.len(),
        all.len(),
        "a trial stands twice in the journal"
    );
    all.len()
}

/// Kills a running program; true where it had not ended yet.
fn kill(place: &Place, mut child: Child) -> bool {
    // a program that has just ended cannot be killed any more, which is no failure
    child.kill().unwrap();
    place.end(child).code.is_none()
}

#[test]
fn a_second_call_computes_nothing() {
    let place = place();
    let first = place.done(&SWEEP);
    assert_eq!(counts(&first), (TRIALS, 0));
    let (before, files) = (tables(&place), place.tree());
    let models: Vec<Vec<u8>> = place
        .cached("state.safetensors")
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    let second = place.done(&SWEEP);
    assert_eq!(counts(&second), (0, TRIALS));
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(
        second.stderr.matches("already trained in").count(),
        2,
        "{}",
        second.stderr
    );
    same(&before, &tables(&place));
    same(&before, at_once());
    let again: Vec<Vec<u8>> = place
        .cached("state.safetensors")
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert!(
        models.len() == 2 && models == again,
        "trained models changed"
    );
    let pictures = |tree: std::collections::BTreeMap<String, Vec<u8>>| {
        let picture = |name: &str| name.ends_with(".svg") || name.ends_with(".png");
        tree.into_iter()
            .filter(|(name, _)| picture(name))
            .collect::<Vec<_>>()
    };
    let (old, new) = (pictures(files), pictures(place.tree()));
    assert!(old.len() == 10 && old == new, "figures changed");
}

#[test]
fn any_number_of_threads_gives_the_same_tables() {
    for threads in ["1", "2", "5"] {
        let place = place();
        place.done(&sweep(&["--threads", threads]));
        same(&tables(&place), at_once());
    }
}

#[test]
fn a_sweep_killed_after_some_trials_goes_on_and_computes_none_twice() {
    let place = place();
    let (mut kills, mut kept) = (0, Vec::new());
    for more in [1, 4, 9, 2, 6, 3, 5, usize::MAX] {
        let before = trials(&kept).len();
        let mut child = place.start(&sweep(&[
            "--threads",
            if more % 2 == 0 { "1" } else { "2" },
        ]));
        let enough = || trials(&journal(&place)).len() >= before.saturating_add(more);
        if !wait_until(&mut child, enough) {
            let ended = place.end(child);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert_eq!(counts(&ended), (TRIALS - before, before));
            break;
        }
        kills += usize::from(kill(&place, child));
        let now = journal(&place);
        assert!(now.starts_with(&kept), "a finished trial is lost");
        let whole = now
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        kept = now[..whole].to_vec();
        each_once(&kept);
    }
    assert!(kills >= 2, "killed {kills} times only");
    assert_eq!(each_once(&journal(&place)), TRIALS);
    same(&tables(&place), at_once());
}

#[test]
fn a_sweep_killed_in_training_goes_on_after_the_last_epoch() {
    let place = place();
    let (mut kills, mut went_on) = (0, false);
    for _ in 0..6 {
        // each call is killed at the first epoch that it saves
        let states = || {
            let paths = place.cached("state.safetensors");
            paths
                .iter()
                .map(|path| (path.clone(), fs::read(path).unwrap_or_default().len()))
                .collect::<Vec<_>>()
        };
        let before = states();
        let mut child = place.start(&sweep(&["--threads", "1"]));
        if !wait_until(&mut child, || states() != before) {
            let ended = place.end(child);
            went_on |= ended.stderr.contains("going on after epoch");
            break;
        }
        child.kill().unwrap();
        let ended = place.end(child);
        kills += usize::from(ended.code.is_none());
        went_on |= ended.stderr.contains("going on after epoch");
    }
    let ended = place.done(&SWEEP);
    assert!(kills >= 2, "killed {kills} times only");
    assert!(
        went_on || ended.stderr.contains("going on after epoch"),
        "no training was resumed"
    );
    same(&tables(&place), at_once());
}

#[test]
fn a_sweep_killed_at_any_moment_gives_the_same_tables() {
    let place = place();
    let mut kills = 0;
    for delay in [2, 10, 30, 60, 90, 130, 180, 240, 320, 420, 600, 900] {
        let mut child = place.start(&SWEEP);
        let started = Instant::now();
        if !wait_until(&mut child, || {
            started.elapsed() >= Duration::from_millis(delay)
        }) {
            assert_eq!(place.end(child).code, Some(0));
            break;
        }
        kills += usize::from(kill(&place, child));
    }
    let computed = each_once(&journal(&place));
    let last = place.done(&SWEEP);
    assert!(kills >= 3, "killed {kills} times only");
    assert_eq!(counts(&last), (TRIALS - computed, computed));
    assert_eq!(each_once(&journal(&place)), TRIALS);
    same(&tables(&place), at_once());
    // what a kill leaves half-written beside tables, figures and models goes with the next call
    let run = place.only_run();
    for folder in [run.clone(), run.replacen("results", "reports", 1)] {
        place.write(&format!("{folder}/.partial-rubbish"), "half a");
    }
    place.done(&SWEEP);
    let rubbish: Vec<String> = place
        .tree()
        .into_keys()
        .filter(|name| name.contains(".partial-"))
        .collect();
    assert_eq!(rubbish, Vec::<String>::new());
}

#[test]
fn ctrl_c_ends_a_sweep_cleanly_and_it_goes_on() {
    // long enough to be still at work when the signal comes, however late
    let long = sweep(&["--chips", "60"]);
    let all = 10 * TRIALS;
    let longer = CONFIGURATION.replace("epochs: 4", "epochs: 12");
    let place = place();
    place.write("tiny.yaml", &longer);
    let interrupted = "error: interrupted; what is finished is kept, the same command continues";
    let stop = |so: &dyn Fn() -> bool, name: &str| {
        let mut child = place.start(&[&long[..], &["--threads", "1"]].concat());
        assert!(wait_until(&mut child, so), "ended before the signal");
        signal(&child, name);
        let ended = place.end(child);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(75), ""),
            "{}",
            ended.stderr
        );
        assert_eq!(
            ended.stderr.lines().last(),
            Some(interrupted),
            "{}",
            ended.stderr
        );
        assert!(ended
            .stderr
            .contains("\nstopping; what is finished is kept (again: at once)\n"));
    };
    stop(&|| !place.cached("config.yaml").is_empty(), "INT");
    assert_eq!(journal(&place), b"", "interrupted in training");
    stop(&|| trials(&journal(&place)).len() >= 3, "TERM");
    let before = each_once(&journal(&place));
    assert!((3..all).contains(&before), "{before}");
    assert_eq!(counts(&place.done(&long)), (all - before, before));
    let whole = self::place();
    whole.write("tiny.yaml", &longer);
    whole.done(&long);
    same(&tables(&place), &tables(&whole));
}

#[test]
fn another_seed_gives_other_numbers() {
    let place = place();
    place.done(&sweep(&["--seed", "2"]));
    let other = tables(&place);
    for (name, content) in at_once() {
        let found = &other.iter().find(|(known, _)| known == name).unwrap().1;
        // of the design points only the training seed and the clean accuracy may differ
        assert!(content != found, "{name} is the same with another seed");
    }
}

#[test]
fn a_run_extended_by_voltages_and_chips_is_the_run_done_at_once() {
    let place = place();
    place.done(&sweep(&["--voltages", "0.85,0.8", "--chips", "3"]));
    let more_voltages = place.done(&sweep(&["--voltages", "1.0,0.85,0.77", "--chips", "3"]));
    assert_eq!(counts(&more_voltages), (12, 12));
    let all = place.done(&SWEEP);
    assert_eq!(counts(&all), (24, 24));
    same(&tables(&place), at_once());
    let less = place.done(&sweep(&["--voltages", "0.8", "--chips", "2"]));
    assert_eq!(counts(&less), (0, TRIALS));
    assert!(
        less.stderr
            .contains("holds more already: 8 design points on 6 chips in all"),
        "{}",
        less.stderr
    );
    same(&tables(&place), at_once());
}

#[test]
fn the_order_of_voltages_does_not_matter() {
    let place = place();
    place.done(&sweep(&["--voltages", "1.0, 0.85vmin,0.77:0.8:0.03,0.85"]));
    same(&tables(&place), at_once());
}

#[test]
fn a_sweep_to_a_tolerance_stops_at_the_same_chip_when_it_was_killed() {
    let flags = sweep(&[
        "--tolerance",
        "0.018",
        "--chips",
        "48",
        "--voltages",
        "0.77,0.9",
    ]);
    let whole = place();
    whole.done(&flags);
    let summary =
        String::from_utf8(whole.read(&format!("{}/summary.csv", whole.only_run()))).unwrap();
    let column = |name: &str| {
        let at = summary
            .lines()
            .next()
            .unwrap()
            .split(',')
            .position(|known| known == name)
            .unwrap();
        summary
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(at).unwrap())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(column("stopped_by"), BTreeSet::from(["tolerance"]));
    let chips: Vec<usize> = column("chips")
        .iter()
        .map(|chips| chips.parse().unwrap())
        .collect();
    assert!(
        chips.len() == 1 && (17..48).contains(&chips[0]),
        "{chips:?}: the tolerance is of no use here"
    );

    let place = place();
    let mut kills = 0;
    for trials_first in [7, 25, 40] {
        let mut child = place.start(&[&flags[..], &["--threads", "1"]].concat());
        if wait_until(&mut child, || {
            trials(&journal(&place)).len() >= trials_first
        }) {
            kills += usize::from(kill(&place, child));
        }
    }
    assert!(kills >= 1, "never killed");
    place.done(&flags);
    assert_eq!(each_once(&journal(&place)), 4 * chips[0]);
    same(&tables(&place), &tables(&whole));
}

#[test]
fn a_two_level_sweep_ends_the_same_when_it_was_killed_and_leaves_out_what_it_cannot_see() {
    for sampling in ["two-level", "stratified"] {
        ends_the_same_when_it_was_killed(sampling);
    }
}

fn ends_the_same_when_it_was_killed(sampling: &str) {
    let flags = sweep(&[
        "--sampling",
        sampling,
        "--tolerance",
        "0.03",
        "--chips",
        "48",
        "--voltages",
        "0.77,0.9",
    ]);
    let whole = place();
    let ended = whole.done(&flags);
    assert!(
        ended
            .stderr
            .contains(" image evaluations; all images on as many chips are "),
        "{}",
        ended.stderr
    );
    let run = whole.only_run();
    let summary = String::from_utf8(whole.read(&format!("{run}/summary.csv"))).unwrap();
    let column = |name: &str| {
        let at = summary
            .lines()
            .next()
            .unwrap()
            .split(',')
            .position(|known| known == name)
            .unwrap();
        summary
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(at).unwrap())
            .collect::<BTreeSet<_>>()
    };
    for name in ["min", "median", "yield", "yield_low"] {
        assert_eq!(column(name), BTreeSet::from([""]), "{name}");
    }
    assert!(column("image_std")
        .iter()
        .all(|std| std.parse::<f64>().unwrap() > 0.0));
    let chips: Vec<usize> = column("chips")
        .iter()
        .map(|chips| chips.parse().unwrap())
        .collect();
    assert!(chips.len() == 1 && chips[0] >= 128, "{chips:?}");
    let record = String::from_utf8(whole.read(&format!("{run}/run.yaml"))).unwrap();
    assert!(
        record.contains("Two-level sampling: each chip was seen through images of its own"),
        "{record}"
    );
    let differences = String::from_utf8(whole.read(&format!("{run}/differences.csv"))).unwrap();
    assert!(
        differences
            .lines()
            .nth(1)
            .unwrap()
            .contains(",wcat,normal,1,"),
        "{differences}"
    );

    let place = place();
    let mut child = place.start(&[&flags[..], &["--threads", "1"]].concat());
    if wait_until(&mut child, || trials(&journal(&place)).len() >= 100) {
        kill(&place, child);
    }
    place.done(&flags);
    assert_eq!(each_once(&journal(&place)), 4 * chips[0]);
    same(&tables(&place), &tables(&whole));
}

#[test]
fn figures_are_redrawn_without_models_and_data_for_one_run_or_two() {
    let place = place();
    place.done(&sweep(&["--out", "one"]));
    place.done(&sweep(&["--out", "two", "--seed", "2"]));
    fs::remove_dir_all(&place.cache).unwrap();
    fs::remove_file(place.path("tiny.yaml")).unwrap();
    let names = [
        "pareto",
        "accuracy_voltage",
        "accuracy_ber",
        "yield_voltage",
        "memory_model",
    ];
    let figures = |report: &str| {
        let kinds = names
            .iter()
            .flat_map(|name| [format!("{name}.svg"), format!("{name}.png")]);
        kinds
            .map(|file| place.read(&format!("reports/{report}/{file}")))
            .collect::<Vec<_>>()
    };
    let page = || place.read("reports/one/report.html");
    let (before, page_before) = (figures("one"), page());
    fs::remove_dir_all(place.path("reports/one")).unwrap();
    let ended = place.done(&["pareto", "results/one"]);
    assert!(ended.stdout.contains("wcat-4bit"), "{}", ended.stdout);
    assert!(figures("one") == before, "redrawn figures differ");
    assert!(page() == page_before, "the report differs");

    let both = place.done(&[
        "pareto",
        "results/one",
        "results/two",
        "--out",
        "both",
        "--format",
        "json",
    ]);
    assert!(
        both.stderr
            .contains("warning: the runs have different seeds (1 and 2)"),
        "{}",
        both.stderr
    );
    let rows: serde_json::Value = serde_json::from_str(&both.stdout).unwrap();
    let ids: BTreeSet<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["design_id"].as_str()?.split('/').next())
        .collect();
    assert_eq!(ids, BTreeSet::from(["one", "two"]));
    assert!(figures("both") != before);
    let page = String::from_utf8(place.read("reports/both/report.html")).unwrap();
    assert!(page.contains("--out one") && page.contains("--out two --seed 2"));
    assert!(figures("one") == before, "the report of one run changed");
}

#[test]
fn a_torn_last_line_is_dropped_and_its_trial_computed_again() {
    let place = place();
    place.done(&SWEEP);
    let path = format!("{}/trials.journal", place.only_run());
    let whole = place.read(&path);
    let append = |bytes: &[u8]| {
        File::options()
            .append(true)
            .open(place.path(&path))
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    for garbage in [
        &b"1234abcd {\"trial\":{\"design_id\":\"nor"[..],
        b"\0\0\0\0\0\0",
        b"00000000 {}\n",
    ] {
        append(garbage);
        assert_eq!(counts(&place.done(&SWEEP)), (0, TRIALS));
        assert!(place.read(&path) == whole, "the torn line is still there");
    }
    place.write(&path, &whole[..whole.len() - 20]);
    assert_eq!(counts(&place.done(&SWEEP)), (1, TRIALS - 1));
    assert_eq!(each_once(&journal(&place)), TRIALS);
    same(&tables(&place), at_once());

    // a damaged line inside costs its trial, is named and kept
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    place.write(&path, &damaged);
    let ended = place.done(&SWEEP);
    assert_eq!(counts(&ended), (1, TRIALS - 1));
    assert!(
        ended.stderr.contains("1 line is damaged"),
        "{}",
        ended.stderr
    );
    assert_eq!(each_once(&journal(&place)), TRIALS);
    same(&tables(&place), at_once());
    let aside = place.read(&path.replace("trials.journal", "trials.damaged"));
    assert!(aside.starts_with(b"line "));
}
