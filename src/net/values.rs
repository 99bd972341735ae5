//! What the numbers in a model's tensors may be: finite; variances not negative; ranges and steps above zero.

use crate::error::{refuse, Result, TensorContext};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;

/// Checks the tensors of a model by what their names say they are. Whole numbers are passed over. A range of 0 is that
/// of a layer whose weights are all 0.
///
/// # Errors
/// [`crate::error::Error::Argument`] that names the tensor, the place of its first wrong value, and the value.
pub(super) fn check_values<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<()> {
    let all: BTreeMap<&str, &Tensor> = tensors.into_iter().collect();
    for (name, tensor) in &all {
        if tensor.dtype() != DType::F32 {
            continue;
        }
        let values = values(name, tensor)?;
        let wrong = match name.strip_suffix(".range") {
            Some(layer) => Kind::Range {
                of_zeros: of_zeros(&all, layer)?,
            },
            None if name.ends_with("running_var") => Kind::Variance,
            None => Kind::Number,
        };
        let first = values.iter().position(|value| !wrong.takes(*value));
        if let Some(at) = first {
            return refuse(
                *name,
                wrong.expected(),
                format!("{} at {:?}", values[at], index(at, tensor.dims())),
            );
        }
    }
    Ok(())
}

enum Kind {
    Number,
    Variance,
    Range { of_zeros: bool },
}

impl Kind {
    fn takes(&self, value: f32) -> bool {
        value.is_finite()
            && match self {
                Self::Number => true,
                Self::Variance => value >= 0.0,
                Self::Range { of_zeros } => value > 0.0 || (*of_zeros && value == 0.0),
            }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Number => "a finite number",
            Self::Variance => "a finite number that is not negative",
            Self::Range { .. } => "a finite number above 0",
        }
    }
}

/// True for a layer whose weights are all 0, as floats or packed.
fn of_zeros(all: &BTreeMap<&str, &Tensor>, layer: &str) -> Result<bool> {
    for name in [format!("{layer}.weight"), format!("{layer}.weight.largest")] {
        if let Some(tensor) = all.get(name.as_str()).filter(|t| t.dtype() == DType::F32) {
            return Ok(values(&name, tensor)?.iter().all(|value| *value == 0.0));
        }
    }
    Ok(false)
}

fn values(name: &str, tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = || tensor.flatten_all()?.to_vec1::<f32>();
    flat().during(|| format!("reading `{name}`"))
}

/// Place of an element in a tensor of this shape.
fn index(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (place, &n) in index.iter_mut().zip(shape).rev() {
        *place = at % n.max(1);
        at /= n.max(1);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn refusal(name: &str, values: &[f32]) -> String {
        check_values([(name, &tensor(values))])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_first_wrong_value_is_named_with_its_place() {
        let matrix = tensor(&[1.0, 2.0, 3.0, f32::NAN, 5.0, f32::INFINITY])
            .reshape((3, 2))
            .unwrap();
        let error = check_values([("a.weight", &matrix)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.weight: expected a finite number, found NaN at [1, 1]"
        );
        assert!(refusal("a.bias", &[0.0, f32::NEG_INFINITY]).contains("-inf at [1]"));
        let least = -f32::MIN_POSITIVE;
        assert!(refusal("bn1.running_var", &[0.0, 1.0, least]).contains("at [2]"));
        check_values([("bn1.running_mean", &tensor(&[-1.0]))]).unwrap();
        check_values([("bn1.running_var", &tensor(&[0.0, -0.0]))]).unwrap();
    }

    #[test]
    fn a_range_is_above_zero_but_for_weights_of_zeros() {
        for wrong in [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(refusal("fc1.range", &[wrong]).contains("fc1.range"));
        }
        let (zero, one) = (tensor(&[0.0]), tensor(&[0.0, 1.0]));
        for weight in ["fc1.weight", "fc1.weight.largest"] {
            check_values([("fc1.range", &zero), (weight, &zero)]).unwrap();
            assert!(check_values([("fc1.range", &zero), (weight, &one)]).is_err());
        }
        let below = tensor(&[-1.0]);
        assert!(check_values([("fc1.range", &below), ("fc1.weight", &zero)]).is_err());
    }
}
