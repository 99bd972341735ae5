//! A damaged line of a journal costs its trial alone.

use crate::program::{Ended, Place};
use std::fs;
use wcat_explore::store;

const JOURNAL: &str = "results/r/trials.journal";
const ASIDE: &str = "results/r/trials.damaged";

fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

fn sweep<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "sweep",
        "--model",
        "m.safetensors",
        "--dataset",
        "glyphs",
        "--set",
        "dataset.glyphs.test_images=40",
        "--out",
        "r",
        "--threads",
        "1",
    ];
    [&common, more].concat()
}

/// Tables of the run but for its times.
fn tables(place: &Place) -> Vec<(String, Vec<u8>)> {
    let table = |name: &str| name.ends_with(".csv") || name.ends_with(".parquet");
    let all = place.tree().into_iter();
    all.filter(|(name, _)| table(name) && !name.ends_with("timing.csv"))
        .collect()
}

/// Lines of the journal, each with its line feed.
fn lines(place: &Place) -> Vec<Vec<u8>> {
    let bytes = place.read(JOURNAL);
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn computed(ended: &Ended) -> &str {
    let line = ended
        .stderr
        .lines()
        .find(|line| line.contains(" trials computed"))
        .unwrap();
    line.split(' ').next().unwrap()
}

#[test]
fn damaged_trials_are_named_set_aside_and_computed_again() {
    let (place, sweep) = (
        place(),
        sweep(&[
            "--voltages",
            "0.8,0.85,1.0",
            "--images",
            "10",
            "--chips",
            "4",
        ]),
    );
    place.done(&sweep);
    let (whole, good) = (tables(&place), lines(&place));
    let trial = |line: &[u8]| line.windows(8).any(|word| word == b"\"trial\":");
    let first = good.iter().position(|line| trial(line)).unwrap();
    let design = good.iter().rposition(|line| !trial(line)).unwrap();
    assert!(design > 0 && first < good.len());
    // a bit of a trial; the line feed of one; the first line; a design point with its four trials
    for (line, at, recomputed) in [
        (first, 30, "1"),
        (good.len() - 3, good[good.len() - 3].len() - 1, "2"),
        (0, 12, "0"),
        (design, 40, "4"),
    ] {
        let mut all = good.clone();
        all[line][at] ^= 4;
        let damaged = all[line].clone();
        place.write(JOURNAL, all.concat());
        let dry = place.done(&[sweep.as_slice(), &["--dry-run"]].concat());
        assert!(
            dry.stdout.contains(&format!("to compute: {recomputed}\n")),
            "{}",
            dry.stdout
        );
        assert!(
            dry.stdout.contains(&format!("line {}", line + 1)),
            "{}",
            dry.stdout
        );
        assert_eq!(
            place.read(JOURNAL),
            all.concat(),
            "a dry run changed the journal"
        );
        let ended = place.done(&sweep);
        assert_eq!(computed(&ended), recomputed);
        assert!(
            ended.stderr.contains("trials.journal: "),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(&format!("line {}", line + 1)),
            "{}",
            ended.stderr
        );
        assert!(tables(&place) == whole);
        let aside = place.read(ASIDE);
        assert!(
            aside.windows(damaged.len()).any(|window| window == damaged),
            "not kept"
        );
        fs::remove_file(place.path(ASIDE)).unwrap();
        // nothing is left to mend
        let ended = place.done(&sweep);
        assert_eq!(
            (computed(&ended), ended.stderr.contains("damaged")),
            ("0", false)
        );
        assert!(!place.path(ASIDE).exists());
    }
}

#[test]
fn damaged_trials_of_two_level_sampling_and_of_a_tolerance_are_computed_again() {
    for sampling in ["two-level", "stratified", "all-images"] {
        let asked = [
            "--voltages",
            "0.8,0.85",
            "--tolerance",
            "0.05",
            "--chips",
            "30",
            "--sampling",
            sampling,
        ];
        let (place, sweep) = (place(), sweep(&asked));
        place.done(&sweep);
        let (whole, good) = (tables(&place), lines(&place));
        for line in [good.len() / 2, good.len() - 1] {
            let mut all = good.clone();
            all[line][40] ^= 1;
            place.write(JOURNAL, all.concat());
            let ended = place.done(&sweep);
            assert_eq!(computed(&ended), "1", "{sampling}");
            assert!(tables(&place) == whole, "{sampling}: other tables");
        }
    }
}

#[test]
fn a_damaged_line_of_an_exploration_costs_its_evaluation() {
    let place = place();
    let explore = [
        "explore",
        "--model",
        "m.safetensors",
        "--domains",
        "layers",
        "--voltages",
        "0.9,1.0",
        "--images",
        "10",
        "--chips",
        "2",
        "--search-chips",
        "2",
        "--search-images",
        "10",
        "--evaluations",
        "2",
        "--dataset",
        "glyphs",
        "--set",
        "dataset.glyphs.test_images=20",
        "--out",
        "r",
        "-q",
    ];
    place.done(&explore);
    let (whole, good) = (tables(&place), lines(&place));
    for line in 0..good.len() {
        if line % 3 != 0 {
            continue;
        }
        let mut all = good.clone();
        all[line][20] ^= 1;
        place.write(JOURNAL, all.concat());
        let ended = place.done(&explore);
        assert!(ended.stderr.contains("trials.damaged"), "{}", ended.stderr);
        assert!(tables(&place) == whole, "line {line}: other tables");
    }
}

#[test]
fn a_file_that_is_no_journal_and_a_contradiction_are_refused_and_left_alone() {
    let (place, sweep) = (
        place(),
        sweep(&["--voltages", "0.8", "--images", "10", "--chips", "2"]),
    );
    place.done(&sweep);
    let good = lines(&place);
    let last = String::from_utf8(good[good.len() - 1].clone()).unwrap();
    let json = last[9..].trim_end().replace("\"faults\":", "\"faults\":1");
    let other = format!("{:08x} {json}\n", crc32(json.as_bytes()));
    for content in [
        b"my notes\nof another kind\n".to_vec(),
        [good.concat(), other.into()].concat(),
    ] {
        store::write_bytes(&place.path(JOURNAL), &content).unwrap();
        let ended = place.run(&sweep);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("trials.journal:"), "{}", ended.stderr);
        assert_eq!(place.read(JOURNAL), content);
        assert!(!place.path(ASIDE).exists());
    }
}

/// CRC-32 as in a journal.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, bit: u32| (crc >> 1) ^ (0xedb8_8320 * ((crc ^ bit) & 1));
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc, |crc, i| step(crc, u32::from(byte >> i)));
    !bytes.iter().fold(!0, byte)
}
