//! The sentences of an answer: a verdict on each candidate, the cheapest, where its saving comes from, what parts lose.

use crate::answer::{AnswerRow, PartKind, PartLoss, Rank, Verdict, PART_HALF_WIDTH};
use crate::figure::rate;

/// Most parts that a sentence names.
const MOST_NAMED: usize = 3;

/// The answer in a few sentences, each a line: the cheapest candidate first.
pub fn answer_sentences(rows: &[AnswerRow], parts: &[PartLoss]) -> Vec<String> {
    let rows = by_energy(rows);
    let Some(first) = rows.first() else {
        return vec!["No candidate: there is nothing to answer.".to_owned()];
    };
    let mut sentences: Vec<String> = rows.iter().map(|row| verdict(row)).collect();
    sentences.push(cheapest(&rows));
    if first.saving.is_some() {
        sentences.push(split(first));
    }
    sentences.push(format!(
        "All of these statements hold together with a probability of {:.0} %, over chips of this memory, on these {} \
         test images.",
        100.0 * first.level,
        first.test_images
    ));
    sentences.extend(losses(parts));
    sentences
}

/// The candidates, the one of least energy first.
pub(super) fn by_energy(rows: &[AnswerRow]) -> Vec<&AnswerRow> {
    let mut rows: Vec<&AnswerRow> = rows.iter().collect();
    rows.sort_by(|a, b| {
        let energy = |row: &AnswerRow| row.energy_relative.unwrap_or(f64::INFINITY);
        energy(a).total_cmp(&energy(b))
    });
    rows
}

/// Hundredths; what rounds to nothing has no sign.
pub(super) fn points(x: f64) -> String {
    format!("{:.2}", (1e4 * x).round() / 100.0 + 0.0)
}

/// The verdict on a candidate.
fn verdict(row: &AnswerRow) -> String {
    match row.verdict {
        Verdict::Holds => holds(row),
        Verdict::DoesNotHold => {
            let why = match row.voltage_failing {
                Some(highest) => format!(
                    "even {highest} {}, where no weight fails, is shown to fail",
                    row.voltage_unit.symbol()
                ),
                None => format!(
                    "{} % are right without faults, and losses count from {} %",
                    points(row.clean_accuracy),
                    points(row.reference_accuracy)
                ),
            };
            format!("{}: does not hold at any voltage: {why}", row.name())
        }
        Verdict::NotEstablished => {
            let unit = row.voltage_unit.symbol();
            let estimate = row.voltage_estimate.map_or(String::new(), |voltage| {
                format!(" (the search saw the limit near {voltage} {unit})")
            });
            let more = match row.lacking_evaluations {
                Some(more) => {
                    let times = (more + row.evaluations) as f64 / row.budget.max(1) as f64;
                    format!(
                        "; a budget {:.1} times as large would decide more",
                        1.0 + times
                    )
                }
                None => "; the chips seen decide neither".to_owned(),
            };
            format!("{}: not established{estimate}{more}", row.name())
        }
    }
}

fn holds(row: &AnswerRow) -> String {
    let unit = row.voltage_unit.symbol();
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
        "{}: holds down to {} {unit} (bit error rate {:.2e}): {}; energy {:.4}{picojoule}, {saving}{below}",
        row.name(),
        row.voltage.unwrap_or(f64::NAN),
        row.ber.unwrap_or(0.0),
        shown(row),
        row.energy_relative.unwrap_or(f64::NAN)
    )
}

/// What the check showed at the voltage.
fn shown(row: &AnswerRow) -> String {
    if let (Some(loss), Some(high)) = (row.loss, row.loss_high) {
        let images = row.loss_of_images.map_or(String::new(), |half| {
            format!(" (± {} more for all images)", points(half))
        });
        return format!(
            "loss {} points, at most {}{images}",
            points(loss),
            points(high)
        );
    }
    if let (Some(fraction), Some(low)) = (row.yield_share, row.yield_low) {
        return format!(
            "{} of {} chips fail: yield {} %, at least {}",
            row.failing_chips.unwrap_or(0),
            row.chips,
            points(fraction),
            points(low)
        );
    }
    "no cell fails".to_owned()
}

fn cheapest(rows: &[&AnswerRow]) -> String {
    let find = |rank: Rank| rows.iter().filter(move |row| row.rank == rank);
    if let Some(row) = find(Rank::Cheapest).next() {
        return format!("Cheapest: {}.", row.name());
    }
    let Some(row) = find(Rank::SeemsCheapest).next() else {
        return "Cheapest: none, as nothing is shown to hold.".to_owned();
    };
    let rivals: Vec<String> = find(Rank::MayBeCheaper).map(|row| row.name()).collect();
    format!(
        "Cheapest: not established between {} and {}.",
        row.name(),
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

/// What faults in parts alone cost: a sentence for the layers at each voltage, and one for the bit planes.
fn losses(parts: &[PartLoss]) -> Vec<String> {
    let mut sentences = Vec::new();
    for all in parts.iter().filter(|part| part.kind == PartKind::All) {
        let at = |kind: PartKind| {
            let of_kind = parts
                .iter()
                .filter(move |part| part.kind == kind && part.voltage == all.voltage);
            let mut of_kind: Vec<&PartLoss> = of_kind.collect();
            of_kind.sort_by(|a, b| b.loss.total_cmp(&a.loss));
            of_kind
        };
        let (layers, planes) = (at(PartKind::Layer), at(PartKind::BitPlane));
        let sum: f64 = layers.iter().map(|part| part.loss).sum();
        sentences.push(format!(
            "Faults in one layer alone, unprotected, at {} {} (bit error rate {}): {}; the sum is {} points, all layers \
             together lose {} ({} to {}). Bit planes: {}.",
            all.voltage,
            all.voltage_unit.symbol(),
            rate(all.ber),
            most(&layers),
            points(sum),
            points(all.loss),
            points(all.loss_low),
            points(all.loss_high),
            most(&planes)
        ));
    }
    sentences
}

/// The parts that lose most, and how many lose too little to tell.
fn most(parts: &[&PartLoss]) -> String {
    let told = parts.iter().filter(|part| !part.is_negligible());
    let named: Vec<String> = told
        .take(MOST_NAMED)
        .map(|part| {
            format!(
                "{} loses {} points ({} to {})",
                part.part,
                points(part.loss),
                points(part.loss_low),
                points(part.loss_high)
            )
        })
        .collect();
    let small = parts.iter().filter(|part| part.is_negligible()).count();
    let below = format!(
        "{small} of {} lose less than {}",
        parts.len(),
        points(PART_HALF_WIDTH)
    );
    match (named.is_empty(), small) {
        (true, _) => below,
        (false, 0) => named.join(", "),
        (false, _) => format!("{}; {below}", named.join(", ")),
    }
}
