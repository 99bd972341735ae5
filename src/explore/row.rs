//! The rows that explorations yield: evaluations of the search, sensitivities, points, the answer. Where they are kept
//! is the tables' affair.

use crate::stats::{mean, mean_half_width, standard_deviation, ROUNDING};
use crate::sweep::DomainVoltage;
use crate::table::words;
use serde::{Deserialize, Serialize};

/// One evaluation of the search, on all search chips; enough of them resume a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Voltages of the domains that can fail; the others are without faults.
    pub domain_voltages: Vec<DomainVoltage>,
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly on each search chip.
    pub correct: Vec<u64>,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Mean over chips.
    pub mean: f64,
    /// Lower end of the interval; `None` below two chips.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Chips.
    pub chips: u32,
}

impl Estimate {
    /// Of one number for each chip, on images whose choice gives the mean the variance `images` (see
    /// [`mean_half_width`]); `None` without chips.
    pub(super) fn of(of_chips: &[f64], images: f64) -> Option<Self> {
        let mean = mean(of_chips)?;
        let half = standard_deviation(of_chips)
            .and_then(|std| mean_half_width(std, of_chips.len(), images));
        Some(Self {
            mean,
            low: half.map(|half| mean - half),
            high: half.map(|half| mean + half),
            chips: of_chips.len() as u32,
        })
    }

    /// In percentage points, `0.82 (0.70 to 0.94)`.
    pub(super) fn in_points(&self) -> String {
        match (self.low, self.high) {
            (Some(low), Some(high)) => {
                format!(
                    "{:.2} ({:.2} to {:.2})",
                    100.0 * self.mean,
                    100.0 * low,
                    100.0 * high
                )
            }
            _ => format!("{:.2}", 100.0 * self.mean),
        }
    }
}

/// Loss with faults in one domain only, on the search chips: an estimate, no point of a frontier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SensitivityRow {
    /// Name of the domain.
    pub domain: String,
    /// Its voltage.
    pub voltage: f64,
    /// Loss of accuracy as a fraction, over the search chips.
    pub loss: Estimate,
}

/// What a point is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointKind {
    /// One voltage for all domains.
    #[default]
    Single,
    /// Voltages of their own.
    Domains,
}

words!(PointKind: Single "single", Domains "domains");

/// What the verification said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointStatus {
    /// The interval of the loss over the verification chips ends at most at the greatest allowed.
    Verified,
    /// It begins above that.
    #[default]
    Failed,
    /// It holds it, or a single chip gives none.
    NotEstablished,
}

words!(PointStatus: Verified "verified", Failed "failed", NotEstablished "not_established");

impl PointStatus {
    /// What a loss over the verification chips says of the greatest allowed; it may miss it by rounding.
    pub(super) fn of(loss: &Estimate, max_loss: f64) -> Self {
        let limit = max_loss + ROUNDING;
        if loss.high.is_some_and(|high| high <= limit) {
            Self::Verified
        } else if loss.low.is_some_and(|low| low > limit) {
            Self::Failed
        } else {
            Self::NotEstablished
        }
    }
}

/// A proposed point after its verification: all faults together, on chips that the search did not see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExplorePoint {
    /// Most loss of mean accuracy that was asked for, as a fraction.
    pub max_loss: f64,
    /// One voltage, or several.
    pub kind: PointKind,
    /// Number of the search that proposed it, from 1.
    pub attempt: u32,
    /// What the verification said.
    pub status: PointStatus,
    /// Voltage of each domain.
    pub domain_voltages: Vec<DomainVoltage>,
    /// Distinct voltages.
    pub rails: u32,
    /// Weight-memory energy of an inference relative to the same architecture at 8 bits, unprotected, at the error-free
    /// voltage; rails not in it.
    pub energy_relative: f64,
    /// Energy of the rails beyond the first, relative to the same.
    pub rail_energy_relative: f64,
    /// Both together: what the search minimises.
    pub cost_relative: f64,
    /// Estimated: sum of the losses of the domains alone, on the search chips, made monotone over the voltages; `None`
    /// where one was not measured.
    pub estimated_loss: Option<f64>,
    /// Estimated: mean loss with all faults together on the search chips; `None` where the search did not look.
    pub search_loss: Option<f64>,
    /// Chips of both estimates.
    pub search_chips: u32,
    /// Verified: loss with all faults together on fresh chips.
    pub verified_loss: Estimate,
}

/// What an exploration comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Most loss of mean accuracy that was asked for, as a fraction.
    pub max_loss: f64,
    /// Number of domains.
    pub domains: u32,
    /// Energy of each rail beyond the first, as stated.
    pub domain_cost: f64,
    /// True where voltages of domains cost less than the best single voltage, rails included, both verified.
    pub saves: bool,
    /// The best single voltage: the lowest that is verified.
    pub single: Option<ExplorePoint>,
    /// The best proposal of several voltages: the verified one, else the last of the others; `None` where the search found
    /// none that is cheaper than one voltage.
    pub proposal: Option<ExplorePoint>,
    /// Fraction of the single voltage's cost that the proposal saves; `None` without both.
    pub saving: Option<f64>,
    /// Accuracy of the proposal less that of the single voltage, on the same verification chips; `None` without both.
    pub accuracy_difference: Option<Estimate>,
}

impl Answer {
    /// The answer as a sentence or two.
    pub fn text(&self) -> String {
        let loss = format!("a mean loss of at most {:.2} points", 100.0 * self.max_loss);
        let cost = format!(
            "rails included ({} each beyond the first)",
            self.domain_cost
        );
        let Some(single) = &self.single else {
            return format!(
                "No single voltage of the grid is shown to have {loss}: there is nothing to compare with. More chips or \
                 images make intervals narrower."
            );
        };
        let voltage = single
            .domain_voltages
            .first()
            .map_or(f64::NAN, |own| own.voltage);
        let loss_of = |point: &ExplorePoint| {
            format!(
                "verified loss {} points on {} chips",
                point.verified_loss.in_points(),
                point.verified_loss.chips
            )
        };
        let base = format!(
            "the best single voltage {} (cost {:.4}, {})",
            (1e4 * voltage).round() / 1e4,
            single.cost_relative,
            loss_of(single)
        );
        let Some(proposal) = &self.proposal else {
            return format!(
                "No assignment of voltages to {} domains beats {base} at {loss}, {cost}: the search on {} chips found none \
                 that costs less.",
                self.domains, single.search_chips
            );
        };
        let paired = self
            .accuracy_difference
            .as_ref()
            .map_or(String::new(), |difference| {
                format!(
                    "; accuracy against the single voltage on the same chips {} points",
                    difference.in_points()
                )
            });
        let own = format!(
            "{} voltages for {} domains (cost {:.4}, {}{paired})",
            proposal.rails,
            self.domains,
            proposal.cost_relative,
            loss_of(proposal)
        );
        let saving = self
            .saving
            .map_or(String::new(), |saving| format!("{:.1} %", 100.0 * saving));
        match (self.saves, proposal.status) {
            (true, _) => format!("{own} save {saving} against {base} at {loss}, {cost}."),
            (false, PointStatus::Failed) => format!(
                "No verified assignment of voltages beats {base} at {loss}, {cost}: the last proposal, {own}, lost too \
                 much on fresh chips."
            ),
            (false, PointStatus::NotEstablished) => format!(
                "No verified assignment of voltages beats {base} at {loss}, {cost}: the last proposal, {own}, is not shown \
                 to keep it; more chips make the interval narrower."
            ),
            (false, PointStatus::Verified) => {
                format!("No assignment of voltages beats {base} at {loss}, {cost}: the best proposal, {own}, saves {saving}.")
            }
        }
    }
}
