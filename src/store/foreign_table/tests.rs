//! Facts that foreign tables hold: delimiters, decimal signs, headers and comments of other programs.

use super::*;

fn table(text: &str) -> ForeignTable<'_> {
    ForeignTable::new(Path::new("t.csv"), text, "a header").unwrap()
}

fn error(text: &str) -> String {
    let table = match ForeignTable::new(Path::new("t.csv"), text, "a header") {
        Ok(table) => table,
        Err(error) => return error.to_string(),
    };
    let wrong = table.rows().find_map(Result::err);
    wrong.unwrap().to_string()
}

#[test]
fn delimiters_headers_and_comments_are_found() {
    for (text, columns, rows) in [
        ("a,b\n1,2\n", vec!["a", "b"], vec![(2, vec!["1", "2"])]),
        (
            "a, x;b\n0,5;2\n",
            vec!["a, x", "b"],
            vec![(2, vec!["0,5", "2"])],
        ),
        (
            "a\tb\r\n\r\n1\t\r\n",
            vec!["a", "b"],
            vec![(3, vec!["1", ""])],
        ),
        (
            "a (V) b\n 1  2 \n",
            vec!["a (V)", "b"],
            vec![(2, vec!["1", "2"])],
        ),
        (
            "\"a\"\"x\",b\n\"1,5\", \"2\" \n",
            vec!["a\"x", "b"],
            vec![(2, vec!["1,5", "2"])],
        ),
        ("SEP=|\na|b\n1|2", vec!["a", "b"], vec![(3, vec!["1", "2"])]),
        (
            "% a b\n1 2\n// c\n3 4\n",
            vec!["a", "b"],
            vec![(2, vec!["1", "2"]), (4, vec!["3", "4"])],
        ),
        (
            "a,b\nmV,-\n1,2\n3\n",
            vec!["a (mV)", "b"],
            vec![(3, vec!["1", "2"]), (4, vec!["3"])],
        ),
        ("a\n1\n", vec!["a"], vec![(2, vec!["1"])]),
        ("a,b\rx,2\r", vec!["a", "b"], vec![(2, vec!["x", "2"])]),
    ] {
        let table = table(text);
        assert_eq!(table.columns(), columns, "{text}");
        let found: Vec<_> = table.rows().map(Result::unwrap).collect();
        let found: Vec<(usize, Vec<&str>)> = found
            .iter()
            .map(|row| (row.line, row.cells.iter().map(AsRef::as_ref).collect()))
            .collect();
        assert_eq!(found, rows, "{text}");
    }
    let said = table("# x: 1,,\na,b\n1,2\n\"# y: 2\",\n");
    assert_eq!(said.comments(), [(1, "x: 1"), (4, "y: 2")]);
}

#[test]
fn what_is_no_table_is_named_with_its_line() {
    let long = format!("a,b\n{}\n", "1".repeat(LONGEST_LINE + 1));
    let comments = "#\n".repeat(MOST_COMMENTS + 1);
    for (text, message) in [
        ("", "t.csv: expected a header, found an empty file"),
        ("# a,b\n", "t.csv: expected a header, found no header"),
        ("1,2\n", "t.csv:1: expected a header, found `1,2`"),
        (
            "a,b\n1,2,3\n",
            "t.csv:2: expected 2 fields as in the header",
        ),
        (
            "a,b\n\"1,2\n",
            "t.csv:2: expected cells whose quotes end on their line",
        ),
        (
            "a,b\n\"1\"x,2\n",
            "t.csv:2: expected cells whose quotes end on their line",
        ),
        (&long, "t.csv:2: expected lines of at most 65536 bytes"),
        (
            &comments,
            "t.csv:100001: expected at most 100000 comment lines",
        ),
    ] {
        let error = error(text);
        assert!(error.starts_with(message), "{error}");
    }
    assert!(error(&format!("a,b{}\n", ",c".repeat(1000))).contains("at most 1000 columns"));
}

#[test]
fn numbers_are_read_where_they_have_one_reading() {
    let points = "v;n\n0.5;1\n";
    let commas = "v;n\n0,5;1\n";
    let both = "v;n\n0,5;0.5\n";
    let none = "v;n\n5;1\n";
    for (file, text, size, expected) in [
        (points, "0.54", Size::Small, Some(0.54)),
        (points, "1,050", Size::Small, Some(1050.0)),
        (commas, "1,050", Size::Small, Some(1.05)),
        (none, "1,050", Size::Small, Some(1.05)),
        (none, "1.050", Size::Any, Some(1.05)),
        (both, "1.050", Size::Any, None),
        (none, "1,050", Size::Any, None),
        (none, "1.050", Size::Count, None),
        (points, "1.050", Size::Count, Some(1.05)),
        (commas, "1.050", Size::Count, Some(1050.0)),
        (none, "1.000.000", Size::Count, Some(1e6)),
        (none, "1,000.5", Size::Count, Some(1000.5)),
        (none, "1.000,5", Size::Count, Some(1000.5)),
        (none, "1'000'000", Size::Count, Some(1e6)),
        (none, "1\u{202f}000,25", Size::Count, Some(1000.25)),
        (none, "1_000", Size::Count, Some(1000.0)),
        (none, "10,00,000", Size::Count, None),
        (none, "1.00.000,5", Size::Any, None),
        (none, "+7.6E-03", Size::Any, Some(0.0076)),
        (none, "-.5", Size::Any, Some(-0.5)),
        (none, "−5.", Size::Any, Some(-5.0)),
        (none, "1.000e3", Size::Count, Some(1000.0)),
        (none, "1e999", Size::Any, None),
        (none, "nan", Size::Any, None),
        (none, "inf", Size::Any, None),
        (none, "", Size::Any, None),
        (none, ".", Size::Any, None),
        (none, "1 00", Size::Any, None),
    ] {
        let found = table(file).number(text, size).ok();
        let found = found.and_then(|number| number.times_ten_to(0));
        assert_eq!(found, expected, "{text} in {file}");
    }
    let table = table(none);
    let number = |text| table.number(text, Size::Count).unwrap();
    // rounded once, to the number that 0.5401 is
    assert_eq!(number("540.1").times_ten_to(-3), Some(0.5401));
    assert_eq!(
        (
            number("540 mV").unit,
            number("0.5%").unit,
            number("1e3V").unit
        ),
        ("mV", "%", "V")
    );
    assert_eq!(
        number("9007199254740993").whole(u64::MAX),
        Some(9_007_199_254_740_993)
    );
    assert_eq!(
        (number("1e6").whole(1_000_000), number("1e6").whole(999_999)),
        (Some(1_000_000), None)
    );
    assert_eq!(
        (
            number("480.0").whole(480),
            number("1.5").whole(9),
            number("-1").whole(9)
        ),
        (Some(480), None, None)
    );
}

#[test]
fn dates_and_versions_show_no_decimal_sign() {
    let text = "when;what;v;n\n12.05.2024;1.2.3;5;1\n2024-05-01;v1,2,3;6;2\n";
    assert_eq!(table(text).marks, Marks::default());
}

#[test]
fn words_of_headers_are_compared_without_their_form() {
    for (header, expected) in [
        ("Fail_Count", "failcount"),
        (" BER (%) ", "berpct"),
        ("Voltage [µV]", "voltagemicrov"),
        ("Number of cells", "numbercells"),
        ("error rate in %", "errorratepct"),
    ] {
        assert_eq!(word(header), expected);
    }
    assert_eq!(excerpt(" "), "nothing");
    assert_eq!(
        excerpt("a\u{1b}[0m\"b\u{202e}"),
        "`a\\u{1b}[0m\"b\\u{202e}`"
    );
    assert!(excerpt(&"x".repeat(100)).ends_with("x... (60 characters left out)`"));
}
