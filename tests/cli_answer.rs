//! `answer` as its users call it: verdicts with bounds, the same after a kill, nothing claimed without evidence.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::Place;

const ANSWER: [&str; 11] = [
    "answer",
    "--model",
    "m.safetensors",
    "--max-loss",
    "0.05",
    "--protection",
    "none,secded",
    "--evaluations",
    "200000",
    "--threads",
    "2",
];

/// A place with a model that was never trained.
fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

#[test]
fn an_answer_has_a_bound_and_goes_on_to_the_same() {
    let place = place();
    let first = place.done(&ANSWER);
    assert!(first.stdout.contains("holds down to"), "{}", first.stdout);
    assert!(first.stdout.contains("at most"), "{}", first.stdout);
    let run = place.only_run();
    let read = |name: &str| place.read(&format!("{run}/{name}"));
    let (verdicts, journal) = (read("verdicts.csv"), read("trials.journal"));
    let again = place.done(&ANSWER);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(read("verdicts.csv"), verdicts);
    assert_eq!(read("trials.journal"), journal, "nothing is computed twice");
    // a journal that was cut in the middle gives the same
    let half = journal.len() / 2;
    place.write(&format!("{run}/trials.journal"), &journal[..half]);
    assert_eq!(place.done(&ANSWER).stdout, first.stdout);
    assert_eq!(read("verdicts.csv"), verdicts);
}

#[test]
fn what_the_budget_does_not_show_is_not_claimed() {
    let place = place();
    let ended = place.run(&[
        "answer",
        "--model",
        "m.safetensors",
        "--evaluations",
        "1",
        "--voltages",
        "0.8:0.95:0.05",
        "--step",
        "0.05",
        "--max-loss",
        "0.02",
    ]);
    assert_eq!(ended.code, Some(4), "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("not established"), "{}", ended.stdout);
}

#[test]
fn images_and_a_tolerance_are_left_to_the_answer() {
    let place = place();
    for (setting, key) in [
        ("sweep.images=50", "sweep.images"),
        ("sweep.tolerance=0.01", "sweep.tolerance"),
    ] {
        let ended = place.run(&["answer", "--model", "m.safetensors", "--set", setting]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(key), "{}", ended.stderr);
    }
    let ended = place.run(&["answer", "--model", "m.safetensors", "--budget", "fast"]);
    assert!(
        ended.code == Some(2) && ended.stderr.contains("10m"),
        "{}",
        ended.stderr
    );
}

#[test]
fn losses_of_parts_come_with_the_answer_and_go_on() {
    let place = place();
    let sentences = place.done(&ANSWER).stdout;
    let with_parts = [&ANSWER[..], &["--sensitivity"]].concat();
    let ended = place.done(&with_parts);
    let run = place.only_run();
    assert!(
        ended.stdout.starts_with(sentences.trim_end()),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("Faults in one layer alone"),
        "{}",
        ended.stdout
    );
    let read = |name: &str| place.read(&format!("{run}/{name}"));
    let (losses, journal) = (read("part_losses.csv"), read("trials.journal"));
    let text = String::from_utf8(losses.clone()).unwrap();
    let of = |kind: &str| text.lines().filter(|line| line.contains(kind)).count();
    // at the voltage of the answer and at 1e-2
    assert_eq!(
        (of(",all,"), of(",layer,"), of(",bit_plane,")),
        (2, 10, 8),
        "{text}"
    );
    place.write(
        &format!("{run}/trials.journal"),
        &journal[..journal.len() * 9 / 10],
    );
    assert_eq!(place.done(&with_parts).stdout, ended.stdout);
    assert_eq!(read("part_losses.csv"), losses);
    let name = run.trim_start_matches("results/");
    let page = place.read(&format!("reports/{name}/report.html"));
    let drawn = place.done(&["pareto", &run]);
    assert_eq!(drawn.stdout, ended.stdout);
    assert_eq!(place.read(&format!("reports/{name}/report.html")), page);
}

#[test]
fn a_dry_run_says_the_cost_and_writes_nothing() {
    let place = place();
    let ended = place.done(&[&ANSWER[..], &["--dry-run"]].concat());
    for part in [
        "candidates: 2",
        "search: at most",
        "at most 200000 evaluations",
    ] {
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
    assert!(!place.path("results").exists());
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_computed() {
    let place = place();
    let ended = place.run(&[
        "answer",
        "--model",
        "m.safetensors",
        "--sensitivity",
        "--layers",
        "conv*",
    ]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("all of the memory to be unreliable"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("search"), "{}", ended.stderr);
    place.done(&ANSWER);
    let run = place.only_run();
    let both = place.run(&["pareto", &run, &run]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    assert!(
        both.stderr.contains("an answer is drawn"),
        "{}",
        both.stderr
    );
    let published = place.run(&["publish", &run, "--out", "x.md"]);
    assert_eq!(published.code, Some(2), "{}", published.stderr);
    assert!(
        published.stderr.contains("an answer is drawn"),
        "{}",
        published.stderr
    );
}
