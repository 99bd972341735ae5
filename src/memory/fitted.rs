//! The memory-model file of fitted measurements: its text, with what was measured and what is inferred. The fit
//! itself is done elsewhere.

use super::curve::Gaussian;
use super::file::{
    CountPart, EnergyPart, FaultPart, ModelFile, ProtectionPart, RatePart, VoltagePart,
};
use super::fit::{half_a_cell, Fit, FitMethod};
use super::measurements::{Measurement, Measurements, Sampling};
use super::{AccessEnergy, AccessExponent, MemoryModel, RobustCell, HIGHEST_BER};
use crate::error::{refuse, Error, Result};
use crate::fault::{ArraySpec, KindName};
use crate::store::file_name;
use crate::units::{Fraction, Positive, Voltage, VoltageUnit};
use crate::yaml::to_yaml;
use std::fmt::Write;
use std::num::NonZeroU64;
use std::path::Path;

/// What the model file holds as its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FittedCurve {
    /// The line: `bit_error_rate.gaussian`.
    Gaussian,
    /// The measurements: `bit_error_rate.counts` or `.points`, interpolated in probit space.
    Measured,
}

/// A memory-model file in the making.
#[derive(Clone, Debug)]
pub struct FittedModel<'a> {
    /// What was measured.
    pub measurements: &'a Measurements,
    /// The line through it.
    pub fit: &'a Fit,
    /// Short name of the model.
    pub name: &'a str,
    /// One line for people; `None`: made from the name.
    pub title: Option<&'a str>,
    /// Where the numbers come from; `None`: the file of measurements.
    pub source: Option<&'a str>,
    /// Unit of the voltages.
    pub unit: VoltageUnit,
    /// What the unit is relative to, in words; `None`: as usual for the unit.
    pub reference: Option<&'a str>,
    /// Lowest voltage at which no cell fails; `None`: the lowest one measured without failure, else 1 for `vmin`, else
    /// that at which the line expects half a failing cell.
    pub error_free: Option<Voltage>,
    /// What the file holds as its curve.
    pub curve: FittedCurve,
    /// The cell of protection `msb:k`; `None`: the file has none.
    pub robust_cell: Option<RobustCell>,
}

/// How the energy of an access goes with the voltage.
struct Energy {
    at: f64,
    exponent: f64,
    picojoule_per_bit: Option<Positive>,
    note: String,
}

impl FittedModel<'_> {
    /// Text of the model file and the model that it is read back as; `path` is where it will stand. Warnings are
    /// what the user should hear.
    ///
    /// # Errors
    /// [`Error::Argument`] where no error-free voltage is known or it lies at or below a voltage with failures, and for
    /// another unit than the file says; [`Error::Input`] where the model would not be one.
    pub fn build(&self, path: &Path) -> Result<(MemoryModel, Vec<String>)> {
        if let Some(unit) = self.measurements.unit.filter(|unit| *unit != self.unit) {
            let expected = format!("`{}`, as the header of the measurements says", unit.name());
            let found = format!("`{}`", self.unit.name());
            return refuse("unit of the voltages", expected, found);
        }
        let (error_free, error_free_note, inferred) = self.error_free()?;
        let energy = self.energy(error_free)?;
        let mut warnings: Vec<String> = self.fit.misfit().into_iter().collect();
        if let (Some(misfit), FittedCurve::Gaussian) = (warnings.first_mut(), self.curve) {
            *misfit += "; `--curve measured` keeps the measured rates";
        }
        warnings.extend(self.scatter());
        if inferred {
            warnings.push(format!(
                "error-free voltage {error_free}: {error_free_note}; `--error-free` sets another one"
            ));
        }
        let text = self.text(error_free, &error_free_note, &energy)?;
        Ok((MemoryModel::parse(path, &text)?, warnings))
    }

    /// The error-free voltage, where it comes from in words, and whether it was inferred from the line.
    fn error_free(&self) -> Result<(f64, String, bool)> {
        let mut failing = self.measurements.with_failures();
        let highest = failing.next_back().map_or(0.0, |row| row.voltage.get());
        let given = |voltage: f64, from: &str, note: &str| {
            if voltage > highest {
                return Ok((voltage, note.to_owned(), false));
            }
            let expected = format!("a voltage above {highest}, the highest with failures");
            let found = format!("{voltage} ({from})");
            refuse("error-free voltage", expected, found)
        };
        if let Some(voltage) = self.error_free {
            return given(voltage.get(), "--error-free", "given by the user");
        }
        let clean = |row: &&Measurement| row.ber.get() == 0.0 && row.voltage.get() > highest;
        if let Some(row) = self.measurements.rows.iter().find(clean) {
            let note = "the lowest voltage measured without a failure".into();
            return Ok((row.voltage.get(), note, false));
        }
        if self.unit == VoltageUnit::Vmin {
            let note = "1, as Vmin is the lowest voltage without a failure";
            return given(1.0, "Vmin", note);
        }
        let unknown = |from: &str| {
            let expected = "`--error-free`, or a row without failures";
            let found = format!("{from}, and failures at {highest}");
            Error::argument("error-free voltage", expected, found)
        };
        let fewest = self.fewest_cells();
        let (cells, half) = fewest.ok_or_else(|| unknown("rates without a number of cells"))?;
        // rounded up to a millivolt
        let inferred = half_a_cell(self.fit, cells)
            .map(|v| (v.get() * 1e3).ceil() / 1e3)
            .filter(|v| *v > highest);
        if let Some(voltage) = inferred {
            let note = format!("inferred; there the line expects {half}");
            return Ok((voltage, note, true));
        }
        // the line expects none where some failed: the next voltage that would have been measured
        let next = self
            .next_voltage(highest)
            .ok_or_else(|| unknown("one voltage and a line that expects none there"))?;
        let note = format!(
            "inferred: one step of the measurements above {highest}, the highest with failures"
        );
        Ok((next, note, true))
    }

    /// Cells of which half a failing one is looked for, and that half in words. Rates alone are of as many cells as can
    /// show the smallest one, where three of them or more make a line.
    fn fewest_cells(&self) -> Option<(u64, String)> {
        if self.measurements.sampling != Sampling::Rates {
            let cells = self
                .measurements
                .rows
                .iter()
                .filter_map(|row| row.cells)
                .max()?;
            return Some((cells, format!("half a failing cell of {cells}")));
        }
        let rates = self.measurements.with_failures().map(|row| row.ber.get());
        let smallest = rates.min_by(f64::total_cmp)?;
        let words = format!("half of the smallest rate, {smallest}");
        let is_line = self.measurements.with_failures().count() >= 3;
        is_line.then_some((smallest.recip().ceil() as u64, words))
    }

    /// Why the counts are not taken as the same cells at each voltage, or that rates rise; `None` where neither holds.
    fn scatter(&self) -> Option<String> {
        let measurements = self.measurements;
        let rise = measurements.rise().map(|(below, above)| {
            let of = |row: &Measurement| format!("{} at {}", row.ber, row.voltage);
            format!(
                "more cells fail at a higher voltage ({} after {})",
                of(above),
                of(below)
            )
        });
        if measurements.sampling == Sampling::Rates {
            return rise.map(|rise| format!("{rise}: the rates are fitted as they are"));
        }
        if measurements.sampling == Sampling::SameCells {
            return None;
        }
        let why = match rise {
            Some(rise) => rise,
            None if measurements.readings.len() > measurements.rows.len() => {
                "voltages are measured more than once".into()
            }
            None => "the number of cells differs".into(),
        };
        let wide = match self.fit.goodness {
            None => "no degree of freedom is left to see how much they scatter".to_owned(),
            Some(g) if g.dispersion <= 1.0 => {
                format!(
                    "they scatter no more than that (dispersion {:.2})",
                    g.dispersion
                )
            }
            Some(g) if self.fit.mu.widened.is_none() => format!(
                "they scatter so much (dispersion {:.2}, {} degrees of freedom) that intervals widened by it have no end",
                g.dispersion, g.degrees_of_freedom
            ),
            Some(g) => format!(
                "intervals are widened by the dispersion, {:.2}",
                g.dispersion
            ),
        };
        Some(format!(
            "{why}: counts are added by voltage and taken as independent; {wide}"
        ))
    }

    /// The highest voltage with failures plus the smallest step between measured voltages, rounded to a millivolt.
    fn next_voltage(&self, highest: f64) -> Option<f64> {
        let voltages: Vec<f64> = self
            .measurements
            .with_failures()
            .map(|row| row.voltage.get())
            .collect();
        let step = voltages
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .min_by(f64::total_cmp)?;
        Some(((highest + step) * 1e3).round() / 1e3).filter(|next| *next > highest)
    }

    /// Least squares of the logarithm of the energy on that of the voltage.
    fn energy(&self, error_free: f64) -> Result<Energy> {
        let rows: Vec<(f64, f64)> = self
            .measurements
            .rows
            .iter()
            .filter_map(|row| Some((row.voltage.get().ln(), row.energy?.ln())))
            .collect();
        let assumed = "Energy per access is taken to follow the square of the voltage.".to_owned();
        let Some(&(highest, _)) = rows.last() else {
            return Ok(Energy {
                at: error_free,
                exponent: 2.0,
                picojoule_per_bit: None,
                note: assumed,
            });
        };
        let n = rows.len() as f64;
        let (x0, y0) = (
            rows.iter().map(|r| r.0).sum::<f64>() / n,
            rows.iter().map(|r| r.1).sum::<f64>() / n,
        );
        let square: f64 = rows.iter().map(|r| (r.0 - x0).powi(2)).sum();
        let product: f64 = rows.iter().map(|r| (r.0 - x0) * (r.1 - y0)).sum();
        let (exponent, note) = match rows.len() {
            1 => (2.0, assumed),
            _ => {
                let exponent = product / square;
                let worst = rows
                    .iter()
                    .map(|r| (r.1 - y0 - exponent * (r.0 - x0)).exp_m1().abs())
                    .fold(0.0, f64::max);
                let note = format!(
                    "Energy per access was measured at {} voltages and follows the power {exponent:.3} of the \
                     voltage, by least squares of the logarithms, to {:.1} %.",
                    rows.len(),
                    100.0 * worst
                );
                (exponent, note)
            }
        };
        if !(exponent > 0.0 && exponent <= 10.0) {
            let expected = "energies that rise with the voltage, with a power of at most 10";
            return Err(Error::input(
                &self.measurements.path,
                expected,
                format!("a power of {exponent:.3}"),
            ));
        }
        let at_highest = (y0 + exponent * (highest - x0)).exp();
        // seven digits: far below any error of a measurement
        let picojoule_per_bit = if self.measurements.energy_in_pj {
            Some(format!("{at_highest:.6e}").parse()?)
        } else {
            None
        };
        // the voltage as it was read: its logarithm and back may be another number
        let at = self
            .measurements
            .rows
            .iter()
            .rev()
            .find(|row| row.energy.is_some());
        Ok(Energy {
            at: at.map_or(error_free, |row| row.voltage.get()),
            exponent,
            picojoule_per_bit,
            note,
        })
    }

    fn measured(&self) -> String {
        let rows = &self.measurements.rows;
        let span = format!(
            "{} voltages from {} to {}",
            rows.len(),
            rows[0].voltage,
            rows[rows.len() - 1].voltage
        );
        let readings = self.measurements.readings.len();
        let mut text = match (self.measurements.sampling, self.measurements.cells) {
            (Sampling::SameCells, Some(cells)) => {
                format!("Failing cells counted among {cells} at {span}.")
            }
            (Sampling::Rates, _) if readings == rows.len() => {
                format!("Bit error rates at {span}; the number of cells is not given.")
            }
            (Sampling::Rates, _) => {
                format!("{readings} bit error rates at {span}; the number of cells is not given.")
            }
            _ => format!("Failing cells counted {readings} times at {span}."),
        };
        if self.fit.copies > 1 {
            let _ = write!(
                text,
                " The counts hold each cell {} times.",
                self.fit.copies
            );
        }
        text
    }

    fn inferred(&self, error_free: f64, note: &str, energy: &Energy) -> String {
        let (fit, symbol) = (self.fit, self.unit.symbol());
        let is_pooled = fit.method == FitMethod::PooledBinomial;
        let interval = |p: &super::Parameter| p.widened.filter(|_| is_pooled).or(p.interval);
        let number = |p: &super::Parameter| match interval(p) {
            Some(i) => format!("{:.5} (95 % {:.5} to {:.5})", p.value, i.low, i.high),
            None => format!("{:.5} (no interval)", p.value),
        };
        let how = match fit.method {
            FitMethod::GroupedLikelihood => {
                "maximum likelihood of the increments between voltages, profile intervals"
            }
            FitMethod::PooledBinomial => {
                "maximum likelihood of independent binomial counts, those of a voltage added, profile intervals, \
                 widened where the counts scatter more"
            }
            FitMethod::LeastSquares => {
                "least squares in probit space: no number of cells, so no likelihood"
            }
        };
        let mut text = format!(
            "Failure voltages of cells follow a normal distribution with mean {} and standard deviation {} {symbol}: {how}.",
            number(&fit.mu),
            number(&fit.sigma)
        );
        if let Some(g) = fit.goodness {
            let _ = write!(
                text,
                " Chi-square {:.1} with {} degrees of freedom (p = {:.2e}).",
                g.chi_square, g.degrees_of_freedom, g.p_value
            );
        }
        if let Some((voltage, decades)) = fit.worst() {
            let _ = write!(
                text,
                " Worst at {voltage}: {:.2} times the rate of the line.",
                10f64.powf(decades)
            );
        }
        if fit.misfit().is_some() && !is_pooled {
            text += " A straight line does not fit: the intervals are too narrow.";
        }
        if self.curve == FittedCurve::Measured {
            text += " The model keeps the measured rates; between them the probit is linear.";
        }
        let _ = write!(
            text,
            " Error-free voltage {error_free}: {note}. {} A failing cell is taken to invert its bit, cells as \
             independent. The shape of the array is assumed.",
            energy.note
        );
        text
    }

    fn text(&self, error_free: f64, note: &str, energy: &Energy) -> Result<String> {
        let file = file_name(&self.measurements.path);
        let source = self
            .source
            .map_or_else(|| format!("measurements in {file}"), str::to_owned);
        let reference = self.reference.unwrap_or(match self.unit {
            VoltageUnit::Volt => "volts",
            VoltageUnit::Vmin => "lowest voltage with no failure among the measured cells",
        });
        let model = ModelFile {
            name: self.name.to_owned(),
            title: self.title.map_or_else(
                || format!("{}, fitted to measurements", self.name),
                str::to_owned,
            ),
            source: source.clone(),
            measured: Some(self.measured()),
            inferred: Some(self.inferred(error_free, note, energy)),
            license: None,
            voltage: VoltagePart {
                unit: self.unit,
                error_free: Voltage::new(error_free)?,
                reference: reference.to_owned(),
            },
            bit_error_rate: self.rates()?,
            energy: EnergyPart {
                access: AccessEnergy {
                    at: Voltage::new(energy.at)?,
                    exponent: AccessExponent::new(rounded(energy.exponent))?,
                    picojoule_per_bit: energy.picojoule_per_bit,
                    source: energy.picojoule_per_bit.map(|_| source),
                },
                leakage: None,
                sram: None,
            },
            faults: FaultPart {
                kind: KindName::Flip,
                zero_to_one_share: None,
                persistent_share: Fraction::new(1.0)?,
            },
            array: ArraySpec {
                rows: 512,
                columns: 64,
                word_bits: 64,
                column_correlation: 0.0,
                bank_correlation: 0.0,
            },
            protection: self.robust_cell.clone().map(|cell| ProtectionPart {
                robust_cell: Some(cell),
                secded: None,
            }),
            standby: None,
        };
        Ok(format!(
            "# Made by `memory fit` of wcat-explore {} from {file} (SHA-256 {}).\n{}",
            env!("CARGO_PKG_VERSION"),
            self.measurements.checksum,
            to_yaml(&model)?
        ))
    }

    fn rates(&self) -> Result<RatePart> {
        if self.curve == FittedCurve::Gaussian {
            let mut failing = self.measurements.with_failures().map(|row| row.voltage);
            let mu = Voltage::new(rounded(self.fit.mu.value))?;
            let low = failing.next().unwrap_or(mu);
            let high = failing.next_back().unwrap_or(mu);
            let gaussian = Gaussian {
                mu,
                sigma: Positive::new(rounded(self.fit.sigma.value))?,
                // below the mean more than half of the cells fail, and a model ends there
                measured_span: Some([if low < mu { mu } else { low }, high]),
            };
            return Ok(RatePart {
                gaussian: Some(gaussian),
                ..RatePart::default()
            });
        }
        let is_kept = |rate: &f64| *rate <= HIGHEST_BER;
        let rows = &self.measurements.rows;
        let same = self.measurements.sampling == Sampling::SameCells;
        let cells = self.measurements.cells.filter(|_| same);
        if let Some(cells) = cells.and_then(NonZeroU64::new) {
            let kept = rows.iter().filter(|row| is_kept(&row.ber.get()));
            let faults = kept.map(|row| (row.voltage, row.faults.unwrap_or(0)));
            return Ok(RatePart {
                counts: Some(CountPart {
                    cells,
                    faults: faults.collect(),
                }),
                ..RatePart::default()
            });
        }
        let kept = rows.iter().zip(falling(rows));
        let points = kept.filter(|(_, rate)| is_kept(rate));
        Ok(RatePart {
            points: Some(points.map(|(row, rate)| (row.voltage, rate)).collect()),
            ..RatePart::default()
        })
    }
}

/// The rates of rows by rising voltage, none above the one before it: neighbours that rise are put together, by the
/// numbers of their cells (pool adjacent violators; Barlow et al., Statistical Inference under Order Restrictions, 1972).
fn falling(rows: &[Measurement]) -> Vec<f64> {
    // rate, weight, rows
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for row in rows {
        let mut block = (
            row.ber.get(),
            row.cells.map_or(1.0, |cells| cells as f64),
            1,
        );
        while let Some(below) = blocks.last().copied().filter(|below| below.0 < block.0) {
            // a rise: both are one block with the mean rate, which may rise above the block before them in turn
            let weight = below.1 + block.1;
            let rate = (below.0 * below.1 + block.0 * block.1) / weight;
            block = (rate, weight, below.2 + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let rates = blocks
        .iter()
        .map(|(rate, _, rows)| std::iter::repeat_n(*rate, *rows));
    rates.flatten().collect()
}

/// Seven decimals: far below any interval.
fn rounded(x: f64) -> f64 {
    (x * 1e7).round() / 1e7
}

#[cfg(test)]
mod tests {
    use super::super::CostFactor;
    use super::*;
    use crate::units::{Ber, BerSource};

    const COUNTS: &str =
        "voltage,faults,cells,energy\n0.5,100,100000,0.25\n0.6,10,100000,0.36\n0.7,0,100000,\n";

    fn build(csv: &str, edit: impl FnOnce(&mut FittedModel)) -> Result<(MemoryModel, Vec<String>)> {
        let measurements = Measurements::parse(Path::new("data/m.csv"), csv)?;
        let fit = Fit::new(&measurements, 1)?;
        let mut model = FittedModel {
            measurements: &measurements,
            fit: &fit,
            name: "mine",
            title: None,
            source: None,
            unit: VoltageUnit::Volt,
            reference: None,
            error_free: None,
            curve: FittedCurve::Gaussian,
            robust_cell: None,
        };
        edit(&mut model);
        model.build(Path::new("mine.yaml"))
    }

    fn rate(model: &MemoryModel, voltage: f64) -> f64 {
        model.at(Voltage::new(voltage).unwrap()).unwrap().ber.get()
    }

    #[test]
    fn the_file_of_a_line_reads_back_as_the_line() {
        let (model, warnings) = build(COUNTS, |_| ()).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(
            (model.name.as_str(), model.unit, model.error_free.get()),
            ("mine", VoltageUnit::Volt, 0.7)
        );
        // three groups and two parameters: the line meets both counts
        assert!(
            (rate(&model, 0.5) / 1e-3 - 1.0).abs() < 0.05,
            "{}",
            rate(&model, 0.5)
        );
        assert_eq!(
            model.at(Voltage::new(0.55).unwrap()).unwrap().ber_source,
            BerSource::Measured
        );
        assert_eq!(
            model.at(Voltage::new(0.65).unwrap()).unwrap().ber_source,
            BerSource::Censored
        );
        assert_eq!(
            (model.access.at.get(), model.access.exponent.get()),
            (0.6, 2.0)
        );
        assert!(model
            .inferred
            .unwrap()
            .contains("the lowest voltage measured without a failure"));
    }

    #[test]
    fn the_file_of_the_measurements_keeps_them() {
        let (model, _) = build(COUNTS, |m| m.curve = FittedCurve::Measured).unwrap();
        assert_eq!((rate(&model, 0.5), rate(&model, 0.6)), (1e-3, 1e-4));
        let rates = "voltage,ber\n0.75,0.2\n0.9,1e-4\n";
        let (model, _) = build(rates, |m| {
            (m.curve, m.unit) = (FittedCurve::Measured, VoltageUnit::Vmin)
        })
        .unwrap();
        assert_eq!(
            (
                rate(&model, 0.75),
                rate(&model, 0.9),
                model.error_free.get()
            ),
            (0.2, 1e-4, 1.0)
        );
    }

    #[test]
    fn a_robust_cell_is_in_the_file_where_it_is_given() {
        let factor = |x| CostFactor::new(x).unwrap();
        let cell = RobustCell {
            energy_factor: factor(1.3),
            area_factor: factor(1.4),
            leakage_factor: None,
            source: "assumed".into(),
        };
        let (model, _) = build(COUNTS, |m| m.robust_cell = Some(cell.clone())).unwrap();
        assert_eq!(model.robust_cell, Some(cell));
        assert_eq!(build(COUNTS, |_| ()).unwrap().0.robust_cell, None);
    }

    #[test]
    fn any_text_survives_the_file() {
        let odd = "a: \"b\" # c\n- 'd' {e} é \u{1}";
        let (model, _) = build(COUNTS, |m| {
            (m.title, m.source, m.reference) = (Some(odd), Some(odd), Some(odd))
        })
        .unwrap();
        assert_eq!(
            (
                model.title.as_str(),
                model.source.as_str(),
                model.voltage_reference.as_str()
            ),
            (odd, odd, odd)
        );
    }

    #[test]
    fn an_error_free_voltage_that_nothing_tells_is_inferred_from_counts_and_asked_for_with_rates() {
        let (model, warnings) = build(
            "voltage,faults,cells\n0.5,100,100000\n0.6,10,100000\n",
            |_| (),
        )
        .unwrap();
        let half = model
            .at(model.voltage_at_ber(Ber::new(5e-6).unwrap()).unwrap())
            .unwrap()
            .voltage
            .get();
        assert!(
            model.error_free.get() >= half && model.error_free.get() < half + 0.0011,
            "{half}"
        );
        assert!(
            warnings[0].contains("half a failing cell of 100000"),
            "{warnings:?}"
        );
        // KC705-B of Salami et al., MICRO 2018: more failures at the highest voltage than the line expects
        let counts =
            "0.59,1 0.58,4 0.57,13 0.56,31 0.55,126 0.54,345 0.53,1137".replace(' ', ",7290880\n");
        let (model, warnings) =
            build(&format!("voltage,faults,cells\n{counts},7290880\n"), |_| ()).unwrap();
        assert_eq!(model.error_free.get(), 0.6);
        assert!(warnings
            .iter()
            .any(|warning| warning.contains("one step of the measurements above 0.59")));
        let rates = "voltage,ber\n0.5,0.1\n0.6,0.01\n";
        let error = build(rates, |_| ()).unwrap_err().to_string();
        assert!(
            error.starts_with("error-free voltage: expected `--error-free`, or a row without"),
            "{error}"
        );
        let error = build(rates, |m| m.error_free = Voltage::new(0.6).ok())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a voltage above 0.6, the highest with failures"),
            "{error}"
        );
    }

    #[test]
    fn energies_in_picojoules_are_kept_and_fitted() {
        let csv = "voltage,ber,access_energy_pj\n0.5,0.1,0.125\n0.8,0.01,0.512\n1.0,0,1.0\n";
        let (model, _) = build(csv, |_| ()).unwrap();
        assert!((model.access.exponent.get() - 3.0).abs() < 1e-6);
        assert!((model.access.picojoule_per_bit.unwrap().get() - 1.0).abs() < 1e-6);
        let falling = "voltage,ber,energy\n0.5,0.1,2\n0.8,0.01,1\n1.0,0,\n";
        assert!(build(falling, |_| ())
            .unwrap_err()
            .to_string()
            .contains("energies that rise with the voltage"));
    }

    #[test]
    fn whole_curves_and_scattered_counts_give_models_up_to_one_half() {
        let whole = "voltage,faults,cells\n0.40,1000,1000\n0.45,900,1000\n0.50,400,1000\n0.55,30,1000\n0.65,0,1000\n";
        for curve in [FittedCurve::Gaussian, FittedCurve::Measured] {
            let (model, _) = build(whole, |m| m.curve = curve).unwrap();
            assert!((rate(&model, 0.5) - 0.4).abs() < 0.1, "{}", model.text);
            let below = model
                .at(Voltage::new(0.44).unwrap())
                .unwrap_err()
                .to_string();
            assert!(below.contains("passes 0.5"), "{below}");
            assert_eq!(model.error_free.get(), 0.65);
        }
        // 0.02 and 0.04 are of 3000 and 1000 cells: 0.025 together
        let scattered = "voltage,faults,cells\n0.5,300,1000\n0.6,60,3000\n0.65,40,1000\n0.7,1,1000\n0.8,0,1000\n0.7,1,3000\n";
        let (model, warnings) = build(scattered, |m| m.curve = FittedCurve::Measured).unwrap();
        assert_eq!(
            [0.6, 0.65, 0.7].map(|v| rate(&model, v)),
            [0.025, 0.025, 2.0 / 4000.0]
        );
        assert!(
            warnings.iter().any(|w| w
                .contains("more cells fail at a higher voltage (0.04 at 0.65 after 0.02 at 0.6)")),
            "{warnings:?}"
        );
        let repeated = "voltage,faults,cells\n0.5,300,1000\n0.5,200,1000\n0.52,190,1000\n0.55,130,1000\n0.57,120,1000\n0.6,60,1000\n0.63,30,1000\n0.7,1,1000\n0.8,0,1000\n";
        let (model, warnings) = build(repeated, |_| ()).unwrap();
        let warning = warnings
            .iter()
            .find(|w| w.contains("measured more than once"))
            .unwrap();
        assert!(
            warning.contains("intervals are widened by the dispersion"),
            "{warning}"
        );
        assert!(model
            .measured
            .unwrap()
            .starts_with("Failing cells counted 9 times at 8 voltages"));
    }

    #[test]
    fn a_row_without_failures_below_one_with_failures_is_not_error_free() {
        let (model, _) = build(
            "voltage,faults,cells\n0.5,100,1000\n0.6,0,1000\n0.65,2,1000\n0.7,0,1000\n",
            |_| (),
        )
        .unwrap();
        assert_eq!(model.error_free.get(), 0.7);
        // three rates make a line: half of the least one is looked for
        let (model, warnings) = build(
            "voltage,ber\n0.54,7.6e-3\n0.55,2.1e-3\n0.56,2.2e-3\n0.57,9e-5\n",
            |_| (),
        )
        .unwrap();
        assert!(
            (0.571..0.59).contains(&model.error_free.get()),
            "{}",
            model.error_free
        );
        assert!(
            warnings
                .iter()
                .any(|w| w.contains("half of the smallest rate, 0.00009")),
            "{warnings:?}"
        );
        let unit = build("voltage_mV,ber\n500,0.1\n600,0.01\n", |m| {
            m.unit = VoltageUnit::Vmin
        })
        .unwrap_err();
        assert!(
            unit.to_string()
                .contains("as the header of the measurements says"),
            "{unit}"
        );
    }
}
