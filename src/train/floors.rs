//! The floors under learned ranges: a range that reached 0 would take its layer's weights with it.

use crate::error::Result;
use crate::net::{Network, Parameter, Role};
use candle_core::{Tensor, Var};

/// A learned range never falls under this fraction of its initial value.
const FRACTION: f32 = 1e-3;

/// Least value of each learned range, by parameter name: [`FRACTION`] of what it is now.
///
/// # Errors
/// A tensor failure.
pub(super) fn initial_floors(network: &Network) -> Result<Vec<(String, f32)>> {
    let ranges = network
        .parameters()
        .into_iter()
        .filter(|p| p.role == Role::Range);
    ranges
        .map(|p| Ok((p.name, p.var.to_scalar::<f32>()? * FRACTION)))
        .collect()
}

/// The learned ranges of a network with their floors.
pub(super) struct Floors(Vec<Floor>);

struct Floor {
    /// What it is of: a layer, or the input of one.
    of: String,
    range: Var,
    least: f32,
    /// Epoch in which this floor was last told of.
    told: Option<usize>,
}

impl Floors {
    /// Looks up the floors of a network's ranges by parameter name.
    pub(super) fn new(network: &Network, floors: &[(String, f32)]) -> Self {
        let of = |own: Parameter| {
            let (_, least) = floors.iter().find(|(known, _)| *known == own.name)?;
            Some(Floor {
                of: own.name.trim_end_matches(".range").to_owned(),
                range: own.var,
                least: *least,
                told: None,
            })
        };
        let ranges = network.parameters().into_iter();
        Self(ranges.filter_map(of).collect())
    }

    /// Keeps ranges at or above their floors; calls `warn` for each that had to be, once per epoch (from 0).
    ///
    /// # Errors
    /// A tensor failure.
    pub(super) fn hold(&mut self, epoch: usize, mut warn: impl FnMut(&str)) -> Result<()> {
        for Floor {
            of,
            range,
            least,
            told,
        } in &mut self.0
        {
            let now = range.to_scalar::<f32>()?;
            // a range that is no number stays: the next loss tells
            if now.is_nan() || now >= *least {
                continue;
            }
            range.set(&Tensor::new(*least, range.device())?)?;
            if told.replace(epoch) != Some(epoch) {
                warn(&format!(
                    "epoch {}: the range of {of} reached its floor {least:e} (1e-3 of where it began): a smaller \
                     learning rate or `range_decay` keeps it up",
                    epoch + 1
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Architecture;
    use crate::quant::{Method, QuantizerSpec};
    use crate::seed::Seed;
    use crate::units::Bits;
    use candle_core::Device;

    #[test]
    fn a_range_under_its_floor_is_lifted_and_told_of_once_an_epoch() {
        let quantizer = QuantizerSpec {
            method: Method::Wcat,
            bits: Bits::new(4).unwrap(),
            ..QuantizerSpec::default()
        };
        let network = Network::new(Architecture::Mlp, 10, &quantizer, Seed(1), &Device::Cpu)
            .unwrap()
            .0;
        let initial = initial_floors(&network).unwrap();
        let mut floors = Floors::new(&network, &initial);
        let range = network.layers()[1].range().unwrap();
        let mut set_and_hold = |value: f32, epoch| {
            range
                .set(&Tensor::new(value, &Device::Cpu).unwrap())
                .unwrap();
            let mut told = 0;
            floors.hold(epoch, |_| told += 1).unwrap();
            (range.to_scalar::<f32>().unwrap(), told)
        };
        let floor = initial[1].1;
        assert_eq!(set_and_hold(floor, 0), (floor, 0));
        assert_eq!(set_and_hold(0.9 * floor, 0), (floor, 1));
        assert_eq!(set_and_hold(-1.0, 0), (floor, 0));
        assert_eq!(set_and_hold(-1.0, 1), (floor, 1));
        let (stays, told) = set_and_hold(f32::NAN, 2);
        assert!(stays.is_nan() && told == 0);
    }
}
