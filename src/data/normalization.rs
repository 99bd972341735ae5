//! Mean and standard deviation of pixels, and the names that they go by.

use crate::error::{refuse, Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// Mean and standard deviation per channel: a pixel `p` of 0 to 255 becomes `(p/255 - mean)/std`. Written as its two
/// lists, read from them or from a text as [`FromStr`] takes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Normalization {
    /// One number per channel, or one for all, in [0, 1].
    pub mean: Vec<f32>,
    /// As many, in [0.001, 10].
    pub std: Vec<f32>,
}

/// Mean and standard deviation, each one number per channel or one for all.
pub(super) type Statistics = (&'static [f32], &'static [f32]);

/// Those of torchvision's and timm's checkpoints, and of Idelbayev's CIFAR ResNets.
pub(super) const IMAGENET: Statistics = (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);

/// Those of CIFAR-10, over the pixels of its training set.
pub(super) const CIFAR_10: Statistics = (&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]);

/// Names of well-known statistics, with what they are.
const NAMED: [(&str, Statistics); 5] = [
    ("imagenet", IMAGENET),
    ("cifar10", CIFAR_10),
    // timm's vision transformers that were trained by Google
    ("half", (&[0.5], &[0.5])),
    ("none", (&[0.0], &[1.0])),
    // networks that take pixels of 0 to 255, see `Normalization::tables`
    ("raw", (&[0.0], &[RAW])),
];

/// The deviation that `raw` is written with.
const RAW: f32 = 1.0 / 255.0;

/// What a text must be.
const EXPECTED: &str =
    "imagenet, cifar10, half, none, raw, or MEAN/STD with a number for each channel, such as \
                        0.5,0.5,0.5/0.25,0.25,0.25, or one for all";

impl Normalization {
    /// Statistics that have a name.
    pub fn named(name: &str) -> Option<Self> {
        let known = NAMED.iter().find(|(known, _)| *known == name);
        known.map(|(_, statistics)| Self::of(*statistics))
    }

    pub(super) fn of((mean, std): Statistics) -> Self {
        Self {
            mean: mean.to_vec(),
            std: std.to_vec(),
        }
    }

    /// Checks lengths and ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] where there are not as many deviations as means, or a number is out of range.
    pub fn check(&self) -> Result<()> {
        for (key, values, range) in [
            ("mean", &self.mean, 0.0..=1.0),
            ("std", &self.std, 0.001..=10.0),
        ] {
            let lengths = [1, 3].contains(&values.len()) && self.mean.len() == self.std.len();
            if !lengths || !values.iter().all(|value| range.contains(value)) {
                return refuse(
                    format!("dataset.normalization.{key}"),
                    format!(
                        "one number or three, as many as of the other key, from {} to {} (pixels as 0 to 1)",
                        range.start(),
                        range.end()
                    ),
                    format!("{values:?}"),
                );
            }
        }
        Ok(())
    }

    /// The same with a number for each channel, where there is one for all.
    #[must_use]
    pub fn spread(&self, channels: usize) -> Self {
        match (self.mean.as_slice(), self.std.as_slice()) {
            ([mean], [std]) => Self {
                mean: vec![*mean; channels],
                std: vec![*std; channels],
            },
            _ => self.clone(),
        }
    }

    /// The normalised value of each pixel value, for each channel; those of `raw` are the pixel values themselves, which
    /// the division of a rounded number by a rounded number would miss.
    ///
    /// # Panics
    /// Where there are fewer numbers than channels ([`Self::spread`]).
    pub fn tables(&self, channels: usize) -> Vec<[f32; 256]> {
        let mut tables = Vec::with_capacity(channels);
        for channel in 0..channels {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            tables.push(std::array::from_fn(|pixel| {
                if (mean, std) == (0.0, RAW) {
                    return pixel as f32;
                }
                (pixel as f32 / 255.0 - mean) / std
            }));
        }
        tables
    }

    /// [`Self::check`] and [`Self::spread`] for images of that many channels.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::Argument`] where the numbers are those of another number of channels.
    pub fn for_channels(&self, channels: usize) -> Result<Self> {
        self.check()?;
        let spread = self.spread(channels);
        if spread.mean.len() == channels {
            Ok(spread)
        } else {
            refuse(
                "--normalize (dataset.normalization)",
                format!("numbers for images of {channels} channels"),
                format!("`{self}`, which has {}", self.mean.len()),
            )
        }
    }
}

/// Its name where it has one, else MEAN/STD.
impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alike = |(name, statistics): &(&'static str, Statistics)| {
            let named = Self::of(*statistics).spread(self.mean.len());
            (named == *self).then_some(*name)
        };
        if let Some(name) = NAMED.iter().find_map(alike) {
            return f.write_str(name);
        }
        write!(f, "{}/{}", list(&self.mean), list(&self.std))
    }
}

/// Numbers with commas between them.
fn list(values: &[f32]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(",")
}

impl FromStr for Normalization {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if let Some(named) = Self::named(text.trim()) {
            return Ok(named);
        }
        let numbers = |text: &str| -> Option<Vec<f32>> {
            text.split(',')
                .map(|number| number.trim().parse().ok())
                .collect()
        };
        let parts = text.split_once('/');
        let both = parts.and_then(|(mean, std)| Some((numbers(mean)?, numbers(std)?)));
        let Some((mean, std)) = both else {
            let found = format!("`{text}`");
            return refuse("dataset.normalization", EXPECTED, found);
        };
        let normalization = Self { mean, std };
        normalization.check()?;
        Ok(normalization)
    }
}

impl<'de> Deserialize<'de> for Normalization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Forms)
    }
}

/// The two lists.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// A text or two lists.
struct Forms;

impl<'de> Visitor<'de> for Forms {
    type Value = Normalization;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, MEAN/STD, or the keys `mean` and `std`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Normalization, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Normalization, M::Error> {
        let Lists { mean, std } = Lists::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Normalization { mean, std })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_read_back() {
        for text in [
            "imagenet",
            "cifar10",
            "half",
            "none",
            "raw",
            "0.1/0.3",
            "0.1,0.2,0.3/1,2,0.5",
        ] {
            let read: Normalization = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(
                read.spread(3)
                    .to_string()
                    .parse::<Normalization>()
                    .unwrap()
                    .spread(3),
                read.spread(3)
            );
            let json = serde_json::to_string(&read).unwrap();
            assert!(json.starts_with("{\"mean\":["), "{json}");
            assert_eq!(serde_json::from_str::<Normalization>(&json).unwrap(), read);
            let text = serde_json::to_string(text).unwrap();
            assert_eq!(serde_json::from_str::<Normalization>(&text).unwrap(), read);
        }
    }

    #[test]
    fn raw_pixels_are_themselves() {
        let raw: Normalization = "raw".parse().unwrap();
        let written = serde_json::to_string(&raw.for_channels(3).unwrap()).unwrap();
        let read: Normalization = serde_json::from_str(&written).unwrap();
        assert_eq!(read.to_string(), "raw");
        for table in read.tables(3) {
            assert!((0..=255u8).all(|pixel| table[usize::from(pixel)] == f32::from(pixel)));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "ImageNet",
            "0.5",
            "0.5/",
            "a/b",
            "0.5,0.5/0.5,0.5",
            "0.5/0",
            "2/1",
            "nan/1",
            "0.5/inf",
            "0.1,0.2,0.3/0.5",
        ] {
            let error = text.parse::<Normalization>().unwrap_err();
            assert!(
                error.to_string().starts_with("dataset.normalization"),
                "{text}: {error}"
            );
        }
        let colour: Normalization = "imagenet".parse().unwrap();
        assert!(colour.for_channels(1).is_err());
        assert_eq!(colour.for_channels(3).unwrap(), colour);
        let half = Normalization::named("half").unwrap();
        assert_eq!(half.for_channels(3).unwrap().mean, [0.5; 3]);
    }
}
