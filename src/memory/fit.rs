//! Fit of a straight probit line, `p(V) = Φ((μ - V) / σ)`, to measurements: pure functions. Reading the
//! measurements and writing the model file is left to others.
//!
//! Failure voltages of cells are taken as normally distributed with mean `μ` and deviation `σ`. The same cells
//! are counted at each voltage `V₁ > V₂ > … > Vₖ`, so the counts `n₁ ≤ n₂ ≤ … ≤ nₖ` of `N` cells are not
//! independent; the increments are: cells that fail first between two voltages are one group of a multinomial
//! sample, with the probabilities `Φ(z₁)`, `Φ(zᵢ) - Φ(zᵢ₋₁)` and, for cells that never failed, `1 - Φ(zₖ)`, where
//! `zᵢ = (μ - Vᵢ) / σ` (grouped data; Finney, Probit Analysis, 3rd ed., 1971, treats independent groups). Its
//! logarithm is concave in `(μ/σ, 1/σ)` (Burridge, JRSS B 43(1), 1981): there is one maximum. Counts that cannot be of
//! the same cells (voltages measured again, other numbers of cells, numbers that rise with the voltage) are taken as
//! independent binomial ones.

mod likelihood;

use super::measurements::{Measurement, Measurements, Sampling};
use crate::error::{refuse, Error, Result};
use crate::stats::{normal_cdf, probit, wilson, Interval};
use crate::units::words;
use crate::units::Voltage;
use likelihood::{Counts, Groups, Likelihood};
use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

/// A line whose chi-square is this improbable does not fit.
const REJECTED: f64 = 0.01;
/// Without counts: a line that misses a rate by more decades than this does not fit.
const FAR: f64 = 0.3;
/// Groups are pooled until so many cells are expected in each (Cochran, Biometrics 10(4), 1954).
const LEAST_EXPECTED: f64 = 5.0;

/// How the line was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitMethod {
    /// Maximum of the likelihood of the increments between voltages.
    GroupedLikelihood,
    /// Maximum of the likelihood of independent binomial counts, those of each voltage added.
    PooledBinomial,
    /// Least squares of `Φ⁻¹(p)` on `V`: rates without a number of cells have no likelihood.
    LeastSquares,
}

words!(
    FitMethod:
    GroupedLikelihood "grouped_likelihood",
    PooledBinomial "pooled_binomial",
    LeastSquares "least_squares"
);

/// A parameter of the line, in the unit of the voltages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The estimate.
    pub value: f64,
    /// 95 % profile-likelihood interval; `None` without a likelihood, or where an end lies beyond every bound.
    pub interval: Option<Interval>,
    /// The same with variances multiplied by the dispersion and Student's quantile (Finney's heterogeneity
    /// factor); only where the line does not fit, and for independent counts wherever the dispersion passes 1.
    pub widened: Option<Interval>,
}

/// Pearson's chi-square of the groups between voltages, or of independent counts, neighbours pooled to at least 5
/// expected cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goodness {
    /// `Σ (observed - expected)² / expected`; of independent counts over the binomial variance.
    pub chi_square: f64,
    /// Pooled groups, survivors included, less 3: their sum and two parameters. Of independent counts less 2.
    pub degrees_of_freedom: u64,
    /// Probability of so large a chi-square if the line is true.
    pub p_value: f64,
    /// Chi-square per degree of freedom.
    pub dispersion: f64,
}

/// One voltage beside the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedPoint {
    /// Supply voltage.
    pub voltage: f64,
    /// Measured rate.
    pub measured: f64,
    /// 95 % Wilson interval of the measured rate; `None` without counts.
    pub interval: Option<Interval>,
    /// Rate of the line.
    pub fitted: f64,
    /// `log10(measured / fitted)`; `None` where no cell failed.
    pub decades: Option<f64>,
}

/// A fitted line.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// How it was found.
    pub method: FitMethod,
    /// Mean failure voltage of a cell.
    pub mu: Parameter,
    /// Standard deviation of the failure voltages.
    pub sigma: Parameter,
    /// How well it fits; `None` without counts and where no degree of freedom is left.
    pub goodness: Option<Goodness>,
    /// Every voltage, by rising voltage.
    pub points: Vec<FittedPoint>,
    /// Times that each cell is in the counts.
    pub copies: u64,
}

impl Fit {
    /// Fits a line. Each cell is counted `copies` times (1, but for data that hold every cell twice, say):
    /// estimates do not depend on it, intervals and goodness of fit are those of counts and cells divided by it.
    ///
    /// # Errors
    /// [`Error::Input`] where fewer than two voltages show further failures: there is no line then; where a count is
    /// no multiple of `copies`. [`Error::Argument`] for `copies` of 0, and above 1 without counts.
    pub fn new(measurements: &Measurements, copies: u64) -> Result<Self> {
        let rates = measurements.sampling == Sampling::Rates;
        if copies == 0 || (copies > 1 && rates) {
            let expected = "1 or more, and 1 for rates without counts";
            return refuse("copies of each cell", expected, copies);
        }
        let (start, straight) = least_squares(measurements)?;
        let likelihood = match (measurements.sampling, measurements.cells) {
            (Sampling::SameCells, Some(cells)) => {
                Likelihood::Increments(Groups::of(measurements, cells, copies)?)
            }
            (Sampling::Rates, _) => return Ok(Self::of_rates(measurements, straight)),
            _ => Likelihood::Independent(Counts::of(measurements, copies)),
        };
        let unsolved = || {
            Error::input(
                &measurements.path,
                "counts with a most likely line",
                "none was found",
            )
        };
        let line = likelihood.maximum(start).ok_or_else(unsolved)?;
        let goodness = likelihood.goodness(line);
        let usual = chi_square_quantile().ok_or_else(unsolved)?;
        let is_wide = |g: &Goodness| match likelihood {
            Likelihood::Increments(_) => g.is_rejected(),
            Likelihood::Independent(_) => g.dispersion > 1.0,
        };
        let wide = goodness.filter(is_wide).and_then(|g| g.widened_quantile());
        let parameter = |value, interval: &dyn Fn(f64) -> Option<Interval>| Parameter {
            value,
            interval: interval(usual),
            widened: wide.and_then(interval),
        };
        Ok(Self {
            method: match likelihood {
                Likelihood::Increments(_) => FitMethod::GroupedLikelihood,
                Likelihood::Independent(_) => FitMethod::PooledBinomial,
            },
            mu: parameter(line.mu, &|quantile| {
                likelihood.interval_of_mu(line, quantile)
            }),
            sigma: parameter(line.sigma, &|quantile| {
                likelihood.interval_of_sigma(line, quantile)
            }),
            goodness,
            points: points(&measurements.rows, copies, line),
            copies,
        })
    }

    fn of_rates(measurements: &Measurements, line: Line) -> Self {
        let plain = |value| Parameter {
            value,
            interval: None,
            widened: None,
        };
        Self {
            method: FitMethod::LeastSquares,
            mu: plain(line.mu),
            sigma: plain(line.sigma),
            goodness: None,
            points: points(&measurements.rows, 1, line),
            copies: 1,
        }
    }

    /// Rate of the line at a voltage.
    pub fn rate(&self, voltage: f64) -> f64 {
        normal_cdf((self.mu.value - voltage) / self.sigma.value)
    }

    /// The voltage where measured and fitted rate are furthest apart, and by how many decades.
    pub fn worst(&self) -> Option<(f64, f64)> {
        let missed = self
            .points
            .iter()
            .filter_map(|p| Some((p.voltage, p.decades?)));
        missed.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
    }

    /// Why a straight line should not be trusted; `None` where nothing speaks against it.
    pub fn misfit(&self) -> Option<String> {
        let (voltage, decades) = self.worst()?;
        let far = format!(
            "at {voltage} the measured rate is {:.2} times that of the line",
            10f64.powf(decades)
        );
        match self.goodness {
            Some(g) if g.is_rejected() && self.mu.widened.is_some() && self.method == FitMethod::PooledBinomial => Some(format!(
                "the counts scatter about a straight probit line {:.1} times as much as binomial ones (square root of \
                 chi-square {:.1} by {} degrees of freedom, p = {:.1e}), and the widened intervals hold; {far}",
                g.dispersion.sqrt(), g.chi_square, g.degrees_of_freedom, g.p_value
            )),
            Some(g) if g.is_rejected() => Some(format!(
                "a straight probit line does not fit: chi-square {:.1} with {} degrees of freedom, p = {:.1e}; {far}",
                g.chi_square, g.degrees_of_freedom, g.p_value
            )),
            None if decades.abs() > FAR => Some(format!("a straight probit line does not fit: {far}")),
            _ => None,
        }
    }
}

impl Goodness {
    /// True where the line does not fit.
    pub fn is_rejected(&self) -> bool {
        self.p_value < REJECTED
    }

    /// Rise of twice the log-likelihood at the ends of the widened interval.
    fn widened_quantile(&self) -> Option<f64> {
        let t = StudentsT::new(0.0, 1.0, self.degrees_of_freedom as f64).ok()?;
        Some(t.inverse_cdf(0.975).powi(2) * self.dispersion)
    }
}

/// The 95 % quantile of chi-square with one degree of freedom.
fn chi_square_quantile() -> Option<f64> {
    Some(ChiSquared::new(1.0).ok()?.inverse_cdf(0.95))
}

/// A line, in the unit of the voltages.
#[derive(Clone, Copy, Debug)]
struct Line {
    mu: f64,
    sigma: f64,
}

impl Line {
    fn z(self, voltage: f64) -> f64 {
        (self.mu - voltage) / self.sigma
    }
}

fn points(rows: &[Measurement], copies: u64, line: Line) -> Vec<FittedPoint> {
    let point = |row: &Measurement| {
        let (measured, fitted) = (row.ber.get(), normal_cdf(line.z(row.voltage.get())));
        let interval = row
            .cells
            .zip(row.faults)
            .map(|(cells, n)| wilson(n / copies, cells / copies));
        let decades = (measured > 0.0).then(|| (measured / fitted).log10());
        FittedPoint {
            voltage: row.voltage.get(),
            measured,
            interval,
            fitted,
            decades,
        }
    };
    rows.iter().map(point).collect()
}

/// The least-squares line of `Φ⁻¹(p)` on `V`, twice: weighted by the root of the rate as a start for the
/// likelihood, and plain. Where all cells fail there is no probit.
fn least_squares(measurements: &Measurements) -> Result<(Line, Line)> {
    let rows: Vec<(f64, f64)> = measurements
        .with_failures()
        .filter(|row| row.ber.get() < 1.0)
        .map(|row| (row.voltage.get(), row.ber.get()))
        .collect();
    let line = |weight: &dyn Fn(f64) -> f64| {
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            rows.iter()
                .map(|&(v, p)| weight(p) * of(v, probit(p)))
                .sum()
        };
        let all = sum(&|_, _| 1.0);
        let (v0, z0) = (sum(&|v, _| v) / all, sum(&|_, z| z) / all);
        let slope = sum(&|v, z| (v - v0) * (z - z0)) / sum(&|v, _| (v - v0).powi(2));
        Line {
            mu: v0 - z0 / slope,
            sigma: -1.0 / slope,
        }
    };
    let wrong =
        |expected: &str, found: String| Err(Error::input(&measurements.path, expected, found));
    let equal = rows.windows(2).all(|pair| pair[0].1 == pair[1].1);
    if rows.len() < 2 || equal {
        let all_fail = measurements.with_failures().count() > rows.len();
        let mut found = format!("{} voltages with failures", rows.len());
        if all_fail {
            found += " of some cells, not of all";
        }
        if rows.len() >= 2 {
            found += ", equally many";
        }
        return wrong(
            "at least two voltages with failures, more of them at the lower one",
            found,
        );
    }
    let (start, straight) = (line(&f64::sqrt), line(&|_| 1.0));
    let used = match measurements.sampling {
        Sampling::Rates => straight,
        Sampling::SameCells | Sampling::Independent => start,
    };
    if !(used.sigma > 0.0 && used.sigma.is_finite()) {
        let expected = "fewer failures at higher voltages";
        let found = match measurements.rise() {
            Some((below, above)) => format!(
                "more on the whole, as {} at {} and {} at {}: are the voltages swapped?",
                below.ber, below.voltage, above.ber, above.voltage
            ),
            None => "as many".into(),
        };
        return wrong(expected, found);
    }
    Ok((start, straight))
}

/// The lowest voltage at which the line expects less than half a failing cell among all.
pub(super) fn half_a_cell(fit: &Fit, cells: u64) -> Option<Voltage> {
    Voltage::new(fit.mu.value - fit.sigma.value * probit(0.5 * fit.copies as f64 / cells as f64))
        .ok()
}

#[cfg(test)]
use likelihood::{log_between, log_cdf};
#[cfg(test)]
mod tests;
