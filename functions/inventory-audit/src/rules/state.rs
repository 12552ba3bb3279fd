//! The Terraform states: which resources Terraform manages, with which settings, and where a state holds a secret value. A
//! state holds secrets in clear, so nothing of it is kept but ids, ARNs, names, addresses and the settings in [`Setting`]; of
//! any other attribute only its name and whether it has a value. No text here quotes a state. No I/O.
//!
//! Source: Terraform's `internal/states/statefile/version4.go`; the attributes are those of the AWS provider's schema.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shared::policy::Kind;

use self::file::{Attributes, File, Head, Index, Instance, Resource};
use super::arn::bare;
use super::settings::Setting;

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
