//! Old values that become current again. `terraform apply` of a state that holds an old value stores it again as a new
//! version, without a rotation. No I/O, no clock; values are compared and never kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::batch::{Batch, Old};
use super::change::{Change, Reason};
use super::failure::Failed;
use super::journal::Journal;
use super::kind::Kind;
use super::row::Row;

/// Most earlier versions to compare a value with. The service keeps about a hundred, and each costs a call.
const COMPARED: usize = 20;

/// The old value of a version that became current again after it leaked. Reads no value.
///
/// A version may return if its replacement was refused before a deployment: all tasks still run with it, and the
/// message about that refusal advises the operator to restore it before the next rotation.
pub(crate) fn returned(change: &Change, journal: &Journal) -> Option<Old> {
    let is_refused = |row: &Row| row.failure.as_ref().is_some_and(|failed| failed.kind == Kind::ValueRefused);
    let replaces = |row: &&Row| row.arn == change.secret && row.previous.as_ref() == Some(&change.version);
    // A scheduled rotation after the incident also replaces the leaked value.
    let mut since = journal.rows.iter().filter(replaces).skip_while(|row| row.reason != Reason::Incident);
    let was_replaced = since.any(|row| !is_refused(row));
    was_replaced.then(|| Old {
        version: change.version.clone(),
        made: change.made.unwrap_or(change.noticed),
        same: vec![change.version.clone()],
        is_withdrawn: true,
    })
}

/// Whether a person has declared a version's value leaked.
fn has_leaked(journal: &Journal, arn: &str, version: &str) -> bool {
    let rows = journal.rows.iter().filter(|row| row.arn == arn && row.reason == Reason::Incident);
    rows.filter_map(|row| row.previous.as_deref()).any(|previous| previous == version)
}

/// The earlier versions to compare a change's value with: leaked versions, then the newest; none if a rotation made the
/// value.
pub(crate) fn earlier(
    change: &Change,
    made: &BTreeMap<String, Timestamp>,
    journal: &Journal,
) -> Vec<(String, Timestamp)> {
    if change.is_rotation {
        return Vec::new();
    }
    let is_earlier = |at: &Timestamp| change.made.is_none_or(|made| *at <= made);
    let versions = made.iter().filter(|(id, at)| **id != change.version && is_earlier(at));
    let mut versions: Vec<_> = versions.map(|(id, at)| (id.clone(), *at)).collect();
    versions.sort_by_key(|(id, at)| {
        (!has_leaked(journal, &change.secret, id), std::cmp::Reverse(*at), id.clone())
    });
    versions.truncate(COMPARED);
    versions
}

/// Whether two values mean the same to their readers: line ends and the order of a document's fields do not matter.
pub(crate) fn is_same(one: &SecretString, other: &SecretString) -> bool {
    let [one, other] = [one, other].map(|value| value.expose_secret().trim());
    if one.is_empty() || one == other {
        return !one.is_empty();
    }
    let document = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    document(one).is_some_and(|one| document(other).is_some_and(|other| one == other))
}

/// The old value of a change, from the earlier versions with the same value; none if there are none.
pub(crate) fn of(change: &Change, same: Vec<(String, Timestamp)>, journal: &Journal) -> Option<Old> {
    let (version, made) = same.iter().min_by_key(|(_, made)| *made)?.clone();
    let same: Vec<String> = same.into_iter().map(|(id, _)| id).collect();
    let is_withdrawn = same
        .iter()
        .any(|id| has_leaked(journal, &change.secret, id) || journal.has_failed(&change.secret, id));
    Some(Old { version, made, same, is_withdrawn })
}

/// The failure for an old value that must not become current again.
pub(crate) fn find_withdrawn(batch: &Batch, old: &BTreeMap<String, Old>) -> Option<Failed> {
    batch.changes.iter().find_map(|change| {
        let old = old.get(&change.secret).filter(|old| old.is_withdrawn)?;
        let detail = format!("{} {} = {}", change.name, change.version, old.version);
        Some(Failed::of(&change.key, Kind::OldValueLeaked, detail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn change(is_rotation: bool) -> Change {
        Change {
            secret: "arn".to_owned(),
            name: "/moveongs/dev/jwt".to_owned(),
            key: "JWT_SECRET".to_owned(),
            version: "v3".to_owned(),
            previous: Some("v2".to_owned()),
            made: Some(at(30)),
            noticed: at(31),
            is_rotation,
            declared: None,
        }
    }

    #[test]
    fn a_value_from_terraforms_state_is_recognised() {
        let state = include_str!("../../../../tests/cases/09a-terraform-state-holds-the-value.json");
        let state: Value = serde_json::from_str(state).unwrap();
        let put = &state["resources"][1]["instances"][0]["attributes"];
        let value = |text: &str| SecretString::from(text);
        let first = value("dev-secret-change-me");
        assert!(is_same(&value(put["secret_string"].as_str().unwrap()), &first));
        assert!(!is_same(&value("made by a rotation"), &first));
    }

    #[test]
    fn equal_documents_are_the_same_value() {
        let same = |one: &str, other: &str| is_same(&SecretString::from(one), &SecretString::from(other));
        for (one, other, expected) in [
            ("a", "a", true),
            ("a\n", "a", true),
            ("a", "b", false),
            (r#"{"u": "a", "p": "b"}"#, r#"{"p":"b","u":"a"}"#, true),
            (r#"{"u": "a", "p": "b"}"#, r#"{"p":"c","u":"a"}"#, false),
            // Numbers are not documents: 1.0 and 1.00 are different keys.
            ("1.0", "1.00", false),
            // A binary value is read as an empty string.
            ("", "", false),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn only_values_without_a_rotation_are_compared_with_earlier_ones() {
        let made: BTreeMap<_, _> = [("v1", 10), ("v2", 20), ("v3", 30), ("v4", 40)]
            .map(|(id, made)| (id.to_owned(), at(made)))
            .into();
        let journal = Journal::default();
        let ids = |change: &Change| {
            earlier(change, &made, &journal).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&change(false)), ["v2", "v1"]);
        assert_eq!(ids(&change(true)), [""; 0]);
        assert_eq!(ids(&Change { made: None, ..change(false) }), ["v4", "v2", "v1"]);
        let many: BTreeMap<_, _> = (0..30).map(|number| (format!("w{number:02}"), at(number))).collect();
        let compared = earlier(&change(false), &many, &journal);
        assert_eq!((compared.len(), compared[0].0.as_str()), (COMPARED, "w29"));
        // A leaked version is compared regardless of its age.
        let leaked = Journal { rows: vec![row("incident", "w00", "proved")], ..Journal::default() };
        let compared = earlier(&change(false), &many, &leaked);
        assert_eq!((compared[0].0.as_str(), compared[1].0.as_str()), ("w00", "w29"));
    }

    fn row(reason: &str, previous: &str, outcome: &str) -> Row {
        let row = serde_json::json!({"secret": "s", "arn": "arn", "key": "JWT_SECRET", "version": "v2",
            "previous": previous, "reason": reason, "by": null, "made": null, "started": "2026-03-01T12:00:00Z",
            "ended": "2026-03-01T12:00:00Z", "outcome": outcome, "failure": null, "services": [], "proofs": [],
            "sessions_ended": null, "next_due": null, "execution": "e"});
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_version_that_leaked_and_became_current_again_is_withdrawn_without_its_value() {
        for (reason, previous, expected) in
            [("incident", "v3", true), ("incident", "v2", false), ("scheduled", "v3", false)]
        {
            let journal = Journal { rows: vec![row(reason, previous, "proved")], ..Journal::default() };
            let old = returned(&change(false), &journal);
            assert_eq!(old.is_some_and(|old| old.is_withdrawn && old.same == ["v3"]), expected, "{reason}");
            assert_eq!(returned(&Change { secret: "other".to_owned(), ..change(false) }, &journal), None);
        }
    }

    #[test]
    fn a_version_whose_replacement_was_refused_before_a_deployment_is_not_withdrawn() {
        let of = |kind: &str, outcome: &str| Row {
            failure: Some(Failed::of("JWT_SECRET", kind, String::new())),
            ..row("incident", "v3", outcome)
        };
        for (rows, expected) in [
            (vec![of("ValueRefused", "failed")], false),
            (vec![of("RolloutFailed", "failed")], true),
            (vec![of("ValueRefused", "failed"), row("incident", "v3", "proved")], true),
            (vec![row("incident", "v3", "proved"), of("ValueRefused", "failed")], true),
            (vec![of("ValueRefused", "failed"), row("scheduled", "v3", "proved")], true),
            (vec![row("scheduled", "v3", "proved"), of("ValueRefused", "failed")], false),
        ] {
            let journal = Journal { rows, ..Journal::default() };
            assert_eq!(returned(&change(false), &journal).is_some(), expected, "{:?}", journal.rows);
        }
    }

    #[test]
    fn the_age_counts_from_the_first_version_and_what_leaked_is_withdrawn() {
        let same = || vec![("v1".to_owned(), at(10)), ("v0".to_owned(), at(5))];
        let known = |rows| of(&change(false), same(), &Journal { rows, ..Journal::default() }).unwrap();
        let old = known(vec![row("scheduled", "v1", "proved")]);
        assert_eq!((old.version.as_str(), old.made, old.is_withdrawn), ("v0", at(5), false));
        assert_eq!(old.same, ["v1", "v0"]);
        assert!(known(vec![row("incident", "v1", "proved")]).is_withdrawn);
        assert!(!known(vec![row("incident", "v7", "proved")]).is_withdrawn);
        assert_eq!(of(&change(false), Vec::new(), &Journal::default()), None);
    }
}
