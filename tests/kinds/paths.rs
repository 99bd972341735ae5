//! Paths need not be UTF-8.
#![cfg(unix)]

use crate::program::{Ended, Place};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// A name that is no UTF-8.
fn odd(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// Runs the program with arguments that need not be text.
fn run(place: &Place, args: &[&OsStr]) -> Ended {
    let output = place.command(&[]).args(args).output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The arguments of a line, with `@` for a path that is no UTF-8.
fn arguments<'a>(line: &'a str, path: &'a OsStr) -> Vec<&'a OsStr> {
    let part = |word| if word == "@" { path } else { OsStr::new(word) };
    line.split(' ').map(part).collect()
}

#[track_caller]
fn done(place: &Place, line: &str, path: &OsStr) -> Ended {
    let ended = run(place, &arguments(line, path));
    assert_eq!(ended.code, Some(0), "{line}: {}", ended.stderr);
    ended
}

#[test]
fn every_command_takes_a_model_whose_path_is_no_utf8() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    let model = odd(b"n\xff.safetensors");
    fs::rename(place.path("m.safetensors"), place.folder.join(model)).unwrap();
    for line in [
        "inspect --model @",
        "inspect --model @ --format json --figures figures",
        "eval -q --model @ --images 20",
        "eval -q --model @ --images 20 --ber 0.01 --format csv --export-masks masks",
        "pack --model @ --out packed",
        "attack -q --model @ --out attacked --flips 1 --restarts 1 --batch 10 --images 20",
        "sweep -q --model @ --out swept --chips 1 --voltages 0.9 --images 20",
        "sweep -q --model @ --out swept --chips 2 --voltages 0.9 --images 20 --format json",
        "pareto results/swept",
        "publish results/swept --out doc.md",
    ] {
        done(&place, line, model);
    }
    let record = fs::read_to_string(place.path("results/swept/run.yaml")).unwrap();
    assert!(record.contains(r"n\xff.safetensors"), "{record}");
    assert!(record.contains(r"$'n\xff.safetensors'"), "{record}");
}

#[test]
fn folders_and_results_need_no_utf8() {
    let mut place = Place::new();
    let folder = place.folder.join(odd(b"work\xfe"));
    fs::create_dir(&folder).unwrap();
    place.write_model("float.safetensors", 32);
    let model = folder.join("float.safetensors");
    fs::rename(place.path("float.safetensors"), &model).unwrap();
    let out = folder.join(odd(b"q\xff.safetensors"));
    place.folder = folder;
    let quantize = "quantize -q --model float.safetensors --bits 4 --no-eval --out @";
    done(&place, quantize, out.as_os_str());
    assert!(out.exists());
    done(
        &place,
        "sweep -q --model @ --out s --chips 1 --voltages 0.9 --images 20",
        odd(b"q\xff.safetensors"),
    );
    let training = "train -q --config quickstart --set trainer.epochs=1 --set network.architecture=mlp \
                    --set dataset.glyphs.training_images=100 --set dataset.glyphs.test_images=20 --bits 4 --format table \
                    --out @";
    let ended = done(&place, training, odd(b"t\xff"));
    assert!(
        ended.stdout.contains("best.safetensors"),
        "{}",
        ended.stdout
    );
    let curves = "voltage,faults,cells\n0.6,1000,100000\n0.65,100,100000\n0.7,10,100000\n";
    fs::rename(
        {
            let plain = place.folder.join("plain.csv");
            wcat_explore::store::write_bytes(&plain, curves.as_bytes()).unwrap();
            plain
        },
        place.folder.join(odd(b"c\xff.csv")),
    )
    .unwrap();
    done(
        &place,
        "memory fit @ --unit volt --out fit.yaml",
        odd(b"c\xff.csv"),
    );
}

#[test]
fn what_is_missing_is_named_with_its_bytes() {
    let place = Place::new();
    for line in [
        "inspect --model @",
        "eval --model @",
        "sweep --config @",
        "memory fit @ --out a.yaml",
        "pareto @",
        "publish @ --out a.md",
        "eval --model @ --data-dir @ --dataset mnist",
    ] {
        let ended = run(&place, &arguments(line, odd(b"no\xffthing")));
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(r"no\xffthing"),
            "{line}: {}",
            ended.stderr
        );
    }
    // what the configuration keeps is text
    for line in [
        "sweep --memory @",
        "explore --domains @",
        "sweep --out @",
        "sweep --set @",
    ] {
        let ended = run(&place, &arguments(line, odd(b"a\xff=b")));
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(r"a\xff=b") && ended.stderr.contains("UTF-8"),
            "{line}: {}",
            ended.stderr
        );
    }
}
