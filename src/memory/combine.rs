//! A failure curve and the energies of other silicon as one memory model, on request and named as what it is. The
//! voltages of the failure curve are carried over to those of the macro; what is inferred by this is listed in the file.

use super::characteristic::{tidy, Basis, Law};
use super::file::{of_margin, ModelFile};
use super::import::Naming;
use super::macro_file::MacroModel;
use super::sram::{Laws, SramMacro, Variant, WORST};
use super::MemoryModel;
use crate::error::{refuse, Result};
use crate::units::{Voltage, VoltageUnit};
use crate::yaml::{resolve, to_yaml, Layer};
use std::path::Path;

/// How voltages of the failure curve become volts of the macro.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VoltageMap {
    /// The voltage of the macro's silicon, in volts, at which its cells begin to fail: `V = (V / Vmin) · vmin`.
    Vmin(Voltage),
    /// Volts are volts.
    Volts,
}

/// What is combined, and how.
#[derive(Clone, Debug)]
pub struct Combination<'a> {
    /// The failure curve.
    pub failures: &'a MemoryModel,
    /// The energies.
    pub energy: &'a MacroModel,
    /// Variant of the macro, or `worst`: the worst of each number; `None`: its first.
    pub variant: Option<&'a str>,
    /// How voltages are carried over.
    pub map: VoltageMap,
    /// Laws in the place of fitted ones.
    pub laws: Laws,
    /// True where fitted laws may be continued beyond the characterised voltages.
    pub extrapolate: bool,
    /// Volts by which every cell is taken to fail earlier than the failure curve says.
    pub margin: f64,
}

impl Combination<'_> {
    /// The model with its text; `path` is where it will stand.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where voltages cannot be carried over or laws are missing; [`crate::error::Error::Input`] where the model
    /// would not be one.
    pub fn build(&self, naming: &Naming, path: &Path) -> Result<MemoryModel> {
        let mut file: ModelFile = resolve(&[Layer::text(path, &self.failures.text)?])?;
        let scale = self.scale()?;
        self.carry_over(&mut file, scale)?;
        let mut sram = self.energy.file.sram.clone();
        for variant in &mut sram.variants {
            if self.laws != Laws::default() {
                variant.lay(&self.laws);
            }
            variant.extrapolate |= self.extrapolate;
        }
        let (variant, corners) = match self.variant {
            Some(WORST) => sram.worst_at(file.voltage.error_free.get())?,
            name => (sram.variant(name)?.clone(), String::new()),
        };
        check_laws(&self.energy.file.name, &variant)?;
        let text = &self.energy.file;
        sram.from = Some(format!("{}: {}; {}", text.name, text.title, text.source));
        file.measured = Some(joined(&[
            ("Failures", file.measured.as_deref()),
            ("Energies", text.measured.as_deref()),
        ]));
        file.inferred = Some(self.inferred(&variant, &sram, &corners));
        let terms = [
            ("Failures", file.license.as_deref()),
            ("Energies", text.license.as_deref()),
        ];
        let terms = Some(joined(&terms)).filter(|terms| !terms.is_empty());
        file.license = naming.license.clone().or(terms);
        file.source = naming.source.clone().unwrap_or_else(|| {
            format!(
                "failures: {}; energies: {}",
                self.failures.source, text.source
            )
        });
        file.title = naming.title.clone().unwrap_or_else(|| {
            format!(
                "Combination: failures of {}, energies of {}",
                self.failures.name, text.name
            )
        });
        file.name = naming.name.clone();
        sram.variants = vec![variant];
        file.energy.sram = Some(sram);
        MemoryModel::parse(path, &to_yaml(&file)?)
    }

    /// Volts of the macro for 1 of the failure curve.
    fn scale(&self) -> Result<f64> {
        let unit = self.failures.unit;
        match self.map {
            VoltageMap::Vmin(vmin) if unit == VoltageUnit::Vmin => Ok(vmin.get()),
            VoltageMap::Vmin(vmin) => Ok(vmin.get() / self.failures.error_free.get()),
            VoltageMap::Volts if unit == VoltageUnit::Volt => Ok(1.0),
            VoltageMap::Volts => {
                let expected = format!(
                    "`--vmin`: voltages of {} are multiples of Vmin",
                    self.failures.name
                );
                refuse("--map", expected, "volts")
            }
        }
    }

    /// The failure curve in volts of the macro, with its margin.
    fn carry_over(&self, file: &mut ModelFile, scale: f64) -> Result<()> {
        file.move_failures(scale, self.margin)?;
        let part = &mut file.voltage;
        part.unit = VoltageUnit::Volt;
        part.reference = match self.map {
            VoltageMap::Vmin(vmin) => format!(
                "volts of {}; without margin its cells are taken to begin to fail at {vmin} V as those of {} at {}",
                self.energy.file.name, self.failures.name, self.failures.error_free
            ),
            VoltageMap::Volts => format!("volts of {} taken as volts of {}", self.failures.name, self.energy.file.name),
        };
        let access = &mut file.energy.access;
        access.at = Voltage::new(tidy(access.at.get() * scale))?;
        // the macro has energies of its own, and a file may not have both
        (access.picojoule_per_bit, access.source, file.energy.leakage) = (None, None, None);
        Ok(())
    }

    /// What rests on nothing but the combination.
    fn inferred(&self, variant: &Variant, sram: &SramMacro, corners: &str) -> String {
        let (failures, energy) = (self.failures, &self.energy.file);
        let carried = match self.map {
            VoltageMap::Vmin(vmin) => {
                format!("a voltage V is carried over as (V / Vmin) x {vmin} V")
            }
            VoltageMap::Volts => "volts are taken as the same".into(),
        };
        let at = if corners.is_empty() {
            "energies are"
        } else {
            "leakage is"
        };
        let mut text = format!(
            "That silicon of the energies fails as that of the failures: {carried}. Process: failures {}, energies {}. \
             Temperature: the failure curve has none, {} at {} degrees Celsius, process {}. Word width: \
             failures {} bits, energies {} bits.",
            failures.title, energy.title, at, variant.temperature_c, variant.process, failures.array.word_bits, sram.bits
        );
        if self.margin != 0.0 {
            text += &format!(" {}", of_margin(self.margin, "V"));
        }
        if !corners.is_empty() {
            text +=
                &format!(" Worst of each number: {corners}. The margin, not they, moves failures.");
        }
        if let Some(assumed) = assumptions(variant) {
            text += &format!(" Assumed: {assumed}.");
        }
        for (what, own) in [
            ("failures", &failures.inferred),
            ("energies", &energy.inferred),
        ] {
            if let Some(own) = own {
                text += &format!(" Of the {what}: {}", own.trim());
            }
        }
        text
    }
}

/// Laws of a variant that are assumed, in words with where they come from; `None` where none is.
pub fn assumptions(variant: &Variant) -> Option<String> {
    let (read, write) = (&variant.read_pj, &variant.write_pj);
    let mut numbers = vec![
        ("leakage", &variant.leakage_nw),
        ("delay", &variant.delay_ns),
    ];
    if read.law == write.law {
        numbers.insert(0, ("access energy", read));
    } else {
        numbers.splice(0..0, [("read energy", read), ("write energy", write)]);
    }
    let laws = numbers
        .into_iter()
        .filter_map(|(what, number)| Some((what, number.law.as_ref()?)));
    let assumed: Vec<_> = laws
        .filter(|(_, law)| law.basis == Basis::Assumed)
        .collect();
    let (_, first) = assumed.first()?;
    // one source is said once
    let alike = assumed.iter().all(|(_, law)| law.source == first.source);
    let said = |(what, law): &(&str, &Law)| {
        let own = if alike {
            String::new()
        } else {
            format!(" ({})", law.source)
        };
        format!("{what} goes with {}{own}", law.in_words())
    };
    let said = assumed.iter().map(said).collect::<Vec<_>>().join(", ");
    Some(if alike {
        format!("{said} ({})", first.source)
    } else {
        said
    })
}

/// One voltage says nothing of others.
fn check_laws(name: &str, variant: &Variant) -> Result<()> {
    let flags = [
        ("read_pj", "--access-exponent"),
        ("leakage_nw", "--leakage-exponent"),
        ("delay_ns", "--alpha and --threshold"),
    ];
    let anchors = variant
        .numbers()
        .into_iter()
        .filter(|(_, number)| number.law.is_none() && number.points.len() == 1);
    let keys: Vec<&str> = anchors.map(|(key, _)| key).collect();
    let missing: Vec<&str> = flags
        .iter()
        .filter(|(key, _)| keys.contains(key))
        .map(|(_, flag)| *flag)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let volt = variant.read_pj.span()[0];
    let expected = format!(
        "{}: `{name}` gives one voltage, {volt} V, and no default is defensible; what is given is recorded as assumed",
        missing.join(", ")
    );
    refuse("laws over voltage", expected, "none")
}

/// Texts of both sides, each behind what it is of.
fn joined(texts: &[(&str, Option<&str>)]) -> String {
    let known = texts
        .iter()
        .filter_map(|(what, text)| Some(format!("{what}: {}", (*text)?.trim())));
    known.collect::<Vec<_>>().join(" ")
}
