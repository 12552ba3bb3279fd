//! setSecret's note of its change, for the later steps and for failures.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::rotation::{Attempt, Request, RotationError};
use shared::run::documents::DocumentError;
use shared::runtime::failure::chain;

use crate::App;
use crate::error::Why;

/// setSecret's note for finishSecret, stored before anything is changed.
#[derive(Deserialize, Serialize)]
pub(crate) struct Change {
    /// The current version, from which the pending value was made.
    pub(crate) from: String,
    /// Time just before the first attempt at the change.
    pub(crate) at: Timestamp,
    /// Version whose credential logged in after the current one was refused.
    pub(crate) rescued_by: Option<String>,
    /// Whether the change ends the current password. Stored because the strategy may change before the next step.
    pub(crate) single_user: bool,
}

impl App {
    /// Whether AWSCURRENT has moved since the note was stored.
    pub(crate) fn has_moved(attempt: &Attempt<'_>, change: &Option<Change>) -> bool {
        let current = attempt.labelled("AWSCURRENT").unwrap_or_default();
        change.as_ref().is_some_and(|change| change.from != current)
    }

    fn note_key(request: &Request) -> String {
        format!("{}/setSecret", request.token)
    }

    /// Stores the note; `false` if one exists. Without it the length of the window is unknown, and a moved AWSCURRENT
    /// goes unnoticed.
    pub(crate) async fn save_change(&self, attempt: &Attempt<'_>, change: &Change) -> Result<bool, Why> {
        let stored = self.base.reporter.documents.put_new(&Self::note_key(attempt.request), change).await;
        stored.map_err(|error| {
            tracing::warn!(message = chain(&error), error_type = "EvidenceFailed");
            RotationError::from(error).into()
        })
    }

    pub(crate) async fn saved_change(&self, request: &Request) -> Option<Change> {
        self.look(request).await.unwrap_or_else(|error| {
            tracing::warn!(message = chain(&error), error_type = "EvidenceFailed");
            None
        })
    }

    pub(crate) async fn look(&self, request: &Request) -> Result<Option<Change>, DocumentError> {
        self.base.reporter.documents.get(&Self::note_key(request)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_bc640d8_is_read() {
        let recorded = include_str!("../../../tests/recorded/rotate-database-change.json");
        let change: Change = serde_json::from_str(recorded).unwrap();
        assert_eq!((change.from.as_str(), change.rescued_by.as_deref()), ("v1", Some("v0")));
        assert!(change.single_user);
    }
}
