//! Settings of the new instance, from the lost one, its backup, the Terraform state and the person. No I/O, no clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Given;

/// Least GiB of gp3 storage with IOPS and throughput of one's own, for PostgreSQL.
const OWN_PERFORMANCE: i32 = 400;

/// The settings that are copied; none if unknown, and RDS's default then applies.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub class: Option<String>,
    pub multi_az: Option<bool>,
    pub subnet_group: Option<String>,
    pub security_groups: Vec<String>,
    pub parameter_group: Option<String>,
    pub option_group: Option<String>,
    pub port: Option<i32>,
    pub storage_type: Option<String>,
    /// In GiB; what is allocated.
    pub storage: Option<i32>,
    /// In GiB; the autoscaling limit.
    pub max_storage: Option<i32>,
    pub iops: Option<i32>,
    /// In MiB per second.
    pub throughput: Option<i32>,
    pub iam_login: Option<bool>,
    pub log_exports: Vec<String>,
    pub copy_tags: Option<bool>,
    pub minor_upgrades: Option<bool>,
    pub certificate: Option<String>,
    /// In days.
    pub retention: Option<i32>,
    pub backup_window: Option<String>,
    pub maintenance_window: Option<String>,
    /// In seconds; 0 is off.
    pub monitoring: Option<i32>,
    pub monitoring_role: Option<String>,
    pub insights: Option<bool>,
    pub insights_key: Option<String>,
    /// In days.
    pub insights_retention: Option<i32>,
    pub tags: BTreeMap<String, String>,
}

impl Settings {
    /// Takes from `other` what is unknown here.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        fn list<T>(own: Vec<T>, other: Vec<T>) -> Vec<T> {
            if own.is_empty() { other } else { own }
        }
        Self {
            class: self.class.or(other.class),
            multi_az: self.multi_az.or(other.multi_az),
            subnet_group: self.subnet_group.or(other.subnet_group),
            security_groups: list(self.security_groups, other.security_groups),
            parameter_group: self.parameter_group.or(other.parameter_group),
            option_group: self.option_group.or(other.option_group),
            port: self.port.or(other.port),
            storage_type: self.storage_type.or(other.storage_type),
            storage: self.storage.or(other.storage),
            max_storage: self.max_storage.or(other.max_storage),
            iops: self.iops.or(other.iops),
            throughput: self.throughput.or(other.throughput),
            iam_login: self.iam_login.or(other.iam_login),
            log_exports: list(self.log_exports, other.log_exports),
            copy_tags: self.copy_tags.or(other.copy_tags),
            minor_upgrades: self.minor_upgrades.or(other.minor_upgrades),
            certificate: self.certificate.or(other.certificate),
            retention: self.retention.or(other.retention),
            backup_window: self.backup_window.or(other.backup_window),
            maintenance_window: self.maintenance_window.or(other.maintenance_window),
            monitoring: self.monitoring.or(other.monitoring),
            monitoring_role: self.monitoring_role.or(other.monitoring_role),
            insights: self.insights.or(other.insights),
            insights_key: self.insights_key.or(other.insights_key),
            insights_retention: self.insights_retention.or(other.insights_retention),
            tags: if self.tags.is_empty() { other.tags } else { self.tags },
        }
    }

    /// The IOPS and the throughput that may be requested. RDS sets those of gp3 itself below a size, and then refuses any,
    /// even its own; other types than these have none. Source: [Amazon RDS DB instance storage](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage).
    pub(crate) fn performance(&self) -> (Option<i32>, Option<i32>) {
        match self.storage_type.as_deref() {
            Some("gp3") if self.storage.is_some_and(|gib| gib >= OWN_PERFORMANCE) => {
                (self.iops, self.throughput)
            }
            Some("io1" | "io2") => (self.iops, None),
            _ => (None, None),
        }
    }

    /// What a person gave.
    pub(crate) fn given(given: &Given) -> Self {
        Self {
            class: given.class.clone(),
            multi_az: given.multi_az,
            subnet_group: given.subnet_group.clone(),
            security_groups: given.security_groups.clone().unwrap_or_default(),
            parameter_group: given.parameter_group.clone(),
            option_group: given.option_group.clone(),
            storage_type: given.storage_type.clone(),
            ..Self::default()
        }
    }

    /// Names of the settings without which the instance could be in the wrong network, too small, or without the
    /// parameters that enforce TLS.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let needed = [
            ("class", self.class.is_some()),
            ("subnetGroup", self.subnet_group.is_some()),
            ("securityGroups", !self.security_groups.is_empty()),
            ("parameterGroup", self.parameter_group.is_some()),
        ];
        needed.into_iter().filter(|(_, is_known)| !is_known).map(|(name, _)| name).collect()
    }

    /// The days of backups of the new instance: the lost one's, or the policy's least.
    pub(crate) fn retention(&self, least: u16) -> i32 {
        self.retention.unwrap_or_default().max(i32::from(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_comes_from_the_next_source() {
        let instance = Settings { class: Some("a".to_owned()), ..Settings::default() };
        let state = Settings {
            class: Some("b".to_owned()),
            subnet_group: Some("s".to_owned()),
            security_groups: vec!["sg".to_owned()],
            multi_az: Some(false),
            ..Settings::default()
        };
        assert_eq!(
            Settings::default().missing(),
            ["class", "subnetGroup", "securityGroups", "parameterGroup"]
        );
        let both = instance.or(state);
        assert_eq!((both.class.as_deref(), both.multi_az), (Some("a"), Some(false)));
        assert_eq!(both.missing(), ["parameterGroup"]);
        let given = Given { parameter_group: Some("p".to_owned()), multi_az: Some(true), ..Given::default() };
        let all = Settings::given(&given).or(both);
        assert_eq!((all.missing(), all.multi_az), (vec![], Some(true)));
    }

    #[test]
    fn performance_is_requested_only_where_rds_accepts_it() {
        for (kind, storage, expected) in [
            (Some("gp3"), Some(20), (None, None)),
            (Some("gp3"), Some(399), (None, None)),
            (Some("gp3"), Some(400), (Some(3000), Some(125))),
            (Some("gp3"), None, (None, None)),
            (Some("gp2"), Some(500), (None, None)),
            (Some("io1"), Some(100), (Some(3000), None)),
            (Some("io2"), Some(100), (Some(3000), None)),
            (None, Some(500), (None, None)),
        ] {
            let settings = Settings {
                storage_type: kind.map(str::to_owned),
                storage,
                iops: Some(3000),
                throughput: Some(125),
                ..Settings::default()
            };
            assert_eq!(settings.performance(), expected, "{kind:?} {storage:?}");
        }
    }

    #[test]
    fn backups_are_never_less_than_the_policys() {
        for (own, least, expected) in [(None, 7, 7), (Some(0), 7, 7), (Some(30), 7, 30)] {
            assert_eq!(Settings { retention: own, ..Settings::default() }.retention(least), expected);
        }
    }
}
