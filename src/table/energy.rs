//! The table of every term of the weight-memory energy of every design point.

use super::columns::UNITS;
use super::field::{count, number, optional_number, text, Field, FROM_ZERO};
use super::file::{read, write};
use super::read::Row;
use crate::error::Result;
use crate::memory::{CellKind, EnergyTerm};
use crate::sweep::EnergyRow;
use crate::units::VoltageUnit;
use std::path::Path;

fn fields() -> Vec<Field<EnergyRow>> {
    vec![
        text("design_id", |row: &EnergyRow| &row.design_id),
        text("layer", |row| &row.term.layer),
        text("cells", |row| row.term.cells.name()),
        count("weights", |row| row.term.weights),
        number("bits", FROM_ZERO, |row| row.term.bits),
        number("overhead_bits", FROM_ZERO, |row| row.term.overhead_bits),
        number("reads", FROM_ZERO, |row| row.term.reads),
        number("voltage", 0.0..=100.0, |row| row.term.voltage),
        text("voltage_unit", |row| row.voltage_unit.name()),
        number("access_energy_relative", FROM_ZERO, |row| {
            row.term.access_energy_relative
        }),
        number("energy_factor", FROM_ZERO, |row| row.term.energy_factor),
        number("energy_relative", FROM_ZERO, |row| row.term.energy_relative),
        optional_number("energy_pj", FROM_ZERO, |row| row.term.picojoule()),
        optional_number("access_pj", FROM_ZERO, |row| row.term.access_pj),
        optional_number("leakage_pj", FROM_ZERO, |row| row.term.leakage_pj),
    ]
}

fn row(row: Row<'_>) -> Result<EnergyRow> {
    let term = EnergyTerm {
        layer: row.text("layer")?.to_owned(),
        cells: row.word("cells", &CellKind::ALL, CellKind::name)?,
        weights: row.count("weights")?,
        bits: row.number("bits")?,
        overhead_bits: row.number("overhead_bits")?,
        reads: row.number("reads")?,
        voltage: row.number("voltage")?,
        access_energy_relative: row.number("access_energy_relative")?,
        energy_factor: row.number("energy_factor")?,
        energy_relative: row.number("energy_relative")?,
        access_pj: row.optional_number("access_pj"),
        leakage_pj: row.optional_number("leakage_pj"),
    };
    Ok(EnergyRow {
        design_id: row.text("design_id")?.to_owned(),
        voltage_unit: row.word("voltage_unit", &UNITS, VoltageUnit::name)?,
        term,
    })
}

/// Writes the terms of energies as CSV.
///
/// # Errors
/// [`crate::error::Error::Argument`] for a value that its column does not allow, [`crate::error::Error::Io`].
pub fn write_energies(path: &Path, rows: &[EnergyRow]) -> Result<()> {
    write(path, &fields(), rows)
}

/// Reads what [`write_energies`] wrote.
///
/// # Errors
/// [`crate::error::Error::Missing`], [`crate::error::Error::Input`] with line and column.
pub fn read_energies(path: &Path) -> Result<Vec<EnergyRow>> {
    read(path, "the terms of the energies of a run", &fields(), row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_read_back_as_they_were_written() {
        let term = EnergyTerm {
            layer: "conv1".into(),
            cells: CellKind::Usual,
            weights: 150,
            bits: 4.0,
            overhead_bits: 0.5,
            reads: 49.0,
            voltage: 0.8,
            access_energy_relative: 0.64,
            energy_factor: 1.0,
            energy_relative: 0.1 + 0.2,
            access_pj: None,
            leakage_pj: None,
        };
        let robust = EnergyTerm {
            cells: CellKind::Robust,
            access_pj: Some(1.5),
            leakage_pj: Some(0.25),
            ..term.clone()
        };
        let row = |term| EnergyRow {
            design_id: "m@0.8".into(),
            voltage_unit: VoltageUnit::Vmin,
            term,
        };
        let rows = [row(term), row(robust)];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("energy.csv");
        write_energies(&path, &rows).unwrap();
        assert_eq!(read_energies(&path).unwrap(), rows);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.lines().nth(2).unwrap().ends_with(",1.75,1.5,0.25"),
            "{text}"
        );
    }
}
