//! YAML: text within bounds to layers of settings, layers merged to a typed value, values back to text. Every error
//! says which file, line and key is wrong; what the keys mean is the affair of the type that is read.

mod document;
mod flags;
mod layer;
mod merge;
mod message;
mod nesting;
mod resolve;

pub use layer::{Layer, LARGEST_FILE};
pub use message::guess;
pub use resolve::{resolve, resolve_to, text_at, to_yaml, wrong_at, wrong_key};

#[cfg(test)]
mod tests;
