//! Facts that the fit holds: known lines of published counts, closed forms, coverage of its intervals.

use super::*;
use crate::seed::{Purpose, Seed, Stream};
use std::path::Path;

const VC707: &str =
    "voltage,faults,cells\n0.60,4,33751040\n0.59,24,33751040\n0.58,146,33751040\n0.57,772,33751040\n\
                     0.56,2732,33751040\n0.55,7520,33751040\n0.54,23706,33751040\n";
const KC705B: &str =
    "voltage,faults,cells\n0.59,2,14581760\n0.58,8,14581760\n0.57,26,14581760\n0.56,62,14581760\n\
                      0.55,252,14581760\n0.54,690,14581760\n0.53,2274,14581760\n";

fn measurements(csv: &str) -> Measurements {
    Measurements::parse(Path::new("m.csv"), csv).unwrap()
}

fn fitted(csv: &str, copies: u64) -> Fit {
    Fit::new(&measurements(csv), copies).unwrap()
}

#[track_caller]
fn near(a: f64, b: f64, relative: f64) {
    assert!((a / b - 1.0).abs() <= relative, "{a} is not {b}");
}

#[test]
fn published_counts_have_the_lines_of_an_independent_program() {
    // grouped likelihood maximised by another program in another language; independent binomials would give
    // 0.43373 and 0.03325, 0.39726 and 0.03676
    for (csv, copies, mu, sigma, se_mu, se_sigma) in [
        (VC707, 1, 0.43497, 0.03289, 0.00068, 0.00021),
        (KC705B, 1, 0.40175, 0.03557, 0.00270, 0.00074),
        (KC705B, 2, 0.40175, 0.03557, 0.00381, 0.00105),
    ] {
        let fit = fitted(csv, copies);
        near(fit.mu.value, mu, 2e-5);
        near(fit.sigma.value, sigma, 2e-4);
        // standard errors of the observed information
        near(fit.mu.interval.unwrap().half_width(), 1.96 * se_mu, 0.02);
        near(
            fit.sigma.interval.unwrap().half_width(),
            1.96 * se_sigma,
            0.02,
        );
    }
}

#[test]
fn chi_squares_of_published_counts_are_those_of_an_independent_program() {
    let goodness = fitted(VC707, 1).goodness.unwrap();
    // every group has 5 expected cells
    near(goodness.chi_square, 164.611, 1e-3);
    assert_eq!(goodness.degrees_of_freedom, 5);
    assert!(goodness.p_value < 1e-30);
    // the three highest voltages are one group: 13 observed, 8.195 expected
    let goodness = fitted(KC705B, 2).goodness.unwrap();
    assert_eq!(goodness.degrees_of_freedom, 3);
    let pooled = [
        (13.0, 8.195),
        (18.0, 23.308),
        (95.0, 80.75),
        (219.0, 258.622),
        (792.0, 765.742),
    ];
    near(
        goodness.chi_square,
        pooled
            .iter()
            .map(|(o, e): &(f64, f64)| (o - e).powi(2) / e)
            .sum(),
        1e-3,
    );
    assert!(fitted(VC707, 1)
        .misfit()
        .unwrap()
        .contains("at 0.6 the measured rate is 0.45 times"));
}

#[test]
fn two_voltages_are_met_exactly() {
    let fit = fitted("voltage,faults,cells\n0.5,159,1000\n0.7,23,1000\n", 1);
    let (z_low, z_high) = (probit(0.159), probit(0.023));
    let sigma = 0.2 / (z_low - z_high);
    near(fit.sigma.value, sigma, 1e-6);
    near(fit.mu.value, 0.5 + sigma * z_low, 1e-6);
    near(fit.rate(0.7), 0.023, 1e-5);
    assert_eq!((fit.goodness, fit.misfit()), (None, None));
}

#[test]
fn copies_widen_the_intervals_and_leave_the_line() {
    let (once, twice) = (fitted(VC707, 1), fitted(VC707, 2));
    near(once.mu.value, twice.mu.value, 1e-7);
    near(once.sigma.value, twice.sigma.value, 1e-6);
    let widths = |fit: &Fit| fit.mu.interval.unwrap().half_width();
    near(widths(&twice) / widths(&once), 2f64.sqrt(), 1e-3);
    let odd = Fit::new(&measurements("voltage,faults,cells\n1,3,10\n2,2,10\n"), 2)
        .unwrap_err()
        .to_string();
    assert!(odd.contains("multiples of 2"), "{odd}");
    assert!(Fit::new(&measurements(VC707), 0).is_err());
    assert!(Fit::new(&measurements("voltage,ber\n1,0.2\n2,0.1\n"), 2).is_err());
}

#[test]
fn rates_without_cells_are_fitted_by_least_squares_without_interval() {
    let fit = fitted(
        "voltage,ber\n0.750,2.0559e-1\n0.792,5.5729e-2\n0.833,1.1150e-2\n0.875,1.2900e-3\n0.917,6.8660e-5\n\
         0.958,1.9070e-6\n1.0,0\n",
        1,
    );
    assert_eq!(fit.method, FitMethod::LeastSquares);
    near(fit.mu.value, 0.7056, 2e-4);
    near(fit.sigma.value, 0.0552, 2e-3);
    near(fit.worst().unwrap().1.abs(), 0.10, 0.1);
    assert_eq!(
        (
            fit.mu.interval,
            fit.sigma.widened,
            fit.goodness,
            fit.misfit()
        ),
        (None, None, None, None)
    );
    let kinked = fitted("voltage,ber\n0.5,0.1\n0.6,0.09\n0.7,1e-6\n", 1);
    assert!(kinked
        .misfit()
        .unwrap()
        .starts_with("a straight probit line does not fit: at 0.7"));
}

/// Counts of a simulated array: cells with normal failure voltages, counted again at each voltage.
fn simulated(mu: f64, sigma: f64, stream: &mut Stream) -> Measurements {
    let voltages = [0.80, 0.75, 0.70, 0.65, 0.60];
    let cells: Vec<f64> = (0..2000).map(|_| mu + sigma * stream.normal()).collect();
    let count = |v: f64| cells.iter().filter(|u| **u > v).count();
    let rows: Vec<String> = voltages
        .iter()
        .map(|&v| format!("{v},{},2000\n", count(v)))
        .collect();
    measurements(&format!("voltage,faults,cells\n{}", rows.concat()))
}

#[test]
fn intervals_cover_the_truth_and_p_values_are_uniform() {
    let mut stream = Seed(1).stream(Purpose::Test, &[]);
    let (mu, sigma, runs) = (0.55, 0.1, 400);
    let fits: Vec<Fit> = (0..runs)
        .map(|_| Fit::new(&simulated(mu, sigma, &mut stream), 1).unwrap())
        .collect();
    for (truth, of) in [
        (mu, (|f| f.mu) as fn(&Fit) -> Parameter),
        (sigma, |f| f.sigma),
    ] {
        let values: Vec<f64> = fits.iter().map(|f| of(f).value).collect();
        let half = fits
            .iter()
            .map(|f| of(f).interval.unwrap().half_width())
            .sum::<f64>()
            / runs as f64;
        let mean = values.iter().sum::<f64>() / runs as f64;
        let std = crate::stats::standard_deviation(&values).unwrap();
        assert!(
            (mean - truth).abs() < 4.0 * std / (runs as f64).sqrt(),
            "{mean} {truth}"
        );
        // the standard deviation of 400 draws is known to 4 %
        near(std, half / 1.96, 0.12);
        let covered = fits
            .iter()
            .filter_map(|f| of(f).interval)
            .filter(|i| i.low < truth && truth < i.high);
        // 380 ± 4.4
        assert!((366..=394).contains(&covered.count()));
    }
    let p: Vec<f64> = fits
        .iter()
        .filter_map(|f| f.goodness)
        .map(|g| g.p_value)
        .collect();
    assert_eq!(p.len(), runs);
    let mean = p.iter().sum::<f64>() / runs as f64;
    let variance = p.iter().map(|p| (p - 0.5).powi(2)).sum::<f64>() / runs as f64;
    assert!(
        (mean - 0.5).abs() < 0.06 && (variance * 12.0 - 1.0).abs() < 0.2,
        "{mean} {variance}"
    );
    assert!(fits.iter().filter(|f| f.misfit().is_some()).count() < 13);
}

#[test]
fn a_bent_curve_is_rejected_and_its_intervals_widened() {
    let fit = fitted(
        "voltage,faults,cells\n0.5,20000,100000\n0.6,18000,100000\n0.7,200,100000\n0.8,0,100000\n",
        1,
    );
    assert!(fit
        .misfit()
        .unwrap()
        .starts_with("a straight probit line does not fit: chi-square"));
    let (usual, wide) = (fit.mu.interval.unwrap(), fit.mu.widened.unwrap());
    assert!(wide.low < usual.low && usual.high < wide.high);
    // Student's quantile with so few degrees of freedom is above the normal one
    let g = fit.goodness.unwrap();
    assert!(
        wide.half_width() > usual.half_width() * g.dispersion.sqrt() * 0.8,
        "{wide:?} {usual:?}"
    );
}

#[test]
fn logarithms_of_probabilities_are_right_in_both_tails() {
    // ln Φ(-40) of the asymptotic series to 12 digits
    near(log_cdf(-40.0), -804.608442013754, 1e-10);
    near(log_cdf(-30.0 + 1e-9), log_cdf(-30.0 - 1e-9), 1e-8);
    for (a, b) in [
        (-3.0, -2.0),
        (-1.0, 1.5),
        (2.0, 3.0),
        (f64::NEG_INFINITY, -1.0),
    ] {
        near(
            log_between(a, b),
            (normal_cdf(b) - normal_cdf(a)).ln(),
            1e-9,
        );
    }
    near(log_between(6.0, 7.0), log_between(-7.0, -6.0), 1e-12);
}

#[test]
fn counts_without_a_line_are_refused() {
    for (csv, found) in [
        (
            "voltage,faults,cells\n0.5,10,100\n",
            "1 voltages with failures",
        ),
        (
            "voltage,faults,cells\n0.5,10,100\n0.6,0,100\n",
            "1 voltages with failures",
        ),
        (
            "voltage,faults,cells\n0.5,10,100\n0.6,10,100\n",
            "2 voltages with failures, equally many",
        ),
        ("voltage,ber\n0.5,0\n0.6,0\n", "0 voltages with failures"),
    ] {
        let error = Fit::new(&measurements(csv), 1).unwrap_err();
        assert!(
            error.is_wrong_input() && error.to_string().ends_with(&format!("found {found}")),
            "{error}"
        );
    }
}

/// Counts of three readings at four voltages that scatter more than binomial ones.
const REPEATED: &str = "voltage,faults,cells\n0.50,9300,20000\n0.50,9480,20000\n0.50,14020,30000\n0.54,4480,20000\n\
                        0.54,4390,20000\n0.54,6780,30000\n0.58,1190,20000\n0.58,1290,20000\n0.58,1750,30000\n\
                        0.62,290,50000\n0.62,150,20000\n";

#[test]
fn repeated_counts_have_the_line_and_the_dispersion_of_an_independent_program() {
    // statsmodels 0.14, sm.GLM(np.c_[k, n - k], sm.add_constant(-V), sm.families.Binomial(links.Probit())): mu = a/b,
    // sigma = 1/b, pearson_chi2, df_resid; the intervals by scipy's brentq on the profile of the same log-likelihood,
    // with norm.ppf(0.975)**2 and with t.ppf(0.975, 9)**2 * pearson_chi2 / df_resid
    let fit = fitted(REPEATED, 1);
    assert_eq!(fit.method, FitMethod::PooledBinomial);
    near(fit.mu.value, 0.49727604, 1e-7);
    near(fit.sigma.value, 0.05287437, 1e-6);
    let goodness = fit.goodness.unwrap();
    near(goodness.chi_square, 242.782033, 1e-5);
    assert_eq!(goodness.degrees_of_freedom, 9);
    near(goodness.dispersion, 26.975781, 1e-5);
    for (interval, low, high) in [
        (fit.mu.interval, 0.496_808_59, 0.497_737_38),
        (fit.mu.widened, 0.494_376_50, 0.499_955_71),
        (fit.sigma.interval, 0.052_388_90, 0.053_367_24),
        (fit.sigma.widened, 0.050_069_15, 0.055_945_65),
    ] {
        near(interval.unwrap().low, low, 2e-6);
        near(interval.unwrap().high, high, 2e-6);
    }
    // by about the root of the dispersion, and Student's quantile of 9 in place of the normal one
    let ratio = fit.mu.widened.unwrap().half_width() / fit.mu.interval.unwrap().half_width();
    near(ratio, 26.975781f64.sqrt() * 2.262 / 1.960, 0.01);
    assert!(fit
        .misfit()
        .unwrap()
        .contains("5.2 times as much as binomial ones"));
    let twice = fitted(REPEATED, 2);
    near(twice.mu.value, fit.mu.value, 1e-7);
    near(twice.goodness.unwrap().dispersion, 26.975781 / 2.0, 1e-5);
}

#[test]
fn counts_that_scatter_like_binomial_ones_are_not_widened_and_cover_the_truth() {
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let (mu, sigma, runs) = (0.5, 0.05, 200);
    let (mut covered, mut widened) = (0, 0);
    for _ in 0..runs {
        let mut csv = "voltage,faults,cells\n".to_owned();
        for voltage in [0.45, 0.50, 0.50, 0.55, 0.60] {
            let fails = (0..500).filter(|_| mu + sigma * stream.normal() > voltage);
            csv += &format!("{voltage},{},500\n", fails.count());
        }
        let fit = fitted(&csv, 1);
        let interval = fit.mu.widened.or(fit.mu.interval).unwrap();
        covered += usize::from(interval.low < mu && mu < interval.high);
        widened += usize::from(fit.mu.widened.is_some());
    }
    // 95 % and, with a quantile of few degrees of freedom in half of the runs, more
    assert!((182..=200).contains(&covered), "{covered}");
    assert!((60..=140).contains(&widened), "{widened}");
}

#[test]
fn whole_curves_up_to_every_cell_have_the_line_of_an_independent_program() {
    // the multinomial likelihood of the increments by scipy's log_ndtr and Nelder-Mead
    let fit = fitted(
        "voltage,faults,cells\n0.40,1000000,1000000\n0.45,900000,1000000\n0.50,400000,1000000\n\
         0.55,30000,1000000\n0.60,200,1000000\n0.65,0,1000000\n",
        1,
    );
    assert_eq!(fit.method, FitMethod::GroupedLikelihood);
    near(fit.mu.value, 0.49150990, 1e-6);
    near(fit.sigma.value, 0.03151037, 1e-5);
    assert!(fit.mu.interval.is_some() && fit.misfit().is_some());
    // groups of 287, 31424, 362085, 512342, 92021 and 1841 expected cells, the least one pooled
    assert_eq!(fit.goodness.unwrap().degrees_of_freedom, 3);
    let steep = fitted(
        "voltage,faults,cells\n0.1,1000,1000\n0.2,1000,1000\n0.5,600,1000\n0.52,300,1000\n0.9,0,1000\n",
        1,
    );
    assert!((0.5..0.52).contains(&steep.mu.value), "{steep:?}");
    let rates = fitted(
        "voltage,ber\n0.4,1\n0.45,0.9\n0.5,0.4\n0.55,0.03\n0.6,0\n",
        1,
    );
    assert!((0.48..0.50).contains(&rates.mu.value), "{rates:?}");
}

#[test]
fn numbers_that_rise_are_fitted_unless_they_rise_on_the_whole() {
    let fit = fitted(
        "voltage,ber\n0.54,7.6e-3\n0.55,2.1e-3\n0.56,2.2e-3\n0.57,9e-5\n",
        1,
    );
    assert!(fit.sigma.value > 0.0 && fit.rate(0.54) > fit.rate(0.57));
    let fit = fitted(
        "voltage,faults,cells\n0.48,1400,10000\n0.5,900,10000\n0.52,600,10000\n0.55,400,10000\n0.57,420,10000\n0.6,180,10000\n\
         0.63,90,10000\n0.7,10,10000\n",
        1,
    );
    assert_eq!(fit.method, FitMethod::PooledBinomial);
    assert!(fit.mu.widened.is_some());
    for csv in [
        "voltage,ber\n0.5,0.01\n0.6,0.02\n",
        "voltage,faults,cells\n0.5,10,1000\n0.6,200,1000\n0.7,400,1000\n",
    ] {
        let error = Fit::new(&measurements(csv), 1).unwrap_err();
        assert!(
            error.is_wrong_input() && error.to_string().contains("are the voltages swapped?"),
            "{error}"
        );
    }
    let error = Fit::new(&measurements("voltage,ber\n0.5,1\n0.6,0.5\n0.7,0\n"), 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("found 1 voltages with failures of some cells, not of all"),
        "{error}"
    );
}
