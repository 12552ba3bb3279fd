//! The rotation ledger, as read by the functions that retire old credentials. The follow-up writes it.

use aws_sdk_s3::Client;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::aws::secrets::Listed;
use crate::command;
use crate::run::command::Command;
use crate::runtime::failure::CallError;
use crate::runtime::language::Language;
use crate::runtime::settings::Settings;

/// The fields of a row that these functions read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Row {
    /// ARN of the secret.
    pub arn: String,
    /// The version that became AWSCURRENT.
    pub version: String,
    /// The version it replaced.
    #[serde(default)]
    pub previous: Option<String>,
    /// Start of the follow-up: no task that it deployed is older.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// End of the follow-up.
    pub ended: Timestamp,
    /// `proved`, `unproved`, `rolled back` or `failed`.
    pub outcome: String,
    /// Services that were redeployed.
    pub services: Vec<String>,
    /// Readers that the deployment did not give the new version.
    #[serde(default)]
    pub pinned: Vec<String>,
    /// `scheduled`, `manual`, `incident` or `unknown`.
    #[serde(default)]
    pub reason: String,
    /// First creation of the value, for a version that no rotation made and whose value had been in force before.
    #[serde(default)]
    pub value_made: Option<Timestamp>,
}

/// Every service that reads the secret uses its current version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InUse {
    /// In use since this instant at the latest.
    pub since: Timestamp,
    /// Whether the previous version has leaked, so that its use by others requires action.
    pub is_incident: bool,
}

/// Why the current version is not known to be in use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotInUse {
    /// The follow-up has no row for the current version.
    NotFollowed,
    /// The follow-up of the current version failed.
    FollowupFailed,
    /// The follow-up deployed nothing, so the readers are unknown.
    NoReader,
    /// A reader is pinned to another version.
    Pinned,
}

impl NotInUse {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFollowed => "not_followed",
            Self::FollowupFailed => "followup_failed",
            Self::NoReader => "no_reader",
            Self::Pinned => "pinned",
        }
    }
}

/// Whether every service that reads the secret was started with its current version.
///
/// `rows` are the ledger's, newest first. `is_declared` means that a person declared it: a person may know readers that
/// no task definition names. A failed follow-up or a pinned task definition overrides that.
///
/// # Errors
///
/// [`NotInUse`].
pub fn in_use(listed: &Listed, rows: &[Row], is_declared: bool, now: Timestamp) -> Result<InUse, NotInUse> {
    let Some(current) = listed.labelled("AWSCURRENT") else { return Err(NotInUse::NotFollowed) };
    match rows.iter().find(|row| row.arn == listed.arn) {
        // After a rollback, the newest row is for the abandoned version.
        Some(row) if row.version == current => match row.outcome.as_str() {
            "proved" | "unproved" if !row.pinned.is_empty() => Err(NotInUse::Pinned),
            "proved" | "unproved" if is_declared || !row.services.is_empty() => {
                Ok(InUse { since: row.ended, is_incident: row.reason == "incident" })
            }
            "proved" | "unproved" => Err(NotInUse::NoReader),
            _ => Err(NotInUse::FollowupFailed),
        },
        Some(row) if row.outcome == "rolled back" => Err(NotInUse::FollowupFailed),
        _ if is_declared => Ok(InUse { since: now, is_incident: false }),
        _ => Err(NotInUse::NotFollowed),
    }
}

/// Starts a follow-up of a secret's current value.
pub fn follow_command(settings: &Settings, arn: &str, name: &str, is_incident: bool) -> Command {
    // arn:PARTITION:secretsmanager:REGION:ACCOUNT:…
    let mut parts = arn.split(':').skip(1);
    let partition = parts.next().unwrap_or_default();
    let place = parts.skip(1).take(2).collect::<Vec<_>>().join(":");
    let Settings { project, environment, .. } = settings;
    command!(
        "aws stepfunctions start-execution --state-machine-arn {machine} --input {input}",
        machine =
            format!("arn:{partition}:states:{place}:stateMachine:{project}-{environment}-rotation-followup"),
        input = follow_input(settings.language, name, is_incident).to_string()
    )
}

/// The input that asks for a follow-up.
pub fn follow_input(language: Language, secret: &str, is_incident: bool) -> Value {
    let reason = is_incident.then_some(("reason", "incident"));
    [("by", language.pick("SEU NOME", "YOUR NAME")), ("secret", secret)].into_iter().chain(reason).collect()
}

/// Invokes a function that retires old credentials, to retire them at once.
pub fn retire_command(function: &str) -> Command {
    Command::invoke(function, &json!({"retire": true}))
}

/// The newest row of a secret whose previous value may have leaked.
pub fn incident<'a>(arn: &str, rows: &'a [Row]) -> Option<&'a Row> {
    rows.iter().find(|row| row.arn == arn && row.reason == "incident")
}

/// The outcome for one secret's old credential, in the answer of a function that retires credentials.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Line {
    /// Name or ARN of the secret.
    pub secret: String,
    /// `nothing`, `waits`, `deactivated`, `deleted`, `promoted`, `refused`, `ended`, `replaced` or
    /// `failed`.
    pub did: String,
    /// Stable name of the reason for waiting or failing; otherwise empty.
    pub why: String,
}

impl Line {
    /// Whether this or an earlier attempt proved that the old credential is refused.
    pub fn is_dead(&self) -> bool {
        match self.did.as_str() {
            // `nothing`: the issuer has only the current credential.
            "deactivated" | "deleted" | "promoted" | "refused" | "ended" | "nothing" => true,
            "waits" => self.why == "deactivated",
            _ => false,
        }
    }
}

/// The ledger's rows, newest first; none if no follow-up has written any. The inner error is the reason why the ledger
/// does not parse.
///
/// # Errors
///
/// The [`CallError`] of S3.
pub async fn rows(client: &Client, bucket: &str) -> Result<Result<Vec<Row>, String>, CallError> {
    const KEY: &str = "ledger/rotation.json";
    let listed = client.list_objects_v2().bucket(bucket).prefix(KEY).max_keys(1).send().await;
    let listed = listed.map_err(CallError::during("s3:ListBucket"))?;
    if listed.contents().is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let object = client.get_object().bucket(bucket).key(KEY).send().await;
    let object = object.map_err(CallError::during("s3:GetObject"))?;
    let bytes = match object.body.collect().await {
        Ok(bytes) => bytes.into_bytes(),
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + 3600 * hours).unwrap()
    }

    fn secret(labels: &[(&str, &str)]) -> Listed {
        let mut listed = Listed { arn: "arn".to_owned(), ..Listed::default() };
        for (version, label) in labels {
            listed.labels.entry((*version).to_owned()).or_default().insert((*label).to_owned());
        }
        listed
    }

    fn row(version: &str, outcome: &str, services: &[&str]) -> Row {
        Row {
            arn: "arn".to_owned(),
            version: version.to_owned(),
            previous: None,
            started: None,
            ended: at(1),
            value_made: None,
            outcome: outcome.to_owned(),
            services: services.iter().map(|name| (*name).to_owned()).collect(),
            pinned: Vec::new(),
            reason: "scheduled".to_owned(),
        }
    }

    #[test]
    fn only_a_version_that_was_brought_into_use_is_in_use() {
        let calm = secret(&[("new", "AWSCURRENT"), ("old", "AWSPREVIOUS")]);
        let api: &[&str] = &["api"];
        let used = Ok(InUse { since: at(1), is_incident: false });
        let pinned = || Row { pinned: vec!["api/api".to_owned()], ..row("new", "unproved", api) };
        for (rows, declared, expected) in [
            (vec![], false, Err(NotInUse::NotFollowed)),
            (vec![], true, Ok(InUse { since: at(9), is_incident: false })),
            (vec![row("new", "proved", api)], false, used),
            (vec![row("new", "unproved", api)], false, used),
            (vec![pinned()], false, Err(NotInUse::Pinned)),
            (vec![pinned()], true, Err(NotInUse::Pinned)),
            (vec![row("new", "unproved", &[])], false, Err(NotInUse::NoReader)),
            (vec![row("new", "unproved", &[])], true, used),
            (vec![row("new", "failed", api)], false, Err(NotInUse::FollowupFailed)),
            (vec![row("new", "failed", api)], true, Err(NotInUse::FollowupFailed)),
            (vec![row("new", "rolled back", api)], true, Err(NotInUse::FollowupFailed)),
            // AWSCURRENT moved back to the previous version, so both may be in use.
            (
                vec![row("newer", "rolled back", api), row("new", "proved", api)],
                true,
                Err(NotInUse::FollowupFailed),
            ),
            // The label moved, but the follow-up has not recorded it yet.
            (vec![row("old", "proved", api)], false, Err(NotInUse::NotFollowed)),
            // The newest row counts.
            (
                vec![row("new", "failed", api), row("new", "proved", api)],
                false,
                Err(NotInUse::FollowupFailed),
            ),
        ] {
            assert_eq!(in_use(&calm, &rows, declared, at(9)), expected, "{rows:?} {declared}");
        }
        let incident = Row { reason: "incident".to_owned(), ..row("new", "proved", api) };
        assert_eq!(in_use(&calm, &[incident], false, at(9)), Ok(InUse { since: at(1), is_incident: true }));
        let others = Row { arn: "another".to_owned(), ..row("new", "proved", api) };
        assert_eq!(in_use(&calm, &[others], false, at(9)), Err(NotInUse::NotFollowed));
        // A rotation that is pending or has failed does not prevent retiring the previous credential.
        let runs = secret(&[("new", "AWSCURRENT"), ("next", "AWSPENDING")]);
        assert_eq!(in_use(&runs, &[row("new", "proved", api)], false, at(9)), used);
        assert_eq!(in_use(&secret(&[]), &[], true, at(9)), Err(NotInUse::NotFollowed));
    }

    #[test]
    fn the_ledger_of_bc640d8_is_read() {
        let recorded = include_str!("../../../tests/recorded/rotation-ledger.json");
        let rows: Vec<Row> = serde_json::from_str(recorded).unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(
            (row.version.as_str(), row.outcome.as_str(), row.reason.as_str()),
            ("v1", "failed", "scheduled")
        );
        assert_eq!((row.services.as_slice(), row.pinned.len()), (&["moveongs-dev-api".to_owned()][..], 0));
    }
}
