//! How often a weight is read from the weight memory per inference, and an activation from its own: the dataflow of the processing array, its size
//! and the weight buffer beside it.
//!
//! A layer is the matrix product of `M` filters of `C·R·S` weights with `E·F·N` windows of the input (`N` images
//! at a time). It is laid on an array of `rows` x `columns` processing elements as in SCALE-Sim (Samajdar et al.,
//! ISPASS 2020, and its code; the dataflows are those of Chen, Emer, Sze: Eyeriss, ISCA 2016):
//!
//! | dataflow | stays in the array | rows | columns | reads of a weight per batch |
//! |---|---|---|---|---|
//! | `weight_stationary` | weights | `C·R·S` | `M` | 1: it stays until every window has passed |
//! | `output_stationary` | sums of outputs | `E·F·N` | `M` | `⌈E·F·N / rows⌉`, once per fold of windows |
//! | `input_stationary` | windows of inputs | `C·R·S` | `E·F·N` | `⌈E·F·N / columns⌉`, once per fold of windows |
//!
//! A word that is read once serves every element that it is passed on to. Folds are walked as SCALE-Sim does, and so
//! repeat a tile of weights: output stationary walks all windows for some filters, a tile of `min(M, columns)·C·R·S`;
//! input stationary walks the whole layer for some windows. Where the buffer holds the tile, the weight memory is read
//! once per batch; where it does not, a cyclic walk finds nothing again, and every fold reads the memory.
//!
//! The words of windows are read from the activation memory as they enter the array, overlapping ones anew: with weights or
//! sums that stay once for each of `⌈M / columns⌉` folds of filters, with inputs that stay once.

use super::EnergySpec;
use crate::error::{Error, Result};
use crate::units::words;
use serde::{Deserialize, Serialize};

/// What stays in the processing array while the rest passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataflow {
    /// None in particular: each weight is read once per inference.
    #[default]
    Uniform,
    /// Weights.
    WeightStationary,
    /// Partial sums of outputs.
    OutputStationary,
    /// Inputs.
    InputStationary,
}

words!(
    Dataflow:
    Uniform "uniform",
    WeightStationary "weight_stationary",
    OutputStationary "output_stationary",
    InputStationary "input_stationary"
);

impl Dataflow {
    /// True where the number of reads depends on the size of the array.
    pub fn folds(self) -> bool {
        matches!(self, Self::OutputStationary | Self::InputStationary)
    }
}

/// Processing elements of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessingArray {
    /// Rows of processing elements, 1 to 65,536.
    pub rows: u32,
    /// Columns of processing elements, 1 to 65,536.
    pub columns: u32,
}

/// A layer as a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerProduct {
    /// Filters `M`: output channels or features.
    pub filters: u64,
    /// Weights of a filter, `C·R·S`.
    pub window: u64,
    /// Windows of one image, `E·F`: pixels or tokens of the output.
    pub outputs: u64,
}

impl EnergySpec {
    /// Reads of each weight of a layer from the weight memory per inference, at `bits` bits per weight in the buffer.
    ///
    /// # Errors
    /// [`Error::Argument`] for a dataflow that needs an array and has none.
    pub(super) fn reads(&self, layer: LayerProduct, bits: f64) -> Result<f64> {
        let batch = u64::from(self.batch);
        // filters whose weights a walk over the layer repeats, and elements on the side that folds the windows
        let (filters, side) = match self.dataflow {
            Dataflow::Uniform => return Ok(1.0),
            Dataflow::WeightStationary => return Ok(1.0 / batch as f64),
            Dataflow::OutputStationary => {
                let array = self.needed_array()?;
                (layer.filters.min(array.columns.into()), array.rows)
            }
            Dataflow::InputStationary => (layer.filters, self.needed_array()?.columns),
        };
        let per_batch = if self.holds(filters * layer.window, bits) {
            1
        } else {
            (layer.outputs * batch).div_ceil(side.into())
        };
        Ok(per_batch as f64 / batch as f64)
    }

    /// Reads of a layer's inputs from the activation memory per inference, in elements, of an input of so many: each once
    /// where no dataflow is given; else those of its windows, padding included, once for each fold of filters, or once where
    /// they stay.
    pub(super) fn input_reads(&self, layer: LayerProduct, groups: u64, elements: u64) -> f64 {
        let windows = layer.outputs * layer.window * groups;
        let folds = match (self.dataflow, self.array) {
            (Dataflow::Uniform, _) => return elements as f64,
            (Dataflow::InputStationary, _) | (_, None) => 1,
            (_, Some(array)) => (layer.filters / groups).div_ceil(array.columns.into()),
        };
        (windows * folds) as f64
    }

    /// The array of a dataflow that needs one.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the key, where there is none.
    pub(super) fn needed_array(&self) -> Result<ProcessingArray> {
        self.array.ok_or_else(|| {
            let expected = format!(
                "`energy.array.rows` and `energy.array.columns`: the reads of dataflow `{}` depend on them",
                self.dataflow.name()
            );
            Error::argument("energy.array", expected, "none")
        })
    }

    /// True where the buffer holds so many weights.
    fn holds(&self, weights: u64, bits: f64) -> bool {
        self.buffer_bytes
            .is_some_and(|bytes| weights as f64 * bits <= 8.0 * bytes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(spec: &EnergySpec, [filters, window, outputs]: [u64; 3], bits: f64) -> f64 {
        spec.reads(
            LayerProduct {
                filters,
                window,
                outputs,
            },
            bits,
        )
        .unwrap()
    }

    fn accelerator(dataflow: Dataflow, rows: u32, columns: u32) -> EnergySpec {
        let array = Some(ProcessingArray { rows, columns });
        EnergySpec {
            dataflow,
            array,
            ..EnergySpec::default()
        }
    }

    /// LeNet-5 on 28x28 pixels: filters, weights of a filter, pixels of the output.
    const LENET: [[u64; 3]; 5] = [
        [6, 25, 28 * 28],
        [16, 150, 10 * 10],
        [120, 400, 1],
        [84, 120, 1],
        [10, 84, 1],
    ];
    /// The first convolution of ResNet-20, one of each stage, and its last layer.
    const RESNET: [[u64; 3]; 5] = [
        [16, 27, 1024],
        [16, 144, 1024],
        [32, 288, 256],
        [64, 576, 64],
        [10, 64, 1],
    ];

    fn all(spec: &EnergySpec, layers: [[u64; 3]; 5], bits: f64) -> [f64; 5] {
        layers.map(|layer| reads(spec, layer, bits))
    }

    #[test]
    fn uniform_and_weight_stationary_read_each_weight_once_whatever_the_array() {
        for dataflow in [Dataflow::Uniform, Dataflow::WeightStationary] {
            for layers in [LENET, RESNET] {
                assert_eq!(
                    all(
                        &EnergySpec {
                            array: None,
                            ..accelerator(dataflow, 1, 1)
                        },
                        layers,
                        8.0
                    ),
                    [1.0; 5]
                );
            }
        }
    }

    #[test]
    fn output_stationary_reads_once_per_fold_of_output_pixels() {
        let array = accelerator(Dataflow::OutputStationary, 16, 8);
        // 784 / 16 = 49, 100 / 16 = 6.25; 1024 / 16 = 64, 256 / 16 = 16, 64 / 16 = 4
        assert_eq!(all(&array, LENET, 8.0), [49.0, 7.0, 1.0, 1.0, 1.0]);
        assert_eq!(all(&array, RESNET, 8.0), [64.0, 64.0, 16.0, 4.0, 1.0]);
    }

    #[test]
    fn input_stationary_reads_once_per_fold_of_windows_over_the_columns() {
        let array = accelerator(Dataflow::InputStationary, 16, 8);
        // 784 / 8 = 98, 100 / 8 = 12.5; 1024 / 8 = 128, 256 / 8 = 32, 64 / 8 = 8
        assert_eq!(all(&array, LENET, 8.0), [98.0, 13.0, 1.0, 1.0, 1.0]);
        assert_eq!(all(&array, RESNET, 8.0), [128.0, 128.0, 32.0, 8.0, 1.0]);
    }

    #[test]
    fn a_batch_shares_its_reads() {
        let of = |dataflow, layer| {
            reads(
                &EnergySpec {
                    batch: 10,
                    ..accelerator(dataflow, 16, 8)
                },
                layer,
                8.0,
            )
        };
        assert_eq!(of(Dataflow::WeightStationary, LENET[2]), 0.1);
        // ten windows fit the 16 rows at once, but take two folds of 8 columns
        assert_eq!(of(Dataflow::OutputStationary, LENET[2]), 0.1);
        assert_eq!(of(Dataflow::InputStationary, LENET[2]), 0.2);
        // ⌈1000 / 16⌉ = 63 per batch
        assert_eq!(of(Dataflow::OutputStationary, LENET[1]), 6.3);
    }

    #[test]
    fn a_buffer_that_holds_the_tile_brings_the_reads_back_to_one() {
        let with = |dataflow, buffer| {
            move |layer, bits| {
                reads(
                    &EnergySpec {
                        buffer_bytes: Some(buffer),
                        ..accelerator(dataflow, 16, 8)
                    },
                    layer,
                    bits,
                )
            }
        };
        // conv2 of LeNet-5, output stationary: 8 of 16 filters of 150 weights, 1200 bytes at 8 bits, 600 at 4
        let of = |buffer, bits| with(Dataflow::OutputStationary, buffer)(LENET[1], bits);
        assert_eq!(
            [of(1199, 8.0), of(1200, 8.0), of(599, 4.0), of(600, 4.0)],
            [7.0, 1.0, 7.0, 1.0]
        );
        // input stationary: all 16 filters of 150 weights, 2400 bytes
        let of = |buffer| with(Dataflow::InputStationary, buffer)(LENET[1], 8.0);
        assert_eq!([of(2399), of(2400)], [13.0, 1.0]);
        // conv1 has 6 filters only: 150 bytes
        let of = |buffer| with(Dataflow::OutputStationary, buffer)(LENET[0], 8.0);
        assert_eq!([of(149), of(150)], [49.0, 1.0]);
    }

    #[test]
    fn an_array_of_one_element_reads_once_per_window() {
        for dataflow in [Dataflow::OutputStationary, Dataflow::InputStationary] {
            for layer in LENET.into_iter().chain(RESNET) {
                assert_eq!(
                    reads(&accelerator(dataflow, 1, 1), layer, 8.0),
                    layer[2] as f64
                );
            }
        }
    }

    #[test]
    fn a_dataflow_that_folds_needs_an_array() {
        let bare = EnergySpec {
            array: None,
            ..accelerator(Dataflow::InputStationary, 1, 1)
        };
        let error = bare
            .reads(
                LayerProduct {
                    filters: 1,
                    window: 1,
                    outputs: 1,
                },
                8.0,
            )
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(
                "energy.array: expected `energy.array.rows` and `energy.array.columns`"
            ),
            "{error}"
        );
        assert!(
            error.contains("`input_stationary`") && error.ends_with("found none"),
            "{error}"
        );
    }
}
