//! The issuance document, which coordinates the invocations that make, promote and retire one secret's credentials.
//! They change it by compare-and-swap.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rules::retired::Retired;

/// Longest time for making a credential.
pub(crate) const MAKING_LIMIT: std::time::Duration = std::time::Duration::from_secs(8);

/// Time in which no other attempt may make a credential: [`MAKING_LIMIT`], at most 10 s for storing it, and a margin.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_secs(20);

/// The issuance document of one secret.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Issuance {
    /// The last attempt to make a credential. The issuer shows a credential once, so one that was not stored is lost
    /// and occupies the place of the next one.
    pub making: Option<Making>,
    /// The last key that was deactivated, after its successor was proved.
    pub deactivated: Option<Deactivated>,
    /// End of the lease of a promotion of Twilio's secondary token. A secondary token made meanwhile would be promoted
    /// instead, and Twilio would refuse the application's token.
    pub promoting: Option<Timestamp>,
    /// The version of the administrator's password for which the application refused the previous password.
    #[serde(default)]
    pub refused: Option<String>,
    /// The announced change of the old credential that is not reported yet.
    #[serde(default)]
    pub doing: Option<Retired>,
}

/// An attempt to make a credential, noted before the credential is made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Making {
    /// The rotation's token.
    pub token: String,
    /// When it began.
    pub began: Timestamp,
    /// The end of its lease: it cannot be running after that.
    pub until: Timestamp,
    /// Ids of the keys that existed before.
    pub before: Vec<String>,
}

/// A deactivated key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Deactivated {
    /// Its id.
    pub key: String,
    /// When it was deactivated.
    pub at: Timestamp,
}

impl Issuance {
    /// Begins an attempt to make a credential.
    ///
    /// # Errors
    ///
    /// The end of the lease of another attempt of the same rotation, or of a promotion, that may still be running.
    pub(crate) fn begin(&mut self, token: &str, now: Timestamp, before: &[String]) -> Result<(), Timestamp> {
        let another = self.making.as_ref().filter(|making| making.token == token).map(|making| making.until);
        must_be_free([another, self.promoting], now)?;
        let until = lease_end(now);
        self.making = Some(Making { token: token.to_owned(), began: now, until, before: before.to_vec() });
        Ok(())
    }

    /// Begins a promotion, during which no attempt may make a token. An attempt for the version `current` has already
    /// stored its token, so it does not count.
    ///
    /// # Errors
    ///
    /// The end of the lease of another attempt or promotion that may still be running.
    pub(crate) fn begin_promotion(&mut self, current: &str, now: Timestamp) -> Result<(), Timestamp> {
        let making = self.making.as_ref().filter(|making| making.token != current).map(|making| making.until);
        must_be_free([making, self.promoting], now)?;
        self.promoting = Some(lease_end(now));
        Ok(())
    }

    /// Notes a reported result.
    pub(crate) fn settle(&mut self, done: &Retired, now: Timestamp) {
        self.doing = None;
        match done {
            Retired::Deactivated { key } => {
                self.deactivated = Some(Deactivated { key: key.clone(), at: now })
            }
            Retired::Deleted { .. } => self.deactivated = None,
            // Promotion leaves no secondary token, so none can be lost.
            Retired::Promoted => (self.making, self.promoting) = (None, None),
            Retired::Refused { version } => self.refused = Some(version.clone()),
            Retired::Nothing | Retired::Waits(_) => {}
        }
    }
}

fn lease_end(now: Timestamp) -> Timestamp {
    now.checked_add(LEASE).unwrap_or(now)
}

fn must_be_free(leases: [Option<Timestamp>; 2], now: Timestamp) -> Result<(), Timestamp> {
    leases.into_iter().flatten().find(|until| now < *until).map_or(Ok(()), Err)
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
        // A new rotation: the previous one was abandoned.
        assert_eq!(issuance.begin("b", at(21), &[]), Ok(()));
        assert_eq!(issuance.making.as_ref().unwrap().until, at(41));
    }

    #[test]
    fn making_and_promoting_exclude_each_other() {
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

    #[test]
    fn the_document_of_bc640d8_is_read() {
        let recorded = include_str!("../../../../tests/recorded/rotate-external-issuance.json");
        let issuance: Issuance = serde_json::from_str(recorded).unwrap();
        assert_eq!(issuance.making.unwrap().before, ["AKIAEXAMPLE1"]);
        assert_eq!(issuance.deactivated.unwrap().key, "AKIAEXAMPLE0");
        assert_eq!(issuance.doing, Some(Retired::Deactivated { key: "AKIAEXAMPLE0".to_owned() }));
    }
}
