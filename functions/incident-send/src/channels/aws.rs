//! SES and SNS: what their refusals mean.

use std::error::Error;

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use shared::runtime::failure::CallError;

use crate::rules::answer::Answer;

/// A message that was not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failed {
    /// The call.
    pub call: CallError,
    /// Whether the answer had a status of 5xx: whatever its code, the message may have been sent.
    pub is_server_fault: bool,
}

/// A request that could not be built.
impl From<CallError> for Failed {
    fn from(call: CallError) -> Self {
        Self { call, is_server_fault: false }
    }
}

impl Failed {
    /// Returns the `map_err` argument for an operation.
    pub(crate) fn during<E>(operation: &'static str) -> impl Fn(SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        move |error| {
            let is_server_fault =
                error.raw_response().is_some_and(|answer| answer.status().is_server_error());
            Self { call: CallError::during(operation)(error), is_server_fault }
        }
    }
}

/// The meaning of an answer. A refusal's text may quote an address or a number, so only its code is kept.
pub(crate) fn answer(result: Result<(), Failed>) -> Answer {
    let Err(Failed { call, is_server_fault }) = result else {
        return Answer::Accepted { said: "ok".to_owned() };
    };
    let why = format!("{}: {}", call.operation, call.code);
    match call.code.as_str() {
        _ if call.is_unanswered() => Answer::Unclear { why },
        "LimitExceededException"
        | "ServiceUnavailable"
        | "Throttled"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "KMSThrottling" => Answer::Later { why, after: None },
        _ if is_server_fault => Answer::Unclear { why },
        "BadRequestException"
        | "InvalidParameter"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "ParameterValueInvalid"
        | "ValidationError"
        | "ValidationException" => Answer::Rejected { why },
        _ => Answer::Refused { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_meaning_and_keeps_what_it_quotes() {
        let failed = |code: &str, is_server_fault| {
            let message = "ana@moveongs.example +5511900000001".to_owned();
            let call = CallError { operation: "sns:Publish", code: code.to_owned(), message };
            answer(Err(Failed { call, is_server_fault }))
        };
        let read = |code: &str| failed(code, false);
        assert!(answer(Ok(())).is_accepted());
        for code in ["NoServiceCode", "EmptyAnswer"] {
            assert!(matches!(read(code), Answer::Unclear { .. }), "{code}");
        }
        for code in ["InternalError", "AuthorizationError", "SomethingNew"] {
            assert!(matches!(failed(code, true), Answer::Unclear { .. }), "{code}");
        }
        assert!(matches!(failed("ServiceUnavailable", true), Answer::Later { .. }));
        for code in ["Throttling", "TooManyRequestsException", "Throttled"] {
            assert!(matches!(read(code), Answer::Later { .. }), "{code}");
        }
        for code in ["InvalidParameter", "BadRequestException"] {
            assert!(matches!(read(code), Answer::Rejected { .. }), "{code}");
        }
        for code in [
            "AuthorizationError",
            "AccessDeniedException",
            "MessageRejected",
            "NotFound",
            "OptedOut",
            "SendingPausedException",
            "MailFromDomainNotVerifiedException",
            "AccountSuspendedException",
            "InvalidClientTokenId",
        ] {
            assert_eq!(read(code), Answer::Refused { why: format!("sns:Publish: {code}") });
        }
    }
}
