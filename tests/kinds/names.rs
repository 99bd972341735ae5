//! Names are checked where they are loaded, and written as text.

use super::checkpoints::{bare, pth, state};
use crate::hostile::stored_run;
use crate::program::Place;
use std::collections::BTreeMap;
use wcat_explore::fault::ArrayLabel;
use wcat_explore::net::{read_tensors, write_tensors};

const EVIL: &str = "a|b`c`<img src=x>[l](u)*x*";

/// Cells of a line of a Markdown table: parts between pipes that no backslash stands before.
fn cells(line: &str) -> usize {
    let mut escaped = false;
    let mut pipes = 0;
    for letter in line.chars() {
        pipes += usize::from(letter == '|' && !escaped);
        escaped = letter == '\\' && !escaped;
    }
    pipes
}

#[test]
fn a_published_document_holds_foreign_names_as_text() {
    let place = Place::new();
    stored_run(&place);
    let run = "results/cifar10-resnet20-1-percent";
    let path = place.path(&format!("{run}/summary.parquet"));
    let mut summaries =
        wcat_explore::table::read::<wcat_explore::analysis::Summary>(&path).unwrap();
    for summary in &mut summaries {
        summary.design.model = EVIL.into();
        summary.design.array = ArrayLabel::Dependent(format!("{EVIL}\n# {EVIL}"));
        summary.design.dataset = EVIL.into();
    }
    wcat_explore::table::write(&path, &summaries).unwrap();
    let record = String::from_utf8(place.read(&format!("{run}/run.yaml"))).unwrap();
    let at = record.find("\nnotes:").unwrap() + 1;
    let after = &record[at + record[at..].find('\n').unwrap() + 1..];
    let rest = after.trim_start_matches(|c| c != 'c');
    assert!(rest.starts_with("configuration:"), "{rest}");
    let notes = format!("notes:\n- '{EVIL}'\n- '```'\n");
    place.write(
        &format!("{run}/run.yaml"),
        format!("{}{notes}{rest}", &record[..at]),
    );
    place.done(&["publish", run, "--out", "doc.md", "--title", EVIL]);
    let document = String::from_utf8(place.read("doc.md")).unwrap();
    assert!(document.contains("a|b\\`c\\`\\<img src=x\\>\\[l\\](u)\\*x\\*"));
    for (at, _) in document.match_indices("<img") {
        assert!(document[..at].ends_with('\\'), "{}", &document[at..at + 40]);
    }
    let mut width = None;
    for line in document.lines() {
        if !line.starts_with('|') {
            width = None;
            continue;
        }
        assert_eq!(*width.get_or_insert(cells(line)), cells(line), "{line}");
    }
    // the fences are those of the commands alone
    let fences = document.lines().filter(|line| line.starts_with("```"));
    assert_eq!(fences.count() % 2, 0);
}

/// Names that nothing may have.
fn wrong_names() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        " a",
        "-a",
        ".a",
        "a\nb",
        "a\u{202e}b",
        "a\u{1b}[31mb",
        "\u{200b}",
    ]
    .map(str::to_owned)
    .into();
    all.push("a".repeat(65));
    all.push("a".repeat(100_000));
    all
}

#[test]
fn names_in_model_files_are_checked_before_anything_is_computed() {
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    let file = read_tensors(&place.path("a.safetensors")).unwrap();
    let metadata = file
        .own_metadata(&place.path("a.safetensors"))
        .unwrap()
        .unwrap();
    let named = |name: &str| {
        let mut info: serde_json::Value = serde_json::from_str(&metadata["model"]).unwrap();
        info["training"]["name"] = name.into();
        let metadata = BTreeMap::from([("model".to_owned(), info.to_string())]);
        write_tensors(&place.path("b.safetensors"), &file.tensors, &metadata).unwrap();
    };
    for name in wrong_names() {
        named(&name);
        for command in ["inspect", "eval", "sweep", "attack"] {
            let ended = place.run(&[command, "-q", "--model", "b.safetensors"]);
            assert_eq!(ended.code, Some(2), "{name:?}");
            assert!(
                ended
                    .stderr
                    .contains("b.safetensors: `training.name`: expected a name of 1 to 64"),
                "{}",
                ended.stderr
            );
            assert!(
                ended.stderr.len() < 600 && !ended.stderr.contains('\u{1b}'),
                "{}",
                ended.stderr
            );
        }
        assert!(!place.path("results").exists());
    }
    let longest = "é".repeat(64);
    for name in ["_a", "1", "a b|c*d", "\u{6a21}\u{578b}", longest.as_str()] {
        named(name);
        place.done(&["inspect", "-q", "--model", "b.safetensors"]);
    }
}

#[test]
fn names_from_file_names_folders_and_flags_are_checked() {
    let place = Place::new();
    let bytes = pth(&state("lenet5"), bare);
    let long = format!("{}.pth", "a".repeat(65));
    for file in ["-a.pth", "a\u{7}b.pth", long.as_str()] {
        place.write(file, &bytes);
        let model = format!("./{file}");
        let call = ["eval", "-q", "--model", &model, "--dataset", "glyphs"];
        let ended = place.run(&call);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains("rename the file"), "{}", ended.stderr);
        // another name may be given to what is made of it
        let quantize = [
            "quantize",
            "-q",
            "--model",
            &model,
            "--bits",
            "4",
            "--no-eval",
            "--out",
            "q.safetensors",
        ];
        let ended = place.run(&quantize);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains("(--name)"), "{}", ended.stderr);
        place.done(&[&quantize[..], &["--name", "mine", "--overwrite"]].concat());
    }
    let long = "a".repeat(65);
    for call in [
        &["sweep", "--set", "name=.a", "--dry-run"][..],
        &["train", "--set", "models=[{name: '', quantizer: {}}]"],
        &["train", "--set", &format!("name={}", "a".repeat(60))],
        &["memory", "fit", "m.csv", "--out", "m.yaml", "--name", &long],
    ] {
        place.write("m.csv", "voltage,faults,cells\n0.5,100,1000\n0.6,10,1000\n");
        let ended = place.run(call);
        assert_eq!(ended.code, Some(2), "{call:?}: {}", ended.stderr);
    }
    place.write("m.yaml", format!("name: {}\n", "a".repeat(65)));
    assert_eq!(place.run(&["memory", "show", "m.yaml"]).code, Some(2));
    let folder = place.path(".hidden");
    std::fs::create_dir_all(folder.join("a")).unwrap();
    place.write("a.pth", &bytes);
    let call = [
        "eval",
        "--model",
        "a.pth",
        "--dataset",
        "folder",
        "--data-dir",
        ".hidden",
    ];
    let ended = place.run(&call);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("a name of 1 to 64"),
        "{}",
        ended.stderr
    );
}
