//! The Terraform states: which resources Terraform manages, with which settings, and where a state holds a secret value. A
//! state holds secrets in clear, so nothing of it is kept but ids, ARNs, names, addresses and the settings in [`Setting`]; of
//! any other attribute only its name and whether it has a value. No text here quotes a state. No I/O.
//!
//! Source: Terraform's `internal/states/statefile/version4.go`; the attributes are those of the AWS provider's schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use shared::policy::Kind;

use crate::settings::{Rule, Setting, lifecycle};

/// Most bytes of a state that are read; one of thousands of resources has a few MiB.
pub(crate) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Most states that an audit reads.
pub(crate) const MOST_STATES: usize = 50;

/// How the key of a state ends, as Terraform's documentation names it; beside it stand locks and copies.
pub(crate) const SUFFIX: &str = ".tfstate";

/// The version that every Terraform since 0.12 writes, and OpenTofu too.
const VERSION: u64 = 4;

/// What the types of Terraform's other provider for AWS begin with.
const CLOUD_CONTROL: &str = "awscc_";

/// Attributes that hold a secret value, by type, where the state does not mark them: Terraform before 1.10 marks only what the
/// configuration calls sensitive. Write-only arguments (`…_wo`) never reach a state.
const VALUES: [(&str, &[&str]); 30] = [
    ("aws_acm_certificate", &["private_key"]),
    ("aws_cognito_user_pool_client", &["client_secret"]),
    ("aws_db_instance", &["password"]),
    ("aws_directory_service_directory", &["password"]),
    ("aws_dms_endpoint", &["password"]),
    ("aws_docdb_cluster", &["master_password"]),
    ("aws_elasticache_replication_group", &["auth_token"]),
    ("aws_elasticache_user", &["passwords"]),
    ("aws_iam_access_key", &["secret", "ses_smtp_password_v4"]),
    ("aws_iam_server_certificate", &["private_key"]),
    ("aws_iam_service_specific_credential", &["service_password"]),
    ("aws_iam_user_login_profile", &["password"]),
    ("aws_kms_ciphertext", &["plaintext"]),
    ("aws_kms_secrets", &["plaintext"]),
    ("aws_rds_cluster", &["master_password"]),
    ("aws_redshift_cluster", &["master_password"]),
    ("aws_redshiftserverless_namespace", &["admin_user_password"]),
    ("aws_secretsmanager_random_password", &["random_password"]),
    ("aws_secretsmanager_secret_version", &["secret_string", "secret_binary"]),
    ("aws_ssm_parameter", &["value"]),
    ("aws_ssm_parameters_by_path", &["values"]),
    ("awscc_rds_db_cluster", &["master_user_password"]),
    ("awscc_rds_db_instance", &["master_user_password"]),
    ("awscc_secretsmanager_secret", &["secret_string"]),
    ("github_actions_environment_secret", &["plaintext_value"]),
    ("github_actions_secret", &["plaintext_value"]),
    ("postgresql_role", &["password"]),
    ("random_bytes", &["base64"]),
    ("random_password", &["result"]),
    ("tls_private_key", &["private_key_pem"]),
];

/// Resources that hold settings of a bucket.
const PARTS: [&str; 2] = ["aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_versioning"];

/// Where a resource stands.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    /// Key of the state.
    pub file: Arc<str>,
    /// Terraform's address in it.
    pub address: String,
}

/// One instance of a resource that Terraform manages.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Held {
    kind: String,
    place: Place,
    /// An instance that a replacement left behind is still to be destroyed and answers to the same address.
    is_deposed: bool,
    arn: Option<String>,
    id: Option<String>,
    names: Vec<String>,
    settings: BTreeMap<Setting, String>,
}

/// A secret value that a state holds; not the value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Value {
    /// Where.
    pub place: Place,
    /// Terraform's type; `output` for an output of the root module.
    pub kind: String,
    /// The attributes that have a value.
    pub attributes: BTreeSet<String>,
    /// Whether a data source read it, so that Terraform never writes it.
    pub is_data: bool,
    /// ARN of the secret or resource that it belongs to.
    pub arn: Option<String>,
    /// Whether that secret has a rotation, if it was looked at for this.
    pub rotates: Option<bool>,
}

/// What Terraform manages, as far as it is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Managed {
    /// Counts the changes of the state that was read last.
    pub serial: u64,
    held: Vec<Held>,
    /// The places in `held` by ARN: a secret's version has the secret's.
    arns: BTreeMap<String, Vec<usize>>,
    /// Secret values in clear.
    pub values: BTreeSet<Value>,
}

/// Why a state could not be read. None of the texts holds any of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum StateError {
    /// It is no JSON, or not of the form of a state; serde's own text could quote it.
    #[error("the object is not a Terraform state (line {line}, column {column})")]
    NotAState {
        /// Where it stops to be one.
        line: usize,
        /// The same.
        column: usize,
    },
    /// Another format.
    #[error("the state has version {0}, and only version 4 is read, which Terraform writes since 0.12")]
    Version(u64),
    /// There is no version, as in a state that is encrypted.
    #[error("the object has no version; a state that OpenTofu encrypts cannot be read")]
    NoVersion,
    /// Too large.
    #[error("the state is larger than {} MiB", MOST_BYTES / (1024 * 1024))]
    TooLarge,
}

#[derive(Deserialize)]
struct Head {
    version: Option<u64>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    serial: u64,
    #[serde(default)]
    outputs: Option<BTreeMap<String, Output>>,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    value: Presence,
    #[serde(default)]
    sensitive: bool,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    r#type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

/// One of `count` or `for_each`, or the only one.
#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Option<Index>,
    #[serde(default)]
    deposed: Option<String>,
    /// `attributes_flat` where an older provider wrote it.
    #[serde(default, alias = "attributes_flat", deserialize_with = "or_default")]
    attributes: Attributes,
    #[serde(default)]
    sensitive_attributes: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Number(u64),
    Text(String),
}

fn or_default<'de, D: Deserializer<'de>>(value: D) -> Result<Attributes, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// What is kept of a resource's attributes.
#[derive(Default)]
struct Attributes {
    /// Ids and names, by attribute.
    texts: BTreeMap<&'static str, String>,
    settings: BTreeMap<Setting, String>,
    /// Names of all attributes that have a value.
    present: BTreeSet<String>,
}

/// The attributes whose texts are kept.
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
                        // The block of the provider before version 4; later ones only copy what AWS had.
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

/// Whether there is a value other than null and the empty one. The value itself is never stored.
#[derive(Clone, Copy, Default)]
struct Presence(bool);

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

/// A text, a number or a boolean, as text; anything else that a provider calls so is none.
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

/// A block, which a state holds as a list; anything else is none.
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

/// A rule of `aws_s3_bucket_lifecycle_configuration`.
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

/// Which keys a rule is of: a prefix, or in `and` a prefix and more.
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

/// Reads a state; `file` is its key.
///
/// # Errors
///
/// [`StateError`].
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Managed, StateError> {
    if bytes.len() > MOST_BYTES {
        return Err(StateError::TooLarge);
    }
    let malformed =
        |error: serde_json::Error| StateError::NotAState { line: error.line(), column: error.column() };
    // First, since what follows depends on it.
    match serde_json::from_slice::<Head>(bytes).map_err(malformed)?.version {
        Some(VERSION) => {}
        Some(other) => return Err(StateError::Version(other)),
        None => return Err(StateError::NoVersion),
    }
    let parsed: File = serde_json::from_slice(bytes).map_err(malformed)?;
    let file: Arc<str> = file.into();
    let mut managed = Managed { serial: parsed.serial, ..Managed::default() };
    for (name, output) in parsed.outputs.unwrap_or_default() {
        if output.sensitive && output.value.0 {
            managed.values.insert(Value {
                place: Place { file: Arc::clone(&file), address: format!("output.{name}") },
                kind: "output".to_owned(),
                attributes: BTreeSet::from(["value".to_owned()]),
                is_data: false,
                arn: None,
                rotates: None,
            });
        }
    }
    for resource in parsed.resources {
        let Resource { module, mode, r#type: kind, name, instances } = resource;
        let is_data = mode == "data";
        let prefix = [module.as_deref(), is_data.then_some("data")].into_iter().flatten();
        let base = prefix.chain([kind.as_str(), name.as_str()]).collect::<Vec<_>>().join(".");
        for instance in instances {
            let place =
                Place { file: Arc::clone(&file), address: addressed(&base, instance.index_key.as_ref()) };
            managed.add(&kind, place, is_data, instance);
        }
    }
    Ok(managed)
}

/// The address of an instance. Source: Terraform's `addrs.InstanceKey`, whose texts are written as HCL's.
fn addressed(base: &str, index: Option<&Index>) -> String {
    match index {
        None => base.to_owned(),
        Some(Index::Number(number)) => format!("{base}[{number}]"),
        Some(Index::Text(text)) => {
            let mut key = String::new();
            for c in text.chars() {
                match c {
                    '"' => key.push_str("\\\""),
                    '\\' => key.push_str("\\\\"),
                    '\n' => key.push_str("\\n"),
                    '\r' => key.push_str("\\r"),
                    '\t' => key.push_str("\\t"),
                    other => key.push(other),
                }
            }
            let key = key.replace("${", "$${").replace("%{", "%%{");
            format!("{base}[\"{key}\"]")
        }
    }
}

/// An ARN without what only some calls and providers put at a log group's end.
pub(crate) fn bare(arn: &str) -> &str {
    arn.strip_suffix(":*").unwrap_or(arn)
}

/// Terraform's type of a kind; none where Terraform has none.
pub(crate) fn terraform_type(kind: Kind) -> Option<&'static str> {
    types(kind).first().copied()
}

/// Terraform's types whose resource is one of a kind; the first is what most are.
fn types(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::EcsCluster => &["aws_ecs_cluster"],
        Kind::EcsService => &["aws_ecs_service"],
        Kind::EfsFileSystem => &["aws_efs_file_system"],
        Kind::GrafanaWorkspace => &["aws_grafana_workspace"],
        Kind::LogGroup => &["aws_cloudwatch_log_group"],
        Kind::PrometheusWorkspace => &["aws_prometheus_workspace"],
        Kind::RdsCluster => &["aws_rds_cluster", "aws_docdb_cluster", "aws_neptune_cluster"],
        Kind::RdsInstance => &[
            "aws_db_instance",
            "aws_rds_cluster_instance",
            "aws_docdb_cluster_instance",
            "aws_neptune_cluster_instance",
        ],
        Kind::S3Bucket => &["aws_s3_bucket"],
        Kind::Secret => &["aws_secretsmanager_secret"],
        Kind::Url => &[],
    }
}

/// Whether a resource of a Terraform type is one of a kind, and no part of one.
fn is_one(kind: Kind, of: &str) -> bool {
    types(kind).contains(&of) || of.starts_with(CLOUD_CONTROL)
}

/// Whether a Terraform type is that of a whole resource of some kind.
fn is_whole(of: &str) -> bool {
    Kind::ALL.into_iter().any(|kind| types(kind).contains(&of))
}

impl Managed {
    fn add(&mut self, kind: &str, place: Place, is_data: bool, instance: Instance) {
        // Other providers' ids may be secrets themselves.
        let is_aws = kind.starts_with("aws_") || kind.starts_with(CLOUD_CONTROL);
        let Attributes { mut texts, settings, present } = instance.attributes;
        if !is_aws {
            texts.clear();
        }
        let arn_of = |name| texts.get(name).filter(|text: &&String| text.starts_with("arn:")).cloned();
        let arn = arn_of("arn");
        let known = VALUES.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, names)| names);
        let marked = instance.sensitive_attributes.as_array().into_iter().flatten();
        let marked = marked.filter_map(|path| path.get(0)?.get("value")?.as_str());
        let attributes: BTreeSet<String> = known
            .iter()
            .copied()
            .chain(marked)
            .filter(|name| present.contains(*name))
            .map(str::to_owned)
            .collect();
        // The provider marks the value of every parameter.
        let is_plain =
            kind == "aws_ssm_parameter" && texts.get("type").is_some_and(|of| of != "SecureString");
        if !attributes.is_empty() && !is_plain {
            let id = arn_of("id").map(|id| id.split('|').next().unwrap_or_default().to_owned());
            let arn = arn.clone().or_else(|| arn_of("secret_arn")).or_else(|| arn_of("secret_id")).or(id);
            let arn = arn.map(|arn| bare(&arn).to_owned());
            self.values.insert(Value {
                place: place.clone(),
                kind: kind.to_owned(),
                attributes,
                is_data,
                arn,
                rotates: None,
            });
        }
        // A data source only looks.
        if !is_aws || is_data {
            return;
        }
        let number = self.held.len();
        let id = texts.get("id").cloned();
        for arn in arn.iter().chain(id.iter().filter(|id| id.starts_with("arn:"))) {
            let places = self.arns.entry(bare(arn).to_owned()).or_default();
            if !places.contains(&number) {
                places.push(number);
            }
        }
        // A member has the identifier of its cluster too.
        let names =
            ["id", "name", "bucket", "identifier"].into_iter().filter_map(|name| texts.get(name).cloned());
        let names = names.chain(
            texts.get("cluster_identifier").filter(|_| types(Kind::RdsCluster).contains(&kind)).cloned(),
        );
        self.held.push(Held {
            kind: kind.to_owned(),
            place,
            is_deposed: instance.deposed.is_some(),
            arn: arn.or_else(|| arn_of("id")).map(|arn| bare(&arn).to_owned()),
            names: names.collect(),
            id,
            settings: if is_whole(kind) || PARTS.contains(&kind) { settings } else { BTreeMap::new() },
        });
    }

    /// Notes whether the secret with an ARN has a rotation.
    pub(crate) fn note_rotation(&mut self, arn: &str, rotates: bool) {
        let noted = std::mem::take(&mut self.values).into_iter().map(|mut value| {
            if value.arn.as_deref() == Some(arn) {
                value.rotates = Some(rotates);
            }
            value
        });
        self.values = noted.collect();
    }

    /// Adds what another state holds.
    pub(crate) fn merge(&mut self, other: Self) {
        let before = self.held.len();
        for (arn, places) in other.arns {
            self.arns.entry(arn).or_default().extend(places.into_iter().map(|place| place + before));
        }
        self.held.extend(other.held);
        self.values.extend(other.values);
        self.serial = other.serial;
    }

    fn with_arn(&self, arn: &str) -> impl Iterator<Item = &Held> {
        self.arns.get(bare(arn)).into_iter().flatten().filter_map(|number| self.held.get(*number))
    }

    /// Whether Terraform manages the resource with an ARN, as one of its kind if that is one of the inventory's. Some of
    /// EC2's have only an id in the state, which is the end of the ARN and stands for nothing else.
    pub(crate) fn has_arn(&self, kind: Option<Kind>, arn: &str) -> bool {
        let id = || bare(arn).rsplit('/').next().unwrap_or_default();
        self.with_arn(arn).any(|held| kind.is_none_or(|kind| is_one(kind, &held.kind)))
            || arn.split(':').nth(2) == Some("ec2")
                && self.held.iter().any(|held| held.names.iter().any(|name| name == id()))
    }

    /// Whether Terraform believes that it manages a resource of the inventory that AWS does not have.
    pub(crate) fn has_name(&self, kind: Kind, name: &str) -> bool {
        let own =
            name.rsplit_once('/').filter(|_| kind == Kind::EcsService).map_or(name, |(_, service)| service);
        let is_it = |held: &Held| {
            types(kind).contains(&held.kind.as_str())
                && held.names.iter().any(|known| {
                    known == own || kind == Kind::EcsService && known.ends_with(&format!(":service/{name}"))
                })
        };
        // An instance's id is another one since version 5 of the provider; its ARN ends with its identifier.
        let ends = format!(":db:{name}");
        self.held.iter().any(is_it)
            || kind == Kind::RdsInstance && self.arns.keys().any(|arn| arn.ends_with(&ends))
    }

    /// The settings that Terraform holds for a resource, and where. Those of a bucket may stand in resources of their own,
    /// beside which the bucket's copy is stale.
    pub(crate) fn settings(&self, kind: Kind, arn: &str, name: &str) -> BTreeMap<Setting, (String, Place)> {
        let mut found = BTreeMap::new();
        let live = |held: &&Held| !held.is_deposed;
        for held in self.with_arn(arn).filter(live).filter(|held| types(kind).contains(&held.kind.as_str())) {
            found.extend(
                held.settings.iter().map(|(setting, value)| (*setting, (value.clone(), held.place.clone()))),
            );
        }
        if kind == Kind::S3Bucket {
            let is_part = |held: &&Held| {
                PARTS.contains(&held.kind.as_str()) && held.names.iter().any(|known| known == name)
            };
            for held in self.held.iter().filter(live).filter(is_part) {
                found.extend(
                    held.settings
                        .iter()
                        .map(|(setting, value)| (*setting, (value.clone(), held.place.clone()))),
                );
            }
        }
        found
    }

    /// Where Terraform manages a resource, for each that it manages more than once. A part has the ARN of its whole and an id of its
    /// own; the id of a whole depends on the provider's version.
    pub(crate) fn doubles(&self) -> BTreeMap<String, BTreeSet<Place>> {
        let mut doubles: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
        for (arn, numbers) in &self.arns {
            let held: Vec<_> = numbers
                .iter()
                .filter_map(|number| self.held.get(*number))
                .filter(|held| !held.is_deposed && held.arn.as_deref() == Some(arn))
                .collect();
            for (number, one) in held.iter().enumerate() {
                for other in held.iter().skip(number + 1) {
                    let are_wholes = [one, other].iter().all(|held| is_whole(&held.kind));
                    let are_equal = one.kind == other.kind && one.id.is_some() && one.id == other.id;
                    if one.place != other.place && (are_wholes || are_equal) {
                        let places = [one, other].map(|held| held.place.clone());
                        doubles.entry(arn.clone()).or_default().extend(places);
                    }
                }
            }
        }
        doubles
    }

    /// How many ARNs are known.
    pub(crate) fn len(&self) -> usize {
        self.arns.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `terraform state pull` gives it for the application: modules, indexes, a data source, an older provider's
    /// attributes, a deposed instance, attributes of other types, and values that are secret.
    const STATE: &str = include_str!("../tests/terraform.tfstate");

    #[test]
    fn a_part_of_a_resource_is_not_the_resource() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf";
        let state = |kind: &str| {
            let resource = format!(
                r#"{{"version": 4, "serial": 12, "resources": [{{"mode": "managed", "type": "{kind}", "instances": [{{"attributes": {{"arn": "{arn}"}}}}]}}]}}"#
            );
            parse("x", resource.as_bytes()).unwrap()
        };
        let version = state("aws_secretsmanager_secret_version");
        assert!(!version.has_arn(Some(Kind::Secret), arn) && version.has_arn(None, arn));
        assert!(state("aws_secretsmanager_secret").has_arn(Some(Kind::Secret), arn));
        assert!(state("awscc_secretsmanager_secret").has_arn(Some(Kind::Secret), arn));
        assert_eq!(version.serial, 12);
    }

    #[test]
    fn what_terraform_manages_is_found_by_arn() {
        let managed = parse("x", STATE.as_bytes()).unwrap();
        let arn = |rest: &str| format!("arn:aws:{rest}");
        for (rest, is) in [
            ("rds:us-east-1:123456789012:db:moveongs-dev-db", true),
            ("s3:::moveongs-dev-attachments", true),
            ("ecs:us-east-1:123456789012:cluster/moveongs-dev-cluster", true),
            // Its id is its ARN.
            ("ecs:us-east-1:123456789012:service/moveongs-dev-cluster/moveongs-dev-api", true),
            // AWS's calls give it with and without the end.
            ("logs:us-east-1:123456789012:log-group:/aws/ecs/moveongs-dev-api", true),
            ("logs:us-east-1:123456789012:log-group:/aws/ecs/moveongs-dev-api:*", true),
            ("secretsmanager:us-east-1:123456789012:secret:moveongs-dev-redis-url-AbCdEf", true),
            // By for_each, by count, of another's module, deposed.
            ("ec2:us-east-1:123456789012:subnet/subnet-0aaaaaaaaaaaaaaa1", true),
            ("ec2:us-east-1:123456789012:subnet/subnet-0aaaaaaaaaaaaaaa2", true),
            ("ec2:us-east-1:123456789012:natgateway/nat-0cccccccccccccccc", true),
            (
                "elasticloadbalancing:us-east-1:123456789012:targetgroup/moveongs-dev-tg/0123456789abcdef",
                true,
            ),
            // A data source only looks.
            ("kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000", false),
            ("ec2:us-east-1:123456789012:subnet/subnet-0bbbbbbbbbbbbbbbb", false),
            // The name is managed, the instance is another.
            ("rds:sa-east-1:123456789012:db:moveongs-dev-db", false),
        ] {
            assert_eq!(managed.has_arn(None, &arn(rest)), is, "{rest}");
        }
    }

    #[test]
    fn what_terraform_believes_to_manage_is_found_by_name() {
        let managed = parse("x", STATE.as_bytes()).unwrap();
        for (kind, name, is) in [
            (Kind::RdsInstance, "moveongs-dev-db", true),
            (Kind::RdsInstance, "dev-db", false),
            (Kind::S3Bucket, "moveongs-dev-attachments", true),
            (Kind::EcsCluster, "moveongs-dev-cluster", true),
            (Kind::EcsService, "moveongs-dev-cluster/moveongs-dev-api", true),
            (Kind::EcsService, "moveongs-dev-cluster/moveongs-dev-web", false),
            (Kind::LogGroup, "/aws/ecs/moveongs-dev-api", true),
            (Kind::Secret, "moveongs-dev-redis-url", true),
            // Of that name is a log group, and no bucket.
            (Kind::S3Bucket, "/aws/ecs/moveongs-dev-api", false),
        ] {
            assert_eq!(managed.has_name(kind, name), is, "{kind:?} {name}");
        }
    }

    fn values(state: &str) -> Vec<(String, String, Option<String>)> {
        let values = parse("k", state.as_bytes()).unwrap().values.into_iter();
        let line = |value: Value| {
            let names: Vec<_> = value.attributes.into_iter().collect();
            (value.place.address, names.join(" "), value.arn)
        };
        values.map(line).collect()
    }

    fn resource(mode: &str, kind: &str, attributes: &str, marked: &str) -> String {
        format!(
            r#"{{"version": 4, "resources": [{{"mode": "{mode}", "type": "{kind}", "name": "x", "instances": [{{"attributes": {attributes}, "sensitive_attributes": {marked}}}]}}]}}"#
        )
    }

    #[test]
    fn a_secrets_value_in_a_state_is_found_and_not_kept() {
        let case = include_str!("../../../tests/cases/09a-terraform-state-holds-the-value.json");
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3";
        let address = "aws_secretsmanager_secret_version.jwt".to_owned();
        assert_eq!(values(case), [(address, "secret_string".to_owned(), Some(arn.to_owned()))]);
        let kept = format!("{:?}", parse("k", case.as_bytes()).unwrap());
        assert!(case.contains("dev-secret-change-me") && !kept.contains("dev-secret-change-me"), "{kept}");
    }

    #[test]
    fn a_value_is_held_where_an_attribute_for_values_is_neither_null_nor_empty() {
        let version = "aws_secretsmanager_secret_version";
        let marked = |name: &str| format!(r#"[[{{"type": "get_attr", "value": "{name}"}}]]"#);
        for (mode, kind, attributes, marks, found) in [
            ("managed", version, r#"{"secret_string": "in-clear"}"#, "[]".to_owned(), "secret_string"),
            ("managed", version, r#"{"secret_binary": "aW4="}"#, "[]".to_owned(), "secret_binary"),
            ("data", version, r#"{"secret_string": "in-clear"}"#, "[]".to_owned(), "secret_string"),
            // A write-only argument leaves none.
            (
                "managed",
                version,
                r#"{"secret_string": null, "secret_string_wo": null, "secret_string_wo_version": 2}"#,
                "[]".to_owned(),
                "",
            ),
            ("managed", version, r#"{"secret_string": ""}"#, "[]".to_owned(), ""),
            ("managed", version, r#"{"secret_string": null}"#, marked("secret_string"), ""),
            ("managed", "aws_db_instance", r#"{"password": "in-clear"}"#, "[]".to_owned(), "password"),
            (
                "managed",
                "aws_db_instance",
                r#"{"password": null, "manage_master_user_password": true}"#,
                "[]".to_owned(),
                "",
            ),
            (
                "managed",
                "aws_rds_cluster",
                r#"{"master_password": "in-clear"}"#,
                "[]".to_owned(),
                "master_password",
            ),
            (
                "managed",
                "aws_iam_access_key",
                r#"{"secret": "in-clear", "ses_smtp_password_v4": "in-clear"}"#,
                "[]".to_owned(),
                "secret ses_smtp_password_v4",
            ),
            (
                "managed",
                "aws_iam_access_key",
                r#"{"secret": null, "encrypted_secret": "wcBM"}"#,
                "[]".to_owned(),
                "",
            ),
            (
                "managed",
                "random_password",
                r#"{"id": "none", "result": "in-clear"}"#,
                "[]".to_owned(),
                "result",
            ),
            (
                "data",
                "aws_ssm_parameter",
                r#"{"type": "SecureString", "value": "in-clear"}"#,
                marked("value"),
                "value",
            ),
            ("data", "aws_ssm_parameter", r#"{"type": "String", "value": "ami-1"}"#, marked("value"), ""),
            (
                "managed",
                "awscc_secretsmanager_secret",
                r#"{"secret_string": "in-clear"}"#,
                "[]".to_owned(),
                "secret_string",
            ),
            // What the configuration or the provider's schema calls sensitive.
            (
                "managed",
                "aws_lambda_function",
                r#"{"environment": [{"variables": {"KEY": "in-clear"}}]}"#,
                marked("environment"),
                "environment",
            ),
            ("managed", "aws_lambda_function", r#"{"environment": []}"#, marked("environment"), ""),
            (
                "managed",
                "aws_lambda_function",
                r#"{"environment": [{"variables": {"KEY": "x"}}]}"#,
                "null".to_owned(),
                "",
            ),
            ("managed", "twilio_key", r#"{"secret": "in-clear"}"#, marked("secret"), "secret"),
        ] {
            let state = resource(mode, kind, attributes, &marks);
            let all: Vec<_> = values(&state).into_iter().map(|(_, names, _)| names).collect();
            assert_eq!(all.join(","), found, "{state}");
            let kept = format!("{:?}", parse("k", state.as_bytes()).unwrap());
            assert!(!kept.contains("in-clear"), "{kept}");
        }
        let outputs = r#"{"version": 4, "outputs": {"a": {"value": "in-clear", "sensitive": true}, "b": {"value": "x"}, "c": {"value": null, "sensitive": true}}}"#;
        assert_eq!(values(r#"{"version": 4, "outputs": null}"#), []);
        assert_eq!(values(outputs), [("output.a".to_owned(), "value".to_owned(), None)]);
    }

    #[test]
    fn an_address_is_terraforms_own() {
        let address = |module: &str, mode: &str, index: &str| {
            let state = format!(
                r#"{{"version": 4, "resources": [{{{module} "mode": "{mode}", "type": "random_password", "name": "x", "instances": [{{{index} "attributes": {{"result": "v"}}}}]}}]}}"#
            );
            values(&state).remove(0).0
        };
        for (module, mode, index, expected) in [
            ("", "managed", "", "random_password.x"),
            ("", "data", "", "data.random_password.x"),
            ("", "managed", r#""index_key": 0,"#, "random_password.x[0]"),
            (
                r#""module": "module.a[\"b\"].module.c","#,
                "managed",
                r#""index_key": "one","#,
                r#"module.a["b"].module.c.random_password.x["one"]"#,
            ),
            (
                r#""module": "module.a","#,
                "data",
                r#""index_key": "a\"b\\c${d}%{e}","#,
                r#"module.a.data.random_password.x["a\"b\\c$${d}%%{e}"]"#,
            ),
        ] {
            assert_eq!(address(module, mode, index), expected);
        }
    }

    #[test]
    fn a_member_of_an_aurora_cluster_is_in_the_state() {
        let case = include_str!("../../../tests/cases/11b-terraform-state-aurora-member.json");
        let managed = parse("k", case.as_bytes()).unwrap();
        let arn = "arn:aws:rds:us-east-1:123456789012:db:moveongs-dev-db";
        assert!(managed.has_arn(Some(Kind::RdsInstance), arn));
        assert!(managed.has_name(Kind::RdsInstance, "moveongs-dev-db"));
        // A member says nothing of its cluster's place.
        assert!(
            !managed
                .has_arn(Some(Kind::RdsCluster), "arn:aws:rds:us-east-1:123456789012:cluster:moveongs-dev")
        );
        assert!(!managed.has_name(Kind::RdsCluster, "moveongs-dev"));
    }

    #[test]
    fn settings_are_those_of_the_resource_and_a_buckets_parts() {
        let (db, bucket) = ("arn:aws:rds:r:1:db:db", "arn:aws:s3:::b");
        let state = format!(
            r#"{{"version": 4, "resources": [
                {{"mode": "managed", "type": "aws_db_instance", "name": "db", "instances": [
                    {{"attributes": {{"arn": "{db}", "backup_retention_period": 7, "deletion_protection": true, "multi_az": null}}}},
                    {{"deposed": "0123abcd", "attributes": {{"arn": "{db}", "backup_retention_period": 1}}}}]}},
                {{"mode": "managed", "type": "aws_s3_bucket", "name": "b", "instances": [
                    {{"attributes": {{"arn": "{bucket}", "bucket": "b", "versioning": [{{"enabled": false, "mfa_delete": false}}]}}}}]}},
                {{"mode": "managed", "type": "aws_s3_bucket_versioning", "name": "b", "instances": [
                    {{"attributes": {{"id": "b", "bucket": "b", "versioning_configuration": [{{"status": "Enabled"}}]}}}}]}},
                {{"mode": "managed", "type": "aws_s3_bucket_lifecycle_configuration", "name": "b", "instances": [
                    {{"attributes": {{"bucket": "b", "rule": [{{"id": "old", "status": "Enabled", "expiration": [],
                        "noncurrent_version_expiration": [{{"newer_noncurrent_versions": null, "noncurrent_days": 365}}]}},
                        {{"id": "one", "status": "Enabled", "filter": [{{"prefix": "tmp/", "and": []}}], "expiration": [{{"days": 3}}]}},
                        {{"id": "two", "status": "Enabled", "filter": [{{"prefix": "", "and": [{{"prefix": "log/", "tags": {{"a": "b"}}}}]}}]}},
                        {{"id": "three", "status": "Enabled", "filter": [], "prefix": "old/"}}]}}}}]}},
                {{"mode": "managed", "type": "aws_s3_bucket", "name": "c", "instances": [
                    {{"attributes": {{"arn": "arn:aws:s3:::c", "bucket": "c", "versioning": [{{"enabled": true}}]}}}}]}},
                {{"mode": "managed", "type": "aws_s3_bucket", "name": "d", "instances": [
                    {{"attributes_flat": {{"arn": "arn:aws:s3:::d", "bucket": "d", "versioning.0.enabled": "true"}}}}]}}
            ]}}"#
        );
        let managed = parse("k", state.as_bytes()).unwrap();
        let held = |kind, arn: &str, name: &str| {
            let all = managed.settings(kind, arn, name).into_iter();
            all.map(|(setting, (value, place))| format!("{} {value} {}", setting.name(), place.address))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            held(Kind::RdsInstance, db, "db"),
            ["backup_retention_period 7 aws_db_instance.db", "deletion_protection true aws_db_instance.db"]
        );
        assert_eq!(
            held(Kind::S3Bucket, bucket, "b"),
            [
                "versioning Enabled aws_s3_bucket_versioning.b",
                "lifecycle old\tEnabled noncurrent=365\none\tEnabled prefix=tmp/ expiration=3\nthree\tEnabled prefix=old/\ntwo\tEnabled prefix=log/ aws_s3_bucket_lifecycle_configuration.b"
            ]
        );
        assert_eq!(held(Kind::S3Bucket, "arn:aws:s3:::c", "c"), ["versioning Enabled aws_s3_bucket.c"]);
        assert_eq!(held(Kind::S3Bucket, "arn:aws:s3:::d", "d"), [""; 0]);
    }

    #[test]
    fn a_resource_that_is_managed_twice_is_found_and_its_parts_are_none() {
        let of = |file: &str, kind: &str, id: &str, arn: &str| {
            let state = resource("managed", kind, &format!(r#"{{"id": "{id}", "arn": "{arn}"}}"#), "[]");
            parse(file, state.as_bytes()).unwrap()
        };
        let (db, secret) = ("arn:aws:rds:r:1:db:x", "arn:aws:secretsmanager:r:1:secret:x-AbCdEf");
        for (one, other, expected) in [
            (of("a", "aws_db_instance", "x", db), of("b", "aws_db_instance", "x", db), "a b"),
            // The id depends on the provider's version, and two types can have the same resource.
            (of("a", "aws_db_instance", "x", db), of("b", "aws_db_instance", "db-ABC", db), "a b"),
            (of("a", "aws_db_instance", "x", db), of("b", "aws_rds_cluster_instance", "x", db), "a b"),
            (
                of("a", "aws_sns_topic", "arn:aws:sns:r:1:x", "arn:aws:sns:r:1:x"),
                of("b", "aws_sns_topic", "arn:aws:sns:r:1:x", "arn:aws:sns:r:1:x"),
                "a b",
            ),
            // A version beside its secret, and targets that have the ARN of what they call.
            (
                of("a", "aws_secretsmanager_secret", secret, secret),
                of("b", "aws_secretsmanager_secret_version", &format!("{secret}|v"), secret),
                "",
            ),
            (
                of("a", "aws_cloudwatch_event_target", "rule-1", "arn:aws:lambda:r:1:function:x"),
                of("b", "aws_cloudwatch_event_target", "rule-2", "arn:aws:lambda:r:1:function:x"),
                "",
            ),
            // The name alone is another region's.
            (
                of("a", "aws_db_instance", "x", db),
                of("b", "aws_db_instance", "x", "arn:aws:rds:q:1:db:x"),
                "",
            ),
        ] {
            let mut managed = one;
            managed.merge(other);
            let files: Vec<_> =
                managed.doubles().into_values().flatten().map(|place| place.file.to_string()).collect();
            assert_eq!(files.join(" "), expected);
        }
    }

    #[test]
    fn nothing_secret_is_kept() {
        assert!(STATE.contains("in-clear"), "the example holds no secret");
        assert!(!format!("{:?}", parse("x", STATE.as_bytes()).unwrap()).contains("in-clear"));
    }

    #[test]
    fn what_is_no_state_of_version_4_is_refused_without_being_quoted() {
        let refused = |text: &str| parse("x", text.as_bytes()).unwrap_err();
        assert_eq!(refused(r#"{"version": 3, "modules": []}"#), StateError::Version(3));
        assert_eq!(refused(r#"{"version": 5}"#), StateError::Version(5));
        assert_eq!(refused(r#"{"serial": 1, "encrypted_data": "x"}"#), StateError::NoVersion);
        for text in [
            "",
            "<html>",
            "in-clear",
            r#"{"version": "in-clear"}"#,
            r#"{"version": 4, "resources": "in-clear"}"#,
        ] {
            let error = refused(text);
            assert!(matches!(error, StateError::NotAState { .. }), "{text}: {error}");
            assert!(!error.to_string().contains("in-clear"), "{error}");
        }
        assert_eq!(parse("x", &vec![b' '; MOST_BYTES + 1]), Err(StateError::TooLarge));
        assert_eq!(parse("x", br#"{"version": 4}"#), Ok(Managed::default()));
    }
}
