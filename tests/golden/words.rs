//! Codes, words, flips and Hamming distances.

use crate::files::{bits, files, integers};
use serde_json::Value;
use wcat_explore::code::{self, CodeFormat};

#[test]
fn codes_and_words_match() {
    for (path, json) in files("bitops") {
        for (width, case) in json["bits"].as_object().unwrap() {
            let width: u64 = width.parse().unwrap();
            check_words(&format!("{path}: {width} bits"), width, case);
        }
    }
}

/// `b`-bit two's complement, for `b = 1` too, where our stored format is -1 and +1 instead.
fn check_words(at: &str, width: u64, case: &Value) {
    let b = width as u32;
    let signed = CodeFormat::new(bits(width), true).unwrap();
    let unsigned = CodeFormat::new(bits(width), false).unwrap();
    let encode = |code: i64| (code & ((1 << b) - 1)) as u8;
    if b > 1 {
        assert_eq!(
            i64::from(signed.min()),
            case["Qn"].as_i64().unwrap(),
            "{at}"
        );
        assert_eq!(
            i64::from(signed.max()),
            case["Qp"].as_i64().unwrap(),
            "{at}"
        );
        let codes = integers(&case["codes"]);
        for key in ["int2bin_f32", "int2bin_i16", "quantizer_int2bin"] {
            let words: Vec<i64> = codes
                .iter()
                .map(|&c| i64::from(signed.encode(c as i16)))
                .collect();
            assert_eq!(words, integers(&case[key]), "{at}: {key}");
        }
        let back: Vec<i64> = codes
            .iter()
            .map(|&c| i64::from(signed.decode(signed.encode(c as i16))))
            .collect();
        assert_eq!(back, integers(&case["roundtrip"]), "{at}: roundtrip");
    } else {
        let words: Vec<i64> = [-1, 1].map(|c| i64::from(signed.encode(c))).to_vec();
        assert_eq!(words, integers(&case["pm1_int2bin"]), "{at}: pm1_int2bin");
        let back: Vec<i64> = words
            .iter()
            .map(|&w| i64::from(signed.decode(w as u8)))
            .collect();
        assert_eq!(
            back,
            integers(&case["pm1_roundtrip"]),
            "{at}: pm1_roundtrip"
        );
    }
    let all = &case["bin2int_of_all_uint"];
    let read: Vec<i64> = integers(&all["input"])
        .iter()
        .map(|&w| i64::from(code::sign_extend(w as i16, b)))
        .collect();
    if b > 1 {
        assert_eq!(read, integers(&all["output"]), "{at}: bin2int_of_all_uint");
        for (word, row) in (0..1u16 << b).zip(case["binary_msb_first"].as_array().unwrap()) {
            let msb_first: Vec<i64> = (0..b).rev().map(|bit| i64::from(word >> bit & 1)).collect();
            assert_eq!(msb_first, integers(row), "{at}: binary_msb_first of {word}");
        }
    }
    let plain: Vec<i64> = (0..1 << b)
        .map(|c| i64::from(unsigned.encode(c as i16)))
        .collect();
    assert_eq!(
        plain,
        integers(&case["unsigned_int2bin"]),
        "{at}: unsigned_int2bin"
    );
    let plain: Vec<i64> = (0..1 << b)
        .map(|w| i64::from(unsigned.decode(w as u8)))
        .collect();
    assert_eq!(
        plain,
        integers(&case["unsigned_bin2int"]),
        "{at}: unsigned_bin2int"
    );
    for pair in case["hamming"].as_array().unwrap() {
        let words = |key: &str| {
            integers(&pair[key])
                .into_iter()
                .map(encode)
                .collect::<Vec<u8>>()
        };
        let distance = code::hamming_distance(&words("a"), &words("b")).unwrap();
        assert_eq!(
            distance,
            pair["distance"].as_u64().unwrap(),
            "{at}: hamming"
        );
    }
    check_mask(at, b, signed, &case["apply_mask"]);
}

fn check_mask(at: &str, b: u32, signed: CodeFormat, case: &Value) {
    let rows = case["mask_columns_lsb_first"].as_array().unwrap();
    let words = integers(&case["uint"]);
    let flipped = integers(&case["flipped_uint"]);
    let codes = integers(&case["flipped_code"]);
    let masks = integers(&case["mask_value"]);
    assert!(rows.len() <= words.len());
    for i in 0..words.len() {
        let mut word = words[i] as u8;
        for bit in (0..b).filter(|bit| masks[i] >> bit & 1 == 1) {
            word = code::flip(word, bit);
        }
        assert_eq!(i64::from(word), flipped[i], "{at}: apply_mask {i}");
        assert_eq!(
            i64::from(signed.decode(word)),
            codes[i],
            "{at}: flipped_code {i}"
        );
    }
    for (row, mask) in rows.iter().zip(&masks) {
        let columns = integers(row);
        let value: i64 = columns.iter().enumerate().map(|(bit, on)| on << bit).sum();
        assert_eq!(value, *mask, "{at}: mask, least significant bit first");
    }
}
