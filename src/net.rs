//! Architectures of quantised layers, and the files that hold trained ones; knows no training.

mod architecture;
mod build;
mod content;
mod convolution;
mod deit;
mod difference;
mod foreign;
mod forward;
mod given;
mod graph;
mod groups;
mod imagenet;
mod lenet;
mod mlp;
mod model;
mod network;
mod norm;
mod packed;
mod pass;
mod pool;
mod program;
mod pytorch;
mod record;
mod relu;
mod resnet;
mod shape;
mod slot;
mod summary;
mod tensor_file;
mod trunk;
mod values;

pub use architecture::Architecture;
pub use difference::{code_differences, CodeDifference};
pub use graph::Value;
pub use model::{DatasetTag, Model, ModelInfo, MODEL_FORMAT};
pub use network::{Network, Parameter, Role};
pub use pass::Route;
pub use program::Step;
pub use pytorch::{read_state_dict, StateDict};
pub use record::{NetworkSpec, PostTraining, TrainingRecord};
pub use shape::LayerShape;
#[cfg(test)]
pub(crate) use summary::tests::layer as layer_of_values;
pub use summary::{layer_summaries, layer_weights, LayerSummary, LayerWeights};
pub use tensor_file::{read_tensors, write_tensors, Tensors};
