//! Rules, verdicts and rows for all kinds of resources.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use shared::policy::{BackupAudit, Exception};
use shared::run::command::Command;
use shared::runtime::failure::CallError;
use shared::runtime::language::Language;

use crate::rules::facts::Lock;

/// Severity of a violation: how soon it must be fixed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Severity {
    /// Some day.
    Low,
    /// Within a month.
    Medium,
    /// Within a week.
    High,
    /// Now; pages the on-call engineer: a backup does not exist, or strangers can read it.
    Critical,
}

impl Severity {
    /// Its word in reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Description of a rule, for any kind of resource.
#[derive(Debug)]
pub(crate) struct Meta {
    /// Stable: exceptions, repairs and reports use it.
    pub id: &'static str,
    pub severity: Severity,
    /// Section of the guide, or of the application's facts if the guide is silent.
    pub guide: &'static str,
    /// Subject of the rule, in Portuguese and in English.
    pub title: [&'static str; 2],
    /// Reason for the rule, in Portuguese and in English.
    pub why: [&'static str; 2],
}

impl Meta {
    /// Subject of the rule.
    pub(crate) fn title(&self, language: Language) -> &'static str {
        language.pick(self.title[0], self.title[1])
    }

    /// Reason for the rule.
    pub(crate) fn why(&self, language: Language) -> &'static str {
        language.pick(self.why[0], self.why[1])
    }

    /// The service that must be read for the rule.
    pub(crate) fn service(&self) -> &'static str {
        service(self.id)
    }

    /// Whether a verdict proves that the service was read.
    pub(crate) fn proves_reading(&self) -> bool {
        !OF_THE_STACK.contains(&self.id)
    }
}

/// Rules about the stack's own settings, its policy or a list of names. Their verdicts do not prove that a service was
/// read.
const OF_THE_STACK: [&str; 4] =
    ["audit.exception-expired", "grafana.declared", "terraform.state", "uploads.declared"];

/// The service that must be read for a rule: the first segment of its id, unless that is part of another service.
pub(crate) fn service(rule: &str) -> &str {
    match rule.split('.').next().unwrap_or(rule) {
        "grafana" | "uploads" => "s3",
        "iam" => "ecs",
        service => service,
    }
}

/// One rule for one kind of resource.
pub(crate) struct Rule<T: 'static> {
    pub meta: Meta,
    /// Judges a resource; none if the rule does not apply to it.
    pub check: fn(&T, &Context<'_>) -> Option<Verdict>,
    /// The exact command that fixes it, or the exact place to do so.
    pub command: fn(&T, &Context<'_>) -> Command,
}

/// Measures and settings that rules compare with.
pub(crate) struct Context<'a> {
    pub project: &'a str,
    pub environment: &'a str,
    pub account: &'a str,
    pub policy: &'a BackupAudit,
    /// Least retention of this environment's automated backups; none if the policy does not list the environment.
    pub retention_days: Option<u16>,
    pub noncurrent_days: u16,
    /// ARN of the application's key; none if the stack does not have it, and then no rule requires it.
    pub key: Option<&'a str>,
    /// Name of the environment's own instance or cluster.
    pub database: &'a str,
    pub cluster: &'a str,
    /// Default retention that the stack sets on the evidence bucket.
    pub evidence_lock: &'a Lock,
    pub attachments: &'a str,
    /// Object that the on-prem synchronisation writes at its end.
    pub marker: &'a str,
    pub now: Timestamp,
}

impl Context<'_> {
    /// Whether a cluster belongs to this environment by its name. Its instances have names that extend it, so it may be
    /// just `project-environment`.
    pub(crate) fn is_cluster(&self, name: &str) -> bool {
        self.is_named(name) || name == format!("{}-{}", self.project, self.environment)
    }

    /// Whether a resource belongs to this environment by its name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        name.strip_prefix(self.project)
            .and_then(|rest| rest.strip_prefix('-')?.strip_prefix(self.environment))
            .is_some_and(|rest| rest.starts_with('-'))
    }
}

/// A rule's verdict on a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The rule holds.
    Pass,
    /// The rule is broken. The texts use the names of AWS's API, which are the same in both languages.
    Fail {
        /// Present state.
        found: String,
        /// Required state.
        expected: String,
    },
    /// A fact could not be read or understood; the reason.
    Unknown(String),
    /// The rule is broken, and the policy accepts that until a date.
    Excepted {
        /// Present state.
        found: String,
        /// Required state.
        expected: String,
        /// Owner, reason and end.
        exception: Exception,
    },
}

impl Verdict {
    /// Its word in reports.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail { .. } => "fail",
            Self::Unknown(_) => "unknown",
            Self::Excepted { .. } => "excepted",
        }
    }

    pub(crate) fn fail(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Fail { found: found.into(), expected: expected.into() }
    }

    /// Verdict if AWS's answer lacks a field.
    pub(crate) fn missing(field: &str) -> Self {
        Self::Unknown(format!("AWS's answer has no {field}"))
    }

    pub(crate) fn of(holds: bool, found: impl Into<String>, expected: impl Into<String>) -> Self {
        if holds { Self::Pass } else { Self::fail(found, expected) }
    }
}

/// One rule's verdict on one resource.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub rule: &'static Meta,
    /// Name that people use.
    pub resource: String,
    pub arn: String,
    pub verdict: Verdict,
    /// Command to run, or place to look; none if the rule holds or is not known to be broken.
    pub command: Option<Command>,
}

impl Row {
    /// Identity of the row across runs.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.rule.id, self.resource)
    }

    /// Its command as text; empty if there is none.
    pub(crate) fn next_step(&self) -> String {
        self.command.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// Judges a resource by every rule that applies to it.
pub(crate) fn judge<T>(
    rules: &'static [Rule<T>],
    (name, arn): (&str, &str),
    resource: &T,
    context: &Context<'_>,
) -> Vec<Row> {
    let row = |rule: &'static Rule<T>| {
        let verdict = accept((rule.check)(resource, context)?, rule.meta.id, name, context);
        let command = matches!(verdict, Verdict::Fail { .. } | Verdict::Excepted { .. })
            .then(|| (rule.command)(resource, context));
        Some(Row { rule: &rule.meta, resource: name.to_owned(), arn: arn.to_owned(), verdict, command })
    };
    rules.iter().filter_map(row).collect()
}

/// The verdict on a resource that the stack must name, or that must exist.
pub(crate) fn declared(
    rule: &'static Meta,
    resource: &str,
    exists: bool,
    (found, command): (&str, &Command),
    context: &Context<'_>,
) -> Row {
    let verdict = Verdict::of(exists, found, "exists");
    Row {
        rule,
        resource: resource.to_owned(),
        arn: String::new(),
        verdict: accept(verdict, rule.id, resource, context),
        command: (!exists).then(|| command.clone()),
    }
}

/// Turns a violation into [`Verdict::Excepted`] if the policy accepts it today.
pub(crate) fn accept(verdict: Verdict, rule: &str, resource: &str, context: &Context<'_>) -> Verdict {
    let Verdict::Fail { found, expected } = verdict else { return verdict };
    let today = context.now.to_zoned_datetime(shared::runtime::time::SAO_PAULO).date();
    let excepts = |exception: &&Exception| {
        exception.rule == rule && matches(&exception.resource, resource) && today <= exception.until
    };
    match context.policy.exceptions.iter().find(excepts) {
        Some(exception) => Verdict::Excepted { found, expected, exception: exception.clone() },
        None => Verdict::Fail { found, expected },
    }
}

/// Whether a name equals the pattern, or starts with it if it ends in `*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// Checks a fact, or reports that it could not be read.
pub(crate) fn seen<T>(fact: &Result<T, CallError>, check: impl FnOnce(&T) -> Verdict) -> Verdict {
    match fact {
        Ok(fact) => check(fact),
        Err(error) => Verdict::Unknown(error.to_string()),
    }
}

/// Checks a switch that must be on or off.
pub(crate) fn switch(found: Option<bool>, field: &str, wanted: bool) -> Verdict {
    match found {
        None => Verdict::missing(field),
        Some(found) => Verdict::of(found == wanted, format!("{field} {found}"), format!("{field} {wanted}")),
    }
}

/// An instant in the API's notation.
pub(crate) fn utc(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    //! Table tests of rules, for all kinds of resources.

    use std::sync::LazyLock;

    use Case::{Broken, Dark, Edge, Holds};
    use jiff::SignedDuration;
    use serde_json::json;
    use shared::policy::Policy;

    use super::*;
    use crate::rules::facts::Seen;

    pub(crate) const DB: &str = "moveongs-prod-db";
    pub(crate) const CLUSTER: &str = "moveongs-prod";
    pub(crate) const FILES: &str = "moveongs-prod-attachments";
    pub(crate) const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/0b1c";

    /// 9:00 in São Paulo.
    const NOW: &str = "2026-11-26T12:00:00Z";

    static POLICY: LazyLock<BackupAudit> = LazyLock::new(|| {
        audit(
            json!({"multi_az": ["prod"], "shared_with": ["444455556666"], "variables": ["ANTIVIRUS_*", "KEY"]}),
        )
    });

    static EVIDENCE_LOCK: LazyLock<Lock> =
        LazyLock::new(|| Lock { mode: "GOVERNANCE".to_owned(), days: 365 });

    /// The default policy with some settings changed.
    pub(crate) fn audit(changed: serde_json::Value) -> BackupAudit {
        let policy: Policy = json!({"backups": {"audit": changed}}).to_string().parse().unwrap();
        policy.backups.audit
    }

    pub(crate) fn context() -> Context<'static> {
        Context {
            project: "moveongs",
            environment: "prod",
            account: "111122223333",
            policy: &POLICY,
            retention_days: Some(30),
            noncurrent_days: 30,
            key: Some(KEY),
            database: DB,
            cluster: "moveongs-prod-cluster",
            evidence_lock: &EVIDENCE_LOCK,
            attachments: FILES,
            marker: ".moveongs-sync",
            now: NOW.parse().unwrap(),
        }
    }

    pub(crate) fn ago(seconds: i64) -> Timestamp {
        context().now - SignedDuration::from_secs(seconds)
    }

    pub(crate) fn unread<T>() -> Seen<T> {
        let code = "AccessDenied".to_owned();
        Err(CallError { operation: "x:Get", code, message: "not authorized".to_owned() })
    }

    /// Seconds.
    pub(crate) const HOUR: i64 = 3600;
    pub(crate) const DAY: i64 = 24 * HOUR;

    pub(crate) fn case(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    /// Kind of a table's row.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Case {
        Holds,
        Broken,
        /// The rule cannot be evaluated.
        Dark,
        /// At a limit, or for a plain switch, at the edge of the resources that the rule applies to. The verdict's
        /// word, or `-` if the rule does not apply.
        Edge(&'static str),
    }

    impl Case {
        fn word(self) -> &'static str {
            match self {
                Holds => "pass",
                Broken => "fail",
                Dark => "unknown",
                Edge(word) => word,
            }
        }

        pub(crate) fn kind(self) -> &'static str {
            match self {
                Holds => "holds",
                Broken => "broken",
                Dark => "dark",
                Edge(_) => "edge",
            }
        }
    }

    /// A rule, a case, and the change that turns a resource on which every rule holds into that case.
    pub(crate) type Rows<T> = &'static [(&'static str, Case, fn(&mut T))];

    /// Changes a resource, judges it, and returns one rule's row.
    pub(crate) fn row<T: Clone>(
        rules: &'static [Rule<T>],
        id: &str,
        name: &str,
        base: &T,
        change: impl Fn(&mut T),
        context: &Context<'_>,
    ) -> Option<Row> {
        let mut resource = base.clone();
        change(&mut resource);
        judge(rules, (name, "arn"), &resource, context).into_iter().find(|row| row.rule.id == id)
    }

    pub(crate) fn word(row: Option<&Row>) -> &'static str {
        row.map_or("-", |row| row.verdict.word())
    }

    /// Whether an operator can run the command, or it names the place to check.
    pub(crate) fn can_be_run(command: &str) -> bool {
        ["aws ", "echo '{", "while [ \"$(aws ", "# docs/", "# infra/terraform", "# template.yaml"]
            .iter()
            .any(|prefix| command.starts_with(prefix))
    }

    /// Checks a table; every command contains `name`.
    pub(crate) fn check<T: Clone>(rules: &'static [Rule<T>], name: &str, base: &T, rows: Rows<T>) {
        for row in judge(rules, (name, "arn"), base, &context()) {
            assert_eq!(
                row.verdict,
                Verdict::Pass,
                "{} of the resource on which every rule holds",
                row.rule.id
            );
        }
        for (index, (id, case, change)) in rows.iter().enumerate() {
            let row = row(rules, id, name, base, change, &context());
            assert_eq!(word(row.as_ref()), case.word(), "row {index}: {id} {case:?}: {row:?}");
            let Some(row) = row else { continue };
            match &row.verdict {
                Verdict::Fail { found, expected } => {
                    assert!(!found.is_empty() && !expected.is_empty() && found != expected, "{row:?}");
                    assert!(can_be_run(&row.next_step()), "{row:?}");
                    // These commands are about the role or the account.
                    assert!(
                        row.next_step().contains(name)
                            || row.rule.id == "iam.object-versions"
                            || row.rule.service() == "account",
                        "{row:?}"
                    );
                }
                Verdict::Unknown(why) => assert!(!why.is_empty() && row.command.is_none(), "{row:?}"),
                _ => assert!(row.command.is_none(), "{row:?}"),
            }
        }
    }
}
