//! Layers of settings (built-in text, files, `--set`) merged into one typed configuration; every
//! error says which layer, line and key is wrong. Leaves what the keys mean to the type that is read.

mod experiment;
mod flags;
mod groups;
mod layer;
mod merge;
mod message;
mod preset;
mod resolve;

pub use experiment::{built_in, Experiment, ModelSpec, NetworkSpec, Training};
pub use groups::groups;
pub use layer::{Layer, Origin};
pub use preset::{method_preset, method_presets, named_or_file};
pub use resolve::{resolve, resolved_yaml, text_at, wrong_key};

#[cfg(test)]
mod tests;
