//! setSecret's note: what the change was made from, for the later steps and for failures.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::rotation::{Attempt, Request, RotationError};
use shared::run::evidence::EvidenceError;
use shared::runtime::failure::chain;

use crate::App;
use crate::error::Why;

/// What setSecret keeps for finishSecret before it changes anything.
#[derive(Deserialize, Serialize)]
pub(crate) struct Change {
    /// Version that was current, from which the pending value was made.
    pub(crate) from: String,
    /// When the change was about to be made first.
    pub(crate) at: Timestamp,
    /// Version whose credential logged in instead of the current one.
    pub(crate) rescued_by: Option<String>,
    /// Whether the change ends the current password: the strategy may be another one by the next step.
    pub(crate) single_user: bool,
}

impl App {
    /// Whether AWSCURRENT is on another version than when the change was first about to be made.
    pub(crate) fn has_moved(attempt: &Attempt<'_>, change: &Option<Change>) -> bool {
        let current = attempt.labelled("AWSCURRENT").unwrap_or_default();
        change.as_ref().is_some_and(|change| change.from != current)
    }

    fn note(request: &Request) -> String {
        format!("{}/setSecret", request.token)
    }

    /// Whether this is the first note. Without a note the length of the window is unknown, and a moved AWSCURRENT goes
    /// unnoticed.
    pub(crate) async fn save_change(&self, attempt: &Attempt<'_>, change: &Change) -> Result<bool, Why> {
        let kept = self.base.reporter.evidence.put_new(&Self::note(attempt.request), change).await;
        kept.map_err(|error| {
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

    pub(crate) async fn look(&self, request: &Request) -> Result<Option<Change>, EvidenceError> {
        self.base.reporter.evidence.get(&Self::note(request)).await
    }
}
