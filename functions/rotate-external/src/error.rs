//! Why a rotation step or the retiring of an old credential failed.

use jiff::Timestamp;
use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::github::GitHubError;
use shared::rotation::RotationError;
use shared::run::evidence::EvidenceError;
use shared::runtime::failure::{CallError, Failure};
use shared::runtime::time;

/// Why something failed; a variant for each thing that an operator does next.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RotateError {
    /// What any rotation may fail of.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The event is neither a rotation step nor one that asks to retire old credentials.
    #[error("event field {field} is not {expected}")]
    InvalidEvent {
        /// Name of the field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The template does not name the secret.
    #[error("secret {name} is none of those that the template gives this function")]
    NotOurs {
        /// Name of the secret.
        name: String,
    },
    /// What is remembered of the secret could not be read or written, and without that nothing is made.
    #[error("what is remembered of the secret could not be read or written")]
    Issuance(#[from] EvidenceError),
    /// Another attempt of the same step may still be at work.
    #[error("another attempt at making the credential may be at work until {}", time::local(*until))]
    Busy {
        /// When it cannot be any more.
        until: Timestamp,
    },
    /// The credential before the current one is still in use, as far as anybody knows.
    #[error(
        "the credential before the current one is not put out of use yet, so there is no room for a new one"
    )]
    NotRetired,
    /// The credential that was put out of use is accepted still, or no definite refusal was seen.
    #[error("the old credential was put out of use, and no refusal of it was seen yet")]
    StillAccepted,
    /// AWSCURRENT holds a key that the template's user does not have.
    #[error("access key {key} of AWSCURRENT is not one of the IAM user's")]
    NotTheUsersKey {
        /// Id of the key.
        key: String,
    },
    /// The pending key is gone: a person deleted it, or it belongs to another user.
    #[error("access key {key} of AWSPENDING is not one of the IAM user's any more")]
    PendingKeyGone {
        /// Id of the key.
        key: String,
    },
    /// The user has a second key that is in no version of the secret.
    #[error("the IAM user has a second access key, {key}, that is not in the secret")]
    ForeignKey {
        /// Id of the key.
        key: String,
    },
    /// A call to IAM failed.
    #[error("the call to IAM failed")]
    Iam(#[source] CallError),
    /// SES refused a mail, or did not answer.
    #[error("the test mail was not sent with the {which} key")]
    Mail {
        /// `pending` or `current`.
        which: &'static str,
        /// What SES said.
        #[source]
        call: CallError,
    },
    /// A key that is no key to AWS.
    #[error("AWS does not know the {which} key, or its secret is another one")]
    KeyRefused {
        /// `pending` or `current`.
        which: &'static str,
        /// Id of the key.
        key: String,
    },
    /// Twilio does not take a token.
    #[error("Twilio refuses the {which} token of the account")]
    TokenRefused {
        /// `pending` or `current`.
        which: &'static str,
    },
    /// The account has a secondary token that is in no version of the secret.
    #[error("the Twilio account has a secondary auth token that is not in the secret")]
    ForeignToken,
    /// The account cannot be used.
    #[error("the Twilio account is {status}")]
    AccountClosed {
        /// Twilio's word.
        status: String,
    },
    /// Twilio refused the call for its rate.
    #[error("Twilio asks to be asked less often")]
    TwilioLimited,
    /// Twilio did not answer, or in a way that it does not document.
    #[error("Twilio did not answer as documented: {reason}")]
    Twilio {
        /// What was seen; nothing secret.
        reason: String,
    },
    /// The CI's secret was not changed.
    #[error("the secret of GitHub Actions was not changed")]
    Repository(#[from] GitHubError),
    /// GitHub said that it stored the value, and its date says otherwise.
    #[error("GitHub took the value of {name}, and its updated_at still is {updated_at}")]
    NotUpdated {
        /// Name of the secret of GitHub Actions.
        name: String,
        /// What GitHub says.
        updated_at: Timestamp,
    },
    /// The key for sealing is not one.
    #[error("GitHub's public key for secrets is not one, or nothing could be sealed with it")]
    Seal,
    /// The database secret has no login in it.
    #[error("the application's database secret cannot be used")]
    DatabaseForm(#[source] FormError),
    /// The application's database refused, or was not reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// setSecret has not run, or did not come to its end.
    #[error("the pending password was not given to anybody yet: setSecret has left no note")]
    NotSet,
    /// The stored hash of the administrator's password is not one of bcrypt.
    #[error("the administrator's password cannot be hashed, or its stored hash is not one of bcrypt")]
    Hash,
    /// The administrator's hash changed between two looks.
    #[error("somebody changed the administrator's password at the same moment")]
    HashMoved,
    /// The administrator's password is in no version of the secret, so a person set it.
    #[error("the password of {email} in the application is in no version of the secret; it was left alone")]
    PasswordOfOthers {
        /// The administrator's address.
        email: String,
    },
    /// The application compares addresses in lower case, and does not say which of several users logs in.
    #[error("{count} users have the administrator's address, in different letter case")]
    SeveralUsers {
        /// Number of users.
        count: usize,
    },
    /// The administrator cannot log in with any password.
    #[error("the administrator {email} is inactive in the application, so no login can prove a password")]
    UserInactive {
        /// The administrator's address.
        email: String,
    },
    /// The application's login does not take the new password.
    #[error("the application refuses the administrator's new password: {said}")]
    LoginRefused {
        /// Its answer.
        said: String,
    },
    /// The application answers to nobody at this rate.
    #[error("the application's rate limit was reached, so the login proves nothing: {said}")]
    LoginLimited {
        /// Its answer.
        said: String,
    },
    /// The application's answer to the login proves nothing.
    #[error("the application's answer to the administrator's login proves nothing: {said}")]
    LoginUnclear {
        /// Its answer, or why there was none.
        said: String,
    },
    /// A call that only the retiring makes failed.
    #[error("an old credential could not be looked at")]
    Call(#[from] CallError),
    /// Some secret's old credential could not be retired.
    #[error("the old credential of {secrets} could not be retired; the channel has each cause")]
    Retire {
        /// Names of the secrets.
        secrets: String,
    },
    /// The ledger is not what the follow-up writes.
    #[error("the rotation ledger cannot be read: {reason}")]
    Ledger {
        /// Where it is wrong.
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
            Self::Iam(call) | Self::Call(call) | Self::Mail { call, .. } => {
                format!("{}/{}/{}", self.kind(), call.operation, call.code)
            }
            _ => self.kind().to_owned(),
        }
    }
}

/// A secret without a current value.
pub(crate) fn no_value() -> RotationError {
    RotationError::WrongForm { reason: "it has no value yet, so there is nothing to replace".to_owned() }
}
