//! Acts: callers' changes of secrets, according to CloudTrail. No I/O, no clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::change::Reason;

/// A caller's change of a secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Act {
    /// The reason, as far as the call shows it.
    pub reason: Reason,
    /// ARN of the caller.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Act {
    /// Whether `other` reports the same act again.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.by == other.by
            && self.reason == other.reason
            && other.at.duration_since(self.at).abs() < SignedDuration::from_hours(1)
    }

    /// Whether this act can have caused a change that was noticed at that time: an event of Secrets Manager may be
    /// late, and clocks differ.
    pub(crate) fn is_of(&self, noticed: Timestamp) -> bool {
        let late = noticed.duration_since(self.at);
        late > SignedDuration::from_mins(-5) && late < SignedDuration::from_hours(26)
    }
}
