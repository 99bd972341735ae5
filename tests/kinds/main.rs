//! Kinds of fault that would go unnoticed, a file each: the inputs come from public bug reports of this field.
#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "../program/mod.rs"]
mod program;

mod checkpoints;
mod checksums;
mod damaged_journal;
mod data_files;
mod datasets;
mod fault_maps;
mod folders;
mod hostile;
mod images_and_codes;
mod jpeg;
mod measurements;
mod messages;
mod names;
mod nesting;
mod nonfinite;
mod normalization;
mod numerics;
mod paths;
mod records;
mod settings;
mod signals;
mod usage;
