//! The form of Twilio's auth token.

use secrecy::{ExposeSecret, SecretString};
use shared::rotation::RotationError;

/// Whether a text has the form of an auth token.
pub(crate) fn is_token(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Checks that a secret's value is exactly a token.
///
/// # Errors
///
/// [`RotationError::WrongForm`], which does not quote the value.
pub(crate) fn check(value: &SecretString) -> Result<(), RotationError> {
    if is_token(value.expose_secret()) {
        return Ok(());
    }
    let reason = match value.expose_secret() {
        text if text.ends_with(['\r', '\n']) && is_token(text.trim_end()) => {
            "it ends with a line end, which no reader strips: store the token without it"
        }
        text if is_token(text.trim()) => {
            "it has a blank before or after the token: store the token without it"
        }
        text if text.trim_start().starts_with('{') => {
            "it is a JSON document, and a rotation would lose its other fields: store only the token"
        }
        _ => "it is not a Twilio auth token",
    };
    Err(RotationError::WrongForm { reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_token_is_accepted() {
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
