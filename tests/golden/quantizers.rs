//! Quantisers: codes, values, gradients, initial ranges.

use crate::files::{bits, files, floats, integers, number};
use serde_json::Value;
use wcat_explore::code::CodeFormat;
use wcat_explore::quant::{
    expected_error, initial_range, layer_range, ClipGradient, Init, Method, Scheme, Search,
};

fn scheme_of(case: &Value) -> Scheme {
    let clip_gradient = match case.get("clip").and_then(Value::as_str) {
        Some("pwl") => ClipGradient::Pwl,
        Some("mad") => ClipGradient::Mad,
        Some("ste") | None => ClipGradient::Ste,
        Some(other) => panic!("unknown clip gradient {other}"),
    };
    Scheme {
        method: case["quantizer"]
            .as_str()
            .unwrap()
            .parse::<Method>()
            .unwrap(),
        format: CodeFormat::new(
            bits(case["N_bits"].as_u64().unwrap()),
            case["signed"].as_bool().unwrap(),
        )
        .unwrap(),
        clip_gradient,
        grad_scale: case
            .get("use_grad_scaled")
            .and_then(Value::as_bool)
            .unwrap_or(true),
    }
}

fn near(at: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{at}");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let close = (a - b).abs() <= 1e-6 * b.abs() || (a.is_nan() && b.is_nan()) || a == b;
        assert!(close, "{at}[{i}]: {a} is not {b}");
    }
}

/// A value given in full, or by its first 16 and its hash where a case is large.
fn floats_match(at: &str, case: &Value, key: &str, ours: &[f32], hashed: bool) {
    if let Some(all) = case.get(key) {
        near(&format!("{at}: {key}"), ours, &floats(all));
        return;
    }
    let head = floats(&case[&format!("{key}_head")]);
    near(&format!("{at}: {key}_head"), &ours[..head.len()], &head);
    if let Some(hash) = case.get(format!("{key}_sha256")).filter(|_| hashed) {
        let bytes: Vec<u8> = ours.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(
            wcat_explore::store::sha256(&bytes),
            hash.as_str().unwrap(),
            "{at}: {key}_sha256"
        );
    }
}

fn codes_match(at: &str, case: &Value, ours: &[i16]) {
    if let Some(all) = case.get("codes") {
        let ours: Vec<i64> = ours.iter().map(|&c| i64::from(c)).collect();
        assert_eq!(ours, integers(all), "{at}: codes");
        return;
    }
    let head = integers(&case["codes_head"]);
    assert!(
        head.iter().zip(ours).all(|(a, &b)| *a == i64::from(b)),
        "{at}: codes_head"
    );
    let hash = case["codes_sha256"].as_str().unwrap();
    let as_i16: Vec<u8> = ours.iter().flat_map(|c| c.to_le_bytes()).collect();
    let as_i8: Vec<u8> = ours.iter().flat_map(|&c| (c as i8).to_le_bytes()).collect();
    let as_f32: Vec<u8> = ours
        .iter()
        .flat_map(|&c| f32::from(c).to_le_bytes())
        .collect();
    let hashes = [as_i8, as_i16, as_f32].map(|bytes| wcat_explore::store::sha256(&bytes));
    assert!(hashes.iter().any(|h| h == hash), "{at}: codes_sha256");
}

#[test]
fn quantisers_match() {
    for (path, json) in files("quantizers") {
        for (i, case) in json["cases"].as_array().unwrap().iter().enumerate() {
            let at = format!("{path}: case {i} ({})", case["quantizer"].as_str().unwrap());
            let tensor = &json["tensors"][case["tensor"].as_str().unwrap()];
            check_quantiser(
                &at,
                case,
                &floats(&tensor["values"]),
                &floats(&tensor["upstream"]),
            );
        }
    }
}

fn check_quantiser(at: &str, case: &Value, weights: &[f32], upstream: &[f32]) {
    let scheme = scheme_of(case);
    let range = ["init_range", "init_step", "alpha"]
        .iter()
        .find_map(|key| case.get(*key));
    let range = range.map_or(0.0, |value| number(value) as f32);
    let quantized = scheme.quantize(weights, range);
    near(
        &format!("{at}: step"),
        &[quantized.step],
        &[number(&case["step"]) as f32],
    );
    codes_match(at, case, &quantized.codes);
    floats_match(at, case, "dequant", &quantized.values(), true);
    let slopes = scheme.slopes(weights, range);
    let of_weight: Vec<f32> = match &slopes.weight {
        None => upstream.to_vec(),
        Some(slopes) => slopes.iter().zip(upstream).map(|(s, g)| s * g).collect(),
    };
    floats_match(at, case, "grad_weight", &of_weight, false);
    let total: f64 = upstream.iter().map(|g| f64::from(g.abs())).sum();
    match (&slopes.range, &case["grad_range_or_step"]) {
        (Some(slopes), theirs) if !theirs.is_null() => {
            let ours: f64 = slopes
                .iter()
                .zip(upstream)
                .map(|(&s, &g)| f64::from(s) * f64::from(g))
                .sum();
            assert!(
                (ours - number(theirs)).abs() <= 1e-6 * total,
                "{at}: {ours} is not {theirs}"
            );
        }
        (None, theirs) => assert!(theirs.is_null(), "{at}: a range gradient is expected"),
        // lsq: the reference leaves the gradient of the step out
        (Some(_), _) => assert_eq!(scheme.method, Method::Lsq, "{at}"),
    }
}

#[test]
fn initial_ranges_match_and_searches_reach_the_references_minimum() {
    for (path, json) in files("quantizers") {
        for (i, case) in json["cases"].as_array().unwrap().iter().enumerate() {
            let at = format!("{path}: case {i}");
            let weights = floats(&json["tensors"][case["tensor"].as_str().unwrap()]["values"]);
            let scheme = scheme_of(case);
            match case.get("init_method").and_then(Value::as_str) {
                Some("max_abs") => {
                    starts_at(&at, &scheme, &weights, Init::MaxAbs, &case["init_range"])
                }
                Some("SAWB") => starts_at(&at, &scheme, &weights, Init::Sawb, &case["init_range"]),
                Some("MSE") => reaches(&at, &scheme, &weights, 0.0, &case["search"]),
                Some("noisy_MSE") => reaches(&at, &scheme, &weights, 0.001, &case["search"]),
                Some(other) => panic!("{at}: unknown initialisation {other}"),
                None if scheme.method == Method::Lsq => {
                    starts_at(&at, &scheme, &weights, Init::MaxAbs, &case["init_step"])
                }
                None => {}
            }
        }
    }
}

fn starts_at(at: &str, scheme: &Scheme, weights: &[f32], init: Init, expected: &Value) {
    let ours = f64::from(initial_range(scheme, weights, init, 0.0).unwrap().value);
    // SAWB is a small difference of two f32 sums in the reference; ours are f64
    let tolerance = if init == Init::Sawb { 1e-5 } else { 1e-6 };
    let theirs = number(expected);
    assert!(
        (ours / theirs - 1.0).abs() <= tolerance,
        "{at}: {init:?}: {ours} is not {theirs}"
    );
}

fn reaches(at: &str, scheme: &Scheme, weights: &[f32], rate: f64, search: &Value) {
    let (range, least) = Search {
        scheme,
        weights,
        bit_error_rate: rate,
    }
    .minimum();
    assert_eq!(least, expected_error(scheme, weights, range, rate), "{at}");
    let theirs = number(&search["fun"]);
    assert!(
        least <= theirs * (1.0 + 1e-6),
        "{at}: our minimum {least} at {range} is above {theirs}"
    );
}

#[test]
fn per_layer_clipping_matches() {
    for (path, json) in files("quantizers") {
        let rule = &json["plclip_layer_rule"];
        let plclip = number(&rule["plclip"]) as f32;
        let layers = rule["layers"].as_array().unwrap();
        let max = |layer: &Value| number(&layer["max_abs"]) as f32;
        let network = layers.iter().map(max).fold(0.0, f32::max);
        for layer in layers {
            let ours = layer_range(plclip, max(layer), network);
            near(
                &format!("{path}: {}", layer["layer"]),
                &[ours],
                &[number(&layer["alpha"]) as f32],
            );
        }
    }
}
