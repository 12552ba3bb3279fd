//! SES and SNS: what their refusals mean.

use shared::runtime::failure::CallError;

use crate::rules::answer::Answer;

/// The meaning of an answer. A refusal's text may quote an address or a number, so only its code is kept.
pub(crate) fn answer(result: Result<(), CallError>) -> Answer {
    let Err(call) = result else { return Answer::Accepted { said: "ok".to_owned() } };
    let why = format!("{}: {}", call.operation, call.code);
    match call.code.as_str() {
        _ if call.is_unanswered() => Answer::Unclear { why },
        "InternalError" | "InternalErrorException" | "InternalFailure" | "InternalServiceErrorException" => {
            Answer::Unclear { why }
        }
        "LimitExceededException"
        | "ServiceUnavailable"
        | "Throttled"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "KMSThrottling" => Answer::Later { why, after: None },
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
        let read = |code: &str| {
            let message = "ana@moveongs.example +5511900000001".to_owned();
            answer(Err(CallError { operation: "sns:Publish", code: code.to_owned(), message }))
        };
        assert!(answer(Ok(())).is_accepted());
        for code in ["NoServiceCode", "EmptyAnswer", "InternalError"] {
            assert!(matches!(read(code), Answer::Unclear { .. }), "{code}");
        }
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
