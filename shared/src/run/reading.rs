//! The reading of a server for a proof, a piece in each invocation. What was read is kept after each.

use std::time::Duration;

use proof::{Plan, ReadError, Reading, Role};
use tokio::time::Instant;

use crate::database::secret::Login;
use crate::database::{Database, DatabaseError};
use crate::run::documents::{DocumentError, Documents};
use crate::runtime::failure::chain;
use crate::runtime::lambda::Invocation;

/// Time reserved to keep what was read.
const STORING: Duration = Duration::from_secs(25);

/// Between the end of the longest statement and the time to keep what was read.
const MARGIN: Duration = Duration::from_secs(10);

/// Reads servers, and keeps the readings.
pub struct Reader<'a> {
    /// Where the readings are kept.
    pub documents: &'a Documents,
    /// Opens the sessions.
    pub database: &'a Database,
    /// What is read.
    pub plan: Plan,
}

impl Reader<'_> {
    /// Goes on with the reading of this name, until all is read or the invocation's time is nearly over.
    ///
    /// The inner error is about the server, for a report. What was read before a failure is kept; a piece that moved the
    /// reading forward is no failure.
    ///
    /// # Errors
    ///
    /// The [`DocumentError`] of keeping the reading.
    pub async fn piece(
        &self,
        name: &str,
        role: Role,
        login: &Login,
        invocation: &Invocation,
    ) -> Result<Result<Reading, String>, DocumentError> {
        let mut reading: Reading = self.documents.get(name).await?.unwrap_or_default();
        if reading.complete() {
            return Ok(Ok(reading));
        }
        let begun = reading.progress();
        // The last statement may take as long as any.
        let until = Instant::now() + invocation.left().saturating_sub(STORING + MARGIN + self.plan.statement);
        let connect = async || self.database.login(login).await;
        let read = proof::read(connect, &self.plan, role, &mut reading, until);
        let error = match invocation.before_deadline(STORING, read).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(told(&error)),
            Err(late) => Some(chain(&late)),
        };
        let left = reading.left();
        tracing::info!(
            message = "read",
            proof.note = name,
            proof.done = left.done,
            proof.left = left.objects,
            proof.bytes_left = left.bytes,
            proof.piece = reading.times.pieces
        );
        // A slower attempt of the same step must not undo a faster one.
        let kept = self.documents.update(name, |kept: &mut Reading| {
            if reading.progress() >= kept.progress() {
                kept.clone_from(&reading);
            }
        });
        kept.await?;
        match error {
            Some(error) if reading.progress() == begun => Ok(Err(error)),
            Some(error) => {
                tracing::warn!(message = format!("the piece ended early: {error}"));
                Ok(Ok(reading))
            }
            None => Ok(Ok(reading)),
        }
    }
}

/// The error of a piece, without what the driver says: it may quote a row.
fn told(error: &ReadError<DatabaseError>) -> String {
    match error {
        ReadError::Connect(_) => chain(error),
        ReadError::SetUp(_) | ReadError::Catalog(_) => error.to_string(),
    }
}
