//! Figures and report from the stored tables of one run or of several, without models or data.

use super::checked::Unchecked;
use super::identity::{check_out, out_folder};
use super::record::{check_metrics, Record, ACTIVATION_MEMORY, MEMORY};
use crate::analysis::{self, names, Analysis, Pareto};
use crate::answer::{AnswerRow, EvidenceRow, PartLoss};
use crate::error::{refuse, Result};
use crate::figure::{self, CurvePoint, MemoryCurve};
use crate::memory::MemoryModel;
use crate::report::{answer_html, html, lead, AnswerReport, Report, FIRST};
use crate::seed::Seed;
use crate::store::{self, Lock};
use crate::table;
use crate::yaml::to_yaml;
use std::path::{Path, PathBuf};

/// What was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Report folder.
    pub folder: PathBuf,
    /// The report.
    pub report: PathBuf,
    /// Its first sentence; `None` where no accuracy was asked for, and of an answer, which has several.
    pub lead: Option<String>,
    /// Where energies are least, of memories with a macro, a sentence or more each.
    pub least_energy: Vec<String>,
    /// What makes the rows less comparable.
    pub warnings: Vec<String>,
    /// What was read without a checksum, for the user; `None` where everything was checked.
    pub unchecked: Option<String>,
}

/// Largest memory model that is read back.
const LARGEST_MEMORY: u64 = 1 << 20;
/// Points of a memory model's drawn curve.
const CURVE_POINTS: usize = 121;

/// Draws the figures and the report of finished runs into `<reports>/<name>/`; the name is that of the run, or
/// `merged` for several, unless `out` is another one or a path. Pareto tables of several runs are computed anew.
///
/// # Errors
/// [`crate::error::Error::Missing`] or [`crate::error::Error::Input`] where a run is not finished or damaged,
/// [`crate::error::Error::Argument`] for runs that do not go together, [`crate::error::Error::Locked`],
/// [`crate::error::Error::Io`].
pub fn redraw(runs: &[PathBuf], reports: &Path, out: Option<&str>) -> Result<(Drawn, Pareto)> {
    check_out(out)?;
    draw(
        runs,
        |title| out_folder(reports, out.unwrap_or(title)),
        None,
    )
}

/// As [`redraw`], into the folder for the title of the runs; `known` is what follows from their tables, where the
/// caller has computed it.
pub(super) fn draw(
    runs: &[PathBuf],
    folder: impl FnOnce(&str) -> PathBuf,
    known: Option<Analysis>,
) -> Result<(Drawn, Pareto)> {
    let records: Vec<Record> = runs
        .iter()
        .map(|run| Record::with_tables(run))
        .collect::<Result<_>>()?;
    let Some(first) = records.first() else {
        return refuse("runs", "at least one folder in `results`", "none");
    };
    check_metrics(records.iter())?;
    let mut unchecked = Unchecked::default();
    runs.iter().try_for_each(|run| unchecked.check(run))?;
    let tables: Vec<analysis::Run> = runs
        .iter()
        .map(|run| analysis::read_run(run))
        .collect::<Result<_>>()?;
    let counted = |(record, run): (&Record, &analysis::Run)| {
        analysis::fault_counts(
            &run.summaries,
            &run.trials,
            &record.exposed_cells,
            record.accesses,
        )
    };
    let fault_counts = records.iter().zip(&tables).flat_map(counted).collect();
    let title = match tables.as_slice() {
        [one] => one.name.clone(),
        many => format!(
            "merged-{}",
            many.iter()
                .map(|run| run.name.as_str())
                .collect::<Vec<_>>()
                .join("+")
        ),
    };
    let merged = analysis::merge(tables)?;
    let mut warnings = merged.warnings.clone();
    if let Some(other) = records.iter().find(|record| record.seed != first.seed) {
        warnings.push(format!(
            "the runs have different seeds ({} and {}): their chips are different silicon, nothing is paired",
            first.seed, other.seed
        ));
    }
    if let Some(other) = records
        .iter()
        .find(|record| record.arithmetic != first.arithmetic)
    {
        warnings.push(format!(
            "the runs were computed by different arithmetics ({} and {}): equal trials may differ by rounding",
            first.arithmetic, other.arithmetic
        ));
    }
    let analysis = match known {
        Some(analysis) => analysis,
        None => Analysis::of(
            &merged.summaries,
            &merged.trials,
            first.chance,
            Seed(first.seed),
        )?,
    };
    if records
        .iter()
        .any(|record| record.configuration.energy != first.configuration.energy)
    {
        warnings.push(
            "the runs count reads of weights differently (`energy` of their configurations): their relative energies \
             have different references"
                .into(),
        );
    }
    let (memories, energy_basis) = memories(runs, &records)?;
    let curves: Vec<MemoryCurve> = memories.iter().map(curve).collect::<Result<_>>()?;
    let drawn = analysis::average_trainings(&merged.summaries, &merged.trials)?;
    let mut figures = figure::all(&drawn, &analysis.pareto, &curves);
    let objectives = analysis::objectives(&merged.summaries, &merged.trials)?;
    figures.extend(figure::energy_terms(
        &merged.summaries,
        &merged.energies,
        &objectives,
    ));
    let folder = folder(&title);
    let _lock = draw_into(&folder, &figures)?;
    let of_all = |lines: fn(&Record) -> &Vec<String>| -> Vec<String> {
        records.iter().flat_map(lines).cloned().collect()
    };
    let mut notes = of_all(|record| &record.notes);
    notes.extend(warnings.iter().cloned());
    let least_energy = of_all(|record| &record.least_energy);
    let configurations: Vec<String> = records.iter().map(to_yaml).collect::<Result<_>>()?;
    let contents = Report {
        title: format!(
            "{}: accuracy against {}",
            figure::about(&merged.summaries, &curves),
            analysis::energy_scope(&merged.summaries)
        ),
        run: title,
        version: first.version.clone(),
        commands: of_all(|record| &record.commands),
        configuration: configurations.join("---\n"),
        notes,
        figures,
        summaries: merged.summaries,
        fault_counts,
        energy_terms: merged.energies,
        energy_basis,
        least_energy: least_energy.clone(),
        objectives,
        pareto: analysis.pareto.clone(),
        answers: analysis.answers,
        differences: analysis.differences,
    };
    let report = folder.join("report.html");
    store::write_bytes(&report, html(&contents).as_bytes())?;
    Ok((
        Drawn {
            folder,
            report,
            lead: lead(&contents),
            least_energy,
            warnings,
            unchecked: unchecked.note(),
        },
        analysis.pareto,
    ))
}

/// Writes figures into the folder of a report, which stays locked until its page is there too.
fn draw_into(folder: &Path, figures: &[figure::Figure]) -> Result<Lock> {
    store::create_folder(folder)?;
    let lock = Lock::take(folder)?;
    for figure in figures {
        figure::write(&figure.svg, &folder.join(format!("{}.svg", figure.name)))?;
    }
    Ok(lock)
}

/// An answer as it stands in its folder, with what was drawn of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnAnswer {
    /// A verdict for each model under each protection.
    pub rows: Vec<AnswerRow>,
    /// What the check showed of each voltage.
    pub evidence: Vec<EvidenceRow>,
    /// Losses of parts of the network that seems cheapest, where they were asked for.
    pub parts: Vec<PartLoss>,
    /// Its report.
    pub drawn: Drawn,
}

/// Whether a folder holds a finished answer.
pub fn holds_answer(run: &Path) -> bool {
    run.join(names::VERDICTS_CSV).exists()
}

/// Draws the figures and the report of a finished answer into `<reports>/<name>/`, as [`redraw`] does of runs.
///
/// # Errors
/// As [`redraw`].
pub fn redraw_answer(run: &Path, reports: &Path, out: Option<&str>) -> Result<DrawnAnswer> {
    check_out(out)?;
    let name = analysis::run_name(run);
    draw_answer(run, &out_folder(reports, out.unwrap_or(&name)))
}

/// As [`redraw_answer`], into this folder.
pub(super) fn draw_answer(run: &Path, folder: &Path) -> Result<DrawnAnswer> {
    let record = Record::read(run)?;
    let mut unchecked = Unchecked::default();
    unchecked.check(run)?;
    let rows: Vec<AnswerRow> = table::read(&run.join(names::VERDICTS_CSV))?;
    let evidence: Vec<EvidenceRow> = table::read(&run.join(names::EVIDENCE_CSV))?;
    let parts = run.join(names::PART_LOSSES_CSV);
    let parts: Vec<PartLoss> = if parts.exists() {
        table::read(&parts)?
    } else {
        Vec::new()
    };
    let figures = [
        figure::verdicts(&rows, &evidence),
        figure::part_losses(&parts),
        figure::part_map(&parts),
    ];
    let figures: Vec<figure::Figure> = figures.into_iter().flatten().collect();
    let _lock = draw_into(folder, &figures)?;
    let memory = record.memory.as_ref().map_or("", |memory| &memory.name);
    let models = match record.models.as_slice() {
        [one] => one.name.clone(),
        [one, other] => format!("{} and {}", one.name, other.name),
        many => format!("{} models", many.len()),
    };
    let page = answer_html(&AnswerReport {
        run: analysis::run_name(run),
        title: format!(
            "How far the voltage can fall: {models} on {} in {memory}",
            record.dataset.name
        ),
        version: record.version.clone(),
        commands: record.commands.clone(),
        configuration: to_yaml(&record)?,
        notes: record.notes.clone(),
        least_energy: record.least_energy.clone(),
        figures,
        rows: rows.clone(),
        evidence: evidence.clone(),
        parts: parts.clone(),
    });
    let report = folder.join("report.html");
    store::write_bytes(&report, page.as_bytes())?;
    let drawn = Drawn {
        folder: folder.to_owned(),
        report,
        lead: None,
        least_energy: record.least_energy.clone(),
        warnings: Vec::new(),
        unchecked: unchecked.note(),
    };
    Ok(DrawnAnswer {
        rows,
        evidence,
        parts,
        drawn,
    })
}

/// The figures of one run's tables, the overview first, without that of its memory model; none of more series than
/// can be told apart.
pub(super) fn figures_of(
    tables: &analysis::Run,
    memory: &MemoryModel,
    pareto: &Pareto,
) -> Result<Vec<figure::Figure>> {
    let drawn = analysis::average_trainings(&tables.summaries, &tables.trials)?;
    if !figure::legible(&drawn) {
        return Ok(Vec::new());
    }
    let overview = figure::overview(&drawn, FIRST, &memory.title);
    let others = figure::all(&drawn, pareto, &[]);
    Ok(overview.into_iter().chain(others).collect())
}

/// The runs' memory models, each once, and how energies were counted with them.
fn memories(runs: &[PathBuf], records: &[Record]) -> Result<(Vec<MemoryModel>, Vec<String>)> {
    let (mut models, mut basis): (Vec<MemoryModel>, Vec<String>) = (Vec::new(), Vec::new());
    for (run, record) in runs.iter().zip(records) {
        let spec = &record.configuration.energy;
        let model = memory_of(run)?;
        let mut sentences = spec.in_words(&model);
        let mut own = vec![model];
        if record.activation_memory.is_some() {
            let model = copied_memory(run, ACTIVATION_MEMORY)?;
            sentences.extend(spec.of_activations_in_words(&model));
            own.push(model);
        }
        for sentence in sentences {
            if !basis.contains(&sentence) {
                basis.push(sentence);
            }
        }
        for model in own {
            if models.iter().all(|known| known.checksum != model.checksum) {
                models.push(model);
            }
        }
    }
    Ok((models, basis))
}

/// The memory model of a run, from the copy in its folder.
pub(super) fn memory_of(run: &Path) -> Result<MemoryModel> {
    copied_memory(run, MEMORY)
}

fn copied_memory(run: &Path, name: &str) -> Result<MemoryModel> {
    let path = run.join(name);
    let text = store::read_text(&path, "the memory model of a run", LARGEST_MEMORY)?;
    MemoryModel::parse(&path, &text)
}

fn curve(model: &MemoryModel) -> Result<MemoryCurve> {
    let mut grid = model.curve(CURVE_POINTS)?;
    // the error-free voltage itself seldom lies on the grid
    grid.push(model.at(model.error_free)?);
    grid.sort_by(|a, b| a.voltage.get().total_cmp(&b.voltage.get()));
    let points = grid.into_iter().map(|point| CurvePoint {
        voltage: point.voltage.get(),
        ber: point.ber.get(),
        source: point.ber_source,
        access_energy_relative: point.access_energy_relative,
    });
    Ok(MemoryCurve {
        name: model.name.clone(),
        title: model.title.clone(),
        voltage_unit: model.unit,
        points: points.collect(),
        measured: model
            .measured_points()
            .into_iter()
            .map(|(v, ber)| (v.get(), ber.get()))
            .collect(),
    })
}
