//! The known architectures: names, input shapes, and how to tell them apart by their tensors.

use super::build::{Body, Builder};
use super::{lenet, mlp, resnet};
use crate::error::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An architecture of quantised layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Architecture {
    /// 784-200-50-10 with ReLU.
    Mlp,
    /// LeNet-5 in the 6-16-120-84 form with ReLU and max pooling.
    Lenet5,
    /// CIFAR ResNet (He et al., 2016) of 6n+2 layers.
    Resnet {
        /// Blocks of each of the three stages, `n`.
        blocks: usize,
        /// Shortcuts by 1x1 convolution (option B) instead of padding with zeros (option A).
        projection: bool,
    },
}

/// Blocks per stage of ResNet-20, 32, 44 and 56.
const RESNET_BLOCKS: [usize; 4] = [3, 5, 7, 9];

impl Architecture {
    /// Every architecture.
    pub fn all() -> Vec<Self> {
        let resnets = [false, true]
            .into_iter()
            .flat_map(|projection| RESNET_BLOCKS.map(|blocks| Self::Resnet { blocks, projection }));
        [Self::Mlp, Self::Lenet5].into_iter().chain(resnets).collect()
    }

    /// Channels, height and width of its input.
    pub fn input_shape(self) -> [usize; 3] {
        match self {
            Self::Mlp | Self::Lenet5 => [1, 28, 28],
            Self::Resnet { .. } => [3, 32, 32],
        }
    }

    /// Adds the layers of the architecture to a builder.
    pub(super) fn build(self, builder: &mut Builder, classes: usize) -> Result<Box<dyn Body>> {
        Ok(match self {
            Self::Mlp => Box::new(mlp::Mlp::new(builder, classes)?),
            Self::Lenet5 => Box::new(lenet::Lenet5::new(builder, classes)?),
            Self::Resnet { blocks, projection } => {
                Box::new(resnet::Resnet::new(builder, blocks, projection, classes)?)
            }
        })
    }

    /// The architecture whose state dict these tensors are, with its number of classes; `None` where no
    /// known one fits.
    pub fn of_tensors(tensors: &[(String, Tensor)]) -> Option<(Self, usize)> {
        let shape = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t.dims());
        let rows = |name: &str| shape(name).and_then(|dims| dims.first().copied());
        match shape("conv1.weight") {
            None if shape("layer1.weight") == Some(&[200, 784]) => Some((Self::Mlp, rows("layer3.weight")?)),
            Some([6, 1, 5, 5]) => Some((Self::Lenet5, rows("fc3.weight")?)),
            Some([16, 3, 3, 3]) => {
                let block = |n: usize| shape(&format!("layer1.{n}.conv1.weight")).is_some();
                let blocks = (0..).take_while(|&n| block(n)).count();
                let projection = shape("layer2.0.shortcut.0.weight").is_some();
                let known = RESNET_BLOCKS.contains(&blocks);
                known.then_some((Self::Resnet { blocks, projection }, rows("linear.weight")?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mlp => f.write_str("mlp"),
            Self::Lenet5 => f.write_str("lenet5"),
            Self::Resnet { blocks, projection } => {
                write!(f, "resnet{}{}", 6 * blocks + 2, if *projection { "_projection" } else { "" })
            }
        }
    }
}

impl FromStr for Architecture {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let all = Self::all();
        all.iter().copied().find(|a| a.to_string() == text).ok_or_else(|| {
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            Error::argument("architecture", format!("one of {}", names.join(", ")), format!("`{text}`"))
        })
    }
}

impl TryFrom<String> for Architecture {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> String {
        architecture.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let names: Vec<String> = Architecture::all().iter().map(ToString::to_string).collect();
        assert_eq!(names[..4], ["mlp", "lenet5", "resnet20", "resnet32"]);
        assert_eq!(names[9], "resnet56_projection");
        for name in &names {
            assert_eq!(name.parse::<Architecture>().unwrap().to_string(), *name);
        }
        assert!("resnet21".parse::<Architecture>().is_err());
    }
}
