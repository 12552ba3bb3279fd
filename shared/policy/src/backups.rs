//! Backups: retention, the audit's limits and exceptions, snapshots.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rotation::Polls;
use crate::{PolicyError, is_line, within};

/// The possible environments of a stack. Source: the template's parameter `Environment`.
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

/// The rules of `backup-audit`, one per line; an exception for any other rule is a mistake. A test of that function
/// keeps the list current.
const BACKUP_RULES: &str = include_str!("../../backup-rules.txt");

/// Settings for backups.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Minimum retention of automated RDS backups by environment, in days: 1 to 35, RDS's limit.
    pub retention_days: BTreeMap<String, u16>,
    /// Manual snapshots before a deploy (guide, 2.1 step 2).
    pub snapshots: Snapshots,
    /// Retention of noncurrent attachment versions, in days.
    pub attachment_noncurrent_days: u16,
    /// Thresholds of `backup-audit` (guide, 2.1 to 2.3).
    pub audit: BackupAudit,
}

/// Thresholds of `backup-audit`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupAudit {
    /// Maximum age of an instance's newest automated snapshot, in hours: 1 to 168.
    pub snapshot_hours: u16,
    /// Maximum lag of point-in-time recovery, in minutes: 1 to 1440.
    pub point_in_time_minutes: u16,
    /// Hours in São Paulo that the backup window must not overlap.
    pub business_hours: Hours,
    /// The backup window that a repair sets, in UTC: `05:00-06:00`.
    pub backup_window: String,
    /// Environments that require Multi-AZ databases.
    pub multi_az: Vec<String>,
    /// Days before an instance's certificate expires from which that is a finding: 1 to 365.
    pub certificate_days: u16,
    /// Days before an engine's standard support ends from which that is a finding: 1 to 730.
    pub engine_support_days: u16,
    /// Accounts that may share snapshots and have access to buckets.
    pub shared_with: Vec<String>,
    /// Key prefixes under which lifecycle rules may delete current objects.
    pub expiring_prefixes: ExpiringPrefixes,
    /// Longest retention of parts of incomplete uploads, in days: 1 to 365.
    pub incomplete_upload_days: u16,
    /// Maximum age of the on-premises synchronization, in hours: 1 to 720.
    pub uploads_hours: u16,
    /// Maximum age of the Grafana export, in days: 1 to 366.
    pub grafana_days: u16,
    /// Whether Terraform locks its state with an object in the state bucket, if there is no lock table.
    pub terraform_native_lock: bool,
    /// Variables that the application must have; a trailing `*` matches any name with that prefix.
    pub variables: Vec<String>,
    /// Variables that the application may receive only as secrets.
    pub secret_variables: Vec<String>,
    /// Violations that are accepted until a date.
    pub exceptions: Vec<Exception>,
}

/// Prefixes that may expire, by bucket. The state and evidence buckets have none: their objects never expire.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExpiringPrefixes {
    /// In the application's attachments.
    pub attachments: Vec<String>,
    /// In the on-premises uploads.
    pub uploads: Vec<String>,
}

/// A range of hours in a day, 0 to 24.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The first hour of the range.
    pub from: u8,
    /// The first hour after the range.
    pub to: u8,
}

/// A violation that is accepted until a date.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The rule's id.
    pub rule: String,
    /// The resource's name; a trailing `*` matches all names with that prefix.
    pub resource: String,
    /// The reason for accepting it, in one line.
    pub reason: String,
    /// The person or team that answers for it, in one line.
    pub owner: String,
    /// The last day it applies, in São Paulo.
    pub until: jiff::civil::Date,
}

/// Longest wait of `snapshot-create` for one thing, in seconds; its state machine's `TimeoutSeconds` allows for two.
pub const LONGEST_WAIT_SECONDS: u32 = 21_600;

/// Settings of `snapshot-create` and `snapshot-verify`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Days to retain a manual snapshot, by environment: 1 to 3650. Every environment needs an entry.
    pub retention_days: BTreeMap<String, u16>,
    /// Polling of a busy instance: at most six hours.
    pub instance: Polls,
    /// Polling of the snapshot's creation: at most six hours.
    pub creation: Polls,
    /// Thresholds of `snapshot-verify`.
    pub verify: Verify,
}

/// Thresholds of `snapshot-verify`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Hours that a snapshot may take before it is reported: 1 to 48.
    pub creation_hours: u16,
    /// Hours that a copy to another region may take before it pages the on-call engineer: 1 to 168.
    pub copy_hours: u16,
    /// Minimum size of a snapshot, in percent of the previous one: 1 to 100.
    pub least_percent: u16,
    /// Maximum size of a snapshot, in percent of the previous one: 100 to 10000.
    pub most_percent: u16,
}

impl Snapshots {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        if let Some(missing) = ENVIRONMENTS.iter().find(|name| !self.retention_days.contains_key(**name)) {
            let reason = format!("has no entry for {missing}");
            return Err(PolicyError::at(format!("{path}.retention_days"), reason));
        }
        for (environment, days) in &self.retention_days {
            within(format!("{path}.retention_days.{environment}"), *days, 1, 3650)?;
        }
        for (field, polls) in [("instance", &self.instance), ("creation", &self.creation)] {
            polls.check(&format!("{path}.{field}"))?;
            if polls.seconds() > LONGEST_WAIT_SECONDS {
                let reason = format!(
                    "every_seconds × times is {} s, expected at most {LONGEST_WAIT_SECONDS}",
                    polls.seconds()
                );
                return Err(PolicyError::at(format!("{path}.{field}"), reason));
            }
        }
        let (path, verify) = (format!("{path}.verify"), &self.verify);
        within(format!("{path}.creation_hours"), verify.creation_hours, 1, 48)?;
        within(format!("{path}.copy_hours"), verify.copy_hours, 1, 168)?;
        within(format!("{path}.least_percent"), verify.least_percent, 1, 100)?;
        within(format!("{path}.most_percent"), verify.most_percent, 100, 10_000)
    }
}

impl BackupAudit {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        within(format!("{path}.snapshot_hours"), self.snapshot_hours, 1, 168)?;
        within(format!("{path}.point_in_time_minutes"), self.point_in_time_minutes, 1, 1440)?;
        within(format!("{path}.certificate_days"), self.certificate_days, 1, 365)?;
        within(format!("{path}.engine_support_days"), self.engine_support_days, 1, 730)?;
        within(format!("{path}.incomplete_upload_days"), self.incomplete_upload_days, 1, 365)?;
        within(format!("{path}.uploads_hours"), self.uploads_hours, 1, 720)?;
        within(format!("{path}.grafana_days"), self.grafana_days, 1, 366)?;
        if self.business_hours.from >= self.business_hours.to || self.business_hours.to > 24 {
            let reason = "expected two hours from 0 to 24, the second later than the first";
            return Err(PolicyError::at(format!("{path}.business_hours"), reason));
        }
        if window(&self.backup_window).is_none() {
            let reason = "expected two times of day in UTC, at least 30 minutes apart: 05:00-06:00";
            return Err(PolicyError::at(format!("{path}.backup_window"), reason));
        }
        for (index, account) in self.shared_with.iter().enumerate() {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                let reason = "expected the twelve digits of an account ID";
                return Err(PolicyError::at(format!("{path}.shared_with[{index}]"), reason));
            }
        }
        let expiring = &self.expiring_prefixes;
        for (bucket, prefixes) in [("attachments", &expiring.attachments), ("uploads", &expiring.uploads)] {
            for (index, prefix) in prefixes.iter().enumerate() {
                if !is_line(prefix, 1024) {
                    let reason = "expected the beginning of a key, one line of at most 1024 characters";
                    return Err(PolicyError::at(
                        format!("{path}.expiring_prefixes.{bucket}[{index}]"),
                        reason,
                    ));
                }
            }
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            if is_line(&exception.rule, 200) && !BACKUP_RULES.lines().any(|rule| rule == exception.rule) {
                let reason = format!("unknown rule {}", exception.rule);
                return Err(PolicyError::at(format!("{path}.exceptions[{index}].rule"), reason));
            }
            let fields = [
                ("rule", &exception.rule),
                ("resource", &exception.resource),
                ("reason", &exception.reason),
                ("owner", &exception.owner),
            ];
            for (field, text) in fields {
                if !is_line(text, 200) {
                    let reason = "expected one line of at most 200 characters";
                    return Err(PolicyError::at(format!("{path}.exceptions[{index}].{field}"), reason));
                }
            }
        }
        Ok(())
    }
}

/// Start and end of an RDS window `hh:mm-hh:mm`, in minutes of the day; none if it is malformed or shorter than the
/// half hour that RDS requires.
pub fn window(text: &str) -> Option<(u16, u16)> {
    let minute = |time: &str| {
        let (hour, minute) = time.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        let is_written_out = time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        (time.len() == 5 && is_written_out && hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    ((to + 1440 - from) % 1440 >= 30).then_some((from, to))
}
