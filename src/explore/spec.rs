//! Options of an exploration: voltage domains and mixed precision.

use super::domains::DomainSpec;
use crate::error::{refuse, Result};
use crate::units::Bits;
use serde::{Deserialize, Serialize};

/// Settings of `explore` before `answer` took over the search for a yield. Records of runs hold them; no command takes them.
pub const FORMER_KEYS: [&str; 4] = [
    "explore.yield",
    "explore.yield_chips",
    "explore.fresh_chips",
    "explore.step",
];

/// How the voltages of domains are searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExploreSpec {
    /// What gets a voltage of its own: each layer (`layers`), each bit plane of the codes (`bits`), or groups of
    /// layers (`groups: [{ name: early, layers: [conv*] }, ...]`); absent: one voltage for all. Every stored layer
    /// must lie in exactly one group. `--domains groups:FILE` takes a YAML map from names to lists of globs.
    pub domains: Option<DomainSpec>,
    /// Most loss of mean accuracy against the same model without faults, as a fraction; above 0, below 1.
    pub max_loss: f64,
    /// Energy of an inference that each supply rail beyond the first adds, relative to the network at 8 bits and the
    /// error-free voltage. The default, 0.01, is an assumption: no source gives the cost of a rail and its level
    /// shifters for the memories on board. 0 leaves it out.
    pub domain_cost: f64,
    /// Most supply rails, that is distinct voltages, 1 or more; absent: as many as there are domains.
    pub max_rails: Option<u32>,
    /// Test images of the search, 1 or more, a seeded subset with the classes in proportion; null: all of the
    /// verification.
    pub search_images: Option<u64>,
    /// Chips that the search evaluates, 2 or more; they are never those of the verification.
    pub search_chips: u32,
    /// Most joint evaluations of one search, 1 or more, each on all search chips.
    pub evaluations: u32,
    /// Most searches, 1 or more, each with a tighter limit than the one before, until a point stands its
    /// verification.
    pub attempts: u32,
    /// Widths that a layer may have, 1 to 8; empty: none. From the greatest down, the layer that adds least loss per
    /// stored bit goes down by one width (post-training); `mixed` models of this path are explored beside the others,
    /// and of a float model every width for all layers too. Not for `lsq`.
    pub widths: Vec<Bits>,
    /// Most models of a search over widths that are explored.
    pub mixed: u32,
    /// Training images that widths are judged on, a seeded subset with the classes in proportion.
    pub width_images: u64,
}

impl Default for ExploreSpec {
    fn default() -> Self {
        Self {
            domains: None,
            max_loss: 0.01,
            domain_cost: 0.01,
            max_rails: None,
            search_images: Some(500),
            search_chips: 8,
            evaluations: 100,
            attempts: 3,
            widths: Vec::new(),
            mixed: 4,
            width_images: 1000,
        }
    }
}

impl ExploreSpec {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] that names the key.
    pub fn check(&self) -> Result<()> {
        if !(self.max_loss > 0.0 && self.max_loss < 1.0) {
            let found = self.max_loss.to_string();
            return refuse("explore.max_loss", "a fraction above 0 and below 1", found);
        }
        if !(0.0..f64::INFINITY).contains(&self.domain_cost) {
            return refuse(
                "explore.domain_cost",
                "0 or more",
                self.domain_cost.to_string(),
            );
        }
        if self.widths.iter().any(|bits| bits.is_float()) {
            return refuse("explore.widths", "widths of 1 to 8 bits", "32");
        }
        if self.search_images == Some(0) || self.width_images == 0 {
            return refuse("explore.search_images, width_images", "at least 1", "0");
        }
        let counts = [
            ("explore.mixed", 1, self.mixed),
            ("explore.max_rails", 1, self.max_rails.unwrap_or(1)),
            ("explore.search_chips", 2, self.search_chips),
            ("explore.evaluations", 1, self.evaluations),
            ("explore.attempts", 1, self.attempts),
        ];
        match counts.into_iter().find(|(_, least, count)| count < least) {
            Some((key, least, count)) => {
                refuse(key, format!("at least {least}"), count.to_string())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_by_key() {
        assert!(ExploreSpec::default().check().is_ok());
        let with = |change: &dyn Fn(&mut ExploreSpec)| {
            let mut spec = ExploreSpec::default();
            change(&mut spec);
            spec.check().unwrap_err().to_string()
        };
        for loss in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(with(&|spec| spec.max_loss = loss).starts_with("explore.max_loss: expected"));
        }
        assert!(with(&|spec| spec.domain_cost = -1.0)
            .contains("explore.domain_cost: expected 0 or more"));
        assert!(with(&|spec| spec.max_rails = Some(0)).contains("explore.max_rails"));
        assert!(with(&|spec| spec.search_chips = 1)
            .contains("explore.search_chips: expected at least 2"));
        assert!(with(&|spec| spec.evaluations = 0).contains("explore.evaluations"));
        assert!(with(&|spec| spec.widths = vec![Bits::FLOAT]).contains("explore.widths"));
        assert!(with(&|spec| spec.search_images = Some(0)).contains("search_images"));
        assert!(with(&|spec| spec.attempts = 0).contains("explore.attempts"));
    }
}
