//! Statistics of samples: estimates with intervals, quantiles, yields, bootstrap. Pure functions.

mod judge;
mod stratified;
mod two_level;

pub use judge::{Judged, Judgement, Risks, Target};
pub use stratified::{
    accuracy, even_images, plan_images, Caution, StratifiedComponents, StratifiedModel,
    StratifiedPlan, Stratum,
};
pub use two_level::{ChipDifference, Components, Difference, Split, LEAST_CHIPS};

use crate::seed::Stream;
use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF, Normal, StudentsT};
use std::ops::RangeInclusive;

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// From so much below a number to so much above it.
    pub fn around(middle: f64, half_width: f64) -> Self {
        Self {
            low: middle - half_width,
            high: middle + half_width,
        }
    }

    /// Both ends kept in [0, 1].
    pub fn of_fraction(self) -> Self {
        Self {
            low: self.low.clamp(0.0, 1.0),
            high: self.high.clamp(0.0, 1.0),
        }
    }

    /// Half of the width.
    pub fn half_width(self) -> f64 {
        0.5 * (self.high - self.low)
    }
}

/// Rounding that a mean of accuracies or losses may miss a limit by.
pub const ROUNDING: f64 = 1e-12;

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

/// Standard deviation of a sorted sample of which few may say little about the rest: where fewer than three differ from
/// the median, the variance is at least that of the rule of three, `3/n` of the sample deviating by the greatest
/// deviation seen, or by `least`. `None` below two values.
pub fn cautious_deviation(sorted: &[f64], least: f64) -> Option<f64> {
    let (std, median) = (standard_deviation(sorted)?, quantile(sorted, 0.5)?);
    let greatest = sorted
        .iter()
        .map(|x| (x - median).abs())
        .fold(least, f64::max);
    let few_differ = sorted.iter().filter(|&&x| x != median).count() < 3;
    Some(if few_differ {
        std.max((3.0 / sorted.len() as f64).sqrt() * greatest)
    } else {
        std
    })
}

/// Quantile `q` in [0, 1] of a sorted sample, linear between order statistics (type 7 of Hyndman
/// and Fan 1996, the default of NumPy, R and polars); `None` for an empty sample.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    Some(below + (above - below) * place.fract())
}

/// The sample in ascending order.
pub fn sorted(xs: &[f64]) -> Vec<f64> {
    let mut xs = xs.to_vec();
    xs.sort_by(f64::total_cmp);
    xs
}

/// Least and greatest of some numbers; of none infinity and minus infinity.
pub fn ends(xs: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    let further = |(low, high): (f64, f64), x| (low.min(x), high.max(x));
    xs.into_iter().fold(none, further)
}

/// Quantile of the standard normal distribution, `Φ⁻¹(p)`; infinite at 0 and 1.
pub fn probit(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// Standard normal distribution function, `Φ(z)`.
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Test images that accuracies were measured on: `used` of `all`, drawn at random with the classes in
/// proportion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSample {
    /// Images evaluated, at least 1.
    pub used: u64,
    /// Images of the test set.
    pub all: u64,
}

impl ImageSample {
    /// True where every image was used.
    pub fn is_whole(self) -> bool {
        self.used >= self.all
    }

    /// Variance that the choice of images gives to `mean`, a mean accuracy over chips in [0, 1], as an
    /// estimate of the mean accuracy on all images: `p (1 - p) / (n - 1) · (1 - n/M)` for `n` of `M` images.
    /// Exactly 0 where all are used.
    ///
    /// An upper bound. Let image `i` be classified correctly on a fraction `q_i` of chips. Of a simple random
    /// sample the variance is that of `q_i` over images, divided by `n`, times `1 - n/M`, and numbers in
    /// [0, 1] with mean `p` have a variance of at most `p (1 - p)`; the divisor is then `n - 1` (Cochran,
    /// Sampling Techniques, 3rd ed., 1977, section 3.2). It is reached where every image is right on all chips
    /// or on none, as without faults. Proportional strata lower it further, up to terms of the order of one
    /// image per class (ibid., section 5.6). So that a sample without a single error, or a single hit, does
    /// not count as certain, `p` is taken with two more of either (Agresti and Coull, The American
    /// Statistician 52(2), 1998), which is nearer to 1/2 and so a bound all the more.
    pub fn variance(self, mean: f64) -> f64 {
        if self.is_whole() {
            return 0.0;
        }
        let (n, all) = (self.used as f64, self.all as f64);
        let p = (n * mean + 2.0) / (n + 4.0);
        p * (1.0 - p) / (n - 1.0).max(1.0) * (1.0 - n / all)
    }

    /// Least number of `all` images on which [`Self::variance`] alone gives a 95 % half-width of at most
    /// `half_width` around `mean`.
    pub fn least(mean: f64, half_width: f64, all: u64) -> u64 {
        let (mut low, mut high) = (1, all.max(1));
        while low < high {
            let used = low + (high - low) / 2;
            if normal_half_width(Self { used, all }.variance(mean)) <= half_width {
                high = used
            } else {
                low = used + 1
            }
        }
        low
    }
}

/// Half-width of the 95 % normal interval of an estimate of the given variance.
pub fn normal_half_width(variance: f64) -> f64 {
    probit(0.975) * variance.sqrt()
}

/// Half-width of the 95 % interval of a mean accuracy over `chips` chips with standard deviation `std`, on
/// images whose choice gives it the variance `images` (see [`ImageSample::variance`]); `None` below two chips.
///
/// `√(t² std² / chips + z² images)`: Student's half-width over chips and the normal one over images, each with
/// its own quantile, added in quadrature, as their errors are uncorrelated (given the images, chips scatter
/// around the mean on these images). It is Student's where `images` is 0, the normal one where `std` is 0, and
/// never below either. The alternative, one t quantile with the degrees of freedom of Welch and
/// Satterthwaite, has no such order: of few chips the quantile falls so fast with the second variance that
/// fewer images could give a narrower interval; and `images` is a bound, which has no degrees of freedom.
pub fn mean_half_width(std: f64, chips: usize, images: f64) -> Option<f64> {
    mean_half_width_at(0.975, std, chips, images)
}

/// [`mean_half_width`] for another one-sided confidence in (0.5, 1): the mean less this is a lower bound of that
/// confidence, the mean and this an upper one.
pub fn mean_half_width_at(confidence: f64, std: f64, chips: usize, images: f64) -> Option<f64> {
    let t = StudentsT::new(0.0, 1.0, chips.checked_sub(1)? as f64).ok()?;
    let student = t.inverse_cdf(confidence) * std / (chips as f64).sqrt();
    if images > 0.0 {
        Some((student.powi(2) + (probit(confidence) * images.sqrt()).powi(2)).sqrt())
    } else {
        Some(student)
    }
}

/// Half-width of the 95 % interval of a difference between two methods, from paired trainings and paired chips, on
/// images whose choice gives it the variance `images`; `None` below two trainings.
///
/// `trainings`: standard deviation of the differences of single trainings (each the mean over all chips) and their
/// number; `chips`: that of the differences on single chips (each the mean over all trainings) and their number. The
/// trainings are a sample of all that could have been run, and so are the chips, so both variances of the mean count:
/// `s_t²/T + s_c²/C`, with the degrees of freedom of Welch and Satterthwaite (Biometrics Bulletin 2(6), 1946). The
/// interaction of both is in each of the two: the interval is a little wide rather than narrow. The choice of images
/// comes in as in [`mean_half_width`].
pub fn two_way_half_width(
    trainings: (f64, usize),
    chips: (f64, usize),
    images: f64,
) -> Option<f64> {
    let variance = |(std, n): (f64, usize)| std * std / n as f64;
    let freedom = |(_, n): (f64, usize)| n.saturating_sub(1) as f64;
    if trainings.1 < 2 {
        return None;
    }
    let (a, b) = (
        variance(trainings),
        if chips.1 < 2 { 0.0 } else { variance(chips) },
    );
    let spread = a * a / freedom(trainings) + if b > 0.0 { b * b / freedom(chips) } else { 0.0 };
    let least = freedom(trainings);
    // without any spread there is nothing to weigh: the fewest degrees of freedom
    let df = if spread > 0.0 {
        ((a + b) * (a + b) / spread).max(least)
    } else {
        least
    };
    let t = StudentsT::new(0.0, 1.0, df).ok()?.inverse_cdf(0.975);
    Some((t * t * (a + b) + probit(0.975).powi(2) * images).sqrt())
}

/// 95 % Clopper-Pearson interval of a fraction, from `successes` of `n` (Biometrika 26, 1934);
/// [0, 1] for `n = 0`. For samples of chips or images; for millions of cells there is [`wilson`].
pub fn clopper_pearson(successes: u64, n: u64) -> Interval {
    clopper_pearson_at(0.975, successes, n)
}

/// [`clopper_pearson`] of another confidence: each end alone is a one-sided bound of `confidence`, in (0, 1).
pub fn clopper_pearson_at(confidence: f64, successes: u64, n: u64) -> Interval {
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(p)).ok();
    let (k, m) = (successes as f64, n as f64);
    let low = if successes == 0 {
        Some(0.0)
    } else {
        quantile(k, m - k + 1.0, 1.0 - confidence)
    };
    let high = if successes >= n {
        Some(1.0)
    } else {
        quantile(k + 1.0, m - k, confidence)
    };
    Interval {
        low: low.unwrap_or(0.0),
        high: high.unwrap_or(1.0),
    }
}

/// Probability of at most `k` successes in `n` trials, each of probability `p`, clamped to [0, 1].
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    Binomial::new(p.clamp(0.0, 1.0), n).map_or(f64::NAN, |number| number.cdf(k))
}

/// Least size of a sample without a single failure whose [`clopper_pearson_at`] lower bound reaches `fraction`, in
/// (0, 1): the least `n` with `fraction^n <= 1 - confidence`. 299 for 0.99 at 0.95.
pub fn least_without_failure(fraction: f64, confidence: f64) -> u64 {
    let n = ((1.0 - confidence).ln() / fraction.ln()).ceil().max(1.0);
    n as u64
}

/// 95 % score interval of a fraction, from `successes` of `n` (Wilson, JASA 22, 1927); [0, 1] for `n = 0`. Closed, so that
/// it is safe for millions of cells, where the beta quantiles of [`clopper_pearson`] take minutes or never converge.
pub fn wilson(successes: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let (m, z) = (n as f64, probit(0.975));
    let p = successes as f64 / m;
    let middle = (p + z * z / (2.0 * m)) / (1.0 + z * z / m);
    let half = z * (p * (1.0 - p) / m + z * z / (4.0 * m * m)).sqrt() / (1.0 + z * z / m);
    // exact where nothing, or everything, was a success
    let low = if successes == 0 { 0.0 } else { middle - half };
    let high = if successes >= n { 1.0 } else { middle + half };
    Interval { low, high }
}

/// 95 % percentile bootstrap interval of the mean over chips (Efron 1979) of accuracies, which lie in [0, 1], or of their
/// differences, in [-1, 1]; `None` below two chips. Each resample of chips is moved by a normal draw of the variance
/// `images` (see [`ImageSample::variance`]) and kept in its range; where that is 0 nothing is drawn for it.
pub fn bootstrap_mean(
    xs: &[f64],
    range: RangeInclusive<f64>,
    resamples: usize,
    images: f64,
    stream: &mut Stream,
) -> Option<Interval> {
    if xs.len() < 2 {
        return None;
    }
    let means: Vec<f64> = (0..resamples)
        .map(|_| {
            let sum: f64 = (0..xs.len())
                .map(|_| xs[stream.below(xs.len() as u64) as usize])
                .sum();
            let mean = sum / xs.len() as f64;
            if images > 0.0 {
                (mean + images.sqrt() * stream.normal()).clamp(*range.start(), *range.end())
            } else {
                mean
            }
        })
        .collect();
    let means = sorted(&means);
    Some(Interval {
        low: quantile(&means, 0.025)?,
        high: quantile(&means, 0.975)?,
    })
}

/// Half-width of the 95 % normal interval of an accuracy measured on `images` images, as an estimate of that on
/// images that are not in the test set, from the sampling of images alone: `1.96 √(a (1 - a) / n)`. `None`
/// without images.
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
    fn without_a_choice_of_images_the_half_width_is_students() {
        // 1, 2, 3, 4, 5: s = √2.5, t(0.975, 4) = 2.776445
        near(
            mean_half_width(2.5f64.sqrt(), 5, 0.0).unwrap(),
            2.776445 * (2.5f64 / 5.0).sqrt(),
            1e-5,
        );
        assert_eq!(mean_half_width(0.0, 5, 0.0), Some(0.0));
        assert_eq!(
            (mean_half_width(0.1, 1, 0.0), mean_half_width(0.1, 0, 1e-4)),
            (None, None)
        );
    }

    #[test]
    fn half_widths_of_chips_and_images_add_in_quadrature() {
        // Student's part 3, normal part 4
        let std = 3.0 * 2.0 / 3.182446;
        let images = (4.0 / 1.959964f64).powi(2);
        near(mean_half_width(std, 4, images).unwrap(), 5.0, 1e-5);
        near(mean_half_width(0.0, 4, images).unwrap(), 4.0, 1e-5);
        // fewer images never give a narrower interval, not even of two chips
        assert!(mean_half_width(0.1, 2, 1e-9) >= mean_half_width(0.1, 2, 0.0));
        assert!(mean_half_width(0.1, 2, 1e-2) > mean_half_width(0.1, 2, 1e-3));
    }

    #[test]
    fn the_variance_of_the_choice_of_images_by_hand() {
        // (20·0.8 + 2) / 24 = 0.75; 0.75·0.25 / 19 · (1 - 20/100)
        let sample = ImageSample { used: 20, all: 100 };
        near(sample.variance(0.8), 0.75 * 0.25 / 19.0 * 0.8, 1e-15);
        // many images: p (1 - p) / (n - 1) · (1 - n/M)
        let many = ImageSample {
            used: 10_000,
            all: 40_000,
        };
        near(many.variance(0.6) / (0.24 / 9_999.0 * 0.75), 1.0, 1e-3);
        assert!(sample.variance(1.0) > 0.0 && sample.variance(0.0) > 0.0);
        assert_eq!(
            ImageSample {
                used: 100,
                all: 100
            }
            .variance(0.5),
            0.0
        );
        assert!(ImageSample { used: 1, all: 100 }.variance(0.5).is_finite());
    }

    #[test]
    fn the_least_number_of_images_is_enough_and_one_less_is_not() {
        for (mean, half, all) in [
            (0.5, 0.01, 10_000),
            (0.98, 0.01, 10_000),
            (1.0, 0.01, 2_000),
            (0.3, 1e-6, 300),
        ] {
            let width = |used| normal_half_width(ImageSample { used, all }.variance(mean));
            let least = ImageSample::least(mean, half, all);
            assert!(
                width(least) <= half && width(least - 1) > half,
                "{mean} {half} {all}: {least}"
            );
        }
        assert_eq!(ImageSample::least(0.5, 1.0, 300), 1);
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
        assert_eq!(
            clopper_pearson(0, 0),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn one_sided_bounds_of_shares_and_samples_without_failure() {
        // the lower bound without a failure is the root of 1 - confidence
        let lower = |n| clopper_pearson_at(0.95, n, n).low;
        near(lower(50), 0.05f64.powf(1.0 / 50.0), 1e-9);
        let least = least_without_failure(0.99, 0.95);
        assert_eq!(least, 299);
        assert!(lower(least) >= 0.99 && lower(least - 1) < 0.99);
        // binom.test(8, 10, alternative = "greater"): 0.4930987
        near(clopper_pearson_at(0.95, 8, 10).low, 0.4930987, 1e-6);
        near(
            mean_half_width_at(0.95, 2.5f64.sqrt(), 5, 0.0).unwrap(),
            2.131847 * 0.5f64.sqrt(),
            1e-5,
        );
    }

    #[test]
    fn wilson_intervals_are_as_published() {
        // Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263, 0 of 20
        let (some, none) = (wilson(81, 263), wilson(0, 20));
        assert!(
            (some.low - 0.2553).abs() < 5e-5 && (some.high - 0.3662).abs() < 5e-5,
            "{some:?}"
        );
        assert!(
            none.low == 0.0 && (none.high - 0.1611).abs() < 5e-5,
            "{none:?}"
        );
        assert_eq!(
            wilson(0, 0),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn intervals_of_millions_of_cells_have_the_width_of_a_poisson_count() {
        let bounds = wilson(2000, 12_000_000);
        let half = 1.96 * 2000f64.sqrt() / 12e6;
        assert!(
            (bounds.half_width() / half - 1.0).abs() < 0.01,
            "{bounds:?}"
        );
        assert!(
            (wilson(0, 12_000_000).high * 12e6 - 3.84).abs() < 0.01 && wilson(0, 10).low == 0.0
        );
        assert!(wilson(10, 10).high > 1.0 - 1e-12);
    }

    #[test]
    fn bootstrap_is_seeded_and_covers_the_mean() {
        let xs: Vec<f64> = (0..40).map(|i| 0.1 * f64::from(i % 7)).collect();
        let run = |seed| {
            bootstrap_mean(
                &xs,
                0.0..=1.0,
                1000,
                0.0,
                &mut Seed(seed).stream(Purpose::Bootstrap, &[]),
            )
            .unwrap()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let (interval, mean) = (run(1), mean(&xs).unwrap());
        assert!(interval.low < mean && mean < interval.high);
        let student = mean_half_width(standard_deviation(&xs).unwrap(), 40, 0.0).unwrap();
        near(interval.half_width() / student, 1.0, 0.15);
    }

    #[test]
    fn the_bootstrap_holds_the_choice_of_images_and_stays_a_share() {
        let xs: Vec<f64> = (0..40).map(|i| 0.5 + 0.01 * f64::from(i % 7)).collect();
        let run = |xs: &[f64], images| {
            bootstrap_mean(
                xs,
                0.0..=1.0,
                2000,
                images,
                &mut Seed(1).stream(Purpose::Bootstrap, &[]),
            )
            .unwrap()
        };
        let half = mean_half_width(standard_deviation(&xs).unwrap(), 40, 1e-4).unwrap();
        near(run(&xs, 1e-4).half_width() / half, 1.0, 0.1);
        assert_eq!(run(&xs, 1e-4), run(&xs, 1e-4));
        let sure = run(&[1.0; 8], 1e-4);
        assert_eq!(sure.high, 1.0);
        near(1.0 - sure.low, 0.0196, 0.002);
    }

    #[test]
    fn probit_inverts_the_normal_distribution() {
        near(probit(0.975), 1.959964, 1e-6);
        for p in [1e-9, 1e-4, 0.2, 0.5, 0.9] {
            near(normal_cdf(probit(p)) / p, 1.0, 1e-9);
        }
    }
}
