//! The administrator's password, which the application's database and GitHub Actions also hold.

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use shared::application::Application;
use shared::aws::secrets;
use shared::aws::versions;
use shared::database::Database;
use shared::rotation::{Attempt, Base, Outcome, Request, RotationError};
use shared::run::ledger::NotInUse;
use shared::runtime::env::{Env, EnvError};

use crate::admin::{self, Users};
use crate::ci::Ci;
use crate::error::RotateError;
use crate::rules::password::{Applied, Found, InDatabase, PasswordProof};
use crate::rules::retired::{Reason, Retired};
use crate::state::State;
use crate::{PROCEDURE, notes};

/// Number of versions whose passwords are compared with the administrator's hash. Each comparison takes a quarter of a
/// second of CPU time.
const CANDIDATES: usize = 4;

/// The administrator's password.
pub(crate) struct Password {
    /// Name of the secret.
    pub secret: String,
    email: String,
    /// The application's database, and the name of the secret with its URL; none if the stack names none.
    database: Option<(Database, String)>,
    /// The application's API, for the login; none if the stack names none.
    application: Option<Application>,
    /// The secret of GitHub Actions; none if the stack names none.
    ci: Option<Ci>,
}

impl Password {
    /// Reads `SEED_ADMIN_EMAIL`, and `DATABASE_SECRET_NAME`, `APP_URL` and `SEED_ADMIN_GITHUB_SECRET`, which may be
    /// empty.
    pub(crate) fn from_env(secret: String, env: &Env<'_>) -> Result<Self, EnvError> {
        let database: Option<String> = env.optional("DATABASE_SECRET_NAME")?;
        let database = database
            .map(|name| Ok::<_, EnvError>((Database::from_env(PROCEDURE, env)?, name)))
            .transpose()?;
        let application = Application::from_env(env)?;
        let ci = env.optional("SEED_ADMIN_GITHUB_SECRET")?;
        let ci = ci.map(|name| Ci::from_env(name, env)).transpose()?;
        Ok(Self { secret, email: env.required("SEED_ADMIN_EMAIL")?, database, application, ci })
    }

    /// Stores the password at GitHub, then in the application's database. A password that a person set prevents both.
    pub(crate) async fn set(&self, base: &Base, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let pending = attempt.pending().await?.value;
        let users = self.users(base).await?;
        let found = match &users {
            Some(users) => Some(users.find(&candidates(base, attempt, &pending).await?).await?),
            None => None,
        };
        match found {
            Some((Found::Unknown, _)) => {
                return Err(RotateError::PasswordOfOthers { email: self.email.clone() });
            }
            Some((Found::Inactive, _)) => {
                return Err(RotateError::UserInactive { email: self.email.clone() });
            }
            _ => {}
        }
        let stored = match &self.ci {
            Some(ci) => Some(ci.store(base, attempt.now, &pending).await?),
            None => None,
        };
        let database = match (users, found) {
            (Some(users), Some((found, hash))) => {
                let changed = self.change(attempt, &users, found, hash, &pending).await?;
                users.close().await;
                Some(changed)
            }
            _ => None,
        };
        let applied = Applied { database, stored };
        notes::note_applied(base, &attempt.request.token, &applied).await?;
        Ok(Outcome::Set)
    }

    async fn users(&self, base: &Base) -> Result<Option<Users>, RotateError> {
        let Some((database, name)) = &self.database else { return Ok(None) };
        let url = secrets::value(&base.secrets, name, None).await?;
        Ok(Some(Users::log_in(database, &url, &self.email).await?))
    }

    async fn change(
        &self,
        attempt: &Attempt<'_>,
        users: &Users,
        found: Found,
        hash: Option<Zeroizing<String>>,
        pending: &SecretString,
    ) -> Result<InDatabase, RotateError> {
        match (found, hash) {
            (Found::Candidate(0), _) => {
                // An earlier attempt may have died before it ended the sessions.
                users.end_sessions().await?;
                Ok(InDatabase::New)
            }
            (Found::Candidate(_), Some(hash)) => {
                // Check as late as possible: a slow attempt may belong to an abandoned rotation.
                attempt.must_be_unmoved().await?;
                users.change(&hash, pending).await?;
                Ok(InDatabase::New)
            }
            (Found::Candidate(_) | Found::Unknown | Found::Inactive | Found::NoUser, _) => {
                Ok(InDatabase::NoUser)
            }
        }
    }

    /// Proves, once per followed version, that the application refuses the previous password. No task reads this
    /// secret, so only a login can prove it.
    pub(crate) async fn retire(&self, state: &State<'_>) -> Result<Retired, RotateError> {
        let version = state.listed.labelled("AWSCURRENT").unwrap_or_default().to_owned();
        let is_followed = state.rows.iter().any(|row| row.arn == state.listed.arn && row.version == version);
        if state.issuance.refused.as_ref() == Some(&version) {
            return Ok(Retired::Refused { version });
        }
        if !is_followed || state.listed.labelled("AWSPREVIOUS").is_none() {
            return Ok(Retired::Waits(Reason::NotInUse(NotInUse::NotFollowed)));
        }
        let Some(application) = &self.application else { return Ok(Retired::Waits(Reason::NoApplication)) };
        let applied = notes::applied(state.base, &version).await?;
        if applied.is_some_and(|applied| applied.database == Some(InDatabase::NoUser)) {
            return Ok(Retired::Waits(Reason::NoUser));
        }
        admin::log_in(application, &self.email, &state.value("AWSCURRENT").await?).await?;
        match admin::log_in(application, &self.email, &state.value("AWSPREVIOUS").await?).await {
            Err(RotateError::LoginRefused { .. }) => Ok(Retired::Refused { version }),
            Ok(_) => Err(RotateError::StillAccepted),
            Err(error) => Err(error),
        }
    }

    /// Proves the password in the place where setSecret put it in force; returns the proof.
    pub(crate) async fn prove(
        &self,
        base: &Base,
        request: &Request,
        pending: &SecretString,
    ) -> Result<(PasswordProof, Option<Applied>), RotateError> {
        let applied = notes::applied(base, &request.token).await?;
        let applied: Applied = applied.ok_or(RotateError::NotSet)?;
        if applied.database != Some(InDatabase::New) {
            return Ok((PasswordProof::Nothing, Some(applied)));
        }
        if let Some(users) = self.users(base).await? {
            let (found, _) = users.find(std::slice::from_ref(pending)).await?;
            users.close().await;
            match found {
                Found::Candidate(0) => {}
                Found::Inactive => return Err(RotateError::UserInactive { email: self.email.clone() }),
                _ => return Err(RotateError::HashMoved),
            }
        }
        match &self.application {
            Some(application) => Ok((admin::log_in(application, &self.email, pending).await?, Some(applied))),
            None => Ok((PasswordProof::Hash, Some(applied))),
        }
    }

    pub(crate) async fn test(&self, base: &Base, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let pending = attempt.pending().await?.value;
        let current = attempt.current().await?;
        if current.is_some_and(|current| current.expose_secret() == pending.expose_secret()) {
            // A test of the setup: reach all systems that a rotation needs, regardless of the password.
            if let Some(users) = self.users(base).await? {
                users.find(&[]).await?;
                users.close().await;
            }
            if let Some(ci) = &self.ci {
                ci.check_access(base, attempt.now).await?;
            }
            return Ok(Outcome::TestedCopy);
        }
        self.made_by_policy(base, &pending)?;
        let (proof, _) = self.prove(base, attempt.request, &pending).await?;
        Ok(if proof == PasswordProof::Nothing { Outcome::Unproved } else { Outcome::Tested })
    }

    pub(crate) fn made_by_policy(&self, base: &Base, value: &SecretString) -> Result<(), RotateError> {
        let generator = generator(base)?;
        Ok(shared::rotation::made_by(&generator, value.expose_secret())?)
    }
}

/// The pending password, then the administrator's possible current passwords, the likeliest first.
async fn candidates(
    base: &Base,
    attempt: &Attempt<'_>,
    pending: &SecretString,
) -> Result<Vec<SecretString>, RotateError> {
    let arn = &attempt.request.secret_id;
    let labelled = ["AWSCURRENT", "AWSPREVIOUS"].iter().filter_map(|label| attempt.labelled(label));
    let mut versions: Vec<String> = labelled.map(str::to_owned).collect();
    // An abandoned rotation may have left the password in a version without a label.
    let mut all: Vec<_> = versions::made(&base.secrets, arn).await?.into_iter().collect();
    all.sort_by_key(|(_, made)| std::cmp::Reverse(*made));
    versions.extend(all.into_iter().map(|(version, _)| version));
    let mut seen = vec![attempt.request.token.clone()];
    let mut candidates = vec![pending.clone()];
    for version in versions {
        if seen.contains(&version) || candidates.len() > CANDIDATES {
            continue;
        }
        if let Some(found) = attempt.version(&version, None).await? {
            // A trailing line end is an accident of storing the value; the application may have either form.
            let trimmed = found.value.expose_secret().trim_end_matches(['\r', '\n']).to_owned();
            let is_whole = trimmed.len() == found.value.expose_secret().len();
            candidates.push(found.value);
            candidates.extend((!is_whole).then(|| SecretString::from(trimmed)));
        }
        seen.push(version);
    }
    Ok(candidates)
}

/// The policy's generator of the password.
pub(crate) fn generator(base: &Base) -> Result<shared::policy::Generator, RotateError> {
    let rule = base.settings.policy.rotation.external.admin_password.generator();
    // Cannot fail: the policy was checked when it was loaded.
    Ok(rule.map_err(|error| RotationError::WrongForm { reason: error.to_string() })?)
}
