//! Kinds of failures and of missing proofs: the stable names that people read and the journal stores. No I/O, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Writes each kind once: the variant's name is the stored word.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The kinds that rules depend on. For a new kind, the compiler names only `implicates`; look also at
        /// `prevents_deployment`, `proof.rs` and `text/failure.rs`.
        #[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(from = "String", into = "String")]
        pub(crate) enum Kind {
            $($(#[$doc])* $name,)*
            /// Any other word: the error that broke an execution, the reason why a proof could not be made, or an empty
            /// text for a proof that passed.
            Other(String),
        }

        impl Kind {
            pub(crate) fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for Kind {
            fn from(word: &str) -> Self {
                match word {
                    $(stringify!($name) => Self::$name,)*
                    _ => Self::Other(word.to_owned()),
                }
            }
        }
    };
}

kinds! {
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
    /// The refresh tokens were not revoked. It ends neither the forward direction nor the rollback, and moves no label.
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
    /// See `shared::database::ErrorKind`, as all that follow.
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
}

impl Kind {
    /// Whether the failure prevents the deployment of a value.
    pub(crate) fn prevents_deployment(&self) -> bool {
        matches!(self, Self::ValueRefused | Self::OldValueLeaked)
    }
}

impl From<String> for Kind {
    fn from(word: String) -> Self {
        word.as_str().into()
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_stored_as_its_word() {
        for (word, kind) in [
            ("SessionsNotEnded", Kind::SessionsNotEnded),
            ("States.Timeout", Kind::Other("States.Timeout".to_owned())),
            ("", Kind::Other(String::new())),
        ] {
            assert_eq!(json!(kind), json!(word));
            assert_eq!(serde_json::from_value::<Kind>(json!(word)).unwrap(), kind);
        }
    }
}
