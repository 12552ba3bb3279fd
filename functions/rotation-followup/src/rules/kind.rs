//! Kinds of failures and of missing proofs: the stable names that people read and the journal stores. No I/O, no clock.

use serde::{Deserialize, Serialize};

shared::kinds! {
    /// All words that this function makes for a failure, for the error that broke an execution, and for a proof that
    /// could not be made: a batch stores the first two alike, and a proof any of them. `Other` is an error of Step
    /// Functions or Lambda, or empty for a proof that passed.
    ///
    /// For a new kind, the compiler names only `implicates`; look also at `prevents_deployment`, `proof.rs`,
    /// `text/failure.rs` and `text/unproved.rs`.
    #[derive(Deserialize, Serialize)]
    #[serde(from = "String", into = "String")]
    pub(crate) enum Kind {
        /// The new value certainly does not work; nothing was deployed.
        ValueRefused,
        /// A value that leaked or was rolled back is current again; nothing was deployed.
        OldValueLeaked,
        /// The deployment failed.
        RolloutFailed,
        /// The deployment did not end in the time that the service's settings allow.
        RolloutUnfinished,
        /// A deployment that replaced this function's failed.
        OthersRolloutFailed,
        /// AWSCURRENT moved again.
        Superseded,
        /// The refresh tokens were not revoked. It ends neither the forward direction nor the rollback, and moves no
        /// label.
        SessionsNotEnded,
        /// The application refuses a token signed with the new key.
        NewTokenRefused,
        /// The application accepts a token signed with the old key.
        OldTokenAccepted,
        /// The application cannot read its database.
        DatabaseRefused,
        /// The application's login fails.
        LoginFailed,
        /// The application's list fails.
        ListFailed,
        /// The answer to `/health` is not the application's.
        HealthFailed,
        /// The application does not answer.
        Unreachable,
        /// The answer of the application's rate limit.
        RateLimited,
        /// An answer that neither accepts nor refuses, e.g. from a load balancer without a task.
        UnclearAnswer,
        /// The form of a database credential is wrong.
        WrongForm,
        /// This and the next ten: see `shared::database::ErrorKind`.
        Network,
        Tls,
        Auth,
        ConnectionLimit,
        ReadOnly,
        Permission,
        Identity,
        Busy,
        ProofFailed,
        Pooler,
        Database,
        /// This and the next nine: see `FollowupError`.
        InvalidEvent,
        NotOurs,
        NotRotated,
        NotOpen,
        SecretsManagerCall,
        EcsCall,
        NoService,
        BookFailed,
        PageFailed,
        DeadlineExceeded,
        /// The login's answer contains a masked token.
        MaskedLogin,
        /// The account for smoke tests needs a second factor.
        SecondFactor,
        /// The application refuses the account for smoke tests.
        SmokeLoginRefused,
        /// The secret of the account for smoke tests cannot be used.
        NoSmokeAccount,
        /// The account for smoke tests may not list beneficiaries.
        NotPermitted,
        /// No service reads the secret.
        NoReader,
        /// This and the next three: see `Cause`.
        PinnedReader,
        OthersDeployment,
        DeploymentRefused,
        ServiceDraining,
        /// No answer of the application shows this secret's value.
        NotShown,
        /// The stack names no application.
        NoApplicationUrl,
        /// An old value is current again.
        OldValue,
        /// Both versions have the same key.
        SameValue,
        /// The secret's value contains no key.
        NoKey,
    }
}

impl Kind {
    /// Whether the failure prevents the deployment of a value.
    pub(crate) fn prevents_deployment(&self) -> bool {
        matches!(self, Self::ValueRefused | Self::OldValueLeaked)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_stored_as_its_word() {
        for (word, kind) in [
            ("SessionsNotEnded", Kind::SessionsNotEnded),
            ("NoService", Kind::NoService),
            ("NoKey", Kind::NoKey),
            ("States.Timeout", Kind::Other("States.Timeout".to_owned())),
            ("", Kind::Other(String::new())),
        ] {
            assert_eq!(json!(kind), json!(word));
            assert_eq!(serde_json::from_value::<Kind>(json!(word)).unwrap(), kind);
        }
    }

    /// The texts name variants, so a variant that no code makes would be a text that no person sees.
    #[test]
    fn the_code_makes_every_kind() {
        let code = [
            include_str!("../database.rs"),
            include_str!("../error.rs"),
            include_str!("../steps.rs"),
            include_str!("../steps/deploy.rs"),
            include_str!("../steps/finish.rs"),
            include_str!("../steps/prove.rs"),
            include_str!("batch.rs"),
            include_str!("old.rs"),
            include_str!("proof.rs"),
        ];
        let code = code.map(|code| code.split("#[cfg(test)]").next().unwrap()).concat();
        let made: BTreeSet<_> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').collect();
        let missing: Vec<_> =
            Kind::WORDS.iter().filter(|word| !made.contains(format!("Kind::{word}").as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
