//! Errors at the boundary, as operators and state machines see them.

use std::error::Error;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lambda_runtime::Diagnostic;
use serde::Serialize;

/// An error with a stable name that callers may match on.
pub trait Failure: Error {
    /// The `errorType` of the invocation, e.g. for `ErrorEquals` in Step Functions.
    ///
    /// Stable: renaming one is a breaking change of the function's interface.
    fn kind(&self) -> &'static str;

    /// Identifies the failure, so that it is reported once: the kind, unless one kind has several causes.
    fn fingerprint(&self) -> String {
        self.kind().to_owned()
    }
}

/// Declares an enum of kinds: stable names that code branches on and that are stored or shown as words. Each variant's
/// name is its word, so the word exists once, and code that names a variant which was renamed does not compile.
///
/// The macro adds `Other(String)` for every word without a variant, `as_str`, [`Display`](std::fmt::Display)
/// and the conversions from and to text; for tests `WORDS`, the variants' words in order. Attributes of the enum and of
/// its variants are kept, e.g. the derives of serde with `#[serde(from = "String", into = "String")]`. `as_str` of a
/// `&'static` reference, such as `&Kind::NotOurs`, is `'static`, as [`Failure::kind`] requires.
///
/// A second enum has the function's errors: each of its variants is also a kind, and [`Failure::kind`] is its name.
#[macro_export]
macro_rules! kinds {
    (
        $(#[$meta:meta])* $vis:vis enum $kinds:ident { $($(#[$doc:meta])* $kind:ident,)* }
        $(#[$of_error:meta])* $seen:vis enum $errors:ident {
            $($(#[$of_variant:meta])* $error:ident $(($($tuple:tt)*))? $({$($fields:tt)*})?,)*
        }
    ) => {
        $crate::kinds! {
            $(#[$meta])* $vis enum $kinds { $($(#[$doc])* $kind,)* $($error,)* }
        }

        $(#[$of_error])*
        $seen enum $errors {
            $($(#[$of_variant])* $error $(($($tuple)*))? $({$($fields)*})?,)*
        }

        impl $crate::runtime::failure::Failure for $errors {
            fn kind(&self) -> &'static str {
                match self {
                    $(Self::$error { .. } => stringify!($error),)*
                }
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $kinds:ident { $($(#[$doc:meta])* $kind:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        $vis enum $kinds {
            $($(#[$doc])* $kind,)*
            /// Any other word.
            Other(String),
        }

        impl $kinds {
            /// The variants' words, in order.
            #[cfg(test)]
            $vis const WORDS: &'static [&'static str] = &[$(stringify!($kind)),*];

            /// The word.
            $vis fn as_str(&self) -> &str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                    Self::Other(word) => word,
                }
            }
        }

        impl ::std::convert::From<&str> for $kinds {
            fn from(word: &str) -> Self {
                match word {
                    $(stringify!($kind) => Self::$kind,)*
                    _ => Self::Other(word.to_owned()),
                }
            }
        }

        impl ::std::convert::From<String> for $kinds {
            fn from(word: String) -> Self {
                word.as_str().into()
            }
        }

        impl ::std::convert::From<$kinds> for String {
            fn from(kind: $kinds) -> Self {
                kind.as_str().to_owned()
            }
        }

        impl ::std::fmt::Display for $kinds {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Why a person's request is not done. An answer, not a failure: whoever asked reads it, and nobody is paged.
#[derive(Debug, PartialEq, Serialize)]
pub struct Refused {
    /// `refused`.
    pub outcome: &'static str,
    /// The error's stable name.
    pub kind: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Refused {
    /// Logs a refusal, and returns the answer.
    pub fn of(failure: &impl Failure) -> Self {
        let (kind, message) = (failure.kind(), chain(failure));
        tracing::warn!(message = format!("refused: {message}"), error_type = kind);
        Self { outcome: "refused", kind, message }
    }
}

/// The Lambda error response: the failure's kind and its whole source chain.
pub(crate) fn diagnostic(failure: &impl Failure) -> Diagnostic {
    Diagnostic { error_type: failure.kind().to_owned(), error_message: chain(failure) }
}

/// The `Display` of an error and all its sources, joined with `: `.
///
/// Never use `Debug`: an SDK error's `Debug` prints the raw response, which may contain a secret.
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

/// A failed AWS call, reduced to values that are safe to log and compare.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{operation} failed ({code}): {message}")]
pub struct CallError {
    /// The API operation, as its IAM action: `secretsmanager:DescribeSecret`.
    pub operation: &'static str,
    /// The service's error code, or `NoServiceCode` if there was no response or an unparsable one.
    pub code: String,
    /// The service's message, or why there was no response.
    pub message: String,
}

impl CallError {
    /// Returns the `map_err` argument for an operation.
    pub fn during<E: ProvideErrorMetadata + Error>(operation: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            operation,
            code: error.code().unwrap_or("NoServiceCode").to_owned(),
            message: error.message().map_or_else(|| chain(&error), str::to_owned),
        }
    }

    /// A successful response that lacks the requested data.
    pub fn empty(operation: &'static str) -> Self {
        let message = "the answer lacks the requested data".to_owned();
        Self { operation, code: "EmptyAnswer".to_owned(), message }
    }

    /// The code without the ending `Fault`: RDS answers with the code of its API, or with the name in its model, which has
    /// the ending.
    pub fn plain_code(&self) -> &str {
        self.code.strip_suffix("Fault").unwrap_or(&self.code)
    }

    /// Whether the outcome is unknown: the call may have taken effect.
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

    /// Returns the `map_err` argument for an operation whose request could not be built.
    pub fn before<E: Error>(operation: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { operation, code: "InvalidRequest".to_owned(), message: chain(&error) }
    }

    /// Like [`CallError::during`], for an operation whose input is a secret: omits the service's message, which may
    /// quote the input.
    pub fn during_secret<E: ProvideErrorMetadata + Error>(operation: &'static str) -> impl Fn(E) -> Self {
        move |error| Self {
            operation,
            code: error.code().unwrap_or("NoServiceCode").to_owned(),
            message: "message omitted: it may quote the secret".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    crate::kinds! {
        /// Kinds for this test.
        enum Kind {
            /// A page that no person answers.
            Unanswered,
            /// A page that a person answers late.
            Late,
        }

        /// Errors for this test.
        #[derive(Debug, thiserror::Error)]
        enum Error {
            #[error("{0} is gone")]
            Gone(&'static str),
            #[error("{after} s")]
            Timeout { after: u8 },
        }
    }

    #[test]
    fn the_name_of_an_error_is_its_kind() {
        let (gone, timeout) = (Error::Gone("a"), Error::Timeout { after: 3 });
        assert_eq!((gone.kind(), Kind::from(gone.kind())), ("Gone", Kind::Gone));
        assert_eq!((timeout.kind(), timeout.to_string().as_str()), ("Timeout", "3 s"));
    }

    #[test]
    fn a_kind_is_its_word() {
        let kind: &'static Kind = &Kind::Late;
        let word: &'static str = kind.as_str();
        assert_eq!((word, Kind::WORDS), ("Late", &["Unanswered", "Late", "Gone", "Timeout"][..]));
        for (word, kind) in [
            ("Unanswered", Kind::Unanswered),
            ("States.Timeout", Kind::Other("States.Timeout".to_owned())),
            ("", Kind::Other(String::new())),
        ] {
            assert_eq!((Kind::from(word), Kind::from(word.to_owned())), (kind.clone(), kind.clone()));
            assert_eq!((kind.to_string().as_str(), kind.as_str()), (word, word));
            assert_eq!(String::from(kind), word);
        }
    }
}
