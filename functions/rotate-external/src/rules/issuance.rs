//! What is remembered of a secret between invocations: one document for each secret, changed by compare-and-swap. No I/O, no
//! clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rules::retired::Retired;

/// Longest that a credential may take to be made.
pub(crate) const MAKING: std::time::Duration = std::time::Duration::from_secs(8);

/// How long nobody else may make one: until it is made and stored, whose call has 10 s at most, and a little more.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_secs(20);

/// The document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Issuance {
    /// The last attempt at making a credential. The service that issues one shows it once, so one that was made and not stored
    /// is lost, and in the way.
    pub making: Option<Making>,
    /// The key that was put out of use last, after the one that replaced it was proved.
    pub deactivated: Option<Deactivated>,
    /// Until when somebody may be making Twilio's secondary token the primary one. A new secondary token that came in between
    /// would be made the primary one in its place, and the application's be refused.
    pub promoting: Option<Timestamp>,
    /// The version of the administrator's password whose predecessor the application was seen to refuse.
    #[serde(default)]
    pub refused: Option<String>,
    /// What is about to be done with the credential before, and not told yet.
    #[serde(default)]
    pub doing: Option<Retired>,
}

/// An attempt at making a credential, noted before it is made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Making {
    /// The rotation's token.
    pub token: String,
    /// When it began.
    pub began: Timestamp,
    /// When it can no longer be at work.
    pub until: Timestamp,
    /// Ids of the keys that were there already.
    pub before: Vec<String>,
}

/// A key that was put out of use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Deactivated {
    /// Its id.
    pub key: String,
    /// Since when.
    pub at: Timestamp,
}

impl Issuance {
    /// Begins an attempt at making a credential, unless another of the same rotation, or a promotion, may still be at work;
    /// then the answer is until when.
    pub(crate) fn begin(&mut self, token: &str, now: Timestamp, before: &[String]) -> Result<(), Timestamp> {
        let another = self.making.as_ref().filter(|making| making.token == token).map(|making| making.until);
        free([another, self.promoting], now)?;
        let until = end(now);
        self.making = Some(Making { token: token.to_owned(), began: now, until, before: before.to_vec() });
        Ok(())
    }

    /// The same for a promotion, during which nobody may make a token.
    /// An attempt whose token is `current` has stored what it made.
    pub(crate) fn begin_promotion(&mut self, current: &str, now: Timestamp) -> Result<(), Timestamp> {
        let making = self.making.as_ref().filter(|making| making.token != current).map(|making| making.until);
        free([making, self.promoting], now)?;
        self.promoting = Some(end(now));
        Ok(())
    }

    /// Takes note of what was done and told.
    pub(crate) fn settle(&mut self, done: &Retired, now: Timestamp) {
        self.doing = None;
        match done {
            Retired::Deactivated { key } => {
                self.deactivated = Some(Deactivated { key: key.clone(), at: now })
            }
            Retired::Deleted { .. } => self.deactivated = None,
            // The secondary token has become the primary one: none is lost any more.
            Retired::Promoted => (self.making, self.promoting) = (None, None),
            Retired::Refused { version } => self.refused = Some(version.clone()),
            Retired::Nothing | Retired::Waits(_) => {}
        }
    }
}

fn end(now: Timestamp) -> Timestamp {
    now.checked_add(LEASE).unwrap_or(now)
}

fn free(until: [Option<Timestamp>; 2], now: Timestamp) -> Result<(), Timestamp> {
    until.into_iter().flatten().find(|until| now < *until).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_of_a_rotation_at_a_time() {
        let at = |seconds: i64| Timestamp::from_second(1_772_366_400 + seconds).unwrap();
        let mut issuance = Issuance::default();
        assert_eq!(issuance.begin("a", at(0), &["k".to_owned()]), Ok(()));
        assert_eq!(issuance.begin("a", at(19), &[]), Err(at(20)));
        assert_eq!(issuance.making.as_ref().unwrap().before, ["k"]);
        assert_eq!(issuance.begin("a", at(20), &[]), Ok(()));
        // A new rotation: the one before was given up.
        assert_eq!(issuance.begin("b", at(21), &[]), Ok(()));
        assert_eq!(issuance.making.as_ref().unwrap().until, at(41));
    }

    #[test]
    fn nothing_is_made_during_a_promotion_and_nothing_promoted_while_it_is_made() {
        let at = |seconds: i64| Timestamp::from_second(1_772_366_400 + seconds).unwrap();
        let mut issuance = Issuance::default();
        assert_eq!(issuance.begin("a", at(0), &[]), Ok(()));
        assert_eq!(issuance.begin_promotion("before", at(19)), Err(at(20)));
        assert_eq!(issuance.clone().begin_promotion("a", at(19)), Ok(()));
        assert_eq!(issuance.begin_promotion("before", at(20)), Ok(()));
        assert_eq!(issuance.begin_promotion("before", at(39)), Err(at(40)));
        assert_eq!(issuance.begin("b", at(39), &[]), Err(at(40)));
        issuance.settle(&Retired::Promoted, at(39));
        assert_eq!(issuance.begin("b", at(39), &[]), Ok(()));
    }
}
