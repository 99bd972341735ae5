//! What a user may ask of the energy accounting, checked: dataflow, array, buffer, batch, time of an inference.

use super::super::{Basis, Dataflow, MemoryModel, ProcessingArray, SramMacro, Standby};
use crate::error::{refuse, Result};
use crate::units::{words, Fraction, Positive};
use serde::{Deserialize, Serialize};

/// How weights are read in an inference. Nothing given: each once, and no leakage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnergySpec {
    /// What stays in the processing array, see below; `uniform`: each weight is read once per inference.
    pub dataflow: Dataflow,
    /// Size of the processing array; `output_stationary` and `input_stationary` only, which require it, and
    /// `weight_stationary` where stored activations have a supply of their own.
    pub array: Option<ProcessingArray>,
    /// Bytes of the weight buffer between memory and array, 1 or more; these two only; absent: none. Its own energy
    /// is not counted.
    pub buffer_bytes: Option<u64>,
    /// Images that share the reads of a weight, 1 to 65,536; not with `uniform`.
    pub batch: u32,
    /// Seconds per inference (of a batch: its time over its images), above 0 and at most 1e6; required by memory
    /// models that give leakage, and for no other.
    pub inference_seconds: Option<f64>,
    /// What a lower voltage does to the time of an inference, of memory models with a macro: `follows` (default), the
    /// clock slows down as the memory does; `fixed`, voltages whose delay exceeds `period_ns` cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Period of a fixed clock in nanoseconds; required by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<Positive>,
    /// Macros of the memory; absent: as many as the model needs. All of a macro leaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macros: Option<u32>,
    /// What macros beyond those needed do: `leak` (default) or `gated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused: Option<Unused>,
    /// Times that each weight is written per inference; absent: never, the weights stay in the memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<f64>,
    /// Fraction of the energy of an access that the array takes where it has a rail of its own; what is left of each macro
    /// stays at the error-free voltage. Absent: 1, all of it follows the voltage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_energy_share: Option<Fraction>,
    /// The same of the leakage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array_leakage_share: Option<Fraction>,
    /// Power in milliwatts of the rest of the chip while an inference takes its time; absent: not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest_of_chip_mw: Option<Positive>,
    /// Power of the memory's voltage, over the error-free one, that the rest of the chip follows; absent: 0, a rail of
    /// its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest_exponent: Option<f64>,
}

/// What the clock does where the voltage falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// It slows down as the memory does, which is taken as the critical path.
    #[default]
    Follows,
    /// It stays.
    Fixed,
}

words!(Clock: Follows "follows", Fixed "fixed");

/// What macros without weights do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unused {
    /// They leak as the others.
    #[default]
    Leak,
    /// They are cut off their supply.
    Gated,
}

words!(Unused: Leak "leak", Gated "gated");

impl Default for EnergySpec {
    fn default() -> Self {
        let dataflow = Dataflow::default();
        Self {
            dataflow,
            array: None,
            buffer_bytes: None,
            batch: 1,
            inference_seconds: None,
            clock: None,
            period_ns: None,
            macros: None,
            unused: None,
            writes: None,
            array_energy_share: None,
            array_leakage_share: None,
            rest_of_chip_mw: None,
            rest_exponent: None,
        }
    }
}

impl EnergySpec {
    /// Checks every value and that the options go together; those of an array may be there for activations alone.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check(&self, counts_activations: bool) -> Result<()> {
        let dataflow = self.dataflow.name();
        let whatever = |what: &str| {
            format!("to be left out: dataflow `{dataflow}` reads each weight once whatever {what}")
        };
        if let Some(array) = self.array {
            let for_activations = counts_activations && self.dataflow != Dataflow::Uniform;
            if !self.dataflow.folds() && !for_activations {
                return refuse("energy.array", whatever("the array"), "a value");
            }
            for (key, size) in [("rows", array.rows), ("columns", array.columns)] {
                if !(1..=65_536).contains(&size) {
                    return refuse(format!("energy.array.{key}"), "1 to 65536", size);
                }
            }
        } else if self.dataflow.folds() {
            self.needed_array()?;
        }
        match self.buffer_bytes {
            Some(_) if !self.dataflow.folds() => {
                return refuse("energy.buffer_bytes", whatever("the buffer"), "a value");
            }
            Some(0) => return refuse("energy.buffer_bytes", "1 or more", "0"),
            _ => {}
        }
        if !(1..=65_536).contains(&self.batch) {
            return refuse("energy.batch", "1 to 65536", self.batch);
        }
        if self.dataflow == Dataflow::Uniform && self.batch != 1 {
            let expected =
                "1: dataflow `uniform` reads each weight once per inference whatever the batch";
            return refuse("energy.batch", expected, self.batch);
        }
        match (self.has_fixed_clock(), self.period_ns) {
            (true, None) => {
                let expected = "the nanoseconds of a period beside `energy.clock: fixed`";
                return refuse("energy.period_ns", expected, "none");
            }
            (false, Some(period)) => {
                let expected = "to be left out, or `energy.clock: fixed` beside it";
                return refuse("energy.period_ns", expected, period);
            }
            _ => {}
        }
        if self.macros == Some(0) {
            return refuse("energy.macros", "1 or more", "0");
        }
        for (key, value, most) in [
            ("energy.writes", self.writes, 1e6),
            ("energy.rest_exponent", self.rest_exponent, 20.0),
        ] {
            if let Some(value) = value.filter(|value| !(0.0..=most).contains(value)) {
                return refuse(key, format!("a number from 0 to {most}"), value);
            }
        }
        if let (Some(exponent), None) = (self.rest_exponent, self.rest_of_chip_mw) {
            let expected = "to be left out, or `energy.rest_of_chip_mw` beside it";
            return refuse("energy.rest_exponent", expected, exponent);
        }
        match self.inference_seconds {
            Some(seconds) if !(seconds > 0.0 && seconds <= 1e6) => {
                let expected = "a number above 0 and at most 1e6";
                refuse("energy.inference_seconds", expected, seconds)
            }
            _ => Ok(()),
        }
    }

    /// As [`Self::check_memory`] of two memories, of which either may leak.
    ///
    /// # Errors
    /// As [`Self::check_memory`].
    pub fn check_memories(&self, memory: &MemoryModel, other: &MemoryModel) -> Result<()> {
        let leaking = [memory, other]
            .into_iter()
            .find(|own| own.leakage.is_some());
        self.check_memory(leaking.unwrap_or(memory))
    }

    /// Refuses leakage without the time of an inference, and the time without leakage.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key, with the memory model.
    pub fn check_memory(&self, memory: &MemoryModel) -> Result<()> {
        let (key, name) = ("energy.inference_seconds", &memory.name);
        if memory.sram.is_some() {
            return Ok(());
        }
        if let Some(key) = self.of_macros() {
            let expected =
                format!("to be left out: memory model `{name}` has no macro, see `memory combine`");
            return refuse(format!("energy.{key}"), expected, "a value");
        }
        match (&memory.leakage, self.inference_seconds) {
            (Some(leakage), None) => {
                let expected = format!(
                    "the seconds of an inference: memory model `{name}` leaks {} pW per bit",
                    leakage.picowatt_per_bit
                );
                refuse(key, expected, "none")
            }
            (None, Some(seconds)) => {
                let expected = format!("to be left out: memory model `{name}` gives no leakage");
                refuse(key, expected, seconds)
            }
            _ => Ok(()),
        }
    }

    /// An option that only memories with a macro can have.
    fn of_macros(&self) -> Option<&'static str> {
        let given = [
            ("clock", self.clock.is_some()),
            ("period_ns", self.period_ns.is_some()),
            ("macros", self.macros.is_some()),
            ("unused", self.unused.is_some()),
            ("writes", self.writes.is_some()),
            ("array_energy_share", self.array_energy_share.is_some()),
            ("array_leakage_share", self.array_leakage_share.is_some()),
            ("rest_of_chip_mw", self.rest_of_chip_mw.is_some()),
        ];
        given
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(key, _)| key)
    }

    /// True where a fixed clock does not wait so long.
    pub fn is_too_slow(&self, delay_ns: f64) -> bool {
        self.period_ns.is_some_and(|period| delay_ns > period.get())
    }

    /// True where the period of the clock is the same at every voltage.
    pub fn has_fixed_clock(&self) -> bool {
        self.clock == Some(Clock::Fixed)
    }

    /// What changes a number, for identities: `None` where nothing was asked for.
    pub fn changes(&self) -> Option<&Self> {
        (*self != Self::default()).then_some(self)
    }

    /// How energies are counted with a memory model, and where its numbers come from: sentences for reports.
    pub fn in_words(&self, memory: &MemoryModel) -> Vec<String> {
        let mut reads = self.dataflow.name().replace('_', " ");
        match self.dataflow {
            Dataflow::Uniform => reads += ", each weight once",
            _ => {
                if let Some(ProcessingArray { rows, columns }) = self.array {
                    reads += &format!(", array of {rows} x {columns}");
                }
                if let Some(bytes) = self.buffer_bytes {
                    reads += &format!(", weight buffer of {bytes} bytes");
                }
                reads += &format!(", batch {}", self.batch);
            }
        }
        let (name, unit, access) = (&memory.name, memory.unit.symbol(), &memory.access);
        let mut words = vec![format!("Reads of a weight per inference: {reads}.")];
        if let Some(sram) = &memory.sram {
            words.extend(self.macro_in_words(name, sram));
            words.extend(memory.standby.as_ref().map(Standby::in_words));
            words.push(match &memory.secded {
                Some(logic) => format!(
                    "Logic of SECDED: {} pJ for a word of 64 data bits that is written and {} pJ for one that is read, at every \
                     voltage ({}). That of parity is not included; its bits are.",
                    logic.encode_pj, logic.check_pj, logic.source
                ),
                None => "The logic of a code (SECDED, parity) is not included; its check bits are.".into(),
            });
            return words;
        }
        let absolute = match (access.picojoule_per_bit, &access.source) {
            (Some(pj), source) => {
                let source = source
                    .as_ref()
                    .map_or(String::new(), |source| format!(" ({source})"));
                format!("{pj} pJ per bit at {} {unit}{source}", access.at)
            }
            (None, _) => {
                "the memory model gives no absolute energy, so there are no picojoules".to_owned()
            }
        };
        words.push(format!(
            "{name}: e(V) goes with (V / {} {unit})^{}; {absolute}.",
            access.at, access.exponent
        ));
        if let (Some(leakage), Some(seconds)) = (&memory.leakage, self.inference_seconds) {
            words.push(format!(
                "{name}: P(V) = {} pW per bit · (V / {} {unit})^{} ({}), over {seconds} s per inference.",
                leakage.picowatt_per_bit, leakage.at, leakage.exponent, leakage.source
            ));
        }
        if let Some(cell) = &memory.robust_cell {
            let leaks = cell
                .leakage_factor
                .map_or(String::new(), |factor| format!(", leakage x {factor}"));
            words.push(format!(
                "{name}: a robust cell costs access energy x {}, area x {}{leaks} ({}).",
                cell.energy_factor, cell.area_factor, cell.source
            ));
        }
        words
    }

    /// How energies of stored activations are counted in their memory, in sentences as [`Self::in_words`].
    pub fn of_activations_in_words(&self, memory: &MemoryModel) -> Vec<String> {
        let reads = match (self.dataflow, self.array) {
            (Dataflow::Uniform, _) => "once by each operation that takes it".to_owned(),
            (Dataflow::InputStationary, _) => "once for each window that it lies in".to_owned(),
            (_, None) => "once for each window that it lies in, all filters at a time".to_owned(),
            (_, Some(array)) => format!(
                "for each window that it lies in once for every {} filters",
                array.columns
            ),
        };
        let mut words = vec![format!(
            "Stored activations: each element is written once, at the energy of a read, and read {reads}; the reference has \
             words of 8 bits."
        )];
        words.extend(self.in_words(memory).into_iter().skip(1));
        words
    }

    /// How energies are counted with a macro, and where its numbers come from.
    fn macro_in_words(&self, name: &str, sram: &SramMacro) -> Vec<String> {
        let (from, bits) = (sram.from.as_deref().unwrap_or(name), sram.bits);
        let mut words = vec![format!(
            "{name}: macros of {} words of {bits} bits ({from}); each access is one of a word, one in a cycle; all of a \
             macro leaks.",
            sram.words
        )];
        if let Some(variant) = sram.variants.first() {
            for (key, number) in variant.numbers() {
                let points: Vec<String> = number
                    .points
                    .iter()
                    .map(|point| format!("{} at {} V ({})", point.value, point.at, point.source))
                    .collect();
                let law = number.law.as_ref();
                let law = law.map(|law| {
                    let basis = if law.basis == Basis::Assumed {
                        "assumed"
                    } else {
                        "fitted"
                    };
                    format!("; goes with {}, {basis}: {}", law.in_words(), law.source)
                });
                let points = points.join(", ");
                words.push(format!(
                    "{key} of {}: {points}{}.",
                    variant.name,
                    law.unwrap_or_default()
                ));
            }
        }
        words.push(match (self.period_ns, self.inference_seconds) {
            (Some(period), None) => format!("Clock: fixed, {period} ns."),
            (Some(period), Some(seconds)) => format!("Clock: fixed, {period} ns; {seconds} s per inference."),
            (None, None) => "Clock: its period is the delay of the memory, which is taken as the critical path.".into(),
            (None, Some(seconds)) => format!(
                "Clock: {seconds} s per inference at the error-free voltage; it slows down with the delay of the memory, \
                 which is taken as the critical path."
            ),
        });
        if self.array_energy_share.is_some() || self.array_leakage_share.is_some() {
            let share = |share: Option<Fraction>| 100.0 * share.map_or(1.0, Fraction::get);
            words.push(format!(
                "The array has a rail of its own: {} % of an access and {} % of the leakage follow the voltage, the rest \
                 stays at the error-free one.",
                share(self.array_energy_share),
                share(self.array_leakage_share)
            ));
        }
        words.push(match self.rest_of_chip_mw {
            Some(power) => format!(
                "Rest of the chip: {power} mW at the error-free voltage, going with the power {} of it.",
                self.rest_exponent.unwrap_or(0.0)
            ),
            None => "Energies are of the weight memory alone.".into(),
        });
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{builtin, Leakage, LeakageExponent};
    use crate::units::{Positive, Voltage};

    fn message(change: impl Fn(&mut EnergySpec)) -> String {
        let mut spec = EnergySpec::default();
        change(&mut spec);
        spec.check(false).unwrap_err().to_string()
    }

    fn leakage() -> Option<Leakage> {
        let at = Voltage::new(1.0).unwrap();
        Some(Leakage {
            at,
            picowatt_per_bit: Positive::new(2.5).unwrap(),
            exponent: LeakageExponent::new(1.0).unwrap(),
            source: "test".into(),
        })
    }

    const ARRAY: Option<ProcessingArray> = Some(ProcessingArray {
        rows: 16,
        columns: 16,
    });

    #[test]
    fn options_without_an_effect_are_refused() {
        let once =
            "to be left out: dataflow `weight_stationary` reads each weight once whatever the";
        let found =
            message(|spec| (spec.dataflow, spec.array) = (Dataflow::WeightStationary, ARRAY));
        assert_eq!(
            found,
            format!("energy.array: expected {once} array, found a value")
        );
        let found = message(|spec| {
            (spec.dataflow, spec.buffer_bytes) = (Dataflow::WeightStationary, Some(9))
        });
        assert_eq!(
            found,
            format!("energy.buffer_bytes: expected {once} buffer, found a value")
        );
        assert!(message(|spec| spec.batch = 2)
            .starts_with("energy.batch: expected 1: dataflow `uniform`"));
    }

    #[test]
    fn wrong_and_missing_values_are_named() {
        let folded = |change: &dyn Fn(&mut EnergySpec)| {
            message(|spec| {
                (spec.dataflow, spec.array) = (Dataflow::OutputStationary, ARRAY);
                change(spec);
            })
        };
        assert!(folded(&|spec| spec.array = None)
            .starts_with("energy.array: expected `energy.array.rows`"));
        let zero = Some(ProcessingArray {
            rows: 16,
            columns: 0,
        });
        assert_eq!(
            folded(&|spec| spec.array = zero),
            "energy.array.columns: expected 1 to 65536, found 0"
        );
        assert_eq!(
            folded(&|spec| spec.buffer_bytes = Some(0)),
            "energy.buffer_bytes: expected 1 or more, found 0"
        );
        assert_eq!(
            folded(&|spec| spec.batch = 0),
            "energy.batch: expected 1 to 65536, found 0"
        );
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let found = message(|spec| spec.inference_seconds = Some(seconds));
            assert!(
                found.starts_with("energy.inference_seconds: expected a number above 0"),
                "{found}"
            );
        }
    }

    #[test]
    fn leakage_and_the_time_of_an_inference_need_each_other() {
        let mut memory = builtin("sram-14nm-chandramoorthy2019").unwrap();
        let timed = EnergySpec {
            inference_seconds: Some(0.01),
            ..EnergySpec::default()
        };
        EnergySpec::default().check_memory(&memory).unwrap();
        assert_eq!(
            timed.check_memory(&memory).unwrap_err().to_string(),
            "energy.inference_seconds: expected to be left out: memory model `sram-14nm-chandramoorthy2019` gives no \
             leakage, found 0.01"
        );
        memory.leakage = leakage();
        timed.check_memory(&memory).unwrap();
        assert_eq!(
            EnergySpec::default()
                .check_memory(&memory)
                .unwrap_err()
                .to_string(),
            "energy.inference_seconds: expected the seconds of an inference: memory model \
             `sram-14nm-chandramoorthy2019` leaks 2.5 pW per bit, found none"
        );
    }

    #[test]
    fn what_was_counted_is_told_with_its_sources() {
        let mut memory = builtin("sram-14nm-chandramoorthy2019").unwrap();
        let words = EnergySpec::default().in_words(&memory);
        assert_eq!(
            words[0],
            "Reads of a weight per inference: uniform, each weight once."
        );
        assert!(
            words[1].ends_with("no absolute energy, so there are no picojoules."),
            "{words:?}"
        );
        assert!(
            words[2].contains("access energy x 1.3") && words[2].contains("assumed"),
            "{words:?}"
        );
        let spec = EnergySpec {
            dataflow: Dataflow::OutputStationary,
            array: ARRAY,
            buffer_bytes: Some(1024),
            batch: 4,
            inference_seconds: Some(0.01),
            ..EnergySpec::default()
        };
        memory.access.picojoule_per_bit = Positive::new(0.5).ok();
        memory.access.source = Some("of accesses".into());
        memory.leakage = leakage();
        let words = spec.in_words(&memory);
        let expected = "output stationary, array of 16 x 16, weight buffer of 1024 bytes, batch 4.";
        assert!(words[0].ends_with(expected), "{words:?}");
        assert!(
            words[1].ends_with("; 0.5 pJ per bit at 1 V/Vmin (of accesses)."),
            "{words:?}"
        );
        assert!(
            words[2].contains("2.5 pW per bit · (V / 1 V/Vmin)^1 (test), over 0.01 s"),
            "{words:?}"
        );
    }
}
