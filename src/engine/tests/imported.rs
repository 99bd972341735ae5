//! Networks of ONNX files by the engine against plain candle.

use super::super::plan::Kernel;
use super::*;
use crate::net::Model;
use std::path::{Path, PathBuf};

/// Our own file of grouped convolutions, and those of networks in the folder that `WCAT_ONNX_DIR` names, else the one beside
/// the project, and those beside it, where there is such a folder.
fn files() -> Vec<PathBuf> {
    let named = std::env::var_os("WCAT_ONNX_DIR").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from("../shared/networks/onnx"));
    let required = std::env::var_os("WCAT_REQUIRE_DATA").is_some();
    let own = PathBuf::from("tests/onnx/grouped/model.onnx");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        assert!(!required, "{} is not there", folder.display());
        return vec![own];
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path().join("model.onnx"))
        .chain(["kws_dscnn.onnx", "ic_resnet8.onnx"].map(|name| folder.join("..").join(name)))
        .filter(|file| file.is_file())
        .collect();
    files.push(own);
    files.sort();
    files
}

/// An evaluator of a file's network, float layers with 8 bits, and some images.
fn of_file(file: &Path, isa: Isa, arithmetic: Arithmetic) -> (Evaluator, Images) {
    let quantizer = QuantizerSpec {
        method: Method::Normal,
        bits: Bits::new(8).unwrap(),
        ..QuantizerSpec::default()
    };
    let model = Model::load(file, &Device::Cpu).unwrap();
    let network = model.quantized(&quantizer).unwrap().network;
    let shape = network.input_shape();
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let values = (0..7 * shape.iter().product::<usize>()).map(|_| stream.normal() as f32);
    let labels = (0..7).map(|i| i % network.classes() as u32).collect();
    let images = Images::new(values.collect(), shape, labels, &Device::Cpu).unwrap();
    (Evaluator::with(network, isa, arithmetic).unwrap(), images)
}

/// Bits of words all over the memory, some hundreds where there are as many.
fn flips(evaluator: &Evaluator) -> Vec<(usize, Word)> {
    let words = evaluator.words();
    let step = (words.len() / 300).max(1);
    (0..words.len())
        .step_by(step)
        .map(|index| (index, crate::code::flip(words[index], (index % 3) as u32)))
        .collect()
}

/// True for networks that round activations, a step up or down where sums differ in the last bit.
fn rounds(file: &Path) -> bool {
    let name = file.to_string_lossy();
    name.contains("resnet8_q") || name.contains("brevitas")
}

/// Largest distance of two lists of logits, as a share of the largest logit.
fn distance(fast: &[Vec<f32>], plain: &[Vec<f32>]) -> f32 {
    assert_eq!(fast.len(), plain.len());
    let scale = plain.iter().flatten().fold(0f32, |max, x| x.abs().max(max));
    let pairs = fast.iter().flatten().zip(plain.iter().flatten());
    pairs.fold(0f32, |far, (a, b)| far.max((a - b).abs())) / scale
}

#[test]
fn imported_networks_have_the_logits_of_plain_candle_clean_and_faulty() {
    for file in files() {
        for (isa, arithmetic) in kernels() {
            let (evaluator, images) = of_file(&file, isa, arithmetic);
            let flips = flips(&evaluator);
            let name = file.to_string_lossy();
            if ["vit_tiny", "grouped"].iter().any(|own| name.contains(own)) {
                let calls = &evaluator.engine.as_ref().unwrap().plan.calls;
                assert!(!calls
                    .iter()
                    .any(|call| matches!(call.kernel, Kernel::General(_))));
            }
            for faults in [&[][..], &flips] {
                let fast = logits(&evaluator, faults, &images);
                let plain = plain_logits(&evaluator, faults, &images);
                let far = distance(&fast, &plain);
                let most = if rounds(&file) { 0.05 } else { 1e-4 };
                assert!(far < most, "{} {isa} {arithmetic}: {far}", file.display());
            }
        }
    }
}

#[test]
fn imported_networks_give_the_same_on_any_number_of_threads_and_each_change_alone() {
    for file in files() {
        let (evaluator, images) = of_file(&file, Isa::current(), Arithmetic::current());
        let flips = flips(&evaluator);
        let sets: Vec<Vec<(usize, Word)>> = flips.chunks(60).map(<[_]>::to_vec).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let each = evaluator.faulty_each(&sets, &images).unwrap();
                (
                    each.scores,
                    evaluator.faulty_in_turn(&sets, &images).unwrap(),
                )
            })
        };
        let (each, in_turn) = on(1);
        assert_eq!(on(3), (each.clone(), in_turn.clone()), "{}", file.display());
        for (at, set) in sets.iter().enumerate() {
            let alone = evaluator.faulty(set, &images).unwrap();
            assert_eq!(each[at], alone, "{} {at}", file.display());
            let so_far = evaluator.faulty(&sets[..=at].concat(), &images).unwrap();
            assert_eq!(in_turn[at], so_far, "{} {at}", file.display());
        }
        let one = images.select(&[6]).unwrap();
        let alone = logits(&evaluator, &flips, &one);
        assert_eq!(
            alone[0],
            logits(&evaluator, &flips, &images)[6],
            "{}",
            file.display()
        );
    }
}
