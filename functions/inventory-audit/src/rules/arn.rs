//! ARNs, and the resources of the inventory that they name. No I/O.

use shared::policy::Kind;

/// An ARN without the `:*` that only some calls and providers append to a log group's.
pub(crate) fn bare(arn: &str) -> &str {
    arn.strip_suffix(":*").unwrap_or(arn)
}

/// The last part of an ARN: type and name of the resource.
pub(crate) fn resource_of(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

/// Kind and name of the resource that an ARN names; none if the inventory has no such kind.
pub(crate) fn kind_and_name(arn: &str) -> Option<(Kind, String)> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    let after = |prefix: &str| resource.strip_prefix(prefix).map(str::to_owned);
    match service {
        "ecs" => after("cluster/")
            .map(|name| (Kind::EcsCluster, name))
            .or_else(|| after("service/").map(|name| (Kind::EcsService, name))),
        "logs" => after("log-group:").map(|name| (Kind::LogGroup, name)),
        "aps" => after("workspace/").map(|name| (Kind::PrometheusWorkspace, name)),
        "elasticfilesystem" => after("file-system/").map(|name| (Kind::EfsFileSystem, name)),
        "grafana" => after("/workspaces/").map(|name| (Kind::GrafanaWorkspace, name)),
        "rds" => after("db:")
            .map(|name| (Kind::RdsInstance, name))
            .or_else(|| after("cluster:").map(|name| (Kind::RdsCluster, name))),
        "s3" if !resource.contains(['/', ':']) => Some((Kind::S3Bucket, resource.to_owned())),
        // Secrets Manager appends a hyphen and six characters to the name.
        "secretsmanager" => {
            let name = after("secret:")?;
            let end = name.len().checked_sub(7).filter(|end| name.is_char_boundary(*end))?;
            name.get(end..)?.starts_with('-').then_some(())?;
            Some((Kind::Secret, name.get(..end)?.to_owned()))
        }
        _ => None,
    }
}

/// Service and type of an ARN, e.g. `rds:snapshot`.
pub(crate) fn type_of(arn: &str) -> String {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default();
    let kind = match (resource.split_once(['/', ':']), service) {
        // The resource of an API Gateway ARN begins with a slash.
        (Some(("", path)), _) => path.split('/').next().unwrap_or_default(),
        (Some((kind, _)), _) => kind,
        (None, "s3") => "bucket",
        (None, "sns") => "topic",
        (None, "sqs") => "queue",
        (None, _) => "resource",
    };
    format!("{service}:{kind}")
}
