//! Facts that fault maps hold: cells as they are written, and every wrong line named.

use super::*;
use crate::store::{write_bytes, write_npy, ByteArray};

const GOOD: &str =
    "# cells: 8\n# unit: volt\n# voltages: 0.5, 0.6\n\nvoltage,address\n0.5,7\n0.5,0\n0.55,3\n";

fn read(text: &str) -> Result<FaultMap> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.csv");
    write_bytes(&path, text.as_bytes()).unwrap();
    FaultMap::read(&[path.display().to_string()])
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
        ("0.55,3", "x,3", ":8: expected a voltage above 0, found `x`"),
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
    let low = write("low.npy", &[2, 2], &[1, 0, 0, 255]);
    let high = write("high.npy", &[2, 2], &[0, 0, 0, 1]);
    let map = FaultMap::read(&[format!("0.6={high}"), format!("0.5={low}")]).unwrap();
    assert_eq!((map.cells, map.chips, map.voltages().len()), (4, 1, 2));
    assert_eq!(
        (addresses(&map, 0.5, 0), addresses(&map, 0.6, 0)),
        (vec![0, 3], vec![3])
    );
    let chips = write("chips.npy", &[2, 1, 2], &[1, 0, 1, 1]);
    let map = FaultMap::read(&[format!("0.5={chips}")]).unwrap();
    assert_eq!(
        (map.cells, addresses(&map, 0.5, 0), addresses(&map, 0.5, 1)),
        (2, vec![0], vec![0, 1])
    );
    let message = |entries: &[String]| FaultMap::read(entries).unwrap_err().to_string();
    assert!(
        message(&[format!("0.5={low}"), format!("0.6={chips}")]).contains("arrays of one shape")
    );
    assert!(message(&[format!("0.5={low}"), format!("0.5={high}")]).contains("each voltage once"));
    assert!(message(&[format!("x={low}")]).contains("VOLTAGE=FILE.npy"));
    assert!(message(&[low.clone(), high.clone()]).contains("VOLTAGE=FILE.npy"));
    let flat = write("flat.npy", &[4], &[0; 4]);
    assert!(message(&[format!("0.5={flat}")]).contains("(rows, columns)"));
}
