//! What can change a number, and the hash of it that names folders.

use crate::data::Normalization;
use crate::error::{Error, Result};
use crate::explore::ExploreSpec;
use crate::fault::FaultSpec;
use crate::kernel::Isa;
use crate::memory::EnergySpec;
use crate::store;
use serde::Serialize;
use std::path::{Component, Path};

/// Version of the program; part of every identity.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything that can change a number of a sweep, but for what is merely more voltages or chips.
#[derive(Serialize)]
pub(super) struct SweepIdentity<'a> {
    pub(super) seed: u64,
    pub(super) dataset: &'a str,
    pub(super) images: u64,
    pub(super) memory: &'a str,
    pub(super) models: Vec<(&'a str, &'a str)>,
    pub(super) tolerance: Option<f64>,
    pub(super) floor: Option<f64>,
    /// Statistics of images that the user gave for models that say none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) normalization: Option<Vec<(&'a str, &'a Normalization)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) faults: Option<&'a FaultSpec>,
    /// Voltages were found from bit error rates: at one voltage such a run may have another rate than a run by voltages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by_rate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) energy: Option<&'a EnergySpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explore: Option<&'a ExploreSpec>,
    /// Voltages and protections of two-level sampling, which plans the images of a chip from all design points: more
    /// of them are another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) two_level: Option<(Vec<f64>, Vec<String>)>,
}

/// `<name>-<hash>`: the first 12 hexadecimal digits of the SHA-256 of the identity as JSON, with the vector
/// instructions where they round otherwise than the rest.
///
/// # Errors
/// [`Error::Argument`] where the identity holds a number that JSON cannot hold.
pub(super) fn folder_name(name: &str, identity: &impl Serialize) -> Result<String> {
    // the portable kernels round twice where the others round once; those give the same bits
    let text = match Isa::current() {
        Isa::Portable => serde_json::to_string(&(VERSION, "portable", identity)),
        _ => serde_json::to_string(&(VERSION, identity)),
    };
    let text = text.map_err(|e| {
        Error::argument(
            "identity of a run",
            "numbers that JSON can hold",
            e.to_string(),
        )
    })?;
    Ok(format!("{name}-{}", &store::sha256(text.as_bytes())[..12]))
}

/// A folder's name that the user may have given is one plain name: no path, not hidden.
///
/// # Errors
/// [`Error::Argument`] that names the flag.
pub(super) fn check_plain_name(flag: &str, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let components: Vec<Component> = Path::new(name).components().collect();
    let plain = matches!(components[..], [Component::Normal(only)] if only == name);
    if plain && !name.starts_with('.') {
        return Ok(());
    }
    Err(Error::argument(
        flag,
        "a plain folder name, no path and no `.` in front",
        format!("`{name}`"),
    ))
}
