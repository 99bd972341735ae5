//! What a user may ask of a sweep, checked.

use super::list;
use crate::error::{refuse, Result};
use crate::fault::Protection;
use crate::stats::{normal_half_width, ImageSample};
use crate::units::{words, Accuracy, Ber, Metric};
use serde::{Deserialize, Serialize};

/// Which test images a trial is evaluated on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The same for all trials.
    #[default]
    AllImages,
    /// Few for each chip, drawn for it alone; needs a tolerance.
    TwoLevel,
    /// The same, most of them where answers change: fewer still.
    Stratified,
}

words!(Sampling: AllImages "all_images", TwoLevel "two_level", Stratified "stratified");

impl Sampling {
    /// True where nothing but the default was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// True where each chip has images of its own.
    pub fn is_two_level(self) -> bool {
        self != Self::AllImages
    }
}

/// Which images trials are evaluated on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestSplit {
    /// The test half of the data set.
    #[default]
    Test,
    /// The training images that the trainings held out.
    Validation,
}

words!(TestSplit: Test "test", Validation "validation");

impl TestSplit {
    /// Its images, in words.
    pub fn images(self) -> &'static str {
        match self {
            Self::Test => "test images",
            Self::Validation => "images of the validation split",
        }
    }

    /// True for the test half.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A sweep of the supply voltage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepSpec {
    /// Supply voltages, in the memory model's unit: a text of `start:stop:step` (both ends included), a
    /// comma-separated list, or both; a unit may follow (`0.85vmin`, `0.56V`, `560mV`; `mV` where it is volt). Or a
    /// YAML list of voltages and ranges: `[0.8, 0.85V]`. Absent: eleven over the memory's curve.
    #[serde(deserialize_with = "list::joined")]
    pub voltages: Option<String>,
    /// Bit error rates in place of voltages (also `bers`), each from 0 to 0.5, each once; a list, or text with
    /// commas. Each stands, exactly, at the voltage where the memory has it (rounded to 0.0001), and costs the energy
    /// there; 0 is the error-free voltage. Further rates extend a run, voltages beside them do not.
    #[serde(
        alias = "bers",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "list::rates"
    )]
    pub bit_error_rates: Vec<Ber>,
    /// `test`, the default; or `validation`: the images that the trainings held out stand in for the test images, to
    /// choose settings by. All models must have been trained with this `seed` and `dataset.validation`.
    #[serde(skip_serializing_if = "TestSplit::is_default")]
    pub split: TestSplit,
    /// Chips per design point, 1 to 1,000,000; with a tolerance, at most so many; under two-level sampling, chips
    /// that may cost at most as many image evaluations as so many chips with all images.
    pub chips: u32,
    /// Test images per trial, 1 or more: a subset drawn by the seed, classes in proportion; absent: all. The
    /// intervals of the mean include the choice.
    pub images: Option<u64>,
    /// Chips are added, from 16 on in steps of 8, until the 95 % half-width of every design point's mean is at most
    /// this, the choice of test images included; absent: all chips. Where `images` are too few for that, the column
    /// `stopped_by` of the summary says so.
    pub tolerance: Option<f64>,
    /// What accuracies are the share of: `top1`, inputs whose class has the greatest logit; `top5`, one of the five
    /// greatest; `agreement`, inputs whose greatest logit is of the class that it is of without faults; `snr:20`, inputs
    /// whose outputs are those without faults but for an error of at most 20 dB less power. Absent: `top1`, and
    /// `agreement` on data without classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Accuracy that a chip must reach to count in the yield; absent: clean accuracy less 0.05.
    pub floor: Option<Accuracy>,
    /// Protections of the stored codes to compare, each a design point of its own, see below: `none`, `msb:k`,
    /// `secded`, `parity_zero`; a list, or text with commas; empty: `none`.
    #[serde(deserialize_with = "list::words")]
    pub protection: Vec<String>,
    /// The same images for all chips (`all_images`, the default), or images of its own for each, which needs a
    /// `tolerance` and no `images`: all alike (`two_level`), or most of them where answers change (`stratified`), which
    /// takes the fewest.
    #[serde(skip_serializing_if = "Sampling::is_default")]
    pub sampling: Sampling,
}

impl Default for SweepSpec {
    fn default() -> Self {
        Self {
            voltages: None,
            bit_error_rates: Vec::new(),
            split: TestSplit::Test,
            chips: 50,
            images: None,
            tolerance: None,
            metric: None,
            floor: None,
            protection: Vec::new(),
            sampling: Sampling::AllImages,
        }
    }
}

impl SweepSpec {
    /// Checks every value.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: String| {
            refuse(format!("sweep.{key}"), expected, found)
        };
        if !(1..=1_000_000).contains(&self.chips) {
            return wrong("chips", "1 to 1000000", self.chips.to_string());
        }
        self.protections()?;
        if self.voltages.is_some() && !self.bit_error_rates.is_empty() {
            let expected = "to be left out beside voltages";
            return wrong("bit_error_rates", expected, "both".into());
        }
        list::check_rates("sweep.bit_error_rates", &self.bit_error_rates)?;
        if self.images == Some(0) {
            return wrong("images", "at least 1", "0".into());
        }
        if self.sampling.is_two_level() {
            if self.tolerance.is_none() {
                let expected = "all images for each chip, or a tolerance (`--tolerance`), to know when to stop";
                let found = format!("`{}` without one", self.sampling);
                return wrong("sampling", expected, found);
            }
            if let Some(images) = self.images {
                let expected = "to be left out: two-level sampling chooses the images of each chip";
                return wrong("images", expected, images.to_string());
            }
        }
        match self.tolerance {
            Some(t) if !(1e-6..=0.5).contains(&t) => {
                wrong("tolerance", "a number from 1e-6 to 0.5", t.to_string())
            }
            _ => Ok(()),
        }
    }

    /// The metric on data that have classes or not.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for one that needs classes where there are none.
    pub fn metric(&self, has_labels: bool) -> Result<Metric> {
        match self.metric {
            Some(metric) if metric.needs_labels() && !has_labels => refuse(
                format!("metric `{metric}`"),
                "the class of each input, an array `y` or `labels` in the file: `agreement` and `snr:DECIBELS` need none",
                "inputs alone",
            ),
            Some(metric) => Ok(metric),
            None if has_labels => Ok(Metric::Top1),
            None => Ok(Metric::Agreement),
        }
    }

    /// The protections asked for; none but `none` where nothing was.
    ///
    /// # Errors
    /// As [`Protection::parse_list`].
    pub fn protections(&self) -> Result<Vec<Protection>> {
        let protections = Protection::parse_list(&self.protection)?;
        Ok(if protections.is_empty() {
            vec![Protection::None]
        } else {
            protections
        })
    }

    /// Checks images and tolerance against a test set of `all` images.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the choice of images leaves more than the tolerance whatever the accuracy, so
    /// that no number of chips can reach it. It leaves least at an accuracy of 1.
    pub fn check_tolerance(&self, all: u64) -> Result<()> {
        let (Some(used), Some(tolerance)) = (self.images, self.tolerance) else {
            return Ok(());
        };
        let least = normal_half_width(ImageSample { used, all }.variance(1.0));
        if least <= tolerance {
            return Ok(());
        }
        let enough = ImageSample::least(1.0, tolerance, all);
        let expected = format!(
            "at least {least:.2e} on {used} of {all} test images, whose choice alone leaves so much at any \
             accuracy, or at least {enough} images"
        );
        let found = tolerance.to_string();
        refuse("tolerance", expected, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_that_no_accuracy_can_reach_on_so_few_images_is_refused() {
        let spec = |images, tolerance| SweepSpec {
            images,
            tolerance,
            ..SweepSpec::default()
        };
        let error = spec(Some(100), Some(0.01))
            .check_tolerance(2000)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "tolerance: expected at least 2.64e-2 on 100 of 2000 test images, whose choice alone leaves so much \
             at any accuracy, or at least 257 images, found 0.01"
        );
        for (images, tolerance) in [
            (Some(257), Some(0.01)),
            (Some(2000), Some(1e-6)),
            (None, Some(1e-6)),
            (Some(1), None),
        ] {
            spec(images, tolerance).check_tolerance(2000).unwrap();
        }
    }
}
