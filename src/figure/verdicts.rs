//! The figure `verdicts`: what the check of an answer showed of each candidate against supply voltage.

use super::axes::Axis;
use super::canvas::{Color, Stroke};
use super::curves::{self, Curve, Point};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::Shape;
use super::palette::PALETTE;
use super::series::Style;
use super::Figure;
use crate::answer::{AnswerRow, EvidenceRow, Verdict};
use crate::stats::ends;

const GOAL: Stroke = Stroke::dashed(Color(90, 90, 90, 1.0), 1.4, &[5.0, 4.0]);

/// Draws the figure; `None` where the check saw no chip.
pub fn verdicts(rows: &[AnswerRow], evidence: &[EvidenceRow]) -> Option<Figure> {
    let seen: Vec<&EvidenceRow> = evidence.iter().filter(|row| row.chips > 0).collect();
    let (first, of_yield) = (rows.first()?, seen.first()?.good_chips.is_some());
    let (mut legend, mut all) = (Legend::default(), Vec::new());
    for (place, row) in rows.iter().enumerate() {
        let style = Style {
            color: PALETTE[place % PALETTE.len()],
            shape: Shape::ALL[place % Shape::ALL.len()],
            dash: &[],
        };
        let own = |seen: &&&EvidenceRow| {
            (&seen.model, seen.protection, &seen.activations)
                == (&row.model, row.protection, &row.activations)
        };
        let run: Vec<Point> = seen.iter().filter(own).map(|seen| point(seen)).collect();
        if !run.is_empty() {
            legend.name(Sample::Series(style), row.name());
            all.push(Curve {
                name: row.name(),
                style,
                strong: true,
                runs: vec![run],
            });
        }
    }
    let mut goals: Vec<f64> = seen.iter().map(|row| 100.0 * row.goal).collect();
    goals.sort_by(f64::total_cmp);
    goals.dedup();
    let values = seen
        .iter()
        .flat_map(|row| [row.value_low, row.value_high, row.goal]);
    let (low, high) = ends(values.map(|x| 100.0 * x));
    let label = if of_yield {
        "Chips that reach the floor (%)"
    } else {
        "Mean accuracy over chips (%)"
    };
    legend.add(Sample::Whisker, "one-sided bounds");
    let mark = |hollow| Sample::Marker(Shape::Circle, Color::INK, hollow);
    legend.add(mark(false), "shown to hold");
    legend.add(mark(true), "not shown to hold");
    legend.add(Sample::Line(GOAL), "to be reached");
    let voltages = seen.iter().map(|row| row.voltage);
    let x = curves::voltage_axis(first.voltage_unit, voltages, 9);
    let y = Axis::rounded(label, low, high, 6, (0.0, 100.0));
    let panel = Panel::new(x, y, 420.0);
    let title = "What fresh chips showed against supply voltage";
    let svg = layout(title, vec![panel], 28.0, &legend, |canvas, axes, _| {
        for goal in &goals {
            axes.horizontal(canvas, *goal, GOAL);
        }
        curves::draw(canvas, axes, &all, |_| ());
    });
    Some(Figure {
        name: "verdicts",
        title: title.to_owned(),
        caption: "Every voltage that the check looked at, on chips that the search never saw; the bars are the one-sided bounds \
                  of each statement. Markers are filled where the lower bound reaches the dashed line."
            .to_owned(),
        svg,
    })
}

fn point(seen: &EvidenceRow) -> Point {
    Point {
        x: seen.voltage,
        y: 100.0 * seen.value,
        band: None,
        whisker: Some((100.0 * seen.value_low, 100.0 * seen.value_high)),
        hollow: seen.verdict != Verdict::Holds,
    }
}
