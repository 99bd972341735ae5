//! Corners from CACTI: its printed result, or a table of many runs. A run is an anchor at one supply voltage, never a
//! curve: with a lower supply CACTI makes the memory faster.

use super::characteristic::tidy;
use super::liberty::{Corner, Traced};
use crate::error::{refuse, Error, Result};
use crate::store::{decode_text, excerpt, file_name, read_bytes, ForeignRow, ForeignTable};
use crate::units::{Positive, Voltage};
use std::path::Path;

/// Largest file, in bytes.
const LARGEST: u64 = 1 << 24;
/// Kelvin at 0 degrees Celsius.
const KELVIN: f64 = 273.15;
/// Columns of a table of runs.
const COLUMNS: [&str; 11] = [
    "node_nm",
    "device",
    "vdd_v",
    "temp_k",
    "objective",
    "capacity_bytes",
    "word_bits",
    "read_pj",
    "write_pj",
    "leakage_mw",
    "access_ns",
];
/// Those of them that tell runs apart: the first so many.
const CHOICES: usize = 7;

/// What is said beside a file of CACTI.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CactiChoice {
    /// Of a table: columns with the value that a row must have.
    pub rows: Vec<(String, String)>,
    /// Of a printed result, which does not say it: the supply.
    pub vdd: Option<Voltage>,
    /// Of a printed result: the device class, such as `hp`.
    pub device: Option<String>,
}

/// The rows of a table of runs that are chosen: one macro, perhaps at several temperatures.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with line and column for what is wrong; where rows of several macros are left,
/// with the columns that tell them apart.
pub(super) fn read_table(path: &Path, choice: &CactiChoice) -> Result<Vec<Corner>> {
    let expected = format!(
        "a table of CACTI runs with the columns {}",
        COLUMNS.join(", ")
    );
    let text = decode_text(path, &expected, read_bytes(path, &expected, LARGEST)?)?;
    let table = ForeignTable::new(path, &text, &expected)?;
    let place = |name: &str| table.columns().iter().position(|column| column == name);
    for (name, _) in &choice.rows {
        if place(name).is_none() {
            let expected = format!("a column of the table: {}", table.columns().join(", "));
            return refuse("--where", expected, format!("`{name}`"));
        }
    }
    let mut chosen: Vec<ForeignRow<'_>> = Vec::new();
    for row in table.rows() {
        let row = row?;
        let is_chosen = |(name, value): &(String, String)| {
            let cell = place(name).and_then(|at| row.cell(at)).unwrap_or_default();
            cell == value || number(cell).is_some_and(|cell| number(value) == Some(cell))
        };
        if choice.rows.iter().all(is_chosen) {
            chosen.push(row);
        }
    }
    let Some(first) = chosen.first() else {
        return Err(Error::input(path, "a row that `--where` chooses", "none"));
    };
    let differs = |name: &&&str| {
        let at = place(name);
        **name != "temp_k"
            && chosen
                .iter()
                .any(|row| at.map(|at| row.cell(at)) != at.map(|at| first.cell(at)))
    };
    let differing: Vec<&str> = COLUMNS[..CHOICES].iter().filter(differs).copied().collect();
    if !differing.is_empty() {
        let expected = format!(
            "one macro, chosen by `--where COLUMN=VALUE` of {}",
            differing.join(", ")
        );
        return Err(Error::input(
            path,
            expected,
            format!("{} rows", chosen.len()),
        ));
    }
    let corner = |row: &ForeignRow<'_>| {
        let cell = |name: &str| match place(name).and_then(|at| row.cell(at)) {
            Some(cell) => Ok(cell.to_owned()),
            None => Err(table.wrong(row.line, Some(name), "a value", "nothing")),
        };
        let value = |name: &str| {
            let text = cell(name)?;
            let value = number(&text).filter(|value| *value > 0.0);
            value.ok_or_else(|| {
                table.wrong(row.line, Some(name), "a number above 0", &excerpt(&text))
            })
        };
        let run = Run {
            node_nm: value("node_nm")?,
            device: cell("device")?,
            objective: Some(cell("objective")?),
            vdd: value("vdd_v")?,
            kelvin: value("temp_k")?,
            bytes: value("capacity_bytes")?,
            word_bits: value("word_bits")?,
            read_pj: value("read_pj")?,
            write_pj: value("write_pj")?,
            leakage_mw: value("leakage_mw")?,
            access_ns: value("access_ns")?,
            lines: [row.line; 4],
        };
        run.corner(path)
    };
    chosen.iter().map(corner).collect()
}

/// The result that CACTI prints.
///
/// # Errors
/// As [`read_table`].
pub(super) fn read_printed(path: &Path, choice: &CactiChoice) -> Result<Corner> {
    let expected = "what CACTI prints";
    let text = decode_text(path, expected, read_bytes(path, expected, LARGEST)?)?;
    let line = |labels: &[&str]| {
        text.lines().enumerate().find_map(|(i, line)| {
            let (label, value) = line.rsplit_once(':')?;
            let label: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
            let known = labels.iter().any(|known| label.eq_ignore_ascii_case(known));
            known.then_some((i + 1, value.trim()))
        })
    };
    let wrong = |line: Option<usize>, label: &str, expected: &str, found: String| {
        Error::input_at(path, line, Some(label), expected, found)
    };
    let value = |labels: &[&str]| {
        let label = labels[0];
        let lacks = || wrong(None, label, "a line of this label", "none".into());
        let (at, text) = line(labels).ok_or_else(lacks)?;
        let other = || wrong(Some(at), label, "a number above 0", excerpt(text));
        let value = number(text).filter(|value| *value > 0.0);
        Ok::<_, Error>((value.ok_or_else(other)?, at))
    };
    let Some(vdd) = choice.vdd else {
        let expected = "the supply voltage: CACTI does not print it";
        return refuse("--vdd", expected, "none");
    };
    let (read_nj, read_line) = value(&["TotaldynamicreadenergyperaccessnJ"])?;
    let (write_nj, write_line) = value(&["TotaldynamicwriteenergyperaccessnJ"])?;
    let (leakage_mw, leakage_line) = value(&["TotalleakagepowerofabankmW"])?;
    let (access_ns, access_line) = value(&["Accesstimens"])?;
    let (banks, banks_line) = value(&["Numberofbanks"])?;
    if banks != 1.0 {
        let expected = "one bank, as the leakage is that of a bank";
        let label = "Number of banks";
        return Err(wrong(Some(banks_line), label, expected, banks.to_string()));
    }
    let run = Run {
        // the echo `Technology`, before it, is in micrometres
        node_nm: value(&["Technologysizenm"])?.0,
        device: choice.device.clone().unwrap_or_else(|| "unnamed".into()),
        objective: None,
        vdd: vdd.get(),
        kelvin: value(&["Temperature"])?.0,
        bytes: value(&["Totalcachesizebytes", "Cachesize"])?.0,
        word_bits: 8.0 * value(&["Blocksizebytes", "Blocksize"])?.0,
        read_pj: 1e3 * read_nj,
        write_pj: 1e3 * write_nj,
        leakage_mw,
        access_ns,
        lines: [read_line, write_line, leakage_line, access_line],
    };
    run.corner(path)
}

fn number(text: &str) -> Option<f64> {
    let text = text.split_whitespace().next()?;
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// One run of CACTI.
struct Run {
    node_nm: f64,
    device: String,
    objective: Option<String>,
    vdd: f64,
    kelvin: f64,
    bytes: f64,
    word_bits: f64,
    read_pj: f64,
    write_pj: f64,
    leakage_mw: f64,
    access_ns: f64,
    /// Lines of the four numbers.
    lines: [usize; 4],
}

impl Run {
    fn corner(&self, path: &Path) -> Result<Corner> {
        let words = 8.0 * self.bytes / self.word_bits;
        let fits = words.fract() == 0.0
            && (1.0..=1e12).contains(&words)
            && (1.0..=65_536.0).contains(&self.word_bits);
        if !fits || self.word_bits.fract() != 0.0 {
            let found = format!("{} bytes in words of {} bits", self.bytes, self.word_bits);
            let (line, key) = (Some(self.lines[0]), Some("word_bits"));
            return Err(Error::input_at(path, line, key, "whole words", found));
        }
        let traced = |value: f64, line: usize| -> Result<Traced> {
            let value = Positive::new(tidy(value)).map_err(|error| error.in_file(path))?;
            Ok(Traced { value, line })
        };
        let objective = self
            .objective
            .as_ref()
            .map(|objective| format!(" {objective}"));
        Ok(Corner {
            file: file_name(path),
            cell: format!(
                "CACTI {} nm {}{}",
                self.node_nm,
                self.device,
                objective.unwrap_or_default()
            ),
            words: words as u64,
            bits: self.word_bits as u32,
            area: None,
            voltage: Voltage::new(self.vdd).map_err(|error| error.in_file(path))?,
            temperature_c: tidy(self.kelvin - KELVIN),
            process: self.device.clone(),
            read_pj: traced(self.read_pj, self.lines[0])?,
            write_pj: traced(self.write_pj, self.lines[1])?,
            leakage_nw: traced(self.leakage_mw * 1e6, self.lines[2])?,
            delay_ns: traced(self.access_ns, self.lines[3])?,
            delay_at: Vec::new(),
            clocks: Default::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::write_bytes;

    const TABLE: &str = "\
node_nm,device,vdd_v,temp_k,objective,capacity_bytes,word_bits,read_pj,write_pj,leakage_mw,gate_leak_mw,access_ns
22,hp,0.8,300,energy,32768,64,1.77718,9.34202,2.87484,0.0215508,0.871118
22,hp,0.8,350,energy,32768,64,1.77718,9.34202,5.0877,0.0215508,0.871118
22,lstp,0.8,300,energy,32768,64,1.90708,9.51081,0.000572287,0.00532887,2.75532
";
    const PRINTED: &str = "\
Technology                    : 0.022
Temperature                   : 300
---------- CACTI (version 7.0.3DD Prerelease of Aug, 2012), Uniform Cache Access SRAM Model ----------

Cache Parameters:
    Total cache size (bytes): 32768
    Number of banks: 1
    Block size (bytes): 8
    Technology size (nm): 22

    Access time (ns): 0.871118
    Cycle time (ns):  0.9
    Total dynamic read energy per access (nJ): 0.00177718
    Total dynamic write energy per access (nJ): 0.00934202
    Total leakage power of a bank (mW): 2.87484
    Total gate leakage power of a bank (mW): 0.0215508
";

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write_bytes(&path, text.as_bytes()).unwrap();
        (folder, path)
    }

    fn choice(rows: &[(&str, &str)]) -> CactiChoice {
        let rows = rows
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        CactiChoice {
            rows,
            ..CactiChoice::default()
        }
    }

    #[test]
    fn a_table_and_what_is_printed_give_the_same_anchor() {
        let (_folder, path) = file("runs.csv", TABLE);
        let rows = read_table(&path, &choice(&[("device", "hp")])).unwrap();
        assert_eq!(rows.len(), 2);
        let of_table = &rows[0];
        assert_eq!(
            (of_table.words, of_table.bits, of_table.temperature_c),
            (4096, 64, 26.85)
        );
        // 2.87484 mW
        assert_eq!(
            (of_table.leakage_nw.value.get(), of_table.leakage_nw.line),
            (2_874_840.0, 2)
        );
        let (_folder, path) = file("cacti.out", PRINTED);
        let given = CactiChoice {
            vdd: Voltage::new(0.8).ok(),
            device: Some("hp".into()),
            ..CactiChoice::default()
        };
        let printed = read_printed(&path, &given).unwrap();
        let numbers =
            |c: &Corner| [c.read_pj, c.write_pj, c.leakage_nw, c.delay_ns].map(|x| x.value);
        assert_eq!(numbers(&printed), numbers(of_table));
        assert_eq!(
            (printed.words, printed.bits, printed.voltage),
            (4096, 64, of_table.voltage)
        );
        assert_eq!(printed.read_pj.line, 13);
    }

    #[test]
    fn what_is_open_or_wrong_is_named() {
        let (_folder, path) = file("runs.csv", TABLE);
        let refused =
            |rows: &[(&str, &str)]| read_table(&path, &choice(rows)).unwrap_err().to_string();
        assert!(refused(&[]).contains("chosen by `--where COLUMN=VALUE` of device, found 3 rows"));
        assert!(refused(&[("device", "lop")])
            .ends_with("expected a row that `--where` chooses, found none"));
        assert!(refused(&[("node", "22")]).starts_with("--where: expected a column of the table"));
        let (_folder, path) = file("runs.csv", &TABLE.replace("2.87484", "-1"));
        let error = read_table(&path, &choice(&[("device", "hp")]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(":2: `leakage_mw`: expected a number above 0, found `-1`"),
            "{error}"
        );
        let (_folder, path) = file("cacti.out", PRINTED);
        let error = read_printed(&path, &CactiChoice::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("--vdd: expected the supply voltage"),
            "{error}"
        );
        let given = CactiChoice {
            vdd: Voltage::new(0.8).ok(),
            ..CactiChoice::default()
        };
        let (_folder, path) = file("cacti.out", &PRINTED.replace("Access time", "Axes time"));
        let error = read_printed(&path, &given).unwrap_err().to_string();
        assert!(
            error.ends_with("`Accesstimens`: expected a line of this label, found none"),
            "{error}"
        );
    }
}
