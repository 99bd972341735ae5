//! One number of a macro over its supply voltage: energy of an access, leakage or delay, with the law that it follows.
//! What the numbers are of, and in which unit, is said by whoever holds them.

use crate::error::{refuse, Result};
use crate::units::{Positive, Voltage};
use serde::{Deserialize, Serialize};

/// Volts above the threshold below which the alpha-power law no longer holds: the current becomes exponential.
const ABOVE_THRESHOLD: f64 = 0.1;
/// Times the highest characterised voltage up to which a law may be continued.
const HIGHEST: f64 = 2.0;
/// Most points.
const MOST_POINTS: usize = 1000;
/// Thresholds tried in the first pass of a fit of the delay, and passes that narrow it.
const GRID: usize = 400;
const PASSES: usize = 12;

/// A number over the supply voltage in volts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Characteristic {
    /// Characterised voltages, rising; at least one.
    pub points: Vec<CharacterisedPoint>,
    /// The law through them, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub law: Option<Law>,
}

/// A number at a characterised voltage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharacterisedPoint {
    /// Supply voltage in volts.
    pub at: Voltage,
    /// The number.
    pub value: Positive,
    /// File and line, or where else it comes from.
    pub source: String,
}

/// `x ∝ V^exponent / (V - threshold)^alpha`: with `alpha` 0 a power of the voltage, with exponent 1 the alpha-power
/// law of a delay (Sakurai, Newton, IEEE JSSC 25(2), 1990).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// Power of the voltage.
    pub exponent: f64,
    /// Threshold voltage in volts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub threshold: f64,
    /// Power of the voltage above the threshold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alpha: f64,
    /// How it is known.
    pub basis: Basis,
    /// Largest relative deviation of a point; `None` where no residual is left, as there are as many parameters as
    /// points, or where it was not fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_residual: Option<f64>,
    /// Where it comes from.
    pub source: String,
}

/// How a law is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Fitted to the points.
    Fitted,
    /// Given by the user or taken from another macro: it stands for points that are not there.
    Assumed,
}

/// How a number at a voltage is known, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A characterised voltage.
    Characterised,
    /// Between characterised voltages.
    Interpolated,
    /// Outside them, by a fitted law.
    Extrapolated,
    /// Outside them, by an assumed law.
    Assumed,
}

crate::units::words!(
    Standing:
    Characterised "characterised",
    Interpolated "interpolated",
    Extrapolated "extrapolated",
    Assumed "assumed"
);

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

impl Law {
    /// A power of the voltage that is not fitted.
    pub fn power(exponent: f64, source: &str) -> Self {
        Self {
            exponent,
            threshold: 0.0,
            alpha: 0.0,
            basis: Basis::Assumed,
            worst_residual: None,
            source: source.to_owned(),
        }
    }

    /// An alpha-power law of a delay that is not fitted.
    pub fn alpha_power(threshold: f64, alpha: f64, source: &str) -> Self {
        Self {
            threshold,
            alpha,
            ..Self::power(1.0, source)
        }
    }

    /// Logarithm of the law at a voltage; below the threshold infinite.
    fn ln(&self, voltage: f64) -> f64 {
        let above = voltage - self.threshold;
        let delay = if self.alpha == 0.0 {
            0.0
        } else {
            self.alpha * above.max(0.0).ln()
        };
        self.exponent * voltage.ln() - delay
    }

    /// The law in words, without its source.
    pub fn in_words(&self) -> String {
        if self.alpha == 0.0 {
            return format!("V^{}", short(self.exponent));
        }
        let (threshold, alpha) = (short(self.threshold), short(self.alpha));
        format!("V / (V - {threshold} V)^{alpha}")
    }

    fn check(&self, key: &str, lowest: f64) -> Result<()> {
        let wrong = |field: &str, expected: &str, found: f64| {
            refuse(format!("{key}.law.{field}"), expected, found)
        };
        if !(-20.0..=20.0).contains(&self.exponent) {
            return wrong("exponent", "a number from -20 to 20", self.exponent);
        }
        if !(0.0..=10.0).contains(&self.alpha) {
            return wrong("alpha", "a number from 0 to 10", self.alpha);
        }
        if !(self.threshold >= 0.0 && self.threshold < lowest) {
            let expected =
                format!("0 or more, and below the lowest characterised voltage ({lowest} V)");
            return wrong("threshold", &expected, self.threshold);
        }
        Ok(())
    }
}

impl Characteristic {
    /// Checks order and law; `key` names it in errors.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub(super) fn check(&self, key: &str) -> Result<()> {
        let key_of = |i: usize| format!("{key}.points.{i}.at");
        if self.points.is_empty() || self.points.len() > MOST_POINTS {
            let expected = format!("1 to {MOST_POINTS} points");
            return refuse(format!("{key}.points"), expected, self.points.len());
        }
        for (i, pair) in self.points.windows(2).enumerate() {
            if pair[0].at >= pair[1].at {
                let expected = format!("voltages in rising order, so above {}", pair[0].at);
                return refuse(key_of(i + 1), expected, pair[1].at);
            }
        }
        match &self.law {
            Some(law) => law.check(key, self.span()[0]),
            None => Ok(()),
        }
    }

    /// Lowest and highest characterised voltage.
    pub fn span(&self) -> [f64; 2] {
        let at =
            |point: Option<&CharacterisedPoint>| point.map_or(f64::NAN, |point| point.at.get());
        [at(self.points.first()), at(self.points.last())]
    }

    /// Lowest and highest voltage at which it is known: the characterised ones; with an assumed law, or where a fitted
    /// one may be continued, down to 0.1 V above `threshold` and up to twice the highest.
    pub fn reach(&self, threshold: Option<f64>, extrapolate: bool) -> [f64; 2] {
        let [low, high] = self.span();
        let Some(law) = &self.law else {
            return [low, high];
        };
        if !extrapolate && law.basis == Basis::Fitted {
            return [low, high];
        }
        let lowest = threshold.map_or(low, |threshold| (threshold + ABOVE_THRESHOLD).min(low));
        [lowest, high * HIGHEST]
    }

    /// How it is known at a voltage within its reach.
    pub fn standing(&self, voltage: f64) -> Standing {
        let [low, high] = self.span();
        match &self.law {
            _ if self.points.iter().any(|point| point.at.get() == voltage) => {
                Standing::Characterised
            }
            _ if (low..=high).contains(&voltage) => Standing::Interpolated,
            Some(law) if law.basis == Basis::Assumed => Standing::Assumed,
            _ => Standing::Extrapolated,
        }
    }

    /// The number at a voltage: at points as they are; between them and beyond, the law times what it misses the
    /// points by, which goes with the logarithm of the voltage. Reach is the caller's affair.
    pub fn value(&self, voltage: f64) -> f64 {
        let law = |voltage: f64| self.law.as_ref().map_or(0.0, |law| law.ln(voltage));
        let missed = |point: &CharacterisedPoint| point.value.get().ln() - law(point.at.get());
        let right = self
            .points
            .partition_point(|point| point.at.get() < voltage);
        let (left, right) = (
            right.checked_sub(1).and_then(|left| self.points.get(left)),
            self.points.get(right),
        );
        let miss = match (left, right) {
            (_, Some(point)) if point.at.get() == voltage => return point.value.get(),
            (Some(a), Some(b)) => {
                let share = (voltage / a.at.get()).ln() / (b.at.get() / a.at.get()).ln();
                missed(a) + share * (missed(b) - missed(a))
            }
            (Some(end), None) | (None, Some(end)) => missed(end),
            (None, None) => return f64::NAN,
        };
        (law(voltage) + miss).exp()
    }

    /// Fits a power of the voltage by least squares of the logarithms; `None` below two points.
    pub(super) fn fit_power(&self) -> Option<Law> {
        let (_, exponent) = line(&self.logarithms(f64::ln))?;
        let law = self.fitted(exponent, 0.0, 0.0, 2);
        law.exponent.is_finite().then_some(law)
    }

    /// Fits an alpha-power law by least squares of the logarithms: for each threshold the best power is a line, and the
    /// threshold with the least squares is searched. `None` below three points, or where no threshold above 0 is best.
    pub(super) fn fit_alpha_power(&self) -> Option<Law> {
        let [low, _] = self.span();
        if self.points.len() < 3 {
            return None;
        }
        let squares = |threshold: f64| -> Option<(f64, f64)> {
            let above = |voltage: f64| (voltage - threshold).ln();
            let rows = self.logarithms(above).into_iter().zip(&self.points);
            let rows: Vec<[f64; 2]> = rows
                .map(|([x, y], point)| [x, y - point.at.get().ln()])
                .collect();
            let (start, slope) = line(&rows)?;
            let sum = rows
                .iter()
                .map(|[x, y]| (y - start - slope * x).powi(2))
                .sum();
            Some((sum, -slope))
        };
        let (mut from, mut to) = (0.0, low);
        let mut best = (f64::INFINITY, 0.0, 0.0);
        for _ in 0..PASSES {
            let step = (to - from) / GRID as f64;
            for i in 1..GRID {
                let threshold = from + step * i as f64;
                if let Some((sum, alpha)) = squares(threshold).filter(|(sum, _)| *sum < best.0) {
                    best = (sum, threshold, alpha);
                }
            }
            // the best threshold lies within a step of the best one that was tried
            (from, to) = ((best.1 - step).max(0.0), (best.1 + step).min(low));
        }
        let (_, threshold, alpha) = best;
        let inside =
            threshold > 1e-3 * low && threshold < 0.999 * low && (0.0..=10.0).contains(&alpha);
        inside.then(|| self.fitted(1.0, threshold, alpha, 3))
    }

    /// Logarithms of some `x` of the voltage and of the value.
    fn logarithms(&self, x: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
        let row = |point: &CharacterisedPoint| [x(point.at.get()), point.value.get().ln()];
        self.points.iter().map(row).collect()
    }

    /// A law with so many parameters, and how far it misses the points.
    fn fitted(&self, exponent: f64, threshold: f64, alpha: f64, parameters: usize) -> Law {
        let n = self.points.len();
        let mut law = Law {
            threshold: tidy(threshold),
            alpha: tidy(alpha),
            ..Law::power(tidy(exponent), "")
        };
        law.basis = Basis::Fitted;
        let missed: Vec<f64> = self
            .points
            .iter()
            .map(|point| point.value.get().ln() - law.ln(point.at.get()))
            .collect();
        let mean = missed.iter().sum::<f64>() / n as f64;
        let worst = missed
            .iter()
            .map(|miss| (miss - mean).exp_m1().abs())
            .fold(0.0, f64::max);
        law.worst_residual = (n > parameters).then(|| tidy(worst));
        law.source = match law.worst_residual {
            Some(worst) => format!(
                "least squares of the logarithms of {n} points, to {:.2} %",
                100.0 * worst
            ),
            None => format!("{n} points determine {parameters} parameters: no residual left"),
        };
        law
    }
}

/// Start and slope of the least-squares line; `None` where all `x` are one, or fewer than two.
fn line(rows: &[[f64; 2]]) -> Option<(f64, f64)> {
    let n = rows.len() as f64;
    let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / n;
    let (x0, y0) = (mean(0), mean(1));
    let square: f64 = rows.iter().map(|row| (row[0] - x0).powi(2)).sum();
    let product: f64 = rows.iter().map(|row| (row[0] - x0) * (row[1] - y0)).sum();
    let slope = product / square;
    (rows.len() >= 2 && slope.is_finite()).then_some((y0 - slope * x0, slope))
}

/// The number to three decimal places, without zeros at its end.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The number to ten digits: beyond them stand the errors of unit conversions.
pub(super) fn tidy(number: f64) -> f64 {
    format!("{number:.9e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(points: &[(f64, f64)]) -> Characteristic {
        let point = |(at, value): &(f64, f64)| CharacterisedPoint {
            at: Voltage::new(*at).unwrap(),
            value: Positive::new(*value).unwrap(),
            source: "test".into(),
        };
        Characteristic {
            points: points.iter().map(point).collect(),
            law: None,
        }
    }

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a / b - 1.0).abs() <= tolerance, "{a} is not {b}");
    }

    /// GF180 512x8, typical: read energy, leakage, delay.
    const READ: [(f64, f64); 3] = [(1.8, 103.176), (3.3, 369.6), (5.0, 908.1)];
    const LEAKAGE: [(f64, f64); 3] = [(1.8, 80.6994), (3.3, 271.6593), (5.0, 624.2)];
    const DELAY: [(f64, f64); 3] = [(1.8, 18.2016), (3.3, 7.17732), (5.0, 5.00796)];

    #[test]
    fn the_exponent_of_two_voltages_predicts_the_third_within_3_percent() {
        let mut read = of(&READ[..2]);
        read.law = read.fit_power();
        let law = read.law.clone().unwrap();
        near(law.exponent, 2.105, 1e-3);
        assert_eq!(law.worst_residual, None);
        assert!(law.source.ends_with("no residual left"));
        near(read.value(5.0), 908.1, 0.03);
        let upper = of(&READ[1..]).fit_power().unwrap();
        near(upper.exponent, 2.163, 1e-3);
        near(of(&LEAKAGE).fit_power().unwrap().exponent, 2.0, 0.01);
        assert!(of(&LEAKAGE).fit_power().unwrap().worst_residual.unwrap() < 0.01);
        assert_eq!(of(&READ[..1]).fit_power(), None);
    }

    #[test]
    fn three_delays_determine_an_alpha_power_law() {
        let law = of(&DELAY).fit_alpha_power().unwrap();
        near(law.threshold, 1.0815, 1e-3);
        near(law.alpha, 1.3631, 1e-3);
        assert_eq!((law.exponent, law.worst_residual), (1.0, None));
        // 64x8 of the same process, by its own scale at 3.3 V and this law
        let mut other = of(&[(3.3, 6.29)]);
        other.law = Some(law);
        assert_eq!(other.fit_alpha_power(), None);
        near(other.value(1.8), 6.29 * 18.2016 / 7.17732, 1e-6);
    }

    #[test]
    fn a_known_law_is_found_again_with_its_residual() {
        let law = |v: f64| 3.0 * v / (v - 0.4f64).powf(1.5);
        let exact: Vec<(f64, f64)> = [0.7, 0.8, 0.9, 1.1].iter().map(|v| (*v, law(*v))).collect();
        let found = of(&exact).fit_alpha_power().unwrap();
        near(found.threshold, 0.4, 1e-6);
        near(found.alpha, 1.5, 1e-6);
        assert!(found.worst_residual.unwrap() < 1e-6);
        // no threshold explains a delay that rises with the voltage
        assert_eq!(
            of(&[(0.7, 1.0), (0.8, 2.0), (0.9, 5.0)]).fit_alpha_power(),
            None
        );
    }

    #[test]
    fn points_are_met_and_between_them_it_follows_the_law() {
        let mut read = of(&READ);
        for law in [None, read.fit_power()] {
            read.law = law;
            for (voltage, value) in READ {
                assert_eq!(read.value(voltage), value);
                assert_eq!(read.standing(voltage), Standing::Characterised);
            }
            // halfway in the logarithms
            near(
                read.value((1.8f64 * 3.3).sqrt()),
                (103.176f64 * 369.6).sqrt(),
                1e-12,
            );
            assert_eq!(read.standing(2.0), Standing::Interpolated);
        }
    }

    #[test]
    fn a_law_reaches_beyond_the_points_only_where_asked_or_assumed() {
        let mut delay = of(&DELAY);
        assert_eq!(delay.reach(None, true), [1.8, 5.0]);
        delay.law = delay.fit_alpha_power();
        let threshold = delay.law.as_ref().map(|law| law.threshold);
        assert_eq!(delay.reach(threshold, false), [1.8, 5.0]);
        let [low, high] = delay.reach(threshold, true);
        near(low, 1.1815, 1e-3);
        assert_eq!(high, 10.0);
        assert_eq!(delay.reach(None, true)[0], 1.8);
        assert_eq!(delay.standing(1.5), Standing::Extrapolated);
        delay.law.as_mut().unwrap().basis = Basis::Assumed;
        near(delay.reach(threshold, false)[0], 1.1815, 1e-3);
        assert_eq!(delay.standing(1.5), Standing::Assumed);
    }

    #[test]
    fn wrong_laws_and_orders_are_named() {
        let message = |change: &dyn Fn(&mut Characteristic)| {
            let mut read = of(&READ);
            read.law = read.fit_power();
            change(&mut read);
            read.check("read_pj").unwrap_err().to_string()
        };
        assert!(message(&|read| read.points.swap(0, 1))
            .starts_with("read_pj.points.1.at: expected voltages in rising"));
        assert!(message(&|read| read.points.clear())
            .starts_with("read_pj.points: expected 1 to 1000 points"));
        let law = |change: fn(&mut Law)| message(&|read| change(read.law.as_mut().unwrap()));
        assert!(law(|law| law.exponent = f64::NAN).starts_with("read_pj.law.exponent"));
        assert!(law(|law| law.threshold = 1.8)
            .contains("below the lowest characterised voltage (1.8 V)"));
        assert!(law(|law| law.alpha = -1.0).starts_with("read_pj.law.alpha"));
    }
}
