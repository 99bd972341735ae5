//! `answer`: the lowest voltage of each candidate within a limit, with its bound; which is cheapest.

use super::sweep::{chosen, default_layer, request};
use crate::args::{layers, AnswerArgs, CountedFrom, Format};
use crate::progress::Progress;
use crate::show;
use std::process::ExitCode;
use wcat_explore::answer::{AnswerRow, LossFrom, Rank, Verdict};
use wcat_explore::config::{Experiment, Layer};
use wcat_explore::error::Error;
use wcat_explore::report::Grid;
use wcat_explore::run::{answer, AnswerResult, Monitor};
use wcat_explore::table as tables;
use wcat_explore::units::Bits;

pub(crate) fn run(args: &AnswerArgs, monitor: &Progress) -> anyhow::Result<ExitCode> {
    let (experiment, dataset_given) = settings(args)?;
    let models = chosen(args.files.all(), &experiment);
    let request = request(models, dataset_given, &args.places, &args.run);
    let result = answer(&experiment, &request, monitor)?;
    match args.run.output.format {
        Format::Table => {
            if monitor.is_verbose() {
                show::table(&table(&result.rows))?;
            }
            show::text(&lines(&result).join("\n"))?;
        }
        other => show::records(&tables::json(&result.rows)?, other)?,
    }
    monitor.note(&format!("tables: {}", result.folder.display()));
    monitor.finish();
    let mut verdicts = result.rows.iter().map(|row| row.verdict);
    if verdicts.any(|verdict| verdict == Verdict::Holds) {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(show::NOT_ESTABLISHED))
}

/// The configuration, and whether the user chose a data set.
fn settings(args: &AnswerArgs) -> Result<(Experiment, bool), Error> {
    let default = default_layer("answer", &args.files.all())?;
    let groups = [
        args.voltages.layers(),
        layers(&args.memory)?,
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
    for width in &args.question.widths {
        experiment.explore.widths.push(Bits::new(*width)?);
    }
    Ok((experiment, given))
}

/// The answer in a few lines: the cheapest candidate first.
fn lines(result: &AnswerResult) -> Vec<String> {
    let mut rows: Vec<&AnswerRow> = result.rows.iter().collect();
    rows.sort_by(|a, b| {
        let energy = |row: &AnswerRow| row.energy_relative.unwrap_or(f64::INFINITY);
        energy(a).total_cmp(&energy(b))
    });
    let mut lines: Vec<String> = rows.iter().map(|row| line(row, result)).collect();
    lines.push(cheapest(&rows));
    if let Some(row) = rows.first().filter(|row| row.saving.is_some()) {
        lines.push(split(row));
    }
    let level = rows.first().map_or(0.0, |row| row.level);
    lines.push(format!(
        "All of these statements hold together with a probability of {:.0} %, over chips of this memory, on these {} \
         test images.",
        100.0 * level,
        result.images
    ));
    lines
}

fn name(row: &AnswerRow) -> String {
    format!("{}, {}", row.model, protection(row))
}

fn protection(row: &AnswerRow) -> String {
    match row.protection.name() {
        "none" => "unprotected".to_owned(),
        _ => row.protection.to_string(),
    }
}

/// Hundredths; what rounds to nothing has no sign.
fn points(x: f64) -> String {
    format!("{:.2}", (1e4 * x).round() / 100.0 + 0.0)
}

/// The verdict on a candidate.
fn line(row: &AnswerRow, result: &AnswerResult) -> String {
    let unit = row.voltage_unit.symbol();
    match row.verdict {
        Verdict::Holds => {
            let voltage = row.voltage.unwrap_or(f64::NAN);
            let shown = match (row.loss, row.loss_high, row.yield_share, row.yield_low) {
                (Some(loss), Some(high), ..) => {
                    let images = row.loss_of_images.map_or(String::new(), |half| {
                        format!(" (± {} more for all images)", points(half))
                    });
                    format!(
                        "loss {} points, at most {}{images}",
                        points(loss),
                        points(high)
                    )
                }
                (.., Some(share), Some(low)) => format!(
                    "{} of {} chips fail: yield {} %, at least {}",
                    row.failing_chips.unwrap_or(0),
                    row.chips,
                    points(share),
                    points(low)
                ),
                _ => "no cell fails".to_owned(),
            };
            let picojoule = row
                .energy_pj
                .map_or(String::new(), |pj| format!(" ({pj:.3} pJ)"));
            let saving = match (row.saving_low, row.saving_high) {
                (Some(low), Some(high)) if high - low > 5e-4 => {
                    format!("saves {:.1} to {:.1} %", 100.0 * low, 100.0 * high)
                }
                (low, _) => format!("saves {:.1} %", 100.0 * low.unwrap_or(0.0)),
            };
            let below = match (row.voltage_failing, row.voltage_lower) {
                (Some(failing), _) => format!("; {failing} {unit} is shown to fail"),
                (None, Some(_)) => "; no lower voltage is shown to fail".to_owned(),
                (None, None) => "; the lowest with a measured rate".to_owned(),
            };
            format!(
                "{}: holds down to {voltage} {unit} (bit error rate {:.2e}): {shown}; energy {:.4}{picojoule}, {saving}\
                 {below}",
                name(row),
                row.ber.unwrap_or(0.0),
                row.energy_relative.unwrap_or(f64::NAN)
            )
        }
        Verdict::DoesNotHold => format!(
            "{}: does not hold at any voltage: {} % are right without faults, and losses count from {} %",
            name(row),
            points(row.clean_accuracy),
            points(row.reference_accuracy)
        ),
        Verdict::NotEstablished => {
            let estimate = row.voltage_estimate.map_or(String::new(), |voltage| {
                format!(" (the search saw the limit near {voltage} {unit})")
            });
            let more = match row.lacking_evaluations {
                Some(more) => {
                    let times = (more + row.evaluations) as f64 / result.budget as f64;
                    format!(
                        "; a budget {:.1} times as large would decide more",
                        1.0 + times
                    )
                }
                None => "; the chips seen decide neither".to_owned(),
            };
            format!("{}: not established{estimate}{more}", name(row))
        }
    }
}

fn cheapest(rows: &[&AnswerRow]) -> String {
    let find = |rank: Rank| rows.iter().filter(move |row| row.rank == rank);
    if let Some(row) = find(Rank::Cheapest).next() {
        return format!("Cheapest: {}.", name(row));
    }
    let Some(row) = find(Rank::SeemsCheapest).next() else {
        return "Cheapest: none, as nothing is shown to hold.".to_owned();
    };
    let rivals: Vec<String> = find(Rank::MayBeCheaper).map(|row| name(row)).collect();
    format!(
        "Cheapest: not established between {} and {}.",
        name(row),
        rivals.join("; ")
    )
}

/// Where the saving of the first candidate comes from.
fn split(row: &AnswerRow) -> String {
    let part = |x: Option<f64>| x.map_or("?".to_owned(), |x| format!("{:.1}", 100.0 * x));
    let [width, voltage, protection] = row.saving_split;
    format!(
        "Its saving of {} % against 8 bits, unprotected, at the error-free voltage: width {}, voltage {}, protection {}.",
        part(row.saving),
        part(width),
        part(voltage),
        part(protection)
    )
}

/// Every candidate.
fn table(rows: &[AnswerRow]) -> Grid {
    Grid::of(rows)
        .text("model", |row| &row.model)
        .text("protection", |row| row.protection)
        .text("verdict", |row| row.verdict.name())
        .number("voltage", |row| row.voltage)
        .number("bit error rate", |row| {
            row.ber.map(|ber| format!("{ber:.2e}"))
        })
        .number("loss", |row| row.loss.map(points))
        .number("at most", |row| row.loss_high.map(points))
        .number("yield %", |row| row.yield_share.map(points))
        .number("at least", |row| row.yield_low.map(points))
        .number("energy", |row| {
            row.energy_relative.map(|energy| format!("{energy:.4}"))
        })
        .number("saving %", |row| row.saving_low.map(points))
        .number("at most", |row| row.saving_high.map(points))
        .number("chips", |row| row.chips.to_string())
        .number("image evaluations", |row| row.evaluations.to_string())
        .grid()
}
