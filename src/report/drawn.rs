//! The table of failing cells as they were drawn, beside the bit error rate of the curve.

use super::tables::{head, row, thinned, Cell};
use crate::analysis::FaultCount;
use crate::figure::{escape, MOST_SHOWN};

/// Empty where nothing was counted.
pub(super) fn drawn(counts: &[FaultCount]) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let head = head(&[
        ("Model", true),
        ("Protection", true),
        ("Array", true),
        ("Voltage", false),
        ("Bit error rate of the curve", false),
        ("Failing cells", false),
        ("of cells", false),
        ("Bit error rate as drawn", false),
        ("95 % interval", false),
        ("holds the curve's", true),
    ]);
    let mut rows = Vec::new();
    let mut last = None;
    for count in counts {
        let (voltage, unit) = count.voltage;
        let group = Some((&count.model, voltage.to_bits()));
        let cells = [
            Cell::Text(count.model.clone()),
            Cell::Text(count.protection.to_string()),
            Cell::Text(count.array.to_string()),
            Cell::Number(format!("{voltage:.3} {unit}")),
            Cell::Number(digits(count.ber)),
            Cell::Number(count.failing.to_string()),
            Cell::Number(count.cells.to_string()),
            Cell::Number(digits(count.rate())),
            Cell::Number(format!(
                "{} to {}",
                digits(count.interval.low),
                digits(count.interval.high)
            )),
            Cell::Text(if count.holds() { "yes" } else { "no" }.into()),
        ];
        rows.push(row(&cells, last.is_some() && last != group));
        last = group;
    }
    let (rows, left_out) = thinned(&rows, MOST_SHOWN);
    let held = count_held(counts);
    let caption = escape(&format!(
        "Cells of all chips together. The interval is Wilson's where cells are independent; where columns \
         are correlated, or faults transient, it is Student's over chips, and not narrower than Wilson's. \
         {held} of {} intervals hold the curve's rate; about one in twenty misses by chance, and since faults nest over \
         voltage, and models share chips, neighbouring rows miss together.",
        counts.len()
    ));
    format!(
        "<h3 id=\"drawn\">Failing cells as drawn</h3>\n<div class=\"scroll\"><table>\n{head}{rows}</table></div>\n\
         <p class=\"caption\">{caption}</p>\n{left_out}"
    )
}

/// A rate with four digits: intervals of many cells are narrow.
fn digits(rate: f64) -> String {
    format!("{rate:.3e}")
}

fn count_held(counts: &[FaultCount]) -> usize {
    counts.iter().filter(|count| count.holds()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Protection;
    use crate::stats::Interval;

    #[test]
    fn the_drawn_rate_stands_beside_the_curves() {
        let count = |array: &str, failing| FaultCount {
            model: "m".into(),
            protection: Protection::None,
            array: array.parse().unwrap(),
            voltage: (0.54, "V"),
            ber: 0.01,
            cells: 1000,
            failing,
            chips: 2,
            interval: Interval {
                low: 0.008,
                high: 0.012 + failing as f64 / 1e6,
            },
        };
        let mut high = count("column 0.5 bank 0", 30);
        high.interval.low = 0.02;
        let html = drawn(&[count("independent", 10), high]);
        for part in [
            "0.540 V",
            "independent",
            "column 0.5 bank 0",
            ">yes<",
            ">no<",
            "1 of 2 intervals hold",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(drawn(&[]), "");
    }
}
