//! Measurements are read as laboratories write them, and fitted.

use crate::program::Place;
use serde_json::Value;

const PLAIN: &str = "voltage,faults,cells\n0.54,7600,1000000\n0.55,2100,1000000\n0.56,480,1000000\n0.57,90,1000000\n\
                     0.58,12,1000000\n0.59,1,1000000\n0.6,0,1000000\n";

/// The fit of a file, and what was said.
#[track_caller]
fn fit(place: &Place, text: impl AsRef<[u8]>, more: &[&str]) -> (Value, String) {
    place.write("m.csv", text);
    let args = [
        "memory",
        "fit",
        "m.csv",
        "--out",
        "m.yaml",
        "--overwrite",
        "--format",
        "json",
    ];
    let ended = place.done(&[&args[..], more].concat());
    let fits: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    (fits[0].clone(), ended.stderr)
}

#[test]
fn other_forms_of_the_same_measurements_have_the_same_fit() {
    let place = Place::new();
    let plain = fit(&place, PLAIN, &[]).0;
    assert_eq!(plain["method"], "grouped_likelihood");
    let commas = PLAIN.replace(',', ";").replace("0.", "0,");
    let millivolts = ["0.54", "0.55", "0.56", "0.57", "0.58", "0.59"];
    let millivolts = millivolts
        .iter()
        .fold(PLAIN.replace("voltage", "Vdd [mV]"), |text, volts| {
            text.replace(
                volts,
                &format!("{}", (volts.parse::<f64>().unwrap() * 1e3).round()),
            )
        });
    let millivolts = millivolts.replace("\n0.6,", "\n600,");
    for text in [
        PLAIN.replace('\n', "\r\n"),
        PLAIN.replace("voltage,faults,cells", "Supply,Fail_Count,Bits"),
        PLAIN.replace("1000000", "1e6").replace(",480,", ",480.0,"),
        PLAIN.replace(',', "\t"),
        commas.clone(),
        format!(
            "\u{feff}{}",
            commas
                .replace("1000000", "1.000.000")
                .replace("7600", "7.600")
        ),
        millivolts,
    ] {
        let found = fit(&place, &text, &[]).0;
        for key in [
            "mu",
            "sigma",
            "mu_low",
            "sigma_high",
            "chi_square",
            "error_free",
        ] {
            assert_eq!(found[key], plain[key], "{key} of {text}");
        }
    }
    let more: String = PLAIN
        .lines()
        .map(|line| {
            format!(
                "{},{line},{}\n",
                if line.starts_with('v') { "chip" } else { "A" },
                if line.starts_with('v') { "T" } else { "25" }
            )
        })
        .collect();
    let (found, stderr) = fit(&place, more, &[]);
    assert_eq!(found["mu"], plain["mu"]);
    assert!(
        stderr.contains("columns that are not read: `chip`, `T`"),
        "{stderr}"
    );
}

#[test]
fn repeated_rising_and_unequal_counts_are_fitted_with_wider_intervals_and_a_warning() {
    let place = Place::new();
    for (rows, why) in [
        (
            "0.50,400,1000\n0.50,480,1000\n0.6,60,1000\n0.6,20,1000\n0.7,1,1000\n0.8,0,1000\n",
            "voltages are measured more than once",
        ),
        (
            "0.48,500,1000\n0.50,400,1000\n0.52,310,1000\n0.54,200,1000\n0.55,100,1000\n0.56,180,1000\n0.58,80,1000\n\
             0.6,50,1000\n0.7,1,1000\n0.8,0,1000\n",
            "more cells fail at a higher voltage (0.18 at 0.56 after 0.1 at 0.55)",
        ),
        (
            "0.50,400,1000\n0.55,100,1000\n0.6,7,5000\n0.7,1,9000\n0.8,0,9000\n",
            "the number of cells differs",
        ),
    ] {
        let (found, stderr) = fit(&place, format!("voltage,faults,cells\n{rows}"), &[]);
        assert_eq!(found["method"], "pooled_binomial");
        assert!(stderr.contains(&format!("warning: {why}")), "{stderr}");
        assert!(
            stderr.contains("intervals are widened by the dispersion"),
            "{stderr}"
        );
        let number = |key: &str| found[key].as_f64().unwrap();
        assert!(
            number("mu_widened_low") < number("mu_low")
                && number("mu_high") < number("mu_widened_high")
        );
        assert!(number("dispersion") > 1.0);
        place.done(&["memory", "show", "m.yaml"]);
        place.done(&[
            "memory",
            "fit",
            "m.csv",
            "--out",
            "m.yaml",
            "--overwrite",
            "--curve",
            "measured",
        ]);
        place.done(&["memory", "show", "m.yaml"]);
    }
    let rising = "voltage,ber\n0.54,7.6e-3\n0.55,2.1e-3\n0.56,2.2e-3\n0.57,9e-5\n";
    assert!(fit(&place, rising, &[])
        .1
        .contains("warning: more cells fail at a higher voltage"));
}

#[test]
fn whole_curves_are_fitted_and_their_models_end_at_one_half() {
    let place = Place::new();
    let whole = "voltage,faults,cells\n0.20,1000000,1000000\n0.40,1000000,1000000\n0.45,900000,1000000\n0.50,400000,1000000\n\
                 0.55,30000,1000000\n0.60,200,1000000\n0.65,0,1000000\n";
    for curve in ["gaussian", "measured"] {
        let (found, stderr) = fit(&place, whole, &["--curve", curve]);
        assert!(
            (found["mu"].as_f64().unwrap() - 0.4915).abs() < 1e-4,
            "{found}"
        );
        assert!(
            stderr.contains("3 of 7 rows have more than half of the cells failing"),
            "{stderr}"
        );
        assert!(place.read("m.svg").starts_with(b"<svg"));
        assert!(!String::from_utf8(place.read("m.svg"))
            .unwrap()
            .contains("inf"));
        place.done(&["memory", "show", "m.yaml"]);
        let below = place.run(&["memory", "show", "m.yaml", "--at-voltage", "0.4"]);
        assert!(
            below.code == Some(2) && below.stderr.contains("passes 0.5"),
            "{}",
            below.stderr
        );
    }
    place.write("m.csv", "voltage,flips,bits\n0.5,6,10\n0.6,1,10\n");
    let flips = place.run(&["memory", "fit", "m.csv", "--out", "n.yaml"]);
    assert!(
        flips.code == Some(2) && flips.stderr.contains("half of the bits"),
        "{}",
        flips.stderr
    );
}

#[test]
fn many_rows_are_read_and_bounded_by_the_size_of_the_file() {
    let place = Place::new();
    let rows: String = (0..30_000u64)
        .map(|i| {
            format!(
                "{:.2},{},100000\n",
                0.5 + (i % 5) as f64 * 0.05,
                [4000, 900, 90, 6, 0][(i % 5) as usize] + i % 3
            )
        })
        .collect();
    let (found, stderr) = fit(
        &place,
        format!("voltage,faults,cells\n{rows}"),
        &["--error-free", "0.8"],
    );
    assert_eq!(
        (&found["voltages"], &found["method"]),
        (&5.into(), &"pooled_binomial".into())
    );
    assert!(stderr.contains("30000 rows at 5 voltages"), "{stderr}");
    place.write(
        "m.csv",
        format!("voltage,ber\n{}", "0.5,0.1\n".repeat(600_000)),
    );
    let large = place.run(&["memory", "fit", "m.csv", "--out", "n.yaml"]);
    assert!(
        large.code == Some(2) && large.stderr.contains("of at most 4194304 bytes"),
        "{}",
        large.stderr
    );
}
