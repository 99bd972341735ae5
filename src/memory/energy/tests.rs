//! Facts that energies hold: every term by hand, sums, units that are never mixed.

use super::*;
use crate::memory::{builtin, Dataflow, Leakage, LeakageExponent, LeakageFactor, ProcessingArray};
use crate::units::{Positive, Voltage};

fn finfet() -> MemoryModel {
    builtin("sram-14nm-chandramoorthy2019").unwrap()
}

/// The 14 nm model with 0.5 pJ per access and, where asked, 3 pW of leakage, both at 1 V; numbers of this test.
fn absolute(leaks: bool) -> MemoryModel {
    let mut memory = finfet();
    memory.access.picojoule_per_bit = Positive::new(0.5).ok();
    let at = Voltage::new(1.0).unwrap();
    memory.leakage = leaks.then(|| Leakage {
        at,
        picowatt_per_bit: Positive::new(3.0).unwrap(),
        exponent: LeakageExponent::new(3.0).unwrap(),
        source: "test".into(),
    });
    memory
}

fn point(memory: &MemoryModel, voltage: f64) -> OperatingPoint {
    memory.at(Voltage::new(voltage).unwrap()).unwrap()
}

fn cells(bits: f64, overhead_bits: f64, voltage: f64) -> CellAccess {
    CellAccess {
        bits,
        overhead_bits,
        kind: CellKind::Usual,
        point: point(&finfet(), voltage),
    }
}

/// A layer of 100 weights (4 filters of 25) with so many output pixels.
fn layer(outputs: u64, cells: Vec<CellAccess>) -> LayerAccess {
    let product = LayerProduct {
        filters: 4,
        window: 25,
        outputs,
    };
    LayerAccess {
        layer: format!("of {outputs}"),
        weights: 100,
        product,
        has_secded: false,
        cells,
    }
}

/// Output stationary on two rows: one read of each weight for every two output pixels.
fn folding(buffer_bytes: Option<u64>) -> EnergySpec {
    let array = Some(ProcessingArray {
        rows: 2,
        columns: 4,
    });
    EnergySpec {
        dataflow: Dataflow::OutputStationary,
        array,
        buffer_bytes,
        ..EnergySpec::default()
    }
}

fn energy(layers: &[LayerAccess], spec: &EnergySpec) -> Energy {
    weight_memory_energy(layers, &finfet(), spec).unwrap()
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
}

/// A tensor of 60 elements that a layer with 4 filters of 25 weights and 7 outputs reads, and a sum; another one that two groups
/// of 2 filters of 25 read.
fn activations(memory: &MemoryModel, voltage: f64, word_bits: f64) -> ActivationAccess<'_> {
    let product = layer(7, Vec::new()).product;
    let tensor = |name: &str, layers, others| TensorAccess {
        name: name.into(),
        elements: 60,
        layers,
        others,
        is_lowered: true,
    };
    ActivationAccess {
        memory,
        point: point(memory, voltage),
        word_bits,
        error_free: point(memory, 1.0),
        energy_ratio: None,
        robust_bits: 0.0,
        lowered_bits: word_bits,
        overhead_bits: 0.0,
        words: 100,
        tensors: vec![
            tensor("a", vec![(product, 1, 60)], 60),
            tensor("b", vec![(product, 2, 60)], 0),
        ],
    }
}

#[test]
fn activations_are_written_once_and_read_as_the_dataflow_says() {
    let layers = [layer(7, vec![cells(8.0, 0.0, 1.0)])];
    let memory = finfet();
    let both = |spec: &EnergySpec, voltage, bits| {
        let weights = energy(&layers, spec);
        let access = activations(&memory, voltage, bits);
        weights.with_activations(&access, &memory, spec).unwrap()
    };
    let uniform = EnergySpec::default();
    near(both(&uniform, 1.0, 8.0).relative, 1.0);
    // 100 weights read once; 60 elements written and read twice, 60 written and read once: 400 words
    let low = both(&uniform, 0.8, 8.0);
    near(low.relative, (100.0 + 300.0 * 0.64) / 400.0);
    near(both(&uniform, 1.0, 16.0).relative, (100.0 + 600.0) / 400.0);
    let sum: f64 = low.terms.iter().map(|term| term.energy_relative).sum();
    near(sum, low.relative);
    let reads: Vec<f64> = low.terms.iter().map(|term| term.reads).collect();
    assert_eq!(reads, [1.0, 3.0, 2.0]);
    // what no fault reaches costs the energy of the error-free voltage, check bits that of the words
    let mut access = activations(&memory, 0.8, 8.0);
    access.tensors[1].is_lowered = false;
    (access.lowered_bits, access.overhead_bits) = (1.0, 1.0);
    let part = energy(&layers, &uniform);
    let part = part.with_activations(&access, &memory, &uniform).unwrap();
    let (lowered, kept) = (180.0 * (2.0 * 0.64 + 7.0), 120.0 * 9.0);
    near(part.relative, (800.0 + lowered + kept) / 3200.0);
    let sum: f64 = part.terms.iter().map(|term| term.energy_relative).sum();
    near(sum, part.relative);
    // windows: 7 x 25 words of one group, 7 x 50 of two, once for each fold of filters over the columns
    let with = |dataflow, columns| EnergySpec {
        dataflow,
        array: Some(ProcessingArray { rows: 2, columns }),
        ..EnergySpec::default()
    };
    for (dataflow, columns, one, two) in [
        (Dataflow::WeightStationary, 4, 175.0, 350.0),
        (Dataflow::WeightStationary, 3, 350.0, 350.0),
        (Dataflow::OutputStationary, 1, 700.0, 700.0),
        (Dataflow::InputStationary, 1, 175.0, 350.0),
    ] {
        let spec = with(dataflow, columns);
        spec.check(true).unwrap();
        let found = both(&spec, 0.8, 8.0);
        near(found.terms[1].reads, (60.0 + 60.0 + one) / 60.0);
        near(found.terms[2].reads, (60.0 + two) / 60.0);
    }
    assert!(with(Dataflow::WeightStationary, 4).check(false).is_err());
    assert!(with(Dataflow::Uniform, 4).check(true).is_err());
}

#[test]
fn activations_count_in_picojoules_with_what_they_leak_and_share_no_unit_by_chance() {
    let spec = EnergySpec {
        inference_seconds: Some(0.5),
        ..EnergySpec::default()
    };
    let layers = [layer(7, vec![cells(8.0, 0.0, 1.0)])];
    let leaking = absolute(true);
    let weights = || weight_memory_energy(&layers, &leaking, &spec).unwrap();
    let access = activations(&leaking, 0.8, 8.0);
    let found = weights()
        .with_activations(&access, &leaking, &spec)
        .unwrap();
    // 300 words of 8 bits at 0.5 pJ and 0.64; 100 words that leak 3 pW a bit, at (0.8)^3, for half a second
    let own = 2400.0 * 0.5 * 0.64 + 800.0 * 3.0 * 0.512 * 0.5;
    near(found.picojoule.unwrap() - weights().picojoule.unwrap(), own);
    let reference = weights().reference + 2400.0 * 0.5 + 800.0 * 3.0 * 0.5;
    near(found.relative, found.picojoule.unwrap() / reference);
    assert_eq!(found.terms.last().unwrap().layer, "activation memory");
    // of two memories both must be absolute
    let (relative, plain) = (finfet(), EnergySpec::default());
    let mut other = absolute(false);
    other.checksum = "another".into();
    let own = weight_memory_energy(&layers, &relative, &plain).unwrap();
    let error = own
        .with_activations(&activations(&other, 0.8, 8.0), &relative, &plain)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`sram-14nm-chandramoorthy2019`: expected a number, one memory model"),
        "{error}"
    );
    // a ratio that is given makes relative energies comparable
    let mut third = finfet();
    third.checksum = "a third".into();
    let mut access = activations(&third, 1.0, 8.0);
    access.energy_ratio = Some(2.0);
    let own = weight_memory_energy(&layers, &relative, &plain).unwrap();
    let own = own.with_activations(&access, &relative, &plain).unwrap();
    near(own.terms[1].energy_relative, 2.0 * 180.0 / 700.0);
    let macros = builtin("combination-14nm-cacti-22nm-hp").unwrap();
    let own = weight_memory_energy(&layers, &relative, &plain).unwrap();
    let error = own
        .with_activations(&activations(&macros, 0.8, 8.0), &relative, &plain)
        .unwrap_err()
        .to_string();
    assert!(error.contains("one without a macro"), "{error}");
}

#[test]
fn eight_bits_at_the_error_free_voltage_cost_one() {
    let layers = [
        layer(1, vec![cells(8.0, 0.0, 1.0)]),
        layer(7, vec![cells(8.0, 0.0, 1.0)]),
    ];
    for spec in [EnergySpec::default(), folding(None)] {
        assert_eq!(energy(&layers, &spec).relative, 1.0);
    }
}

#[test]
fn one_voltage_gives_the_ratio_of_bits_times_its_access_energy_to_the_last_digit() {
    // journals of older runs hold energies that were computed so
    let sizes = [150, 2400, 48_000, 10_080, 840];
    for (bits, voltage) in [(4.0, 0.8), (3.0, 0.833), (8.0, 0.975)] {
        let layers = sizes.map(|weights| LayerAccess {
            weights,
            ..layer(1, vec![cells(bits, 0.0, voltage)])
        });
        let whole = sizes.iter().sum::<u64>() as f64;
        let expected =
            whole * bits / (whole * 8.0) * point(&finfet(), voltage).access_energy_relative;
        assert_eq!(energy(&layers, &EnergySpec::default()).relative, expected);
    }
}

#[test]
fn energy_goes_with_bits_reads_and_the_square_of_the_voltage() {
    let one = |bits, overhead, voltage| {
        energy(
            &[layer(1, vec![cells(bits, overhead, voltage)])],
            &EnergySpec::default(),
        )
        .relative
    };
    near(one(4.0, 0.0, 1.0), 0.5);
    near(one(8.0, 0.0, 0.8), 0.64);
    near(one(8.0, 1.0, 1.0), 1.125);
    // 100·8·1 + 100·4·3 = 2000 of 100·8·1 + 100·8·3 = 3200: six pixels are three folds of two
    let layers = [
        layer(1, vec![cells(8.0, 0.0, 1.0)]),
        layer(6, vec![cells(4.0, 0.0, 1.0)]),
    ];
    near(energy(&layers, &folding(None)).relative, 0.625);
}

#[test]
fn cells_at_several_voltages_are_terms_that_add_up() {
    let layers = [
        layer(4, vec![cells(1.0, 0.0, 1.0), cells(3.0, 0.5, 0.8)]),
        layer(1, vec![cells(4.0, 0.5, 0.9)]),
    ];
    let found = energy(&layers, &folding(None));
    // reads 2 and 1; the reference is 100·8·2 + 100·8·1
    let expected = [200.0 / 2400.0, 700.0 * 0.64 / 2400.0, 450.0 * 0.81 / 2400.0];
    assert_eq!(found.terms.len(), 3);
    for (term, expected) in found.terms.iter().zip(expected) {
        near(term.energy_relative, expected);
        assert_eq!(
            (term.access_pj, term.leakage_pj, term.cells),
            (None, None, CellKind::Usual)
        );
    }
    near(found.relative, expected.iter().sum());
    let of = |term: &EnergyTerm| {
        (
            term.layer.clone(),
            term.bits,
            term.overhead_bits,
            term.reads,
            term.voltage,
        )
    };
    assert_eq!(of(&found.terms[1]), ("of 4".into(), 3.0, 0.5, 2.0, 0.8));
    near(found.terms[1].access_energy_relative, 0.64);
}

#[test]
fn a_buffer_that_holds_fewer_bits_only_saves_reads_against_the_one_reference() {
    // 50 bytes hold 100 weights of 4 bits, not of 8: one read of 4 bits against two of 8
    let four = energy(&[layer(4, vec![cells(4.0, 0.0, 1.0)])], &folding(Some(50)));
    near(four.relative, 0.25);
    let eight = energy(&[layer(4, vec![cells(8.0, 0.0, 1.0)])], &folding(Some(50)));
    near(eight.relative, 1.0);
}

#[test]
fn picojoules_are_given_only_where_the_model_has_them() {
    let layers = [layer(4, vec![cells(4.0, 0.0, 0.8)])];
    assert_eq!(energy(&layers, &folding(None)).picojoule, None);
    let found = weight_memory_energy(&layers, &absolute(false), &folding(None)).unwrap();
    // 800 bits read at 0.5 · 0.8² pJ
    near(found.picojoule.unwrap(), 256.0);
    near(found.terms[0].access_pj.unwrap(), 256.0);
    near(found.relative, 0.5 * 0.64);
    assert_eq!(found.terms[0].leakage_pj, None);
}

#[test]
fn leakage_takes_the_time_of_an_inference_and_is_in_the_reference_too() {
    let spec = EnergySpec {
        inference_seconds: Some(0.25),
        ..EnergySpec::default()
    };
    let layers = [layer(1, vec![cells(4.0, 0.5, 0.8)])];
    let found = weight_memory_energy(&layers, &absolute(true), &spec).unwrap();
    // 450 bits: 0.5 · 0.64 pJ of an access, 3 · 0.512 pW for 0.25 s
    let (access, leakage) = (450.0 * 0.32, 450.0 * 3.0 * 0.512 * 0.25);
    near(found.terms[0].access_pj.unwrap(), access);
    near(found.terms[0].leakage_pj.unwrap(), leakage);
    near(found.picojoule.unwrap(), access + leakage);
    // the reference: 800 bits at 0.5 pJ and 3 pW · 0.25 s
    near(found.relative, (access + leakage) / (800.0 * (0.5 + 0.75)));
}

#[test]
fn robust_cells_cost_the_factors_of_the_memory_model() {
    let robust = CellAccess {
        kind: CellKind::Robust,
        ..cells(2.0, 0.0, 0.8)
    };
    let layers = [layer(1, vec![robust, cells(2.0, 0.0, 0.8)])];
    let found = energy(&layers, &EnergySpec::default());
    near(found.relative, 0.64 * (2.0 * 1.3 + 2.0) / 8.0);
    assert_eq!(
        [found.terms[0].cells, found.terms[1].cells],
        [CellKind::Robust, CellKind::Usual]
    );
    assert_eq!(
        [found.terms[0].energy_factor, found.terms[1].energy_factor],
        [1.3, 1.0]
    );

    let timed = EnergySpec {
        inference_seconds: Some(1.0),
        ..EnergySpec::default()
    };
    let mut memory = absolute(true);
    let error = weight_memory_energy(&layers, &memory, &timed)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("protection.robust_cell.leakage_factor of memory model"),
        "{error}"
    );
    memory.robust_cell.as_mut().unwrap().leakage_factor = LeakageFactor::new(2.0).ok();
    let terms = weight_memory_energy(&layers, &memory, &timed)
        .unwrap()
        .terms;
    near(
        terms[0].leakage_pj.unwrap(),
        2.0 * terms[1].leakage_pj.unwrap(),
    );
    memory.robust_cell = None;
    assert!(weight_memory_energy(&layers, &memory, &timed).is_err());
}

#[test]
fn relative_and_absolute_energies_are_not_added() {
    let mut memory = absolute(true);
    memory.access.picojoule_per_bit = None;
    let spec = EnergySpec {
        inference_seconds: Some(1.0),
        ..EnergySpec::default()
    };
    let layers = [layer(1, vec![cells(4.0, 0.0, 0.8)])];
    let error = weight_memory_energy(&layers, &memory, &spec)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("energy.access.picojoule_per_bit of memory model"),
        "{error}"
    );
    assert!(
        error.contains("cannot be added") && error.ends_with("found null"),
        "{error}"
    );
    assert!(weight_memory_energy(&layers, &absolute(true), &EnergySpec::default()).is_err());
    assert!(weight_memory_energy(&layers, &absolute(false), &spec).is_err());
}

#[test]
fn nonsense_is_refused() {
    let none = LayerAccess {
        weights: 0,
        ..layer(1, vec![cells(8.0, 0.0, 0.8)])
    };
    for layers in [
        vec![],
        vec![none],
        vec![layer(1, vec![cells(-1.0, 0.0, 0.8)])],
        vec![layer(1, vec![cells(f64::NAN, 0.0, 0.8)])],
        vec![layer(1, vec![cells(8.0, -1.0, 0.8)])],
        vec![layer(1, vec![cells(8.0, f64::INFINITY, 0.8)])],
    ] {
        let error = weight_memory_energy(&layers, &finfet(), &EnergySpec::default()).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{layers:?}");
    }
}
