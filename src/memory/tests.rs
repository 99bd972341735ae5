//! Facts that memory models hold: the published numbers, sources at their boundaries, inversion.

use super::*;
use crate::stats::{normal_cdf, probit};
use std::path::Path;

fn model(name: &str) -> MemoryModel {
    builtin(name).unwrap()
}

fn finfet() -> MemoryModel {
    model("sram-14nm-chandramoorthy2019")
}

fn volts(v: f64) -> Voltage {
    Voltage::new(v).unwrap()
}

fn ber(p: f64) -> Ber {
    Ber::new(p).unwrap()
}

fn with_rate(rate: &str) -> MemoryModel {
    let text = format!(
        "name: t\ntitle: t\nsource: t\nvoltage: {{ unit: volt, error_free: 1.0, reference: t }}\n\
         bit_error_rate: {{ {rate} }}\n\
         energy: {{ access: {{ at: 0.5, exponent: 2.0, picojoule_per_bit: 0.4, source: t }}, leakage: null }}\n\
         faults: {{ kind: flip, persistent_share: 1.0 }}\n\
         array: {{ rows: 8, columns: 8, word_bits: 8, column_correlation: 0.0, bank_correlation: 0.0 }}\n"
    );
    MemoryModel::parse(std::path::Path::new("t.yaml"), &text).unwrap()
}

#[test]
fn one_per_cent_of_errors_saves_thirty_per_cent_of_the_energy() {
    let model = finfet();
    let voltage = model.voltage_at_ber(ber(0.01)).unwrap();
    assert!((voltage.get() - 0.834).abs() < 0.002, "{voltage}");
    let point = model.at(voltage).unwrap();
    assert!((point.ber.get() - 0.01).abs() < 1e-9);
    assert!(
        (point.access_energy_relative - 0.696).abs() < 0.004,
        "{point:?}"
    );
    assert_eq!(point.ber_source, BerSource::Measured);
}

#[test]
fn the_14_nm_table_is_met() {
    let model = finfet();
    for (v, p, e) in [
        (0.750, 2.0559e-1, 0.5625),
        (0.792, 5.5729e-2, 0.6267),
        (0.833, 1.1150e-2, 0.6944),
        (0.875, 1.2900e-3, 0.7656),
        (0.917, 6.8660e-5, 0.8403),
        (0.958, 1.9070e-6, 0.9184),
        (1.000, 0.0, 1.0),
    ] {
        let point = model.at(volts(v)).unwrap();
        assert_eq!(point.ber.get(), p);
        // the published voltages are rounded to three places, the energies come from exact 24ths
        assert!(
            (point.access_energy_relative - e).abs() < 1e-3,
            "{v}: {}",
            point.access_energy_relative
        );
    }
    assert!((model.access_energy(volts(0.833)) - 0.6945).abs() < 1e-3);
}

/// Method, section 3: a straight line in probit space through the 14 nm data has μ 0.7056, σ 0.0552.
#[test]
fn a_straight_probit_line_fits_the_14_nm_data() {
    let points = finfet().measured_points();
    let (xs, ys): (Vec<f64>, Vec<f64>) = points
        .iter()
        .map(|(v, p)| (v.get(), probit(p.get())))
        .unzip();
    let n = xs.len() as f64;
    let (x, y) = (xs.iter().sum::<f64>() / n, ys.iter().sum::<f64>() / n);
    let slope = xs
        .iter()
        .zip(&ys)
        .map(|(a, b)| (a - x) * (b - y))
        .sum::<f64>()
        / xs.iter().map(|a| (a - x).powi(2)).sum::<f64>();
    let (mu, sigma) = (x - y / slope, -1.0 / slope);
    assert!(
        (mu - 0.7056).abs() < 5e-4 && (sigma - 0.0552).abs() < 5e-4,
        "{mu} {sigma}"
    );
    for (v, p) in points {
        let decades = (normal_cdf((mu - v.get()) / sigma) / p.get()).log10();
        assert!(decades.abs() < 0.11, "{v}: {decades}");
    }
}

#[test]
fn rates_of_28_nm_are_counts_over_cells() {
    let (vc707, kc705b) = (
        model("sram-28nm-vc707-salami2018"),
        model("sram-28nm-kc705b-salami2018"),
    );
    assert_eq!(
        vc707.at(volts(0.54)).unwrap().ber.get(),
        23706.0 / (2060.0 * 16384.0)
    );
    assert_eq!(
        kc705b.at(volts(0.53)).unwrap().ber.get(),
        2274.0 / (890.0 * 16384.0)
    );
    assert_eq!(
        (vc707.unit, vc707.measured_points().len()),
        (VoltageUnit::Volt, 7)
    );
    assert_eq!(
        (
            kc705b.array.column_correlation,
            kc705b.array.bank_correlation
        ),
        (0.51, 0.05)
    );
    assert_eq!(kc705b.array.bank_cells(), 16384);
}

#[test]
fn sources_change_exactly_at_their_boundaries() {
    let model = finfet();
    let source = |v: f64| model.at(volts(v)).unwrap().ber_source;
    for (boundary, below, at) in [
        (0.750, BerSource::Extrapolated, BerSource::Measured),
        (1.0, BerSource::Censored, BerSource::ErrorFree),
    ] {
        assert_eq!((source(boundary - 1e-9), source(boundary)), (below, at));
    }
    assert_eq!(
        (source(0.958), source(0.958 + 1e-9)),
        (BerSource::Measured, BerSource::Censored)
    );
    assert_eq!(source(1.3), BerSource::ErrorFree);
    assert_eq!(model.at(volts(1.3)).unwrap().ber, Ber::ZERO);
}

#[test]
fn rates_fall_and_energy_rises_with_the_voltage() {
    for name in names() {
        let points = model(name).curve(500).unwrap();
        assert_eq!(points.len(), 500);
        for pair in points.windows(2) {
            assert!(pair[0].voltage < pair[1].voltage);
            assert!(pair[0].ber >= pair[1].ber, "{name}: {pair:?}");
            assert!(pair[0].access_energy_relative < pair[1].access_energy_relative);
        }
        let (first, last) = (points[0], points[499]);
        assert!(
            first.ber.get() > 0.0 && last.ber_source == BerSource::ErrorFree,
            "{name}"
        );
    }
}

#[test]
fn a_rate_that_would_pass_one_half_is_refused() {
    let model = finfet();
    let lowest = model.voltage_at_ber(ber(0.5)).unwrap().get();
    assert!((0.69..0.72).contains(&lowest), "{lowest}");
    assert!(model.at(volts(lowest + 1e-6)).is_ok());
    let error = model.at(volts(lowest - 1e-6)).unwrap_err().to_string();
    let start = format!(
        "voltage: expected at least {lowest:.4} V/Vmin (below, the bit error rate of {} passes 0.5), found ",
        model.name
    );
    assert!(error.starts_with(&start), "{error}");
    let error = model.voltage_at_ber(ber(0.51)).unwrap_err().to_string();
    assert_eq!(error, "bit error rate: expected 0 to 0.5, found 0.51");
}

#[test]
fn voltage_at_a_rate_inverts_the_rate_at_a_voltage() {
    for name in names() {
        let model = model(name);
        for p in [0.3, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 7e-6] {
            let voltage = model.voltage_at_ber(ber(p)).unwrap();
            if model.check_reach(voltage).is_err() {
                continue; // the macro of a combination is not known there
            }
            if voltage < model.error_free {
                let found = model.at(voltage).unwrap().ber.get();
                assert!((found / p - 1.0).abs() < 1e-9, "{name}: {p} gives {found}");
            } else {
                // no voltage below has so low a rate
                let near = volts(model.error_free.get() - 1e-9);
                assert!(model.at(near).unwrap().ber.get() > p, "{name}: {p}");
            }
        }
        assert_eq!(model.voltage_at_ber(Ber::ZERO).unwrap(), model.error_free);
        assert_eq!(model.voltage_at_ber(ber(1e-200)).unwrap(), model.error_free);
    }
}

#[test]
fn a_flat_end_has_no_lowest_voltage() {
    let flat = with_rate("points: [[0.5, 0.1], [0.6, 0.1], [0.7, 0.01], [0.8, 0.01]]");
    assert_eq!(
        flat.at(volts(0.3)).unwrap().ber_source,
        BerSource::Extrapolated
    );
    assert_eq!(flat.voltage_at_ber(ber(0.1)).unwrap().get(), 0.5);
    assert_eq!(flat.voltage_at_ber(ber(0.001)).unwrap(), flat.error_free);
    let error = flat.voltage_at_ber(ber(0.2)).unwrap_err().to_string();
    assert_eq!(
        error,
        "bit error rate: expected a rate that t reaches at some voltage above 0, found 0.2"
    );
    assert_eq!(flat.curve(50).unwrap().len(), 50);
}

#[test]
fn a_gaussian_is_one_line_and_measured_where_it_says() {
    let all = with_rate("gaussian: { mu: 0.5, sigma: 0.05 }");
    let some = with_rate("gaussian: { mu: 0.5, sigma: 0.05, measured_span: [0.6, 0.7] }");
    for (v, source) in [
        (0.55, BerSource::Extrapolated),
        (0.6, BerSource::Measured),
        (0.7, BerSource::Measured),
        (0.75, BerSource::Censored),
    ] {
        let (all, some) = (all.at(volts(v)).unwrap(), some.at(volts(v)).unwrap());
        assert!((all.ber.get() / normal_cdf((0.5 - v) / 0.05) - 1.0).abs() < 1e-12);
        assert_eq!(
            (all.ber, all.ber_source, some.ber_source),
            (some.ber, BerSource::Measured, source)
        );
    }
    assert!(all.at(volts(0.49)).is_err());
    assert!(all.measured_points().is_empty());
}

#[test]
fn the_exponential_law_follows_the_energy() {
    let model = model("exponential-henwood2020");
    let point = model.at(volts(0.7)).unwrap();
    assert!((point.access_energy_relative - 0.49).abs() < 1e-12);
    assert!((point.ber.get() - (-12.0f64 * 0.49).exp()).abs() < 1e-12);
    assert!(model.at(volts(0.1)).is_err());
}

#[test]
fn picojoules_refer_to_their_own_voltage() {
    let model = with_rate("gaussian: { mu: 0.5, sigma: 0.05 }");
    assert!((model.access_energy_pj(volts(0.5)).unwrap() - 0.4).abs() < 1e-12);
    assert!((model.access_energy_pj(volts(1.0)).unwrap() - 1.6).abs() < 1e-12);
    assert_eq!(model.access_energy(volts(1.0)), 1.0);
    assert_eq!(finfet().access_energy_pj(volts(1.0)), None);
}

#[test]
fn units_are_never_mixed() {
    let model = finfet();
    let voltage = volts(0.85);
    assert_eq!(model.voltage_in_unit(voltage, None).unwrap(), voltage);
    assert_eq!(
        model
            .voltage_in_unit(voltage, Some(VoltageUnit::Vmin))
            .unwrap(),
        voltage
    );
    let error = model
        .voltage_in_unit(voltage, Some(VoltageUnit::Volt))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "unit of voltage: expected `vmin`, that of sram-14nm-chandramoorthy2019 (lowest voltage with no failure \
         in 32 arrays of 512x64), found 0.85 `volt`"
    );
    assert_eq!(
        model.voltages("0.85vmin, 0.85, 0.8:0.9:0.05").unwrap(),
        [0.8, 0.85, 0.9].map(volts)
    );
    assert!(model.voltages("0.85V").is_err());
}

#[test]
fn a_margin_moves_failures_and_no_energy() {
    let memory = model("combination-14nm-cacti-22nm-hp");
    let moved = memory.with_margin("20mV").unwrap();
    assert_eq!(moved.name, "combination-14nm-cacti-22nm-hp-margin-0.02");
    assert_ne!(moved.checksum, memory.checksum);
    assert!(moved
        .inferred
        .as_ref()
        .unwrap()
        .ends_with("fail 0.02 V earlier."));
    assert_eq!(moved.error_free, volts(0.82));
    for volt in [0.62, 0.66, 0.7, 0.78] {
        let (own, other) = (
            memory.at(volts(volt)).unwrap(),
            moved.at(volts(volt + 0.02)).unwrap(),
        );
        assert!(
            (own.ber.get() / other.ber.get() - 1.0).abs() < 1e-6,
            "{volt}"
        );
        assert_eq!(memory.sram_at(volts(volt)), moved.sram_at(volts(volt)));
    }
    let message =
        |memory: &MemoryModel, margin| memory.with_margin(margin).unwrap_err().to_string();
    let refused = |margin, expected: &str| {
        let message = message(&memory, margin);
        let start = format!("--margin (faults.margin): expected {expected}");
        assert!(message.starts_with(&start), "{message}");
        assert!(message.ends_with(&format!("found `{margin}`")), "{message}");
    };
    refused("0.02vmin", "`volt`");
    refused("-1", "a number above 0");
    assert!(message(&model("exponential-henwood2020"), "0.1").contains("no voltage to shift"));
    let relative = finfet().with_margin("0.05").unwrap();
    assert_eq!(relative.error_free, volts(1.05));
}

#[test]
fn cells_that_lose_their_bit_at_rest_fail_beside_the_others() {
    let plain = model("combination-14nm-cacti-22nm-hp");
    let standby = "standby: { at: 0.56, hold_failures: 1.0e-3, source: test }\n";
    let memory = MemoryModel::parse(Path::new("m.yaml"), &(plain.text.clone() + standby)).unwrap();
    let rate = |memory: &MemoryModel, volt| memory.at(volts(volt)).unwrap().ber.get();
    assert_eq!(rate(&memory, 0.8), 0.0);
    let mut before = 0.0;
    for volt in [0.79, 0.75, 0.7, 0.65, 0.6, 0.57] {
        let (own, accessed) = (rate(&memory, volt), rate(&plain, volt));
        assert!((own - (1.0 - (1.0 - accessed) * (1.0 - 1e-3))).abs() < 1e-15);
        // cells that fail at a voltage are among those that fail at a lower one
        assert!(own > before, "{volt}");
        before = own;
        let found = memory.voltage_at_ber(ber(own)).unwrap();
        assert!((found.get() - volt).abs() < 1e-6, "{volt}: {found}");
    }
    assert_eq!(memory.voltage_at_ber(ber(5e-4)).unwrap(), memory.error_free);
    let message = |text: String| {
        MemoryModel::parse(Path::new("m.yaml"), &text)
            .unwrap_err()
            .to_string()
    };
    for (old, new, expected) in [
        ("0.56", "0.8", "`standby.at`: expected a voltage from 0.4500, at which the macro is known, to below 0.8"),
        ("0.56", "0.3", "`standby.at`"),
        ("1.0e-3", "0.5", "`standby.hold_failures`: expected a fraction below 0.5"),
        ("1.0e-3", "-1.0", "hold_failures`"),
        ("test", "''", "`standby.source`: expected some text"),
    ] {
        let found = message(plain.text.clone() + &standby.replacen(old, new, 1));
        assert!(found.contains(expected), "{found}");
    }
    assert!(message(finfet().text + standby)
        .contains("`standby`: expected no such key without `energy.macro`"));
}
