//! Logs of engines, and the end of a version's standard support.

use jiff::{SignedDuration, Timestamp};
use shared::command;

use super::command::modify;
use super::state::owns_backups;
use crate::rules::facts::Instance;
use crate::rules::rule::{Context, Meta, Rule, Severity, Verdict, seen, utc};

pub(super) const LOG_EXPORTS: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.log-exports",
        severity: Severity::Low,
        guide: "app 7",
        title: ["logs do banco no CloudWatch", "the database's logs in CloudWatch"],
        why: [
            "sem eles uma falha de backup ou de login não tem rastro",
            "without them a failed backup or login leaves no trace",
        ],
    },
    check: |instance, _| {
        if !owns_backups(instance) {
            return None;
        }
        let Some(engine) = &instance.engine else { return Some(Verdict::missing("Engine")) };
        let log = log_of(engine)?;
        let found = instance.log_exports.join(",");
        let exports = instance.log_exports.iter().any(|export| export == log);
        Some(match &instance.status {
            None => Verdict::missing("DBInstanceStatus"),
            Some(_) => Verdict::of(exports, format!("EnabledCloudwatchLogsExports [{found}]"), log),
        })
    },
    command: |instance, _| {
        let log = instance.engine.as_deref().and_then(log_of).unwrap_or_default();
        modify(instance, &command!("--cloudwatch-logs-export-configuration EnableLogTypes={log}", log))
    },
};

pub(super) const ENGINE_SUPPORT: Rule<Instance> = Rule {
    meta: Meta {
        id: "rds.engine-support",
        severity: Severity::Medium,
        guide: "app 7",
        title: ["versão com suporte padrão", "version in standard support"],
        why: [
            "depois do fim do suporte não há correções, ou o suporte estendido é cobrado por vCPU e hora",
            "after the end of support there are no fixes, or extended support is billed by vCPU and hour",
        ],
    },
    check: engine_support,
    command: |db, _| {
        command!(
            "aws rds describe-db-engine-versions --engine {engine} --engine-version {version} --query 'DBEngineVersions[0].ValidUpgradeTarget[?IsMajorVersionUpgrade].EngineVersion'  # docs/backups.md#regras: {name}",
            engine = db.engine.as_deref().unwrap_or("…"),
            version = db.version.as_deref().unwrap_or("…"),
            name = db.name
        )
    },
};

/// The log in which an engine records failed logins and starts; none if unknown.
pub(super) fn log_of(engine: &str) -> Option<&'static str> {
    match engine {
        "postgres" | "aurora-postgresql" => Some("postgresql"),
        "mysql" | "aurora-mysql" | "mariadb" => Some("error"),
        engine if engine.starts_with("sqlserver-") => Some("error"),
        engine if engine.starts_with("oracle-") => Some("alert"),
        _ => None,
    }
}

pub(super) fn engine_support(db: &Instance, context: &Context<'_>) -> Option<Verdict> {
    if !owns_backups(db) {
        return None;
    }
    let days = context.policy.engine_support_days;
    let engine = format!("{} {}", db.engine.as_deref().unwrap_or("?"), db.version.as_deref().unwrap_or("?"));
    match &db.supported_until {
        None => Some(Verdict::Unknown("the engine's versions were not read".to_owned())),
        // AWS only announces it for open-source engines.
        Some(Ok(None)) => None,
        Some(until) => Some(seen(until, |until| {
            let limit = SignedDuration::from_hours(24 * i64::from(days));
            let is_long = until.is_none_or(|until| until.duration_since(context.now) >= limit);
            let until = until.map(utc).unwrap_or_default();
            Verdict::of(is_long, format!("{engine}, standard support until {until}"), format!("≥ {days} d"))
        })),
    }
}

/// The end of a version's standard support, from its engine's major versions; the longest one that the version starts
/// with counts. None if no major version matches; `Some(None)` if AWS announces no end.
pub(crate) fn supported_until(
    version: &str,
    majors: &[(String, Option<Timestamp>)],
) -> Option<Option<Timestamp>> {
    let is_of = |major: &str| {
        version.strip_prefix(major).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = majors.iter().filter(|(major, _)| is_of(major)).max_by_key(|(major, _)| major.len());
    found.map(|(_, until)| *until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rule::tests::{DAY, ago};

    #[test]
    fn a_version_has_the_support_of_its_major_version() {
        let majors: Vec<_> = ["9", "9.6", "1", "13", "8.0"]
            .iter()
            .enumerate()
            .map(|(days, major)| ((*major).to_owned(), Some(ago(-DAY * i64::try_from(days).unwrap()))))
            .collect();
        for (version, expected) in [
            ("13.9", Some(3)),
            ("13", Some(3)),
            ("130.1", None),
            ("9.6.24", Some(1)),
            ("9.5", Some(0)),
            ("8.0.mysql_aurora.3.04.0", Some(4)),
            ("8.4.3", None),
            ("1.2", Some(2)),
        ] {
            let expected = expected.map(|days| Some(ago(-DAY * days)));
            assert_eq!(supported_until(version, &majors), expected, "{version}");
        }
        assert_eq!(supported_until("19.0.0", &[("19".to_owned(), None)]), Some(None));
    }
}
