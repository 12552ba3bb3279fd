//! This function's notes in the evidence bucket: the issuance document of each secret, and setSecret's changes in a
//! rotation.

use jiff::Timestamp;
use shared::rotation::{Base, Request, RotationError};
use shared::run::documents::DocumentError;
use shared::runtime::lambda::DeadlineExceeded;
use shared::runtime::time;

use crate::error::RotateError;
use crate::rules::issuance::{Issuance, MAKING_LIMIT};
use crate::rules::password::Applied;
use crate::rules::retired::Retired;

/// Reads the issuance document of a secret.
pub(crate) async fn issuance(base: &Base, arn: &str) -> Result<Issuance, RotateError> {
    Ok(base.reporter.documents.get(&key_of_issuance(arn)).await?.unwrap_or_default())
}

/// Changes the issuance document of a secret by compare-and-swap; `change` may run more than once.
pub(crate) async fn update<R>(
    base: &Base,
    arn: &str,
    change: impl Fn(&mut Issuance) -> R,
) -> Result<R, RotateError> {
    Ok(base.reporter.documents.update(&key_of_issuance(arn), change).await?)
}

/// Notes a change before making it, so that the next attempt reports it if this one dies.
pub(crate) async fn announce(base: &Base, arn: &str, change: Retired) -> Result<(), RotateError> {
    update(base, arn, |issuance| issuance.doing = Some(change.clone())).await
}

/// Notes that a credential is about to be made; only one attempt at a time may do that.
pub(crate) async fn begin(base: &Base, request: &Request, before: &[String]) -> Result<(), RotateError> {
    let begun =
        update(base, &request.secret_id, |issuance| issuance.begin(&request.token, time::now(), before));
    begun.await?.map_err(|until| RotateError::Busy { until })
}

/// Limits the making of a credential to [`MAKING_LIMIT`], so that it ends before another attempt may begin.
pub(crate) async fn bounded<T>(work: impl Future<Output = Result<T, RotateError>>) -> Result<T, RotateError> {
    let late = |_| RotateError::Rotation(RotationError::Deadline(DeadlineExceeded { allowed: MAKING_LIMIT }));
    tokio::time::timeout(MAKING_LIMIT, work).await.map_err(late)?
}

/// Notes a reported change of an old credential.
pub(crate) async fn settle(
    base: &Base,
    arn: &str,
    retired: &Retired,
    now: Timestamp,
) -> Result<(), RotateError> {
    match retired {
        Retired::Nothing | Retired::Waits(_) => Ok(()),
        done => update(base, arn, |issuance| issuance.settle(done, now)).await,
    }
}

/// Reads setSecret's note about the administrator's password for version `token`; none if setSecret did not finish.
pub(crate) async fn applied(base: &Base, token: &str) -> Result<Option<Applied>, DocumentError> {
    base.reporter.documents.get(&key_of_applied(token)).await
}

/// Writes setSecret's note about the administrator's password.
pub(crate) async fn note_applied(base: &Base, token: &str, applied: &Applied) -> Result<(), RotateError> {
    let note = key_of_applied(token);
    base.reporter
        .documents
        .update(&note, |noted: &mut Option<Applied>| *noted = Some(applied.clone()))
        .await?;
    Ok(())
}

fn key_of_issuance(arn: &str) -> String {
    format!("desk/{arn}")
}

fn key_of_applied(token: &str) -> String {
    format!("{token}/setSecret")
}
