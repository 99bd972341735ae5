//! Numbers stay: every table, journal line, run name and printed result of sweeps, explorations and an attack on
//! stored packed models has the recorded hash. That stored runs are drawn again byte for byte is a part of `.ci/run`.
//!
//! A change of numbers, columns or texts that is meant is renewed with `WCAT_RENEW_GUARD=1 cargo test --release
//! --test guard`, and said in the changelog.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::Place;
use std::fs;
use std::path::Path;
use wcat_explore::store;

/// Hashes by name, one a line, sorted.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guard/hashes.txt");

/// What varies between two runs of the same numbers.
const VOLATILE: [&str; 4] = ["timing.csv", ".lock", "run.yaml", "checksums"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A place with two packed LeNets, a packed ResNet and twenty images in CIFAR-10's binary form.
fn place() -> Place {
    let place = Place::new();
    for (from, to) in [
        ("mnist-lenet5/mnist_lenet5-wcat-4bit", "wcat.safetensors"),
        ("mnist-lenet5/mnist_lenet5-lsq-2bit", "lsq.safetensors"),
        (
            "cifar10-resnet20/cifar10_resnet20-0.1-wcat-4bit",
            "resnet.safetensors",
        ),
    ] {
        let model = repository().join(format!("results/models/{from}.safetensors"));
        fs::copy(model, place.path(to)).unwrap();
    }
    let image = |i: u32| {
        let pixels = (0..3072u32).map(move |j| (i * 31 + j * j % 251 + j * (i + 3)) as u8);
        std::iter::once((i % 10) as u8).chain(pixels)
    };
    place.write("images.bin", (0..20).flat_map(image).collect::<Vec<u8>>());
    place
}

/// One call of the program: its name in the record, and its arguments.
fn calls() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "sweep",
            "sweep --model wcat.safetensors --model lsq.safetensors --voltages 0.8,0.875,1.0 --chips 4 --images 60 \
             --protection none,secded,msb:1,parity_zero",
        ),
        (
            "two-level",
            "sweep --model wcat.safetensors --model lsq.safetensors --voltages 0.8,0.85 --sampling two-level \
             --tolerance 0.03 --chips 20",
        ),
        (
            "stratified",
            "sweep --model wcat.safetensors --model lsq.safetensors --voltages 0.8,0.85 --sampling stratified \
             --tolerance 0.03 --chips 20",
        ),
        (
            "correlated",
            "sweep --model wcat.safetensors --memory sram-28nm-kc705b-salami2018 --array independent,model \
             --bers 0,0.001,0.02 --chips 4 --images 60",
        ),
        (
            "domains",
            "explore --model wcat.safetensors --domains layers --max-loss 0.05 --voltages 0.8,0.85,0.9,1.0 --images 60 \
             --chips 4 --search-chips 2 --search-images 40 --evaluations 12",
        ),
        (
            "attack",
            "attack --model wcat.safetensors --flips 5 --restarts 2 --batch 16 --images 60 --k-top 10 \
             --set dataset.glyphs.training_images=200",
        ),
        (
            "resnet",
            "sweep --model resnet.safetensors --bers 0,0.001,0.01 --chips 2 --dataset cifar10 --data-file images.bin",
        ),
        ("eval", "eval --model wcat.safetensors --images 60 --voltage 0.8 --chip 3 --format csv"),
    ]
}

/// `name hash` of everything that a call left and printed.
fn hashes(place: &Place, name: &str, arguments: &str) -> Vec<String> {
    let mut all: Vec<&str> = arguments.split_whitespace().collect();
    all.extend(["--isa", "avx2", "--threads", "2", "-q"]);
    all.extend(["--arithmetic", "direct"]);
    if !all.contains(&"cifar10") {
        all.extend([
            "--dataset",
            "glyphs",
            "--set",
            "dataset.glyphs.test_images=200",
        ]);
    }
    let ended = place.done(&all);
    let line = |what: &str, content: &[u8]| format!("{name}/{what} {}", store::sha256(content));
    let mut lines = vec![line("stdout", ended.stdout.as_bytes())];
    let Ok(runs) = fs::read_dir(place.path("results")) else {
        return lines;
    };
    for run in runs {
        let run = run.unwrap().path();
        lines.push(line(
            "run-name",
            run.file_name().unwrap().as_encoded_bytes(),
        ));
        for file in fs::read_dir(&run).unwrap() {
            let file = file.unwrap().path();
            let file_name = file.file_name().unwrap().to_str().unwrap();
            if file.is_file() && !VOLATILE.contains(&file_name) {
                let content = fs::read(&file).unwrap();
                let content = if file_name == "trials.journal" {
                    timeless(&content)
                } else {
                    content
                };
                lines.push(line(file_name, &content));
            }
        }
    }
    fs::remove_dir_all(place.path("results")).unwrap();
    lines
}

/// Lines of a journal in order, without their checksums and seconds: threads end in any order.
fn timeless(journal: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(journal).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| without_seconds(&line[9..]))
        .collect();
    lines.sort();
    lines.join("\n").into_bytes()
}

/// A line without `"seconds":<number>`.
fn without_seconds(line: &str) -> String {
    let Some((before, after)) = line.split_once("\"seconds\":") else {
        return line.to_owned();
    };
    let number = after.find([',', '}']).unwrap_or(after.len());
    format!("{before}{}", &after[number..])
}

#[test]
fn tables_journals_names_and_printed_results_have_their_recorded_hashes() {
    let place = place();
    let mut lines: Vec<String> = calls()
        .iter()
        .flat_map(|(name, arguments)| hashes(&place, name, arguments))
        .collect();
    lines.sort();
    let found = lines.join("\n") + "\n";
    if std::env::var_os("WCAT_RENEW_GUARD").is_some() {
        store::write_bytes(Path::new(RECORDED), found.as_bytes()).unwrap();
    }
    let recorded = fs::read_to_string(RECORDED).unwrap();
    let changed: Vec<&str> = found
        .lines()
        .filter(|line| !recorded.lines().any(|known| known == *line))
        .collect();
    assert!(changed.is_empty(), "changed:\n{}", changed.join("\n"));
    assert_eq!(
        recorded.lines().count(),
        found.lines().count(),
        "something recorded is no longer written"
    );
}
