//! Settings that are lists: as YAML lists, or as one text with commas like that of their flag.

use crate::units::Ber;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::Deserialize;
use std::fmt;

/// Items of a list; those of a text are parted at commas.
struct Items(Vec<String>);

/// One item: a text or a number.
struct Item(String);

struct OfItems;
struct OfItem;

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(OfItems)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(OfItem)
    }
}

impl<'de> Visitor<'de> for OfItem {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        Ok(Item(text.to_owned()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Item, E> {
        Ok(Item(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Item, E> {
        Ok(Item(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Item, E> {
        Ok(Item(number.to_string()))
    }
}

impl<'de> Visitor<'de> for OfItems {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or text with commas")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Items, E> {
        Ok(Items(
            text.split(',').map(|item| item.trim().to_owned()).collect(),
        ))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Items, E> {
        Ok(Items(vec![number.to_string()]))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Items, E> {
        Ok(Items(vec![number.to_string()]))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Items, E> {
        Ok(Items(vec![number.to_string()]))
    }

    fn visit_unit<E: Error>(self) -> Result<Items, E> {
        Ok(Items(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Items, A::Error> {
        let mut items = Vec::new();
        while let Some(Item(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Items(items))
    }
}

/// A list as the text of its flag; null is none.
///
/// # Errors
/// Anything else, and a list without items.
pub(super) fn joined<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let Some(Items(items)) = Option::<Items>::deserialize(input)? else {
        return Ok(None);
    };
    if items.is_empty() {
        return Err(D::Error::invalid_length(0, &"a list of at least one item"));
    }
    Ok(Some(items.join(",")))
}

/// Words; null is none.
///
/// # Errors
/// Anything else than a list or a text.
pub(super) fn words<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Items>::deserialize(input)?.map_or_else(Vec::new, |Items(items)| items))
}

/// Bit error rates; null is none.
///
/// # Errors
/// Anything else than numbers from 0 to 1.
pub(super) fn rates<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Ber>, D::Error> {
    let number = |item: &String| item.parse().map_err(D::Error::custom);
    words(input)?.iter().map(number).collect()
}

/// Refuses rates above 0.5 and one that stands twice, under the name of their key.
///
/// # Errors
/// [`crate::error::Error::Argument`].
pub(super) fn check_rates(key: &str, rates: &[Ber]) -> crate::error::Result<()> {
    for (i, rate) in rates.iter().enumerate() {
        if rate.get() > 0.5 || rates[..i].contains(rate) {
            let expected = "rates from 0 to 0.5, each once";
            let found = rate.to_string();
            return Err(crate::error::Error::argument(key, expected, found));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::sweep::SweepSpec;

    fn read(text: serde_json::Value) -> Result<SweepSpec, String> {
        serde_json::from_value(text).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_and_texts_of_flags_are_the_same() {
        use serde_json::json;
        for (list, text) in [
            (
                json!({"voltages": [0.8, 0.9, 1.0]}),
                json!({"voltages": "0.8,0.9,1"}),
            ),
            (
                json!({"voltages": ["0.8V", "850mV"]}),
                json!({"voltages": "0.8V,850mV"}),
            ),
            (
                json!({"voltages": ["0.7:0.8:0.05", 1]}),
                json!({"voltages": "0.7:0.8:0.05,1"}),
            ),
            (json!({"voltages": 0.8}), json!({"voltages": "0.8"})),
            (
                json!({"bit_error_rates": [1e-3, "1e-2"]}),
                json!({"bers": "0.001, 0.01"}),
            ),
            (
                json!({"protection": ["none", "msb:1"]}),
                json!({"protection": "none,msb:1"}),
            ),
            (
                json!({"voltages": null, "protection": null, "bers": null}),
                json!({}),
            ),
        ] {
            assert_eq!(read(list).unwrap(), read(text).unwrap());
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        use serde_json::json;
        for (wrong, words) in [
            (json!({"voltages": {"a": 1}}), "a list, or text with commas"),
            (json!({"voltages": [[0.8]]}), "a number or text"),
            (json!({"voltages": []}), "at least one item"),
            (json!({"bers": ["x"]}), "a number from 0 to 1"),
            (json!({"bers": [1.5]}), "a number from 0 to 1"),
        ] {
            let message = read(wrong).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }
}
