//! The program as its users start it: in a folder and with a cache of its own; what it said and how it ended.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::print_stderr)] // a skipped test says so

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wcat_explore::data::{DatasetSpec, GlyphSpec};
use wcat_explore::device::DeviceSpec;
use wcat_explore::net::{Architecture, Model, ModelInfo, Network, TrainingRecord};
use wcat_explore::quant::{Method, QuantizerSpec};
use wcat_explore::seed::Seed;
use wcat_explore::store;
use wcat_explore::table::SCHEMA;
use wcat_explore::units::Bits;

/// Nothing here takes so long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder to work in and a cache, both gone afterwards.
pub(crate) struct Place {
    _temporary: TempDir,
    pub(crate) folder: PathBuf,
    pub(crate) cache: PathBuf,
}

/// How a call of the program ended. Paths of the place are `[FOLDER]` and `[CACHE]`.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    /// `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        let (folder, cache) = (root.join("work"), root.join("cache"));
        store::create_folder(&folder).unwrap();
        store::create_folder(&cache).unwrap();
        Self {
            _temporary: temporary,
            folder,
            cache,
        }
    }

    /// The program, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wcat-explore"));
        command
            .args(args)
            .current_dir(&self.folder)
            .env("XDG_CACHE_HOME", &self.cache)
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.ended(self.command(args).output().unwrap())
    }

    /// Runs the program to its end, which must be a good one.
    pub(crate) fn done(&self, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended
    }

    /// Starts the program; what it says is kept until [`Self::end`].
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits for the end of a started program.
    pub(crate) fn end(&self, child: Child) -> Ended {
        self.ended(child.wait_with_output().unwrap())
    }

    fn ended(&self, output: Output) -> Ended {
        let plain = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace(self.folder.to_str().unwrap(), "[FOLDER]");
            text.replace(self.cache.to_str().unwrap(), "[CACHE]")
        };
        Ended {
            code: output.status.code(),
            stdout: plain(output.stdout),
            stderr: plain(output.stderr),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        store::write_bytes(&self.path(name), content.as_ref()).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Every file and folder below the working folder with its content, lock files aside.
    pub(crate) fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        let mut tree = BTreeMap::new();
        for path in below(&self.folder) {
            if path.file_name().is_some_and(|name| name != ".lock") {
                let content = if path.is_dir() {
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                tree.insert(
                    path.strip_prefix(&self.folder)
                        .unwrap()
                        .display()
                        .to_string(),
                    content,
                );
            }
        }
        tree
    }

    /// The only folder in `results`, relative to the working folder.
    pub(crate) fn only_run(&self) -> String {
        let runs: Vec<PathBuf> = fs::read_dir(self.path("results"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let [run] = runs.as_slice() else {
            panic!("one run expected: {runs:?}")
        };
        run.strip_prefix(&self.folder)
            .unwrap()
            .display()
            .to_string()
    }

    /// Files of a name below the cache.
    pub(crate) fn cached(&self, name: &str) -> Vec<PathBuf> {
        below(&self.cache)
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|n| n == name))
            .collect()
    }

    /// An untrained LeNet-5 for a hundred glyphs; 32 bits are floats.
    pub(crate) fn write_model(&self, name: &str, bits: u64) {
        let quantizer = QuantizerSpec {
            method: if bits == 32 {
                Method::Normal
            } else {
                Method::Wcat
            },
            bits: Bits::new(bits).unwrap(),
            ..QuantizerSpec::default()
        };
        let dataset = DatasetSpec {
            glyphs: Some(GlyphSpec {
                training_images: 100,
                test_images: 100,
                ..GlyphSpec::default()
            }),
            ..DatasetSpec::default()
        };
        let device = DeviceSpec::Cpu.open().unwrap();
        let network = Network::new(Architecture::Lenet5, 10, &quantizer, Seed(1), &device)
            .unwrap()
            .0;
        let info = ModelInfo {
            quantizer,
            training: Some(TrainingRecord {
                name: Some(name.trim_end_matches(".safetensors").to_owned()),
                dataset: Some(dataset),
                ..TrainingRecord::default()
            }),
            training_seed: Some(1),
            ..ModelInfo::of(Architecture::Lenet5.into(), 10)
        };
        Model::save(&self.path(name), &network, &info).unwrap();
    }
}

/// A call that ends with exit code 2 and this message, says nothing else, and leaves nothing behind.
#[track_caller]
pub(crate) fn refused(place: &Place, args: &[&str], message: &str) {
    let before = place.tree();
    let ended = place.run(args);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(2), ""),
        "{args:?}: {}",
        ended.stderr
    );
    assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
    assert!(before == place.tree(), "{args:?} left something behind");
}

/// True where real data are all there; else what is missing is said, and with `WCAT_REQUIRE_DATA=1` it is a failure.
pub(crate) fn there(paths: &[&Path]) -> bool {
    let Some(absent) = paths.iter().find(|path| !path.is_file()) else {
        return true;
    };
    let required = std::env::var_os("WCAT_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(
        !required,
        "WCAT_REQUIRE_DATA=1, but no {}",
        absent.display()
    );
    eprintln!("skipped: no {}", absent.display());
    false
}

/// The objects of a JSON result; every one has a schema version.
#[track_caller]
pub(crate) fn records(place: &Place, args: &[&str]) -> Vec<Value> {
    let ended = place.done(&[args, &["--format", "json"]].concat());
    let records: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    assert!(
        records.iter().all(|record| record["schema"] == SCHEMA),
        "{}",
        ended.stdout
    );
    records
}

/// Files and folders below a folder; what vanishes meanwhile is left out.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

/// Waits until something is so or the program has ended; true where it is so while the program runs.
pub(crate) fn wait_until(child: &mut Child, so: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    panic!("waited for {PATIENCE:?} in vain");
}

/// Sends a signal to a running program.
pub(crate) fn signal(child: &Child, name: &str) {
    let line = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh")
        .args(["-c", &line])
        .status()
        .unwrap()
        .success());
}
