//! Decides whether a replaced access key may be deactivated or deleted.

use jiff::{SignedDuration, Timestamp};
use shared::run::ledger::{InUse, NotInUse};

use crate::rules::issuance::Deactivated;
use crate::rules::retired::Reason;
use crate::rules::ses::Key;

/// The next step for the key that is not the current one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    Deactivate,
    /// Note its deactivation at the current time: the issuance document lacks it.
    Note,
    Delete,
    /// Leave it for now.
    Leave(Reason),
}

/// Decides the next step for a replaced key.
///
/// `last_used` comes from IAM and can be hours late, hence the `hours` between deactivating and deleting. A leaked key
/// is retired even if it is used: the user may be an attacker.
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
        Err(why) => return Act::Leave(Reason::NotInUse(why)),
    };
    if key.is_active {
        return match last_used {
            Some(used) if used > in_use.since && !in_use.is_incident => {
                Act::Leave(Reason::StillUsed { key: key.id.clone() })
            }
            _ => Act::Deactivate,
        };
    }
    match noted.filter(|noted| noted.key == key.id) {
        None => Act::Note,
        Some(noted) if now.duration_since(noted.at) >= SignedDuration::from_hours(i64::from(hours)) => {
            Act::Delete
        }
        Some(_) => Act::Leave(Reason::Deactivated),
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
        let still_used = || Act::Leave(Reason::StillUsed { key: "old".to_owned() });
        assert_eq!(decide(true, Some(later), used, None, 2), still_used());
        // An attacker may still be using the leaked key.
        let leaked = Ok(InUse { since: at(1), is_incident: true });
        assert_eq!(decide(true, Some(later), leaked, None, 2), Act::Deactivate);
        let unknown = Err(NotInUse::NotFollowed);
        let leave = Act::Leave(Reason::NotInUse(NotInUse::NotFollowed));
        assert_eq!(decide(true, None, unknown, None, 2), leave);
        assert_eq!(decide(false, None, used, None, 2), Act::Note);
        assert_eq!(decide(false, None, used, Some(noted("another", -99)), 2), Act::Note);
        let waits = Act::Leave(Reason::Deactivated);
        assert_eq!(decide(false, None, used, Some(noted("old", 2)), 25), waits);
        assert_eq!(decide(false, None, used, Some(noted("old", 2)), 26), Act::Delete);
        assert_eq!(decide(false, None, unknown, Some(noted("old", 2)), 26), leave);
        // A person reactivated it because it was still needed.
        assert_eq!(decide(true, Some(at(9)), used, Some(noted("old", 2)), 26), still_used());
    }
}
