//! Facts that the reader of measurements holds: every form that laboratories write, and every wrong row named.

use super::*;

fn parse(text: &str) -> Result<Measurements> {
    Measurements::parse(Path::new("m.csv"), text)
}

#[test]
fn counts_are_read_in_any_order_with_spaces_and_remarks() {
    let read = parse("# a chip\nvoltage, faults, cells\n0.60, 4, 1000\n0.54, 20, 1000\n").unwrap();
    assert_eq!(read.cells, Some(1000));
    let rows: Vec<_> = read
        .rows
        .iter()
        .map(|r| (r.voltage.get(), r.faults, r.ber.get(), r.energy))
        .collect();
    assert_eq!(
        rows,
        [(0.54, Some(20), 0.02, None), (0.60, Some(4), 0.004, None)]
    );
}

#[test]
fn rates_and_energies_are_read_and_a_missing_energy_is_none() {
    let read = parse("voltage,ber,access_energy_pj\n0.8,1e-3,\n0.7,0.1,0.25\n").unwrap();
    assert_eq!((read.cells, read.energy_in_pj), (None, true));
    assert_eq!(read.rows[0].energy, Some(0.25));
    assert_eq!((read.rows[1].energy, read.rows[1].faults), (None, None));
    assert_eq!(read.rows[1].ber.get(), 1e-3);
}

#[test]
fn everything_that_is_wrong_is_named_with_its_line() {
    let counts = |rows: &str| format!("voltage,faults,cells\n{rows}");
    for (text, message) in [
        (String::new(), "m.csv: expected the columns"),
        (
            "voltage,faults\n1,2\n".into(),
            "m.csv:1: expected the columns",
        ),
        (
            "voltage,ber,energy,access_energy_pj\n".into(),
            "m.csv:1: expected the columns",
        ),
        ("voltage,note\n".into(), "m.csv:1: expected the columns"),
        ("vdd,supply,ber\n".into(), "m.csv:1: expected the columns"),
        ("voltage,ber,ber\n".into(), "m.csv:1: expected the columns"),
        (counts(""), "m.csv: expected at least one row, found none"),
        (
            counts("0,1,9\n"),
            "m.csv:2: `voltage`: expected a number above 0 and at most 100, found `0`",
        ),
        (counts("1,1\n"), "m.csv:2: `cells`: expected a whole number"),
        (
            counts("1,1,0\n"),
            "m.csv:2: `cells`: expected at least 1, found 0",
        ),
        (
            counts("1,11,10\n"),
            "m.csv:2: `faults`: expected a whole number up to 10, found `11`",
        ),
        (
            counts("1,1.5,10\n"),
            "m.csv:2: `faults`: expected a whole number up to 10, found `1.5`",
        ),
        (
            "voltage,ber\n1,1.6\n".into(),
            "m.csv:2: `ber`: expected a bit error rate from 0 to 1 (a column of per cent is headed `ber_%`), found `1.6`",
        ),
        (
            "voltage,ber\n1,nan\n".into(),
            "m.csv:2: `ber`: expected a bit error rate from 0 to 1 ",
        ),
        (
            "voltage,ber,energy\n1,0,-1\n".into(),
            "m.csv:2: `energy`: expected a number above 0",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(
            error.is_wrong_input() && error.to_string().starts_with(message),
            "{text}: {error}"
        );
    }
}

/// Voltages, failing cells and cells of the readings.
fn counts(text: &str) -> Vec<(f64, u64, u64)> {
    let read = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let of = |r: &Measurement| (r.voltage.get(), r.faults.unwrap(), r.cells.unwrap());
    read.readings.iter().map(of).collect()
}

#[test]
fn what_laboratories_write_is_the_same_table() {
    let rows = [(0.54, 7600, 1_000_000), (0.6, 1, 1_000_000)];
    for text in [
        "voltage,faults,cells\n0.54,7600,1000000\n0.6,1,1000000\n",
        "voltage,faults,cells\r0.54,7600,1000000\r0.6,1,1000000\r",
        "Voltage,Faults,Cells\r\n0.54,7600,1e6\r\n0.60,1,1E+06\r\n",
        "VDD (V);Fail Count;N_cells\n0,54;7600;1000000,0\n0,6;1;1e6\n",
        "sep=;\nVdd [mV];errors;bits\n540;7600;1000000\n600;1;1000000\n",
        "voltage_mV\tfail_count\ttotal_bits\n540\t7600\t1 000 000\n600\t1\t1 000 000\n",
        "Supply Voltage (mV) | # of failing cells | number of cells\n540.0 | 7.6e3 | 1e6\n600 | 1 | 1e6\n",
        "supply;bit errors;n bits\n0,54 V;7.600;1.000.000\n600 mV;1;1.000.000\n",
        "\"voltage\",\"faults\",\"cells\"\n\"0.54\",\"7,600\",\"1,000,000\"\n\"0.6\",\"1\",\"1,000,000\"\n",
        "  voltage   faults  cells\n  0.54  7600 1000000\n  0.60  1 1000000\n",
        "voltage,faults,cells\nV,-,-\n0.54,7600,1000000\n0.6,1,1000000\n",
        "# made by numpy.savetxt\n# voltage faults cells\n5.4e-01 7.600e+03 1.000000e+06\n6.0e-01 1.0e+00 1.0e+06\n",
        "voltage,faults,cells,,\n0.54,7600,1000000,,\n,,,,\n0.6,1,1000000,,\n# the end\n",
        "V,n_errors,n_cells,V\u{df}\n0.54,7600,1000000,x\n0.6,1,1000000,y\n",
        "u / V;nFails;nCells\n0,54;7600;1000000\n0,60;1;1000000\n",
        "voltage,ber,cells\n0.54,0.0076,1000000\n0.6,1e-6,1000000\n",
        "voltage,faults,cells,ber,faults (%)\n0.54,7600,1000000,0.0076,0.76\n0.6,1,1000000,1e-6,1e-4\n",
        "voltage,faults,cells\n0.54,7600,1000000\nvoltage,faults,cells\n0.6,1,1000000\n",
    ] {
        assert_eq!(counts(text), rows, "{text}");
    }
    for text in [
        "voltage;ber\n0,54;0,0076\n0,6;1e-6\n",
        "Vdd_mV,BER_%\n540,0.76\n600,1e-4\n",
        "V,error rate (ppm)\n0.54,7600\n0.6,1\n",
        "supply,error_rate\n0.54,0.76%\n0.6,1e-4 %\n",
        "millivolts\tbit error rate in percent\n540\t0,76\n600\t0,0001\n",
        "voltage,ber,energy (pJ)\n0.54,7.6e-3,1\n0.6,1e-6,2\n",
    ] {
        let read = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let rates: Vec<(f64, f64)> = read
            .rows
            .iter()
            .map(|r| (r.voltage.get(), r.ber.get()))
            .collect();
        assert_eq!(rates, [(0.54, 0.0076), (0.6, 1e-6)], "{text}");
        assert!(!read.energy_in_pj);
    }
}

#[test]
fn numbers_with_two_readings_and_wrong_units_are_refused() {
    for (text, message) in [
        (
            "voltage_mV;faults;cells\n540;1.000;100.000\n",
            ":2: `cells`: expected a number that has one reading",
        ),
        (
            "voltage_mV;faults;cells\n540;1,000;100\n",
            ":2: `faults`: expected a number that has one reading",
        ),
        (
            "voltage,faults,cells\n0,54,7600,1000000\n",
            "with decimal commas, part cells by `;` or tabs",
        ),
        (
            "voltage,faults,cells\n0.54,76 V,100\n",
            ":2: `faults`: expected a whole number up to 100, found `76 V`",
        ),
        (
            "voltage,ber\n540,0.1\n",
            "(millivolts are said in the header: `voltage_mV`), found `540`",
        ),
        ("voltage_mV,ber\n0.54,0.1\n", "at least 10 mV"),
        (
            "voltage_mV,ber\n0.54 V,0.1\n",
            "the unit that the header says",
        ),
        ("voltage,ber\n0.54 K,0.1\n", "with or without `V` or `mV`"),
        ("voltage,ber_%\n0.5,101\n", "from 0 to 100 %, found `101`"),
        ("voltage,log10_ber\n0.5,-3\n", ":1: expected the columns"),
        (
            "voltage,flips,bits\n0.5,6,10\n",
            "up to 5, half of the bits (of cells that fail at all it may be more: `faults`)",
        ),
        (
            "voltage,flip_rate\n0.5,0.6\n",
            "a fraction of flipped bits from 0 to 0.5",
        ),
        (
            "voltage,faults,cells\n0.5,\"1,10\n",
            "cells whose quotes end",
        ),
        ("0.5,1,10\n0.6,0,10\n", "m.csv:1: expected the columns"),
        (
            "voltage,faults,cells\n0.5,1,1e300\n",
            "`cells`: expected a whole number up to 9007199254740992",
        ),
        ("\n \n", "m.csv: expected the columns"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn messages_stay_short_and_printable_whatever_the_file_holds() {
    let long = "a".repeat(100_000);
    for text in [
        long.clone(),
        format!("{long},ber\n1,1\n"),
        format!("voltage,ber,{}\n", "\u{1b}[31m".repeat(100)),
        format!("voltage,ber\n{}\n", "9".repeat(60_000)),
        format!("vdd\u{1b}]0;x\u{7},supply {},ber\n1,1,1\n", "y".repeat(900)),
        format!("voltage,ber\n0.5,\u{202e}{}\n", "x".repeat(900)),
        "a,".repeat(5_000),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.len() < 500 && error.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{error}"
        );
    }
}

#[test]
fn readings_of_one_voltage_are_put_together_and_said() {
    let read =
        parse("voltage,faults,cells,energy\n0.5,30,1000,2\n0.5,10,3000,4\n0.6,0,1000,\n").unwrap();
    assert_eq!(
        (read.sampling, read.cells, read.readings.len()),
        (Sampling::Independent, None, 3)
    );
    let row = read.rows[0];
    assert_eq!(
        (row.faults, row.cells, row.ber.get(), row.energy),
        (Some(40), Some(4000), 0.01, Some(3.0))
    );
    assert!(
        read.remarks[0].contains("3 rows at 2 voltages"),
        "{:?}",
        read.remarks
    );
    for (text, sampling) in [
        (
            "voltage,faults,cells\n0.5,3,10\n0.6,3,10\n",
            Sampling::SameCells,
        ),
        (
            "voltage,faults,cells\n0.5,3,10\n0.6,3,11\n",
            Sampling::Independent,
        ),
        (
            "voltage,faults,cells\n0.5,3,10\n0.6,4,10\n",
            Sampling::Independent,
        ),
        ("voltage,ber\n0.5,0.1\n0.6,0.2\n", Sampling::Rates),
    ] {
        assert_eq!(parse(text).unwrap().sampling, sampling, "{text}");
    }
    let chips = parse("chip,voltage,faults,cells,temperature\nA,0.5,9,10,25\n").unwrap();
    assert_eq!(
        chips.remarks[0],
        "columns that are not read: `chip`, `temperature`"
    );
    assert!(
        chips.remarks[1].contains("cells that fail at all"),
        "{:?}",
        chips.remarks
    );
    let many: String = (0..20_000)
        .map(|i| format!("0.5{},1,100\n", i % 7))
        .collect();
    assert_eq!(
        parse(&format!("voltage,faults,cells\n{many}"))
            .unwrap()
            .rows
            .len(),
        7
    );
    let most = format!(
        "voltage,faults,cells\n{}",
        "0.5,1,9007199254740992\n".repeat(2)
    );
    assert!(parse(&most)
        .unwrap_err()
        .to_string()
        .contains("cells at a voltage"));
}

#[test]
fn files_of_every_encoding_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.csv");
    let text = "voltage (V)\tber\t\u{b5}\n0,5\t0,1\tx\n0,6\t0,01\tx\n";
    let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        [vec![0xff, 0xfe], wide(u16::to_le_bytes)].concat(),
        [vec![0xfe, 0xff], wide(u16::to_be_bytes)].concat(),
        latin,
    ] {
        crate::store::write_bytes(&path, &bytes).unwrap();
        let read = Measurements::read(&path).unwrap();
        assert_eq!((read.rows.len(), read.rows[1].ber.get()), (2, 0.01));
        assert_eq!(read.checksum, sha256(&bytes));
    }
    for (bytes, found) in [
        (b"PK\x03\x04xl/workbook.xml".to_vec(), "Excel"),
        (vec![0xff, 0xfe, 1], "other bytes"),
        (b"voltage,ber\n\0".to_vec(), "other bytes"),
        (vec![], "an empty file"),
    ] {
        crate::store::write_bytes(&path, &bytes).unwrap();
        let error = Measurements::read(&path).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}
