//! The AWS calls. The only file that names SDK operations; none of them reads a secret's value but that of the token.

use secrecy::SecretString;
use shared::failure::CallError;

type Secrets = aws_sdk_secretsmanager::Client;

/// The resource policy, as JSON.
pub(crate) async fn resource_policy(client: &Secrets, secret_id: &str) -> Result<Option<String>, CallError> {
    let found = client.get_resource_policy().secret_id(secret_id).send().await;
    Ok(found.map_err(CallError::during("secretsmanager:GetResourcePolicy"))?.resource_policy)
}

/// The value of the secret that holds the board's token; read each time, so that a token that was replaced is used.
pub(crate) async fn token(client: &Secrets, secret_id: &str) -> Result<SecretString, CallError> {
    let value = client.get_secret_value().secret_id(secret_id).send().await;
    let value = value.map_err(CallError::during("secretsmanager:GetSecretValue"))?;
    Ok(SecretString::from(value.secret_string.unwrap_or_default()))
}
