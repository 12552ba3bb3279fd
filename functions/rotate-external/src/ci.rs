//! A GitHub Actions secret.
//!
//! Source: [Actions secrets](https://docs.github.com/en/rest/actions/secrets),
//! [sealed boxes](https://doc.libsodium.org/public-key_cryptography/sealed_boxes).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::DATE;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use shared::aws::secrets;
use shared::github::{GitHubError, Repository, Session, Setup, read};
use shared::rotation::Base;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::lambda::Invocation;

use crate::error::RotateError;

/// The template's parameters and the permissions of the token, for error messages.
const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Secrets: read and write (for an environment, Environments: read and write)",
};

/// `updated_at` and an answer's `Date` may come from different clocks at GitHub.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// A GitHub Actions secret.
pub(crate) struct Ci {
    repository: Repository,
    /// Name of the secret in Secrets Manager that holds the GitHub token.
    token: String,
    place: Place,
}

/// The secret's place in the repository.
struct Place {
    /// Name of the secret.
    name: String,
    /// The environment of the secret; none for a secret of the repository.
    environment: Option<String>,
}

impl Ci {
    /// Reads `GITHUB_API_URL`, `GITHUB_REPOSITORY` and `GITHUB_SECRET_NAME`, and `SEED_ADMIN_GITHUB_ENVIRONMENT`, which
    /// may be empty.
    pub(crate) fn from_env(name: String, env: &Env<'_>) -> Result<Self, EnvError> {
        let (repository, token) = Repository::from_env(env, SETUP)?;
        let place = Place { name, environment: env.optional("SEED_ADMIN_GITHUB_ENVIRONMENT")? };
        Ok(Self { repository, token, place })
    }

    async fn session<T>(
        &self,
        base: &Base,
        now: Timestamp,
        work: impl AsyncFnOnce(&Session<'_>) -> Result<T, RotateError>,
    ) -> Result<T, RotateError> {
        let token = secrets::value(&base.secrets, &self.token, None).await?;
        // A step has no time to wait for GitHub's rate limit, so it leaves that to the next attempt.
        let invocation = Invocation::new(now, Duration::from_secs(20));
        work(&self.repository.session(&token, &invocation)?).await
    }

    /// Stores a value; returns its `updated_at` at GitHub.
    ///
    /// # Errors
    ///
    /// [`RotateError::NotUpdated`] if GitHub accepts the value but does not store it.
    pub(crate) async fn store(
        &self,
        base: &Base,
        now: Timestamp,
        value: &SecretString,
    ) -> Result<Timestamp, RotateError> {
        self.session(base, now, async |session| self.place.store(session, value).await).await
    }

    /// Checks that the token may read the secrets' public key.
    pub(crate) async fn check_access(&self, base: &Base, now: Timestamp) -> Result<(), RotateError> {
        self.session(base, now, async |session| self.place.check_access(session).await).await
    }
}

#[derive(Deserialize)]
struct SealingKey {
    key_id: String,
    key: String,
}

#[derive(Deserialize)]
struct Stored {
    updated_at: Timestamp,
}

impl Place {
    fn url(&self, session: &Session<'_>, rest: &str) -> String {
        let folder = match &self.environment {
            Some(environment) => format!("/environments/{environment}/secrets"),
            None => "/actions/secrets".to_owned(),
        };
        session.url(&format!("{folder}/{rest}"))
    }

    /// Stores a value and checks its date at GitHub, because a stored value cannot be read back.
    async fn store(&self, session: &Session<'_>, value: &SecretString) -> Result<Timestamp, RotateError> {
        let mut requested = self.try_to_store(session, value).await;
        // GitHub changed its public key between the two calls.
        if let Err(RotateError::Repository(GitHubError::Refused { status: 422, .. })) = requested {
            requested = self.try_to_store(session, value).await;
        }
        let requested = requested?;
        let updated_at = self.updated_at(session).await?;
        if updated_at.checked_add(SKEW).is_ok_and(|updated_at| updated_at < requested) {
            return Err(RotateError::NotUpdated { name: self.name.clone(), updated_at });
        }
        Ok(updated_at)
    }

    /// Checks that the token may read the secrets' public key.
    async fn check_access(&self, session: &Session<'_>) -> Result<(), RotateError> {
        let answer = session.ask(Method::GET, &self.url(session, "public-key"), None).await?;
        read::<SealingKey>(answer).await?;
        Ok(())
    }

    /// Last time the secret was stored, by GitHub's clock.
    async fn updated_at(&self, session: &Session<'_>) -> Result<Timestamp, RotateError> {
        let answer = session.ask(Method::GET, &self.url(session, &self.name), None).await?;
        Ok(read::<Stored>(answer).await?.updated_at)
    }

    /// Seals and sends the value; returns the time of the preceding request, by GitHub's clock.
    async fn try_to_store(
        &self,
        session: &Session<'_>,
        value: &SecretString,
    ) -> Result<Timestamp, RotateError> {
        let answer = session.ask(Method::GET, &self.url(session, "public-key"), None).await?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        let undated = || GitHubError::Unreadable("its answer has no Date".to_owned());
        let date = date.ok_or_else(undated)?;
        let sealing: SealingKey = read(answer).await?;
        let body = json!({"encrypted_value": seal(&sealing.key, value)?, "key_id": sealing.key_id});
        session.ask(Method::PUT, &self.url(session, &self.name), Some(&body)).await?;
        Ok(date)
    }
}

/// Seals a value in a libsodium sealed box, which only the key's owner can open.
fn seal(key: &str, value: &SecretString) -> Result<String, RotateError> {
    let key: [u8; 32] =
        STANDARD.decode(key).ok().and_then(|key| key.try_into().ok()).ok_or(RotateError::Seal)?;
    let sealed = PublicKey::from(key).seal(&mut OsRng, value.expose_secret().as_bytes());
    Ok(STANDARD.encode(sealed.map_err(|_| RotateError::Seal)?))
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn a_date_is_read_as_github_writes_it() {
        let date = rfc2822::DateTimeParser::new().parse_timestamp("Thu, 26 Nov 2026 06:44:28 GMT");
        assert_eq!(date.unwrap(), "2026-11-26T06:44:28Z".parse().unwrap());
    }

    #[test]
    fn only_the_keys_owner_opens_a_sealed_value() {
        let owner = SecretKey::generate(&mut OsRng);
        let value = SecretString::from("a password");
        let sealed = seal(&STANDARD.encode(owner.public_key().as_bytes()), &value).unwrap();
        assert_eq!(owner.unseal(&STANDARD.decode(&sealed).unwrap()).unwrap(), b"a password");
        let other = SecretKey::generate(&mut OsRng);
        assert!(other.unseal(&STANDARD.decode(&sealed).unwrap()).is_err());
        for bad in ["", "AAAA", "no base64"] {
            assert_eq!(seal(bad, &value), Err(RotateError::Seal));
        }
    }
}
