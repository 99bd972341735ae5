//! Values rounded to the levels of a code.

/// Levels `code · step` for whole codes from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// From a level to the next.
    pub step: f32,
    /// The least code.
    pub low: f32,
    /// The greatest code.
    pub high: f32,
    /// Bits of a code, at most 16; in two's complement where codes may be negative.
    pub bits: u32,
}

impl Levels {
    /// The same over another range: what the greatest of them stands for.
    pub fn over(self, range: f32) -> Self {
        Self {
            step: range / self.high,
            ..self
        }
    }

    /// Puts the nearest level in the place of each value, of two the one of even code; NaN stays.
    #[inline(always)]
    pub fn round(&self, values: &mut [f32]) {
        let inverse = 1.0 / self.step;
        for value in values {
            let code = (*value * inverse).round_ties_even();
            *value = code.clamp(self.low, self.high) * self.step;
        }
    }

    /// The bits of the code of a level, as they are stored; NaN is stored as 0.
    pub fn bits_of(&self, level: f32) -> u16 {
        let code = (level / self.step).round_ties_even() as i32;
        code as u16 & self.mask()
    }

    /// What these bits stand for; that of a code that no value is rounded to is beyond the levels.
    pub fn level_of(&self, bits: u16) -> f32 {
        let bits = bits & self.mask();
        let sign = 1 << (self.bits - 1);
        let code = i32::from(bits);
        if self.low < 0.0 && bits & sign != 0 {
            return (code - (1 << self.bits)) as f32 * self.step;
        }
        code as f32 * self.step
    }

    fn mask(&self) -> u16 {
        u16::MAX >> (16 - self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_code_and_what_is_beyond_to_the_last() {
        let levels = Levels {
            step: 0.5,
            low: -3.0,
            high: 3.0,
            bits: 3,
        };
        let codes = |level| {
            (
                levels.bits_of(level),
                levels.level_of(levels.bits_of(level)),
            )
        };
        assert_eq!(codes(-1.5), (0b101, -1.5));
        assert_eq!(codes(1.0), (0b010, 1.0));
        assert_eq!(
            (levels.bits_of(f32::NAN), levels.level_of(0b100)),
            (0, -2.0)
        );
        let mut values = [0.24, 0.25, 0.75, -0.75, 9.0, f32::NEG_INFINITY, f32::NAN];
        levels.round(&mut values);
        assert_eq!(values[..6], [0.0, 0.0, 1.0, -1.0, 1.5, -1.5]);
        assert!(values[6].is_nan());
    }
}
