//! Why a rotation step failed, and what it leaves in force.

use std::error::Error;
use std::fmt;

use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::rotation::{InForce, RotationError};
use shared::runtime::failure::{CallError, Failure};

/// Why a rotation step failed, and what it leaves in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RotateError {
    /// The reason.
    pub why: Why,
    /// Which credential the application can use now.
    pub in_force: InForce,
    /// What a login during the step showed of that.
    pub seen: Option<Seen>,
    /// The version that was AWSCURRENT.
    pub current: Option<String>,
}

/// Which credential the database accepted during a failed step that then left it unchanged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// The credential of AWSCURRENT.
    Current,
    /// The credential of another version; that of AWSCURRENT was refused.
    Another(String),
    /// AWSCURRENT was refused; the step did not find out which credential is accepted.
    NotCurrent,
    /// AWSCURRENT and AWSPENDING were both refused.
    Nothing,
}

/// Why a rotation step failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Why {
    /// What any rotation may fail of.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The database, or the way to it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The secret is not one that can be kept in step.
    #[error("the secret cannot be rotated as it is")]
    Form(#[from] FormError),
    /// The admin's secret cannot be read.
    #[error("the admin secret cannot be used")]
    AdminForm(#[source] FormError),
    /// Pending and current credential, or the admin's, do not belong together.
    #[error("{reason}")]
    Identity {
        /// What does not agree.
        reason: String,
    },
    /// The user's name leaves no room for its pair's.
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
        /// What the server said to the current one.
        #[source]
        refused: Box<DatabaseError>,
        /// Number of versions.
        tried: usize,
        /// Version with which another user logs in.
        another_user: Option<String>,
    },
    /// AWSCURRENT is on another version than at setSecret, or AWSPENDING was taken off a password that is in force.
    #[error(
        "somebody moved AWSCURRENT or AWSPENDING during the rotation; the database takes {}",
        live(*takes_pending, *takes_current)
    )]
    CurrentMoved {
        /// Whether the version of this rotation logs in.
        takes_pending: bool,
        /// Whether the version that is AWSCURRENT now logs in.
        takes_current: bool,
    },
    /// The user is RDS's master user, and RDS keeps its password.
    #[error("{user} is the master user of RDS {kind} {id}, and RDS manages its password (MasterUserSecret)")]
    ManagedMaster {
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
        "{server} takes part in the blue/green deployment {deployment} ({status}): a password that is changed on one of its databases may not reach the other"
    )]
    BlueGreen {
        /// Identifier of the instance or cluster.
        server: String,
        /// Identifier of the deployment.
        deployment: String,
        /// Its status.
        status: String,
    },
    /// The credential that leaked still logs in.
    #[error("the leaked credential of {user} still logs in")]
    StillAccepted {
        /// Name of the login.
        user: String,
    },
    /// The leaked credential cannot be tried.
    #[error("version {version}, which leaked, has no value any more, so nothing proves that it is dead")]
    LeakUnknown {
        /// The version.
        version: String,
    },
    /// Sessions of a leaked login did not end.
    #[error("{target}: sessions of the login go on, or new ones begin")]
    SessionsLive {
        /// The login and its place.
        target: String,
    },
    /// A rotation began while the leaked login was about to be ended.
    #[error("a rotation began at the same moment, and may have given the login its next password")]
    RotationBegan,
    /// A leaked credential was not ended.
    #[error("the leaked credential of {secrets} is not proved dead; the channel has each cause")]
    Retire {
        /// The secrets.
        secrets: String,
    },
    /// The ledger is not what the follow-up writes.
    #[error("the rotation ledger cannot be read: {reason}")]
    Ledger {
        /// Where it is wrong.
        reason: String,
    },
    /// Running tasks may use the login whose password a new rotation would change.
    #[error(
        "the current version {version} is not known to be in use ({why}), so a new rotation could end the login of running tasks"
    )]
    NotInUse {
        /// The version that is AWSCURRENT.
        version: String,
        /// The ledger's word.
        why: &'static str,
        /// The state machine that follows rotations up.
        machine: String,
    },
    /// RDS could not be asked about the instance.
    #[error("the step stopped at an RDS call")]
    Rds(#[source] CallError),
}

fn live(pending: bool, current: bool) -> &'static str {
    match (pending, current) {
        (true, true) => "the credentials of both",
        (true, false) => "the credential of this rotation's version, and not the one that is AWSCURRENT now",
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
            Why::BlueGreen { .. } => "BlueGreen",
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
            // Another reason of the same kind is news: who has mended the first one waits for it.
            why => format!("{}/{why}", self.kind()),
        }
    }
}

impl Why {
    /// Which credential is in force, where the failure itself says so.
    pub(crate) fn in_force(&self) -> Option<InForce> {
        match self {
            Self::NoLogin { .. } | Self::CurrentMoved { takes_pending: false, takes_current: false } => {
                Some(InForce::Nothing)
            }
            Self::CurrentMoved { takes_current: true, .. }
            // The rotation is over or given up, and nothing is wrong with what it left.
            | Self::Rotation(RotationError::UnknownVersion { .. } | RotationError::NotPending { .. }) => {
                Some(InForce::Current)
            }
            Self::CurrentMoved { .. } => Some(InForce::Pending),
            _ => None,
        }
    }
}
