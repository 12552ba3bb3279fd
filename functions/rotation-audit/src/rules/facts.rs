//! A secret: what is required of it, and what was seen of it. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::aws::scope::Mark;
use shared::aws::secrets::Listed;
use shared::policy::Responsible;
use shared::runtime::failure::CallError;

/// Which of our functions makes a secret's value.
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

/// What is required of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Standard {
    /// Greatest age of the current value, in days; none when the policy does not know the secret.
    pub max_age_days: Option<u16>,
    /// Which of our functions is to make its value.
    pub rotator: Option<Rotator>,
    /// The RDS instance on which the login is by IAM, if the policy says that it is.
    pub iam_login: Option<String>,
    /// Who rotates it.
    pub responsible: Responsible,
}

/// What was seen of a secret; never a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    /// What the list says.
    pub listed: Listed,
    /// What makes it this environment's concern.
    pub mark: Mark,
    /// When each version was made, or why that was not seen. The service can leave AWSPENDING's version out.
    pub made: Result<BTreeMap<String, Timestamp>, CallError>,
    /// When the current value was first made, where the ledger says that it is an old one which no rotation made; or why the
    /// ledger was not read.
    pub value_made: Result<Option<Timestamp>, String>,
    /// The resource policy, or why it was not seen.
    pub resource_policy: Result<Option<String>, CallError>,
    /// Whether RDS takes IAM logins on the instance that the policy names, or why that was not seen.
    pub takes_iam: Option<Result<bool, CallError>>,
}

impl Facts {
    /// When the current value was made at the latest: where the ledger was not read, it is at least as old as its version.
    /// `changed` does not tell: a tag moves it.
    pub(crate) fn current_made(&self) -> Option<Timestamp> {
        let made = self.version_made()?;
        Some(self.value_made.as_ref().map_or(made, |value_made| value_made.unwrap_or(made)))
    }

    /// When the current version was made, whatever its value.
    fn version_made(&self) -> Option<Timestamp> {
        self.made.as_ref().ok()?.get(self.listed.labelled("AWSCURRENT")?).copied()
    }

    /// Whether no rotation has made the current version, as far as the service's dates tell: then its value may be an old one.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.version_made().is_some_and(|made| self.listed.rotated.is_none_or(|rotated| rotated < made))
    }
}

#[cfg(test)]
impl Facts {
    /// Of a secret that is rotated and has one version.
    pub(crate) fn of_version(id: &str) -> Self {
        let labels = [(id.to_owned(), ["AWSCURRENT".to_owned()].into())].into();
        Self {
            listed: Listed { enabled: true, labels, ..Listed::default() },
            mark: Mark::Tagged,
            made: Ok(BTreeMap::new()),
            value_made: Ok(None),
            resource_policy: Ok(None),
            takes_iam: None,
        }
    }
}

/// A secret, what is required of it and what was seen of it; no facts when it does not exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Secret {
    /// Name.
    pub name: String,
    /// What is required.
    pub standard: Standard,
    /// What was seen.
    pub facts: Option<Facts>,
}

impl Secret {
    /// The instance on which the login is by IAM. The policy's word alone is not enough: RDS has to take such logins there.
    pub(crate) fn iam_login(&self) -> Option<&str> {
        let takes = self.facts.as_ref()?.takes_iam.as_ref()?;
        self.standard.iam_login.as_deref().filter(|_| *takes == Ok(true))
    }
}
