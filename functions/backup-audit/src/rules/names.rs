//! Names of this environment's resources, and the rule by which a resource belongs to it.

use std::collections::BTreeMap;

use super::audit::EXPIRED;
use super::facts::Role;
use super::finding::Finding;

/// Names of this environment's resources; empty if the stack does not set one.
pub(crate) struct Names {
    pub project: String,
    pub environment: String,
    /// Prefix of the names of this environment's resources: `project-environment-`.
    pub prefix: String,
    pub database: String,
    pub attachments: String,
    pub uploads: String,
    /// Key of the object that the on-prem synchronisation writes when it ends; without such an object the newest upload
    /// counts.
    pub marker: String,
    pub state: String,
    pub lock_table: String,
    /// Bucket of an export of Grafana by other means.
    pub grafana: String,
    /// Whether this stack exports Grafana itself.
    pub exports_grafana: bool,
    /// Names of the stack's procedures.
    pub procedures: Vec<String>,
}

impl Names {
    /// Whether a database belongs to this environment by its name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        name == self.database || name.starts_with(&self.prefix)
    }

    /// Whether a database, or a snapshot of it, belongs to this environment by its name or tags.
    pub(crate) fn owns(&self, name: &str, tags: &BTreeMap<String, String>) -> bool {
        let tagged = |key: &str, value: &str| tags.get(key).is_some_and(|tag| tag == value);
        self.is_named(name) || (tagged("Project", &self.project) && tagged("Environment", &self.environment))
    }

    /// Whether a cluster belongs to this environment by its name. Its instances have names that extend it, so it may be
    /// just `project-environment`.
    pub(crate) fn is_cluster(&self, name: &str) -> bool {
        self.is_named(name) || name == format!("{}-{}", self.project, self.environment)
    }

    /// Whether a cluster belongs to this environment by its name, its tags or a member's name.
    pub(crate) fn owns_cluster(
        &self,
        name: &str,
        tags: &BTreeMap<String, String>,
        members: &[String],
    ) -> bool {
        self.is_cluster(name) || self.owns(name, tags) || members.iter().any(|member| self.is_named(member))
    }

    /// Whether an alarm is an application's: neither for one of this product's functions, in any environment of the
    /// account, nor by autoscaling, whose alarms send no notification.
    pub(crate) fn is_application_alarm(&self, name: &str) -> bool {
        let is_product = name.starts_with(&format!("{}-", self.project))
            && self.procedures.iter().any(|procedure| name.contains(&format!("-{procedure}-")));
        !is_product && !name.starts_with("TargetTracking-")
    }

    /// Two settings that name the same bucket, which would only get the rules of one of them.
    pub(crate) fn duplicate(&self, evidence: &str) -> Option<(&'static str, &'static str)> {
        let by_name = format!("{}uploads", self.prefix);
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

    /// Buckets with a configured name, and their roles.
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

    /// Role of a bucket without a configured name.
    pub(crate) fn role(&self, bucket: &str) -> Role {
        if bucket == format!("{}uploads", self.prefix) { Role::Uploads } else { Role::Other }
    }

    /// Role of a bucket; none if it belongs to another environment.
    pub(crate) fn known_role(&self, bucket: &str, evidence: &str) -> Option<Role> {
        let named = self.buckets(evidence).get(bucket).copied();
        named.or_else(|| bucket.starts_with(&self.prefix).then(|| self.role(bucket)))
    }

    /// Role of the bucket that a finding, or an exception that expired, is about; none if it is about no bucket or several.
    pub(crate) fn role_of(&self, finding: &Finding, evidence: &str) -> Option<Role> {
        let key = finding.key();
        let key = key.strip_prefix(&format!("{} ", EXPIRED.id)).unwrap_or(&key);
        let (rule, bucket) = key.split_once(' ')?;
        let is_one = rule.starts_with("s3.") && !bucket.ends_with('*');
        is_one.then(|| self.known_role(bucket, evidence)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::Date;

    use super::*;

    fn names() -> Names {
        Names {
            project: "moveongs".to_owned(),
            environment: "prod".to_owned(),
            prefix: "moveongs-prod-".to_owned(),
            database: "main".to_owned(),
            attachments: "moveongs-prod-attachments".to_owned(),
            uploads: String::new(),
            marker: ".moveongs-sync".to_owned(),
            state: String::new(),
            lock_table: String::new(),
            grafana: String::new(),
            exports_grafana: false,
            procedures: vec!["backup-audit".to_owned(), "snapshot-create".to_owned()],
        }
    }

    #[test]
    fn a_finding_has_the_role_of_its_bucket() {
        let names = Names { state: "tf-state".to_owned(), ..names() };
        for (rule, resource, expected) in [
            ("s3.exists", "tf-state", Some(Role::State)),
            ("s3.versioning", "moveongs-prod-attachments", Some(Role::Attachments)),
            ("s3.uploads-fresh", "moveongs-prod-uploads", Some(Role::Uploads)),
            ("s3.evidence-lock", "evidence", Some(Role::Evidence)),
            ("s3.public", "moveongs-prod-logs", Some(Role::Other)),
            ("audit.exception-expired", "s3.versioning tf-state", Some(Role::State)),
            ("audit.exception-expired", "s3.versioning moveongs-prod-*", None),
            ("audit.exception-expired", "rds.retention main", None),
            ("account.in-backup-plan", "tf-state", None),
            ("rds.retention", "main", None),
        ] {
            let (rule, resource) = (rule.to_owned(), resource.to_owned());
            let finding = Finding {
                rule,
                resource,
                severity: "high".to_owned(),
                verdict: "fail".to_owned(),
                arn: String::new(),
                found: String::new(),
                expected: String::new(),
                next_step: String::new(),
                guide: "2.2".to_owned(),
                since: Date::constant(2026, 11, 26),
                exception: None,
            };
            assert_eq!(names.role_of(&finding, "evidence"), expected, "{finding:?}");
        }
        let words: BTreeSet<_> = Role::ALL.map(Role::word).into();
        assert_eq!(words.len(), Role::ALL.len());
    }

    #[test]
    fn alarms_of_this_product_and_of_autoscaling_do_not_count() {
        for (alarm, is_application) in [
            ("moveongs-prod-backup-audit-errors", false),
            ("moveongs-dev-snapshot-create-errors", false),
            ("TargetTracking-service/moveongs-prod-cluster/moveongs-prod-api-AlarmHigh-0b1c", false),
            ("moveongs-prod-api-5xx", true),
            ("moveongs-prod-ApiAvailabilityBudgetBurn", true),
            ("another-backup-audit-errors", true),
            ("api-TargetTracking-5xx", true),
        ] {
            assert_eq!(names().is_application_alarm(alarm), is_application, "{alarm}");
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
