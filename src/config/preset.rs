//! Parts of configurations that are compiled in, to lay over any experiment: methods of quantisation, bit widths.

use super::experiment::{built_in, built_in_names};
use crate::error::{refuse, Error, Result};
use crate::yaml::Layer;
use std::path::Path;

/// A text of `configs/`, named by its path there without ending.
macro_rules! part {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../configs/", $name, ".yaml")),
        )
    };
}

/// Methods of quantisation with all their settings, and bit widths.
pub(super) const PARTS: [(&str, &str); 9] = [
    part!("methods/normal"),
    part!("methods/lsq"),
    part!("methods/wclip"),
    part!("methods/plclip"),
    part!("methods/randbet"),
    part!("methods/wcat"),
    part!("bits/2"),
    part!("bits/4"),
    part!("bits/8"),
];

/// What the names of methods begin with.
const METHOD: &str = "methods/";

/// The methods that [`method_preset`] knows.
pub fn method_presets() -> Vec<&'static str> {
    PARTS
        .iter()
        .filter_map(|(name, _)| name.strip_prefix(METHOD))
        .collect()
}

/// A method of quantisation with all its settings but the width, as in `configs/methods/`. Laid over others it takes
/// back what they set for their methods.
///
/// # Errors
/// [`Error::Argument`] for an unknown name, with the known ones.
pub fn method_preset(name: &str) -> Result<Layer> {
    if !method_presets().contains(&name) {
        let expected = format!("one of {}", method_presets().join(", "));
        return refuse("preset of a method", expected, format!("`{name}`"));
    }
    built_in(&format!("{METHOD}{name}"))
}

/// A configuration by built-in name (`mnist_lenet5`, `methods/wcat`), or the file at a path.
///
/// # Errors
/// As [`Layer::file`]; where a path without ending leads nowhere, the built-in names are listed.
pub fn named_or_file(path: &Path) -> Result<Layer> {
    if let Some(name) = path
        .to_str()
        .filter(|text| built_in_names().any(|name| name == *text))
    {
        return built_in(name);
    }
    Layer::file(path).map_err(|error| match error {
        Error::Missing { path, expected } if path.extension().is_none() => {
            let names: Vec<&str> = built_in_names().collect();
            Error::Missing {
                path,
                expected: format!("{expected}, or one of {}", names.join(", ")),
            }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Experiment;

    /// The experiments that parts are laid over.
    const EXPERIMENTS: [&str; 4] = [
        "quickstart",
        "mnist_lenet5",
        "mnist_mlp",
        "cifar10_resnet20",
    ];

    fn parts(kind: &str) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        PARTS
            .into_iter()
            .filter_map(move |(name, _)| Some((name, name.strip_prefix(kind)?)))
    }

    #[test]
    fn every_method_and_width_fits_over_every_experiment() {
        for experiment in EXPERIMENTS {
            for (method, label) in parts("methods/") {
                for (bits, width) in parts("bits/") {
                    let layers = [experiment, method, bits].map(|name| built_in(name).unwrap());
                    let training = Experiment::of_layers(&layers).unwrap().training().unwrap();
                    assert_eq!(training.name, format!("{experiment}-{label}-{width}bit"));
                }
            }
        }
    }

    #[test]
    fn a_method_over_another_is_that_method_alone() {
        let of = |names: &[&str]| {
            let layers: Vec<Layer> = names.iter().map(|name| built_in(name).unwrap()).collect();
            Experiment::of_layers(&layers).unwrap().quantizer
        };
        for (over, _) in parts("methods/") {
            for (under, _) in parts("methods/") {
                assert_eq!(
                    of(&["bits/4", under, over]),
                    of(&["bits/4", over]),
                    "{over} over {under}"
                );
            }
        }
    }

    #[test]
    fn every_file_of_the_folders_is_its_compiled_copy() {
        for folder in ["methods", "bits"] {
            let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).join(folder);
            let mut found = 0;
            for entry in std::fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{folder}/{}", path.file_stem().unwrap().to_str().unwrap());
                let compiled = PARTS.iter().find(|(known, _)| *known == name).unwrap().1;
                assert_eq!(std::fs::read_to_string(&path).unwrap(), compiled);
                found += 1;
            }
            assert_eq!(found, parts(&format!("{folder}/")).count());
        }
    }

    #[test]
    fn names_come_before_files_and_wrong_ones_list_the_known() {
        let name = |text: &str| {
            named_or_file(Path::new(text))
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        named_or_file(Path::new("methods/wcat")).unwrap();
        assert!(
            name("methods/wact").contains("mnist_lenet5")
                && name("methods/wact").contains("bits/8")
        );
        assert_eq!(
            name("no/such.yaml"),
            "no/such.yaml: not found (expected a configuration file)"
        );
        let error = method_preset("wact").unwrap_err().to_string();
        assert!(
            error.contains("normal, lsq, wclip, plclip, randbet, wcat"),
            "{error}"
        );
    }
}
