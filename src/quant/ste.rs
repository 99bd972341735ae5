//! Straight-through tensors: given values forward, given slopes backward; runs on every device, on the CPU [`super::fused`] does.

use super::scheme::Slopes;
use candle_core::{Device, Result, Tensor, Var};

/// A tensor with `values` whose gradient reaches `weight` and `range` by `slopes`.
///
/// It is `values + (w - w') s_w + (r - r') s_r` with the primed terms detached: the brackets are exactly 0,
/// so the values come out as they are.
pub(super) fn straight_through(
    values: Vec<f32>,
    slopes: Slopes,
    weight: &Var,
    range: Option<&Var>,
) -> Result<Tensor> {
    let (shape, device) = (weight.shape(), weight.device());
    let on_device =
        |values: Vec<f32>| Tensor::from_vec(values, shape, &Device::Cpu)?.to_device(device);
    let still = (weight.as_tensor() - weight.detach())?;
    let still = match slopes.weight {
        Some(slopes) => (still * on_device(slopes)?)?,
        None => still,
    };
    let mut out = (on_device(values)? + still)?;
    if let (Some(range), Some(slopes)) = (range, slopes.range) {
        let still = (range.as_tensor() - range.detach())?;
        out = (out + on_device(slopes)?.broadcast_mul(&still)?)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_exact_and_gradients_are_the_slopes() {
        let weight = Var::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap();
        let range = Var::new(0.5f32, &Device::Cpu).unwrap();
        let slopes = Slopes {
            weight: Some(vec![1.0, 0.0, 0.5]),
            range: Some(vec![0.0, 1.0, -2.0]),
        };
        let out = straight_through(vec![0.3, 0.7, -0.9], slopes, &weight, Some(&range)).unwrap();
        assert_eq!(out.to_vec1::<f32>().unwrap(), [0.3, 0.7, -0.9]);
        let upstream = Tensor::new(&[10f32, 20.0, 30.0], &Device::Cpu).unwrap();
        let gradients = (out * upstream)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        assert_eq!(
            gradients.get(&weight).unwrap().to_vec1::<f32>().unwrap(),
            [10.0, 0.0, 15.0]
        );
        assert_eq!(
            gradients.get(&range).unwrap().to_scalar::<f32>().unwrap(),
            -40.0
        );
    }
}
