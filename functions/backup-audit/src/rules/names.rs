//! Names of this environment's resources, and which resources are its.

use std::collections::BTreeMap;

use super::facts::Role;

/// What this environment's resources are called.
pub(crate) struct Names {
    pub project: String,
    pub environment: String,
    /// What the names of this environment's resources begin with.
    pub beginning: String,
    pub database: String,
    pub attachments: String,
    pub uploads: String,
    /// Object that the on-prem synchronisation writes at its end; without it the newest upload counts.
    pub marker: String,
    pub state: String,
    pub lock_table: String,
    pub grafana: String,
    /// The stack's procedures.
    pub procedures: Vec<String>,
}

impl Names {
    /// Whether a database is this environment's by its name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        name == self.database || name.starts_with(&self.beginning)
    }

    /// Whether a database, or a snapshot of one, is this environment's: by its name or by its tags.
    pub(crate) fn owns(&self, name: &str, tags: &BTreeMap<String, String>) -> bool {
        let tagged = |key: &str, value: &str| tags.get(key).is_some_and(|tag| tag == value);
        self.is_named(name) || (tagged("Project", &self.project) && tagged("Environment", &self.environment))
    }

    /// Whether a cluster is this environment's by its name: its instances are named after it, so that it may have the
    /// environment's beginning alone.
    pub(crate) fn is_cluster(&self, name: &str) -> bool {
        self.is_named(name) || name == format!("{}-{}", self.project, self.environment)
    }

    /// Whether a cluster is this environment's: by its name, its tags, or a member that has the name.
    pub(crate) fn owns_cluster(
        &self,
        name: &str,
        tags: &BTreeMap<String, String>,
        members: &[String],
    ) -> bool {
        self.is_cluster(name) || self.owns(name, tags) || members.iter().any(|member| self.is_named(member))
    }

    /// Whether an alarm is one that somebody has made for an application: not of this product's functions, in whichever
    /// environment of the account, and not of autoscaling, which makes its own and tells nobody.
    pub(crate) fn is_anothers_alarm(&self, name: &str) -> bool {
        let is_ours = name.starts_with(&format!("{}-", self.project))
            && self.procedures.iter().any(|procedure| name.contains(&format!("-{procedure}-")));
        !is_ours && !name.starts_with("TargetTracking-")
    }

    /// Two settings that name the same bucket: it would be held to the rules of one of them only.
    pub(crate) fn twice(&self, evidence: &str) -> Option<(&'static str, &'static str)> {
        let by_name = format!("{}uploads", self.beginning);
        let uploads = if self.uploads.is_empty() { &by_name } else { &self.uploads };
        let named = [
            ("EVIDENCE_BUCKET", evidence),
            ("ATTACHMENTS_BUCKET", &self.attachments),
            ("UPLOADS_BUCKET", uploads),
            ("TERRAFORM_STATE_BUCKET", &self.state),
            ("GRAFANA_BUCKET", &self.grafana),
        ];
        let mut seen = BTreeMap::new();
        named
            .into_iter()
            .filter(|(_, bucket)| !bucket.is_empty())
            .find_map(|(setting, bucket)| seen.insert(bucket, setting).map(|first| (first, setting)))
    }

    /// The buckets that are named, and what they are.
    pub(crate) fn buckets<'a>(&'a self, evidence: &'a str) -> BTreeMap<&'a str, Role> {
        let named = [
            (evidence, Role::Evidence),
            (&self.attachments, Role::Attachments),
            (&self.uploads, Role::Uploads),
            (&self.state, Role::State),
            (&self.grafana, Role::Grafana),
        ];
        named.into_iter().filter(|(name, _)| !name.is_empty()).collect()
    }

    /// What a bucket of this environment is that nobody has named.
    pub(crate) fn role(&self, bucket: &str) -> Role {
        if bucket == format!("{}uploads", self.beginning) { Role::Uploads } else { Role::Other }
    }

    /// What a bucket is; none when it is not this environment's.
    pub(crate) fn known_role(&self, bucket: &str, evidence: &str) -> Option<Role> {
        let named = self.buckets(evidence).get(bucket).copied();
        named.or_else(|| bucket.starts_with(&self.beginning).then(|| self.role(bucket)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            project: "moveongs".to_owned(),
            environment: "prod".to_owned(),
            beginning: "moveongs-prod-".to_owned(),
            database: "main".to_owned(),
            attachments: "moveongs-prod-attachments".to_owned(),
            uploads: String::new(),
            marker: ".moveongs-sync".to_owned(),
            state: String::new(),
            lock_table: String::new(),
            grafana: String::new(),
            procedures: vec!["backup-audit".to_owned(), "snapshot-create".to_owned()],
        }
    }

    #[test]
    fn alarms_of_this_product_and_of_autoscaling_are_nobodys_else() {
        for (alarm, is_anothers) in [
            ("moveongs-prod-backup-audit-errors", false),
            ("moveongs-dev-snapshot-create-errors", false),
            ("TargetTracking-service/moveongs-prod-cluster/moveongs-prod-api-AlarmHigh-0b1c", false),
            ("moveongs-prod-api-5xx", true),
            ("another-backup-audit-errors", true),
            ("api-TargetTracking-5xx", true),
        ] {
            assert_eq!(names().is_anothers_alarm(alarm), is_anothers, "{alarm}");
        }
    }

    #[test]
    fn a_database_is_owned_by_its_name_or_by_both_tags() {
        let tags = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let both: &[(&str, &str)] = &[("Project", "moveongs"), ("Environment", "prod")];
        for (name, tagged, is_named, is_owned) in [
            ("main", &[][..], true, true),
            ("moveongs-prod-db", &[], true, true),
            ("legacy", both, false, true),
            ("legacy", &both[..1], false, false),
            ("legacy", &[("Project", "moveongs"), ("Environment", "dev")], false, false),
        ] {
            assert_eq!(names().is_named(name), is_named, "{name}");
            assert_eq!(names().owns(name, &tags(tagged)), is_owned, "{name} {tagged:?}");
        }
    }
}
