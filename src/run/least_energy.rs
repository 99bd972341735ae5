//! Where the energy of an inference is least, and which voltages a fixed clock rules out: of memories with a macro.

use super::prepared::Prepared;
use crate::engine::Score;
use crate::error::{refuse, Result};
use crate::fault::Protection;
use crate::memory::{minimum, EnergySpec, EnergyTerm, MemoryModel, Minimum, OperatingPoint};
use crate::sweep::DesignPoint;
use crate::units::Voltage;

/// The points whose delay a fixed clock allows, and what is said of the others.
///
/// # Errors
/// [`crate::error::Error::Argument`] where none is left.
pub(super) fn feasible(
    points: Vec<OperatingPoint>,
    memory: &MemoryModel,
    spec: &EnergySpec,
) -> Result<(Vec<OperatingPoint>, Option<String>)> {
    let Some(period) = spec.period_ns.filter(|_| memory.sram.is_some()) else {
        return Ok((points, None));
    };
    // known at every point: others are refused before
    let delay = |point: &OperatingPoint| {
        let own = memory.sram_at(point.voltage);
        own.and_then(|own| own.delay_ns).unwrap_or(f64::INFINITY)
    };
    let is_slow = |point: &OperatingPoint| spec.is_too_slow(delay(point));
    let named = |point: &OperatingPoint| format!("{} V ({:.3} ns)", point.voltage, delay(point));
    let (slow, usable): (Vec<_>, Vec<_>) = points.into_iter().partition(is_slow);
    let names: Vec<String> = slow.iter().map(named).collect();
    let error_free = memory.at(memory.error_free)?;
    if usable.is_empty() || is_slow(&error_free) {
        let expected =
            "a period that the memory keeps at some swept voltage, and at the error-free one";
        let found = format!(
            "{period} ns; delays: {}, {}",
            names.join(", "),
            named(&error_free)
        );
        return refuse("energy.period_ns", expected, found);
    }
    let note = (!names.is_empty()).then(|| {
        format!(
            "infeasible, as the delay exceeds the fixed clock's {period} ns, and left out: {}",
            names.join(", ")
        )
    });
    Ok((usable, note))
}

/// What is said of voltages at which more than half of the bits fail.
pub(super) fn lost_in_words(lost: &[Voltage]) -> Option<String> {
    let named: Vec<String> = lost.iter().map(|voltage| format!("{voltage} V")).collect();
    (!named.is_empty()).then(|| {
        format!(
            "left out, as more than half of the bits fail: {}",
            named.join(", ")
        )
    })
}

impl Prepared {
    /// Scores that nothing is asked of: energies do not depend on what was recognised.
    pub(super) fn no_scores(&self) -> Vec<Score> {
        let score = Score {
            images: 1,
            correct: 1,
            not_finite: 0,
            loss: 0.0,
        };
        vec![score; self.models.len()]
    }

    /// Where the energy of each model under each protection is least, in words; equal ones are said once.
    pub(super) fn least_energy(&self) -> Result<Vec<String>> {
        let (Some(_), Some(lowest)) = (&self.memory.sram, self.grid.first()) else {
            return Ok(Vec::new());
        };
        let swept_models = self.swept_models(&self.no_scores());
        let points = DesignPoint::grid(
            self.models.len(),
            std::slice::from_ref(lowest),
            &self.protections,
        );
        let comparison = self.comparison(&swept_models, &points, 1);
        let (designs, rows) = (comparison.designs()?, comparison.energies()?);
        let mut all: Vec<(Vec<String>, Minimum)> = Vec::new();
        for design in &designs {
            let own = rows.iter().filter(|row| row.design_id == design.design_id);
            let terms: Vec<EnergyTerm> = own.map(|row| row.term.clone()).collect();
            let spec = &self.experiment.energy;
            let Some(least) = minimum(&terms, lowest.voltage.get(), &self.memory, spec)? else {
                continue;
            };
            let mut name = design.model.clone();
            if self.protections.len() > 1 {
                name += &match design.protection {
                    Protection::None => " without protection".into(),
                    protection => format!(" under {protection}"),
                };
            }
            match all.iter_mut().find(|(_, known)| *known == least) {
                Some((names, _)) if names.contains(&name) => {}
                Some((names, _)) => names.push(name),
                None => all.push((vec![name], least)),
            }
        }
        let said = |(names, least): &(Vec<String>, Minimum)| {
            least.in_words(&names.join(", "), &self.memory, &self.experiment.energy)
        };
        Ok(all.iter().map(said).collect())
    }
}
