//! The file of an SRAM macro, both ways: energies, leakage and delay without a failure curve. Such a file says what a
//! memory costs, and no sweep can use it alone.

use super::characteristic::{Basis, Characteristic, Law};
use super::sram::{Laws, SramMacro};
use crate::error::{refuse, Error, Result};
use crate::store::sha256;
use crate::units::check_name;
use crate::yaml::{resolve_to, to_yaml, Layer};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacroFile {
    /// Short name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the numbers come from.
    pub source: String,
    /// What was characterised, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// What is inferred or assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred: Option<String>,
    /// Terms of use of the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The macro.
    #[serde(rename = "macro")]
    pub sram: SramMacro,
}

/// A macro as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct MacroModel {
    /// What its file says, checked.
    pub file: MacroFile,
    /// SHA-256 of the file.
    pub checksum: String,
    /// The file as it was read.
    pub text: String,
}

impl MacroModel {
    /// Reads the text of a macro's file; `path` is for errors alone.
    ///
    /// # Errors
    /// [`Error::Input`] with path, line and key for everything that is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::of_layer(&Layer::text(path, text)?, text)
    }

    pub(super) fn of_layer(layer: &Layer, text: &str) -> Result<Self> {
        resolve_to(std::slice::from_ref(layer), |file: MacroFile| {
            file.check()?;
            Ok(file.with_text(text.to_owned()))
        })
    }

    /// The laws of its first variant, for other macros of the process.
    ///
    /// # Errors
    /// [`Error::Argument`] where it has none.
    pub fn laws(&self) -> Result<Laws> {
        let variant = self.file.sram.variant(None)?;
        let of = |number: &Characteristic| {
            let law = number.law.as_ref()?;
            let source = format!("that of `{}`, {}", self.file.name, variant.name);
            Some(Law {
                basis: Basis::Assumed,
                worst_residual: None,
                source,
                ..law.clone()
            })
        };
        let laws = Laws {
            read: of(&variant.read_pj),
            write: of(&variant.write_pj),
            leakage: of(&variant.leakage_nw),
            delay: of(&variant.delay_ns),
        };
        if laws == Laws::default() {
            let expected =
                "a macro whose first variant has laws over voltage, as from three voltages of it";
            return refuse(
                "--laws-of",
                expected,
                format!("`{}` without", self.file.name),
            );
        }
        Ok(laws)
    }

    /// True for a document that is the file of a macro.
    pub(super) fn is_one(layer: &Layer) -> bool {
        layer.sets("macro") && !layer.sets("bit_error_rate")
    }
}

impl MacroFile {
    fn check(&self) -> Result<()> {
        check_name(&self.name)
            .map_err(|(expected, found)| Error::argument("name", expected, found))?;
        for (key, text) in [("title", &self.title), ("source", &self.source)] {
            if text.trim().is_empty() {
                return refuse(key, "some text", "none");
            }
        }
        self.sram.check("macro")
    }

    /// The macro with its text.
    ///
    /// # Errors
    /// [`Error::Argument`] for what no file may say.
    pub fn model(self) -> Result<MacroModel> {
        self.check()?;
        let text = to_yaml(&self)?;
        Ok(self.with_text(text))
    }

    fn with_text(self, text: String) -> MacroModel {
        MacroModel {
            file: self,
            checksum: sha256(text.as_bytes()),
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::open;
    use crate::units::{Positive, Voltage};

    /// Read, write, leakage and delay of GF180 64x8 of the typical process, by the foundry's simulation.
    const OF_64X8: [(f64, [f64; 4]); 3] = [
        (1.8, [84.3399, 92.043, 1.0, 16.1808]),
        (3.3, [310.2, 342.144, 1.0, 6.417]),
        (5.0, [770.85, 859.2, 1.0, 4.48224]),
    ];

    #[test]
    fn another_size_of_the_process_follows_each_law_by_its_own_scale() {
        let of_512x8 = open("gf180-512x8").unwrap().sram().unwrap();
        let laws = of_512x8.laws().unwrap();
        let known = &of_512x8.file.sram.variants[0];
        let mut small = known.clone();
        let (at, values) = OF_64X8[1];
        for (number, value) in small.numbers_mut().into_iter().zip(values) {
            number.points.retain(|point| point.at.get() == at);
            number.points[0].value = Positive::new(value).unwrap();
            number.law = None;
        }
        small.lay(&laws);
        for ((_, own), (_, other)) in small.numbers().into_iter().zip(known.numbers()) {
            let exponent = |number: &Characteristic| number.law.as_ref().unwrap().exponent;
            assert_eq!(exponent(own), exponent(other));
        }
        assert!(laws.write.unwrap().exponent > laws.read.unwrap().exponent + 0.02);
        // energies no better than a power of the voltage is, within 1.1 % of 512x8 over all its points
        for (volt, [read, write, _, delay]) in OF_64X8 {
            let found = small.at(Voltage::new(volt).unwrap()).unwrap();
            let off = |found: f64, value: f64| (found / value - 1.0).abs();
            assert!(off(found.delay_ns.unwrap(), delay) < 0.006, "{found:?}");
            assert!(off(found.read_pj, read) < 0.03, "{found:?}");
            assert!(off(found.write_pj, write) < 0.03, "{found:?}");
        }
    }
}
