//! `run.yaml`: what a run was asked, with which inputs, by which program, on which machine.

use super::checked;
use super::difference::difference;
use super::identity::{out_folder, VERSION};
use super::models::Loaded;
use super::numerics;
use super::redraw::holds_answer;
use super::request::RunRequest;
use crate::analysis::names;
use crate::config::Experiment;
use crate::error::{refuse, Error, Result};
use crate::explore::FORMER_KEYS;
use crate::kernel::{Arithmetic, Isa};
use crate::units::Metric;
use crate::yaml::{resolve, to_yaml, Layer};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file.
pub(super) const RECORD: &str = "run.yaml";
/// Settings that may differ between commands of one run.
const GROWS: [(&str, &str); 7] = [
    ("sweep", "voltages"),
    ("sweep", "bit_error_rates"),
    ("sweep", "protection"),
    ("sweep", "chips"),
    ("activations", "voltages"),
    ("activations", "bit_error_rates"),
    ("attack", "restarts"),
];
/// Copy of the memory model in a run folder.
pub(super) const MEMORY: &str = "memory_model.yaml";
/// Copy of that of stored activations, where they have a supply of their own.
pub(super) const ACTIVATION_MEMORY: &str = "activation_memory_model.yaml";

/// Content of `run.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Version of the program.
    pub(super) version: String,
    /// What the bits of the program that began it hash to, see [`super::numerics()`]; `None` in a record that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) numerics: Option<String>,
    /// How convolutions were computed.
    #[serde(default = "direct")]
    pub(super) arithmetic: String,
    /// Name and hash of everything that can change a number.
    pub(super) identity: String,
    /// Command lines that computed the run, in order, each once.
    pub(super) commands: Vec<String>,
    /// Processes that computed a part of it, by their journals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) attempts: Vec<String>,
    /// Root seed.
    pub(super) seed: u64,
    /// What accuracies are the share of, unless it is the usual.
    #[serde(default, skip_serializing_if = "Metric::is_default")]
    pub(super) metric: Metric,
    /// Accuracy of guessing.
    pub(super) chance: f64,
    /// Images per trial; of an attack, those that accuracies are measured on.
    pub(super) images: u64,
    /// Data set.
    pub(super) dataset: Input,
    /// Memory model; an attack has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<Input>,
    /// Memory model of stored activations, where they have a supply of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) activation_memory: Option<Input>,
    /// Training set that the batches of an attack come from, where they come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attack_data: Option<Input>,
    /// File of the groups of layers that an exploration gives a voltage each; the groups stand in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) groups: Option<Input>,
    /// Models.
    pub(super) models: Vec<Input>,
    /// Cells that faults can reach, by model; empty where the number of failing cells among them does not have the
    /// bit error rate for its mean (biased flips, profiles, maps), and in a record that does not say.
    #[serde(default)]
    pub(super) exposed_cells: BTreeMap<String, u64>,
    /// How often a trial read its cells: several times where faults are transient.
    #[serde(default = "once")]
    pub(super) accesses: u64,
    /// Seconds since 1970 when the run began, and when it was finished.
    pub(super) started_unix: u64,
    /// `None` while it is not finished.
    pub(super) finished_unix: Option<u64>,
    /// Machine that began it.
    pub(super) machine: Machine,
    /// Remarks and warnings.
    pub(super) notes: Vec<String>,
    /// Where energies are least, of memories with a macro.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) least_energy: Vec<String>,
    /// The resolved configuration.
    pub(super) configuration: Experiment,
}

/// The arithmetic of a record that does not say it.
fn direct() -> String {
    Arithmetic::Direct.name().to_owned()
}

fn once() -> u64 {
    1
}

/// Something that a run reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Name.
    pub(super) name: String,
    /// Where it was, or what it is called.
    pub(super) from: String,
    /// SHA-256 of its content.
    pub(super) sha256: String,
    /// How a model's images are normalised, where that is not of a training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) normalization: Option<String>,
}

impl Input {
    pub(super) fn new(name: &str, from: String, sha256: &str) -> Self {
        Self {
            name: name.to_owned(),
            from,
            sha256: sha256.to_owned(),
            normalization: None,
        }
    }

    pub(super) fn of_model(model: &Loaded) -> Self {
        Self {
            normalization: model.said(),
            ..Self::new(
                &model.name,
                model.path.display().to_string(),
                &model.checksum,
            )
        }
    }
}

/// Refuses runs whose accuracies are shares of different things: they are not compared.
///
/// # Errors
/// [`Error::Argument`] with two of the metrics.
pub(super) fn check_metrics<'a>(mut records: impl Iterator<Item = &'a Record>) -> Result<()> {
    let Some(first) = records.next() else {
        return Ok(());
    };
    match records.find(|other| other.metric != first.metric) {
        Some(other) => refuse(
            "metrics of the runs",
            "one metric: accuracies by several are not compared",
            format!("`{}` and `{}`", first.metric, other.metric),
        ),
        None => Ok(()),
    }
}

/// The folder of a run in `results`: `out`, else the identity of the run that is `asked` for. It need not be there; what
/// is there can be gone on with, or is thrown away (`fresh`).
///
/// # Errors
/// [`Error::Argument`] where another run lies there, [`Error::Input`] where it was begun under other numerics; a record
/// that does not read.
pub(super) fn run_folder(request: &RunRequest, asked: &Record) -> Result<PathBuf> {
    let identity = &asked.identity;
    let name = request.out.as_deref().unwrap_or(identity);
    let folder = out_folder(&request.results, name);
    let path = folder.join(RECORD);
    if path.exists() {
        let before = Record::read(&folder)?;
        if before.identity != *identity {
            let expected = format!("a new name, or the folder of the same run ({identity})");
            return refuse(
                format!("--out {name}"),
                expected,
                format!(
                    "the run {} in it{}",
                    before.identity,
                    before.other_inputs(asked)
                ),
            );
        }
        if !request.fresh {
            let way_out = "`--fresh` begins the run again, `--out NAME` begins it beside this one";
            numerics::check(
                &path,
                before.numerics.as_deref(),
                numerics::numerics()?,
                way_out,
            )?;
        }
    }
    Ok(folder)
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// Operating system and processor family.
    pub(super) system: String,
    /// Vector instructions in use; null in a record that does not say.
    #[serde(default)]
    pub(super) isa: Option<String>,
    /// Threads in use.
    pub(super) threads: usize,
}

impl Machine {
    pub(super) fn here() -> Self {
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        let isa = Some(Isa::current().name().to_owned());
        Self {
            system,
            isa,
            threads: rayon::current_num_threads(),
        }
    }
}

/// Seconds since 1970; 0 on a clock before that.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

impl Record {
    /// Writes the record. Of a run that only begins, what would not read back the same is refused: a later command could
    /// not read it.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let (path, text) = (folder.join(RECORD), to_yaml(self)?);
        if self.finished_unix.is_none() {
            let read: Self = resolve(&[Layer::built_in(&path.display().to_string(), &text)?])?;
            if read != *self {
                let found = "one that reads back otherwise";
                return Err(Error::input(path, "a record that reads back", found));
            }
        }
        checked::write(folder, RECORD, &text)
    }

    /// What else this run was computed by: another arithmetic, files of other content, which may be damaged, or other
    /// settings.
    fn other_inputs(&self, asked: &Self) -> String {
        let inputs = |record: &Self| -> Vec<Input> {
            let memory = record.memory.iter().chain(&record.activation_memory);
            record.models.iter().chain(memory).cloned().collect()
        };
        if self.arithmetic != asked.arithmetic {
            return format!(", computed by `--arithmetic {}`", self.arithmetic);
        }
        let now = inputs(asked);
        let other: Vec<String> = inputs(self)
            .into_iter()
            .filter(|old| {
                let differs = |new: &Input| new.sha256 != old.sha256 && new.name == old.name;
                now.iter().any(|new| new.from == old.from && differs(new))
            })
            .map(|old| old.from)
            .collect();
        match other.as_slice() {
            [] => {
                let inputs = difference(&self.inputs(), &asked.inputs());
                let differ = inputs.or_else(|| difference(&self.settings(), &asked.settings()));
                differ.map_or(String::new(), |(old, new)| {
                    format!("; it has {old}, this command {new}")
                })
            }
            _ => format!(
                "; since then {} changed (SHA-256 in its {RECORD})",
                other.join(", ")
            ),
        }
    }

    /// What the run is of, by name.
    fn inputs(&self) -> Value {
        let content = |input: &Input| json!({ "name": input.name, "sha256": input.sha256 });
        let models = self.models.iter();
        let models = models.map(|model| (model.name.clone(), model.sha256.clone().into()));
        json!({
            "version": self.version,
            "seed": self.seed,
            "images": self.images,
            "metric": self.metric,
            "dataset": content(&self.dataset),
            "memory": self.memory.as_ref().map(content),
            "activation memory": self.activation_memory.as_ref().map(content),
            "attack data": self.attack_data.as_ref().map(content),
            "models": Value::Object(models.collect()),
        })
    }

    /// Its settings, but for those that may grow from one command to the next.
    fn settings(&self) -> Value {
        let mut settings = serde_json::to_value(&self.configuration).unwrap_or_default();
        for (part, key) in GROWS {
            if let Some(fields) = settings[part].as_object_mut() {
                fields.remove(key);
            }
        }
        settings
    }

    pub(super) fn read(folder: &Path) -> Result<Self> {
        checked::check_record(folder)?;
        let layer = Layer::file(&folder.join(RECORD)).map_err(|error| match error {
            Error::Missing { .. } if !folder.is_dir() => Error::Missing {
                path: folder.to_owned(),
                expected: "the folder of a run, as `sweep` and `attack` make them in `results`"
                    .into(),
            },
            Error::Missing { path, .. } => Error::Missing {
                path,
                expected: "the record of a run, in a folder that `sweep` or `attack` has made"
                    .into(),
            },
            other => other,
        })?;
        let layer = FORMER_KEYS.iter().fold(layer, |layer, key| {
            layer.without(&format!("configuration.{key}"))
        });
        resolve(&[layer])
    }

    /// Reads the record of a run whose tables are there.
    pub(super) fn with_tables(folder: &Path) -> Result<Self> {
        let record = Self::read(folder)?;
        if holds_answer(folder) {
            let expected =
                "runs of `sweep`, `explore` or `attack`; an answer is drawn by `pareto` alone";
            let found = folder.display().to_string();
            return refuse("runs", expected, found);
        }
        let tables = [names::SUMMARY, names::ATTACKS].map(|name| folder.join(name));
        if record.finished_unix.is_some() || tables.iter().any(|table| table.exists()) {
            return Ok(record);
        }
        let [path, _] = tables;
        let command = record
            .commands
            .last()
            .map_or(String::new(), |command| format!(": `{command}`"));
        let expected = format!(
            "the tables of a finished run; this one is not finished, its command goes on with it{command}"
        );
        Err(Error::Missing { path, expected })
    }

    /// The version this program writes.
    pub(super) fn version() -> String {
        VERSION.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_records_read_though_explore_had_more_settings() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        let mut former = 0;
        for folder in std::fs::read_dir(results).unwrap() {
            let folder = folder.unwrap().path();
            let path = folder.join(RECORD);
            if path.exists() {
                Record::read(&folder).unwrap();
                let layer = Layer::file(&path).unwrap();
                former += usize::from(layer.sets("configuration.explore.yield"));
            }
        }
        assert!(former > 0);
    }
}
