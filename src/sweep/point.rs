//! What a design point is made of: model, protection, one supply voltage or one for each domain; the zones of its
//! memory, its row, and what it reads on a chip.

use super::activations::{ActivationSetup, SuppliedRows};
use super::energy::energy;
use super::monte_carlo::{Comparison, SweptModel};
use super::row::{Design, DomainVoltage};
use crate::engine::Evaluator;
use crate::error::{refuse, Error, Result};
use crate::fault::{ChipReads, Exposure, Layout, Protection, Stored, Zone};
use crate::memory::{ArrayVariant, Faults, MemoryModel, OperatingPoint, RobustCell};
use crate::seed::Seed;
use crate::units::{Accuracy, Ber, BerSource, ChipId};

/// Most bit planes of a code.
const PLANES: u32 = 8;

/// A part of a memory with a supply of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Its name, in tables.
    pub name: String,
    /// Which words and bit planes lie in it.
    pub part: Exposure,
    /// Its voltage with its bit error rate and energy.
    pub point: OperatingPoint,
}

/// Supply of a weight memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Supply {
    /// One voltage for all of it.
    One(OperatingPoint),
    /// A voltage for each domain; the domains share no cell, and what lies in none is at the error-free voltage.
    Domains(Vec<Domain>),
}

/// A design point to be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignPoint {
    /// Its model, by the place in the list of models.
    pub model: usize,
    /// Protection of the codes.
    pub protection: Protection,
    /// Voltages.
    pub supply: Supply,
    /// Voltage of stored activations; `None`: they read as they are stored.
    pub activations: Option<OperatingPoint>,
}

impl DesignPoint {
    /// Each of the first `models` models at every voltage under every protection.
    pub fn grid(models: usize, points: &[OperatingPoint], protections: &[Protection]) -> Vec<Self> {
        let mut all = Vec::new();
        for model in 0..models {
            for &protection in protections {
                let point = |point: &OperatingPoint| Self {
                    model,
                    protection,
                    supply: Supply::One(*point),
                    activations: None,
                };
                all.extend(points.iter().map(point));
            }
        }
        all
    }

    /// Each of these points beside each voltage of stored activations.
    pub fn beside(points: &[Self], activations: &[OperatingPoint]) -> Vec<Self> {
        let mut all = Vec::new();
        for own in activations {
            all.extend(points.iter().map(|point| Self {
                activations: Some(*own),
                ..point.clone()
            }));
        }
        all
    }
}

/// A part of a memory at a voltage, and what protections do there.
#[derive(Clone, Debug)]
pub(super) struct Supplied {
    pub(super) part: Exposure,
    pub(super) point: OperatingPoint,
}

/// A design point with one array, ready to be read.
#[derive(Clone, Debug)]
pub(super) struct Setup<'a> {
    pub(super) swept: &'a SweptModel<'a>,
    point: &'a DesignPoint,
    way: ArrayVariant,
    pub(super) layout: Layout,
    /// Every part that has a lowered voltage.
    pub(super) supplied: Vec<Supplied>,
    /// Cells that can fail, with their rates.
    zones: Vec<Zone>,
    pub(super) activations: Option<ActivationSetup<'a>>,
}

impl<'a> Setup<'a> {
    /// A design point with each array of the fault options.
    pub(super) fn of_point(
        swept: &'a SweptModel<'a>,
        point: &'a DesignPoint,
        comparison: &'a Comparison<'a>,
    ) -> Result<Vec<Self>> {
        let (memory, faults) = (comparison.memory, comparison.faults);
        let (evaluator, name) = (swept.evaluator, &swept.name);
        let exposed = exposure(evaluator, name, faults)?;
        let (layout, _) = protected(
            evaluator,
            name,
            point.protection,
            memory,
            faults,
            exposed.clone(),
        )?;
        let supplied: Vec<Supplied> = match &point.supply {
            Supply::One(point) => vec![Supplied {
                part: exposed,
                point: *point,
            }],
            Supply::Domains(domains) => {
                if !exposed.is_whole() {
                    let expected = "all of the memory to be unreliable";
                    let found = "layers or bits without faults beside voltage domains";
                    return refuse("faults", expected, found);
                }
                let supplied = |d: &Domain| Supplied {
                    part: d.part.clone(),
                    point: d.point,
                };
                domains.iter().map(supplied).collect()
            }
        };
        supplied
            .iter()
            .try_for_each(|supplied| layout.check_exposure(&supplied.part))?;
        let zone = |s: &Supplied| Zone {
            ber: s.point.ber,
            exposure: unprotected(&s.part, point.protection),
        };
        let zones: Vec<Zone> = supplied.iter().map(zone).collect();
        let ways = match &point.supply {
            Supply::One(point) => faults.ways(point.ber, Some(point.voltage))?,
            Supply::Domains(_) => faults.ways_of_any_rate()?,
        };
        let mut activations = match (point.activations, comparison.activations) {
            (Some(own), Some(side)) => ActivationSetup::of_point(swept, side, own)?,
            _ => Vec::new(),
        }
        .into_iter();
        let setup = |way| Self {
            swept,
            point,
            way,
            layout: layout.clone(),
            supplied: supplied.clone(),
            zones: zones.clone(),
            // one for each array, as those of the weights
            activations: activations.next(),
        };
        Ok(ways.into_iter().map(setup).collect())
    }

    /// What the memory reads as on a chip.
    pub(super) fn chip(&self, seed: Seed, chip: ChipId) -> Result<ChipReads<'_>> {
        let stored = Stored {
            words: self.swept.evaluator.words(),
            layout: &self.layout,
        };
        self.way.model.chip(seed, chip, &self.zones, stored)
    }

    /// True where accesses differ.
    pub(super) fn is_transient(&self) -> bool {
        self.way.model.is_transient() && self.zones.iter().any(|zone| zone.ber > Ber::ZERO)
    }

    /// Place of its model in the comparison.
    pub(super) fn place(&self) -> usize {
        self.point.model
    }

    /// Protection of the codes.
    pub(super) fn protection(&self) -> Protection {
        self.point.protection
    }

    /// The row of the design point.
    pub(super) fn design(&self, comparison: &Comparison<'_>) -> Result<Design> {
        let (memory, faults) = (comparison.memory, comparison.faults);
        let (swept, protection) = (self.swept, self.point.protection);
        let network = swept.evaluator.network();
        let layers = || swept.evaluator.stored().iter().flatten();
        let layer = layers().next().ok_or_else(|| float_model(&swept.name))?;
        let width = layer.format.width();
        let same_width = layers().all(|layer| layer.format.width() == width);
        let energy = energy(self, memory, comparison.energy)?;
        let (mut one, domain_voltages) = match &self.point.supply {
            Supply::One(point) => (Some(*point), Vec::new()),
            Supply::Domains(domains) => (None, domains.iter().map(DomainVoltage::of).collect()),
        };
        let (mut memory, mut fault_kind, mut array) = (memory, faults.label(), &self.way.array);
        let mut activations = self.activations.as_ref().map(ActivationSetup::supply);
        if let Some(own) = &self.activations {
            match own.said(one.map(|point| point.voltage), memory.unit) {
                SuppliedRows::Beside => {}
                SuppliedRows::Alone => {
                    let (side, point, own_array) = own.place();
                    (one, memory, array, activations) =
                        (Some(point), &side.memory, own_array, None);
                    fault_kind = side.faults.label().of_activations(&own.asked());
                }
                SuppliedRows::Together => {
                    fault_kind = fault_kind.of_both(&own.asked());
                    activations = None;
                }
            }
        }
        let of_domains = domain_voltages.iter().map(|d| d.voltage.to_string());
        let voltages: Vec<String> = match one {
            Some(point) => vec![point.voltage.to_string()],
            None => of_domains.collect(),
        };
        let mut suffix = self.way.suffix.clone();
        if let Some(own) = self.activations.as_ref().filter(|_| activations.is_none()) {
            let only = if fault_kind.is_of_both() {
                "both"
            } else {
                "activations"
            };
            suffix.insert_str(0, &format!("+{only}{}", own.asked().replace(' ', "-")));
        }
        if let Some(own) = &activations {
            suffix.insert_str(0, &own.suffix());
        }
        if protection != Protection::None {
            suffix += &format!("+{protection}");
        }
        let sources = self.supplied.iter().map(|own| own.point.ber_source);
        // of activations where their columns do not say it
        let unsaid = self.activations.as_ref().filter(|_| activations.is_none());
        let unsaid = unsaid.map(|own| own.place().1.ber_source);
        Ok(Design {
            design_id: format!(
                "{}@{}{}{suffix}",
                swept.name,
                voltages.join("/"),
                memory.unit.name()
            ),
            model: swept.name.clone(),
            architecture: network.architecture().to_string(),
            dataset: swept.dataset.clone(),
            metric: swept.images.metric(),
            method: network.method_label(),
            bits: same_width.then_some(width),
            training_seed: swept.training_seed,
            memory: memory.name.clone(),
            fault_kind,
            array: array.clone(),
            protection,
            voltage: one.map(|point| point.voltage.get()),
            voltage_unit: memory.unit,
            ber: one.map(|point| point.ber.get()),
            ber_source: sources
                .chain(unsaid)
                .max_by_key(BerSource::doubt)
                .unwrap_or(BerSource::ErrorFree),
            access_energy_relative: one.map(|point| point.access_energy_relative),
            energy_relative: energy.relative,
            energy_pj: energy.picojoule,
            inference_seconds: energy.seconds,
            area_relative: self.area(comparison.memory),
            clean_accuracy: Accuracy::new(swept.clean.accuracy())?,
            domain_voltages,
            activations,
        })
    }

    /// Area of the memory relative to 8 bits a weight, unprotected.
    fn area(&self, memory: &MemoryModel) -> f64 {
        let factor = memory
            .robust_cell
            .as_ref()
            .map_or(1.0, |cell| cell.area_factor.get());
        let layers = self.swept.evaluator.stored().iter().flatten();
        let cells: f64 = layers
            .map(|layer| {
                let bits = layer.format.bits();
                let robust = f64::from(self.protection().robust_bits(bits));
                let own = f64::from(bits) - robust
                    + robust * factor
                    + self.protection().overhead_bits(bits);
                layer.words.len() as f64 * own
            })
            .sum();
        cells / (8.0 * self.layout.words() as f64)
    }
}

/// Where the bits of a network lie in a memory under a protection.
///
/// # Errors
/// [`Error::Argument`] for float weights, or as [`Layout::new`].
pub fn layout(evaluator: &Evaluator, name: &str, protection: Protection) -> Result<Layout> {
    let layers = || evaluator.stored().iter().flatten();
    if layers().next().is_none() {
        return Err(float_model(name));
    }
    Layout::new(
        layers().map(|layer| (layer.words.len() as u64, layer.format.bits())),
        protection,
    )
}

/// What faults reach of a network's memory.
///
/// # Errors
/// [`Error::Argument`] for float weights, or fault options that do not go with the network.
pub fn exposure(evaluator: &Evaluator, name: &str, faults: &Faults) -> Result<Exposure> {
    layout(evaluator, name, Protection::None)?;
    faults.exposure(&evaluator.memory_layers())
}

/// Where the bits of a network lie under a protection, and what of an exposed part of it can still fail.
///
/// # Errors
/// [`Error::Argument`] for float weights, a protection that does not go with the codes, the part or the memory model, or
/// a fault map that is too small.
pub fn protected(
    evaluator: &Evaluator,
    name: &str,
    protection: Protection,
    memory: &MemoryModel,
    faults: &Faults,
    exposed: Exposure,
) -> Result<(Layout, Exposure)> {
    let layout = layout(evaluator, name, protection)?;
    check_protection(evaluator, name, protection, memory)?;
    faults.check_size(name, layout.cells())?;
    layout.check_exposure(&exposed)?;
    let exposed = unprotected(&exposed, protection);
    Ok((layout, exposed))
}

/// Cells of a network's memory that faults reach under a protection, check bits included.
///
/// # Errors
/// As [`exposure`] and [`layout`].
pub fn exposed_cells(
    evaluator: &Evaluator,
    name: &str,
    protection: Protection,
    faults: &Faults,
) -> Result<u64> {
    let exposed = exposure(evaluator, name, faults)?;
    Ok(layout(evaluator, name, protection)?.exposed_cells(&unprotected(&exposed, protection)))
}

/// The part of it that does not lie in cells that do not fail.
fn unprotected(part: &Exposure, protection: Protection) -> Exposure {
    part.within_planes(protection.robust_bits(PLANES)..PLANES)
}

/// Refuses a protection that the memory model has no numbers for, or that the codes cannot have.
///
/// # Errors
/// [`Error::Argument`] that names the model, or the key of the memory model.
fn check_protection(
    evaluator: &Evaluator,
    name: &str,
    protection: Protection,
    memory: &MemoryModel,
) -> Result<()> {
    if matches!(protection, Protection::Msb(_)) && memory.robust_cell.is_none() {
        let what = format!(
            "protection `{protection}` with memory model `{}`",
            memory.name
        );
        return refuse(what, RobustCell::missing(memory), "none");
    }
    let binary =
        |layer: &&crate::quant::StoredWeight| layer.format.signed() && layer.format.bits() == 1;
    if protection == Protection::ParityZero
        && evaluator.stored().iter().flatten().any(|l| binary(&l))
    {
        let what = format!("protection `{protection}` of model `{name}`");
        let expected = "codes that can say zero: signed codes of 1 bit are -1 and +1";
        return refuse(what, expected, "such codes");
    }
    Ok(())
}

fn float_model(name: &str) -> Error {
    Error::argument(
        format!("model `{name}`"),
        "a quantised model, which stores codes in the memory",
        "float weights (bits: 32)",
    )
}
