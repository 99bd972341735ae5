//! A model file as a file of another form.

use super::monitor::Monitor;
use crate::device::DeviceSpec;
use crate::error::{refuse, Result};
use crate::net::{ImportChoices, Model};
use std::path::Path;

/// Writes a model as an ONNX file ([`Model::export`]), and says how its images are normalised.
///
/// # Errors
/// [`crate::error::Error::Argument`] for a path that is no `*.onnx`, or is taken without `overwrite`; as
/// [`Model::load_with`] and [`Model::export`].
pub fn export(
    model: &Path,
    choices: &ImportChoices,
    out: &Path,
    overwrite: bool,
    monitor: &dyn Monitor,
) -> Result<()> {
    if out.extension().is_none_or(|ending| ending != "onnx") {
        let found = format!("`{}`", out.display());
        return refuse("--out", "a path that ends in .onnx", found);
    }
    if out.exists() && !overwrite {
        return Err(Model::taken(out));
    }
    let model = Model::load_with(model, choices, &DeviceSpec::Cpu.open()?)?;
    monitor.warn_all(&model.warnings);
    model.export(out)?;
    if let Some(normalization) = &model.info.normalization {
        monitor.note(&format!(
            "the network takes images whose pixels, as 0 to 1, are less {:?} and divided by {:?}; the file says so in \
             `wcat-explore.normalization`",
            normalization.mean, normalization.std
        ));
    }
    Ok(())
}
