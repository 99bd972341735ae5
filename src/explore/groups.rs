//! A YAML file of groups of layers, for voltage domains: a name, then globs over the names of stored layers.

use super::Group;
use crate::error::{Error, Result};
use crate::yaml::{resolve, wrong_at, Layer};
use std::collections::BTreeMap;
use std::path::Path;

/// What stands at the name of a group.
const GLOBS: &str = "a list of globs over layer names";

/// Reads groups, in their order in the file:
///
/// ```yaml
/// first: [conv1, "layer1.*"]
/// rest: ["layer[23].*", fc]
/// ```
///
/// Whether they hold every layer exactly once is for [`super::DomainSpec::parts`].
///
/// # Errors
/// As [`Layer::file`]; [`Error::Input`] for a file without groups, and for one that is no list of texts.
pub fn groups(path: &Path) -> Result<Vec<Group>> {
    let layers = [Layer::file(path)?];
    let mut globs: BTreeMap<String, Vec<String>> = resolve(&layers).map_err(|mut error| {
        if let Error::Input { expected, .. } = &mut error {
            *expected = GLOBS.into();
        }
        error
    })?;
    if globs.is_empty() {
        let expected = "at least one group: a name with globs over layer names";
        return Err(wrong_at(&layers, &[], expected, "none"));
    }
    let mut groups = Vec::new();
    for name in layers[0].keys() {
        let layers_of = globs.remove(name).unwrap_or_default();
        if layers_of.is_empty() {
            return Err(wrong_at(&layers, &[name], GLOBS, "an empty list"));
        }
        groups.push(Group {
            name: name.to_owned(),
            layers: layers_of,
        });
    }
    Ok(groups)
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
