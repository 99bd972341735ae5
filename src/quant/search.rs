//! One-dimensional search for the range of least quantisation error, with or without expected bit flips.

use super::layer::{max_abs, mean_abs};
use super::lsq;
use super::scheme::Scheme;
use super::wcat;
use crate::code::Word;

/// A search over WCAT's range on one layer's weights.
pub struct Search<'a> {
    /// Method and format.
    pub scheme: &'a Scheme,
    /// The layer's weights.
    pub weights: &'a [f32],
    /// Rate of independent bit flips in the stored codes; 0 gives the plain mean squared error.
    pub bit_error_rate: f64,
}

/// Points of the grid; its best few are refined.
const GRID: usize = 512;
const REFINED: usize = 8;

impl Search<'_> {
    /// The best range and its error: a grid over what can be represented, its best points and the local
    /// minimum from the start value of the method page refined, the least of all taken. A local search alone
    /// can stop far out (seen at 8 bits: 3.3 times the largest weight).
    pub fn minimum(&self) -> (f32, f64) {
        let table = self.moments();
        let top = max_abs(self.weights) * self.reach();
        if top <= 0.0 {
            return (0.0, 0.0);
        }
        let mut points: Vec<(f32, f64)> = (1..=GRID)
            .map(|i| top * i as f32 / GRID as f32)
            .map(|range| (range, self.error(range, &table)))
            .collect();
        points.sort_by(|a, b| a.1.total_cmp(&b.1));
        points.truncate(REFINED);
        let start = 2.0 * mean_abs(self.weights) * lsq::root_of_levels(self.scheme.format);
        points.push(self.descend(start, &table));
        let refined = points
            .into_iter()
            .map(|point| self.polish(point, top / GRID as f32, &table));
        refined.fold((top, f64::INFINITY), |best, next| {
            if next.1 < best.1 {
                next
            } else {
                best
            }
        })
    }

    /// Range beyond which clipping can gain nothing, relative to the largest weight: `+α` has no signed code.
    fn reach(&self) -> f32 {
        let format = self.scheme.format;
        match (format.signed(), format.bits()) {
            (true, bits) if bits > 1 => {
                let half = (1u32 << (bits - 1)) as f32;
                half / (half - 1.0)
            }
            _ => 1.0,
        }
    }

    /// Mean and mean square of the code that is read, for each stored word.
    fn moments(&self) -> Vec<(f64, f64)> {
        let format = self.scheme.format;
        (0..format.patterns())
            .map(|word| {
                let read = (0..format.patterns()).map(|pattern| {
                    let flips = (pattern as u32).count_ones() as i32;
                    let p = self.bit_error_rate;
                    let chance = p.powi(flips) * (1.0 - p).powi(format.bits() as i32 - flips);
                    (chance, f64::from(format.decode((word ^ pattern) as Word)))
                });
                read.fold((0.0, 0.0), |(mean, square), (chance, code)| {
                    (mean + chance * code, square + chance * code * code)
                })
            })
            .collect()
    }

    fn error(&self, range: f32, moments: &[(f64, f64)]) -> f64 {
        if range <= 0.0 {
            return f64::INFINITY;
        }
        let step = f64::from(wcat::step(range, self.scheme.format));
        let sum: f64 = self
            .codes(range)
            .map(|(w, word)| {
                let (mean, square) = moments[word];
                w * w - 2.0 * w * step * mean + step * step * square
            })
            .sum();
        (sum / self.weights.len() as f64).max(0.0)
    }

    /// Each weight with the word it is stored as.
    fn codes(&self, range: f32) -> impl Iterator<Item = (f64, usize)> + '_ {
        let step = wcat::step(range, self.scheme.format);
        self.weights.iter().map(move |&w| {
            let code = self.scheme.nearest(w.clamp(-range, range), step);
            (f64::from(w), usize::from(self.scheme.format.encode(code)))
        })
    }

    /// Nelder-Mead in one dimension with the simplex {x, 1.05 x}.
    fn descend(&self, start: f32, moments: &[(f64, f64)]) -> (f32, f64) {
        let value = |x: f32| (x, self.error(x, moments));
        let (mut best, mut worst) = (value(start), value(1.05 * start));
        for _ in 0..200 {
            if worst.1 < best.1 {
                std::mem::swap(&mut best, &mut worst);
            }
            if (worst.0 - best.0).abs() <= 1e-7 * best.0.abs() {
                break;
            }
            let reflected = value(2.0 * best.0 - worst.0);
            if reflected.1 < best.1 {
                let expanded = value(3.0 * best.0 - 2.0 * worst.0);
                worst = if expanded.1 < reflected.1 {
                    expanded
                } else {
                    reflected
                };
            } else {
                let inside = value(
                    0.5 * (best.0
                        + if reflected.1 < worst.1 {
                            reflected.0
                        } else {
                            worst.0
                        }),
                );
                worst = if inside.1 < worst.1.min(reflected.1) {
                    inside
                } else {
                    value(0.5 * (best.0 + worst.0))
                };
            }
        }
        if worst.1 < best.1 {
            worst
        } else {
            best
        }
    }

    /// Narrows a point down between its neighbours (golden section), then to the exact least squares of its
    /// codes: for fixed codes the error is a parabola in the step.
    fn polish(&self, point: (f32, f64), width: f32, moments: &[(f64, f64)]) -> (f32, f64) {
        const GOLDEN: f32 = 0.618_034;
        let (mut low, mut high) = ((point.0 - width).max(f32::MIN_POSITIVE), point.0 + width);
        let mut best = point;
        let keep = |range: f32, best: &mut (f32, f64)| {
            let error = self.error(range, moments);
            if error < best.1 {
                *best = (range, error);
            }
            error
        };
        for _ in 0..48 {
            let (a, b) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
            if keep(a, &mut best) < keep(b, &mut best) {
                high = b;
            } else {
                low = a;
            }
        }
        for _ in 0..16 {
            let (mut along, mut across) = (0.0, 0.0);
            for (w, word) in self.codes(best.0) {
                along += w * moments[word].0;
                across += moments[word].1;
            }
            let levels = best.0 / wcat::step(best.0, self.scheme.format);
            let before = best;
            if across > 0.0 {
                keep((along / across) as f32 * levels, &mut best);
            }
            if best == before {
                break;
            }
        }
        best
    }
}

/// Mean squared difference between the weights and what is read of their codes, in expectation over
/// independent flips of each stored bit at `bit_error_rate`; exact, over all `2^b` patterns.
pub fn expected_error(scheme: &Scheme, weights: &[f32], range: f32, bit_error_rate: f64) -> f64 {
    let search = Search {
        scheme,
        weights,
        bit_error_rate,
    };
    search.error(range, &search.moments())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{flip, CodeFormat};
    use crate::quant::{ClipGradient, Method};
    use crate::seed::{Purpose, Seed};
    use crate::units::Bits;

    fn wcat(bits: u64, signed: bool) -> Scheme {
        let format = CodeFormat::new(Bits::new(bits).unwrap(), signed).unwrap();
        Scheme {
            method: Method::Wcat,
            format,
            clip_gradient: ClipGradient::Ste,
            grad_scale: true,
        }
    }

    fn weights() -> Vec<f32> {
        let mut stream = Seed(7).stream(Purpose::Test, &[]);
        (0..300).map(|_| stream.normal() as f32 * 0.1).collect()
    }

    #[test]
    fn without_flips_the_error_is_the_mean_squared_error() {
        for bits in 1..=8 {
            let (scheme, weights) = (wcat(bits, true), weights());
            let values = scheme.quantize(&weights, 0.2).values();
            let plain: f64 = weights
                .iter()
                .zip(&values)
                .map(|(w, v)| f64::from(w - v).powi(2))
                .sum();
            let error = expected_error(&scheme, &weights, 0.2, 0.0);
            assert!((error - plain / 300.0).abs() < 1e-9, "{bits}: {error}");
        }
    }

    #[test]
    fn with_flips_the_error_is_the_mean_over_simulated_flips() {
        let (scheme, weights) = (wcat(3, true), weights());
        let quantized = scheme.quantize(&weights, 0.2);
        let mut stream = Seed(8).stream(Purpose::Test, &[]);
        let (mut sum, runs) = (0.0, 4000);
        for _ in 0..runs {
            for (w, &code) in weights.iter().zip(&quantized.codes) {
                let mut word = scheme.format.encode(code);
                for bit in 0..3 {
                    if stream.chance(0.1) {
                        word = flip(word, bit);
                    }
                }
                sum +=
                    f64::from(w - f32::from(scheme.format.decode(word)) * quantized.step).powi(2);
            }
        }
        let simulated = sum / f64::from(runs) / 300.0;
        let exact = expected_error(&scheme, &weights, 0.2, 0.1);
        assert!(
            (simulated / exact - 1.0).abs() < 0.02,
            "{simulated} {exact}"
        );
    }

    #[test]
    fn no_point_of_a_dense_scan_beats_the_minimum() {
        let weights = weights();
        for (bits, signed) in [(1, true), (2, true), (3, false), (4, true), (8, true)] {
            for rate in [0.0, 0.01] {
                let scheme = wcat(bits, signed);
                let (range, error) = Search {
                    scheme: &scheme,
                    weights: &weights,
                    bit_error_rate: rate,
                }
                .minimum();
                assert_eq!(error, expected_error(&scheme, &weights, range, rate));
                let top = 2.0 * max_abs(&weights);
                let scan = (1..20_000)
                    .map(|i| expected_error(&scheme, &weights, top * i as f32 / 20_000.0, rate));
                let least = scan.fold(f64::INFINITY, f64::min);
                assert!(
                    error <= least * (1.0 + 1e-9),
                    "{bits} bits {rate}: {error} above {least}"
                );
            }
        }
    }
}
