//! An SRAM macro: words of bits, and what they cost over the supply voltage, in named variants of process and
//! temperature. Files, and what a network makes of them, are the affair of others.

use super::characteristic::{tidy, CharacterisedPoint, Characteristic, Law, Standing};
use super::liberty::Corner;
use crate::error::{refuse, Error, Result};
use crate::units::Voltage;
use serde::{Deserialize, Serialize};

/// Most words and bits of a macro.
const MOST_WORDS: u64 = 1 << 40;
const MOST_BITS: u32 = 65_536;
/// Most variants.
const MOST_VARIANTS: usize = 100;
/// Name of the worst of each number.
pub(super) const WORST: &str = "worst";
/// What a foundry calls its typical process.
const TYPICAL: [&str; 6] = ["tt", "typ", "typical", "nom", "nominal", "tc"];

/// A macro.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SramMacro {
    /// Which macro it is, where it stands beside a failure curve of other silicon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Words.
    pub words: u64,
    /// Bits of a word.
    pub bits: u32,
    /// Area in square micrometres, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_um2: Option<f64>,
    /// Its numbers; the first variant is meant where none is named.
    pub variants: Vec<Variant>,
}

/// A macro at one process and temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name, such as `tt_25C`.
    pub name: String,
    /// Process corner, in the foundry's word.
    pub process: String,
    /// Temperature in degrees Celsius.
    pub temperature_c: f64,
    /// True where fitted laws may be continued beyond the characterised voltages.
    #[serde(default, skip_serializing_if = "is_false")]
    pub extrapolate: bool,
    /// Energy of reading a word, in picojoules.
    pub read_pj: Characteristic,
    /// Energy of writing a word, in picojoules.
    pub write_pj: Characteristic,
    /// Leakage of the whole macro, in nanowatts.
    pub leakage_nw: Characteristic,
    /// Delay from the clock to the outputs, in nanoseconds.
    pub delay_ns: Characteristic,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Laws that stand in the place of fitted ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Laws {
    /// Of the energy of a read.
    pub read: Option<Law>,
    /// Of the energy of a write.
    pub write: Option<Law>,
    /// Of the leakage.
    pub leakage: Option<Law>,
    /// Of the delay.
    pub delay: Option<Law>,
}

/// A macro at a voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MacroPoint {
    /// Supply voltage in volts.
    pub voltage: f64,
    /// Energy of reading a word, in picojoules.
    pub read_pj: f64,
    /// Energy of writing a word, in picojoules.
    pub write_pj: f64,
    /// Leakage of the macro, in nanowatts.
    pub leakage_nw: f64,
    /// Delay in nanoseconds; `None` where energies reach further than the delay.
    pub delay_ns: Option<f64>,
    /// How the worst known of them is known.
    pub standing: Standing,
}

impl SramMacro {
    /// A macro from its corners, in any order.
    ///
    /// # Errors
    /// [`Error::Argument`] where they are of different macros, or two are of one voltage, temperature and process.
    pub fn of_corners(corners: &[Corner], laws: &Laws) -> Result<Self> {
        let Some(first) = corners.first() else {
            return refuse("corners", "at least one Liberty file", "none");
        };
        let mut variants: Vec<Variant> = Vec::new();
        for corner in corners {
            let shape = |corner: &Corner| {
                format!(
                    "`{}` of {} x {} bits",
                    corner.cell, corner.words, corner.bits
                )
            };
            if shape(corner) != shape(first) {
                let expected = format!(
                    "corners of one macro, {} as in {}",
                    shape(first),
                    first.file
                );
                return refuse(&corner.file, expected, shape(corner));
            }
            let name = variant_name(&corner.process, corner.temperature_c);
            let known = variants.iter().position(|variant| variant.name == name);
            let place = known.unwrap_or(variants.len());
            if known.is_none() {
                variants.push(Variant::new(name, corner));
            }
            variants[place].add(corner)?;
        }
        variants.iter_mut().for_each(|variant| variant.lay(laws));
        variants.sort_by(|a, b| {
            a.rank()
                .partial_cmp(&b.rank())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let sram = Self {
            from: None,
            words: first.words,
            bits: first.bits,
            area_um2: first.area,
            variants,
        };
        sram.check("macro")?;
        Ok(sram)
    }

    /// Checks shape and numbers; `key` names it in errors.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the key.
    pub(super) fn check(&self, key: &str) -> Result<()> {
        let key_of = |field: &str| format!("{key}.{field}");
        let (words, bits, variants) = (self.words, self.bits, &self.variants);
        if !(1..=MOST_WORDS).contains(&words) {
            return refuse(key_of("words"), format!("1 to {MOST_WORDS}"), words);
        }
        if !(1..=MOST_BITS).contains(&bits) {
            return refuse(key_of("bits"), format!("1 to {MOST_BITS}"), bits);
        }
        let is_area = |area: &f64| *area >= 0.0 && area.is_finite();
        if let Some(area) = self.area_um2.filter(|area| !is_area(area)) {
            return refuse(key_of("area_um2"), "0 or more", area);
        }
        if !(1..=MOST_VARIANTS).contains(&variants.len()) {
            let expected = format!("1 to {MOST_VARIANTS} variants");
            return refuse(key_of("variants"), expected, variants.len());
        }
        for (i, variant) in variants.iter().enumerate() {
            let name = &variant.name;
            if variants[..i].iter().any(|other| other.name == *name) {
                let expected = "a name that no other variant has";
                let key = key_of(&format!("variants.{i}.name"));
                return refuse(key, expected, format!("`{name}`"));
            }
            variant.check(&format!("{key}.variants.{i}"))?;
        }
        Ok(())
    }

    /// The variant of a name, or the first.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names.
    pub fn variant(&self, name: Option<&str>) -> Result<&Variant> {
        let mut variants = self.variants.iter();
        let found = variants.find(|variant| name.is_none_or(|name| variant.name == name));
        found.ok_or_else(|| {
            let names: Vec<&str> = self.variants.iter().map(|own| own.name.as_str()).collect();
            let expected = format!("one of {}", names.join(", "));
            let found = format!("`{}`", name.unwrap_or_default());
            Error::argument("variant", expected, found)
        })
    }

    /// The worst of each number at a voltage, each of one variant, which is named: the dearest access, the most leakage,
    /// the longest delay. Temperature is that of the leakage.
    ///
    /// # Errors
    /// [`Error::Argument`] where no variant is known at the voltage.
    pub fn worst_at(&self, voltage: f64) -> Result<(Variant, String)> {
        let worst = |place: usize| {
            let known = self.variants.iter().filter(|variant| {
                let (threshold, number) = (variant.threshold(), variant.numbers()[place].1);
                let [low, high] = number.reach(threshold, variant.extrapolate);
                (low..=high).contains(&voltage)
            });
            let value = |variant: &&Variant| variant.numbers()[place].1.value(voltage);
            let worst = known.max_by(|a, b| value(a).total_cmp(&value(b)));
            worst.ok_or_else(|| {
                let expected = format!("a voltage at which some variant is known, not {voltage} V");
                Error::argument("variant", expected, "`worst`")
            })
        };
        let [read, write, leakage, delay] = [worst(0)?, worst(1)?, worst(2)?, worst(3)?];
        let named = format!(
            "at {voltage} V, read of {}, write of {}, leakage of {}, delay of {}",
            read.name, write.name, leakage.name, delay.name
        );
        let variant = Variant {
            name: WORST.into(),
            process: WORST.into(),
            temperature_c: leakage.temperature_c,
            extrapolate: self.variants.iter().any(|variant| variant.extrapolate),
            read_pj: read.read_pj.clone(),
            write_pj: write.write_pj.clone(),
            leakage_nw: leakage.leakage_nw.clone(),
            delay_ns: delay.delay_ns.clone(),
        };
        Ok((variant, named))
    }

    /// Bits of the whole macro.
    pub fn capacity_bits(&self) -> f64 {
        self.words as f64 * f64::from(self.bits)
    }
}

/// `tt` at -40 °C is `tt_n40C`.
fn variant_name(process: &str, temperature_c: f64) -> String {
    let sign = if temperature_c < 0.0 { "n" } else { "" };
    format!("{process}_{sign}{}C", temperature_c.abs())
}

impl Variant {
    /// One of the process and temperature of a corner, without a voltage.
    fn new(name: String, corner: &Corner) -> Self {
        Self {
            name,
            process: corner.process.clone(),
            temperature_c: corner.temperature_c,
            extrapolate: false,
            read_pj: Characteristic::default(),
            write_pj: Characteristic::default(),
            leakage_nw: Characteristic::default(),
            delay_ns: Characteristic::default(),
        }
    }

    /// Adds another voltage.
    fn add(&mut self, corner: &Corner) -> Result<()> {
        if let Some(twice) = self
            .read_pj
            .points
            .iter()
            .find(|point| point.at == corner.voltage)
        {
            let expected = format!(
                "one file of {} at {} V, which is {}",
                self.name, corner.voltage, twice.source
            );
            return refuse(&corner.file, expected, "another one");
        }
        let traced = [
            corner.read_pj,
            corner.write_pj,
            corner.leakage_nw,
            corner.delay_ns,
        ];
        for (characteristic, traced) in self.numbers_mut().into_iter().zip(traced) {
            characteristic.points.push(CharacterisedPoint {
                at: corner.voltage,
                value: traced.value,
                source: format!("{}:{}", corner.file, traced.line),
            });
            characteristic
                .points
                .sort_by(|a, b| a.at.get().total_cmp(&b.at.get()));
        }
        Ok(())
    }

    /// Gives every number its law: one that was given, else the one that it has, else one that is fitted.
    pub(super) fn lay(&mut self, laws: &Laws) {
        let given = [&laws.read, &laws.write, &laws.leakage, &laws.delay];
        let power = Characteristic::fit_power;
        let fits = [power, power, power, Characteristic::fit_alpha_power];
        for ((number, given), fit) in self.numbers_mut().into_iter().zip(given).zip(fits) {
            let own = given.clone().or_else(|| number.law.take());
            number.law = own.or_else(|| fit(number));
        }
    }

    /// Typical before others, room temperature before others.
    fn rank(&self) -> (bool, f64) {
        (
            !TYPICAL.contains(&self.process.as_str()),
            (self.temperature_c - 25.0).abs(),
        )
    }

    pub(super) fn numbers_mut(&mut self) -> [&mut Characteristic; 4] {
        [
            &mut self.read_pj,
            &mut self.write_pj,
            &mut self.leakage_nw,
            &mut self.delay_ns,
        ]
    }

    /// Its numbers with their keys.
    pub fn numbers(&self) -> [(&'static str, &Characteristic); 4] {
        [
            ("read_pj", &self.read_pj),
            ("write_pj", &self.write_pj),
            ("leakage_nw", &self.leakage_nw),
            ("delay_ns", &self.delay_ns),
        ]
    }

    fn check(&self, key: &str) -> Result<()> {
        for (name, text) in [("name", &self.name), ("process", &self.process)] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) {
                let expected = "1 to 64 letters, digits, `-`, `_` or `.`";
                return refuse(format!("{key}.{name}"), expected, format!("`{text}`"));
            }
        }
        if !(-273.15..=1000.0).contains(&self.temperature_c) {
            let expected = "degrees Celsius from -273.15 to 1000";
            return refuse(format!("{key}.temperature_c"), expected, self.temperature_c);
        }
        self.numbers()
            .into_iter()
            .try_for_each(|(name, numbers)| numbers.check(&format!("{key}.{name}")))
    }

    /// The threshold voltage of its delay, where a law gives one.
    pub fn threshold(&self) -> Option<f64> {
        self.delay_ns.law.as_ref().map(|law| law.threshold)
    }

    /// Lowest and highest voltage at which its energies are known, and its delay where `timed`.
    pub fn reach(&self, timed: bool) -> [f64; 2] {
        let numbers = self.numbers();
        let numbers = if timed { &numbers[..] } else { &numbers[..3] };
        let reaches = numbers
            .iter()
            .map(|(_, number)| number.reach(self.threshold(), self.extrapolate));
        reaches.fold([0.0, f64::INFINITY], |all, own| {
            [all[0].max(own[0]), all[1].min(own[1])]
        })
    }

    /// Refuses voltages at which its energies, or its delay too, are not known.
    ///
    /// # Errors
    /// [`Error::Argument`] with the voltages at which they are.
    pub(super) fn check_reach(&self, voltage: Voltage, with_delay: bool) -> Result<()> {
        let [low, high] = self.reach(with_delay);
        if (low..=high).contains(&voltage.get()) {
            return Ok(());
        }
        let expected = format!(
            "{low:.4} to {high:.4} V, where `{}` is known; `--extrapolate` continues fitted laws to 0.1 V above the \
             threshold voltage",
            self.name
        );
        refuse("voltage", expected, format!("{voltage} V"))
    }

    /// Its numbers at a voltage.
    ///
    /// # Errors
    /// [`Error::Argument`] outside the voltages at which its energies are known, with these.
    pub fn at(&self, voltage: Voltage) -> Result<MacroPoint> {
        self.check_reach(voltage, false)?;
        let volt = voltage.get();
        let [low, high] = self.reach(true);
        let delay_ns = (low..=high)
            .contains(&volt)
            .then(|| self.delay_ns.value(volt));
        // the delay is the last of the numbers
        let known = if delay_ns.is_some() { 4 } else { 3 };
        let standings = self
            .numbers()
            .into_iter()
            .take(known)
            .map(|(_, number)| number.standing(volt));
        Ok(MacroPoint {
            voltage: volt,
            read_pj: tidy(self.read_pj.value(volt)),
            write_pj: tidy(self.write_pj.value(volt)),
            leakage_nw: tidy(self.leakage_nw.value(volt)),
            delay_ns: delay_ns.map(tidy),
            standing: standings.max().unwrap_or(Standing::Characterised),
        })
    }
}
