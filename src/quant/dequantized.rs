//! Float weights that quantise to given words: what stands for the floats where only codes were kept.
//!
//! Steps of `normal` and ranges of `plclip` follow the largest weight, so that one is kept beside the words. It is
//! kept for every method: then the weights made of words and largest weight give these two again.

use super::layer::max_abs;
use super::scheme::Scheme;
use crate::code::Word;

impl Scheme {
    /// The magnitude of the largest weight of a layer, below 0 only where no word is that of the positive weight. A
    /// function of words, magnitude and range alone. The weights are finite and the words are theirs.
    pub fn largest(&self, weights: &[f32], words: &[Word], range: f32) -> f32 {
        let most = max_abs(weights);
        let positive = self.quantize(&[most], range).codes;
        if words
            .iter()
            .any(|&word| positive.contains(&self.format.decode(word)))
        {
            most
        } else {
            -most
        }
    }

    /// Weights that quantise to these words under the range, none larger than `largest`, which is the first with its
    /// code: `code · step`, cut to the magnitude of `largest`. `None` where no word is that of `largest`.
    ///
    /// The words come back where some weights of that largest magnitude had them: codes rise with the weight, and a
    /// weight that is cut lies between the one that had the code and `code · step`.
    pub fn floats(&self, words: &[Word], largest: f32, range: f32) -> Option<Vec<f32>> {
        let (of_largest, most) = (self.quantize(&[largest], range), largest.abs());
        let step = of_largest.step;
        let first = words
            .iter()
            .position(|&word| of_largest.codes.contains(&self.format.decode(word)))?;
        let weight = |&word: &Word| {
            let code = self.format.decode(word);
            // without a step a code other than 0 is a sign alone
            let size = if step > 0.0 {
                f32::from(code.abs()) * step
            } else {
                most
            };
            f32::from(code.signum()) * size.min(most)
        };
        let mut weights: Vec<f32> = words.iter().map(weight).collect();
        weights[first] = largest;
        Some(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::tests::formats;
    use crate::quant::{ClipGradient, Method};
    use crate::seed::{Purpose, Seed};

    fn schemes() -> impl Iterator<Item = Scheme> {
        Method::ALL.into_iter().flat_map(|method| {
            let scheme = move |format| Scheme {
                method,
                format,
                clip_gradient: ClipGradient::Ste,
                grad_scale: true,
            };
            formats().map(scheme)
        })
    }

    /// Words, step and largest weight of weights, which must come back from words and largest weight.
    #[track_caller]
    fn comes_back(scheme: &Scheme, weights: &[f32], range: f32) {
        let words_of = |weights: &[f32]| -> (Vec<Word>, u32) {
            let quantized = scheme.quantize(weights, range);
            (
                quantized
                    .codes
                    .iter()
                    .map(|&c| scheme.format.encode(c))
                    .collect(),
                quantized.step.to_bits(),
            )
        };
        let (words, step) = words_of(weights);
        let largest = scheme.largest(weights, &words, range);
        let floats = scheme.floats(&words, largest, range).unwrap();
        assert_eq!(
            words_of(&floats),
            (words.clone(), step),
            "{scheme:?} {range} {weights:?} {floats:?}"
        );
        assert_eq!(max_abs(&floats).to_bits(), max_abs(weights).to_bits());
        let again = scheme.largest(&floats, &words, range);
        assert_eq!(
            again.to_bits(),
            largest.to_bits(),
            "{scheme:?} {range} {weights:?} {floats:?}"
        );
    }

    #[test]
    fn words_step_and_largest_weight_come_back_from_words_and_largest_weight() {
        let mut stream = Seed(5).stream(Purpose::Test, &[]);
        let normal: Vec<f32> = stream
            .normal_tensor(0.2, (300,))
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let negative: Vec<f32> = normal.iter().map(|w| -w.abs()).collect();
        let positive: Vec<f32> = normal.iter().map(|w| w.abs()).collect();
        for scheme in schemes() {
            for weights in [&normal, &negative, &positive] {
                // as many weights as leave codes without a weight, and those that use every code
                for n in [1, 2, 3, 7, 300] {
                    for range in [1e-3, 0.05, 0.1, 0.3, 0.7, 5.0] {
                        comes_back(&scheme, &weights[..n], range);
                    }
                }
            }
        }
    }

    #[test]
    fn ties_halves_zeros_and_the_smallest_numbers_come_back() {
        let tiny = f32::from_bits(1);
        for scheme in schemes() {
            for range in [0.0, 0.5, 1.0, 8.0, f32::MIN_POSITIVE] {
                for weights in [
                    &[0.0, -0.0, 0.0][..],
                    &[-0.0],
                    &[1.0, -1.0],
                    &[-1.0, 1.0, 1.0],
                    &[-0.99, 1.0, 0.99],
                    &[0.99, -1.0, 0.5, -0.5],
                    &[-5.5, 5.5, 0.5, 1.5, 2.5],
                    &[5.5, 5.5],
                    &[tiny, -tiny, 0.0],
                    &[3.0 * tiny, -5.0 * tiny],
                    &[f32::MAX, -f32::MAX, 1.0],
                    &[f32::MIN_POSITIVE, -f32::MIN_POSITIVE],
                ] {
                    comes_back(&scheme, weights, range);
                }
            }
        }
    }

    #[test]
    fn there_are_no_weights_where_no_word_is_that_of_the_largest() {
        for scheme in schemes().filter(|scheme| scheme.format.bits() > 1) {
            let words = [scheme.format.encode(0); 3];
            assert_eq!(scheme.floats(&words, 1.0, 0.5), None, "{scheme:?}");
            assert_eq!(scheme.floats(&[], 0.0, 0.5), None);
        }
    }
}
