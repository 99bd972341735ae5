//! A transformer by the engine: tokens on the kernels.

use super::super::plan::Kernel;
use super::*;

#[test]
fn a_transformer_has_the_logits_of_plain_candle_and_no_step_but_kernels() {
    let tiny: Architecture = "deit_tiny".parse().unwrap();
    let images = images(tiny, 2);
    let mut wide = Vec::new();
    for isa in Isa::available() {
        let evaluator = evaluator(tiny, 8, isa);
        let calls = &evaluator.engine.as_ref().unwrap().plan.calls;
        assert!(!calls
            .iter()
            .any(|call| matches!(call.kernel, Kernel::General(_))));
        let flips: Vec<(usize, Word)> =
            sign_flips(&evaluator, 8).into_iter().step_by(997).collect();
        let fast = logits(&evaluator, &flips, &images);
        assert!(
            near(&fast, &plain_logits(&evaluator, &flips, &images)),
            "{isa}"
        );
        let alone = images.select(&[1]).unwrap();
        assert_eq!(logits(&evaluator, &flips, &alone)[0], fast[1], "{isa}");
        if isa != Isa::Portable {
            wide.push(fast);
        }
    }
    assert!(wide.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn fault_sets_of_a_transformer_score_as_each_alone() {
    let tiny: Architecture = "deit_tiny".parse().unwrap();
    let (evaluator, images) = (evaluator(tiny, 4, Isa::current()), images(tiny, 1));
    let last = evaluator.words().len() - 5;
    let sets = [
        Vec::new(),
        vec![(5, evaluator.words()[5] ^ 8)],
        vec![(last, evaluator.words()[last] ^ 8)],
    ];
    let scores = evaluator.faulty_each(&sets, &images).unwrap();
    let whole = evaluator.multiplications().unwrap() as u64;
    assert!(scores.multiplications.unwrap() < 2 * whole + whole / 100);
    assert_eq!(scores.scores[0], evaluator.clean(&images).unwrap());
    for (set, score) in sets.iter().zip(&scores.scores) {
        assert_eq!(*score, evaluator.faulty(set, &images).unwrap());
    }
}
