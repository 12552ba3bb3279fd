//! May the credential before the current one be put out of use? No I/O, no clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::secrets::Listed;

use crate::desk::Deactivated;
use crate::ses::Key;

/// What is read of a row of the rotation ledger, which the follow-up writes for people and programs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Row {
    /// ARN of the secret.
    pub arn: String,
    /// The version that became current.
    pub version: String,
    /// When the follow-up ended.
    pub ended: Timestamp,
    /// `proved`, `unproved`, `rolled back` or `failed`.
    pub outcome: String,
    /// The services that were deployed again.
    pub services: Vec<String>,
}

/// Why an old credential stays for now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stays {
    /// A rotation is under way.
    RotationRuns,
    /// The follow-up has no row for the current version.
    NotFollowed,
    /// The follow-up of the current version did not end well.
    FollowupFailed,
    /// The follow-up deployed nothing, so nobody knows who reads the secret.
    NoReader,
    /// Something has used it since the follow-up ended.
    StillUsed,
    /// It is in no version of the secret: a person's.
    Foreign,
    /// It is deactivated, and can be activated again until the policy's hours are over.
    Deactivated,
}

/// That the services use the current version, by the ledger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InUse {
    /// Since when, at the latest.
    pub since: Timestamp,
}

/// What is to be done with the key that is not the current one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Deactivate it.
    Deactivate,
    /// Note since when it is deactivated.
    Note,
    /// Delete it.
    Delete,
    /// Leave it for now.
    Leave(Stays),
}

/// Whether every service that reads the secret was started with its current version.
///
/// `rows` are the ledger's, newest first. `is_declared` says that a person vouches for it, who may know readers that no task
/// definition tells of; they do not know better than a follow-up that failed.
pub(crate) fn in_use(
    listed: &Listed,
    rows: &[Row],
    is_declared: bool,
    now: Timestamp,
) -> Result<InUse, Stays> {
    let Some(current) = listed.labelled("AWSCURRENT") else { return Err(Stays::NotFollowed) };
    if listed.labelled("AWSPENDING").is_some_and(|pending| pending != current) {
        return Err(Stays::RotationRuns);
    }
    match rows.iter().find(|row| row.arn == listed.arn) {
        // After a rollback the newest row is of the version that was gone back from.
        Some(row) if row.version == current => match row.outcome.as_str() {
            "proved" | "unproved" if is_declared || !row.services.is_empty() => {
                Ok(InUse { since: row.ended })
            }
            "proved" | "unproved" => Err(Stays::NoReader),
            _ => Err(Stays::FollowupFailed),
        },
        Some(row) if row.outcome == "rolled back" => Err(Stays::FollowupFailed),
        _ if is_declared => Ok(InUse { since: now }),
        _ => Err(Stays::NotFollowed),
    }
}

/// What is to be done with a key whose successor is in use.
///
/// `last_used` is IAM's word, which can be hours late: that is what the hours between deactivating and deleting are for.
pub(crate) fn act(
    key: &Key,
    last_used: Option<Timestamp>,
    in_use: Result<InUse, Stays>,
    noted: Option<&Deactivated>,
    hours: u16,
    now: Timestamp,
) -> Act {
    let in_use = match in_use {
        Ok(in_use) => in_use,
        Err(stays) => return Act::Leave(stays),
    };
    if key.is_active {
        return match last_used {
            Some(used) if used > in_use.since => Act::Leave(Stays::StillUsed),
            _ => Act::Deactivate,
        };
    }
    match noted.filter(|noted| noted.key == key.id) {
        None => Act::Note,
        Some(noted) if now.duration_since(noted.at) >= SignedDuration::from_hours(i64::from(hours)) => {
            Act::Delete
        }
        Some(_) => Act::Leave(Stays::Deactivated),
    }
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
            ended: at(1),
            outcome: outcome.to_owned(),
            services: services.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn only_a_version_that_was_brought_into_use_is_in_use() {
        let calm = secret(&[("new", "AWSCURRENT"), ("old", "AWSPREVIOUS")]);
        let api: &[&str] = &["api"];
        let used = Ok(InUse { since: at(1) });
        for (rows, declared, expected) in [
            (vec![], false, Err(Stays::NotFollowed)),
            (vec![], true, Ok(InUse { since: at(9) })),
            (vec![row("new", "proved", api)], false, used),
            (vec![row("new", "unproved", api)], false, used),
            (vec![row("new", "unproved", &[])], false, Err(Stays::NoReader)),
            (vec![row("new", "unproved", &[])], true, used),
            (vec![row("new", "failed", api)], false, Err(Stays::FollowupFailed)),
            (vec![row("new", "failed", api)], true, Err(Stays::FollowupFailed)),
            (vec![row("new", "rolled back", api)], true, Err(Stays::FollowupFailed)),
            // AWSCURRENT went back to the version before: both may be in use.
            (
                vec![row("newer", "rolled back", api), row("new", "proved", api)],
                true,
                Err(Stays::FollowupFailed),
            ),
            // The label moved, and the follow-up has not come to it yet.
            (vec![row("old", "proved", api)], false, Err(Stays::NotFollowed)),
            // The newest row counts.
            (vec![row("new", "failed", api), row("new", "proved", api)], false, Err(Stays::FollowupFailed)),
        ] {
            assert_eq!(in_use(&calm, &rows, declared, at(9)), expected, "{rows:?} {declared}");
        }
        let others = Row { arn: "another".to_owned(), ..row("new", "proved", api) };
        assert_eq!(in_use(&calm, &[others], false, at(9)), Err(Stays::NotFollowed));
        let runs = secret(&[("new", "AWSCURRENT"), ("next", "AWSPENDING")]);
        assert_eq!(in_use(&runs, &[row("new", "proved", api)], true, at(9)), Err(Stays::RotationRuns));
        // The service leaves the label there for a while.
        let done = secret(&[("new", "AWSCURRENT"), ("new", "AWSPENDING")]);
        assert_eq!(in_use(&done, &[row("new", "proved", api)], false, at(9)), used);
        assert_eq!(in_use(&secret(&[]), &[], true, at(9)), Err(Stays::NotFollowed));
    }

    #[test]
    fn a_key_is_deactivated_first_and_deleted_when_the_hours_are_over() {
        let key = |is_active| Key { id: "old".to_owned(), is_active, made: None };
        let used = Ok(InUse { since: at(1) });
        let noted = |key: &str, hours| Deactivated { key: key.to_owned(), at: at(hours) };
        let decide = |active, last, in_use, noted: Option<Deactivated>, now| {
            act(&key(active), last, in_use, noted.as_ref(), 24, at(now))
        };
        assert_eq!(decide(true, None, used, None, 2), Act::Deactivate);
        assert_eq!(decide(true, Some(at(1)), used, None, 2), Act::Deactivate);
        let later = at(1).checked_add(SignedDuration::from_secs(1)).unwrap();
        assert_eq!(decide(true, Some(later), used, None, 2), Act::Leave(Stays::StillUsed));
        let runs = Err(Stays::RotationRuns);
        assert_eq!(decide(true, None, runs, None, 2), Act::Leave(Stays::RotationRuns));
        assert_eq!(decide(false, None, used, None, 2), Act::Note);
        assert_eq!(decide(false, None, used, Some(noted("another", -99)), 2), Act::Note);
        let waits = Act::Leave(Stays::Deactivated);
        assert_eq!(decide(false, None, used, Some(noted("old", 2)), 25), waits);
        assert_eq!(decide(false, None, used, Some(noted("old", 2)), 26), Act::Delete);
        assert_eq!(decide(false, None, runs, Some(noted("old", 2)), 26), Act::Leave(Stays::RotationRuns));
        // Somebody needed it after all, and has activated it again.
        assert_eq!(decide(true, Some(at(9)), used, Some(noted("old", 2)), 26), Act::Leave(Stays::StillUsed));
    }
}
