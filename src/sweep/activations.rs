//! Stored activations in a comparison: the memory that holds them, its supply at a design point, what a chip reads of it.

use super::energy::product;
use super::list;
use super::monte_carlo::SweptModel;
use crate::engine::Evaluator;
use crate::error::{refuse, Result};
use crate::fault::{ActivationMemory, ActivationReads, ArrayLabel, Protection};
use crate::memory::{
    ActivationAccess, ArrayVariant, Faults, MemoryModel, OperatingPoint, TensorAccess,
};
use crate::net::StoredValue;
use crate::seed::Seed;
use crate::table::{Columns, RATE, VOLTAGE};
use crate::units::{Ber, BerSource, ChipId, Positive, Voltage, VoltageUnit};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The memory of stored activations, for models that store them (`quantize --activation-bits`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationSpec {
    /// Memory model of stored activations: a built-in name, or the path of a YAML file; absent: that of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Supply voltages of stored activations, written as `sweep.voltages`; each is swept beside each of the weights', which
    /// stay at their error-free voltage where none is asked for. Absent: activations read as they are stored.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "list::joined"
    )]
    pub voltages: Option<String>,
    /// Bit error rates of stored activations in place of voltages, as `sweep.bit_error_rates`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list::rates"
    )]
    pub bit_error_rates: Vec<Ber>,
    /// Words of the memory, one for an element of 8 bits, or of 16 for codes above 8 bits; absent: as many as a model needs
    /// at a time. In fewer, elements share a word that are not needed at the same time; all of them leak. Under `secded` they
    /// are whole codewords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<u64>,
    /// Protection of stored activations: `none` (the default); `msb:k`, the k most significant bits of each code lie in cells
    /// that do not fail; `secded`, check bits of every 64 bits of words; `parity_zero`, a bit beside each word, which reads as
    /// zero where it does not fit. The latter two where cells invert their bit, and all of the memory is unreliable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// What an access of a bit costs in their memory over one in that of the weights, each at its error-free voltage; for two
    /// memory models without absolute energies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_ratio: Option<Positive>,
}

impl ActivationSpec {
    /// True where nothing was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// True where stored activations have a supply of their own.
    pub fn is_swept(&self) -> bool {
        self.voltages.is_some() || !self.bit_error_rates.is_empty()
    }

    /// Checks what goes together.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: &str| {
            let key = format!("activations.{key}");
            refuse(key, expected, found)
        };
        if self.voltages.is_some() && !self.bit_error_rates.is_empty() {
            return wrong("bit_error_rates", "to be left out beside voltages", "both");
        }
        list::check_rates("activations.bit_error_rates", &self.bit_error_rates)?;
        if self.words == Some(0) {
            return wrong("words", "1 or more", "0");
        }
        Ok(())
    }

    /// Refuses what says something of the memory where no voltage does.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check_swept(&self) -> Result<()> {
        let alone = [
            ("memory", self.memory.is_some()),
            ("words", self.words.is_some()),
            ("protection", self.protection.is_some()),
            ("energy_ratio", self.energy_ratio.is_some()),
        ];
        match alone.into_iter().find(|(_, given)| *given) {
            Some((key, _)) if !self.is_swept() => refuse(
                format!("activations.{key}"),
                "`activations.voltages` beside it: without, activations read as they are stored",
                "none",
            ),
            _ => Ok(()),
        }
    }
}

/// The memory of stored activations of a comparison.
#[derive(Clone, Debug)]
pub struct ActivationSide {
    /// Its model.
    pub memory: MemoryModel,
    /// How its cells fail.
    pub faults: Faults,
    /// Its words; `None`: as many as a network needs at a time.
    pub words: Option<u64>,
    /// Protection of its codes.
    pub protection: Protection,
    /// Energy of an access of a bit over that in the memory of the weights, where it is only relative.
    pub energy_ratio: Option<Positive>,
    /// Whose voltages those of design points are.
    pub rows: SuppliedRows,
}

/// Whose voltages those of design points are, where stored activations have a supply of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuppliedRows {
    /// The weights'; those of the activations stand beside.
    Beside,
    /// The activations': no weight fails.
    Alone,
    /// Those of both, where they are equal; else as beside.
    Together,
}

impl ActivationSide {
    /// The same without protection.
    pub fn bare(&self) -> Self {
        Self {
            protection: Protection::None,
            ..self.clone()
        }
    }

    /// The memory of a model's stored activations. Faults reach what layers read that they reach the weights of.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a model that stores none, and where faults reach none of them; as
    /// [`ActivationMemory::under`].
    pub fn of(&self, evaluator: &Evaluator, name: &str) -> Result<ActivationMemory> {
        let network = evaluator.network();
        let stored = network.stored_values()?;
        let Some(bits) = stored.first().map(|own| own.bits) else {
            return refuse(
                format!("model `{name}`"),
                "one that stores its activations (`quantize --activation-bits 8` makes one)",
                "activations in floating point",
            );
        };
        let lowest = if self.faults.reach_msb_only() {
            bits - 1
        } else {
            0
        };
        let mut reached = Vec::new();
        for own in &stored {
            let mut any = self.faults.reach_layer("")?;
            for (layer, ..) in &own.layers {
                any |= self.faults.reach_layer(network.layers()[*layer].name())?;
            }
            reached.push(any);
        }
        if !reached.contains(&true) {
            let stored = stored.iter().flat_map(|own| &own.layers);
            let names: Vec<&str> = stored
                .map(|(layer, ..)| network.layers()[*layer].name())
                .collect();
            let expected = format!(
                "globs that match a layer of `{name}` whose input is stored: {} (that of the first one is with `quantize \
                 --activation-input`)",
                names.join(", ")
            );
            return refuse("--layers (faults.layers)", expected, "none");
        }
        let spans = stored.into_iter().map(|own| own.words).collect();
        let memory = ActivationMemory::new(bits, spans, self.words)?;
        memory.within(lowest..bits, reached).under(self.protection)
    }
}

/// What else was asked of a memory of activations, as names and labels of design points say it.
fn asked(protection: Protection, words: Option<u64>) -> String {
    let mut asked = String::new();
    if protection != Protection::None {
        asked += &format!(" under {protection}");
    }
    if let Some(words) = words {
        asked += &format!(" in {words} words");
    }
    asked
}

/// Supply of stored activations at a design point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationSupply {
    /// Name of their memory model.
    pub memory: String,
    /// Voltage in `voltage_unit`.
    pub voltage: f64,
    /// Unit of the voltage.
    pub voltage_unit: VoltageUnit,
    /// Bit error rate at that voltage, in [0, 0.5].
    pub ber: f64,
    /// Where the rate comes from.
    pub ber_source: BerSource,
    /// Protection of the codes.
    pub protection: Protection,
    /// Words of the memory, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<u64>,
}

impl ActivationSupply {
    /// The columns of the supply, which tables without one do not have.
    ///
    /// # Errors
    /// As [`Columns::column`]; where some of them have a value and some none.
    pub fn columns(own: &mut Option<Self>, c: &mut impl Columns) -> Result<()> {
        let known = own.take();
        let known = known.as_ref();
        let mut memory = known.map(|own| own.memory.clone());
        let mut voltage = known.map(|own| own.voltage);
        let mut voltage_unit = known.map(|own| own.voltage_unit);
        let mut ber = known.map(|own| own.ber);
        let mut ber_source = known.map(|own| own.ber_source);
        let mut protection = known.map(|own| own.protection);
        let mut words = known.and_then(|own| own.words);
        c.rare("activation_memory", &mut memory)?;
        c.rare_number("activation_voltage", VOLTAGE, &mut voltage)?;
        c.rare("activation_voltage_unit", &mut voltage_unit)?;
        c.rare_number("activation_ber", RATE, &mut ber)?;
        c.rare("activation_ber_source", &mut ber_source)?;
        c.rare("activation_protection", &mut protection)?;
        c.rare("activation_words", &mut words)?;
        let is_none = memory.is_none() && voltage.is_none() && ber.is_none();
        *own = match (memory, voltage, voltage_unit, ber, ber_source, protection) {
            (
                Some(memory),
                Some(voltage),
                Some(voltage_unit),
                Some(ber),
                Some(ber_source),
                Some(protection),
            ) => Some(Self {
                memory,
                voltage,
                voltage_unit,
                ber,
                ber_source,
                protection,
                words,
            }),
            _ if is_none => None,
            _ => {
                let expected = "values in all columns `activation_...`, or in none";
                return Err(c.wrong("activation_voltage", expected, "some"));
            }
        };
        Ok(())
    }

    /// `activations at 0.7 V/Vmin`, with what else was asked of their memory.
    pub fn in_words(&self) -> String {
        let (voltage, unit) = (self.voltage, self.voltage_unit.symbol());
        format!(
            "activations at {voltage} {unit}{}",
            asked(self.protection, self.words)
        )
    }

    /// What the name of a design point has for it.
    pub(super) fn suffix(&self) -> String {
        let asked = asked(self.protection, self.words).replace(' ', "-");
        format!("+act{}{}{asked}", self.voltage, self.voltage_unit.name())
    }

    fn key(&self) -> (&str, &str, [u64; 2], Protection, Option<u64>) {
        // voltages are above 0, so their bits rise with them
        (
            &self.memory,
            self.voltage_unit.name(),
            [self.voltage, self.ber].map(f64::to_bits),
            self.protection,
            self.words,
        )
    }
}

impl Eq for ActivationSupply {}

impl PartialOrd for ActivationSupply {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ActivationSupply {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Stored activations of a design point, with one array.
#[derive(Clone, Debug)]
pub(super) struct ActivationSetup<'a> {
    side: &'a ActivationSide,
    point: OperatingPoint,
    memory: ActivationMemory,
    way: ArrayVariant,
}

impl<'a> ActivationSetup<'a> {
    /// Of a model at an operating point, with each array of the fault options.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a model that does not store its activations, and as [`Faults::ways`].
    pub(super) fn of_point(
        swept: &SweptModel,
        side: &'a ActivationSide,
        point: OperatingPoint,
    ) -> Result<Vec<Self>> {
        let memory = side.of(swept.evaluator, &swept.name)?;
        let ways = side.faults.ways(point.ber, Some(point.voltage))?;
        let setup = |way| Self {
            side,
            point,
            memory: memory.clone(),
            way,
        };
        Ok(ways.into_iter().map(setup).collect())
    }

    /// What is read of them on a chip; `None` where all of it is read as it is stored.
    ///
    /// # Errors
    /// As [`ActivationMemory::on`].
    pub(super) fn on(&self, seed: Seed, chip: ChipId) -> Result<Option<ActivationReads<'_>>> {
        let reads = self
            .memory
            .on(seed, chip, &self.way.model, self.point.ber)?;
        Ok(Some(reads).filter(|reads| !reads.are_clean()))
    }

    pub(super) fn can_fail(&self) -> bool {
        self.point.ber > Ber::ZERO
    }

    /// How the row of a design point says them whose weights are at a voltage of a memory.
    pub(super) fn said(&self, voltage: Option<Voltage>, unit: VoltageUnit) -> SuppliedRows {
        let equal = voltage == Some(self.point.voltage) && unit == self.side.memory.unit;
        match self.side.rows {
            SuppliedRows::Together if !equal => SuppliedRows::Beside,
            other => other,
        }
    }

    /// The memory, its operating point and array: what the row of a design point says where no weight fails.
    pub(super) fn place(&self) -> (&'a ActivationSide, OperatingPoint, &ArrayLabel) {
        (self.side, self.point, &self.way.array)
    }

    /// What else was asked of the memory.
    pub(super) fn asked(&self) -> String {
        asked(self.side.protection, self.side.words)
    }

    pub(super) fn supply(&self) -> ActivationSupply {
        ActivationSupply {
            memory: self.side.memory.name.clone(),
            voltage: self.point.voltage.get(),
            voltage_unit: self.side.memory.unit,
            ber: self.point.ber.get(),
            ber_source: self.point.ber_source,
            protection: self.side.protection,
            words: self.side.words,
        }
    }

    /// What an inference does with them.
    ///
    /// # Errors
    /// A network whose layers have no shape.
    pub(super) fn access(&self, swept: &SweptModel) -> Result<ActivationAccess<'a>> {
        let network = swept.evaluator.network();
        let shapes = network.layer_shapes()?;
        let tensors = network.stored_values()?.into_iter().enumerate();
        let access = |(place, own): (usize, StoredValue)| TensorAccess {
            name: match own.layers.first() {
                Some((layer, ..)) => shapes[*layer].name.clone(),
                None => format!("tensor {place}"),
            },
            elements: own.words.end - own.words.start,
            layers: own
                .layers
                .iter()
                .map(|(layer, groups, read)| (product(&shapes[*layer]), *groups, *read))
                .collect(),
            others: own.others,
            is_lowered: self.memory.reaches(place),
        };
        let (memory, word_bits) = (&self.side.memory, self.memory.word_bits() as u32);
        let robust_bits = self.side.protection.robust_bits(self.memory.code_bits());
        let lowered = if self.side.faults.reach_msb_only() {
            1
        } else {
            word_bits
        };
        Ok(ActivationAccess {
            memory,
            point: self.point,
            error_free: memory.at(memory.error_free)?,
            energy_ratio: self.side.energy_ratio.map(Positive::get),
            word_bits: word_bits.into(),
            robust_bits: robust_bits.into(),
            lowered_bits: lowered.saturating_sub(robust_bits).into(),
            overhead_bits: self.side.protection.overhead_bits(word_bits),
            words: self.memory.capacity(),
            tensors: tensors.map(access).collect(),
        })
    }
}
