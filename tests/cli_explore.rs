//! `explore` as its users call it: domains and widths in one run, resumed, and wrong input.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::Place;
use std::collections::BTreeMap;

/// The rows of a CSV table of the only run, by column.
fn table(place: &Place, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = String::from_utf8(place.read(&format!("{}/{name}", place.only_run()))).unwrap();
    let mut lines = text
        .lines()
        .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    lines
        .map(|cells| columns.iter().cloned().zip(cells).collect())
        .collect()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

const DOMAINS: [&str; 16] = [
    "explore",
    "--model",
    "m.safetensors",
    "--domains",
    "layers",
    "--max-loss",
    "0.05",
    "--domain-cost",
    "0.001",
    "--voltages",
    "0.8,0.85,0.9,1.0",
    "--chips",
    "4",
    "--evaluations",
    "10",
    "-q",
];

#[test]
fn verified_points_are_design_points_whose_terms_hold_the_cost_of_their_rails() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    let ended = place.done(&DOMAINS);
    assert!(
        ended.stdout.contains("verified") && ended.stdout.contains("m: "),
        "{}",
        ended.stdout
    );
    let (explored, summary) = (table(&place, "explored.csv"), table(&place, "summary.csv"));
    assert!(explored
        .iter()
        .any(|row| row["kind"] == "single" && row["status"] == "verified"));
    assert!(!table(&place, "sensitivity.csv").is_empty());
    let mut terms: BTreeMap<String, f64> = BTreeMap::new();
    for row in table(&place, "energy.csv") {
        *terms.entry(row["design_id"].clone()).or_default() += number(&row, "energy_relative");
    }
    for row in &summary {
        let (sum, energy) = (terms[&row["design_id"]], number(row, "energy_relative"));
        assert!(
            (sum - energy).abs() < 1e-9,
            "{}: {sum} {energy}",
            row["design_id"]
        );
        assert_eq!(
            row["voltage"].is_empty(),
            !row["domain_voltages"].is_empty()
        );
    }
    for point in explored.iter().filter(|row| row["kind"] == "domains") {
        let own = summary
            .iter()
            .find(|row| row["domain_voltages"] == point["domain_voltages"])
            .unwrap();
        assert!((number(own, "energy_relative") - number(point, "cost_relative")).abs() < 1e-12);
        let rails = 0.001 * (number(point, "rails") - 1.0);
        assert!((number(point, "rail_energy_relative") - rails).abs() < 1e-12);
    }
    // the same again, on one thread: everything is there, and the tables are the same
    let tables = [
        "summary.csv",
        "pareto.csv",
        "explored.csv",
        "sensitivity.csv",
        "energy.csv",
    ];
    let read = || tables.map(|name| place.read(&format!("{}/{name}", place.only_run())));
    let first = read();
    place.done(&[&DOMAINS[..], &["--threads", "1"]].concat());
    assert_eq!(read(), first);
    place.done(&[&DOMAINS[..], &["--threads", "1", "--fresh"]].concat());
    assert_eq!(read(), first);
}

#[test]
fn widths_are_searched_and_their_models_explored() {
    let place = Place::new();
    place.write_model("float.safetensors", 32);
    let ended = place.done(&[
        "explore",
        "--model",
        "float.safetensors",
        "--widths",
        "8,4",
        "--set",
        "explore.mixed=2",
        "--set",
        "explore.width_images=50",
        "--set",
        "quantizer.method=wcat",
        "--set",
        "quantizer.bits=8",
        "--voltages",
        "0.9,1.0",
        "--chips",
        "3",
        "-q",
    ]);
    assert!(ended.stdout.contains("float-mixed"), "{}", ended.stdout);
    let summary = table(&place, "summary.csv");
    let energy = |model: &str| {
        let row = summary
            .iter()
            .find(|row| row["model"] == model && row["voltage"] == "1.0");
        number(row.unwrap_or_else(|| panic!("{model}")), "energy_relative")
    };
    assert_eq!(
        (energy("float-wcat-8bit"), energy("float-wcat-4bit")),
        (1.0, 0.5)
    );
    let mixed: Vec<_> = summary
        .iter()
        .filter(|row| row["model"].contains("mixed"))
        .collect();
    assert!(mixed.len() == 4, "two models at two voltages: {mixed:?}");
    for row in mixed {
        assert_eq!(row["bits"], "");
        let own = energy(&row["model"]);
        assert!(0.5 < own && own < 1.0, "{own}");
    }
}

#[test]
fn what_has_no_effect_or_no_meaning_is_refused() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place.write("groups.yaml", "a: [conv1]\n");
    for (args, message) in [
        (
            &["--domains", "rows"][..],
            "--domains: expected layers, bits, weights,activations or groups:FILE, found `rows`",
        ),
        (&["--domains", "groups:groups.yaml"], "conv2"),
        (
            &["--yield", "0.9", "--floor", "0.5"],
            "error: --yield: expected `wcat-explore answer --yield FRACTION`",
        ),
        (
            &["--domains", "layers", "--floor=0.5"],
            "error: --floor: expected `wcat-explore answer --yield FRACTION --loss-from ACCURACY --max-loss LOSS`",
        ),
        (
            &["--fresh-chips", "20"],
            "error: --fresh-chips: expected `wcat-explore answer --yield FRACTION`",
        ),
        (
            &["--set", "explore.fresh_chips=20"],
            "--set explore.fresh_chips=20: expected to be left out: `wcat-explore answer --yield FRACTION`",
        ),
        (
            &[],
            "explore: expected something to search: `--domains layers`",
        ),
        (
            &["--set", "sweep.tolerance=0.01"],
            "sweep.tolerance: expected to be left out",
        ),
        (
            &["--domains", "layers", "--max-loss", "0"],
            "expected a fraction above 0 and below 1",
        ),
    ] {
        let ended = place.run(
            &[
                &["explore", "--model", "m.safetensors", "--chips", "2", "-q"],
                args,
            ]
            .concat(),
        );
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
    }
}
