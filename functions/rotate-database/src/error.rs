//! Why a rotation step failed, and which credential is in force after it.

use std::error::Error;
use std::fmt;

use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::rotation::{InForce, RotationError};
use shared::runtime::failure::{CallError, Failure};

/// A failed rotation step: the reason, and the credential in force after it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RotateError {
    /// The reason.
    pub why: Why,
    /// The credential that the application can use now.
    pub in_force: InForce,
    /// The credential that a login during the step proved.
    pub seen: Option<Seen>,
    /// The version that was AWSCURRENT.
    pub current: Option<String>,
}

/// The credential that the database accepted during a failed step that left it unchanged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// The credential of AWSCURRENT.
    Current,
    /// The credential of another version; that of AWSCURRENT was refused.
    Another(String),
    /// AWSCURRENT was refused; the accepted credential is unknown.
    NotCurrent,
    /// AWSCURRENT and AWSPENDING were both refused.
    Nothing,
}

/// Why a rotation step failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Why {
    /// A failure common to all rotations.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The database failed, or could not be reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The secret's form cannot be kept in step.
    #[error("the secret cannot be rotated as it is")]
    Form(#[from] FormError),
    /// The admin's secret cannot be read.
    #[error("the admin secret cannot be used")]
    AdminForm(#[source] FormError),
    /// The pending, current or admin credentials do not belong together.
    #[error("{reason}")]
    Identity {
        /// The disagreement.
        reason: String,
    },
    /// The user's name is too long for the names of a pair.
    #[error("{reason}: alternating users need a shorter name")]
    NameTooLong {
        /// The name and its limit.
        reason: String,
    },
    /// No stored credential of the current user logs in.
    #[error(
        "no stored credential logs in{}; {tried} versions were tried",
        if another_user.is_some() { " as the user of AWSCURRENT" } else { "" }
    )]
    NoLogin {
        /// The server's refusal of the current credential.
        #[source]
        refused: Box<DatabaseError>,
        /// Number of versions.
        tried: usize,
        /// Version with which another user logs in.
        another_user: Option<String>,
    },
    /// AWSCURRENT has moved since setSecret, or AWSPENDING was removed from a password in force.
    #[error(
        "AWSCURRENT or AWSPENDING was moved during the rotation; the database accepts {}",
        live(*takes_pending, *takes_current)
    )]
    CurrentMoved {
        /// Whether the version of this rotation logs in.
        takes_pending: bool,
        /// Whether the version that is AWSCURRENT now logs in.
        takes_current: bool,
    },
    /// The user is RDS's master user, and RDS manages its password.
    #[error("{user} is the master user of RDS {kind} {id}, and RDS manages its password (MasterUserSecret)")]
    ManagedMaster {
        /// Name of the user.
        user: String,
        /// `instance` or `cluster`.
        kind: &'static str,
        /// Its identifier.
        id: String,
    },
    /// RDS is about to set another password for its master user, and would overwrite a rotated one.
    #[error("RDS {kind} {id} has not yet set the requested password of its master user {user}")]
    MasterChanging {
        /// Name of the user.
        user: String,
        /// `instance` or `cluster`.
        kind: &'static str,
        /// Its identifier.
        id: String,
    },
    /// The secret belongs to a service that rotates it.
    #[error("the secret is managed by the service {owner}, which rotates it")]
    ManagedSecret {
        /// Name of the service, e.g. `rds`.
        owner: String,
    },
    /// A blue/green deployment may replace the server with a database that does not receive its roles and passwords.
    #[error(
        "{server} takes part in the blue/green deployment {deployment} ({status}): a password changed on one of its databases may not reach the other"
    )]
    BlueGreen {
        /// Identifier of the instance or cluster.
        server: String,
        /// Identifier of the deployment.
        deployment: String,
        /// Its status.
        status: String,
    },
    /// An emergency restore of the database is open.
    #[error("the emergency restore {run} of the database is open")]
    RestoreInProgress {
        /// The restore.
        run: String,
    },
    /// The credential that leaked still logs in.
    #[error("the leaked credential of {user} still logs in")]
    StillAccepted {
        /// Name of the login.
        user: String,
    },
    /// The leaked credential cannot be tried.
    #[error("the leaked version {version} no longer has a value, so it cannot be proved dead")]
    LeakUnknown {
        /// The version.
        version: String,
    },
    /// Sessions of a leaked login did not end.
    #[error("{target}: sessions of the login stay open, or new ones begin")]
    SessionsLive {
        /// The login and its server.
        target: String,
    },
    /// A rotation began while the leaked login was being ended.
    #[error("a rotation began at the same time and may have given the login its next password")]
    RotationBegan,
    /// A leaked credential was not ended.
    #[error("the leaked credential of {secrets} is not proved dead; see the channel for the causes")]
    Retire {
        /// The secrets.
        secrets: String,
    },
    /// The ledger does not have the follow-up's format.
    #[error("the rotation ledger cannot be read: {reason}")]
    Ledger {
        /// The place and the problem.
        reason: String,
    },
    /// Running tasks may use the login whose password a new rotation would change.
    #[error(
        "the current version {version} is not known to be in use ({why}), so a new rotation could break the login of running tasks"
    )]
    NotInUse {
        /// The version that is AWSCURRENT.
        version: String,
        /// The reason's name in the ledger.
        why: &'static str,
    },
    /// A call to RDS failed.
    #[error("the step stopped at an RDS call")]
    Rds(#[source] CallError),
}

fn live(pending: bool, current: bool) -> &'static str {
    match (pending, current) {
        (true, true) => "the credentials of both",
        (true, false) => "the credential of this rotation's version, but not the one that is AWSCURRENT now",
        (false, true) => "the credential that is AWSCURRENT now",
        (false, false) => "neither this rotation's credential nor the one that is AWSCURRENT now",
    }
}

impl fmt::Display for RotateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl Error for RotateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.source()
    }
}

impl<E: Into<Why>> From<E> for RotateError {
    fn from(why: E) -> Self {
        Self { why: why.into(), in_force: InForce::Current, seen: None, current: None }
    }
}

impl Failure for RotateError {
    fn kind(&self) -> &'static str {
        match &self.why {
            Why::Rotation(error) => error.kind(),
            Why::Database(error) => error.kind.name(),
            Why::Form(_) => "WrongForm",
            Why::AdminForm(_) => "WrongAdminForm",
            Why::Identity { .. } | Why::NameTooLong { .. } => "Identity",
            Why::NoLogin { .. } => "Auth",
            Why::CurrentMoved { .. } => "CurrentMoved",
            Why::ManagedMaster { .. } | Why::ManagedSecret { .. } => "ManagedByRds",
            Why::MasterChanging { .. } => "MasterChanging",
            Why::BlueGreen { .. } => "BlueGreen",
            Why::RestoreInProgress { .. } => "RestoreInProgress",
            Why::StillAccepted { .. } => "StillAccepted",
            Why::LeakUnknown { .. } => "LeakUnknown",
            Why::SessionsLive { .. } => "SessionsLive",
            Why::RotationBegan => "RotationBegan",
            Why::Retire { .. } => "RetireFailed",
            Why::Ledger { .. } => "LedgerUnreadable",
            Why::NotInUse { .. } => "NotInUse",
            Why::Rds(_) => "RdsCall",
        }
    }

    fn fingerprint(&self) -> String {
        match &self.why {
            Why::Rotation(error) => error.fingerprint(),
            // Report a second reason of the same kind on the same day: an operator who fixed the first one waits for
            // it.
            why => format!("{}/{why}", self.kind()),
        }
    }
}

impl Why {
    /// The credential in force, if the failure itself shows it.
    pub(crate) fn in_force(&self) -> Option<InForce> {
        match self {
            Self::NoLogin { .. } | Self::CurrentMoved { takes_pending: false, takes_current: false } => {
                Some(InForce::Nothing)
            }
            Self::CurrentMoved { takes_current: true, .. }
            // The rotation is over or was given up, and left a working credential.
            | Self::Rotation(RotationError::UnknownVersion { .. } | RotationError::NotPending { .. }) => {
                Some(InForce::Current)
            }
            Self::CurrentMoved { .. } => Some(InForce::Pending),
            _ => None,
        }
    }
}
