//! Weight-memory energy of an inference: accesses to the stored weights and nothing else. How a
//! voltage changes the energy of one access is the model's affair.

use super::{MemoryModel, OperatingPoint};
use crate::error::{Error, Result};

/// How a layer's weights are stored and read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerAccess {
    /// Stored weights.
    pub weights: u64,
    /// Bits per weight.
    pub bits: u32,
    /// How often each weight is read per inference; 1 unless a file says otherwise.
    pub reads: f64,
}

/// Weight-memory energy of one inference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// Relative to the same layers at 8 bits, without overhead, at the error-free voltage.
    pub relative: f64,
    /// Picojoules, where the memory model gives an absolute energy.
    pub picojoule: Option<f64>,
}

/// `Σ_l n_l · (b_l + overhead) · r_l · e(V)` at an operating point of the model: layer
/// `l` has `n_l` weights of `b_l` bits, each read `r_l` times; `e(V)` is the energy of one bit access.
///
/// `overhead_bits` is what a protection stores beside each weight, in bits per weight; 0 without.
///
/// # Errors
/// [`Error::Argument`] where no weight is read, or a number is negative or not finite.
pub fn weight_memory_energy(
    layers: &[LayerAccess],
    model: &MemoryModel,
    point: &OperatingPoint,
    overhead_bits: f64,
) -> Result<Energy> {
    let not_negative = 0.0..f64::INFINITY;
    if !not_negative.contains(&overhead_bits) {
        return Err(Error::argument("overhead bits", "0 or more", overhead_bits.to_string()));
    }
    if let Some(layer) = layers.iter().find(|layer| !not_negative.contains(&layer.reads)) {
        return Err(Error::argument("reads per weight", "0 or more", layer.reads.to_string()));
    }
    let sum = |bits: &dyn Fn(&LayerAccess) -> f64| -> f64 {
        layers.iter().map(|layer| layer.weights as f64 * bits(layer) * layer.reads).sum()
    };
    let read = sum(&|layer| f64::from(layer.bits) + overhead_bits);
    let reference = sum(&|_| 8.0);
    if reference <= 0.0 {
        let found = format!("{} layers without a read", layers.len());
        return Err(Error::argument("weight memory", "at least one weight that is read", found));
    }
    Ok(Energy {
        relative: read / reference * point.access_energy_relative,
        picojoule: model.access_energy_pj(point.voltage).map(|pj| read * pj),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::builtin;
    use crate::units::Voltage;

    fn layer(weights: u64, bits: u32, reads: f64) -> LayerAccess {
        LayerAccess { weights, bits, reads }
    }

    fn relative(layers: &[LayerAccess], voltage: f64, overhead: f64) -> f64 {
        let model = builtin("sram-14nm-chandramoorthy2019").unwrap();
        let point = model.at(Voltage::new(voltage).unwrap()).unwrap();
        weight_memory_energy(layers, &model, &point, overhead).unwrap().relative
    }

    #[test]
    fn eight_bits_at_the_error_free_voltage_cost_one() {
        assert_eq!(relative(&[layer(100, 8, 1.0), layer(7, 8, 3.0)], 1.0, 0.0), 1.0);
    }

    #[test]
    fn energy_goes_with_bits_reads_and_the_square_of_the_voltage() {
        assert_eq!(relative(&[layer(100, 4, 1.0)], 1.0, 0.0), 0.5);
        assert!((relative(&[layer(100, 8, 1.0)], 0.8, 0.0) - 0.64).abs() < 1e-12);
        assert_eq!(relative(&[layer(100, 8, 1.0)], 1.0, 1.0), 1.125);
        // 100·8·1 + 100·4·3 = 2000 of 100·8·1 + 100·8·3 = 3200
        assert_eq!(relative(&[layer(100, 8, 1.0), layer(100, 4, 3.0)], 1.0, 0.0), 0.625);
    }

    #[test]
    fn picojoules_are_given_only_where_the_model_has_them() {
        let mut model = builtin("sram-14nm-chandramoorthy2019").unwrap();
        let point = model.at(Voltage::new(0.8).unwrap()).unwrap();
        let layers = [layer(1000, 4, 2.0)];
        assert_eq!(weight_memory_energy(&layers, &model, &point, 0.0).unwrap().picojoule, None);
        model.access.picojoule_per_bit = Some(0.5);
        let energy = weight_memory_energy(&layers, &model, &point, 0.0).unwrap();
        // 8000 bits read at 0.5 · 0.8² pJ
        assert!((energy.picojoule.unwrap() - 2560.0).abs() < 1e-9);
    }

    #[test]
    fn nonsense_is_refused() {
        let model = builtin("sram-14nm-chandramoorthy2019").unwrap();
        let point = model.at(Voltage::new(0.8).unwrap()).unwrap();
        for (layers, overhead) in [
            (vec![], 0.0),
            (vec![layer(0, 8, 1.0)], 0.0),
            (vec![layer(5, 8, 0.0)], 0.0),
            (vec![layer(5, 8, f64::NAN)], 0.0),
            (vec![layer(5, 8, -1.0)], 0.0),
            (vec![layer(5, 8, f64::INFINITY)], 0.0),
            (vec![layer(5, 8, 1.0)], -1.0),
            (vec![layer(5, 8, 1.0)], f64::NAN),
        ] {
            let error = weight_memory_energy(&layers, &model, &point, overhead).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{layers:?} {overhead}");
        }
    }
}
