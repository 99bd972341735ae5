//! What may stand in cells: text, counts, integers, numbers, words, and any of them or a null.

use super::record::{Cell, Kind, Number, Value, FINITE, FRACTION};
use crate::error::Error;
use crate::units::{Accuracy, BerSource, Bits, ChipId, Metric, VoltageUnit};

impl Value for String {
    fn kind() -> Kind {
        Kind::Text
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Text(self.into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Text(text) => Ok(text.into_owned()),
            _ => Err(Self::kind().expected()),
        }
    }
}

impl Value for u64 {
    fn kind() -> Kind {
        Kind::Count
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Count(*self)
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Count(count) => Ok(count),
            _ => Err(Self::kind().expected()),
        }
    }
}

impl Value for u32 {
    fn kind() -> Kind {
        Kind::Count
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Count((*self).into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        Self::try_from(u64::of(cell)?).map_err(|_| format!("at most {}", Self::MAX))
    }
}

impl Value for ChipId {
    fn kind() -> Kind {
        Kind::Count
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Count(self.0.into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        u32::of(cell).map(Self)
    }
}

impl Value for i16 {
    fn kind() -> Kind {
        Kind::Integer
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Integer((*self).into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        let Cell::Integer(integer) = cell else {
            return Err(Self::kind().expected());
        };
        Self::try_from(integer).map_err(|_| format!("{} to {}", Self::MIN, Self::MAX))
    }
}

impl Value for bool {
    fn kind() -> Kind {
        Kind::Word(&["true", "false"])
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Text(if *self { "true" } else { "false" }.into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        Ok(cell == true.cell())
    }
}

impl Value for f64 {
    fn kind() -> Kind {
        Kind::Number(FINITE)
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Number(*self)
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Number(number) => Ok(number),
            _ => Err(Self::kind().expected()),
        }
    }
}

impl Number for f64 {}

impl Value for Bits {
    fn kind() -> Kind {
        Kind::Count
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Count(self.get().into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        Self::new(u64::of(cell)?).map_err(Error::expected)
    }
}

impl Value for Accuracy {
    fn kind() -> Kind {
        Kind::Number(FRACTION)
    }

    fn cell(&self) -> Cell<'_> {
        Cell::Number(self.get())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        Self::new(f64::of(cell)?).map_err(|_| Self::kind().expected())
    }
}

/// A null where there is no value.
impl<V: Value> Value for Option<V> {
    const OPTIONAL: bool = true;

    fn kind() -> Kind {
        V::kind()
    }

    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, V::cell)
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Null => Ok(None),
            cell => V::of(cell).map(Some),
        }
    }
}

impl<V: Number> Number for Option<V> {}

/// [`crate::units::words`] whose values stand in cells.
macro_rules! words {
    ($type:ident $($words:tt)+) => {
        $crate::units::words!($type $($words)+);
        $crate::table::word_value!($type);
    };
}

/// `Value` of an enum with words.
macro_rules! word_value {
    ($type:ident) => {
        impl $crate::table::Value for $type {
            fn kind() -> $crate::table::Kind {
                $crate::table::Kind::Word(Self::WORDS)
            }

            fn cell(&self) -> $crate::table::Cell<'_> {
                $crate::table::Cell::Text(self.name().into())
            }

            fn of(cell: $crate::table::Cell<'_>) -> Result<Self, String> {
                let word = Self::ALL.into_iter().find(|word| word.cell() == cell);
                word.ok_or_else(|| Self::kind().expected())
            }
        }
    };
}

/// `Value` of a type with `Display` and `FromStr`.
macro_rules! text_value {
    ($type:ident) => {
        impl $crate::table::Value for $type {
            fn kind() -> $crate::table::Kind {
                $crate::table::Kind::Text
            }

            fn cell(&self) -> $crate::table::Cell<'_> {
                $crate::table::Cell::Text(self.to_string().into())
            }

            fn of(cell: $crate::table::Cell<'_>) -> Result<Self, String> {
                let text = String::of(cell)?;
                text.parse().map_err($crate::error::Error::expected)
            }
        }
    };
}
pub(crate) use text_value;
pub(crate) use word_value;
pub(crate) use words;

word_value!(VoltageUnit);
word_value!(BerSource);
text_value!(Metric);
