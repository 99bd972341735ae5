//! Which bits of a layer an attack would flip: by gradient, in the direction that raises the loss.

use crate::code::{CodeFormat, Word};
use std::cmp::Ordering;

/// Factor by which the gradient of a weight becomes that of bit `bit` of its code: `2^bit`, for the sign
/// `-2^(b-1)`; codes of one signed bit are -1 and +1, 2 apart. (Rakin et al., ICCV 2019; the step is in the
/// gradient or the same for all bits of the layer.)
fn bit_factor(format: CodeFormat, bit: u32) -> f32 {
    let power = (1u32 << bit) as f32;
    match (format.signed(), format.bits()) {
        (true, 1) => 2.0,
        (true, bits) if bit == bits - 1 => -power,
        _ => power,
    }
}

/// Weight and bit of everything in a layer that raises the loss to first order, among the `k_top` weights of greatest
/// |gradient|: greatest gradient of the bit first, equal ones by weight and bit. Gradients that are not numbers
/// count for nothing.
pub(super) fn ranked(
    format: CodeFormat,
    words: &[Word],
    gradients: &[f32],
    k_top: usize,
) -> Vec<(usize, u32)> {
    let by_size = |a: &usize, b: &usize| -> Ordering {
        gradients[*b]
            .abs()
            .total_cmp(&gradients[*a].abs())
            .then(a.cmp(b))
    };
    let finite = gradients
        .iter()
        .enumerate()
        .filter(|(_, gradient)| gradient.is_finite());
    let mut weights: Vec<usize> = finite.map(|(weight, _)| weight).collect();
    if k_top < weights.len() {
        weights.select_nth_unstable_by(k_top, by_size);
        weights.truncate(k_top);
    }
    let mut bits: Vec<(f32, usize, u32)> = Vec::new();
    for weight in weights {
        for bit in 0..format.bits() {
            let gradient = gradients[weight] * bit_factor(format, bit);
            let is_one = words[weight] >> bit & 1 == 1;
            if (gradient > 0.0 && !is_one) || (gradient < 0.0 && is_one) {
                bits.push((gradient.abs(), weight, bit));
            }
        }
    }
    bits.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    bits.into_iter()
        .map(|(_, weight, bit)| (weight, bit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{flip, tests::formats};
    use crate::units::Bits;

    #[test]
    fn a_bit_is_offered_where_its_flip_moves_the_weight_along_the_gradient_and_ranks_by_how_far() {
        for format in formats() {
            for word in 0..format.patterns() as u16 {
                let word = word as Word;
                let change = |bit| {
                    f32::from(format.decode(flip(word, bit))) - f32::from(format.decode(word))
                };
                for gradient in [0.5, -0.25] {
                    let offered = ranked(format, &[word], &[gradient], 1);
                    let mut expected: Vec<u32> = (0..format.bits())
                        .filter(|bit| change(*bit) * gradient > 0.0)
                        .collect();
                    expected.sort_by(|a, b| change(*b).abs().total_cmp(&change(*a).abs()));
                    let expected: Vec<(usize, u32)> =
                        expected.into_iter().map(|bit| (0, bit)).collect();
                    assert_eq!(offered, expected, "{format:?} {word:b} {gradient}");
                }
            }
        }
    }

    #[test]
    fn only_the_weights_of_greatest_gradient_are_looked_at_and_ties_go_to_the_lowest_index() {
        let format = CodeFormat::new(Bits::new(1).unwrap(), false).unwrap();
        let gradients = [1.0, 3.0, -3.0, 3.0, f32::NAN, 0.0, f32::INFINITY];
        let words = [0, 0, 1, 0, 0, 0, 0];
        assert_eq!(ranked(format, &words, &gradients, 2), [(1, 0), (2, 0)]);
        assert_eq!(
            ranked(format, &words, &gradients, 100),
            [(1, 0), (2, 0), (3, 0), (0, 0)]
        );
        // 2 · 2 of one weight and 4 · 1 of another are equal
        let format = CodeFormat::new(Bits::new(3).unwrap(), false).unwrap();
        let order = [(1, 2), (0, 2), (1, 1), (0, 1), (1, 0), (0, 0)];
        assert_eq!(ranked(format, &[0, 0], &[1.0, 2.0], 2), order);
    }

    #[test]
    fn nothing_is_offered_without_a_gradient() {
        let format = CodeFormat::new(Bits::new(4).unwrap(), true).unwrap();
        assert!(ranked(format, &[3, 9], &[0.0, -0.0], 2).is_empty());
        assert!(ranked(format, &[], &[], 5).is_empty());
    }
}
