//! What RDS's status of the new instance means. No I/O, no clock.
//!
//! Source: [Viewing Amazon RDS DB instance status](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html).

use shared::database::secret::Address;

/// State of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// It becomes available by itself.
    Coming,
    /// It accepts connections, and RDS changes nothing.
    Available,
    /// It does not become available by itself.
    Failed,
}

/// An instance as RDS describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    /// Its identifier.
    pub name: String,
    /// RDS's status.
    pub status: String,
    /// Its ARN.
    pub arn: String,
    /// Its address; none before it is available.
    pub address: Option<Address>,
    /// Name of its master user.
    pub master: String,
    /// Whether a requested change of the password or of another setting is not applied yet.
    pub pending: bool,
    /// ARN of the secret in which RDS keeps the master's password, and the secret's status.
    pub secret: Option<(String, String)>,
    /// Value of the tag `Run`.
    pub run: Option<String>,
}

/// The meaning of a status. An unknown word counts as on its way, since every wait has a limit.
pub(crate) fn state(status: &str) -> State {
    match status {
        // A restored instance is used while RDS still loads its blocks.
        "available" | "storage-optimization" | "storage-initialization" => State::Available,
        "failed"
        | "deleted"
        | "deleting"
        | "delete-precheck"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "insufficient-capacity"
        | "restore-error"
        | "stopped"
        | "stopping"
        | "storage-full" => State::Failed,
        word if word.starts_with("incompatible-") => State::Failed,
        _ => State::Coming,
    }
}

/// Whether a point in time of an instance is requested by its name. One that is being deleted, or that failed, is no
/// source any more; its backups are.
pub(crate) fn is_source(status: Option<&str>) -> bool {
    status.is_some_and(|status| state(status) != State::Failed)
}

impl Seen {
    /// Whether every requested setting is applied, and RDS keeps the master's password if it was asked to.
    pub(crate) fn is_settled(&self, is_managed: bool) -> bool {
        let has_secret = self.secret.as_ref().is_some_and(|(_, status)| status == "active");
        state(&self.status) == State::Available && !self.pending && (!is_managed || has_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_state_is_known() {
        for (status, expected) in [
            ("creating", State::Coming),
            ("backing-up", State::Coming),
            ("modifying", State::Coming),
            ("configuring-enhanced-monitoring", State::Coming),
            ("resetting-master-credentials", State::Coming),
            ("new-word", State::Coming),
            ("available", State::Available),
            ("storage-optimization", State::Available),
            ("storage-initialization", State::Available),
            ("failed", State::Failed),
            ("incompatible-restore", State::Failed),
            ("incompatible-network", State::Failed),
            ("incompatible-parameters", State::Failed),
            ("incompatible-option-group", State::Failed),
            ("inaccessible-encryption-credentials", State::Failed),
            ("inaccessible-encryption-credentials-recoverable", State::Failed),
            ("insufficient-capacity", State::Failed),
            ("restore-error", State::Failed),
            ("stopped", State::Failed),
            ("storage-full", State::Failed),
            ("deleting", State::Failed),
            ("delete-precheck", State::Failed),
            ("stopping", State::Failed),
            ("incompatible-create", State::Failed),
            ("incompatible-credentials", State::Failed),
            ("starting", State::Coming),
            ("maintenance", State::Coming),
            ("rebooting", State::Coming),
            ("upgrading", State::Coming),
            ("storage-config-upgrade", State::Coming),
        ] {
            assert_eq!(state(status), expected, "{status}");
        }
    }

    #[test]
    fn the_backups_of_an_instance_that_goes_are_the_source() {
        for (status, expected) in [
            (Some("available"), true),
            (Some("backing-up"), true),
            (Some("deleting"), false),
            (Some("storage-full"), false),
            (None, false),
        ] {
            assert_eq!(is_source(status), expected, "{status:?}");
        }
    }

    #[test]
    fn settings_are_applied_when_nothing_is_pending() {
        let available = || Seen { status: "available".to_owned(), ..Seen::default() };
        let secret = |status: &str| Some(("arn".to_owned(), status.to_owned()));
        assert!(available().is_settled(false) && !available().is_settled(true));
        assert!(!Seen { pending: true, ..available() }.is_settled(false));
        assert!(!Seen { secret: secret("creating"), ..available() }.is_settled(true));
        assert!(Seen { secret: secret("active"), ..available() }.is_settled(true));
        assert!(!Seen { status: "modifying".to_owned(), ..available() }.is_settled(false));
    }
}
