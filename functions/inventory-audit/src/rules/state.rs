//! The Terraform states: the resources that Terraform manages, their settings, and the places of secret values. No I/O.
//!
//! A state holds secrets in plaintext. Only ids, ARNs, names, addresses and the settings in [`Setting`] are stored; of
//! any other attribute, only its name and whether it has a value. No text here quotes a state.
//!
//! Source: Terraform's `internal/states/statefile/version4.go`; the attributes are those of the AWS provider's schema.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shared::policy::Kind;

use self::file::{Attributes, File, Head, Index, Instance, Resource};
use super::arn::bare;
use super::settings::Setting;

/// Size limit of a state, in bytes. A state of thousands of resources has a few MiB.
pub(crate) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Limit of states per declared prefix.
pub(crate) const MOST_STATES: usize = 50;

/// Suffix of a state's key in Terraform's documentation. Locks and backups in the same place have other suffixes.
pub(crate) const SUFFIX: &str = ".tfstate";

/// Format version that Terraform since 0.12 and OpenTofu write.
const VERSION: u64 = 4;

/// Prefix of the resource types of Terraform's Cloud Control provider.
const CLOUD_CONTROL: &str = "awscc_";

/// Attributes that hold a secret value even if the state does not mark them as sensitive, by type: Terraform before
/// 1.10 marks only values that the configuration calls sensitive. Write-only arguments (`…_wo`) never reach a state.
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

/// Types of the resources that hold settings of a bucket.
const PARTS: [&str; 2] = ["aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_versioning"];

/// Place of a resource.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    /// Key of its state.
    pub file: Arc<str>,
    /// Its address in the state.
    pub address: String,
}

/// One instance of a resource that Terraform manages.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Held {
    kind: String,
    place: Place,
    /// Whether a replacement left it for Terraform to destroy; it has the same address as its successor.
    is_deposed: bool,
    arn: Option<String>,
    id: Option<String>,
    names: Vec<String>,
    settings: BTreeMap<Setting, String>,
}

/// Where a state holds a secret value, without the value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Value {
    pub place: Place,
    /// Terraform's type; `output` for an output of the root module.
    pub kind: String,
    /// The secret attributes that have a value.
    pub attributes: BTreeSet<String>,
    /// Whether it comes from a data source, which Terraform only reads.
    pub is_data: bool,
    /// ARN of the secret or resource that it belongs to, if known.
    pub arn: Option<String>,
    /// Whether that secret's rotation is on, if the secret was read only for this.
    pub rotates: Option<bool>,
}

/// The resources that Terraform manages.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Managed {
    /// Serial of the state that was read last; each change increments it.
    pub serial: u64,
    held: Vec<Held>,
    /// Indexes into `held` by ARN. Several resources can have one: a secret's version has the ARN of its secret.
    arns: BTreeMap<String, Vec<usize>>,
    /// Secret values in plaintext.
    pub values: BTreeSet<Value>,
}

/// Why a state could not be read. No text quotes the state.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum StateError {
    /// Not JSON, or not the form of a state. The text has only the position: serde's own message could quote the state.
    #[error("the object is not a Terraform state (line {line}, column {column})")]
    NotAState {
        /// Line of the error.
        line: usize,
        /// Column of the error.
        column: usize,
    },
    /// Unsupported format version.
    #[error("the state has version {0}; only version 4 can be read, which Terraform 0.12 and later write")]
    Version(u64),
    /// The version is missing, as in an encrypted state.
    #[error("the object has no version; a state that OpenTofu encrypts cannot be read")]
    NoVersion,
    /// Larger than [`MOST_BYTES`].
    #[error("the state is larger than {} MiB", MOST_BYTES / (1024 * 1024))]
    TooLarge,
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
    // Read the version first: the form of the rest depends on it.
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

/// Address of an instance. Source: Terraform's `addrs.InstanceKey`, which writes a text key as an HCL string.
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

/// Terraform's usual type for a kind; none if Terraform has none.
pub(crate) fn terraform_type(kind: Kind) -> Option<&'static str> {
    types(kind).first().copied()
}

/// Terraform's types for a kind, the usual one first.
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

/// Whether a Terraform type describes a whole resource of the kind, not a part of one.
fn is_kind(kind: Kind, of: &str) -> bool {
    types(kind).contains(&of) || of.starts_with(CLOUD_CONTROL)
}

/// Whether a Terraform type describes a whole resource of any kind.
fn is_whole(of: &str) -> bool {
    Kind::ALL.into_iter().any(|kind| types(kind).contains(&of))
}

impl Managed {
    fn add(&mut self, kind: &str, place: Place, is_data: bool, instance: Instance) {
        // Ids of other providers can themselves be secrets.
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
        // The provider marks every parameter's value as sensitive, even if its type is plain.
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
        // A data source only reads its resource.
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
        // A cluster's member has `cluster_identifier` too, which is not its name.
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

    /// Stores whether the rotation of the secret with this ARN is on.
    pub(crate) fn note_rotation(&mut self, arn: &str, rotates: bool) {
        let noted = std::mem::take(&mut self.values).into_iter().map(|mut value| {
            if value.arn.as_deref() == Some(arn) {
                value.rotates = Some(rotates);
            }
            value
        });
        self.values = noted.collect();
    }

    /// Adds another state.
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

    /// Whether Terraform manages the resource with this ARN; with a `kind`, as a whole resource of that kind. Some EC2
    /// resources have no ARN in the state, only an id: the end of the ARN, which is unique.
    pub(crate) fn has_arn(&self, kind: Option<Kind>, arn: &str) -> bool {
        let id = || bare(arn).rsplit('/').next().unwrap_or_default();
        self.with_arn(arn).any(|held| kind.is_none_or(|kind| is_kind(kind, &held.kind)))
            || arn.split(':').nth(2) == Some("ec2")
                && self.held.iter().any(|held| held.names.iter().any(|name| name == id()))
    }

    /// Whether a state has a resource of this kind and name, for resources that AWS does not have.
    pub(crate) fn has_name(&self, kind: Kind, name: &str) -> bool {
        let own =
            name.rsplit_once('/').filter(|_| kind == Kind::EcsService).map_or(name, |(_, service)| service);
        let is_it = |held: &Held| {
            types(kind).contains(&held.kind.as_str())
                && held.names.iter().any(|known| {
                    known == own || kind == Kind::EcsService && known.ends_with(&format!(":service/{name}"))
                })
        };
        // Since version 5 of the provider the id of a database instance is not its identifier; its ARN ends with that.
        let ends = format!(":db:{name}");
        self.held.iter().any(is_it)
            || kind == Kind::RdsInstance && self.arns.keys().any(|arn| arn.ends_with(&ends))
    }

    /// Settings of a resource in the states, and their places. A bucket's settings may be in separate resources, which
    /// take precedence over the bucket's own stale copy.
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

    /// Resources that Terraform manages more than once: ARN to places.
    ///
    /// Wholes with the same ARN count regardless of their ids, which depend on the provider's version. Other resources
    /// count only if type and id are equal too: a part has the ARN of its whole.
    pub(crate) fn duplicates(&self) -> BTreeMap<String, BTreeSet<Place>> {
        let mut duplicates: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
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
                        duplicates.entry(arn.clone()).or_default().extend(places);
                    }
                }
            }
        }
        duplicates
    }

    /// Number of known ARNs.
    pub(crate) fn len(&self) -> usize {
        self.arns.len()
    }
}

#[cfg(test)]
mod tests;
