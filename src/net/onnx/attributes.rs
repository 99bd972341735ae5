//! Attributes of a node; one that nobody asks for is found out.

use super::proto::{Attribute, Node, TensorProto};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The attributes of one node.
pub(super) struct Attributes<'n> {
    node: &'n Node,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'n> Attributes<'n> {
    pub(super) fn of(node: &'n Node) -> Self {
        let asked = RefCell::default();
        Self { node, asked }
    }

    fn find(&self, name: &'static str) -> Option<&'n Attribute> {
        self.asked.borrow_mut().insert(name);
        self.node.attribute.iter().find(|own| own.name == name)
    }

    /// Says that these attributes change nothing here.
    pub(super) fn ignore(&self, names: &[&'static str]) {
        self.asked.borrow_mut().extend(names);
    }

    pub(super) fn integer(&self, name: &'static str) -> Option<i64> {
        self.find(name).map(|own| own.i.unwrap_or_default())
    }

    pub(super) fn integer_or(&self, name: &'static str, default: i64) -> i64 {
        self.integer(name).unwrap_or(default)
    }

    pub(super) fn flag(&self, name: &'static str) -> bool {
        self.integer_or(name, 0) != 0
    }

    pub(super) fn integers(&self, name: &'static str) -> Option<&'n [i64]> {
        self.find(name).map(|own| &own.ints[..])
    }

    pub(super) fn float(&self, name: &'static str) -> Option<f64> {
        self.find(name)
            .map(|own| f64::from(own.f.unwrap_or_default()))
    }

    /// The default is that of the schema, in single precision too.
    pub(super) fn float_or(&self, name: &'static str, default: f32) -> f64 {
        self.float(name).unwrap_or(f64::from(default))
    }

    pub(super) fn floats(&self, name: &'static str) -> Option<&'n [f32]> {
        self.find(name).map(|own| &own.floats[..])
    }

    pub(super) fn text_or(&self, name: &'static str, default: &str) -> String {
        let text = |own: &Attribute| String::from_utf8_lossy(&own.s).into_owned();
        self.find(name).map_or(default.to_owned(), text)
    }

    pub(super) fn tensor(&self, name: &'static str) -> Option<&'n TensorProto> {
        self.find(name).and_then(|own| own.t.as_ref())
    }

    /// Those that nobody asked for.
    pub(super) fn unasked(&self) -> Vec<&'n str> {
        let asked = self.asked.borrow();
        let names = self.node.attribute.iter().map(|own| own.name.as_str());
        names.filter(|name| !asked.contains(name)).collect()
    }
}
