//! The figure `attack`: accuracy against flipped bits, several models, bit search and random flips.

use super::axes::{Axes, Axis};
use super::canvas::{Canvas, Color, Stroke};
use super::curves::percent_label;
use super::layout::{sheet, Panel};
use super::legend::{Legend, Sample};
use super::marker::{Shape, MARKER};
use super::palette::PALETTE;
use super::series::method_order;
use crate::attack::{AttackRow, Stop};
use crate::attack::{FlipRow, Flipper};
use crate::quant::MethodLabel;
use crate::units::{Bits, Metric};
use std::collections::{BTreeMap, BTreeSet};

/// Line of the target.
const TARGET: Stroke = Stroke::dashed(Color::GREY, 1.6, &[2.5, 4.0]);
/// More models than this get a panel for each width.
const MOST_MODELS: usize = 7;

/// Accuracies in per cent that were measured along one attack, by rising number of flips, from 0 on.
type Path = Vec<(f64, f64)>;

/// One model.
struct Curve<'a> {
    name: &'a str,
    /// Bits per weight.
    bits: Bits,
    color: Color,
    shape: Shape,
    /// Each attack, and true where it reached the target.
    search: Vec<(Path, bool)>,
    random: Vec<Path>,
}

/// Draws the figure: each attack as a thin line, their mean as a thick one as far as all of them go. More models than
/// there are colours get a panel for each width.
pub fn attack(attacks: &[AttackRow], flips: &[FlipRow]) -> String {
    let curves = curves(attacks, flips);
    let metric = attacks.first().map_or(Metric::default(), |a| a.metric);
    let every = || curves.iter().flat_map(|curve| &curve.search);
    let several = curves.iter().any(|curve| curve.search.len() > 1);
    let mut legend = Legend::default();
    for curve in &curves {
        legend.name(Sample::Line(Stroke::solid(curve.color, 2.8)), curve.name);
    }
    if several {
        legend.add(
            Sample::Line(Stroke::solid(Color::GREY.at(0.6), 1.0)),
            "single attacks",
        );
    }
    legend.add(Sample::Line(of_random_flips(Color::INK)), "random flips");
    legend.add(Sample::Line(TARGET), "target");
    for (reached, words) in [(true, "target reached"), (false, "ended before")] {
        if every().any(|(_, so)| *so == reached) {
            legend.add(Sample::Marker(Shape::Circle, Color::INK, !reached), words);
        }
    }
    let most = every()
        .filter_map(|(path, _)| path.last())
        .map(|end| end.0)
        .fold(1.0, f64::max);
    let widths = widths(attacks);
    let (height, ticks) = if widths.len() > 1 {
        (340.0, 5)
    } else {
        (440.0, 9)
    };
    let x = Axis::linear("Flipped bits", -0.02 * most, 1.03 * most, ticks);
    let y = Axis::linear(&percent_label(metric), -2.0, 102.0, 6);
    let panels = widths.iter().map(|width| Panel {
        name: width.map_or(String::new(), |bits| format!("{bits} bit")),
        ..Panel::new(x.clone(), y.clone(), height)
    });
    let panels: Vec<Panel> = panels.collect();
    let rows = panels.chunks(2).map(<[Panel]>::to_vec).collect();
    let networks: BTreeSet<String> = attacks
        .iter()
        .map(|attack| format!("{} on {}", attack.architecture, attack.dataset))
        .collect();
    let networks: Vec<String> = networks.into_iter().collect();
    let title = format!("{} under bit-flip attack", metric.title());
    let about = networks.join(" and ");
    sheet([&title, &about], rows, 28.0, &legend, |canvas, axes, i| {
        for target in targets(attacks) {
            axes.horizontal(canvas, 100.0 * target, TARGET);
        }
        curves
            .iter()
            .filter(|curve| widths[i].is_none_or(|bits| bits == curve.bits))
            .for_each(|curve| draw(canvas, axes, curve));
    })
}

/// The widths that have a panel of their own; one panel for all where each model has a colour of its own.
fn widths(attacks: &[AttackRow]) -> Vec<Option<Bits>> {
    let models: BTreeSet<&str> = attacks.iter().map(|attack| attack.model.as_str()).collect();
    if models.len() <= MOST_MODELS {
        return vec![None];
    }
    let widths: BTreeSet<Bits> = attacks.iter().map(|attack| attack.bits).collect();
    widths.into_iter().map(Some).collect()
}

fn targets(attacks: &[AttackRow]) -> Vec<f64> {
    let mut targets: Vec<f64> = attacks.iter().map(|attack| attack.target).collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    targets
}

fn curves<'a>(attacks: &'a [AttackRow], flips: &[FlipRow]) -> Vec<Curve<'a>> {
    let mut measured: BTreeMap<(&str, u32, Flipper), Path> = BTreeMap::new();
    for f in flips {
        let point = f
            .flip
            .accuracy
            .map(|accuracy| (f.flip.flip as f64, 100.0 * accuracy));
        measured
            .entry((&f.model, f.restart, f.attack))
            .or_default()
            .extend(point);
    }
    let path = |attack: &AttackRow, who: Flipper| {
        let own = measured.get(&(attack.model.as_str(), attack.restart, who));
        let own = own.into_iter().flatten().copied();
        std::iter::once((0.0, 100.0 * attack.clean_accuracy))
            .chain(own)
            .collect::<Path>()
    };
    let mut models: Vec<&AttackRow> = Vec::new();
    for attack in attacks {
        if models.iter().all(|seen| seen.model != attack.model) {
            models.push(attack);
        }
    }
    let colors = colors(&models, widths(attacks) == [None]);
    let curve = |(at, (model, color)): (usize, (&&'a AttackRow, Color))| {
        let own = attacks.iter().filter(|attack| attack.model == model.model);
        let searched = |attack: &AttackRow| {
            (
                path(attack, Flipper::BitSearch),
                attack.stopped_by == Stop::Accuracy,
            )
        };
        Curve {
            name: &model.model,
            bits: model.bits,
            color,
            shape: Shape::ALL[at % Shape::ALL.len()],
            search: own.clone().map(searched).collect(),
            random: own.map(|attack| path(attack, Flipper::Random)).collect(),
        }
    };
    models.iter().zip(colors).enumerate().map(curve).collect()
}

/// The colour of each model: that of its method in the figures of sweeps, `normal` first, then by name, while the models
/// of a panel have a method each; else by place in the panel.
fn colors(models: &[&AttackRow], one_panel: bool) -> Vec<Color> {
    let together = |a: &AttackRow, b: &AttackRow| one_panel || a.bits == b.bits;
    let methods: BTreeSet<(bool, MethodLabel)> = models
        .iter()
        .map(|model| method_order(model.method))
        .collect();
    let alone = models.iter().all(|model| {
        models
            .iter()
            .filter(|other| together(model, other) && other.method == model.method)
            .count()
            == 1
    });
    let place = |(at, model): (usize, &&AttackRow)| {
        if alone && methods.len() <= PALETTE.len() {
            methods.range(..method_order(model.method)).count()
        } else {
            models[..at]
                .iter()
                .filter(|other| together(model, other))
                .count()
        }
    };
    models
        .iter()
        .enumerate()
        .map(|model| PALETTE[place(model) % PALETTE.len()])
        .collect()
}

fn of_random_flips(color: Color) -> Stroke {
    Stroke::dashed(color, 1.8, &[9.0, 5.0])
}

fn draw(canvas: &mut Canvas<'_>, axes: &Axes, curve: &Curve<'_>) {
    let random: Vec<&Path> = curve.random.iter().collect();
    axes.line(canvas, &mean(&random), of_random_flips(curve.color));
    if curve.search.len() > 1 {
        for (path, _) in &curve.search {
            axes.line(canvas, path, Stroke::solid(curve.color.at(0.5), 1.0));
        }
    }
    let search: Vec<&Path> = curve.search.iter().map(|(path, _)| path).collect();
    axes.line(canvas, &mean(&search), Stroke::solid(curve.color, 2.8));
    for (path, reached) in &curve.search {
        if let Some(end) = path.last() {
            axes.marker(canvas, *end, (curve.shape, curve.color), MARKER, !reached);
        }
    }
}

/// Mean over attacks at every number of flips that all of them made. Inside a step of several flips, where nothing
/// was measured, an attack counts with its last accuracy.
fn mean(paths: &[&Path]) -> Path {
    let shared = paths
        .iter()
        .map(|path| path.last().map_or(0.0, |end| end.0))
        .fold(f64::INFINITY, f64::min);
    let mut places: Vec<f64> = paths
        .iter()
        .flat_map(|path| path.iter().map(|point| point.0))
        .collect();
    places.retain(|x| *x <= shared);
    places.sort_by(f64::total_cmp);
    places.dedup();
    let last = |path: &Path, x: f64| {
        path.iter()
            .take_while(|point| point.0 <= x)
            .last()
            .map(|point| point.1)
    };
    let at = |x: f64| {
        let sum: f64 = paths.iter().filter_map(|path| last(path, x)).sum();
        (x, sum / paths.len().max(1) as f64)
    };
    places.into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::super::png;
    use super::*;
    use crate::attack::table_tests::unit;
    use crate::attack::AttackUnit;

    fn drawn(units: &[AttackUnit]) -> String {
        let flips: Vec<FlipRow> = units.iter().flat_map(FlipRow::of).collect();
        let attacks: Vec<AttackRow> = units.iter().map(|unit| unit.row.clone()).collect();
        attack(&attacks, &flips)
    }

    #[test]
    fn the_mean_ends_where_the_shortest_attack_does_and_holds_the_last_measured_value() {
        let (a, b) = (
            vec![(0.0, 90.0), (1.0, 80.0), (3.0, 20.0)],
            vec![(0.0, 90.0), (2.0, 40.0)],
        );
        assert_eq!(mean(&[&a, &b]), [(0.0, 90.0), (1.0, 85.0), (2.0, 60.0)]);
        assert!(mean(&[]).is_empty());
    }

    #[test]
    fn every_model_is_named_and_only_the_ends_that_occur_are_explained() {
        let units = [
            unit("normal-4bit", 0, &[0.6, 0.3, 0.1], Stop::Accuracy),
            unit("normal-4bit", 1, &[0.7, 0.1], Stop::Accuracy),
            unit("wcat-4bit", 0, &[0.9, 0.8, 0.7, 0.6], Stop::Flips),
        ];
        let svg = drawn(&units);
        for words in [
            "normal-4bit",
            "wcat-4bit",
            "single attacks",
            "random flips",
            "target reached",
            "ended before",
        ] {
            assert!(svg.contains(words), "{words}");
        }
        let one = drawn(&units[..1]);
        assert!(!one.contains("single attacks") && !one.contains("ended before"));
        assert!(png(&svg).unwrap().len() > 1000);
    }

    #[test]
    fn more_models_than_colours_get_a_panel_for_each_width_and_colours_of_their_own_in_it() {
        let units: Vec<AttackUnit> = (0..12)
            .map(|i| {
                let mut unit = unit(&format!("model-{i}"), 0, &[0.6, 0.1], Stop::Accuracy);
                unit.row.bits = Bits::new(if i < 6 { 4 } else { 8 }).unwrap();
                unit
            })
            .collect();
        let svg = drawn(&units);
        assert!(svg.contains(">\n4 bit\n<") && svg.contains(">\n8 bit\n<"));
        let rows: Vec<AttackRow> = units.iter().map(|unit| unit.row.clone()).collect();
        let curves = curves(&rows, &[]);
        for (i, a) in curves.iter().enumerate() {
            assert!(curves[..i]
                .iter()
                .all(|b| a.bits != b.bits || a.color != b.color));
        }
        assert!(drawn(&units[..7]).contains(">\nAccuracy (%)\n<"));
    }

    #[test]
    fn methods_have_the_colours_of_the_figures_of_sweeps() {
        let of = |methods: &[(&str, u64)]| {
            let row = |(i, &(method, bits)): (usize, &(&str, u64))| {
                let mut row = unit(&format!("model-{i}"), 0, &[0.1], Stop::Accuracy).row;
                (row.method, row.bits) = (method.parse().unwrap(), Bits::new(bits).unwrap());
                row
            };
            let rows: Vec<AttackRow> = methods.iter().enumerate().map(row).collect();
            curves(&rows, &[])
                .iter()
                .map(|curve| curve.color)
                .collect::<Vec<_>>()
        };
        let [blue, red, green, ..] = PALETTE;
        assert_eq!(
            of(&[("wcat", 4), ("plclip", 4), ("normal", 4)]),
            [green, red, blue]
        );
        let widths = [8, 4]
            .map(|bits| ["wclip", "lsq", "wcat", "normal"].map(|method| (method, bits)))
            .concat();
        let once = [PALETTE[3], red, green, blue];
        assert_eq!(of(&widths), [once, once].concat());
        // two of one method: by place
        assert_eq!(
            of(&[("wcat", 4), ("wcat", 4), ("normal", 4)]),
            [blue, red, green]
        );
    }

    #[test]
    fn attacks_without_flips_are_drawn() {
        assert!(drawn(&[unit("m", 0, &[], Stop::Stuck)]).contains("ended before"));
        assert!(drawn(&[]).starts_with("<svg"));
    }
}
