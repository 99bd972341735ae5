//! `cpu` and `cuda:N` to candle devices; leaves everything that is computed there to others.

use crate::error::{refuse, Error, Result};
use crate::units::text_form;
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Where tensors are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceSpec {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA card of this number.
    Cuda(usize),
}

impl DeviceSpec {
    /// Opens the device. Never falls back to another one.
    ///
    /// # Errors
    /// [`Error::Argument`] for a CUDA card that this build or this machine does not have.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !cfg!(feature = "cuda") => refuse(
                "device",
                "`cpu`: this program was built without the `cuda` feature",
                format!("`{self}`"),
            ),
            Self::Cuda(card) => Device::new_cuda(card).map_err(|e| {
                Error::argument(
                    "device",
                    "a CUDA card that can be opened",
                    format!("`{self}`: {e}"),
                )
            }),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::argument("device", "`cpu` or `cuda:N`", format!("`{text}`"));
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            Some(("cuda", card)) => card.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

text_form!(DeviceSpec);

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(card) => write!(f, "cuda:{card}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceSpec>().unwrap().to_string(), name);
        }
        for name in ["gpu", "cuda", "cuda:x", "CPU", ""] {
            assert!(name.parse::<DeviceSpec>().is_err(), "{name}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_is_an_error_not_the_cpu() {
        assert!(DeviceSpec::Cuda(0).open().is_err());
    }
}
