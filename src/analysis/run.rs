//! The tables of finished runs, one or several together. What they are used for is the caller's affair.

use super::names;
use super::row::Summary;
use crate::error::{refuse, Error, Result};
use crate::sweep::{Design, EnergyRow, TrialRow};
use crate::table;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The tables of one finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Name of its folder.
    pub name: String,
    /// Its design points with their accuracy.
    pub summaries: Vec<Summary>,
    /// Its trials.
    pub trials: Vec<TrialRow>,
    /// Terms of the energies of its design points; none where the run was finished by a program without them.
    pub energies: Vec<EnergyRow>,
}

/// Several runs as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// All design points, in the order of one run's table.
    pub summaries: Vec<Summary>,
    /// All trials.
    pub trials: Vec<TrialRow>,
    /// All terms of energies.
    pub energies: Vec<EnergyRow>,
    /// What makes the runs less comparable; for the reader.
    pub warnings: Vec<String>,
}

/// Reads `summary.parquet`, `trials.parquet` and, where it is there, `energy.csv` of a run folder.
///
/// # Errors
/// [`Error::Missing`] where the run is not finished, [`Error::Input`] as
/// [`table::read`], and where a table has no row.
pub fn read_run(folder: &Path) -> Result<Run> {
    let path = folder.join(names::SUMMARY);
    let summaries: Vec<Summary> = table::read(&path)?;
    if summaries.is_empty() {
        return Err(Error::input(path, "at least one design point", "none"));
    }
    let trials = table::read(&folder.join(names::TRIALS))?;
    let energies = folder.join(names::ENERGY_CSV);
    let energies = if energies.exists() {
        table::read(&energies)?
    } else {
        Vec::new()
    };
    Ok(Run {
        name: run_name(folder),
        summaries,
        trials,
        energies,
    })
}

/// Name of a run: that of its folder; `.` and `results/x/..` have one too.
pub fn run_name(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    whole
        .file_name()
        .unwrap_or(whole.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Puts runs together. A design point that several runs have gets the name of its run in front:
/// `<run>/<design_id>`. Chip `n` of two runs is the same silicon only where their seeds are equal,
/// which the tables do not say: the caller compares the seeds in `run.yaml`.
///
/// # Errors
/// [`Error::Argument`]: no run, two runs of one name, different data sets, voltages of one memory
/// model in different units, energies of weights alone beside those of weights and activations.
pub fn merge(runs: Vec<Run>) -> Result<Merged> {
    let refused = |expected: &str, found: String| refuse("runs", expected, found);
    if runs.is_empty() {
        return refused("at least one", "none".into());
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = runs.iter().find(|run| !names.insert(run.name.as_str())) {
        return refused("each name once", format!("`{}` twice", twice.name));
    }
    let all = || {
        runs.iter()
            .flat_map(|run| run.summaries.iter().map(|summary| &summary.design))
    };
    let datasets: BTreeSet<&str> = all().map(|design| design.dataset.as_str()).collect();
    if datasets.len() > 1 {
        return refused("one data set", list(datasets));
    }
    if all().any(Design::counts_activations) && !all().all(Design::counts_activations) {
        let expected = "runs whose energies are of the same memories";
        let found = "some of weights alone, some of weights and activations".into();
        return refused(expected, found);
    }
    let mut units = BTreeMap::new();
    for design in all() {
        let unit = units
            .entry(design.memory.as_str())
            .or_insert(design.voltage_unit);
        if *unit != design.voltage_unit {
            return refused(
                "one unit of voltage for each memory model",
                format!("two for `{}`", design.memory),
            );
        }
    }
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for design in all() {
        *owners.entry(design.design_id.clone()).or_default() += 1;
    }
    let renamed = |run: &str, id: &str| {
        let shared = owners.get(id).is_some_and(|&owners| owners > 1);
        if shared {
            format!("{run}/{id}")
        } else {
            id.to_owned()
        }
    };
    let (mut summaries, mut trials, mut energies) = (Vec::new(), Vec::new(), Vec::new());
    for run in &runs {
        summaries.extend(run.summaries.iter().cloned().map(|mut summary| {
            summary.design.design_id = renamed(&run.name, &summary.design.design_id);
            summary
        }));
        trials.extend(run.trials.iter().cloned().map(|mut trial| {
            trial.design_id = renamed(&run.name, &trial.design_id);
            trial
        }));
        energies.extend(run.energies.iter().cloned().map(|mut row| {
            row.design_id = renamed(&run.name, &row.design_id);
            row
        }));
    }
    summaries.sort_by(|a, b| Design::in_order(&a.design, &b.design));
    let warnings = comparison_warnings(&summaries);
    Ok(Merged {
        summaries,
        trials,
        energies,
        warnings,
    })
}

/// What makes design points of one table less comparable: sentences for the reader, in a fixed order.
pub fn comparison_warnings(summaries: &[Summary]) -> Vec<String> {
    let texts = |of: fn(&Summary) -> String| summaries.iter().map(of).collect::<BTreeSet<String>>();
    let mut warnings = Vec::new();
    let mut warn = |found: BTreeSet<String>, what: &str, so: &str| {
        if found.len() > 1 {
            warnings.push(format!(
                "{what} differ ({}): {so}",
                list(found.iter().map(String::as_str))
            ));
        }
    };
    warn(
        texts(|s| s.design.memory.clone()),
        "memory models",
        "their voltages and relative energies have different references",
    );
    warn(
        summaries
            .iter()
            .filter_map(|s| Some(s.design.activations.as_ref()?.memory.clone()))
            .collect(),
        "memory models of activations",
        "their voltages and energies have different references",
    );
    warn(
        texts(|s| s.design.architecture.clone()),
        "architectures",
        "relative energy is relative to each one's own 8-bit network",
    );
    warn(
        texts(|s| s.design.fault_kind.of_cells().to_owned()),
        "fault kinds",
        "the same bit error rate means different things",
    );
    warn(
        texts(|s| s.design.array.to_string()),
        "arrays",
        "faults are spread differently",
    );
    let images = |s: &Summary| {
        if s.image_sample().is_whole() {
            s.images.to_string()
        } else {
            format!("{} of {}", s.images, s.test_images)
        }
    };
    warn(
        texts(images),
        "numbers of test images",
        "accuracies are of different images",
    );
    warn(
        texts(|s| s.chips.to_string()),
        "numbers of chips",
        "the probability of being on the frontier rests on the chips that all share",
    );
    warnings
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
