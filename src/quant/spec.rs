//! What a user may ask of a quantiser, checked; the arithmetic is the scheme's.

use super::scheme::Scheme;
use crate::code::CodeFormat;
use crate::error::{refuse, Error, Result};
use crate::table::text_value;
use crate::units::{words, Ber, Bits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Method of quantisation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Step from the largest weight; the baseline.
    #[default]
    Normal,
    /// Learned step size (Esser et al., ICLR 2020).
    Lsq,
    /// Weight clipping-aware training: learned range (Chitsaz et al., TMLR 2023).
    Wcat,
    /// Weight clipping: one fixed range (Stutz et al., MLSys 2021).
    Wclip,
    /// Per-layer weight clipping.
    Plclip,
}

words!(
    Method, "quantisation method": Normal "normal", Lsq "lsq", Wcat "wcat", Wclip "wclip", Plclip "plclip"
);

impl Method {
    /// True where the range is a parameter of the training.
    pub fn learns_range(self) -> bool {
        matches!(self, Self::Wcat | Self::Lsq)
    }
}

/// A method as tables and figures name it. Variants are in the order of their words.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MethodLabel {
    /// [`Method::Lsq`].
    Lsq,
    /// [`Method::Normal`].
    #[default]
    Normal,
    /// [`Method::Plclip`].
    Plclip,
    /// [`Method::Wclip`] trained under random bit flips.
    Randbet,
    /// Codes that came with a file: no method of ours made them.
    Stored,
    /// [`Method::Wcat`].
    Wcat,
    /// [`Method::Wclip`] trained without them.
    Wclip,
}

words!(
    MethodLabel, "quantisation method": Lsq "lsq", Normal "normal", Plclip "plclip", Randbet "randbet",
    Stored "stored", Wcat "wcat", Wclip "wclip"
);
text_value!(MethodLabel);

/// How WCAT's initial range is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Largest absolute weight.
    #[default]
    MaxAbs,
    /// Statistics-aware weight binning (Choi et al., 2018); 2, 4 and 8 bits only.
    Sawb,
    /// Least mean squared quantisation error.
    Mse,
    /// Least expected squared error under independent bit flips.
    NoisyMse,
}

/// How the gradient passes to a weight beyond the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClipGradient {
    /// Straight through everywhere.
    #[default]
    Ste,
    /// Only inside the range (piecewise linear).
    Pwl,
    /// Magnitude-aware: `α/|w|` beyond the range.
    Mad,
}

/// Quantiser of a network's convolutions and linear layers. Options that the method does not read must be
/// left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantizerSpec {
    /// Method, see below.
    pub method: Method,
    /// Bits of a stored weight; 32 leaves weights float: they store no codes and cannot be swept.
    pub bits: Bits,
    /// Signed codes (two's complement) or unsigned ones.
    pub signed: bool,
    /// `wcat`: how the initial range is found; default `max_abs`. The largest weight; statistics-aware binning
    /// (`sawb`; 2, 4, 8 bits only); the least squared error; the least expected squared error under bit flips
    /// (`noisy_mse`).
    pub init: Option<Init>,
    /// `init: noisy_mse`: the bit error rate it expects; default 0.001.
    pub init_bit_error_rate: Option<Ber>,
    /// `wcat`: gradient of weights beyond the range; default `ste`. Passed on (`ste`); 0 (`pwl`); scaled by
    /// range/|weight| (`mad`).
    pub clip_gradient: Option<ClipGradient>,
    /// `wcat`, `lsq`: scale the gradient of the range by 1/√n (`lsq`: 1/√(n·Qp)), n weights in the layer; default
    /// `true`.
    pub grad_scale: Option<bool>,
    /// `wclip`, which requires it: the range of all layers, above 0, at most 1e6.
    pub wclip: Option<f64>,
    /// `plclip`, which requires it: the range of the layer with the largest weight, above 0, at most 1e6; those of
    /// others in proportion, at least 0.2 of it.
    pub plclip: Option<f64>,
    /// Bits flipped at random, anew in every training step, with bits below 32. With `wclip`: random bit error
    /// training (RandBET).
    pub train_bit_error_rate: Ber,
    /// Layers left float and out of the memory, by globs over layer names; one that matches no layer is an error.
    pub skip: Vec<String>,
    /// Mixed precision, with bits below 32: bits of these layers, 1 to 8, by globs over layer names, of which each
    /// must match a layer and at most one may match the same.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_bits: BTreeMap<String, Bits>,
}

impl Default for QuantizerSpec {
    fn default() -> Self {
        Self {
            method: Method::Normal,
            bits: Bits::FLOAT,
            signed: true,
            init: None,
            init_bit_error_rate: None,
            clip_gradient: None,
            grad_scale: None,
            wclip: None,
            plclip: None,
            train_bit_error_rate: Ber::ZERO,
            skip: Vec::new(),
            layer_bits: BTreeMap::new(),
        }
    }
}

/// Bit error rate that `noisy_mse` expects unless told otherwise.
const NOISY_MSE_BER: f64 = 0.001;

impl QuantizerSpec {
    /// Checks that every option given is one that the method reads, and is in range.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        use Method::{Lsq, Plclip, Wcat, Wclip};
        self.only(self.init.is_some(), "init", &[Wcat])?;
        self.only(self.clip_gradient.is_some(), "clip_gradient", &[Wcat])?;
        self.only(self.grad_scale.is_some(), "grad_scale", &[Wcat, Lsq])?;
        self.fixed_range(self.wclip, "wclip", Wclip)?;
        self.fixed_range(self.plclip, "plclip", Plclip)?;
        if self.init_bit_error_rate.is_some() && self.init != Some(Init::NoisyMse) {
            let expected = "to be left out unless `init` is `noisy_mse`";
            return refuse("quantizer.init_bit_error_rate", expected, "a value");
        }
        if self.init == Some(Init::Sawb) && ![2, 4, 8].contains(&self.bits.get()) {
            let found = format!("`sawb` with {} bits", self.bits);
            return refuse("quantizer.init", "`sawb` with 2, 4 or 8 bits only", found);
        }
        if self.bits.is_float() && self.train_bit_error_rate > Ber::ZERO {
            let expected = "0 for float weights (bits: 32), which store no codes";
            let found = self.train_bit_error_rate.to_string();
            return refuse("quantizer.train_bit_error_rate", expected, found);
        }
        self.skipped()?;
        self.check_layer_bits()
    }

    fn check_layer_bits(&self) -> Result<()> {
        for (glob, bits) in &self.layer_bits {
            let key = format!("quantizer.layer_bits.{glob}");
            matchers("quantizer.layer_bits", [glob])?;
            if self.bits.is_float() {
                let expected = "to be left out for float weights (`bits: 32`)";
                return refuse(key, expected, bits);
            }
            if bits.is_float() {
                let expected = "1 to 8 (`quantizer.skip` leaves layers float)";
                return refuse(key, expected, "32");
            }
            if self.init == Some(Init::Sawb) && ![2, 4, 8].contains(&bits.get()) {
                return refuse(key, "2, 4 or 8 with `init: sawb`", bits);
            }
        }
        Ok(())
    }

    fn only(&self, given: bool, key: &str, methods: &[Method]) -> Result<()> {
        if !given || methods.contains(&self.method) {
            return Ok(());
        }
        let names: Vec<_> = methods.iter().map(|m| format!("`{m}`")).collect();
        refuse(
            format!("quantizer.{key}"),
            format!("to be left out (only {} reads it)", names.join(" or ")),
            format!("a value, with method `{}`", self.method),
        )
    }

    fn fixed_range(&self, value: Option<f64>, key: &str, method: Method) -> Result<()> {
        self.only(value.is_some(), key, &[method])?;
        match value {
            None if self.method == method && !self.bits.is_float() => refuse(
                format!("quantizer.{key}"),
                "the clipping range, a number above 0",
                format!("nothing, with method `{method}`"),
            ),
            Some(x) if !(f64::from(f32::MIN_POSITIVE)..=1e6).contains(&x) => {
                refuse(format!("quantizer.{key}"), "a number above 0", x)
            }
            _ => Ok(()),
        }
    }

    /// The scheme of quantised layers; `None` for float weights.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn scheme(&self) -> Result<Option<Scheme>> {
        self.check()?;
        if self.bits.is_float() {
            return Ok(None);
        }
        Ok(Some(Scheme {
            method: self.method,
            format: CodeFormat::new(self.bits, self.signed)?,
            clip_gradient: self.clip_gradient.unwrap_or_default(),
            grad_scale: self.grad_scale.unwrap_or(true),
        }))
    }

    /// The scheme of one layer; `None` where it is left float.
    ///
    /// # Errors
    /// As [`Self::check`]; a layer that several globs of `layer_bits` match.
    pub fn scheme_of(&self, layer: &str) -> Result<Option<Scheme>> {
        let Some(scheme) = self.scheme()? else {
            return Ok(None);
        };
        if self.skipped()?.is_match(layer) {
            return Ok(None);
        }
        let globs = matchers("quantizer.layer_bits", self.layer_bits.keys())?;
        let matching = globs.matches(layer);
        if matching.len() > 1 {
            let expected = format!("at most one glob that matches the layer {layer}");
            let found = matching.len().to_string();
            return refuse("quantizer.layer_bits", expected, found);
        }
        let own = matching
            .first()
            .and_then(|at| self.layer_bits.values().nth(*at));
        let format = match own {
            Some(bits) => CodeFormat::new(*bits, self.signed)?,
            None => scheme.format,
        };
        Ok(Some(Scheme { format, ..scheme }))
    }

    /// The method as tables and figures name it.
    pub fn method_label(&self) -> MethodLabel {
        match self.method {
            Method::Lsq => MethodLabel::Lsq,
            Method::Normal => MethodLabel::Normal,
            Method::Plclip => MethodLabel::Plclip,
            Method::Wcat => MethodLabel::Wcat,
            Method::Wclip if self.train_bit_error_rate > Ber::ZERO => MethodLabel::Randbet,
            Method::Wclip => MethodLabel::Wclip,
        }
    }

    /// What models of this quantiser are called: `<method>-<bits>bit` (`<method>-mixed` with several widths), with `randbet` for weight clipping trained under
    /// random bit flips; `float` for float weights.
    pub fn label(&self) -> String {
        let method = self.method_label();
        if self.bits.is_float() {
            "float".to_owned()
        } else if self.layer_bits.is_empty() {
            format!("{method}-{}bit", self.bits)
        } else {
            format!("{method}-mixed")
        }
    }

    /// The initialisation of WCAT's range and the bit error rate that `noisy_mse` expects.
    pub fn initialisation(&self) -> (Init, f64) {
        (
            self.init.unwrap_or_default(),
            self.init_bit_error_rate.map_or(NOISY_MSE_BER, Ber::get),
        )
    }

    /// Tests layer names against `skip`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a glob that does not parse.
    pub fn skipped(&self) -> Result<globset::GlobSet> {
        matchers("quantizer.skip", &self.skip)
    }
}

/// Globs over layer names, in order.
fn matchers<'a>(
    key: &str,
    globs: impl IntoIterator<Item = &'a String>,
) -> Result<globset::GlobSet> {
    let wrong = |e: globset::Error| Error::argument(key, "globs over layer names", e.to_string());
    let mut set = globset::GlobSetBuilder::new();
    for glob in globs {
        set.add(globset::Glob::new(glob).map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(method: Method) -> QuantizerSpec {
        QuantizerSpec {
            method,
            bits: Bits::new(4).unwrap(),
            ..QuantizerSpec::default()
        }
    }

    #[test]
    fn an_option_that_the_method_does_not_read_is_refused() {
        let mut normal = spec(Method::Normal);
        normal.init = Some(Init::Mse);
        assert_eq!(
            normal.check().unwrap_err().to_string(),
            "quantizer.init: expected to be left out (only `wcat` reads it), found a value, with method `normal`"
        );
        let mut lsq = spec(Method::Lsq);
        lsq.grad_scale = Some(false);
        lsq.check().unwrap();
        lsq.clip_gradient = Some(ClipGradient::Pwl);
        assert!(lsq.check().is_err());
    }

    #[test]
    fn fixed_ranges_are_needed_and_positive() {
        let mut wclip = spec(Method::Wclip);
        assert!(wclip.check().is_err());
        wclip.wclip = Some(0.1);
        wclip.check().unwrap();
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            wclip.wclip = Some(bad);
            assert!(wclip.check().is_err(), "{bad}");
        }
    }

    #[test]
    fn sawb_has_no_constants_for_three_bits() {
        let mut wcat = spec(Method::Wcat);
        wcat.init = Some(Init::Sawb);
        wcat.check().unwrap();
        wcat.bits = Bits::new(3).unwrap();
        assert!(wcat.check().is_err());
    }

    #[test]
    fn methods_read_back_and_unknown_ones_list_the_known() {
        for method in Method::ALL {
            assert_eq!(method.name().parse::<Method>().unwrap(), method);
        }
        let error = "wact".parse::<Method>().unwrap_err().to_string();
        assert!(
            error.contains("normal, lsq, wcat, wclip, plclip"),
            "{error}"
        );
    }

    #[test]
    fn layers_have_the_width_of_the_glob_that_matches_them() {
        let mut mixed = spec(Method::Wcat);
        mixed.layer_bits = [("conv*", 8), ("fc1", 2)]
            .map(|(glob, bits)| (glob.to_owned(), Bits::new(bits).unwrap()))
            .into();
        mixed.skip = vec!["fc3".into()];
        mixed.check().unwrap();
        let widths = ["conv1", "fc1", "fc2", "fc3"].map(|layer| {
            mixed
                .scheme_of(layer)
                .unwrap()
                .map(|scheme| scheme.format.bits())
        });
        assert_eq!(widths, [Some(8), Some(2), Some(4), None]);
        assert_eq!(mixed.label(), "wcat-mixed");
        mixed.layer_bits.insert("*1".into(), Bits::new(3).unwrap());
        let error = mixed.scheme_of("conv1").unwrap_err().to_string();
        assert!(
            error.contains("at most one glob that matches the layer conv1, found 2"),
            "{error}"
        );
        for (glob, bits, overall) in [("conv[", 4, 4), ("a", 32, 4), ("a", 4, 32)] {
            let wrong = QuantizerSpec {
                bits: Bits::new(overall).unwrap(),
                layer_bits: [(glob.to_owned(), Bits::new(bits).unwrap())].into(),
                ..QuantizerSpec::default()
            };
            assert!(wrong.check().is_err(), "{glob} {bits} {overall}");
        }
    }
}
