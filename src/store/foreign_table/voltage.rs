//! The column of supply voltages of a foreign table: its words and its units.

use super::number::Marks;
use super::{excerpt, word, ForeignTable, Number, Size, Words};
use crate::units::{Voltage, VoltageUnit};

/// Words for a supply voltage, without units.
const WORDS: Words = Words(
    "voltage voltages v u vdd vcc vsupply supply supplyvoltage vddm vmem vsram vcore vcell vbram vccbram vccint vddsram \
     vddcell corevoltage memoryvoltage sramvoltage nominalvoltage vddvoltage",
);
/// Words for units, with their power of ten and whether they are volts; those that end in others come first.
const UNITS: &[(&str, i32, VoltageUnit)] = &[
    ("microvolts", -6, VoltageUnit::Volt),
    ("microvolt", -6, VoltageUnit::Volt),
    ("microv", -6, VoltageUnit::Volt),
    ("millivolts", -3, VoltageUnit::Volt),
    ("millivolt", -3, VoltageUnit::Volt),
    ("mv", -3, VoltageUnit::Volt),
    ("vmin", 0, VoltageUnit::Vmin),
    ("volts", 0, VoltageUnit::Volt),
    ("volt", 0, VoltageUnit::Volt),
    ("v", 0, VoltageUnit::Volt),
];
/// Least voltage that is taken for millivolts: less is a voltage in volts under a wrong word.
const LEAST_MILLIVOLT: f64 = 0.01;

/// What the header says of a column of supply voltages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoltageColumn {
    /// The unit's power of ten and kind, where the header says it.
    unit: Option<(i32, VoltageUnit)>,
}

impl VoltageColumn {
    /// The column of a name; `None` where it is no word for a supply voltage.
    pub fn of(name: &str) -> Option<Self> {
        let word = word(name);
        // `v` alone is the quantity: V names both
        if WORDS.has(&word) {
            return Some(Self { unit: None });
        }
        let unit = UNITS.iter().find(|unit| unit.0 == word).or_else(|| {
            UNITS
                .iter()
                .find(|(unit, ..)| word.strip_suffix(unit).is_some_and(|rest| WORDS.has(rest)))
        })?;
        Some(Self {
            unit: Some((unit.1, unit.2)),
        })
    }

    /// A voltage as a user types it, `0.54`, `0.54V` or `540mV`, with its unit where one is written.
    pub fn typed(text: &str) -> Option<(Voltage, Option<VoltageUnit>)> {
        let number = Number::read(text, Size::Small, Marks::POINT).ok()?;
        let said = unit_of(&number)?;
        let (power, unit) = said.map_or((0, None), |(power, unit)| (power, Some(unit)));
        Some((Voltage::new(number.times_ten_to(power)?).ok()?, unit))
    }

    /// Unit of the voltages, where the header says it.
    pub fn unit(self) -> Option<VoltageUnit> {
        self.unit.map(|(_, unit)| unit)
    }

    /// The voltage in a cell, in volts or multiples of `Vmin`.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn read(self, table: &ForeignTable<'_>, text: &str) -> Result<Voltage, (String, String)> {
        let refused = |expected: &str| (expected.to_owned(), excerpt(text));
        let number = table
            .number(text, Size::Small)
            .map_err(|_| refused("a number above 0 and at most 100"))?;
        let said =
            unit_of(&number).ok_or_else(|| refused("a voltage, with or without `V` or `mV`"))?;
        if self.unit.is_some() && said.is_some() && self.unit != said {
            return Err(refused("a voltage in the unit that the header says"));
        }
        let power = said.or(self.unit).map_or(0, |(power, _)| power);
        let number = number.times_ten_to(power).unwrap_or(f64::NAN);
        let voltage = Voltage::new(number).map_err(|_| {
            refused(match power {
                0 if number > 100.0 => {
                    "a number above 0 and at most 100 (millivolts are said in the header: `voltage_mV`)"
                }
                0 => "a number above 0 and at most 100",
                _ => "a voltage above 0 and at most 100 V",
            })
        })?;
        if power < 0 && voltage.get() < LEAST_MILLIVOLT {
            return Err(refused("a voltage of at least 10 mV, the unit being said"));
        }
        Ok(voltage)
    }
}

/// Power of ten and kind of the unit behind a number, `None` inside where there is none; `None` for another unit.
fn unit_of(number: &Number<'_>) -> Option<Option<(i32, VoltageUnit)>> {
    if number.unit.is_empty() {
        return Some(None);
    }
    let unit = word(number.unit);
    let (_, power, unit) = UNITS.iter().find(|(known, ..)| *known == unit)?;
    Some(Some((*power, *unit)))
}
