//! `answer`: the lowest voltage of each candidate within a limit, with its bound; which is cheapest.

use super::sweep::{default_layer, request};
use crate::args::{layers, AnswerArgs, CountedFrom, Format};
use crate::progress::Progress;
use crate::show;
use std::process::ExitCode;
use wcat_explore::answer::{LossFrom, Verdict};
use wcat_explore::config::{Experiment, Layer};
use wcat_explore::error::Error;
use wcat_explore::report::{answer_sentences, verdicts};
use wcat_explore::run::{answer, findings, plan_answer, AnswerPlan, DrawnAnswer, Monitor};
use wcat_explore::table as tables;
use wcat_explore::units::Bits;

pub(crate) fn run(args: &AnswerArgs, monitor: &Progress) -> anyhow::Result<ExitCode> {
    let (experiment, given) = settings(args)?;
    let request = request(&experiment, &args.files, given, &args.places, &args.run);
    if args.dry_run {
        dry_run(&plan_answer(&experiment, &request, monitor)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let result = answer(&experiment, &request, monitor)?;
    monitor.note(&format!("tables: {}", result.folder.display()));
    say(&result.answer, args.run.output.format, monitor)?;
    monitor.finish();
    let mut verdicts = result.answer.rows.iter().map(|row| row.verdict);
    if verdicts.any(|verdict| verdict == Verdict::Holds) {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(show::NOT_ESTABLISHED))
}

/// Prints an answer: its sentences, and with `--verbose` every candidate.
pub(super) fn say(answer: &DrawnAnswer, format: Format, monitor: &Progress) -> anyhow::Result<()> {
    match format {
        Format::Table => {
            if monitor.is_verbose() {
                show::table(&verdicts(&answer.rows))?;
            }
            let mut sentences = answer_sentences(&answer.rows, &answer.parts);
            sentences.extend(answer.drawn.least_energy.iter().cloned());
            show::text(&sentences.join("\n"))?;
        }
        other => show::records(&tables::json(&answer.rows)?, other)?,
    }
    let report = answer.drawn.report.display();
    monitor.note(&format!("report: {report}"));
    Ok(())
}

fn dry_run(plan: &AnswerPlan) -> anyhow::Result<()> {
    let unit = plan.unit.symbol();
    let lowest = plan.voltages.first().map_or(f64::NAN, |v| v.get());
    let highest = plan.voltages.last().map_or(f64::NAN, |v| v.get());
    let seconds = |evaluations| show::duration(evaluations, plan.seconds);
    show::text(&format!(
        "run folder: {}\n\
         candidates: {}, each at {} voltages from {lowest} to {highest} {unit}\n\
         search: at most {} evaluations of an image, about {}\n\
         search and check: at most {} evaluations, about {} on this machine\n\
         chips seen by an earlier call: {}",
        plan.folder.display(),
        plan.candidates,
        plan.voltages.len(),
        plan.search,
        seconds(plan.search),
        plan.budget,
        seconds(plan.budget),
        plan.known
    ))
}

/// The configuration, and whether the user chose a data set.
fn settings(args: &AnswerArgs) -> Result<(Experiment, bool), Error> {
    let default = default_layer("answer", &args.files)?;
    let groups = [
        args.voltages.layers(),
        layers(&args.memory)?,
        args.activations.layers()?,
        layers(&args.judged)?,
        args.question.layers()?,
        layers(&args.faults)?,
    ];
    let flags: Vec<Layer> = groups.concat();
    let (mut experiment, given) = args
        .settings
        .experiment(&args.places, Some(default), &flags)?;
    let spec = experiment.answer.get_or_insert_default();
    match args.question.loss_from {
        None => {}
        Some(CountedFrom::Best) => spec.loss_from = LossFrom::Best,
        Some(CountedFrom::Own) => spec.loss_from = LossFrom::Own,
        Some(CountedFrom::Accuracy(accuracy)) => spec.reference_accuracy = Some(accuracy),
    }
    if let Some(run) = &args.question.from {
        spec.findings = findings(run)?;
    }
    spec.sensitivity |= args.question.sensitivity;
    spec.layers_by_bits |= args.question.layers_by_bits;
    for width in &args.question.widths {
        experiment.explore.widths.push(Bits::new(*width)?);
    }
    Ok((experiment, given))
}
