//! Tests of the tables as files, and the rows that all tests of this room use.

// files are damaged on purpose here
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::error::Error;
use crate::fault::{ArrayLabel, Protection};
use crate::seed::Seed;
use crate::stats::Interval;
use crate::sweep::{CleanAnswers, Design, Phase, StoppedBy, Timing, Trial, TrialRow, TrialStatus};
use crate::table::{csv_string, frame, json, read, write, DataFrame, MAX_BYTES, SCHEMA};
use crate::units::{Accuracy, BerSource, Bits, ChipId, Metric, VoltageUnit};
use std::fs;
use std::path::{Path, PathBuf};

/// A design point whose energy is the square of its voltage.
pub(crate) fn design(model: &str, method: &str, voltage: f64) -> Design {
    let free = voltage >= 1.0;
    Design {
        design_id: format!("{model}@{voltage}vmin"),
        model: model.into(),
        architecture: "lenet5".into(),
        dataset: "glyphs".into(),
        metric: Metric::Top1,
        method: method.parse().unwrap(),
        bits: Bits::new(8).ok(),
        training_seed: Some(u64::MAX),
        memory: "sram-14nm".into(),
        fault_kind: "flip".parse().unwrap(),
        array: ArrayLabel::Independent,
        protection: Protection::None,
        voltage: Some(voltage),
        voltage_unit: VoltageUnit::Vmin,
        ber: Some(if free { 0.0 } else { 1e-3 / 3.0 }),
        ber_source: if free {
            BerSource::ErrorFree
        } else {
            BerSource::Measured
        },
        access_energy_relative: Some(voltage * voltage),
        domain_voltages: Vec::new(),
        activations: None,
        energy_relative: voltage * voltage,
        energy_pj: None,
        inference_seconds: None,
        area_relative: 1.0,
        clean_accuracy: Accuracy::new(0.95).unwrap(),
    }
}

/// Rows of the trials of a design point on chips 0, 1, ...
pub(crate) fn trials(design: &Design, images: u64, correct: &[u64]) -> Vec<TrialRow> {
    TrialRow::in_order(&timed_trials(design, images, correct))
}

/// The trials themselves.
pub(crate) fn timed_trials(design: &Design, images: u64, correct: &[u64]) -> Vec<Trial> {
    let trial = |(chip, &correct): (usize, &u64)| Trial {
        design_id: design.design_id.clone(),
        chip: ChipId(chip as u32),
        faults: 7 + correct,
        images,
        correct,
        not_finite: 0,
        clean: None,
        strata: None,
        status: TrialStatus::Evaluated,
        seconds: 0.1 + chip as f64,
    };
    correct.iter().enumerate().map(trial).collect()
}

/// Summaries of three design points, with nulls, and the rows of their trials.
fn sample() -> (Vec<Design>, Vec<TrialRow>, Vec<Summary>) {
    let (designs, trials) = timed_sample();
    let rows = TrialRow::in_order(&trials);
    let floor = FloorSpec::default();
    let summaries = summarize(&designs, &rows, floor, StoppedBy::Images, 400, Seed(1)).unwrap();
    (designs, rows, summaries)
}

fn timed_sample() -> (Vec<Design>, Vec<Trial>) {
    let mut designs = vec![
        design("b,\"x\"", "wcat", 0.9),
        design("a", "normal", 1.0),
        design("a", "normal", 0.85),
    ];
    designs[0].training_seed = None;
    designs[0].energy_pj = Some(0.1 + 0.2);
    let mut all = timed_trials(&designs[0], 100, &[80, 90, 100, 70]);
    all.extend(timed_trials(&designs[1], 100, &[95; 4]));
    all.extend(timed_trials(&designs[2], 100, &[95, 94, 93, 33]));
    (designs, all)
}

/// Writes design points in their order.
fn write_designs(path: &Path, designs: &[Design]) -> crate::error::Result<()> {
    let mut designs = designs.to_vec();
    designs.sort_by(Design::in_order);
    write(path, &designs)
}

#[test]
fn every_table_reads_back_as_it_was_written_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let (mut designs, trials, mut summaries) = sample();
    summaries[0].std = None;
    summaries[0].student = None;
    summaries[0].bootstrap = None;
    summaries[0].image_half_width = None;
    summaries[1].mean = 0.1 + 0.2;
    let timings: Vec<Timing> = [Timing {
        phase: Phase::Sweep,
        seconds: 0.25,
        ..Timing::default()
    }]
    .into_iter()
    .chain(timed_sample().1.iter().map(Timing::from))
    .collect();
    for kind in ["parquet", "csv"] {
        let path = |name: &str| folder.path().join(format!("{name}.{kind}"));
        write_designs(&path("designs"), &designs).unwrap();
        designs.sort_by(Design::in_order);
        assert_eq!(read::<Design>(&path("designs")).unwrap(), designs);
        write(&path("trials"), &trials).unwrap();
        assert_eq!(read::<TrialRow>(&path("trials")).unwrap(), trials);
        write(&path("summary"), &summaries).unwrap();
        assert_eq!(read::<Summary>(&path("summary")).unwrap(), summaries);
        write(&path("timing"), &timings).unwrap();
        assert_eq!(read::<Timing>(&path("timing")).unwrap(), timings);
    }
}

#[test]
fn a_two_level_run_has_the_estimate_and_null_for_what_it_cannot_see() {
    let folder = tempfile::tempdir().unwrap();
    let designs = [design("m", "wcat", 0.8), design("m", "wcat", 1.0)];
    let mut all = trials(&designs[0], 100, &[80, 90, 100, 70]);
    all.extend(trials(&designs[1], 100, &[92; 4]));
    for (i, trial) in all.iter_mut().enumerate() {
        // the pilot has fewer images
        trial.images = if i % 4 == 0 { 96 } else { 100 };
        let correct = if i < 4 { [90, 95, 100, 90][i] } else { 92 };
        let changed = correct - trial.correct;
        trial.clean = Some(CleanAnswers { correct, changed });
    }
    let (floor, stop) = (FloorSpec::default(), StoppedBy::Tolerance);
    let summaries = summarize(&designs, &all, floor, stop, 400, Seed(1)).unwrap();
    let means = [-10.0 / 96.0, -5.0 / 100.0, 0.0, -20.0 / 100.0f64];
    let mean = means.iter().sum::<f64>() / 4.0;
    let low = &summaries[0];
    assert!((low.mean - (0.95 + mean)).abs() < 1e-12);
    let deviation = (means.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    // t(0.975, 3) = 3.182446
    assert!((low.student.unwrap().half_width() - 3.182446 * deviation / 2.0).abs() < 1e-6);
    // the choice of images is taken out of the deviation of chips
    assert!(low.std.unwrap() < deviation && low.image_std.unwrap() > 0.0);
    assert_eq!(
        (low.chips, low.images, low.image_evaluations, low.quantiles),
        (4, 100, 396, None)
    );
    // without faults the mean is the clean accuracy on all images, whatever images were looked at
    assert_eq!(
        (
            summaries[1].mean,
            summaries[1].student.unwrap().half_width()
        ),
        (0.95, 0.0)
    );
    for kind in ["parquet", "csv"] {
        let path = |name: &str| folder.path().join(format!("{name}.{kind}"));
        write(&path("trials"), &all).unwrap();
        assert_eq!(read::<TrialRow>(&path("trials")).unwrap(), all);
        write(&path("summary"), &summaries).unwrap();
        assert_eq!(read::<Summary>(&path("summary")).unwrap(), summaries);
    }
    let csv = fs::read_to_string(folder.path().join("trials.csv")).unwrap();
    fs::write(
        folder.path().join("trials.csv"),
        csv.replace(",90,10,0\n", ",90,11,0\n"),
    )
    .unwrap();
    let error = read::<TrialRow>(&folder.path().join("trials.csv"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("trials.csv:2: `changed`: expected numbers that go with 80 of 96 images"),
        "{error}"
    );
    assert!(pareto(&summaries, &all, 0.1, Seed(1)).is_ok());
    let found = answers(&summaries, &all, &Questions::default(), Seed(1)).unwrap();
    assert!(!found.is_empty() && found.iter().all(|answer| answer.loss().is_some()));
    all[1].clean = None;
    let error = summarize(&designs, &all, floor, stop, 400, Seed(1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("on every chip"), "{error}");
}

#[test]
fn tables_without_rows_read_back_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "a.csv"] {
        let path = folder.path().join(name);
        write::<Summary>(&path, &[]).unwrap();
        assert_eq!(read::<Summary>(&path).unwrap(), []);
    }
}

#[test]
fn the_columns_are_those_of_the_contract_in_order() {
    let keys =
        "schema,design_id,model,architecture,dataset,metric,method,bits,training_seed,memory,fault_kind,array,\
                protection,voltage,voltage_unit,ber,ber_source,domain_voltages";
    let (designs, trials, summaries) = sample();
    let names = |frame: DataFrame| {
        frame
            .get_column_names()
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    let summary =
        "chips,mean,std,ci_low,ci_high,boot_low,boot_high,min,p05,median,p95,max,floor,yield,yield_low,\
                   yield_high,energy_relative,energy_pj,area_relative,stopped_by,images,test_images,image_half_width,\
                   image_evaluations,image_std,\
                   clean_accuracy,access_energy_relative,not_finite";
    assert_eq!(
        names(frame(&summaries).unwrap()),
        format!("{keys},{summary}")
    );
    assert!(csv_string(&summaries)
        .unwrap()
        .starts_with(&format!("{keys},{summary}\n")));
    let costs = "clean_accuracy,access_energy_relative,energy_relative,energy_pj,area_relative";
    assert_eq!(names(frame(&designs).unwrap()), format!("{keys},{costs}"));
    let rows = trials;
    assert_eq!(
        names(frame(&rows).unwrap()),
        "schema,design_id,chip,faults,images,correct,accuracy,status,clean_correct,changed,not_finite"
    );
}

#[test]
fn json_has_null_where_a_value_is_missing_and_the_csv_nothing() {
    let (_, _, summaries) = sample();
    let records = json(&summaries).unwrap();
    let (first, last) = (&records[0], &records[2]);
    assert_eq!(first["energy_pj"], serde_json::Value::Null);
    assert_eq!(last["energy_pj"], 0.1 + 0.2);
    assert_eq!(last["training_seed"], serde_json::Value::Null);
    assert_eq!(first["training_seed"], u64::MAX);
    assert_eq!(
        (&first["schema"], &first["stopped_by"]),
        (&SCHEMA.into(), &"images".into())
    );
    let csv = csv_string(&summaries).unwrap();
    let last = csv.lines().last().unwrap();
    assert!(
        last.starts_with(
            "5,\"b,\"\"x\"\"@0.9vmin\",\"b,\"\"x\"\"\",lenet5,glyphs,top1,wcat,8,,sram-14nm,"
        ),
        "{last}"
    );
}

#[test]
fn equal_rows_are_equal_bytes_whatever_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let summaries = sample().2;
    let (mut designs, mut trials) = timed_sample();
    let bytes = |designs: &[Design], trials: &[Trial]| {
        let path = |name: &str| folder.path().join(name);
        write_designs(&path("d.parquet"), designs).unwrap();
        write_designs(&path("d.csv"), designs).unwrap();
        write(&path("t.parquet"), &TrialRow::in_order(trials)).unwrap();
        let (floor, rows) = (FloorSpec::default(), trials.iter().map(TrialRow::from));
        let rows: Vec<TrialRow> = rows.collect();
        let again = summarize(designs, &rows, floor, StoppedBy::Images, 400, Seed(1)).unwrap();
        assert_eq!(again, summaries);
        write(&path("s.parquet"), &again).unwrap();
        ["d.parquet", "d.csv", "t.parquet", "s.parquet"].map(|name| fs::read(path(name)).unwrap())
    };
    let first = bytes(&designs, &trials);
    for _ in 0..5 {
        assert_eq!(first, bytes(&designs, &trials));
    }
    designs.reverse();
    trials.reverse();
    trials.iter_mut().for_each(|trial| trial.seconds *= 2.0);
    assert_eq!(first, bytes(&designs, &trials));
}

/// Writes the sample summary as CSV with one text replaced, and reads it.
fn edited(from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.csv");
    let csv = csv_string(&sample().2[..2]).unwrap();
    assert!(csv.contains(from), "{csv}");
    fs::write(&path, csv.replacen(from, to, 1)).unwrap();
    let error = read::<Summary>(&path).unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "{error:?}");
    error
        .to_string()
        .replace(&format!("{}", path.display()), "s.csv")
}

#[test]
fn wrong_cells_are_refused_with_line_and_column() {
    for (from, to, message) in [
        ("\n5,a@", "\n6,a@", "s.csv:2: `schema`: expected version 3 to 5, found 6 (of a newer program)"),
        ("\n5,a@1vmin", "\n3,a@1vmin", "s.csv:3: `schema`: expected version 5, as in the first row, found 3"),
        (
            ",not_finite\n",
            ",infinite\n",
            "s.csv: `infinite`: expected only the columns of this table, found a column of this name",
        ),
        (",0\n", ",401\n", "s.csv:2: `not_finite`: expected at most the 400 of `image_evaluations`, found Some(401)"),
        (
            "schema,design_id,",
            "schema,name,",
            "s.csv: `design_id`: expected a column of this name, found none",
        ),
        (",median,", ",middle,", "s.csv: `median`: expected a column of this name, found none"),
        (",0.85,vmin", ",nan,vmin", "s.csv:2: `voltage`: expected a number from 0 to 100, found NaN"),
        (",0.85,vmin", ",0,vmin", "s.csv:2: `voltage`: expected a number above 0 and at most 100, found 0"),
        (",0.85,vmin", ",low,vmin", "s.csv:2: `voltage`: expected a number from 0 to 100, found `low`"),
        (
            ",0.85,vmin",
            ",,vmin",
            "s.csv:2: `voltage`: expected a voltage, or one for each domain in `domain_voltages`, found nothing",
        ),
        (",top1,", ",,", "s.csv:2: `metric`: expected a text that is not empty, found nothing"),
        (
            ",top1,",
            ",snr:0,",
            "s.csv:2: `metric`: expected top1, top5, agreement, or snr:DECIBELS of 1 to 120, found `snr:0`",
        ),
        (",0.85,vmin", ",0.85,mile", "s.csv:2: `voltage_unit`: expected one of vmin, volt, found `mile`"),
        (",normal,8,", ",normal,9,", "s.csv:2: `bits`: expected 1 to 8, or 32 for no quantisation, found 9"),
        (",normal,8,", ",normal,-8,", "s.csv:2: `bits`: expected a whole number from 0, found `-8`"),
        (",measured,,4,", ",measured,,0,", "s.csv:2: `chips`: expected at least 1, found 0"),
        ("a@1vmin", "a@0.85vmin", "s.csv: expected one row for each design_id, found two for \"a@0.85vmin\""),
    ] {
        assert_eq!(edited(from, to), message);
    }
    assert!(edited(",median,", ",median,more,")
        .contains("`more`: expected only the columns of this table"));
}

#[test]
fn a_parquet_table_of_other_columns_is_refused_with_the_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let (designs, _, summaries) = sample();
    write_designs(&path, &designs).unwrap();
    let error = read::<TrialRow>(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("`chip`: expected a column of this name, found none"),
        "{error}"
    );
    write(&path, &summaries).unwrap();
    let error = read::<Design>(&path).unwrap_err().to_string();
    assert!(error.ends_with(
        "`chips`: expected only the columns of this table, found a column of this name"
    ));
}

#[test]
fn a_table_of_an_older_version_is_refused_by_its_version_though_it_lacks_columns() {
    use polars::prelude::{Column, ParquetWriter};
    let folder = tempfile::tempdir().unwrap();
    let message = |name: &str| {
        let path = folder.path().join(name);
        read::<Summary>(&path)
            .unwrap_err()
            .to_string()
            .replace(&format!("{}", path.display()), name)
    };
    let mut frame = frame(&sample().2).unwrap().drop("test_images").unwrap();
    let ones: Vec<u64> = vec![1; frame.height()];
    use polars::prelude::NamedFrom;
    let old: Column = polars::prelude::Series::new("schema".into(), ones).into();
    frame.with_column(old).unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    fs::write(folder.path().join("s.parquet"), bytes).unwrap();
    fs::write(
        folder.path().join("s.csv"),
        "schema,design_id,images\n1,a@1vmin,100\n",
    )
    .unwrap();
    for name in ["s.parquet", "s.csv"] {
        let so =
            "expected version 3 to 5 (the same `sweep` with `--fresh` computes and writes it anew)";
        assert_eq!(message(name), format!("{name}: `schema`: {so}, found 1"));
    }
}

#[test]
fn tables_of_schema_3_are_read_as_top_1_and_count_nothing_that_is_not_finite() {
    use polars::prelude::{Column, NamedFrom, ParquetWriter, Series};
    let folder = tempfile::tempdir().unwrap();
    let (_, trials, summaries) = sample();
    let of_version = |version: u64, mut frame: DataFrame| {
        let path = folder.path().join("t.parquet");
        let versions: Column = Series::new("schema".into(), vec![version; frame.height()]).into();
        frame.with_column(versions).unwrap();
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    };
    let without = |frame: DataFrame| frame.drop_many(["not_finite", "metric"]);
    let mut expected = summaries.clone();
    expected.iter_mut().for_each(|row| row.not_finite = None);
    let path = of_version(3, without(frame(&summaries).unwrap()));
    assert_eq!(read::<Summary>(&path).unwrap(), expected);
    let mut rows = trials;
    let path = of_version(3, without(frame(&rows).unwrap()));
    rows.iter_mut().for_each(|row| row.not_finite = None);
    assert_eq!(read::<TrialRow>(&path).unwrap(), rows);
    let csv = folder.path().join("s.csv");
    let old = csv_string(&expected).unwrap();
    let old = old.replace("\n5,", "\n3,").replace(",not_finite\n", "\n");
    let old = old.replace(",metric,", ",").replace(",top1,", ",");
    fs::write(&csv, old.replace(",\n", "\n")).unwrap();
    assert_eq!(read::<Summary>(&csv).unwrap(), expected);
    // the column belongs to the version, neither more nor less
    let message = |path: &Path| read::<Summary>(path).unwrap_err().to_string();
    assert!(message(&of_version(4, without(frame(&summaries).unwrap())))
        .contains("`not_finite`: expected a column of tables of version 4 on, found none"));
    assert!(message(&of_version(3, frame(&summaries).unwrap()))
        .contains("found it in one of version 3"));
}

#[test]
fn what_is_not_finite_is_summed_over_chips_and_lies_among_the_wrong() {
    let design = design("m", "wcat", 0.8);
    let mut all = trials(&design, 100, &[80, 90]);
    (all[0].not_finite, all[1].not_finite) = (Some(20), Some(1));
    let sum = |trials: &[TrialRow]| {
        let (floor, stop) = (FloorSpec::default(), StoppedBy::Chips);
        let designs = std::slice::from_ref(&design);
        summarize(designs, trials, floor, stop, 100, Seed(1)).unwrap()[0].not_finite
    };
    assert_eq!(sum(&all), Some(21));
    let folder = tempfile::tempdir().unwrap();
    for name in ["t.csv", "t.parquet"] {
        let path = folder.path().join(name);
        write(&path, &all).unwrap();
        let read = read::<TrialRow>(&path).unwrap();
        assert_eq!(
            [read[0].not_finite, read[1].not_finite],
            [Some(20), Some(1)]
        );
    }
    all[0].not_finite = Some(21);
    let error = write(&folder.path().join("t.csv"), &all).unwrap_err();
    assert!(error
        .to_string()
        .contains("`not_finite`: expected at most the 20"));
}

#[test]
fn a_parquet_column_of_another_type_is_refused() {
    use polars::prelude::{Column, ParquetWriter};
    let path = tempfile::tempdir().unwrap().keep().join("t.parquet");
    let rows = sample().1;
    let write = |column: Column| {
        let mut frame = frame(&rows).unwrap();
        frame.with_column(column).unwrap();
        ParquetWriter::new(
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)
                .unwrap(),
        )
        .finish(&mut frame)
        .unwrap();
        read::<TrialRow>(&path)
            .unwrap_err()
            .to_string()
            .replace(&format!("{}", path.display()), "t")
    };
    use polars::prelude::NamedFrom;
    let new = |name: &str, xs: Vec<f64>| polars::prelude::Series::new(name.into(), xs).into();
    assert_eq!(
        write(new("faults", vec![1.0; rows.len()])),
        "t: `faults`: expected a column of unsigned 64-bit integers, found one of f64"
    );
    assert_eq!(
        write(new("accuracy", vec![f64::NAN; rows.len()])),
        "t: `accuracy`: expected a number from 0 to 1, found NaN in row 1"
    );
    let wrong = write(new("accuracy", vec![0.5; rows.len()]));
    assert!(
        wrong.starts_with("t: `accuracy`: expected correct / images = 0.95, found 0.5 in row"),
        "{wrong}"
    );
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn values_that_no_reader_takes_are_not_written() {
    let path = PathBuf::from("/nonexistent/never.parquet");
    let mut designs = sample().0;
    designs[0].ber = Some(f64::NAN);
    let error = write_designs(&path, &designs).unwrap_err().to_string();
    assert_eq!(
        error,
        "column `ber`: expected a number from 0 to 0.5, found NaN"
    );
}

#[test]
fn a_table_cut_at_any_byte_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trials, summaries) = sample();
    let cut = |name: &str, write: &dyn Fn(&Path), read: &dyn Fn(&Path) -> Option<Error>| {
        let path = folder.path().join(name);
        write(&path);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let text_line_end = name.ends_with(".csv") && length > 0 && whole[length - 1] == b'\n';
            match read(&path) {
                Some(error) => {
                    assert!(matches!(error, Error::Input { .. }), "{length}: {error:?}");
                    assert!(error.to_string().contains(name), "{error}");
                }
                None => assert!(text_line_end, "{length} bytes of {name} were accepted"),
            }
        }
    };
    cut("t.parquet", &|p| write(p, &trials).unwrap(), &|p| {
        read::<TrialRow>(p).err()
    });
    cut("s.parquet", &|p| write(p, &summaries).unwrap(), &|p| {
        read::<Summary>(p).err()
    });
    cut("s.csv", &|p| write(p, &summaries).unwrap(), &|p| {
        read::<Summary>(p).err()
    });
    let missing = read::<Summary>(&folder.path().join("no.parquet")).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }));
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.parquet");
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    file.set_len(MAX_BYTES + 1).unwrap();
    assert!(read::<Summary>(&path)
        .unwrap_err()
        .to_string()
        .contains("of at most 1073741824 bytes"));
}

#[test]
fn the_pareto_table_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trials, summaries) = sample();
    let computed = pareto(&summaries, &trials, 0.1, Seed(1)).unwrap();
    for name in ["pareto.csv", "pareto.parquet"] {
        let path = folder.path().join(name);
        write(&path, &computed.rows()).unwrap();
        assert_eq!(read_pareto(&path, &summaries).unwrap(), computed);
        assert!(read_pareto(&path, &summaries[1..])
            .unwrap_err()
            .to_string()
            .contains("`a@0.85vmin`"));
    }
    let records = json(&computed.rows()).unwrap();
    assert_eq!(records[0]["kind"], "hypervolume");
    assert_eq!(
        (&records[0]["of_method"], &records[0]["chance"]),
        (&serde_json::Value::Null, &0.1.into())
    );
    assert_eq!(
        (&records[1]["kind"], &records[1]["method"]),
        (&"frontier".into(), &"normal".into())
    );
    let rows = records.as_array().unwrap();
    assert_eq!(
        rows.iter().filter(|row| row["kind"] == "saving").count(),
        2 * SAVING_LOSSES.len()
    );
}

fn run(name: &str, memory: &str) -> Run {
    let (_, trials, mut summaries) = sample();
    summaries
        .iter_mut()
        .for_each(|summary| summary.design.memory = memory.into());
    Run {
        name: name.into(),
        summaries,
        trials,
        energies: Vec::new(),
    }
}

#[test]
fn merged_runs_keep_apart_what_they_share_and_warn_of_what_differs() {
    let mut other = run("two", "sram-28nm");
    let mine = "own@0.5vmin";
    other.summaries[0].design.design_id = mine.into();
    other
        .trials
        .iter_mut()
        .filter(|t| t.design_id == "a@0.85vmin")
        .for_each(|t| t.design_id = mine.into());
    let merged = merge(vec![run("one", "sram-14nm"), other]).unwrap();
    let ids: Vec<&str> = merged
        .summaries
        .iter()
        .map(|s| s.design.design_id.as_str())
        .collect();
    let (b1, b2) = ("one/b,\"x\"@0.9vmin", "two/b,\"x\"@0.9vmin");
    assert_eq!(
        ids,
        ["a@0.85vmin", mine, "one/a@1vmin", "two/a@1vmin", b1, b2]
    );
    assert_eq!(merged.warnings.len(), 1);
    assert!(merged.warnings[0].starts_with("memory models differ (sram-14nm, sram-28nm): "));
    // trials went with their design points
    pareto(&merged.summaries, &merged.trials, 0.1, Seed(1)).unwrap();
    assert_eq!(
        merge(vec![run("one", "m")]).unwrap().warnings,
        Vec::<String>::new()
    );
}

#[test]
fn runs_that_cannot_be_compared_are_not_merged() {
    let message = |runs: Vec<Run>| merge(runs).unwrap_err().to_string();
    assert_eq!(message(vec![]), "runs: expected at least one, found none");
    assert_eq!(
        message(vec![run("x", "m"), run("x", "m")]),
        "runs: expected each name once, found `x` twice"
    );
    let mut cifar = run("y", "m");
    cifar.summaries[1].design.dataset = "cifar10".into();
    assert_eq!(
        message(vec![run("x", "m"), cifar]),
        "runs: expected one data set, found cifar10, glyphs"
    );
    let mut volts = run("y", "m");
    volts.summaries[1].design.voltage_unit = VoltageUnit::Volt;
    assert!(message(vec![run("x", "m"), volts]).contains("found two for `m`"));
}

#[test]
fn a_run_is_read_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quick-1f");
    let (_, trials, summaries) = sample();
    write(&path.join(names::SUMMARY), &summaries).unwrap();
    let unfinished = read_run(&path).unwrap_err();
    assert!(matches!(&unfinished, Error::Missing { path, .. } if path.ends_with(names::TRIALS)));
    write(&path.join(names::TRIALS), &trials).unwrap();
    let run = read_run(&path).unwrap();
    assert_eq!(
        (run.name.as_str(), run.summaries, run.trials),
        ("quick-1f", summaries, trials)
    );
}

#[test]
fn intervals_with_one_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.csv");
    let mut summary = sample().2[0].clone();
    summary.student = Some(Interval {
        low: 0.25,
        high: 0.75,
    });
    write(&path, &[summary]).unwrap();
    let csv = fs::read_to_string(&path).unwrap();
    fs::write(&path, csv.replace(",0.25,0.75,", ",0.25,,")).unwrap();
    let error = read::<Summary>(&path).unwrap_err().to_string();
    assert!(
        error.contains("s.csv:2: `ci_low`: expected both ends"),
        "{error}"
    );
}

#[test]
fn a_parquet_file_with_any_byte_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let (_, trials, _) = sample();
    write(&path, &trials).unwrap();
    let (whole, rows) = (fs::read(&path).unwrap(), read::<TrialRow>(&path).unwrap());
    let mut unsealed = 0;
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        match read::<TrialRow>(&path) {
            Err(error) => assert!(matches!(error, Error::Input { .. }), "{place}: {error:?}"),
            Ok(read) => {
                // only the words before the checksum can change: the file then counts as another writer's
                assert_eq!(read, rows, "{place}");
                unsealed += 1;
            }
        }
    }
    assert!(unsealed <= 40, "{unsealed}");
}

#[test]
fn a_parquet_file_of_another_writer_is_read() {
    use polars::prelude::ParquetWriter;
    let mut bytes = Vec::new();
    let rows = sample().1;
    ParquetWriter::new(&mut bytes)
        .finish(&mut frame(&rows).unwrap())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    fs::write(&path, bytes).unwrap();
    assert_eq!(read::<TrialRow>(&path).unwrap(), rows);
}
