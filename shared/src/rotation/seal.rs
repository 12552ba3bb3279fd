//! Recognises the pending values that createSecret made, without storing them.
//!
//! Any principal who may write the secret may also fill the pending version. Without the seal, its author could choose
//! the next login. The notes are in the evidence bucket, where only the function's role may write.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Request, RotationError};
use crate::run::documents::Documents;
use crate::runtime::hex::hex;

/// Maximum number of attempts at createSecret whose seals are kept. Only one attempt fills the version, and a hundred
/// retries without an answer from PutSecretValue take days.
const MAX_SEALS: usize = 100;

/// The seals of all values that attempts at one createSecret were about to store; concurrent attempts have one each.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Made {
    seals: Vec<String>,
}

/// SHA-256 of token and value, in hexadecimal. A token never contains NUL, so the parts cannot be confused; a value has
/// at least 128 random bits, so the seal does not help to guess it.
fn seal(token: &str, value: &SecretString) -> String {
    let mut hash = Sha256::new();
    hash.update(token);
    hash.update([0]);
    hash.update(value.expose_secret());
    hex(&hash.finalize())
}

fn note(request: &Request) -> String {
    format!("{}/made/{}", request.token, request.secret_id)
}

/// Notes that this attempt is about to store `value`.
pub(super) async fn save(
    documents: &Documents,
    request: &Request,
    value: &SecretString,
) -> Result<(), RotationError> {
    let seal = seal(&request.token, value);
    let add = |made: &mut Made| {
        made.seals.push(seal.clone());
        let surplus = made.seals.len().saturating_sub(MAX_SEALS);
        made.seals.drain(..surplus);
    };
    Ok(documents.update(&note(request), add).await?)
}

/// Whether any attempt at createSecret with this token was about to store a value.
pub(super) async fn exists(documents: &Documents, request: &Request) -> Result<bool, RotationError> {
    Ok(documents.get::<Made>(&note(request)).await?.is_some())
}

/// Whether an attempt at createSecret with this token was about to store `value`.
pub(super) async fn is_ours(
    documents: &Documents,
    request: &Request,
    value: &SecretString,
) -> Result<bool, RotationError> {
    let made: Option<Made> = documents.get(&note(request)).await?;
    Ok(made.is_some_and(|made| made.seals.contains(&seal(&request.token, value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_one_token_and_one_value() {
        let value = |text: &str| SecretString::from(text);
        assert_eq!(seal("token", &value("made")), seal("token", &value("made")));
        assert_ne!(seal("token", &value("made")), seal("other", &value("made")));
        assert_ne!(seal("token", &value("made")), seal("token", &value("chosen")));
        assert_ne!(seal("token", &value("made")), seal("tokenm", &value("ade")));
        assert_eq!(seal("token", &value("s3cr3t")).len(), 64);
    }
}
