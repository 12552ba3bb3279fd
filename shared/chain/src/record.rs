//! Reads a record as it is stored.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::fault::Harm;
use crate::{Link, Stack};

/// The largest object that is read, in bytes: a planted one must not exhaust a function's memory.
pub const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The newest form of records that is known.
const SCHEMA: u32 = 1;

/// Most characters of a parser's reason, which may quote the object.
const REASON: usize = 200;

/// A record, as stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Record<'a> {
    /// The procedure.
    #[serde(borrow)]
    pub procedure: Cow<'a, str>,
    /// Its place in the chain: the first record has 1.
    pub sequence: u64,
    /// The record before it; none in the first.
    #[serde(deserialize_with = "present")]
    pub previous: Option<Link>,
    /// Identifies the run; the same for all its retries.
    #[serde(borrow)]
    pub run_id: Cow<'a, str>,
    /// Project of the stack.
    #[serde(borrow)]
    pub project: Cow<'a, str>,
    /// Environment of the stack.
    #[serde(borrow)]
    pub environment: Cow<'a, str>,
    /// The run's trigger.
    #[serde(borrow)]
    pub trigger: Cow<'a, str>,
    /// ARN of the resource that the run worked on.
    #[serde(borrow)]
    pub subject: Cow<'a, str>,
    /// When the run began.
    #[serde(deserialize_with = "utc")]
    pub started: Timestamp,
    /// When it ended.
    #[serde(deserialize_with = "utc")]
    pub ended: Timestamp,
    /// The steps, in order.
    #[serde(borrow)]
    pub steps: Vec<Step<'a>>,
    /// Findings that a person should know about or act on.
    pub findings: Vec<String>,
    /// `succeeded` or `failed`.
    #[serde(borrow)]
    pub result: Cow<'a, str>,
    /// Commit that the code was built from.
    #[serde(borrow)]
    pub code_version: Cow<'a, str>,
    /// Outcome of the channel message.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
}

/// One step of a run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Step<'a> {
    /// Name of the step.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// When it ended.
    #[serde(deserialize_with = "utc")]
    pub at: Timestamp,
    /// `succeeded`, or the error.
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
}

impl<'a> Record<'a> {
    /// Reads a record of a procedure.
    pub(crate) fn read(bytes: &'a [u8], procedure: &str, stack: Option<&Stack>) -> Result<Self, Harm> {
        let record: Self = read(bytes)?;
        if record.procedure != procedure {
            return Err(Harm::OtherProcedure { says: record.procedure.into_owned() });
        }
        let is_of = |stack: &Stack| {
            record.project == stack.project.as_str() && record.environment == stack.environment.as_str()
        };
        if !stack.is_none_or(is_of) {
            return Err(Harm::OtherStack { says: record.stack() });
        }
        Ok(record)
    }

    /// The stack that the record says it belongs to.
    pub fn stack(&self) -> Stack {
        Stack {
            project: self.project.clone().into_owned(),
            environment: self.environment.clone().into_owned(),
        }
    }
}

/// Reads an object of a chain: JSON of the known form, in which no object has a name twice. Two readers of the same
/// bytes could otherwise see two contents.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Harm> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > MOST_BYTES {
        return Err(Harm::TooLarge { bytes: length });
    }
    let invalid = |error: serde_json::Error| Harm::Invalid { reason: shortened(&error.to_string()) };
    let Form { schema } = serde_json::from_slice(bytes).map_err(invalid)?;
    if schema != SCHEMA {
        return Err(Harm::OtherForm { schema });
    }
    unique(bytes).map_err(invalid)?;
    serde_json::from_slice(bytes).map_err(invalid)
}

/// Checks that text is JSON, and that no object in it has a name twice.
pub(crate) fn unique(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    Unique.deserialize(&mut text)?;
    text.end()
}

/// The beginning of a parser's reason, without control characters.
pub(crate) fn shortened(reason: &str) -> String {
    reason.chars().take(REASON).map(|one| if one.is_control() { '?' } else { one }).collect()
}

/// The field that says which form the rest has.
#[derive(Deserialize)]
struct Form {
    schema: u32,
}

/// A field that may be null, but not missing.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Link>, D::Error> {
    Option::deserialize(field)
}

/// The instant of an [`Instant`](Timestamp) with its local form.
fn utc<'de, D: Deserializer<'de>>(field: D) -> Result<Timestamp, D::Error> {
    #[derive(Deserialize)]
    struct Instant {
        utc: Timestamp,
    }
    Ok(Instant::deserialize(field)?.utc)
}

/// Any JSON without a name that an object has twice.
struct Unique;

/// An object's name.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(name: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Name<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        name.deserialize_str(Borrowed)
    }
}

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(Name(name)) = object.next_key()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!("the name `{}` twice", name.escape_debug())));
            }
            names.insert(name);
            object.next_value_seed(Self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_an_object_has_twice_is_refused_at_any_depth() {
        for text in
            ["{}", "[]", "7", "-1", "1.5", "null", "true", "\"x\"", r#"{"a": {"a": [{"a": 1}, {"a": 1}]}}"#]
        {
            assert!(unique(text.as_bytes()).is_ok(), "{text}");
        }
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"a": 1, "\u0061": 2}}]"#,
            r#"{"a": 1} {"b": 1}"#,
            "{} x",
            "",
            "{\"a\": \"\u{0}\"}",
            &"[".repeat(100_000),
        ] {
            assert!(unique(text.as_bytes()).is_err(), "{}", text.get(..9).unwrap_or(text));
        }
        let twice = unique(b"{\"a\\u001b\": 1, \"a\\u001b\": 1}").unwrap_err().to_string();
        assert!(twice.starts_with(r"the name `a\u{1b}` twice"), "{twice}");
    }
}
