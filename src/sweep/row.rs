//! The rows that a sweep yields: design points and trials. Where they are kept is the tables' affair.

use super::point::Domain;
use crate::memory::EnergyTerm;
use crate::stats::ChipDifference;
use crate::units::{Accuracy, BerSource, ChipId, VoltageUnit};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One design point: a model in a memory at a voltage under a protection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Unique in a run and the same in every extension of it: `<model>@<voltage><unit>`, then the array where it is not
    /// the memory model's own, and the protection.
    pub design_id: String,
    /// Name of the model in this run.
    pub model: String,
    /// Architecture, as in the model file.
    pub architecture: String,
    /// Data set the accuracy is measured on.
    pub dataset: String,
    /// Quantisation method.
    pub method: String,
    /// Bits per stored weight; `None` where layers differ.
    pub bits: Option<u32>,
    /// Seed of the training, where the model file says it.
    pub training_seed: Option<u64>,
    /// Name of the memory model.
    pub memory: String,
    /// `flip` or `stuck`.
    pub fault_kind: String,
    /// `independent`, or the correlations of the array.
    pub array: String,
    /// `none`, or the protection.
    pub protection: String,
    /// Supply voltage in `voltage_unit`; `None` where domains have their own.
    pub voltage: Option<f64>,
    /// Unit of the voltage.
    pub voltage_unit: VoltageUnit,
    /// Bit error rate at that voltage, in [0, 0.5]; `None` where domains have their own.
    pub ber: Option<f64>,
    /// Where the rate comes from; of several, the most doubtful source.
    pub ber_source: BerSource,
    /// Energy of one bit access relative to the error-free voltage; `None` where domains have their own.
    pub access_energy_relative: Option<f64>,
    /// Weight-memory energy of an inference relative to the same architecture at 8 bits,
    /// unprotected, at the error-free voltage.
    pub energy_relative: f64,
    /// The same in picojoules, where the memory model gives an absolute energy.
    pub energy_pj: Option<f64>,
    /// Memory area relative to the same architecture at 8 bits, unprotected.
    pub area_relative: f64,
    /// Accuracy of the model without faults on the same images.
    pub clean_accuracy: Accuracy,
    /// Voltage of each domain; empty where there is one voltage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain_voltages: Vec<DomainVoltage>,
}

impl Design {
    /// Order by voltage; those whose domains have their own come first, by energy.
    pub fn by_voltage(&self, other: &Self) -> Ordering {
        let numbers = [self, other].map(|d| d.voltage.unwrap_or(f64::NEG_INFINITY));
        let energies = || self.energy_relative.total_cmp(&other.energy_relative);
        let same = || {
            if self.voltage.is_none() {
                energies()
            } else {
                Ordering::Equal
            }
        };
        numbers[0].total_cmp(&numbers[1]).then_with(same)
    }

    /// False where no cell can fail: every voltage is error-free.
    pub fn can_fail(&self) -> bool {
        self.ber_source != BerSource::ErrorFree
    }
}

/// Supply voltage of a part of the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainVoltage {
    /// Name of the domain.
    pub domain: String,
    /// Its voltage, in the unit of the design point.
    pub voltage: f64,
}

impl DomainVoltage {
    /// The voltage of a domain.
    pub(super) fn of(domain: &Domain) -> Self {
        Self {
            domain: domain.name.clone(),
            voltage: domain.point.voltage.get(),
        }
    }
}

/// One term of the energy of a design point.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyRow {
    /// The design point.
    pub design_id: String,
    /// Unit of the voltage.
    pub voltage_unit: VoltageUnit,
    /// The term.
    pub term: EnergyTerm,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialStatus {
    /// The network was evaluated on this chip.
    Evaluated,
    /// No stored bit reads otherwise on this chip: the clean result holds.
    FaultFree,
}

impl TrialStatus {
    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluated => "evaluated",
            Self::FaultFree => "fault_free",
        }
    }
}

/// One trial: one design point on one simulated chip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The design point.
    pub design_id: String,
    /// The chip.
    pub chip: ChipId,
    /// Failing cells that hold a bit of the network.
    pub faults: u64,
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly.
    pub correct: u64,
    /// Images of which a logit is not finite; they count as wrong.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    /// The clean network on the same images, where each chip has images of its own (two-level sampling).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<CleanAnswers>,
    /// How the trial ended.
    pub status: TrialStatus,
    /// Wall seconds that the trial took; not part of any result.
    pub seconds: f64,
}

/// True for a count that lines of a journal leave out.
#[expect(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The clean network on the images of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanAnswers {
    /// Images classified correctly without faults.
    pub correct: u64,
    /// Images classified correctly with the faults or without them, but not both.
    pub changed: u64,
}

impl CleanAnswers {
    /// What a chip showed on `images` images, of which `correct` were classified correctly with its faults; `None`
    /// where the numbers contradict each other.
    pub fn difference(self, images: u64, correct: u64) -> Option<ChipDifference> {
        if self.correct.max(correct) > images {
            return None;
        }
        let gain = i64::try_from(correct).ok()? - i64::try_from(self.correct).ok()?;
        let right = correct.checked_add(self.correct)?;
        let most = right.min(images.checked_mul(2)? - right);
        let possible = (gain.unsigned_abs()..=most).contains(&self.changed)
            && (self.changed - gain.unsigned_abs()).is_multiple_of(2);
        possible.then_some(ChipDifference {
            images,
            gain,
            changed: self.changed,
        })
    }
}

impl Trial {
    /// Share of images classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

/// Why no more chips were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// The number of chips asked for was reached.
    Chips,
    /// Every half-width of the comparison fell under the tolerance.
    Tolerance,
    /// The choice of test images alone leaves some half-widths above the tolerance, where more chips cannot
    /// help: the part of the chips fell under it there, and every other half-width did.
    Images,
}

impl StoppedBy {
    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chips => "chips",
            Self::Tolerance => "tolerance",
            Self::Images => "images",
        }
    }
}
