//! One corner of an SRAM macro from its Liberty file: energies of a read and a write of a word, leakage, delay, each
//! with its line. How corners become a model is said elsewhere.
//!
//! - Energy of a cycle: the larger of rise and fall of the clock pin's `internal_power`, as some foundries write the
//!   cycle's energy at both edges and others at one. Its unit is that of `capacitive_load_unit` times the square of
//!   `voltage_unit`, 1 pJ in most files. Tables of several rails (`related_pg_pin`) add up.
//! - Delay: the larger of `cell_rise` and `cell_fall` from the clock to the outputs.
//! - Tables are read at their first slew and load.

use super::condition::truth;
use super::pins::{Operation, Port, Ports};
use super::{parse, Attribute, Group, LARGEST};
use crate::error::{Error, Result};
use crate::memory::characteristic::tidy;
use crate::store::{excerpt, file_name, read_text};
use crate::units::{Positive, Voltage};
use std::collections::BTreeMap;
use std::path::Path;

/// Most bits of a word and address lines.
const MOST_BITS: u64 = 65_536;
const MOST_LINES: u64 = 40;
/// Most ports.
const MOST_PORTS: usize = 32;

/// A number with its line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traced {
    /// The number, above 0.
    pub value: Positive,
    /// Its line, from 1.
    pub line: usize,
}

/// A macro at one voltage, temperature and process.
#[derive(Clone, Debug, PartialEq)]
pub struct Corner {
    /// Name of the file.
    pub file: String,
    /// Name of the macro.
    pub cell: String,
    /// Words.
    pub words: u64,
    /// Bits of a word.
    pub bits: u32,
    /// Area in the file's unit, which is square micrometres in most.
    pub area: Option<f64>,
    /// Supply.
    pub voltage: Voltage,
    /// Temperature in degrees Celsius.
    pub temperature_c: f64,
    /// Process, such as `tt` or `slow`.
    pub process: String,
    /// Energy of reading a word, in picojoules.
    pub read_pj: Traced,
    /// Energy of writing a word, in picojoules.
    pub write_pj: Traced,
    /// Leakage of the macro, in nanowatts.
    pub leakage_nw: Traced,
    /// Delay from the clock to the outputs, in nanoseconds.
    pub delay_ns: Traced,
    /// First slew and load of the delay's table, as they stand there; empty where it has no axes.
    pub delay_at: Vec<f64>,
    /// Clock pins whose energy of a read and of a write was taken.
    pub clocks: [String; 2],
}

impl Corner {
    /// Reads a Liberty file with one memory.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Input`] with line and attribute for all that is wrong or lacking.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path, "a Liberty file", LARGEST)?)
    }

    /// Reads the text of a Liberty file; `path` names it.
    ///
    /// # Errors
    /// As [`Corner::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let library = parse(path, text)?;
        let cell = memory_of(path, &library)?;
        let file = File {
            path,
            library: &library,
            cell,
        };
        let pins = file.pins();
        let clocks = pins.iter().filter(|pin| {
            pin.text("clock")
                .is_some_and(|text| text.eq_ignore_ascii_case("true"))
        });
        let names: Vec<&str> = pins
            .iter()
            .flat_map(|pin| pin.names.iter().copied())
            .collect();
        let ports = Ports::new(clocks.map(|pin| pin.name()), &names);
        if ports.all.is_empty() {
            return file.lacks(cell, "clock", "a pin with `clock : true`");
        }
        if ports.all.len() > MOST_PORTS {
            let expected = format!("at most {MOST_PORTS} clocks");
            return file.wrong(cell.line, "clock", expected, ports.all.len());
        }
        let (read_clock, read_pj) = file.energy(&pins, &ports, Operation::Read)?;
        let (write_clock, write_pj) = file.energy(&pins, &ports, Operation::Write)?;
        let (words, bits) = file.shape()?;
        let (delay_ns, delay_at) = file.delay(&pins, &ports, read_clock)?;
        let leakage = file.required(cell, "cell_leakage_power", "the leakage of the macro")?;
        let leakage_unit = file.unit("leakage_power_unit", "W")? * 1e9;
        let voltage = file.nominal("nom_voltage")? * file.unit("voltage_unit", "V")?;
        Ok(Self {
            file: file_name(path),
            cell: cell.name().to_owned(),
            words,
            bits,
            area: cell
                .attribute("area")
                .map(|area| file.number(area))
                .transpose()?,
            voltage: Voltage::new(voltage).map_err(|error| error.in_file(path))?,
            temperature_c: file.nominal("nom_temperature")?,
            process: file.process(),
            read_pj,
            write_pj,
            leakage_nw: file.traced(leakage, file.number(leakage)? * leakage_unit)?,
            delay_ns,
            delay_at,
            clocks: [read_clock.clock.to_owned(), write_clock.clock.to_owned()],
        })
    }
}

/// The one cell with a `memory` group, or the only one.
fn memory_of<'a, 'b>(path: &Path, library: &'b Group<'a>) -> Result<&'b Group<'a>> {
    let cells: Vec<_> = library.of_kind("cell").collect();
    let memories: Vec<_> = cells
        .iter()
        .filter(|cell| cell.of_kind("memory").next().is_some())
        .collect();
    match (memories.as_slice(), cells.as_slice()) {
        ([one], _) => Ok(one),
        ([], [one]) => Ok(one),
        (memories, cells) => {
            let found = format!("{} cells, {} of them memories", cells.len(), memories.len());
            Err(Error::input_at(
                path,
                Some(library.line),
                Some("cell"),
                "one cell with a group `memory`",
                &found,
            ))
        }
    }
}

struct File<'a, 'b> {
    path: &'b Path,
    library: &'b Group<'a>,
    cell: &'b Group<'a>,
}

impl<'a> File<'a, '_> {
    fn wrong<T>(
        &self,
        line: usize,
        key: &str,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Result<T> {
        let found = found.to_string();
        Err(Error::input_at(
            self.path,
            Some(line),
            Some(key),
            expected,
            found,
        ))
    }

    fn lacks<T>(&self, group: &Group<'_>, key: &str, expected: &str) -> Result<T> {
        self.wrong(group.line, key, expected, "none")
    }

    fn required<'g>(
        &self,
        group: &'g Group<'a>,
        key: &str,
        expected: &str,
    ) -> Result<&'g Attribute<'a>> {
        match group.attribute(key) {
            Some(attribute) => Ok(attribute),
            None => self.lacks(group, key, expected),
        }
    }

    /// The first number of an attribute.
    fn number(&self, attribute: &Attribute<'_>) -> Result<f64> {
        let first = attribute.first();
        let mut numbers = first
            .split([',', ' ', '\t', '\r', '\n', '\\'])
            .filter(|part| !part.is_empty());
        let number = numbers.next().and_then(|part| part.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(number),
            None => self.wrong(attribute.line, attribute.name, "a number", excerpt(first)),
        }
    }

    fn traced(&self, attribute: &Attribute<'_>, value: f64) -> Result<Traced> {
        match Positive::new(tidy(value)) {
            Ok(value) => Ok(Traced {
                value,
                line: attribute.line,
            }),
            Err(_) => self.wrong(attribute.line, attribute.name, "a number above 0", value),
        }
    }

    fn nominal(&self, key: &str) -> Result<f64> {
        self.number(self.required(self.library, key, "what the library was characterised at")?)
    }

    /// A unit such as `1ns` or `100uW` in the base unit.
    fn unit(&self, key: &str, base: &str) -> Result<f64> {
        let expected = format!("a unit such as `1{base}` or `1m{base}`");
        let attribute = self.required(self.library, key, &expected)?;
        let text = attribute.first().trim();
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, symbol) = text.split_at(split);
        let prefix = symbol.trim().strip_suffix(base).and_then(prefix);
        match number.parse::<f64>().ok().zip(prefix) {
            Some((number, prefix)) if number > 0.0 => Ok(number * prefix),
            _ => self.wrong(attribute.line, key, &expected, excerpt(text)),
        }
    }

    /// Picojoules of 1 in `internal_power`.
    fn energy_unit(&self) -> Result<f64> {
        let key = "capacitive_load_unit";
        let attribute = self.required(self.library, key, "a unit such as `(1, pf)`")?;
        let symbol = attribute
            .values
            .get(1)
            .copied()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let farad = symbol.strip_suffix('f').and_then(prefix);
        let Some(farad) = farad else {
            return self.wrong(
                attribute.line,
                key,
                "a unit such as `(1, pf)`",
                excerpt(&symbol),
            );
        };
        let volt = self.unit("voltage_unit", "V")?;
        Ok(self.number(attribute)? * (farad / 1e-12) * volt * volt)
    }

    /// What the corner is called without voltage and temperature: the first words of its operating conditions.
    fn process(&self) -> String {
        let conditions = self.library.text("default_operating_conditions");
        let conditions = conditions
            .or_else(|| Some(self.library.of_kind("operating_conditions").next()?.name()));
        let of_library = || self.library.name().strip_prefix(self.cell.name());
        let name = conditions.or_else(of_library).unwrap_or_default();
        let words = name
            .split('_')
            .filter(|word| !word.is_empty() && !word.contains(|c: char| c.is_ascii_digit()));
        let words = words.filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()));
        let process: String = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
        if process.is_empty() {
            "nominal".into()
        } else {
            process.chars().take(32).collect()
        }
    }

    /// Pins and buses, and pins inside of buses, which say more of them.
    fn pins(&self) -> Vec<&Group<'a>> {
        let is_pin = |group: &&Group<'a>| ["pin", "bus", "bundle"].contains(&group.kind);
        let outer = self.cell.groups.iter().filter(is_pin);
        outer
            .flat_map(|pin| std::iter::once(pin).chain(pin.groups.iter().filter(is_pin)))
            .collect()
    }

    fn shape(&self) -> Result<(u64, u32)> {
        let memory = self.cell.of_kind("memory").next();
        let named = shape_in_name(self.cell.name());
        let Some(memory) = memory else {
            return match named {
                Some(shape) => Ok(shape),
                None => self.lacks(
                    self.cell,
                    "memory",
                    "a group with `address_width` and `word_width`",
                ),
            };
        };
        let whole = |key: &str, most: u64| {
            let attribute = self.required(memory, key, "a whole number")?;
            let number = self.number(attribute)?;
            if number.fract() == 0.0 && (1.0..=most as f64).contains(&number) {
                return Ok(number as u64);
            }
            self.wrong(
                attribute.line,
                key,
                format!("a whole number from 1 to {most}"),
                number,
            )
        };
        let lines = whole("address_width", MOST_LINES)?;
        let (most, bits) = (1 << lines, whole("word_width", MOST_BITS)? as u32);
        // address lines can tell more words apart than there are: the name then says how many
        let words =
            named.filter(|(words, wide)| *wide == bits && *words <= most && 2 * *words > most);
        Ok((words.map_or(most, |(words, _)| words), bits))
    }

    /// Energy in a table of an edge.
    fn edge(&self, power: &Group<'a>) -> Result<(f64, usize)> {
        let values = self.required(power, "values", "the energies of the table")?;
        Ok((self.number(values)?, values.line))
    }

    /// Energy of an operation at the first port that does it.
    fn energy<'p>(
        &self,
        pins: &[&Group<'a>],
        ports: &Ports<'p>,
        operation: Operation,
    ) -> Result<(Port<'p>, Traced)> {
        let mut conditions = Vec::new();
        for &port in &ports.all {
            let of_clock = pins.iter().filter(|pin| pin.names.contains(&port.clock));
            let groups: Vec<_> = of_clock
                .flat_map(|pin| pin.of_kind("internal_power"))
                .collect();
            conditions.extend(groups.iter().filter_map(|group| group.text("when")));
            let held = self.holding(&groups, ports, port, operation)?;
            if !held.is_empty() {
                return Ok((port, self.cycle(&held)?));
            }
        }
        conditions.truncate(8);
        let what = if operation == Operation::Read {
            "read"
        } else {
            "write"
        };
        let expected = format!("an `internal_power` of a clock whose condition holds in a {what}");
        self.wrong(
            self.cell.line,
            "internal_power",
            &expected,
            excerpt(&conditions.join("; ")),
        )
    }

    /// Whether a condition holds in an operation of a port; `None` where pins that are not known decide it.
    fn truth_of(
        &self,
        when: &Attribute<'_>,
        ports: &Ports<'_>,
        port: Port<'_>,
        operation: Operation,
    ) -> Result<Option<bool>> {
        let level = |pin: &str| ports.level(port, operation, pin);
        truth(when.first(), &level)
            .or_else(|expected| self.wrong(when.line, "when", expected, excerpt(when.first())))
    }

    /// The groups whose condition holds; else those that may hold with pins that are not known; else one group without
    /// condition, where there is no other.
    fn holding<'g>(
        &self,
        groups: &[&'g Group<'a>],
        ports: &Ports<'_>,
        port: Port<'_>,
        operation: Operation,
    ) -> Result<Vec<&'g Group<'a>>> {
        let (mut hold, mut may_hold, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for &group in groups {
            let Some(when) = group.attribute("when") else {
                always.push(group);
                continue;
            };
            match self.truth_of(when, ports, port, operation)? {
                Some(true) => hold.push(group),
                None => may_hold.push(group),
                Some(false) => {}
            }
        }
        let conditioned = groups.len() > always.len();
        let chosen = [
            hold,
            may_hold,
            if conditioned { Vec::new() } else { always },
        ];
        Ok(chosen
            .into_iter()
            .find(|groups| !groups.is_empty())
            .unwrap_or_default())
    }

    /// Energy of the groups that hold: those of different rails add up, those of one rail must agree.
    fn cycle(&self, groups: &[&Group<'a>]) -> Result<Traced> {
        let unit = self.energy_unit()?;
        let mut rails: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for group in groups {
            let mut edges = Vec::new();
            for power in ["rise_power", "fall_power", "power"]
                .into_iter()
                .flat_map(|kind| group.of_kind(kind))
            {
                edges.push(self.edge(power)?);
            }
            let Some(larger) = edges
                .into_iter()
                .reduce(|a, b| if b.0 > a.0 { b } else { a })
            else {
                return self.lacks(
                    group,
                    "internal_power",
                    "`rise_power`, `fall_power` or `power`",
                );
            };
            let rail = group.text("related_pg_pin").unwrap_or_default();
            match rails.insert(rail, larger) {
                Some((other, line)) if other != larger.0 => {
                    let expected =
                        format!("one energy of this operation; line {line} gives {other}");
                    return self.wrong(larger.1, "internal_power", &expected, larger.0);
                }
                _ => {}
            }
        }
        let sum: f64 = rails.values().map(|(energy, _)| energy * unit).sum();
        let line = rails
            .values()
            .map(|(_, line)| *line)
            .min()
            .unwrap_or_default();
        match Positive::new(tidy(sum)) {
            Ok(value) => Ok(Traced { value, line }),
            Err(_) => self.wrong(line, "internal_power", "an energy above 0", sum),
        }
    }

    /// The larger of the delays of both edges from a clock to the outputs, and where in its table.
    fn delay(
        &self,
        pins: &[&Group<'a>],
        ports: &Ports<'_>,
        port: Port<'_>,
    ) -> Result<(Traced, Vec<f64>)> {
        let unit = self.unit("time_unit", "s")? * 1e9;
        let mut worst: Option<(f64, &Group<'a>)> = None;
        let timings = pins.iter().flat_map(|pin| pin.of_kind("timing"));
        for timing in timings {
            let related = timing.text("related_pin").unwrap_or_default();
            let of_edge = timing
                .text("timing_type")
                .is_some_and(|kind| ["rising_edge", "falling_edge"].contains(&kind));
            if !of_edge || !related.split_whitespace().any(|pin| pin == port.clock) {
                continue;
            }
            if let Some(when) = timing.attribute("when") {
                if self.truth_of(when, ports, port, Operation::Read)? == Some(false) {
                    continue;
                }
            }
            for table in ["cell_rise", "cell_fall"]
                .into_iter()
                .flat_map(|kind| timing.of_kind(kind))
            {
                let (delay, _) = self.edge(table)?;
                if worst.is_none_or(|(longest, _)| delay > longest) {
                    worst = Some((delay, table));
                }
            }
        }
        let Some((delay, table)) = worst else {
            let expected = format!(
                "`cell_rise` or `cell_fall` from `{}` to an output",
                port.clock
            );
            return self.lacks(self.cell, "timing", &expected);
        };
        let values = self.required(table, "values", "the delays of the table")?;
        Ok((self.traced(values, delay * unit)?, self.axes(table)?))
    }

    /// The first values of a table's axes, which may stand in its template.
    fn axes(&self, table: &Group<'a>) -> Result<Vec<f64>> {
        let template = self
            .library
            .groups
            .iter()
            .find(|group| group.kind == "lu_table_template" && group.name() == table.name());
        let axis = |key: &str| table.attribute(key).or_else(|| template?.attribute(key));
        ["index_1", "index_2"]
            .into_iter()
            .filter_map(axis)
            .map(|axis| self.number(axis))
            .collect()
    }
}

/// Power of ten of a prefix of units.
fn prefix(symbol: &str) -> Option<f64> {
    Some(match symbol {
        "" => 1.0,
        "m" => 1e-3,
        "u" => 1e-6,
        "n" => 1e-9,
        "p" => 1e-12,
        "f" => 1e-15,
        _ => return None,
    })
}

/// Words and bits in a name such as `sram512x8m8wm1`.
fn shape_in_name(name: &str) -> Option<(u64, u32)> {
    let number = |text: &str| text.parse::<u64>().ok();
    name.match_indices(['x', 'X']).find_map(|(at, _)| {
        let before = name[..at].rsplit(|c: char| !c.is_ascii_digit()).next()?;
        let behind = name[at + 1..].split(|c: char| !c.is_ascii_digit()).next()?;
        let (words, bits) = (number(before)?, number(behind)?);
        let fits = (1..=1 << MOST_LINES).contains(&words) && (1..=MOST_BITS).contains(&bits);
        fits.then_some((words, bits as u32))
    })
}
