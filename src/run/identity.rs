//! What can change a number, and the hash of it that names folders.

use crate::answer::AnswerSpec;
use crate::data::Normalization;
use crate::error::{refuse, Error, Result};
use crate::explore::ExploreSpec;
use crate::fault::{FaultSpec, Protection};
use crate::kernel::{Arithmetic, Isa};
use crate::memory::EnergySpec;
use crate::store;
use crate::units::{Metric, Positive};
use serde::Serialize;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// Version of the program; part of every identity.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything that can change a number of a sweep, but for what is merely more voltages or chips.
#[derive(Serialize)]
pub(super) struct SweepIdentity<'a> {
    pub(super) seed: u64,
    pub(super) dataset: &'a str,
    pub(super) images: u64,
    pub(super) memory: &'a str,
    /// Where stored activations have a supply of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) activations: Option<ActivationIdentity<'a>>,
    pub(super) models: Vec<(&'a str, &'a str)>,
    pub(super) tolerance: Option<f64>,
    pub(super) floor: Option<f64>,
    /// Unless it is the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric: Option<Metric>,
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
    pub(super) explore: Option<Verification<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<AnswerSpec>,
    /// Voltages and protections of two-level sampling, which plans the images of a chip from all design points: more
    /// of them are another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) two_level: Option<(Vec<f64>, Vec<String>)>,
    /// The same of stratified images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stratified: Option<(Vec<f64>, Vec<String>)>,
}

/// What can change a number of faults in stored activations.
#[derive(Serialize)]
pub(super) struct ActivationIdentity<'a> {
    pub(super) memory: &'a str,
    pub(super) words: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protection: Option<Protection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) energy_ratio: Option<Positive>,
    pub(super) alone: bool,
    pub(super) by_rate: bool,
    /// Their voltages, under two-level sampling: see [`SweepIdentity::two_level`].
    pub(super) planned: Option<Vec<f64>>,
}

/// What points of an exploration are verified by: those of a run whose identity does not say it, by means.
#[derive(Serialize)]
pub(super) struct Verification<'a> {
    pub(super) verified_by: &'static str,
    #[serde(flatten)]
    pub(super) spec: &'a ExploreSpec,
}

/// `<name>-<hash>`: the first 12 hexadecimal digits of the SHA-256 of the identity as JSON, with the vector
/// instructions and the arithmetic where they round otherwise than AVX-512 and AVX2 with direct convolutions.
///
/// # Errors
/// [`Error::Argument`] where the identity holds a number that JSON cannot hold.
pub(super) fn folder_name(
    name: &str,
    identity: &impl Serialize,
    arithmetic: Arithmetic,
) -> Result<String> {
    let identity = serde_json::to_string(identity).map_err(|e| {
        Error::argument(
            "identity of a run",
            "numbers that JSON can hold",
            e.to_string(),
        )
    })?;
    let mut kernels = String::new();
    // they round twice where the others round once
    if Isa::current() == Isa::Portable {
        kernels += "\"portable\",";
    }
    if arithmetic == Arithmetic::Winograd {
        kernels += "\"winograd\",";
    }
    let text = format!("[\"{VERSION}\",{kernels}{identity}]");
    Ok(format!("{name}-{}", &store::sha256(text.as_bytes())[..12]))
}

/// What [`folder_name`] hashes, by name: what a message can say of two identities that differ.
pub(super) fn settings(name: &str, identity: &impl Serialize, arithmetic: Arithmetic) -> Value {
    // a number that JSON cannot hold has no name, see `folder_name`
    let mut settings = serde_json::to_value(identity).unwrap_or_default();
    let Some(fields) = settings.as_object_mut() else {
        return settings;
    };
    if let Some(models) = fields.get_mut("models") {
        *models = by_name(models);
    }
    for (key, value) in [
        ("name", name),
        ("version", VERSION),
        ("arithmetic", arithmetic.name()),
    ] {
        fields.insert(key.into(), value.into());
    }
    if Isa::current() == Isa::Portable {
        fields.insert("instructions".into(), Isa::Portable.name().into());
    }
    settings
}

/// Pairs of a name and a checksum.
fn by_name(pairs: &Value) -> Value {
    let pairs = pairs.as_array().into_iter().flatten();
    let pairs = pairs.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].clone())));
    Value::Object(pairs.collect())
}

/// The name of a file that the program makes is one plain name: no path, not hidden.
///
/// # Errors
/// [`Error::Argument`] for `what` has the name.
pub(super) fn check_plain_name(what: &str, name: &str) -> Result<()> {
    let components: Vec<Component> = Path::new(name).components().collect();
    let plain = matches!(components[..], [Component::Normal(only)] if only == name);
    if plain && !name.starts_with('.') {
        return Ok(());
    }
    refuse(
        what,
        "a plain folder name, no path and no `.` in front",
        format!("`{name}`"),
    )
}

/// What `--out` says of a run or a report names a folder: a name or a path that ends in one, not hidden.
///
/// # Errors
/// [`Error::Argument`].
pub(super) fn check_out(out: Option<&str>) -> Result<()> {
    let Some(out) = out else { return Ok(()) };
    let name = Path::new(out).file_name().and_then(|name| name.to_str());
    if name.is_some_and(|name| !name.starts_with('.')) {
        return Ok(());
    }
    refuse(
        "--out",
        "a name or a path of a folder, no `.` in front of its name",
        format!("`{out}`"),
    )
}

/// The folder that `--out` says: a bare name stands in the `usual` folder, a path as it is.
pub(super) fn out_folder(usual: &Path, out: &str) -> PathBuf {
    if is_path(out) {
        PathBuf::from(out)
    } else {
        usual.join(out)
    }
}

/// True for more than a bare name.
pub(super) fn is_path(out: &str) -> bool {
    let bare = Path::new(out).file_name().and_then(|name| name.to_str());
    bare != Some(out)
}

/// The folder of a run's report or figure: beside the other reports under the run's name, within a run whose folder was
/// given as a path.
pub(super) fn report_folder(reports: &Path, run: &Path, out: Option<&str>) -> PathBuf {
    if out.is_some_and(is_path) {
        run.join("report")
    } else {
        reports.join(run.file_name().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_stands_in_the_usual_folder_and_a_path_as_it_is() {
        let reports = Path::new("reports");
        for (out, folder, report) in [
            ("mine", "results/mine", "reports/mine"),
            ("./mine", "./mine", "./mine/report"),
            ("mine/", "mine/", "mine/report"),
            (
                "/data/runs/mine",
                "/data/runs/mine",
                "/data/runs/mine/report",
            ),
            ("../mine", "../mine", "../mine/report"),
        ] {
            check_out(Some(out)).unwrap();
            let run = out_folder(Path::new("results"), out);
            assert_eq!(run, Path::new(folder), "{out}");
            assert_eq!(report_folder(reports, &run, Some(out)), Path::new(report));
        }
        assert_eq!(
            report_folder(reports, Path::new("results/a-0123"), None),
            Path::new("reports/a-0123")
        );
        for out in ["", ".", "..", "a/..", ".hidden", "a/.hidden", "/"] {
            assert!(check_out(Some(out)).is_err(), "{out}");
        }
    }
}
