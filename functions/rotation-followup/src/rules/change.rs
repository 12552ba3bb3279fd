//! A change of a secret, why it was made, and whether a rotation made it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// AWSCURRENT of a secret is on another version than the last follow-up saw.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Change {
    /// ARN of the secret.
    pub secret: String,
    /// Its name.
    pub name: String,
    /// The policy's key: the application's variable, or the name.
    pub key: String,
    /// The version that is current.
    pub version: String,
    /// The one before; none when there is none.
    pub previous: Option<String>,
    /// When the current value was made, where the service tells.
    pub made: Option<Timestamp>,
    /// When we saw that the label had moved.
    pub noticed: Timestamp,
    /// Whether the service rotated it, as far as its dates tell.
    pub is_rotation: bool,
    /// What a person has declared.
    pub declared: Option<Declared>,
}

/// Why a secret was changed, as a person says who asks for a follow-up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    /// The reason.
    pub reason: Reason,
    /// Who says so.
    pub by: String,
}

/// Why a secret was changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// Its schedule.
    Scheduled,
    /// A person wanted it.
    Manual,
    /// The value before may be known to others. Nothing goes back to it.
    Incident,
    /// Not known: CloudTrail has told nothing.
    Unknown,
}

impl Change {
    /// Takes a declaration over. An incident stays one, whoever asks again.
    pub(super) fn declare(&mut self, declared: Option<&Declared>) {
        let is_incident = self.declared.as_ref().is_some_and(|known| known.reason == Reason::Incident);
        if let Some(declared) = declared
            && (!is_incident || declared.reason == Reason::Incident)
        {
            self.declared = Some(declared.clone());
        }
    }

    /// Whether somebody has declared that the value before may be known to others.
    pub(crate) fn is_incident(&self) -> bool {
        self.declared.as_ref().is_some_and(|declared| declared.reason == Reason::Incident)
    }
}

/// Whether the service's rotation made a version current, as far as its dates tell: the last rotation was not before the version
/// was made, and the version is not an older one to which the label was moved back.
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
