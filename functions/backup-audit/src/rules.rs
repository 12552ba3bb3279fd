//! The rules: what is checked, why, how bad it is, and what mends it. No I/O, no clock.

pub(crate) mod application;
pub(crate) mod plans;
pub(crate) mod rds;
pub(crate) mod s3;
pub(crate) mod terraform;
#[cfg(test)]
pub(crate) mod tests;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use shared::policy::{BackupAudit, Exception};
use shared::runtime::failure::CallError;
use shared::runtime::language::Language;

use crate::facts::Lock;

/// How bad a violation is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Severity {
    /// To be mended some day.
    Low,
    /// To be mended this month.
    Medium,
    /// To be mended this week.
    High,
    /// Somebody is woken: there is no backup, or strangers can read it.
    Critical,
}

impl Severity {
    /// The word in reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a rule is, whatever it looks at.
#[derive(Debug)]
pub(crate) struct Meta {
    /// Stable: exceptions, repairs and reports name it.
    pub id: &'static str,
    pub severity: Severity,
    /// Section of the guide, or of the application's facts where the guide is silent.
    pub guide: &'static str,
    /// What is looked at, in Portuguese and in English.
    pub title: [&'static str; 2],
    /// Why, in Portuguese and in English.
    pub why: [&'static str; 2],
}

impl Meta {
    /// What is looked at.
    pub(crate) fn title(&self, language: Language) -> &'static str {
        language.pick(self.title[0], self.title[1])
    }

    /// Why it matters.
    pub(crate) fn why(&self, language: Language) -> &'static str {
        language.pick(self.why[0], self.why[1])
    }

    /// The service whose reading the rule depends on.
    pub(crate) fn service(&self) -> &'static str {
        service(self.id)
    }

    /// Whether a verdict shows that the service was read.
    pub(crate) fn shows_reading(&self) -> bool {
        !OF_THE_STACK.contains(&self.id)
    }
}

/// Rules that are judged by what the stack, its policy or a list of names says: a service of which nothing else is known is
/// dark all the same.
const OF_THE_STACK: [&str; 4] =
    ["audit.exception-expired", "grafana.declared", "terraform.state", "uploads.declared"];

/// The service whose reading a rule depends on: what stands before the point of its id, where that is read by itself.
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
    /// What is true of a resource; none when the rule is not for it.
    pub check: fn(&T, &Context<'_>) -> Option<Verdict>,
    /// The exact command, or the exact place, that mends it.
    pub command: fn(&T, &Context<'_>) -> String,
}

/// What rules measure by.
pub(crate) struct Context<'a> {
    pub project: &'a str,
    pub environment: &'a str,
    pub account: &'a str,
    pub policy: &'a BackupAudit,
    /// Least retention of this environment's automated backups; none when the policy does not know the environment.
    pub retention_days: Option<u16>,
    pub noncurrent_days: u16,
    /// ARN of the application's key; none when it is not told, and then no rule asks for it.
    pub key: Option<&'a str>,
    /// The environment's own instance or cluster.
    pub database: &'a str,
    pub cluster: &'a str,
    /// What the stack gives the evidence bucket.
    pub evidence_lock: &'a Lock,
    pub attachments: &'a str,
    /// Object that the on-prem synchronisation writes at its end.
    pub marker: &'a str,
    pub now: Timestamp,
}

impl Context<'_> {
    /// Whether a cluster's name says that it is this environment's. Its instances are named after it, so that it may have the
    /// beginning alone.
    pub(crate) fn is_cluster(&self, name: &str) -> bool {
        self.is_named(name) || name == format!("{}-{}", self.project, self.environment)
    }

    /// Whether a name says that something is this environment's.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        name.strip_prefix(self.project)
            .and_then(|rest| rest.strip_prefix('-')?.strip_prefix(self.environment))
            .is_some_and(|rest| rest.starts_with('-'))
    }
}

/// What is true of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The rule holds.
    Pass,
    /// It does not; in the words of AWS's API, which are the same in both languages.
    Fail {
        /// What is.
        found: String,
        /// What should be.
        expected: String,
    },
    /// It cannot be said, and why.
    Unknown(String),
    /// It does not hold, and somebody has accepted that until a day.
    Excepted {
        /// What is.
        found: String,
        /// What should be.
        expected: String,
        /// Who answers for it, why and until when.
        exception: Exception,
    },
}

impl Verdict {
    /// The word in reports.
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

    /// That a part of an answer is missing.
    fn untold(field: &str) -> Self {
        Self::Unknown(format!("the answer of AWS has no {field}"))
    }

    fn of(holds: bool, found: impl Into<String>, expected: impl Into<String>) -> Self {
        if holds { Self::Pass } else { Self::fail(found, expected) }
    }
}

/// One rule's verdict on one resource.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub rule: &'static Meta,
    /// Name, as people call it.
    pub resource: String,
    pub arn: String,
    pub verdict: Verdict,
    /// What to run; empty where the rule holds.
    pub command: String,
}

impl Row {
    /// What makes the rows of two runs the same one.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.rule.id, self.resource)
    }
}

/// Every rule's verdict on a resource that was seen.
pub(crate) fn judge<T>(
    rules: &'static [Rule<T>],
    (name, arn): (&str, &str),
    resource: &T,
    context: &Context<'_>,
) -> Vec<Row> {
    let row = |rule: &'static Rule<T>| {
        let verdict = accept((rule.check)(resource, context)?, rule.meta.id, name, context);
        let command = if matches!(verdict, Verdict::Fail { .. } | Verdict::Excepted { .. }) {
            (rule.command)(resource, context)
        } else {
            String::new()
        };
        Some(Row { rule: &rule.meta, resource: name.to_owned(), arn: arn.to_owned(), verdict, command })
    };
    rules.iter().filter_map(row).collect()
}

/// The verdict on what the stack names, or should.
pub(crate) fn declared(
    rule: &'static Meta,
    resource: &str,
    is_there: bool,
    (found, command): (&str, &str),
    context: &Context<'_>,
) -> Row {
    let verdict = Verdict::of(is_there, found, "exists");
    Row {
        rule,
        resource: resource.to_owned(),
        arn: String::new(),
        verdict: accept(verdict, rule.id, resource, context),
        command: if is_there { String::new() } else { command.to_owned() },
    }
}

/// A violation that the policy excepts today is told apart from one that it does not.
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

/// Whether a name is the pattern, or begins with it where it ends in `*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// The verdict of a check on something that may not have been read.
fn seen<T>(fact: &Result<T, CallError>, check: impl FnOnce(&T) -> Verdict) -> Verdict {
    match fact {
        Ok(fact) => check(fact),
        Err(error) => Verdict::Unknown(error.to_string()),
    }
}

/// The verdict on a switch that must be on, or off.
fn switch(found: Option<bool>, field: &str, wanted: bool) -> Verdict {
    match found {
        None => Verdict::untold(field),
        Some(found) => Verdict::of(found == wanted, format!("{field} {found}"), format!("{field} {wanted}")),
    }
}

/// An instant as the API writes it.
fn utc(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The rules of coverage and of the policy itself, which are about the audit and not about a resource.
pub(crate) static UNSEEN: Meta = Meta {
    id: "audit.coverage",
    severity: Severity::High,
    guide: "2",
    title: ["cobertura da auditoria", "coverage of the audit"],
    why: ["o que não foi lido não está verificado", "what was not read is not verified"],
};

/// An exception whose day is over.
pub(crate) static EXPIRED: Meta = Meta {
    id: "audit.exception-expired",
    severity: Severity::Medium,
    guide: "2",
    title: ["exceção vencida na política", "exception of the policy that has expired"],
    why: [
        "uma exceção vale até a data combinada; depois, ou se corrige, ou se renova",
        "an exception holds until the day that was agreed; then it is mended or renewed",
    ],
};

/// The exceptions that have expired.
pub(crate) fn expired(context: &Context<'_>) -> Vec<Row> {
    let today = context.now.to_zoned_datetime(shared::runtime::time::SAO_PAULO).date();
    let row = |exception: &Exception| Row {
        rule: &EXPIRED,
        resource: format!("{} {}", exception.rule, exception.resource),
        arn: String::new(),
        verdict: Verdict::fail(
            format!("until {} ({})", exception.until, exception.owner),
            format!("today, {today}, or later"),
        ),
        command: "cargo xtask policy apply (backups.audit.exceptions)".to_owned(),
    };
    context.policy.exceptions.iter().filter(|exception| exception.until < today).map(row).collect()
}

/// Every rule that there is.
pub(crate) fn all() -> impl Iterator<Item = &'static Meta> {
    let instances = rds::INSTANCE.iter().map(|rule| &rule.meta);
    let snapshots = rds::SNAPSHOT.iter().map(|rule| &rule.meta);
    let buckets = s3::BUCKET.iter().map(|rule| &rule.meta);
    let tables = terraform::TABLE.iter().map(|rule| &rule.meta);
    let services = application::SERVICE.iter().map(|rule| &rule.meta);
    let account = application::ACCOUNT.iter().map(|rule| &rule.meta);
    let protected = application::PROTECTED.iter().map(|rule| &rule.meta);
    let vaults = application::VAULT.iter().map(|rule| &rule.meta);
    let declared = [
        &s3::MISSING,
        &terraform::DECLARED_STATE,
        &terraform::DECLARED_LOCK,
        &s3::GRAFANA_DECLARED,
        &s3::UPLOADS_DECLARED,
        &UNSEEN,
        &EXPIRED,
        &rds::MISSING,
        &application::NO_SERVICE,
    ];
    let resources = instances.chain(snapshots).chain(buckets).chain(tables).chain(services);
    resources.chain(account).chain(protected).chain(vaults).chain(declared)
}
