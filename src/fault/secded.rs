//! A single-error-correcting, double-error-detecting code of 64 data bits and 8 check bits, decoded as hardware does.
//!
//! Odd-weight-column code of Hsiao (IBM J. Res. Dev. 14(4), 1970): the 72 columns of the parity-check matrix are
//! distinct bytes with an odd number of ones, those of the check bits the 8 bytes with a single one, those of the data
//! bits all 56 with three and 8 of the 56 with five. An error pattern has the XOR of its columns for a syndrome: odd
//! numbers of errors have an odd syndrome, so no two errors look like one.

/// Data bits of a word.
pub const DATA_BITS: u32 = 64;
/// Check bits of a word.
pub const CHECK_BITS: u32 = 8;

/// Column of each data bit.
const COLUMNS: [u8; DATA_BITS as usize] = columns();
/// What a syndrome stands for.
const MEANINGS: [Meaning; 256] = meanings();

/// Columns of weight three in rising order, then those of weight five that are each other's rotations, so that every
/// row of the matrix has the same number of ones.
const fn columns() -> [u8; DATA_BITS as usize] {
    let mut columns = [0; DATA_BITS as usize];
    let (mut next, mut byte) = (0, 0u32);
    while byte < 256 {
        if byte.count_ones() == 3 {
            columns[next] = byte as u8;
            next += 1;
        }
        byte += 1;
    }
    let mut turn = 0;
    while turn < 8 {
        columns[next] = 0b0001_1111u8.rotate_left(turn);
        next += 1;
        turn += 1;
    }
    columns
}

/// What a decoder takes a syndrome for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Clean,
    Data(u8),
    Check,
    /// No column: at least two errors.
    Detected,
}

const fn meanings() -> [Meaning; 256] {
    let mut meanings = [Meaning::Detected; 256];
    meanings[0] = Meaning::Clean;
    let mut bit = 0;
    while bit < DATA_BITS as usize {
        meanings[COLUMNS[bit] as usize] = Meaning::Data(bit as u8);
        bit += 1;
    }
    let mut check = 0;
    while check < CHECK_BITS {
        meanings[1 << check] = Meaning::Check;
        check += 1;
    }
    meanings
}

/// What came out of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The word is taken for a right one.
    Clean(u64),
    /// One error was corrected, in the data or in the check bits; three errors or more may look like one.
    Corrected(u64),
    /// More errors than one: the data as read.
    Detected(u64),
}

impl Decoded {
    /// The data that the decoder hands on.
    pub fn data(self) -> u64 {
        match self {
            Self::Clean(data) | Self::Corrected(data) | Self::Detected(data) => data,
        }
    }
}

/// Check bits of 64 data bits.
pub fn encode(data: u64) -> u8 {
    let (mut check, mut rest) = (0, data);
    while rest != 0 {
        check ^= COLUMNS[rest.trailing_zeros() as usize];
        rest &= rest - 1;
    }
    check
}

/// Decodes 64 data bits and 8 check bits as they are read.
pub fn decode(data: u64, check: u8) -> Decoded {
    match MEANINGS[(encode(data) ^ check) as usize] {
        Meaning::Clean => Decoded::Clean(data),
        Meaning::Data(bit) => Decoded::Corrected(data ^ 1 << bit),
        Meaning::Check => Decoded::Corrected(data),
        Meaning::Detected => Decoded::Detected(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [u64; 4] = [0, u64::MAX, 0x0123_4567_89ab_cdef, 0x8000_0000_0000_0001];

    /// Inverts bits of a stored word, 0 to 63 data, 64 to 71 check.
    fn with_errors(data: u64, errors: &[u32]) -> (u64, u8) {
        let (mut data, mut check) = (data, encode(data));
        for &bit in errors {
            match bit {
                0..=63 => data ^= 1 << bit,
                _ => check ^= 1 << (bit - 64),
            }
        }
        (data, check)
    }

    #[test]
    fn columns_are_distinct_odd_and_balanced() {
        let mut all: Vec<u8> = COLUMNS.to_vec();
        all.extend((0..8).map(|check| 1u8 << check));
        assert!(all.iter().all(|column| column.count_ones() % 2 == 1));
        let rows: Vec<usize> = (0..8)
            .map(|row| {
                COLUMNS
                    .iter()
                    .filter(|column| *column >> row & 1 == 1)
                    .count()
            })
            .collect();
        assert_eq!(rows, [26; 8]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 72);
    }

    #[test]
    fn every_single_error_is_corrected() {
        for word in WORDS {
            assert_eq!(decode(word, encode(word)), Decoded::Clean(word));
            for bit in 0..72 {
                let (data, check) = with_errors(word, &[bit]);
                assert_eq!(decode(data, check), Decoded::Corrected(word), "bit {bit}");
            }
        }
    }

    #[test]
    fn every_double_error_is_detected_and_left() {
        for a in 0..72 {
            for b in 0..a {
                let (data, check) = with_errors(WORDS[2], &[a, b]);
                assert_eq!(
                    decode(data, check),
                    Decoded::Detected(data),
                    "bits {a} and {b}"
                );
            }
        }
    }

    /// Enumerated without the decoder's table: the column of a third error is, or is not, one of the 72.
    #[test]
    fn triple_errors_are_miscorrected_where_their_columns_add_up_to_a_column() {
        let column = |bit: u32| {
            if bit < 64 {
                COLUMNS[bit as usize]
            } else {
                1 << (bit - 64)
            }
        };
        let columns: Vec<u8> = (0..72).map(column).collect();
        let (mut wrong, mut all) = (0, 0);
        for a in 0..72 {
            for b in 0..a {
                for c in 0..b {
                    let sum = column(a) ^ column(b) ^ column(c);
                    let (data, check) = with_errors(WORDS[2], &[a, b, c]);
                    let found = decode(data, check);
                    all += 1;
                    match columns.iter().position(|known| *known == sum) {
                        Some(bit) => {
                            wrong += 1;
                            let expected = if bit < 64 { data ^ 1 << bit } else { data };
                            assert_eq!(found, Decoded::Corrected(expected));
                        }
                        None => assert_eq!(found, Decoded::Detected(data)),
                    }
                }
            }
        }
        // most triple errors of a (72,64) code look like a single one (Hsiao 1970, table 4: 56 %)
        let fraction = f64::from(wrong) / f64::from(all);
        assert!((0.5..0.62).contains(&fraction), "{fraction}");
    }
}
