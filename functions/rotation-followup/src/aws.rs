//! The AWS calls: the only file of this function that names SDK operations.

use aws_sdk_secretsmanager::Client as Secrets;
use shared::runtime::failure::CallError;

/// Makes `to` the current version instead of `from`.
pub(crate) async fn move_current(
    client: &Secrets,
    secret_id: &str,
    from: &str,
    to: &str,
) -> Result<(), CallError> {
    let moved = client.update_secret_version_stage().secret_id(secret_id).version_stage("AWSCURRENT");
    let moved = moved.move_to_version_id(to).remove_from_version_id(from).send().await;
    moved.map_err(CallError::during("secretsmanager:UpdateSecretVersionStage"))?;
    Ok(())
}

/// Removes AWSPENDING from a version whose rotation is finished.
pub(crate) async fn clear_pending(client: &Secrets, secret_id: &str, version: &str) -> Result<(), CallError> {
    let cleared = client.update_secret_version_stage().secret_id(secret_id).version_stage("AWSPENDING");
    let cleared = cleared.remove_from_version_id(version).send().await;
    cleared.map_err(CallError::during("secretsmanager:UpdateSecretVersionStage"))?;
    Ok(())
}
