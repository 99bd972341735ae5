//! The command `attack` as a user calls it: what it prints and leaves, how it goes on, what it refuses.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::Place;
use serde_json::Value;
use wcat_explore::analysis::names;
use wcat_explore::attack::Flipper;
use wcat_explore::attack::Stop;

const ARGS: [&str; 11] = [
    "attack",
    "--model",
    "a.safetensors",
    "--model",
    "b.safetensors",
    "--flips",
    "4",
    "--until-accuracy",
    "0",
    "--batch",
    "20",
];

fn place() -> Place {
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    place.write_model("b.safetensors", 2);
    place
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ARGS.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn an_attack_leaves_its_tables_and_figure_and_the_same_again_computes_nothing() {
    let place = place();
    let first = place.done(&with(&["--restarts", "2", "--format", "json"]));
    let run = place.only_run();
    assert!(run.starts_with("results/attack-"), "{run}");
    assert!(
        first.stderr.contains("4 attacks computed, 0 reused"),
        "{}",
        first.stderr
    );
    let records: Vec<Value> = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(records.len(), 2);
    for (record, model) in records.iter().zip(["a", "b"]) {
        assert_eq!(
            (&record["model"], &record["restarts"]),
            (&model.into(), &2.into())
        );
        assert_eq!(
            (&record["flips_mean"], &record["flips_std"]),
            (&4.0.into(), &0.0.into())
        );
        assert_eq!(
            (&record["reached"], &record["images"]),
            (&0.into(), &100.into())
        );
    }
    let attacks = wcat_explore::table::read::<wcat_explore::attack::AttackRow>(
        &place.path(&run).join(names::ATTACKS),
    )
    .unwrap();
    assert_eq!(
        attacks,
        wcat_explore::table::read::<wcat_explore::attack::AttackRow>(
            &place.path(&run).join(names::ATTACKS_CSV)
        )
        .unwrap()
    );
    assert!(attacks
        .iter()
        .all(|attack| attack.stopped_by == Stop::Flips && attack.flips == 4));
    let flips = wcat_explore::table::read::<wcat_explore::attack::FlipRow>(
        &place.path(&run).join(names::FLIPS),
    )
    .unwrap();
    for attack in &attacks {
        for who in [Flipper::BitSearch, Flipper::Random] {
            let own = flips.iter().filter(|flip| {
                (&flip.model, flip.restart, flip.attack) == (&attack.model, attack.restart, who)
            });
            assert_eq!(own.count(), 4);
        }
    }
    let report = run.replacen("results", "reports", 1);
    assert!(place
        .read(&format!("{report}/attack.svg"))
        .starts_with(b"<svg"));
    assert!(place
        .read(&format!("{report}/attack.png"))
        .starts_with(b"\x89PNG"));
    let tables = [
        names::FLIPS,
        names::FLIPS_CSV,
        names::ATTACKS_CSV,
        names::ATTACK_SUMMARY_CSV,
    ];
    let content = |place: &Place| tables.map(|name| place.read(&format!("{run}/{name}")));
    let before = content(&place);

    let again = place.done(&with(&["--restarts", "2", "--format", "json"]));
    assert_eq!(again.stdout, first.stdout);
    assert!(
        again.stderr.contains("0 attacks computed, 4 reused"),
        "{}",
        again.stderr
    );
    // a lost, a damaged and a further restart
    std::fs::remove_file(place.path(&run).join("units/model0-restart1.json")).unwrap();
    place.write(&format!("{run}/units/model1-restart0.json"), "{");
    let more = place.done(&with(&["--restarts", "3"]));
    assert!(
        more.stderr.contains("4 attacks computed, 2 reused"),
        "{}",
        more.stderr
    );
    assert!(
        more.stderr.contains("this attack is made again"),
        "{}",
        more.stderr
    );
    place.done(&with(&["--restarts", "2", "--threads", "1", "--fresh"]));
    assert_eq!(content(&place), before);
    place.done(&with(&["--restarts", "2", "--seed", "2", "--out", "other"]));
    assert_ne!(place.read("results/other/flips.csv"), before[1]);
}

#[test]
fn batches_of_test_images_are_left_out_of_the_accuracy() {
    let place = place();
    let ended = place.done(&with(&[
        "--attack-data",
        "test",
        "--images",
        "50",
        "--restarts",
        "1",
        "--format",
        "json",
    ]));
    let records: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    assert!(records
        .iter()
        .all(|record| record["images"] == 30 && record["attack_data"] == "test"));
}

#[test]
fn wrong_input_is_refused_before_anything_is_written() {
    let place = place();
    place.write_model("float.safetensors", 32);
    let before = place.tree();
    for (args, message) in [
        (vec!["attack"], "error: --model: expected at least one model file, found none"),
        (
            vec!["attack", "--model", "float.safetensors"],
            "error: model float.safetensors: expected a quantised model, which stores codes in the memory (`wcat-explore \
             quantize --model float.safetensors --bits 8 --out float-8bit.safetensors` makes one), found float weights \
             (bits: 32)",
        ),
        (with(&["--k-top", "0"]), "error: --k-top: expected 1 to 1000000, found 0"),
        (with(&["--restarts", "0"]), "error: --restarts: expected 1 to 10000, found 0"),
        (
            vec!["attack", "--model", "a.safetensors", "--batch", "101"],
            "error: attack.batch: expected at most the 100 training images, found 101",
        ),
        (
            vec!["attack", "--model", "a.safetensors", "--batch", "100", "--attack-data", "test"],
            "error: attack.batch: expected at most 99, so that one test image is left, found 100",
        ),
        (
            with(&["--out", "../.x"]),
            "error: --out: expected a name or a path of a folder, no `.` in front of its name, found `../.x`",
        ),
    ] {
        let ended = place.run(&args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.trim(), message);
    }
    let ended = place.run(&with(&["--attack-data", "validation"]));
    assert!(
        ended.code == Some(2) && ended.stderr.contains("--attack-data"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.tree(), before);
}

#[test]
fn a_folder_of_another_run_is_refused() {
    let place = place();
    place.done(&with(&["--restarts", "1", "--out", "mine"]));
    let ended = place.run(&with(&["--restarts", "1", "--out", "mine", "--seed", "9"]));
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .starts_with("error: --out mine: expected a new name, or the folder"),
        "{}",
        ended.stderr
    );
    let swept = place.run(&["pareto", "results/mine"]);
    assert_eq!(swept.code, Some(2), "{}", swept.stderr);
}
