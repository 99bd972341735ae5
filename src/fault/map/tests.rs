//! Facts that fault maps hold: cells as they are written, and every wrong line named.

use super::*;
use crate::store::{write_bytes, write_npy, ByteArray};

/// The array of a memory: what a map of rows and columns has where it does not say its own.
const MEMORY: ArraySpec = ArraySpec {
    rows: 4,
    columns: 16,
    word_bits: 16,
    column_correlation: 0.0,
    bank_correlation: 0.0,
};

const GOOD: &str =
    "# cells: 8\n# unit: volt\n# voltages: 0.5, 0.6\n\nvoltage,address\n0.5,7\n0.5,0\n0.55,3\n";

fn read(text: &str) -> Result<FaultMap> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.csv");
    write_bytes(&path, text.as_bytes()).unwrap();
    FaultMap::read(&[path.display().to_string()], &MEMORY)
}

fn addresses(map: &FaultMap, voltage: f64, chip: usize) -> Vec<u64> {
    map.at(Voltage::new(voltage).unwrap()).unwrap().1[chip]
        .iter()
        .map(|cell| cell.address)
        .collect()
}

#[test]
fn rows_are_failing_cells_and_voltages_without_a_row_have_none() {
    let map = read(GOOD).unwrap();
    let voltages: Vec<f64> = map.voltages().iter().map(|voltage| voltage.get()).collect();
    assert_eq!(
        (voltages, map.cells, map.chips),
        (vec![0.5, 0.55, 0.6], 8, 1)
    );
    assert_eq!(
        (map.unit, map.kind),
        (Some(VoltageUnit::Volt), FaultKind::Flip)
    );
    assert_eq!(addresses(&map, 0.5, 0), [0, 7]);
    assert_eq!(addresses(&map, 0.6, 0), [0; 0]);
    assert_eq!(map.at(Voltage::new(0.5).unwrap()).unwrap().0.get(), 0.25);
    let error = map.at(Voltage::new(0.7).unwrap()).unwrap_err().to_string();
    assert_eq!(
        error,
        "voltage: expected a voltage of the fault map: 0.5, 0.55, 0.6, found 0.7"
    );
}

#[test]
fn chips_and_stuck_values_have_columns() {
    let map = read("# cells: 4\nreads,chip,address,voltage\n1,0,2,0.5\n0,1,3,0.5\n").unwrap();
    assert_eq!(
        (map.chips, addresses(&map, 0.5, 0), addresses(&map, 0.5, 1)),
        (2, vec![2], vec![3])
    );
    assert_eq!(map.at(Voltage::new(0.5).unwrap()).unwrap().0.get(), 0.25);
    let FaultKind::Stuck { zero_to_one_share } = map.kind else {
        panic!("{:?}", map.kind)
    };
    let chips = map.at(Voltage::new(0.5).unwrap()).unwrap().1;
    let reads = [&chips[0][0], &chips[1][0]].map(|cell| cell.reads_one(zero_to_one_share));
    assert_eq!(reads, [true, false]);
}

#[test]
fn a_wrong_line_is_named() {
    for (from, to, message) in [
        (
            "0.55,3",
            "0.55,8",
            "map.csv:8: expected an address below the 8 cells of the map's memory, found `8`",
        ),
        ("0.55,3", "0.55,-1", ":8: expected an address below"),
        ("0.55,3", "0.55", ":8: expected 2 fields, found `0.55`"),
        (
            "0.55,3",
            "x,3",
            ":8: expected a number above 0 and at most 100, found `x`",
        ),
        (
            "0.5,0",
            "0.5,7",
            ":7: expected each cell once at a voltage, found `0.5,7`",
        ),
        (
            "# cells: 8\n",
            "",
            ":5: expected `# cells: N` before the rows",
        ),
        (
            "cells: 8",
            "cells: none",
            ":1: expected 1 to 68719476736 cells, found `none`",
        ),
        (
            "unit: volt",
            "unit: mV",
            ":2: expected vmin or volt, found `mV`",
        ),
        ("0.5, 0.6", "0.5, 0", ":3: expected voltages above 0"),
        (
            "voltage,address",
            "voltage,cell",
            ":5: expected a header of voltage, address",
        ),
        (
            "voltage,address",
            "voltage,address,address",
            ":5: expected a header",
        ),
        (
            "voltage,address\n0.5,7\n0.5,0\n0.55,3\n",
            "",
            "map.csv: expected a line `# cells: N`",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert!(
            error.is_wrong_input() && error.to_string().contains(message),
            "{error}"
        );
    }
}

#[test]
fn numpy_arrays_are_maps_of_one_voltage_each() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, shape: &[usize], values: &[u8]| {
        let path = folder.path().join(name);
        write_npy(
            &path,
            &ByteArray {
                shape: shape.to_vec(),
                values: values.to_vec(),
            },
        )
        .unwrap();
        path.display().to_string()
    };
    let low = write("low.npy", &[2, 2], &[255, 0, 0, 255]);
    let high = write("high.npy", &[2, 2], &[0, 0, 0, 1]);
    let map = FaultMap::read(&[format!("0.6={high}"), format!("0.5={low}")], &MEMORY).unwrap();
    assert_eq!((map.cells, map.chips, map.voltages().len()), (4, 1, 2));
    assert_eq!(
        (addresses(&map, 0.5, 0), addresses(&map, 0.6, 0)),
        (vec![0, 3], vec![3])
    );
    let chips = write("chips.npy", &[2, 1, 2], &[1, 0, 1, 1]);
    let map = FaultMap::read(&[format!("0.5={chips}")], &MEMORY).unwrap();
    assert_eq!(
        (map.cells, addresses(&map, 0.5, 0), addresses(&map, 0.5, 1)),
        (2, vec![0], vec![0, 1])
    );
    let message = |entries: &[String]| FaultMap::read(entries, &MEMORY).unwrap_err().to_string();
    assert!(
        message(&[format!("0.5={low}"), format!("0.6={chips}")]).contains("arrays of one shape")
    );
    assert!(message(&[format!("0.5={low}"), format!("0.5={high}")]).contains("each voltage once"));
    assert!(message(&[format!("x={low}")]).contains("VOLTAGE=FILE.npy"));
    assert!(message(&[low.clone(), high.clone()]).contains("VOLTAGE=FILE.npy"));
    let flat = write("flat.npy", &[4], &[0; 4]);
    assert!(message(&[format!("0.5={flat}")]).contains("(rows, columns)"));
}

fn text(map: &FaultMap) -> String {
    map.remarks.join("; ")
}

#[test]
fn only_chips_that_are_named_count() {
    let rows = "voltage,address,chip\n0.5,7,3\n0.5,0,1\n0.5,1,1\n0.6,0,10\n";
    let map = read(&format!("# cells: 8\n{rows}")).unwrap();
    assert_eq!(map.chips, 3);
    let addresses = [0, 1, 2].map(|chip| addresses(&map, 0.5, chip));
    assert_eq!(addresses, [vec![0, 1], vec![7], vec![]]);
    assert_eq!(
        map.at(Voltage::new(0.5).unwrap()).unwrap().0.get(),
        3.0 / 24.0
    );
    assert!(
        text(&map).contains("chips of the fault map are the 3 that its rows name"),
        "{map:?}"
    );
    assert!(
        text(&map).contains("in the order of their names in the fault map: 1, 3, 10"),
        "{map:?}"
    );
    let words = read("# cells: 8\nvoltage,address,die\n0.5,7,B\n0.5,0,A\n0.5,0,2\n").unwrap();
    assert!(text(&words).contains(": 2, `A`, `B`"), "{words:?}");

    for (said, chips, first) in [
        ("12", 12, vec![]),
        ("10", 10, vec![0, 1]),
        ("1,3,10", 3, vec![0, 1]),
        ("1, 2, 3; 10", 0, vec![]),
        ("[1; 2; 3; 10]", 4, vec![0, 1]),
        ("1-10", 10, vec![0, 1]),
        ("0-11", 12, vec![]),
        ("A,1,3,10", 4, vec![0, 1]),
        ("1,3", 0, vec![]),
        ("9", 0, vec![]),
        ("0", 0, vec![]),
        ("10001", 0, vec![]),
        ("1-99999999999999", 0, vec![]),
    ] {
        let map = read(&format!("# cells: 8\n# chips: {said}\n{rows}"));
        let Ok(map) = map else {
            let error = map.unwrap_err().to_string();
            assert!(
                chips == 0 && error.contains("map.csv:2: expected"),
                "{said}: {error}"
            );
            continue;
        };
        assert_eq!((map.chips, &addresses_of(&map)), (chips, &first), "{said}");
        assert!(!text(&map).contains("its rows name"), "{said}");
    }
}

fn addresses_of(map: &FaultMap) -> Vec<u64> {
    addresses(map, 0.5, 0)
}

#[test]
fn tables_of_other_programs_are_the_same_map() {
    let plain = read(GOOD).unwrap();
    for other in [
        GOOD.replace('\n', "\r\n"),
        format!("\u{feff}{GOOD}"),
        GOOD.replace("voltage,address", "Voltage (V),Cell_Address"),
        GOOD.replace("voltage,address", "ADDR,VDD").replace("0.5,7", "7,0.5").replace("0.5,0\n", "0,0.5\n").replace("0.55,3", "0x3,0.55"),
        GOOD.replace("voltage,address\n", "voltage;address\n").replace("0.5,7", "0,5;7").replace("0.5,0\n", "0,5;0\n")
            .replace("0.55,3", "0,55;3").replace("0.5, 0.6", "0,5; 0,6"),
        "voltage_mV\taddress\n500\t7\n# cells: 8\n500\t0\n\n550\t3\n# unit: volt\n# voltages: 500 600\n".to_owned(),
        // a spreadsheet's copy
        "\"# cells: 8\",\n# unit: V,\n\"# voltages: 0.5, 0.6\",\nvoltage,address,\n0.5,7,\n,,\n0.5,\"0\",\n0.55,3.0,\n".to_owned(),
        // by rows and columns, four ways to say how many
        "# cells: 8\n# columns: 4\n# unit: volt\n# voltages: 0.5 0.6\nvoltage,row,column\n0.5,1,3\n0.5,0,0\n0.55,0,3\n".to_owned(),
        "# cells: 8\n# rows: 2\n# unit: volt\n# voltages: 0.5 0.6\nvoltage,row,column\n0.5,1,3\n0.5,0,0\n0.55,0,3\n".to_owned(),
        "# rows: 2\n# columns: 4\n# unit: volt\n# voltages: 0.5 0.6\nVdd,Wordline,Bitline\n0.5,1,3\n0.5,0,0\n0.55,0,3\n".to_owned(),
        // every cell with its flag
        "# cells: 8\nVoltage (V),address,fails\n0.5,7,1\n0.5,0,1\n0.5,3,0\n0.55,3,2\n0.6,3,0\n".to_owned(),
    ] {
        let map = read(&other).unwrap_or_else(|error| panic!("{other}: {error}"));
        assert_eq!((map.cells, map.unit, &map.points), (8, plain.unit, &plain.points), "{other}");
    }
    let grid = "# cells: 64\nvoltage,row,column\n0.5,3,15\n";
    let map = read(grid).unwrap();
    assert_eq!(addresses(&map, 0.5, 0), [63]);
    assert!(text(&map).contains("taken to have 16 columns"), "{map:?}");
    let more = "# cells: 8\nvoltage,address,temperature\n0.5,7,25\n";
    assert!(text(&read(more).unwrap()).contains("not read: `temperature`"));
    for (table, message) in [
        (
            "# cells: 64\nvoltage,row,column\n0.5,4,0\n",
            ":3: expected a row below the 4 rows",
        ),
        (
            "# cells: 64\nvoltage,row,column\n0.5,0,16\n",
            ":3: expected a column below the 16 columns",
        ),
        (
            "# cells: 60\nvoltage,row,column\n0.5,3,15\n",
            ":3: expected a row and column below the 60 cells",
        ),
        (
            "# cells: 8\nvoltage,address,bank\n0.5,7,0\n",
            "found `bank`, a part of the address",
        ),
        ("# cells: 8\nvoltage,row\n0.5,7\n", ":2: expected a header"),
        (
            "# cells: 8\n# unit: vmin\nvoltage_mV,address\n500,7\n",
            "expected the unit of the header, `volt`",
        ),
        (
            "# cells: 8\nvoltage,vdd,address\n0.5,0.5,7\n",
            "two columns of voltages",
        ),
    ] {
        let error = read(table).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn maps_that_are_not_nested_are_refused_or_remarked() {
    let map = |low: std::ops::Range<u64>, high: std::ops::Range<u64>| {
        let rows = low
            .map(|a| format!("0.5,{a}\n"))
            .chain(high.map(|a| format!("0.6,{a}\n")));
        read(&format!(
            "# cells: 9999\nvoltage,address\n{}",
            rows.collect::<String>()
        ))
    };
    assert_eq!(map(0..100, 0..20).unwrap().remarks, Vec::<String>::new());
    let error = map(0..20, 0..100).unwrap_err();
    assert!(error.is_wrong_input());
    let error = error.to_string();
    assert!(
        error.contains("100 failing cells at 0.6 and 20 at 0.5: are the voltages swapped?"),
        "{error}"
    );
    assert!(
        text(&map(0..1000, 0..1040).unwrap()).contains("1040 failing cells at 0.6 and 1000 at 0.5")
    );
    assert!(text(&map(0..2, 5..8).unwrap()).contains("3 failing cells at 0.6"));
    assert!(text(&map(0..100, 90..120).unwrap())
        .contains("of 30 cells that fail at 0.6 only 10 fail at 0.5"));
}

#[test]
fn arrays_that_are_not_one_value_for_each_cell_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let read = |shape: &[usize], values: &[u8]| {
        let path = folder.path().join("map.npy");
        let (shape, values) = (shape.to_vec(), values.to_vec());
        write_npy(&path, &ByteArray { shape, values }).unwrap();
        FaultMap::read(&[format!("540mV={}", path.display())], &MEMORY)
    };
    let map = read(&[1, 4], &[1, 0, 0, 1]).unwrap();
    assert_eq!(
        (addresses(&map, 0.54, 0), map.unit),
        (vec![0, 3], Some(VoltageUnit::Volt))
    );
    for values in [[0, 128, 0, 8], [0, 1, 0, 255], [0, 0, 3, 0], [0, 2, 2, 2]] {
        let error = read(&[1, 4], &values).unwrap_err().to_string();
        assert!(
            error.contains("np.unpackbits(map, axis=-1)") && error.contains("in the cell "),
            "{error}"
        );
    }
    // an eighth of the memory's columns, though no value shows it
    let error = read(&[4, 2], &[0, 1, 0, 0, 0, 0, 0, 0])
        .unwrap_err()
        .to_string();
    assert!(error.contains("an eighth of the memory's 16"), "{error}");
    let error = read(&[], &[1]).unwrap_err().to_string();
    assert!(
        error.ends_with("(chips, rows, columns), found []"),
        "{error}"
    );
}

#[test]
fn names_of_arrays_are_voltages() {
    for (name, voltage) in [
        ("0.54", Some(0.54)),
        ("540mV", Some(0.54)),
        ("V0.54", Some(0.54)),
        ("vdd_0p54", Some(0.54)),
        ("v0_54", Some(0.54)),
        ("0.9 vmin", Some(0.9)),
        ("arr_0", None),
        ("map", None),
        ("540", None),
        ("1e400", None),
    ] {
        let found = arrays::named_voltage(name).map(|(voltage, _)| voltage.get());
        assert_eq!(found, voltage, "{name}");
    }
}
