//! Which stored bits fail on a simulated chip, and what becomes of the words. Words in, words out:
//! rates come from the memory models, accuracy is the engine's affair.

mod array;
mod chip;
mod pattern;

pub use array::ArraySpec;
pub use chip::{Chip, FailingCell};
pub use pattern::{apply, faulty_words, Applied, FaultKind};
