//! What the memory holds of a layer: words, and how they read as weights.

use crate::code::{CodeFormat, Word};
use crate::error::{refuse, Result};

/// How codes read as weights: `weight = (code - zero) · step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Difference between the weights of neighbouring codes.
    pub step: f32,
    /// The code that reads as 0, -128 to 255; 0 for every method of our own.
    pub zero: i16,
}

/// Zero points that a file may give: those of signed and of unsigned bytes, which narrower codes keep.
const ZEROS: std::ops::RangeInclusive<i16> = -128..=255;

impl Scale {
    /// A step without a zero point.
    pub fn of_step(step: f32) -> Self {
        Self { step, zero: 0 }
    }

    /// The weight of a code.
    #[inline(always)]
    pub fn weight(self, code: i16) -> f32 {
        f32::from(code - self.zero) * self.step
    }

    /// The weights of the lowest and of the highest code.
    pub fn limits(self, format: CodeFormat) -> (f32, f32) {
        (self.weight(format.min()), self.weight(format.max()))
    }
}

/// What the memory holds of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWeight {
    /// One word per weight, row-major.
    pub words: Vec<Word>,
    /// One for the whole layer, or one for each output channel, the first dimension of the shape.
    pub scales: Vec<Scale>,
    /// Width and sign of the codes.
    pub format: CodeFormat,
    /// Shape of the weight: [out, in/groups, height, width] or [out, in].
    pub shape: Vec<usize>,
}

impl StoredWeight {
    /// Checks words, steps and zero points that were made elsewhere, for the layer of this name.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] that names the layer: words not as many as the shape says or wider than the
    /// format; scales that are neither one nor one for each output channel; a step that is not above 0 or gives weights
    /// that are not finite, a zero point outside -128 to 255, both with their channel.
    pub fn check(&self, layer: &str) -> Result<()> {
        let what = |part: &str| format!("{part} of layer `{layer}`");
        let channels = self.shape.first().copied().unwrap_or(1);
        let weights: Option<usize> = self
            .shape
            .iter()
            .try_fold(1usize, |n, side| n.checked_mul(*side));
        if weights != Some(self.words.len()) {
            let expected = format!("as many as weights of shape {:?}", self.shape);
            let found = self.words.len().to_string();
            return refuse(what("codes"), expected, found);
        }
        let too_wide = |word: &Word| usize::from(*word) >= self.format.patterns();
        if let Some(at) = self.words.iter().position(too_wide) {
            let expected = format!("words of {} bits", self.format.bits());
            let found = format!("{} at index {at}", self.words[at]);
            return refuse(what("codes"), expected, found);
        }
        if self.scales.len() != 1 && self.scales.len() != channels {
            let expected = format!("1, or {channels}, one for each output channel");
            let found = self.scales.len().to_string();
            return refuse(what("steps"), expected, found);
        }
        for (channel, scale) in self.scales.iter().enumerate() {
            let place = match self.scales.len() {
                1 => String::new(),
                _ => format!(" in channel {channel}"),
            };
            if !(scale.step > 0.0 && scale.step.is_finite()) {
                let found = format!("{}{place}", scale.step);
                let expected = "finite numbers above 0";
                return refuse(what("steps"), expected, found);
            }
            if !ZEROS.contains(&scale.zero) {
                let found = format!("{}{place}", scale.zero);
                return refuse(what("zero points"), "-128 to 255", found);
            }
            let (low, high) = scale.limits(self.format);
            if !(low.is_finite() && high.is_finite()) {
                let found = format!("{}{place}", scale.step);
                let expected = "steps that make finite weights of every code";
                return refuse(what("steps"), expected, found);
            }
        }
        Ok(())
    }

    /// Weights that share a scale: all of them, or those of an output channel.
    fn weights_per_scale(&self) -> usize {
        self.words.len() / self.scales.len().max(1)
    }

    /// Something of each weight, cut into the parts that share a scale.
    pub fn by_scale<'a, T>(&'a self, all: &'a [T]) -> impl Iterator<Item = (Scale, &'a [T])> {
        let parts = all.chunks(self.weights_per_scale().max(1));
        self.scales.iter().copied().zip(parts)
    }

    /// How the word at a row-major index reads.
    pub fn scale(&self, index: usize) -> Scale {
        match self.scales.as_slice() {
            [one] => *one,
            several => several[index / self.weights_per_scale()],
        }
    }

    /// The weight that a word reads as at a row-major index.
    pub fn value(&self, index: usize, word: Word) -> f32 {
        self.scale(index).weight(self.format.decode(word))
    }

    /// The weights that words read as, one for each of the layer's.
    pub fn read(&self, words: &[Word]) -> Vec<f32> {
        let mut weights = Vec::with_capacity(words.len());
        for (scale, part) in self.by_scale(words) {
            weights.extend(
                part.iter()
                    .map(|&word| scale.weight(self.format.decode(word))),
            );
        }
        weights
    }

    /// Every weight, in memory order.
    pub fn values(&self) -> Vec<f32> {
        self.read(&self.words)
    }

    /// The step of the whole layer; `None` where output channels have their own.
    pub fn step(&self) -> Option<f32> {
        match self.scales.as_slice() {
            [one] => Some(one.step),
            _ => None,
        }
    }

    /// The lowest and the highest weight that the memory can hold.
    pub fn limits(&self) -> (f32, f32) {
        let mut limits = self.scales.iter().map(|scale| scale.limits(self.format));
        let first = limits.next().unwrap_or_default();
        limits.fold(first, |all, own| (all.0.min(own.0), all.1.max(own.1)))
    }

    /// True where two hold the same, bit for bit.
    pub fn is_same(&self, other: &Self) -> bool {
        let steps = |stored: &Self| -> Vec<u32> {
            stored.scales.iter().map(|s| s.step.to_bits()).collect()
        };
        self == other && steps(self) == steps(other)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::units::Bits;

    /// Two output channels of two signed 4-bit codes each, with steps 0.5 and 0.25 and zero points 0 and -1.
    pub(crate) fn two_channels() -> StoredWeight {
        let format = CodeFormat::new(Bits::new(4).unwrap(), true).unwrap();
        let codes = [7, -8, 3, -1];
        StoredWeight {
            words: codes.map(|code| format.encode(code)).to_vec(),
            scales: vec![
                Scale::of_step(0.5),
                Scale {
                    step: 0.25,
                    zero: -1,
                },
            ],
            format,
            shape: vec![2, 2],
        }
    }

    /// Any codes of a layer of this shape, each output channel with a step and a zero point of its own.
    pub(crate) fn channel_wise(shape: &[usize], bits: u64, signed: bool) -> StoredWeight {
        let format = CodeFormat::new(Bits::new(bits).unwrap(), signed).unwrap();
        let word = |i: usize| (i * i * 7 + i / 3) % format.patterns();
        let middle = (format.max() + format.min()) / 2;
        let scale = |channel: usize| Scale {
            step: 0.5 / format.patterns() as f32 / (1 + channel % 3) as f32,
            zero: middle + channel as i16 % 2,
        };
        StoredWeight {
            words: (0..shape.iter().product())
                .map(|i| word(i) as Word)
                .collect(),
            scales: (0..shape[0]).map(scale).collect(),
            format,
            shape: shape.to_vec(),
        }
    }

    #[test]
    fn words_read_with_step_and_zero_point_of_their_channel() {
        let stored = two_channels();
        assert_eq!(stored.values(), [3.5, -4.0, 1.0, 0.0]);
        // the word of -2 and of -8 in each place
        let other = [14, 8, 14, 8];
        assert_eq!(stored.read(&other), [-1.0, -4.0, -0.25, -1.75]);
        for (index, word) in other.into_iter().enumerate() {
            assert_eq!(stored.value(index, word), stored.read(&other)[index]);
        }
        assert_eq!(stored.limits(), (-4.0, 3.5));
        assert_eq!(stored.step(), None);
        let one = StoredWeight {
            scales: vec![Scale { step: 0.5, zero: 2 }],
            ..stored
        };
        assert_eq!(one.values(), [2.5, -5.0, 0.5, -1.5]);
        assert_eq!((one.step(), one.limits()), (Some(0.5), (-5.0, 2.5)));
    }

    #[test]
    fn unsigned_codes_read_around_their_zero_point() {
        let stored = StoredWeight {
            words: vec![0, 128, 255],
            scales: vec![Scale {
                step: 0.5,
                zero: 128,
            }],
            format: CodeFormat::new(Bits::new(8).unwrap(), false).unwrap(),
            shape: vec![3, 1],
        };
        stored.check("fc").unwrap();
        assert_eq!(stored.values(), [-64.0, 0.0, 63.5]);
    }

    #[test]
    fn what_is_wrong_is_named_with_layer_and_channel() {
        two_channels().check("fc").unwrap();
        let refused = |change: &dyn Fn(&mut StoredWeight), words: &str| {
            let mut stored = two_channels();
            change(&mut stored);
            let error = stored.check("fc").unwrap_err();
            assert!(error.is_wrong_input(), "{error}");
            let error = error.to_string();
            assert!(
                error.contains("layer `fc`") && error.contains(words),
                "{error}"
            );
        };
        refused(&|s| s.words.push(0), "weights of shape [2, 2], found 5");
        refused(&|s| s.shape = vec![usize::MAX, 2], "found 4");
        refused(&|s| s.words[2] = 16, "words of 4 bits, found 16 at index 2");
        refused(&|s| s.scales.push(s.scales[0]), "found 3");
        refused(&|s| s.scales.clear(), "found 0");
        for step in [0.0, -0.5, f32::NAN, f32::INFINITY] {
            let found = format!("above 0, found {step} in channel 1");
            refused(&|s| s.scales[1].step = step, &found);
        }
        refused(&|s| s.scales[1].step = f32::MAX, "finite weights");
        refused(
            &|s| s.scales[0].zero = 256,
            "-128 to 255, found 256 in channel 0",
        );
        refused(&|s| s.scales[0].zero = -129, "found -129 in channel 0");
    }

    #[test]
    fn a_layer_without_weights_has_none() {
        let empty = StoredWeight {
            words: Vec::new(),
            scales: vec![Scale::of_step(0.5)],
            shape: vec![0, 3],
            ..two_channels()
        };
        assert!(empty.values().is_empty());
    }
}
