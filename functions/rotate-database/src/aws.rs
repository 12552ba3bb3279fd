//! The AWS calls that only this function makes. The only file that names SDK operations.

use secrecy::SecretString;
use shared::failure::CallError;

use shared::database::secret::Login;

/// What has its master password kept and rotated by RDS itself, if the password is this login's: `instance` or `cluster`,
/// and its identifier.
pub(crate) async fn managed_master(
    client: &aws_sdk_rds::Client,
    login: &Login,
) -> Result<Option<(&'static str, String)>, CallError> {
    let here = |address: Option<&str>, port: Option<i32>| {
        address.is_some_and(|address| address.eq_ignore_ascii_case(&login.host))
            && port == Some(i32::from(login.port))
    };
    let is_master = |user: Option<&str>| user == Some(login.user.as_str());
    let mut pages = client.describe_db_instances().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBInstances"))?;
        for instance in page.db_instances() {
            let endpoint = instance.endpoint();
            let endpoint = here(endpoint.and_then(|end| end.address()), endpoint.and_then(|end| end.port()));
            if endpoint && instance.master_user_secret().is_some() && is_master(instance.master_username()) {
                return Ok(instance.db_instance_identifier().map(|id| ("instance", id.to_owned())));
            }
        }
    }
    // Only a cluster's endpoint has this in its name, and only a cluster has one.
    if !login.host.contains(".cluster-") {
        return Ok(None);
    }
    let mut pages = client.describe_db_clusters().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBClusters"))?;
        for cluster in page.db_clusters() {
            if here(cluster.endpoint(), cluster.port())
                && cluster.master_user_secret().is_some()
                && is_master(cluster.master_username())
            {
                return Ok(cluster.db_cluster_identifier().map(|id| ("cluster", id.to_owned())));
            }
        }
    }
    Ok(None)
}

/// The current value of the admin secret.
pub(crate) async fn admin_secret(
    client: &aws_sdk_secretsmanager::Client,
    arn: &str,
) -> Result<Option<SecretString>, CallError> {
    let found = client.get_secret_value().secret_id(arn).version_stage("AWSCURRENT").send().await;
    let found = found.map_err(CallError::during("secretsmanager:GetSecretValue"))?;
    Ok(found.secret_string.map(SecretString::from))
}

/// Ids of all versions, newest first. The service omits those without a label unless it is asked for them.
pub(crate) async fn all_versions(
    client: &aws_sdk_secretsmanager::Client,
    secret_id: &str,
) -> Result<Vec<String>, CallError> {
    // At most 100 are kept, and a page holds as many.
    let listed =
        client.list_secret_version_ids().secret_id(secret_id).include_deprecated(true).max_results(100);
    let listed = listed.send().await.map_err(CallError::during("secretsmanager:ListSecretVersionIds"))?;
    let mut versions = listed.versions.unwrap_or_default();
    versions.sort_by_key(|version| std::cmp::Reverse(version.created_date));
    Ok(versions.into_iter().filter_map(|version| version.version_id).collect())
}
