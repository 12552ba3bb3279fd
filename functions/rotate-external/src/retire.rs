//! Retires one secret's old credential.

use jiff::Timestamp;
use shared::aws::{describe, versions};
use shared::rotation::Base;
use shared::run::ledger;

use crate::error::RotateError;
use crate::event::Declared;
use crate::kind::Kind;
use crate::notes;
use crate::rules::retired::Retired;
use crate::state::State;

/// The state of a secret's old credential after retiring.
pub(crate) struct Retirement {
    pub arn: String,
    pub retired: Retired,
    /// The current version; empty if none is.
    pub version: String,
    /// When the current version was made; read only if the retirement waits.
    pub made: Option<Timestamp>,
}

/// Reads a secret's state and retires its old credential if the new one is in use.
pub(crate) async fn retire(
    base: &Base,
    kind: Kind<'_>,
    declared: Option<&Declared>,
    now: Timestamp,
) -> Result<Retirement, RotateError> {
    let listed = describe::secret(&base.secrets, kind.secret()).await?;
    let bucket = &base.reporter.documents;
    let rows = ledger::rows(&bucket.client, &bucket.bucket).await?;
    let rows = rows.map_err(|reason| RotateError::Ledger { reason })?;
    let version = listed.labelled("AWSCURRENT").unwrap_or_default().to_owned();
    // A declaration holds only for its version: AWSCURRENT may have moved since.
    let declared = declared.filter(|declared| declared.version == version);
    let is_declared = declared.is_some();
    let in_use = ledger::in_use(&listed, &rows, is_declared, now);
    let issuance = notes::issuance(base, &listed.arn).await?;
    let state = State { base, listed: &listed, rows: &rows, issuance: &issuance, in_use, is_declared, now };
    let retired = kind.retire(&state).await?;
    let made = match &retired {
        Retired::Waits(_) => versions::made(&base.secrets, &listed.arn).await?.remove(&version),
        _ => None,
    };
    Ok(Retirement { arn: listed.arn, retired, version, made })
}
