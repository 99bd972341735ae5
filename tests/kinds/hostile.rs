//! Hostile files give an error, never a panic or an abort. What the library's readers make of many more of them is
//! in `tests/fuzz.rs`.

use crate::program::Place;
use std::path::Path;

const RUN: &str = "results/cifar10-resnet20-1-percent";
const SEAL: &[u8] = b"CRC-32 of this file with zeros here: ";

/// A copy of a stored run of this repository.
pub(crate) fn stored_run(place: &Place) {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join(RUN);
    for entry in std::fs::read_dir(run).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        place.write(&format!("{RUN}/{name}"), std::fs::read(&path).unwrap());
    }
}

/// Makes the seal of a table right again.
fn seal(table: &mut [u8]) {
    let found = table.windows(SEAL.len()).rposition(|part| part == SEAL);
    if let Some(start) = found.map(|at| at + SEAL.len()) {
        table[start..start + 8].copy_from_slice(b"00000000");
        let sum = format!("{:08x}", crc32fast::hash(table));
        table[start..start + 8].copy_from_slice(sum.as_bytes());
    }
}

#[test]
fn a_sealed_table_with_hostile_content_is_refused_by_name() {
    let place = Place::new();
    stored_run(&place);
    let table = format!("{RUN}/summary.parquet");
    let whole = place.read(&table);
    let end = whole.len() - 8;
    let footer = u32::from_le_bytes(whole[end..end + 4].try_into().unwrap()) as usize;
    let mut refused = 0;
    // counts, sizes and places of the description, and the descriptions of pages
    let places = (0..16)
        .map(|i| end - footer + i * footer / 16)
        .chain([4, 5, 6, 7, 8, 9]);
    for at in places {
        for value in [0xff, 0x7f] {
            let mut hostile = whole.clone();
            hostile[at..at + 3].fill(value);
            seal(&mut hostile);
            place.write(&table, &hostile);
            // 3 GB of address space: a claim on more would abort
            let line = "ulimit -v 3000000; exec \"$0\" \"$@\"";
            let program = env!("CARGO_BIN_EXE_wcat-explore");
            let output = std::process::Command::new("sh")
                .args(["-c", line, program, "pareto", "--quiet", RUN])
                .current_dir(&place.folder)
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!said.contains("panicked"), "{at}: {said}");
            match output.status.code() {
                Some(0) => (),
                Some(2) => {
                    assert!(
                        said.contains("summary.parquet") && said.len() < 1000,
                        "{said}"
                    );
                    refused += 1;
                }
                other => panic!("{at}: {other:?}: {said}"),
            }
        }
    }
    assert!(refused > 20, "{refused}");
}
