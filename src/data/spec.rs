//! The settings of a data set: its name, held-out fraction, augmentation and normalisation; reads no image.

use super::normalization::{Statistics, CIFAR_10, IMAGENET};
use super::{Normalization, MAX_IMAGES};
use crate::error::{refuse, Error, Result};
use crate::units::words;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Mean and standard deviation of CIFAR-100 that its published recipes use.
const CIFAR_100: Statistics = (&[0.5071, 0.4865, 0.4409], &[0.2673, 0.2564, 0.2762]);

/// A data set that the program knows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// Built in: drawn digits, no file needed.
    #[default]
    Glyphs,
    /// Handwritten digits (LeCun, Cortes, Burges): 60,000 and 10,000 grey images of 28x28.
    Mnist,
    /// Small photographs (Krizhevsky 2009): 50,000 and 10,000 colour images of 32x32.
    Cifar10,
    /// The same in 100 classes: 50,000 and 10,000 colour images of 32x32.
    Cifar100,
    /// The user's own: class folders of PNG or JPEG images, brought to one size in colour.
    Folder,
    /// The user's own: arrays of inputs and classes in one file for each half.
    File,
    /// Pieces of clothing in the form of MNIST (Xiao et al. 2017).
    FashionMnist,
    /// Japanese characters in the form of MNIST (Clanuwat et al. 2018).
    Kmnist,
    /// Digits and letters in the form of MNIST (Cohen et al. 2017), 47 classes of equal size. All images of EMNIST are
    /// stored transposed, and stay so, as in torchvision.
    EmnistBalanced,
    /// The same in 62 classes: digits, capital and small letters.
    EmnistByclass,
    /// The same in 47 classes: small letters that look like their capitals are one class with them.
    EmnistBymerge,
    /// The same, letters alone. Labels are 1 to 26, as stored and as in torchvision: class 0 stays empty.
    EmnistLetters,
    /// The same, digits alone.
    EmnistDigits,
    /// The same, as many digits as in MNIST.
    EmnistMnist,
}

words!(
    DatasetName:
    Glyphs "glyphs",
    Mnist "mnist",
    Cifar10 "cifar10",
    Cifar100 "cifar100",
    Folder "folder",
    File "file",
    FashionMnist "fashion-mnist",
    Kmnist "kmnist",
    EmnistBalanced "emnist-balanced",
    EmnistByclass "emnist-byclass",
    EmnistBymerge "emnist-bymerge",
    EmnistLetters "emnist-letters",
    EmnistDigits "emnist-digits",
    EmnistMnist "emnist-mnist"
);

/// What is known of a data set beforehand.
struct Facts {
    title: &'static str,
    classes: Option<usize>,
    channels: usize,
    side: usize,
    statistics: Statistics,
}

impl DatasetName {
    fn facts(self) -> Facts {
        let grey = |title, classes, mean: &'static [f32; 1], std: &'static [f32; 1]| Facts {
            title,
            classes: Some(classes),
            channels: 1,
            side: 28,
            statistics: (mean, std),
        };
        let emnist = |title, classes| grey(title, classes, &[0.1751], &[0.3332]);
        let colour = |title, classes, side, statistics| Facts {
            title,
            classes,
            channels: 3,
            side,
            statistics,
        };
        match self {
            Self::Glyphs => grey("glyphs", 10, &[0.1682], &[0.2138]),
            Self::Mnist => grey("MNIST", 10, &[0.1307], &[0.3081]),
            Self::Cifar10 => colour("CIFAR-10", Some(10), 32, CIFAR_10),
            Self::Cifar100 => colour("CIFAR-100", Some(100), 32, CIFAR_100),
            Self::Folder => colour("folder", None, FolderSpec::default().size(), IMAGENET),
            Self::File => Facts {
                title: "file",
                classes: None,
                // the file says it: `DatasetSpec::shape` is not asked
                channels: 1,
                side: 1,
                statistics: (&[0.0], &[1.0]),
            },
            Self::FashionMnist => grey("Fashion-MNIST", 10, &[0.2860], &[0.3530]),
            Self::Kmnist => grey("KMNIST", 10, &[0.1918], &[0.3483]),
            Self::EmnistBalanced => emnist("EMNIST balanced", 47),
            Self::EmnistByclass => emnist("EMNIST by class", 62),
            Self::EmnistBymerge => emnist("EMNIST by merge", 47),
            Self::EmnistLetters => emnist("EMNIST letters", 27),
            Self::EmnistDigits => emnist("EMNIST digits", 10),
            Self::EmnistMnist => emnist("EMNIST MNIST", 10),
        }
    }

    /// The name used in tables and figures.
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// Number of classes, labels are 0 to one less; `None` for `folder` and `file`, which say it themselves.
    pub fn classes(self) -> Option<usize> {
        self.facts().classes
    }

    /// Colour channels of an image.
    pub fn channels(self) -> usize {
        self.facts().channels
    }

    /// Rows and columns of an image; for `folder` where nothing else is said ([`FolderSpec::size`]).
    pub fn side(self) -> usize {
        self.facts().side
    }

    /// True where images may be mirrored: a mirrored digit is another sign.
    fn may_be_mirrored(self) -> bool {
        matches!(
            self,
            Self::Cifar10 | Self::Cifar100 | Self::Folder | Self::File | Self::FashionMnist
        )
    }

    /// Mean and standard deviation over all pixels of the training set, per channel, pixels in [0, 1].
    /// Those of the glyphs are of the default [`GlyphSpec`]; the tests recompute those of the glyphs, MNIST and
    /// CIFAR-10. For the others the values that their published recipes use (one for all of EMNIST: that of the
    /// balanced set), for `folder` those of ImageNet, for `file` one number for all channels: pixels as 0 to 1.
    pub fn default_normalization(self) -> Normalization {
        Normalization::of(self.facts().statistics)
    }

    /// The same for a network of that many channels, where it is one.
    pub fn usual_normalization(self, channels: usize) -> Option<Normalization> {
        let usual = self.default_normalization();
        if self == Self::File {
            return Some(usual.spread(channels));
        }
        (usual.mean.len() == channels).then_some(usual)
    }
}

impl FromStr for DatasetName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.name() == text)
            .ok_or_else(|| {
                let known: Vec<String> = Self::ALL.iter().map(|name| format!("`{name}`")).collect();
                let expected = format!("one of {}", known.join(", "));
                Error::argument("dataset", expected, format!("`{text}`"))
            })
    }
}

/// How training images are varied. The default varies nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirror training images left and right with probability one half; `cifar10`, `cifar100`, `folder`, `file` (of
    /// pixels) and `fashion-mnist` only, since a mirrored digit is another sign.
    pub flip: bool,
    /// Black pixels put around a training image, 0 to 8, of which a window of the image's size is cut at random.
    pub crop_padding: usize,
    /// Smallest fraction of the area, in (0, 1], of a window that is cut out of each training image at random, its sides
    /// in a ratio from 3/4 to 4/3, and scaled back to the image's size; `cifar10`, `cifar100`, `folder`, `file` (of pixels)
    /// and `fashion-mnist` only, and not beside `crop_padding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_resized_crop: Option<f64>,
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
    /// Training images, 10 to 1,000,000; default 12,000.
    pub training_images: u64,
    /// Test images, 10 to 1,000,000; default 2,000.
    pub test_images: u64,
    /// Seed of the images; default 1. It is not the run's seed: runs of different seeds see the same data set.
    pub seed: u64,
}

impl Default for GlyphSpec {
    fn default() -> Self {
        Self {
            training_images: 12_000,
            test_images: 2_000,
            seed: 1,
        }
    }
}

/// How the images of `folder` are brought to one size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FolderSpec {
    /// Rows and columns that are cut out of the centre, 1 to 1024; absent: what the network takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Length of the shorter side before the cut, from `size` to 2048; absent: `size` · 256/224 for a `size` of 128 or
    /// more, else `size`, so that small images stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
}

impl FolderSpec {
    /// The size in force, 224 where nothing says another one.
    pub fn size(&self) -> usize {
        self.size.unwrap_or(224)
    }

    /// The length in force.
    pub fn resize(&self) -> usize {
        let size = self.size();
        self.resize.unwrap_or(if size >= 128 {
            (size * 8 + 3) / 7
        } else {
            size
        })
    }
}

/// The files of `file`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSpec {
    /// File of test data, `*.npz`, `*.safetensors` or `*.bin`; a relative path starts in the folder of `--data-dir` or,
    /// without it, in the working folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// File of training data, of the same kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<String>,
    /// Number of classes, 1 to 65536; absent: those of the network, in a training the largest class of the file and one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

/// The settings of a data set, as in a configuration file under `dataset`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSpec {
    /// Which data set. The glyphs are drawn by the program; where files are looked for, and what `folder` and `file` are,
    /// stands below.
    pub name: DatasetName,
    /// Fraction of the training images, in [0, 0.5], that is held out to choose the best epoch, drawn by the seed. 0:
    /// the last epoch is taken.
    pub validation: f64,
    /// How training images are varied.
    pub augmentation: Augmentation,
    /// How images are normalised in a training, and for a model whose file does not say it (`--normalize`), see
    /// below: `imagenet`, `cifar10`, `half` (0.5/0.5), `none` (0/1), `raw` (pixels of 0 to 255 as they are), `MEAN/STD`
    /// (such as `0.5,0.5,0.5/0.25,0.25,0.25`), or `mean` (subtracted from pixels as 0 to 1; one number per channel, or one for
    /// all, 0 to 1) and `std` (divides them; as many numbers, 0.001 to 10); absent: the data set's own. A model file
    /// that says its own keeps it, and another one given for it alone is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Size and seed of the glyphs, for `glyphs` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glyphs: Option<GlyphSpec>,
    /// Size of the images of `folder`, for that one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderSpec>,
    /// Files and classes of `file`, for that one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSpec>,
}

impl Default for DatasetSpec {
    fn default() -> Self {
        Self {
            name: DatasetName::default(),
            validation: 0.1,
            augmentation: Augmentation::default(),
            normalization: None,
            glyphs: None,
            folder: None,
            file: None,
        }
    }
}

impl DatasetSpec {
    /// The default settings of a data set.
    pub fn of(name: DatasetName) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the key, what it may hold and what it holds.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=0.5).contains(&self.validation) {
            let expected = "a fraction from 0 to 0.5";
            return refuse("dataset.validation", expected, self.validation);
        }
        let with_name = |value: &str| format!("{value} with `{}`", self.name);
        let Augmentation {
            flip,
            crop_padding,
            random_resized_crop,
        } = self.augmentation;
        if flip && !self.name.may_be_mirrored() {
            let expected = "false: only photographs may be mirrored, not digits";
            return refuse("dataset.augmentation.flip", expected, with_name("true"));
        }
        if crop_padding > 8 {
            let key = "dataset.augmentation.crop_padding";
            return refuse(key, "0 to 8 pixels", crop_padding);
        }
        if let Some(fraction) = random_resized_crop {
            let applies = self.name.may_be_mirrored() && crop_padding == 0;
            if !(applies && fraction > 0.0 && fraction <= 1.0) {
                let key = "dataset.augmentation.random_resized_crop";
                let expected =
                    "a fraction above 0 and up to 1, for photographs, without `crop_padding`";
                return refuse(key, expected, with_name(&fraction.to_string()));
            }
        }
        if let Some(normalization) = &self.normalization {
            normalization.check()?;
        }
        let check_owner = |owner: DatasetName| {
            if self.name == owner {
                return Ok(());
            }
            let expected = format!("nothing: it is for the data set `{owner}`");
            refuse(format!("dataset.{owner}"), expected, with_name("it"))
        };
        if let Some(folder) = &self.folder {
            check_owner(DatasetName::Folder)?;
            let (size, resize) = (folder.size(), folder.resize());
            if !(1..=1024).contains(&size) {
                return refuse("dataset.folder.size", "1 to 1024 pixels", size);
            }
            if !(size..=2048).contains(&resize) {
                let expected = format!("{size} (the size) to 2048 pixels");
                return refuse("dataset.folder.resize", expected, resize);
            }
        }
        if let Some(file) = &self.file {
            check_owner(DatasetName::File)?;
            if let Some(classes) = file.classes.filter(|own| !(1..=1 << 16).contains(own)) {
                return refuse("dataset.file.classes", "1 to 65536 classes", classes);
            }
        }
        let Some(glyphs) = &self.glyphs else {
            return Ok(());
        };
        check_owner(DatasetName::Glyphs)?;
        for (key, images) in [
            ("dataset.glyphs.training_images", glyphs.training_images),
            ("dataset.glyphs.test_images", glyphs.test_images),
        ] {
            if !(10..=MAX_IMAGES).contains(&images) {
                return refuse(key, "10 to 1000000 images", images);
            }
        }
        Ok(())
    }

    /// The normalisation in force; one number stands for every channel.
    pub fn normalization(&self) -> Normalization {
        match &self.normalization {
            Some(given) => given.spread(self.name.channels()),
            None => self.name.default_normalization(),
        }
    }

    /// Size and seed of the glyphs in force.
    pub fn glyph_spec(&self) -> GlyphSpec {
        self.glyphs.clone().unwrap_or_default()
    }

    /// Size of the images of `folder` in force.
    pub fn folder_spec(&self) -> FolderSpec {
        self.folder.clone().unwrap_or_default()
    }

    /// Files of `file` in force.
    pub fn file_spec(&self) -> FileSpec {
        self.file.clone().unwrap_or_default()
    }

    /// Channels, rows and columns of an image; those of `file` are only in the file.
    pub fn shape(&self) -> [usize; 3] {
        let side = if self.name == DatasetName::Folder {
            self.folder_spec().size()
        } else {
            self.name.side()
        };
        [self.name.channels(), side, side]
    }

    /// True where the images take the size that a network asks for, or their classes are counted as the network's.
    pub fn follows_the_network(&self) -> bool {
        match self.name {
            DatasetName::Folder => self.folder_spec().size.is_none(),
            DatasetName::File => self.file_spec().classes.is_none(),
            _ => false,
        }
    }

    /// The same settings for a network of that many classes: those of `file` are as many where they are not set.
    #[must_use]
    pub fn for_classes(&self, classes: usize) -> Self {
        if self.name != DatasetName::File || !self.follows_the_network() {
            return self.clone();
        }
        let file = FileSpec {
            classes: Some(classes),
            ..self.file_spec()
        };
        Self {
            file: Some(file),
            ..self.clone()
        }
    }

    /// The same settings for a network of this input shape: images of `folder` whose size is not set take its size.
    #[must_use]
    pub fn for_input(&self, shape: [usize; 3]) -> Self {
        if self.name != DatasetName::Folder || !self.follows_the_network() {
            return self.clone();
        }
        let folder = FolderSpec {
            size: Some(shape[1]),
            ..self.folder_spec()
        };
        Self {
            folder: Some(folder),
            ..self.clone()
        }
    }

    /// The same settings with every default written out, as a resolved configuration holds them; but for a size and
    /// classes that follow the network, and for the normalisation of `file`, which may have none.
    pub fn resolved(&self) -> Self {
        let normalization = match self.name {
            DatasetName::File => self.normalization.clone(),
            _ => Some(self.normalization()),
        };
        Self {
            normalization,
            glyphs: (self.name == DatasetName::Glyphs).then(|| self.glyph_spec()),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<DatasetSpec> {
        let spec: DatasetSpec = serde_json::from_str(json)
            .map_err(|e| Error::argument("json", "a spec", e.to_string()))?;
        spec.check().map(|()| spec)
    }

    #[test]
    fn names_read_back_and_an_unknown_one_lists_them() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
        }
        let error = "CIFAR".parse::<DatasetName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "dataset: expected one of `glyphs`, `mnist`, `cifar10`, `cifar100`, `folder`, `file`, `fashion-mnist`, \
             `kmnist`, `emnist-balanced`, `emnist-byclass`, `emnist-bymerge`, `emnist-letters`, `emnist-digits`, `emnist-mnist`, \
             found `CIFAR`"
        );
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
            (
                r#"{"augmentation": {"flip": true}}"#,
                "dataset.augmentation.flip",
            ),
            (
                r#"{"name": "mnist", "augmentation": {"flip": true}}"#,
                "dataset.augmentation.flip",
            ),
            (
                r#"{"augmentation": {"random_resized_crop": 0.5}}"#,
                "random_resized_crop",
            ),
            (
                r#"{"name": "folder", "augmentation": {"random_resized_crop": 0}}"#,
                "random_resized_crop",
            ),
            (
                r#"{"augmentation": {"crop_padding": 9}}"#,
                "dataset.augmentation.crop_padding",
            ),
            (
                r#"{"normalization": {"mean": [0.1, 0.1], "std": [0.3]}}"#,
                "dataset.normalization.mean",
            ),
            (
                r#"{"normalization": {"mean": [33.3], "std": [0.3]}}"#,
                "dataset.normalization.mean",
            ),
            (
                r#"{"normalization": {"mean": [0.1], "std": [0.0]}}"#,
                "dataset.normalization.std",
            ),
            (r#"{"name": "mnist", "glyphs": {}}"#, "dataset.glyphs"),
            (
                r#"{"glyphs": {"training_images": 1000001}}"#,
                "dataset.glyphs.training_images",
            ),
            (
                r#"{"glyphs": {"test_images": 0}}"#,
                "dataset.glyphs.test_images",
            ),
            (r#"{"name": "cifar10", "folder": {}}"#, "dataset.folder"),
            (
                r#"{"name": "folder", "folder": {"size": 0}}"#,
                "dataset.folder.size",
            ),
            (
                r#"{"name": "folder", "folder": {"size": 64, "resize": 63}}"#,
                "dataset.folder.resize",
            ),
            (r#"{"name": "folder", "glyphs": {}}"#, "dataset.glyphs"),
            (r#"{"name": "mnist", "file": {}}"#, "dataset.file"),
            (
                r#"{"name": "file", "file": {"classes": 0}}"#,
                "dataset.file.classes",
            ),
            (r#"{"glyphs": {"images": 5}}"#, "unknown field `images`"),
            (r#"{"crop": 4}"#, "unknown field `crop`"),
            (r#"{"name": "svhn"}"#, "`glyphs`, `mnist`, `cifar10`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.is_wrong_input());
            assert!(error.to_string().contains(key), "{json}: {error}");
        }
        let spec = DatasetSpec {
            validation: f64::NAN,
            ..DatasetSpec::default()
        };
        assert!(spec.check().is_err());
    }

    #[test]
    fn sizes_of_a_folder_follow_the_network_unless_they_are_set() {
        let free = read(r#"{"name": "folder"}"#).unwrap();
        assert_eq!(free.shape(), [3, 224, 224]);
        assert_eq!(free.folder_spec().resize(), 256);
        let small = free.for_input([3, 32, 32]);
        assert_eq!(
            (small.shape(), small.folder_spec().resize()),
            ([3, 32, 32], 32)
        );
        let set = read(r#"{"name": "folder", "folder": {"size": 64, "resize": 72}}"#).unwrap();
        assert_eq!(set.for_input([3, 32, 32]), set);
        assert_eq!((set.shape(), set.folder_spec().resize()), ([3, 64, 64], 72));
        let glyphs = read("{}").unwrap();
        assert_eq!(glyphs.for_input([3, 32, 32]), glyphs);
    }

    #[test]
    fn classes_of_a_file_follow_the_network_unless_they_are_set() {
        let free = read(r#"{"name": "file", "file": {"test": "a.npz"}}"#).unwrap();
        let twelve = free.for_input([1, 49, 10]).for_classes(12);
        let spec = twelve.file_spec();
        assert_eq!(
            (spec.test.as_deref(), spec.classes),
            (Some("a.npz"), Some(12))
        );
        assert_eq!(twelve.for_classes(10), twelve);
        let glyphs = read("{}").unwrap();
        assert_eq!(glyphs.for_classes(12), glyphs);
    }

    #[test]
    fn photographs_may_be_mirrored() {
        read(r#"{"name": "cifar100", "augmentation": {"flip": true}}"#).unwrap();
        read(r#"{"name": "folder", "augmentation": {"flip": true}}"#).unwrap();
        read(r#"{"name": "cifar10", "augmentation": {"flip": true, "crop_padding": 4}}"#).unwrap();
    }

    #[test]
    fn a_resolved_spec_writes_out_its_defaults_and_reads_back() {
        for name in DatasetName::ALL {
            let resolved = DatasetSpec::of(name).resolved();
            assert_eq!(resolved.normalization.is_some(), name != DatasetName::File);
            assert_eq!(resolved.glyphs.is_some(), name == DatasetName::Glyphs);
            let json = serde_json::to_string(&resolved).unwrap();
            assert_eq!(read(&json).unwrap(), resolved);
            assert_eq!(resolved.resolved(), resolved);
        }
    }
}
