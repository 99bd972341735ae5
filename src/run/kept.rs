//! Answers of networks without faults, kept for shards: each would compute them anew.

use super::models::Loaded;
use super::sealed;
use crate::data::Normalization;
use crate::engine::{Answers, Images};
use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::store;
use crate::units::Metric;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Folder of these files in that of trained models.
pub(super) const KEPT: &str = "clean";
/// What they hold, for messages.
const WHAT: &str = "answers without faults";

/// Everything that can change an answer.
#[derive(Serialize)]
struct Identity<'a> {
    numerics: &'a str,
    model: &'a str,
    dataset: &'a str,
    images: u64,
    sample: Option<Seed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<Metric>,
    normalization: Option<&'a Normalization>,
}

/// The answers of a network on the test images of a run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// `1` for a right answer, `0` for a wrong one, image by image.
    right: String,
    /// The margins as 32-bit floats, in hexadecimal.
    margins: String,
    not_finite: u64,
}

/// Where answers are kept, and of which images they are.
pub(super) struct KeptAnswers {
    /// `None`: nothing is kept.
    pub(super) folder: Option<PathBuf>,
    pub(super) numerics: &'static str,
    /// SHA-256 of images and labels of the data set.
    pub(super) dataset: String,
    /// Images in use.
    pub(super) images: u64,
    /// What makes an answer right, unless it is the usual.
    pub(super) metric: Option<Metric>,
    /// The seed that they are drawn by, where they are a subset.
    pub(super) sample: Option<Seed>,
}

impl KeptAnswers {
    fn path(&self, folder: &Path, model: &Loaded) -> Result<PathBuf> {
        let identity = Identity {
            numerics: self.numerics,
            model: &model.checksum,
            dataset: &self.dataset,
            images: self.images,
            sample: self.sample,
            metric: self.metric,
            normalization: model.info.normalization.as_ref(),
        };
        let text = serde_json::to_string(&identity).map_err(|e| {
            let expected = "numbers that JSON can hold";
            Error::argument("normalization", expected, e.to_string())
        })?;
        let name = format!("{}.json", &store::sha256(text.as_bytes())[..16]);
        Ok(folder.join(name))
    }

    /// The answers, where they are kept and whole.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn read(&self, model: &Loaded) -> Result<Option<Answers>> {
        let Some(folder) = self.folder.as_deref() else {
            return Ok(None);
        };
        let path = self.path(folder, model)?;
        if !path.exists() {
            return Ok(None);
        }
        match read(&path) {
            Ok(answers) if answers.right.len() as u64 == self.images => Ok(Some(answers)),
            // what is damaged is as if it were not there
            Ok(_) | Err(Error::Input { .. } | Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps answers.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn write(&self, model: &Loaded, answers: &Answers) -> Result<()> {
        let bits = answers
            .right
            .iter()
            .map(|right| if *right { '1' } else { '0' });
        let margins: Vec<u8> = answers
            .margins
            .iter()
            .flat_map(|m| m.to_le_bytes())
            .collect();
        let kept = Kept {
            right: bits.collect(),
            margins: store::hex(&margins),
            not_finite: answers.not_finite,
        };
        let Some(folder) = self.folder.as_deref() else {
            return Ok(());
        };
        store::create_folder(folder)?;
        sealed::write(&self.path(folder, model)?, WHAT, &kept)
    }

    /// The answers of a model on these images: those that are kept, else evaluated now.
    ///
    /// # Errors
    /// As [`Self::read`] and [`Loaded::check_finite`]; [`Error::Interrupted`]; a failure of the evaluation.
    pub(super) fn answers(
        &self,
        model: &Loaded,
        images: &Images,
        cancel: &AtomicBool,
    ) -> Result<Answers> {
        let answers = match self.read(model)? {
            Some(answers) => answers,
            None => model.evaluator.clean_answers(images, cancel)?,
        };
        model.check_finite(answers.not_finite, self.images)?;
        Ok(answers)
    }
}

fn read(path: &Path) -> Result<Answers> {
    let wrong = |found: &str| Error::input(path, WHAT, found);
    let kept: Kept = sealed::read(path, WHAT)?;
    let margins = from_hex(&kept.margins).ok_or_else(|| wrong("margins that are not whole"))?;
    if !margins.is_empty() && margins.len() != kept.right.len() {
        return Err(wrong("margins of other images"));
    }
    Ok(Answers {
        right: kept.right.bytes().map(|bit| bit == b'1').collect(),
        margins,
        not_finite: kept.not_finite,
    })
}

/// 32-bit floats from hexadecimal digits, least significant byte first.
fn from_hex(text: &str) -> Option<Vec<f32>> {
    if !text.is_ascii() || !text.len().is_multiple_of(8) {
        return None;
    }
    let number = |at: usize| {
        let bits = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(f32::from_bits(bits.swap_bytes()))
    };
    (0..text.len()).step_by(8).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_back_bit_for_bit() {
        let floats = [0.1f32, -0.0, f32::MAX, 1e-42, 3.5];
        let bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        let back = from_hex(&store::hex(&bytes)).unwrap();
        let bits = |all: &[f32]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&floats));
        assert_eq!(from_hex("0123"), None);
        assert_eq!(from_hex("0123456x"), None);
    }
}
