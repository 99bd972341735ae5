//! Golden numbers: every JSON file of `tests/golden/`, or of the folder that `WCAT_GOLDEN_DIR` names.
//!
//! They were computed by an independent implementation; a file of an unknown kind is a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // a test may stop at once, and say why

mod bfa;
mod files;
mod forward;
mod networks;
mod quantizers;
mod words;

use files::{folder, kind};
use serde_json::Value;

#[test]
fn every_golden_file_is_of_a_known_kind() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert!(
                kind(&json).is_some(),
                "{}: unknown kind of golden file",
                path.display()
            );
        }
    }
}
