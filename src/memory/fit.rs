//! Fit of a straight probit line, `p(V) = Φ((μ - V) / σ)`, to measurements: pure functions. Reading the
//! measurements and writing the model file is left to others.
//!
//! Failure voltages of cells are taken as normally distributed with mean `μ` and deviation `σ`. The same cells
//! are counted at each voltage `V₁ > V₂ > … > Vₖ`, so the counts `n₁ ≤ n₂ ≤ … ≤ nₖ` of `N` cells are not
//! independent; the increments are: cells that fail first between two voltages are one group of a multinomial
//! sample, with the probabilities `Φ(z₁)`, `Φ(zᵢ) - Φ(zᵢ₋₁)` and, for cells that never failed, `1 - Φ(zₖ)`, where
//! `zᵢ = (μ - Vᵢ) / σ` (grouped data; Finney, Probit Analysis, 3rd ed., 1971, treats independent groups). Its
//! logarithm is concave in `(μ/σ, 1/σ)` (Burridge, JRSS B 43(1), 1981): there is one maximum.

use super::measurements::{Measurement, Measurements};
use crate::error::{Error, Result};
use crate::stats::{normal_cdf, probit, wilson, Interval};
use crate::units::Voltage;
use argmin::core::{CostFunction, Executor, State};
use argmin::solver::brent::{BrentOpt, BrentRoot};
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
    /// Least squares of `Φ⁻¹(p)` on `V`: rates without a number of cells have no likelihood.
    LeastSquares,
}

impl FitMethod {
    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::GroupedLikelihood => "grouped_likelihood",
            Self::LeastSquares => "least_squares",
        }
    }
}

/// A parameter of the line, in the unit of the voltages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The estimate.
    pub value: f64,
    /// 95 % profile-likelihood interval; `None` without a likelihood, or where an end lies beyond every bound.
    pub interval: Option<Interval>,
    /// The same with variances multiplied by the dispersion and Student's quantile (Finney's heterogeneity
    /// factor); only where the line does not fit.
    pub widened: Option<Interval>,
}

/// Pearson's chi-square of the groups between voltages, neighbours pooled to at least 5 expected cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goodness {
    /// `Σ (observed - expected)² / expected`.
    pub chi_square: f64,
    /// Pooled groups, survivors included, less 3: their sum and two parameters.
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
        if copies == 0 || (copies > 1 && measurements.cells.is_none()) {
            let expected = "1 or more, and 1 for rates without counts";
            return Err(Error::argument(
                "copies of each cell",
                expected,
                copies.to_string(),
            ));
        }
        let (start, straight) = least_squares(measurements)?;
        let Some(cells) = measurements.cells else {
            let plain = |value| Parameter {
                value,
                interval: None,
                widened: None,
            };
            let points = points(&measurements.rows, None, 1, straight);
            let (mu, sigma) = (plain(straight.mu), plain(straight.sigma));
            return Ok(Self {
                method: FitMethod::LeastSquares,
                mu,
                sigma,
                goodness: None,
                points,
                copies,
            });
        };
        let groups = Groups::of(measurements, cells, copies)?;
        let unsolved = || {
            Error::input(
                &measurements.path,
                "counts with a most likely line",
                "none was found",
            )
        };
        let line = groups.maximum(start).ok_or_else(unsolved)?;
        let goodness = groups.goodness(line);
        let usual = chi_square_quantile().ok_or_else(unsolved)?;
        let wide = goodness
            .filter(Goodness::is_rejected)
            .and_then(|g| g.widened_quantile());
        let parameter = |value, interval: &dyn Fn(f64) -> Option<Interval>| Parameter {
            value,
            interval: interval(usual),
            widened: wide.and_then(interval),
        };
        Ok(Self {
            method: FitMethod::GroupedLikelihood,
            mu: parameter(line.mu, &|quantile| groups.interval_of_mu(line, quantile)),
            sigma: parameter(line.sigma, &|quantile| {
                groups.interval_of_sigma(line, quantile)
            }),
            goodness,
            points: points(&measurements.rows, Some(cells), copies, line),
            copies,
        })
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

fn points(rows: &[Measurement], cells: Option<u64>, copies: u64, line: Line) -> Vec<FittedPoint> {
    let point = |row: &Measurement| {
        let (measured, fitted) = (row.ber.get(), normal_cdf(line.z(row.voltage.get())));
        let interval = cells
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
/// likelihood, and plain.
fn least_squares(measurements: &Measurements) -> Result<(Line, Line)> {
    let rows: Vec<(f64, f64)> = measurements
        .with_failures()
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
    let different = 1 + rows.windows(2).filter(|pair| pair[0].1 > pair[1].1).count();
    if rows.len() < 2 || different < 2 {
        let expected = "at least two voltages with failures, more of them at the lower one";
        let found = format!("{} voltages with failures", rows.len());
        return Err(Error::input(
            &measurements.path,
            expected,
            if rows.len() < 2 {
                found
            } else {
                found + ", equally many"
            },
        ));
    }
    Ok((line(&f64::sqrt), line(&|_| 1.0)))
}

/// Cells by the voltage at which they fail first; counts divided by the copies of each cell.
struct Groups {
    /// Falling voltages, and the cells that fail there but at no higher one.
    failing: Vec<(f64, f64)>,
    /// All cells.
    cells: f64,
    /// Cells that never failed.
    surviving: f64,
}

impl Groups {
    fn of(measurements: &Measurements, cells: u64, copies: u64) -> Result<Self> {
        let (mut failing, mut before) = (Vec::new(), 0);
        for (row, n) in measurements
            .rows
            .iter()
            .rev()
            .filter_map(|row| Some((row, row.faults?)))
        {
            if !n.is_multiple_of(copies) {
                let expected =
                    format!("counts that are multiples of {copies}, the copies of each cell");
                return Err(Error::input(&measurements.path, expected, n.to_string()));
            }
            failing.push((row.voltage.get(), (n - before) as f64 / copies as f64));
            before = n;
        }
        let divided = |n: u64| n as f64 / copies as f64;
        Ok(Self {
            failing,
            cells: divided(cells),
            surviving: divided(cells - before),
        })
    }

    /// Half of the deviance: log-likelihood of the saturated model less that of the line. 0 or more; infinite where
    /// a group with cells is impossible.
    fn half_deviance(&self, z: impl Fn(f64) -> f64) -> f64 {
        let (mut sum, mut above, mut failed) = (0.0, f64::NEG_INFINITY, 0.0);
        for &(voltage, count) in &self.failing {
            let z = z(voltage);
            if count > 0.0 {
                sum += count * ((count / self.cells).ln() - log_between(above, z));
            }
            above = z;
            failed += count;
        }
        // of a number near to 1 the logarithm is taken from the small side
        let survive = if above < 0.0 {
            (-log_cdf(above).exp()).ln_1p()
        } else {
            log_cdf(-above)
        };
        sum + self.surviving * ((-failed / self.cells).ln_1p() - survive)
    }

    fn deviance_of(&self, line: Line) -> f64 {
        self.half_deviance(|v| line.z(v))
    }

    /// The most likely line: over `1/σ`, and for each over the probit at the lowest voltage; both problems are
    /// convex.
    fn maximum(&self, start: Line) -> Option<Line> {
        let sigma = minimum(|t| self.least_deviance(t.exp()), start.sigma.ln(), 3.0)?.exp();
        Some(Line {
            mu: self.best_mu(sigma)?,
            sigma,
        })
    }

    /// Half of the deviance of the most likely line with this `σ`.
    fn least_deviance(&self, sigma: f64) -> f64 {
        self.best_mu(sigma)
            .map_or(f64::INFINITY, |mu| self.deviance_of(Line { mu, sigma }))
    }

    /// The most likely `μ` for a `σ`.
    fn best_mu(&self, sigma: f64) -> Option<f64> {
        let lowest = self.failing.last()?.0;
        // the rate at the lowest voltage is known best
        let near = probit(1.0 - self.surviving / self.cells);
        let z = minimum(
            |z| self.half_deviance(|v| z + (lowest - v) / sigma),
            near,
            4.0,
        )?;
        Some(lowest + sigma * z)
    }

    fn interval_of_mu(&self, line: Line, quantile: f64) -> Option<Interval> {
        let least = self.deviance_of(line);
        let rise = |mu: f64| {
            let deviance = |t: f64| self.deviance_of(Line { mu, sigma: t.exp() });
            let sigma = minimum(deviance, line.sigma.ln(), 4.0);
            2.0 * (sigma.map_or(f64::INFINITY, deviance) - least) - quantile
        };
        let end = |step| crossing(rise, line.mu, step);
        Some(Interval {
            low: end(-line.sigma)?,
            high: end(line.sigma)?,
        })
    }

    fn interval_of_sigma(&self, line: Line, quantile: f64) -> Option<Interval> {
        let least = self.deviance_of(line);
        let rise = |t: f64| 2.0 * (self.least_deviance(t.exp()) - least) - quantile;
        let end = |step| crossing(rise, line.sigma.ln(), step).map(f64::exp);
        Some(Interval {
            low: end(-0.1)?,
            high: end(0.1)?,
        })
    }

    fn goodness(&self, line: Line) -> Option<Goodness> {
        let (mut pooled, mut above): (Vec<(f64, f64)>, f64) = (Vec::new(), f64::NEG_INFINITY);
        let (mut observed, mut expected) = (0.0, 0.0);
        for &(voltage, count) in &self.failing {
            let z = line.z(voltage);
            observed += count;
            expected += self.cells * log_between(above, z).exp();
            above = z;
            if expected >= LEAST_EXPECTED {
                pooled.push((observed, expected));
                (observed, expected) = (0.0, 0.0);
            }
        }
        // what is left over joins its neighbour
        match pooled.last_mut() {
            Some(last) => *last = (last.0 + observed, last.1 + expected),
            None => return None,
        }
        pooled.push((self.surviving, self.cells * normal_cdf(-above)));
        let degrees_of_freedom = pooled.len().checked_sub(3).filter(|n| *n > 0)?;
        let chi_square: f64 = pooled.iter().map(|(o, e)| (o - e).powi(2) / e).sum();
        let distribution = ChiSquared::new(degrees_of_freedom as f64).ok()?;
        Some(Goodness {
            chi_square,
            degrees_of_freedom: degrees_of_freedom as u64,
            p_value: distribution.sf(chi_square),
            dispersion: chi_square / degrees_of_freedom as f64,
        })
    }
}

/// `ln Φ(z)`; far out by its asymptotic series, where `Φ` itself is 0 in double precision.
fn log_cdf(z: f64) -> f64 {
    if z > -30.0 {
        return normal_cdf(z).ln();
    }
    // Abramowitz and Stegun 26.2.12; the next term is 2e-8 at -30
    let square = z * z;
    -0.5 * square - (-z).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
        + (-1.0 / square + 3.0 / (square * square)).ln_1p()
}

/// `ln(Φ(b) - Φ(a))` for `a ≤ b`, without cancellation in either tail.
fn log_between(a: f64, b: f64) -> f64 {
    let (a, b) = if a > 0.0 { (-b, -a) } else { (a, b) };
    if a == f64::NEG_INFINITY {
        return log_cdf(b);
    }
    let high = log_cdf(b);
    high + (-(log_cdf(a) - high).exp()).ln_1p()
}

/// A function of one number, for argmin.
struct Curve<F>(F);

impl<F: Fn(f64) -> f64> CostFunction for Curve<F> {
    type Param = f64;
    type Output = f64;

    fn cost(&self, x: &f64) -> Result<f64, argmin::core::Error> {
        // Brent's parabolas need finite numbers
        Ok((self.0)(*x).min(1e200))
    }
}

/// Place of the minimum of a function with one, within `reach` of `near` or, where it lies at an end, further.
fn minimum(curve: impl Fn(f64) -> f64, near: f64, reach: f64) -> Option<f64> {
    let mut middle = near;
    for _ in 0..20 {
        let solver = BrentOpt::new(middle - reach, middle + reach).set_tolerance(1e-10, 1e-11);
        let run = Executor::new(Curve(&curve), solver)
            .configure(|state| state.max_iters(300))
            .timer(false)
            .run()
            .ok()?;
        let found = *run.state().get_best_param()?;
        if (found - middle).abs() < 0.99 * reach {
            return Some(found);
        }
        middle = found;
    }
    None
}

/// Where a function that is negative at `from` becomes positive, in the direction of `step`; `None` where it does
/// not within 10,000 steps.
fn crossing(curve: impl Fn(f64) -> f64, from: f64, step: f64) -> Option<f64> {
    let (mut inside, mut width) = (from, 0.01 * step);
    for _ in 0..20 {
        let outside = inside + width;
        if curve(outside) > 0.0 {
            let solver = BrentRoot::new(inside, outside, 1e-9 * step.abs());
            let run = Executor::new(Curve(&curve), solver)
                .configure(|state| state.max_iters(200))
                .timer(false)
                .run()
                .ok()?;
            return run.state().get_best_param().copied();
        }
        (inside, width) = (outside, 2.0 * width);
    }
    None
}

/// The lowest voltage at which the line expects less than half a failing cell among all.
pub(super) fn half_a_cell(fit: &Fit, cells: u64) -> Option<Voltage> {
    Voltage::new(fit.mu.value - fit.sigma.value * probit(0.5 * fit.copies as f64 / cells as f64))
        .ok()
}

#[cfg(test)]
mod tests;
