//! The errors of a rotation step and of retiring an old credential.

use jiff::Timestamp;
use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::github::GitHubError;
use shared::rotation::RotationError;
use shared::run::documents::DocumentError;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::time;

/// An error of this function; one variant for each action of an operator.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// An error that every rotation shares.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The event is neither a rotation step nor a request to retire old credentials.
    #[error("event field {field} is not {expected}")]
    InvalidEvent {
        /// Name of the field.
        field: &'static str,
        /// The expected form.
        expected: &'static str,
    },
    /// The template does not name the secret.
    #[error("secret {name} is not one of this function's secrets in the template")]
    NotOurs {
        /// Name of the secret.
        name: String,
    },
    /// The issuance document could not be read or written; without it, no credential is made.
    #[error("the secret's issuance document could not be read or written")]
    Issuance(#[from] DocumentError),
    /// Another attempt of the same step, or a promotion, may still be running.
    #[error("another attempt may be making the credential until {}", time::local(*until))]
    Busy {
        /// The end of its lease.
        until: Timestamp,
    },
    /// The previous credential may still be in use.
    #[error("the previous credential is not retired yet, so it leaves no room for a new one")]
    NotRetired,
    /// The retired credential is still accepted.
    #[error("the old credential was retired, but no refusal of it was seen yet")]
    StillAccepted,
    /// The answer to a mail with a retired key shows nothing about the key, e.g. that of SES's rate limit.
    #[error("the old credential was retired, but SES's answer does not show whether AWS refuses it")]
    NotVerified(#[source] CallError),
    /// AWSCURRENT holds a key that does not belong to the template's user.
    #[error("access key {key} of AWSCURRENT does not belong to the IAM user")]
    NotTheUsersKey {
        /// Id of the key.
        key: String,
    },
    /// The user does not have the pending key: a person deleted it, or it belongs to another user.
    #[error("access key {key} of AWSPENDING no longer belongs to the IAM user")]
    PendingKeyGone {
        /// Id of the key.
        key: String,
    },
    /// The user has a second key that no version of the secret holds.
    #[error("the IAM user has a second access key, {key}, that is not in the secret")]
    ForeignKey {
        /// Id of the key.
        key: String,
    },
    /// A call to IAM failed.
    #[error("the call to IAM failed")]
    Iam(#[source] CallError),
    /// SES refused a test mail, or did not answer.
    #[error("sending the test mail with the {which} key failed")]
    Mail {
        /// `pending` or `current`.
        which: &'static str,
        /// The failed call.
        #[source]
        call: CallError,
    },
    /// AWS rejected the access key.
    #[error("AWS does not know the {which} key, or its secret is wrong")]
    KeyRefused {
        /// `pending` or `current`.
        which: &'static str,
        /// Id of the key.
        key: String,
    },
    /// Twilio refuses a token.
    #[error("Twilio refuses the {which} token of the account")]
    TokenRefused {
        /// `pending` or `current`.
        which: &'static str,
    },
    /// The account has a secondary token that no version of the secret holds.
    #[error("the Twilio account has a secondary auth token that is not in the secret")]
    ForeignToken,
    /// The Twilio account is not active.
    #[error("the Twilio account is {status}")]
    AccountClosed {
        /// Twilio's name of the status.
        status: String,
    },
    /// Twilio's rate limit refused the call.
    #[error("Twilio's rate limit was reached")]
    TwilioLimited,
    /// Twilio did not answer, or its answer has an undocumented form.
    #[error("Twilio did not answer as documented: {reason}")]
    Twilio {
        /// The answer, or why there is none; without secrets.
        reason: String,
    },
    /// Storing the secret of GitHub Actions failed.
    #[error("the secret of GitHub Actions was not changed")]
    Repository(#[from] GitHubError),
    /// GitHub accepted the value, but its date did not change.
    #[error("GitHub accepted the value of {name}, but its updated_at is still {updated_at}")]
    NotUpdated {
        /// Name of the secret of GitHub Actions.
        name: String,
        /// GitHub's date.
        updated_at: Timestamp,
    },
    /// GitHub's public key is unusable.
    #[error("GitHub's public key for secrets is invalid, or sealing with it failed")]
    Seal,
    /// The database secret holds no login.
    #[error("the application's database secret cannot be used")]
    DatabaseForm(#[source] FormError),
    /// The application's database refused a statement, or could not be reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// setSecret has not run, or did not finish.
    #[error("setSecret left no note, so the pending password may not be in force anywhere")]
    NotSet,
    /// bcrypt cannot hash the password or read the stored hash.
    #[error("the administrator's password cannot be hashed, or its stored hash is not a bcrypt hash")]
    Hash,
    /// The administrator's hash is not the expected one: it changed since it was read or set.
    #[error("the administrator's password was changed at the same time")]
    HashMoved,
    /// No version of the secret holds the administrator's password, so a person set it.
    #[error(
        "no version of the secret holds the password of {email} in the application; it was left unchanged"
    )]
    PasswordOfOthers {
        /// The administrator's address.
        email: String,
    },
    /// Several users match the administrator's address. The application compares addresses in lower case, so any of
    /// them may log in.
    #[error("{count} users have the administrator's address, in different letter case")]
    SeveralUsers {
        /// Number of users.
        count: usize,
    },
    /// The administrator is inactive and cannot log in with any password.
    #[error("the administrator {email} is inactive in the application, so no login can prove a password")]
    UserInactive {
        /// The administrator's address.
        email: String,
    },
    /// The application's login refuses the administrator's password.
    #[error("the application refuses the administrator's new password: {answer}")]
    LoginRefused {
        /// The application's answer.
        answer: String,
    },
    /// The application's rate limit refused the login.
    #[error("the application's rate limit was reached, so the login proves nothing: {answer}")]
    LoginLimited {
        /// The application's answer.
        answer: String,
    },
    /// The application's answer to the login is no proof.
    #[error("the application's answer to the administrator's login proves nothing: {answer}")]
    LoginUnclear {
        /// The application's answer, or why there is none.
        answer: String,
    },
    /// An AWS call of retiring failed.
    #[error("the state of an old credential could not be read")]
    Call(#[from] CallError),
    /// Some secret's old credential could not be retired.
    #[error("retiring the old credential of {secrets} failed; the channel has each cause")]
    Retire {
        /// Names of the secrets.
        secrets: String,
    },
    /// The ledger does not have the form that the follow-up writes.
    #[error("the rotation ledger cannot be read: {reason}")]
    Ledger {
        /// The place of the error.
        reason: String,
    },
}

impl Failure for RotateError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rotation(error) => error.kind(),
            Self::InvalidEvent { .. } => "InvalidEvent",
            Self::NotOurs { .. } => "NotOurs",
            Self::Issuance(_) => "DeskFailed",
            Self::Busy { .. } => "Busy",
            Self::NotRetired => "NotRetired",
            Self::StillAccepted => "StillAccepted",
            Self::NotVerified(_) => "NotVerified",
            Self::NotTheUsersKey { .. } => "NotTheUsersKey",
            Self::PendingKeyGone { .. } => "PendingKeyGone",
            Self::ForeignKey { .. } => "ForeignKey",
            Self::Iam(_) => "IamCall",
            Self::Mail { .. } => "MailFailed",
            Self::KeyRefused { .. } => "KeyRefused",
            Self::TokenRefused { .. } => "TokenRefused",
            Self::ForeignToken => "ForeignToken",
            Self::AccountClosed { .. } => "AccountClosed",
            Self::TwilioLimited => "TwilioLimited",
            Self::Twilio { .. } => "TwilioFailed",
            Self::Repository(_) => "GitHubFailed",
            Self::NotUpdated { .. } => "NotUpdated",
            Self::Seal => "SealFailed",
            Self::DatabaseForm(_) => "DatabaseForm",
            Self::Database(error) => error.kind.name(),
            Self::NotSet => "NotSet",
            Self::Hash => "HashFailed",
            Self::HashMoved => "HashMoved",
            Self::PasswordOfOthers { .. } => "PasswordOfOthers",
            Self::SeveralUsers { .. } => "SeveralUsers",
            Self::UserInactive { .. } => "UserInactive",
            Self::LoginRefused { .. } => "LoginRefused",
            Self::LoginLimited { .. } => "LoginLimited",
            Self::LoginUnclear { .. } => "LoginUnclear",
            Self::Call(_) => "AwsCall",
            Self::Retire { .. } => "RetireFailed",
            Self::Ledger { .. } => "LedgerUnreadable",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Rotation(error) => error.fingerprint(),
            Self::Iam(call) | Self::Call(call) | Self::NotVerified(call) | Self::Mail { call, .. } => {
                format!("{}/{}/{}", self.kind(), call.operation, call.code)
            }
            _ => self.kind().to_owned(),
        }
    }
}

/// The error for a secret without a current value.
pub(crate) fn no_value() -> RotationError {
    RotationError::WrongForm { reason: "it has no value to replace yet".to_owned() }
}
