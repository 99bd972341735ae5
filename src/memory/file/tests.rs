//! Facts that reading holds: what is accepted, and the message of everything that is not.

use super::*;
use crate::memory::LeakageFactor;

const GOOD: &str = r#"name: good
title: A memory
source: "nowhere"
voltage: { unit: vmin, error_free: 1.0, reference: "tests" }
bit_error_rate:
  points: [[0.7, 1e-1], [0.8, 1e-3],
           [0.9, 1e-6]]
energy:
  access: { at: 1.0, exponent: 2.0, picojoule_per_bit: null }
  leakage: null
faults: { kind: flip, persistent_share: 1.0 }
array: { rows: 512, columns: 64, word_bits: 64, column_correlation: 0.0, bank_correlation: 0.0 }
protection: { robust_cell: { energy_factor: 1.3, area_factor: 1.4, source: "tests" } }
"#;

fn parse(text: &str) -> Result<MemoryModel> {
    MemoryModel::parse(Path::new("m.yaml"), text)
}

/// The good file with one piece replaced.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

/// The good file with another bit error rate.
fn with_rate(rate: &str) -> String {
    let (start, end) = (GOOD.find("  points").unwrap(), GOOD.find("energy").unwrap());
    format!("{}  {rate}\n{}", &GOOD[..start], &GOOD[end..])
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_good_file_is_read_whole() {
    let model = parse(GOOD).unwrap();
    assert_eq!(
        (model.name.as_str(), model.unit, model.error_free.get()),
        ("good", VoltageUnit::Vmin, 1.0)
    );
    assert_eq!(model.fault_kind, FaultKind::Flip);
    assert_eq!((model.array.rows, model.array.columns), (512, 64));
    let cell = model.robust_cell.unwrap();
    assert_eq!(
        (cell.energy_factor.get(), cell.area_factor.get()),
        (1.3, 1.4)
    );
    assert_eq!(model.checksum, sha256(GOOD.as_bytes()));
    assert_eq!(model.measured, None);
}

fn leaking(picowatt: f64) -> String {
    format!(
        "leakage: {{ at: 0.8, picowatt_per_bit: {picowatt:?}, exponent: 3.0, source: \"leaks\" }}"
    )
}

/// The good file with an absolute energy and leakage.
fn absolute(picowatt: f64) -> String {
    let absolute = with(
        "picojoule_per_bit: null",
        "picojoule_per_bit: 0.5, source: \"chip\"",
    );
    absolute.replacen("leakage: null", &leaking(picowatt), 1)
}

#[test]
fn leakage_is_read_beside_an_absolute_energy_and_falls_with_the_voltage() {
    let model = parse(&absolute(2.0).replacen("1.4", "1.4, leakage_factor: 1.2", 1)).unwrap();
    assert_eq!(
        (
            model.access.picojoule_per_bit.map(f64::from),
            model.access.source.as_deref()
        ),
        (Some(0.5), Some("chip"))
    );
    assert_eq!(
        model.robust_cell.unwrap().leakage_factor,
        LeakageFactor::new(1.2).ok()
    );
    let leakage = model.leakage.unwrap();
    assert_eq!(
        (leakage.source.as_str(), leakage.picowatt(0.8)),
        ("leaks", 2.0)
    );
    assert!((leakage.picowatt(0.4) - 0.25).abs() < 1e-12);
}

#[test]
fn wrong_leakage_is_named_with_its_line() {
    for (old, new, expected) in [
        (
            "picowatt_per_bit: 2.0",
            "picowatt_per_bit: 0",
            "picowatt_per_bit`: expected a number above 0, found 0",
        ),
        (
            "exponent: 3.0",
            "exponent: 21",
            "exponent`: expected a number above 0 and at most 20 (exponent), found 21",
        ),
        (
            "at: 0.8",
            "at: .nan",
            "at`: expected a number above 0 and at most 100 (voltage), found NaN",
        ),
        (
            "source: \"leaks\"",
            "source: \"\"",
            "source`: expected some text, found none",
        ),
    ] {
        let text = absolute(2.0).replacen(old, new, 1);
        assert_eq!(
            message(&text),
            format!("m.yaml:10: `energy.leakage.{expected}")
        );
    }
    let text = absolute(2.0).replacen("leakage: {", "leakage: { watt: 3,", 1);
    assert!(message(&text).starts_with(
        "m.yaml:10: `energy.leakage.watt`: expected one of the keys `at`, `picowatt_per_bit`"
    ));
    for factor in ["0", "-1", "101", ".inf"] {
        let text = absolute(2.0).replacen("1.4", &format!("1.4, leakage_factor: {factor}"), 1);
        assert!(message(&text)
            .starts_with("m.yaml:13: `protection.robust_cell.leakage_factor`: expected a number"));
    }
}

#[test]
fn notes_and_protection_are_optional() {
    let noted = format!("{GOOD}measured: a\ninferred: b\nlicense: c\n");
    let model = parse(&noted).unwrap();
    assert_eq!(
        [model.measured, model.inferred, model.license].map(Option::unwrap),
        ["a", "b", "c"]
    );
    let bare = &GOOD[..GOOD.find("protection").unwrap()];
    assert_eq!(parse(bare).unwrap().robust_cell, None);
}

#[test]
fn stuck_faults_have_a_share_of_ones() {
    let model = parse(&with("kind: flip", "kind: stuck, zero_to_one_share: 0.25")).unwrap();
    let FaultKind::Stuck { zero_to_one_share } = model.fault_kind else {
        panic!("{:?}", model.fault_kind)
    };
    assert_eq!(zero_to_one_share.get(), 0.25);
}

#[test]
fn counts_become_rates_and_none_seen_is_no_point() {
    let model = parse(&with_rate(
        "counts: { cells: 1000, faults: [[0.6, 100], [0.7, 10], [0.8, 0]] }",
    ))
    .unwrap();
    let points: Vec<_> = model
        .measured_points()
        .iter()
        .map(|(v, p)| (v.get(), p.get()))
        .collect();
    assert_eq!(points, [(0.6, 0.1), (0.7, 0.01)]);
}

#[test]
fn every_key_but_the_optional_ones_is_required() {
    for (key, piece, line) in [
        ("name", "name: good\n", 1),
        ("voltage.unit", "unit: vmin, ", 4),
        ("voltage.reference", ", reference: \"tests\"", 4),
        ("energy.leakage", "  leakage: null\n", 8),
        (
            "energy.access.picojoule_per_bit",
            ", picojoule_per_bit: null",
            9,
        ),
        ("faults.persistent_share", ", persistent_share: 1.0", 11),
        ("array.word_bits", "word_bits: 64, ", 12),
        ("protection.robust_cell.source", ", source: \"tests\"", 13),
    ] {
        assert_eq!(
            message(&with(piece, "")),
            format!("m.yaml:{line}: `{key}`: expected a value, found none")
        );
    }
}

#[test]
fn what_yaml_refuses_is_named_with_its_line() {
    for (text, start) in [
        (with("exponent: 2.0", "exponent: two"), "m.yaml:9: `energy.access.exponent`: expected a number, found the text `two`"),
        (with("unit: vmin", "unit: mV"), "m.yaml:4: `voltage.unit`: expected one of `vmin`, `volt`, found `mV`"),
        (with("rows: 512", "rows: -1"), "m.yaml:12: `array.rows`: expected a whole number from 0 to 4294967295, found "),
        (with("rows: 512", "rows: 1e99"), "m.yaml:12: `array.rows`: expected a whole number from 0 to 4294967295, found "),
        (with("exponent: 2.0", "exponent: 2.0, exponents: 2"), "m.yaml:9: `energy.access.exponents`: expected one of the keys `at`, `exponent`, `picojoule_per_bit`, `source`, found `exponents` (did you mean `exponent`?)"),
        (with("title:", "titel:"), "m.yaml:2: `titel`: expected one of the keys `name`, `title`, "),
        (with("title: A memory", "title: A memory\ntitle: B"), "m.yaml:3: `title`: expected each key once, found this key twice"),
        (with("voltage: {", "voltage: {{"), "m.yaml:"),
        (String::new(), "m.yaml:1: `name`: expected a value, found none"),
        ("just text".into(), "m.yaml:1: "),
        (with("[0.8, 1e-3]", "[0.8, 1e-3, 4]"), "m.yaml:6: `bit_error_rate.points.1`: expected a shorter list, found a list of 3 items"),
    ] {
        let message = message(&text);
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn what_parses_but_is_wrong_is_named_with_its_line() {
    let ber = "`bit_error_rate.points";
    for (old, new, expected) in [
        ("name: good", "name: a b", "1: `name`: expected 1 to 64 letters, digits, `-`, `_` or `.`, a letter, a digit or `_` first: it becomes part of names of results, found `a b`".to_owned()),
        ("A memory", "\" \"", "2: `title`: expected some text, found none".into()),
        ("error_free: 1.0", "error_free: .nan", "4: `voltage.error_free`: expected a number above 0 and at most 100 (voltage), found NaN".into()),
        ("error_free: 1.0", "error_free: 0.9", format!("7: {ber}.2`: expected a voltage below the error-free one (0.9), found 0.9")),
        ("1e-3]", "0.6]", format!("6: {ber}.1`: expected a bit error rate from 0 to 0.5, found 0.6")),
        ("1e-3]", ".nan]", format!("6: {ber}.1`: expected a bit error rate from 0 to 0.5, found NaN")),
        ("1e-6]", "-0.1]", format!("7: {ber}.2`: expected a bit error rate from 0 to 0.5, found -0.1")),
        ("1e-6]", "0.01]", format!("7: {ber}.2`: expected a bit error rate that does not rise with the voltage, so at most 0.001, found 0.01")),
        ("[0.9,", "[0.75,", format!("7: {ber}.2`: expected voltages in rising order, so above 0.8, found 0.75")),
        ("[0.9,", "[0.8,", format!("7: {ber}.2`: expected voltages in rising order, so above 0.8, found 0.8")),
        ("[0.9,", "[.inf,", format!("7: {ber}.2.0`: expected a number above 0 and at most 100 (voltage), found inf")),
        ("leakage: null", &leaking(1.0), "9: `energy.access.picojoule_per_bit`: expected a number beside `energy.leakage`: leakage is absolute and cannot be added to accesses whose energy is only relative, found null".into()),
        ("picojoule_per_bit: null", "picojoule_per_bit: 0.5", "9: `energy.access.source`: expected where the absolute energy `picojoule_per_bit` comes from, found none".into()),
        ("picojoule_per_bit: null", "picojoule_per_bit: 0.5, source: \" \"", "9: `energy.access.source`: expected some text, found none".into()),
        ("area_factor: 1.4", "area_factor: 1.4, leakage_factor: 1.2", "13: `protection.robust_cell.leakage_factor`: expected no such key beside `energy.leakage: null`, found 1.2".into()),
        ("at: 1.0", "at: 0", "9: `energy.access.at`: expected a number above 0 and at most 100 (voltage), found 0".into()),
        ("exponent: 2.0", "exponent: .inf", "9: `energy.access.exponent`: expected a number above 0 and at most 10 (exponent), found inf".into()),
        ("picojoule_per_bit: null", "picojoule_per_bit: -1, source: s", "9: `energy.access.picojoule_per_bit`: expected a number above 0, found -1".into()),
        ("persistent_share: 1.0", "persistent_share: 1.5", "11: `faults.persistent_share`: expected a number from 0 to 1 (fraction), found 1.5".into()),
        ("kind: flip", "kind: flip, zero_to_one_share: 0.5", "11: `faults.zero_to_one_share`: expected no such key for faults of kind `flip`, which invert the bit, found 0.5".into()),
        ("kind: flip", "kind: stuck", "11: `faults.zero_to_one_share`: expected the fraction of failing cells that read 1, for faults of kind `stuck`, found none".into()),
        ("kind: flip", "kind: stuck, zero_to_one_share: 1.5", "11: `faults.zero_to_one_share`: expected a number from 0 to 1 (fraction), found 1.5".into()),
        ("word_bits: 64", "word_bits: 7", "12: `array.word_bits`: expected a divisor or a multiple of the 64 columns, found 7".into()),
        ("column_correlation: 0.0", "column_correlation: 1", "12: `array.column_correlation`: expected 0 or more and below 1, found 1".into()),
        ("bank_correlation: 0.0", "bank_correlation: 0.1", "12: `array.bank_correlation`: expected 0 to the column correlation 0, found 0.1".into()),
        ("energy_factor: 1.3", "energy_factor: 0.9", "13: `protection.robust_cell.energy_factor`: expected a number from 1 to 100 (factor), found 0.9".into()),
    ] {
        assert_eq!(message(&with(old, new)), format!("m.yaml:{expected}"));
    }
}

#[test]
fn wrong_rates_are_named_with_their_line() {
    let one = "5: `bit_error_rate`: expected exactly one of points, counts, gaussian, exponential, found ";
    for (rate, expected) in [
        ("points: null", format!("{one}none of them")),
        ("points: [[0.7, 0.1], [0.8, 0.1]]\n  gaussian: { mu: 0.7, sigma: 0.1 }", format!("{one}points and gaussian")),
        ("points: []", "6: `bit_error_rate.points`: expected at least two voltages with failures, found 0".into()),
        ("points: [[0.7, 0.1], [0.8, 0]]", "6: `bit_error_rate.points`: expected at least two voltages with failures, found 1".into()),
        ("counts: { cells: 0, faults: [[0.7, 1]] }", "6: `bit_error_rate.counts.cells`: expected a whole number, 1 or more, found `0`".into()),
        ("counts: { cells: 10, faults: [[0.7, 6], [0.8, 1]] }", "6: `bit_error_rate.counts.faults.0`: expected a bit error rate from 0 to 0.5, found 0.6".into()),
        ("counts: { cells: 10, faults: [[0.7, 0], [0.8, 1]] }", "6: `bit_error_rate.counts.faults.1`: expected a bit error rate that does not rise with the voltage, so at most 0, found 0.1".into()),
        ("gaussian: { mu: 0.7, sigma: 0 }", "6: `bit_error_rate.gaussian.sigma`: expected a number above 0, found 0".into()),
        ("gaussian: { mu: 1.0, sigma: 0.1 }", "6: `bit_error_rate.gaussian`: expected a bit error rate below 0.5 at the error-free voltage (1), found 0.5".into()),
        ("gaussian: { mu: 0.7, sigma: 0.1, measured_span: [0.9, 0.8] }", "6: `bit_error_rate.gaussian.measured_span`: expected two rising voltages up to the error-free one (1), found [0.9, 0.8]".into()),
        ("gaussian: { mu: 0.7, sigma: 0.1, measured_span: [0.6, 0.8] }", "6: `bit_error_rate.gaussian.measured_span`: expected voltages with a bit error rate up to 0.5, found 0.8413".into()),
        ("exponential: { a: .nan, reference: 1.0 }", "6: `bit_error_rate.exponential.a`: expected a number above 0, found NaN".into()),
        ("exponential: { a: 0.1, reference: 1.0 }", "6: `bit_error_rate.exponential`: expected a bit error rate below 0.5 at the error-free voltage (1), found 0.904".into()),
    ] {
        let message = message(&with_rate(rate));
        assert!(message.starts_with(&format!("m.yaml:{expected}")), "{message}");
    }
}

#[test]
fn the_logic_of_secded_stands_beside_a_macro_and_has_a_source() {
    let text = include_str!("../../../memory_models/combination-14nm-cacti-22nm-hp.yaml");
    let start = text.find("protection:").unwrap_or(text.len());
    let of = |secded: &str| {
        format!(
            "{}protection: {{ secded: {{ {secded} }} }}\n",
            &text[..start]
        )
    };
    let given = "encode_pj: 0.25, check_pj: 0.5, source: a synthesis";
    let logic = parse(&of(given)).unwrap().secded.unwrap();
    assert_eq!((logic.encode_pj.get(), logic.check_pj.get()), (0.25, 0.5));
    for (old, new, expected) in [
        ("0.5", "0", "check_pj`: expected a number above 0, found 0"),
        (
            "0.25",
            ".nan",
            "encode_pj`: expected a number above 0, found NaN",
        ),
        (
            "a synthesis",
            "' '",
            "`protection.secded.source`: expected some text",
        ),
        (", check_pj: 0.5", "", "check_pj"),
        ("source", "sauce", "sauce"),
    ] {
        let found = message(&of(&given.replacen(old, new, 1)));
        assert!(found.contains(expected), "{found}");
    }
    let alone = with(
        "robust_cell: {",
        &format!("secded: {{ {given} }}, robust_cell: {{"),
    );
    assert!(
        message(&alone).contains("no such key without `energy.macro`"),
        "{}",
        message(&alone)
    );
}
