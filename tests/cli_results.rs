//! From trainings to a document: starting weights, settings chosen on held-out images, sweeps by bit error rate, methods
//! compared, results published.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::{records, refused, Place};

/// A training of a second.
const TINY: [&str; 6] = [
    "--set",
    "dataset.glyphs={training_images: 300, test_images: 100}",
    "--set",
    "network.architecture=mlp",
    "--set",
    "trainer.epochs=1",
];

fn trained(place: &Place, more: &[&str]) -> String {
    let ended = place.done(&[&["train"][..], &TINY, more].concat());
    ended.stdout.trim().to_owned()
}

#[test]
fn a_training_starts_from_the_weights_of_a_file_wherever_that_lies() {
    let place = Place::new();
    let first = trained(&place, &["--set", "quantizer.bits=8"]);
    let accuracy = |path: &str| {
        records(&place, &["eval", "--model", path])[0]["accuracy"]
            .as_f64()
            .unwrap()
    };
    // a learning rate that changes nothing: what comes out is what went in, ranges aside
    let still = [
        "--set",
        "trainer.optimizer.learning_rate=1e-12",
        "--set",
        "quantizer.bits=8",
    ];
    let from = |weights: &str| {
        let weights = format!("network.weights={weights}");
        trained(&place, &[&still[..], &["--set", &weights]].concat())
    };
    let second = from(&first);
    assert_eq!(accuracy(&first), accuracy(&second));
    place.write("moved.safetensors", place.read(&first));
    assert_eq!(
        from("moved.safetensors"),
        second,
        "the content is in the hash, the path is not"
    );
    let fresh = trained(&place, &still);
    assert_ne!(fresh, second);
    assert!(accuracy(&fresh) < accuracy(&second));
    place.write_model("lenet.safetensors", 4);
    let args = [
        &["train"][..],
        &TINY,
        &["--set", "network.weights=lenet.safetensors"],
    ]
    .concat();
    refused(
        &place,
        &args,
        "network.weights: expected weights of mlp, found lenet5",
    );
    let args = [
        &["train"][..],
        &TINY,
        &["--set", "network.weights=nowhere.safetensors"],
    ]
    .concat();
    refused(&place, &args, "nowhere.safetensors");
}

#[test]
fn held_out_images_choose_settings_for_models_that_never_saw_them() {
    let place = Place::new();
    let model = trained(&place, &["--set", "quantizer.bits=4"]);
    let rows = |more: &[&str]| {
        let base = [
            "sweep", "--model", &model, "--bers", "0,0.01", "--chips", "2",
        ];
        records(&place, &[&base[..], more].concat())
    };
    let (test, held_out) = (rows(&[]), rows(&["--split", "validation"]));
    assert_eq!(
        (&test[0]["images"], &held_out[0]["images"]),
        (&100.into(), &30.into())
    );
    assert!(
        held_out[0]["dataset"]
            .as_str()
            .unwrap()
            .ends_with("validation split"),
        "{held_out:?}"
    );
    let info = records(
        &place,
        &["train", "--set", "quantizer.bits=4"]
            .into_iter()
            .chain(TINY)
            .collect::<Vec<_>>(),
    );
    let validation = info[0]["validation_accuracy"].as_f64().unwrap();
    let clean = held_out.iter().find(|row| row["ber"] == 0.0).unwrap();
    assert_eq!(clean["mean"].as_f64().unwrap(), validation);
    // what a document says of them
    let base = [
        "sweep",
        "--model",
        &model,
        "--bers",
        "0,0.01",
        "--chips",
        "2",
        "--split",
        "validation",
    ];
    place.done(&[&base[..], &["--out", "held"]].concat());
    place.done(&[
        "publish",
        "results/held",
        "--out",
        "held.md",
        "--title",
        "Held out",
    ]);
    let text = String::from_utf8(place.read("held.md")).unwrap();
    assert!(
        text.contains("2 simulated chips, all 30 images of the validation split."),
        "{text}"
    );
    assert!(
        !text.contains("test images") && !text.contains("range decay"),
        "{text}"
    );
    let args = [
        "sweep",
        "--model",
        &model,
        "--split",
        "validation",
        "--seed",
        "2",
    ];
    refused(
        &place,
        &args,
        "a training with seed 2 that held out 0.1 of the images, found seed 1",
    );
}

#[test]
fn rates_stand_in_for_voltages_and_extend_a_run() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    let sweep = |rates: &str| {
        let base = [
            "sweep",
            "--model",
            "m.safetensors",
            "--chips",
            "2",
            "--images",
            "50",
            "--bers",
            rates,
        ];
        records(&place, &base)
    };
    let rates = |rows: &[serde_json::Value]| -> Vec<f64> {
        rows.iter()
            .map(|row| row["ber"].as_f64().unwrap())
            .collect()
    };
    assert_eq!(rates(&sweep("0,1e-2")), [0.01, 0.0]);
    let more = sweep("1e-4");
    assert_eq!(
        rates(&more),
        [0.01, 1e-4, 0.0],
        "further rates extend the run"
    );
    place.only_run();
    let point = &more[0];
    // in probit space between the measured 1.115e-2 at 0.833 and 1.29e-3 at 0.875
    assert_eq!(point["voltage"], 0.8354);
    refused(
        &place,
        &["sweep", "--model", "m.safetensors", "--bers", "0.6"],
        "--bers: expected rates from 0 to 0.5, each once, found 0.6",
    );
    let both = place.run(&[
        "sweep",
        "--model",
        "m.safetensors",
        "--bers",
        "0.1",
        "--voltages",
        "0.8",
    ]);
    assert_eq!(both.code, Some(2));
    // of the two the one that was typed replaces the one of the configuration
    place.write("rates.yaml", "name: rates\nmodel_files: [m.safetensors]\nsweep: { bit_error_rates: [0.01], chips: 2, images: 50 }\n");
    assert_eq!(
        rates(&records(&place, &["sweep", "--config", "rates.yaml"])),
        [0.01]
    );
    let typed = records(
        &place,
        &["sweep", "--config", "rates.yaml", "--voltages", "0.85"],
    );
    assert_eq!(typed[0]["voltage"], 0.85);
}

#[test]
fn results_are_published_from_tables_alone() {
    let place = Place::new();
    for name in ["a.safetensors", "b.safetensors"] {
        place.write_model(name, 4);
    }
    place.write(
        "both.yaml",
        "name: both\nmodel_files: [a.safetensors, b.safetensors]\n",
    );
    let sweep = [
        "sweep",
        "--config",
        "both.yaml",
        "--bers",
        "0,0.01,0.05",
        "--chips",
        "3",
        "--images",
        "50",
    ];
    place.done(&[&sweep[..], &["--out", "rates"]].concat());
    place.done(&[
        "attack",
        "--config",
        "both.yaml",
        "--flips",
        "3",
        "--restarts",
        "2",
        "--batch",
        "10",
        "--out",
        "flips",
    ]);
    let publish = [
        "publish",
        "results/rates",
        "results/flips",
        "--out",
        "docs/r.md",
        "--title",
        "Two untrained networks",
        "--cards",
        "--preface",
        "first.txt",
    ];
    place.write("first.txt", "What was *done*.");
    // two voltages make no curve: tables alone
    let two = [
        "sweep",
        "--config",
        "both.yaml",
        "--bers",
        "0,0.05",
        "--chips",
        "2",
        "--images",
        "50",
    ];
    place.done(&[&two[..], &["--out", "two"]].concat());
    place.done(&[
        "publish",
        "results/two",
        "--out",
        "docs/two.md",
        "--title",
        "Two rates",
    ]);
    let short = String::from_utf8(place.read("docs/two.md")).unwrap();
    assert!(
        short.contains("#### Mean accuracy of each model") && !short.contains("Least energy"),
        "{short}"
    );
    assert!(!place.path("docs/two").exists());
    assert!(
        !place.path("a.md").exists(),
        "cards are written where they are asked for"
    );
    let ended = place.done(&publish);
    assert_eq!(ended.stdout, "docs/r.md\n");
    assert!(
        ended.stderr.contains("3 figures, 2 model cards"),
        "{}",
        ended.stderr
    );
    let text = String::from_utf8(place.read("docs/r.md")).unwrap();
    for part in [
        "# Two untrained networks",
        "\nWhat was *done*.\n",
        "## lenet5 on glyphs",
        "[a](../a.md)",
        "| wcat | 4 bit |",
        "(r/rates-pareto.svg)",
        "50 of 100 test images",
        // two models of one method, width and seed are no trainings of it
        "| Model | Width | Array |",
        "#### Mean accuracy of each model by bit error rate",
        "### Bit-flip attack: `flips`",
        "(r/flips-attack.svg)",
        "wcat-explore sweep --config both.yaml",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let card = String::from_utf8(place.read("a.md")).unwrap();
    assert!(
        card.starts_with("# a\n") && card.contains("## Under faults: `rates`"),
        "{card}"
    );
    assert!(place.path("docs/r/rates-accuracy_ber.svg").is_file());
    // the same once more is the same; without the models it is still made, without cards
    let before = place.tree();
    place.done(&publish);
    assert!(before == place.tree());
    std::fs::remove_file(place.path("a.safetensors")).unwrap();
    let ended = place.done(&publish);
    assert!(
        ended
            .stderr
            .contains("the model a (a.safetensors) is not below this folder"),
        "{}",
        ended.stderr
    );
    assert!(String::from_utf8(place.read("docs/r.md"))
        .unwrap()
        .contains("the file is not here"));
    refused(
        &place,
        &["publish", "results/nowhere", "--out", "x.md"],
        "results/nowhere: not found",
    );
}

#[test]
fn tables_figures_and_printed_columns_name_the_metric_and_two_are_not_drawn_together() {
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    let sweep = |metric: &str| {
        let args = "sweep --model a.safetensors --dataset glyphs --bers 0,0.05 --chips 2 --images 40 --metric";
        let mut args: Vec<&str> = args.split(' ').collect();
        args.extend([metric, "--out", metric]);
        place.done(&args).stdout
    };
    let table = sweep("agreement");
    assert!(
        table.contains("agreement %") && !table.contains("accuracy %"),
        "{table}"
    );
    sweep("top5");
    let summary = String::from_utf8(place.read("results/agreement/summary.csv")).unwrap();
    assert_eq!(summary.matches(",agreement,").count(), 2, "{summary}");
    let figure = place.read("reports/agreement/accuracy_voltage.svg");
    let ber = place.read("reports/agreement/accuracy_ber.svg");
    for svg in [figure, ber] {
        let svg = String::from_utf8(svg).unwrap();
        assert!(
            svg.contains("Agreement (%)") && !svg.contains("Accuracy"),
            "{svg}"
        );
    }
    refused(
        &place,
        &["pareto", "results/agreement", "results/top5"],
        "one metric: accuracies by several are not compared, found `agreement` and `top5`",
    );
}
