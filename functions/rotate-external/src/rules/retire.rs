//! May the credential before the current one be put out of use? No I/O, no clock.

use jiff::{SignedDuration, Timestamp};
use shared::run::ledger::{InUse, NotInUse};

use crate::rules::issuance::Deactivated;
use crate::rules::retired::Stays;
use crate::rules::ses::Key;

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

/// What is to be done with a key whose successor is in use.
///
/// `last_used` is IAM's word, which can be hours late: that is what the hours between deactivating and deleting are for. A
/// leaked key that is still used is used by its thief.
pub(crate) fn act(
    key: &Key,
    last_used: Option<Timestamp>,
    in_use: Result<InUse, NotInUse>,
    noted: Option<&Deactivated>,
    hours: u16,
    now: Timestamp,
) -> Act {
    let in_use = match in_use {
        Ok(in_use) => in_use,
        Err(why) => return Act::Leave(Stays::NotInUse(why)),
    };
    if key.is_active {
        return match last_used {
            Some(used) if used > in_use.since && !in_use.is_incident => {
                Act::Leave(Stays::StillUsed { key: key.id.clone() })
            }
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

    #[test]
    fn a_key_is_deactivated_first_and_deleted_when_the_hours_are_over() {
        let key = |is_active| Key { id: "old".to_owned(), is_active, made: None };
        let used = Ok(InUse { since: at(1), is_incident: false });
        let noted = |key: &str, hours| Deactivated { key: key.to_owned(), at: at(hours) };
        let decide = |active, last, in_use, noted: Option<Deactivated>, now| {
            act(&key(active), last, in_use, noted.as_ref(), 24, at(now))
        };
        assert_eq!(decide(true, None, used, None, 2), Act::Deactivate);
        assert_eq!(decide(true, Some(at(1)), used, None, 2), Act::Deactivate);
        let later = at(1).checked_add(SignedDuration::from_secs(1)).unwrap();
        let still_used = || Act::Leave(Stays::StillUsed { key: "old".to_owned() });
        assert_eq!(decide(true, Some(later), used, None, 2), still_used());
        // A thief goes on using what leaked.
        let leaked = Ok(InUse { since: at(1), is_incident: true });
        assert_eq!(decide(true, Some(later), leaked, None, 2), Act::Deactivate);
        let unknown = Err(NotInUse::NotFollowed);
        let leave = Act::Leave(Stays::NotInUse(NotInUse::NotFollowed));
        assert_eq!(decide(true, None, unknown, None, 2), leave);
        assert_eq!(decide(false, None, used, None, 2), Act::Note);
        assert_eq!(decide(false, None, used, Some(noted("another", -99)), 2), Act::Note);
        let waits = Act::Leave(Stays::Deactivated);
        assert_eq!(decide(false, None, used, Some(noted("old", 2)), 25), waits);
        assert_eq!(decide(false, None, used, Some(noted("old", 2)), 26), Act::Delete);
        assert_eq!(decide(false, None, unknown, Some(noted("old", 2)), 26), leave);
        // Somebody needed it after all, and has activated it again.
        assert_eq!(decide(true, Some(at(9)), used, Some(noted("old", 2)), 26), still_used());
    }
}
