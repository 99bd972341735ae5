//! What a user may ask of an attack, checked.

use crate::data::Split;
use crate::error::{refuse, Result};
use crate::units::Accuracy;
use serde::{Deserialize, Serialize};

/// An attack on stored bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackSpec {
    /// Most bits that are flipped, 1 to 1,000,000.
    pub flips: u64,
    /// The attack ends where the accuracy on the test images is at most this; absent: chance, 1 / classes (`top5`: 5 / classes). A network
    /// that always gives one answer has the fraction of that class, which may be more (MNIST: up to 0.114).
    pub until_accuracy: Option<Accuracy>,
    /// Weights of greatest gradient that each layer offers, 1 to 1,000,000.
    pub k_top: u32,
    /// Images whose loss is attacked, 1 to 65,536.
    pub batch: u32,
    /// Attacks on each model, each with a batch of its own, drawn by the seed, 1 to 10,000; the same batches for all
    /// models.
    pub restarts: u32,
    /// Where batches come from. Those of the test set are drawn from the images in use and left out of the accuracy.
    pub data: Split,
}

impl Default for AttackSpec {
    fn default() -> Self {
        Self {
            flips: 200,
            until_accuracy: None,
            k_top: 100,
            batch: 128,
            restarts: 5,
            data: Split::Training,
        }
    }
}

impl AttackSpec {
    /// Checks every value.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("flips", self.flips, 1_000_000),
            ("k_top", self.k_top.into(), 1_000_000),
            ("batch", self.batch.into(), 65_536),
            ("restarts", self.restarts.into(), 10_000),
        ];
        match counts
            .into_iter()
            .find(|(_, count, most)| !(1..=*most).contains(count))
        {
            None => Ok(()),
            Some((key, count, most)) => refuse(
                format!("attack.{key}"),
                format!("1 to {most}"),
                count.to_string(),
            ),
        }
    }

    /// Accuracy at which an attack ends, where guessing has the accuracy `chance`.
    pub fn target(&self, chance: f64) -> f64 {
        self.until_accuracy.map_or(chance, Accuracy::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_and_too_many_are_refused_by_key() {
        AttackSpec::default().check().unwrap();
        let wrong = |edit: fn(&mut AttackSpec)| {
            let mut spec = AttackSpec::default();
            edit(&mut spec);
            spec.check().unwrap_err().to_string()
        };
        assert_eq!(
            wrong(|s| s.flips = 0),
            "attack.flips: expected 1 to 1000000, found 0"
        );
        assert_eq!(
            wrong(|s| s.k_top = 0),
            "attack.k_top: expected 1 to 1000000, found 0"
        );
        assert_eq!(
            wrong(|s| s.batch = 65_537),
            "attack.batch: expected 1 to 65536, found 65537"
        );
        assert_eq!(
            wrong(|s| s.restarts = 0),
            "attack.restarts: expected 1 to 10000, found 0"
        );
    }

    #[test]
    fn the_target_is_chance_unless_it_is_given() {
        let mut spec = AttackSpec::default();
        assert_eq!(spec.target(0.1), 0.1);
        spec.until_accuracy = Some(Accuracy::new(0.0).unwrap());
        assert_eq!(spec.target(0.1), 0.0);
    }
}
