//! Answers of voltage series whose truth is known, and of grids that end before the cliff.

use super::super::summary::{summarize, FloorSpec};
use super::super::tests::{design, trials};
use super::*;
use crate::sweep::{Design, StoppedBy, TrialRow};
use crate::units::BerSource;

/// Summaries and trials of design points with the given correct answers of 1000 on each chip; clean accuracy 0.95,
/// floor 0.9.
fn swept(points: &[(Design, Vec<u64>)], test_images: u64) -> (Vec<Summary>, Vec<TrialRow>) {
    let designs: Vec<Design> = points.iter().map(|(design, _)| design.clone()).collect();
    let trials: Vec<TrialRow> = points
        .iter()
        .flat_map(|(design, correct)| trials(design, 1000, correct))
        .collect();
    let floor = FloorSpec::default();
    (
        summarize(
            &designs,
            &trials,
            floor,
            StoppedBy::Chips,
            test_images,
            Seed(1),
        )
        .unwrap(),
        trials,
    )
}

fn of(points: &[(Design, Vec<u64>)]) -> Vec<Answer> {
    let (summaries, trials) = swept(points, 1000);
    answers(&summaries, &trials, &Questions::default(), Seed(1)).unwrap()
}

fn loss<'a>(answers: &'a [Answer], method: &str, asked: f64) -> &'a Answer {
    let same = |a: &&Answer| {
        a.series.method.name() == method
            && matches!(a.question, Question::Loss { loss, .. } if loss == asked)
    };
    answers.iter().find(same).unwrap()
}

fn yields<'a>(answers: &'a [Answer], method: &str, asked: f64) -> &'a Answer {
    let same = |a: &&Answer| {
        a.series.method.name() == method
            && matches!(a.question, Question::Yield { fraction, .. } if fraction == asked)
    };
    answers.iter().find(same).unwrap()
}

fn id(answer: &Answer) -> Option<&str> {
    answer
        .point
        .as_ref()
        .map(|point| point.design.design_id.as_str())
}

/// Clean accuracy 0.95; chips all alike.
fn sure() -> Vec<(Design, Vec<u64>)> {
    let at = |model: &str, method: &str, voltage, correct| {
        (design(model, method, voltage), vec![correct; 4])
    };
    vec![
        at("n", "normal", 0.8, 500),
        at("n", "normal", 0.9, 941),
        at("n", "normal", 1.0, 950),
        at("w", "wcat", 0.7, 945),
        at("w", "wcat", 0.8, 930),
        at("w", "wcat", 0.9, 946),
        at("w", "wcat", 1.0, 948),
    ]
}

#[test]
fn the_answer_is_the_lowest_voltage_from_which_on_all_hold() {
    let found = of(&sure());
    // targets 0.945, 0.94, 0.93; 0.7 of wcat would hold at any of them, but 0.8 above it does not
    assert_eq!(id(loss(&found, "wcat", 0.005)), Some("w@0.9vmin"));
    assert_eq!(id(loss(&found, "normal", 0.005)), Some("n@1vmin"));
    assert_eq!(id(loss(&found, "normal", 0.01)), Some("n@0.9vmin"));
    // at 0.93 exactly all of wcat hold: the grid ends before the cliff
    let all = loss(&found, "wcat", 0.02);
    assert_eq!((id(all), all.reach), (Some("w@0.7vmin"), Reach::AtOrBelow));
    assert_eq!(
        (all.series.lowest, all.series.highest),
        (Some(0.7), Some(1.0))
    );
    // chips without spread: intervals of one voltage
    let answer = loss(&found, "wcat", 0.01);
    let one = |x: f64| Ends {
        low: Some(x),
        high: Some(x),
    };
    assert_eq!(
        (answer.reach, answer.voltage_ends),
        (Reach::Found, one(0.9))
    );
    assert_eq!(answer.energy_ends, one(0.9 * 0.9));
    assert_eq!(answer.saving_to_reference(), Some(1.0 - 0.9 * 0.9));
    assert_eq!(answer.saving_to_reference_ends(), one(1.0 - 0.9 * 0.9));
    // the baseline's own answer at that loss is at 0.9 too
    assert_eq!(
        (answer.baseline, answer.saving_to_baseline),
        (Some(MethodLabel::Normal), Some(0.0))
    );
    let saved = loss(&found, "wcat", 0.005);
    assert_eq!(
        (saved.saving_to_baseline, saved.saving_to_baseline_ends),
        (Some(1.0 - 0.9 * 0.9), one(1.0 - 0.9 * 0.9))
    );
}

#[test]
fn no_answer_rests_on_an_extrapolated_rate_and_none_is_made_up() {
    let mut points = sure();
    points[4].1 = vec![948; 4];
    points[3].0.ber_source = BerSource::Extrapolated;
    let found = of(&points);
    let answer = loss(&found, "wcat", 0.005);
    assert_eq!(
        (id(answer), answer.reach, answer.series.lowest),
        (Some("w@0.8vmin"), Reach::AtOrBelow, Some(0.8))
    );
    points
        .iter_mut()
        .filter(|(d, _)| d.method == MethodLabel::Wcat)
        .for_each(|(_, correct)| correct.fill(900));
    let found = of(&points);
    let none = loss(&found, "wcat", 0.02);
    assert_eq!(
        (id(none), none.reach, none.voltage_ends),
        (None, Reach::NotReached, Ends::default())
    );
    assert_eq!(
        (none.saving_to_reference(), none.saving_to_baseline),
        (None, None)
    );
    // without a single measured voltage there is no grid
    points
        .iter_mut()
        .for_each(|(design, _)| design.ber_source = BerSource::Extrapolated);
    assert!(of(&points)
        .iter()
        .all(|a| a.reach == Reach::NotReached && a.series.lowest.is_none()));
}

#[test]
fn intervals_of_voltages_hold_the_truth_and_stay_on_the_grid() {
    // mean of chips by voltage: 0.93, 0.94, 0.95; chips scatter by 0.03; the target 0.94 lies on the middle voltage
    let repeats = 200;
    let mut holds = 0;
    for repeat in 0..repeats {
        let mut stream = Seed(repeat).stream(Purpose::Test, &[]);
        let noise: Vec<f64> = (0..30).map(|_| 30.0 * stream.normal()).collect();
        let mut at = |voltage: f64, mean: f64| {
            let correct = noise
                .iter()
                .map(|x| (mean + x + 5.0 * stream.normal()).round().min(1000.0) as u64);
            (design("n", "normal", voltage), correct.collect::<Vec<_>>())
        };
        let points = [
            at(0.7, 915.0),
            at(0.8, 930.0),
            at(0.85, 941.0),
            at(0.9, 949.0),
            (design("n", "normal", 1.0), vec![950; 30]),
        ];
        let found = of(&points);
        let ends = loss(&found, "normal", 0.01).voltage_ends;
        let (low, high) = (ends.low.unwrap(), ends.high.unwrap());
        assert!(
            [0.7, 0.8, 0.85, 0.9, 1.0].contains(&low) && [0.7, 0.8, 0.85, 0.9, 1.0].contains(&high)
        );
        holds += u32::from(low <= 0.85 && 0.85 <= high);
    }
    assert!(
        f64::from(holds) >= 0.93 * repeats as f64,
        "{holds} of {repeats}"
    );
}

#[test]
fn savings_to_the_baseline_are_paired_over_chips() {
    let mut stream = Seed(5).stream(Purpose::Test, &[]);
    let noise: Vec<u64> = (0..40).map(|_| 920 + stream.below(41)).collect();
    let series = |model: &str, method: &str, cliff: f64| -> Vec<(Design, Vec<u64>)> {
        let at = |voltage: f64| match voltage {
            v if v < cliff - 0.05 - 1e-9 => vec![700; 40],
            v if v < cliff => noise.clone(),
            _ => vec![950; 40],
        };
        [0.7, 0.75, 0.8, 0.85, 0.9, 1.0]
            .into_iter()
            .map(|v| (design(model, method, v), at(v)))
            .collect()
    };
    let mut points = series("n", "normal", 0.9);
    points.extend(series("w", "wcat", 0.8));
    let found = of(&points);
    let answer = loss(&found, "wcat", 0.01);
    // the same chips decide both: whether 0.85 or 0.9, the other is 0.75 or 0.8
    let (near, far) = (
        1.0 - 0.75 * 0.75 / (0.85 * 0.85),
        1.0 - 0.8 * 0.8 / (0.9 * 0.9),
    );
    let ends = answer.saving_to_baseline_ends;
    assert_eq!(
        (ends.low, ends.high),
        (Some(f64::min(near, far)), Some(f64::max(near, far)))
    );
    assert_eq!(
        answer.voltage_ends,
        Ends {
            low: Some(0.75),
            high: Some(0.8)
        }
    );
}

#[test]
fn the_choice_of_images_widens_the_interval_and_nothing_else() {
    let points: Vec<(Design, Vec<u64>)> =
        [(0.7, 935), (0.8, 939), (0.85, 942), (0.9, 946), (1.0, 950)]
            .map(|(v, correct)| (design("n", "normal", v), vec![correct; 4]))
            .into();
    let with = |all| {
        let (summaries, trials) = swept(&points, all);
        let found = answers(&summaries, &trials, &Questions::default(), Seed(1)).unwrap();
        loss(&found, "normal", 0.01).clone()
    };
    let (whole, subset) = (with(1000), with(10_000));
    assert_eq!(
        whole.voltage_ends,
        Ends {
            low: Some(0.85),
            high: Some(0.85)
        }
    );
    assert_eq!(id(&subset), id(&whole));
    // a deviation of 0.007 below 0.95: not even the top voltage is sure
    assert_eq!(
        subset.voltage_ends,
        Ends {
            low: Some(0.7),
            high: None
        }
    );
}

#[test]
fn yields_have_an_interval_a_verdict_and_a_guard_band() {
    // 50 chips at a floor of 0.9: bad chips by voltage
    let at = |voltage: f64, bad: usize, good: u64| {
        let mut correct = vec![good; 50];
        correct[..bad].fill(800);
        (design("n", "normal", voltage), correct)
    };
    let mut top = at(1.0, 0, 950);
    top.0.ber_source = BerSource::ErrorFree;
    let points = [
        at(0.7, 25, 920),
        at(0.75, 6, 925),
        at(0.8, 3, 940),
        at(0.85, 0, 945),
        top,
    ];
    let found = of(&points);
    let nine = yields(&found, "normal", 0.9);
    assert_eq!((id(nine), nine.reach), (Some("n@0.8vmin"), Reach::Found));
    // 47 of 50: a fraction of 0.85216 gives so many or more in 5 % of samples (binomial tail); two-sided 50 of 50 give 0.9289
    assert!((nine.yield_lower.unwrap() - 0.85216).abs() < 1e-5 && nine.supported == Some(false));
    assert_eq!(
        nine.voltage_ends,
        Ends {
            low: Some(0.75),
            high: Some(0.85)
        }
    );
    // by the mean, 0.91 at 0.75 is enough
    assert!((nine.guard_voltage.unwrap() - 0.05).abs() < 1e-12);
    assert!((nine.guard_energy.unwrap() - (0.64 - 0.5625)).abs() < 1e-12);
    // 0.99 of 50 chips: 0.85 by count, but only the error-free voltage is sure
    let sure = yields(&found, "normal", 0.99);
    assert_eq!(
        (id(sure), sure.supported),
        (Some("n@0.85vmin"), Some(false))
    );
    // 47 of 50 at 0.8 are not 0.99: the upper end is 0.9875
    assert_eq!(
        sure.voltage_ends,
        Ends {
            low: Some(0.85),
            high: Some(1.0)
        }
    );
    let only = of(&points[4..]);
    let known = yields(&only, "normal", 0.99);
    assert_eq!(
        (known.supported, known.yield_lower),
        (Some(true), Some(1.0))
    );
}

#[test]
fn one_chip_gives_answers_without_intervals() {
    let points = [
        (design("n", "normal", 0.8), vec![945]),
        (design("n", "normal", 1.0), vec![950]),
    ];
    let found = of(&points);
    let answer = loss(&found, "normal", 0.01);
    assert_eq!(
        (id(answer), answer.voltage_ends),
        (Some("n@0.8vmin"), Ends::default())
    );
}

#[test]
fn models_and_protections_are_series_of_their_own() {
    let mut points = sure();
    let mut other: Vec<_> = sure()
        .into_iter()
        .filter(|(d, _)| d.method == MethodLabel::Wcat)
        .collect();
    for (design, correct) in &mut other {
        design.protection = Protection::Secded;
        design.design_id += "+secded";
        design.energy_relative *= 1.3;
        correct.fill(948);
    }
    points.extend(other);
    let found = of(&points);
    let secded = found
        .iter()
        .find(|a| a.series.protection == Protection::Secded)
        .unwrap();
    // compared with the unprotected baseline
    assert_eq!(secded.saving_to_baseline, Some(1.0 - 0.7 * 0.7 * 1.3));
    assert_eq!(found.len(), 3 * (3 + YIELD_TARGETS.len()));
}

#[test]
fn questions_outside_their_ranges_are_refused() {
    let (summaries, trials) = swept(&sure(), 1000);
    let message = |questions: Questions| {
        answers(&summaries, &trials, &questions, Seed(1))
            .unwrap_err()
            .to_string()
    };
    let (losses, yields) = (vec![1.5], vec![1.0]);
    assert_eq!(
        message(Questions {
            losses,
            ..Questions::default()
        }),
        "accuracy loss: expected a number from 0 to 1, found 1.5"
    );
    assert!(message(Questions {
        yields,
        ..Questions::default()
    })
    .starts_with("yield: expected a number above 0"));
}

#[test]
fn the_table_reads_back_and_contradictions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut points = sure();
    points.push((design("x", "lsq", 1.0), vec![500; 4]));
    let (summaries, trials) = swept(&points, 1000);
    let computed = answers(&summaries, &trials, &Questions::default(), Seed(1)).unwrap();
    for name in ["answers.csv", "answers.parquet"] {
        let path = folder.path().join(name);
        crate::table::write(&path, &computed).unwrap();
        assert_eq!(read_answers(&path, &summaries).unwrap(), computed);
        assert!(read_answers(&path, &summaries[..1])
            .unwrap_err()
            .to_string()
            .contains("a design point of the summary"));
    }
    let records = crate::table::json(&computed).unwrap();
    let lsq = records
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["of_method"] == "lsq")
        .unwrap();
    assert_eq!(
        (&lsq["reach"], &lsq["voltage"]),
        (&"not_reached".into(), &serde_json::Value::Null)
    );
    let text = crate::table::csv_string(&computed).unwrap();
    let path = folder.path().join("turned.csv");
    crate::store::write_bytes(&path, text.replace("not_reached", "found").as_bytes()).unwrap();
    let error = read_answers(&path, &summaries).unwrap_err().to_string();
    assert!(
        error.contains("expected what `found` has, found none"),
        "{error}"
    );
}

/// What is shown of the first series at a loss of one point.
fn shown_voltages(points: &[(Design, Vec<u64>)], test_images: u64) -> Option<(f64, Option<f64>)> {
    let (summaries, trials) = swept(points, test_images);
    let answers = answers(&summaries, &trials, &Questions::default(), Seed(1)).unwrap();
    let points = SeriesPoints::of(&summaries);
    let shown = points.shown(loss(&answers, "normal", 0.01))?;
    let voltage = |point: &Summary| point.design.voltage.unwrap();
    Some((voltage(shown.holding), shown.possible.map(voltage)))
}

#[test]
fn a_voltage_is_shown_where_its_interval_decides() {
    // 0.94 is to be reached: surely at 0.9, perhaps at 0.85, not at 0.8
    let points = vec![
        (design("a", "normal", 1.0), vec![950; 6]),
        (
            design("a", "normal", 0.9),
            vec![948, 947, 949, 948, 947, 948],
        ),
        (
            design("a", "normal", 0.85),
            vec![955, 925, 945, 935, 950, 930],
        ),
        (
            design("a", "normal", 0.8),
            vec![900, 910, 905, 895, 900, 890],
        ),
    ];
    assert_eq!(shown_voltages(&points, 1000), Some((0.9, Some(0.85))));
    // the same images of a set of 100,000 leave two points open: nothing but the error-free voltage is sure
    assert_eq!(shown_voltages(&points, 100_000).unwrap().0, 1.0);
}

#[test]
fn where_the_swept_voltages_end_before_one_fails_the_most_is_open() {
    let points = vec![
        (design("a", "normal", 1.0), vec![950; 6]),
        (
            design("a", "normal", 0.9),
            vec![948, 947, 949, 948, 947, 948],
        ),
    ];
    assert_eq!(shown_voltages(&points, 1000), Some((0.9, None)));
}

#[test]
fn one_chip_shows_nothing_where_cells_fail() {
    let points = vec![(design("a", "normal", 0.9), vec![950])];
    assert_eq!(shown_voltages(&points, 1000), None);
}
