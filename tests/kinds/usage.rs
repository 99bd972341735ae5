//! What a user types and leaves unset is understood, or answered with what is meant.

use crate::program::Place;

#[test]
fn the_same_model_twice_is_said() {
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    place.write("b.safetensors", place.read("a.safetensors"));
    for second in ["a.safetensors", "b.safetensors"] {
        let files = ["--model", "a.safetensors", "--model", second];
        let sweep = [
            "sweep",
            "-q",
            "--threads",
            "1",
            "--chips",
            "1",
            "--images",
            "10",
            "--voltages",
            "0.9",
            "--fresh",
        ];
        let pack = ["pack", "-q", "--out", "packed"];
        for call in [&sweep[..], &pack] {
            let ended = place.done(&[call, &files].concat());
            let said = format!("the same model twice: a.safetensors and {second}");
            assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        }
        let ended = place.done(&["inspect", "--model", "a.safetensors", "--compare", second]);
        assert!(
            ended.stderr.contains("the same model twice"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn quantize_replaces_nothing_unless_it_is_told_to() {
    let place = Place::new();
    place.write_model("a.safetensors", 32);
    let out = [
        "--no-eval",
        "-q",
        "--model",
        "a.safetensors",
        "--out",
        "q.safetensors",
    ];
    let quantize = |more: &[&str]| place.run(&[&["quantize"], &out[..], more].concat());
    assert_eq!(quantize(&["--bits", "4"]).code, Some(0));
    let first = place.read("q.safetensors");
    // the same again is done already
    assert_eq!(quantize(&["--bits", "4"]).code, Some(0));
    let refused = |more: &[&str]| {
        let before = place.read("q.safetensors");
        let ended = quantize(more);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains("--overwrite"), "{}", ended.stderr);
        assert_eq!(place.read("q.safetensors"), before);
    };
    refused(&["--bits", "3"]);
    assert_eq!(quantize(&["--bits", "3", "--overwrite"]).code, Some(0));
    assert_ne!(place.read("q.safetensors"), first);
    place.write("q.safetensors", "anything else");
    refused(&["--bits", "4"]);
}
