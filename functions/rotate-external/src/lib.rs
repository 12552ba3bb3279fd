//! Rotates secrets that another system issues or checks: the access key that sends mail (IAM), the auth token of Twilio, and
//! the administrator's password (the application's database, and the CI).
//!
//! Triggers: Secrets Manager, one rotation step per invocation, whose course is `shared::rotation`'s; and a schedule, or a
//! person, to put the credential before out of use once the new one is (`retire.rs`). Decisions: `ses.rs` (keys), `issuance.rs`
//! (who makes one), `retire.rs`. Outside: `aws.rs`, `twilio.rs`, `ci.rs` (GitHub Actions), `admin.rs` (database, login). Source:
//! the guide, 3.1.

mod admin;
mod aws;
mod ci;
mod error;
mod event;
mod issuance;
mod retire;
mod ses;
mod text;
mod twilio;

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::application::Application;
use shared::aws::describe;
use shared::aws::secrets::{self, Listed};
use shared::aws::versions;
use shared::database::Database;
use shared::github::Repository;
use shared::rotation::{
    Advice, Aftermath, Attempt, Base, Outcome, Proof, Request, Rotation, RotationError, generate,
};
use shared::run::evidence::{Draft, Step as Recorded};
use shared::run::ledger::{self, InUse, Line, NotInUse};
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{CallError, Failure, chain};
use shared::runtime::lambda::{DeadlineExceeded, Invocation};
use shared::runtime::time;

use admin::{Found, InDatabase, Shown, Users};
use ci::Place;
use error::Names;
pub use error::RotateError;
use event::Declared;
use issuance::{Issuance, MAKING};
use retire::{Act, Stays};
use ses::Credential;
use twilio::{Secondary, Twilio};

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotate-external";

/// A new key is unknown to AWS for some seconds: how often it is tried, and the time between.
const TRIES: u32 = 8;
const BETWEEN: Duration = Duration::from_millis(1500);

/// Time kept back from retiring, for its report.
const REPORTING: Duration = Duration::from_secs(10);

/// How many versions' passwords are tried against the administrator's hash: each costs a quarter of a second of a processor.
const CANDIDATES: usize = 4;

/// From this age on it is told that the credential before a version is not out of use.
const OVERDUE: SignedDuration = SignedDuration::from_hours(48);

/// What an invocation needs besides its event; built once per cold start.
pub struct App {
    base: Base,
    mail: Option<Mail>,
    token: Option<Token>,
    password: Option<Password>,
}

/// The access key that sends mail.
struct Mail {
    /// Name of the secret.
    secret: String,
    iam: aws_sdk_iam::Client,
    aws: SdkConfig,
    /// The IAM user with the keys.
    user: String,
    /// The region that mail is sent in.
    region: String,
    /// The address that mail comes from.
    from: String,
}

/// The auth token of Twilio.
struct Token {
    /// Name of the secret.
    secret: String,
    twilio: Twilio,
}

/// The administrator's password.
struct Password {
    /// Name of the secret.
    secret: String,
    email: String,
    /// The application's database, and the name of the secret with its URL; none when nothing is to be changed there.
    database: Option<(Database, String)>,
    /// The application's API; none when no login is to prove anything.
    application: Option<Application>,
    /// The secret of GitHub Actions; none when there is none.
    ci: Option<Ci>,
}

/// A secret of GitHub Actions.
struct Ci {
    repository: Repository,
    /// Name of the secret with the token.
    token: String,
    place: Place,
}

/// What setSecret did with the administrator's password, for the steps after it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Done {
    /// In the application's database; none when it is not asked.
    database: Option<InDatabase>,
    /// When GitHub stored the value; none when it has none.
    stored: Option<Timestamp>,
}

/// Which secret is rotated.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Mail(&'a Mail),
    Token(&'a Token),
    Password(&'a Password),
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base::new`]; `SES_SECRET_NAME`, which may be empty, else with
    /// `SES_USER_NAME`, `SES_FROM_ADDRESS` and `SES_REGION`; `TWILIO_SECRET_NAME`, which may be empty, else with
    /// `TWILIO_ACCOUNT_SID`, `TWILIO_API_URL` and `TWILIO_ACCOUNTS_URL`; `SEED_ADMIN_SECRET_NAME`, which may be empty, else with
    /// `SEED_ADMIN_EMAIL`, and `DATABASE_SECRET_NAME`, `APP_URL` and `SEED_ADMIN_GITHUB_SECRET`, which may be empty; with the
    /// last, `GITHUB_REPOSITORY`, `GITHUB_SECRET_NAME`, `GITHUB_API_URL`, and `SEED_ADMIN_GITHUB_ENVIRONMENT`, which may be
    /// empty.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first setting that is missing or wrong.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::new(PROCEDURE, env, aws)?;
        let mail = match env.optional("SES_SECRET_NAME")? {
            None => None,
            Some(secret) => Some(Mail {
                secret,
                iam: aws_sdk_iam::Client::new(aws),
                aws: aws.clone(),
                user: env.required("SES_USER_NAME")?,
                region: env.required("SES_REGION")?,
                from: env.required("SES_FROM_ADDRESS")?,
            }),
        };
        let token = match env.optional("TWILIO_SECRET_NAME")? {
            None => None,
            Some(secret) => {
                let (api, accounts): (Endpoint, Endpoint) =
                    (env.required("TWILIO_API_URL")?, env.required("TWILIO_ACCOUNTS_URL")?);
                let twilio = Twilio::new(api, accounts, env.required("TWILIO_ACCOUNT_SID")?);
                let twilio = twilio.map_err(|reason| EnvError::Invalid { name: "TWILIO_API_URL", reason })?;
                Some(Token { secret, twilio })
            }
        };
        let password = match env.optional("SEED_ADMIN_SECRET_NAME")? {
            None => None,
            Some(secret) => Some(Password::new(secret, env)?),
        };
        Ok(Self { base, mail, token, password })
    }

    fn kind(&self, name: &str) -> Result<Kind<'_>, RotateError> {
        let mail = self.mail.as_ref().filter(|mail| mail.secret == name).map(Kind::Mail);
        let token = || self.token.as_ref().filter(|token| token.secret == name).map(Kind::Token);
        let password =
            || self.password.as_ref().filter(|password| password.secret == name).map(Kind::Password);
        let kind = mail.or_else(token).or_else(password);
        kind.ok_or_else(|| RotateError::NotOurs { name: name.to_owned() })
    }

    fn names(&self, secret: &str) -> Names<'_> {
        Names {
            function: &self.base.settings.function,
            user: self.mail.as_ref().map_or("", |mail| &mail.user),
            is_admin: self.password.as_ref().is_some_and(|password| password.secret == secret),
            adopt_commands: format!(
                "`aws secretsmanager put-secret-value --secret-id '{secret}' --secret-string file://valor.txt`, {}",
                rotate_command(secret)
            ),
            off_commands: String::new(),
            again_commands: String::new(),
        }
    }

    async fn remembered(&self, arn: &str) -> Result<Issuance, RotateError> {
        Ok(self.base.reporter.evidence.get(&issuance_of(arn)).await?.unwrap_or_default())
    }

    /// Notes what is about to be done, so that another attempt tells it if this one dies.
    async fn about_to(&self, round: &Round<'_>, act: Retired) -> Result<(), RotateError> {
        self.remember(&round.listed.arn, |issuance| issuance.doing = Some(act.clone())).await
    }

    async fn remember<R>(&self, arn: &str, change: impl Fn(&mut Issuance) -> R) -> Result<R, RotateError> {
        Ok(self.base.reporter.evidence.update(&issuance_of(arn), change).await?)
    }

    /// Notes that a credential is about to be made, which one attempt may do at a time.
    async fn begin(&self, request: &Request, before: &[String]) -> Result<(), RotateError> {
        let begun =
            self.remember(&request.secret_id, |issuance| issuance.begin(&request.token, time::now(), before));
        begun.await?.map_err(|until| RotateError::Busy { until })
    }
}

fn rotate_command(secret: &str) -> String {
    format!("`aws secretsmanager rotate-secret --secret-id '{secret}'`")
}

fn issuance_of(arn: &str) -> String {
    format!("desk/{arn}")
}

/// Making a credential ends before another attempt may begin.
async fn bounded<T>(work: impl Future<Output = Result<T, RotateError>>) -> Result<T, RotateError> {
    let late = |_| RotateError::Rotation(RotationError::Deadline(DeadlineExceeded { allowed: MAKING }));
    tokio::time::timeout(MAKING, work).await.map_err(late)?
}

async fn current(attempt: &Attempt<'_>) -> Result<SecretString, RotateError> {
    Ok(attempt.current().await?.ok_or_else(no_value)?)
}

fn no_value() -> RotationError {
    RotationError::WrongForm { reason: "it has no value yet, so there is nothing to replace".to_owned() }
}

impl Mail {
    /// Makes a key and puts it into the document.
    async fn compose(
        &self,
        app: &App,
        attempt: &Attempt<'_>,
        current: &SecretString,
    ) -> Result<SecretString, RotateError> {
        let fields = &app.base.settings.policy.rotation.external.ses;
        let credential = ses::read(current, fields)?;
        let previous = match attempt.labelled("AWSPREVIOUS") {
            Some(version) => attempt.version(version, None).await?,
            None => None,
        };
        let previous =
            previous.and_then(|previous| ses::read(&previous.value, fields).ok()).map(|key| key.id);
        let issuance = app.remembered(&attempt.request.secret_id).await?;
        let keys = self.keys().await?;
        let deactivated = issuance.deactivated.as_ref().map(|key| key.key.as_str());
        let in_the_way = ses::in_the_way(
            &keys,
            &credential.id,
            previous.as_deref(),
            issuance.making.as_ref(),
            deactivated,
        )?;
        let stay = |id: &&String| Some(*id) != in_the_way.as_ref();
        let before: Vec<_> = keys.iter().map(|key| &key.id).filter(stay).cloned().collect();
        app.begin(attempt.request, &before).await?;
        let made = bounded(async {
            if let Some(key) = &in_the_way {
                aws::delete_key(&self.iam, &self.user, key).await.map_err(RotateError::Iam)?;
            }
            aws::make_key(&self.iam, &self.user).await.map_err(RotateError::Iam)
        });
        Ok(ses::with(current, &made.await?, fields, &self.region)?)
    }

    async fn keys(&self) -> Result<Vec<ses::Key>, RotateError> {
        aws::keys(&self.iam, &self.user).await.map_err(RotateError::Iam)
    }

    /// Sends a mail with a key; one that is new may be unknown for a while.
    async fn send(&self, key: &Credential, which: &'static str, tries: u32) -> Result<(), RotateError> {
        for left in (0..tries).rev() {
            match aws::send_mail(&self.aws, &self.region, &self.from, key).await {
                Ok(()) => return Ok(()),
                Err(call) if is_unknown_key(&call) && left > 0 => tokio::time::sleep(BETWEEN).await,
                Err(call) if is_unknown_key(&call) => break,
                Err(call) => return Err(RotateError::Mail { which, call }),
            }
        }
        Err(RotateError::KeyRefused { which, key: key.id.clone() })
    }

    /// Proves that AWS refuses a key that was put out of use, which takes IAM some seconds.
    async fn must_be_refused(&self, key: &Credential) -> Result<(), RotateError> {
        for _ in 0..TRIES {
            match aws::send_mail(&self.aws, &self.region, &self.from, key).await {
                Err(call) if is_unknown_key(&call) => return Ok(()),
                _ => tokio::time::sleep(BETWEEN).await,
            }
        }
        Err(RotateError::StillAccepted)
    }

    async fn test(&self, app: &App, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let fields = &app.base.settings.policy.rotation.external.ses;
        let pending = attempt.pending().await?.value;
        let current = current(attempt).await?;
        let is_copy = pending.expose_secret() == current.expose_secret();
        if !is_copy {
            ses::examine(&pending, &current, fields, &self.region)?;
        }
        let key = ses::read(&pending, fields)?;
        // A key of another user would send as well, and never be put out of use.
        if !self.keys().await?.iter().any(|known| known.id == key.id) {
            return Err(match is_copy {
                true => RotateError::NotTheUsersKey { key: key.id },
                false => RotateError::PendingKeyGone { key: key.id },
            });
        }
        self.send(&key, "pending", TRIES).await?;
        Ok(if is_copy { Outcome::TestedCopy } else { Outcome::Tested })
    }

    /// Puts the key before out of use, one step at a time.
    async fn retire(&self, app: &App, round: &Round<'_>) -> Result<Retired, RotateError> {
        let external = &app.base.settings.policy.rotation.external;
        let credential = ses::read(&round.value(app, "AWSCURRENT").await?, &external.ses)?;
        let keys = self.keys().await?;
        let Some(key) = ses::other(&keys, &credential.id)? else {
            return Ok(match &round.issuance.doing {
                Some(deleted @ Retired::Deleted { .. }) => deleted.clone(),
                _ => Retired::Nothing,
            });
        };
        let previous = match round.listed.labelled("AWSPREVIOUS") {
            Some(_) => ses::read(&round.value(app, "AWSPREVIOUS").await?, &external.ses).ok(),
            None => None,
        };
        // A rotation's own new key is in no version with these labels; one that made none does not keep the old key alive.
        let Some(previous) = previous.filter(|previous| previous.id == key.id) else {
            return Ok(Retired::Waits(round.without_owner(&key.id)));
        };
        let last_used = match key.is_active {
            true => aws::last_used(&self.iam, &key.id).await.map_err(RotateError::Iam)?,
            false => None,
        };
        let (noted, hours) = (round.issuance.deactivated.as_ref(), external.delete_after_hours);
        let id = key.id.clone();
        match retire::act(key, last_used, round.in_use, noted, hours, round.now) {
            Act::Leave(stays) => Ok(Retired::Waits(stays)),
            Act::Note => {
                self.must_be_refused(&previous).await?;
                Ok(Retired::Deactivated { key: id })
            }
            Act::Deactivate => {
                // Without a key that works nothing is put out of use.
                self.send(&credential, "current", 1).await?;
                app.about_to(round, Retired::Deactivated { key: id.clone() }).await?;
                aws::deactivate(&self.iam, &self.user, &id).await.map_err(RotateError::Iam)?;
                self.must_be_refused(&previous).await?;
                Ok(Retired::Deactivated { key: id })
            }
            Act::Delete => {
                self.send(&credential, "current", 1).await?;
                app.about_to(round, Retired::Deleted { key: id.clone() }).await?;
                aws::delete_key(&self.iam, &self.user, &id).await.map_err(RotateError::Iam)?;
                Ok(Retired::Deleted { key: id })
            }
        }
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

impl Token {
    /// Makes a secondary token. The application goes on with the primary one.
    async fn compose(
        &self,
        app: &App,
        attempt: &Attempt<'_>,
        current: &SecretString,
    ) -> Result<SecretString, RotateError> {
        twilio::check(current)?;
        // The application's own token must not be the secondary one, which is about to be replaced.
        if !self.twilio.is_primary(current, "current").await? {
            return Err(RotateError::NotRetired);
        }
        let arn = &attempt.request.secret_id;
        // One that was made and not stored is lost, and nobody else knows it.
        let is_lost = app.remembered(arn).await?.making.is_some();
        app.begin(attempt.request, &[]).await?;
        bounded(async {
            if let Secondary::Made(token) = self.twilio.make(current).await? {
                return Ok(token);
            }
            if is_lost {
                self.twilio.delete(current).await?;
                if let Secondary::Made(token) = self.twilio.make(current).await? {
                    return Ok(token);
                }
            }
            // It is not ours: the next attempt must not take it for one that was lost.
            app.remember(arn, |issuance| issuance.making = None).await?;
            Err(RotateError::ForeignToken)
        })
        .await
    }

    async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let pending = attempt.pending().await?.value;
        twilio::check(&pending)?;
        self.twilio.is_primary(&pending, "pending").await?;
        let current = attempt.current().await?;
        let is_copy = current.is_some_and(|current| current.expose_secret() == pending.expose_secret());
        Ok(if is_copy { Outcome::TestedCopy } else { Outcome::Tested })
    }

    /// Makes the current token the primary one, which ends the one before.
    async fn retire(&self, app: &App, round: &Round<'_>) -> Result<Retired, RotateError> {
        let arn = &round.listed.arn;
        let current = round.value(app, "AWSCURRENT").await?;
        twilio::check(&current)?;
        if self.twilio.is_primary(&current, "current").await? {
            // An attempt that died has made it that, or a person has.
            let made = round.issuance.making.as_ref().map(|making| making.token.as_str());
            let is_news = round.issuance.doing == Some(Retired::Promoted)
                || made.is_some() && made == round.listed.labelled("AWSCURRENT");
            if !is_news {
                return Ok(Retired::Nothing);
            }
            self.must_be_refused(app, round).await?;
            return Ok(Retired::Promoted);
        }
        if let Err(why) = round.in_use {
            return Ok(Retired::Waits(Stays::NotInUse(why)));
        }
        app.about_to(round, Retired::Promoted).await?;
        let version = round.listed.labelled("AWSCURRENT").unwrap_or_default();
        if app.remember(arn, |issuance| issuance.begin_promotion(version, time::now())).await?.is_err() {
            return Ok(Retired::Waits(Stays::RotationRuns));
        }
        bounded(async {
            // From here on nobody makes a token; before it a rotation may have begun.
            let listed = described(app, arn).await?;
            if ledger::in_use(&listed, round.rows, round.is_declared, round.now).is_err()
                || listed.labelled("AWSCURRENT") != round.listed.labelled("AWSCURRENT")
            {
                return Ok(Retired::Waits(Stays::RotationRuns));
            }
            self.twilio.promote(&current).await?;
            if self.twilio.is_primary(&current, "current").await? {
                self.must_be_refused(app, round).await?;
                return Ok(Retired::Promoted);
            }
            let reason = "the token was promoted and is not the primary one".to_owned();
            Err(RotateError::Twilio { reason })
        })
        .await
    }
}

impl Token {
    /// Proves that Twilio refuses the token that was the primary one.
    async fn must_be_refused(&self, app: &App, round: &Round<'_>) -> Result<(), RotateError> {
        if round.listed.labelled("AWSPREVIOUS").is_none() {
            return Ok(());
        }
        let previous = round.value(app, "AWSPREVIOUS").await?;
        match self.twilio.is_primary(&previous, "previous").await {
            Err(RotateError::TokenRefused { .. }) => Ok(()),
            Ok(_) => Err(RotateError::StillAccepted),
            Err(error) => Err(error),
        }
    }
}

impl Password {
    fn new(secret: String, env: &Env<'_>) -> Result<Self, EnvError> {
        let database: Option<String> = env.optional("DATABASE_SECRET_NAME")?;
        let database = database
            .map(|name| Ok::<_, EnvError>((Database::from_env(PROCEDURE, env)?, name)))
            .transpose()?;
        let url: Option<Endpoint> = env.optional("APP_URL")?;
        let application = url.map(Application::new).transpose();
        let application = application.map_err(|reason| EnvError::Invalid { name: "APP_URL", reason })?;
        let ci = match env.optional("SEED_ADMIN_GITHUB_SECRET")? {
            None => None,
            Some(name) => {
                let api: Endpoint = env.required("GITHUB_API_URL")?;
                let repository = Repository::new(api, env.required("GITHUB_REPOSITORY")?, ci::SETUP)
                    .map_err(|reason| EnvError::Invalid { name: "GITHUB_API_URL", reason })?;
                let place = Place { name, environment: env.optional("SEED_ADMIN_GITHUB_ENVIRONMENT")? };
                Some(Ci { repository, token: env.required("GITHUB_SECRET_NAME")?, place })
            }
        };
        Ok(Self { secret, email: env.required("SEED_ADMIN_EMAIL")?, database, application, ci })
    }

    /// Gives the password to the CI, and then to the application.
    async fn set(&self, app: &App, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let pending = attempt.pending().await?.value;
        let users = self.users(app).await?;
        let found = match &users {
            Some(users) => Some(users.find(&candidates(app, attempt, &pending).await?).await?),
            None => None,
        };
        match found {
            Some((Found::OfNone, _)) => {
                return Err(RotateError::PasswordOfOthers { email: self.email.clone() });
            }
            Some((Found::Inactive, _)) => {
                return Err(RotateError::UserInactive { email: self.email.clone() });
            }
            _ => {}
        }
        let stored = match &self.ci {
            Some(ci) => Some(ci.store(app, attempt.now, &pending).await?),
            None => None,
        };
        let database = match (users, found) {
            (Some(users), Some((found, hash))) => {
                let done = self.change(attempt, &users, found, hash, &pending).await?;
                users.close().await;
                Some(done)
            }
            _ => None,
        };
        let done = Done { database, stored };
        let note = done_of(attempt.request);
        app.base
            .reporter
            .evidence
            .update(&note, |kept: &mut Option<Done>| *kept = Some(done.clone()))
            .await?;
        Ok(Outcome::Set)
    }

    async fn users(&self, app: &App) -> Result<Option<Users>, RotateError> {
        let Some((database, name)) = &self.database else { return Ok(None) };
        let url = secrets::value(&app.base.secrets, name, None).await?;
        Ok(Some(Users::enter(database, &url, &self.email).await?))
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
            (Found::Of(0), _) => {
                // An attempt may have died before it ended the sessions.
                users.end_sessions().await?;
                Ok(InDatabase::New)
            }
            (Found::Of(_), Some(hash)) => {
                // As late as can be: whoever was slow to come here may be of a rotation that was given up.
                attempt.must_be_unmoved().await?;
                users.change(&hash, pending).await?;
                Ok(InDatabase::New)
            }
            (Found::Of(_) | Found::OfNone | Found::Inactive | Found::Nobody, _) => Ok(InDatabase::Nobody),
        }
    }

    /// Proves once for each version that a follow-up has come to that the application refuses the password before. No task
    /// reads it, so the login is all that can show it.
    async fn retire(&self, app: &App, round: &Round<'_>) -> Result<Retired, RotateError> {
        let version = round.listed.labelled("AWSCURRENT").unwrap_or_default().to_owned();
        let is_followed = round.rows.iter().any(|row| row.arn == round.listed.arn && row.version == version);
        if round.issuance.refused.as_ref() == Some(&version) {
            return Ok(Retired::Refused { version });
        }
        if !is_followed || round.listed.labelled("AWSPREVIOUS").is_none() {
            return Ok(Retired::Waits(Stays::NotInUse(NotInUse::NotFollowed)));
        }
        let Some(application) = &self.application else { return Ok(Retired::Waits(Stays::NoApplication)) };
        let done: Option<Done> = app.base.reporter.evidence.get(&format!("{version}/setSecret")).await?;
        if done.is_some_and(|done| done.database == Some(InDatabase::Nobody)) {
            return Ok(Retired::Waits(Stays::NoUser));
        }
        admin::log_in(application, &self.email, &round.value(app, "AWSCURRENT").await?).await?;
        match admin::log_in(application, &self.email, &round.value(app, "AWSPREVIOUS").await?).await {
            Err(RotateError::LoginRefused { .. }) => Ok(Retired::Refused { version }),
            Ok(_) => Err(RotateError::StillAccepted),
            Err(error) => Err(error),
        }
    }

    /// Proves the password where it was put in force; gives what proved it.
    async fn prove(
        &self,
        app: &App,
        request: &Request,
        pending: &SecretString,
    ) -> Result<(Shown, Option<Done>), RotateError> {
        let done = app.base.reporter.evidence.get(&done_of(request)).await?;
        let done: Done = done.ok_or(RotateError::NotSet)?;
        if done.database != Some(InDatabase::New) {
            return Ok((Shown::Nothing, Some(done)));
        }
        if let Some(users) = self.users(app).await? {
            let (found, _) = users.find(std::slice::from_ref(pending)).await?;
            users.close().await;
            match found {
                Found::Of(0) => {}
                Found::Inactive => return Err(RotateError::UserInactive { email: self.email.clone() }),
                _ => return Err(RotateError::HashMoved),
            }
        }
        match &self.application {
            Some(application) => Ok((admin::log_in(application, &self.email, pending).await?, Some(done))),
            None => Ok((Shown::Hash, Some(done))),
        }
    }

    async fn test(&self, app: &App, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        let pending = attempt.pending().await?.value;
        let current = attempt.current().await?;
        if current.is_some_and(|current| current.expose_secret() == pending.expose_secret()) {
            // A test of the set-up: what the rotation will need is reached, whatever the password is.
            if let Some(users) = self.users(app).await? {
                users.find(&[]).await?;
                users.close().await;
            }
            if let Some(ci) = &self.ci {
                ci.look(app, attempt.now).await?;
            }
            return Ok(Outcome::TestedCopy);
        }
        self.made_by_policy(app, &pending)?;
        let (shown, _) = self.prove(app, attempt.request, &pending).await?;
        Ok(if shown == Shown::Nothing { Outcome::Unproved } else { Outcome::Tested })
    }

    fn made_by_policy(&self, app: &App, value: &SecretString) -> Result<(), RotateError> {
        let generator = generator(app)?;
        Ok(shared::rotation::made_by(&generator, value.expose_secret())?)
    }
}

/// The password that is to be in force, and those that the administrator may have now, the likeliest first.
async fn candidates(
    app: &App,
    attempt: &Attempt<'_>,
    pending: &SecretString,
) -> Result<Vec<SecretString>, RotateError> {
    let arn = &attempt.request.secret_id;
    let labelled = ["AWSCURRENT", "AWSPREVIOUS"].iter().filter_map(|label| attempt.labelled(label));
    let mut versions: Vec<String> = labelled.map(str::to_owned).collect();
    // An abandoned rotation has left the password in a version without a label.
    let mut all: Vec<_> = versions::made(&app.base.secrets, arn).await?.into_iter().collect();
    all.sort_by_key(|(_, made)| std::cmp::Reverse(*made));
    versions.extend(all.into_iter().map(|(version, _)| version));
    let mut seen = vec![attempt.request.token.clone()];
    let mut candidates = vec![pending.clone()];
    for version in versions {
        if seen.contains(&version) || candidates.len() > CANDIDATES {
            continue;
        }
        if let Some(found) = attempt.version(&version, None).await? {
            // A line end is an accident of how the value was stored; the application may have been given either.
            let trimmed = found.value.expose_secret().trim_end_matches(['\r', '\n']).to_owned();
            let is_whole = trimmed.len() == found.value.expose_secret().len();
            candidates.push(found.value);
            candidates.extend((!is_whole).then(|| SecretString::from(trimmed)));
        }
        seen.push(version);
    }
    Ok(candidates)
}

fn generator(app: &App) -> Result<shared::policy::Generator, RotateError> {
    let rule = app.base.settings.policy.rotation.external.admin_password.generator();
    // The policy was checked when it was loaded.
    Ok(rule.map_err(|error| RotationError::WrongForm { reason: error.to_string() })?)
}

fn done_of(request: &Request) -> String {
    format!("{}/setSecret", request.token)
}

impl Ci {
    async fn session<T>(
        &self,
        app: &App,
        now: Timestamp,
        work: impl AsyncFnOnce(&shared::github::Session<'_>) -> Result<T, RotateError>,
    ) -> Result<T, RotateError> {
        let token = secrets::value(&app.base.secrets, &self.token, None).await?;
        // A wait for GitHub's limit is the next attempt's: a step has no time for it.
        let invocation = Invocation::new(now, Duration::from_secs(20));
        work(&self.repository.session(&token, &invocation)?).await
    }

    async fn store(&self, app: &App, now: Timestamp, value: &SecretString) -> Result<Timestamp, RotateError> {
        self.session(app, now, async |session| self.place.store(session, value).await).await
    }

    async fn look(&self, app: &App, now: Timestamp) -> Result<(), RotateError> {
        self.session(app, now, async |session| self.place.look(session).await).await
    }
}

impl Rotation for App {
    type Error = RotateError;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn admit(&self, attempt: &Attempt<'_>) -> Result<(), RotateError> {
        let kind = self.kind(&attempt.described.name)?;
        let Some(current) = attempt.current().await? else { return Ok(()) };
        match kind {
            Kind::Mail(mail) => {
                ses::admit(&current, &self.base.settings.policy.rotation.external.ses, &mail.region)?;
            }
            Kind::Token(_) => twilio::check(&current)?,
            Kind::Password(_) => admin::check(&current)?,
        }
        Ok(())
    }

    async fn compose(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, RotateError> {
        match self.kind(&attempt.described.name)? {
            Kind::Mail(mail) => mail.compose(self, attempt, current.ok_or_else(no_value)?).await,
            Kind::Token(token) => token.compose(self, attempt, current.ok_or_else(no_value)?).await,
            Kind::Password(_) => Ok(generate(&generator(self)?)?),
        }
    }

    async fn set(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        match self.kind(&attempt.described.name)? {
            // Who issues a credential takes it.
            Kind::Mail(_) | Kind::Token(_) => {
                attempt.pending().await?;
                Ok(Outcome::Nothing)
            }
            Kind::Password(password) => password.set(self, attempt).await,
        }
    }

    async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        match self.kind(&attempt.described.name)? {
            Kind::Mail(mail) => mail.test(self, attempt).await,
            Kind::Token(token) => token.test(attempt).await,
            Kind::Password(password) => password.test(self, attempt).await,
        }
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Proof, RotateError> {
        let pending = attempt.pending().await?;
        let current = attempt.current().await?;
        if current.is_some_and(|current| current.expose_secret() == pending.value.expose_secret()) {
            let reason = "it is the current value".to_owned();
            return Err(RotationError::PendingRejected { reason }.into());
        }
        let (what, done, shown) = match self.kind(&attempt.described.name)? {
            Kind::Mail(mail) => {
                mail.test(self, attempt).await?;
                ("send a mail with the pending key", None, None)
            }
            Kind::Token(token) => {
                token.test(attempt).await?;
                ("read the account with the pending token", None, None)
            }
            Kind::Password(password) => {
                password.made_by_policy(self, &pending.value)?;
                let (shown, done) = password.prove(self, attempt.request, &pending.value).await?;
                (shown.what(), done, Some(shown))
            }
        };
        let mut aftermath = self.reported(&attempt.described.name, done);
        aftermath.findings.extend(shown.and_then(|shown| text::shown(self.base.settings.language, shown)));
        Ok(Proof { staged: pending.created, what, aftermath })
    }

    async fn aftermath(&self, attempt: &Attempt<'_>) -> Aftermath {
        let done = self.base.reporter.evidence.get(&done_of(attempt.request)).await;
        let done = done.unwrap_or_else(|error| {
            tracing::warn!(message = chain(&error), error_type = "EvidenceFailed");
            None
        });
        self.reported(&attempt.described.name, done)
    }

    fn is_read_by_tasks(&self, name: &str) -> bool {
        !matches!(self.kind(name), Ok(Kind::Password(_)))
    }

    fn advise(&self, request: &Request, error: &RotateError) -> Advice {
        let clear = request.clear_command();
        let again_commands = format!("{clear}, {}", request.rotate_command());
        let cancel = format!("`aws secretsmanager cancel-rotate-secret --secret-id '{}'`", request.secret_id);
        // AWS takes no label off when it cancels.
        let off_commands = format!("{cancel}, {clear}");
        let names = self.names(request.secret_name());
        let names = Names { off_commands, again_commands, ..names };
        error.advise(self.base.settings.language, request, &names)
    }
}

impl App {
    /// What a person should know of a rotation that ended well.
    fn reported(&self, secret: &str, done: Option<Done>) -> Aftermath {
        let language = self.base.settings.language;
        let findings = match (self.kind(secret), done) {
            (Ok(Kind::Mail(_) | Kind::Token(_)), _) => vec![text::to_come(language)],
            (Ok(Kind::Password(_)), Some(done)) => text::password(language, &done),
            _ => Vec::new(),
        };
        Aftermath { window_from: None, findings }
    }
}

/// What retiring did with a secret's old credential.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Retired {
    /// There is none.
    Nothing,
    /// It stays for now.
    Waits(Stays),
    /// The key is out of use, and can be activated again.
    Deactivated {
        /// Its id.
        key: String,
    },
    /// The key is gone.
    Deleted {
        /// Its id.
        key: String,
    },
    /// The current token is the primary one, and the one before is refused.
    Promoted,
    /// The application takes the current password and refuses the one before.
    Refused {
        /// The current version.
        version: String,
    },
}

impl Retired {
    /// The key that it is about; empty where there is none.
    fn key(&self) -> &str {
        match self {
            Self::Deactivated { key } | Self::Deleted { key } => key,
            Self::Nothing | Self::Waits(_) | Self::Promoted | Self::Refused { .. } => "",
        }
    }
}

/// One secret, as retiring sees it.
struct Round<'a> {
    listed: &'a Listed,
    rows: &'a [ledger::Row],
    issuance: &'a Issuance,
    in_use: Result<InUse, NotInUse>,
    is_declared: bool,
    now: Timestamp,
}

impl Round<'_> {
    /// Why a key stays that is neither the current nor the previous one.
    fn without_owner(&self, key: &str) -> Stays {
        let (current, pending) = (self.listed.labelled("AWSCURRENT"), self.listed.labelled("AWSPENDING"));
        match pending.is_some() && pending != current {
            true => Stays::RotationRuns,
            false => Stays::Foreign { key: key.to_owned() },
        }
    }

    async fn value(&self, app: &App, label: &str) -> Result<SecretString, RotateError> {
        let reason = || format!("no version is {label}");
        let version = self.listed.labelled(label);
        let version = version.ok_or_else(|| RotationError::WrongForm { reason: reason() })?;
        Ok(secrets::value(&app.base.secrets, &self.listed.arn, Some(version)).await?)
    }
}

async fn described(app: &App, secret: &str) -> Result<Listed, RotateError> {
    Ok(describe::secret(&app.base.secrets, secret).await?)
}

/// Whether an event that is no rotation step is one that the function takes.
///
/// # Errors
///
/// [`RotateError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), RotateError> {
    event::Request::try_from(event).map(drop)
}

/// The answer to a rotation step, or of retiring.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What the step did.
    Step(Outcome),
    /// What became of each secret's old credential.
    Retired(Vec<Line>),
}

/// Handles one event: a rotation step, or the wish to put old credentials out of use.
///
/// # Errors
///
/// Those of the rotation; [`RotateError::Retire`] when an old credential could not be dealt with, which Lambda tries again.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, RotateError> {
    if event::is_step(&event) {
        return shared::rotation::handle(app, event, invocation).await.map(Answer::Step);
    }
    let request = event::Request::try_from(event)?;
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", format!("{day}/retire").as_str());
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    let password = app.password.as_ref().map(Kind::Password);
    let secrets = [app.mail.as_ref().map(Kind::Mail), app.token.as_ref().map(Kind::Token), password];
    for kind in secrets.into_iter().flatten() {
        let name = kind.secret();
        let declared = request.in_use.as_ref().filter(|declared| declared.secret == name);
        let done = invocation.before_deadline(REPORTING, retire(app, kind, declared, invocation.now)).await;
        let done = done.unwrap_or_else(|late| Err(RotationError::from(late).into()));
        let (line, is_news) = report(app, name, &done, declared, invocation).await;
        match &done {
            // Told, so that the next attempt has nothing more to do about it.
            Ok(course) => settle(app, course, invocation.now).await?,
            Err(error) => {
                tracing::error!(message = chain(error), error_type = error.kind(), secret.name = name);
                // The alarm pages once a day for the same cause.
                failed.extend(is_news.then(|| name.to_owned()));
            }
        }
        lines.push(line);
    }
    if failed.is_empty() {
        return Ok(Answer::Retired(lines));
    }
    Err(RotateError::Retire { secrets: failed.join(", ") })
}

impl<'a> Kind<'a> {
    fn secret(self) -> &'a str {
        match self {
            Self::Mail(mail) => &mail.secret,
            Self::Token(token) => &token.secret,
            Self::Password(password) => &password.secret,
        }
    }
}

/// A secret as it is named in messages about its old credential.
pub(crate) struct Current<'a> {
    name: &'a str,
    arn: &'a str,
    version: &'a str,
}

/// Where a secret's old credential stands, and what was done with it.
struct Course {
    arn: String,
    retired: Retired,
    /// The version that is current; empty when there is none.
    version: String,
    /// Since when.
    made: Option<Timestamp>,
}

async fn retire(
    app: &App,
    kind: Kind<'_>,
    declared: Option<&Declared>,
    now: Timestamp,
) -> Result<Course, RotateError> {
    let listed = described(app, kind.secret()).await?;
    let bucket = &app.base.reporter.evidence;
    let rows = ledger::rows(&bucket.client, &bucket.bucket).await?;
    let rows = rows.map_err(|reason| RotateError::Ledger { reason })?;
    let version = listed.labelled("AWSCURRENT").unwrap_or_default().to_owned();
    // Who vouches says for which version: AWSCURRENT may have moved since.
    let declared = declared.filter(|declared| declared.version == version);
    let is_declared = declared.is_some();
    let in_use = ledger::in_use(&listed, &rows, is_declared, now);
    let issuance = app.remembered(&listed.arn).await?;
    let round = Round { listed: &listed, rows: &rows, issuance: &issuance, in_use, is_declared, now };
    let retired = match kind {
        Kind::Mail(mail) => mail.retire(app, &round).await?,
        Kind::Token(token) => token.retire(app, &round).await?,
        Kind::Password(password) => password.retire(app, &round).await?,
    };
    let made = match &retired {
        Retired::Waits(_) => versions::made(&app.base.secrets, &listed.arn).await?.remove(&version),
        _ => None,
    };
    Ok(Course { arn: listed.arn, retired, version, made })
}

/// Notes what was done and told.
async fn settle(app: &App, course: &Course, now: Timestamp) -> Result<(), RotateError> {
    match &course.retired {
        Retired::Nothing | Retired::Waits(_) => Ok(()),
        done => app.remember(&course.arn, |issuance| issuance.settle(done, now)).await,
    }
}

/// Tells and records what was done; that something waits only when it does so for long, and what failed once a day. Gives also
/// whether that is the first time.
async fn report(
    app: &App,
    secret: &str,
    done: &Result<Course, RotateError>,
    declared: Option<&Declared>,
    invocation: &Invocation,
) -> (Line, bool) {
    let settings = &app.base.settings;
    let day = time::local_date(invocation.now);
    let line =
        |did: &str, why: &str| Line { secret: secret.to_owned(), did: did.to_owned(), why: why.to_owned() };
    let (line, run_id, reported) = match done {
        Ok(Course { retired: Retired::Nothing, .. }) => return (line("nothing", ""), false),
        Ok(Course { retired: Retired::Waits(stays), version, made, arn }) => {
            let line = line("waits", text::name(stays));
            let is_overdue = made.is_some_and(|made| invocation.now.duration_since(made) > OVERDUE);
            if !is_overdue || *stays == Stays::Deactivated {
                return (line, false);
            }
            let run_id = format!("{version}/retire/{}/{day}", line.why);
            let current = Current { name: secret, arn, version };
            (line, run_id, text::waits(settings, &current, stays, &app.names(secret)))
        }
        Ok(Course { retired, version, .. }) => {
            let line = line(text::did(retired), "");
            let run_id = format!("{version}/retire/{}/{}", line.did, retired.key());
            (
                line,
                run_id,
                text::retired(settings, secret, retired, app.mail.as_ref().map(|mail| &*mail.user)),
            )
        }
        Err(error) => {
            let line = line("failed", error.kind());
            let run_id = format!("{secret}/retire/{}/{day}", error.fingerprint());
            (line, run_id, text::failed(settings, secret, error, &app.names(secret)))
        }
    };
    let begun = app.base.reporter.look(&run_id).await;
    let is_news = !begun.is_recorded();
    let ended = time::now();
    let outcome = match done {
        Ok(_) => "succeeded".to_owned(),
        Err(error) => format!("failed: {}", error.kind()),
    };
    let step = Recorded { name: format!("retire: {}", line.did), at: ended.into(), outcome };
    let mut findings: Vec<_> = done.as_ref().err().map(|error| chain(error)).into_iter().collect();
    findings.extend(declared.map(|declared| format!("{} vouches for {}", declared.by, declared.version)));
    let draft = Draft {
        trigger: "retire".to_owned(),
        subject: secret.to_owned(),
        steps: vec![step],
        findings,
        ..Draft::of(settings, &run_id, if done.is_ok() { "succeeded" } else { "failed" }, invocation.now)
    };
    app.base.reporter.report(draft, Some(&reported), begun, invocation).await;
    (line, is_news)
}
