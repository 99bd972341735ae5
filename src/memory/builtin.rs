//! The memory models that come with the program, and finding one by name or path.

use super::{MacroModel, MemoryModel};
use crate::error::{refuse, Result};
use crate::store::read_text;
use crate::yaml::{guess, Layer, LARGEST_FILE};
use std::path::Path;

/// One entry of [`MODELS`].
macro_rules! model {
    ($name:literal) => {
        (
            $name,
            concat!("memory_models/", $name, ".yaml"),
            include_str!(concat!("../../memory_models/", $name, ".yaml")),
        )
    };
}

/// Name, file and text of every built-in model.
const MODELS: [(&str, &str, &str); 7] = [
    model!("combination-14nm-cacti-22nm-hp"),
    model!("combination-28nm-cacti-32nm-lstp"),
    model!("exponential-henwood2020"),
    model!("sram-14nm-chandramoorthy2019"),
    model!("sram-28nm-kc705b-salami2018"),
    model!("sram-28nm-vc707-salami2018"),
    model!("sram-65nm-sun2017"),
];

/// The same of every built-in macro.
const MACROS: [(&str, &str, &str); 10] = [
    model!("cacti-22nm-hp-32kb"),
    model!("cacti-22nm-lstp-32kb"),
    model!("cacti-45nm-hp-32kb"),
    model!("cacti-45nm-lstp-32kb"),
    model!("cacti-65nm-hp-32kb"),
    model!("cacti-65nm-lstp-32kb"),
    model!("gf180-512x8"),
    model!("ihp-sg13g2-1024x64"),
    model!("ihp-sg13g2-256x32"),
    model!("ihp-sg13g2-2p-512x16"),
];

/// What a file or a built-in name may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Memory {
    /// A memory model, with a failure curve.
    Model(Box<MemoryModel>),
    /// A macro, with energies, leakage and delay alone.
    Macro(Box<MacroModel>),
}

/// Names of the built-in models, in order.
pub fn names() -> Vec<&'static str> {
    MODELS.iter().map(|(name, ..)| *name).collect()
}

/// Names of the built-in macros, in order.
pub fn macro_names() -> Vec<&'static str> {
    MACROS.iter().map(|(name, ..)| *name).collect()
}

/// A built-in model.
///
/// # Errors
/// [`crate::error::Error::Argument`] that lists the known names where there is none of this name.
pub fn builtin(name: &str) -> Result<MemoryModel> {
    open_builtin(name)?.model()
}

fn open_builtin(name: &str) -> Result<Memory> {
    match MODELS
        .iter()
        .chain(&MACROS)
        .find(|(known, ..)| *known == name)
    {
        Some((_, path, text)) => Memory::parse(Path::new(path), text),
        None => {
            let expected = format!("{}, or the path of a YAML file", names().join(", "));
            refuse("memory model", expected, guess(name, &names()))
        }
    }
}

/// A model by built-in name, or by the path of a YAML file: what holds a `/` or ends in `.yaml` or
/// `.yml` is a path.
///
/// # Errors
/// As [`open`]; [`crate::error::Error::Argument`] for a macro, which has no failure curve.
pub fn load(name_or_path: &str) -> Result<MemoryModel> {
    open(name_or_path)?.model()
}

/// A model or a macro by built-in name, or by the path of a YAML file.
///
/// # Errors
/// As [`builtin`] for names, [`crate::error::Error::Missing`] where there is no such file, [`crate::error::Error::Input`] with file,
/// line and key where it is wrong.
pub fn open(name_or_path: &str) -> Result<Memory> {
    let path = Path::new(name_or_path);
    let is_yaml = path
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml");
    if !is_yaml && !name_or_path.contains(['/', std::path::MAIN_SEPARATOR]) {
        return open_builtin(name_or_path);
    }
    Memory::parse(path, &read_text(path, "a memory model", LARGEST_FILE)?)
}

impl Memory {
    /// Reads the text of a file of either kind; `path` is for errors alone.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] with path, line and key for everything that is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let layer = Layer::text(path, text)?;
        if MacroModel::is_one(&layer) {
            return Ok(Self::Macro(Box::new(MacroModel::of_layer(&layer, text)?)));
        }
        Ok(Self::Model(Box::new(MemoryModel::of_layer(layer, text)?)))
    }

    /// The memory model.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a macro.
    pub fn model(self) -> Result<MemoryModel> {
        match self {
            Self::Model(model) => Ok(*model),
            Self::Macro(sram) => {
                let name = &sram.file.name;
                let expected = format!(
                    "a model with a failure curve: `{name}` gives energies alone; `memory combine --failures MODEL \
                     --energy {name} --vmin VOLT` makes one of both"
                );
                refuse("memory model", expected, format!("the macro `{name}`"))
            }
        }
    }

    /// The macro, with its file.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a memory model.
    pub fn sram(self) -> Result<MacroModel> {
        match self {
            Self::Macro(sram) => Ok(*sram),
            Self::Model(model) => {
                let expected =
                    "a macro, as `memory import` writes it: energies, leakage and delay of words";
                refuse(
                    "macro",
                    expected,
                    format!("the memory model `{}`", model.name),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::write_bytes;

    #[test]
    fn every_file_is_built_in_under_its_own_name() {
        for (name, path, text) in MODELS {
            assert_eq!(builtin(name).unwrap().name, name);
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
        for (name, path, text) in MACROS {
            let model = open(name).unwrap().sram().unwrap();
            assert_eq!(model.file.name, name);
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
        let files = std::fs::read_dir("memory_models").unwrap().count();
        assert_eq!(files, MODELS.len() + MACROS.len());
    }

    #[test]
    fn names_are_in_order() {
        assert!(names().is_sorted() && macro_names().is_sorted());
    }

    #[test]
    fn every_model_says_what_was_measured_and_what_is_inferred() {
        for name in names() {
            let model = builtin(name).unwrap();
            for note in [&model.measured, &model.inferred] {
                assert!(note.as_ref().is_some_and(|note| note.len() > 40), "{name}");
            }
        }
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let error = load("sram-3nm").unwrap_err().to_string();
        assert!(
            error.ends_with("or the path of a YAML file, found `sram-3nm`"),
            "{error}"
        );
        assert!(names().iter().all(|name| error.contains(name)));
    }

    #[test]
    fn a_copy_on_disk_is_the_same_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.yaml");
        write_bytes(&path, MODELS[1].2.as_bytes()).unwrap();
        let copy = load(path.to_str().unwrap()).unwrap();
        assert_eq!(copy, builtin(MODELS[1].0).unwrap());
        assert_eq!(copy.checksum, crate::store::sha256(MODELS[1].2.as_bytes()));
        let missing = load("no/such.yaml").unwrap_err().to_string();
        assert_eq!(missing, "no/such.yaml: not found (expected a memory model)");
    }
}
