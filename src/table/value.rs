//! What may stand in cells: text, counts, integers, numbers, words, and any of them or a null.

use super::record::{Cell, Kind, Number, Value, FINITE, SHARE};
use crate::units::{Accuracy, BerSource, ChipId, VoltageUnit};

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

impl Value for Accuracy {
    fn kind() -> Kind {
        Kind::Number(SHARE)
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

/// `Value` of types with a constant `ALL`, and a `name` for each of these values.
macro_rules! words {
    ($($words:ty),*) => {$(
        impl $crate::table::Value for $words {
            fn kind() -> $crate::table::Kind {
                const NAMES: [&str; <$words>::ALL.len()] = {
                    let mut names = [""; <$words>::ALL.len()];
                    let mut i = 0;
                    while i < names.len() {
                        names[i] = <$words>::ALL[i].name();
                        i += 1;
                    }
                    names
                };
                $crate::table::Kind::Word(&NAMES)
            }

            fn cell(&self) -> $crate::table::Cell<'_> {
                $crate::table::Cell::Text(self.name().into())
            }

            fn of(cell: $crate::table::Cell<'_>) -> Result<Self, String> {
                let word = Self::ALL.into_iter().find(|word| word.cell() == cell);
                word.ok_or_else(|| Self::kind().expected())
            }
        }
    )*};
}
pub(crate) use words;

words!(VoltageUnit, BerSource);
