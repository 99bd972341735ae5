//! The learning rate over time.

use crate::error::{refuse, Result};
use serde::{Deserialize, Serialize};

/// Shapes of the learning rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays as it is.
    Constant,
    /// Half a cosine from the start value to 0, falling at every step.
    #[default]
    Cosine,
    /// Times `gamma` after every epoch.
    Exponential,
    /// Times `gamma` at each milestone.
    MultiStep,
}

/// A shape with its constants. Keys that it does not read must be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSpec {
    /// Learning rate over time; `cosine` falls to 0 at every step.
    pub name: Schedule,
    /// `exponential`, `multi_step`: factor per epoch or milestone, in (0, 1]; default 0.95 and 0.1.
    pub gamma: Option<f64>,
    /// `multi_step`, which requires them: epochs after which the factor applies, rising.
    pub milestones: Option<Vec<usize>>,
}

impl ScheduleSpec {
    /// Checks every value.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: String| {
            refuse(format!("trainer.schedule.{key}"), expected, found)
        };
        let reads_gamma = matches!(self.name, Schedule::Exponential | Schedule::MultiStep);
        if let Some(gamma) = self.gamma {
            if !reads_gamma {
                return wrong(
                    "gamma",
                    "to be left out (only `exponential` and `multi_step` read it)",
                    gamma.to_string(),
                );
            }
            if !(1e-12..=1.0).contains(&gamma) {
                return wrong("gamma", "a number above 0 and at most 1", gamma.to_string());
            }
        }
        match (&self.milestones, self.name) {
            (None, Schedule::MultiStep) => {
                wrong("milestones", "a list of epochs", "nothing".into())
            }
            (Some(list), Schedule::MultiStep) if !list.windows(2).all(|pair| pair[0] < pair[1]) => {
                wrong("milestones", "epochs in rising order", format!("{list:?}"))
            }
            (Some(list), name) if name != Schedule::MultiStep => wrong(
                "milestones",
                "to be left out (only `multi_step` reads it)",
                format!("{list:?}"),
            ),
            _ => Ok(()),
        }
    }

    /// Factor on the start value at `step` of `steps` in epoch `epoch` (both from 0) of `epochs`.
    pub fn factor(&self, epoch: usize, epochs: usize, step: usize, steps: usize) -> f64 {
        match self.name {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let done =
                    (epoch as f64 + step as f64 / steps.max(1) as f64) / epochs.max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Schedule::Exponential => self.gamma.unwrap_or(0.95).powi(epoch as i32),
            Schedule::MultiStep => {
                let passed = self
                    .milestones
                    .iter()
                    .flatten()
                    .filter(|&&milestone| epoch >= milestone)
                    .count();
                self.gamma.unwrap_or(0.1).powi(passed as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_follow_their_formulas() {
        let spec = |name, milestones| ScheduleSpec {
            name,
            gamma: None,
            milestones,
        };
        let cosine = spec(Schedule::Cosine, None);
        assert_eq!(cosine.factor(0, 10, 0, 5), 1.0);
        assert!((cosine.factor(5, 10, 0, 5) - 0.5).abs() < 1e-12);
        assert!(cosine.factor(9, 10, 4, 5) < 0.002);
        assert!(
            (spec(Schedule::Exponential, None).factor(2, 10, 3, 5) - 0.95 * 0.95).abs() < 1e-12
        );
        let steps = spec(Schedule::MultiStep, Some(vec![2, 4]));
        let factors: Vec<f64> = (0..6).map(|e| steps.factor(e, 6, 0, 1)).collect();
        assert!(factors
            .iter()
            .zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01])
            .all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn constants_that_are_not_read_are_refused() {
        let gamma = ScheduleSpec {
            gamma: Some(0.5),
            ..ScheduleSpec::default()
        };
        assert!(gamma.check().is_err());
        assert!(ScheduleSpec {
            name: Schedule::MultiStep,
            ..ScheduleSpec::default()
        }
        .check()
        .is_err());
    }
}
