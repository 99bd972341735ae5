//! The likelihood of a probit line, its maximum and the profile intervals of its parameters: of the increments between
//! voltages for the same cells, and of independent binomial counts.
//!
//! Independent counts: `kᵢ` of `nᵢ` cells fail at `Vᵢ` with probability `Φ(zᵢ)`, counts of one voltage added (their sum is
//! sufficient). Where they scatter more than binomial ones, their variances are taken as `φ n p (1 - p)`: the line stays
//! the same, `φ` is Pearson's chi-square of the readings per degree of freedom, and twice the log-likelihood is divided by
//! it (McCullagh and Nelder, Generalized Linear Models, 2nd ed., 1989, sections 4.5 and 9.2).

use super::{Goodness, Line, LEAST_EXPECTED};
use crate::error::{Error, Result};
use crate::memory::measurements::{Measurement, Measurements};
use crate::stats::{normal_cdf, probit, Interval};
use argmin::core::{CostFunction, Executor, State};
use argmin::solver::brent::{BrentOpt, BrentRoot};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Counts with the probability that a line gives them.
pub(super) enum Likelihood {
    /// The same cells at each voltage.
    Increments(Groups),
    /// Counts of their own.
    Independent(Counts),
}

impl Likelihood {
    /// Half of the deviance of the probits `z` of voltages.
    fn half_deviance(&self, z: &dyn Fn(f64) -> f64) -> f64 {
        match self {
            Self::Increments(groups) => groups.half_deviance(z),
            Self::Independent(counts) => counts.half_deviance(z),
        }
    }

    /// The voltage whose rate is known best, and its probit.
    fn best_known(&self) -> Option<(f64, f64)> {
        match self {
            Self::Increments(groups) => groups.best_known(),
            Self::Independent(counts) => counts.best_known(),
        }
    }

    /// Pearson's chi-square of the line; `None` where no degree of freedom is left.
    pub(super) fn goodness(&self, line: Line) -> Option<Goodness> {
        match self {
            Self::Increments(groups) => groups.goodness(line),
            Self::Independent(counts) => counts.goodness(line),
        }
    }

    fn deviance_of(&self, line: Line) -> f64 {
        self.half_deviance(&|v| line.z(v))
    }

    /// The most likely line: over `1/σ`, and for each over the probit at the lowest voltage; both problems are
    /// convex.
    pub(super) fn maximum(&self, start: Line) -> Option<Line> {
        // over the logarithm of `σ`, which needs no bound
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
        let (anchor, near) = self.best_known()?;
        let z = minimum(
            |z| self.half_deviance(&|v| z + (anchor - v) / sigma),
            near,
            4.0,
        )?;
        Some(anchor + sigma * z)
    }

    pub(super) fn interval_of_mu(&self, line: Line, quantile: f64) -> Option<Interval> {
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

    pub(super) fn interval_of_sigma(&self, line: Line, quantile: f64) -> Option<Interval> {
        let least = self.deviance_of(line);
        let rise = |t: f64| 2.0 * (self.least_deviance(t.exp()) - least) - quantile;
        let end = |step| crossing(rise, line.sigma.ln(), step).map(f64::exp);
        Some(Interval {
            low: end(-0.1)?,
            high: end(0.1)?,
        })
    }
}

/// Cells by the voltage at which they fail first; counts divided by the copies of each cell.
pub(super) struct Groups {
    /// Falling voltages, and the cells that fail there but at no higher one.
    failing: Vec<(f64, f64)>,
    /// All cells.
    cells: f64,
    /// Cells that never failed.
    surviving: f64,
}

impl Groups {
    pub(super) fn of(measurements: &Measurements, cells: u64, copies: u64) -> Result<Self> {
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
    fn half_deviance(&self, z: &dyn Fn(f64) -> f64) -> f64 {
        let (mut sum, mut above, mut failed) = (0.0, f64::NEG_INFINITY, 0.0);
        for &(voltage, count) in &self.failing {
            let z = z(voltage);
            if count > 0.0 {
                sum += count * ((count / self.cells).ln() - log_between(above, z));
            }
            above = z;
            failed += count;
        }
        if self.surviving == 0.0 {
            return sum;
        }
        sum + self.surviving * ((-failed / self.cells).ln_1p() - log_survival(above))
    }

    /// The lowest voltage; where every cell fails there, as if half a cell did not.
    fn best_known(&self) -> Option<(f64, f64)> {
        // a probit of 1 would be infinite
        let surviving = match self.surviving {
            0.0 => 0.5,
            some => some,
        };
        let lowest = self.failing.last()?.0;
        Some((lowest, probit(1.0 - surviving / self.cells)))
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
        let survivors = self.cells * normal_cdf(-above);
        match pooled.last_mut() {
            Some(last) if survivors < LEAST_EXPECTED => {
                *last = (last.0 + self.surviving, last.1 + survivors);
            }
            _ => pooled.push((self.surviving, survivors)),
        }
        let degrees_of_freedom = pooled.len().checked_sub(3).filter(|n| *n > 0)?;
        let chi_square: f64 = pooled.iter().map(|(o, e)| (o - e).powi(2) / e).sum();
        tested(chi_square, degrees_of_freedom)
    }
}

/// Independent counts, divided by the copies of each cell.
pub(super) struct Counts {
    /// One count for each voltage.
    pooled: Vec<Count>,
    /// The readings, by rising voltage.
    readings: Vec<Count>,
}

/// Failing cells among cells.
#[derive(Clone, Copy)]
struct Count {
    voltage: f64,
    failing: f64,
    cells: f64,
}

impl Count {
    fn of(reading: &Measurement, copies: u64) -> Option<Self> {
        Some(Self {
            voltage: reading.voltage.get(),
            failing: reading.faults? as f64 / copies as f64,
            cells: reading.cells? as f64 / copies as f64,
        })
    }

    fn rate(self) -> f64 {
        self.failing / self.cells
    }
}

impl Counts {
    pub(super) fn of(measurements: &Measurements, copies: u64) -> Self {
        let count = |reading| Count::of(reading, copies);
        Self {
            pooled: measurements.rows.iter().filter_map(count).collect(),
            readings: measurements.readings.iter().filter_map(count).collect(),
        }
    }

    fn half_deviance(&self, z: &dyn Fn(f64) -> f64) -> f64 {
        let mut sum = 0.0;
        for count in &self.pooled {
            let z = z(count.voltage);
            let surviving = count.cells - count.failing;
            if count.failing > 0.0 {
                sum += count.failing * (count.rate().ln() - log_cdf(z));
            }
            if surviving > 0.0 {
                sum += surviving * ((-count.rate()).ln_1p() - log_survival(z));
            }
        }
        sum
    }

    /// The voltage at which most cells could be seen to fail or not.
    fn best_known(&self) -> Option<(f64, f64)> {
        let weight = |count: &&Count| count.failing * (1.0 - count.rate());
        let best = self
            .pooled
            .iter()
            .max_by(|a, b| weight(a).total_cmp(&weight(b)))?;
        Some((best.voltage, probit(best.rate())))
    }

    /// Neighbouring readings are pooled until 5 cells are expected to fail and 5 not to.
    fn goodness(&self, line: Line) -> Option<Goodness> {
        // observed, expected to fail, expected not to, variance
        let (mut pooled, mut open): (Vec<[f64; 4]>, [f64; 4]) = (Vec::new(), [0.0; 4]);
        let is_full = |group: &[f64; 4]| group[1].min(group[2]) >= LEAST_EXPECTED;
        for count in &self.readings {
            let z = line.z(count.voltage);
            let (p, q) = (normal_cdf(z), normal_cdf(-z));
            let n = count.cells;
            for (sum, part) in open
                .iter_mut()
                .zip([count.failing, n * p, n * q, n * p * q])
            {
                *sum += part;
            }
            if is_full(&open) {
                pooled.push(open);
                open = [0.0; 4];
            }
        }
        // what is left over joins its neighbour
        let last = pooled.last_mut()?;
        for (sum, part) in last.iter_mut().zip(open) {
            *sum += part;
        }
        let degrees_of_freedom = pooled.len().checked_sub(2).filter(|n| *n > 0)?;
        let chi_square = pooled
            .iter()
            .map(|[o, e, _, variance]| (o - e).powi(2) / variance)
            .sum();
        tested(chi_square, degrees_of_freedom)
    }
}

fn tested(chi_square: f64, degrees_of_freedom: usize) -> Option<Goodness> {
    let distribution = ChiSquared::new(degrees_of_freedom as f64).ok()?;
    Some(Goodness {
        chi_square,
        degrees_of_freedom: degrees_of_freedom as u64,
        p_value: distribution.sf(chi_square),
        dispersion: chi_square / degrees_of_freedom as f64,
    })
}

/// `ln(1 - Φ(z))`; of a number near to 1 the logarithm is taken from the small side.
fn log_survival(z: f64) -> f64 {
    if z < 0.0 {
        (-log_cdf(z).exp()).ln_1p()
    } else {
        log_cdf(-z)
    }
}

/// `ln Φ(z)`; far out by its asymptotic series, where `Φ` itself is 0 in double precision.
pub(super) fn log_cdf(z: f64) -> f64 {
    if z > -30.0 {
        return normal_cdf(z).ln();
    }
    // Abramowitz and Stegun 26.2.12; the next term is 2e-8 at -30
    let square = z * z;
    -0.5 * square - (-z).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
        + (-1.0 / square + 3.0 / (square * square)).ln_1p()
}

/// `ln(Φ(b) - Φ(a))` for `a ≤ b`, without cancellation in either tail.
pub(super) fn log_between(a: f64, b: f64) -> f64 {
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
