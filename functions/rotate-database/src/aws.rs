//! The AWS calls of this function alone. No other file names SDK operations.

use secrecy::SecretString;
use shared::runtime::failure::CallError;

use shared::database::secret::Login;

/// The RDS instance or cluster of a login.
pub(crate) struct Host {
    /// `instance` or `cluster`.
    pub(crate) kind: &'static str,
    /// Its identifier.
    pub(crate) id: String,
    pub(crate) arn: String,
    /// ARN of the cluster that the instance is a member of.
    pub(crate) cluster: Option<String>,
    /// Whether the login is the master user and RDS stores and rotates its password.
    pub(crate) is_managed: bool,
    /// Whether the login is the master user and RDS is about to set another password, which it does some time after the
    /// request.
    pub(crate) is_changing: bool,
}

/// RDS's status while it sets the master password.
const RESETTING: &str = "resetting-master-credentials";

/// The instance or cluster whose endpoint a login names; none for a server outside RDS.
pub(crate) async fn host(client: &aws_sdk_rds::Client, login: &Login) -> Result<Option<Host>, CallError> {
    let here = |address: Option<&str>, port: Option<i32>| {
        address.is_some_and(|address| address.eq_ignore_ascii_case(login.host.trim_end_matches('.')))
            && port == Some(i32::from(login.port))
    };
    let mut pages = client.describe_db_instances().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBInstances"))?;
        for instance in page.db_instances.ok_or(CallError::empty("rds:DescribeDBInstances"))? {
            let endpoint = instance.endpoint();
            if !here(endpoint.and_then(|end| end.address()), endpoint.and_then(|end| end.port())) {
                continue;
            }
            let id = instance.db_instance_identifier().unwrap_or_default();
            let arn = instance.db_instance_arn().unwrap_or_default();
            // For cluster members, RDS stores the master's password with the cluster.
            if let Some(cluster) = instance.db_cluster_identifier()
                && let Some(managed) = managed_by(client, cluster, login).await?
            {
                return Ok(Some(managed));
            }
            let cluster = instance.db_cluster_identifier().and_then(|cluster| {
                arn.strip_suffix(&format!(":db:{id}")).map(|place| format!("{place}:cluster:{cluster}"))
            });
            let is_master = instance.master_username() == Some(login.user.as_str());
            let pending = instance.pending_modified_values().and_then(|values| values.master_user_password());
            return Ok(Some(Host {
                kind: "instance",
                id: id.to_owned(),
                arn: arn.to_owned(),
                cluster,
                is_managed: is_master && instance.master_user_secret().is_some(),
                is_changing: is_master
                    && (pending.is_some() || instance.db_instance_status() == Some(RESETTING)),
            }));
        }
    }
    // Every cluster endpoint has this in its name, and no other endpoint does.
    if !login.host.contains(".cluster-") {
        return Ok(None);
    }
    let mut pages = client.describe_db_clusters().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeDBClusters"))?;
        let clusters = page.db_clusters.ok_or(CallError::empty("rds:DescribeDBClusters"))?;
        if let Some(cluster) = clusters.iter().find(|cluster| {
            let custom = cluster.custom_endpoints().iter().map(|endpoint| Some(endpoint.as_str()));
            // Without readers, the reader endpoint leads to the writer; otherwise to a standby, which the login
            // detects.
            [cluster.endpoint(), cluster.reader_endpoint()]
                .into_iter()
                .chain(custom)
                .any(|endpoint| here(endpoint, cluster.port()))
        }) {
            return Ok(Some(of_cluster(cluster, login)));
        }
    }
    Ok(None)
}

fn of_cluster(cluster: &aws_sdk_rds::types::DbCluster, login: &Login) -> Host {
    let is_master = cluster.master_username() == Some(login.user.as_str());
    let pending = cluster.pending_modified_values().and_then(|values| values.master_user_password());
    Host {
        kind: "cluster",
        id: cluster.db_cluster_identifier().unwrap_or_default().to_owned(),
        arn: cluster.db_cluster_arn().unwrap_or_default().to_owned(),
        cluster: None,
        is_managed: is_master && cluster.master_user_secret().is_some(),
        is_changing: is_master && (pending.is_some() || cluster.status() == Some(RESETTING)),
    }
}

/// The cluster, if RDS stores or changes this login's password with it.
async fn managed_by(
    client: &aws_sdk_rds::Client,
    cluster: &str,
    login: &Login,
) -> Result<Option<Host>, CallError> {
    let described = client.describe_db_clusters().db_cluster_identifier(cluster).send().await;
    match described.map_err(CallError::during("rds:DescribeDBClusters")) {
        Ok(described) => {
            let found = described.db_clusters().first().map(|cluster| of_cluster(cluster, login));
            let found = found.ok_or(CallError::empty("rds:DescribeDBClusters"))?;
            Ok((found.is_managed || found.is_changing).then_some(found))
        }
        Err(call) if call.code.starts_with("DBClusterNotFound") => Ok(None),
        Err(call) => Err(call),
    }
}

/// Identifier and status of the blue/green deployments that an instance or cluster takes part in.
pub(crate) async fn blue_green(
    client: &aws_sdk_rds::Client,
    host: &Host,
) -> Result<Vec<(String, String)>, CallError> {
    let is_of =
        |arn: Option<&str>| arn.is_some() && (arn == Some(&host.arn) || arn == host.cluster.as_deref());
    let mut found = Vec::new();
    let mut pages = client.describe_blue_green_deployments().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CallError::during("rds:DescribeBlueGreenDeployments"))?;
        let all = page.blue_green_deployments.ok_or(CallError::empty("rds:DescribeBlueGreenDeployments"))?;
        let ours = all.iter().filter(|one| is_of(one.source()) || is_of(one.target()));
        found.extend(ours.map(|one| {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            (text(one.blue_green_deployment_identifier()), text(one.status()))
        }));
    }
    Ok(found)
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

/// Ids of all versions, newest first, including versions without a label.
pub(crate) async fn all_versions(
    client: &aws_sdk_secretsmanager::Client,
    secret_id: &str,
) -> Result<Vec<String>, CallError> {
    // Secrets Manager keeps at most 100 versions, which fit into one page.
    let listed =
        client.list_secret_version_ids().secret_id(secret_id).include_deprecated(true).max_results(100);
    let listed = listed.send().await.map_err(CallError::during("secretsmanager:ListSecretVersionIds"))?;
    let mut versions = listed.versions.unwrap_or_default();
    versions.sort_by_key(|version| std::cmp::Reverse(version.created_date));
    Ok(versions.into_iter().filter_map(|version| version.version_id).collect())
}
