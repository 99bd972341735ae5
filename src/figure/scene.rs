//! What the figures of design points share: the points, what stands out, and what the title says of them.

use super::curves::{self, Curve, Plot};
use super::facet::{facets, Facet, Focus};
use super::series::{series, series_over_voltage, Series};
use super::MemoryCurve;
use crate::analysis::{energy_scope, metric, Pareto, Summary};
use crate::units::{Metric, VoltageUnit};
use std::collections::BTreeSet;

/// Design points as they are drawn.
#[derive(Clone, Debug)]
pub(super) struct Scene<'a> {
    pub(super) summaries: &'a [Summary],
    pub(super) memories: &'a [MemoryCurve],
    /// What stands out.
    pub(super) focus: Focus,
    /// Network, data set, width where there is one, and memory.
    pub(super) about: String,
}

impl<'a> Scene<'a> {
    /// The scene of these points; the targets of `frontiers` say what stands out.
    pub(super) fn of(
        summaries: &'a [Summary],
        frontiers: &Pareto,
        memories: &'a [MemoryCurve],
    ) -> Self {
        Self {
            summaries,
            memories,
            focus: Focus::of(&series(summaries), frontiers),
            about: about(summaries, memories),
        }
    }

    /// What accuracies are the share of.
    pub(super) fn metric(&self) -> Metric {
        metric(self.summaries)
    }

    /// What energies are of.
    pub(super) fn energy_scope(&self) -> &'static str {
        energy_scope(self.summaries)
    }

    /// All series, by panel.
    pub(super) fn facets(&self) -> Vec<Facet<'a>> {
        facets(series(self.summaries), &self.focus)
    }

    /// Those of points with one voltage; `rename` changes their names.
    pub(super) fn facets_over_voltage(
        &self,
        rename: impl Fn(&Series<'_>) -> String,
    ) -> Vec<Facet<'a>> {
        let mut all = facets(series_over_voltage(self.summaries), &self.focus);
        for one in all.iter_mut().flat_map(|facet| &mut facet.series) {
            one.name = rename(one);
        }
        all
    }

    /// Plots for each voltage unit; `curve` draws a series in a unit.
    pub(super) fn plots_over_voltage(
        &self,
        facets: &[Facet<'a>],
        curve: impl Fn(&Series<'_>, VoltageUnit) -> Curve,
    ) -> Vec<Plot> {
        let ticks = curves::tick_count(facets.len());
        let mut plots = Vec::new();
        for unit in curves::units(self.summaries) {
            let is_own = |s: &&Summary| s.design.voltage_unit == unit;
            let points: Vec<&Summary> = self.summaries.iter().filter(is_own).collect();
            let voltages = points.iter().filter_map(|s| s.design.voltage);
            let x = curves::voltage_axis(unit, voltages, ticks);
            for facet in facets {
                let own = facet.series.iter().map(|s| curve(s, unit));
                let own: Vec<Curve> = own.filter(|c| !c.runs[0].is_empty()).collect();
                if own.is_empty() {
                    continue;
                }
                plots.push(Plot {
                    name: facet.name.clone(),
                    x: x.clone(),
                    above: curves::rates_above(&points),
                    edge: curves::extrapolated_below(&points, self.memories),
                    curves: own,
                });
            }
        }
        plots
    }
}

/// `resnet20 on cifar10, 4-bit weights in 14 nm SRAM`: what design points are of, for a title; several names one after
/// the other.
pub fn about(summaries: &[Summary], memories: &[MemoryCurve]) -> String {
    let networks = listed(summaries.iter().map(|s| {
        let design = &s.design;
        format!("{} on {}", design.architecture, design.dataset)
    }));
    let widths: BTreeSet<_> = summaries.iter().map(|s| s.design.bits).collect();
    let of_activations = |s: &Summary| s.design.fault_kind.is_of_activations();
    let weights = match widths.first() {
        Some(_) if summaries.iter().all(of_activations) => "stored activations".into(),
        Some(Some(bits)) if widths.len() == 1 => format!("{bits}-bit weights"),
        _ => "weights".into(),
    };
    let title = |name: &str| {
        let known = memories.iter().find(|curve| curve.name == name);
        known.map_or_else(|| name.to_owned(), |curve| curve.title.clone())
    };
    let memories = listed(summaries.iter().map(|s| title(&s.design.memory)));
    format!("{networks}, {weights} in {memories}")
}

/// Different words, one after the other; many only counted.
fn listed(words: impl Iterator<Item = String>) -> String {
    let all: BTreeSet<String> = words.collect();
    match all.len() {
        0..=3 => all.into_iter().collect::<Vec<_>>().join(" and "),
        many => format!("{many} different ones"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frontiers, memory, two_methods};
    use super::*;

    #[test]
    fn network_data_set_width_and_memory_are_said() {
        let mut summaries = two_methods();
        let about = |summaries: &[Summary], memories: &[MemoryCurve]| {
            Scene::of(summaries, &frontiers(summaries), memories).about
        };
        assert_eq!(
            about(&summaries, &[memory()]),
            "lenet on glyphs, 4-bit weights in 14 nm FinFET SRAM, 32 arrays of 4 KiB"
        );
        summaries[0].design.bits = None;
        assert_eq!(
            about(&summaries, &[]),
            "lenet on glyphs, weights in sram-14nm-chandramoorthy2019"
        );
    }
}
