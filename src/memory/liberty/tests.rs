//! Facts that Liberty files hold: their form, and what a macro says.

use super::*;

const ACTIVE_LOW: &str = include_str!("../../../tests/liberty/active_low.lib");
const TWO_PORTS: &str = include_str!("../../../tests/liberty/two_ports.lib");

fn corner(text: &str) -> Result<Corner> {
    Corner::parse(Path::new("toy.lib"), text)
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
}

#[test]
fn a_macro_whose_pins_act_at_0_is_read() {
    let found = corner(ACTIVE_LOW).unwrap();
    assert_eq!(
        (found.words, found.bits, found.process.as_str()),
        (64, 8, "tt")
    );
    assert_eq!(
        (found.voltage.get(), found.temperature_c, found.area),
        (1.8, 25.0, Some(100_571.5))
    );
    // the larger edge of the first value; the write is not the group that comes first by size
    assert_eq!((found.read_pj.value.get(), found.read_pj.line), (84.25, 71));
    assert_eq!(found.write_pj.value.get(), 92.5);
    // 8.0625e-5 mW
    near(found.leakage_nw.value.get(), 80.625);
    assert_eq!(
        (found.delay_ns.value.get(), found.delay_at),
        (16.125, vec![0.02, 0.01])
    );
    assert_eq!(found.clocks, ["CLK", "CLK"]);
}

#[test]
fn a_port_is_read_while_the_other_and_the_test_rest() {
    let found = corner(TWO_PORTS).unwrap();
    // 64 words can be told apart, of which the name says 40
    assert_eq!(
        (found.words, found.bits, found.process.as_str()),
        (40, 16, "slow")
    );
    assert_eq!((found.voltage.get(), found.temperature_c), (1.08, -40.0));
    // 1000 fF · (1 mV)² is 1e-6 pJ; two rails add up; write-through is no read
    near(found.read_pj.value.get(), 24.5);
    near(found.write_pj.value.get(), 29.0);
    near(found.leakage_nw.value.get(), 451.2);
    near(found.delay_ns.value.get(), 4.105);
    assert_eq!(found.clocks, ["A_CLK", "A_CLK"]);
}

#[test]
fn units_are_checked() {
    for (from, to, key) in [
        ("\"1mW\"", "\"1mV\"", "leakage_power_unit"),
        ("\"1mW\"", "\"mW\"", "leakage_power_unit"),
        ("\"1ns\"", "\"1\"", "time_unit"),
        ("(1,pf)", "(1)", "capacitive_load_unit"),
        ("voltage_unit            : \"1V\";", "", "voltage_unit"),
    ] {
        let error = corner(&ACTIVE_LOW.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("`{key}`")) && error.contains("a unit such as"),
            "{error}"
        );
    }
}

#[test]
fn what_is_lacking_or_ambiguous_is_named_with_its_line() {
    for (from, to, expected) in [
        (
            "cell_leakage_power : 8",
            "leak : 8",
            "toy.lib:24: `cell_leakage_power`: expected the leakage of the macro",
        ),
        (
            "when : \"!CEN & GWEN\"",
            "when : \"!CEN & GWEN & CEN\"",
            "whose condition holds in a read, found `!CEN & !GWEN",
        ),
        (
            "when : \"!CEN & GWEN\"",
            "when : \"!CEN & & GWEN\"",
            "`when`: expected the name of a pin",
        ),
        (
            "when : \"CEN\"",
            "when : \"!CEN\"",
            "expected one energy of this operation; line",
        ),
        (
            "clock                : true",
            "clock : false",
            "`clock`: expected a pin with `clock : true`",
        ),
        ("8.0625e-05", "-8.0625e-05", "expected a number above 0"),
        (
            "84.25, 85",
            "inf, 85",
            "`values`: expected a number, found `inf, 85`",
        ),
        (
            "rising_edge",
            "combinational",
            "`timing`: expected `cell_rise` or `cell_fall` from `CLK` to an output",
        ),
        (
            "address_width : 6",
            "address_width : 60",
            "expected a whole number from 1 to 40, found 60",
        ),
        (
            "nom_voltage             : 1.8",
            "nom_voltage : 1800",
            "expected a number above 0 and at most 100, found 1800",
        ),
    ] {
        assert!(ACTIVE_LOW.contains(from), "{from}");
        let error = corner(&ACTIVE_LOW.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{from} to {to}: {error}");
    }
}

#[test]
fn a_text_that_is_no_liberty_is_refused_at_its_line() {
    let deep = format!("library(a) {{{}", "b(c) {".repeat(100));
    for (text, expected) in [
        ("", "toy.lib: expected one `library(...) { ... }`"),
        (
            "library(a) { } library(b) { }",
            "toy.lib: expected one `library(...) { ... }`",
        ),
        (
            "library(a) {\n b : 1;\n",
            "toy.lib:3: expected `}` for the group of line 1, found the end of the file",
        ),
        (
            "library(a) {\n b \n}",
            "toy.lib:3: expected `:` or `(` after `b`",
        ),
        (
            "library(a) {\n c(\"d\n",
            "toy.lib:2: expected a text that ends in a quote",
        ),
        (
            "/* library(a) {}",
            "toy.lib:1: expected a comment that ends in `*/`",
        ),
        (
            "library(a) { c(d { } }",
            "toy.lib:1: expected values that end in `)`",
        ),
        ("library(a) { = }", "expected `:` or `(` after `=`"),
        (
            "}",
            "toy.lib:1: expected the name of an attribute or group, found `}`",
        ),
        (&deep, "expected groups at most 16 deep"),
        (
            "library(a) { }",
            "`cell`: expected one cell with a group `memory`, found 0 cells, 0 of them memories",
        ),
    ] {
        let error = corner(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn values_end_with_semicolon_line_or_brace() {
    let path = Path::new("toy.lib");
    let text = "library(l) { a : 1; b : two words\n c : \"x;y\" d (1, \"2, 3\") e : 4 } // end\n";
    let library = parse(path, text).unwrap();
    let values = |name: &str| library.attribute(name).unwrap().values.clone();
    assert_eq!(values("a"), ["1"]);
    assert_eq!(values("b"), ["two words"]);
    assert_eq!(values("c"), ["x;y"]);
    assert_eq!(values("d"), ["1", "2, 3"]);
    assert_eq!(values("e"), ["4"]);
}

/// The files of two foundries, where they lie beside the repository.
#[test]
fn foundry_files_give_the_expected_numbers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/memory");
    let Ok(expected) = std::fs::read_to_string(folder.join("expected.csv")) else {
        return;
    };
    let mut files = 0;
    for line in expected.lines().skip(1) {
        let (file, numbers) = line.split_once(',').unwrap();
        let numbers: Vec<f64> = numbers
            .split(',')
            .map(|number| number.parse().unwrap())
            .collect();
        let found = Corner::read(&folder.join("liberty").join(file)).unwrap();
        let found = [
            found.voltage.get(),
            found.temperature_c,
            found.words as f64,
            f64::from(found.bits),
            found.read_pj.value.get(),
            found.write_pj.value.get(),
            found.leakage_nw.value.get(),
            found.delay_ns.value.get(),
        ];
        for (found, expected) in found.into_iter().zip(&numbers) {
            assert!(
                (found - expected).abs() <= 5e-5 * expected.abs(),
                "{file}: {found} is not {expected}"
            );
        }
        files += 1;
    }
    assert_eq!(files, 24);
}
