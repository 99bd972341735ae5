//! Energy of a design point: the parts of its weight memory at their voltages, robust cells, check bits, what no fault
//! reaches, and its stored activations where they have a supply of their own.

use super::point::Setup;
use crate::error::Result;
use crate::fault::Protection;
use crate::memory::{
    weight_memory_energy, CellAccess, CellKind, Energy, EnergySpec, LayerAccess, LayerProduct,
    MemoryModel, OperatingPoint,
};
use crate::net::LayerShape;
use std::ops::Range;

/// Energy of an inference. What no lowered supply reaches lies at the error-free voltage and costs its energy; check
/// bits lie beside the bits they check, robust cells cost the factor that the memory model gives.
///
/// # Errors
/// As [`weight_memory_energy`].
pub(super) fn energy(setup: &Setup, memory: &MemoryModel, spec: &EnergySpec) -> Result<Energy> {
    let (protection, evaluator) = (setup.protection(), setup.swept.evaluator);
    let error_free = memory.at(memory.error_free)?;
    let (mut layers, mut start) = (Vec::new(), 0);
    for (shape, stored) in evaluator
        .network()
        .layer_shapes()?
        .into_iter()
        .zip(evaluator.stored())
    {
        let Some(stored) = stored else { continue };
        let (weights, bits) = (stored.words.len() as u64, stored.format.bits());
        let robust = protection.robust_bits(bits);
        let mut cells = Cells {
            all: Vec::new(),
            overhead: protection.overhead_bits(bits),
        };
        let (mut kept_usual, mut kept_robust) = (bits - robust, robust);
        for supplied in setup
            .supplied
            .iter()
            .filter(|supplied| supplied.part.holds_word(start))
        {
            let held = |planes: Range<u32>| {
                planes
                    .filter(|plane| supplied.part.holds_plane(*plane))
                    .count() as u32
            };
            let (usual, robust_held) = (held(robust..bits), held(0..robust));
            cells.push(usual, robust_held, supplied.point);
            (kept_usual, kept_robust) = (kept_usual - usual, kept_robust - robust_held);
        }
        cells.push(kept_usual, kept_robust, error_free);
        layers.push(LayerAccess {
            product: product(&shape),
            layer: shape.name,
            weights,
            has_secded: protection == Protection::Secded,
            cells: cells.all,
        });
        start += weights;
    }
    let Some(activations) = &setup.activations else {
        return weight_memory_energy(&layers, memory, spec);
    };
    // the time of an inference may be there for the leakage of one of both memories
    let inference_seconds = spec.inference_seconds.filter(|_| memory.leakage.is_some());
    let of_weights = EnergySpec {
        inference_seconds,
        ..spec.clone()
    };
    let energy = weight_memory_energy(&layers, memory, &of_weights)?;
    energy.with_activations(&activations.access(setup.swept)?, memory, spec)
}

/// A layer as a matrix product.
pub(super) fn product(shape: &LayerShape) -> LayerProduct {
    LayerProduct {
        filters: shape.filters(),
        window: shape.window(),
        outputs: shape.outputs(),
    }
}

/// The cells of a layer, supply by supply.
struct Cells {
    all: Vec<CellAccess>,
    /// Bits of the protection that have no place yet: one parity or check bit belongs to a whole code, so such codes
    /// have one supply, the first.
    overhead: f64,
}

impl Cells {
    fn push(&mut self, usual: u32, robust: u32, point: OperatingPoint) {
        for (bits, kind) in [(usual, CellKind::Usual), (robust, CellKind::Robust)] {
            if bits > 0 {
                let overhead_bits = std::mem::take(&mut self.overhead);
                self.all.push(CellAccess {
                    bits: bits.into(),
                    overhead_bits,
                    kind,
                    point,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Evaluator, Images, Score};
    use crate::fault::{Exposure, FaultSpec};
    use crate::memory::{
        load, Dataflow, Faults, Leakage, LeakageExponent, LeakageFactor, ProcessingArray,
    };
    use crate::net::{Architecture, Network};
    use crate::quant::{Method, QuantizerSpec};
    use crate::seed::Seed;
    use crate::sweep::{Comparison, Design, DesignPoint, Domain, EnergyRow, Supply, SweptModel};
    use crate::units::{Bits, Positive, Voltage};
    use candle_core::Device;

    const PROTECTIONS: [Protection; 4] = [
        Protection::None,
        Protection::Msb(1),
        Protection::Secded,
        Protection::ParityZero,
    ];
    /// Weights of LeNet-5, layer by layer.
    const WEIGHTS: [u64; 5] = [150, 2400, 48_000, 10_080, 840];

    struct World {
        evaluator: Evaluator,
        images: Images,
        memory: MemoryModel,
        faults: FaultSpec,
        spec: EnergySpec,
    }

    fn world() -> World {
        let bits = Bits::new(4).unwrap();
        let quantizer = QuantizerSpec {
            method: Method::Wcat,
            bits,
            ..QuantizerSpec::default()
        };
        let network = Network::new(Architecture::Lenet5, 10, &quantizer, Seed(1), &Device::Cpu)
            .unwrap()
            .0;
        World {
            evaluator: Evaluator::new(network).unwrap(),
            images: Images::new(vec![0.0; 784], [1, 28, 28], vec![0], &Device::Cpu).unwrap(),
            memory: load("sram-14nm-chandramoorthy2019").unwrap(),
            faults: FaultSpec::default(),
            spec: EnergySpec::default(),
        }
    }

    impl World {
        fn point(&self, voltage: f64) -> OperatingPoint {
            self.memory.at(Voltage::new(voltage).unwrap()).unwrap()
        }

        /// The design points with the terms of their energies.
        fn energies(&self, points: &[DesignPoint]) -> (Vec<Design>, Vec<EnergyRow>) {
            let swept_models = [SweptModel {
                name: "m".into(),
                dataset: "d".into(),
                training_seed: None,
                evaluator: &self.evaluator,
                images: &self.images,
                clean: Score {
                    images: 1,
                    correct: 1,
                    not_finite: 0,
                    loss: 0.0,
                },
            }];
            let comparison = Comparison {
                swept_models: &swept_models,
                memory: &self.memory,
                faults: &Faults::new(&self.faults, &self.memory).unwrap(),
                activations: None,
                energy: &self.spec,
                points,
                seed: Seed(1),
                chips: 1,
                tolerance: None,
                test_images: 1,
                clock: || 0.0,
            };
            (
                comparison.designs().unwrap(),
                comparison.energies().unwrap(),
            )
        }

        /// Every design point's terms, whose sums are its energies.
        fn summed(&self, points: &[DesignPoint]) -> Vec<(Design, Vec<EnergyRow>)> {
            let (designs, rows) = self.energies(points);
            let of = |design: Design| {
                let own = rows
                    .iter()
                    .filter(|row| row.design_id == design.design_id)
                    .cloned();
                let own: Vec<EnergyRow> = own.collect();
                let relative: f64 = own.iter().map(|row| row.term.energy_relative).sum();
                near(relative, design.energy_relative);
                let picojoule: Option<f64> = own.iter().map(|row| row.term.picojoule()).sum();
                assert_eq!(picojoule.is_some(), design.energy_pj.is_some());
                picojoule
                    .into_iter()
                    .zip(design.energy_pj)
                    .for_each(|(sum, whole)| near(sum, whole));
                (design, own)
            };
            let all: Vec<_> = designs.into_iter().map(of).collect();
            assert_eq!(
                all.iter().map(|(_, own)| own.len()).sum::<usize>(),
                rows.len()
            );
            all
        }
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
    }

    fn folding() -> EnergySpec {
        let array = Some(ProcessingArray {
            rows: 16,
            columns: 16,
        });
        EnergySpec {
            dataflow: Dataflow::OutputStationary,
            array,
            ..EnergySpec::default()
        }
    }

    #[test]
    fn the_terms_of_every_design_point_add_up_to_its_energies() {
        let mut world = world();
        let points = [0.8, 0.9, 1.0].map(|voltage| world.point(voltage));
        let grid = DesignPoint::grid(1, &points, &PROTECTIONS);
        for spec in [EnergySpec::default(), folding()] {
            world.spec = spec;
            assert_eq!(world.summed(&grid).len(), 12);
        }
        let at = Voltage::new(1.0).unwrap();
        world.memory.access.picojoule_per_bit = Positive::new(0.5).ok();
        world.memory.leakage = Some(Leakage {
            at,
            picowatt_per_bit: Positive::new(3.0).unwrap(),
            exponent: LeakageExponent::new(3.0).unwrap(),
            source: "test".into(),
        });
        world.memory.robust_cell.as_mut().unwrap().leakage_factor = LeakageFactor::new(1.2).ok();
        world.spec.inference_seconds = Some(0.01);
        for (design, own) in world.summed(&grid) {
            assert!(
                design.energy_pj.is_some() && own.iter().all(|row| row.term.leakage_pj > Some(0.0))
            );
        }
    }

    #[test]
    fn energies_with_each_weight_read_once_are_those_of_bits_and_voltage() {
        let world = world();
        let grid = DesignPoint::grid(1, &[world.point(0.8)], &PROTECTIONS);
        let found: Vec<f64> = world
            .energies(&grid)
            .0
            .iter()
            .map(|design| design.energy_relative)
            .collect();
        // 4 bits; a robust bit costs 1.3; 12.5 % more bits; one more bit
        for (found, bits) in found.into_iter().zip([4.0, 3.0 + 1.3, 4.5, 5.0]) {
            near(found, bits / 8.0 * 0.64);
        }
    }

    #[test]
    fn reads_of_lenet5_weigh_its_convolutions() {
        let world = World {
            spec: folding(),
            ..world()
        };
        let (design, own) = world
            .summed(&DesignPoint::grid(
                1,
                &[world.point(1.0)],
                &[Protection::None],
            ))
            .remove(0);
        let reads: Vec<f64> = own.iter().map(|row| row.term.reads).collect();
        // 784 / 16, 100 / 16
        assert_eq!(reads, [49.0, 7.0, 1.0, 1.0, 1.0]);
        assert_eq!(
            own.iter().map(|row| row.term.weights).collect::<Vec<_>>(),
            WEIGHTS
        );
        near(design.energy_relative, 0.5);
        let all: f64 = WEIGHTS
            .iter()
            .zip(&reads)
            .map(|(weights, reads)| *weights as f64 * reads)
            .sum();
        near(own[1].term.energy_relative, 0.5 * 2400.0 * 7.0 / all);
    }

    #[test]
    fn layers_that_faults_do_not_reach_cost_the_error_free_voltage_with_their_protection() {
        let mut world = world();
        world.faults.layers = vec!["conv*".into()];
        for (protection, bits) in [
            (Protection::None, 4.0),
            (Protection::Msb(1), 4.3),
            (Protection::ParityZero, 5.0),
        ] {
            let grid = DesignPoint::grid(1, &[world.point(0.8)], &[protection]);
            let (design, own) = world.summed(&grid).remove(0);
            let voltage = |row: &EnergyRow| {
                if row.term.layer.starts_with("conv") {
                    0.8
                } else {
                    1.0
                }
            };
            assert!(own.iter().all(|row| row.term.voltage == voltage(row)));
            let (low, all) = (2550.0, WEIGHTS.iter().sum::<u64>() as f64);
            near(
                design.energy_relative,
                bits / 8.0 * (low * 0.64 + all - low) / all,
            );
        }
    }

    #[test]
    fn bit_planes_at_their_own_voltages_are_terms_of_their_own() {
        let world = world();
        let whole = Exposure::whole(WEIGHTS.iter().sum());
        let domain = |name: &str, planes, voltage| Domain {
            name: name.into(),
            part: whole.within_planes(planes),
            point: world.point(voltage),
        };
        let supply = Supply::Domains(vec![domain("high", 0..1, 0.9), domain("low", 1..8, 0.8)]);
        let point = DesignPoint {
            model: 0,
            protection: Protection::None,
            supply,
            activations: None,
        };
        let (design, own) = world.summed(&[point]).remove(0);
        near(design.energy_relative, (0.81 + 3.0 * 0.64) / 8.0);
        let first: Vec<(f64, f64)> = own[..2]
            .iter()
            .map(|row| (row.term.bits, row.term.voltage))
            .collect();
        assert_eq!(first, [(1.0, 0.9), (3.0, 0.8)]);
    }
}
