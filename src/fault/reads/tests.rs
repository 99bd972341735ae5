//! Facts that reads hold: exact marginal rates of every kind, persistent and transient, and what is left alone.

use super::super::Protection;
use super::*;
use crate::stats::{mean, standard_deviation};

const INDEPENDENT: ArraySpec = ArraySpec {
    rows: 128,
    columns: 32,
    word_bits: 32,
    column_correlation: 0.0,
    bank_correlation: 0.0,
};
const WEAK_COLUMNS: ArraySpec = ArraySpec {
    column_correlation: 0.5,
    bank_correlation: 0.1,
    ..INDEPENDENT
};
const WORDS: usize = 5000;
const BITS: u32 = 4;

fn fraction(x: f64) -> Fraction {
    Fraction::new(x).unwrap()
}

fn ber(p: f64) -> Ber {
    Ber::new(p).unwrap()
}

fn model(array: ArraySpec, kind: FaultKind, persistent: f64) -> FaultModel {
    FaultModel {
        cells: CellSource::Drawn(array),
        kind,
        persistent_share: fraction(persistent),
    }
}

/// All of so many words at a rate, and where they lie.
fn whole(words: u64, p: f64) -> ([Zone; 1], Layout) {
    let zones = [Zone {
        ber: ber(p),
        exposure: Exposure::whole(words),
    }];
    (
        zones,
        Layout::new([(words, BITS)], Protection::None).unwrap(),
    )
}

/// Reads of words that are all alike.
fn reads(model: &FaultModel, id: u32, p: f64, word: Word, accesses: u64) -> Vec<Read> {
    let words = vec![word; WORDS];
    let (zones, layout) = whole(WORDS as u64, p);
    let chip = model
        .chip(
            Seed(9),
            ChipId(id),
            &zones,
            Stored {
                words: &words,
                layout: &layout,
            },
        )
        .unwrap();
    (0..accesses)
        .map(|access| chip.access(access).unwrap())
        .collect()
}

/// Bits that read otherwise.
fn changed(read: &Read, word: Word) -> f64 {
    read.words
        .iter()
        .map(|(_, other)| f64::from((other ^ word).count_ones()))
        .sum()
}

/// Mean of numbers with its standard error.
fn estimate(xs: &[f64]) -> (f64, f64) {
    (
        mean(xs).unwrap(),
        standard_deviation(xs).unwrap() / (xs.len() as f64).sqrt(),
    )
}

const CELLS: f64 = WORDS as f64 * BITS as f64;

#[test]
fn an_access_has_the_rate_whatever_share_of_it_is_persistent() {
    for array in [INDEPENDENT, WEAK_COLUMNS] {
        for persistent in [0.0, 0.3, 0.9, 1.0] {
            for p in [0.002, 0.1, 0.45] {
                let model = model(array, FaultKind::Flip, persistent);
                let counts: Vec<f64> = (0..200)
                    .map(|id| changed(&reads(&model, id, p, 5, 3)[2], 5))
                    .collect();
                let (found, error) = estimate(&counts);
                assert!(
                    (found - p * CELLS).abs() < 4.0 * error,
                    "{persistent} {p}: {found} ± {error}"
                );
                if array == INDEPENDENT {
                    // independent cells: a binomial count, whose variance has a relative error of 0.1
                    let (variance, expected) = (200.0 * error * error, CELLS * p * (1.0 - p));
                    assert!(
                        (variance / expected - 1.0).abs() < 0.45,
                        "{variance} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_persistent_share_of_the_rate_is_there_in_every_access() {
    let (p, s) = (0.1, 0.4);
    for array in [INDEPENDENT, WEAK_COLUMNS] {
        let model = model(array, FaultKind::Flip, s);
        let always: Vec<f64> = (0..100)
            .map(|id| {
                let reads = reads(&model, id, p, 0, 12);
                let masks = |read: &Read| {
                    let mut masks = vec![0; WORDS];
                    read.words
                        .iter()
                        .for_each(|&(index, word)| masks[index] = word);
                    masks
                };
                let mut all = masks(&reads[0]);
                for read in &reads[1..] {
                    all.iter_mut()
                        .zip(masks(read))
                        .for_each(|(all, mask)| *all &= mask);
                }
                all.iter()
                    .map(|mask: &Word| f64::from(mask.count_ones()))
                    .sum()
            })
            .collect();
        let (found, error) = estimate(&always);
        // beside the persistent ones only cells of the very weakest columns fail twelve times by chance
        let expected = s * p * CELLS;
        let by_chance = if array == INDEPENDENT {
            0.0
        } else {
            0.02 * expected
        };
        assert!(
            (found - expected).abs() < 4.0 * error + by_chance,
            "{found} ± {error}, expected {expected}"
        );
    }
}

#[test]
fn accesses_without_persistence_share_faults_by_chance_alone() {
    let p = 0.05;
    let model = model(INDEPENDENT, FaultKind::Flip, 0.0);
    let both: Vec<f64> = (0..200)
        .map(|id| {
            let reads = reads(&model, id, p, 0, 2);
            let second: std::collections::BTreeMap<usize, Word> =
                reads[1].words.iter().copied().collect();
            let common = |&(index, word): &(usize, Word)| {
                second.get(&index).map_or(0, |o| (o & word).count_ones())
            };
            reads[0]
                .words
                .iter()
                .map(|read| f64::from(common(read)))
                .sum()
        })
        .collect();
    let (found, error) = estimate(&both);
    assert!(
        (found - p * p * CELLS).abs() < 4.0 * error,
        "{found} ± {error}"
    );
}

#[test]
fn faults_of_one_access_nest_as_the_voltage_falls() {
    for array in [INDEPENDENT, WEAK_COLUMNS] {
        for persistent in [0.0, 0.5, 1.0] {
            let model = model(array, FaultKind::Flip, persistent);
            let at = |p| reads(&model, 3, p, 0, 2)[1].words.clone();
            for pair in [0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 1.0].windows(2) {
                let more: std::collections::BTreeMap<usize, Word> =
                    at(pair[1]).into_iter().collect();
                let nested = |(index, word): &(usize, Word)| {
                    more.get(index).is_some_and(|o| o & word == *word)
                };
                assert!(at(pair[0]).iter().all(nested), "{persistent} {pair:?}");
            }
        }
    }
}

#[test]
fn nothing_fails_at_zero_and_everything_at_one() {
    for array in [INDEPENDENT, WEAK_COLUMNS] {
        for persistent in [0.0, 0.5, 1.0] {
            let flips = model(array, FaultKind::Flip, persistent);
            assert_eq!(reads(&flips, 0, 0.0, 6, 1)[0], Read::default());
            let all = &reads(&flips, 0, 1.0, 6, 1)[0];
            assert_eq!(all.failing_cells as f64, CELLS);
            assert!(all.words.len() == WORDS && all.words.iter().all(|(_, word)| *word == 9));
            for (ones, read) in [(0.0, 0), (1.0, 15)] {
                let stuck = model(
                    array,
                    FaultKind::Stuck {
                        zero_to_one_share: fraction(ones),
                    },
                    persistent,
                );
                let all = &reads(&stuck, 0, 1.0, 6, 1)[0];
                assert!(
                    all.words.len() == WORDS && all.words.iter().all(|(_, word)| *word == read)
                );
            }
        }
    }
}

#[test]
fn biased_flips_have_the_rate_of_the_bit_that_is_stored() {
    for array in [INDEPENDENT, WEAK_COLUMNS] {
        for persistent in [0.3, 1.0] {
            for (s, p) in [(0.0, 0.1), (0.25, 0.1), (0.5, 0.02), (0.8, 0.3), (1.0, 0.5)] {
                let model = model(
                    array,
                    FaultKind::Biased {
                        zero_to_one_share: fraction(s),
                    },
                    persistent,
                );
                for (word, rate) in [(0, 2.0 * s * p), (15, 2.0 * (1.0 - s) * p)] {
                    let counts: Vec<f64> = (0..100)
                        .map(|id| changed(&reads(&model, id, p, word, 1)[0], word))
                        .collect();
                    let (found, error) = estimate(&counts);
                    let expected = rate * CELLS;
                    assert!(
                        (found - expected).abs() <= 4.0 * error,
                        "{s} {p} {word}: {found} ± {error}"
                    );
                    let exact = rate == 0.0 || rate == 1.0;
                    assert_eq!(
                        counts.iter().all(|count| *count == expected),
                        exact,
                        "{s} {p} {word}"
                    );
                }
            }
        }
    }
}

#[test]
fn even_bias_flips_the_cells_of_plain_flips() {
    let even = model(
        WEAK_COLUMNS,
        FaultKind::Biased {
            zero_to_one_share: fraction(0.5),
        },
        1.0,
    );
    let plain = model(WEAK_COLUMNS, FaultKind::Flip, 1.0);
    assert_eq!(reads(&even, 1, 0.2, 6, 1), reads(&plain, 1, 0.2, 6, 1));
}

#[test]
fn a_biased_rate_above_one_is_refused() {
    let model = model(
        INDEPENDENT,
        FaultKind::Biased {
            zero_to_one_share: fraction(0.8),
        },
        1.0,
    );
    let (zones, layout) = whole(1, 0.7);
    let stored = Stored {
        words: &[0],
        layout: &layout,
    };
    let error = model
        .chip(Seed(1), ChipId(0), &zones, stored)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("bit error rate: expected at most 0.625 with"),
        "{error}"
    );
}

#[test]
fn stuck_cells_err_on_the_share_that_holds_the_other_value() {
    // of cells that hold 0, a fraction of the failing ones reads 1
    let stuck = model(
        INDEPENDENT,
        FaultKind::Stuck {
            zero_to_one_share: fraction(0.3),
        },
        0.5,
    );
    for (word, rate) in [(0, 0.3 * 0.2), (15, 0.7 * 0.2)] {
        let counts: Vec<f64> = (0..100)
            .map(|id| changed(&reads(&stuck, id, 0.2, word, 1)[0], word))
            .collect();
        let (found, error) = estimate(&counts);
        assert!(
            (found - rate * CELLS).abs() < 4.0 * error,
            "{word}: {found} ± {error}"
        );
    }
}

#[test]
fn exposed_bits_keep_their_faults_and_others_have_none() {
    use super::super::{FaultSpec, Noise};
    let words = vec![5; WORDS];
    let layers = [("a", 1000), ("b", 2500), ("c", 1500)];
    for (kind, persistent) in [
        (FaultKind::Flip, 1.0),
        (
            FaultKind::Biased {
                zero_to_one_share: fraction(0.7),
            },
            0.4,
        ),
    ] {
        let model = model(WEAK_COLUMNS, kind, persistent);
        let read = |spec: &FaultSpec| {
            let exposure = Exposure::new(spec, &layers).unwrap();
            let (mut zones, layout) = whole(WORDS as u64, 0.2);
            zones[0].exposure = exposure;
            let stored = Stored {
                words: &words,
                layout: &layout,
            };
            model
                .chip(Seed(9), ChipId(4), &zones, stored)
                .unwrap()
                .access(1)
                .unwrap()
        };
        let all = read(&FaultSpec::default());
        let of_b = FaultSpec {
            layers: vec!["b".into()],
            ..FaultSpec::default()
        };
        let expected: Vec<(usize, Word)> = all
            .words
            .iter()
            .copied()
            .filter(|(index, _)| (1000..3500).contains(index))
            .collect();
        assert_eq!(read(&of_b).words, expected);
        let msb = FaultSpec {
            noise: Noise::Msb,
            ..FaultSpec::default()
        };
        let expected: Vec<(usize, Word)> = all
            .words
            .iter()
            .filter(|(_, word)| (word ^ 5) >> 3 == 1)
            .map(|&(i, _)| (i, 5 ^ 8))
            .collect();
        assert_eq!(read(&msb).words, expected);
        assert_eq!(read(&msb).failing_cells, expected.len() as u64);
    }
}

#[test]
fn listed_cells_are_read_chip_by_chip_within_the_memory() {
    let cell = |address, polarity| FailingCell { address, polarity };
    let listed = vec![vec![cell(0, 0.0), cell(5, 0.0), cell(900, 0.0)], vec![]];
    let model = FaultModel {
        cells: CellSource::Listed(Arc::new(listed)),
        kind: FaultKind::Flip,
        persistent_share: fraction(1.0),
    };
    let (zones, layout) = whole(2, 0.0);
    let stored = Stored {
        words: &[0, 0],
        layout: &layout,
    };
    let read = |id| {
        model
            .chip(Seed(1), ChipId(id), &zones, stored)
            .and_then(|chip| chip.access(0))
    };
    assert_eq!(
        read(0).unwrap(),
        Read {
            failing_cells: 2,
            words: vec![(0, 1), (1, 2)]
        }
    );
    assert_eq!(read(1).unwrap(), Read::default());
    let error = read(2).unwrap_err().to_string();
    assert_eq!(
        error,
        "chip: expected 0 to 1, the chips of the fault map, found 2"
    );
}
