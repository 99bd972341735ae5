//! Which stored bits fail on a simulated chip, and what becomes of the words. Words in, words out:
//! rates come from the memory models, accuracy is the engine's affair.

mod activations;
mod array;
mod chip;
mod choice;
mod exposure;
mod guard;
mod label;
mod layout;
mod map;
mod pattern;
mod profile;
mod protection;
mod reads;
pub mod secded;
mod spec;

pub use activations::{ActivationMemory, ActivationReads};
pub use array::ArraySpec;
pub use chip::{Chip, FailingCell, TransientRates};
pub use exposure::Exposure;
pub use label::{ArrayLabel, FaultLabel};
pub use layout::Layout;
pub use map::FaultMap;
pub use pattern::{apply, faulty_words, Applied, FaultKind, KindName};
pub use profile::{Profile, ProfilePoint};
pub use protection::Protection;
pub use reads::{CellSource, ChipReads, FaultModel, Read, Stored, Zone};
pub use spec::{FaultSpec, Noise};
