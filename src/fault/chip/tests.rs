//! Facts that chips hold: exact rates, nesting, independence of everything else that is drawn.

use super::*;
use crate::stats::{mean, sorted, standard_deviation};

const INDEPENDENT: ArraySpec = ArraySpec {
    rows: 512,
    columns: 64,
    word_bits: 64,
    column_correlation: 0.0,
    bank_correlation: 0.0,
};
/// 28 nm block RAM, see `memory_models/sram-28nm-kc705b-salami2018.yaml`.
const WEAK_COLUMNS: ArraySpec = ArraySpec {
    rows: 512,
    columns: 32,
    word_bits: 8,
    column_correlation: 0.51,
    bank_correlation: 0.05,
};
/// Neither powers of two nor many rows.
const ODD: ArraySpec = ArraySpec {
    rows: 37,
    columns: 12,
    word_bits: 4,
    column_correlation: 0.3,
    bank_correlation: 0.1,
};

fn chip(id: u32, array: ArraySpec) -> Chip {
    Chip::new(Seed(42), ChipId(id), array).unwrap()
}

fn draw(chip: &Chip, p: f64, cells: u64) -> Vec<FailingCell> {
    chip.failing_cells(Ber::new(p).unwrap(), cells)
}

/// Threshold and polarity of every cell of one bank, by reading every octave of every block.
fn thresholds(chip: &Chip, bank: u64) -> Vec<(f64, f64)> {
    let array = chip.array;
    let (rows, columns) = (u64::from(array.rows), u64::from(array.columns));
    let mut cells = vec![(2.0, 2.0); (rows * columns) as usize];
    for octave in 0..=LAST_OCTAVE {
        let (low, high) = match octave {
            LAST_OCTAVE => (0.0, 0.5f64.powi(LAST_OCTAVE as i32)),
            k => (0.5f64.powi(k as i32 + 1), 0.5f64.powi(k as i32)),
        };
        // r = width of the octave / probability of lying above its lower end
        let rate = (high - low) / (1.0 - low);
        let by_column = has_column_blocks(&array, octave);
        for block in if by_column { 1..columns + 1 } else { 0..1 } {
            let key = [u64::from(chip.id.0), bank, block, u64::from(octave)];
            let mut stream = chip.seed.stream(Purpose::Cells, &key);
            let size = if by_column { rows } else { rows * columns };
            let mut next = stream.skip(rate);
            while next < size {
                let cell = if by_column {
                    next * columns + block - 1
                } else {
                    next
                };
                cells[cell as usize] = (low + (high - low) * stream.uniform(), stream.uniform());
                next += 1 + stream.skip(rate);
            }
        }
    }
    cells
}

#[test]
fn nothing_fails_at_zero_and_everything_at_one() {
    for array in [INDEPENDENT, WEAK_COLUMNS, ODD] {
        let chip = chip(0, array);
        assert!(draw(&chip, 0.0, 50_000).is_empty());
        let all = draw(&chip, 1.0, 50_000);
        assert!((0..50_000).eq(all.iter().map(|cell| cell.address)));
        assert!(draw(&chip, 1.0, 0).is_empty());
    }
}

#[test]
fn counts_have_the_mean_and_variance_of_independent_cells() {
    let chips = 400;
    for (p, cells) in [
        (1e-6, 300_000),
        (1e-4, 100_000),
        (3e-3, 40_000),
        (0.03, 40_000),
        (0.11, 3_000),
        (0.4, 3_000),
    ] {
        let counts: Vec<f64> = (0..chips)
            .map(|id| draw(&chip(id, INDEPENDENT), p, cells).len() as f64)
            .collect();
        let (n, mu) = (f64::from(chips), p * cells as f64);
        let variance = mu * (1.0 - p);
        let found = mean(&counts).unwrap();
        assert!(
            (found - mu).abs() < 4.0 * (variance / n).sqrt(),
            "p {p}: mean {found}, expected {mu}"
        );
        // the variance of a sample variance is σ⁴ (2 / (n - 1) + excess kurtosis / n)
        let excess = (1.0 - 6.0 * p * (1.0 - p)) / variance;
        let error = variance * (2.0 / (n - 1.0) + excess / n).sqrt();
        let found = standard_deviation(&counts).unwrap().powi(2);
        assert!(
            (found - variance).abs() < 4.0 * error,
            "p {p}: variance {found}, expected {variance}"
        );
    }
}

#[test]
fn reading_every_threshold_gives_the_same_cells() {
    for array in [INDEPENDENT, WEAK_COLUMNS, ODD] {
        let chip = chip(3, array);
        let size = array.bank_cells();
        for bank in [0, 2] {
            let all = thresholds(&chip, bank);
            for p in [
                1e-7, 1e-4, 1e-3, 0.0078125, 0.02, 0.1, 0.25, 0.3, 0.49, 0.8, 0.9999,
            ] {
                let rates = chip.column_rates(p, bank);
                let expected: Vec<(u64, f64)> = all
                    .iter()
                    .enumerate()
                    .filter(|(cell, (u, _))| *u < rates[cell % rates.len()])
                    .map(|(cell, (_, polarity))| (bank * size + cell as u64, *polarity))
                    .collect();
                let found: Vec<(u64, f64)> = draw(&chip, p, 3 * size)
                    .iter()
                    .filter(|cell| cell.address / size == bank)
                    .map(|cell| (cell.address, cell.polarity))
                    .collect();
                assert_eq!(found, expected, "{} at {p}", array.label());
            }
        }
    }
}

#[test]
fn thresholds_are_uniform() {
    for array in [INDEPENDENT, WEAK_COLUMNS] {
        let us: Vec<f64> = (0..4)
            .flat_map(|id| (0..4).flat_map(move |bank| thresholds(&chip(id, array), bank)))
            .map(|(u, _)| u)
            .collect();
        assert!(us.iter().all(|u| (0.0..1.0).contains(u)));
        // Kolmogorov-Smirnov: √n·D is below 1.95 with probability 0.999
        let distance = |us: &[f64]| {
            let n = us.len() as f64;
            sorted(us)
                .iter()
                .zip(1..)
                .map(|(u, i)| (u - f64::from(i) / n).abs())
                .fold(0.0, f64::max)
                * n.sqrt()
        };
        assert!(distance(&us) < 1.95, "{}", distance(&us));
        for k in 0..10 {
            let low = 0.5f64.powi(k + 1);
            let inside: Vec<f64> = us
                .iter()
                .filter(|u| (low..2.0 * low).contains(*u))
                .map(|u| u / low - 1.0)
                .collect();
            let (n, p) = (us.len() as f64, low);
            assert!(
                (inside.len() as f64 - n * p).abs() < 4.0 * (n * p).sqrt(),
                "octave {k}"
            );
            assert!(
                distance(&inside) < 1.95,
                "octave {k}: {}",
                distance(&inside)
            );
        }
    }
}

#[test]
fn neighbours_and_octaves_are_independent() {
    // the thresholds of neighbouring cells are uncorrelated, and so are those of two chips
    let (a, b) = (
        thresholds(&chip(0, INDEPENDENT), 0),
        thresholds(&chip(1, INDEPENDENT), 0),
    );
    let correlation = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
        let products: Vec<f64> = pairs.map(|(x, y)| 12.0 * (x - 0.5) * (y - 0.5)).collect();
        mean(&products).unwrap() * (products.len() as f64).sqrt()
    };
    let neighbours = correlation(&mut a.windows(2).map(|w| (w[0].0, w[1].0)));
    let chips = correlation(&mut a.iter().zip(&b).map(|(x, y)| (x.0, y.0)));
    let polarity = correlation(&mut a.iter().copied());
    for z in [neighbours, chips, polarity] {
        assert!(z.abs() < 4.0, "{neighbours} {chips} {polarity}");
    }
}

#[test]
fn faults_nest_as_the_voltage_falls() {
    for array in [INDEPENDENT, WEAK_COLUMNS, ODD] {
        let chip = chip(7, array);
        let rates = [
            1e-6,
            1e-5,
            6.1e-5,
            2f64.powi(-14),
            1e-3,
            0.01,
            0.03125,
            0.1,
            0.3,
            0.5,
            0.7,
            1.0,
        ];
        for pair in rates.windows(2) {
            let (few, many) = (draw(&chip, pair[0], 100_000), draw(&chip, pair[1], 100_000));
            let mut rest = many.iter();
            assert!(
                few.iter().all(|cell| rest.any(|other| other == cell)),
                "{pair:?}"
            );
        }
    }
}

#[test]
fn a_chip_does_not_depend_on_the_network() {
    for array in [INDEPENDENT, WEAK_COLUMNS, ODD] {
        let chip = chip(5, array);
        for p in [0.002, 0.3] {
            let all = draw(&chip, p, 80_000);
            for cells in [
                1,
                100,
                array.bank_cells() - 1,
                array.bank_cells() + 17,
                79_999,
            ] {
                let expected: Vec<_> = all
                    .iter()
                    .filter(|cell| cell.address < cells)
                    .copied()
                    .collect();
                assert_eq!(draw(&chip, p, cells), expected, "{cells} cells at {p}");
            }
        }
    }
}

#[test]
fn seeds_and_chips_share_no_faults() {
    let base = draw(&chip(0, INDEPENDENT), 0.01, 100_000);
    assert_eq!(base, draw(&chip(0, INDEPENDENT), 0.01, 100_000));
    let other_seed = Chip::new(Seed(43), ChipId(0), INDEPENDENT).unwrap();
    for other in [
        draw(&chip(1, INDEPENDENT), 0.01, 100_000),
        draw(&other_seed, 0.01, 100_000),
    ] {
        let common = other
            .iter()
            .filter(|cell| base.iter().any(|b| b.address == cell.address))
            .count();
        // 10 expected
        assert!((1..30).contains(&common), "{common}");
    }
}

#[test]
fn polarity_is_uniform_at_every_rate() {
    for p in [0.001, 0.2] {
        let cells = draw(&chip(0, INDEPENDENT), p, (40.0e3 / p) as u64);
        let fraction = Fraction::new(0.3).unwrap();
        let ones = cells.iter().filter(|cell| cell.reads_one(fraction)).count() as f64;
        let n = cells.len() as f64;
        assert!(
            (ones - 0.3 * n).abs() < 4.0 * (0.21 * n).sqrt(),
            "{ones} of {n}"
        );
    }
}

#[test]
fn weak_columns_keep_the_rate_exact() {
    for (array, p) in [
        (WEAK_COLUMNS, 0.002),
        (WEAK_COLUMNS, 0.1),
        (ODD, 0.03),
        (ODD, 0.4),
    ] {
        // banks are independent of each other: 1000 of them give the error of the mean
        let size = array.bank_cells();
        let mut counts = vec![0.0; 1000];
        for cell in draw(&chip(11, array), p, 1000 * size) {
            counts[(cell.address / size) as usize] += 1.0;
        }
        let (found, error) = (
            mean(&counts).unwrap(),
            standard_deviation(&counts).unwrap() / 1000f64.sqrt(),
        );
        let expected = p * size as f64;
        assert!(
            (found - expected).abs() < 4.0 * error,
            "{found} ± {error}, expected {expected}"
        );
        assert!(error < 0.1 * expected);
    }
}

#[test]
fn cells_of_a_column_fail_together_as_stated() {
    // P(two cells fail) at p = 1/2 is 1/4 + asin(ρ) / 2π for Gaussian thresholds
    let array = ArraySpec {
        rows: 2,
        columns: 2,
        word_bits: 2,
        column_correlation: 0.6,
        bank_correlation: 0.2,
    };
    let banks = 100_000;
    let mut fails = vec![[false; 4]; banks];
    for cell in draw(&chip(0, array), 0.5, 4 * banks as u64) {
        fails[(cell.address / 4) as usize][(cell.address % 4) as usize] = true;
    }
    let fraction =
        |i: usize, j: usize| fails.iter().filter(|f| f[i] && f[j]).count() as f64 / banks as f64;
    let expected = |rho: f64| 0.25 + rho.asin() / std::f64::consts::TAU;
    for (i, j, rho) in [(0, 2, 0.6), (1, 3, 0.6), (0, 1, 0.2), (0, 3, 0.2)] {
        assert!(
            (fraction(i, j) - expected(rho)).abs() < 0.006,
            "cells {i} and {j}: {}",
            fraction(i, j)
        );
    }
}

/// Method, section 3: Kintex-7 at 0.53 V. The published map stores every byte twice, so half of its
/// 890 blocks of 16384 cells are statistically independent.
#[test]
fn weak_columns_fill_as_few_columns_as_the_28_nm_map() {
    let (banks, p) = (445, 2274.0 / (890.0 * 16384.0));
    let filled = |array: ArraySpec| {
        let counts: Vec<f64> = (0..10)
            .map(|id| {
                let cells = draw(&chip(id, array), p, banks * 16384);
                let mut columns: Vec<u64> = cells
                    .iter()
                    .map(|cell| cell.address / 16384 * 32 + cell.address % 32)
                    .collect();
                columns.sort_unstable();
                columns.dedup();
                columns.len() as f64
            })
            .collect();
        mean(&counts).unwrap()
    };
    // expected by integration over the columns' weakness: 384 at 0.51, 334 at 0.55, 1093 independent
    let weak = filled(WEAK_COLUMNS);
    assert!((weak - 384.0).abs() < 35.0, "{weak}");
    let weaker = filled(ArraySpec {
        column_correlation: 0.55,
        ..WEAK_COLUMNS
    });
    assert!((weaker - 334.0).abs() < 35.0, "{weaker}");
    let independent = filled(ArraySpec {
        column_correlation: 0.0,
        bank_correlation: 0.0,
        ..WEAK_COLUMNS
    });
    assert!((independent - 1093.0).abs() < 35.0, "{independent}");
}

#[test]
fn octaves_merge_as_sorted_hits_of_which_the_deepest_of_a_cell_stays() {
    let mut stream = Seed(7).stream(Purpose::Test, &[]);
    for count in [0, 1, 5, 60] {
        let (mut hits, mut plain) = (Hits::default(), Vec::new());
        for octave in 0..8 {
            let mut addresses: Vec<u64> = (0..count).map(|_| stream.below(100)).collect();
            addresses.sort_unstable();
            addresses.dedup();
            for address in addresses {
                hits.push(address, f64::from(octave));
                plain.push(FailingCell {
                    address,
                    polarity: f64::from(octave),
                });
            }
            hits.merge();
        }
        // stable, and deeper octaves stand first
        plain.sort_by_key(|cell| cell.address);
        plain.dedup_by_key(|cell| cell.address);
        assert_eq!(hits.deepest, plain, "{count}");
    }
}
