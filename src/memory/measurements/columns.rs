//! The columns of a table of measurements: which word means what, and in which unit.

use super::super::HIGHEST_BER;
use crate::error::{Error, Result};
use crate::store::{excerpt, word, ForeignTable, Size, VoltageColumn, Words};

/// What the header may be, for messages.
pub(super) const HEADER: &str =
    "the columns `voltage, faults, cells` or `voltage, ber`, and perhaps `energy` (in any unit) or \
                      `access_energy_pj`";

/// Words for the number of cells that fail at all.
const FAULTS: Words = Words(
    "fault faults fail fails failed failing failure failures faulty error errors err errs biterror biterrors \
     bitfailures bitfails bitfaults cellfailures failingcells failedcells faultycells failingbits failedbits \
     faultybits cellsfailing cellsfailed bitsfailed bitsfailing bitsinerror nfail nfails nfailed nfaults nfailures \
     nerrors nerr readerrors errorbits errorcells",
);
/// Words for the number of bits that read wrongly.
const FLIPS: Words = Words("flip flips bitflip bitflips flipped flippedbits bitsflipped nflips");
/// Words for the number of cells.
const CELLS: Words = Words(
    "cells bits total n ncells nbits totalcells totalbits testedcells testedbits cellstested bitstested bitsread \
     cellsread bitstotal cellstotal memorybits memorycells sramcells srambits",
);
/// Words for the fraction of cells that fail at all.
const RATES: Words = Words(
    "ber rber errorrate biterrorrate rawbiterrorrate biterrorratio errorratio failrate failurerate faultrate \
     bitfailurerate bitfailrate bitfaultrate cellfailurerate pfail failprob failprobability failureprob \
     failureprobability faultprobability errorprobability bitfailureprobability probability prob p rate failfraction \
     failurefraction failingfraction fractionfailing failingshare",
);
/// Words for the fraction of bits that read wrongly.
const FLIP_RATES: Words = Words("fliprate bitfliprate flipprobability bitflipprobability");
/// Units of rates with their power of ten.
const RATE_UNITS: &[(&str, i32)] = &[("percent", -2), ("pct", -2), ("ppm", -6)];
/// Words for the energy of an access, in any unit.
const ENERGIES: Words = Words("energy accessenergy energyaccess readenergy");
/// Units of energies; no matter which, only their course counts.
const ENERGY_UNITS: &[&str] = &[
    "pj", "fj", "nj", "uj", "microj", "mj", "j", "joule", "joules", "au", "norm", "relative",
];
/// Words for the energy of an access of a bit, with the power of ten of picojoules.
const BIT_ENERGIES: &[(&str, i32)] = &[
    ("accessenergypj", 0),
    ("accessenergypjbit", 0),
    ("energypjbit", 0),
    ("energybitpj", 0),
    ("accessenergyfjbit", -3),
    ("energyfjbit", -3),
    ("energybitfj", -3),
];
/// Words that only say that a column counts something.
const COUNTING: &[&str] = &["n", "no", "nr", "num", "number", "count", "counts", "total"];
/// The words of this program; they win over others of the same meaning.
const OWN: Words = Words("voltage faults cells ber energy accessenergypj");

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Voltage(VoltageColumn),
    Faults { flips: bool },
    Cells,
    Rate { power: i32, flips: bool },
    Energy { power: i32, in_pj: bool },
}

/// Places of what was counted, or of the rates.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rates {
    Counts {
        faults: usize,
        cells: usize,
    },
    /// Rates times 10^power, with numbers of cells or without.
    Ber {
        at: usize,
        power: i32,
        cells: Option<usize>,
    },
}

/// Place and unit of the energies.
#[derive(Clone, Copy, Debug)]
pub(super) struct EnergyColumn {
    pub(super) at: usize,
    pub(super) power: i32,
    in_pj: bool,
}

/// Places of the columns in a row.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) voltage_at: usize,
    pub(super) voltage: VoltageColumn,
    pub(super) rates: Rates,
    /// Counts or rates are of bits that read wrongly.
    pub(super) flips: bool,
    pub(super) energy: Option<EnergyColumn>,
    /// Names of the columns that are not read.
    unread: Vec<String>,
}

impl Columns {
    /// # Errors
    /// [`Error::Input`] with the line of the header where a column is missing, or two may be meant.
    pub(super) fn of(table: &ForeignTable<'_>) -> Result<Self> {
        let names = table.columns();
        let roles: Vec<Option<Role>> = names.iter().map(|name| role(name)).collect();
        let header = names.join(", ");
        let refused = |found: &str| table.wrong(table.header_line(), None, HEADER, found);
        let one = |is: fn(&Role) -> bool| -> Result<Option<(usize, Role)>> {
            let all: Vec<(usize, Role)> = (0..)
                .zip(&roles)
                .filter_map(|(at, role)| Some((at, (*role).filter(is)?)))
                .collect();
            let own: Vec<_> = all
                .iter()
                .filter(|(at, _)| OWN.has(&word(&names[*at])))
                .collect();
            match (all.as_slice(), own.as_slice()) {
                ([], _) => Ok(None),
                ([one], _) => Ok(Some(*one)),
                (_, [one]) => Ok(Some(**one)),
                ([(a, _), (b, _), ..], _) => {
                    let [a, b] = [a, b].map(|at| excerpt(&names[*at]));
                    Err(refused(&format!("two columns of one meaning, {a} and {b}")))
                }
            }
        };
        let voltage = one(|role| matches!(role, Role::Voltage(_)))?;
        let Some((voltage_at, Role::Voltage(voltage))) = voltage else {
            return Err(refused(&excerpt(&header)));
        };
        let faults = one(|role| matches!(role, Role::Faults { .. }))?;
        let cells = one(|role| matches!(role, Role::Cells))?.map(|(at, _)| at);
        let rate = one(|role| matches!(role, Role::Rate { .. }))?;
        let (rates, flips) = match (faults, cells, rate) {
            (Some((faults, Role::Faults { flips })), Some(cells), _) => {
                (Rates::Counts { faults, cells }, flips)
            }
            (_, cells, Some((at, Role::Rate { power, flips }))) => {
                (Rates::Ber { at, power, cells }, flips)
            }
            _ => return Err(refused(&excerpt(&header))),
        };
        let energy = one(|role| matches!(role, Role::Energy { .. }))?;
        let energy = energy.and_then(|(at, role)| match role {
            Role::Energy { power, in_pj } => Some(EnergyColumn { at, power, in_pj }),
            _ => None,
        });
        let mut read = vec![Some(voltage_at), energy.map(|energy| energy.at)];
        match rates {
            Rates::Counts { faults, cells } => read.extend([Some(faults), Some(cells)]),
            Rates::Ber { at, cells, .. } => read.extend([Some(at), cells]),
        }
        let unread = (0..names.len()).filter(|at| !read.contains(&Some(*at)));
        Ok(Self {
            voltage_at,
            voltage,
            rates,
            flips,
            energy,
            unread: unread.map(|at| excerpt(&names[at])).collect(),
        })
    }

    pub(super) fn energy_in_pj(&self) -> bool {
        self.energy.is_some_and(|energy| energy.in_pj)
    }

    /// What a rate should be, for messages.
    pub(super) fn rate_expected(&self) -> &'static str {
        match (self.flips, self.rates) {
            (true, _) => "a fraction of flipped bits from 0 to 0.5 (of cells that fail at all it may be more: `ber`)",
            (_, Rates::Ber { power: -2, .. }) => "a bit error rate from 0 to 100 %",
            (_, Rates::Ber { power: -6, .. }) => "a bit error rate from 0 to 1000000 ppm",
            _ => "a bit error rate from 0 to 1 (a column of per cent is headed `ber_%`)",
        }
    }

    /// The rate in a cell, in [0, 1], or in [0, 0.5] for flipped bits.
    pub(super) fn rate(&self, table: &ForeignTable<'_>, text: &str, power: i32) -> Option<f64> {
        let number = table.number(text, Size::Small).ok()?;
        let own = match number.unit {
            "" => power,
            unit => RATE_UNITS.iter().find(|(name, _)| *name == word(unit))?.1,
        };
        let most = if self.flips { HIGHEST_BER } else { 1.0 };
        let rate = number.times_ten_to(own)?;
        let fits = (0.0..=most).contains(&rate) && (power == 0 || power == own);
        fits.then_some(rate)
    }

    /// An error of a count, with the way out where more than half of the bits are flipped.
    pub(super) fn above_half(&self, error: Error) -> Error {
        match error {
            Error::Input { path, line, key, expected, found } if self.flips => Error::Input {
                path,
                line,
                key,
                expected: format!("{expected}, half of the bits (of cells that fail at all it may be more: `faults`)"),
                found,
            },
            other => other,
        }
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.unread.is_empty() {
            let named = self.unread[..self.unread.len().min(10)].join(", ");
            let more = match self.unread.len().saturating_sub(10) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            remarks.push(format!("columns that are not read: {named}{more}"));
        }
        if let Rates::Ber { cells: Some(_), .. } = self.rates {
            remarks.push(
                "numbers of failing cells are the rates times the numbers of cells, rounded".into(),
            );
        }
        remarks
    }
}

/// What a column of a name holds; `None` where it is not read.
fn role(name: &str) -> Option<Role> {
    if let Some(voltage) = VoltageColumn::of(name) {
        return Some(Role::Voltage(voltage));
    }
    let whole = word(name);
    let found = role_of_word(&whole);
    if found.is_some() {
        return found;
    }
    // `n_errors`, `number of cells`, `fail_count`
    let bare = COUNTING.iter().filter_map(|counting| {
        let bare = whole
            .strip_prefix(counting)
            .or_else(|| whole.strip_suffix(counting));
        role_of_word(bare?)
    });
    bare.into_iter()
        .find(|role| matches!(role, Role::Faults { .. } | Role::Cells))
}

fn role_of_word(word: &str) -> Option<Role> {
    let flips = FLIPS.has(word);
    if flips || FAULTS.has(word) {
        return Some(Role::Faults { flips });
    }
    if CELLS.has(word) {
        return Some(Role::Cells);
    }
    if let Some((_, power)) = BIT_ENERGIES.iter().find(|(name, _)| *name == word) {
        return Some(Role::Energy {
            power: *power,
            in_pj: true,
        });
    }
    let energy = |name: &str| ENERGIES.has(name);
    if energy(word)
        || ENERGY_UNITS
            .iter()
            .any(|unit| word.strip_suffix(unit).is_some_and(energy))
    {
        return Some(Role::Energy {
            power: 0,
            in_pj: false,
        });
    }
    let (plain, power) = RATE_UNITS
        .iter()
        .find_map(|(unit, power)| Some((word.strip_suffix(unit)?, *power)))
        .unwrap_or((word, 0));
    let flips = FLIP_RATES.has(plain);
    (flips || RATES.has(plain)).then_some(Role::Rate { power, flips })
}
