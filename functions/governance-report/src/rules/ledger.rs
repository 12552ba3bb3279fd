//! The rotation sheet: the last rotation of each secret, from the ledger, and the secrets that have none, from the audit.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use shared::audit::findings::about_of;
use shared::policy::Policy;

use super::view::{Open, Secret, State};

/// The fields of the ledger's rows that the sheet shows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub(crate) struct Row {
    pub secret: String,
    pub arn: String,
    pub key: String,
    pub reason: String,
    pub by: Option<String>,
    pub ended: Timestamp,
    /// `proved`, `unproved`, `rolled back` or `failed`.
    pub outcome: String,
    pub next_due: Option<Timestamp>,
}

/// The sheet, sorted by state and name. `rows` are the ledger's, newest first; `open` are the findings of `rotation-audit` at
/// `audited_at`, of which a later rotation cures those about age; `key_of` names the application's variable of a secret that the ledger does not have.
pub(crate) fn sheet(
    rows: &[Row],
    (open, audited_at): (&[Open], Option<Timestamp>),
    key_of: impl Fn(&str) -> &str,
    policy: &Policy,
    now: Timestamp,
) -> Vec<Secret> {
    let ahead_days = policy.report.ahead_days;
    let mut newest: BTreeMap<&str, &Row> = BTreeMap::new();
    // By name: a secret that was made anew has another ARN.
    for row in rows {
        newest.entry(row.secret.as_str()).or_insert(row);
    }
    let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
    for row in newest.into_values() {
        let owners = policy.secret_responsible(&row.key);
        let secret = Secret {
            secret: row.secret.clone(),
            key: row.key.clone(),
            procedure: procedure(&row.key, policy).to_owned(),
            state: state(row, ahead_days, now),
            rotated: Some(row.ended),
            outcome: row.outcome.clone(),
            reason: row.reason.clone(),
            by: row.by.clone().unwrap_or_default(),
            next_due: row.next_due,
            owner: owners.primary.clone(),
            backup: owners.backup.clone(),
        };
        secrets.insert(row.secret.clone(), secret);
    }
    for (kind, name) in
        open.iter().map(|open| (open.key.split(' ').next().unwrap_or_default(), about_of(&open.key)))
    {
        let Some(found) = found(kind).filter(|_| !name.is_empty()) else { continue };
        let secret = secrets.entry(name.to_owned()).or_insert_with(|| {
            let key = key_of(name);
            let owners = policy.secret_responsible(key);
            Secret {
                secret: name.to_owned(),
                key: key.to_owned(),
                procedure: procedure(key, policy).to_owned(),
                state: State::Ok,
                owner: owners.primary.clone(),
                backup: owners.backup.clone(),
                ..Secret::default()
            }
        });
        let is_of_age = ["Overdue", "RotationLate", "DueSoon", "NeverRotated"].contains(&kind);
        if !(is_of_age && secret.rotated.is_some_and(|rotated| Some(rotated) > audited_at)) {
            secret.state = secret.state.min(found);
        }
    }
    let mut secrets: Vec<_> = secrets.into_values().collect();
    secrets.sort_by(|one, other| (one.state, &one.secret).cmp(&(other.state, &other.secret)));
    secrets
}

/// The procedure that rotates a secret; empty for one that the policy does not have.
fn procedure(key: &str, policy: &Policy) -> &'static str {
    match key {
        _ if policy.rotation.is_database(key) => "rotate-database",
        "NOTIFICATIONS_EMAIL_SES" | "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN" | "SEED_ADMIN_PASSWORD" => {
            "rotate-external"
        }
        _ if policy.rotation.secrets.get(key).is_some_and(|entry| entry.random.is_some()) => "rotate-random",
        _ => "",
    }
}

fn state(row: &Row, ahead_days: u16, now: Timestamp) -> State {
    let by_outcome = match row.outcome.as_str() {
        "proved" => State::Ok,
        // The new value is in use as far as it could be proved.
        "unproved" => State::Unknown,
        _ => State::Failing,
    };
    let ahead = SignedDuration::from_hours(24 * i64::from(ahead_days));
    let by_age = match row.next_due {
        None => State::Unknown,
        Some(due) if due < now => State::Overdue,
        Some(due) if due.duration_since(now) <= ahead => State::Due,
        Some(_) => State::Ok,
    };
    by_outcome.min(by_age)
}

/// What a finding of `rotation-audit` says about its secret.
fn found(kind: &str) -> Option<State> {
    match kind {
        "Overdue" | "RotationLate" => Some(State::Overdue),
        "StuckPending" | "Missing" | "Empty" | "WidePolicy" | "RotationOff" | "IamLoginOff" => {
            Some(State::Failing)
        }
        "InsufficientData" | "NoPolicy" | "NeverRotated" => Some(State::Unknown),
        "DueSoon" => Some(State::Due),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + 86_400 * days).unwrap()
    }

    fn row(arn: &str, key: &str, outcome: &str, due: Option<i64>) -> Row {
        Row {
            secret: format!("/moveongs/dev/{arn}"),
            arn: arn.to_owned(),
            key: key.to_owned(),
            outcome: outcome.to_owned(),
            ended: at(-10),
            next_due: due.map(at),
            ..Row::default()
        }
    }

    #[test]
    fn a_secret_is_as_good_as_its_outcome_and_its_age() {
        for (outcome, due, expected) in [
            ("proved", Some(80), State::Ok),
            ("proved", Some(15), State::Ok),
            ("proved", Some(14), State::Due),
            ("proved", Some(0), State::Due),
            ("proved", Some(-1), State::Overdue),
            ("proved", None, State::Unknown),
            ("unproved", Some(80), State::Unknown),
            ("unproved", Some(-1), State::Overdue),
            ("rolled back", Some(80), State::Failing),
            ("failed", Some(-1), State::Failing),
        ] {
            assert_eq!(
                state(&row("a", "JWT_SECRET", outcome, due), 14, at(0)),
                expected,
                "{outcome} {due:?}"
            );
        }
    }

    fn key_of(name: &str) -> &str {
        if name == "/moveongs/dev/webhook" { "NOTIFICATIONS_WEBHOOK_SECRET" } else { name }
    }

    #[test]
    fn the_newest_rotation_counts_and_the_audit_adds_what_the_ledger_lacks() {
        let policy: Policy = "".parse().unwrap();
        // Made anew: another ARN, the same name.
        let before = Row { arn: "old".to_owned(), ..row("jwt", "JWT_SECRET", "failed", Some(-80)) };
        let rows = [
            row("jwt", "JWT_SECRET", "proved", Some(80)),
            before,
            row("db", "DATABASE_URL", "proved", Some(80)),
            row("twilio", "NOTIFICATIONS_WHATSAPP_TWILIO_AUTH_TOKEN", "proved", Some(80)),
        ];
        let open = |key: &str| Open { key: key.to_owned(), ..Open::default() };
        let open = [
            open("Overdue /moveongs/dev/db"),
            open("NeverRotated /moveongs/dev/new"),
            open("Overdue /moveongs/dev/webhook"),
            open("TagsMissing /moveongs/dev/jwt"),
            open("TagsMissing /moveongs/dev/other"),
        ];
        let audited = |audited_at| sheet(&rows, (&open, Some(at(audited_at))), key_of, &policy, at(0));
        // A rotation after the audit cures the age that it found.
        let state = |sheet: &[Secret]| {
            let found = sheet.iter().find(|secret| secret.secret.ends_with("/db"));
            found.map(|secret| secret.state)
        };
        assert_eq!(state(&audited(-11)), Some(State::Ok));
        let sheet = audited(-10);
        let shown: Vec<_> = sheet
            .iter()
            .map(|secret| {
                (secret.secret.trim_start_matches("/moveongs/dev/"), secret.state, secret.procedure.as_str())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("db", State::Overdue, "rotate-database"),
                ("webhook", State::Overdue, "rotate-random"),
                ("new", State::Unknown, ""),
                ("jwt", State::Ok, "rotate-random"),
                ("twilio", State::Ok, "rotate-external"),
            ]
        );
        assert_eq!((sheet[0].owner.as_str(), sheet[3].owner.as_str()), ("Squad Dados", "Squad Infra"));
    }

    #[test]
    fn the_ledger_of_bc640d8_is_read() {
        let recorded = include_str!("../../../../tests/recorded/rotation-ledger.json");
        let rows: Vec<Row> = serde_json::from_str(recorded).unwrap();
        assert_eq!((rows[0].key.as_str(), rows[0].outcome.as_str()), ("JWT_SECRET", "failed"));
        assert!(rows[0].next_due.is_some());
    }
}
