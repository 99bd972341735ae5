//! Checkpoints load in the forms in which they are commonly saved.
