//! The settings of a data set: its name, held-out share, augmentation and normalisation; reads no image.

use super::MAX_IMAGES;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A data set that the program knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    /// Built in: drawn digits, no file needed.
    #[default]
    Glyphs,
    /// Handwritten digits (LeCun, Cortes, Burges): 60,000 and 10,000 grey images of 28x28.
    Mnist,
    /// Small photographs (Krizhevsky 2009): 50,000 and 10,000 colour images of 32x32.
    Cifar10,
}

impl DatasetName {
    /// Every data set.
    pub const ALL: [Self; 3] = [Self::Glyphs, Self::Mnist, Self::Cifar10];

    /// The word used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glyphs => "glyphs",
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// The name used in tables and figures.
    pub fn title(self) -> &'static str {
        match self {
            Self::Glyphs => "glyphs",
            Self::Mnist => "MNIST",
            Self::Cifar10 => "CIFAR-10",
        }
    }

    /// Number of classes; labels are 0 to `classes() - 1`.
    pub fn classes(self) -> usize {
        10
    }

    /// Colour channels of an image.
    pub fn channels(self) -> usize {
        match self {
            Self::Glyphs | Self::Mnist => 1,
            Self::Cifar10 => 3,
        }
    }

    /// Rows of an image.
    pub fn height(self) -> usize {
        match self {
            Self::Glyphs | Self::Mnist => 28,
            Self::Cifar10 => 32,
        }
    }

    /// Columns of an image.
    pub fn width(self) -> usize {
        self.height()
    }

    /// Mean and standard deviation over all pixels of the training set, per channel, pixels in [0, 1].
    /// Those of the glyphs are of the default [`GlyphSpec`]; all are recomputed by the tests.
    pub fn default_normalization(self) -> Normalization {
        let (mean, std): (&[f32], &[f32]) = match self {
            Self::Glyphs => (&[0.1682], &[0.2138]),
            Self::Mnist => (&[0.1307], &[0.3081]),
            Self::Cifar10 => (&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]),
        };
        Normalization { mean: mean.to_vec(), std: std.to_vec() }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DatasetName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(|name| format!("`{name}`")).collect();
            Error::argument("dataset", format!("one of {}", known.join(", ")), format!("`{text}`"))
        })
    }
}

/// Mean and standard deviation per channel: a pixel `p` of 0 to 255 becomes `(p/255 - mean)/std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// One number per channel, in [0, 1].
    pub mean: Vec<f32>,
    /// One number per channel, in [0.001, 10].
    pub std: Vec<f32>,
}

impl Normalization {
    /// Checks lengths and ranges for images of that many channels.
    ///
    /// # Errors
    /// [`Error::Argument`] where a length is not `channels` or a number is out of range.
    pub fn check(&self, channels: usize) -> Result<()> {
        for (key, values, range) in [("mean", &self.mean, 0.0..=1.0), ("std", &self.std, 0.001..=10.0)] {
            if values.len() != channels || !values.iter().all(|value| range.contains(value)) {
                return Err(Error::argument(
                    format!("dataset.normalization.{key}"),
                    format!(
                        "{channels} numbers from {} to {} (pixels as 0 to 1)",
                        range.start(),
                        range.end()
                    ),
                    format!("{values:?}"),
                ));
            }
        }
        Ok(())
    }
}

/// How training images are varied. The default varies nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirror left and right with probability one half; for `cifar10` only, since a mirrored digit is another sign.
    pub flip: bool,
    /// Black pixels put around the image, 0 to 8, of which a window of the image's size is cut at random.
    pub crop_padding: usize,
}

impl Augmentation {
    /// True where images stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Size and seed of the built-in glyphs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlyphSpec {
    /// Training images, 10 to 1,000,000.
    pub training_images: u64,
    /// Test images, 10 to 1,000,000.
    pub test_images: u64,
    /// Seed of the images. It is not the run's seed: runs of different seeds see the same data set.
    pub seed: u64,
}

impl Default for GlyphSpec {
    fn default() -> Self {
        Self { training_images: 12_000, test_images: 2_000, seed: 1 }
    }
}

/// The settings of a data set, as in a configuration file under `dataset`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSpec {
    /// Which data set.
    pub name: DatasetName,
    /// Share of the training set that is held out for validation, in [0, 0.5].
    pub validation: f64,
    /// How training images are varied.
    pub augmentation: Augmentation,
    /// Mean and standard deviation; the data set's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Size and seed of the glyphs, for `glyphs` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glyphs: Option<GlyphSpec>,
}

impl Default for DatasetSpec {
    fn default() -> Self {
        Self {
            name: DatasetName::default(),
            validation: 0.1,
            augmentation: Augmentation::default(),
            normalization: None,
            glyphs: None,
        }
    }
}

impl DatasetSpec {
    /// The default settings of a data set.
    pub fn of(name: DatasetName) -> Self {
        Self { name, ..Self::default() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the key, what it may hold and what it holds.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: String| {
            Err(Error::argument(format!("dataset.{key}"), expected, found))
        };
        if !(0.0..=0.5).contains(&self.validation) {
            return wrong("validation", "a share from 0 to 0.5", self.validation.to_string());
        }
        if self.augmentation.flip && self.name != DatasetName::Cifar10 {
            let found = format!("true with `{}`", self.name);
            return wrong("augmentation.flip", "false: only images of `cifar10` may be mirrored", found);
        }
        if self.augmentation.crop_padding > 8 {
            let found = self.augmentation.crop_padding.to_string();
            return wrong("augmentation.crop_padding", "0 to 8 pixels", found);
        }
        self.normalization().check(self.name.channels())?;
        let Some(glyphs) = &self.glyphs else { return Ok(()) };
        if self.name != DatasetName::Glyphs {
            return wrong(
                "glyphs",
                "nothing: it is for the data set `glyphs`",
                format!("it with `{}`", self.name),
            );
        }
        for (key, images) in
            [("training_images", glyphs.training_images), ("test_images", glyphs.test_images)]
        {
            if !(10..=MAX_IMAGES).contains(&images) {
                return wrong(&format!("glyphs.{key}"), "10 to 1000000 images", images.to_string());
            }
        }
        Ok(())
    }

    /// The normalisation in force.
    pub fn normalization(&self) -> Normalization {
        self.normalization.clone().unwrap_or_else(|| self.name.default_normalization())
    }

    /// Size and seed of the glyphs in force.
    pub fn glyph_spec(&self) -> GlyphSpec {
        self.glyphs.clone().unwrap_or_default()
    }

    /// The same settings with every default written out, as a resolved configuration holds them.
    pub fn resolved(&self) -> Self {
        Self {
            normalization: Some(self.normalization()),
            glyphs: (self.name == DatasetName::Glyphs).then(|| self.glyph_spec()),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<DatasetSpec> {
        let spec: DatasetSpec =
            serde_json::from_str(json).map_err(|e| Error::argument("json", "a spec", e.to_string()))?;
        spec.check().map(|()| spec)
    }

    #[test]
    fn names_read_back_and_an_unknown_one_lists_them() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
        }
        let error = "CIFAR".parse::<DatasetName>().unwrap_err().to_string();
        assert_eq!(error, "dataset: expected one of `glyphs`, `mnist`, `cifar10`, found `CIFAR`");
    }

    #[test]
    fn an_empty_spec_is_glyphs_with_a_tenth_held_out() {
        let spec = read("{}").unwrap();
        assert_eq!(spec, DatasetSpec::default());
        assert_eq!((spec.name, spec.validation), (DatasetName::Glyphs, 0.1));
        assert!(spec.augmentation.is_none());
        assert_eq!(spec.glyph_spec().training_images, 12_000);
    }

    #[test]
    fn wrong_settings_are_errors_that_name_the_key() {
        for (json, key) in [
            (r#"{"validation": 0.6}"#, "dataset.validation"),
            (r#"{"validation": -0.1}"#, "dataset.validation"),
            (r#"{"augmentation": {"flip": true}}"#, "dataset.augmentation.flip"),
            (r#"{"name": "mnist", "augmentation": {"flip": true}}"#, "dataset.augmentation.flip"),
            (r#"{"augmentation": {"crop_padding": 9}}"#, "dataset.augmentation.crop_padding"),
            (r#"{"normalization": {"mean": [0.1, 0.1], "std": [0.3]}}"#, "dataset.normalization.mean"),
            (r#"{"normalization": {"mean": [33.3], "std": [0.3]}}"#, "dataset.normalization.mean"),
            (r#"{"normalization": {"mean": [0.1], "std": [0.0]}}"#, "dataset.normalization.std"),
            (r#"{"name": "mnist", "glyphs": {}}"#, "dataset.glyphs"),
            (r#"{"glyphs": {"training_images": 1000001}}"#, "dataset.glyphs.training_images"),
            (r#"{"glyphs": {"test_images": 0}}"#, "dataset.glyphs.test_images"),
            (r#"{"glyphs": {"images": 5}}"#, "unknown field `images`"),
            (r#"{"crop": 4}"#, "unknown field `crop`"),
            (r#"{"name": "svhn"}"#, "`glyphs`, `mnist`, `cifar10`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.is_wrong_input());
            assert!(error.to_string().contains(key), "{json}: {error}");
        }
        let spec = DatasetSpec { validation: f64::NAN, ..DatasetSpec::default() };
        assert!(spec.check().is_err());
        let nan = Normalization { mean: vec![f32::NAN], std: vec![1.0] };
        assert!(nan.check(1).is_err());
    }

    #[test]
    fn only_cifar_may_be_mirrored() {
        read(r#"{"name": "cifar10", "augmentation": {"flip": true, "crop_padding": 4}}"#).unwrap();
    }

    #[test]
    fn a_resolved_spec_writes_out_its_defaults_and_reads_back() {
        for name in DatasetName::ALL {
            let resolved = DatasetSpec::of(name).resolved();
            assert!(resolved.normalization.is_some());
            assert_eq!(resolved.glyphs.is_some(), name == DatasetName::Glyphs);
            let json = serde_json::to_string(&resolved).unwrap();
            assert_eq!(read(&json).unwrap(), resolved);
            assert_eq!(resolved.resolved(), resolved);
        }
    }
}
