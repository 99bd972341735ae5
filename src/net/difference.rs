//! What two models of the same layers store differently: bits, codes.

use super::summary::LayerWeights;
use crate::code::hamming_distance;
use crate::error::{refuse, Result};
use crate::quant::StoredWeight;

/// Differences between the stored codes of one layer, or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeDifference {
    /// Name of the layer; `None` for all of them.
    pub layer: Option<String>,
    /// Number of stored weights.
    pub weights: u64,
    /// Number of stored bits.
    pub bits: u64,
    /// Hamming distance: stored bits that differ.
    pub differing_bits: u64,
    /// Stored weights whose codes differ.
    pub differing_codes: u64,
    /// Largest absolute difference of two codes.
    pub largest: u32,
    /// Step of the other model over that of this one: equal codes are equal weights only where it is 1. `None`
    /// for all layers, where this step is 0, and where output channels have their own steps or zero points differ.
    pub step_ratio: Option<f64>,
}

impl CodeDifference {
    /// Fraction of the stored bits that differ.
    pub fn bit_share(&self) -> f64 {
        self.differing_bits as f64 / self.bits.max(1) as f64
    }

    /// Fraction of the stored weights whose codes differ.
    pub fn code_share(&self) -> f64 {
        self.differing_codes as f64 / self.weights.max(1) as f64
    }
}

/// Compares the stored layers of two models, in memory order; the last row is their total. Layers that are float in
/// both have no codes and no row.
///
/// # Errors
/// [`crate::error::Error::Argument`] where the models have other layers, shapes, bits or signs, or no stored layer.
pub fn code_differences(
    these: &[LayerWeights],
    others: &[LayerWeights],
) -> Result<Vec<CodeDifference>> {
    if these.len() != others.len() {
        let [expected, found] = [these, others].map(|layers| format!("{} layers", layers.len()));
        return refuse("model to compare", expected, found);
    }
    let mut rows = Vec::new();
    for (this, other) in these.iter().zip(others) {
        let [expected, found] = [this, other].map(form);
        if expected != found {
            return refuse("model to compare: layer", expected, found);
        }
        let (Some(a), Some(b)) = (&this.stored, &other.stored) else {
            continue;
        };
        let format = a.format;
        let gap = |(a, b): (&u8, &u8)| u32::from(format.decode(*a).abs_diff(format.decode(*b)));
        let pairs = || a.words.iter().zip(&b.words);
        rows.push(CodeDifference {
            layer: Some(this.name.clone()),
            weights: a.words.len() as u64,
            bits: a.words.len() as u64 * u64::from(format.bits()),
            differing_bits: hamming_distance(&a.words, &b.words)?,
            differing_codes: pairs().filter(|(a, b)| a != b).count() as u64,
            largest: pairs().map(gap).max().unwrap_or(0),
            step_ratio: step_ratio(a, b),
        });
    }
    if rows.is_empty() {
        let expected = "quantised models, which store codes in the memory";
        let found = "float weights alone";
        return refuse("models to compare", expected, found);
    }
    let sum = |of: &dyn Fn(&CodeDifference) -> u64| rows.iter().map(of).sum();
    let total = CodeDifference {
        layer: None,
        weights: sum(&|r| r.weights),
        bits: sum(&|r| r.bits),
        differing_bits: sum(&|r| r.differing_bits),
        differing_codes: sum(&|r| r.differing_codes),
        largest: rows.iter().map(|r| r.largest).max().unwrap_or(0),
        step_ratio: None,
    };
    rows.push(total);
    Ok(rows)
}

/// Name, shape and codes of a layer, in words.
fn form(layer: &LayerWeights) -> String {
    let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
    let codes = match layer.stored.as_ref().map(|stored| stored.format) {
        None => "float".to_owned(),
        Some(format) if format.signed() => format!("{} bit", format.bits()),
        Some(format) => format!("unsigned {} bit", format.bits()),
    };
    format!("`{}` of {}, {codes}", layer.name, shape.join("x"))
}

fn step_ratio(a: &StoredWeight, b: &StoredWeight) -> Option<f64> {
    let ([a], [b]) = (a.scales.as_slice(), b.scales.as_slice()) else {
        return None;
    };
    let comparable = a.step > 0.0 && a.zero == b.zero;
    comparable.then(|| f64::from(b.step) / f64::from(a.step))
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::layer;
    use super::*;
    use crate::quant::{channel_wise, Scale};

    #[test]
    fn every_number_of_a_tiny_pair_is_as_by_hand() {
        // codes -2 (10), 1 (01), 0 (00) and 1 (01), 1 (01), -1 (11): 2 + 0 + 2 bits; second layer 7 (0111), 0 and
        // 7, -8 (1000)
        let these = [
            layer("a", 2, &[-1.0, 0.5, 0.0], 1.0),
            layer("b", 4, &[0.875, 0.0], 1.0),
        ];
        let others = [
            layer("a", 2, &[1.0, 1.0, -1.0], 2.0),
            layer("b", 4, &[0.875, -1.0], 1.0),
        ];
        let rows = code_differences(&these, &others).unwrap();
        let numbers = |r: &CodeDifference| {
            (
                r.weights,
                r.bits,
                r.differing_bits,
                r.differing_codes,
                r.largest,
            )
        };
        assert_eq!(numbers(&rows[0]), (3, 6, 4, 2, 3));
        assert_eq!(numbers(&rows[1]), (2, 8, 1, 1, 8));
        assert_eq!(numbers(&rows[2]), (5, 14, 5, 3, 8));
        assert_eq!(
            (rows[0].step_ratio, rows[1].step_ratio, rows[2].step_ratio),
            (Some(2.0), Some(1.0), None)
        );
        assert_eq!(
            (rows[0].layer.as_deref(), &rows[2].layer),
            (Some("a"), &None)
        );
        assert_eq!(
            (rows[2].bit_share(), rows[2].code_share()),
            (5.0 / 14.0, 0.6)
        );
    }

    #[test]
    fn steps_are_compared_where_both_layers_have_one() {
        let wide = channel_wise(&[2, 2], 4, true);
        let one = |step, zero| StoredWeight {
            scales: vec![Scale { step, zero }],
            ..wide.clone()
        };
        assert_eq!(step_ratio(&one(0.5, 1), &one(0.25, 1)), Some(0.5));
        assert_eq!(step_ratio(&one(0.5, 1), &one(0.25, 0)), None);
        assert_eq!(step_ratio(&one(0.0, 0), &one(0.25, 0)), None);
        assert_eq!(step_ratio(&one(0.5, 0), &wide), None);
        assert_eq!(step_ratio(&wide, &wide), None);
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let these = [layer("a", 8, &[-1.0, 0.3, 0.2], 1.0)];
        let total = code_differences(&these, &these).unwrap().pop().unwrap();
        assert_eq!(
            (total.differing_bits, total.differing_codes, total.largest),
            (0, 0, 0)
        );
    }

    #[test]
    fn other_layers_shapes_and_bits_are_refused() {
        let these = [layer("a", 4, &[0.1, 0.2], 1.0)];
        let float = LayerWeights {
            stored: None,
            range: None,
            ..these[0].clone()
        };
        for (others, found) in [
            (vec![], "expected 1 layers, found 0 layers"),
            (
                vec![layer("b", 4, &[0.1, 0.2], 1.0)],
                "expected `a` of 2, 4 bit, found `b` of 2, 4 bit",
            ),
            (vec![layer("a", 4, &[0.1], 1.0)], "found `a` of 1, 4 bit"),
            (
                vec![layer("a", 3, &[0.1, 0.2], 1.0)],
                "found `a` of 2, 3 bit",
            ),
            (vec![float.clone()], "found `a` of 2, float"),
        ] {
            let error = code_differences(&these, &others).unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().contains(found),
                "{error}"
            );
        }
        let error = code_differences(std::slice::from_ref(&float), std::slice::from_ref(&float))
            .unwrap_err()
            .to_string();
        assert!(error.contains("found float weights alone"), "{error}");
    }
}
