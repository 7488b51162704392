//! Numbers of 64 bits in JSON: as a string where a reader that keeps numbers as floating point
//! (`jq`, JavaScript) would round them.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest number up to which every whole number is exact in floating point.
const EXACT: u64 = 1 << 53;

struct Wide(u64);

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

// Serde passes a field by reference.
pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if *number <= EXACT {
        serializer.serialize_u64(*number)
    } else {
        serializer.collect_str(number)
    }
}

/// Reads either form: earlier versions wrote every number as one.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Either;
    impl Visitor<'_> for Either {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number, or a string of its digits")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
            text.parse().map_err(|_| wrong())
        }
    }
    deserializer.deserialize_any(Either)
}

/// Such numbers as a list.
pub(super) mod list {
    use super::*;

    pub(in crate::event) fn serialize<S: Serializer>(
        numbers: &[u64],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_seq(Some(numbers.len()))?;
        for number in numbers {
            out.serialize_element(&Wide(*number))?;
        }
        out.end()
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u64>, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<u64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of whole numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u64>, A::Error> {
                let mut numbers = Vec::new();
                while let Some(Wide(number)) = seq.next_element()? {
                    numbers.push(number);
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_seq(Numbers)
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{Event, Kind};

    #[test]
    fn large_numbers_are_strings_and_both_forms_are_read() {
        let line = |cookie: &str| {
            format!(
                r#"{{"type":"connect","seq":1,"ts":"2026-01-31T12:00:00.000000042Z","container":null,"pid":3,"nspid":2,"protocol":"tcp","remote":{{"inet":"10.0.0.1:80"}},"outcome":"established","cookie":{cookie},"comm":"","fd":3}}"#
            )
        };
        for (number, written) in [
            (1 << 53, "9007199254740992"),
            ((1 << 53) + 1, "\"9007199254740993\""),
            (u64::MAX, "\"18446744073709551615\""),
        ] {
            let old = Event::from_json(line(&number.to_string()).as_bytes()).unwrap();
            let Kind::Connect(connect) = &old.kind else {
                panic!("{old:?}");
            };
            assert_eq!(connect.cookie, number);
            let mut out = Vec::new();
            old.write_json(&mut out).unwrap();
            assert_eq!(
                String::from_utf8(out.clone()).unwrap().trim(),
                line(written)
            );
            assert_eq!(Event::from_json(&out).unwrap(), old);
        }
        for wrong in ["\"\"", "\"x\"", "-1", "\"18446744073709551616\"", "1.5"] {
            assert!(Event::from_json(line(wrong).as_bytes()).is_err(), "{wrong}");
        }
    }
}
