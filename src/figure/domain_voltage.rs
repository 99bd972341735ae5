//! The figure `domain_voltages`: the voltage of each domain at design points that have several.

use super::axes::{middle_of_row, Axis};
use super::curves;
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::{Shape, MARKER};
use super::palette::PALETTE;
use super::text::percent;
use super::{series_labels, Figure};
use crate::analysis::Summary;

/// Most design points that are drawn, those of least energy.
const MOST: usize = 3;
/// Pixels of a domain.
const ROW: f64 = 24.0;

/// Draws the figure, domains from the first one down; `None` where no design point has several voltages.
pub(super) fn domain_voltages(summaries: &[Summary]) -> Option<Figure> {
    let labelled = summaries.iter().zip(series_labels(summaries));
    let mut points: Vec<(&Summary, String)> = labelled
        .filter(|(point, _)| !point.design.domain_voltages.is_empty())
        .collect();
    points.sort_by(|(a, _), (b, _)| a.by_energy(b));
    let (first, _) = points.first()?;
    let names: Vec<&str> = first
        .design
        .domain_voltages
        .iter()
        .map(|own| own.domain.as_str())
        .collect();
    let unit = first.design.voltage_unit;
    let alike = |(point, _): &&(&Summary, String)| {
        let own = point.design.domain_voltages.iter();
        point.design.voltage_unit == unit
            && own.map(|d| d.domain.as_str()).eq(names.iter().copied())
    };
    let drawn: Vec<_> = points.iter().filter(alike).take(MOST).collect();
    let voltages = drawn
        .iter()
        .flat_map(|(point, _)| point.design.domain_voltages.iter().map(|own| own.voltage));
    let panel = Panel::new(
        curves::voltage_axis(unit, voltages, 9),
        Axis::of_rows("Domain", &names),
        ROW * names.len() as f64 + 12.0,
    );
    let mut legend = Legend::default();
    for (place, (point, label)) in drawn.iter().enumerate() {
        let name = format!(
            "{label}: energy {:.3}, {} %",
            point.design.energy_relative,
            percent(point.mean)
        );
        let sample = Sample::Marker(Shape::ALL[place], PALETTE[place], false);
        legend.name(sample, name);
    }
    let title = "Supply voltage of each domain";
    let svg = layout(title, vec![panel], 24.0, &legend, |canvas, axes, _| {
        for (place, (point, _)) in drawn.iter().enumerate() {
            for (domain, own) in point.design.domain_voltages.iter().enumerate() {
                // points of equal voltage stand one under the other
                let below = place as f64 - (drawn.len() - 1) as f64 / 2.0;
                let y = middle_of_row(domain, names.len()) - 0.2 * below;
                let look = (Shape::ALL[place], PALETTE[place]);
                axes.marker(canvas, (own.voltage, y), look, MARKER, false);
            }
        }
    });
    let more = match points.len() - drawn.len() {
        0 => String::new(),
        more => format!(" {more} others are in the tables."),
    };
    Some(Figure {
        name: "domain_voltages",
        title: title.to_owned(),
        caption: format!(
            "The voltage of each part of the weight memory where parts have supplies of their own, at the design points of \
             least energy; the key has their energies and mean accuracies.{more}"
        ),
        svg,
    })
}
