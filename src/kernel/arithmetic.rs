//! How convolutions are computed: by fewer multiplications, or one for each term.

use super::winograd::Winograd;
use super::{Direct, Planes, Pooled};
use crate::error::{refuse, Result};
use crate::units::words;
use std::sync::OnceLock;

/// A way to compute convolutions. Each gives its own roundings, so numbers of one are never mixed with the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// 3x3 convolutions of stride 1 by [`Winograd`], the others directly, with pooling where [`Pooled`] can: the
    /// default.
    #[default]
    Winograd,
    /// Every convolution by [`Direct`](super::Direct): what a record that does not say was computed by.
    Direct,
}

/// The process's choice, made once.
static CHOSEN: OnceLock<Arithmetic> = OnceLock::new();

words!(Arithmetic, "arithmetic": Winograd "winograd", Direct "direct");

impl Arithmetic {
    /// The one that this process uses: [`Self::choose`]n, else the default.
    pub fn current() -> Self {
        *CHOSEN.get_or_init(Self::default)
    }

    /// Makes this the choice of the process.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the other one is in use already.
    pub fn choose(self) -> Result<()> {
        let current = *CHOSEN.get_or_init(|| self);
        if current == self {
            return Ok(());
        }
        refuse(
            "arithmetic",
            "a choice before its first use",
            format!("`{self}` after `{current}`"),
        )
    }

    /// How a convolution of this shape is computed: `None` for directly.
    pub fn winograd(self, direct: Direct) -> Option<Winograd> {
        match self {
            Self::Winograd => Winograd::of(direct),
            Self::Direct => None,
        }
    }

    /// How a convolution is computed whose result is pooled by 2x2 and rectified into `output`, and used nowhere else:
    /// `None` for one after the other.
    pub fn pooled(self, direct: Direct, output: Planes) -> Option<Pooled> {
        match self {
            Self::Winograd => Pooled::of(direct, output),
            Self::Direct => None,
        }
    }
}
