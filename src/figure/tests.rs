//! Tests of whole figures, and the tables they are drawn from.

use super::*;
use crate::analysis::{Frontier, FrontierPoint, Group, Quantiles, Saving, Summary};
use crate::fault::{ArrayLabel, Protection};
use crate::stats::{clopper_pearson, normal_cdf, Interval};
use crate::sweep::{Design, DomainVoltage, StoppedBy};
use crate::units::{Accuracy, Metric};

/// The 14 nm curve of the memory models: voltage to rate and its source, with `lowest` measured voltage.
fn rate_at(voltage: f64, lowest: f64) -> (f64, BerSource) {
    let ber = normal_cdf((0.7056 - voltage) / 0.0552);
    match voltage {
        v if v >= 0.9999 => (0.0, BerSource::ErrorFree),
        v if v > 0.9585 => (ber, BerSource::Censored),
        v if v < lowest - 1e-9 => (ber, BerSource::Extrapolated),
        _ => (ber, BerSource::Measured),
    }
}

/// A summary of `chips` chips with a spread that is widest at the cliff.
pub(crate) fn summary(
    method: &str,
    bits: u32,
    voltage: f64,
    lowest: f64,
    mean: f64,
    clean: f64,
) -> Summary {
    let (ber, ber_source) = rate_at(voltage, lowest);
    let (chips, lost) = (50, clean - mean);
    let std = 0.001 + 0.12 * (lost * (mean - 0.1)).max(0.0).sqrt();
    let half = 2.01 * std / (chips as f64).sqrt();
    let floor = clean - 0.05;
    let passing = (chips as f64 * normal_cdf((mean - floor) / std)).round() as u64;
    let design = Design {
        design_id: format!("{method}{bits}@{voltage}vmin"),
        model: format!("{method}{bits}"),
        architecture: "lenet".into(),
        dataset: "glyphs".into(),
        metric: Metric::Top1,
        method: method.parse().unwrap(),
        bits: Bits::new(bits.into()).ok(),
        training_seed: Some(1),
        memory: "sram-14nm-chandramoorthy2019".into(),
        fault_kind: "flip".parse().unwrap(),
        array: ArrayLabel::Independent,
        protection: Protection::None,
        voltage: Some(voltage),
        voltage_unit: VoltageUnit::Vmin,
        ber: Some(ber),
        ber_source,
        access_energy_relative: Some(voltage * voltage),
        domain_voltages: Vec::new(),
        activations: None,
        energy_relative: f64::from(bits) / 8.0 * voltage * voltage,
        energy_pj: None,
        inference_seconds: None,
        area_relative: f64::from(bits) / 8.0,
        clean_accuracy: Accuracy::new(clean).unwrap(),
    };
    Summary {
        design,
        chips,
        images: 2000,
        image_evaluations: 2000 * chips,
        not_finite: Some(0),
        test_images: 2000,
        mean,
        std: Some(std),
        image_std: None,
        student: Some(Interval {
            low: mean - half,
            high: mean + half,
        }),
        bootstrap: Some(Interval {
            low: mean - 0.95 * half,
            high: mean + 0.95 * half,
        }),
        image_half_width: Some(0.0075),
        floor,
        quantiles: Some(Quantiles {
            min: (mean - 2.6 * std).max(0.05),
            p05: (mean - 1.64 * std).max(0.06),
            median: mean,
            p95: (mean + 1.64 * std).min(1.0),
            max: (mean + 2.0 * std).min(1.0),
            yield_share: passing as f64 / chips as f64,
            yield_interval: clopper_pearson(passing, chips),
        }),
        stopped_by: StoppedBy::Chips,
    }
}

/// Eleven voltages of each (method, bits, clean accuracy, tolerance): accuracy falls to chance as the
/// rate passes the tolerance.
pub(crate) fn sweep(models: &[(&str, u32, f64, f64)], lowest: f64) -> Vec<Summary> {
    let mut summaries = Vec::new();
    for &(method, bits, clean, tolerance) in models {
        for step in 0..11 {
            let voltage = 0.75 + 0.025 * f64::from(step);
            let (ber, _) = rate_at(voltage, lowest);
            let mean = 0.1 + (clean - 0.1) / (1.0 + (ber / tolerance).powf(1.3));
            summaries.push(summary(method, bits, voltage, lowest, mean, clean));
        }
    }
    summaries
}

/// Two methods at 4 bits, everything measured.
pub(crate) fn two_methods() -> Vec<Summary> {
    sweep(
        &[("normal", 4, 0.971, 0.19), ("wcat", 4, 0.968, 0.75)],
        0.75,
    )
}

fn six_methods() -> Vec<Summary> {
    let mut models = Vec::new();
    for (i, method) in ["lsq", "normal", "plclip", "randbet", "wcat", "wclip"]
        .into_iter()
        .enumerate()
    {
        models.push((
            method,
            4,
            0.971 - 0.002 * i as f64,
            0.03 * 2f64.powi(i as i32),
        ));
        models.push((
            method,
            2,
            0.945 - 0.003 * i as f64,
            0.02 * 2f64.powi(i as i32),
        ));
    }
    sweep(&models, 0.79)
}

/// Frontier, targets and savings of summaries, `normal` the baseline.
pub(crate) fn frontiers(summaries: &[Summary]) -> Pareto {
    let beaten = |s: &Summary| {
        let better =
            |o: &Summary| o.design.energy_relative <= s.design.energy_relative && o.mean > s.mean;
        summaries.iter().any(better)
    };
    let mut best: Vec<&Summary> = summaries.iter().filter(|s| !beaten(s)).collect();
    best.sort_by(|a, b| {
        a.design
            .energy_relative
            .total_cmp(&b.design.energy_relative)
    });
    let points = best
        .into_iter()
        .map(|s| FrontierPoint {
            summary: s.clone(),
            probability: 0.9,
        })
        .collect();
    let clean = summaries
        .first()
        .map_or(0.9, |s| s.design.clean_accuracy.get());
    let mut savings = Vec::new();
    for loss in [0.005, 0.01, 0.02] {
        for method in [MethodLabel::Normal, MethodLabel::Wcat] {
            let reach = |s: &&Summary| {
                s.design.method == method && s.mean >= clean - loss && !s.is_extrapolated()
            };
            let cheapest = summaries.iter().filter(reach).min_by(|a, b| {
                a.design
                    .energy_relative
                    .total_cmp(&b.design.energy_relative)
            });
            savings.push(Saving {
                method: Group {
                    method,
                    protection: None,
                    array: None,
                },
                loss,
                target: clean - loss,
                cheapest: cheapest.cloned(),
                saving_to_baseline: cheapest.map(|_| 0.1),
                saving_to_reference: cheapest.map(|s| 1.0 - s.design.energy_relative),
            });
        }
    }
    Pareto {
        frontiers: vec![Frontier {
            method: None,
            points,
            hypervolume: 0.4,
        }],
        savings,
        baseline: Some(MethodLabel::Normal),
        chance: 0.1,
    }
}

/// The 14 nm memory model.
pub(crate) fn memory() -> MemoryCurve {
    let point = |i: i32| {
        let voltage = 0.71 + 0.005 * f64::from(i);
        let (ber, source) = rate_at(voltage, 0.75);
        CurvePoint {
            voltage,
            ber,
            source,
            access_energy_relative: voltage * voltage,
        }
    };
    MemoryCurve {
        name: "sram-14nm-chandramoorthy2019".into(),
        title: "14 nm FinFET SRAM, 32 arrays of 4 KiB".into(),
        voltage_unit: VoltageUnit::Vmin,
        points: (0..=64).map(point).collect(),
        measured: vec![
            (0.75, 2.0559e-1),
            (0.792, 5.5729e-2),
            (0.833, 1.115e-2),
            (0.875, 1.29e-3),
            (0.917, 6.866e-5),
            (0.958, 1.907e-6),
        ],
    }
}

/// Draws what must not panic and must render, and returns it.
fn rendered(summaries: &[Summary], memories: &[MemoryCurve]) -> Vec<Figure> {
    let figures = all(
        &Averaged::none(summaries.to_vec()),
        &frontiers(summaries),
        memories,
    );
    for figure in &figures {
        let png = png(&figure.svg).unwrap_or_else(|error| panic!("{}: {error}", figure.name));
        assert_eq!(&png[1..4], b"PNG");
        assert!(
            !figure.svg.contains("NaN") && !figure.svg.contains("214748364"),
            "{}",
            figure.name
        );
        assert!(figure.caption.ends_with('.') && !figure.title.is_empty());
    }
    figures
}

#[test]
fn two_methods_give_five_figures_that_name_series_and_axes() {
    let figures = rendered(&two_methods(), &[memory()]);
    let names: Vec<_> = figures.iter().map(|f| f.name).collect();
    assert_eq!(
        names,
        [
            "pareto",
            "accuracy_voltage",
            "accuracy_ber",
            "yield_voltage",
            "memory_model"
        ]
    );
    for figure in &figures[..4] {
        for text in ["normal, 4 bit", "wcat, 4 bit", "(%"] {
            assert!(figure.svg.contains(text), "{}: {text}", figure.name);
        }
        assert!(figure
            .caption
            .contains("50 simulated chips, 2000 test images of glyphs"));
        assert!(
            !figure.caption.contains("xtrapolated"),
            "{}",
            figure.caption
        );
    }
    assert!(figures[0]
        .svg
        .contains("relative to 8 bit at the error-free voltage"));
    assert!(figures[0].caption.contains("Student-t"));
    for text in ["Supply voltage (V/Vmin)", "Bit error rate", "10⁻³"] {
        assert!(
            figures[1].svg.contains(text) && figures[4].svg.contains(text),
            "{text}"
        );
    }
    assert!(figures[3].svg.contains("floor 92.1 %"));
    assert!(figures[4].svg.contains("extrapolated") && figures[4].svg.contains("censored"));
}

#[test]
fn twelve_series_have_twelve_names_and_looks() {
    let summaries = six_methods();
    let figures = rendered(&summaries, &[memory()]);
    assert!(
        figures[1].caption.contains("Hatched") && figures[0].caption.contains("Hollow markers")
    );
    assert!(figures[1].svg.contains("below the measured span"));
    let series = series::series(&summaries);
    assert_eq!(series.len(), 12);
    for (i, a) in series.iter().enumerate() {
        for b in &series[..i] {
            assert_ne!((&a.name, &a.facet), (&b.name, &b.facet));
            assert!(a.style != b.style && a.style.shape != b.style.shape);
        }
    }
    assert_eq!(
        (series[0].name.as_str(), series[0].facet.as_str()),
        ("normal", "4 bit")
    );
    assert!(series_labels(&summaries).contains(&"normal, 4 bit".to_owned()));
    let colors: std::collections::BTreeSet<String> = series
        .iter()
        .map(|s| format!("{:?}", s.style.color))
        .collect();
    assert_eq!(colors.len(), 6);
}

#[test]
fn of_very_many_series_three_are_in_colour_and_the_others_are_counted() {
    let mut summaries = two_methods();
    let legible = |summaries: &[Summary]| legible(&Averaged::none(summaries.to_vec()));
    let copies: Vec<Summary> = (0..9)
        .flat_map(|i| {
            summaries.clone().into_iter().map(move |mut s| {
                s.design.array = ArrayLabel::Dependent(format!("column 0.{i} bank 0"));
                s
            })
        })
        .collect();
    assert!(legible(&copies));
    summaries.extend(copies);
    assert!(!legible(&summaries));
    for figure in rendered(&summaries, &[]) {
        let words = "In colour: the 3 that need the least energy at a loss of 0.5 points; grey: the others.";
        assert!(figure.caption.contains(words), "{}", figure.caption);
        let counted = figure.svg.contains("17 others, see the table");
        assert!(
            counted && figure.svg.contains("95 % interval"),
            "{}",
            figure.name
        );
    }
}

#[test]
fn the_same_tables_give_the_same_bytes_in_whatever_order_they_come() {
    let mut summaries = two_methods();
    let frontiers = frontiers(&summaries);
    let first = all(&Averaged::none(summaries.clone()), &frontiers, &[memory()]);
    assert_eq!(
        first,
        all(&Averaged::none(summaries.clone()), &frontiers, &[memory()])
    );
    summaries.reverse();
    assert_eq!(
        first,
        all(&Averaged::none(summaries.clone()), &frontiers, &[memory()])
    );
}

#[test]
fn several_trainings_of_a_method_are_named_by_their_seed() {
    let mut summaries = two_methods();
    let again: Vec<_> = summaries
        .iter()
        .cloned()
        .map(|mut s| {
            s.design.model += "-b";
            s.design.training_seed = Some(2);
            s.mean -= 0.01;
            s
        })
        .collect();
    summaries.extend(again);
    let labels: std::collections::BTreeSet<_> = series_labels(&summaries).into_iter().collect();
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        [
            "normal, 4 bit, seed 1",
            "normal, 4 bit, seed 2",
            "wcat, 4 bit, seed 1",
            "wcat, 4 bit, seed 2"
        ]
    );
    summaries
        .iter_mut()
        .for_each(|s| s.design.training_seed = None);
    assert!(series_labels(&summaries).contains(&"wcat, 4 bit, wcat4-b".to_owned()));
    rendered(&summaries, &[]);
}

#[test]
fn averaged_trainings_are_said_to_be_averages_and_the_frontier_is_that_of_the_drawn_points() {
    let summaries = two_methods();
    let of = |trainings| {
        all(
            &Averaged {
                summaries: summaries.clone(),
                trainings,
            },
            &frontiers(&summaries),
            &[],
        )
    };
    for (one, three) in of(1).iter().zip(of(3)) {
        assert!(
            one.caption.contains("Each point: 50 simulated chips"),
            "{}",
            one.caption
        );
        assert!(!one.caption.contains("training"), "{}", one.caption);
        let words = "Each point: mean of up to 3 trainings of the method on 50 simulated chips";
        assert!(three.caption.contains(words), "{}", three.caption);
        let bars = if one.name == "yield_voltage" {
            "end of the trainings'"
        } else {
            "as random effects"
        };
        assert!(three.caption.contains(bars), "{}", three.caption);
        assert_eq!(one.svg, three.svg);
    }
    // a frontier from elsewhere is not drawn
    let nothing = Pareto {
        frontiers: Vec::new(),
        ..frontiers(&summaries)
    };
    let drawn =
        |frontiers: &Pareto| pareto::pareto(&Scene::of(&summaries, frontiers, &[]), frontiers);
    assert_eq!(drawn(&nothing), drawn(&frontiers(&summaries)));
}

#[test]
fn a_protection_is_named_and_its_absence_is_not() {
    let mut summaries = two_methods();
    summaries
        .iter_mut()
        .filter(|s| s.design.method == MethodLabel::Wcat)
        .for_each(|s| s.design.protection = Protection::Secded);
    let labels = series_labels(&summaries);
    assert!(
        labels.contains(&"wcat, 4 bit, secded".to_owned())
            && labels.contains(&"normal, 4 bit".to_owned())
    );
}

#[test]
fn protections_of_a_model_share_its_colour_and_have_a_dash_each() {
    let plain = two_methods();
    let mut summaries = Vec::new();
    for protection in [
        Protection::None,
        Protection::Msb(1),
        Protection::Secded,
        Protection::ParityZero,
    ] {
        summaries.extend(plain.iter().cloned().map(|mut s| {
            s.design.protection = protection;
            s
        }));
    }
    rendered(&summaries, &[memory()]);
    let series = series::series(&summaries);
    assert_eq!(series.len(), 8);
    let of = |s: &series::Series<'_>| s.points[0].design.clone();
    for (i, a) in series.iter().enumerate() {
        for b in &series[..i] {
            let ((one, other), (style, seen)) = ((of(a), of(b)), (a.style, b.style));
            assert_eq!(
                one.method == other.method,
                style.color == seen.color,
                "{} {}",
                a.name,
                b.name
            );
            assert_eq!(
                one.protection == other.protection,
                style.dash == seen.dash,
                "{} {}",
                a.name,
                b.name
            );
            assert_ne!(style.shape, seen.shape);
        }
    }
    let (styles, places) = series_styles(&summaries);
    assert_eq!(styles[places[0]].label, "normal, 4 bit");
    assert_eq!(
        (
            styles[places[0]].color.as_str(),
            styles[places[0]].dash.as_str()
        ),
        ("#0072b2", "")
    );
    assert!(
        styles[places[0]].marker.starts_with("M5.50 0.00L")
            && styles[places[0]].marker.ends_with('Z')
    );
}

/// The points as if layers had voltages of their own.
fn in_domains(summaries: &[Summary]) -> Vec<Summary> {
    let mut all = summaries.to_vec();
    for design in all.iter_mut().map(|s| &mut s.design) {
        let voltage = design.voltage.unwrap();
        let domain = |name: &str, voltage| DomainVoltage {
            domain: name.into(),
            voltage,
        };
        design.domain_voltages = vec![domain("conv1", voltage), domain("fc1", voltage + 0.05)];
        (design.voltage, design.ber, design.access_energy_relative) = (None, None, None);
        design.design_id += "-domains";
    }
    all
}

#[test]
fn points_with_a_voltage_for_each_domain_are_markers_of_the_pareto_figure_alone() {
    let mut summaries = two_methods();
    let plain = series::series(&summaries)
        .iter()
        .map(|s| s.style.color)
        .collect::<Vec<_>>();
    let domains = in_domains(&summaries[11..13]);
    let figures = rendered(&domains, &[memory()]);
    assert_eq!(
        figures.iter().map(|f| f.name).collect::<Vec<_>>(),
        ["pareto", "memory_model", "domain_voltages"]
    );
    let voltages = &figures[2].svg;
    assert!(voltages.contains("conv1") && voltages.contains("fc1"));
    summaries.extend(domains);
    let figures = rendered(&summaries, &[memory()]);
    for figure in &figures {
        let said = figure.svg.contains("wcat, 4 bit, voltage domains");
        let of_domains = ["pareto", "domain_voltages"].contains(&figure.name);
        assert_eq!(said, of_domains, "{}", figure.name);
    }
    assert!(figures[0].caption.contains("Markers that no line joins"));
    let series = series::series(&summaries);
    assert_eq!(series.len(), 3);
    assert_eq!(
        series.iter().map(|s| s.style.color).collect::<Vec<_>>(),
        [plain[0], plain[1], plain[1]]
    );
}

#[test]
fn one_point_gives_sane_figures() {
    rendered(&two_methods()[..1], &[]);
    let mut curve = memory();
    curve.points.truncate(1);
    curve.measured.clear();
    rendered(&[], &[curve]);
}

#[test]
fn one_chip_has_no_band_and_says_so() {
    let mut summaries = two_methods();
    for s in &mut summaries {
        (s.chips, s.std, s.student, s.bootstrap) = (1, None, None, None);
    }
    let figures = rendered(&summaries, &[]);
    assert!(
        figures[0].caption.contains("1 simulated chip,") && figures[0].caption.contains("no band")
    );
    assert!(!figures[0].svg.contains("95 % interval of the mean"));
}

#[test]
fn a_subset_of_the_test_images_is_said_in_the_captions() {
    let mut summaries = two_methods();
    assert!(!rendered(&summaries, &[])[0]
        .caption
        .contains("choice of test images"));
    summaries.iter_mut().for_each(|s| s.images = 500);
    for figure in &rendered(&summaries, &[])[..3] {
        let caption = &figure.caption;
        assert!(
            caption.contains("50 simulated chips, 500 of 2000 test images of glyphs."),
            "{caption}"
        );
        assert!(
            caption.contains("over chips, widened by the choice of test images."),
            "{caption}"
        );
    }
    summaries.iter_mut().for_each(|s| s.quantiles = None);
    for figure in &rendered(&summaries, &[])[..3] {
        let caption = &figure.caption;
        assert!(
            caption.contains("500 of 2000 test images of glyphs, drawn for each chip."),
            "{caption}"
        );
        assert!(
            caption.contains("in which the choice of each chip's images is included"),
            "{caption}"
        );
    }
}

#[test]
fn accuracies_all_alike_without_any_fault_give_sane_figures() {
    for mean in [0.0, 0.1, 0.97, 1.0] {
        let mut summaries = two_methods();
        for s in &mut summaries {
            s.mean = mean;
            s.quantiles = Some(Quantiles {
                min: mean,
                p05: mean,
                median: mean,
                p95: mean,
                max: mean,
                yield_share: mean.round(),
                yield_interval: clopper_pearson(50 * mean.round() as u64, 50),
            });
            s.student = Some(Interval {
                low: mean,
                high: mean,
            });
            (s.design.ber, s.design.ber_source) = (Some(0.0), BerSource::ErrorFree);
            s.design.energy_relative = 0.5;
        }
        rendered(&summaries, &[]);
    }
}

#[test]
fn one_voltage_and_several_memories_and_units_give_sane_figures() {
    let one: Vec<_> = two_methods()
        .into_iter()
        .filter(|s| s.design.voltage == Some(0.75))
        .collect();
    rendered(&one, &[]);
    let mut mixed = two_methods();
    for s in mixed
        .iter_mut()
        .filter(|s| s.design.method == MethodLabel::Wcat)
    {
        s.design.memory = "sram-28nm-vc707-salami2018".into();
        s.design.voltage_unit = VoltageUnit::Volt;
        s.design.voltage = s.design.voltage.map(|v| v * 0.61);
        s.design.ber_source = BerSource::Extrapolated;
    }
    let mut volts = memory();
    volts.name = "sram-28nm-vc707-salami2018".into();
    volts.voltage_unit = VoltageUnit::Volt;
    let figures = rendered(&mixed, &[memory(), volts]);
    for text in ["Supply voltage (V/Vmin)", "Supply voltage (V)\n"] {
        assert!(
            figures[1].svg.contains(text) && figures[4].svg.contains(text),
            "{text}"
        );
    }
    assert!(series_labels(&mixed).contains(&"wcat, 4 bit, sram-28nm-vc707-salami2018".to_owned()));
}

#[test]
fn names_of_users_are_escaped() {
    let mut summaries = two_methods();
    for (i, s) in summaries.iter_mut().enumerate() {
        s.design.memory = format!("a<b>&\"c {}", i % 2);
    }
    for figure in rendered(&summaries, &[]) {
        assert!(!figure.svg.contains("a<b>"), "{}", figure.name);
    }
}

#[test]
fn the_title_says_network_data_set_and_memory_and_several_widths_have_a_panel_each() {
    let figures = rendered(&six_methods(), &[memory()]);
    let about = "lenet on glyphs, weights in 14 nm FinFET SRAM, 32 arrays of 4 KiB";
    for figure in &figures[..4] {
        for words in [about, ">\n4 bit\n<", ">\n2 bit\n<", "others: ", "lsq"] {
            assert!(figure.svg.contains(words), "{}: {words}", figure.name);
        }
    }
    // the width tells the energy of a voltage
    assert!(figures[0].svg.contains("Supply voltage (V/Vmin)"));
    let one = rendered(&two_methods(), &[]);
    assert!(one[0].svg.contains("Supply voltage (V/Vmin)"));
    let mut differing = two_methods();
    differing[3].design.energy_relative *= 1.5;
    let mixed = rendered(&differing, &[]);
    assert!(!mixed[0].svg.contains("Supply voltage"));
}

#[test]
fn wide_intervals_become_bars_at_some_points() {
    let mut summaries = two_methods();
    assert!(rendered(&summaries, &[])[0]
        .caption
        .contains(" Bands: 95 %"));
    for s in &mut summaries {
        s.student = Some(Interval {
            low: s.mean - 0.2,
            high: s.mean + 0.2,
        });
    }
    let figures = rendered(&summaries, &[]);
    assert!(figures[0]
        .caption
        .contains("Bars, at some points of each curve: 95 %"));
    assert!(!figures[1].caption.contains("quantiles over chips"));
    assert!(!figures[1].svg.contains("5 to 95 % of chips"));
}

#[test]
fn one_model_under_several_protections_has_a_colour_for_each() {
    let mut summaries = Vec::new();
    for protection in [Protection::None, Protection::Msb(1), Protection::Secded] {
        let mut own = sweep(&[("wcat", 4, 0.968, 0.75)], 0.75);
        for s in &mut own {
            s.design.protection = protection;
        }
        summaries.extend(own);
    }
    let colors: std::collections::BTreeSet<String> = series::series(&summaries)
        .iter()
        .map(|s| s.style.color.hex())
        .collect();
    assert_eq!(colors.len(), 3);
}
