//! What a model file says of how its network was made.

use super::{Architecture, Design, Model};
use crate::data::DatasetSpec;
use crate::error::{refuse, Error, Result};
use crate::kernel::Arithmetic;
use crate::quant::QuantizerSpec;
use crate::seed::Seed;
use crate::units::text_form;
use candle_core::Device;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The network to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Architecture, see below; `imported`: that of the file of `weights`, which may be any network of an ONNX file;
    /// absent: `imported`.
    #[serde(default)]
    pub architecture: Trained,
    /// Model file whose weights a training starts from, of the same architecture and classes, float or quantised;
    /// absent: fresh weights from the seed. Ranges start anew, from these weights. The content of the file, not its
    /// path, is in the hash that names the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The integer codes that came with the file of `weights` become the float weights that they read as, which the
    /// training changes and its quantiser quantises; without it such a file is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requantize: bool,
}

/// Which network a training is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trained {
    /// A known architecture.
    Known(Architecture),
    /// That of the file of its weights.
    #[default]
    Imported,
}

/// The word for [`Trained::Imported`].
const IMPORTED: &str = "imported";

impl NetworkSpec {
    /// Checks what goes with what.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the key.
    pub fn check(&self) -> Result<()> {
        if self.weights.is_some() {
            return Ok(());
        }
        if self.requantize {
            let expected = "to be left out: only the file of `network.weights` has codes";
            return refuse("network.requantize", expected, "true");
        }
        match self.architecture {
            Trained::Known(_) => Ok(()),
            Trained::Imported => refuse(
                "network.architecture",
                "an architecture, or a file of `network.weights` (`--weights`) that brings it",
                "neither",
            ),
        }
    }

    /// The network of a training, and its classes where its file says them: that is read for an imported one only.
    ///
    /// # Errors
    /// As [`Model::load`] and [`Self::check`].
    pub fn design(&self, device: &Device) -> Result<(Design, Option<usize>)> {
        match (self.architecture, &self.weights) {
            (Trained::Known(architecture), _) => Ok((architecture.into(), None)),
            (Trained::Imported, Some(path)) => {
                let info = Model::load(Path::new(path), device)?.info;
                Ok((info.architecture, Some(info.classes)))
            }
            (Trained::Imported, None) => {
                refuse("network.weights", "the file of an imported network", "none")
            }
        }
    }
}

impl Trained {
    /// The known architecture.
    pub fn known(self) -> Option<Architecture> {
        match self {
            Self::Known(architecture) => Some(architecture),
            Self::Imported => None,
        }
    }
}

impl From<Architecture> for Trained {
    fn from(architecture: Architecture) -> Self {
        Self::Known(architecture)
    }
}

impl fmt::Display for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(architecture) => architecture.fmt(f),
            Self::Imported => f.write_str(IMPORTED),
        }
    }
}

impl FromStr for Trained {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text == IMPORTED {
            return Ok(Self::Imported);
        }
        text.parse().map(Self::Known).map_err(|error| match error {
            Error::Argument {
                what,
                expected,
                found,
            } => Error::argument(what, format!("{expected}, {IMPORTED}"), found),
            other => other,
        })
    }
}

text_form!(Trained);

/// The resolved configuration of a training, and what was done to the model afterwards; of a foreign model only that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Name of the model.
    pub name: Option<String>,
    /// Root seed.
    pub seed: Option<Seed>,
    /// Data set.
    pub dataset: Option<DatasetSpec>,
    /// Network.
    pub network: Option<NetworkSpec>,
    /// Quantiser.
    pub quantizer: Option<QuantizerSpec>,
    /// Settings of the trainer, which knows them.
    pub trainer: Option<Value>,
    /// Version of the program that trained it.
    pub version: Option<String>,
    /// How convolutions were computed in the training, where not directly.
    pub arithmetic: Option<String>,
    /// The float model that it was quantised from after training.
    pub post_training: Option<PostTraining>,
    /// SHA-256 of the model whose widths were searched.
    pub widths_from: Option<String>,
    /// What else a file says; kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The file of a float model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostTraining {
    /// Its name.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
}

impl TrainingRecord {
    /// How convolutions were computed in the training: directly, where it does not say.
    pub fn arithmetic(&self) -> &str {
        self.arithmetic
            .as_deref()
            .unwrap_or(Arithmetic::Direct.name())
    }

    /// As it is written: keys in order, without those that it lacks.
    ///
    /// # Errors
    /// [`Error::Argument`] for what JSON cannot hold.
    pub fn to_json(&self) -> Result<Value> {
        let mut json = serde_json::to_value(self).map_err(unwritable)?;
        if let Value::Object(keys) = &mut json {
            keys.retain(|_, value| !value.is_null());
        }
        Ok(json)
    }

    /// The record of a training of this configuration.
    ///
    /// # Errors
    /// [`Error::Argument`] for what JSON cannot hold.
    pub fn of(configuration: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_value(configuration);
        json.and_then(serde_json::from_value).map_err(unwritable)
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    let expected = "numbers that JSON can hold";
    Error::argument("training configuration", expected, error.to_string())
}

/// For serde: [`TrainingRecord::to_json`].
pub(super) fn written<S: Serializer>(
    record: &Option<TrainingRecord>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let json = record.as_ref().map(TrainingRecord::to_json).transpose();
    json.map_err(serde::ser::Error::custom)?
        .serialize(serializer)
}
