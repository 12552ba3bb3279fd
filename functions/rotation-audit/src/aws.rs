//! The AWS calls of this function alone. No other file names SDK operations.

use shared::runtime::failure::CallError;

type Secrets = aws_sdk_secretsmanager::Client;

/// The resource policy, as JSON.
pub(crate) async fn resource_policy(client: &Secrets, secret_id: &str) -> Result<Option<String>, CallError> {
    let found = client.get_resource_policy().secret_id(secret_id).send().await;
    let found = found.map_err(CallError::during("secretsmanager:GetResourcePolicy"))?;
    found.arn.ok_or_else(|| CallError::empty("secretsmanager:GetResourcePolicy"))?;
    Ok(found.resource_policy)
}

/// Whether an RDS instance accepts IAM logins.
pub(crate) async fn accepts_iam(client: &aws_sdk_rds::Client, instance: &str) -> Result<bool, CallError> {
    let found = client.describe_db_instances().db_instance_identifier(instance).send().await;
    let found = found.map_err(CallError::during("rds:DescribeDBInstances"))?;
    let is_enabled =
        found.db_instances().first().and_then(|instance| instance.iam_database_authentication_enabled());
    is_enabled.ok_or_else(|| CallError {
        operation: "rds:DescribeDBInstances",
        code: "NoAnswer".to_owned(),
        message: format!("RDS does not say whether {instance} accepts IAM logins"),
    })
}
