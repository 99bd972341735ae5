//! Bit-flip attacks on the stored codes of a network: the progressive bit search of Rakin et al., and random flips
//! to hold against it. Rows go to a sink; which images, which models and which files is for others.
//!
//! Only stored words are attacked. The step by which a code becomes a weight is stored with them and stays as it
//! was, for every method: those whose range follows the weights (`normal`, `plclip`) do not see it move.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use wcat_explore::attack::{bit_search, AttackSpec, Flip, Target};
//! use wcat_explore::data::{load, DatasetSpec, GlyphSpec, Split};
//! use wcat_explore::device::DeviceSpec;
//! use wcat_explore::engine::{Evaluator, Images};
//! use wcat_explore::net::{Architecture, Network};
//! use wcat_explore::quant::{Method, QuantizerSpec};
//! use wcat_explore::seed::Seed;
//! use wcat_explore::units::{Accuracy, Bits};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = DeviceSpec::Cpu.open()?;
//! let quantizer = QuantizerSpec { method: Method::Wcat, bits: Bits::new(4)?, ..QuantizerSpec::default() };
//! let (network, _) = Network::new(Architecture::Mlp, 10, &quantizer, Seed(1), &device)?; // or Model::load
//! let evaluator = Evaluator::new(network)?;
//!
//! let glyphs = GlyphSpec { training_images: 100, test_images: 100, ..GlyphSpec::default() };
//! let dataset = DatasetSpec { glyphs: Some(glyphs), ..DatasetSpec::default() };
//! let images = |split, n: u32| -> wcat_explore::error::Result<Images> {
//!     let set = load(&dataset, split, "no files".as_ref())?;
//!     let chosen: Vec<u32> = (0..n).collect();
//!     Images::of(&set, &chosen, &dataset.normalization(), &device)
//! };
//! let (batch, test) = (images(Split::Training, 32)?, images(Split::Test, 100)?);
//!
//! let target = Target { evaluator: &evaluator, batch: &batch, test: &test };
//! let spec = AttackSpec { flips: 5, until_accuracy: Some(Accuracy::new(0.0)?), ..AttackSpec::default() };
//! let mut flips = Vec::new();
//! let mut sink = |step: &[Flip]| {
//!     flips.extend_from_slice(step);
//!     Ok(())
//! };
//! let outcome = bit_search(&target, &spec, &AtomicBool::new(false), &mut sink)?;
//! assert_eq!((outcome.flips, flips.len()), (5, 5));
//! assert!(flips.iter().all(|flip| flip.loss_after > flip.loss_before)); // each step raises the loss
//! # Ok(())
//! # }
//! ```

mod candidates;
mod gradient;
mod memory;
mod random;
mod row;
mod search;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use random::random_flips;
pub use row::{AttackRow, AttackUnit, Flip, Outcome, Stop};
pub use search::{bit_search, Target};
pub use spec::AttackSpec;
#[cfg(test)]
pub(crate) use table::tests as table_tests;
pub use table::{summarize_attacks, AttackSummary, FlipRow, Flipper};
