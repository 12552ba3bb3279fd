//! How bad a problem is.

use serde::{Deserialize, Serialize};

use crate::incidents::UpdateMinutes;
use crate::oncall::AcknowledgeMinutes;

/// How bad a problem is. The order is that of the numbers: S0, the worst, comes first (guide, 4.2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Severity {
    /// The whole service or its data is lost or exposed.
    S0,
    /// Users cannot work; `critical`. The default: an unknown severity is treated as a bad one.
    #[default]
    S1,
    /// It becomes worse if it is not resolved; `warning`.
    S2,
    /// No user notices it; `info`.
    S3,
}

impl Severity {
    /// All severities, the worst first.
    pub const ALL: [Self; 4] = [Self::S0, Self::S1, Self::S2, Self::S3];

    /// The name, `S0` to `S3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
        }
    }

    /// The severity that a source's word means, in any case, in English or Portuguese.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_lowercase().as_str() {
            "s0" => Some(Self::S0),
            "s1" | "critical" | "crítico" | "crítica" | "critico" | "critica" => Some(Self::S1),
            "s2" | "warning" | "aviso" => Some(Self::S2),
            "s3" | "info" => Some(Self::S3),
            _ => None,
        }
    }

    /// Minutes that a page of this severity waits for its acknowledgement.
    pub fn acknowledge_minutes(self, minutes: AcknowledgeMinutes) -> u16 {
        match self {
            Self::S0 | Self::S1 => minutes.critical,
            Self::S2 | Self::S3 => minutes.warning,
        }
    }

    /// Minutes after the last update until the next one is due; 0: never.
    pub fn update_minutes(self, minutes: UpdateMinutes) -> u16 {
        match self {
            Self::S0 => minutes.s0,
            Self::S1 => minutes.s1,
            Self::S2 => minutes.s2,
            Self::S3 => minutes.s3,
        }
    }

    /// The higher, i.e. worse, of two. When in doubt, the higher counts.
    #[must_use]
    pub fn higher(self, other: Self) -> Self {
        self.min(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn the_two_severities_that_wake_people_have_the_shorter_wait() {
        let policy: Policy = "".parse().unwrap();
        let wait = |severity: Severity| severity.acknowledge_minutes(policy.incidents.acknowledge_minutes);
        assert_eq!(Severity::ALL.map(wait), [5, 5, 30, 30]);
        assert_eq!(wait(Severity::default()), 5, "an unknown severity");
    }
}
