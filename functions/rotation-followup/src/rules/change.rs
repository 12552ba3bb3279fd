//! A change of a secret, its reason, and whether a rotation caused it. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A move of AWSCURRENT since a secret's last follow-up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Change {
    /// ARN of the secret.
    pub secret: String,
    /// Name of the secret.
    pub name: String,
    /// The policy's key: the application's variable, or the secret's name.
    pub key: String,
    /// The current version.
    pub version: String,
    /// The previous version, if any.
    pub previous: Option<String>,
    /// When the current version was created, if the service reports it.
    pub made: Option<Timestamp>,
    /// When the follow-up noticed the move.
    pub noticed: Timestamp,
    /// Whether a rotation by the service caused it, as far as the service's dates show.
    pub is_rotation: bool,
    /// A person's declaration.
    pub declared: Option<Declared>,
}

/// The reason that a person gives with a request for a follow-up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    pub reason: Reason,
    /// The person who declares it.
    pub by: String,
}

/// Why a secret was changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// Its schedule.
    Scheduled,
    /// A person requested it.
    Manual,
    /// The previous value may have leaked, so no rollback restores it.
    Incident,
    /// Unknown: CloudTrail has not reported it.
    Unknown,
}

impl Change {
    /// Adopts a declaration. A later declaration does not revoke an incident.
    pub(super) fn declare(&mut self, declared: Option<&Declared>) {
        let is_incident = self.declared.as_ref().is_some_and(|known| known.reason == Reason::Incident);
        if let Some(declared) = declared
            && (!is_incident || declared.reason == Reason::Incident)
        {
            self.declared = Some(declared.clone());
        }
    }

    /// Whether a person has declared that the previous value may have leaked.
    pub(crate) fn is_incident(&self) -> bool {
        self.declared.as_ref().is_some_and(|declared| declared.reason == Reason::Incident)
    }
}

/// Whether a rotation by the service made a version current, as far as the dates show: the last rotation is not older
/// than the version, and the label was not moved back to an older version.
pub(crate) fn is_rotation(
    made: &BTreeMap<String, Timestamp>,
    version: &str,
    previous: Option<&str>,
    rotated: Option<Timestamp>,
) -> bool {
    let (made, before) = (made.get(version), previous.and_then(|previous| made.get(previous)));
    let is_back = made.zip(before).is_some_and(|(made, before)| made < before);
    !is_back && rotated.is_some_and(|rotated| made.is_none_or(|made| rotated >= *made))
}
