//! The messages are the contract: each is held as a whole.

use super::{resolve, to_yaml, wrong_key, Layer};
use crate::error::Result;
use crate::units::Ber;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    #[serde(default)]
    seed: u64,
    quantizer: Quantizer,
    #[serde(default)]
    models: Vec<Model>,
    #[serde(default)]
    rate: Option<Ber>,
    #[serde(default)]
    shape: Option<(u32, u32)>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quantizer {
    method: Method,
    bits: u8,
    #[serde(default)]
    learning_rate: f64,
    #[serde(default)]
    signed: bool,
    #[serde(default)]
    init: Option<Init>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Normal,
    Lsq,
    Wcat,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Init {
    MaxAbs {},
    Mse { steps: u32 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: String,
}

const BASE: &str = "\
# the base
seed: 1
quantizer:
  method: wcat
  bits: 4
models:
  - name: a
  - name: b
";

fn document(text: &str) -> Layer {
    Layer::built_in("base", text).unwrap()
}

fn run(text: &str, sets: &[&str]) -> Result<Run> {
    let mut layers = vec![document(BASE), Layer::built_in("mine", text)?];
    for set in sets {
        layers.push(Layer::set(set)?);
    }
    resolve(&layers)
}

fn refusal(text: &str, sets: &[&str]) -> String {
    let error = run(text, sets).unwrap_err();
    assert!(error.is_wrong_input(), "{error}");
    error.to_string()
}

// ---- merging ----

#[test]
fn later_layers_override_earlier_ones_key_by_key() {
    let run = run(
        "quantizer: {bits: 2}\nnotes: {x: y}\n",
        &["quantizer.bits=8", "seed=7"],
    )
    .unwrap();
    assert_eq!(
        (run.seed, run.quantizer.bits, run.quantizer.method),
        (7, 8, Method::Wcat)
    );
    assert_eq!(run.notes["x"], "y");
    assert_eq!(run.models.len(), 2);
}

#[test]
fn lists_and_null_replace_what_was_there() {
    assert_eq!(
        run("models: [{name: c}]", &[]).unwrap().models,
        [Model { name: "c".into() }]
    );
    assert_eq!(run("rate: 0.1", &["rate=null"]).unwrap().rate, None);
    assert_eq!(run("rate: 0.1", &["rate="]).unwrap().rate, None);
    assert_eq!(
        refusal("quantizer:\n", &[]),
        "mine (built in):1: `quantizer.method`: expected a value, found none"
    );
}

#[test]
fn a_set_takes_scalars_lists_mappings_and_makes_what_is_missing() {
    let sets = [
        "models=[{name: c}]",
        "quantizer.init={kind: mse}",
        "quantizer.init.steps=3",
        "shape=[3, 4]",
    ];
    let run = run("", &sets).unwrap();
    assert_eq!(run.models[0].name, "c");
    assert_eq!(run.quantizer.init, Some(Init::Mse { steps: 3 }));
    assert_eq!(run.shape, Some((3, 4)));
    let alone: Run = resolve(&[
        Layer::set("quantizer.method=lsq").unwrap(),
        Layer::set(" quantizer.bits = 1").unwrap(),
        Layer::set("notes.a=b=c").unwrap(),
    ])
    .unwrap();
    assert_eq!(
        (alone.quantizer.method, alone.quantizer.bits),
        (Method::Lsq, 1)
    );
    assert_eq!(alone.notes["a"], "b=c");
}

#[test]
fn a_set_reaches_list_items_by_index() {
    assert_eq!(run("", &["models.1.name=x"]).unwrap().models[1].name, "x");
    assert_eq!(
        refusal("", &["models.2.name=x"]),
        "--set models.2.name=x: `models.2`: expected an index from 0 to 1, found `2`"
    );
    assert_eq!(
        refusal("", &["models.name=x"]),
        "--set models.name=x: expected an index from 0 to 1, found `name`"
    );
    assert_eq!(
        refusal("models: []", &["models.0.name=x"]),
        "--set models.0.name=x: `models.0`: expected no index (the list is empty), found `0`"
    );
}

#[test]
fn empty_documents_are_empty_layers() {
    for text in ["", "\n", "# only a comment\n", "---\n", "{}"] {
        assert_eq!(run(text, &[]).unwrap().seed, 1, "{text:?}");
    }
}

#[test]
fn aliases_are_followed() {
    let run = run("notes: {x: &long word, y: *long}", &[]).unwrap();
    assert_eq!(run.notes["y"], "word");
}

#[test]
fn the_resolved_configuration_reads_back_as_itself() {
    let first = run(
        "rate: 0.001\nquantizer: {init: {kind: max_abs}}",
        &["shape=[1,2]"],
    )
    .unwrap();
    let text = to_yaml(&first).unwrap();
    assert!(text.contains("  learning_rate: 0.0\n"), "{text}");
    let again: Run = resolve(&[document(&text)]).unwrap();
    assert_eq!(again, first);
}

// ---- wrong keys and values ----

#[test]
fn unknown_keys_list_the_known_ones() {
    assert_eq!(
        refusal("\nquantizer:\n  # comment\n  bit: 4\n", &[]),
        "mine (built in):4: `quantizer.bit`: expected one of the keys `method`, `bits`, `learning_rate`, \
         `signed`, `init`, found `bit` (did you mean `bits`?)"
    );
    assert_eq!(
        refusal("models: [{name: a}, {name: b, colour: red}]", &[]),
        "mine (built in):1: `models.1.colour`: expected the key `name`, found `colour`"
    );
    assert_eq!(
        refusal("", &["quantizer.bit=4"]),
        "--set quantizer.bit=4: expected one of the keys `method`, `bits`, `learning_rate`, `signed`, `init`, \
         found `bit` (did you mean `bits`?)"
    );
    assert_eq!(
        refusal("", &["quantizer={bitwidths: 4}"]),
        "--set quantizer={bitwidths: 4}: `quantizer.bitwidths`: expected one of the keys `method`, `bits`, \
         `learning_rate`, `signed`, `init`, found `bitwidths`"
    );
}

#[test]
fn unknown_keys_with_commas_and_quotes_are_found() {
    for key in ["bits, learning.", "bit`", "`, expected 1"] {
        let error = refusal(&format!("quantizer:\n  '{key}': 4\n"), &[]);
        let start = format!(
            "mine (built in):2: `quantizer.{key}`: expected one of the keys `method`, `bits`, "
        );
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn keys_unknown_to_a_tagged_enum_are_named() {
    assert_eq!(
        refusal("quantizer:\n  init:\n    kind: mse\n    step: 3\n", &[]),
        "mine (built in):4: `quantizer.init.step`: expected the key `steps`, found `step` (did you mean \
         `steps`?)"
    );
    assert_eq!(
        refusal("quantizer:\n  init: {kind: max_abs, steps: 3}\n", &[]),
        "mine (built in):2: `quantizer.init.steps`: expected no key, found `steps`"
    );
    assert_eq!(
        refusal("quantizer:\n  init: {steps: 3}\n", &[]),
        "mine (built in):2: `quantizer.init.kind`: expected a value, found none"
    );
}

#[test]
fn unknown_names_list_the_known_ones() {
    assert_eq!(
        refusal("quantizer:\n  method: wcta\n", &[]),
        "mine (built in):2: `quantizer.method`: expected one of `normal`, `lsq`, `wcat`, found `wcta`"
    );
    assert_eq!(
        refusal("quantizer:\n  method: wcats\n", &[]),
        "mine (built in):2: `quantizer.method`: expected one of `normal`, `lsq`, `wcat`, found `wcats` (did you \
         mean `wcat`?)"
    );
    assert_eq!(
        refusal("quantizer: {init: {kind: sawb}}", &[]),
        "mine (built in):1: `quantizer.init.kind`: expected one of `max_abs`, `mse`, found `sawb`"
    );
}

#[test]
fn missing_keys_name_the_mapping_that_lacks_them() {
    assert_eq!(
        resolve::<Run>(&[document("seed: 1\nquantizer:\n  bits: 4\n")])
            .unwrap_err()
            .to_string(),
        "base (built in):2: `quantizer.method`: expected a value, found none"
    );
    assert_eq!(
        refusal("models: [{name: a}, {}]", &[]),
        "mine (built in):1: `models.1.name`: expected a value, found none"
    );
    let layers = [
        document("seed: 1\n"),
        Layer::set("quantizer.bits=3").unwrap(),
    ];
    assert_eq!(
        resolve::<Run>(&layers).unwrap_err().to_string(),
        "--set quantizer.bits=3: `quantizer.method`: expected a value, found none"
    );
    assert_eq!(
        resolve::<Run>(&[document("seed: 1\n")])
            .unwrap_err()
            .to_string(),
        "base (built in):1: `quantizer`: expected a value, found none"
    );
    for layers in [vec![], vec![Layer::set("seed=1").unwrap()]] {
        assert_eq!(
            resolve::<Run>(&layers).unwrap_err().to_string(),
            "configuration: `quantizer`: expected a value, found none"
        );
    }
}

#[test]
fn wrong_types_are_said_in_plain_words() {
    for (text, message) in [
        (
            "seed: -1",
            "`seed`: expected a whole number, 0 or more, found `-1`",
        ),
        (
            "seed: 1.5",
            "`seed`: expected a whole number, 0 or more, found `1.5`",
        ),
        (
            "seed: [1]",
            "`seed`: expected a whole number, 0 or more, found a list of 1 item",
        ),
        (
            "quantizer: {bits: 300}",
            "`quantizer.bits`: expected a whole number from 0 to 255, found `300`",
        ),
        (
            "quantizer: {bits: four}",
            "`quantizer.bits`: expected a whole number from 0 to 255, found the text `four`",
        ),
        (
            "quantizer: {signed: yes}",
            "`quantizer.signed`: expected `true` or `false`, found the text `yes`",
        ),
        (
            "quantizer: {method: 3}",
            "`quantizer.method`: expected a name, found `3`",
        ),
        (
            "quantizer: wcat",
            "`quantizer`: expected keys with values, found the text `wcat`",
        ),
        (
            "models: {name: a}",
            "`models`: expected a list, found keys with values",
        ),
        (
            "models: [a]",
            "`models.0`: expected keys with values, found the text `a`",
        ),
        ("notes: {x: 1}", "`notes.x`: expected text, found `1`"),
        (
            "shape: [1]",
            "`shape`: expected a list of 2 items, found a list of 1 item",
        ),
        (
            "quantizer: {learning_rate: high}",
            "`quantizer.learning_rate`: expected a number, found the text `high`",
        ),
    ] {
        assert_eq!(
            refusal(text, &[]),
            format!("mine (built in):1: {message}"),
            "{text}"
        );
    }
}

#[test]
fn checked_types_refuse_what_no_number_is() {
    for (value, found) in [
        ("1.5", "1.5"),
        (".nan", "NaN"),
        (".inf", "inf"),
        ("-.inf", "-inf"),
    ] {
        assert_eq!(
            refusal(&format!("rate: {value}"), &[]),
            format!(
                "mine (built in):1: `rate`: expected a number from 0 to 1 (bit error rate), found {found}"
            )
        );
    }
    assert_eq!(
        refusal("seed: .nan", &[]),
        "mine (built in):1: `seed`: expected a whole number, 0 or more, found `.nan`"
    );
}

#[test]
fn the_last_layer_that_sets_the_key_is_named() {
    let text = "quantizer: {bits: nine}";
    assert_eq!(
        refusal(text, &["seed=2"]),
        "mine (built in):1: `quantizer.bits`: expected a whole number from 0 to 255, found the text `nine`"
    );
    assert_eq!(
        refusal(text, &["quantizer.bits=ten", "seed=2"]),
        "--set quantizer.bits=ten: expected a whole number from 0 to 255, found the text `ten`"
    );
    assert!(run(text, &["quantizer.bits=1"]).is_ok());
    let bad_base = [
        document("quantizer:\n  bits: x\n"),
        document("quantizer: {method: lsq}"),
    ];
    assert_eq!(
        resolve::<Run>(&bad_base).unwrap_err().to_string(),
        "base (built in):2: `quantizer.bits`: expected a whole number from 0 to 255, found the text `x`"
    );
}

#[test]
fn checks_across_keys_name_the_layer_too() {
    let layers = [document(BASE), Layer::set("quantizer.bits=5").unwrap()];
    assert_eq!(
        wrong_key(&layers, "quantizer.bits", "2, 4 or 8 with `sawb`", "`5`").to_string(),
        "--set quantizer.bits=5: expected 2, 4 or 8 with `sawb`, found `5`"
    );
    assert_eq!(
        wrong_key(&layers, "quantizer.method", "`lsq`", "`wcat`").to_string(),
        "base (built in):4: `quantizer.method`: expected `lsq`, found `wcat`"
    );
    assert_eq!(
        wrong_key(&layers, "models.1.range", "a range", "none").to_string(),
        "base (built in):8: `models.1.range`: expected a range, found none"
    );
}

// ---- wrong documents ----

fn document_refusal(text: &str) -> String {
    let error = Layer::built_in("mine", text).unwrap_err();
    assert!(error.is_wrong_input(), "{error}");
    error.to_string()
}

#[test]
fn files_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    let shown = path.display();
    crate::store::write_bytes(&path, b"seed: 1\nquantizer:\n  method: lsq\n  bits: 4.5\n").unwrap();
    let layer = Layer::file(&path).unwrap();
    assert_eq!(
        resolve::<Run>(&[layer]).unwrap_err().to_string(),
        format!("{shown}:4: `quantizer.bits`: expected a whole number from 0 to 255, found `4.5`")
    );
    crate::store::write_bytes(&path, &vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(
        Layer::file(&path).unwrap_err().to_string(),
        format!(
            "{shown}: expected a configuration file of at most 1048576 bytes, found 1048577 bytes"
        )
    );
    crate::store::write_bytes(&path, b"seed: \xff").unwrap();
    assert_eq!(
        Layer::file(&path).unwrap_err().to_string(),
        format!("{shown}: expected a configuration file as UTF-8 text, found other bytes")
    );
    assert_eq!(
        Layer::file(Path::new("no/such.yaml"))
            .unwrap_err()
            .to_string(),
        "no/such.yaml: not found (expected a configuration file)"
    );
}

#[test]
fn a_document_that_is_no_mapping_is_refused() {
    assert_eq!(
        document_refusal("\n- a\n- b\n"),
        "mine (built in):2: expected keys with values at the top level, found a list of 2 items"
    );
    assert_eq!(
        document_refusal("hello"),
        "mine (built in):1: expected keys with values at the top level, found the text `hello`"
    );
}

#[test]
fn a_key_given_twice_is_refused_at_its_second_line() {
    assert_eq!(
        document_refusal("seed: 1\nmodels: []\nseed: 2\n"),
        "mine (built in):3: `seed`: expected each key once, found this key twice"
    );
    assert_eq!(
        document_refusal("quantizer:\n  bits: 1\n  method: lsq\n  bits: 2\n"),
        "mine (built in):4: `quantizer.bits`: expected each key once, found this key twice"
    );
    assert_eq!(
        document_refusal("models:\n- {name: a, name: b}\n"),
        "mine (built in):2: `models.0.name`: expected each key once, found this key twice"
    );
}

#[test]
fn text_that_is_no_yaml_is_refused_at_its_line() {
    assert_eq!(
        document_refusal("seed: 1\nquantizer: a: b\n"),
        "mine (built in):2: expected YAML, found mapping values are not allowed in this context"
    );
    assert_eq!(
        document_refusal("a: *nothing\n"),
        "mine (built in):1: expected YAML, found unknown anchor"
    );
    assert_eq!(
        document_refusal("a: 1\n---\nb: 2\n"),
        "mine (built in): expected YAML, found deserializing from YAML containing more than one document is \
         not supported"
    );
    assert_eq!(
        document_refusal("a:\n  1: x\n"),
        "mine (built in):2: `a`: expected keys that are text, found integer `1`"
    );
    assert_eq!(
        document_refusal("a: !lsq {bits: 4}\n"),
        "mine (built in):1: `a`: expected a value without a tag, found the tag `!lsq`"
    );
}

#[test]
fn documents_that_unpack_or_nest_without_measure_are_refused() {
    let billion: String = std::iter::once("a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((b'b'..=b'k').map(|c| {
            let (this, before) = (char::from(c), char::from(c - 1));
            format!(
                "{this}: &{this} [{}]\n",
                vec![format!("*{before}"); 9].join(", ")
            )
        }))
        .collect();
    assert_eq!(
        document_refusal(&billion),
        "mine (built in): expected YAML, found repetition limit exceeded"
    );
    let square = format!(
        "a: &a [{}]\nb: [{}]\n",
        "x, ".repeat(100_000),
        "*a, ".repeat(100_000)
    );
    let message = document_refusal(&square);
    assert!(message.contains("`b.9"), "{message}");
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        "*a, ".repeat(50_000)
    );
    assert!(document_refusal(&long).contains("aliases that unpack to millions"));
    let deep = format!("a: {}\n", "[".repeat(10_000));
    assert!(
        document_refusal(&deep).contains("lists and mappings in each other"),
        "{}",
        document_refusal(&deep)
    );
    let deep = format!("a: {}{}\n", "[".repeat(500), "]".repeat(500));
    assert_eq!(
        document_refusal(&deep),
        "mine (built in):1: expected at most 100 lists and mappings in each other, found more"
    );
}

// ---- wrong arguments ----

#[test]
fn a_set_without_key_or_value_is_refused() {
    for (set, message) in [
        ("seed", "--set seed: expected key.path=value, found no `=`"),
        ("", "--set : expected key.path=value, found no `=`"),
        (
            "=4",
            "--set =4: expected key.path=value, found an empty key",
        ),
        (
            "a..b=4",
            "--set a..b=4: expected key.path=value, found an empty key",
        ),
        (
            "a.=4",
            "--set a.=4: expected key.path=value, found an empty key",
        ),
        (
            "a={b: 1, b: 2}",
            "--set a={b: 1, b: 2}: `a.b`: expected each key once, found this key twice",
        ),
    ] {
        let error = Layer::set(set).unwrap_err();
        assert!(error.is_wrong_input());
        assert_eq!(error.to_string(), message);
    }
    let error = Layer::set("a=[1").unwrap_err().to_string();
    assert!(
        error.starts_with(
            "--set a=[1: expected YAML, found something else (did not find expected ',' or ']')"
        ),
        "{error}"
    );
    let deep = format!("{}=1", vec!["a"; 33].join("."));
    let message = Layer::set(&deep).unwrap_err().to_string();
    assert!(
        message.ends_with("expected a path of at most 32 keys, found 33 keys"),
        "{message}"
    );
}

#[test]
fn a_key_is_taken_out_of_a_document_where_it_is_there() {
    let layer = Layer::built_in("a", "a: { b: 1, c: 2 }\nd: [1]\n").unwrap();
    for absent in ["a.x", "x.b", "a.b.c", "d.0"] {
        assert!(layer.clone().without(absent).sets("a.b"), "{absent}");
    }
    let less = layer.without("a.b");
    assert!(!less.sets("a.b") && less.sets("a.c") && less.sets("d.0"));
}
