//! The inventory of critical services, and the teams responsible for them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rotation::Responsible;
use crate::{PolicyError, is_line};

/// The inventory of critical services.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The areas, with their resources and responsible teams.
    pub areas: Areas,
    /// Resource types that AWS or the application creates at run time, so that neither the inventory nor Terraform
    /// lists them: service and type as in an ARN, e.g. `rds:snapshot`.
    pub untracked: Vec<String>,
}

/// The areas of the inventory. An environment can change an area but not omit one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Areas {
    /// The API.
    pub application: Holding,
    /// PostgreSQL.
    pub database: Holding,
    /// Stored files.
    pub attachments: Holding,
    /// Logs and metrics.
    pub observability: Holding,
    /// Secrets Manager. Includes the secrets that the template and `rotation.secrets` name, without listing them.
    pub secrets: Holding,
    /// Terraform. Includes its state bucket, which the template names, without listing it.
    pub infrastructure: Holding,
}

/// An area of the inventory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Area {
    /// [`Areas::application`].
    Application,
    /// [`Areas::database`].
    Database,
    /// [`Areas::attachments`].
    Attachments,
    /// [`Areas::observability`].
    Observability,
    /// [`Areas::secrets`].
    Secrets,
    /// [`Areas::infrastructure`].
    Infrastructure,
}

/// An area's critical resources and the teams responsible for them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Holding {
    /// The teams responsible for the area.
    pub responsible: Responsible,
    /// Names by kind; `{project}` and `{environment}` are replaced by the stack's.
    pub resources: BTreeMap<Kind, Vec<String>>,
}

/// A kind of resource in the inventory, and the form of its name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// ECS cluster; its name.
    EcsCluster,
    /// ECS service; `cluster/service`.
    EcsService,
    /// EFS file system, e.g. the volume of `UPLOADS_DIR`; its id.
    EfsFileSystem,
    /// Workspace of Amazon Managed Grafana; its id.
    GrafanaWorkspace,
    /// CloudWatch Logs log group; its name.
    LogGroup,
    /// Workspace of Amazon Managed Service for Prometheus; its id.
    PrometheusWorkspace,
    /// RDS cluster (Aurora or Multi-AZ); its identifier.
    RdsCluster,
    /// RDS instance; its identifier.
    RdsInstance,
    /// S3 bucket; its name.
    S3Bucket,
    /// Secrets Manager secret; its name.
    Secret,
    /// A place outside AWS, e.g. a self-hosted Grafana; its address.
    Url,
}

impl Inventory {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        let mut seen = BTreeMap::new();
        for area in Area::ALL {
            let path = format!("{path}.areas.{}", area.name());
            let holding = self.areas.holding(area);
            holding.responsible.check(&format!("{path}.responsible"))?;
            for (kind, names) in &holding.resources {
                for (place, name) in names.iter().enumerate() {
                    let path = format!("{path}.resources.{}[{place}]", kind.name());
                    kind.check(name).map_err(|reason| PolicyError::at(&path, reason))?;
                    if let Some(first) = seen.insert((kind, name), path.clone()) {
                        return Err(PolicyError::at(path, format!("also listed at {first}")));
                    }
                }
            }
        }
        for (place, kind) in self.untracked.iter().enumerate() {
            let is_word =
                |word: &str| !word.is_empty() && word.chars().all(|c| c == '-' || c.is_ascii_alphanumeric());
            if !kind.split_once(':').is_some_and(|(service, kind)| is_word(service) && is_word(kind)) {
                let reason = "expected a service and type as in an ARN, e.g. rds:snapshot";
                return Err(PolicyError::at(format!("{path}.untracked[{place}]"), reason));
            }
        }
        Ok(())
    }
}

impl Areas {
    /// The area's entry.
    pub fn holding(&self, area: Area) -> &Holding {
        match area {
            Area::Application => &self.application,
            Area::Database => &self.database,
            Area::Attachments => &self.attachments,
            Area::Observability => &self.observability,
            Area::Secrets => &self.secrets,
            Area::Infrastructure => &self.infrastructure,
        }
    }
}

impl Area {
    /// All areas, in the guide's order.
    pub const ALL: [Self; 6] = [
        Self::Application,
        Self::Database,
        Self::Attachments,
        Self::Observability,
        Self::Secrets,
        Self::Infrastructure,
    ];

    /// The area's name in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Attachments => "attachments",
            Self::Observability => "observability",
            Self::Secrets => "secrets",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::EcsCluster,
        Self::EcsService,
        Self::EfsFileSystem,
        Self::GrafanaWorkspace,
        Self::LogGroup,
        Self::PrometheusWorkspace,
        Self::RdsCluster,
        Self::RdsInstance,
        Self::S3Bucket,
        Self::Secret,
        Self::Url,
    ];

    /// The kind's name in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcsCluster => "ecs-cluster",
            Self::EcsService => "ecs-service",
            Self::EfsFileSystem => "efs-file-system",
            Self::GrafanaWorkspace => "grafana-workspace",
            Self::LogGroup => "log-group",
            Self::PrometheusWorkspace => "prometheus-workspace",
            Self::RdsCluster => "rds-cluster",
            Self::RdsInstance => "rds-instance",
            Self::S3Bucket => "s3-bucket",
            Self::Secret => "secret",
            Self::Url => "url",
        }
    }

    pub(super) fn check(self, name: &str) -> Result<(), String> {
        let bare = resolve(name, "p", "e");
        if self == Self::Url {
            let rest = ["https://", "http://"].into_iter().find_map(|scheme| bare.strip_prefix(scheme));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
            return match rest {
                Some(rest) if !rest.is_empty() && rest.len() <= 500 && rest.chars().all(is_plain) => Ok(()),
                _ => Err("expected an address https://HOST/PATH without user, query or fragment".to_owned()),
            };
        }
        if !is_line(&bare, 512) || !bare.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+=@!#".contains(c))
        {
            let reason = "expected a resource's name, with no braces except in {project} and {environment}";
            return Err(reason.to_owned());
        }
        let is_pair = bare.split_once('/').is_some_and(|(cluster, service)| {
            !cluster.is_empty() && !service.is_empty() && !service.contains('/')
        });
        let is_id = |prefix: &str| {
            let id = bare.strip_prefix(prefix).unwrap_or_default();
            !id.is_empty() && id.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
        };
        match self {
            Self::EcsService if !is_pair => Err("expected cluster/service".to_owned()),
            Self::EcsCluster | Self::RdsCluster | Self::RdsInstance | Self::S3Bucket
                if bare.contains('/') =>
            {
                Err("expected a name without a slash".to_owned())
            }
            Self::EfsFileSystem if !is_id("fs-") => Err("expected an id, fs-…".to_owned()),
            Self::GrafanaWorkspace if !is_id("g-") => Err("expected an id, g-…".to_owned()),
            Self::PrometheusWorkspace if !is_id("ws-") => Err("expected an id, ws-…".to_owned()),
            _ => Ok(()),
        }
    }
}

/// An inventory name with the stack's project and environment filled in.
pub fn resolve(name: &str, project: &str, environment: &str) -> String {
    name.replace("{project}", project).replace("{environment}", environment)
}
