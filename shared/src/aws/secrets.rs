//! What Secrets Manager tells of a secret.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::runtime::failure::CallError;

/// A secret as the service shows it; never a value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When the secret was made.
    pub created: Option<Timestamp>,
    /// When anything of it changed, a tag included.
    pub changed: Option<Timestamp>,
    /// The day of the last read of a value, as its first instant in UTC.
    pub accessed: Option<Timestamp>,
    /// When the service last rotated it.
    pub rotated: Option<Timestamp>,
    /// The end of the next rotation's window.
    pub next: Option<Timestamp>,
    /// Whether the service rotates it.
    pub enabled: bool,
    /// ARN of its rotation function.
    pub function: Option<String>,
    /// Versions and their labels.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

impl Listed {
    /// The version that carries a label.
    pub fn labelled(&self, label: &str) -> Option<&str> {
        self.labels.iter().find(|(_, labels)| labels.contains(label)).map(|(id, _)| id.as_str())
    }
}

/// The value of a version, or of AWSCURRENT; read each time, so that one that was replaced is used.
///
/// # Errors
///
/// The [`CallError`] of GetSecretValue.
pub async fn value(
    client: &Client,
    secret_id: &str,
    version: Option<&str>,
) -> Result<SecretString, CallError> {
    let value = client.get_secret_value().secret_id(secret_id).set_version_id(version.map(str::to_owned));
    let value = value.send().await.map_err(CallError::during("secretsmanager:GetSecretValue"))?;
    Ok(SecretString::from(value.secret_string.unwrap_or_default()))
}
