//! The restored instance as RDS describes it, and what its status means.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::database::secret::Address;

/// An instance of RDS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Instance {
    pub name: String,
    /// `DbiResourceId`: another instance of the same name has another.
    pub resource: String,
    /// RDS's status, e.g. `backing-up`.
    pub status: String,
    /// Address of the server; none until RDS has made it.
    pub address: Option<Address>,
    /// When RDS made it; none before it is available.
    pub created: Option<Timestamp>,
    pub tags: BTreeMap<String, String>,
    pub is_protected: bool,
    /// Whether a new master's password is still to be applied. Other pending changes do not concern the login.
    pub is_pending: bool,
    /// ARN and status of the secret in which RDS keeps the master's password.
    pub secret: Option<(String, String)>,
}

impl Instance {
    /// ARN of the secret with the master's password, once the server accepts that password. While it is pending, RDS
    /// may still report the instance as available.
    pub(crate) fn password(&self) -> Option<&str> {
        let (arn, status) = self.secret.as_ref()?;
        (!self.is_pending && status == "active" && state(&self.status) == State::Available)
            .then_some(arn.as_str())
    }
}

/// What a status means for a test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// It becomes available by itself.
    Coming,
    /// It accepts logins.
    Available,
    /// It does not become available by itself.
    Failed,
    /// It is being deleted.
    Going,
}

/// Interprets RDS's status. Unknown words count as temporary, since every wait is limited.
///
/// Source: [DB instance status](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html).
pub(crate) fn state(status: &str) -> State {
    match status {
        "available" | "storage-optimization" | "storage-config-upgrade" | "storage-initialization" => {
            State::Available
        }
        "deleting" | "delete-precheck" => State::Going,
        "failed" | "insufficient-capacity" | "restore-error" | "stopped" | "stopping" | "storage-full" => {
            State::Failed
        }
        word if word.starts_with("incompatible-")
            || word.starts_with("inaccessible-encryption-credentials") =>
        {
            State::Failed
        }
        _ => State::Coming,
    }
}

/// The next action that removes an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Removal {
    /// RDS is deleting it.
    Wait,
    /// Its protection can only be lifted once it runs.
    Start,
    /// Lift its deletion protection.
    Lift,
    /// Delete it.
    Delete,
}

impl Removal {
    /// Its word in the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Start => "start",
            Self::Lift => "lift protection",
            Self::Delete => "delete",
        }
    }
}

/// The next action that removes an instance. RDS refuses what its status does not allow; the next poll decides again.
pub(crate) fn removal(instance: &Instance) -> Removal {
    match instance.status.as_str() {
        _ if state(&instance.status) == State::Going => Removal::Wait,
        "stopping" | "starting" => Removal::Wait,
        "stopped" if instance.is_protected => Removal::Start,
        _ if instance.is_protected => Removal::Lift,
        _ => Removal::Delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_state_is_known() {
        for (status, expected) in [
            ("available", State::Available),
            ("storage-optimization", State::Available),
            ("creating", State::Coming),
            ("backing-up", State::Coming),
            ("modifying", State::Coming),
            ("resetting-master-credentials", State::Coming),
            ("rebooting", State::Coming),
            ("configuring-enhanced-monitoring", State::Coming),
            ("of-tomorrow", State::Coming),
            ("failed", State::Failed),
            ("incompatible-restore", State::Failed),
            ("incompatible-network", State::Failed),
            ("incompatible-parameters", State::Failed),
            ("incompatible-option-group", State::Failed),
            ("incompatible-credentials", State::Failed),
            ("incompatible-create", State::Failed),
            ("storage-full", State::Failed),
            ("inaccessible-encryption-credentials", State::Failed),
            ("inaccessible-encryption-credentials-recoverable", State::Failed),
            ("insufficient-capacity", State::Failed),
            ("restore-error", State::Failed),
            ("stopped", State::Failed),
            ("stopping", State::Failed),
            ("deleting", State::Going),
            ("delete-precheck", State::Going),
        ] {
            assert_eq!(state(status), expected, "{status}");
        }
    }

    #[test]
    fn an_instance_is_removed_from_every_state() {
        for (status, is_protected, expected) in [
            ("available", false, Removal::Delete),
            ("available", true, Removal::Lift),
            ("creating", false, Removal::Delete),
            ("failed", false, Removal::Delete),
            ("incompatible-restore", false, Removal::Delete),
            ("stopped", false, Removal::Delete),
            ("stopped", true, Removal::Start),
            ("stopping", true, Removal::Wait),
            ("starting", true, Removal::Wait),
            ("deleting", true, Removal::Wait),
        ] {
            let instance = Instance { status: status.to_owned(), is_protected, ..Instance::default() };
            assert_eq!(removal(&instance), expected, "{status} {is_protected}");
        }
    }

    #[test]
    fn a_password_is_used_once_the_server_accepts_it() {
        for (status, is_pending, secret, expected) in [
            ("available", false, Some("active"), true),
            ("available", true, Some("active"), false),
            ("available", false, Some("creating"), false),
            ("available", false, None, false),
            ("resetting-master-credentials", false, Some("active"), false),
        ] {
            let secret = secret.map(|status| ("arn".to_owned(), status.to_owned()));
            let instance = Instance { status: status.to_owned(), is_pending, secret, ..Instance::default() };
            assert_eq!(instance.password().is_some(), expected, "{status} {is_pending}");
        }
    }
}
