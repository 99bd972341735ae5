//! Macros from the files of foundries and of CACTI: corners put together, with the words that go into a model file.

use super::cacti::{self, CactiChoice};
use super::liberty::Corner;
use super::macro_file::{MacroFile, MacroModel};
use super::sram::{Laws, SramMacro};
use crate::error::{refuse, Error, Result};
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
    /// Terms of use of the numbers.
    pub license: Option<String>,
}

/// How files become a macro.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportSpec {
    /// Laws in the place of fitted ones.
    pub laws: Laws,
    /// True where fitted laws may be continued beyond the characterised voltages.
    pub extrapolate: bool,
    /// What is said beside files of CACTI.
    pub cacti: CactiChoice,
}

/// A macro from files, each one corner of it or, of CACTI's tables, several: `.lib` is Liberty, `.csv` a table of CACTI
/// runs, `.out` and `.txt` what CACTI prints.
///
/// # Errors
/// As [`Corner::read`] and [`SramMacro::of_corners`]; [`Error::Input`] for another ending.
pub fn import(paths: &[PathBuf], spec: &ImportSpec, naming: &Naming) -> Result<MacroModel> {
    if paths.len() > MOST_FILES {
        return refuse("files", format!("at most {MOST_FILES}"), paths.len());
    }
    let mut corners: Vec<Corner> = Vec::new();
    for path in paths {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("lib") => corners.push(Corner::read(path)?),
            Some("csv") => corners.extend(cacti::read_table(path, &spec.cacti)?),
            Some("out" | "txt") => corners.push(cacti::read_printed(path, &spec.cacti)?),
            _ => {
                let expected = "a name that ends in .lib (Liberty), .csv, .out or .txt (CACTI)";
                return Err(Error::input(path, expected, "another ending"));
            }
        }
    }
    let mut sram = SramMacro::of_corners(&corners, &spec.laws)?;
    for variant in &mut sram.variants {
        variant.extrapolate = spec.extrapolate;
    }
    let first = &corners[0];
    let mut files: Vec<&str> = corners.iter().map(|corner| corner.file.as_str()).collect();
    files.dedup();
    MacroFile {
        name: naming.name.clone(),
        title: naming.title.clone().unwrap_or_else(|| {
            format!(
                "SRAM macro {}, {} words of {} bits",
                first.cell, first.words, first.bits
            )
        }),
        source: naming.source.clone().unwrap_or_else(|| files.join(", ")),
        measured: Some(measured(first)),
        inferred: Some(inferred(&sram)),
        license: naming.license.clone(),
        sram,
    }
    .model()
}

/// How the numbers of a corner came about.
fn measured(first: &Corner) -> String {
    let [read, write] = &first.clocks;
    if read.is_empty() {
        return "Computed by CACTI, not measured: an anchor at its own supply. Leakage is that of the bank, without that \
                of the gates."
            .into();
    }
    let at = match first.delay_at.as_slice() {
        [slew, load] => format!(
            " at the first slew and load of its table ({slew} and {load} in {})",
            first.file
        ),
        _ => " at the first values of its table".into(),
    };
    format!(
        "Characterised by the foundry's simulation, not measured. Energy of a read of a word at clock {read} and of a \
         write at {write}: the larger of both edges. Delay from {read} to the outputs: the larger of rise and fall{at}. \
         Leakage of the whole macro."
    )
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
