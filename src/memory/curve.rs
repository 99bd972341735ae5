//! The bit error rate of a memory as a function of its supply voltage. Units of voltage and the
//! error-free voltage's zero are the model's affair.

use super::AccessExponent;
use crate::stats::{normal_cdf, probit};
use crate::units::{Ber, Positive, Voltage};
use serde::{Deserialize, Serialize};

/// A rate that falls, or stays, as the voltage rises. Voltages in the model's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Curve {
    /// Measured rates, interpolated linearly in probit space: `Φ⁻¹(p)` against `V`.
    Points(Vec<Point>),
    Gaussian(Gaussian),
    /// With the exponent of the energy.
    Exponential(Exponential, AccessExponent),
}

/// Gaussian failure voltages of the cells, `p = Φ((μ - V) / σ)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gaussian {
    pub(super) mu: Voltage,
    pub(super) sigma: Positive,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured_span: Option<[Voltage; 2]>,
}

/// `p = exp(-a·η)` with the energy `η = (V / reference)^exponent` (Henwood et al., AICAS 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exponential {
    pub(super) a: Positive,
    pub(super) reference: Voltage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured_span: Option<[Voltage; 2]>,
}

/// One measured rate in (0, 0.5].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) voltage: Voltage,
    pub(super) rate: Ber,
    probit: f64,
}

impl Point {
    pub(super) fn new(voltage: Voltage, rate: Ber) -> Self {
        Self {
            voltage,
            rate,
            probit: probit(rate.get()),
        }
    }
}

impl Curve {
    /// Rate at a voltage above 0, in [0, 1]: nothing here knows of the error-free voltage.
    pub(super) fn rate(&self, voltage: f64) -> f64 {
        match self {
            Self::Points(points) => {
                // a measured voltage has its own rate, not that which comes back from its probit
                if let Some(point) = points.iter().find(|point| point.voltage.get() == voltage) {
                    return point.rate.get();
                }
                segment(points, |point| point.voltage.get() <= voltage).map_or(0.0, |(a, slope)| {
                    normal_cdf(a.probit + slope * (voltage - a.voltage.get()))
                })
            }
            Self::Gaussian(g) => normal_cdf((g.mu.get() - voltage) / g.sigma.get()),
            Self::Exponential(e, exponent) => {
                (-e.a.get() * (voltage / e.reference.get()).powf(exponent.get())).exp()
            }
        }
    }

    /// The lowest voltage whose rate is at most `rate`, in (0, 1); infinite or 0 and below where there
    /// is none.
    pub(super) fn voltage(&self, rate: f64) -> f64 {
        match self {
            Self::Points(points) => {
                // and a measured rate its own voltage
                if let Some(point) = points.iter().find(|point| point.rate.get() == rate) {
                    return point.voltage.get();
                }
                match segment(points, |point| point.rate.get() > rate) {
                    Some((a, slope)) if slope < 0.0 => {
                        a.voltage.get() + (probit(rate) - a.probit) / slope
                    }
                    // a flat end: every voltage beyond it has too low a rate, or none has one as low
                    Some((a, _)) if a.rate.get() < rate => f64::NEG_INFINITY,
                    _ => f64::INFINITY,
                }
            }
            Self::Gaussian(g) => g.mu.get() - g.sigma.get() * probit(rate),
            Self::Exponential(e, exponent) => {
                e.reference.get() * (-rate.ln() / e.a.get()).powf(exponent.get().recip())
            }
        }
    }

    /// Lowest and highest voltage the model vouches for; `None` where that is every one.
    pub(super) fn span(&self) -> Option<[f64; 2]> {
        let span = match self {
            Self::Points(points) => Some([points.first()?.voltage, points.last()?.voltage]),
            Self::Gaussian(gaussian) => gaussian.measured_span,
            Self::Exponential(exponential, _) => exponential.measured_span,
        };
        span.map(|span| span.map(Voltage::get))
    }
}

/// First point and slope, in probit per voltage, of the segment that begins with the last point for which
/// `is_left` holds; the outer segments continue beyond the outer points. `None` below two points.
fn segment(points: &[Point], is_left: impl Fn(&Point) -> bool) -> Option<(Point, f64)> {
    let right = points
        .partition_point(is_left)
        .clamp(1, points.len().checked_sub(1)?.max(1));
    let (a, b) = (points.get(right - 1)?, points.get(right)?);
    Some((
        *a,
        (b.probit - a.probit) / (b.voltage.get() - a.voltage.get()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a / b - 1.0).abs() <= tolerance, "{a} is not {b}");
    }

    fn curve(points: [(f64, f64); 3]) -> Curve {
        let point = |(v, p)| Point::new(Voltage::new(v).unwrap(), Ber::new(p).unwrap());
        Curve::Points(points.map(point).to_vec())
    }

    fn points() -> Curve {
        curve([(0.5, 0.1), (0.6, 1e-3), (0.8, 1e-4)])
    }

    fn exponential(a: f64, reference: f64) -> Curve {
        let law = Exponential {
            a: Positive::new(a).unwrap(),
            reference: Voltage::new(reference).unwrap(),
            measured_span: None,
        };
        Curve::Exponential(law, AccessExponent::new(2.0).unwrap())
    }

    #[test]
    fn points_are_met_exactly() {
        for (voltage, rate) in [(0.5, 0.1), (0.6, 1e-3), (0.8, 1e-4)] {
            assert_eq!(points().rate(voltage), rate);
            assert_eq!(points().voltage(rate), voltage);
        }
    }

    #[test]
    fn between_points_the_probit_is_linear() {
        // Φ⁻¹(0.1) = -1.281552, Φ⁻¹(1e-3) = -3.090232, Φ⁻¹(1e-4) = -3.719016
        near(
            points().rate(0.55),
            normal_cdf(-(1.281552 + 3.090232) / 2.0),
            1e-5,
        );
        near(
            points().rate(0.65),
            normal_cdf(-3.090232 - 0.628784 / 4.0),
            1e-5,
        );
    }

    #[test]
    fn beyond_the_points_the_outer_slopes_continue() {
        near(
            points().rate(0.45),
            normal_cdf(-1.281552 + 1.808680 / 2.0),
            1e-5,
        );
        near(points().rate(1.0), normal_cdf(-3.719016 - 0.628784), 1e-4);
    }

    #[test]
    fn every_curve_inverts() {
        let gaussian = Curve::Gaussian(Gaussian {
            mu: Voltage::new(0.7).unwrap(),
            sigma: Positive::new(0.05).unwrap(),
            measured_span: None,
        });
        for curve in [points(), gaussian, exponential(12.8, 1.0)] {
            for rate in [1e-9, 1e-6, 1e-4, 3e-4, 0.01, 0.2, 0.5] {
                near(curve.rate(curve.voltage(rate)), rate, 1e-9);
            }
        }
    }

    #[test]
    fn the_exponential_law_is_as_published() {
        let curve = exponential(10.0, 0.8);
        near(curve.rate(0.8), (-10.0f64).exp(), 1e-12);
        near(curve.rate(0.4), (-2.5f64).exp(), 1e-12);
    }

    #[test]
    fn a_flat_end_reaches_no_further_rate() {
        let flat = curve([(0.5, 0.1), (0.6, 0.1), (0.7, 0.01)]);
        assert_eq!(flat.voltage(0.1), 0.5);
        near(flat.rate(0.3), 0.1, 1e-9);
        assert_eq!(flat.voltage(0.2), f64::NEG_INFINITY);
        let flat = curve([(0.5, 0.2), (0.6, 0.1), (0.7, 0.1)]);
        assert_eq!(
            (flat.voltage(0.1), flat.voltage(0.05)),
            (0.6, f64::INFINITY)
        );
    }
}
