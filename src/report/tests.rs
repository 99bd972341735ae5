//! Tests of whole pages.

use super::*;
use crate::analysis::{
    answers, method_differences, summarize, Averaged, FloorSpec, MethodMean, Question, Questions,
};
use crate::fault::{ArrayLabel, FaultLabel, KindName, Protection};
use crate::figure::tests::{frontiers, memory, summary, sweep, two_methods};
use crate::figure::{all, escape};
use crate::memory::{CellKind, EnergyTerm};
use crate::quant::MethodLabel;
use crate::seed::Seed;
use crate::stats::{probit, Interval};
use crate::sweep::{StoppedBy, TestSplit, TrialRow, TrialStatus};
use crate::units::ChipId;

/// Answers and paired differences of 50 chips of about the means and deviations of the summaries.
pub(super) fn compared(summaries: &[Summary]) -> (Vec<Answer>, Vec<MethodDifference>) {
    let designs: Vec<_> = summaries.iter().map(|s| s.design.clone()).collect();
    let trials = summaries.iter().flat_map(|s| {
        (0..50).map(|chip: u32| {
            let off = s.std.unwrap_or(0.0) * probit((f64::from(chip) + 0.5) / 50.0);
            TrialRow {
                design_id: s.design.design_id.clone(),
                chip: ChipId(chip),
                faults: 1,
                images: s.images,
                correct: ((s.mean + off).clamp(0.0, 1.0) * s.images as f64).round() as u64,
                not_finite: Some(0),
                clean: None,
                strata: None,
                status: TrialStatus::Evaluated,
            }
        })
    });
    let (trials, floor): (Vec<TrialRow>, _) = (trials.collect(), FloorSpec::default());
    let own = summarize(&designs, &trials, floor, StoppedBy::Chips, 2000, Seed(1)).unwrap();
    let differences = method_differences(&own, &trials, Seed(1)).unwrap();
    (
        answers(&own, &trials, &Questions::default(), Seed(1)).unwrap(),
        differences,
    )
}

pub(super) fn report(summaries: Vec<Summary>) -> Report {
    let pareto = frontiers(&summaries);
    let (answers, differences) = compared(&summaries);
    Report {
        run: "quickstart-1a2b3c".into(),
        title: "Quick start: glyphs on LeNet".into(),
        version: "0.1.0".into(),
        commands: vec!["wcat-explore sweep --config configs/quickstart.yaml --seed 1".into()],
        configuration: "seed: 1\nsweep:\n  voltages: \"0.75:1.0:0.025\"\n".into(),
        notes: vec!["The range of layer fc1 reached its floor.".into()],
        figures: all(&Averaged::none(summaries.clone()), &pareto, &[memory()]),
        summaries,
        fault_counts: Vec::new(),
        energy_terms: Vec::new(),
        least_energy: Vec::new(),
        objectives: Vec::new(),
        energy_basis: vec![
            "Reads of a weight per inference: output stationary, array of 16 x 16, batch 1.".into(),
        ],
        pareto,
        answers,
        differences,
    }
}

/// The page without tags and with one blank between words.
fn words(page: &str) -> String {
    let mut text = String::new();
    let mut inside = true;
    for letter in page.chars() {
        match letter {
            '<' => inside = false,
            '>' => {
                inside = true;
                text.push(' ');
            }
            _ if inside => text.push(letter),
            _ => (),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_holds_answer_figures_tables_configuration_and_commands() {
    let report = report(two_methods());
    let page = html(&report);
    assert_eq!(page.matches("<svg ").count(), 5); // the interactive figure is empty as yet
    for figure in &report.figures {
        assert!(page.contains(&escape(&figure.caption)), "{}", figure.name);
    }
    let text = words(&page);
    for part in [
        "Quick start: glyphs on LeNet",
        "wcat-explore 0.1.0",
        "wcat at 4 bit keeps 96.1 % accuracy (1 point less than normal without faults) down to ",
        "of weight-memory energy against 8 bit at the error-free voltage, and ",
        "% against the cheapest normal point that keeps it.",
        "wcat-explore sweep --config configs/quickstart.yaml --seed 1",
        "voltages: &quot;0.75:1.0:0.025&quot;",
        "normal at 4 bit: 1 training; wcat at 4 bit: 1 training.",
        "needs several trainings",
        "a 95 % half-width of up to 0.8 points from the sampling of 2000 images alone",
        "accesses to the weight memory",
        "The range of layer fc1 reached its floor.",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Marked with †") && !text.contains("choice of"));
}

#[test]
fn the_terms_of_the_baseline_and_of_the_cheapest_points_add_up() {
    let mut report = report(two_methods());
    let term = |fraction: f64, s: &Summary| EnergyTerm {
        layer: format!("layer of {fraction}"),
        cells: CellKind::Usual,
        weights: 100,
        bits: 4.0,
        overhead_bits: 0.5,
        reads: 49.0,
        voltage: s.design.voltage.unwrap(),
        access_energy_relative: s.design.voltage.unwrap().powi(2),
        energy_factor: 1.0,
        energy_relative: fraction * s.design.energy_relative,
        access_pj: Some(1000.0 * fraction),
        leakage_pj: None,
    };
    let rows = |s: &Summary| {
        let (design_id, voltage_unit) = (s.design.design_id.clone(), s.design.voltage_unit);
        [0.25, 0.75].map(|fraction| EnergyRow {
            design_id: design_id.clone(),
            voltage_unit,
            term: term(fraction, s),
        })
    };
    report.energy_terms = report.summaries.iter().flat_map(rows).collect();
    let text = words(&html(&report));
    for part in [
        "What the energies are made of E = Σ n · (b + c) · r · f · e(V)",
        "Reads of a weight per inference: output stationary, array of 16 x 16, batch 1.",
        "normal at the error-free voltage: normal4@1vmin Layer Cells n b c r V e(V) f Energy Accesses (pJ) layer of \
         0.25 usual 100 4 0.5 49 1 V/Vmin 1.0000 1 0.1250 250 layer of 0.75 usual 100 4 0.5 49 1 V/Vmin 1.0000 1 \
         0.3750 750 sum – – – – – – – – 0.5000 1000",
        "wcat, cheapest point at a loss of 1 point: wcat4@0.825vmin",
        "energy.csv of the run",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Leakage (pJ)"));
}

#[test]
fn lowest_voltages_stand_with_their_intervals_and_yields_with_their_proof() {
    let report = report(two_methods());
    let text = words(&html(&report));
    let wcat = |a: &&Answer| a.series.method == MethodLabel::Wcat;
    for answer in report.answers.iter().filter(wcat) {
        let (point, ends) = (answer.point.as_ref().unwrap(), answer.voltage_ends);
        let voltage = format!("{} V/Vmin", point.design.voltage.unwrap());
        let span = match (ends.low.unwrap(), ends.high.unwrap()) {
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        };
        let saving = 100.0 * answer.saving_to_reference().unwrap();
        let asked = match answer.question {
            Question::Loss { loss: 0.01, .. } => "1 point".into(),
            Question::Loss { loss, .. } => format!("{} points", 100.0 * loss),
            Question::Yield { fraction, .. } => format!("{:.1}", 100.0 * fraction),
        };
        // savings first; then, with what stands between, the voltage with its interval
        let row = format!("wcat at 4 bit {asked} {saving:.1}");
        let (_, rest) = text
            .split_once(&row)
            .unwrap_or_else(|| panic!("{row}\n{text}"));
        let own = rest.split("at 4 bit").next().unwrap();
        assert!(own.contains(&format!("{voltage} {span}")), "{row}\n{own}");
    }
    assert!(text.contains("no (needs 299 chips or more)"), "{text}");
    // the cheapest first, and marked
    let page = html(&report);
    let winners = page.matches("best\"><td class=\"text\">wcat").count();
    assert!(winners >= 6, "{winners}");
    assert!(!page.contains("best\"><td class=\"text\">normal"));
    // below the swept voltages nothing is known
    let short: Vec<_> = two_methods()
        .into_iter()
        .filter(|s| s.design.voltage >= Some(0.95))
        .collect();
    assert!(words(&html(&self::report(short))).contains("at or below 0.95 V/Vmin ≤ 0.95"));
}

#[test]
fn a_subset_of_the_test_images_is_said_in_the_remarks() {
    let mut report = report(two_methods());
    report.summaries.iter_mut().for_each(|s| s.images = 500);
    let text = words(&html(&report));
    assert!(
        text.contains("Not all test images were used (500 of 2000)."),
        "{text}"
    );
    assert!(
        text.contains("(bootstrap where there is none), with the choice of test images included"),
        "{text}"
    );
}

#[test]
fn the_page_asks_for_nothing_outside_itself() {
    let page = html(&report(two_methods()));
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for trace in [
        "http://", "https://", "<link", "<img", "@import", "url(", "src=", "style=\"", "onclick",
    ] {
        assert!(!page.contains(trace), "{trace}");
    }
    assert!(page.contains("content=\"default-src 'none'; script-src 'sha256-"));
}

/// The data of the interactive figure.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"explore-data\">")
        .unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_axis_of_energies_has_the_name_that_is_asked_for() {
    use super::interactive::{script, SCRIPT};
    assert_eq!(script("weight-memory energy"), SCRIPT);
    let both = script("energy of weights and activations");
    assert!(both.contains("\"Energy of weights and activations per inference\""));
}

#[test]
fn the_interactive_figure_holds_every_point_and_is_hidden_without_script() {
    let report = report(two_methods());
    let page = html(&report);
    assert!(page.contains("<section id=\"explore\" hidden>"));
    let data = data(&page);
    let points = data["points"].as_array().unwrap();
    assert_eq!(points.len(), report.summaries.len());
    for (point, s) in points.iter().zip(&report.summaries) {
        assert_eq!(point["name"], s.design.design_id);
        assert_eq!(point["mean"], 100.0 * s.mean);
        let label = &data["series"][point["series"].as_u64().unwrap() as usize]["label"];
        assert_eq!(*label, format!("{}, 4 bit", s.design.method));
    }
    let frontier: Vec<&str> = data["frontier"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| {
            points[place.as_u64().unwrap() as usize]["name"]
                .as_str()
                .unwrap()
        })
        .collect();
    let on = &report.pareto.frontiers[0].points;
    assert_eq!(
        frontier,
        on.iter()
            .map(|p| p.summary.design.design_id.as_str())
            .collect::<Vec<_>>()
    );
    let first = points.iter().find(|p| p["name"] == frontier[0]).unwrap();
    assert!(first["settings"]
        .as_array()
        .unwrap()
        .contains(&serde_json::json!([
            "Frontier of all",
            "90.0 % of resamples"
        ])));
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    assert_eq!(html(&report(two_methods())), html(&report(two_methods())));
}

#[test]
fn tags_are_closed_in_the_order_in_which_they_were_opened() {
    let page = html(&report(two_methods()));
    let (page, _) = page.split_once("<script").unwrap();
    let page = format!("{page}</body></html>");
    let mut open: Vec<String> = Vec::new();
    for tag in page.split('<').skip(1) {
        let name: String = tag
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != '>')
            .collect();
        let whole = tag.split('>').next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed)),
            None if whole.ends_with('/') || name == "meta" || name.starts_with('!') => (),
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn no_saving_is_claimed_on_extrapolated_ground() {
    // Everything below 0.85 is extrapolated; wcat would reach the target there.
    let mut report = report(sweep(
        &[("normal", 4, 0.971, 0.19), ("wcat", 4, 0.968, 0.75)],
        0.85,
    ));
    let text = words(&html(&report));
    assert!(text.contains(
        "wcat at 4 bit keeps 96.1 % accuracy (1 point less than normal without faults) down to 0.85 V/Vmin"
    ));
    assert!(
        text.contains("Marked with †")
            && text.contains("wcat, loss of 1 point: 4 bit, 0.825 V/Vmin")
    );
    // The answer is the lowest voltage of known rate, and says that it is.
    assert!(text.contains("at or below 0.85 V/Vmin †"), "{text}");
    // A saving that was handed in with an extrapolated point is not printed either.
    for saving in &mut report.pareto.savings {
        let point = summary(saving.method.method.name(), 4, 0.775, 0.85, 0.99, 0.99);
        (saving.cheapest, saving.saving_to_reference) = (Some(point), Some(0.4321));
    }
    let text = words(&html(&report));
    assert!(!text.contains("43.2"), "{text}");
}

#[test]
fn what_the_chips_do_not_show_is_not_claimed() {
    let mut report = report(two_methods());
    for point in &mut report.summaries {
        point.student = Some(Interval {
            low: point.mean - 0.05,
            high: point.mean + 0.05,
        });
    }
    let text = words(&html(&report));
    for part in [
        "Not established: no voltage at which cells fail is shown to keep 96.1 % accuracy",
        "wcat at 4 bit seems to, down to 0.825 V/Vmin: its mean over",
        "`wcat-explore answer` with these models decides it",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("It saves"));
}

#[test]
fn everything_that_a_user_names_is_escaped() {
    const EVIL: &str = "<script>alert('x')</script>&\"";
    let mut report = report(two_methods());
    for s in &mut report.summaries {
        let d = &mut s.design;
        d.array = ArrayLabel::Dependent(EVIL.into());
        d.fault_kind = FaultLabel::new(KindName::Flip, None, EVIL);
        for name in [
            &mut d.model,
            &mut d.design_id,
            &mut d.memory,
            &mut d.dataset,
        ] {
            *name = EVIL.into();
        }
    }
    report.pareto = frontiers(&report.summaries);
    for saving in &mut report.pareto.savings {
        saving.method.array = Some(ArrayLabel::Dependent(EVIL.into()));
        saving.cheapest = report.summaries.last().cloned();
    }
    for answer in &mut report.answers {
        let own = &mut answer.series;
        (own.model, own.memory) = (EVIL.into(), EVIL.into());
        own.array = ArrayLabel::Dependent(EVIL.into());
        answer.point = report.summaries.last().cloned();
    }
    for frontier in &mut report.pareto.frontiers {
        frontier.method = report.pareto.savings.first().map(|s| s.method.clone());
    }
    report.figures = all(
        &Averaged::none(report.summaries.clone()),
        &report.pareto,
        &[memory()],
    );
    (report.run, report.title, report.version) = (EVIL.into(), EVIL.into(), EVIL.into());
    (report.commands, report.notes) = (vec![EVIL.into()], vec![EVIL.into()]);
    report.configuration = EVIL.into();
    let page = html(&report);
    // Data and script of the page itself, and nothing that a user wrote.
    assert_eq!(
        (
            page.matches("<script").count(),
            page.matches("</script").count()
        ),
        (2, 2)
    );
    assert_eq!(
        page.matches("alert('x')").count(),
        page.matches("\\u003cscript\\u003ealert('x')").count()
    );
    assert_eq!(data(&page)["points"][0]["name"], EVIL);
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn a_run_without_points_or_targets_says_so() {
    let mut report = report(two_methods());
    report.pareto.savings.clear();
    report.pareto.frontiers.clear();
    assert!(words(&html(&report)).contains("No target accuracy was set"));
    report.summaries.clear();
    report.figures.clear();
    let text = words(&html(&report));
    assert!(!html(&report).contains("<script"));
    assert!(text.contains("no design point") && !text.contains("NaN") && !text.contains("inf "));
}

#[test]
fn a_page_of_very_many_points_shows_a_part_and_says_so() {
    let small = html(&report(two_methods()));
    assert!(!small.contains("Shown are"));
    let mut report = report(two_methods());
    let first = report.summaries[0].clone();
    let point = |i: usize| {
        let mut point = first.clone();
        point.design.design_id = format!("p{i}");
        point.design.voltage = Some(0.5 + 0.5 * i as f64 / 20_000.0);
        point
    };
    report.summaries.extend((0..20_000).map(point));
    let all = report.summaries.len();
    report.figures = all_figures(&report);
    let page = html(&report);
    assert!(page.len() < 6_000_000, "{}", page.len());
    let shown = data(&page)["points"].as_array().unwrap().len();
    assert!((500..=1000).contains(&shown), "{shown}");
    let text = words(&page);
    assert!(text.contains(&format!("Shown are {shown} of {all} design points")));
    assert!(
        text.contains(&format!("Shown are 1000 of {all} rows")),
        "{text}"
    );
    assert!(text.contains(&format!("of {all} design points: those on the frontier")));
}

fn all_figures(report: &Report) -> Vec<Figure> {
    let points = Averaged::none(report.summaries.clone());
    all(&points, &report.pareto, &[memory()])
}

#[test]
fn the_drawn_rate_stands_beside_the_curves() {
    let count = |array: &str, failing| FaultCount {
        model: "m".into(),
        protection: Protection::None,
        array: array.parse().unwrap(),
        voltage: (0.54, "V"),
        ber: 0.01,
        cells: 1000,
        failing,
        chips: 2,
        interval: Interval {
            low: 0.008,
            high: 0.012 + failing as f64 / 1e6,
        },
    };
    let mut report = report(two_methods());
    assert!(!html(&report).contains("Failing cells as drawn"));
    let mut high = count("column 0.5 bank 0", 30);
    high.interval.low = 0.02;
    report.fault_counts = vec![count("independent", 10), high];
    let html = html(&report);
    for part in [
        "0.540 V",
        ">independent<",
        "column 0.5 bank 0",
        ">yes<",
        ">no<",
        "1 of 2 intervals hold",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[test]
fn foreign_text_is_no_markup_in_a_card() {
    const EVIL: &str = "a|b`c`<img src=x>\n# h";
    let card = ModelCard {
        name: EVIL.into(),
        file: EVIL.into(),
        bytes: 1,
        checksum: EVIL.into(),
        architecture: EVIL.into(),
        method: EVIL.into(),
        width: EVIL.into(),
        stored_weights: 1,
        data: Some((EVIL.into(), EVIL.into())),
        input_shape: [1, 28, 28],
        training: (None, None, None),
        summary: None,
        configuration: Some("```\n# h\n".into()),
        clean: None,
        measured: vec![(EVIL.into(), Vec::new())],
    };
    let text = card_markdown(&card);
    assert_eq!(
        text.matches("<img").count(),
        text.matches("\\<img").count(),
        "{text}"
    );
    assert!(text.contains("\n````yaml\n```\n# h\n````\n"), "{text}");
    let heads = text.lines().filter(|line| line.starts_with("# ")).count();
    assert_eq!(heads, 2, "the title, and the line in the fence: {text}");
    let file = text
        .lines()
        .find(|line| line.starts_with("| file |"))
        .unwrap();
    assert_eq!(file.replace("\\|", "").matches('|').count(), 3, "{file}");
}

#[test]
fn methods_are_compared_chip_by_chip_and_one_training_is_said_to_be_one() {
    let text = words(&html(&report(two_methods())));
    let from = text.find("Methods compared chip by chip").unwrap();
    let section = &text[from..];
    assert!(section.contains("wcat less normal"), "{section}");
    assert!(
        section.contains("Each method was trained once"),
        "{section}"
    );
    let mut one = report(two_methods());
    one.differences.clear();
    assert!(!html(&one).contains("Methods compared chip by chip"));
}

#[test]
fn a_document_of_results_opens_with_where_the_first_method_is_better() {
    let summaries = two_methods();
    let (answers, differences) = compared(&summaries);
    let with_faults = |d: &&MethodDifference| d.method == MethodLabel::Wcat && d.setting.ber > 0.0;
    let own: Vec<&MethodDifference> = differences.iter().filter(with_faults).collect();
    let better = own.iter().filter(|d| d.student.unwrap().low > 0.0).count();
    let worse = own.iter().filter(|d| d.student.unwrap().high < 0.0).count();
    assert!(better > 2 && worse > 2, "{better} {worse} of {}", own.len());
    let sweep = ResultSweep {
        run: "both".into(),
        memory: "14 nm".into(),
        images: (2000, 2000),
        summaries,
        means: means_of(&own),
        differences: differences.clone(),
        answers,
        commands: Vec::new(),
        notes: Vec::new(),
        figures: Vec::new(),
    };
    let group = |split, sweeps: &[ResultSweep]| ResultGroup {
        dataset: "glyphs".into(),
        architecture: "lenet".into(),
        split,
        models: Vec::new(),
        sweeps: sweeps.to_vec(),
        attacks: Vec::new(),
    };
    let document = |groups| {
        let (title, version, command) = ("Two methods".into(), "0.1.0".into(), "publish".into());
        let preface = "Read *this* first.\n".into();
        results_markdown(&Results {
            title,
            version,
            preface,
            command,
            groups,
        })
    };
    let text = document(vec![group(TestSplit::Test, std::slice::from_ref(&sweep))]);
    let row = format!(
        "| lenet, glyphs | `both` | independent array | 4 bit | better at {better}, worse at {worse} of {} |",
        own.len()
    );
    assert!(
        text.contains("| wcat against normal |\n|---|---|---|---|---|\n") && text.contains(&row),
        "{text}"
    );
    assert!(
        text.contains("\nRead *this* first.\n\n## In short"),
        "{text}"
    );
    assert!(text.find("## In short").unwrap() < text.find("## lenet on glyphs").unwrap());
    let frontier = text.split("Who holds the frontier").nth(1).unwrap();
    assert!(
        frontier.contains("| lenet, glyphs | `both` | independent array |")
            && frontier.contains("wcat 4 bit: ")
    );
    assert!(
        text.contains("\n50 simulated chips, all 2000 test images.\n"),
        "{text}"
    );
    let mut part = sweep.clone();
    part.images = (500, 2000);
    let of_part =
        |part: &ResultSweep| document(vec![group(TestSplit::Test, std::slice::from_ref(part))]);
    assert!(
        of_part(&part).contains("\n50 simulated chips, 500 of 2000 test images in each trial. ")
    );
    part.summaries
        .iter_mut()
        .for_each(|summary| summary.quantiles = None);
    assert!(of_part(&part).contains(
        "\n50 simulated chips, each seen through 500 of the 2000 test images, drawn for it"
    ));
    // what was chosen by is no evidence, and without another method there is nothing to say
    assert!(!document(vec![group(TestSplit::Validation, &[sweep])]).contains("In short"));
    assert!(!document(vec![group(TestSplit::Test, &[])]).contains("In short"));
}

/// Means at the settings of these differences.
fn means_of(differences: &[&MethodDifference]) -> Vec<MethodMean> {
    let mean = |d: &&MethodDifference| MethodMean {
        setting: d.setting.clone(),
        method: d.method,
        trainings: 1,
        chips: 50,
        energy_relative: 0.5,
        clean: 0.97,
        mean: d.mean,
        trainings_std: None,
        student: None,
        of_trainings: None,
    };
    differences.iter().map(mean).collect()
}
