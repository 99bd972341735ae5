//! How the cells of a memory fail in a run: what its model says, changed by the fault options of the user.

use super::{MemoryModel, OperatingPoint};
use crate::error::{refuse, Result};
use crate::fault::{
    ArrayLabel, ArraySpec, CellSource, Exposure, FaultKind, FaultLabel, FaultMap, FaultModel,
    FaultSpec, Noise, Profile,
};
use crate::units::{Ber, BerSource, Fraction, Voltage};

/// The fault options of a run, resolved for its memory model.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The options, without those that say what the memory model says anyway; maps by checksum.
    spec: FaultSpec,
    own: ArraySpec,
    arrays: Vec<ArraySpec>,
    kind: FaultKind,
    persistent_share: Fraction,
    profile: Option<&'static Profile>,
    map: Option<FaultMap>,
}

/// One way in which the cells of a memory fail: one array of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayVariant {
    /// Which cells fail, and how.
    pub model: FaultModel,
    /// Words of the column `array`.
    pub array: ArrayLabel,
    /// What design points of this array have at the end of their name; empty for the memory model's own.
    pub suffix: String,
}

impl Faults {
    /// What the memory model says.
    pub fn of(memory: &MemoryModel) -> Self {
        Self {
            spec: FaultSpec::default(),
            own: memory.array,
            arrays: vec![memory.array],
            kind: memory.fault_kind,
            persistent_share: memory.persistent_share,
            profile: None,
            map: None,
        }
    }

    /// What the options make of a memory model; reads the fault map where there is one.
    ///
    /// # Errors
    /// As [`FaultSpec::check`] and [`FaultMap::read`]; a map in another unit than the memory model.
    pub fn new(spec: &FaultSpec, memory: &MemoryModel) -> Result<Self> {
        spec.check()?;
        let mut faults = Self {
            spec: spec.clone(),
            ..Self::of(memory)
        };
        // the memory model's own by now, which its checksum says
        faults.spec.margin = None;
        faults.arrays = spec.arrays(&memory.array)?;
        faults.spec.arrays = match faults.arrays.as_slice() {
            [own] if *own == memory.array => Vec::new(),
            arrays => arrays.iter().map(|array| array.label().into()).collect(),
        };
        if let Some(kind) = spec.kind()? {
            faults.kind = kind;
        }
        if faults.kind == memory.fault_kind {
            (faults.spec.kind, faults.spec.zero_to_one_share) = (None, None);
        }
        if let (Some(_), true) = (
            &memory.standby,
            spec.profile.is_some() || !spec.map.is_empty(),
        ) {
            let expected = format!(
                "a memory model without `standby` beside a profile or a fault map, unlike {}",
                memory.name
            );
            return refuse("memory", expected, "one with it");
        }
        faults.persistent_share = spec.persistent_share.unwrap_or(memory.persistent_share);
        if faults.persistent_share == memory.persistent_share {
            faults.spec.persistent_share = None;
        }
        if let Some(profile) = spec.profile()? {
            faults.profile = Some(profile);
            faults.arrays = vec![profile.array(&memory.array)];
        }
        if !spec.map.is_empty() {
            let map = FaultMap::read(&spec.map, &memory.array)?;
            if map.unit.is_some_and(|unit| unit != memory.unit) {
                let expected = format!(
                    "voltages in `{}`, the unit of {}",
                    memory.unit.name(),
                    memory.name
                );
                let found = map.unit.map_or("", |unit| unit.name());
                return refuse("faults.map", expected, format!("`{found}`"));
            }
            faults.spec.map = vec![map.checksum.clone()];
            faults.kind = map.kind;
            faults.persistent_share = Fraction::new(1.0)?;
            faults.map = Some(map);
        }
        Ok(faults)
    }

    /// What the options change, for identities: `None` where they change nothing.
    pub fn changes(&self) -> Option<&FaultSpec> {
        (self.spec != FaultSpec::default()).then_some(&self.spec)
    }

    /// Arrays of the comparison.
    pub fn count(&self) -> usize {
        self.arrays.len()
    }

    /// The part of a memory that faults reach; arguments as [`Exposure::new`].
    ///
    /// # Errors
    /// As [`Exposure::new`].
    pub fn exposure(&self, layers: &[(&str, u64)]) -> Result<Exposure> {
        Exposure::new(&self.spec, layers)
    }

    /// True where faults reach the memory of a layer.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a glob that does not parse.
    pub fn reach_layer(&self, name: &str) -> Result<bool> {
        self.spec.reaches(name)
    }

    /// True where faults reach the most significant bits alone.
    pub fn reach_msb_only(&self) -> bool {
        self.spec.noise == Noise::Msb
    }

    /// Settings of a sweep: the bit error rates asked for, each at the voltage where the memory has it (to 0.0001), else
    /// those of [`Self::voltages`].
    ///
    /// # Errors
    /// As [`Self::voltages`], [`Self::at`] and [`Self::at_rate`].
    pub fn settings(
        &self,
        memory: &MemoryModel,
        list: Option<&str>,
        rates: &[Ber],
    ) -> Result<Vec<OperatingPoint>> {
        if rates.is_empty() {
            return self
                .voltages(memory, list)?
                .into_iter()
                .map(|voltage| self.at(memory, voltage))
                .collect();
        }
        let mut points: Vec<OperatingPoint> = rates
            .iter()
            .map(|rate| self.at_rate(memory, *rate))
            .collect::<Result<_>>()?;
        points.sort_by(|a, b| a.voltage.get().total_cmp(&b.voltage.get()));
        if let Some(pair) = points
            .windows(2)
            .find(|pair| pair[0].voltage == pair[1].voltage)
        {
            let expected = format!(
                "rates that {} has at different voltages, to 0.0001",
                memory.name
            );
            let found = format!(
                "{} and {}, both at {}",
                pair[0].ber, pair[1].ber, pair[0].voltage
            );
            return refuse("sweep.bit_error_rates", expected, found);
        }
        Ok(points)
    }

    /// The memory at a bit error rate: at the voltage where it has it, to 0.0001, with exactly this rate. The rate 0 is
    /// that of the error-free voltage.
    ///
    /// # Errors
    /// As [`MemoryModel::voltage_at_ber`]; a rate above 0 that the memory has at no voltage below the error-free one;
    /// rates of a map or a profile, which cannot be chosen.
    pub fn at_rate(&self, memory: &MemoryModel, rate: Ber) -> Result<OperatingPoint> {
        if self.profile.is_some() || self.map.is_some() {
            let expected = "neither a profile nor a fault map, which have rates of their own";
            return refuse("sweep.bit_error_rates", expected, self.label().as_str());
        }
        if rate == Ber::ZERO {
            return memory.at(memory.error_free);
        }
        let point = memory.at(rounded_voltage(memory, rate)?)?;
        if point.ber == Ber::ZERO {
            let expected = format!(
                "rates that {} has below its error-free voltage, or 0",
                memory.name
            );
            return refuse("sweep.bit_error_rates", expected, rate);
        }
        Ok(OperatingPoint { ber: rate, ..point })
    }

    /// Voltages of a sweep: the list as the user typed it, else those of the map, else those at which the memory has
    /// the rates of the profile, to 0.0001; else eleven over the memory's curve.
    ///
    /// # Errors
    /// As [`MemoryModel::voltages`] and [`Self::at`]; a list beside a profile.
    pub fn voltages(&self, memory: &MemoryModel, list: Option<&str>) -> Result<Vec<Voltage>> {
        let voltages = match (list, self.profile, &self.map) {
            (Some(list), Some(profile), _) => {
                let expected = format!(
                    "to be left out beside the profile `{}`, which has rates of its own",
                    profile.name
                );
                return refuse("sweep.voltages", expected, format!("`{list}`"));
            }
            (Some(list), None, _) => {
                let lost = self.lost(memory, list)?;
                let mut voltages = memory.voltages(list)?;
                voltages.retain(|voltage| !lost.contains(voltage));
                voltages
            }
            (None, Some(profile), _) => {
                let rates = profile.measured.iter().map(|point| Ber::new(point.ber));
                rates
                    .map(|ber| rounded_voltage(memory, ber?))
                    .collect::<Result<_>>()?
            }
            (None, None, Some(map)) => map.voltages(),
            (None, None, None) => memory
                .curve(11)?
                .into_iter()
                .map(|point| point.voltage)
                .collect(),
        };
        voltages
            .iter()
            .try_for_each(|voltage| self.at(memory, *voltage).map(drop))?;
        Ok(voltages)
    }

    /// Voltages of a list at which more than half of the bits fail, where the memory has a macro and other voltages remain:
    /// a sweep leaves them out, and the energy is known there too. Elsewhere they are errors.
    ///
    /// # Errors
    /// As [`MemoryModel::voltages`].
    pub fn lost(&self, memory: &MemoryModel, list: &str) -> Result<Vec<Voltage>> {
        if memory.sram.is_none() || self.map.is_some() {
            return Ok(Vec::new());
        }
        let all = memory.voltages(list)?;
        let is_lost = |voltage: &Voltage| memory.is_lost(*voltage);
        let lost: Vec<Voltage> = all.iter().copied().filter(is_lost).collect();
        Ok(if lost.len() < all.len() {
            lost
        } else {
            Vec::new()
        })
    }

    /// The memory at a voltage: with the rate of the map or profile where there is one, else with its own.
    ///
    /// # Errors
    /// As [`MemoryModel::at`]; a voltage that the map does not hold, or at which its rate passes 0.5.
    pub fn at(&self, memory: &MemoryModel, voltage: Voltage) -> Result<OperatingPoint> {
        if let Some(map) = &self.map {
            let (ber, _) = map.at(voltage)?;
            if ber.get() > super::HIGHEST_BER {
                let found = format!("{ber} at {voltage}");
                return refuse("bit error rate of the fault map", "at most 0.5", found);
            }
            memory.check_reach(voltage)?;
            let access_energy_relative = memory.access_energy(voltage);
            return Ok(OperatingPoint {
                voltage,
                ber,
                ber_source: BerSource::Measured,
                access_energy_relative,
            });
        }
        let Some(profile) = self.profile else {
            return memory.at(voltage);
        };
        for point in profile.measured {
            let ber = Ber::new(point.ber)?;
            if rounded_voltage(memory, ber)? == voltage {
                return Ok(OperatingPoint {
                    ber,
                    ..memory.at(voltage)?
                });
            }
        }
        let expected = format!(
            "a voltage at which {} has a rate of `{}`",
            memory.name, profile.name
        );
        refuse("voltage", expected, voltage)
    }

    /// The ways in which cells fail at a rate, one for each array.
    ///
    /// # Errors
    /// A rate that the profile does not have, a voltage that the map does not hold, or a map without a voltage.
    pub fn ways(&self, ber: Ber, voltage: Option<Voltage>) -> Result<Vec<ArrayVariant>> {
        let (mut kind, mut persistent_share) = (self.kind, self.persistent_share);
        if let Some(profile) = self.profile {
            let point = profile.at(ber)?;
            (kind, persistent_share) = (point.kind()?, point.persistent_share()?);
        }
        if let Some(map) = &self.map {
            let Some(voltage) = voltage else {
                return refuse("--ber", "`--voltage`, one of the fault map", ber);
            };
            let cells = CellSource::Listed(map.at(voltage)?.1);
            let model = FaultModel {
                cells,
                kind,
                persistent_share,
            };
            return Ok(vec![ArrayVariant {
                model,
                array: ArrayLabel::Map,
                suffix: String::new(),
            }]);
        }
        let way = |array: &ArraySpec| ArrayVariant {
            model: FaultModel {
                cells: CellSource::Drawn(*array),
                kind,
                persistent_share,
            },
            array: array.label(),
            suffix: if *array == self.own || self.profile.is_some() {
                String::new()
            } else {
                format!("+{}", array.label().as_str().replace(' ', "-"))
            },
        };
        Ok(self.arrays.iter().map(way).collect())
    }

    /// The ways in which cells fail where parts of a memory have rates of their own.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a profile or a fault map, whose cells have one rate.
    pub fn ways_of_any_rate(&self) -> Result<Vec<ArrayVariant>> {
        if self.profile.is_some() || self.map.is_some() {
            let expected = "neither a profile nor a fault map, which have rates of their own";
            return refuse("faults of voltage domains", expected, self.label());
        }
        self.ways(Ber::ZERO, None)
    }

    /// The words of the column `fault_kind`.
    pub fn label(&self) -> FaultLabel {
        let mut more = String::new();
        // a fraction stands beside a kind alone
        if self.map.is_some() {
            more += " map";
        } else if let Some(fraction) = self.spec.zero_to_one_share {
            more += &format!(" {fraction}");
        }
        if self.profile.is_none() && self.persistent_share.get() < 1.0 {
            more += &format!("; persistent {}", self.persistent_share);
        }
        if self.spec.noise == Noise::Msb {
            more += "; msb only";
        }
        if !self.spec.layers.is_empty() {
            more += &format!("; layers {}", self.spec.layers.join(" "));
        }
        FaultLabel::new(self.kind.name(), self.profile, &more)
    }

    /// True where the number of failing cells drawn has the bit error rate for its mean: not where cells are listed,
    /// and not where it depends on what is stored.
    pub fn counts_have_the_rate(&self) -> bool {
        let biased = matches!(self.kind, FaultKind::Biased { .. });
        self.map.is_none() && self.profile.is_none() && !biased
    }

    /// True where each access reads other faults.
    pub fn is_transient(&self) -> bool {
        self.persistent_share.get() < 1.0
    }

    /// Chips of a sweep where so many are asked for: no more than the map has.
    pub fn chips(&self, asked: u32) -> u32 {
        self.map.as_ref().map_or(asked, |map| asked.min(map.chips))
    }

    /// Refuses a memory that is larger than the map's.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] with both sizes.
    pub fn check_size(&self, model: &str, cells: u64) -> Result<()> {
        match &self.map {
            Some(map) if map.cells < cells => {
                let expected = format!("at least the {cells} bits that `{model}` stores");
                refuse("cells of the fault map", expected, map.cells)
            }
            _ => Ok(()),
        }
    }

    /// What the user of a fault map should know of it.
    pub fn map_remarks(&self) -> &[String] {
        self.map.as_ref().map_or(&[], |map| &map.remarks)
    }

    /// What the reader of results should know.
    pub fn notes(&self, memory: &MemoryModel) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(profile) = self.profile {
            notes.push(format!(
                "faults are those of the profiled {} at its own bit error rates; the profile has no voltage: each rate \
                 stands at the voltage where {} has it",
                profile.name, memory.name
            ));
        }
        if let Some(map) = &self.map {
            notes.push(format!(
                "failing cells and bit error rates are those of a fault map of {} cells on {} chip{}; of {} only the \
                 energy is taken",
                map.cells,
                map.chips,
                if map.chips == 1 { "" } else { "s" },
                memory.name
            ));
            notes.extend(map.remarks.iter().cloned());
        }
        notes
    }
}

/// Where the memory has a rate of a profile, to 0.0001.
fn rounded_voltage(memory: &MemoryModel, ber: Ber) -> Result<Voltage> {
    Voltage::new((memory.voltage_at_ber(ber)?.get() * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::KindName;
    use crate::memory::load;

    fn faults(memory: &str, change: impl Fn(&mut FaultSpec)) -> Result<Faults> {
        let mut spec = FaultSpec::default();
        change(&mut spec);
        Faults::new(&spec, &load(memory)?)
    }

    #[test]
    fn asked_rates_stand_exactly_at_the_voltage_where_the_memory_has_them() {
        let memory = load(FINFET).unwrap();
        let rates: Vec<Ber> = [0.01, 0.0, 1e-4]
            .map(|rate| Ber::new(rate).unwrap())
            .to_vec();
        let found = Faults::of(&memory).settings(&memory, None, &rates).unwrap();
        let rates_found: Vec<f64> = found.iter().map(|point| point.ber.get()).collect();
        assert_eq!(rates_found, [0.01, 1e-4, 0.0]);
        assert_eq!(found[2].voltage, memory.error_free);
        for point in &found[..2] {
            let own = memory.at(point.voltage).unwrap();
            assert!(
                (own.ber.get() / point.ber.get() - 1.0).abs() < 0.01,
                "{own:?}"
            );
            assert_eq!(
                (own.ber_source, own.access_energy_relative),
                (point.ber_source, point.access_energy_relative)
            );
            assert_eq!(
                (point.voltage.get() * 1e4).round() / 1e4,
                point.voltage.get()
            );
        }
        let error = |faults: &Faults, rates: &[f64]| {
            let rates: Vec<Ber> = rates.iter().map(|rate| Ber::new(*rate).unwrap()).collect();
            faults
                .settings(&memory, None, &rates)
                .unwrap_err()
                .to_string()
        };
        assert!(error(&Faults::of(&memory), &[0.01, 0.0100001]).contains("different voltages"));
        assert!(error(&Faults::of(&memory), &[0.7]).contains("0 to 0.5"));
        assert!(error(&Faults::of(&memory), &[1e-300]).contains("below its error-free voltage"));
        let profiled = faults(FINFET, |spec| spec.profile = Some("chip2".into())).unwrap();
        assert!(error(&profiled, &[0.01]).contains("rates of their own"));
    }

    const FINFET: &str = "sram-14nm-chandramoorthy2019";
    const FPGA: &str = "sram-28nm-kc705b-salami2018";

    #[test]
    fn options_that_say_what_the_model_says_change_nothing() {
        let memory = load(FPGA).unwrap();
        let same = faults(FPGA, |spec| {
            spec.arrays = vec!["model".into()];
            spec.kind = Some(KindName::Flip);
            spec.persistent_share = Fraction::new(1.0).ok();
        });
        assert_eq!(same.unwrap(), Faults::of(&memory));
        assert_eq!(Faults::of(&memory).changes(), None);
        assert_eq!(Faults::of(&memory).label().as_str(), "flip");
        for changed in [
            faults(FPGA, |spec| spec.arrays = vec!["independent".into()]),
            faults(FPGA, |spec| spec.arrays = vec!["model,independent".into()]),
            faults(FPGA, |spec| spec.noise = Noise::Msb),
            faults(FPGA, |spec| spec.layers = vec!["*".into()]),
            faults(FPGA, |spec| spec.persistent_share = Fraction::new(0.5).ok()),
        ] {
            assert!(changed.unwrap().changes().is_some());
        }
    }

    #[test]
    fn each_array_has_its_name_and_the_models_own_keeps_the_plain_one() {
        let found = faults(FPGA, |spec| {
            spec.arrays = vec!["model,independent,column=0.3".into()]
        })
        .unwrap();
        let ways = found.ways(Ber::new(0.1).unwrap(), None).unwrap();
        let names: Vec<(&str, &str)> = ways
            .iter()
            .map(|way| (way.array.as_str(), way.suffix.as_str()))
            .collect();
        let expected = [
            ("column 0.51 bank 0.05", ""),
            ("independent", "+independent"),
            ("column 0.3 bank 0", "+column-0.3-bank-0"),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_profile_brings_rates_bias_persistence_and_columns() {
        let memory = load(FINFET).unwrap();
        let found = faults(FINFET, |spec| spec.profile = Some("chip2".into())).unwrap();
        let voltages = found.voltages(&memory, None).unwrap();
        let rates: Vec<f64> = voltages
            .iter()
            .map(|v| found.at(&memory, *v).unwrap().ber.get())
            .collect();
        assert_eq!(rates, [0.04707, 0.0101, 0.00136]);
        for (voltage, rate) in voltages.iter().zip(rates) {
            let own = memory.at(*voltage).unwrap().ber.get();
            assert!((own / rate - 1.0).abs() < 0.01, "{own} {rate}");
        }
        let way = found
            .ways(Ber::new(0.0101).unwrap(), None)
            .unwrap()
            .remove(0);
        assert_eq!(way.array.as_str(), "column 0.51 bank 0");
        assert!((way.model.persistent_share.get() - 0.105 / 1.01).abs() < 1e-12);
        let FaultKind::Biased { zero_to_one_share } = way.model.kind else {
            panic!("{way:?}")
        };
        assert!((zero_to_one_share.get() - 0.82 / 1.01).abs() < 1e-12);
        let error = found
            .voltages(&memory, Some("0.8"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("sweep.voltages: expected to be left out beside the profile `chip2`"),
            "{error}"
        );
    }

    #[test]
    fn labels_say_what_was_asked_for() {
        let label =
            |change: &dyn Fn(&mut FaultSpec)| faults(FPGA, change).unwrap().label().to_string();
        assert_eq!(label(&|spec| spec.noise = Noise::Msb), "flip; msb only");
        let fraction = Fraction::new(0.25).ok();
        let stuck = label(&|spec| {
            (spec.kind, spec.zero_to_one_share, spec.persistent_share) =
                (Some(KindName::Stuck), fraction, fraction);
            spec.layers = vec!["conv*".into(), "fc".into()];
        });
        assert_eq!(stuck, "stuck 0.25; persistent 0.25; layers conv* fc");
    }

    #[test]
    fn a_list_with_a_macro_loses_the_voltages_at_which_more_than_half_of_the_bits_fail() {
        let memory = load("combination-14nm-cacti-22nm-hp").unwrap();
        let own = Faults::of(&memory);
        let values =
            |voltages: Vec<Voltage>| -> Vec<f64> { voltages.iter().map(|v| v.get()).collect() };
        let list = "0.42:0.8:0.04";
        assert_eq!(
            values(own.lost(&memory, list).unwrap()),
            [0.42, 0.46, 0.5, 0.54]
        );
        assert_eq!(values(own.voltages(&memory, Some(list)).unwrap())[0], 0.58);
        // none is left, or no macro
        let refused = |memory: &MemoryModel, list| {
            let own = Faults::of(memory);
            assert!(own.lost(memory, list).unwrap().is_empty());
            own.voltages(memory, Some(list)).unwrap_err().to_string()
        };
        assert!(refused(&memory, "0.5,0.54").contains("passes 0.5"));
        assert!(refused(&load(FINFET).unwrap(), "0.7,0.9").contains("passes 0.5"));
    }
}
