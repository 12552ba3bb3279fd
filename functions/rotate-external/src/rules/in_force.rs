//! The value in force after a failed step.

use shared::rotation::{InForce, Request, RotationError, Step};
use shared::runtime::language::Language;

use crate::error::RotateError;

/// Which password of the administrator the application takes, as far as the failed step has seen.
pub(crate) fn of_password(error: &RotateError, language: Language, request: &Request) -> InForce {
    match (error, request.step) {
        (_, Step::CreateSecret) => InForce::Current,
        // A person's own password is.
        (RotateError::PasswordOfOthers { .. } | RotateError::Hash, Step::SetSecret) => InForce::Nothing,
        // GitHub is asked first, and the application never before both.
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
        // The server has said that it changed nothing.
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
        // Seen in the database, or by the login.
        (RotateError::HashMoved | RotateError::LoginRefused { .. }, _) => InForce::Nothing,
        _ => InForce::Pending,
    }
}
