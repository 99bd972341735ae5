//! Trials of a comparison: which are owed, each on its own chip, in parallel, until enough chips have spoken.

use super::energy::energy;
use super::row::{Design, StoppedBy, Trial, TrialStatus};
use crate::engine::{Evaluator, Images, Score};
use crate::error::{Error, Result};
use crate::fault::{Exposure, Stored};
use crate::memory::{FaultWay, Faults, MemoryModel, OperatingPoint};
use crate::seed::Seed;
use crate::stats::{self, ImageSample};
use crate::units::{Accuracy, Ber, ChipId};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::Instant;

/// Chips before a tolerance may stop a comparison.
const LEAST_CHIPS: u32 = 16;
/// Chips added at a time under a tolerance.
const CHIP_BATCH: u32 = 8;

/// A model in a comparison.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its name, unique in the comparison.
    pub name: String,
    /// Title of the data set the accuracy is measured on.
    pub dataset: String,
    /// Seed of its training, where known.
    pub training_seed: Option<u64>,
    /// The network with its memory.
    pub evaluator: &'a Evaluator,
    /// The test images, normalised for this model.
    pub images: &'a Images,
    /// Its score without faults on these images.
    pub clean: Score,
}

/// Models on the same chips at the same voltages.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The models.
    pub subjects: &'a [Subject<'a>],
    /// The memory.
    pub memory: &'a MemoryModel,
    /// How its cells fail.
    pub faults: &'a Faults,
    /// Voltages with their bit error rates.
    pub points: &'a [OperatingPoint],
    /// Seed of the chips.
    pub seed: Seed,
    /// Chips per design point; at most so many under a tolerance.
    pub chips: u32,
    /// Greatest half-width of a mean that is good enough.
    pub tolerance: Option<f64>,
    /// Images of the test set, of which the subjects' are all or a subset.
    pub test_images: u64,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Trials of every design point on chips 0 to n-1, sorted by design and chip.
    pub trials: Vec<Trial>,
    /// Why no more chips were added.
    pub stopped_by: StoppedBy,
}

/// What a design point is made of.
#[derive(Clone, Debug)]
struct Setup<'a> {
    subject: &'a Subject<'a>,
    point: &'a OperatingPoint,
    way: FaultWay,
    exposure: Exposure,
}

/// One trial that is owed.
struct Task<'a> {
    setup: &'a Setup<'a>,
    design_id: &'a str,
    chip: ChipId,
}

impl Comparison<'_> {
    /// The design points: every model at every voltage with every array.
    ///
    /// # Errors
    /// [`Error::Argument`] for a float model, which stores no codes, for two models of one name, or for fault
    /// options that do not go with a model.
    pub fn designs(&self) -> Result<Vec<Design>> {
        self.designs_of(&self.setups()?)
    }

    fn setups(&self) -> Result<Vec<Setup<'_>>> {
        let mut setups = Vec::new();
        for subject in self.subjects {
            let exposure = exposure(subject.evaluator, &subject.name, self.faults)?;
            for point in self.points {
                let ways = self.faults.ways(point.ber, Some(point.voltage))?;
                let setup = |way| Setup { subject, point, way, exposure: exposure.clone() };
                setups.extend(ways.into_iter().map(setup));
            }
        }
        if !setups.is_empty() && setups.iter().all(|setup| setup.exposure.msb_is_all()) {
            let expected = "`random`: codes of 1 bit have no bit but the most significant";
            return Err(Error::argument("faults.noise", expected, "`msb`"));
        }
        Ok(setups)
    }

    fn designs_of(&self, setups: &[Setup]) -> Result<Vec<Design>> {
        let designs: Vec<Design> = setups.iter().map(|setup| self.design(setup)).collect::<Result<_>>()?;
        let ids: BTreeMap<&str, ()> = designs.iter().map(|d| (d.design_id.as_str(), ())).collect();
        if ids.len() != designs.len() {
            let names: Vec<&str> = self.subjects.iter().map(|s| s.name.as_str()).collect();
            return Err(Error::argument("models of a sweep", "a name for each of its own", names.join(", ")));
        }
        Ok(designs)
    }

    fn design(&self, setup: &Setup) -> Result<Design> {
        let Setup { subject, point, way, exposure } = setup;
        let (network, memory) = (subject.evaluator.network(), self.memory);
        let Some(layer) = subject.evaluator.stored().iter().flatten().next() else {
            return Err(float_model(&subject.name));
        };
        let bits = layer.scheme.format.bits();
        let energy = energy(subject.evaluator, exposure, memory, point)?;
        Ok(Design {
            design_id: format!("{}@{}{}{}", subject.name, point.voltage, memory.unit.name(), way.suffix),
            model: subject.name.clone(),
            architecture: network.architecture().to_string(),
            dataset: subject.dataset.clone(),
            method: layer.scheme.method.name().to_owned(),
            bits,
            training_seed: subject.training_seed,
            memory: memory.name.clone(),
            fault_kind: self.faults.label(),
            array: way.array.clone(),
            protection: "none".to_owned(),
            voltage: point.voltage.get(),
            voltage_unit: memory.unit,
            ber: point.ber.get(),
            ber_source: point.ber_source,
            access_energy_relative: point.access_energy_relative,
            energy_relative: energy.relative,
            energy_pj: energy.picojoule,
            area_relative: f64::from(bits) / 8.0,
            clean_accuracy: Accuracy::new(subject.clean.accuracy())?,
        })
    }

    /// Expected number of faults over all trials of all chips, to warn where a sweep can show none.
    pub fn expected_faults(&self) -> f64 {
        let bits = self.subjects.iter().map(|subject| memory_bits(subject.evaluator) as f64).sum::<f64>();
        let rates: f64 = self.points.iter().map(|point| point.ber.get()).sum();
        bits * rates * f64::from(self.chips)
    }

    /// Computes what is owed beyond `done` and hands each finished trial to the sink, in the order in which they
    /// end. A raised `cancel` lets running trials end and returns [`Error::Interrupted`].
    ///
    /// # Errors
    /// What the sink returns, [`Error::Interrupted`], or a failure of a trial.
    pub fn run(
        &self,
        done: &[Trial],
        cancel: &AtomicBool,
        sink: &mut (dyn FnMut(&Trial) -> Result<()> + Send),
    ) -> Result<Outcome> {
        let setups = self.setups()?;
        let designs = self.designs_of(&setups)?;
        let mut trials: BTreeMap<(String, ChipId), Trial> = done
            .iter()
            .filter(|trial| designs.iter().any(|design| design.design_id == trial.design_id))
            .map(|trial| ((trial.design_id.clone(), trial.chip), trial.clone()))
            .collect();
        let mut chips = if self.tolerance.is_some() { LEAST_CHIPS.min(self.chips) } else { self.chips };
        let stopped_by = loop {
            let new = self.batch(&setups, &designs, chips, &trials, cancel, sink)?;
            trials.extend(new.into_iter().map(|trial| ((trial.design_id.clone(), trial.chip), trial)));
            if let Some(reason) = self.tolerance.and_then(|t| self.enough(t, &designs, chips, &trials)) {
                break reason;
            }
            if chips == self.chips {
                break StoppedBy::Chips;
            }
            chips = (chips + CHIP_BATCH).min(self.chips);
        };
        let trials = trials.into_values().filter(|trial| trial.chip.0 < chips).collect();
        Ok(Outcome { trials, stopped_by })
    }

    fn batch(
        &self,
        setups: &[Setup],
        designs: &[Design],
        chips: u32,
        done: &BTreeMap<(String, ChipId), Trial>,
        cancel: &AtomicBool,
        sink: &mut (dyn FnMut(&Trial) -> Result<()> + Send),
    ) -> Result<Vec<Trial>> {
        let owed = owed(setups, designs, chips, done);
        let sink = Mutex::new(sink);
        let run = |task: &Task| {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let trial = self.trial(task)?;
            // a panicked sink has no more to say: its lock is as good as any
            let mut sink = sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            sink(&trial)?;
            Ok(trial)
        };
        owed.par_iter().with_max_len(1).map(run).collect()
    }

    /// Number of trials that [`Self::run`] would compute if no tolerance stopped it.
    ///
    /// # Errors
    /// As [`Self::designs`].
    pub fn count_owed(&self, done: &[Trial]) -> Result<usize> {
        let done = done.iter().map(|t| ((t.design_id.clone(), t.chip), t.clone())).collect();
        let setups = self.setups()?;
        Ok(owed(&setups, &self.designs_of(&setups)?, self.chips, &done).len())
    }

    fn trial(&self, task: &Task) -> Result<Trial> {
        let started = Instant::now();
        let Setup { subject, point, way, exposure } = task.setup;
        let evaluator = subject.evaluator;
        let bits = memory_bits(evaluator) / evaluator.words().len().max(1) as u64;
        let stored = Stored { words: evaluator.words(), bits: bits as u32, exposure };
        let reads = way.model.chip(self.seed, task.chip, point.ber, stored)?;
        let (mut faults, mut any) = (0, false);
        let mut access = |access| {
            let read = reads.access(access)?;
            faults += read.failing_cells;
            any |= !read.words.is_empty();
            Ok(read.words)
        };
        let score = match way.model.is_transient() && point.ber > Ber::ZERO {
            true => evaluator.faulty_by_access(subject.images, access)?,
            false => match access(0)? {
                words if words.is_empty() => subject.clean,
                words => evaluator.faulty(&words, subject.images)?,
            },
        };
        let status = if any { TrialStatus::Evaluated } else { TrialStatus::FaultFree };
        Ok(Trial {
            design_id: task.design_id.to_owned(),
            chip: task.chip,
            faults,
            images: score.images,
            correct: score.correct,
            clean: None,
            status,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Why these chips are enough, where they are: the half-width of every design point is at most the
    /// tolerance. Where the choice of images alone leaves more, no number of chips can bring it there, and the
    /// part of the chips must be within the tolerance instead.
    fn enough(
        &self,
        tolerance: f64,
        designs: &[Design],
        chips: u32,
        trials: &BTreeMap<(String, ChipId), Trial>,
    ) -> Option<StoppedBy> {
        let mut reason = StoppedBy::Tolerance;
        for design in designs {
            let of_chip = |chip| trials.get(&(design.design_id.clone(), ChipId(chip)));
            let of_design: Vec<&Trial> = (0..chips).filter_map(of_chip).collect();
            let sorted = stats::sorted(&of_design.iter().map(|trial| trial.accuracy()).collect::<Vec<_>>());
            let used = of_design.first()?.images;
            let images = ImageSample { used, all: self.test_images }.variance(stats::mean(&sorted)?);
            let limited = stats::normal_half_width(images) > tolerance;
            if limited {
                reason = StoppedBy::Images;
            }
            let images = if limited { 0.0 } else { images };
            // without faults all chips are alike
            let wide = || stats::mean_half_width(deviation(&sorted, tolerance)?, sorted.len(), images);
            if design.ber > 0.0 && wide()? > tolerance {
                return None;
            }
        }
        Some(reason)
    }
}

/// Standard deviation of sorted accuracies over chips. Where few chips differ the sample says little about the
/// rest: the variance is at least that of the rule of three, `3/n` of chips deviating by the greatest deviation
/// seen, or by the tolerance. `None` below two chips.
fn deviation(sorted: &[f64], tolerance: f64) -> Option<f64> {
    let (std, median) = (stats::standard_deviation(sorted)?, stats::quantile(sorted, 0.5)?);
    let greatest = sorted.iter().map(|a| (a - median).abs()).fold(tolerance, f64::max);
    let few_differ = sorted.iter().filter(|&&a| a != median).count() < 3;
    Some(if few_differ { std.max((3.0 / sorted.len() as f64).sqrt() * greatest) } else { std })
}

/// Trials that are owed, chip after chip: an interrupted sweep has whole chips.
fn owed<'a>(
    setups: &'a [Setup<'a>],
    designs: &'a [Design],
    chips: u32,
    done: &BTreeMap<(String, ChipId), Trial>,
) -> Vec<Task<'a>> {
    let mut owed = Vec::new();
    for chip in (0..chips).map(ChipId) {
        for (setup, design) in setups.iter().zip(designs) {
            if !done.contains_key(&(design.design_id.clone(), chip)) {
                owed.push(Task { setup, design_id: &design.design_id, chip });
            }
        }
    }
    owed
}

/// What faults reach of a network's memory.
///
/// # Errors
/// [`Error::Argument`] for float weights, or fault options that do not go with the network.
pub fn exposure(evaluator: &Evaluator, name: &str, faults: &Faults) -> Result<Exposure> {
    let Some(layer) = evaluator.stored().iter().flatten().next() else { return Err(float_model(name)) };
    faults.check_size(name, memory_bits(evaluator))?;
    faults.exposure(&evaluator.memory_layers(), layer.scheme.format.bits())
}

fn float_model(name: &str) -> Error {
    Error::argument(
        format!("model `{name}`"),
        "a quantised model, which stores codes in the memory",
        "float weights (bits: 32)",
    )
}

/// Stored bits of a network.
fn memory_bits(evaluator: &Evaluator) -> u64 {
    let bits = |words: usize, bits: u32| words as u64 * u64::from(bits);
    evaluator.stored().iter().flatten().map(|layer| bits(layer.words.len(), layer.scheme.format.bits())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;
    use crate::net::{Architecture, Network};
    use crate::quant::{Method, QuantizerSpec};
    use crate::seed::Purpose;
    use crate::units::Bits;
    use candle_core::Device;

    struct World {
        evaluator: Evaluator,
        images: Images,
        memory: MemoryModel,
    }

    fn world(bits: u64) -> World {
        let quantizer = QuantizerSpec {
            method: Method::Wcat,
            bits: Bits::new(bits).unwrap(),
            ..QuantizerSpec::default()
        };
        let network = Network::new(Architecture::Mlp, 10, &quantizer, Seed(1), &Device::Cpu).unwrap().0;
        let mut stream = Seed(2).stream(Purpose::Test, &[]);
        let pixels: Vec<f32> = (0..60 * 784).map(|_| stream.normal() as f32).collect();
        let labels: Vec<u32> = (0..60).map(|i| i % 10).collect();
        let images = Images::new(pixels, [1, 28, 28], labels, &Device::Cpu).unwrap();
        let memory = memory::load("sram-14nm-chandramoorthy2019").unwrap();
        World { evaluator: Evaluator::new(network).unwrap(), images, memory }
    }

    fn run(
        world: &World,
        voltages: &str,
        chips: u32,
        tolerance: Option<f64>,
        done: &[Trial],
    ) -> (Outcome, usize) {
        run_of(world, 60, voltages, chips, tolerance, done)
    }

    /// A run on the 60 images of a test set of `test_images`.
    fn run_of(
        world: &World,
        test_images: u64,
        voltages: &str,
        chips: u32,
        tolerance: Option<f64>,
        done: &[Trial],
    ) -> (Outcome, usize) {
        let clean = world.evaluator.clean(&world.images).unwrap();
        let subjects = [Subject {
            name: "m".into(),
            dataset: "d".into(),
            training_seed: None,
            evaluator: &world.evaluator,
            images: &world.images,
            clean,
        }];
        let voltages = world.memory.voltages(voltages).unwrap();
        let points: Vec<OperatingPoint> = voltages.iter().map(|v| world.memory.at(*v).unwrap()).collect();
        let comparison = Comparison {
            subjects: &subjects,
            memory: &world.memory,
            faults: &Faults::of(&world.memory),
            points: &points,
            seed: Seed(5),
            chips,
            tolerance,
            test_images,
        };
        let mut computed = 0;
        let mut sink = |_: &Trial| {
            computed += 1;
            Ok(())
        };
        let mut outcome = comparison.run(done, &AtomicBool::new(false), &mut sink).unwrap();
        outcome.trials.iter_mut().for_each(|trial| trial.seconds = 0.0);
        (outcome, computed)
    }

    #[test]
    fn a_trial_is_the_same_whatever_else_is_swept_and_on_any_number_of_threads() {
        let world = world(4);
        let alone = run(&world, "0.8", 3, None, &[]).0.trials;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let among = pool.install(|| run(&world, "0.75:1.0:0.05", 4, None, &[]).0.trials);
        let same: Vec<&Trial> =
            among.iter().filter(|t| t.design_id == alone[0].design_id && t.chip.0 < 3).collect();
        assert_eq!(same.len(), 3);
        assert!(same.into_iter().eq(alone.iter()));
    }

    #[test]
    fn finished_trials_are_not_computed_again() {
        let world = world(4);
        let (whole, computed) = run(&world, "0.78,0.9", 4, None, &[]);
        assert_eq!(computed, 8);
        let (resumed, computed) = run(&world, "0.78,0.9", 4, None, &whole.trials[..5]);
        assert_eq!(computed, 3);
        assert_eq!(resumed, whole);
    }

    #[test]
    fn at_the_error_free_voltage_every_chip_gives_the_clean_result() {
        let world = world(4);
        let clean = world.evaluator.clean(&world.images).unwrap();
        for trial in run(&world, "1.0", 3, None, &[]).0.trials {
            assert_eq!((trial.faults, trial.correct), (0, clean.correct));
            assert_eq!(trial.status, TrialStatus::FaultFree);
        }
    }

    #[test]
    fn fault_counts_have_the_rate_of_the_curve() {
        let world = world(4);
        let trials = run(&world, "0.833", 40, None, &[]).0.trials;
        let bits = 4.0 * f64::from(784 * 200 + 200 * 50 + 50 * 10);
        let mean = trials.iter().map(|t| t.faults as f64).sum::<f64>() / 40.0;
        let expected = bits * 1.115e-2;
        assert!((mean - expected).abs() < 4.0 * (expected / 40.0).sqrt(), "{mean} {expected}");
    }

    #[test]
    fn a_tolerance_stops_at_the_same_number_of_chips_for_every_design() {
        let world = world(4);
        let (outcome, _) = run(&world, "0.75,1.0", 200, Some(0.04), &[]);
        assert_eq!(outcome.stopped_by, StoppedBy::Tolerance);
        let chips = outcome.trials.len() / 2;
        assert!((16..200).contains(&chips) && chips % 8 == 0, "{chips}");
        let (outcome, _) = run(&world, "0.75,1.0", 20, Some(1e-6), &[]);
        assert_eq!((outcome.stopped_by, outcome.trials.len()), (StoppedBy::Chips, 40));
    }

    #[test]
    fn the_tolerance_holds_the_choice_of_images_and_more_chips_only_where_they_help() {
        let world = world(4);
        let chips = |test_images| {
            let (outcome, _) = run_of(&world, test_images, "0.75,1.0", 400, Some(0.02), &[]);
            (outcome.trials.len() / 2, outcome.stopped_by)
        };
        let whole = chips(60);
        assert_eq!(whole.1, StoppedBy::Tolerance);
        // the choice of 60 of 61 images takes a part of the tolerance
        let most = chips(61);
        assert!(most.0 > whole.0 && most.1 == StoppedBy::Tolerance, "{most:?} {whole:?}");
        // that of 60 of 6000 images alone is above it: as many chips as if their part were all
        assert_eq!(chips(6000), (whole.0, StoppedBy::Images));
    }

    #[test]
    fn float_models_are_refused() {
        let world = world(32);
        let clean = world.evaluator.clean(&world.images).unwrap();
        let subjects = [Subject {
            name: "m".into(),
            dataset: "d".into(),
            training_seed: None,
            evaluator: &world.evaluator,
            images: &world.images,
            clean,
        }];
        let points = [world.memory.at(world.memory.error_free).unwrap()];
        let comparison = Comparison {
            subjects: &subjects,
            memory: &world.memory,
            faults: &Faults::of(&world.memory),
            points: &points,
            seed: Seed(1),
            chips: 1,
            tolerance: None,
            test_images: 60,
        };
        assert!(comparison.designs().unwrap_err().to_string().contains("float weights"));
    }
}
