//! Fault options as users call them: arrays in one report, exposed bits, profiles, maps, exported masks.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may stop at once

mod program;

use program::Place;
use std::collections::BTreeMap;
use wcat_explore::store::{parse_npy, ByteArray};

const FPGA: [&str; 2] = ["--memory", "sram-28nm-kc705b-salami2018"];

fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

fn mask(place: &Place, name: &str) -> ByteArray {
    let path = place.path(name);
    parse_npy(&path, &std::fs::read(&path).unwrap()).unwrap()
}

fn set_bits(array: &ByteArray) -> u32 {
    array.values.iter().map(|mask| mask.count_ones()).sum()
}

#[test]
fn one_sweep_compares_arrays_at_the_same_voltages_in_one_report() {
    let place = place();
    let mut args = vec![
        "sweep",
        "--model",
        "m.safetensors",
        "--voltages",
        "0.53:0.55:0.01",
        "--chips",
        "8",
    ];
    args.extend(FPGA);
    args.extend(["--array", "independent,model", "--images", "20", "-q"]);
    let first = place.done(&args);
    let run = place.only_run();
    let summary = String::from_utf8(place.read(&format!("{run}/summary.csv"))).unwrap();
    assert_eq!(summary.lines().count(), 1 + 2 * 3, "{summary}");
    for part in [
        "m@0.54volt,",
        "m@0.54volt+independent,",
        ",independent,",
        ",column 0.51 bank 0.05,",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert!(first.stdout.contains("array"), "{}", first.stdout);
    let report = String::from_utf8(place.read(&format!(
        "{}/report.html",
        run.replace("results", "reports")
    )))
    .unwrap();
    assert!(
        report.contains("Failing cells as drawn") && report.contains("wcat, 4 bit, independent")
    );
    // one array is another run, its design points keep their names and numbers
    let single: Vec<&str> = args
        .iter()
        .map(|arg| {
            if *arg == "independent,model" {
                "model"
            } else {
                arg
            }
        })
        .collect();
    let mut single = single;
    single.extend(["--out", "single"]);
    place.done(&single);
    let rows = |text: &str| -> BTreeMap<String, String> {
        text.lines()
            .map(|line| (line.split(',').nth(1).unwrap().to_owned(), line.to_owned()))
            .collect()
    };
    let alone = rows(&String::from_utf8(place.read("results/single/summary.csv")).unwrap());
    let among = rows(&summary);
    assert_eq!(alone.len(), 4);
    assert!(
        alone.iter().all(|(id, row)| among[id] == *row),
        "{alone:?}\n{among:?}"
    );
    // threads change nothing
    let before = place.read(&format!("{run}/trials.parquet"));
    args.extend(["--fresh", "--threads", "3"]);
    place.done(&args);
    assert_eq!(place.read(&format!("{run}/trials.parquet")), before);
}

#[test]
fn transient_trials_are_the_same_on_any_number_of_threads() {
    let place = place();
    let args = |out: &'static str, threads: &'static str| {
        let all =
            "sweep --model m.safetensors --voltages 0.8,0.9 --chips 3 --set faults.persistent_share=0.3 -q";
        all.split(' ')
            .chain(["--out", out, "--threads", threads])
            .collect::<Vec<_>>()
    };
    place.done(&args("one", "1"));
    place.done(&args("three", "3"));
    for name in ["trials.parquet", "summary.csv", "designs.csv", "pareto.csv"] {
        assert_eq!(
            place.read(&format!("results/one/{name}")),
            place.read(&format!("results/three/{name}"))
        );
    }
    let designs = String::from_utf8(place.read("results/one/designs.csv")).unwrap();
    assert!(designs.contains("flip; persistent 0.3"), "{designs}");
}

#[test]
fn masks_hold_exactly_the_exposed_bits_and_come_back_as_a_map() {
    let place = place();
    let eval = |more: &str| {
        let all =
            format!("eval --model m.safetensors --voltage 0.8 --images 20 --format json -q {more}");
        let ended = place.done(&all.split_whitespace().collect::<Vec<_>>());
        serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap()[0].clone()
    };
    let all = eval("--export-masks all");
    eval("--noise msb --export-masks msb");
    let conv = eval("--layers conv* --export-masks conv");
    let mut cells = Vec::new();
    let mut start = 0;
    for name in ["conv1", "conv2", "fc1", "fc2", "fc3"] {
        let file = |folder: &str| mask(&place, &format!("{folder}/{name}.npy"));
        let whole = file("all");
        assert!(set_bits(&whole) > 0);
        let msb: Vec<u8> = whole.values.iter().map(|mask| mask & 8).collect();
        assert_eq!(
            file("msb"),
            ByteArray {
                values: msb,
                ..whole.clone()
            }
        );
        if name.starts_with("conv") {
            assert_eq!(file("conv"), whole)
        } else {
            assert_eq!(set_bits(&file("conv")), 0)
        }
        for (word, mask) in whole.values.iter().enumerate() {
            let bits = (0..4)
                .filter(|bit| mask >> bit & 1 == 1)
                .map(|bit| 4 * (start + word) + bit);
            cells.extend(bits);
        }
        start += whole.values.len();
    }
    assert_eq!(all["faults"], cells.len() as u64);
    assert!(conv["faults"].as_u64().unwrap() < cells.len() as u64);
    assert_eq!(conv["fault_kind"], "flip; layers conv*");
    let rows: String = cells
        .iter()
        .map(|address| format!("0.8,{address}\n"))
        .collect();
    place.write(
        "map.csv",
        format!("# cells: {}\nvoltage,address\n{rows}", 4 * start),
    );
    let mapped = eval("--fault-map map.csv");
    for key in ["faults", "accuracy", "loss"] {
        assert_eq!(mapped[key], all[key], "{key}");
    }
    assert_eq!(mapped["array"], "map");
    let sweep = "sweep --model m.safetensors --fault-map map.csv --images 20 -q --out map";
    place.done(&sweep.split(' ').collect::<Vec<_>>());
    let summary = String::from_utf8(place.read("results/map/summary.csv")).unwrap();
    assert!(
        summary.lines().count() == 2 && summary.contains(",flip map,map,none,0.8,vmin,"),
        "{summary}"
    );
}

#[test]
fn a_profile_is_swept_at_its_own_rates() {
    let place = place();
    place.done(
        &"sweep --model m.safetensors --profile chip2 --chips 2 --images 20 -q --out p"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let designs = String::from_utf8(place.read("results/p/designs.csv")).unwrap();
    assert_eq!(designs.lines().count(), 4);
    for rate in ["0.04707", "0.0101", "0.00136"] {
        assert!(designs.contains(&format!(",{rate},")), "{designs}");
    }
    assert!(designs.contains("profile chip2"));
    let low = "eval --model m.safetensors --profile chip2 --ber 0.01 --images 20";
    let ended = place.run(&low.split(' ').collect::<Vec<_>>());
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .contains("chip2 was measured: 0.04707, 0.0101, 0.00136"),
        "{}",
        ended.stderr
    );
}

#[test]
fn options_without_effect_and_unknown_names_end_with_two_before_anything_is_written() {
    let place = place();
    for (args, message) in [
        (
            "sweep --model m.safetensors --array independent,model",
            "expected arrays that differ",
        ),
        (
            "sweep --model m.safetensors --array weak",
            "--array: expected independent, model, or column=R,bank=R",
        ),
        (
            "sweep --model m.safetensors --layers conv9",
            "expected globs that match a stored layer: conv1, conv2, fc1",
        ),
        (
            "sweep --layers conv9",
            "expected globs that match a stored layer: conv1, conv2, fc1",
        ),
        ("sweep --model m.safetensors --noise lsb", "--noise"),
        (
            "sweep --model m.safetensors --profile chip9",
            "--profile: expected one of chip1, chip2, chip3",
        ),
        (
            "sweep --model m.safetensors --profile chip1 --array independent",
            "--array: expected to be left out",
        ),
        (
            "sweep --model m.safetensors --profile chip1 --voltages 0.8",
            "to be left out beside the profile",
        ),
        (
            "sweep --model m.safetensors --fault-map no.csv",
            "no.csv: not found",
        ),
        (
            "sweep --model m.safetensors --set faults.kind=stuck",
            "zero_to_one_share",
        ),
        (
            "eval --model m.safetensors --noise msb",
            "they have no effect",
        ),
        (
            "eval --model m.safetensors --export-masks x",
            "they have no effect",
        ),
        (
            "eval --model m.safetensors --voltage 0.8 --array independent,column=0.5",
            "expected one array",
        ),
    ] {
        let ended = place.run(&args.split(' ').collect::<Vec<_>>());
        assert_eq!(ended.code, Some(2), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{args}: {}", ended.stderr);
        assert!(!place.path("results").exists(), "{args}");
    }
    place.write("small.csv", "# cells: 10\nvoltage,address\n0.8,3\n");
    let ended = place.run(&[
        "sweep",
        "--model",
        "m.safetensors",
        "--fault-map",
        "small.csv",
    ]);
    assert!(
        ended.code == Some(2)
            && ended
                .stderr
                .contains("cells of the fault map: expected at least the")
    );
}
