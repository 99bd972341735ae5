//! Facts that energies of words hold: units by hand, macros, clocks, and where the energy is least.

use super::*;
use crate::memory::{
    builtin, minimum, weight_memory_energy, CellAccess, Clock, Combination, Law, Laws,
    LayerProduct, MacroFile, MacroModel, Minimum, Naming, OperatingPoint, Place, SecdedLogic,
    Standby, VoltageMap,
};
use crate::units::{Ber, Positive};
use std::path::Path;

/// A macro of CACTI 7, 22 nm, 32 KB in words of 64 bits, `energy` objective: read and write in pJ, leakage in nW, delay
/// in ns at 0.8 V.
const HP: [f64; 4] = [1.77718, 9.34202, 2_874_840.0, 0.871118];
const LSTP: [f64; 4] = [1.90708, 9.51081, 572.287, 2.75532];
/// LeNet-5.
const WEIGHTS: [u64; 5] = [150, 2400, 48_000, 10_080, 840];

fn sram(numbers: [f64; 4]) -> MacroModel {
    let [read, write, leakage, delay] =
        numbers.map(|value| format!("{{ points: [{{ at: 0.8, value: {value}, source: test }}] }}"));
    let text = format!(
        "name: anchor\ntitle: CACTI 22 nm\nsource: test\nmacro:\n  words: 4096\n  bits: 64\n  variants:\n  - name: v\n    \
         process: hp\n    temperature_c: 26.85\n    read_pj: {read}\n    write_pj: {write}\n    leakage_nw: {leakage}\n    \
         delay_ns: {delay}\n"
    );
    MacroModel::parse(Path::new("anchor.yaml"), &text).unwrap()
}

fn laws(leakage: f64) -> Laws {
    Laws {
        read: Some(Law::power(2.0, "assumed")),
        write: Some(Law::power(2.0, "assumed")),
        leakage: Some(Law::power(leakage, "assumed")),
        delay: Some(Law::alpha_power(0.35, 1.3, "assumed")),
    }
}

/// Failures of the 14 nm model with energies of a macro that begins to fail at 0.8 V.
fn combined(numbers: [f64; 4], leakage: f64) -> MemoryModel {
    let (failures, energy) = (
        builtin("sram-14nm-chandramoorthy2019").unwrap(),
        sram(numbers),
    );
    let combination = Combination {
        failures: &failures,
        energy: &energy,
        variant: None,
        map: VoltageMap::Vmin(Voltage::new(0.8).unwrap()),
        laws: laws(leakage),
        extrapolate: false,
        margin: 0.0,
    };
    let naming = Naming {
        name: "both".into(),
        ..Naming::default()
    };
    combination.build(&naming, Path::new("both.yaml")).unwrap()
}

/// LeNet-5 in 4 bits at a voltage.
fn lenet(memory: &MemoryModel, voltage: f64) -> Vec<LayerAccess> {
    let voltage = Voltage::new(voltage).unwrap();
    let access_energy_relative = memory.access_energy(voltage);
    let point = OperatingPoint {
        access_energy_relative,
        voltage,
        ..memory.at(memory.error_free).unwrap()
    };
    let cells = vec![CellAccess {
        bits: 4.0,
        overhead_bits: 0.0,
        kind: CellKind::Usual,
        point,
    }];
    let product = LayerProduct {
        filters: 1,
        window: 1,
        outputs: 1,
    };
    let layer = |weights| LayerAccess {
        layer: format!("of {weights}"),
        weights,
        product,
        has_secded: false,
        cells: cells.clone(),
    };
    WEIGHTS.into_iter().map(layer).collect()
}

fn sums(energy: &Energy) -> (f64, f64) {
    let of =
        |pick: fn(&EnergyTerm) -> Option<f64>| energy.terms.iter().filter_map(pick).sum::<f64>();
    (of(|term| term.access_pj), of(|term| term.leakage_pj))
}

fn least(memory: &MemoryModel, spec: &EnergySpec) -> Minimum {
    let terms = weight_memory_energy(&lenet(memory, 0.7), memory, spec)
        .unwrap()
        .terms;
    minimum(&terms, 0.7, memory, spec).unwrap().unwrap()
}

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a / b - 1.0).abs() <= tolerance, "{a} is not {b}");
}

#[test]
fn picojoules_nanowatts_and_nanoseconds_by_hand() {
    let memory = combined(HP, 1.0);
    let energy =
        weight_memory_energy(&lenet(&memory, 0.8), &memory, &EnergySpec::default()).unwrap();
    // 61,470 weights of 4 bits are 3,842 words of 64; one macro of 4,096 leaks for as many cycles of 0.871118 ns
    let (access, leakage) = sums(&energy);
    near(access, 3842.0 * 1.77718, 1e-12);
    let joule = 2.87484e-3 * 3842.0 * 0.871118e-9;
    near(leakage, joule * 1e12, 1e-12);
    near(energy.seconds.unwrap(), 3842.0 * 0.871118e-9, 1e-12);
    near(energy.picojoule.unwrap(), access + leakage, 1e-12);
    // 8 bits are 7,684 words in two macros: twice the accesses, four times the leakage
    near(
        energy.relative,
        (access + leakage) / (7684.0 * 1.77718 + 4.0 * leakage),
        1e-12,
    );
    let of_terms: f64 = energy.terms.iter().map(|term| term.energy_relative).sum();
    near(of_terms, energy.relative, 1e-12);
}

#[test]
fn the_check_by_hand_of_the_design() {
    let spec = EnergySpec::default();
    let memory = combined(HP, 1.0);
    let found = least(&memory, &spec);
    assert_eq!((found.place, found.voltage), (Place::Inside, 0.64));
    near(found.access_pj, 4370.0, 1e-4);
    near(found.leakage_pj, 10_901.0, 1e-4);
    let words = found.in_words("m", &memory, &spec);
    for part in [
        "m: the minimum-energy voltage is 0.64 V, below the first failing cell (0.8 V), where the bit error rate is 4.2e-2.",
        "4,369.9 pJ of accesses and 10,901.5 pJ of leakage",
        "Assumed: access energy goes with V^2, leakage goes with V^1, delay goes with V / (V - 0.35 V)^1.3 (assumed).",
        "of the weight memory alone; a slower clock also makes the rest of the chip leak longer.",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let memory = combined(HP, 2.0);
    let found = least(&memory, &spec);
    assert_eq!((found.place, found.voltage), (Place::Inside, 0.54));
    assert!(found
        .in_words("m", &memory, &spec)
        .contains("where more than half of the bits fail"));
    let memory = combined(LSTP, 1.0);
    let found = least(&memory, &spec);
    assert_eq!((found.place, found.voltage), (Place::Lowest, 0.46));
    let words = found.in_words("m", &memory, &spec);
    assert!(
        words.starts_with("m: no minimum-energy voltage down to 0.46 V"),
        "{words}"
    );
    assert!(
        words.contains("% of the energy there") && words.contains("so lower is always cheaper"),
        "{words}"
    );
}

#[test]
fn a_fixed_clock_is_cheapest_at_its_lowest_feasible_voltage() {
    let memory = combined(HP, 1.0);
    // the delay is 1.0871 ns at 0.688 V
    let spec = EnergySpec {
        clock: Some(Clock::Fixed),
        period_ns: Positive::new(1.1).ok(),
        ..EnergySpec::default()
    };
    spec.check(false).unwrap();
    let found = least(&memory, &spec);
    assert_eq!((found.place, found.voltage), (Place::Feasible, 0.7));
    let words = found.in_words("m", &memory, &spec);
    assert!(
        words.contains("the lowest feasible voltage, 0.7 V, is the cheapest"),
        "{words}"
    );
    let energy = weight_memory_energy(&lenet(&memory, 0.7), &memory, &spec).unwrap();
    near(energy.seconds.unwrap(), 3842.0 * 1.1e-9, 1e-12);
    let error = weight_memory_energy(&lenet(&memory, 0.66), &memory, &spec)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("energy.period_ns: expected at least 1.16"),
        "{error}"
    );
}

#[test]
fn where_no_cell_fails_tolerating_faults_buys_nothing() {
    // a hundred times the leakage: the minimum lies above the first failing cell
    let memory = combined([1.77718, 9.34202, 2_874_840.0 * 100.0, 0.871118], 1.0);
    let found = least(&memory, &EnergySpec::default());
    assert!(
        found.voltage >= 0.8 && found.place == Place::Inside,
        "{found:?}"
    );
    let words = found.in_words("m", &memory, &EnergySpec::default());
    let expected = format!(
        "the minimum-energy voltage is {} V, where no cell fails: tolerating faults buys nothing here",
        found.voltage
    );
    assert!(words.contains(&expected), "{words}");
}

#[test]
fn the_minimum_of_a_formula_is_found() {
    // V²·a + V²/(V - 0.35)^1.3·b with exponent 1, on the grid by trying all
    let memory = combined(HP, 1.0);
    let at = |voltage: f64| {
        let delay = |v: f64| v / (v - 0.35f64).powf(1.3);
        let access = 3842.0 * 1.77718 * (voltage / 0.8).powi(2);
        access + 2.87484 * voltage / 0.8 * 3842.0 * 0.871118 * delay(voltage) / delay(0.8)
    };
    let grid = (23..80).map(|i| f64::from(i) * 0.02);
    let best = grid.min_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap();
    let found = least(&memory, &EnergySpec::default());
    near(found.voltage, best, 1e-12);
    near(found.access_pj + found.leakage_pj, at(best), 1e-9);
    assert!(at(found.near[0]) <= 1.01 * at(best) && at(found.near[0] - 0.02) > 1.01 * at(best));
}

#[test]
fn macros_writes_time_and_the_rest_of_the_chip_count_as_asked() {
    let memory = combined(HP, 1.0);
    let of = |spec: &EnergySpec| weight_memory_energy(&lenet(&memory, 0.8), &memory, spec).unwrap();
    let plain = EnergySpec::default();
    let (access, leakage) = sums(&of(&plain));
    let three = EnergySpec {
        macros: Some(3),
        ..plain.clone()
    };
    near(sums(&of(&three)).1, 3.0 * leakage, 1e-12);
    let gated = EnergySpec {
        unused: Some(Unused::Gated),
        ..three
    };
    near(sums(&of(&gated)).1, leakage, 1e-12);
    let few = EnergySpec {
        macros: Some(1),
        ..plain.clone()
    };
    near(sums(&of(&few)).1, leakage, 1e-12);
    let written = EnergySpec {
        writes: Some(1.0),
        ..plain.clone()
    };
    let found = sums(&of(&written));
    near(found.0, access + 3842.0 * 9.34202, 1e-12);
    near(found.1, 2.0 * leakage, 1e-12);
    // at half the delay's voltage law the time follows the delay from the error-free voltage
    let timed = EnergySpec {
        inference_seconds: Some(1e-3),
        ..plain.clone()
    };
    near(of(&timed).seconds.unwrap(), 1e-3, 1e-12);
    let slower = weight_memory_energy(&lenet(&memory, 0.64), &memory, &timed).unwrap();
    near(slower.seconds.unwrap(), 1e-3 * 1.233746249 / 0.871118, 1e-9);
    // an array on a rail of its own takes half of an access and a quarter of the leakage
    let railed = EnergySpec {
        array_energy_share: Fraction::new(0.5).ok(),
        array_leakage_share: Fraction::new(0.25).ok(),
        ..plain.clone()
    };
    let found = sums(&weight_memory_energy(&lenet(&memory, 0.4 * 1.6), &memory, &railed).unwrap());
    near(found.0, access * (0.5 * 0.64 + 0.5), 1e-9);
    near(
        found.1,
        leakage * (0.25 * 0.8 + 0.75) * 1.233746249 / 0.871118,
        1e-9,
    );
    // 2 mW over 3.347 us
    let rest = EnergySpec {
        rest_of_chip_mw: Positive::new(2.0).ok(),
        ..plain.clone()
    };
    let found = of(&rest);
    let term = found.terms.last().unwrap();
    assert_eq!(term.layer, "rest of the chip");
    near(term.leakage_pj.unwrap(), 2.0 * 3842.0 * 0.871118, 1e-12);
    let all: f64 = found.terms.iter().filter_map(EnergyTerm::picojoule).sum();
    near(all, found.picojoule.unwrap(), 1e-12);
    let halved = EnergySpec {
        rest_exponent: Some(2.0),
        ..rest
    };
    let found = weight_memory_energy(&lenet(&memory, 0.64), &memory, &halved).unwrap();
    near(
        found.terms.last().unwrap().leakage_pj.unwrap(),
        2.0 * 0.64 * 3842.0 * 1.233746249,
        1e-9,
    );
}

#[test]
fn options_of_macros_need_one_and_relative_energies_are_not_mixed_in() {
    let failures = builtin("sram-14nm-chandramoorthy2019").unwrap();
    let spec = EnergySpec {
        writes: Some(1.0),
        ..EnergySpec::default()
    };
    let error = spec.check_memory(&failures).unwrap_err().to_string();
    assert!(
        error.starts_with("energy.writes: expected to be left out: memory model `sram-14nm"),
        "{error}"
    );
    let text = combined(HP, 1.0).text;
    for (from, to, expected) in [
        (
            "picojoule_per_bit: null",
            "picojoule_per_bit: 0.5\n    source: test",
            "`energy.access.picojoule_per_bit`: expected null beside",
        ),
        (
            "  leakage: null",
            "  leakage: { at: 0.8, picowatt_per_bit: 1.0, exponent: 1.0, source: test }",
            "cannot be added",
        ),
        (
            "unit: volt",
            "unit: vmin",
            "`voltage.unit`: expected `volt` beside `energy.macro`",
        ),
        (
            "error_free: 0.8",
            "error_free: 1.7",
            "`voltage.error_free`: expected a voltage from 0.4500 to 1.6000",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let error = MemoryModel::parse(Path::new("m.yaml"), &text.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn voltages_at_which_the_macro_is_not_known_are_refused() {
    let memory = combined(HP, 1.0);
    let error = memory
        .at(Voltage::new(0.44).unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("voltage: expected 0.4500 to 1.6000 V"),
        "{error}"
    );
    let (failures, energy) = (builtin("sram-14nm-chandramoorthy2019").unwrap(), sram(HP));
    let bare = Combination {
        failures: &failures,
        energy: &energy,
        variant: None,
        map: VoltageMap::Vmin(Voltage::new(0.8).unwrap()),
        laws: Laws::default(),
        extrapolate: true,
        margin: 0.0,
    };
    let naming = Naming {
        name: "both".into(),
        ..Naming::default()
    };
    let refused = |combination: &Combination<'_>| {
        combination
            .build(&naming, Path::new("x.yaml"))
            .unwrap_err()
            .to_string()
    };
    let error = refused(&bare);
    let expected = "laws over voltage: expected --access-exponent, --leakage-exponent, --alpha and --threshold";
    assert!(error.starts_with(expected), "{error}");
    let volts = Combination {
        map: VoltageMap::Volts,
        ..bare.clone()
    };
    assert!(refused(&volts).contains("--map: expected `--vmin`"));
    let moved = Combination {
        laws: laws(1.0),
        margin: 0.05,
        ..bare
    };
    let model = moved.build(&naming, Path::new("x.yaml")).unwrap();
    assert_eq!(model.error_free.get(), 0.85);
    assert_eq!(model.measured_points()[0].0.get(), 0.65);
}

#[test]
fn the_worst_of_each_number_is_named() {
    let failures = builtin("sram-14nm-chandramoorthy2019").unwrap();
    let energy = crate::memory::open("gf180-512x8").unwrap().sram().unwrap();
    let combination = Combination {
        failures: &failures,
        energy: &energy,
        variant: Some("worst"),
        map: VoltageMap::Vmin(Voltage::new(3.0).unwrap()),
        laws: Laws::default(),
        extrapolate: false,
        margin: 0.0,
    };
    let naming = Naming {
        name: "both".into(),
        ..Naming::default()
    };
    let model = combination.build(&naming, Path::new("both.yaml")).unwrap();
    let inferred = model.inferred.unwrap();
    let expected = "Worst of each number: at 3 V, read of ff_125C, write of ff_125C, leakage of ff_125C, delay of ss_125C.";
    assert!(inferred.contains(expected), "{inferred}");
    let point = model.sram.unwrap().variants[0]
        .at(Voltage::new(3.0).unwrap())
        .unwrap();
    // the slow corner is characterised at 3 V
    assert_eq!(point.delay_ns, Some(13.974));
}

#[test]
fn a_macro_file_reads_as_it_was_written() {
    let model = sram(HP);
    let file: MacroFile = model.file.clone();
    let again = file.model().unwrap();
    assert_eq!(again.file, model.file);
    assert_eq!(
        MacroModel::parse(Path::new("a.yaml"), &again.text)
            .unwrap()
            .file,
        model.file
    );
}

#[test]
fn the_logic_of_secded_is_counted_by_the_word_where_it_is_known() {
    let mut memory = combined(HP, 1.0);
    let spec = EnergySpec {
        writes: Some(0.5),
        ..EnergySpec::default()
    };
    let mut layers = lenet(&memory, 0.7);
    for layer in &mut layers {
        layer.has_secded = true;
        layer.cells[0].overhead_bits = 0.5;
    }
    let without = weight_memory_energy(&layers, &memory, &spec).unwrap();
    assert!(spec
        .in_words(&memory)
        .concat()
        .contains("logic of a code (SECDED, parity) is not included"));
    memory.secded = Some(SecdedLogic {
        encode_pj: Positive::new(0.25).unwrap(),
        check_pj: Positive::new(0.5).unwrap(),
        source: "a synthesis".into(),
    });
    let with = weight_memory_energy(&layers, &memory, &spec).unwrap();
    // 245,880 bits are 3,842 words of 64 that are read, and half of them written
    let logic = 3842.0 * 0.5 + 1921.0 * 0.25;
    near(
        with.picojoule.unwrap(),
        without.picojoule.unwrap() + logic,
        1e-12,
    );
    let last = with.terms.last().unwrap();
    assert_eq!(
        (last.layer.as_str(), last.access_pj, last.leakage_pj),
        ("logic of SECDED", Some(logic), Some(0.0))
    );
    let of_terms: f64 = with.terms.iter().map(|term| term.energy_relative).sum();
    near(of_terms, with.relative, 1e-12);
    assert!(spec
        .in_words(&memory)
        .concat()
        .contains("0.25 pJ for a word of 64 data bits that is written and 0.5 pJ"));
    let found = minimum(&with.terms, 0.7, &memory, &spec).unwrap().unwrap();
    let plain = minimum(&without.terms, 0.7, &memory, &spec)
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.voltage, found.access_pj),
        (plain.voltage, plain.access_pj + logic)
    );
    // words without the code need none
    let plain = lenet(&memory, 0.7);
    assert!(weight_memory_energy(&plain, &memory, &spec)
        .unwrap()
        .terms
        .iter()
        .all(|term| term.layer != "logic of SECDED"));
}

#[test]
fn the_interval_of_a_minimum_is_what_fitted_laws_miss_their_points_by() {
    let mut memory = combined(HP, 1.0);
    let spec = EnergySpec::default();
    let assumed = least(&memory, &spec);
    assert_eq!((assumed.within, assumed.is_of_laws), (0.01, false));
    assert!(assumed
        .in_words("m", &memory, &spec)
        .contains("at most 1 % more (no residual of the laws"));
    let variant = &mut memory.sram.as_mut().unwrap().variants[0];
    for (number, missed) in variant
        .numbers_mut()
        .into_iter()
        .zip([0.004, 0.03, 0.02, 0.03])
    {
        number.law.as_mut().unwrap().worst_residual = Some(missed);
    }
    let found = least(&memory, &spec);
    // leakage and the time that it lasts
    assert_eq!((found.within, found.is_of_laws), (0.05, true));
    assert!(found.near[0] < assumed.near[0] && found.near[1] > assumed.near[1]);
    let words = found.in_words("m", &memory, &spec);
    assert!(
        words.contains("at most 5.00 % more, which is how far the fitted laws miss their points"),
        "{words}"
    );
}

#[test]
fn macros_without_an_access_leak_as_at_the_retention_voltage() {
    let mut memory = combined(HP, 1.0);
    let spec = EnergySpec {
        macros: Some(4),
        ..EnergySpec::default()
    };
    let of = |memory: &MemoryModel, voltage: f64| {
        let energy = weight_memory_energy(&lenet(memory, voltage), memory, &spec).unwrap();
        let (access, leakage) = sums(&energy);
        (access, leakage, energy.seconds.unwrap())
    };
    let before = [0.5, 0.64, 0.8].map(|voltage| of(&memory, voltage));
    memory.standby = Some(Standby {
        at: Voltage::new(0.56).unwrap(),
        hold_failures: Ber::new(1e-5).unwrap(),
        source: "test".into(),
    });
    let after = [0.5, 0.64, 0.8].map(|voltage| of(&memory, voltage));
    // at the error-free voltage, and where the macros lie lower than they would rest, nothing changes
    assert_eq!((after[0], after[2]), (before[0], before[2]));
    let (access, leakage, seconds) = after[1];
    assert_eq!((access, seconds), (before[1].0, before[1].2));
    // one of four is read in every cycle; leakage goes with the voltage
    near(leakage, before[1].1 / 4.0 * (1.0 + 3.0 * 0.56 / 0.64), 1e-9);
    // with time between accesses it rests too
    let timed = EnergySpec {
        inference_seconds: Some(1.0),
        ..spec.clone()
    };
    let (_, leakage) = sums(&weight_memory_energy(&lenet(&memory, 0.64), &memory, &timed).unwrap());
    let slower = memory
        .sram_at(Voltage::new(0.64).unwrap())
        .unwrap()
        .delay_ns
        .unwrap()
        / HP[3];
    near(leakage, 4.0 * HP[2] * 1e3 * 0.56 / 0.8 * slower, 1e-4);
    let found = least(&memory, &spec);
    let words = found.in_words("m", &memory, &spec);
    assert!(words.contains("macros rest at 0.56 V between accesses, where 1.0e-5 of the cells lose their bit (test)"), "{words}");
}
