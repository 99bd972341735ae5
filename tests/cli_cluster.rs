//! Shards and merges: whatever is spread, killed, repeated or copied, the tables are those of one process.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test may stop at once, and damages files on purpose

mod program;

use program::{signal, wait_until, Ended, Place};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Two models, three voltages, four chips: 24 trials.
const CONFIGURATION: &str = "\
name: tiny
dataset:
  name: glyphs
  glyphs: { training_images: 200, test_images: 200 }
network: { architecture: mlp }
trainer:
  epochs: 2
  batch: 16
  optimizer: { learning_rate: 0.05, momentum: 0.9 }
sweep: { voltages: '0.77,0.85,1.0', chips: 4 }
models:
  - name: normal-4bit
    quantizer: { method: normal, bits: 4 }
  - name: wcat-4bit
    quantizer: { method: wcat, bits: 4 }
";
const TRIALS: usize = 24;
const SWEEP: [&str; 3] = ["sweep", "--config", "tiny.yaml"];

/// What never differs in a run folder: all tables but the one of times.
fn tables(place: &Place) -> Vec<(String, Vec<u8>)> {
    let run = place.only_run();
    let mut all: Vec<(String, Vec<u8>)> = fs::read_dir(place.path(&run))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".csv") || name.ends_with(".parquet"))
        .filter(|name| name != "timing.csv")
        .map(|name| (name.clone(), place.read(&format!("{run}/{name}"))))
        .collect();
    all.sort();
    all
}

/// Tables are compared by name first, so that a failure prints no bytes.
#[track_caller]
fn same(left: &[(String, Vec<u8>)], right: &[(String, Vec<u8>)]) {
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(left), names(right));
    assert!(left.len() > 1);
    let differ = left.iter().zip(right).filter(|(l, r)| l != r);
    let differ: Vec<&str> = differ.map(|(l, _)| l.0.as_str()).collect();
    assert_eq!(differ, Vec::<&str>::new(), "tables that differ");
}

/// A place whose models are trained already.
fn place() -> Place {
    let place = Place::new();
    place.write("tiny.yaml", CONFIGURATION);
    copy_folder(&trained().cache, &place.cache);
    place
}

fn trained() -> &'static Place {
    static TRAINED: OnceLock<Place> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let place = Place::new();
        place.write("tiny.yaml", CONFIGURATION);
        let said = place.done(&with(&SWEEP, &["--prepare"]));
        assert!(said.stderr.contains("2 models trained"), "{}", said.stderr);
        assert!(!place.path("results").exists());
        place
    })
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

fn with<'a>(command: &[&'a str], flags: &[&'a str]) -> Vec<&'a str> {
    [command, flags].concat()
}

/// The tables of one process.
fn whole(command: &[&str]) -> Vec<(String, Vec<u8>)> {
    let place = place();
    place.done(command);
    tables(&place)
}

fn shard(place: &Place, command: &[&str], index: usize, count: usize) -> Ended {
    let part = format!("{index}/{count}");
    place.done(&with(command, &["--shard", &part, "--threads", "1"]))
}

fn merge(place: &Place, command: &[&str]) -> Ended {
    place.run(&with(command, &["--merge"]))
}

/// Journals of shards, sorted by name.
fn journals(place: &Place) -> Vec<PathBuf> {
    let folder = place.path(&place.only_run()).join("journals");
    let mut all: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

/// The line of a JSON with its checksum.
fn sealed(json: &str) -> String {
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

#[test]
fn any_number_of_shards_merges_to_the_tables_of_one_process() {
    let expected = whole(&SWEEP);
    for count in [1, 3, TRIALS + 8] {
        let place = place();
        for index in (0..count).rev() {
            let ended = shard(&place, &SWEEP, index, count);
            assert_eq!(ended.stdout, "");
        }
        let run = place.only_run();
        let written: Vec<PathBuf> = fs::read_dir(place.path(&run))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(
            written,
            [place.path(&run).join("journals")],
            "a shard writes a journal"
        );
        assert_eq!(journals(&place).len(), count);
        let merged = merge(&place, &SWEEP);
        assert_eq!(merged.code, Some(0), "{}", merged.stderr);
        let said = format!("0 trials computed, {TRIALS} reused");
        assert!(merged.stderr.contains(&said), "{}", merged.stderr);
        same(&tables(&place), &expected);
        let record = String::from_utf8(place.read(&format!("{run}/run.yaml"))).unwrap();
        assert_eq!(record.matches(&format!("-of-{count:04}.")).count(), count);
        // the same command without a word of shards has nothing to do either
        let again = place.done(&SWEEP);
        assert!(again.stderr.contains(&said), "{}", again.stderr);
        same(&tables(&place), &expected);
    }
}

#[test]
fn a_killed_and_repeated_shard_loses_nothing_and_one_that_never_ran_is_named() {
    let command = with(&SWEEP, &["--chips", "60"]);
    let expected = whole(&command);
    let place = place();
    let mut child = place.start(&with(&command, &["--shard", "1/3", "--threads", "1"]));
    let begun = || {
        let files = place.tree();
        let mut journals = files.iter().filter(|(name, _)| name.contains("/journals/"));
        journals.any(|(_, content)| content.len() > 9000)
    };
    assert!(wait_until(&mut child, begun), "ended before the signal");
    signal(&child, "KILL");
    place.end(child);
    let torn = journals(&place).remove(0);
    let mut bytes = fs::read(&torn).unwrap();
    bytes.extend_from_slice(b"0123abcd {\"trial\":");
    fs::write(&torn, &bytes).unwrap();
    shard(&place, &command, 1, 3);
    shard(&place, &command, 1, 3);
    shard(&place, &command, 0, 3);
    let before = place.tree();
    let owed = merge(&place, &command);
    assert_eq!(owed.code, Some(3), "{}", owed.stderr);
    assert!(
        owed.stderr.contains("shard 2 of 3 to run: `--array=2`"),
        "{}",
        owed.stderr
    );
    assert!(
        owed.stderr.contains(" trials are missing"),
        "{}",
        owed.stderr
    );
    assert_eq!(
        place.tree(),
        before,
        "a merge that lacks trials writes nothing"
    );
    let lock = place.path(&place.only_run()).join(".lock");
    assert!(!lock.exists(), "nor does it leave its lock");
    shard(&place, &command, 2, 3);
    let merged = merge(&place, &command);
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    assert_eq!(
        fs::read(&torn).unwrap(),
        bytes,
        "another's journal is not changed"
    );
    same(&tables(&place), &expected);
    assert!(
        merged.stderr.contains("3 shards in 5 attempts"),
        "{}",
        merged.stderr
    );
}

#[test]
fn shards_of_other_numbers_and_equal_duplicates_go_together_and_copies_are_read() {
    let expected = whole(&SWEEP);
    let (first, second) = (place(), place());
    shard(&first, &SWEEP, 0, 2);
    for index in 0..3 {
        shard(&second, &SWEEP, index, 3);
    }
    // no common disk: each has a copy of all that the other has
    let copy = second.path(&second.only_run());
    let copy = copy.to_str().unwrap();
    let lacking = merge(&first, &SWEEP);
    assert_eq!(lacking.code, Some(3), "{}", lacking.stderr);
    let merged = first.run(&with(&SWEEP, &["--merge", "--from", copy]));
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    assert!(
        !merged.stderr.contains("; 0 trials computed more"),
        "{}",
        merged.stderr
    );
    same(&tables(&first), &expected);
    let nothing = first.run(&with(
        &SWEEP,
        &["--merge", "--from", first.cache.to_str().unwrap()],
    ));
    assert_eq!(nothing.code, Some(2), "{}", nothing.stderr);
    let said = "a copy of a run folder (such as results/NAME) or of its folder `journals`";
    assert!(nothing.stderr.contains(said), "{}", nothing.stderr);
    assert!(!nothing.stderr.contains("not found"), "{}", nothing.stderr);
}

#[test]
fn shards_that_ask_for_other_points_are_told_and_named() {
    let place = place();
    shard(&place, &SWEEP, 0, 2);
    let wrong = with(&SWEEP, &["--voltages", "0.77,0.85,0.9,1.0", "--chips", "6"]);
    let told = shard(&place, &wrong, 1, 2).stderr;
    let first = name(&journals(&place)[0]);
    assert!(told.contains(&first), "{told}");
    let expected = "only this one asks for voltage 0.9, 6 chips, not 4\n";
    assert!(told.contains(expected), "{told}");
    let merged = merge(&place, &SWEEP);
    assert_eq!(merged.code, Some(3), "{}", merged.stderr);
    let second = name(&journals(&place)[1]);
    let expected = format!(
        "of 2 attempts, only these ask for voltage 0.9, 6 chips, not 4: {second}; this command does not"
    );
    assert!(merged.stderr.contains(&expected), "{}", merged.stderr);
    let again = shard(&place, &SWEEP, 0, 2).stderr;
    let expected = format!("only {second} asks for voltage 0.9, 6 chips, not 4\n");
    assert!(again.contains(&expected), "{again}");
}

#[test]
fn a_journal_of_another_run_is_refused_with_the_setting_that_differs() {
    let place = self::place();
    place.write_model("a.safetensors", 4);
    let sweep = [
        "sweep",
        "--model",
        "a.safetensors",
        "--voltages",
        "0.8",
        "--chips",
        "2",
        "--out",
        "mine",
    ];
    shard(&place, &with(&sweep, &["--seed", "5"]), 0, 2);
    for (flags, wanted, found) in [
        (&["--seed", "6"][..], "(seed 6)", "(seed 5)"),
        (
            &["--seed", "5", "--floor", "0.5"][..],
            "(floor 0.5)",
            "(no floor)",
        ),
    ] {
        let refused = place.run(&with(&with(&sweep, flags), &["--shard", "1/2"]));
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        for part in [wanted, found] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
    assert_eq!(journals(&place).len(), 1);
    shard(&place, &with(&sweep, &["--seed", "5"]), 1, 2);
    merge(&place, &with(&sweep, &["--seed", "5"]));
    let refused = place.run(&with(&sweep, &["--seed", "6"])).stderr;
    let said = "in it; it has seed 5, this command seed 6";
    assert!(refused.contains(said), "{refused}");
}

#[test]
fn a_dry_run_counts_what_shards_owe_of_trained_models() {
    let place = place();
    let dry = |flags: &[&str]| {
        place
            .done(&with(&with(&SWEEP, &["--dry-run"]), flags))
            .stdout
    };
    let own = |index: usize| -> usize {
        let part = format!("{index}/3");
        let said = dry(&["--shard", &part]);
        let line = format!("shard {part} would compute: ");
        let own = said.lines().find_map(|own| own.strip_prefix(&line));
        own.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    };
    let said = dry(&[]);
    let trained = "trained, in the cache: normal-4bit, wcat-4bit\n";
    assert!(said.starts_with(trained), "{said}");
    let owed = format!("trials: {TRIALS}, to compute: {TRIALS}\n");
    assert!(said.contains(&owed), "{said}");
    let first = own(0);
    assert_eq!(first + own(1) + own(2), TRIALS);
    shard(&place, &SWEEP, 0, 3);
    assert_eq!((own(0), own(1) + own(2)), (0, TRIALS - first));
    let owed = format!("trials: {TRIALS}, to compute: {}\n", TRIALS - first);
    assert!(dry(&[]).contains(&owed));
    let afresh = place.done(&with(&SWEEP, &["--dry-run", "--fresh"])).stdout;
    assert!(afresh.starts_with("to train: normal-4bit, wcat-4bit"));
}

#[test]
fn a_shard_without_work_and_a_script_that_cannot_be_say_so() {
    let place = place();
    let train = [
        "train",
        "--config",
        "tiny.yaml",
        "--set",
        "trainer.epochs=1",
    ];
    let idle = place.done(&with(&train, &["--shard", "1/2"]));
    let said = "shard 1/2 has nothing to do: the command is of 1 training\n";
    assert_eq!((idle.stdout.as_str(), idle.stderr.as_str()), ("", said));
    let help = place.done(&["slurm", "sweep", "--help"]);
    assert!(help.stdout.contains("--voltages"), "{}", help.stdout);
    let (slurm, threads) = (["slurm", "--shards", "3"], ["--threads", "2"]);
    let script = place.done(&with(&with(&threads, &slurm), &with(&train, &[])));
    assert!(script.stdout.contains("--cpus-per-task=2\n"));
    assert!(script.stdout.contains("--array=0-0 "), "{}", script.stdout);
    assert!(
        script.stderr.starts_with("1 task in place of 3"),
        "{}",
        script.stderr
    );
    for (command, said) in [
        (
            &["slurm", "sweep"][..],
            "--shards: expected the number of tasks",
        ),
        (
            &["slurm", "--shards", "3", "pareto"][..],
            "one of sweep, explore, attack, train",
        ),
        (
            &["slurm", "--shards", "3", "sweep", "--voltage"][..],
            "'--voltage'",
        ),
    ] {
        let refused = place.run(command);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}

#[test]
fn foreign_unequal_and_damaged_journals_are_named() {
    let place = place();
    for index in 0..2 {
        shard(&place, &SWEEP, index, 2);
    }
    let all = journals(&place);
    let (first, second) = (&all[0], &all[1]);
    let (good, other) = (
        fs::read_to_string(first).unwrap(),
        fs::read_to_string(second).unwrap(),
    );
    let lines: Vec<&str> = good.lines().collect();
    let trial = lines
        .iter()
        .position(|line| line.contains("{\"trial\""))
        .unwrap();

    // the same trial with another result
    let json = lines[trial][9..].to_owned();
    let at = json.find("\"correct\":").unwrap() + 10;
    let end = at + json[at..].find(',').unwrap();
    let wrong = format!("{}1{}", &json[..at], &json[end..]);
    fs::write(second, format!("{other}{}", sealed(&wrong))).unwrap();
    let refused = merge(&place, &SWEEP);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for part in [
        format!("{}:{}", name(second), other.lines().count() + 1),
        format!("{}:{} has it", name(first), trial + 1),
        "one result of".into(),
        "found correct 1".into(),
    ] {
        assert!(refused.stderr.contains(&part), "{part}: {}", refused.stderr);
    }

    // a journal of another run
    let header = lines[0][9..].replace("\"identity\":\"tiny-", "\"identity\":\"other-");
    fs::write(
        second,
        format!(
            "{}{}",
            sealed(&header),
            &other[other.find('\n').unwrap() + 1..]
        ),
    )
    .unwrap();
    let refused = merge(&place, &SWEEP);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("`identity`"), "{}", refused.stderr);

    // a damaged line: its trial is missing; the journal stays as it is, and the plain command computes it again
    let damaged = good.replacen("\"correct\":", "\"corrent\":", 1);
    fs::write(first, &damaged).unwrap();
    fs::write(second, &other).unwrap();
    let owed = merge(&place, &SWEEP);
    assert_eq!(owed.code, Some(3), "{}", owed.stderr);
    assert!(
        owed.stderr.contains("1 trial is missing"),
        "{}",
        owed.stderr
    );
    assert!(
        owed.stderr.contains(&format!("{} line", name(first))),
        "{}",
        owed.stderr
    );
    let mended = place.done(&SWEEP);
    assert!(
        mended.stderr.contains("1 trials computed, 23 reused"),
        "{}",
        mended.stderr
    );
    assert_eq!(fs::read_to_string(first).unwrap(), damaged);
    same(&tables(&place), &whole(&SWEEP));
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn searches_attacks_and_trainings_are_spread_too() {
    let explore = [
        "explore",
        "--config",
        "tiny.yaml",
        "--domains",
        "layers",
        "--search-chips",
        "3",
    ];
    let expected = whole(&explore);
    let place = place();
    shard(&place, &explore, 1, 3);
    shard(&place, &explore, 2, 3);
    let owed = merge(&place, &explore);
    assert_eq!(owed.code, Some(3), "{}", owed.stderr);
    shard(&place, &explore, 0, 3);
    let merged = merge(&place, &explore);
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    same(&tables(&place), &expected);

    let place = self::place();
    place.write_model("a.safetensors", 4);
    place.write_model("b.safetensors", 8);
    let attack = [
        "attack",
        "--model",
        "a.safetensors",
        "--model",
        "b.safetensors",
        "--flips",
        "2",
        "--restarts",
        "2",
        "--batch",
        "8",
    ];
    shard(&place, &attack, 1, 3);
    shard(&place, &attack, 2, 3);
    let owed = merge(&place, &attack);
    assert_eq!(owed.code, Some(3), "{}", owed.stderr);
    assert!(
        owed.stderr
            .contains("2 of 4 attacks are missing; shard 0 of 3"),
        "{}",
        owed.stderr
    );
    shard(&place, &attack, 0, 3);
    let merged = merge(&place, &attack);
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    assert!(
        merged.stderr.contains("0 attacks computed, 4 reused"),
        "{}",
        merged.stderr
    );
    let one = self::place();
    one.write_model("a.safetensors", 4);
    one.write_model("b.safetensors", 8);
    one.done(&attack);
    same(&tables(&place), &tables(&one));

    let train = [
        "train",
        "--config",
        "tiny.yaml",
        "--sweep-methods",
        "wcat,normal",
        "--bits",
        "4,8",
        "--set",
        "trainer.epochs=1",
    ];
    let (place, one) = (self::place(), self::place());
    shard(&place, &train, 1, 3);
    let owed = merge(&place, &train);
    assert_eq!(owed.code, Some(3), "{}", owed.stderr);
    assert!(
        owed.stderr.contains("3 of 4 trainings are missing"),
        "{}",
        owed.stderr
    );
    assert!(owed.stderr.contains("numbers 0,2,3"), "{}", owed.stderr);
    shard(&place, &train, 0, 3);
    shard(&place, &train, 2, 3);
    let merged = merge(&place, &train);
    assert_eq!(
        (merged.code, merged.stdout),
        (Some(0), one.done(&train).stdout)
    );
}

#[test]
fn adaptive_sweeps_go_in_rounds_and_stop_where_one_process_stops() {
    for flags in [
        [
            "--tolerance",
            "0.009",
            "--chips",
            "400",
            "--voltages",
            "0.77,0.85",
            "--sampling",
            "all-images",
        ],
        [
            "--tolerance",
            "0.02",
            "--chips",
            "40",
            "--voltages",
            "0.77,0.85",
            "--sampling",
            "two-level",
        ],
        [
            "--tolerance",
            "0.02",
            "--chips",
            "40",
            "--voltages",
            "0.77,0.85",
            "--sampling",
            "stratified",
        ],
    ] {
        let command = with(&SWEEP, &flags);
        let expected = whole(&command);
        let place = place();
        let mut rounds = 0;
        let merged = loop {
            for index in 0..4 {
                shard(&place, &command, index, 4);
            }
            rounds += 1;
            let merged = merge(&place, &command);
            if merged.code != Some(3) {
                break merged;
            }
            assert!(rounds < 12, "{}", merged.stderr);
        };
        assert_eq!(merged.code, Some(0), "{}", merged.stderr);
        assert!(rounds > 1, "{flags:?} needs more chips than a round has");
        same(&tables(&place), &expected);
    }
}

#[test]
fn which_shard_it_is_comes_from_exactly_one_job_array() {
    let place = place();
    let auto = with(&SWEEP, &["--shard", "auto/2"]);
    let run = |variables: &[(&str, &str)]| {
        let mut command = place.command(&auto);
        for name in [
            "SLURM_ARRAY_TASK_ID",
            "JOB_COMPLETION_INDEX",
            "AWS_BATCH_JOB_ARRAY_INDEX",
            "HQ_TASK_ID",
        ] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for variables in [
        &[][..],
        &[("SLURM_ARRAY_TASK_ID", "0"), ("HQ_TASK_ID", "0")],
        &[("SLURM_ARRAY_TASK_ID", "2")],
        &[("HQ_TASK_ID", "x")],
    ] {
        let (code, said) = run(variables);
        assert_eq!(code, Some(2), "{said}");
    }
    assert!(!place.path("results").exists());
    let (code, said) = run(&[("SLURM_ARRAY_TASK_ID", "1")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(name(&journals(&place)[0]).starts_with("0001-of-0002."));
    for wrong in ["2/2", "1", "a/b", "0/0"] {
        assert_eq!(place.run(&with(&SWEEP, &["--shard", wrong])).code, Some(2));
    }
    assert_eq!(
        place
            .run(&with(&SWEEP, &["--shard", "0/2", "--merge"]))
            .code,
        Some(2)
    );
}

#[test]
fn shards_train_nothing_and_name_what_does() {
    let place = Place::new();
    place.write("tiny.yaml", CONFIGURATION);
    for flags in [&["--shard", "0/2"][..], &["--merge"]] {
        let refused = place.run(&with(&SWEEP, flags));
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains("`--prepare`"), "{}", refused.stderr);
        assert!(!place.path("results").exists());
    }
}

/// Where files cannot be locked every process has a journal of its own, and is warned.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_without_locks_is_worked_on_with_a_warning() {
    let expected = whole(&SWEEP);
    let place = place();
    place.write(
        "shim.c",
        "#include <errno.h>\nint flock(int file, int what) { errno = ENOSYS; return -1; }\n",
    );
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "shim.so", "shim.c"])
        .current_dir(&place.folder)
        .status();
    assert!(built.unwrap().success());
    let run = |flags: &[&str]| {
        let mut command = place.command(&with(&SWEEP, flags));
        let output = command
            .env("LD_PRELOAD", place.path("shim.so"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    run(&["--shard", "0/2"]);
    let said = run(&[]);
    assert!(said.contains("has no locks"), "{said}");
    same(&tables(&place), &expected);
    assert!(!place
        .path(&place.only_run())
        .join("trials.journal")
        .exists());
    assert_eq!(journals(&place).len(), 2);
    let said = run(&["--merge"]);
    assert!(
        said.contains(&format!("0 trials computed, {TRIALS} reused")),
        "{said}"
    );
    same(&tables(&place), &expected);
}
