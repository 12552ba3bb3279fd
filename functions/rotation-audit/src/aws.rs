//! The AWS calls. The only file that names SDK operations of this function alone.

use shared::failure::CallError;

type Secrets = aws_sdk_secretsmanager::Client;

/// The resource policy, as JSON.
pub(crate) async fn resource_policy(client: &Secrets, secret_id: &str) -> Result<Option<String>, CallError> {
    let found = client.get_resource_policy().secret_id(secret_id).send().await;
    Ok(found.map_err(CallError::during("secretsmanager:GetResourcePolicy"))?.resource_policy)
}
