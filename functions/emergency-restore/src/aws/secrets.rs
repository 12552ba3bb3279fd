//! New versions of secrets, and the label of the current one.

use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret, SecretString};
use shared::runtime::failure::CallError;

/// Stores a new version and makes it the current one. The same version with the same value again changes nothing, not even
/// a label.
pub(crate) async fn put(
    client: &Client,
    secret: &str,
    version: &str,
    value: &SecretString,
) -> Result<(), CallError> {
    let put = client.put_secret_value().secret_id(secret).client_request_token(version);
    let put = put.secret_string(value.expose_secret()).version_stages("AWSCURRENT").send().await;
    put.map_err(CallError::during("secretsmanager:PutSecretValue"))?;
    Ok(())
}

/// Makes `to` the current version instead of `from`.
pub(crate) async fn make_current(
    client: &Client,
    secret: &str,
    from: &str,
    to: &str,
) -> Result<(), CallError> {
    let moved = client.update_secret_version_stage().secret_id(secret).version_stage("AWSCURRENT");
    let moved = moved.move_to_version_id(to).remove_from_version_id(from).send().await;
    moved.map_err(CallError::during("secretsmanager:UpdateSecretVersionStage"))?;
    Ok(())
}
