//! Stored activations in a comparison: the memory that holds them, its supply at a design point, what a chip reads of it.

use super::energy::product;
use super::list;
use super::monte_carlo::SweptModel;
use crate::engine::Evaluator;
use crate::error::{Error, Result};
use crate::fault::{ActivationMemory, ActivationReads, FaultModel, Protection};
use crate::memory::{ActivationAccess, Faults, MemoryModel, OperatingPoint, TensorAccess};
use crate::net::StoredValue;
use crate::seed::Seed;
use crate::table::{Columns, RATE, VOLTAGE};
use crate::units::{Ber, BerSource, ChipId, VoltageUnit};
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
    /// at a time. In fewer, elements share a word that are not needed at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<u64>,
    /// Protection of stored activations: `none` (the default); `msb:k`, the k most significant bits of each code lie in cells
    /// that do not fail; `secded`, check bits of every 64 bits of words; `parity_zero`, a bit beside each word, which reads as
    /// zero where it does not fit. The latter two where cells invert their bit, and all of the memory is unreliable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
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

    /// Checks what goes together; voltages may be searched, where they are a domain of an exploration.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the key.
    pub fn check(&self, searched: bool) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: &str| {
            Err(Error::argument(
                format!("activations.{key}"),
                expected,
                found,
            ))
        };
        if self.voltages.is_some() && !self.bit_error_rates.is_empty() {
            return wrong("bit_error_rates", "to be left out beside voltages", "both");
        }
        list::check_rates("activations.bit_error_rates", &self.bit_error_rates)?;
        if self.words == Some(0) {
            return wrong("words", "1 or more", "0");
        }
        if searched && self.is_swept() {
            let expected = "to be left out: `explore.domains` searches voltages of activations";
            return wrong("voltages", expected, "a value");
        }
        let alone = [
            ("memory", self.memory.is_some()),
            ("words", self.words.is_some()),
            ("protection", self.protection.is_some()),
        ];
        match alone.into_iter().find(|(_, given)| *given) {
            Some((key, _)) if !self.is_swept() && !searched => wrong(
                key,
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
    /// True where weights do not fail: then design points are those of this memory, by its voltages.
    pub alone: bool,
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
    #[serde(default)]
    pub protection: Protection,
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
        c.rare("activation_memory", &mut memory)?;
        c.rare_number("activation_voltage", VOLTAGE, &mut voltage)?;
        c.rare("activation_voltage_unit", &mut voltage_unit)?;
        c.rare_number("activation_ber", RATE, &mut ber)?;
        c.rare("activation_ber_source", &mut ber_source)?;
        c.rare("activation_protection", &mut protection)?;
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
            }),
            _ if is_none => None,
            _ => {
                let expected = "values in all columns `activation_...`, or in none";
                return Err(c.wrong("activation_voltage", expected, "some"));
            }
        };
        Ok(())
    }

    /// `activations at 0.7 V/Vmin`.
    pub fn words(&self) -> String {
        let unit = self.voltage_unit.symbol();
        let protection = match self.protection {
            Protection::None => String::new(),
            other => format!(" under {other}"),
        };
        format!("activations at {} {unit}{protection}", self.voltage)
    }

    /// What the name of a design point has for it.
    pub(super) fn suffix(&self) -> String {
        let protection = match self.protection {
            Protection::None => String::new(),
            other => format!("-{other}"),
        };
        format!(
            "+act{}{}{protection}",
            self.voltage,
            self.voltage_unit.name()
        )
    }

    fn key(&self) -> (&str, &str, u64, Protection) {
        // voltages are above 0, so their bits rise with them
        (
            &self.memory,
            self.voltage_unit.name(),
            self.voltage.to_bits(),
            self.protection,
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
    model: FaultModel,
}

impl<'a> ActivationSetup<'a> {
    /// Of a model at an operating point, with each array of the fault options.
    ///
    /// # Errors
    /// [`Error::Argument`] for a model that does not store its activations, and as [`Faults::ways`].
    pub(super) fn of_point(
        swept: &SweptModel,
        side: &'a ActivationSide,
        point: OperatingPoint,
    ) -> Result<Vec<Self>> {
        let words = (side.words, side.protection);
        let memory = activation_memory(swept.evaluator, &swept.name, words, &side.faults)?;
        let ways = side.faults.ways(point.ber, Some(point.voltage))?;
        let setup = |model| Self {
            side,
            point,
            memory: memory.clone(),
            model,
        };
        Ok(ways.into_iter().map(|way| setup(way.model)).collect())
    }

    /// What is read of them on a chip; `None` where all of it is read as it is stored.
    ///
    /// # Errors
    /// As [`ActivationMemory::on`].
    pub(super) fn on(&self, seed: Seed, chip: ChipId) -> Result<Option<ActivationReads<'_>>> {
        let reads = self.memory.on(seed, chip, &self.model, self.point.ber)?;
        Ok(Some(reads).filter(|reads| !reads.are_clean()))
    }

    pub(super) fn can_fail(&self) -> bool {
        self.point.ber > Ber::ZERO
    }

    /// The memory and its operating point, where weights do not fail.
    pub(super) fn alone(&self) -> Option<(&'a ActivationSide, OperatingPoint)> {
        self.side.alone.then_some((self.side, self.point))
    }

    pub(super) fn source(&self) -> BerSource {
        self.point.ber_source
    }

    pub(super) fn supply(&self) -> ActivationSupply {
        ActivationSupply {
            memory: self.side.memory.name.clone(),
            voltage: self.point.voltage.get(),
            voltage_unit: self.side.memory.unit,
            ber: self.point.ber.get(),
            ber_source: self.point.ber_source,
            protection: self.side.protection,
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
                Some((layer, _)) => shapes[*layer].name.clone(),
                None => format!("tensor {place}"),
            },
            elements: own.words.end - own.words.start,
            layers: own
                .layers
                .iter()
                .map(|(layer, groups)| (product(&shapes[*layer]), *groups))
                .collect(),
            others: own.others,
        };
        Ok(ActivationAccess {
            memory: &self.side.memory,
            point: self.point,
            word_bits: self.memory.word_bits() as f64,
            robust_bits: f64::from(self.side.protection.robust_bits(self.memory.code_bits())),
            overhead_bits: self
                .side
                .protection
                .overhead_bits(self.memory.word_bits() as u32),
            words: self.memory.words(),
            tensors: tensors.map(access).collect(),
        })
    }
}

/// The memory of a model's stored activations, of so many words or as many as it needs at a time, under a protection of its
/// codes. Faults reach what layers read that they reach the weights of.
///
/// # Errors
/// [`Error::Argument`] for a model that does not store its activations; as [`ActivationMemory::under`].
pub fn activation_memory(
    evaluator: &Evaluator,
    name: &str,
    (words, protection): (Option<u64>, Protection),
    faults: &Faults,
) -> Result<ActivationMemory> {
    let network = evaluator.network();
    let stored = network.stored_values()?;
    let Some(bits) = stored.first().map(|own| own.bits) else {
        return Err(Error::argument(
            format!("model `{name}`"),
            "one that stores its activations (`quantize --activation-bits 8` makes one)",
            "activations in floating point",
        ));
    };
    let lowest = if faults.reach_msb_only() { bits - 1 } else { 0 };
    let mut reached = Vec::new();
    for own in &stored {
        let mut any = faults.reach_layer("")?;
        for (layer, _) in &own.layers {
            any |= faults.reach_layer(network.layers()[*layer].name())?;
        }
        reached.push(any);
    }
    let spans = stored.into_iter().map(|own| own.words).collect();
    let memory = ActivationMemory::new(bits, spans, words)?;
    memory.within(lowest..bits, reached).under(protection)
}
