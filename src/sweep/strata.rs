//! Strata of the test images of a model, by how far its clean answers are from the other kind.

use crate::engine::Answers;
use crate::error::{Error, Result};
use crate::seed::{Purpose, Seed};
use crate::stats::{self, Stratum};
use crate::table::text_value;
use crate::units::ChipId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Relative sizes of the strata of the images that the clean network has right, those nearest to a wrong answer first.
/// Few images near the border change their answers, many far from it hardly ever do: sizes double.
const RIGHT: [u64; 6] = [1, 1, 2, 4, 8, 16];
/// Relative sizes of the strata of the others, those nearest to a right answer first.
const WRONG: [u64; 3] = [1, 1, 2];

/// The strata of a model.
#[derive(Debug)]
pub(super) struct Partition {
    /// Stratum of each image.
    of: Vec<usize>,
    /// Images of each stratum.
    pub(super) sizes: Vec<u64>,
}

impl Partition {
    /// The images that the clean network has right, and the others, each by margin.
    pub(super) fn of(clean: &Answers) -> Self {
        Self::split(clean, [&RIGHT, &WRONG])
    }

    /// The images that the clean network has right, and the others; none of a kind that there is not.
    pub(super) fn by_answer(clean: &Answers) -> Self {
        Self::split(clean, [&[1], &[1]])
    }

    /// Right and wrong images, each parted in these proportions.
    fn split(clean: &Answers, [right, wrong]: [&[u64]; 2]) -> Self {
        let mut all = Self {
            of: vec![0; clean.right.len()],
            sizes: Vec::new(),
        };
        for (is_right, fractions) in [(true, right), (false, wrong)] {
            let alike = (0..clean.right.len()).filter(|place| clean.right[*place] == is_right);
            let mut places: Vec<usize> = alike.collect();
            // in one part there is no order
            if fractions.len() > 1 {
                let distance = |place: &usize| clean.margins[*place].abs();
                places.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            }
            all.cut(&places, fractions);
        }
        all
    }

    /// So many of the right and of the wrong images, as numbers of strata by answer.
    pub(super) fn numbers(&self, (right, wrong): (u64, u64)) -> Vec<u64> {
        // a kind that there is not has no stratum and asks for none
        [right, wrong].into_iter().filter(|n| *n > 0).collect()
    }

    /// Makes strata of these images in proportion to the fractions; none without images.
    fn cut(&mut self, places: &[usize], fractions: &[u64]) {
        let (whole, mut before, mut start) = (fractions.iter().sum::<u64>(), 0, 0);
        for fraction in fractions {
            before += fraction;
            let end = (places.len() as u64 * before / whole) as usize;
            if start < end {
                for place in &places[start..end] {
                    self.of[*place] = self.sizes.len();
                }
                self.sizes.push((end - start) as u64);
            }
            start = end;
        }
    }

    /// Ascending places of so many images of each stratum, for one chip.
    ///
    /// A chip has one random order of the images, the same for all models; a stratum gives its first ones. So within a
    /// stratum every subset is equally likely, and models whose strata are alike are seen through like images
    /// (permanent random numbers; Ohlsson in Business Survey Methods, Wiley 1995).
    pub(super) fn places(&self, seed: Seed, chip: ChipId, numbers: &[u64]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.of.len() as u32).collect();
        let mut stream = seed.stream(Purpose::ChipImages, &[chip.0.into()]);
        let (mut places, mut owed) = (Vec::new(), numbers.to_vec());
        let images: u64 = numbers.iter().sum();
        let mut left = order.len();
        while (places.len() as u64) < images && left > 0 {
            left -= 1;
            order.swap(left, stream.below(left as u64 + 1) as usize);
            let place = order[left];
            let owed = &mut owed[self.of[place as usize]];
            if *owed > 0 {
                *owed -= 1;
                places.push(place);
            }
        }
        places.sort_unstable();
        places
    }

    #[cfg(test)]
    pub(super) fn stratum(&self, place: usize) -> usize {
        self.of[place]
    }

    /// What a chip showed: whether the image of each place was right.
    pub(super) fn shown(&self, places: &[u32], right: &[bool]) -> Strata {
        let none = |all: &u64| Stratum {
            all: *all,
            images: 0,
            correct: 0,
        };
        let mut strata: Vec<Stratum> = self.sizes.iter().map(none).collect();
        for (place, right) in places.iter().zip(right) {
            let stratum = &mut strata[self.of[*place as usize]];
            stratum.images += 1;
            stratum.correct += u64::from(*right);
        }
        Strata(strata)
    }
}

/// What a chip showed in each stratum of the test images: `correct/images/all`, after semicolons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Strata(Vec<Stratum>);

impl Strata {
    /// Estimated accuracy of the chip on all test images.
    pub fn accuracy(&self) -> f64 {
        stats::accuracy(&self.0)
    }

    /// True for the strata of a trial with so many images, of which so many were right.
    pub fn add_up_to(&self, images: u64, correct: u64) -> bool {
        let sum = |of: fn(&Stratum) -> u64| self.0.iter().map(of).try_fold(0, u64::checked_add);
        sum(|s| s.images) == Some(images)
            && sum(|s| s.correct) == Some(correct)
            && sum(|s| s.all).is_some()
    }

    /// True where both are of the same strata, whatever was seen of them.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let sizes = |own: &Self| own.0.iter().map(|s| s.all).collect::<Vec<_>>();
        sizes(self) == sizes(other)
    }

    /// True where so many images of each stratum were looked at.
    pub fn have(&self, sizes: &[u64], numbers: &[u64]) -> bool {
        let own = self.0.iter().map(|s| (s.all, s.images));
        own.eq(sizes.iter().copied().zip(numbers.iter().copied()))
    }
}

impl AsRef<[Stratum]> for Strata {
    fn as_ref(&self) -> &[Stratum] {
        &self.0
    }
}

impl fmt::Display for Strata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, s) in self.0.iter().enumerate() {
            let after = if place > 0 { ";" } else { "" };
            write!(f, "{after}{}/{}/{}", s.correct, s.images, s.all)?;
        }
        Ok(())
    }
}

impl FromStr for Strata {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let stratum = |part: &str| {
            let numbers: Vec<u64> = part.split('/').flat_map(str::parse).collect();
            match numbers[..] {
                [correct, images, all] if correct <= images && 0 < images && images <= all => {
                    Some(Stratum {
                        all,
                        images,
                        correct,
                    })
                }
                _ => None,
            }
        };
        let strata: Option<Vec<Stratum>> = text.split(';').map(stratum).collect();
        let strata = strata.map(Self).filter(|own| own.to_string() == text);
        strata.ok_or_else(|| {
            let expected = "`correct/images/all` of each stratum, after semicolons";
            Error::argument("strata", expected, format!("`{text}`"))
        })
    }
}

impl TryFrom<String> for Strata {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Strata> for String {
    fn from(strata: Strata) -> Self {
        strata.to_string()
    }
}

text_value!(Strata);
