//! The bit error rate of a memory as a function of its supply voltage. Units of voltage and the
//! error-free voltage's zero are the model's affair.

use crate::stats::{normal_cdf, probit};

/// A rate that falls, or stays, as the voltage rises. Voltages in the model's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Curve {
    /// Measured rates, interpolated linearly in probit space: `Φ⁻¹(p)` against `V`.
    Points(Vec<Point>),
    /// Gaussian failure voltages of the cells, `p = Φ((μ - V) / σ)`.
    Gaussian {
        mu: f64,
        sigma: f64,
        span: Option<[f64; 2]>,
    },
    /// `p = exp(-a·η)` with the energy `η = (V / reference)^exponent`
    /// (Henwood et al., AICAS 2020).
    Exponential {
        a: f64,
        reference: f64,
        exponent: f64,
        span: Option<[f64; 2]>,
    },
}

/// One measured rate in (0, 0.5].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) voltage: f64,
    pub(super) rate: f64,
    probit: f64,
}

impl Point {
    pub(super) fn new(voltage: f64, rate: f64) -> Self {
        Self {
            voltage,
            rate,
            probit: probit(rate),
        }
    }
}

impl Curve {
    /// Rate at a voltage above 0, in [0, 1]: nothing here knows of the error-free voltage.
    pub(super) fn rate(&self, voltage: f64) -> f64 {
        match self {
            Self::Points(points) => match points.iter().find(|point| point.voltage == voltage) {
                Some(point) => point.rate,
                None => segment(points, |point| point.voltage <= voltage)
                    .map_or(0.0, |(a, slope)| {
                        normal_cdf(a.probit + slope * (voltage - a.voltage))
                    }),
            },
            Self::Gaussian { mu, sigma, .. } => normal_cdf((mu - voltage) / sigma),
            Self::Exponential {
                a,
                reference,
                exponent,
                ..
            } => (-a * (voltage / reference).powf(*exponent)).exp(),
        }
    }

    /// The lowest voltage whose rate is at most `rate`, in (0, 1); infinite or 0 and below where there
    /// is none.
    pub(super) fn voltage(&self, rate: f64) -> f64 {
        match self {
            Self::Points(points) => {
                if let Some(point) = points.iter().find(|point| point.rate == rate) {
                    return point.voltage;
                }
                match segment(points, |point| point.rate > rate) {
                    Some((a, slope)) if slope < 0.0 => {
                        a.voltage + (probit(rate) - a.probit) / slope
                    }
                    // a flat end: every voltage beyond it has too low a rate, or none has one as low
                    Some((a, _)) if a.rate < rate => f64::NEG_INFINITY,
                    _ => f64::INFINITY,
                }
            }
            Self::Gaussian { mu, sigma, .. } => mu - sigma * probit(rate),
            Self::Exponential {
                a,
                reference,
                exponent,
                ..
            } => reference * (-rate.ln() / a).powf(exponent.recip()),
        }
    }

    /// Lowest and highest voltage the model vouches for; `None` where that is every one.
    pub(super) fn span(&self) -> Option<[f64; 2]> {
        match self {
            Self::Points(points) => Some([points.first()?.voltage, points.last()?.voltage]),
            Self::Gaussian { span, .. } | Self::Exponential { span, .. } => *span,
        }
    }
}

/// First point and slope, in probit per voltage, of the segment that begins with the last point for which
/// `is_left` holds; the outer segments continue beyond the outer points. `None` below two points.
fn segment(points: &[Point], is_left: impl Fn(&Point) -> bool) -> Option<(Point, f64)> {
    let right = points
        .partition_point(is_left)
        .clamp(1, points.len().checked_sub(1)?.max(1));
    let (a, b) = (points.get(right - 1)?, points.get(right)?);
    Some((*a, (b.probit - a.probit) / (b.voltage - a.voltage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a / b - 1.0).abs() <= tolerance, "{a} is not {b}");
    }

    fn points() -> Curve {
        Curve::Points(vec![
            Point::new(0.5, 0.1),
            Point::new(0.6, 1e-3),
            Point::new(0.8, 1e-4),
        ])
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
        let gaussian = Curve::Gaussian {
            mu: 0.7,
            sigma: 0.05,
            span: None,
        };
        let exponential = Curve::Exponential {
            a: 12.8,
            reference: 1.0,
            exponent: 2.0,
            span: None,
        };
        for curve in [points(), gaussian, exponential] {
            for rate in [1e-9, 1e-6, 1e-4, 3e-4, 0.01, 0.2, 0.5] {
                near(curve.rate(curve.voltage(rate)), rate, 1e-9);
            }
        }
    }

    #[test]
    fn the_exponential_law_is_as_published() {
        let curve = Curve::Exponential {
            a: 10.0,
            reference: 0.8,
            exponent: 2.0,
            span: None,
        };
        near(curve.rate(0.8), (-10.0f64).exp(), 1e-12);
        near(curve.rate(0.4), (-2.5f64).exp(), 1e-12);
    }

    #[test]
    fn a_flat_end_reaches_no_further_rate() {
        let flat = Curve::Points(vec![
            Point::new(0.5, 0.1),
            Point::new(0.6, 0.1),
            Point::new(0.7, 0.01),
        ]);
        assert_eq!(flat.voltage(0.1), 0.5);
        near(flat.rate(0.3), 0.1, 1e-9);
        assert_eq!(flat.voltage(0.2), f64::NEG_INFINITY);
        let flat = Curve::Points(vec![
            Point::new(0.5, 0.2),
            Point::new(0.6, 0.1),
            Point::new(0.7, 0.1),
        ]);
        assert_eq!(
            (flat.voltage(0.1), flat.voltage(0.05)),
            (0.6, f64::INFINITY)
        );
    }
}
