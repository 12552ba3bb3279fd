//! Describes a single secret.

use aws_sdk_secretsmanager::Client;

use crate::aws::secrets::Listed;
use crate::runtime::failure::CallError;
use crate::runtime::time::instant;

/// The current state of a secret. ListSecrets lags behind this call.
///
/// # Errors
///
/// The [`CallError`] of DescribeSecret.
pub async fn secret(client: &Client, secret_id: &str) -> Result<Listed, CallError> {
    let described = client.describe_secret().secret_id(secret_id).send().await;
    let described = described.map_err(CallError::during("secretsmanager:DescribeSecret"))?;
    let tags = described.tags.unwrap_or_default().into_iter();
    let labels = described.version_ids_to_stages.unwrap_or_default().into_iter();
    Ok(Listed {
        name: described.name.unwrap_or_default(),
        arn: described.arn.unwrap_or_default(),
        tags: tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(),
        created: instant(described.created_date),
        changed: instant(described.last_changed_date),
        accessed: instant(described.last_accessed_date),
        rotated: instant(described.last_rotated_date),
        next: instant(described.next_rotation_date),
        enabled: described.rotation_enabled == Some(true),
        function: described.rotation_lambda_arn,
        labels: labels.map(|(id, labels)| (id, labels.into_iter().collect())).collect(),
    })
}
