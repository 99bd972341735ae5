//! The values of a pickle, which `machine` builds; leaves their meaning to `state`.
//!
//! Values lie in one arena and refer to each other by index, so aliases and self-references cost
//! nothing. Classes and functions that a state dict does not need, and what they would make, are inert objects.

use crate::error::printable;

/// Most values of one pickle; real checkpoints have about ten per tensor.
pub(super) const MOST_VALUES: usize = 1 << 21;

/// Index of a value in its pickle.
pub(super) type Id = usize;

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Half,
    BFloat16,
    Long,
    Int,
    Short,
    Char,
    Byte,
    Bool,
    /// Of numbers that no weight of ours is (complex, quantised by PyTorch), by the size of an element; 0 where even
    /// that is not known.
    Other(u64),
}

impl Kind {
    /// Bytes of one element.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Double | Self::Long => 8,
            Self::Float | Self::Int => 4,
            Self::Half | Self::BFloat16 | Self::Short => 2,
            Self::Char | Self::Byte | Self::Bool => 1,
            Self::Other(size) => size,
        }
    }
}

/// The functions and classes that a state dict needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// Any kind of dictionary.
    Dict,
    RebuildTensor,
    RebuildParameter,
    /// Calls one of the two above for a class of its own.
    RebuildFromType,
    Storage(Kind),
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict")
            | ("builtins" | "__builtin__", "dict") => Self::Dict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => {
                Self::RebuildFromType
            }
            ("torch" | "torch.cuda" | "torch.storage", name) => Self::Storage(storage_kind(name)?),
            _ => return None,
        })
    }
}

fn storage_kind(class: &str) -> Option<Kind> {
    Some(match class.strip_suffix("Storage")? {
        "Double" => Kind::Double,
        "Float" => Kind::Float,
        "Half" => Kind::Half,
        "BFloat16" => Kind::BFloat16,
        "Long" => Kind::Long,
        "Int" => Kind::Int,
        "Short" => Kind::Short,
        "Char" => Kind::Char,
        "Byte" => Kind::Byte,
        "Bool" => Kind::Bool,
        "Untyped" | "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Kind::Other(1),
        "QInt32" => Kind::Other(4),
        "ComplexFloat" => Kind::Other(8),
        "ComplexDouble" => Kind::Other(16),
        _ => Kind::Other(0),
    })
}

/// Part of a named storage, as a tensor refers to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StorageRef<'a> {
    /// Name of the storage in its container.
    pub(super) key: &'a str,
    pub(super) kind: Kind,
    /// Elements of the whole storage.
    pub(super) elements: u64,
    /// First element of the part.
    pub(super) start: u64,
    /// Elements of the part; `start + len <= elements`.
    pub(super) len: u64,
}

/// One value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 8 bytes, little-endian two's complement.
    Big(&'a [u8]),
    /// Such an integer in decimal digits.
    Digits(&'a str),
    Float,
    Text(&'a str),
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(StorageRef<'a>),
    /// The arguments of the function that would rebuild the tensor: a tuple.
    Tensor(Id),
    Object(Box<Object<'a>>),
}

/// A class or function that a state dict does not need, or what it would make.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
    /// True for what it would make.
    pub(super) made: bool,
    /// Entries, of one that is like a dictionary.
    pub(super) entries: Vec<(Id, Id)>,
    /// Its attributes.
    pub(super) state: Option<Id>,
}

/// What a pickle held.
#[derive(Debug, Default)]
pub(super) struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// The value that the pickle stands for.
    pub(super) top: Id,
    /// Where the pickle ended.
    pub(super) end: usize,
}

impl<'a> Pickle<'a> {
    /// A value. Every id in a node of this pickle is valid; another one reads as `None`.
    pub(super) fn get(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    /// A value as text.
    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// A value as an integer that is not negative.
    pub(super) fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Node::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The entries of a dictionary, or of an object that is like one.
    pub(super) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Node::Dict(entries) => Some(entries),
            Node::Object(object) if !object.entries.is_empty() => Some(&object.entries),
            _ => None,
        }
    }

    /// The first object whose attributes are those of PyTorch's modules.
    pub(super) fn module(&self) -> Option<&Node<'a>> {
        self.nodes.iter().find(|node| {
            let Node::Object(object) = node else {
                return false;
            };
            let attributes = object.state.and_then(|state| self.entries(state));
            attributes.is_some_and(|all| {
                all.iter()
                    .take(64)
                    .any(|(key, _)| matches!(self.text(*key), Some("_modules" | "_parameters")))
            })
        })
    }

    /// All storages that the pickle refers to.
    pub(super) fn storages(&self) -> impl Iterator<Item = &StorageRef<'a>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

/// What a value is, in the words of an error message.
pub(super) fn describe(node: &Node<'_>) -> String {
    match node {
        Node::None => "None".into(),
        Node::Bool(flag) => flag.to_string(),
        Node::Int(n) => n.to_string(),
        Node::Big(_) | Node::Digits(_) | Node::Float => "a number".into(),
        Node::Text(text) => format!("the text `{}`", shorten(text)),
        Node::Bytes => "bytes".into(),
        Node::List(items) => format!("a list of {}", items.len()),
        Node::Tuple(items) => format!("a tuple of {}", items.len()),
        Node::Dict(items) => format!("a dictionary of {}", items.len()),
        Node::Global(global) => format!("{global:?}"),
        Node::Storage(_) => "a storage".into(),
        Node::Tensor(_) => "a tensor".into(),
        Node::Object(object) => {
            let name = format!("`{}.{}`", shorten(object.module), shorten(object.name));
            if object.made {
                format!("an object of {name}")
            } else {
                format!("the class or function {name}")
            }
        }
    }
}

/// What a file calls itself goes into messages: as [`printable`].
pub(super) fn shorten(text: &str) -> String {
    printable(text, 120).into_owned()
}
