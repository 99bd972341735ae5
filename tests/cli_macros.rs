//! Macros as users take them: Liberty files imported, shown, combined with a failure curve, and swept.

#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::{records, refused, Place};
use serde_json::Value;

const LIBERTY: &str = include_str!("liberty/active_low.lib");
const FAILURES: &str = "sram-14nm-chandramoorthy2019";
const LAWS: [&str; 8] = [
    "--access-exponent",
    "2",
    "--leakage-exponent",
    "1",
    "--alpha",
    "1.3",
    "--threshold",
    "0.35",
];

/// Three voltages of one macro.
fn place() -> Place {
    let place = Place::new();
    for (volt, read, delay) in [
        ("1.8", "84.25", "16.125"),
        ("3.3", "301", "6.4"),
        ("5.0", "740", "4.5"),
    ] {
        let text = LIBERTY.replace(
            "nom_voltage             : 1.8",
            &format!("nom_voltage : {volt}"),
        );
        let text = text.replace("\"84.25, 85\"", &format!("\"{read}, 85\""));
        let text = text
            .replace("16.125, 17", &format!("{delay}, 17"))
            .replace("15.25, 16.5", "1, 2");
        place.write(&format!("toy_{volt}.lib"), text);
    }
    place
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap()
}

fn combine<'a>(energy: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "memory",
        "combine",
        "--failures",
        FAILURES,
        "--energy",
        energy,
        "--out",
        out,
        "-q",
    ];
    fixed.into_iter().chain(more.iter().copied()).collect()
}

fn sweep<'a>(memory: &'a str, voltages: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = "sweep --model m.safetensors --chips 2 --images 20".split(' ');
    let asked = ["--memory", memory, "--voltages", voltages, "--out", out];
    fixed.chain(asked).chain(more.iter().copied()).collect()
}

#[test]
fn several_voltages_become_one_macro_with_laws() {
    let place = place();
    let files = ["toy_5.0.lib", "toy_1.8.lib", "toy_3.3.lib"];
    let ended = place.done(&[&["memory", "import"][..], &files, &["--out", "toy.yaml"]].concat());
    for part in [
        "3 points determine 3 parameters: no residual left",
        "least squares of the logarithms of 3 points",
        "tt_25C",
    ] {
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
    let rows = records(
        &place,
        &["memory", "show", "toy.yaml", "--at-voltage", "3.3"],
    );
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (number(&rows[0], "read_pj"), number(&rows[0], "delay_ns")),
        (301.0, 6.4)
    );
    assert_eq!(
        (number(&rows[0], "words"), number(&rows[0], "bits")),
        (64.0, 8.0)
    );
    assert_eq!(rows[0]["known_as"], "characterised");
    let text = String::from_utf8(place.read("toy.yaml")).unwrap();
    assert!(text.contains("source: toy_3.3.lib:"), "{text}");
    // outside: refused, unless asked for
    refused(
        &place,
        &["memory", "show", "toy.yaml", "--at-voltage", "1.5"],
        "voltage: expected 1.8000 to 5.0000 V",
    );
    let more = [
        "memory",
        "show",
        "toy.yaml",
        "--at-voltage",
        "1.5",
        "--extrapolate",
    ];
    assert_eq!(records(&place, &more)[0]["known_as"], "extrapolated");
    // another macro of the process, by its own scale
    let small = [
        "memory",
        "import",
        "toy_3.3.lib",
        "--laws-of",
        "toy.yaml",
        "--out",
        "small.yaml",
        "-q",
    ];
    place.done(&small);
    let rows = records(
        &place,
        &["memory", "show", "small.yaml", "--at-voltage", "1.8"],
    );
    assert!(
        (number(&rows[0], "delay_ns") / 16.125 - 1.0).abs() < 1e-6,
        "{rows:?}"
    );
    assert_eq!(rows[0]["known_as"], "assumed");
}

#[test]
fn wrong_files_and_flags_are_named() {
    let place = place();
    place.write(
        "other.lib",
        LIBERTY.replace("address_width : 6", "address_width : 7"),
    );
    place.write("broken.lib", &LIBERTY[..1000]);
    place.write("m.txt.gz", "");
    let import =
        |files: &[&'static str]| [&["memory", "import"][..], files, &["--out", "x.yaml"]].concat();
    refused(
        &place,
        &import(&["toy_1.8.lib", "toy_1.8.lib"]),
        "expected one file of tt_25C at 1.8 V",
    );
    refused(
        &place,
        &import(&["toy_1.8.lib", "broken.lib"]),
        "broken.lib:",
    );
    refused(
        &place,
        &import(&["m.txt.gz"]),
        "a name that ends in .lib (Liberty)",
    );
    refused(
        &place,
        &import(&["none.lib"]),
        "none.lib: not found (expected a Liberty file)",
    );
    refused(
        &place,
        &["sweep", "--memory", "gf180-512x8"],
        "a model with a failure curve: `gf180-512x8` gives energies alone",
    );
    refused(
        &place,
        &combine("cacti-22nm-hp-32kb", "x.yaml", &["--vmin", "0.8V"]),
        "expected --access-exponent, --leakage-exponent",
    );
    refused(
        &place,
        &combine("gf180-512x8", "x.yaml", &["--vmin", "1.2V"]),
        "`voltage.error_free`: expected a voltage from 1.8000",
    );
    refused(
        &place,
        &combine("gf180-512x8", "x.yaml", &["--map", "volts"]),
        "--map: expected `--vmin`",
    );
    refused(
        &place,
        &combine(FAILURES, "x.yaml", &["--vmin", "0.8V"]),
        "macro: expected a macro",
    );
    refused(
        &place,
        &["memory", "show", "gf180-512x8", "--at-ber", "0.1"],
        "--at-ber: expected a model with a failure curve",
    );
    refused(
        &place,
        &[
            "memory",
            "show",
            "gf180-512x8",
            "--at-voltage",
            "3.3",
            "--variant",
            "x",
        ],
        "variant: expected one of tt_25C",
    );
}

#[test]
fn a_sweep_says_where_energy_is_least_and_a_fixed_clock_leaves_voltages_out() {
    let place = place();
    place.write_model("m.safetensors", 4);
    let given = [&LAWS[..], &["--vmin", "0.8V"]].concat();
    place.done(&combine("cacti-22nm-hp-32kb", "hp.yaml", &given));
    place.done(&combine("cacti-22nm-lstp-32kb", "lstp.yaml", &given));
    let ended = place.done(&sweep("hp.yaml", "0.64,0.8", "hp", &[]));
    let expected = "the minimum-energy voltage is 0.64 V, below the first failing cell (0.8 V)";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let report = String::from_utf8(place.read("reports/hp/report.html")).unwrap();
    assert!(report.contains(expected) && report.contains("leakage goes with V^1, delay"));
    for part in [
        "macros of 4096 words of 64 bits",
        "figure-energy_terms",
        "<section id=\"objectives\">",
    ] {
        assert!(report.contains(part), "{part}");
    }
    let designs = String::from_utf8(place.read("results/hp/designs.csv")).unwrap();
    assert!(designs
        .lines()
        .next()
        .unwrap()
        .contains("inference_seconds"));
    // drawn again from what is stored
    place.done(&["pareto", "results/hp", "--out", "again", "-q"]);
    let again = String::from_utf8(place.read("reports/again/report.html")).unwrap();
    assert!(again.contains(expected));
    let ended = place.done(&sweep("lstp.yaml", "0.64,0.8", "lstp", &[]));
    assert!(
        ended
            .stderr
            .contains("no minimum-energy voltage down to 0.46 V"),
        "{}",
        ended.stderr
    );
    // a margin moves the failures alone, and what no network stands is named
    let margin = ["--margin", "10mV"];
    let ended = place.done(&sweep("hp.yaml", "0.5,0.66,0.8", "margin", &margin));
    for part in [
        "left out, as more than half of the bits fail: 0.5 V\n",
        "the minimum-energy voltage is 0.64 V, below the first failing cell (0.81 V)",
    ] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let memory = String::from_utf8(place.read("results/margin/memory_model.yaml")).unwrap();
    assert!(memory.starts_with("name: hp-margin-0.01\n"), "{memory}");
    refused(
        &place,
        &sweep("hp.yaml", "0.66,0.8", "x", &["--margin", "many"]),
        "--margin: expected a number above 0",
    );
    let explore = "explore --model m.safetensors --domains layers --memory hp.yaml".split(' ');
    let message = "memory: expected a memory model without a macro: domains share";
    refused(&place, &explore.collect::<Vec<_>>(), message);
    let fixed = [
        "--set",
        "energy.clock=fixed",
        "--set",
        "energy.period_ns=1.1",
    ];
    let ended = place.done(&sweep("hp.yaml", "0.64:0.8:0.02", "fixed", &fixed));
    for part in [
        "left out: 0.64 V (1.234 ns), 0.66 V (1.167 ns), 0.68 V (1.108 ns)",
        "the lowest feasible voltage, 0.7 V, is the cheapest",
    ] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let more = ["--set", "energy.clock=fixed"];
    refused(
        &place,
        &sweep("hp.yaml", "0.8", "x", &more),
        "energy.period_ns",
    );
    let more = ["--set", "energy.writes=1"];
    refused(
        &place,
        &sweep(FAILURES, "0.8", "x", &more),
        "energy.writes: expected to be left out",
    );
}
