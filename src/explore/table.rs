//! Tables of an exploration: points that were verified, losses of single domains.

use super::row::{ExplorePoint, SensitivityRow};
use crate::error::Result;
use crate::table::{Columns, Record, FRACTION, FROM_ZERO, VOLTAGE};

/// A verified, or refuted, point of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExploredPoint {
    /// The model.
    pub model: String,
    /// The point.
    pub point: ExplorePoint,
}

impl Record for ExploredPoint {
    const WHAT: &'static str = "a table of explored points; a finished exploration writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        let point = &mut self.point;
        let verified = &mut point.verified_loss;
        c.column("model", &mut self.model)?;
        c.number("max_loss", FRACTION, &mut point.max_loss)?;
        c.column("kind", &mut point.kind)?;
        c.column("attempt", &mut point.attempt)?;
        c.column("status", &mut point.status)?;
        c.column("domain_voltages", &mut point.domain_voltages)?;
        c.column("rails", &mut point.rails)?;
        c.number("energy_relative", FROM_ZERO, &mut point.energy_relative)?;
        c.number(
            "rail_energy_relative",
            FROM_ZERO,
            &mut point.rail_energy_relative,
        )?;
        c.number("cost_relative", FROM_ZERO, &mut point.cost_relative)?;
        c.column("estimated_loss", &mut point.estimated_loss)?;
        c.column("search_loss", &mut point.search_loss)?;
        c.column("search_chips", &mut point.search_chips)?;
        c.column("verified_loss", &mut verified.mean)?;
        c.column("verified_loss_low", &mut verified.low)?;
        c.column("verified_loss_high", &mut verified.high)?;
        c.column("verification_chips", &mut verified.chips)
    }
}

/// A loss of a model with faults in one domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sensitivity {
    /// The model.
    pub model: String,
    /// The loss.
    pub row: SensitivityRow,
}

impl Record for Sensitivity {
    const WHAT: &'static str = "a table of losses of domains; a finished exploration writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        let loss = &mut self.row.loss;
        c.column("model", &mut self.model)?;
        c.column("domain", &mut self.row.domain)?;
        c.number("voltage", VOLTAGE, &mut self.row.voltage)?;
        c.column("estimated_loss", &mut loss.mean)?;
        c.column("estimated_loss_low", &mut loss.low)?;
        c.column("estimated_loss_high", &mut loss.high)?;
        c.column("search_chips", &mut loss.chips)
    }
}
