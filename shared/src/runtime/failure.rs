//! Errors at the boundary: what an operator and a state machine see of a failure.

use std::error::Error;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lambda_runtime::Diagnostic;

/// An error with a name that callers may match on.
pub trait Failure: Error {
    /// The `errorType` of the invocation, e.g. for `ErrorEquals` in Step Functions.
    ///
    /// Stable: renaming one is a breaking change of the function's interface.
    fn kind(&self) -> &'static str;

    /// What makes two failures the same one, so that it is told once: the kind, unless one kind has several causes.
    fn fingerprint(&self) -> String {
        self.kind().to_owned()
    }
}

/// The Lambda error answer: the failure's kind and its whole source chain.
pub(crate) fn diagnostic(failure: &impl Failure) -> Diagnostic {
    Diagnostic { error_type: failure.kind().to_owned(), error_message: chain(failure) }
}

/// The `Display` of an error and of all its sources, joined with `: `.
///
/// Never `Debug`: an SDK error's `Debug` prints the raw answer, which may hold a secret.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A failed AWS call, reduced to values that are safe to log and to compare.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{operation} failed ({code}): {message}")]
pub struct CallError {
    /// API operation as its IAM action, e.g. `secretsmanager:DescribeSecret`.
    pub operation: &'static str,
    /// Service error code, or `NoServiceCode` when there is none: no answer, or one that does not parse.
    pub code: String,
    /// The service's message, or why there was no answer.
    pub message: String,
}

impl CallError {
    /// Makes the `map_err` argument for one operation.
    pub fn during<E: ProvideErrorMetadata + Error>(operation: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            operation,
            code: error.code().unwrap_or("NoServiceCode").to_owned(),
            message: error.message().map_or_else(|| chain(&error), str::to_owned),
        }
    }

    /// A call that AWS answered with success and without what it is about.
    pub fn empty(operation: &'static str) -> Self {
        let message = "the answer does not hold what was asked for".to_owned();
        Self { operation, code: "EmptyAnswer".to_owned(), message }
    }

    /// Returns true if the service did not say what became of the call, which may have had its effect.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.code.as_str(), "EmptyAnswer" | "NoServiceCode")
    }

    /// Whether the call was denied, and so had no effect.
    pub fn is_denied(&self) -> bool {
        matches!(
            self.code.as_str(),
            "AccessDenied" | "AccessDeniedException" | "DecryptionFailure" | "EncryptionFailure"
        )
    }

    /// Makes the `map_err` argument for an operation whose request could not even be made.
    pub fn before<E: Error>(operation: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { operation, code: "InvalidRequest".to_owned(), message: chain(&error) }
    }

    /// Like [`CallError::during`] for an operation whose input is a secret: the service's message is left out,
    /// since it may quote what it was given.
    pub fn during_secret<E: ProvideErrorMetadata + Error>(operation: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            operation,
            code: error.code().unwrap_or("NoServiceCode").to_owned(),
            message: "the message is not shown, since it may quote the secret".to_owned(),
        }
    }
}
