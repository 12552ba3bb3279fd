//! Which records show a piece of work that a new person accompanied.

use jiff::Timestamp;
use jiff::civil::Date;
use shared::chain::Record;
use shared::policy::{Onboarding, Shadowing};
use shared::runtime::time;

use super::person::Person;

/// The procedures whose records count, with the item that they tick.
pub(crate) const PROCEDURES: [(&str, Shadowing); 4] = [
    ("snapshot-create", Shadowing::Deploy),
    ("rotation-followup", Shadowing::Deploy),
    ("restore-test", Shadowing::Restore),
    ("rotate-random", Shadowing::Rotation),
];

/// What decides beside the record.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The policy's settings.
    pub policy: &'a Onboarding,
    /// Environment of the stack.
    pub environment: &'a str,
    /// Name of the secret with `JWT_SECRET`.
    pub jwt_secret: &'a str,
    /// The present.
    pub now: Timestamp,
}

/// Why a record shows no work that counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Misfit {
    /// The run failed.
    Failed,
    /// The environment is none in which the work is an exercise.
    Environment(String),
    /// The record is about something else; what was expected.
    Subject(&'static str),
    /// The run began before the person did.
    Early(Date),
    /// The run began after the person left.
    Late(Date),
    /// The run has not begun.
    Future,
}

impl Misfit {
    /// The reason, for the person who asked.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Failed => "the run failed; expected one that succeeded".to_owned(),
            Self::Environment(environment) => format!(
                "{environment} is none of the policy's onboarding.test_environments; use the stack of one of them"
            ),
            Self::Subject(expected) => format!("expected {expected}"),
            Self::Early(start) => format!("the run began before the person did, on {start}"),
            Self::Late(left) => format!("the run began after the person left, on {left}"),
            Self::Future => "the run begins in the future".to_owned(),
        }
    }
}

/// A procedure whose records count, and the item that they tick; none if no item has the procedure.
pub(crate) fn known(procedure: &str) -> Option<(&'static str, Shadowing)> {
    PROCEDURES.into_iter().find(|(name, _)| *name == procedure)
}

/// Whether an intact record shows the work of an item during a person's onboarding.
pub(crate) fn fits(
    record: &Record<'_>,
    item: Shadowing,
    person: &Person,
    context: Context<'_>,
) -> Result<(), Misfit> {
    if record.result != "succeeded" {
        return Err(Misfit::Failed);
    }
    let is_exercise = context.policy.test_environments.iter().any(|name| name == context.environment);
    if item != Shadowing::Deploy && !is_exercise {
        return Err(Misfit::Environment(context.environment.to_owned()));
    }
    let has_step = |start: &str| record.steps.iter().any(|step| step.name.starts_with(start));
    let is_about = match (item, &*record.procedure) {
        // Only the end of a snapshot: its beginning has the same deploy.
        (Shadowing::Deploy, "snapshot-create") => record.run_id.ends_with("/available"),
        (Shadowing::Deploy, _) => has_step("deploy "),
        // Baselines, and instances that were removed later, are no restores.
        (Shadowing::Restore, _) => has_step("recovery: ") && !record.run_id.ends_with("/removed"),
        (Shadowing::Rotation, _) => {
            is_secret(&record.subject, context.jwt_secret) && !record.run_id.contains('/')
        }
    };
    if !is_about {
        return Err(Misfit::Subject(match item {
            Shadowing::Deploy => {
                "the record of a snapshot that is available before a deploy, or of a follow-up that deployed"
            }
            Shadowing::Restore => "the record of a restore test that restored a snapshot",
            Shadowing::Rotation => "the record of a rotation of JWT_SECRET",
        }));
    }
    let day = day(record.started);
    if day < person.start {
        return Err(Misfit::Early(person.start));
    }
    if let Some(left) = person.left.filter(|left| day >= *left) {
        return Err(Misfit::Late(left));
    }
    if record.started > context.now {
        return Err(Misfit::Future);
    }
    Ok(())
}

/// Whether an ARN is that of the secret with a name: its end is six random characters.
fn is_secret(arn: &str, name: &str) -> bool {
    let own = arn.split(":secret:").nth(1).and_then(|own| own.strip_prefix(name));
    own.and_then(|end| end.strip_prefix('-')).is_some_and(|end| end.len() == 6)
}

/// The day of an instant in São Paulo.
pub(crate) fn day(instant: Timestamp) -> Date {
    instant.to_zoned_datetime(time::SAO_PAULO).date()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::policy::Policy;

    use super::*;

    const JWT: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-AbCdEf";

    /// A record that counts.
    fn record(procedure: &str, run_id: &str, step: &str) -> Value {
        let at = json!({"utc": "2026-12-02T12:00:00Z", "local": "x"});
        json!({
            "schema": 1, "procedure": procedure, "sequence": 1, "previous": null, "run_id": run_id,
            "project": "moveongs", "environment": "dev", "trigger": "t", "subject": JWT,
            "started": at, "ended": at, "steps": [{"name": step, "at": at, "outcome": "succeeded"}],
            "findings": [], "result": "succeeded", "code_version": "c", "channel": "sent",
        })
    }

    fn judged(record: &Value, person: &Person, environment: &str) -> Result<(), Misfit> {
        let policy: Policy = "".parse().unwrap();
        let text = record.to_string();
        let record: Record<'_> = serde_json::from_str(&text).unwrap();
        let (_, item) = known(&record.procedure).unwrap();
        let now = "2026-12-03T12:00:00Z".parse().unwrap();
        let context =
            Context { policy: &policy.onboarding, environment, jwt_secret: "/moveongs/dev/jwt", now };
        fits(&record, item, person, context)
    }

    fn person() -> Person {
        Person { start: "2026-12-01".parse().unwrap(), ..Person::default() }
    }

    #[test]
    fn each_kind_of_work_has_its_records() {
        for (procedure, run_id, step, fits) in [
            ("snapshot-create", "moveongs-dev-db/123/available", "snapshot x", true),
            ("snapshot-create", "moveongs-dev-db/123/creating", "snapshot x", false),
            ("rotation-followup", "e", "deploy moveongs-dev-api", true),
            ("rotation-followup", "e", "prove JWT_SECRET", false),
            ("restore-test", "e", "recovery: instance", true),
            ("restore-test", "e", "table beneficiaries", false),
            ("restore-test", "e/removed", "recovery: instance", false),
            ("rotate-random", "token", "finishSecret", true),
            ("rotate-random", "token/setSecret/x/2026-12-02", "finishSecret", false),
        ] {
            let judged = judged(&record(procedure, run_id, step), &person(), "dev");
            assert_eq!(judged.is_ok(), fits, "{procedure} {run_id} {step}: {judged:?}");
            assert!(judged.is_ok() || matches!(judged, Err(Misfit::Subject(_))));
        }
        assert_eq!(known("backup-audit"), None);
        let mut other = record("rotate-random", "token", "x");
        for name in ["/moveongs/dev/jwt-2-AbCdEf", "/moveongs/dev/jw-AbCdEf", "/moveongs/dev/jwt-AbCdEfg"] {
            other["subject"] = format!("arn:aws:secretsmanager:us-east-1:1:secret:{name}").into();
            assert!(matches!(judged(&other, &person(), "dev"), Err(Misfit::Subject(_))), "{name}");
        }
    }

    #[test]
    fn a_failure_or_production_is_no_exercise() {
        let mut failed = record("restore-test", "e", "recovery: instance");
        failed["result"] = "failed".into();
        assert_eq!(judged(&failed, &person(), "dev"), Err(Misfit::Failed));
        for (procedure, step, fits) in [
            ("restore-test", "recovery: instance", false),
            ("rotate-random", "x", false),
            ("rotation-followup", "deploy x", true),
        ] {
            let judged = judged(&record(procedure, "e", step), &person(), "prod");
            assert_eq!(judged.is_ok(), fits, "{procedure}: {judged:?}");
        }
    }

    #[test]
    fn the_work_is_within_the_onboarding() {
        let mut record = record("rotate-random", "token", "x");
        let left = "2026-12-03".parse().unwrap();
        for (started, left, expected) in [
            // Still the day before in São Paulo.
            ("2026-12-01T02:59:59Z", None, Err(Misfit::Early(person().start))),
            ("2026-12-01T03:00:00Z", None, Ok(())),
            ("2026-12-03T02:59:59Z", Some(left), Ok(())),
            ("2026-12-03T03:00:00Z", Some(left), Err(Misfit::Late(left))),
            ("2026-12-03T12:00:00Z", None, Ok(())),
            ("2026-12-03T12:00:01Z", None, Err(Misfit::Future)),
        ] {
            record["started"]["utc"] = started.into();
            assert_eq!(judged(&record, &Person { left, ..person() }, "dev"), expected, "{started}");
        }
    }
}
