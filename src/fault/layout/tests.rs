//! Facts that layouts hold: every stored bit has one cell, protections do what a plain decoder does, bit by bit.

use super::super::{ArraySpec, CellSource, FaultModel, Read, Stored, Zone};
use super::*;
use crate::seed::{Purpose, Seed};
use crate::stats::{mean, standard_deviation};
use crate::units::{Ber, ChipId, Fraction};

const LAYERS: [(u64, u32); 4] = [(7, 4), (3, 8), (40, 3), (1, 1)];
const PROTECTIONS: [Protection; 4] = [
    Protection::None,
    Protection::Msb(1),
    Protection::ParityZero,
    Protection::Secded,
];

fn words(layers: &[(u64, u32)]) -> Vec<Word> {
    let mut stream = Seed(5).stream(Purpose::Test, &[1]);
    let word = |bits: u32, x: f64| (x * f64::from(1 << bits)) as Word;
    layers
        .iter()
        .flat_map(|&(n, bits)| (0..n).map(move |_| bits))
        .map(|b| word(b, stream.uniform()))
        .collect()
}

fn cell(address: u64) -> FailingCell {
    FailingCell {
        address,
        polarity: 0.5,
    }
}

#[test]
fn every_stored_bit_has_one_cell_and_every_cell_one_bit() {
    let words = words(&LAYERS);
    for protection in PROTECTIONS {
        let layout = Layout::new(LAYERS, protection).unwrap();
        let whole = Exposure::whole(layout.words());
        assert_eq!(
            (layout.words(), layout.data_bits()),
            (51, 28 + 24 + 120 + 1)
        );
        let mut cells: Vec<FailingCell> = (0..layout.span(&whole)).map(cell).collect();
        layout.keep(&whole, &mut cells);
        assert_eq!(cells.len() as u64, layout.cells(), "{protection}");
        let mut seen = std::collections::BTreeSet::new();
        for cell in &cells {
            match layout.held(cell.address) {
                Held::Data { word, bit, bits } => {
                    assert!(bit < bits && seen.insert((word, bit)));
                    assert_eq!(
                        layout.bit(&words, cell.address),
                        words[word as usize] >> bit & 1 == 1
                    );
                }
                Held::Unused => panic!("{protection}: {cell:?} holds nothing"),
                Held::Parity { .. } | Held::Check { .. } => {}
            }
        }
        assert_eq!(seen.len() as u64, layout.data_bits());
        assert_eq!(layout.held(layout.span(&whole)), Held::Unused);
    }
}

#[test]
fn addresses_are_as_the_method_says() {
    let of = |protection| Layout::new([(100, 4)], protection).unwrap();
    assert_eq!(
        of(Protection::None).held(41),
        Held::Data {
            word: 10,
            bit: 1,
            bits: 4
        }
    );
    assert_eq!(
        of(Protection::ParityZero).held(54),
        Held::Parity { word: 10 }
    );
    assert_eq!(
        of(Protection::ParityZero).held(55),
        Held::Data {
            word: 11,
            bit: 0,
            bits: 4
        }
    );
    assert_eq!(
        of(Protection::Secded).held(72 + 5),
        Held::Data {
            word: 17,
            bit: 1,
            bits: 4
        }
    );
    assert_eq!(
        of(Protection::Secded).held(72 + 66),
        Held::Check { unit: 1, bit: 2 }
    );
    // 400 bits: the seventh word has 16 of its 64
    assert_eq!(of(Protection::Secded).cells(), 400 + 7 * 8);
    assert_eq!(of(Protection::Secded).held(6 * 72 + 16), Held::Unused);
}

/// A decoder without a table: the one word that differs in at most one bit and whose check bits fit, else the data.
fn plain_decode(data: u64, check: u8) -> u64 {
    if encode(data) == check {
        return data;
    }
    if (0..8).any(|bit| encode(data) == check ^ 1 << bit) {
        return data;
    }
    (0..64)
        .map(|bit| data ^ 1 << bit)
        .find(|other| encode(*other) == check)
        .unwrap_or(data)
}

fn drawn(
    layout: &Layout,
    array: ArraySpec,
    kind: FaultKind,
    p: f64,
    chip: u32,
    words: &[Word],
) -> Read {
    let model = FaultModel {
        cells: CellSource::Drawn(array),
        kind,
        persistent_share: Fraction::new(1.0).unwrap(),
    };
    let zones = [Zone {
        ber: Ber::new(p).unwrap(),
        exposure: Exposure::whole(layout.words()),
    }];
    let reads = model
        .chip(Seed(3), ChipId(chip), &zones, Stored { words, layout })
        .unwrap();
    reads.access(0).unwrap()
}

const ARRAY: ArraySpec = ArraySpec {
    rows: 128,
    columns: 64,
    word_bits: 64,
    column_correlation: 0.0,
    bank_correlation: 0.0,
};
const WEAK_COLUMNS: ArraySpec = ArraySpec {
    column_correlation: 0.5,
    bank_correlation: 0.1,
    ..ARRAY
};

/// Word by word, bit by bit, from the failing cells of the same chip.
#[test]
fn secded_reads_what_a_plain_decoder_reads() {
    let layers = [(3000, 4), (501, 3)];
    let words = words(&layers);
    let layout = Layout::new(layers, Protection::Secded).unwrap();
    let whole = Exposure::whole(layout.words());
    for array in [ARRAY, WEAK_COLUMNS] {
        for kind in [
            FaultKind::Flip,
            FaultKind::Stuck {
                zero_to_one_share: Fraction::new(0.3).unwrap(),
            },
        ] {
            for p in [0.003, 0.03, 0.3] {
                let chip = super::super::Chip::new(Seed(3), ChipId(2), array).unwrap();
                let mut cells = chip.failing_cells(Ber::new(p).unwrap(), layout.span(&whole));
                layout.keep(&whole, &mut cells);
                let failing = |address| cells.iter().find(|cell| cell.address == address);
                let bits: Vec<(usize, u32)> = words
                    .iter()
                    .enumerate()
                    .flat_map(|(i, _)| (0..if i < 3000 { 4 } else { 3 }).map(move |bit| (i, bit)))
                    .collect();
                let mut expected = words.clone();
                for (unit, own) in (0u64..).zip(bits.chunks(64)) {
                    let data = own
                        .iter()
                        .enumerate()
                        .fold(0u64, |data, (i, &(word, bit))| {
                            data | u64::from(words[word] >> bit & 1) << i
                        });
                    let read_bit =
                        |place: u32, stored: bool| match failing(unit * 72 + u64::from(place)) {
                            Some(cell) => kind.reads(stored, cell),
                            None => stored,
                        };
                    let read = (0..64).fold(0, |read, i| {
                        // bits that the last word lacks are not stored
                        let stored = data >> i & 1 == 1;
                        let read_bit = if (i as usize) < own.len() {
                            read_bit(i, stored)
                        } else {
                            false
                        };
                        read | u64::from(read_bit) << i
                    });
                    let check = encode(data);
                    let check = (0..8).fold(0, |read, i| {
                        read | u8::from(read_bit(64 + i, check >> i & 1 == 1)) << i
                    });
                    let decoded = plain_decode(read, check);
                    for (i, &(word, bit)) in own.iter().enumerate() {
                        let one = (decoded >> i & 1) as Word;
                        expected[word] = expected[word] & !(1 << bit) | one << bit;
                    }
                }
                let mut found = words.clone();
                let read = drawn(&layout, array, kind, p, 2, &words);
                read.words
                    .iter()
                    .for_each(|&(index, word)| found[index] = word);
                assert_eq!(found, expected, "{kind:?} {p}");
                assert_eq!(read.failing_cells, cells.len() as u64);
                assert!(read.words.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }
}

/// Errors drawn without chips, decoded without the table: an independent count of the residual rate.
fn independent_residual(p: f64, words: u32) -> (f64, f64) {
    let mut stream = Seed(77).stream(Purpose::Test, &[2]);
    let rates: Vec<f64> = (0..words)
        .map(|_| {
            let mut errors = 0u128;
            for bit in 0..72 {
                errors |= u128::from(stream.uniform() < p) << bit;
            }
            let (data, check) = (errors as u64, (errors >> 64) as u8);
            f64::from(plain_decode(data, check).count_ones()) / 64.0
        })
        .collect();
    (
        mean(&rates).unwrap(),
        standard_deviation(&rates).unwrap() / f64::from(words).sqrt(),
    )
}

#[test]
fn the_residual_rate_of_secded_is_above_the_closed_form_and_that_of_an_independent_count() {
    let layers = [(160_000, 8)];
    let words = words(&layers);
    let layout = Layout::new(layers, Protection::Secded).unwrap();
    for p in [0.003, 0.01, 0.03] {
        let rates: Vec<f64> = (0..12)
            .map(|chip| {
                let read = drawn(&layout, ARRAY, FaultKind::Flip, p, chip, &words);
                let wrong = read
                    .words
                    .iter()
                    .map(|&(i, word)| (word ^ words[i]).count_ones());
                f64::from(wrong.sum::<u32>()) / layout.data_bits() as f64
            })
            .collect();
        let (found, error) = (
            mean(&rates).unwrap(),
            standard_deviation(&rates).unwrap() / 12f64.sqrt(),
        );
        let bound = p * (1.0 - (1.0 - p).powi(71));
        assert!(
            found + 3.0 * error >= bound,
            "{p}: {found} ± {error}, at least {bound}"
        );
        // a few per cent above the bound at 1 %
        assert!(found < 1.25 * bound, "{p}: {found}, {bound}");
        let (other, other_error) = independent_residual(p, 200_000);
        let joint = (error * error + other_error * other_error).sqrt();
        assert!(
            (found - other).abs() < 4.0 * joint,
            "{p}: {found} ± {error}, {other} ± {other_error}"
        );
    }
}

#[test]
fn weak_columns_leave_secded_more_errors_than_independent_cells() {
    let layers = [(60_000, 8)];
    let words = words(&layers);
    let layout = Layout::new(layers, Protection::Secded).unwrap();
    let residual = |array| {
        let of = |chip| drawn(&layout, array, FaultKind::Flip, 0.003, chip, &words);
        let wrong = |read: &Read| -> u32 {
            read.words
                .iter()
                .map(|&(i, word)| (word ^ words[i]).count_ones())
                .sum()
        };
        (0..10).map(|chip| wrong(&of(chip))).sum::<u32>()
    };
    let (independent, weak) = (residual(ARRAY), residual(WEAK_COLUMNS));
    assert!(weak > 2 * independent, "{weak} {independent}");
}

#[test]
fn a_code_reads_as_zero_exactly_where_its_parity_fails() {
    let words: Vec<Word> = (0..16).collect();
    let layout = Layout::new([(16, 4)], Protection::ParityZero).unwrap();
    for errors in 0..32u32 {
        let cells: Vec<FailingCell> = (0..16 * 5)
            .filter(|a| errors >> (a % 5) & 1 == 1)
            .map(cell)
            .collect();
        let mut read = words.clone();
        for (index, word) in layout.read(FaultKind::Flip, &cells, &words).unwrap() {
            read[index] = word;
        }
        for (stored, read) in words.iter().zip(read) {
            let expected = if errors.count_ones() % 2 == 1 {
                0
            } else {
                stored ^ (errors & 15) as Word
            };
            assert_eq!(read, expected, "{stored} {errors:b}");
        }
    }
}

#[test]
fn robust_bits_have_no_faults_and_the_others_keep_theirs() {
    let layers = [(2000, 4), (1000, 3)];
    let words = words(&layers);
    let read = |protection, planes: std::ops::Range<u32>| {
        let layout = Layout::new(layers, protection).unwrap();
        let model = FaultModel {
            cells: CellSource::Drawn(ARRAY),
            kind: FaultKind::Flip,
            persistent_share: Fraction::new(1.0).unwrap(),
        };
        let exposure = Exposure::whole(3000).within_planes(planes);
        let zones = [Zone {
            ber: Ber::new(0.1).unwrap(),
            exposure: exposure.clone(),
        }];
        let stored = Stored {
            words: &words,
            layout: &layout,
        };
        let read = model
            .chip(Seed(1), ChipId(0), &zones, stored)
            .unwrap()
            .access(0)
            .unwrap();
        (read.words, layout.exposed_cells(&exposure))
    };
    let (all, _) = read(Protection::None, 0..8);
    for robust in 1..=3 {
        let (found, cells) = read(Protection::Msb(robust), robust..8);
        let kept = |&(i, word): &(usize, Word)| {
            let bits = if i < 2000 { 4 } else { 3 };
            let mask = (1 << (bits - robust)) - 1;
            (i, words[i] ^ ((word ^ words[i]) & mask))
        };
        let expected: Vec<(usize, Word)> = all
            .iter()
            .map(kept)
            .filter(|&(i, w)| w != words[i])
            .collect();
        assert_eq!(found, expected);
        assert_eq!(cells, u64::from(2000 * (4 - robust) + 1000 * (3 - robust)));
    }
    assert!(Layout::new(layers, Protection::Msb(4)).is_err());
}

#[test]
fn zones_of_one_rate_are_one_zone_and_each_keeps_its_own() {
    let layers = [(2000, 4), (1000, 3)];
    let words = words(&layers);
    let layout = Layout::new(layers, Protection::None).unwrap();
    for (kind, persistent) in [
        (FaultKind::Flip, 1.0),
        (
            FaultKind::Biased {
                zero_to_one_share: Fraction::new(0.7).unwrap(),
            },
            0.4,
        ),
    ] {
        let model = FaultModel {
            cells: CellSource::Drawn(WEAK_COLUMNS),
            kind,
            persistent_share: Fraction::new(persistent).unwrap(),
        };
        let read = |zones: &[Zone]| {
            let stored = Stored {
                words: &words,
                layout: &layout,
            };
            model
                .chip(Seed(1), ChipId(0), zones, stored)
                .unwrap()
                .access(1)
                .unwrap()
        };
        let whole = Exposure::whole(3000);
        let zone = |p, exposure| Zone {
            ber: Ber::new(p).unwrap(),
            exposure,
        };
        let all = |p| read(&[zone(p, whole.clone())]);
        let halves = |p, q| {
            let (a, b) = (0..1234, 1234..3000);
            read(&[
                zone(q, whole.within_words(&[b])),
                zone(p, whole.within_words(&[a])),
            ])
        };
        let planes = |p, q| {
            read(&[
                zone(p, whole.within_planes(0..1)),
                zone(q, whole.within_planes(1..8)),
            ])
        };
        assert_eq!(halves(0.1, 0.1), all(0.1));
        assert_eq!(planes(0.1, 0.1), all(0.1));
        let mixed = halves(0.2, 0.05);
        let side = |read: &Read, first: bool| -> Vec<(usize, Word)> {
            read.words
                .iter()
                .copied()
                .filter(|(index, _)| (*index < 1234) == first)
                .collect()
        };
        assert_eq!(side(&mixed, true), side(&all(0.2), true));
        assert_eq!(side(&mixed, false), side(&all(0.05), false));
        assert_eq!(planes(0.0, 0.0), Read::default());
        let msb = planes(0.2, 0.0);
        assert!(msb
            .words
            .iter()
            .all(|&(i, word)| word ^ words[i] == if i < 2000 { 8 } else { 4 }));
    }
}

#[test]
fn parts_that_a_protection_cannot_have_are_refused() {
    let part = Exposure::whole(51).within_words(std::slice::from_ref(&(0..7)));
    let plane = Exposure::whole(51).within_planes(0..1);
    let refused = |protection, exposure| {
        Layout::new(LAYERS, protection)
            .unwrap()
            .check_exposure(exposure)
            .is_err()
    };
    let found =
        PROTECTIONS.map(|protection| [refused(protection, &part), refused(protection, &plane)]);
    assert_eq!(
        found,
        [[false, false], [false, false], [false, true], [true, true]]
    );
}
