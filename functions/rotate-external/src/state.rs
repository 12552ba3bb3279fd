//! State of one secret, read before its old credential is retired.

use jiff::Timestamp;
use secrecy::SecretString;
use shared::aws::secrets::{self, Listed};
use shared::rotation::{Base, RotationError};
use shared::run::ledger::{InUse, NotInUse, Row};

use crate::error::RotateError;
use crate::rules::issuance::Issuance;
use crate::rules::retired::Reason;

/// State of one secret.
pub(crate) struct State<'a> {
    pub base: &'a Base,
    pub listed: &'a Listed,
    pub rows: &'a [Row],
    pub issuance: &'a Issuance,
    pub in_use: Result<InUse, NotInUse>,
    /// Whether a person declared that the current version is in use.
    pub is_declared: bool,
    pub now: Timestamp,
}

impl State<'_> {
    /// The reason to keep a key that is neither the current nor the previous one.
    pub(crate) fn why_unowned(&self, key: &str) -> Reason {
        let (current, pending) = (self.listed.labelled("AWSCURRENT"), self.listed.labelled("AWSPENDING"));
        match pending.is_some() && pending != current {
            true => Reason::RotationRuns,
            false => Reason::Foreign { key: key.to_owned() },
        }
    }

    /// Reads the value of the version with a label.
    pub(crate) async fn value(&self, label: &str) -> Result<SecretString, RotateError> {
        let reason = || format!("no version has the label {label}");
        let version = self.listed.labelled(label);
        let version = version.ok_or_else(|| RotationError::WrongForm { reason: reason() })?;
        Ok(secrets::value(&self.base.secrets, &self.listed.arn, Some(version)).await?)
    }
}
