//! What a user may ask of faults beside the memory model, checked; what it means for a memory is resolved there.

use super::choice::parse_arrays;
use super::{ArraySpec, FaultKind, KindName, Profile};
use crate::error::{refuse, Error, Result};
use crate::units::Fraction;
use serde::{Deserialize, Serialize};

/// Which bits of a code faults reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// Every bit.
    #[default]
    Random,
    /// The most significant bit of each code alone.
    Msb,
}

/// Options of faults. Nothing given: what the memory model says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultSpec {
    /// Which bits of a code faults reach. `msb`: only the most significant bit fails, at the rate of the memory; the
    /// other bits are read without faults.
    pub noise: Noise,
    /// Globs over layer names (`inspect` shows them): only these layers lie in the unreliable memory; empty: all. The
    /// others are read without faults, at the energy of the error-free voltage. Bits keep their cells: a layer has
    /// the same faults whatever else is exposed.
    pub layers: Vec<String>,
    /// Correlations of the array in place of the memory model's, whose shape stays: `independent`, `model`,
    /// `column=R,bank=R`; empty: the memory model's own. Several are compared in one sweep: each design point of an
    /// array that is not the model's own ends in `+<array>`. `eval` takes one. Two arrays alike are an error.
    pub arrays: Vec<String>,
    /// What a failing cell does, see below: `flip`, `stuck`, `biased`; absent: what the memory model says.
    pub kind: Option<KindName>,
    /// Goes with `stuck` and `biased`, see below.
    pub zero_to_one_share: Option<Fraction>,
    /// Fraction of the bit error rate that is there in every access; the rest is drawn again in each, see below; absent:
    /// the memory model's.
    pub persistent_share: Option<Fraction>,
    /// A profiled chip, see below: `chip1`, `chip2`, `chip3`. It says kind, array and persistent fraction itself.
    pub profile: Option<String>,
    /// A measured fault map, see below: one CSV file, or `VOLTAGE=FILE.npy` for each voltage, or one `.npz` file of
    /// arrays named by voltage. It says kind, array and rates itself.
    pub map: Vec<String>,
    /// Voltage by which every cell is taken to fail earlier than the memory model says, such as `50mV`: moves its failure
    /// curve, and the error-free voltage with it, never what a voltage costs. Not with `map`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<String>,
}

impl FaultSpec {
    /// Checks every value and that the options go together.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        self.globs()?;
        parse_arrays(&self.arrays)?;
        self.kind()?;
        self.profile()?;
        let model_keys = [
            ("arrays", !self.arrays.is_empty()),
            ("kind", self.kind.is_some()),
            ("persistent_share", self.persistent_share.is_some()),
        ];
        if let (Some(margin), false) = (&self.margin, self.map.is_empty()) {
            let expected =
                "to be left out beside `faults.map`, whose cells fail as they were measured";
            return refuse("faults.margin", expected, format!("`{margin}`"));
        }
        for (owner, is_given) in [
            ("map", !self.map.is_empty()),
            ("profile", self.profile.is_some()),
        ] {
            let other = ("profile", owner == "map" && self.profile.is_some());
            let mut besides = model_keys.iter().chain([&other]);
            if let Some((key, _)) = besides.find(|(_, given)| is_given && *given) {
                let expected = format!("to be left out beside `faults.{owner}`, which says it");
                return refuse(format!("faults.{key}"), expected, "a value");
            }
        }
        Ok(())
    }

    /// The kind of fault asked for, if any.
    ///
    /// # Errors
    /// [`Error::Argument`] for a share that the kind does not have, or lacks.
    pub fn kind(&self) -> Result<Option<FaultKind>> {
        let wrong = |expected: &str| {
            let found = self
                .zero_to_one_share
                .map_or("none".into(), |fraction| fraction.to_string());
            Error::argument("faults.zero_to_one_share", expected, found)
        };
        match (self.kind, self.zero_to_one_share) {
            (Some(name), fraction) => FaultKind::new(name, fraction).map(Some).map_err(wrong),
            (None, Some(_)) => Err(wrong(
                "to be left out unless `faults.kind` is `stuck` or `biased`",
            )),
            (None, None) => Ok(None),
        }
    }

    /// The profile asked for, if any.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name, with the known ones.
    pub fn profile(&self) -> Result<Option<&'static Profile>> {
        self.profile.as_deref().map(Profile::named).transpose()
    }

    /// The arrays asked for, with the shape of the memory model's own; that alone where none was.
    ///
    /// # Errors
    /// [`Error::Argument`] where one is wrong, or two are alike.
    pub fn arrays(&self, own: &ArraySpec) -> Result<Vec<ArraySpec>> {
        let arrays: Vec<ArraySpec> = parse_arrays(&self.arrays)?
            .into_iter()
            .map(|choice| choice.of(own))
            .collect::<Result<_>>()?;
        for (i, array) in arrays.iter().enumerate() {
            if arrays[..i].contains(array) {
                let own = own.label();
                let expected = format!("arrays that differ (that of the memory model is: {own})");
                return refuse(
                    "faults.arrays",
                    expected,
                    format!("`{}` twice", array.label()),
                );
            }
        }
        Ok(if arrays.is_empty() {
            vec![*own]
        } else {
            arrays
        })
    }

    /// True where faults reach what this layer reads and stores: where one of the globs matches, or there are none.
    ///
    /// # Errors
    /// As [`Self::globs`].
    pub fn reaches(&self, layer: &str) -> Result<bool> {
        let globs = self.globs()?;
        Ok(globs.is_empty() || globs.iter().any(|glob| glob.is_match(layer)))
    }

    /// One matcher for each glob of `layers`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a glob that does not parse.
    pub fn globs(&self) -> Result<Vec<globset::GlobMatcher>> {
        let matcher = |glob: &String| {
            let parsed = globset::Glob::new(glob);
            let parsed = parsed.map_err(|e| {
                Error::argument(
                    "--layers (faults.layers)",
                    "globs over layer names",
                    e.to_string(),
                )
            })?;
            Ok(parsed.compile_matcher())
        };
        self.layers.iter().map(matcher).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl Fn(&mut FaultSpec)) -> String {
        let mut spec = FaultSpec::default();
        change(&mut spec);
        spec.check()
            .map_or_else(|error| error.to_string(), |()| "good".into())
    }

    #[test]
    fn options_that_would_have_no_effect_are_refused() {
        let half = Fraction::new(0.5).ok();
        assert_eq!(spec(|_| ()), "good");
        assert_eq!(
            spec(|s| (s.kind, s.zero_to_one_share) = (Some(KindName::Biased), half)),
            "good"
        );
        for (message, found) in [
            (
                "faults.zero_to_one_share: expected to be left out",
                spec(|s| s.zero_to_one_share = half),
            ),
            (
                "faults.zero_to_one_share: expected the fraction",
                spec(|s| s.kind = Some(KindName::Stuck)),
            ),
            (
                "faults.zero_to_one_share: expected no such key",
                spec(|s| (s.kind, s.zero_to_one_share) = (Some(KindName::Flip), half)),
            ),
            (
                "--layers (faults.layers): expected globs",
                spec(|s| s.layers = vec!["conv[".into()]),
            ),
            (
                "faults.profile: expected one of chip1, chip2, chip3, found `chip4`",
                spec(|s| s.profile = Some("chip4".into())),
            ),
            (
                "faults.arrays: expected to be left out beside `faults.map`",
                spec(|s| (s.map, s.arrays) = (vec!["a.csv".into()], vec!["independent".into()])),
            ),
            (
                "faults.profile: expected to be left out beside `faults.map`",
                spec(|s| (s.map, s.profile) = (vec!["a.csv".into()], Some("chip1".into()))),
            ),
            (
                "faults.persistent_share: expected to be left out beside `faults.profile`",
                spec(|s| (s.persistent_share, s.profile) = (half, Some("chip1".into()))),
            ),
        ] {
            assert!(found.starts_with(message), "{found}");
        }
    }

    #[test]
    fn arrays_that_are_alike_are_refused() {
        let own = ArraySpec {
            rows: 8,
            columns: 4,
            word_bits: 4,
            column_correlation: 0.0,
            bank_correlation: 0.0,
        };
        let arrays = |texts: &[&str], own: &ArraySpec| {
            let arrays = texts.iter().map(|text| (*text).to_owned()).collect();
            FaultSpec {
                arrays,
                ..FaultSpec::default()
            }
            .arrays(own)
        };
        assert_eq!(arrays(&[], &own).unwrap(), [own]);
        let error = arrays(&["independent,model"], &own)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("that of the memory model is: independent"),
            "{error}"
        );
        let weak = ArraySpec {
            column_correlation: 0.5,
            ..own
        };
        assert_eq!(arrays(&["independent,model"], &weak).unwrap(), [own, weak]);
    }
}
