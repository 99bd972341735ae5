//! A YAML file of groups of layers, for voltage domains: a name, then globs over the names of stored layers.

use super::layer::Layer;
use crate::error::Result;
use crate::explore::Group;
use crate::store::yaml::describe;
use serde_yaml::Value;
use std::path::Path;

/// Reads groups, in their order in the file:
///
/// ```yaml
/// first: [conv1, "layer1.*"]
/// rest: ["layer[23].*", fc]
/// ```
///
/// Whether they hold every layer exactly once is for [`crate::explore::DomainSpec::parts`].
///
/// # Errors
/// As [`Layer::file`]; [`crate::error::Error::Input`] for a file without groups, and for one that is no list of texts.
pub fn groups(path: &Path) -> Result<Vec<Group>> {
    let layer = Layer::file(path)?;
    let Value::Mapping(all) = &layer.value else {
        return Ok(Vec::new());
    };
    if all.is_empty() {
        let expected = "at least one group: a name with globs over layer names";
        return Err(layer.origin.wrong(&[], expected.into(), "none".into()));
    }
    let group = |(name, globs): (&Value, &Value)| {
        let name = name.as_str().unwrap_or_default();
        let texts = globs.as_sequence().filter(|list| !list.is_empty());
        let globs: Option<Vec<String>> = texts.and_then(|list| {
            list.iter()
                .map(|glob| glob.as_str().map(str::to_owned))
                .collect()
        });
        let wrong = || {
            let found = all.get(name).map_or_else(|| "none".into(), describe);
            layer
                .origin
                .wrong(&[name], "a list of globs over layer names".into(), found)
        };
        Ok(Group {
            name: name.to_owned(),
            layers: globs.ok_or_else(wrong)?,
        })
    };
    all.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Group>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups.yaml");
        crate::store::write_bytes(&path, text.as_bytes()).unwrap();
        groups(&path)
    }

    #[test]
    fn groups_keep_the_order_of_the_file() {
        let all = read("z: [conv1, \"conv2\"]\na: [\"fc*\"]\n").unwrap();
        let names: Vec<&str> = all.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
        assert_eq!(all[0].layers, ["conv1", "conv2"]);
    }

    #[test]
    fn what_is_no_list_of_globs_is_refused_with_its_line() {
        for (text, line) in [
            ("a: [conv1]\nb: fc\n", 2),
            ("a: []\n", 1),
            ("a: [x]\nb: [1]\n", 2),
        ] {
            let error = read(text).unwrap_err();
            let crate::error::Error::Input {
                line: own,
                ref expected,
                ..
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!(
                (own, expected.as_str()),
                (Some(line), "a list of globs over layer names"),
                "{text}"
            );
        }
        assert!(read("")
            .unwrap_err()
            .to_string()
            .contains("at least one group"));
        assert!(read("a: [x]\na: [y]\n")
            .unwrap_err()
            .to_string()
            .contains("this key twice"));
    }
}
