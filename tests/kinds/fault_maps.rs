//! Fault maps count the chips, cells and voltages that they hold, and no others.

use crate::program::{Ended, Place};
use serde_json::Value;
use std::io::Write;

/// Weights of the model, four bits each, fit into so many cells.
const CELLS: usize = 512 * 512;

fn place() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place
}

fn eval(place: &Place, more: &[&str]) -> Ended {
    let all = "eval --model m.safetensors --images 5 --format json -q --voltage 0.54 --memory sram-28nm-kc705b-salami2018";
    let args: Vec<&str> = all.split(' ').chain(more.iter().copied()).collect();
    place.run(&args)
}

/// The rate at 0.54 V, and what was said.
#[track_caller]
fn rate(place: &Place, map: &str) -> (f64, String) {
    let ended = eval(place, &["--fault-map", map]);
    assert_eq!(ended.code, Some(0), "{map}: {}", ended.stderr);
    let rows: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    (rows[0]["ber"].as_f64().unwrap(), ended.stderr)
}

#[track_caller]
fn refusal(place: &Place, maps: &[&str]) -> String {
    let args: Vec<&str> = maps.iter().flat_map(|map| ["--fault-map", map]).collect();
    let ended = eval(place, &args);
    assert_eq!(ended.code, Some(2), "{maps:?}: {}", ended.stderr);
    ended.stderr
}

/// A `.npy` file as NumPy writes it.
fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// 2^18 cells of which every 1024th fails, as integers of so many bytes.
fn cells(width: usize, big: bool, value: u8) -> Vec<u8> {
    let mut data = vec![0; CELLS * width];
    for cell in (0..CELLS).step_by(1024) {
        data[cell * width + if big { width - 1 } else { 0 }] = value;
    }
    data
}

#[test]
fn absent_chips_are_not_counted_as_perfect_ones() {
    let place = place();
    let table = |chips: &[u32], head: &str| {
        let rows = chips
            .iter()
            .flat_map(|chip| (0..250).map(move |a| format!("0.54,{},{chip}\n", a * 977)));
        format!(
            "# cells: {CELLS}\n# unit: volt\n{head}voltage,address,chip\n{}",
            rows.collect::<String>()
        )
    };
    let one = 250.0 / CELLS as f64;
    for (name, chips, head, expected, said) in [
        (
            "control.csv",
            &[0][..],
            "",
            one,
            "are the 1 that its rows name",
        ),
        (
            "from_1.csv",
            &[1, 2],
            "",
            one,
            "in the order of their names in the fault map: 1, 2",
        ),
        (
            "gaps.csv",
            &[3, 40, 7],
            "",
            one,
            "in the order of their names in the fault map: 3, 7, 40",
        ),
        ("said.csv", &[1, 2], "# chips: 4\n", one / 2.0, ""),
        (
            "list.csv",
            &[1, 2],
            "# chips: 1,2,5,9\n",
            one / 2.0,
            "in the fault map: 1, 2, 5, 9",
        ),
    ] {
        place.write(name, table(chips, head));
        let (found, stderr) = rate(&place, name);
        assert_eq!(found, expected, "{name}");
        assert!(stderr.contains(said), "{name}: {stderr}");
    }
    // chip 1 of the program is the second one of the map
    let ended = eval(&place, &["--fault-map", "gaps.csv", "--chip", "2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = eval(&place, &["--fault-map", "gaps.csv", "--chip", "3"]);
    assert!(
        ended.code == Some(2) && ended.stderr.contains("the chips of the fault map"),
        "{}",
        ended.stderr
    );
    place.write("few.csv", table(&[1, 2, 3], "# chips: 2\n"));
    assert!(
        refusal(&place, &["few.csv"]).contains("few.csv:3: expected `# chips:` with every chip")
    );
}

#[test]
fn tables_in_the_form_of_other_programs_are_the_same_map() {
    let place = place();
    let rows = |parting: char, decimal: char| -> String {
        let row = |a: usize| format!("0{decimal}54{parting}{}{parting}0\n", a * 977);
        (0..250).map(row).collect()
    };
    let head = format!("# cells: {CELLS}\n# unit: volt\n");
    let grid: String = (0..250)
        .map(|a| format!("540\t{}\t{}\n", a * 977 / 512, a * 977 % 512))
        .collect();
    for (name, text) in [
        (
            "bom.csv",
            format!("\u{feff}{head}voltage,address,chip\n{}", rows(',', '.')),
        ),
        (
            "semicolons.csv",
            format!("{head}Voltage;Address;Chip\n{}# end\n", rows(';', ',')),
        ),
        (
            "tabs.txt",
            format!("Vdd (V)\tADDR\tdie\n{}# cells: {CELLS}\n", rows('\t', '.')),
        ),
        (
            "grid.tsv",
            format!("{head}# columns: 512\nVdd_mV\tRow\tColumn\n{grid}"),
        ),
    ] {
        place.write(name, text);
        assert_eq!(rate(&place, name).0, 250.0 / CELLS as f64, "{name}");
    }
    place.write(
        "own.csv",
        format!("# cells: {CELLS}\nvoltage,row,column\n0.54,3,17\n"),
    );
    assert!(rate(&place, "own.csv")
        .1
        .contains("columns, as the memory's array has"));
}

#[test]
fn packed_bits_and_counts_are_not_read_as_cells() {
    let place = place();
    let expected = 256.0 / CELLS as f64;
    let integers = [
        ("|u1", 1, false),
        ("|b1", 1, false),
        ("<i2", 2, false),
        (">i4", 4, true),
        ("<i8", 8, false),
    ];
    for (descr, width, big) in integers {
        let data = cells(width, big, 1);
        place.write("m.npy", npy(descr, "False", "(512, 512)", &data));
        assert_eq!(rate(&place, "0.54=m.npy").0, expected, "{descr}");
        place.write("m.npy", npy(descr, "True", "(1, 512, 512)", &data));
        assert_eq!(rate(&place, "540mV=m.npy").0, expected, "{descr}");
    }
    place.write(
        "m.npy",
        npy("|u1", "False", "(512, 512)", &cells(1, false, 255)),
    );
    assert_eq!(rate(&place, "0.54=m.npy").0, expected);
    for (descr, shape, data, message) in [
        (
            "|u1",
            "(512, 512)",
            cells(1, false, 128),
            "np.unpackbits(map, axis=-1)",
        ),
        (
            "<i8",
            "(512, 512)",
            cells(8, false, 3),
            "counts become a map by map >= N",
        ),
        (
            "<f4",
            "(256, 256)",
            vec![0; CELLS],
            "floating-point numbers",
        ),
        (
            "|i1",
            "(512, 512)",
            cells(1, false, 255),
            "values from 0 to 255",
        ),
        ("|u1", "()", vec![1], "(rows, columns)"),
        ("|u1", "(3,)", vec![1; 3], "(rows, columns)"),
        ("|u1", "(512, 512)", vec![1; 3], "one byte for each cell"),
    ] {
        place.write("bad.npy", npy(descr, "False", shape, &data));
        let stderr = refusal(&place, &["0.54=bad.npy"]);
        assert!(
            stderr.contains("bad.npy: ") && stderr.contains(message),
            "{descr} {shape}: {stderr}"
        );
    }
    place.write("bad.npy", "");
    assert!(refusal(&place, &["0.54=bad.npy"]).contains("an empty file"));
    place.write(
        "bad.npy",
        npy("|u1", "False", "(512, 512)", &cells(1, false, 1)),
    );
    assert!(refusal(&place, &["bad.npy"]).contains("VOLTAGE=FILE.npy"));
}

#[test]
fn archives_hold_one_array_or_arrays_named_by_voltage() {
    let place = place();
    let archive = |names: &[&str]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in names {
            zip.start_file(
                format!("{name}.npy"),
                zip::write::SimpleFileOptions::default(),
            )
            .unwrap();
            zip.write_all(&npy("|b1", "False", "(512, 512)", &cells(1, false, 1)))
                .unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    place.write("one.npz", archive(&["arr_0"]));
    place.write("two.npz", archive(&["0.54", "v0p6"]));
    place.write("other.npz", archive(&["arr_0", "arr_1"]));
    let expected = 256.0 / CELLS as f64;
    for map in ["0.54=one.npz", "0.54=two.npz", "two.npz"] {
        assert_eq!(rate(&place, map).0, expected, "{map}");
    }
    for (map, message) in [
        ("one.npz", "arrays named by their voltages"),
        (
            "0.54=other.npz",
            "one array, or one that is named 0.54, found `arr_0`, `arr_1`",
        ),
        ("0.55=two.npz", "one that is named 0.55"),
    ] {
        assert!(refusal(&place, &[map]).contains(message), "{map}");
    }
}

#[test]
fn voltages_that_are_swapped_are_noticed() {
    let place = place();
    let map = |name: &str, failing: usize| {
        let mut data = vec![0; CELLS];
        data[..failing].fill(1);
        place.write(name, npy("|b1", "False", "(512, 512)", &data));
    };
    map("few.npy", 40);
    map("many.npy", 400);
    map("more.npy", 410);
    let stderr = refusal(&place, &["0.54=few.npy", "0.56=many.npy"]);
    assert!(
        stderr.contains("400 failing cells at 0.56 and 40 at 0.54: are the voltages swapped?"),
        "{stderr}"
    );
    let ended = eval(
        &place,
        &[
            "--fault-map",
            "0.54=many.npy",
            "--fault-map",
            "0.56=more.npy",
        ],
    );
    assert!(
        ended.code == Some(0)
            && ended
                .stderr
                .contains("warning: fault map: 410 failing cells at 0.56"),
        "{}",
        ended.stderr
    );
    let ended = eval(
        &place,
        &[
            "--fault-map",
            "0.56=few.npy",
            "--fault-map",
            "0.54=many.npy",
        ],
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
