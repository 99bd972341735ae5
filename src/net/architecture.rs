//! The known architectures: names, input shapes, and how to tell them apart by their tensors.

use super::graph::Graph;
use super::{deit, lenet, mlp, resnet};
use crate::error::{Error, Result};
use crate::units::text_form;
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
    /// The same for colour images of 32x32 pixels, without padding.
    Lenet5Cifar,
    /// CIFAR ResNet (He et al., 2016) of 6n+2 layers.
    Resnet {
        /// Blocks of each of the three stages, `n`.
        blocks: usize,
        /// Shortcuts by 1x1 convolution (option B) instead of padding with zeros (option A).
        projection: bool,
    },
    /// ResNet for ImageNet (He et al., 2016) in torchvision's form.
    ImagenetResnet {
        /// Layers: 18, 34 or 50.
        depth: usize,
    },
    /// DeiT (Touvron et al., 2021) with patches of 16 pixels, without distillation, in timm's form.
    Deit {
        /// Features: 192 (tiny), 384 (small) or 768 (base).
        width: usize,
    },
}

/// Names of the forms of DeiT.
const DEITS: [(&str, usize); 3] = [
    ("deit_tiny", deit::WIDTHS[0]),
    ("deit_small", deit::WIDTHS[1]),
    ("deit_base", deit::WIDTHS[2]),
];

/// Blocks per stage of ResNet-20, 32, 44 and 56.
const RESNET_BLOCKS: [usize; 4] = [3, 5, 7, 9];

impl Architecture {
    /// Every architecture.
    pub fn all() -> Vec<Self> {
        let resnets = [false, true]
            .into_iter()
            .flat_map(|projection| RESNET_BLOCKS.map(|blocks| Self::Resnet { blocks, projection }));
        let imagenet = resnet::DEPTHS.map(|depth| Self::ImagenetResnet { depth });
        let deits = DEITS.map(|(_, width)| Self::Deit { width });
        [Self::Mlp, Self::Lenet5]
            .into_iter()
            .chain(resnets)
            .chain(imagenet)
            .chain(deits)
            .chain([Self::Lenet5Cifar])
            .collect()
    }

    /// Channels, height and width of its input, where nothing else is said.
    pub fn input_shape(self) -> [usize; 3] {
        match self {
            Self::Mlp | Self::Lenet5 => [1, 28, 28],
            Self::Resnet { .. } | Self::Lenet5Cifar => [3, 32, 32],
            Self::ImagenetResnet { .. } | Self::Deit { .. } => [3, 224, 224],
        }
    }

    /// True for the input shapes that it can be used with: a ResNet ends in a mean over pixels, so it takes square
    /// images of other sizes too, in steps of 4 (CIFAR's) or 32 pixels (ImageNet's), up to 1024.
    pub fn takes(self, shape: [usize; 3]) -> bool {
        let step = match self {
            Self::Resnet { .. } => 4,
            Self::ImagenetResnet { .. } => 32,
            Self::Mlp | Self::Lenet5 | Self::Lenet5Cifar | Self::Deit { .. } => {
                return shape == self.input_shape()
            }
        };
        let [channels, height, width] = shape;
        channels == 3 && height == width && height % step == 0 && (step..=1024).contains(&height)
    }

    /// What it computes.
    pub(super) fn graph(self, classes: usize) -> Result<Graph> {
        Ok(match self {
            Self::Mlp => mlp::graph(classes),
            Self::Lenet5 => lenet::graph(1, 2, classes),
            Self::Lenet5Cifar => lenet::graph(3, 0, classes),
            Self::Resnet { blocks, projection } => resnet::cifar(blocks, projection, classes),
            Self::ImagenetResnet { depth } => resnet::imagenet(depth, classes)?,
            Self::Deit { width } => deit::graph(width, classes),
        })
    }

    /// The architecture whose state dict has tensors of these shapes, with its number of classes; `None` where no
    /// known one fits.
    pub fn of_shapes<'t>(shape: &dyn Fn(&str) -> Option<&'t [usize]>) -> Option<(Self, usize)> {
        let rows = |name: &str| shape(name).and_then(|dims| dims.first().copied());
        let count = |name: &dyn Fn(usize) -> String| {
            (0..).take_while(|&n| shape(&name(n)).is_some()).count()
        };
        if let Some(&[1, 1, width]) = shape("cls_token") {
            let blocks = count(&|n| format!("blocks.{n}.norm1.weight"));
            let known = blocks == deit::BLOCKS && deit::WIDTHS.contains(&width);
            return known.then_some((Self::Deit { width }, rows("head.weight")?));
        }
        match shape("conv1.weight") {
            Some([64, 3, 7, 7]) => {
                let stage = |stage| count(&|n| format!("layer{stage}.{n}.conv1.weight"));
                let bottleneck = shape("layer1.0.conv3.weight").is_some();
                let depth = resnet::depth([1, 2, 3, 4].map(stage), bottleneck)?;
                Some((Self::ImagenetResnet { depth }, rows("fc.weight")?))
            }
            None if shape("layer1.weight") == Some(&[200, 784]) => {
                Some((Self::Mlp, rows("layer3.weight")?))
            }
            Some([6, 1, 5, 5]) => Some((Self::Lenet5, rows("fc3.weight")?)),
            Some([6, 3, 5, 5]) => Some((Self::Lenet5Cifar, rows("fc3.weight")?)),
            Some([16, 3, 3, 3]) => {
                let blocks = count(&|n| format!("layer1.{n}.conv1.weight"));
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
            Self::Lenet5Cifar => f.write_str("lenet5_cifar10"),
            Self::Resnet { blocks, projection } => {
                write!(
                    f,
                    "resnet{}{}",
                    6 * blocks + 2,
                    if *projection { "_projection" } else { "" }
                )
            }
            Self::ImagenetResnet { depth } => write!(f, "resnet{depth}"),
            Self::Deit { width } => {
                let name = DEITS.iter().find(|(_, known)| known == width);
                f.write_str(name.map_or("deit", |(name, _)| name))
            }
        }
    }
}

impl FromStr for Architecture {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let all = Self::all();
        all.iter()
            .copied()
            .find(|a| a.to_string() == text)
            .ok_or_else(|| {
                let names: Vec<String> = all.iter().map(ToString::to_string).collect();
                Error::argument(
                    "architecture",
                    format!("one of {}", names.join(", ")),
                    format!("`{text}`"),
                )
            })
    }
}

text_form!(Architecture);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let names: Vec<String> = Architecture::all()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names[..4], ["mlp", "lenet5", "resnet20", "resnet32"]);
        assert_eq!(names[9], "resnet56_projection");
        assert_eq!(names[10..13], ["resnet18", "resnet34", "resnet50"]);
        assert_eq!(names[13..16], ["deit_tiny", "deit_small", "deit_base"]);
        assert_eq!(names[16..], ["lenet5_cifar10"]);
        for name in &names {
            assert_eq!(name.parse::<Architecture>().unwrap().to_string(), *name);
        }
        assert!("resnet21".parse::<Architecture>().is_err());
    }

    #[test]
    fn resnets_take_square_images_of_other_sizes_and_the_rest_only_their_own() {
        let takes = |name: &str, shape| name.parse::<Architecture>().unwrap().takes(shape);
        for architecture in Architecture::all() {
            assert!(
                architecture.takes(architecture.input_shape()),
                "{architecture}"
            );
        }
        assert!(takes("resnet18", [3, 64, 64]) && takes("resnet20", [3, 64, 64]));
        for shape in [
            [3, 64, 32],
            [1, 64, 64],
            [3, 0, 0],
            [3, 50, 50],
            [3, 2048, 2048],
        ] {
            assert!(
                !takes("resnet50", shape) && !takes("resnet20", shape),
                "{shape:?}"
            );
        }
        assert!(!takes("deit_tiny", [3, 256, 256]) && !takes("lenet5", [1, 32, 32]));
    }
}
