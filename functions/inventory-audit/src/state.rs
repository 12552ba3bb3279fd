//! The Terraform state: which resources Terraform manages. A state holds secrets in clear, so nothing of it is kept but the
//! ids, ARNs and names of AWS's resources, and no text here quotes it. No I/O.
//!
//! Source: Terraform's `internal/states/statefile/version4.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use shared::policy::Kind;

/// Most bytes of a state that are read; one of thousands of resources has a few MiB.
pub(crate) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The version that every Terraform since 0.12 writes, and OpenTofu too.
const VERSION: u64 = 4;

/// What the types of Terraform's other provider for AWS begin with.
const CLOUD_CONTROL: &str = "awscc_";

/// What Terraform manages, as far as it is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Managed {
    /// Counts the state's changes.
    pub serial: u64,
    /// The types of what has an ARN: a secret's version has the secret's.
    arns: BTreeMap<String, BTreeSet<String>>,
    /// Terraform's type, and a name or id of the resource.
    names: BTreeSet<(String, String)>,
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
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    mode: String,
    r#type: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

/// One of `count` or `for_each`, or the only one.
#[derive(Deserialize)]
struct Instance {
    /// `attributes_flat` where an older provider wrote it.
    #[serde(default, alias = "attributes_flat", deserialize_with = "or_default")]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    #[serde(deserialize_with = "text")]
    id: Option<String>,
    #[serde(deserialize_with = "text")]
    arn: Option<String>,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    #[serde(deserialize_with = "text")]
    bucket: Option<String>,
}

fn or_default<'de, D: Deserializer<'de>>(value: D) -> Result<Attributes, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// A text; anything else that a provider calls so is none.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Either::deserialize(value)? {
        Either::Text(text) => Some(text),
        Either::Other(_) => None,
    })
}

/// Reads a state.
///
/// # Errors
///
/// [`StateError`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Managed, StateError> {
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
    let file: File = serde_json::from_slice(bytes).map_err(malformed)?;
    let mut managed = Managed { serial: file.serial, ..Managed::default() };
    // Other providers' ids may be secrets themselves, and a data source only looks.
    let is_aws = |kind: &str| kind.starts_with("aws_") || kind.starts_with(CLOUD_CONTROL);
    let aws = |resource: &Resource| resource.mode == "managed" && is_aws(&resource.r#type);
    for resource in file.resources.into_iter().filter(aws) {
        for Instance { attributes } in resource.instances {
            let Attributes { id, arn, name, bucket } = attributes;
            for arn in arn.iter().chain(id.iter().filter(|id| id.starts_with("arn:"))) {
                managed.arns.entry(bare(arn).to_owned()).or_default().insert(resource.r#type.clone());
            }
            managed
                .names
                .extend([id, name, bucket].into_iter().flatten().map(|name| (resource.r#type.clone(), name)));
        }
    }
    Ok(managed)
}

/// An ARN without what only some calls and providers put at a log group's end.
pub(crate) fn bare(arn: &str) -> &str {
    arn.strip_suffix(":*").unwrap_or(arn)
}

/// Terraform's type of a kind.
pub(crate) fn terraform_type(kind: Kind) -> &'static str {
    match kind {
        Kind::EcsCluster => "aws_ecs_cluster",
        Kind::EcsService => "aws_ecs_service",
        Kind::LogGroup => "aws_cloudwatch_log_group",
        Kind::RdsInstance => "aws_db_instance",
        Kind::S3Bucket => "aws_s3_bucket",
        Kind::Secret => "aws_secretsmanager_secret",
    }
}

impl Managed {
    /// Whether Terraform manages the resource with an ARN, as one of its kind if that is one of the inventory's. Some of
    /// EC2's have only an id in the state, which is the end of the ARN and stands for nothing else.
    pub(crate) fn has_arn(&self, kind: Option<Kind>, arn: &str) -> bool {
        let arn = bare(arn);
        let id = || arn.rsplit('/').next().unwrap_or_default();
        let is_it =
            |of: &String| kind.is_none_or(|kind| of == terraform_type(kind) || of.starts_with(CLOUD_CONTROL));
        self.arns.get(arn).is_some_and(|types| types.iter().any(is_it))
            || arn.split(':').nth(2) == Some("ec2") && self.names.iter().any(|(_, name)| name == id())
    }

    /// Whether Terraform believes that it manages a resource of the inventory that AWS does not have.
    pub(crate) fn has_name(&self, kind: Kind, name: &str) -> bool {
        let own =
            name.rsplit_once('/').filter(|_| kind == Kind::EcsService).map_or(name, |(_, service)| service);
        let is_it = |(of, known): &(String, String)| {
            of == terraform_type(kind)
                && (known == own || kind == Kind::EcsService && known.ends_with(&format!(":service/{name}")))
        };
        // An instance's id is another one since version 5 of the provider; its ARN ends with its identifier.
        let ends = format!(":db:{name}");
        self.names.iter().any(is_it)
            || kind == Kind::RdsInstance && self.arns.keys().any(|arn| arn.ends_with(&ends))
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
            parse(resource.as_bytes()).unwrap()
        };
        let version = state("aws_secretsmanager_secret_version");
        assert!(!version.has_arn(Some(Kind::Secret), arn) && version.has_arn(None, arn));
        assert!(state("aws_secretsmanager_secret").has_arn(Some(Kind::Secret), arn));
        assert!(state("awscc_secretsmanager_secret").has_arn(Some(Kind::Secret), arn));
        assert_eq!(version.serial, 12);
    }

    #[test]
    fn what_terraform_manages_is_found_by_arn() {
        let managed = parse(STATE.as_bytes()).unwrap();
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
        let managed = parse(STATE.as_bytes()).unwrap();
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

    #[test]
    fn nothing_secret_is_kept() {
        assert!(STATE.contains("in-clear"), "the example holds no secret");
        assert!(!format!("{:?}", parse(STATE.as_bytes()).unwrap()).contains("in-clear"));
    }

    #[test]
    fn what_is_no_state_of_version_4_is_refused_without_being_quoted() {
        let refused = |text: &str| parse(text.as_bytes()).unwrap_err();
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
        assert_eq!(parse(&vec![b' '; MOST_BYTES + 1]), Err(StateError::TooLarge));
        assert_eq!(parse(br#"{"version": 4}"#), Ok(Managed::default()));
    }
}
