//! Statistics of samples: estimates with intervals, quantiles, yields, bootstrap. Pure functions.

use crate::seed::Stream;
use statrs::distribution::{Beta, ContinuousCDF, Normal, StudentsT};

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Half of the width.
    pub fn half_width(self) -> f64 {
        0.5 * (self.high - self.low)
    }
}

/// Arithmetic mean; `None` for an empty sample.
pub fn mean(xs: &[f64]) -> Option<f64> {
    (!xs.is_empty()).then(|| xs.iter().sum::<f64>() / xs.len() as f64)
}

/// Standard deviation with the n-1 divisor; `None` below two values.
pub fn standard_deviation(xs: &[f64]) -> Option<f64> {
    let mean = mean(xs).filter(|_| xs.len() > 1)?;
    let squares: f64 = xs.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (xs.len() - 1) as f64).sqrt())
}

/// Quantile `q` in [0, 1] of a sorted sample, linear between order statistics (type 7 of Hyndman
/// and Fan 1996, the default of NumPy, R and polars); `None` for an empty sample.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// The sample in ascending order.
pub fn sorted(xs: &[f64]) -> Vec<f64> {
    let mut xs = xs.to_vec();
    xs.sort_by(f64::total_cmp);
    xs
}

/// Quantile of the standard normal distribution, `Φ⁻¹(p)`; infinite at 0 and 1.
pub fn probit(p: f64) -> f64 {
    standard_normal().inverse_cdf(p)
}

/// Standard normal distribution function, `Φ(z)`.
pub fn normal_cdf(z: f64) -> f64 {
    standard_normal().cdf(z)
}

fn standard_normal() -> Normal {
    Normal::standard()
}

/// Half-width of the 95 % Student-t interval of a mean with standard deviation `std` of `n`
/// values; `None` below two values.
pub fn student_half_width(std: f64, n: usize) -> Option<f64> {
    let t = StudentsT::new(0.0, 1.0, n.checked_sub(1)? as f64).ok()?;
    Some(t.inverse_cdf(0.975) * std / (n as f64).sqrt())
}

/// 95 % Student-t interval of the mean; `None` below two values.
pub fn student_interval(xs: &[f64]) -> Option<Interval> {
    let (mean, half) = (mean(xs)?, student_half_width(standard_deviation(xs)?, xs.len())?);
    Some(Interval { low: mean - half, high: mean + half })
}

/// 95 % Clopper-Pearson interval of a share, from `successes` of `n` (Biometrika 26, 1934);
/// [0, 1] for `n = 0`.
pub fn clopper_pearson(successes: u64, n: u64) -> Interval {
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(p)).ok();
    let (k, m) = (successes as f64, n as f64);
    let low = if successes == 0 { Some(0.0) } else { quantile(k, m - k + 1.0, 0.025) };
    let high = if successes >= n { Some(1.0) } else { quantile(k + 1.0, m - k, 0.975) };
    Interval { low: low.unwrap_or(0.0), high: high.unwrap_or(1.0) }
}

/// 95 % percentile bootstrap interval of the mean (Efron 1979); `None` below two values.
pub fn bootstrap_mean(xs: &[f64], resamples: usize, stream: &mut Stream) -> Option<Interval> {
    if xs.len() < 2 {
        return None;
    }
    let means: Vec<f64> = (0..resamples)
        .map(|_| {
            let sum: f64 = (0..xs.len()).map(|_| xs[stream.below(xs.len() as u64) as usize]).sum();
            sum / xs.len() as f64
        })
        .collect();
    let means = sorted(&means);
    Some(Interval { low: quantile(&means, 0.025)?, high: quantile(&means, 0.975)? })
}

/// Half-width of the 95 % normal interval of an accuracy measured on `images` images, from the
/// sampling of images alone: `1.96 √(a (1 - a) / n)`. `None` without images.
pub fn image_half_width(accuracy: f64, images: u64) -> Option<f64> {
    (images > 0).then(|| probit(0.975) * (accuracy * (1.0 - accuracy) / images as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn deviation_has_the_n_minus_one_divisor() {
        near(
            standard_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap(),
            (32.0f64 / 7.0).sqrt(),
            1e-12,
        );
        assert_eq!(standard_deviation(&[1.0]), None);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn quantiles_are_type_seven() {
        let xs = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&xs, 0.5), Some(2.5));
        assert_eq!(quantile(&xs, 0.05), Some(1.15));
        assert_eq!(quantile(&xs, 1.0), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn student_interval_of_a_textbook_sample() {
        // n = 5, mean 3, s = √2.5, t(0.975, 4) = 2.776445
        let interval = student_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        near(interval.half_width(), 2.776445 * (2.5f64 / 5.0).sqrt(), 1e-5);
        near(interval.low + interval.half_width(), 3.0, 1e-12);
    }

    #[test]
    fn clopper_pearson_matches_published_values() {
        // R: binom.test(8, 10): 0.4439045 to 0.9747893; binom.test(0, 20): 0 to 0.1684335
        let interval = clopper_pearson(8, 10);
        near(interval.low, 0.4439045, 1e-6);
        near(interval.high, 0.9747893, 1e-6);
        let none = clopper_pearson(0, 20);
        assert_eq!(none.low, 0.0);
        near(none.high, 0.1684335, 1e-6);
        assert_eq!(clopper_pearson(20, 20).high, 1.0);
        assert_eq!(clopper_pearson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn bootstrap_is_seeded_and_covers_the_mean() {
        let xs: Vec<f64> = (0..40).map(|i| f64::from(i % 7)).collect();
        let run = |seed| bootstrap_mean(&xs, 1000, &mut Seed(seed).stream(Purpose::Bootstrap, &[])).unwrap();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let (interval, mean) = (run(1), mean(&xs).unwrap());
        assert!(interval.low < mean && mean < interval.high);
        let student = student_interval(&xs).unwrap();
        near(interval.half_width() / student.half_width(), 1.0, 0.15);
    }

    #[test]
    fn probit_inverts_the_normal_distribution() {
        near(probit(0.975), 1.959964, 1e-6);
        for p in [1e-9, 1e-4, 0.2, 0.5, 0.9] {
            near(normal_cdf(probit(p)) / p, 1.0, 1e-9);
        }
    }
}
