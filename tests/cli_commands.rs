//! What each command prints: help, results as table, JSON and CSV, known numbers on real data.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::{records, there, Place};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use wcat_explore::kernel::Isa;

const MODEL: &str = "model.safetensors";
const MEMORY: &str = "sram-14nm-chandramoorthy2019";

/// The columns and rows of a CSV result that has no quoted cell.
fn csv(text: &str) -> (Vec<&str>, Vec<Vec<&str>>) {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    (lines.next().unwrap(), lines.collect())
}

/// Columns of a record, sorted.
fn columns(record: &Value) -> Vec<&str> {
    record
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[track_caller]
fn near(value: &Value, expected: f64, tolerance: f64) {
    let value = value.as_f64().unwrap();
    assert!(
        (value - expected).abs() <= tolerance,
        "{value} is not {expected} ± {tolerance}"
    );
}

/// Help of a command without anything to see it: lines of at most 100 columns.
fn help(place: &Place, command: &[&str], flag: &str) -> String {
    let ended = place.done(&[command, &[flag]].concat());
    assert_eq!(ended.stderr, "");
    let long = ended.stdout.lines().find(|line| line.chars().count() > 100);
    assert_eq!(long, None, "{command:?} {flag}");
    ended.stdout
}

#[test]
fn help_shows_flags_of_daily_use_and_all_of_them() {
    let place = Place::new();
    let short = help(&place, &["sweep"], "-h");
    assert!(short.lines().count() <= 45, "{short}");
    let headings: Vec<&str> = short
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .collect();
    let expected = [
        "Voltages and memory:",
        "Models and data:",
        "Sampling:",
        "Output:",
        "Settings:",
        "General:",
        "Examples:",
    ];
    assert_eq!(headings, expected, "{short}");
    let long = help(&place, &["sweep"], "--help");
    for flag in ["--voltages", "--protection", "--out", "--set"] {
        assert!(short.contains(flag) && long.contains(flag), "{flag}");
    }
    for flag in ["--fault-map", "--sampling", "--isa", "--no-resume"] {
        assert!(!short.contains(flag) && long.contains(flag), "{flag}");
    }
    let whole = help(&place, &[], "-h");
    for command in ["explore", "completions", "man"] {
        assert!(whole.contains(&format!("\n  {command} ")), "{whole}");
        help(&place, &[command], "--help");
    }
    let version = place.done(&["--version"]).stdout;
    assert_eq!(
        version.trim(),
        concat!("wcat-explore ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn shells_and_manuals_are_told_of_every_flag() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.done(&["completions", shell]).stdout;
        assert!(script.contains("fault-map"), "{shell}");
    }
    let page = place.done(&["man", "sweep"]).stdout;
    assert!(page.contains("Model files, comma\\-separated"), "{page}");
    let page = place.done(&["man", "memory", "fit"]).stdout;
    assert!(
        page.contains(".TH WCAT-EXPLORE-MEMORY-FIT 1") && page.contains("error\\-free"),
        "{page}"
    );
    place.done(&["man", "--out", "man1"]);
    let pages: Vec<String> = place.tree().into_keys().collect();
    assert_eq!(pages.len(), 26, "{pages:?}");
    for page in [
        "wcat-explore.1",
        "wcat-explore-sweep.1",
        "wcat-explore-data-info.1",
    ] {
        assert!(pages.contains(&format!("man1/{page}")), "{pages:?}");
    }
    let wrong = place.run(&["man", "swep"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .starts_with("error: man: expected one of sweep, answer"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn errors_and_warnings_are_coloured_where_somebody_sees_it() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let said = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = place.command(args);
        for name in ["NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let error = &["pareto", "results/none"][..];
    let warning = &["inspect", "--model", MODEL, "--compare", MODEL][..];
    for (args, coloured) in [
        (error, "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "),
        (warning, "\u{1b}[33mwarning:\u{1b}[0m "),
        (&["swep"], "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "),
    ] {
        let seen = said(args, &[("CLICOLOR_FORCE", "1")]);
        assert!(seen.starts_with(coloured), "{seen:?}");
        for plain in [&[][..], &[("NO_COLOR", "1")]] {
            assert!(!said(args, plain).contains('\u{1b}'), "{args:?}");
        }
    }
}

#[test]
fn memory_models_are_listed_and_shown() {
    let place = Place::new();
    let listed = records(&place, &["memory", "list"]);
    let names: Vec<&str> = listed
        .iter()
        .map(|model| model["memory"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 7);
    assert!(names.contains(&MEMORY));
    let table = place.done(&["memory", "list"]);
    assert_eq!(
        (table.stdout.lines().count(), table.stderr.as_str()),
        (8, "")
    );
    assert_eq!(records(&place, &["memory", "list", "--macros"]).len(), 10);
    assert!(names.iter().all(|name| table.stdout.contains(name)));
    for name in names {
        let curve = records(&place, &["memory", "show", name]);
        let voltages: Vec<f64> = curve
            .iter()
            .map(|point| point["voltage"].as_f64().unwrap())
            .collect();
        assert!(
            voltages.len() == 21 && voltages.is_sorted(),
            "{name}: {voltages:?}"
        );
        assert!(place
            .done(&["memory", "show", name])
            .stdout
            .contains("source: "));
    }
}

#[test]
fn a_memory_model_shows_single_points() {
    let place = Place::new();
    let show = ["memory", "show", MEMORY];
    let at_ber = records(&place, &[&show[..], &["--at-ber", "0.01"]].concat());
    assert_eq!(at_ber.len(), 1);
    assert_eq!(
        columns(&at_ber[0]),
        [
            "access_energy_pj",
            "access_energy_relative",
            "ber",
            "ber_source",
            "memory",
            "schema",
            "voltage",
            "voltage_unit"
        ]
    );
    near(&at_ber[0]["voltage"], 0.834, 0.002);
    near(&at_ber[0]["access_energy_relative"], 0.696, 0.004);
    near(&at_ber[0]["ber"], 0.01, 1e-6);
    assert_eq!(
        (&at_ber[0]["ber_source"], &at_ber[0]["voltage_unit"]),
        (&"measured".into(), &"vmin".into())
    );

    let csv_of = |list: &str| {
        place
            .done(&[&show[..], &["--at-voltage", list, "--format", "csv"]].concat())
            .stdout
    };
    let text = csv_of("0.833,0.74,0.98,1.02");
    let (header, rows) = csv(&text);
    let column = |name: &str| {
        let at = header.iter().position(|known| *known == name).unwrap();
        rows.iter().map(|row| row[at]).collect::<Vec<_>>()
    };
    assert_eq!(column("voltage"), ["0.74", "0.833", "0.98", "1.02"]);
    assert_eq!(
        column("ber_source"),
        ["extrapolated", "measured", "censored", "error_free"]
    );
    assert_eq!(
        column("access_energy_pj"),
        ["", "", "", ""],
        "a number that was not measured is empty"
    );
    assert_eq!(column("ber")[3], "0.0");
    let measured: f64 = column("ber")[1].parse().unwrap();
    assert!((measured - 1.1150e-2).abs() < 1e-9);
}

#[test]
fn a_model_is_inspected_layer_by_layer() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    place.write_model("float.safetensors", 32);
    let layers = records(&place, &["inspect", "--model", MODEL]);
    let weights: Vec<u64> = layers
        .iter()
        .map(|layer| layer["weights"].as_u64().unwrap())
        .collect();
    for layer in &layers {
        let shape = layer["shape"].as_array().unwrap();
        let product: u64 = shape.iter().map(|side| side.as_u64().unwrap()).product();
        assert_eq!(layer["weights"], product);
        assert_eq!(layer["bits"], 4);
        let (range, step) = (
            layer["range"].as_f64().unwrap(),
            layer["step"].as_f64().unwrap(),
        );
        assert!(
            (range / step - 8.0).abs() < 1e-4,
            "range {range}, step {step}"
        );
        assert!((0.0..=1.0).contains(&layer["bits_set_share"].as_f64().unwrap()));
    }
    let all: u64 = weights.iter().sum();
    for (layer, weights) in layers.iter().zip(&weights) {
        near(&layer["energy_share"], *weights as f64 / all as f64, 1e-9);
    }
    for layer in records(&place, &["inspect", "--model", "float.safetensors"]) {
        assert_eq!(layer["bits"], 32);
        let unknown = [
            "range",
            "step",
            "clipped_share",
            "bits_set_share",
            "energy_share",
        ];
        assert!(unknown.iter().all(|key| layer[*key].is_null()), "{layer}");
    }
    let table = place.done(&["inspect", "--model", MODEL]).stdout;
    assert!(table.starts_with("lenet5 of 10 classes"), "{table}");
}

#[test]
fn every_set_of_vector_instructions_gives_a_result_and_a_run_records_it() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let chosen = |isa: Isa| {
        let rows = records(&place, &["eval", "--model", MODEL, "--isa", isa.name()]);
        let out = format!("with-{isa}");
        let sweep = [
            "sweep",
            "--model",
            MODEL,
            "--chips",
            "1",
            "--voltages",
            "0.8",
            "--out",
            &out,
        ];
        place.done(&[&sweep[..], &["--isa", isa.name()]].concat());
        let record = String::from_utf8(place.read(&format!("results/{out}/run.yaml"))).unwrap();
        assert!(record.contains(&format!("  isa: {isa}\n")), "{record}");
        rows
    };
    let results: Vec<(Isa, Vec<Value>)> = Isa::available()
        .into_iter()
        .map(|isa| (isa, chosen(isa)))
        .collect();
    assert_eq!(results.last().unwrap().0, Isa::Portable);
    let without = records(&place, &["eval", "--model", MODEL]);
    for (isa, rows) in results {
        assert_eq!(rows[0]["images"], 100, "{isa}");
        near(&rows[0]["loss"], without[0]["loss"].as_f64().unwrap(), 1e-5);
        if isa != Isa::Portable {
            assert_eq!(rows, without, "{isa}");
        }
    }
}

#[test]
fn an_evaluation_is_clean_or_on_a_chip_that_repeats() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let eval = |flags: &[&str]| {
        let rows = records(&place, &[&["eval", "--model", MODEL], flags].concat());
        assert_eq!(rows.len(), 1);
        rows.into_iter().next().unwrap()
    };
    let clean = eval(&[]);
    assert_eq!(
        columns(&clean),
        [
            "accuracy",
            "architecture",
            "ber",
            "ber_source",
            "bits",
            "chip",
            "dataset",
            "faults",
            "images",
            "loss",
            "memory",
            "method",
            "metric",
            "model",
            "not_finite",
            "schema",
            "voltage",
            "voltage_unit"
        ]
    );
    assert_eq!(clean["images"], 100);
    for key in [
        "ber",
        "ber_source",
        "chip",
        "faults",
        "memory",
        "voltage",
        "voltage_unit",
    ] {
        assert!(clean[key].is_null(), "{key}: {}", clean[key]);
    }

    let faulty = eval(&["--ber", "0.01"]);
    assert_ne!(faulty["loss"], clean["loss"]);
    assert_eq!(faulty, eval(&["--ber", "0.01", "--threads", "1"]));
    // 1 % of the stored bits, within five standard deviations
    let layers = records(&place, &["inspect", "--model", MODEL]);
    let bits = 4.0
        * layers
            .iter()
            .map(|layer| layer["weights"].as_f64().unwrap())
            .sum::<f64>();
    near(
        &faulty["faults"],
        0.01 * bits,
        5.0 * (0.01 * 0.99 * bits).sqrt(),
    );
    assert_eq!(
        (&faulty["chip"], &faulty["voltage"]),
        (&0.into(), &Value::Null)
    );

    let other_chip = eval(&["--ber", "0.01", "--chip", "1"]);
    let other_seed = eval(&["--ber", "0.01", "--seed", "2"]);
    assert!(other_chip["loss"] != faulty["loss"] && other_seed["loss"] != faulty["loss"]);

    let at_voltage = eval(&["--voltage", "0.8vmin", "--chip", "1"]);
    near(&at_voltage["ber"], 0.0421, 1e-4);
    assert!(at_voltage["faults"].as_u64() > other_chip["faults"].as_u64());
    let error_free = eval(&["--voltage", "1.0"]);
    assert_eq!(
        (&error_free["faults"], &error_free["loss"]),
        (&0.into(), &clean["loss"])
    );

    let few = eval(&["--images", "20"]);
    assert_eq!(few["images"], 20);
    let table = place
        .done(&["eval", "--model", MODEL, "--ber", "0.01"])
        .stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    let text = place
        .done(&["eval", "--model", MODEL, "--format", "csv"])
        .stdout;
    let (header, rows) = csv(&text);
    assert_eq!((header, rows.len()), (columns(&clean), 1));
}

#[test]
fn a_training_prints_its_model_and_is_reused() {
    let place = Place::new();
    let train = [
        "train",
        "--set",
        "dataset.glyphs={training_images: 200}",
        "--set",
        "network.architecture=mlp",
        "--set",
        "trainer.epochs=1",
        "--set",
        "quantizer={method: wcat, bits: 2}",
    ];
    let first = place.done(&train);
    let model = first.stdout.trim();
    assert!(
        model.starts_with("results/custom-wcat-2bit-") && model.ends_with("/best.safetensors"),
        "{model}"
    );
    let before = place.tree();
    let second = place.done(&train);
    assert_eq!(second.stdout, first.stdout);
    assert!(
        second.stderr.contains("already trained in"),
        "{}",
        second.stderr
    );
    assert!(before == place.tree(), "a finished training was touched");
    assert_eq!(
        records(&place, &["inspect", "--model", model])[0]["bits"],
        2
    );
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let before = place.tree();
    let sweep = [
        "sweep",
        "--model",
        MODEL,
        "--voltages",
        "0.8,0.9,1.0",
        "--chips",
        "4",
    ];
    let plan = place.done(&[&sweep[..], &["--dry-run"]].concat()).stdout;
    assert!(
        plan.contains("design points: 3") && plan.contains("trials: 12, to compute: 12"),
        "{plan}"
    );
    let training = place.done(&["sweep", "--dry-run"]).stdout;
    assert!(
        training.starts_with("to train: normal-4bit, wcat-4bit (at most"),
        "{training}"
    );
    assert!(before == place.tree() && place.cached("config.yaml").is_empty());

    let rows = records(&place, &sweep);
    assert_eq!(rows.len(), 3);
    let summary =
        String::from_utf8(place.read(&format!("{}/summary.csv", place.only_run()))).unwrap();
    let csv = place
        .done(&[&sweep[..], &["--format", "csv"]].concat())
        .stdout;
    assert_eq!(csv.trim_end(), summary.trim_end());
    let plan = place.done(&[&sweep[..], &["--dry-run"]].concat()).stdout;
    assert!(plan.contains("trials: 12, to compute: 0"), "{plan}");
}

#[test]
fn data_sets_are_described() {
    let place = Place::new();
    let all = records(&place, &["data", "info"]);
    let of = |name: &str| all.iter().find(|set| set["name"] == name).unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(
        (&of("glyphs")["present"], &of("glyphs")["test"]["images"]),
        (&true.into(), &2000.into())
    );
    for name in ["mnist", "cifar10", "cifar100"] {
        assert_eq!(of(name)["present"], false);
        assert!(
            of(name)["folder"].as_str().unwrap().starts_with("[CACHE]"),
            "{}",
            of(name)
        );
    }
    assert_eq!(records(&place, &["data", "info", "mnist"]).len(), 1);
    let table = place.done(&["data", "info"]);
    assert_eq!(table.stdout.lines().count(), 5);
    assert_eq!(table.stderr, "data folder: [CACHE]/wcat-explore\n");
}

#[test]
fn a_server_without_the_file_is_named() {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = server.server_addr().to_ip().unwrap();
    let place = Place::new();
    let url = format!("http://{address}/mirror");
    let child = place.start(&["data", "fetch", "mnist", "--from", &url]);
    let request = server.recv().unwrap();
    assert_eq!(request.url(), "/mirror/train-images-idx3-ubyte.gz");
    request.respond(tiny_http::Response::empty(404)).unwrap();
    let ended = place.end(child);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{}",
        ended.stderr
    );
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(
        lines[0],
        format!("error: cannot download {url}/train-images-idx3-ubyte.gz")
    );
    assert!(
        lines.len() == 2 && lines[1].contains("404"),
        "{}",
        ended.stderr
    );
    assert!(place.cached("train-images-idx3-ubyte.gz").is_empty());
    let wrong = place.run(&["data", "fetch", "mnist", "--from", "localhost/mnist"]);
    assert_eq!(wrong.code, Some(2));
    assert_eq!(
        wrong.stderr,
        "error: source address: expected an address that starts with http:// or https://, found `localhost/mnist`\n"
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    for args in [
        &["memory", "show", MEMORY][..],
        &["memory", "list", "--format", "json"],
        &["inspect", "--model", MODEL],
        &["eval", "--model", MODEL],
        &["data", "info", "glyphs"],
        &[
            "sweep",
            "--model",
            MODEL,
            "--voltages",
            "0.9,1.0",
            "--chips",
            "2",
        ],
        &["sweep", "--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = place
            .command(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ended = place.end(child);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains("panicked") && !ended.stderr.contains("error:"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn quiet_says_nothing_but_results_and_verbose_says_more() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let sweep = [
        "sweep",
        "--model",
        MODEL,
        "--voltages",
        "0.9",
        "--chips",
        "2",
    ];
    assert_eq!(place.done(&[&sweep[..], &["--quiet"]].concat()).stderr, "");
    let more = place.done(&[&sweep[..], &["-v"]].concat()).stderr;
    for said in [
        concat!("wcat-explore ", env!("CARGO_PKG_VERSION"), ", "),
        "\nstage 1 of 2: 0 trials\n",
        "\nstage 2 of 2: tables, figures and report: ",
        "\ndone in ",
    ] {
        assert!(more.contains(said), "{said}: {more}");
    }
    assert!(place
        .done(&["memory", "list", "-v"])
        .stderr
        .contains("done in"));
    assert!(place
        .done(&sweep)
        .stderr
        .contains("0 trials computed, 2 reused; tables: results/"));
    let warned = place.done(&[
        "sweep",
        "--model",
        MODEL,
        "--voltages",
        "1.0",
        "--chips",
        "2",
        "--quiet",
    ]);
    assert!(
        warned
            .stderr
            .starts_with("warning: no voltage of this sweep can show a fault"),
        "{}",
        warned.stderr
    );
}

#[test]
fn out_takes_a_name_or_a_path() {
    let place = Place::new();
    place.write_model(MODEL, 4);
    let few = ["--model", MODEL, "-q", "--images", "20"];
    let sweep = [&["sweep", "--chips", "1", "--voltages", "0.9"][..], &few].concat();
    let attack = [
        &["attack", "--flips", "1", "--restarts", "1", "--batch", "10"][..],
        &few,
    ]
    .concat();
    place.done(&[&sweep[..], &["--out", "name"]].concat());
    place.done(&[&sweep[..], &["--out", "far/away"]].concat());
    place.done(&[&attack[..], &["--out", "./attacked"]].concat());
    place.done(&["pareto", "far/away", "-q", "--out", "drawn"]);
    place.done(&["pareto", "far/away", "-q", "--out", "far/drawn"]);
    let tree = place.tree();
    for file in [
        "results/name/summary.csv",
        "reports/name/report.html",
        "far/away/summary.csv",
        "far/away/report/report.html",
        "attacked/attacks.csv",
        "attacked/report/attack.svg",
        "reports/drawn/report.html",
        "far/drawn/report.html",
    ] {
        assert!(tree.contains_key(file), "{file}");
    }
    assert_eq!(
        tree["far/away/summary.csv"], tree["results/name/summary.csv"],
        "a folder changes no number"
    );
    // the same command goes on in the folder
    let loud: Vec<&str> = sweep.into_iter().filter(|word| *word != "-q").collect();
    let again = place.done(&[&loud[..], &["--out", "far/away"]].concat());
    assert!(
        again.stderr.contains("0 trials computed, 1 reused"),
        "{}",
        again.stderr
    );
}

/// The folder `shared` beside the checkout, and the user's cache, where both hold what is needed.
fn real_data() -> Option<(PathBuf, PathBuf)> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let cache = wcat_explore::store::cache_folder().unwrap();
    let needed = [
        &shared.join("weights/resnet20-12fca82f.th"),
        &shared.join("data/cifar10-test1000-lossless.bin"),
        &cache.join("cifar-10-batches-bin/test_batch.bin"),
    ];
    there(&needed.map(PathBuf::as_path)).then_some((shared, cache))
}

#[test]
fn the_public_resnet20_has_its_known_accuracy_on_cifar10() {
    let Some((shared, cache)) = real_data() else {
        return;
    };
    let place = Place::new();
    let model = shared.join("weights/resnet20-12fca82f.th");
    let eval = [
        "eval",
        "--model",
        model.to_str().unwrap(),
        "--dataset",
        "cifar10",
    ];
    let file = shared.join("data/cifar10-test1000-lossless.bin");
    let row = &records(
        &place,
        &[&eval[..], &["--data-file", file.to_str().unwrap()]].concat(),
    )[0];
    assert_eq!(
        (&row["images"], &row["accuracy"]),
        (&1000.into(), &0.915.into())
    );
    assert_eq!(
        (&row["bits"], &row["dataset"]),
        (&32.into(), &"CIFAR-10".into())
    );
    let row = &records(
        &place,
        &[&eval[..], &["--data-dir", cache.to_str().unwrap()]].concat(),
    )[0];
    assert_eq!(row["images"], 10_000);
    near(&row["accuracy"], 0.8103, 0.0002);
    assert_eq!(row["dataset"], "CIFAR-10 (JPEG copy)");
}
