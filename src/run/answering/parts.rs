//! Losses with faults in parts of a network alone, at the voltage of an answer and at a rate where most networks break.

use super::simulated::Simulated;
use crate::answer::{rank_parts, AnswerRow, PartKind, PartLoss, Rank};
use crate::error::Result;
use crate::explore::{check_arrays, DomainSpec, Part};
use crate::fault::Protection;
use crate::memory::OperatingPoint;
use crate::run::prepared::Prepared;
use crate::sweep::{DesignPoint, Supply, SweptModel};
use crate::units::{Ber, Voltage};

/// The higher rate.
const HIGH_RATE: f64 = 1e-2;

/// A part of a network, and what it is; `None` for all of it.
type Alone = (PartKind, Option<Part>);

/// Refuses what has no parts, before anything is computed.
///
/// # Errors
/// As [`DomainSpec::parts`] and [`check_arrays`]; [`Error::Argument`](crate::error::Error::Argument) where faults reach a
/// part of the memory alone.
pub(super) fn check(prepared: &Prepared, swept_models: &[SweptModel]) -> Result<()> {
    check_arrays(&prepared.faults)?;
    let point = prepared.memory.at(prepared.memory.error_free)?;
    for (model, swept) in swept_models.iter().enumerate() {
        // what holds of one part holds of all
        if let Some(part) = DomainSpec::Layers.parts(swept.evaluator)?.first() {
            let alone = [alone(model, Some(part), point)];
            prepared.comparison(swept_models, &alone, 1).designs()?;
        }
    }
    Ok(())
}

/// A model whose cells fail in one part alone, or in all of it.
fn alone(model: usize, part: Option<&Part>, point: OperatingPoint) -> DesignPoint {
    let supply = match part {
        Some(part) => Supply::Domains(part.domain(point).into_iter().collect()),
        None => Supply::One(point),
    };
    DesignPoint {
        model,
        protection: Protection::None,
        supply,
        activations: None,
    }
}

impl Simulated<'_> {
    /// Losses of parts of the model that seems cheapest, its codes unprotected, at the voltage that holds and at 1e-2; none
    /// where nothing holds.
    ///
    /// # Errors
    /// As [`super::answer`].
    pub(super) fn part_losses(&mut self, budget: u64, rows: &[AnswerRow]) -> Result<Vec<PartLoss>> {
        let is_best = |row: &AnswerRow| matches!(row.rank, Rank::Cheapest | Rank::SeemsCheapest);
        let best = rows.iter().position(is_best);
        let Some((place, voltage)) = best.and_then(|best| Some((best, rows[best].voltage?))) else {
            return Ok(Vec::new());
        };
        let prepared = &self.sweeping.prepared;
        let model = self.input.pairs[place].model;
        let mut points = vec![prepared
            .faults
            .at(&prepared.memory, Voltage::new(voltage)?)?];
        match prepared
            .faults
            .at_rate(&prepared.memory, Ber::new(HIGH_RATE)?)
        {
            Ok(point) => points.push(point),
            Err(error) => self
                .sweeping
                .monitor
                .note(&format!("parts alone at {voltage} only: {error}")),
        }
        let parts = self.parts(model, self.input.spec.layers_by_bits)?;
        let (mut left, mut open) = (budget, (points.len() * parts.len()) as u64);
        self.start("faults in parts alone", budget);
        let mut losses = Vec::new();
        for point in &points {
            for part in &parts {
                let loss = self.part_loss(place, part, *point, left / open)?;
                left = left.saturating_sub(loss.evaluations);
                open -= 1;
                losses.push(loss);
            }
        }
        rank_parts(&mut losses);
        Ok(losses)
    }

    fn parts(&self, model: usize, layers_by_bits: bool) -> Result<Vec<Alone>> {
        let evaluator = self.swept_models[model].evaluator;
        let layers = DomainSpec::Layers.parts(evaluator)?;
        let planes = DomainSpec::Bits.parts(evaluator)?;
        let mut all: Vec<Alone> = vec![(PartKind::All, None)];
        for (kind, parts) in [(PartKind::Layer, &layers), (PartKind::BitPlane, &planes)] {
            all.extend(parts.iter().map(|part| (kind, Some(part.clone()))));
        }
        if layers_by_bits {
            for layer in &layers {
                for plane in 0..planes.len() as u32 {
                    let whole = layer.part.as_ref();
                    let part = Part {
                        name: format!("{}/plane{plane}", layer.name),
                        part: whole.map(|own| own.within_planes(plane..plane + 1)),
                    };
                    all.push((PartKind::LayerBitPlane, Some(part)));
                }
            }
        }
        Ok(all)
    }

    /// The loss of one part at a voltage.
    fn part_loss(
        &self,
        place: usize,
        (kind, part): &Alone,
        point: OperatingPoint,
        most: u64,
    ) -> Result<PartLoss> {
        let model = self.input.pairs[place].model;
        let name = part.as_ref().map_or("all", |part| part.name.as_str());
        let candidate = &self.input.candidates[place];
        let design = alone(model, part.as_ref(), point);
        let loss = PartLoss::estimate(candidate, most, &mut |phase, chips, images| {
            let mut view = self.view_of(design.clone(), point.voltage, phase);
            view.seen.part = Some(name.to_owned());
            self.strata(&view, chips, images, &candidate.strata)
        })?;
        Ok(PartLoss {
            model: self.swept_models[model].name.clone(),
            kind: *kind,
            part: name.to_owned(),
            voltage: point.voltage.get(),
            voltage_unit: self.sweeping.prepared.memory.unit,
            ber: point.ber.get(),
            ..loss
        })
    }
}
