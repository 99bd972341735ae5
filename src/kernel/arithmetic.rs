//! How convolutions are computed: by fewer multiplications, or one for each term.

use super::winograd::Winograd;
use super::Direct;
use crate::error::{Error, Result};
use std::sync::OnceLock;
use std::{fmt, str::FromStr};

/// A way to compute convolutions. Each gives its own roundings, so numbers of one are never mixed with the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// 3x3 convolutions of stride 1 by [`Winograd`], the others directly.
    Winograd,
    /// Every convolution by [`Direct`](super::Direct): the default, and what a record that does not say was computed by.
    #[default]
    Direct,
}

/// The process's choice, made once.
static CHOSEN: OnceLock<Arithmetic> = OnceLock::new();

impl Arithmetic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Winograd, Self::Direct];

    /// The one that this process uses: [`Self::choose`]n, else the default.
    pub fn current() -> Self {
        *CHOSEN.get_or_init(Self::default)
    }

    /// Makes this the choice of the process.
    ///
    /// # Errors
    /// [`Error::Argument`] where the other one is in use already.
    pub fn choose(self) -> Result<()> {
        let current = *CHOSEN.get_or_init(|| self);
        if current == self {
            return Ok(());
        }
        Err(Error::argument(
            "arithmetic",
            "a choice before its first use",
            format!("`{self}` after `{current}`"),
        ))
    }

    /// How a convolution of this shape is computed: `None` for directly.
    pub fn winograd(self, direct: Direct) -> Option<Winograd> {
        match self {
            Self::Winograd => Winograd::of(direct),
            Self::Direct => None,
        }
    }

    /// Its word on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Winograd => "winograd",
            Self::Direct => "direct",
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arithmetic {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|arithmetic| arithmetic.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                Error::argument("arithmetic", format!("one of {names}"), format!("`{text}`"))
            })
    }
}
