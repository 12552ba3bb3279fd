//! The form of Twilio's auth token.

use secrecy::{ExposeSecret, SecretString};
use shared::rotation::RotationError;

/// Whether a text has the form of an auth token.
pub(crate) fn is_token(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Checks that a secret's value is a token and nothing else.
pub(crate) fn check(value: &SecretString) -> Result<(), RotationError> {
    if is_token(value.expose_secret()) {
        return Ok(());
    }
    let reason = match value.expose_secret() {
        text if text.ends_with(['\r', '\n']) && is_token(text.trim_end()) => {
            "it ends with a line end, which no reader takes off: store the token without it"
        }
        text if is_token(text.trim()) => "a blank stands beside the token: store the token without it",
        text if text.trim_start().starts_with('{') => {
            "it is a JSON document, of which all else would be lost: store the token and nothing else"
        }
        _ => "it is not an auth token of Twilio and nothing else",
    };
    Err(RotationError::WrongForm { reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_distinguished_from_what_is_none() {
        assert_eq!(check(&SecretString::from("0123456789abcdef0123456789abcdef")), Ok(()));
        for bad in ["", "short", "{\"token\": \"0123456789abcdef0123456789abcdef\"}", "0123456789abcdef\n"] {
            let error = check(&SecretString::from(bad)).unwrap_err();
            assert!(
                matches!(&error, RotationError::WrongForm { reason } if !reason.contains("0123")),
                "{error}"
            );
        }
    }
}
