//! Macros from the files of foundries: corners put together, with the words that go into a model file.

use super::liberty::Corner;
use super::macro_file::{MacroFile, MacroModel};
use super::sram::{Laws, SramMacro};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Most files of one import.
const MOST_FILES: usize = 200;

/// What an imported macro is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Naming {
    /// Short name.
    pub name: String,
    /// One line for people; `None`: made from the macro.
    pub title: Option<String>,
    /// Where the numbers come from; `None`: the files.
    pub source: Option<String>,
}

/// A macro from Liberty files, each one corner of it.
///
/// # Errors
/// As [`Corner::read`] and [`SramMacro::of_corners`].
pub fn import_liberty(
    paths: &[PathBuf],
    laws: &Laws,
    extrapolate: bool,
    naming: &Naming,
) -> Result<MacroModel> {
    if paths.len() > MOST_FILES {
        return Err(Error::argument(
            "files",
            format!("at most {MOST_FILES}"),
            paths.len().to_string(),
        ));
    }
    let corners: Vec<Corner> = paths
        .iter()
        .map(|path| Corner::read(path))
        .collect::<Result<_>>()?;
    let mut sram = SramMacro::of_corners(&corners, laws)?;
    sram.variants
        .iter_mut()
        .for_each(|variant| variant.extrapolate = extrapolate);
    let first = &corners[0];
    let files: Vec<&str> = corners.iter().map(|corner| corner.file.as_str()).collect();
    let at = match first.delay_at.as_slice() {
        [slew, load] => format!(
            " at the first slew and load of its table ({slew} and {load} in {})",
            first.file
        ),
        _ => " at the first values of its table".into(),
    };
    let [read, write] = &first.clocks;
    MacroFile {
        name: naming.name.clone(),
        title: naming.title.clone().unwrap_or_else(|| {
            format!("SRAM macro {}, {} words of {} bits", first.cell, first.words, first.bits)
        }),
        source: naming.source.clone().unwrap_or_else(|| format!("Liberty: {}", files.join(", "))),
        measured: Some(format!(
            "Characterised by the foundry's simulation, not measured. Energy of a read of a word at clock {read} and of \
             a write at {write}: the larger of both edges. Delay from {read} to the outputs: the larger of rise and \
             fall{at}. Leakage of the whole macro."
        )),
        inferred: Some(inferred(&sram)),
        license: None,
        sram,
    }
    .model()
}

/// What the laws of a macro rest on, in words.
pub(super) fn inferred(sram: &SramMacro) -> String {
    let mut parts = Vec::new();
    for variant in &sram.variants {
        for (key, number) in variant.numbers() {
            if let Some(law) = &number.law {
                parts.push(format!(
                    "{} of {}: {} ({})",
                    key,
                    variant.name,
                    law.in_words(),
                    law.source
                ));
            }
        }
    }
    if parts.is_empty() {
        return "Nothing: each variant has one voltage, so no law over voltage is known.".into();
    }
    format!(
        "Between characterised voltages each number follows its law. {}.",
        parts.join("; ")
    )
}
