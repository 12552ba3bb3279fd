//! The Secrets Manager calls of every rotation.

use std::collections::BTreeMap;

use super::{Request, RotationError, Versions, tags};
use crate::runtime::failure::CallError;
use aws_sdk_secretsmanager::Client;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

/// A secret without its values.
pub struct Described {
    /// The secret's name.
    pub name: String,
    /// `None` if rotation was never configured.
    pub rotation_enabled: Option<bool>,
    /// Versions and their labels.
    pub versions: Versions,
    /// The service that owns the secret and rotates it by itself, e.g. `rds`.
    pub owner: Option<String>,
    /// The tags with the prefix `rotation:`, without it.
    pub tags: BTreeMap<String, String>,
}

/// One version with its value.
pub struct Version {
    /// The value.
    pub value: SecretString,
    /// When the version was made, if the service says.
    pub created: Option<Timestamp>,
}

pub(super) async fn describe(client: &Client, secret_id: &str) -> Result<Described, CallError> {
    let secret = client
        .describe_secret()
        .secret_id(secret_id)
        .send()
        .await
        .map_err(CallError::during("secretsmanager:DescribeSecret"))?;
    let versions = secret.version_ids_to_stages.unwrap_or_default();
    let all = secret.tags.unwrap_or_default();
    Ok(Described {
        name: secret.name.unwrap_or_default(),
        rotation_enabled: secret.rotation_enabled,
        versions: versions.into_iter().map(|(id, labels)| (id, labels.into_iter().collect())).collect(),
        owner: secret.owning_service,
        tags: tags(all.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))),
    })
}

/// The version's value; `None` if it has none, like a version that a rotation has only staged.
///
/// With a label, requests id and label together, because the label alone may have moved to another version.
///
/// # Errors
///
/// [`RotationError::WrongForm`] for a binary value, which must not count as none.
pub(super) async fn value(
    client: &Client,
    secret_id: &str,
    version: &str,
    label: Option<&str>,
) -> Result<Option<Version>, RotationError> {
    let request = client.get_secret_value().secret_id(secret_id).version_id(version);
    match request.set_version_stage(label.map(str::to_owned)).send().await {
        Ok(found) if found.secret_binary.is_some() => {
            Err(RotationError::WrongForm { reason: "it is binary, and a text is expected".to_owned() })
        }
        Ok(found) => {
            let created = found.created_date.and_then(|at| Timestamp::from_second(at.secs()).ok());
            Ok(found.secret_string.map(|text| Version { value: SecretString::from(text), created }))
        }
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(CallError::during("secretsmanager:GetSecretValue")(error).into()),
    }
}

/// Fills the pending version; `false` if it already holds another value.
pub(super) async fn put_pending(
    client: &Client,
    request: &Request,
    value: &SecretString,
) -> Result<bool, CallError> {
    let stored = client
        .put_secret_value()
        .secret_id(&request.secret_id)
        .client_request_token(&request.token)
        .set_rotation_token(request.rotation_token.as_ref().map(|token| token.expose_secret().to_owned()))
        .secret_string(value.expose_secret())
        .version_stages("AWSPENDING")
        .send()
        .await;
    match stored {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceExistsException") => Ok(false),
        Err(error) => Err(CallError::during_secret("secretsmanager:PutSecretValue")(error)),
    }
}

/// Moves AWSCURRENT from `current` to the pending version; the service moves AWSPREVIOUS itself.
///
/// Naming `current` makes the call fail if the label has moved meanwhile.
pub(super) async fn promote(
    client: &Client,
    request: &Request,
    current: Option<&str>,
) -> Result<(), CallError> {
    client
        .update_secret_version_stage()
        .secret_id(&request.secret_id)
        .version_stage("AWSCURRENT")
        .move_to_version_id(&request.token)
        .set_remove_from_version_id(current.map(str::to_owned))
        .send()
        .await
        .map_err(CallError::during("secretsmanager:UpdateSecretVersionStage"))?;
    Ok(())
}
