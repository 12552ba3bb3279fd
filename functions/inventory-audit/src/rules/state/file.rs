//! The JSON of a Terraform state. Only ids, names and settings are stored; of any other attribute, only whether it has
//! a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::rules::settings::{Rule, Setting, lifecycle};

#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) version: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) serial: u64,
    #[serde(default)]
    pub(super) outputs: Option<BTreeMap<String, Output>>,
    #[serde(default)]
    pub(super) resources: Vec<Resource>,
}

#[derive(Deserialize)]
pub(super) struct Output {
    #[serde(default)]
    pub(super) value: Presence,
    #[serde(default)]
    pub(super) sensitive: bool,
}

#[derive(Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) module: Option<String>,
    pub(super) mode: String,
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) instances: Vec<Instance>,
}

/// One instance of a resource: of `count` or `for_each`, or the only one.
#[derive(Deserialize)]
pub(super) struct Instance {
    #[serde(default)]
    pub(super) index_key: Option<Index>,
    #[serde(default)]
    pub(super) deposed: Option<String>,
    /// Older providers wrote `attributes_flat`.
    #[serde(default, alias = "attributes_flat", deserialize_with = "or_default")]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) sensitive_attributes: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Index {
    Number(u64),
    Text(String),
}

fn or_default<'de, D: Deserializer<'de>>(value: D) -> Result<Attributes, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// The stored part of a resource's attributes.
#[derive(Default)]
pub(super) struct Attributes {
    /// Ids and names, by attribute.
    pub(super) texts: BTreeMap<&'static str, String>,
    pub(super) settings: BTreeMap<Setting, String>,
    /// Names of all attributes that have a value.
    pub(super) present: BTreeSet<String>,
}

/// Attributes whose texts are stored.
const TEXTS: [&str; 9] =
    ["arn", "bucket", "cluster_identifier", "id", "identifier", "name", "secret_arn", "secret_id", "type"];

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Attributes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut found = Attributes::default();
                while let Some(name) = map.next_key::<String>()? {
                    if let Some(known) = TEXTS.into_iter().find(|known| *known == name) {
                        if let Text(Some(text)) = map.next_value()? {
                            found.present.insert(name);
                            found.texts.insert(known, text);
                        }
                        continue;
                    }
                    let setting = match name.as_str() {
                        "backup_retention_period" => {
                            map.next_value::<Text>()?.0.map(|days| (Setting::BackupRetention, days))
                        }
                        "deletion_protection" => {
                            map.next_value::<Text>()?.0.map(|is_on| (Setting::DeletionProtection, is_on))
                        }
                        "multi_az" => map.next_value::<Text>()?.0.map(|is_on| (Setting::MultiAz, is_on)),
                        "retention_in_days" => {
                            map.next_value::<Text>()?.0.map(|days| (Setting::LogRetention, days))
                        }
                        "task_definition" => {
                            map.next_value::<Text>()?.0.map(|name| (Setting::TaskDefinition, name))
                        }
                        "versioning_configuration" => {
                            let block: Block<Versioning> = map.next_value()?;
                            block
                                .0
                                .into_iter()
                                .find_map(|block| block.status.0)
                                .map(|status| (Setting::Versioning, status))
                        }
                        // The provider before version 4 had this block; later ones only fill it with a copy from AWS.
                        "versioning" => {
                            let block: Block<Versioning> = map.next_value()?;
                            let is_on =
                                block.0.into_iter().any(|block| block.enabled.0.as_deref() == Some("true"));
                            is_on.then(|| (Setting::Versioning, "Enabled".to_owned()))
                        }
                        "rule" => {
                            let block: Block<LifecycleRule> = map.next_value()?;
                            Some((
                                Setting::Lifecycle,
                                lifecycle(block.0.into_iter().filter_map(LifecycleRule::read)),
                            ))
                        }
                        _ => {
                            if map.next_value::<Presence>()?.0 {
                                found.present.insert(name);
                            }
                            continue;
                        }
                    };
                    found.settings.extend(setting);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Whether a value is neither null nor empty. The value itself is never stored.
#[derive(Clone, Copy, Default)]
pub(super) struct Presence(pub(super) bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Presence;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Presence, E> {
                Ok(Presence(false))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Presence, E> {
                Ok(Presence(true))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Presence, E> {
                Ok(Presence(true))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Presence, E> {
                Ok(Presence(true))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Presence, E> {
                Ok(Presence(true))
            }

            fn visit_str<E>(self, text: &str) -> Result<Presence, E> {
                Ok(Presence(!text.is_empty()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Presence, A::Error> {
                let mut has_any = false;
                while let Some(Presence(is_there)) = all.next_element()? {
                    has_any |= is_there;
                }
                Ok(Presence(has_any))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Presence, A::Error> {
                let mut has_any = false;
                while let Some((IgnoredAny, Presence(is_there))) = all.next_entry()? {
                    has_any |= is_there;
                }
                Ok(Presence(has_any))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A text, a number or a boolean, as text; none for any other type, which another provider may use under the same name.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(serde_json::Number),
            Boolean(bool),
            Other(IgnoredAny),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Text(text) => Some(text),
            Either::Number(number) => Some(number.to_string()),
            Either::Boolean(is_on) => Some(is_on.to_string()),
            Either::Other(_) => None,
        }))
    }
}

/// A block, which is a list in a state; empty for any other type.
struct Block<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Block<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Block(Vec<T>),
            Other(IgnoredAny),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Block(block) => block,
            Either::Other(_) => Vec::new(),
        }))
    }
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[derive(Deserialize)]
struct Versioning {
    #[serde(default)]
    status: Text,
    #[serde(default)]
    enabled: Text,
}

/// A rule of an `aws_s3_bucket_lifecycle_configuration`.
#[derive(Deserialize)]
struct LifecycleRule {
    #[serde(default)]
    id: Text,
    #[serde(default)]
    status: Text,
    #[serde(default)]
    prefix: Text,
    #[serde(default)]
    filter: Block<Filter>,
    #[serde(default)]
    expiration: Block<Days>,
    #[serde(default)]
    noncurrent_version_expiration: Block<Days>,
    #[serde(default)]
    abort_incomplete_multipart_upload: Block<Days>,
}

/// Keys that a rule applies to: a prefix, or in `and` a prefix with further conditions.
#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    prefix: Text,
    #[serde(default)]
    and: Block<Both>,
}

#[derive(Deserialize)]
struct Both {
    #[serde(default)]
    prefix: Text,
}

#[derive(Deserialize)]
struct Days {
    #[serde(default)]
    days: Text,
    #[serde(default)]
    noncurrent_days: Text,
    #[serde(default)]
    days_after_initiation: Text,
}

impl LifecycleRule {
    fn read(self) -> Option<Rule> {
        let days = |block: Block<Days>| {
            let texts = block
                .0
                .into_iter()
                .flat_map(|each| [each.days.0, each.noncurrent_days.0, each.days_after_initiation.0]);
            texts.flatten().filter_map(|text| text.parse().ok()).find(|days| *days > 0)
        };
        let of_filter = |filter: Filter| {
            [filter.prefix].into_iter().chain(filter.and.0.into_iter().map(|both| both.prefix))
        };
        let prefixes = self.filter.0.into_iter().flat_map(of_filter).chain([self.prefix]);
        Some(Rule {
            id: self.id.0?,
            prefix: prefixes
                .filter_map(|prefix| prefix.0)
                .find(|prefix| !prefix.is_empty())
                .unwrap_or_default(),
            is_enabled: self.status.0.as_deref() == Some("Enabled"),
            expires: days(self.expiration),
            noncurrent: days(self.noncurrent_version_expiration),
            incomplete: days(self.abort_incomplete_multipart_upload),
        })
    }
}
