//! Figures redrawn from stored tables: SVG and PNG, one file per figure. What they say in words
//! round them is left to the report.

mod accuracy;
mod attack;
mod axes;
mod canvas;
mod caption;
mod curves;
mod dark;
mod domain_voltage;
mod energy_terms;
mod facet;
mod label;
mod layout;
mod legend;
mod marker;
mod memory_fit;
mod memory_model;
mod overview;
mod palette;
mod pareto;
mod part_loss;
mod png;
mod range_history;
mod scene;
mod series;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod thin;
mod verdicts;
mod weight_density;
mod weight_histogram;
mod weight_violin;
mod yield_voltage;

use crate::analysis::{Averaged, Pareto};
use crate::quant::MethodLabel;
use crate::units::{BerSource, Bits, VoltageUnit};
use scene::Scene;

pub use attack::attack;
pub use curves::voltage_label;
pub use dark::dark_rules;
pub use energy_terms::energy_terms;
pub use memory_fit::memory_fit;
pub use memory_model::memory_model;
pub use part_loss::{part_losses, part_map};
pub use png::{png, write};
pub use range_history::range_history;
pub use scene::about;
pub use series::{interval, series_labels, series_styles, SeriesStyle};
pub use text::{capital, escape, number, percent, rate};
pub use thin::{evenly, shown_points, MOST_SHOWN};
pub use verdicts::verdicts;
pub use weight_histogram::weight_histogram;
pub use weight_violin::weight_violin;

/// A memory model as it is drawn: its curve on a grid of voltages, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryCurve {
    /// Name of the memory model.
    pub name: String,
    /// What it is, in words.
    pub title: String,
    /// Unit of every voltage here.
    pub voltage_unit: VoltageUnit,
    /// The curve, in any order.
    pub points: Vec<CurvePoint>,
    /// Measured (voltage, bit error rate) pairs; empty for a curve given by a formula.
    pub measured: Vec<(f64, f64)>,
}

/// One point of a memory model's curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Supply voltage.
    pub voltage: f64,
    /// Bit error rate, in [0, 0.5].
    pub ber: f64,
    /// Where the rate comes from.
    pub source: BerSource,
    /// Energy of one bit access relative to the error-free voltage.
    pub access_energy_relative: f64,
}

/// A figure with its words.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// File name without its ending: `pareto`, `accuracy_voltage`, ...
    pub name: &'static str,
    /// One line.
    pub title: String,
    /// What is shown, on how many chips and images, what intervals and shading mean. Plain text.
    pub caption: String,
    /// The SVG file.
    pub svg: String,
}

/// True where these design points are few enough series to be told apart.
pub fn legible(points: &Averaged) -> bool {
    curves::is_legible(&series::series(&points.summaries))
}

/// The method `first` beside the baseline and the best of the other methods, over the voltage, with the energy above;
/// `None` where there are no two methods to be compared. `memory` says in words what the weights lie in.
pub fn overview(points: &Averaged, first: MethodLabel, memory: &str) -> Option<Figure> {
    let summaries = overview::highlighted(&points.summaries, first);
    let design = &summaries.first()?.design;
    let network = format!(
        "{} on {}, {}-bit weights",
        design.architecture,
        design.dataset,
        design.bits.map_or(0, Bits::get)
    );
    let title = [network.as_str(), &format!("in {memory}")];
    let svg = overview::overview(&summaries, design.voltage_unit, title);
    let points = Averaged {
        summaries,
        trainings: points.trainings,
    };
    Some(Figure {
        name: "overview",
        title: "Accuracy and energy against supply voltage".into(),
        caption: caption::overview(&points, first),
        svg,
    })
}

/// Every figure that the tables allow, in the order of the report: none of design points without
/// summaries, none over voltage where every point has a voltage for each domain, none of a memory
/// model without curves. `points` are the design points, trainings averaged or each for itself, of which at most
/// [`MOST_SHOWN`] are drawn; `frontiers` has the target accuracies and chance.
pub fn all(points: &Averaged, frontiers: &Pareto, memories: &[MemoryCurve]) -> Vec<Figure> {
    let (points, thinned) = &thin::thinned(points);
    let scene = Scene::of(&points.summaries, frontiers, memories);
    let mut figures = Vec::new();
    let mut add = |name, title: &str, mut caption: String, svg: String| {
        if svg.contains(curves::ENLARGED) {
            caption += " The upper panels enlarge the best accuracies of the lower ones.";
        }
        if let Some(words) = thinned.as_ref().filter(|_| name != "memory_model") {
            caption += &format!(" {words}");
        }
        figures.push(Figure {
            name,
            title: title.into(),
            caption,
            svg,
        });
    };
    if !points.summaries.is_empty() {
        add(
            "pareto",
            &format!("Accuracy against {}", scene.energy_scope()),
            caption::pareto(points, &scene, frontiers),
            pareto::pareto(&scene, frontiers),
        );
    }
    let lone = points.only(|s| s.design.voltage.is_some());
    if !lone.summaries.is_empty() {
        add(
            "accuracy_voltage",
            "Accuracy against supply voltage",
            caption::accuracy_voltage(&lone, &scene),
            accuracy::accuracy_voltage(&scene),
        );
        add(
            "accuracy_ber",
            "Accuracy against bit error rate",
            caption::accuracy_ber(&lone, &scene),
            accuracy::accuracy_ber(&scene),
        );
    }
    let whole = lone.only(|s| s.quantiles.is_some());
    if !whole.summaries.is_empty() {
        let scene = Scene {
            summaries: &whole.summaries,
            ..scene.clone()
        };
        add(
            "yield_voltage",
            "Yield against supply voltage",
            caption::yield_voltage(&whole, &scene),
            yield_voltage::yield_voltage(&scene),
        );
    }
    if !memories.is_empty() {
        add(
            "memory_model",
            "Memory model",
            caption::memory_model(memories),
            memory_model(memories),
        );
    }
    figures.extend(domain_voltage::domain_voltages(&points.summaries));
    figures
}
