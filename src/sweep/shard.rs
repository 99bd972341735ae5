//! Which part of the work of a run one of several processes does.

use crate::error::{refuse, Error, Result};
use crate::store;
use crate::units::ChipId;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Most shards of a run.
const MOST: u32 = 1_000_000;

/// One of `count` parts of a run, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `index < count`, and `count` is at most a million.
    pub fn new(index: u32, count: u32) -> Result<Self> {
        if index < count && count <= MOST {
            return Ok(Self { index, count });
        }
        let expected = format!("I/N with I from 0 to N-1, and N at most {MOST}");
        let found = format!("`{index}/{count}`");
        refuse("--shard", expected, found)
    }

    /// Number of the shard, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Number of shards.
    pub fn count(self) -> u32 {
        self.count
    }

    /// True where piece `k` of the work (a training, an attack, the searches of a model) is this shard's.
    pub fn owns(self, k: usize) -> bool {
        k as u64 % u64::from(self.count) == u64::from(self.index)
    }

    /// True where a trial is this shard's.
    pub fn owns_trial(self, design_id: &str, chip: ChipId) -> bool {
        shard_of(self.count, design_id, chip) == self.index
    }
}

/// The shard of `count` that a trial belongs to: even over design points and chips, and the same in every extension of
/// the run.
fn shard_of(count: u32, design_id: &str, chip: ChipId) -> u32 {
    let hash = store::sha256(format!("{design_id}\n{}", chip.0).as_bytes());
    let number = u64::from_str_radix(&hash[..16], 16).unwrap_or(0);
    (number % u64::from(count)) as u32
}

/// The shards of `count` that these trials belong to.
pub fn shards_of(count: u32, trials: &[(String, ChipId)]) -> BTreeSet<u32> {
    let shard = |(design_id, chip): &(String, ChipId)| shard_of(count, design_id, *chip);
    trials.iter().map(shard).collect()
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.parse::<u32>().ok()?, count.parse::<u32>().ok()?))
        });
        let Some((index, count)) = numbers else {
            let expected = "I/N, such as 0/16 for the first of 16";
            return refuse("--shard", expected, format!("`{text}`"));
        };
        Self::new(index, count)
    }
}

/// Which trials of a comparison a call computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All.
    #[default]
    Everything,
    /// Those of one shard, of the next round: as many chips as are known to be needed.
    Shard(Shard),
    /// None: the call only says what is owed.
    Nothing,
}

impl Part {
    /// True where a trial is to be computed.
    pub(super) fn has(self, design_id: &str, chip: ChipId) -> bool {
        match self {
            Self::Everything => true,
            Self::Shard(shard) => shard.owns_trial(design_id, chip),
            Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_is_of_one_shard_and_shards_are_even() {
        for count in [1, 2, 7, 16] {
            let shards: Vec<Shard> = (0..count).map(|i| Shard::new(i, count).unwrap()).collect();
            let mut owned = vec![0; count as usize];
            for design in ["m@0.8vmin", "m@0.85vmin", "other@0.8vmin+secded"] {
                for chip in (0..1000).map(ChipId) {
                    let owners = shards.iter().filter(|s| s.owns_trial(design, chip));
                    assert_eq!(owners.count(), 1);
                    owned[shard_of(count, design, chip) as usize] += 1;
                }
            }
            let even = 3000.0 / f64::from(count);
            assert!(
                owned
                    .iter()
                    .all(|&n| (f64::from(n) - even).abs() < 5.0 * even.sqrt()),
                "{owned:?}"
            );
            let trials = [("m".to_owned(), ChipId(3)), ("n".to_owned(), ChipId(4))];
            assert!(shards_of(count, &trials).iter().all(|index| index < &count));
        }
    }

    #[test]
    fn a_shard_reads_back_and_wrong_ones_are_refused() {
        for text in ["0/1", "3/16", "999999/1000000"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "3",
            "16/16",
            "-1/4",
            "0/0",
            "1/x",
            "auto/4",
            "0/1000001",
        ] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        let second = Shard::new(1, 3).unwrap();
        let own: Vec<usize> = (0..8).filter(|k| second.owns(*k)).collect();
        assert_eq!(own, [1, 4, 7]);
    }
}
