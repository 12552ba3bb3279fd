//! Attachments: the monthly restore test.

use serde::Deserialize;

use crate::{PolicyError, within};

/// Settings of `attachment-restore-test`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Attachments {
    /// How many attachments a run tests.
    pub sample: Sample,
    /// Most pages of 1,000 keys that a run lists, to compare the whole bucket with the whole table and to find deleted
    /// objects: 1 to 100.
    pub listing_pages: u16,
    /// Most downloads through the API, per minute: 1 to 600. The application counts them against the limit that all users
    /// share.
    pub downloads_per_minute: u16,
}

/// Minutes in which a run downloads: three attempts of 13 minutes, less what else they do.
const MINUTES: u32 = 30;

/// How many attachments a run tests, by the way in which they are chosen. Only the random ones give a confidence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The newest: 0 to 200.
    pub recent: u16,
    /// The oldest: 0 to 200.
    pub old: u16,
    /// The largest: 0 to 200.
    pub large: u16,
    /// By the run's seed: 1 to 1,000.
    pub random: u16,
    /// Deleted objects whose last version the bucket still keeps: 0 to 200.
    pub deleted: u16,
}

impl Attachments {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        let Sample { recent, old, large, random, deleted } = self.sample;
        for (field, count) in [("recent", recent), ("old", old), ("large", large), ("deleted", deleted)] {
            within(format!("{path}.sample.{field}"), count, 0, 200)?;
        }
        within(format!("{path}.sample.random"), random, 1, 1000)?;
        within(format!("{path}.listing_pages"), self.listing_pages, 1, 100)?;
        within(format!("{path}.downloads_per_minute"), self.downloads_per_minute, 1, 600)?;
        let sample = [recent, old, large, random].map(u32::from).iter().sum::<u32>();
        let most = u32::from(self.downloads_per_minute) * MINUTES;
        if sample > most {
            let found = format!(
                "expected a sample of at most {most} attachments in {MINUTES} minutes, found {sample}"
            );
            return Err(PolicyError::at(format!("{path}.downloads_per_minute"), found));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::refused;

    #[test]
    fn a_sample_that_cannot_be_downloaded_in_time_is_refused() {
        let slow = r#"{"attachments": {"downloads_per_minute": 1}}"#;
        refused(slow, "attachments.downloads_per_minute", "expected a sample of at most 30 attachments");
        let enough = r#"{"attachments": {"downloads_per_minute": 3}}"#;
        assert!(enough.parse::<crate::Policy>().is_ok());
    }
}
