//! Lists of supply voltages as a user types them. Whether a memory model knows a voltage is the
//! model's affair.

use crate::error::{refuse, Error, Result};
use crate::units::{Voltage, VoltageUnit};

/// Most voltages of one list.
const MOST: usize = 10_000;

/// Most decimal places kept; a `f64` between 0 and 100 holds no more.
const MOST_PLACES: usize = 12;

/// Reads a list of voltages, each with its unit where one is written.
///
/// Comma-separated, each a voltage (`0.85`, `0.85vmin`, `0.56V`, `560mV`) or a range `start:stop:step`
/// with both ends included; a stop off the grid of steps ends the list. A unit on any part of a
/// range holds for all of it. Values have the decimal places that were typed, so that 0.85 is
/// the same number however it is reached. By rising value, without duplicates.
///
/// # Errors
/// [`Error::Argument`] for anything that is no voltage, a range that falls, a step of 0 or
/// below, an empty list, and more than 10,000 values.
pub fn parse_voltages(text: &str) -> Result<Vec<(Voltage, Option<VoltageUnit>)>> {
    let mut voltages = Vec::new();
    for part in text.split(',') {
        match part.split(':').collect::<Vec<_>>()[..] {
            [one] => voltages.push(parse_voltage(one)?),
            [start, stop, step] => range(part, [start, stop, step], &mut voltages)?,
            _ => {
                return refuse(
                    "voltages",
                    "a voltage or start:stop:step",
                    format!("`{part}`"),
                )
            }
        }
        if voltages.len() > MOST {
            return Err(too_many(voltages.len()));
        }
    }
    voltages.sort_by(|(a, unit), (b, other)| a.get().total_cmp(&b.get()).then(unit.cmp(other)));
    voltages.dedup();
    Ok(voltages)
}

/// Reads one voltage with or without a unit.
///
/// # Errors
/// [`Error::Argument`] for anything that is no voltage.
pub fn parse_voltage(text: &str) -> Result<(Voltage, Option<VoltageUnit>)> {
    let (number, unit) = split_unit(text);
    let value = in_volts(number, unit).parse().map_err(|_| wrong(text))?;
    Ok((value, unit.map(|(unit, _)| unit)))
}

/// A number above 100 is one of millivolts.
fn wrong(text: &str) -> Error {
    let text = text.trim();
    let found = match text.parse::<f64>() {
        Ok(millivolts) if millivolts > 100.0 && millivolts <= 1e5 => {
            format!(
                "`{text}` (did you mean `{}`, or `{text}mV`?)",
                millivolts / 1000.0
            )
        }
        _ => format!("`{text}`"),
    };
    let expected = "a number above 0 and at most 100, with or without `vmin`, `V` or `mV`";
    Error::argument("voltage", expected, found)
}

/// A unit as it is typed, and the power of ten in it.
type Written = (VoltageUnit, i32);

/// How units are typed; those that end in others come first.
const UNITS: [(&str, Written); 4] = [
    ("vmin", (VoltageUnit::Vmin, 0)),
    ("volt", (VoltageUnit::Volt, 0)),
    ("mv", (VoltageUnit::Volt, -3)),
    ("v", (VoltageUnit::Volt, 0)),
];

/// The decimal in volts, or in multiples of Vmin: the same number that one would type so.
fn in_volts(number: &str, unit: Option<Written>) -> String {
    let power = unit.map_or(0, |(_, power)| power);
    if power == 0 {
        return number.to_owned();
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) => format!("{mantissa}e{}", exponent.saturating_add(power)),
        Err(_) => String::new(),
    }
}

fn too_many(count: impl ToString) -> Error {
    Error::argument("voltages", format!("at most {MOST}"), count.to_string())
}

/// Number and unit of a text, without spaces.
fn split_unit(text: &str) -> (&str, Option<Written>) {
    let text = text.trim();
    for (word, unit) in UNITS {
        let cut = text.len().checked_sub(word.len());
        match cut.and_then(|cut| text.split_at_checked(cut)) {
            Some((number, end)) if end.eq_ignore_ascii_case(word) => {
                return (number.trim_end(), Some(unit));
            }
            _ => {}
        }
    }
    (text, None)
}

fn range(
    part: &str,
    [start, stop, step]: [&str; 3],
    voltages: &mut Vec<(Voltage, Option<VoltageUnit>)>,
) -> Result<()> {
    let parts = [start, stop, step].map(split_unit);
    let refused =
        |expected: &str| Error::argument("voltages", expected, format!("`{}`", part.trim()));
    let mut units = parts.into_iter().filter_map(|(_, unit)| unit);
    let unit = units.next();
    let mixed = units.any(|other| Some(other) != unit);
    if mixed {
        return Err(refused("one unit in a range"));
    }
    let numbers = parts.map(|(number, _)| in_volts(number, unit));
    let [low, high, width] = &numbers;
    let low: Voltage = low.parse().map_err(|_| wrong(start))?;
    let high: Voltage = high.parse().map_err(|_| wrong(stop))?;
    let width: f64 = width
        .parse()
        .ok()
        .filter(|w: &f64| *w > 0.0 && w.is_finite())
        .ok_or_else(|| refused("start:stop:step with a step above 0"))?;
    let (low, high) = (low.get(), high.get());
    if high < low {
        return Err(refused(
            "start:stop:step with the stop at or above the start",
        ));
    }
    let unit = unit.map(|(unit, _)| unit);
    let steps = (high - low) / width;
    if steps >= MOST as f64 {
        return Err(too_many(format!("`{}`", part.trim())));
    }
    // the last step may miss the stop by rounding alone
    let whole = (steps + 1e-6).floor() as usize;
    let places = numbers
        .iter()
        .map(|number| places(number))
        .max()
        .unwrap_or(0);
    for i in 0..=whole {
        voltages.push((rounded(low + i as f64 * width, places)?, unit));
    }
    voltages.push((rounded(high, places)?, unit));
    Ok(())
}

/// Decimal places of a number as it is written.
fn places(number: &str) -> usize {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let written = mantissa
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len()) as i64;
    let shift: i64 = exponent.parse().unwrap_or(0);
    written.saturating_sub(shift).clamp(0, MOST_PLACES as i64) as usize
}

/// The number nearest to a decimal of so many places.
fn rounded(value: f64, places: usize) -> Result<Voltage> {
    format!("{value:.places$}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<f64> {
        parse_voltages(text)
            .unwrap()
            .iter()
            .map(|(v, _)| v.get())
            .collect()
    }

    #[test]
    fn a_range_has_both_ends_and_the_numbers_one_would_type() {
        let typed = [
            0.75, 0.775, 0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95, 0.975, 1.0,
        ];
        assert_eq!(values("0.75:1.0:0.025"), typed);
        let printed: Vec<String> = parse_voltages("0.8:0.9:0.05")
            .unwrap()
            .iter()
            .map(|(v, _)| v.to_string())
            .collect();
        assert_eq!(printed, ["0.8", "0.85", "0.9"]);
        assert_eq!(values("0.75:1:0.25"), [0.75, 1.0]);
        assert_eq!(values("0.5:0.7:1e-1"), [0.5, 0.6, 0.7]);
        assert_eq!(values("0.9:0.9:0.1"), [0.9]);
    }

    #[test]
    fn fine_ranges_hit_every_decimal() {
        let fine = values("0.500:1.500:0.001");
        assert_eq!(fine.len(), 1001);
        for (i, value) in fine.iter().enumerate() {
            assert_eq!(
                *value,
                format!("{:.3}", 0.5 + i as f64 / 1000.0)
                    .parse::<f64>()
                    .unwrap()
            );
        }
    }

    #[test]
    fn a_stop_off_the_grid_is_the_last_value() {
        assert_eq!(values("0.75:1.0:0.1"), [0.75, 0.85, 0.95, 1.0]);
        assert_eq!(values("0.75:0.8:1"), [0.75, 0.8]);
    }

    #[test]
    fn lists_and_ranges_mix_sorted_without_duplicates() {
        assert_eq!(
            values("1.0, 0.8:0.9:0.05,0.85, 0.7"),
            [0.7, 0.8, 0.85, 0.9, 1.0]
        );
    }

    #[test]
    fn units_are_read_where_written() {
        let unit = |text: &str| parse_voltages(text).unwrap()[0];
        let voltage = |v| Voltage::new(v).unwrap();
        for text in ["0.85vmin", "0.85 Vmin", " 0.85VMIN "] {
            assert_eq!(unit(text), (voltage(0.85), Some(VoltageUnit::Vmin)));
        }
        for text in ["0.56V", "0.56v", "0.56 volt"] {
            assert_eq!(unit(text), (voltage(0.56), Some(VoltageUnit::Volt)));
        }
        assert_eq!(unit("0.56"), (voltage(0.56), None));
        for (text, wanted) in [
            ("850mV", 0.85),
            ("850 MV", 0.85),
            ("8.5e2mv", 0.85),
            ("562.5mV", 0.5625),
        ] {
            assert_eq!(unit(text), (voltage(wanted), Some(VoltageUnit::Volt)));
        }
        for text in ["500mV:600mV:25mV", "500:600:25mV", "500mV:600:25"] {
            assert_eq!(values(text), [0.5, 0.525, 0.55, 0.575, 0.6], "{text}");
        }
        for text in ["0.5:0.6:0.1V", "0.5V:0.6V:0.1", "0.5:0.6V:0.1"] {
            let units: Vec<_> = parse_voltages(text)
                .unwrap()
                .iter()
                .map(|(_, unit)| *unit)
                .collect();
            assert_eq!(units, [Some(VoltageUnit::Volt); 2], "{text}");
        }
        let mixed = parse_voltages("0.6V,0.6,0.6vmin,0.6V").unwrap();
        assert_eq!(mixed.len(), 3);
    }

    #[test]
    fn what_is_no_voltage_is_refused_and_shown() {
        let voltage =
            "voltage: expected a number above 0 and at most 100, with or without `vmin`, `V` or `mV`, found ";
        for (text, message) in [
            ("abc", format!("{voltage}`abc`")),
            ("nan", format!("{voltage}`nan`")),
            ("inf", format!("{voltage}`inf`")),
            ("-1", format!("{voltage}`-1`")),
            ("0", format!("{voltage}`0`")),
            ("", format!("{voltage}``")),
            ("V", format!("{voltage}`V`")),
            ("800", format!("{voltage}`800` (did you mean `0.8`, or `800mV`?)")),
            ("1e6", format!("{voltage}`1e6`")),
            ("800V", format!("{voltage}`800V`")),
            ("mV", format!("{voltage}`mV`")),
            ("8e5xmV", format!("{voltage}`8e5xmV`")),
            ("700:800:50", format!("{voltage}`700` (did you mean `0.7`, or `700mV`?)")),
            ("0.8V:900mV:10mV", "voltages: expected one unit in a range, found `0.8V:900mV:10mV`".into()),
            ("0,85", format!("{voltage}`0`")),
            ("0.8,,0.9", format!("{voltage}``")),
            ("ü", format!("{voltage}`ü`")),
            ("0.8:x:0.1", format!("{voltage}`x`")),
            ("0.8:0.9", "voltages: expected a voltage or start:stop:step, found `0.8:0.9`".into()),
            ("1:2:3:4", "voltages: expected a voltage or start:stop:step, found `1:2:3:4`".into()),
            (
                "0.8:0.9:0.1V, 0.9:0.8:0.1",
                "voltages: expected start:stop:step with the stop at or above the start, found `0.9:0.8:0.1`"
                    .into(),
            ),
            ("0.8V:0.9:0.1vmin", "voltages: expected one unit in a range, found `0.8V:0.9:0.1vmin`".into()),
            ("0.5:1:0.00001", "voltages: expected at most 10000, found `0.5:1:0.00001`".into()),
            ("0.5:1:1e-300", "voltages: expected at most 10000, found `0.5:1:1e-300`".into()),
        ] {
            assert_eq!(parse_voltages(text).unwrap_err().to_string(), message, "{text}");
        }
        for step in ["0", "-0.1", "nan", "inf", "", "x"] {
            let text = format!("0.8:0.9:{step}");
            let message =
                format!("voltages: expected start:stop:step with a step above 0, found `{text}`");
            assert_eq!(parse_voltages(&text).unwrap_err().to_string(), message);
        }
        let long = ["0.5:1:0.0001"; 3].join(",");
        assert!(parse_voltages(&long)
            .unwrap_err()
            .to_string()
            .contains("at most 10000"));
    }
}
