//! `memory fit` and the figures and comparison of `inspect`, as their users call them.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::Place;
use serde_json::Value;
use wcat_explore::code::CodeFormat;
use wcat_explore::device::DeviceSpec;
use wcat_explore::net::Model;
use wcat_explore::quant::{Scale, StoredWeight};
use wcat_explore::units::Bits;

const MODEL: &str = "model.safetensors";
const VC707: &str = "voltage, faults, cells\n0.60, 4, 33751040\n0.59, 24, 33751040\n0.58, 146, 33751040\n\
                     0.57, 772, 33751040\n0.56, 2732, 33751040\n0.55, 7520, 33751040\n0.54, 23706, 33751040\n\
                     0.61, 0, 33751040\n";

fn records(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_fitted_memory_model_is_written_with_its_figure_and_loads_again() {
    let place = Place::new();
    place.write("counts.csv", VC707);
    let fit = [
        "memory",
        "fit",
        "counts.csv",
        "--out",
        "vc707.yaml",
        "--unit",
        "v",
    ];
    let ended = place.done(&[&fit[..], &["--format", "json"]].concat());
    let fitted = &records(&ended.stdout)[0];
    let number = |key: &str| fitted[key].as_f64().unwrap();
    assert!(
        (number("mu") / 0.4350 - 1.0).abs() < 0.001
            && (number("sigma") / 0.0329 - 1.0).abs() < 0.002
    );
    assert!(number("mu_widened_low") < number("mu_low") && number("mu_low") < number("mu"));
    assert!(
        ended
            .stderr
            .contains("warning: a straight probit line does not fit: chi-square"),
        "{}",
        ended.stderr
    );
    assert!(ended
        .stderr
        .contains("`--curve measured` keeps the measured rates"));
    assert!(
        place.read("vc707.svg").starts_with(b"<svg")
            && place.read("vc707.png").starts_with(b"\x89PNG")
    );
    let shown = place.done(&[
        "memory",
        "show",
        "vc707.yaml",
        "--at-voltage",
        "0.55,0.61",
        "--format",
        "json",
    ]);
    let shown = records(&shown.stdout);
    assert!(
        (shown[0]["ber"].as_f64().unwrap() / 2.34e-4 - 1.0).abs() < 0.05,
        "{}",
        shown[0]
    );
    assert_eq!(
        (&shown[0]["ber_source"], &shown[1]["ber_source"]),
        (&"measured".into(), &"error_free".into())
    );

    let again = place.run(&fit);
    assert_eq!(again.code, Some(2));
    let refused =
        "error: --out: expected a file that is not there yet, or --overwrite, found `vc707.yaml`\n";
    assert_eq!(again.stderr, refused);
    let kept = place.done(&[&fit[..], &["--overwrite", "--curve", "measured"]].concat());
    assert!(kept.stdout.contains("chi-square"), "{}", kept.stdout);
    let shown = place.done(&[
        "memory",
        "show",
        "vc707.yaml",
        "--at-voltage",
        "0.55",
        "--format",
        "json",
    ]);
    assert_eq!(
        records(&shown.stdout)[0]["ber"].as_f64().unwrap(),
        7520.0 / 33_751_040.0
    );
}

#[test]
fn a_robust_cell_is_stated_or_its_absence_is_and_a_protection_says_which_line_it_needs() {
    let place = Place::new();
    place.write("counts.csv", VC707);
    place.write_model(MODEL, 4);
    let fit = |out: &str, more: &[&str]| {
        place.done(&[&["memory", "fit", "counts.csv", "--out", out], more].concat())
    };
    let without = fit("without.yaml", &[]).stderr;
    assert!(without.contains("no robust cell in it"), "{without}");
    let factors = ["--robust-energy", "1.3", "--robust-area", "1.4"];
    let with = fit("with.yaml", &factors).stderr;
    assert!(!with.contains("no robust cell"), "{with}");
    let written = String::from_utf8(place.read("with.yaml")).unwrap();
    assert!(
        written.contains("energy_factor: 1.3") && written.contains("source: given by the user"),
        "{written}"
    );
    let alone = place.run(&[
        "memory",
        "fit",
        "counts.csv",
        "--out",
        "m.yaml",
        "--robust-energy",
        "1.3",
    ]);
    assert_eq!(alone.code, Some(2));
    let sweep = |memory: &str| {
        place.run(&[
            "sweep",
            "--model",
            MODEL,
            "--memory",
            memory,
            "--voltages",
            "0.6",
            "--protection",
            "msb:1",
            "--dry-run",
        ])
    };
    let refused = sweep("without.yaml").stderr;
    let line =
        "`protection: { robust_cell: { energy_factor: F, area_factor: G, source: \"...\" } }`";
    assert!(refused.contains(line), "{refused}");
    assert!(!sweep("with.yaml").stderr.contains("robust"));
}

#[test]
fn wrong_measurements_are_refused_and_nothing_is_written() {
    let place = Place::new();
    place.write("rising.csv", "voltage,ber\n0.5,0.01\n0.6,0.02\n");
    place.write("rates.csv", "voltage,ber\n0.5,0.02\n0.6,0.01\n");
    for (file, out, message) in [
        (
            "rising.csv",
            "m.yaml",
            "error: rising.csv: expected fewer failures at higher voltages, found more on the whole",
        ),
        (
            "none.csv",
            "m.yaml",
            "error: none.csv: not found (expected measurements as CSV)",
        ),
        (
            "rates.csv",
            "m.txt",
            "error: --out: expected a file that ends in .yaml, found `m.txt`",
        ),
        (
            "rates.csv",
            "m.yaml",
            "error: rates.csv: `error-free voltage`: expected `--error-free`, or a row without failures",
        ),
    ] {
        let ended = place.run(&["memory", "fit", file, "--out", out]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.starts_with(message), "{}", ended.stderr);
    }
    assert_eq!(place.tree().len(), 2);
}

#[test]
fn figures_of_weights_and_ranges_are_drawn_where_asked() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let figures = |names: &[&str]| {
        for name in names {
            assert!(
                place
                    .read(&format!("drawn/{name}.svg"))
                    .starts_with(b"<svg"),
                "{name}"
            );
            assert!(
                place
                    .read(&format!("drawn/{name}.png"))
                    .starts_with(b"\x89PNG"),
                "{name}"
            );
        }
        place
            .tree()
            .keys()
            .filter(|path| path.starts_with("drawn/"))
            .count()
    };
    let inspect = ["inspect", "--model", MODEL, "--figures", "drawn"];
    let plain = place.done(&["inspect", "--model", MODEL]);
    assert_eq!(place.done(&inspect).stdout, plain.stdout);
    assert_eq!(figures(&["weight_histogram", "weight_violin"]), 4);
    let columns = "schema,epoch,learning_rate,training_loss,training_accuracy,validation_loss,validation_accuracy,best,\
                   seconds,range.conv1,range.fc1\n";
    place.write(
        "history.csv",
        format!("{columns}3,1,0.1,2,0.5,,,true,1,0.5,0.25\n3,2,0.1,1,0.6,,,true,1,0.4,0.2\n"),
    );
    place.done(&inspect);
    assert_eq!(
        figures(&["weight_histogram", "weight_violin", "range_history"]),
        6
    );
    place.write(
        "history.csv",
        format!("{columns}3,1,x,2,0.5,,,true,1,0.5,0.25\n"),
    );
    let wrong = place.run(&inspect);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong
        .stderr
        .contains("history.csv:2: `learning_rate`: expected a finite number, found `x`"));
}

/// A float model whose last layer keeps codes of a file: each of ten output channels has its own step.
fn write_given(place: &Place) {
    place.write_model(MODEL, 32);
    let mut model = Model::load(&place.path(MODEL), &DeviceSpec::Cpu.open().unwrap()).unwrap();
    let scale = |channel: i16| Scale {
        step: 0.001 * f32::from(channel + 1),
        zero: channel - 5,
    };
    let stored = StoredWeight {
        words: (0..840).map(|i| (i % 16) as u8).collect(),
        scales: (0..10).map(scale).collect(),
        format: CodeFormat::new(Bits::new(4).unwrap(), true).unwrap(),
        shape: vec![10, 84],
    };
    model.network.keep_codes("fc3", stored).unwrap();
    Model::save(&place.path(MODEL), &model.network, &model.info).unwrap();
}

#[test]
fn codes_of_a_file_are_inspected_evaluated_and_packed_as_stored() {
    let place = Place::new();
    write_given(&place);
    let table = place.done(&["inspect", "--model", MODEL]).stdout;
    assert!(
        table.contains("0.001000 to 0.010000") && table.contains("stored: 1 of 5 layers"),
        "{table}"
    );
    let rows = records(
        &place
            .done(&["inspect", "--model", MODEL, "--format", "json"])
            .stdout,
    );
    let fc3 = rows.last().unwrap();
    assert_eq!((&fc3["step"], &fc3["range"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (fc3["bits"].as_u64(), &fc3["zeros"][9]),
        (Some(4), &4.into())
    );
    assert_eq!(fc3["steps"].as_array().unwrap().len(), 10);
    assert_eq!(rows[0]["steps"], Value::Null);
    place.done(&["inspect", "--model", MODEL, "--figures", "drawn"]);
    let eval = [
        "eval", "--model", MODEL, "--ber", "0.01", "--format", "json",
    ];
    let row = &records(&place.done(&eval).stdout)[0];
    assert_eq!(
        (&row["method"], row["bits"].as_u64()),
        (&"stored".into(), Some(4))
    );
    let pack = ["pack", MODEL, "--out", "packed", "--format", "json"];
    let row = &records(&place.done(&pack).stdout)[0];
    assert_eq!(
        (&row["method"], row["bits"].as_u64()),
        (&"stored".into(), Some(4))
    );
}

#[test]
fn two_models_are_compared_bit_by_bit() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    place.write_model("other.safetensors", 8);
    let same = place.done(&[
        "inspect",
        "--model",
        MODEL,
        "--compare",
        MODEL,
        "--format",
        "json",
    ]);
    let rows = records(&same.stdout);
    let (total, layers) = rows.split_last().unwrap();
    assert_eq!(
        (&total["kind"], &total["layer"]),
        (&"total".into(), &Value::Null)
    );
    assert_eq!(
        (&total["differing_bits"], &total["largest_code_difference"]),
        (&0.into(), &0.into())
    );
    let sum: u64 = layers
        .iter()
        .map(|layer| layer["bits"].as_u64().unwrap())
        .sum();
    assert_eq!(total["bits"].as_u64(), Some(sum));
    let table = place
        .done(&["inspect", "--model", MODEL, "--compare", MODEL])
        .stdout;
    assert!(
        table.lines().last().unwrap().starts_with("all layers"),
        "{table}"
    );
    let other = place.run(&[
        "inspect",
        "--model",
        MODEL,
        "--compare",
        "other.safetensors",
    ]);
    assert_eq!(other.code, Some(2));
    let message = "error: model to compare: layer: expected `conv1` of 6x1x5x5, 4 bit, found `conv1` of 6x1x5x5, 8 bit\n";
    assert_eq!(other.stderr, message);
}
