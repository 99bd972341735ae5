//! Run folders stay whole when others delete, lock and limit them.
#![cfg(unix)]

use crate::program::{signal, wait_until, Ended, Place};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};

/// A sweep that takes long.
const SWEEP: [&str; 11] = [
    "sweep",
    "--model",
    "m.safetensors",
    "--voltages",
    "0.8",
    "--chips",
    "1000000",
    "--out",
    "run",
    "--threads",
    "1",
];

fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

fn trials(place: &Place) -> usize {
    let journal = fs::read(place.path("results/run/trials.journal")).unwrap_or_default();
    journal.iter().filter(|byte| **byte == b'\n').count()
}

/// A sweep at work.
fn at_work(place: &Place) -> Child {
    let mut child = place.start(&SWEEP);
    assert!(wait_until(&mut child, || trials(place) > 3));
    child
}

/// Runs the program under a line of shell.
fn under(place: &Place, shell: &str, args: &[&str]) -> Ended {
    let program = env!("CARGO_BIN_EXE_wcat-explore");
    let output = Command::new("sh")
        .args(["-c", &format!("{shell}; exec \"$0\" \"$@\""), program])
        .args(args)
        .current_dir(&place.folder)
        .env("XDG_CACHE_HOME", &place.cache)
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
fn failed_in(place: &Place, child: Child, name: &str) {
    let ended = place.end(child);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(name), "{}", ended.stderr);
    assert!(ended.stderr.contains("removed"), "{}", ended.stderr);
}

#[test]
fn a_run_folder_that_is_deleted_or_moved_ends_the_run() {
    let place = place();
    let run = place.path("results/run");
    let child = at_work(&place);
    fs::remove_dir_all(&run).unwrap();
    failed_in(&place, child, "results/run");
    assert!(!run.exists(), "made again");
    let child = at_work(&place);
    fs::rename(&run, place.path("results/moved")).unwrap();
    failed_in(&place, child, "results/run");
    assert!(!run.exists(), "made again");
    // another folder under the name is not written into
    let child = at_work(&place);
    fs::rename(&run, place.path("results/other")).unwrap();
    fs::create_dir(&run).unwrap();
    failed_in(&place, child, "results/run");
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    fs::remove_dir(&run).unwrap();
    let child = at_work(&place);
    fs::remove_file(run.join("trials.journal")).unwrap();
    failed_in(&place, child, "trials.journal");
}

#[test]
fn a_training_folder_that_is_deleted_ends_the_training() {
    let place = Place::new();
    let train = [
        "train",
        "--config",
        "quickstart",
        "--set",
        "dataset.glyphs.training_images=1000",
        "--set",
        "trainer.epochs=100000",
        "--out",
        "models",
    ];
    let mut child = place.start(&train);
    let folder = || {
        let mut all = fs::read_dir(place.path("models")).ok()?;
        Some(all.next()?.unwrap().path())
    };
    let trains = || folder().is_some_and(|folder| folder.join("last.safetensors").exists());
    assert!(wait_until(&mut child, trains));
    let folder = folder().unwrap();
    fs::rename(&folder, place.path("moved")).unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    let ended = place.end(child);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(name), "{}", ended.stderr);
    assert!(!folder.exists(), "made again");
}

#[test]
fn a_removed_lock_file_lets_no_second_process_in() {
    let place = place();
    let child = at_work(&place);
    fs::remove_file(place.path("results/run/.lock")).unwrap();
    let second = place.run(&SWEEP);
    assert_eq!(second.code, Some(75), "{}", second.stderr);
    assert!(second.stderr.contains("in use by another process"));
    signal(&child, "INT");
    assert_eq!(place.end(child).code, Some(75));
}

#[test]
fn files_have_the_rights_that_the_umask_leaves() {
    let place = place();
    for (mask, rights, folders) in [
        ("077", 0o600, 0o700),
        ("027", 0o640, 0o750),
        ("022", 0o644, 0o755),
    ] {
        let shell = format!("umask {mask}; rm -rf packed results reports");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let packed = under(
            &place,
            &shell,
            &["pack", "--model", "m.safetensors", "--out", "packed"],
        );
        assert_eq!(packed.code, Some(0), "{}", packed.stderr);
        let sweep = [
            "sweep",
            "--model",
            "m.safetensors",
            "--voltages",
            "0.8",
            "--chips",
            "2",
            "--images",
            "20",
            "--out",
            "run",
        ];
        assert_eq!(
            under(&place, &format!("umask {mask}"), &sweep).code,
            Some(0)
        );
        let mut seen = 0;
        for folder in ["packed", "results", "results/run", "reports", "reports/run"] {
            let folder = place.path(folder);
            assert_eq!(mode(&folder), folders, "{mask}: {}", folder.display());
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    assert_eq!(mode(&path), rights, "{mask}: {}", path.display());
                    seen += 1;
                }
            }
        }
        assert!(seen > 15, "{seen} files");
    }
}

#[test]
fn half_written_files_of_dead_processes_go_and_others_stay() {
    let place = place();
    place.write_model("float.safetensors", 32);
    let sweep = [
        "sweep",
        "--model",
        "m.safetensors",
        "--voltages",
        "0.8",
        "--chips",
        "2",
        "--images",
        "20",
        "--out",
        "run",
    ];
    place.done(&sweep);
    for folder in ["", "packed/", "docs/"] {
        for name in [".partial-aB3xY9", ".partial-of-a-user", ".partial-000000"] {
            place.write(&format!("{folder}{name}"), "half a");
        }
    }
    // a living process writes these
    let living = ["", "packed/", "docs/"].map(|folder| {
        let file = fs::File::open(place.path(&format!("{folder}.partial-000000"))).unwrap();
        file.lock().unwrap();
        file
    });
    place.done(&["pack", "--model", "m.safetensors", "--out", "packed"]);
    let quantize = [
        "quantize",
        "--model",
        "float.safetensors",
        "--method",
        "normal",
        "--bits",
        "4",
    ];
    place.done(&[&quantize[..], &["--no-eval", "--out", "q.safetensors"]].concat());
    place.done(&["publish", "results/run", "--out", "docs/d.md"]);
    for folder in ["", "packed/", "docs/"] {
        let is = |name: &str| place.path(&format!("{folder}{name}")).exists();
        assert!(!is(".partial-aB3xY9"), "{folder}: a dead one's is left");
        assert!(is(".partial-of-a-user"), "{folder}: a user's is gone");
        assert!(is(".partial-000000"), "{folder}: a living one's is gone");
    }
    drop(living);
}

#[test]
fn a_signal_leaves_nothing_half_written() {
    let place = place();
    place.write_model("float.safetensors", 32);
    let quantize = [
        "quantize",
        "--model",
        "float.safetensors",
        "--method",
        "normal",
        "--bits",
        "4",
    ];
    let (mut codes, mut delay) = (Vec::new(), 1);
    while !codes.contains(&Some(0)) {
        let out = format!("out{delay}/q.safetensors");
        let child = place.start(&[&quantize[..], &["--no-eval", "--out", &out]].concat());
        std::thread::sleep(std::time::Duration::from_millis(delay));
        signal(&child, "TERM");
        codes.push(place.end(child).code);
        delay = (delay * 3).div_ceil(2);
    }
    let left: Vec<String> = place
        .tree()
        .into_keys()
        .filter(|name| name.contains(".partial-"))
        .collect();
    assert_eq!(left, [""; 0], "{codes:?}");
}

#[test]
fn a_limit_of_file_sizes_is_an_error_in_words() {
    let place = place();
    place.write_model("float.safetensors", 32);
    let limit = "ulimit -f 8";
    let quantize = [
        "quantize",
        "--model",
        "float.safetensors",
        "--method",
        "normal",
        "--bits",
        "4",
    ];
    let ended = under(
        &place,
        limit,
        &[&quantize[..], &["--no-eval", "--out", "q.safetensors"]].concat(),
    );
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("q.safetensors") && ended.stderr.contains("File too large"),
        "{}",
        ended.stderr
    );
    assert!(!place.path("q.safetensors").exists());
    let ended = under(&place, limit, &SWEEP);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("results/run") && ended.stderr.contains("File too large"),
        "{}",
        ended.stderr
    );
    // what was finished before is kept
    let before = trials(&place);
    let mut child = place.start(&SWEEP);
    assert!(wait_until(&mut child, || trials(&place) > before));
    signal(&child, "INT");
    assert_eq!(place.end(child).code, Some(75));
}
