//! Energies as users ask for them: dataflow, leakage, the table of terms, and what cannot be added.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may stop at once

mod program;

use program::Place;
use std::path::PathBuf;
use wcat_explore::analysis::names;
use wcat_explore::sweep::EnergyRow;

const ARRAY: [&str; 4] = [
    "--set",
    "energy.array.rows=16",
    "--set",
    "energy.array.columns=8",
];

fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

fn sweep<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all =
        "sweep --model m.safetensors --voltages 0.8,1.0 --chips 2 --images 20 -q --protection";
    let fixed = all
        .split(' ')
        .chain(["none,msb:1,secded,parity_zero", "--out", out]);
    fixed.chain(more.iter().copied()).collect()
}

/// What the program says of wrong input.
fn refused(place: &Place, more: &[&str]) -> String {
    let ended = place.run(&sweep("x", more));
    assert_eq!(ended.code, Some(2), "{more:?}: {}", ended.stderr);
    ended.stderr
}

/// The sums of the terms of every design point are its energies.
fn check_sums(folder: PathBuf) -> Vec<EnergyRow> {
    let designs =
        wcat_explore::table::read::<wcat_explore::sweep::Design>(&folder.join(names::DESIGNS))
            .unwrap();
    let rows = wcat_explore::table::read::<wcat_explore::sweep::EnergyRow>(
        &folder.join(names::ENERGY_CSV),
    )
    .unwrap();
    assert_eq!(designs.len(), 8);
    for design in &designs {
        let own = || {
            rows.iter()
                .filter(|row| row.design_id == design.design_id)
                .map(|row| &row.term)
        };
        let relative: f64 = own().map(|term| term.energy_relative).sum();
        assert!(
            (relative / design.energy_relative - 1.0).abs() < 1e-12,
            "{design:?}"
        );
        let picojoule: Option<f64> = own().map(|term| term.picojoule()).sum();
        assert_eq!(picojoule.is_some(), design.energy_pj.is_some());
        let both = picojoule.zip(design.energy_pj);
        assert!(
            both.is_none_or(|(sum, whole)| (sum / whole - 1.0).abs() < 1e-12),
            "{design:?}"
        );
    }
    rows
}

#[test]
fn a_dataflow_changes_reads_and_energies_and_no_accuracy() {
    let place = place();
    place.done(&sweep("plain", &[]));
    place.done(&sweep(
        "os",
        &[&["--dataflow", "output_stationary"][..], &ARRAY].concat(),
    ));
    let plain = check_sums(place.path("results/plain"));
    let folded = check_sums(place.path("results/os"));
    assert!(plain.iter().all(|row| row.term.reads == 1.0));
    let reads = |layer: &str| {
        folded
            .iter()
            .find(|row| row.term.layer == layer)
            .unwrap()
            .term
            .reads
    };
    // 784 and 100 output pixels on 16 rows
    assert_eq!(
        [reads("conv1"), reads("conv2"), reads("fc1")],
        [49.0, 7.0, 1.0]
    );
    assert_eq!(
        place.read("results/plain/trials.parquet"),
        place.read("results/os/trials.parquet")
    );
    let report = String::from_utf8(place.read("reports/os/report.html")).unwrap();
    for part in [
        "What the energies are made of",
        "output stationary, array of 16 x 8, batch 1.",
        "m@1vmin",
    ] {
        assert!(report.contains(part), "{part}");
    }
    // drawn again from what is stored
    place.done(&["pareto", "results/os", "--out", "again", "-q"]);
    let again = String::from_utf8(place.read("reports/again/report.html")).unwrap();
    assert!(
        again.contains("output stationary, array of 16 x 8, batch 1.")
            && again.contains("<td>49</td>")
    );
}

#[test]
fn leakage_takes_picojoules_and_the_time_of_an_inference() {
    let place = place();
    let memory = String::from_utf8(
        std::fs::read("memory_models/sram-14nm-chandramoorthy2019.yaml").unwrap(),
    )
    .unwrap();
    let leaking = memory.replace(
        "leakage: null",
        "leakage: { at: 1.0, picowatt_per_bit: 3.0, exponent: 3.0, source: test }",
    );
    place.write("relative.yaml", &leaking);
    let absolute = leaking.replace(
        "picojoule_per_bit: null",
        "picojoule_per_bit: 0.5, source: test",
    );
    let absolute = absolute.replace(
        "area_factor: 1.3,",
        "area_factor: 1.3, leakage_factor: 1.2,",
    );
    place.write("absolute.yaml", &absolute);

    let text = refused(&place, &["--memory", "relative.yaml"]);
    assert!(
        text.contains(
            "`energy.access.picojoule_per_bit`: expected a number beside `energy.leakage`"
        ),
        "{text}"
    );
    let text = refused(&place, &["--memory", "absolute.yaml"]);
    assert!(
        text.contains("energy.inference_seconds: expected the seconds of an inference"),
        "{text}"
    );
    let text = refused(&place, &["--set", "energy.inference_seconds=0.01"]);
    assert!(
        text.contains("energy.inference_seconds: expected to be left out"),
        "{text}"
    );

    let args = sweep(
        "leaks",
        &[
            "--memory",
            "absolute.yaml",
            "--set",
            "energy.inference_seconds=0.01",
        ],
    );
    place.done(&args);
    let rows = check_sums(place.path("results/leaks"));
    // bits at 1 Vmin: 0.5 pJ of an access, 3 pW for 0.01 s
    let term = &rows
        .iter()
        .find(|row| row.design_id == "m@1vmin" && row.term.layer == "fc1")
        .unwrap()
        .term;
    assert!((term.access_pj.unwrap() - 48_000.0 * 4.0 * 0.5).abs() < 1e-6);
    assert!((term.leakage_pj.unwrap() - 48_000.0 * 4.0 * 0.03).abs() < 1e-6);
}

#[test]
fn options_without_an_effect_are_refused() {
    let place = place();
    let text = refused(&place, &["--dataflow", "output_stationary"]);
    assert!(
        text.contains(
            "--dataflow: expected `energy.array.rows` and `energy.array.columns`: the reads"
        ),
        "{text}"
    );
    let text = refused(&place, &ARRAY);
    assert!(
        text.contains("energy.array") && text.contains("reads each weight once whatever the array"),
        "{text}"
    );
    let text = refused(&place, &["--dataflow", "row_stationary"]);
    assert!(
        text.contains("`uniform`, `weight_stationary`, `output_stationary`"),
        "{text}"
    );
}
