//! The settings of an experiment: what the rooms can be told, put together and checked, and the configurations that come
//! with the program. Reading and merging YAML is the affair of `yaml`.

mod experiment;
mod preset;

pub use crate::yaml::Layer;
pub use experiment::{built_in, Experiment, ModelSpec, Training};
pub use preset::{method_preset, method_presets, named_or_file};
