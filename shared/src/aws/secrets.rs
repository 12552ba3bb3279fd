//! Metadata and values of secrets.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::runtime::failure::CallError;

/// A secret's metadata; never contains a value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When the secret was created.
    pub created: Option<Timestamp>,
    /// Last change to the secret, including its tags.
    pub changed: Option<Timestamp>,
    /// Day of the last read of a value, as midnight UTC.
    pub accessed: Option<Timestamp>,
    /// Last rotation by the service.
    pub rotated: Option<Timestamp>,
    /// End of the next rotation window.
    pub next: Option<Timestamp>,
    /// Whether automatic rotation is on.
    pub enabled: bool,
    /// ARN of the rotation function.
    pub function: Option<String>,
    /// Version IDs with their staging labels.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

impl Listed {
    /// ID of the version with a label.
    pub fn labelled(&self, label: &str) -> Option<&str> {
        self.labels.iter().find(|(_, labels)| labels.contains(label)).map(|(id, _)| id.as_str())
    }
}

/// The value of a version, or of AWSCURRENT. Never cached, so a replaced value is noticed.
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
