//! Voltage domains of a weight memory: each stored layer, groups of layers, or each bit plane of the codes.

use crate::engine::Evaluator;
use crate::error::{refuse, Error, Result};
use crate::fault::Exposure;
use crate::memory::OperatingPoint;
use crate::sweep::Domain;
use globset::Glob;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Layers that share a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name, in tables.
    pub name: String,
    /// Globs over the names of stored layers.
    pub layers: Vec<String>,
}

/// What gets a voltage of its own: in files the word `layers`, `bits` or `weights,activations`, or the key `groups` with a list of groups. (A
/// derived form would be a YAML tag, which configurations do not have.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DomainSpec {
    /// Each stored layer.
    #[default]
    Layers,
    /// Each bit plane of the codes, the most significant first.
    Bits,
    /// The memory of the weights, and that of stored activations.
    Memories,
    /// Groups of layers; every stored layer lies in exactly one.
    Groups(Vec<Group>),
}

/// The word for [`DomainSpec::Memories`], which is the names of its domains.
pub const MEMORIES: &str = "weights,activations";

impl Serialize for DomainSpec {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Layers => out.serialize_str("layers"),
            Self::Bits => out.serialize_str("bits"),
            Self::Memories => out.serialize_str(MEMORIES),
            Self::Groups(groups) => {
                let mut map = out.serialize_map(Some(1))?;
                map.serialize_entry("groups", groups)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for DomainSpec {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Form)
    }
}

/// Reads a [`DomainSpec`].
struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = DomainSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`layers`, `bits`, `{MEMORIES}`, or the key `groups` with a list of groups"
        )
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<DomainSpec, E> {
        match word {
            "layers" => Ok(DomainSpec::Layers),
            "bits" => Ok(DomainSpec::Bits),
            MEMORIES => Ok(DomainSpec::Memories),
            _ => Err(E::unknown_variant(
                word,
                &["layers", "bits", MEMORIES, "groups"],
            )),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DomainSpec, A::Error> {
        let mut groups = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "groups" {
                return Err(de::Error::unknown_field(&key, &["groups"]));
            }
            groups = Some(map.next_value()?);
        }
        groups
            .map(DomainSpec::Groups)
            .ok_or_else(|| de::Error::missing_field("groups"))
    }
}

/// What gets a voltage of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name, in tables.
    pub name: String,
    /// Its words and bit planes of the weights; `None`: stored activations.
    pub part: Option<Exposure>,
}

impl Part {
    /// It at a voltage, as a part of the weight memory; `None` of stored activations, which lie in their own.
    pub fn domain(&self, point: OperatingPoint) -> Option<Domain> {
        Some(Domain {
            name: self.name.clone(),
            part: self.part.clone()?,
            point,
        })
    }

    fn new(name: impl Into<String>, part: Option<Exposure>) -> Self {
        Self {
            name: name.into(),
            part,
        }
    }
}

impl DomainSpec {
    /// The domains of a network's memory; together they are all of it, and no two share a cell. Stored activations are a
    /// domain where they are asked for.
    ///
    /// # Errors
    /// [`Error::Argument`] for float weights, a glob that is none or matches no stored layer, a name that stands twice,
    /// and stored layers in no group or in two.
    pub fn parts(&self, evaluator: &Evaluator) -> Result<Vec<Part>> {
        let widths = evaluator
            .stored()
            .iter()
            .flatten()
            .map(|layer| layer.format.bits());
        let layers = evaluator.memory_layers();
        match widths.max() {
            None => refuse("network to explore", "stored codes", "float weights"),
            Some(bits) => self.of_layers(&layers, bits),
        }
    }

    /// Domains of layers by name and words, with at most `bits` bits a code.
    fn of_layers(&self, layers: &[(&str, u64)], bits: u32) -> Result<Vec<Part>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (_, words) in layers {
            let start = ranges.last().map_or(0, |range| range.end);
            ranges.push(start..start + words);
        }
        let whole = Exposure::whole(ranges.last().map_or(0, |range| range.end));
        match self {
            Self::Layers => {
                let part = |((name, _), words): (&(&str, u64), &Range<u64>)| {
                    Part::new(*name, Some(whole.within_words(std::slice::from_ref(words))))
                };
                Ok(layers.iter().zip(&ranges).map(part).collect())
            }
            Self::Bits => {
                let part = |plane: u32| {
                    let own = whole.within_planes(plane..plane + 1);
                    Part::new(format!("plane{plane}"), Some(own))
                };
                Ok((0..bits).map(part).collect())
            }
            Self::Memories => Ok(vec![
                Part::new("weights", Some(whole)),
                Part::new("activations", None),
            ]),
            Self::Groups(groups) => {
                let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
                let members = members(groups, &names)?;
                let part = |(group, members): (&Group, Vec<usize>)| {
                    let words: Vec<Range<u64>> =
                        members.iter().map(|layer| ranges[*layer].clone()).collect();
                    Part::new(&group.name, Some(whole.within_words(&words)))
                };
                Ok(groups.iter().zip(members).map(part).collect())
            }
        }
    }
}

/// Layers of each group, by place.
fn members(groups: &[Group], layers: &[&str]) -> Result<Vec<Vec<usize>>> {
    let mut of_layer: Vec<Option<&Group>> = vec![None; layers.len()];
    let mut all = Vec::new();
    for (n, group) in groups.iter().enumerate() {
        if groups[..n].iter().any(|other| other.name == group.name) {
            let found = format!("`{}` twice", group.name);
            return refuse("groups of layers", "a name for each of its own", found);
        }
        let mut own = Vec::new();
        for text in &group.layers {
            let glob = Glob::new(text).map_err(|error| {
                Error::argument(
                    format!("layers of group `{}`", group.name),
                    "globs",
                    error.to_string(),
                )
            })?;
            let matcher = glob.compile_matcher();
            let matched: Vec<usize> = (0..layers.len())
                .filter(|layer| matcher.is_match(layers[*layer]))
                .collect();
            if matched.is_empty() {
                let expected = format!("globs that match a stored layer: {}", layers.join(", "));
                let what = format!("layers of group `{}`", group.name);
                return refuse(what, expected, format!("`{text}`"));
            }
            own.extend(matched);
        }
        own.sort_unstable();
        own.dedup();
        for layer in &own {
            if let Some(other) = of_layer[*layer].replace(group) {
                let found = format!("in `{}` and in `{}`", other.name, group.name);
                return refuse(format!("layer `{}`", layers[*layer]), "one group", found);
            }
        }
        all.push(own);
    }
    match of_layer.iter().position(Option::is_none) {
        Some(layer) => refuse(format!("layer `{}`", layers[layer]), "a group", "none"),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [(&str, u64); 3] = [("conv1", 3), ("conv2", 4), ("fc", 2)];

    fn groups(all: &[(&str, &[&str])]) -> DomainSpec {
        let group = |(name, layers): &(&str, &[&str])| Group {
            name: (*name).into(),
            layers: layers.iter().map(|glob| (*glob).to_owned()).collect(),
        };
        DomainSpec::Groups(all.iter().map(group).collect())
    }

    #[test]
    fn domains_hold_every_bit_exactly_once() {
        for spec in [
            DomainSpec::Layers,
            DomainSpec::Bits,
            DomainSpec::Memories,
            groups(&[("ends", &["fc", "conv1"]), ("middle", &["conv2"])]),
        ] {
            let parts = spec.of_layers(&LAYERS, 4).unwrap();
            for word in 0..9 {
                for plane in 0..4 {
                    let holds = |part: &&Part| {
                        part.part
                            .as_ref()
                            .is_some_and(|own| own.holds_word(word) && own.holds_plane(plane))
                    };
                    assert_eq!(
                        parts.iter().filter(holds).count(),
                        1,
                        "{spec:?} {word} {plane}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_are_those_of_layers_planes_and_groups() {
        let names = |spec: DomainSpec| -> Vec<String> {
            spec.of_layers(&LAYERS, 3)
                .unwrap()
                .into_iter()
                .map(|part| part.name)
                .collect()
        };
        assert_eq!(names(DomainSpec::Layers), ["conv1", "conv2", "fc"]);
        assert_eq!(names(DomainSpec::Bits), ["plane0", "plane1", "plane2"]);
        assert_eq!(names(DomainSpec::Memories).join(","), MEMORIES);
        assert_eq!(names(groups(&[("all", &["conv*", "fc"])])), ["all"]);
    }

    #[test]
    fn groups_that_are_no_partition_are_refused() {
        let error = |spec: DomainSpec| spec.of_layers(&LAYERS, 4).unwrap_err().to_string();
        assert_eq!(
            error(groups(&[("a", &["conv*"])])),
            "layer `fc`: expected a group, found none"
        );
        assert_eq!(
            error(groups(&[("a", &["conv*", "fc"]), ("b", &["conv2"])])),
            "layer `conv2`: expected one group, found in `a` and in `b`"
        );
        assert_eq!(
            error(groups(&[("a", &["*"]), ("b", &["dense"])])),
            "layers of group `b`: expected globs that match a stored layer: conv1, conv2, fc, found `dense`"
        );
        assert!(error(groups(&[("a", &["conv1"]), ("a", &["*"])])).contains("`a` twice"));
        assert!(error(groups(&[("a", &["["])])).starts_with("layers of group `a`: expected globs"));
    }
}
