//! A curve through the losses that a search saw: a straight line between the logits of loss and the logarithm of the rate.

/// Candidates for the slope of the curve, and for where it crosses the limit.
const SLOPES: usize = 24;
const CROSSINGS: usize = 240;
/// Least and greatest slope.
const SLOPE_RANGE: (f64, f64) = (0.3, 5.0);
/// How far the truth may be from any such curve, as a fraction of the loss.
const MISFIT: f64 = 0.1;

/// A loss that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Bit error rate, above 0.
    pub ber: f64,
    /// Mean loss of accuracy, as a fraction.
    pub loss: f64,
    /// Standard error of it.
    pub error: f64,
}

/// Loss of accuracy as a function of the bit error rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    /// The allowed loss, above 0.
    limit: f64,
    /// The greatest loss there can be.
    most: f64,
    /// Logarithm of the rate at which the loss is the limit.
    crossing: f64,
    slope: f64,
}

impl Curve {
    /// The curve nearest to what was seen, by least squares, each point by its error. Its crossing is within, or a little
    /// outside of, `rates`.
    pub(super) fn fit(seen: &[Seen], limit: f64, most: f64, rates: (f64, f64)) -> Self {
        let (low, high) = (rates.0.ln() - 1.0, rates.1.ln() + 1.0);
        let ratio = SLOPE_RANGE.1 / SLOPE_RANGE.0;
        let mut best = Self {
            limit,
            most,
            crossing: high,
            slope: 1.0,
        };
        let mut least = f64::INFINITY;
        for i in 0..SLOPES {
            let slope = SLOPE_RANGE.0 * ratio.powf(i as f64 / (SLOPES - 1) as f64);
            for j in 0..=CROSSINGS {
                let crossing = low + (high - low) * j as f64 / CROSSINGS as f64;
                let curve = Self {
                    crossing,
                    slope,
                    ..best
                };
                // of curves that fit alike the one nearest to proportional losses
                let misfit = curve.misfit(seen) + 0.1 * slope.ln().powi(2);
                if misfit < least {
                    (least, best) = (misfit, curve);
                }
            }
        }
        best
    }

    /// Loss at a rate.
    pub(super) fn loss(&self, ber: f64) -> f64 {
        if ber <= 0.0 {
            return 0.0;
        }
        // where the limit is all that can be lost, its odds would be infinite
        let most = self.most.max(1.001 * self.limit);
        let odds =
            self.limit / (most - self.limit) * (self.slope * (ber.ln() - self.crossing)).exp();
        if odds.is_finite() {
            most * odds / (1.0 + odds)
        } else {
            most
        }
    }

    fn misfit(&self, seen: &[Seen]) -> f64 {
        let mut sum = 0.0;
        for point in seen {
            let fitted = self.loss(point.ber);
            let error = point.error.powi(2) + (MISFIT * fitted).powi(2);
            sum += (point.loss - fitted).powi(2) / error + error.ln();
        }
        sum
    }
}
