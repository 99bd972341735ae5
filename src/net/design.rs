//! What a network computes: a known architecture, or the graph of an imported file.

use super::architecture::Architecture;
use super::graph::Graph;
use crate::error::{refuse, Result};
use serde::de::{self, value::MapAccessDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// What a network computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Design {
    /// A known architecture.
    Known(Architecture),
    /// The graph of a file.
    Imported(Arc<Imported>),
}

/// The graph of a file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Name of the file, without its ending.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Channels, height and width of its images; dimensions that it does not have are 1, in front.
    pub input_shape: [usize; 3],
    pub(super) graph: Graph,
}

impl Design {
    /// Channels, height and width of its images, where nothing else is said.
    pub fn input_shape(&self) -> [usize; 3] {
        match self {
            Self::Known(architecture) => architecture.input_shape(),
            Self::Imported(imported) => imported.input_shape,
        }
    }

    /// Whether it takes images of that shape.
    pub fn takes(&self, shape: [usize; 3]) -> bool {
        match self {
            Self::Known(architecture) => architecture.takes(shape),
            Self::Imported(imported) => imported.input_shape == shape,
        }
    }

    /// The known architecture.
    pub fn known(&self) -> Option<Architecture> {
        match self {
            Self::Known(architecture) => Some(*architecture),
            Self::Imported(_) => None,
        }
    }

    /// What it computes.
    pub(super) fn graph(&self, classes: usize) -> Result<Graph> {
        match self {
            Self::Known(architecture) => architecture.graph(classes),
            Self::Imported(imported) => Ok(imported.graph.clone()),
        }
    }

    /// That an imported graph fits its images, and asks for no more numbers than a file of these bytes can hold.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`].
    pub(super) fn check(&self, bytes: usize) -> Result<()> {
        let Self::Imported(imported) = self else {
            return Ok(());
        };
        // a bit is the least that a stored weight takes
        let most = bytes.saturating_mul(8);
        let numbers = imported.graph.numbers();
        if numbers.is_none_or(|numbers| numbers > most) {
            let expected = format!("tensors of at most {most} numbers");
            return refuse("graph", expected, format!("{numbers:?}"));
        }
        imported.graph.shapes(imported.input_shape).map(|_| ())
    }
}

impl From<Architecture> for Design {
    fn from(architecture: Architecture) -> Self {
        Self::Known(architecture)
    }
}

impl PartialEq<Architecture> for Design {
    fn eq(&self, other: &Architecture) -> bool {
        self.known() == Some(*other)
    }
}

impl fmt::Display for Design {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(architecture) => architecture.fmt(f),
            Self::Imported(imported) => f.write_str(&imported.name),
        }
    }
}

impl Serialize for Design {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Known(architecture) => architecture.serialize(serializer),
            Self::Imported(imported) => imported.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Design {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrGraph)
    }
}

/// A name stands for a known architecture.
struct NameOrGraph;

impl<'de> Visitor<'de> for NameOrGraph {
    type Value = Design;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an architecture, or a graph")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> std::result::Result<Design, E> {
        name.parse().map(Design::Known).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Design, A::Error> {
        let imported = Imported::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Design::Imported(Arc::new(imported)))
    }
}
