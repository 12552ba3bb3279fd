//! The password in force after a failed step.

use shared::rotation::{InForce, Request, RotationError, Step};
use shared::runtime::language::Language;

use crate::error::RotateError;

/// The administrator's password that the application accepts, as far as the failed step shows.
pub(crate) fn of_password(error: &RotateError, language: Language, request: &Request) -> InForce {
    match (error, request.step) {
        (_, Step::CreateSecret) => InForce::Current,
        // A password that a person set is in force.
        (RotateError::PasswordOfOthers { .. } | RotateError::Hash, Step::SetSecret) => InForce::Nothing,
        // These errors precede the first change in the application: setSecret finds the user, stores the value at
        // GitHub, and only then changes the hash.
        (
            RotateError::Repository(_)
            | RotateError::NotUpdated { .. }
            | RotateError::Seal
            | RotateError::SeveralUsers { .. }
            | RotateError::UserInactive { .. }
            | RotateError::NotOurs { .. }
            | RotateError::DatabaseForm(_),
            Step::SetSecret,
        ) => InForce::Current,
        // The server refused the statement, so it changed nothing.
        (RotateError::Database(error), Step::SetSecret) if error.is_refused_statement() => InForce::Current,
        (
            RotateError::Rotation(
                error @ (RotationError::ForeignPending { .. }
                | RotationError::EmptyPending
                | RotationError::CurrentMoved { .. }
                | RotationError::WrongForm { .. }
                | RotationError::InvalidTag { .. }),
            ),
            Step::SetSecret | Step::TestSecret,
        ) => error.advise(language, request).in_force,
        (_, Step::SetSecret) | (RotateError::NotSet, _) => InForce::Unsure,
        // The database or the login shows that the new password is not in force.
        (RotateError::HashMoved | RotateError::LoginRefused { .. }, _) => InForce::Nothing,
        _ => InForce::Pending,
    }
}
