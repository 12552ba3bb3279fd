//! Finds the credential that the database accepts after a failed step.

use std::time::Duration;

use shared::database::ErrorKind;
use shared::database::secret::{Login, Secret};
use shared::rotation::{Attempt, InForce, Request, RotationError};

use crate::error::{RotateError, Seen, Why};
use crate::note::Change;
use crate::rules::policy;
use crate::{App, at};

/// Maximum time that a failure waits for setSecret's note.
const PATIENCE: Duration = Duration::from_secs(2);

impl App {
    /// The failure for labels that moved since setSecret, with the credentials that the database accepts.
    pub(crate) async fn moved(&self, pending: &Login, current: &Login) -> Result<Why, Why> {
        let [takes_pending, takes_current] = self.takes([pending, current]).await?;
        Ok(Why::CurrentMoved { takes_pending, takes_current })
    }

    pub(crate) async fn diagnose(&self, attempt: &Attempt<'_>, error: RotationError) -> Result<Why, Why> {
        // Without the note, nothing was changed. Don't log in for a token that a caller may have made up.
        let change = self.saved_change(attempt.request).await;
        if change.is_none() {
            return Ok(error.into());
        }
        // Don't report a late step of a rotation that succeeded, unless someone reverted its AWSCURRENT.
        let taken_back = matches!(error, RotationError::CurrentMoved { .. });
        let token = &attempt.request.token;
        if !taken_back && self.base.reporter.look(token).await.is_recorded() {
            return Ok(error.into());
        }
        let Some(version) = attempt.version(token, None).await? else {
            return Ok(error.into());
        };
        let pending = Secret::parse(&version.value)?;
        let current = self.current(attempt).await?;
        let given_up = !taken_back && !Self::has_moved(attempt, &change);
        match self.takes([pending.login(), current.login()]).await? {
            // AWSPENDING was removed or taken by another rotation, and the application can still log in.
            [false, true] if given_up => Ok(error.into()),
            [takes_pending, takes_current] => Ok(Why::CurrentMoved { takes_pending, takes_current }),
        }
    }

    /// Completes a failure after setSecret. If the database refused the pending credential, someone changed the
    /// password by hand. setSecret's note cannot show that, so AWSCURRENT is tried too.
    pub(crate) async fn look_again(&self, attempt: &Attempt<'_>, why: Why) -> RotateError {
        let is_refused = matches!(&why, Why::Database(error) if error.kind == ErrorKind::Auth);
        let seen = match self.current(attempt).await {
            Ok(current) if is_refused => match self.try_login(current.login()).await {
                Ok(Some(session)) => {
                    session.close().await;
                    Some(Seen::Current)
                }
                Ok(None) => Some(Seen::Nothing),
                Err(_) => None,
            },
            _ => None,
        };
        RotateError { seen, ..at(attempt)(why) }
    }

    /// The credential in force after a failed step, and setSecret's note if it was read. A single user's old password
    /// is refused once setSecret has run.
    pub(crate) async fn in_force(&self, request: &Request, error: &RotateError) -> (InForce, Option<Change>) {
        match (error.why.in_force(), &error.seen) {
            (Some(known), _) => return (known, None),
            (None, Some(Seen::Current)) => return (InForce::Current, None),
            (None, Some(Seen::Another(_) | Seen::Nothing)) => return (InForce::Nothing, None),
            (None, Some(Seen::NotCurrent)) => return (InForce::Unsure, None),
            (None, None) => {}
        }
        match tokio::time::timeout(PATIENCE, self.look(request)).await {
            Ok(Ok(None)) => (InForce::Current, None),
            Ok(Ok(Some(change))) => (policy::in_force(request.step, change.single_user), Some(change)),
            Ok(Err(_)) | Err(_) => (InForce::Unsure, None),
        }
    }
}
