//! Fault maps as NumPy arrays: booleans or integers of the shape (rows, columns) or (chips, rows, columns), 1 where a cell
//! fails (or 255, as images have it), 0 where it does not. Cell (row, column) has the address `row·columns + column`, and
//! failing cells invert their bit.
//!
//! Other values are refused: they may be the packed bits of `numpy.packbits`, which would give an eighth of the cells
//! eight times the rate, or numbers of failing reads, of which only the user knows how many make a failing cell.

use super::super::pattern::FaultKind;
use super::{key, ArraySpec, FailingCell, FaultMap, Key, Points, MOST_CHIPS};
use crate::error::{refuse, Error, Result};
use crate::store::{self, ByteArray, Element, VoltageColumn};
use crate::units::{Voltage, VoltageUnit};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest file, in bytes, packed or not: a map of 2^26 cells in integers of eight bytes.
pub(super) const LARGEST: u64 = 1 << 29;
/// How maps are given, for messages.
const ENTRIES: &str = "one CSV file, or VOLTAGE=FILE.npy for each voltage, or one .npz file of arrays named by voltage";

/// The arrays of a map as they are read.
#[derive(Default)]
struct Arrays {
    found: BTreeMap<Key, Vec<Vec<FailingCell>>>,
    /// Chips, rows and columns of the first array.
    shape: Option<[usize; 3]>,
    unit: Option<VoltageUnit>,
}

/// Reads `VOLTAGE=FILE` entries.
pub(super) fn read(entries: &[String], memory: &ArraySpec) -> Result<FaultMap> {
    let (mut arrays, mut checksums) = (Arrays::default(), String::new());
    for entry in entries {
        let wrong = || Error::argument("faults.map", ENTRIES, format!("`{entry}`"));
        let (voltage, path) = entry.split_once('=').ok_or_else(wrong)?;
        let (voltage, unit) = named_voltage(voltage).ok_or_else(wrong)?;
        let path = Path::new(path);
        let bytes = store::read_bytes(path, "a fault map (NumPy)", LARGEST)?;
        let (array, element) = if store::is_npz(&bytes) {
            array_at(path, &bytes, voltage)?
        } else {
            store::parse_npy_element(path, &bytes)?
        };
        arrays.take(path, None, (voltage, unit), &array, element, memory)?;
        checksums += &format!("{voltage} {}\n", store::sha256(&bytes));
    }
    arrays.into_map(store::sha256(checksums.as_bytes()))
}

/// Reads an archive of arrays that are named by their voltages.
pub(super) fn read_archive(path: &Path, bytes: &[u8], memory: &ArraySpec) -> Result<FaultMap> {
    let mut arrays = Arrays::default();
    for named in store::parse_npz(path, bytes, LARGEST)? {
        let voltage = named_voltage(&named.name).ok_or_else(|| {
            let expected =
                "arrays named by their voltages, as `0.54` or `540mV`, or VOLTAGE=FILE.npz for one";
            Error::input(path, expected, store::excerpt(&named.name))
        })?;
        arrays.take(
            path,
            Some(&named.name),
            voltage,
            &named.array,
            named.element,
            memory,
        )?;
    }
    arrays.into_map(store::sha256(bytes))
}

/// The array of an archive that stands for a voltage: the only one, or the one of that name.
fn array_at(path: &Path, bytes: &[u8], voltage: Voltage) -> Result<(ByteArray, Element)> {
    let mut arrays = store::parse_npz(path, bytes, LARGEST)?;
    if arrays.len() > 1 {
        let names: Vec<String> = arrays
            .iter()
            .take(8)
            .map(|named| store::excerpt(&named.name))
            .collect();
        arrays.retain(|named| named_voltage(&named.name).is_some_and(|(of, _)| of == voltage));
        if arrays.len() != 1 {
            let expected = format!("one array, or one that is named {voltage}");
            return Err(Error::input(path, expected, names.join(", ")));
        }
    }
    let named = arrays
        .pop()
        .ok_or_else(|| Error::input(path, "one array", "none"))?;
    Ok((named.array, named.element))
}

/// A voltage as it is typed or as an array is named: `0.54`, `0.54V`, `540mV`, `V0.54`, `vdd_0p54`.
pub(super) fn named_voltage(text: &str) -> Option<(Voltage, Option<VoltageUnit>)> {
    let number = text.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
    let before = &text[..text.len() - number.len()];
    if !before.trim().is_empty() {
        VoltageColumn::of(before)?;
    }
    if number.contains('.') {
        VoltageColumn::typed(number)
    } else {
        // names of Python have no point
        VoltageColumn::typed(&number.replacen(['p', '_'], ".", 1))
    }
}

impl Arrays {
    /// Takes in the array of a voltage; `name` is its name in an archive.
    fn take(
        &mut self,
        path: &Path,
        name: Option<&str>,
        (voltage, unit): (Voltage, Option<VoltageUnit>),
        array: &ByteArray,
        element: Element,
        memory: &ArraySpec,
    ) -> Result<()> {
        let own_key = name.map(|name| store::excerpt(name).trim_matches('`').to_owned());
        let wrong = |expected: &str, found: String| {
            Error::input_at(path, None, own_key.as_deref(), expected, found)
        };
        let [chips, rows, columns] = match array.shape[..] {
            [rows, columns] => [1, rows, columns],
            [chips, rows, columns] => [chips, rows, columns],
            _ => {
                let expected = "an array of (rows, columns) or (chips, rows, columns)";
                return Err(wrong(expected, format!("{:?}", array.shape)));
            }
        };
        let known = *self.shape.get_or_insert([chips, rows, columns]);
        let cells = rows * columns;
        if known != [chips, rows, columns] || cells == 0 || chips == 0 || chips > MOST_CHIPS {
            let expected = format!(
                "arrays of one shape, not empty, of at most {MOST_CHIPS} chips ({known:?})"
            );
            return Err(wrong(&expected, format!("{:?}", array.shape)));
        }
        // NumPy packs eight columns into a byte
        let is_eighth =
            columns.checked_mul(8) == Some(memory.columns as usize) && rows == memory.rows as usize;
        if element == Element::Byte && is_eighth {
            let expected = format!(
                "one value for each cell: {columns} columns of bytes are an eighth of the memory's {}; unpack bits with \
                 np.unpackbits(map, axis=-1), else save map.astype(bool)",
                memory.columns
            );
            return Err(wrong(&expected, format!("{:?}", array.shape)));
        }
        let most = array.values.iter().copied().max().unwrap_or(0);
        let other = array
            .values
            .iter()
            .position(|value| *value != 0 && *value != most);
        let odd = match (most, other) {
            (0 | 1, _) | (255, None) => None,
            (_, at) => at.or_else(|| array.values.iter().position(|value| *value == most)),
        };
        if let Some(at) = odd {
            let expected = "0 and 1, or 0 and 255, for each cell; packed bits are unpacked by np.unpackbits(map, axis=-1), \
                            counts become a map by map >= N";
            let found = format!("{} in the cell {at} of the array", array.values[at]);
            return Err(wrong(expected, found));
        }
        if unit.is_some() && self.unit.is_some() && unit != self.unit {
            return refuse(
                "faults.map",
                "voltages of one unit",
                format!("{voltage} in another"),
            );
        }
        self.unit = self.unit.or(unit);
        let chips = array.values.chunks(cells).map(failing).collect();
        match self.found.insert(key(voltage), chips) {
            None => Ok(()),
            Some(_) => refuse(
                "faults.map",
                "each voltage once",
                format!("{voltage} twice"),
            ),
        }
    }

    fn into_map(self, checksum: String) -> Result<FaultMap> {
        let points = self
            .found
            .into_iter()
            .map(|(voltage, cells)| Ok((Voltage::new(f64::from_bits(voltage))?, cells)));
        let points = points.collect::<Result<Points>>()?;
        let cells = self
            .shape
            .map_or(0, |[_, rows, columns]| rows as u64 * columns as u64);
        Ok(FaultMap::new(
            cells,
            self.unit,
            FaultKind::Flip,
            checksum,
            points,
            Vec::new(),
        ))
    }
}

fn failing(values: &[u8]) -> Vec<FailingCell> {
    let cells = (0..).zip(values).filter(|(_, value)| **value != 0);
    cells
        .map(|(address, _)| FailingCell {
            address,
            polarity: 0.0,
        })
        .collect()
}
