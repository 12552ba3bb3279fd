//! The access key that sends mail. IAM issues it.

use std::time::Duration;

use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use shared::rotation::{Attempt, Base, Outcome};
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::CallError;

use crate::error::{RotateError, no_value};
use crate::rules::retire::{Act, act};
use crate::rules::retired::Retired;
use crate::rules::ses::{self, Credential};
use crate::state::State;
use crate::{aws, notes};

/// Number of attempts with a new or deactivated key, and the pause between them: AWS takes some seconds to accept or
/// refuse such a key everywhere.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(1500);

/// The access key that sends mail.
pub(crate) struct Mail {
    /// Name of the secret.
    pub secret: String,
    iam: aws_sdk_iam::Client,
    aws: SdkConfig,
    /// The IAM user with the keys.
    pub user: String,
    /// The region of SES.
    pub region: String,
    /// The sender's address.
    from: String,
}

impl Mail {
    /// Reads `SES_USER_NAME`, `SES_REGION` and `SES_FROM_ADDRESS`.
    pub(crate) fn from_env(secret: String, env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self {
            secret,
            iam: aws_sdk_iam::Client::new(aws),
            aws: aws.clone(),
            user: env.required("SES_USER_NAME")?,
            region: env.required("SES_REGION")?,
            from: env.required("SES_FROM_ADDRESS")?,
        })
    }

    /// Creates a key and puts it into the document; if the user has two keys, first deletes a retired or lost one.
    pub(crate) async fn compose(
        &self,
        base: &Base,
        attempt: &Attempt<'_>,
        current: &SecretString,
    ) -> Result<SecretString, RotateError> {
        let fields = &base.settings.policy.rotation.external.ses;
        let credential = ses::read(current, fields)?;
        let previous = match attempt.labelled("AWSPREVIOUS") {
            Some(version) => attempt.version(version, None).await?,
            None => None,
        };
        let previous =
            previous.and_then(|previous| ses::read(&previous.value, fields).ok()).map(|key| key.id);
        let issuance = notes::issuance(base, &attempt.request.secret_id).await?;
        let keys = self.keys().await?;
        let deactivated = issuance.deactivated.as_ref().map(|key| key.key.as_str());
        let to_delete = ses::to_delete(
            &keys,
            &credential.id,
            previous.as_deref(),
            issuance.making.as_ref(),
            deactivated,
        )?;
        let remains = |id: &&String| Some(*id) != to_delete.as_ref();
        let before: Vec<_> = keys.iter().map(|key| &key.id).filter(remains).cloned().collect();
        notes::begin(base, attempt.request, &before).await?;
        let made = notes::bounded(async {
            if let Some(key) = &to_delete {
                aws::delete_key(&self.iam, &self.user, key).await.map_err(RotateError::Iam)?;
            }
            aws::make_key(&self.iam, &self.user).await.map_err(RotateError::Iam)
        });
        Ok(ses::replace(current, &made.await?, fields, &self.region)?)
    }

    async fn keys(&self) -> Result<Vec<ses::Key>, RotateError> {
        aws::keys(&self.iam, &self.user).await.map_err(RotateError::Iam)
    }

    /// Sends a mail with a key; retries, because AWS may not know a new key yet.
    async fn send(&self, key: &Credential, which: &'static str, attempts: u32) -> Result<(), RotateError> {
        for left in (0..attempts).rev() {
            match aws::send_mail(&self.aws, &self.region, &self.from, key).await {
                Ok(()) => return Ok(()),
                Err(call) if is_unknown_key(&call) && left > 0 => tokio::time::sleep(PAUSE).await,
                Err(call) if is_unknown_key(&call) => break,
                Err(call) => return Err(RotateError::Mail { which, call }),
            }
        }
        Err(RotateError::KeyRefused { which, key: key.id.clone() })
    }

    /// Proves that AWS refuses a deactivated key, which takes IAM some seconds.
    async fn must_be_refused(&self, key: &Credential) -> Result<(), RotateError> {
        for _ in 1..ATTEMPTS {
            if refusal(aws::send_mail(&self.aws, &self.region, &self.from, key).await).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        refusal(aws::send_mail(&self.aws, &self.region, &self.from, key).await)
    }

    pub(crate) async fn test(&self, base: &Base, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let fields = &base.settings.policy.rotation.external.ses;
        let pending = attempt.pending().await?.value;
        let current = attempt.current().await?.ok_or_else(no_value)?;
        let is_copy = pending.expose_secret() == current.expose_secret();
        if !is_copy {
            ses::examine(&pending, &current, fields, &self.region)?;
        }
        let key = ses::read(&pending, fields)?;
        // Another user's key would send mail, too, but would never be retired.
        if !self.keys().await?.iter().any(|known| known.id == key.id) {
            return Err(match is_copy {
                true => RotateError::NotTheUsersKey { key: key.id },
                false => RotateError::PendingKeyGone { key: key.id },
            });
        }
        self.send(&key, "pending", ATTEMPTS).await?;
        Ok(if is_copy { Outcome::TestedCopy } else { Outcome::Tested })
    }

    /// Retires the previous key by one step: deactivates it, or deletes it after the policy's hours.
    pub(crate) async fn retire(&self, state: &State<'_>) -> Result<Retired, RotateError> {
        let external = &state.base.settings.policy.rotation.external;
        let credential = ses::read(&state.value("AWSCURRENT").await?, &external.ses)?;
        let keys = self.keys().await?;
        let Some(key) = ses::other(&keys, &credential.id)? else {
            return Ok(match &state.issuance.doing {
                Some(deleted @ Retired::Deleted { .. }) => deleted.clone(),
                _ => Retired::Nothing,
            });
        };
        let previous = match state.listed.labelled("AWSPREVIOUS") {
            Some(_) => ses::read(&state.value("AWSPREVIOUS").await?, &external.ses).ok(),
            None => None,
        };
        // A key outside AWSPREVIOUS is a running rotation's new key or a foreign one. A running rotation without a key
        // does not delay the retirement.
        let Some(previous) = previous.filter(|previous| previous.id == key.id) else {
            return Ok(Retired::Waits(state.why_unowned(&key.id)));
        };
        let last_used = match key.is_active {
            true => aws::last_used(&self.iam, &key.id).await.map_err(RotateError::Iam)?,
            false => None,
        };
        let (noted, hours) = (state.issuance.deactivated.as_ref(), external.delete_after_hours);
        let id = key.id.clone();
        match act(key, last_used, state.in_use, noted, hours, state.now) {
            Act::Leave(reason) => Ok(Retired::Waits(reason)),
            Act::Note => {
                self.must_be_refused(&previous).await?;
                Ok(Retired::Deactivated { key: id })
            }
            Act::Deactivate => {
                // Retire a key only if the current one works.
                self.send(&credential, "current", 1).await?;
                notes::announce(state.base, &state.listed.arn, Retired::Deactivated { key: id.clone() })
                    .await?;
                aws::deactivate(&self.iam, &self.user, &id).await.map_err(RotateError::Iam)?;
                self.must_be_refused(&previous).await?;
                Ok(Retired::Deactivated { key: id })
            }
            Act::Delete => {
                self.send(&credential, "current", 1).await?;
                notes::announce(state.base, &state.listed.arn, Retired::Deleted { key: id.clone() }).await?;
                aws::delete_key(&self.iam, &self.user, &id).await.map_err(RotateError::Iam)?;
                Ok(Retired::Deleted { key: id })
            }
        }
    }
}

/// Whether the answer to a mail with a retired key shows that AWS refuses the key. Another error, such as that of a
/// rate limit, shows neither that nor the opposite.
fn refusal(answer: Result<(), CallError>) -> Result<(), RotateError> {
    match answer {
        Ok(()) => Err(RotateError::StillAccepted),
        Err(call) if is_unknown_key(&call) => Ok(()),
        Err(call) => Err(RotateError::NotVerified(call)),
    }
}

fn is_unknown_key(call: &CallError) -> bool {
    [
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidAccessKeyId",
    ]
    .contains(&call.code.as_str())
}

#[cfg(test)]
mod tests {
    use shared::runtime::failure::Failure;

    use super::*;

    #[test]
    fn only_a_refusal_of_the_key_shows_that_it_is_refused() {
        let kind = |answer| refusal(answer).err().map(|error| error.kind());
        let refused = |code: &str| {
            Err(CallError { operation: "ses:SendEmail", code: code.to_owned(), message: String::new() })
        };
        assert_eq!(kind(refused("InvalidClientTokenId")), None);
        assert_eq!(kind(refused("UnrecognizedClientException")), None);
        assert_eq!(kind(Ok(())), Some("StillAccepted"));
        for code in
            ["TooManyRequestsException", "ThrottlingException", "NoServiceCode", "AccessDeniedException"]
        {
            assert_eq!(kind(refused(code)), Some("NotVerified"), "{code}");
        }
    }
}
