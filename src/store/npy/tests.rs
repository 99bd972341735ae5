//! Facts that the readers of NumPy arrays hold: every type and order that NumPy writes, nothing that is damaged.

use super::*;

#[test]
fn what_is_written_is_read_back_and_is_numpys_own_form() {
    for shape in [vec![6], vec![2, 3], vec![1, 2, 3], vec![0, 4]] {
        let cells = shape.iter().product::<usize>() as u8;
        let array = ByteArray {
            shape,
            values: (0..cells).collect(),
        };
        let bytes = to_npy(&array).unwrap();
        assert_eq!((bytes.len() - array.values.len()) % 64, 0);
        assert_eq!(parse(&bytes).unwrap(), (array, Element::Byte));
    }
    let bytes = to_npy(&ByteArray {
        shape: vec![2, 3],
        values: vec![7; 6],
    })
    .unwrap();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    assert!(bytes[10..].starts_with(header.as_bytes()));
    let one = to_npy(&ByteArray {
        shape: vec![3],
        values: vec![7; 3],
    })
    .unwrap();
    assert!(String::from_utf8_lossy(&one).contains("'shape': (3,), }"));
}

#[test]
fn damaged_and_foreign_arrays_are_refused() {
    let whole = to_npy(&ByteArray {
        shape: vec![2, 3],
        values: vec![1; 6],
    })
    .unwrap();
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "{length}");
    }
    let with = |from: &str, to: &str| {
        let at = whole
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        parse(&bytes).unwrap_err()
    };
    for (name, found) in [
        ("'<f4'", "floating-point numbers"),
        ("'|O4'", "Python objects"),
        ("'<U4'", "text"),
        ("'<M8'", "another type"),
        ("[('a'", "a structured array"),
    ] {
        let (expected, was) = with("'|u1'", name);
        assert!(
            expected.starts_with("an array of booleans or integers") && was.starts_with(found),
            "{expected} {was}"
        );
    }
    assert!(with("False", "Maybe").0.starts_with("`fortran_order`"));
    assert_eq!(
        with("(2, 3)", "(9, 9)").0,
        "one byte for each cell of [9, 9]"
    );
    // 8 and 2^61 wrap to nothing where products are not checked
    assert!(parse(&npy("'|u1'", "False", "(8, 2305843009213693952)", &[])).is_err());
    assert_eq!(parse(b"").unwrap_err().1, "an empty file");
    assert!(to_npy(&ByteArray {
        shape: vec![2],
        values: vec![]
    })
    .is_err());
}

/// A file of version 1 as NumPy writes it.
pub(super) fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let padding = 63 - (MAGIC.len() + 4 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
}

#[test]
fn integers_of_every_width_and_byte_order_are_the_same_numbers() {
    for (descr, little) in [
        ("'|u1'", 1),
        ("'|i1'", 1),
        ("'<u2'", 2),
        ("'<i4'", 4),
        ("'<u8'", 8),
        ("'<i8'", 8),
    ] {
        let mut data = Vec::new();
        for value in [0u8, 1, 100, 127] {
            data.push(value);
            data.extend(vec![0; little - 1]);
        }
        let (array, _) = parse(&npy(descr, "False", "(2, 2)", &data)).unwrap();
        assert_eq!(array.values, [0, 1, 100, 127], "{descr}");
        let big: Vec<u8> = data
            .chunks(little)
            .flat_map(|value| value.iter().rev().copied())
            .collect();
        let descr = descr.replace('<', ">");
        let (array, _) = parse(&npy(&descr, "False", "(2, 2)", &big)).unwrap();
        assert_eq!(array.values, [0, 1, 100, 127], "{descr}");
    }
    let booleans = parse(&npy("'|b1'", "False", "(2,)", &[0, 1])).unwrap();
    assert_eq!(booleans.1, Element::Boolean);
    let place = |descr: &str, data: &[u8]| parse(&npy(descr, "False", "(1,)", data)).unwrap_err();
    for (descr, data) in [
        ("'|i1'", vec![255]),
        ("'<i2'", vec![255, 255]),
        ("'<u2'", vec![0, 1]),
        (">u2", vec![1, 0]),
        ("'|b1'", vec![2]),
    ] {
        let descr = if descr.starts_with('\'') {
            descr.to_owned()
        } else {
            format!("'{descr}'")
        };
        assert!(place(&descr, &data).1.contains("place 0"), "{descr}");
    }
}

#[test]
fn fortran_order_and_versions_give_the_array_that_numpy_gives() {
    // numpy.arange(12).reshape(2, 3, 2).ravel(order="F")
    let data = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
    let (array, _) = parse(&npy("'|u1'", "True", "(2, 3, 2)", &data)).unwrap();
    assert_eq!(array.values, (0..12).collect::<Vec<u8>>());
    for shape in ["(3L, 2L)", "(3,2)"] {
        assert_eq!(
            parse(&npy("'|u1'", "False", shape, &[7; 6]))
                .unwrap()
                .0
                .shape,
            [3, 2]
        );
    }
    let (none, _) = parse(&npy("'|u1'", "True", "(0, 4)", &[])).unwrap();
    assert_eq!(none.values, Vec::<u8>::new());
    let (scalar, _) = parse(&npy("'|u1'", "True", "()", &[3])).unwrap();
    assert_eq!((scalar.shape, scalar.values), (vec![], vec![3]));
    let one = npy("\"<u2\"", "False", "(1,)", &[9, 0]);
    for version in [2, 3] {
        let length = u32::from(u16::from_le_bytes([one[8], one[9]])).to_le_bytes();
        let newer = [MAGIC, &[version, 0], &length, &one[10..]].concat();
        assert_eq!(parse(&newer).unwrap().0.values, [9]);
    }
}

#[test]
fn archives_are_unpacked_within_their_limit() {
    use std::io::Write;
    let path = Path::new("maps.npz");
    let archive = |names: &[&str]| {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(*name, options).unwrap();
            zip.write_all(&npy("'|u1'", "False", "(2000,)", &[1; 2000]))
                .unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let bytes = archive(&["0.54.npy", "read me", "0.56.npy"]);
    assert!(is_npz(&bytes) && !is_npy(&bytes));
    let arrays = parse_npz(path, &bytes, 5000).unwrap();
    let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
    assert_eq!(names, ["0.54", "0.56"]);
    let error = parse_npz(path, &bytes, 4000).unwrap_err().to_string();
    assert!(error.contains("at most 4000 bytes"), "{error}");
    assert!(parse_npz(path, &archive(&["a.txt"]), 5000).is_err());
    for length in 0..bytes.len() {
        assert!(parse_npz(path, &bytes[..length], 5000).is_err());
    }
}
