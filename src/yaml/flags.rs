//! Flags of the command line that stand for settings.

use super::layer::Layer;
use crate::error::{Error, Result};
use serde::Serialize;
use serde_yaml::Value;

impl Layer {
    /// A layer for each flag of a group that was given. The group is serialised with the flags' names as keys; `keys`
    /// has the settings that flags stand for, and a flag that is not in it is none. Null and an empty list are flags
    /// that were not given.
    ///
    /// # Errors
    /// [`Error::Argument`] for a value that YAML cannot hold.
    pub fn of_flags(group: &impl Serialize, keys: &[(&str, &str)]) -> Result<Vec<Self>> {
        let values = serde_yaml::to_value(group)
            .map_err(|e| Error::argument("flags", "values that YAML can hold", e.to_string()))?;
        let mut layers = Vec::new();
        for (flag, key) in keys {
            match values.get(flag) {
                None | Some(Value::Null) => {}
                Some(Value::Sequence(none)) if none.is_empty() => {}
                Some(value) => layers.push(Self::flag(&format!("--{flag}"), key, value.clone())),
            }
        }
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::num::NonZeroU32;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code)] // what it takes is not read
    struct Settings {
        explore: Explore,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code)]
    struct Explore {
        search_chips: NonZeroU32,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Group {
        search_chips: Option<u32>,
        layers: Vec<String>,
        tolerance: Option<f64>,
        quiet: bool,
    }

    #[test]
    fn flags_that_were_given_are_settings_under_their_names() {
        let group = Group {
            search_chips: Some(0),
            layers: Vec::new(),
            tolerance: None,
            quiet: true,
        };
        let keys = [
            ("layers", "faults.layers"),
            ("search-chips", "explore.search_chips"),
            ("tolerance", "sweep.tolerance"),
        ];
        let layers = Layer::of_flags(&group, &keys).unwrap();
        assert_eq!(layers.len(), 1);
        assert!(layers[0].sets("explore.search_chips"));
        let error = super::super::resolve::<Settings>(&layers).unwrap_err();
        assert!(
            error.to_string().starts_with("--search-chips: expected"),
            "{error}"
        );
    }
}
