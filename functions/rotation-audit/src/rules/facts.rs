//! A secret: its requirements and the facts about it. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::aws::scope::Mark;
use shared::aws::secrets::Listed;
use shared::policy::Responsible;
use shared::runtime::failure::CallError;

/// The function of this product that makes a secret's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rotator {
    /// `rotate-random`.
    Random,
    /// `rotate-database`.
    Database,
    /// `rotate-external`.
    External,
}

impl Rotator {
    /// Name of the function's folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "rotate-random",
            Self::Database => "rotate-database",
            Self::External => "rotate-external",
        }
    }
}

/// Requirements of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Standard {
    /// Maximum age of the current value, in days; none if the policy does not have the secret.
    pub max_age_days: Option<u16>,
    /// The function of this product that must make its value, if any.
    pub rotator: Option<Rotator>,
    /// The RDS instance of the login, if the policy declares a login by IAM.
    pub iam_login: Option<String>,
    /// The responsible teams.
    pub responsible: Responsible,
}

/// Facts about a secret; never a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    /// Its entry in the list of secrets.
    pub listed: Listed,
    /// Why it belongs to this environment.
    pub mark: Mark,
    /// When each version was created, or why that could not be read. The service can omit the AWSPENDING version.
    pub made: Result<BTreeMap<String, Timestamp>, CallError>,
    /// First creation of the current value, if the ledger shows an old value that no rotation made; or why the ledger
    /// could not be read.
    pub value_made: Result<Option<Timestamp>, String>,
    /// The resource policy, or why it could not be read.
    pub resource_policy: Result<Option<String>, CallError>,
    /// Whether RDS accepts IAM logins on the instance that the policy names, or why that could not be read.
    pub accepts_iam: Option<Result<bool, CallError>>,
}

impl Facts {
    /// Latest possible creation of the current value: without the ledger, the version's date, because a value is at
    /// least as old as its version. Not the list's `changed`, which a new tag moves.
    pub(crate) fn current_made(&self) -> Option<Timestamp> {
        let made = self.version_made()?;
        Some(self.value_made.as_ref().map_or(made, |value_made| value_made.unwrap_or(made)))
    }

    /// When the current version was created; its value may be older.
    fn version_made(&self) -> Option<Timestamp> {
        self.made.as_ref().ok()?.get(self.listed.labelled("AWSCURRENT")?).copied()
    }

    /// Whether no rotation made the current version, according to the service's dates. Its value may then be an old
    /// one.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.version_made().is_some_and(|made| self.listed.rotated.is_none_or(|rotated| rotated < made))
    }
}

/// A secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    pub name: String,
    /// Requirements.
    pub standard: Standard,
    /// Facts; none if it does not exist.
    pub facts: Option<Facts>,
}

impl Secret {
    /// The instance of a login by IAM. The policy's declaration is not enough: RDS must accept IAM logins on the
    /// instance.
    pub(crate) fn iam_login(&self) -> Option<&str> {
        let accepts = self.facts.as_ref()?.accepts_iam.as_ref()?;
        self.standard.iam_login.as_deref().filter(|_| *accepts == Ok(true))
    }
}

#[cfg(test)]
impl Facts {
    /// Facts of a secret with rotation on and one version.
    pub(crate) fn of_version(id: &str) -> Self {
        let labels = [(id.to_owned(), ["AWSCURRENT".to_owned()].into())].into();
        Self {
            listed: Listed { enabled: true, labels, ..Listed::default() },
            mark: Mark::Tagged,
            made: Ok(BTreeMap::new()),
            value_made: Ok(None),
            resource_policy: Ok(None),
            accepts_iam: None,
        }
    }
}
