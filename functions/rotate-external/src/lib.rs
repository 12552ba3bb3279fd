//! Rotates secrets that another system issues or checks: the access key that sends mail (IAM), Twilio's auth token, and
//! the administrator's password (the application's database, and GitHub Actions).
//!
//! Triggers: Secrets Manager, one rotation step per invocation, run by `shared::rotation`; and a schedule or a person,
//! to retire old credentials (`retire.rs`, `report.rs`). Steps: `mail.rs`, `token.rs`, `password.rs`. Decisions:
//! `rules/`. Texts for operators: `text/`. Outside: `aws.rs`, `twilio.rs`, `ci.rs` (GitHub Actions), `admin.rs`
//! (database, login). Source: the guide, 3.1.

mod admin;
mod aws;
mod ci;
mod error;
mod event;
mod kind;
mod mail;
mod notes;
mod password;
mod report;
mod retire;
mod rules;
mod state;
mod text;
mod token;
mod twilio;

use std::time::Duration;

use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use shared::command;
use shared::rotation::{Advice, Aftermath, Attempt, Base, Outcome, Proof, Request, Rotation, RotationError};
use shared::run::command::{codes, secrets};
use shared::run::ledger::Line;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

pub use error::RotateError;
use kind::Kind;
use mail::Mail;
use password::Password;
use retire::Retirement;
use rules::password::Applied;
use text::failure::Names;
use token::Token;

/// Name of the procedure: the function's folder, its evidence's folder.
pub const PROCEDURE: &str = "rotate-external";

/// Time reserved for the report of a retirement.
const REPORTING: Duration = Duration::from_secs(10);

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    mail: Option<Mail>,
    token: Option<Token>,
    password: Option<Password>,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Base::new`], and `SES_SECRET_NAME`, `TWILIO_SECRET_NAME`
    /// and `SEED_ADMIN_SECRET_NAME`. Each of the three may be empty; otherwise also the settings of its kind
    /// (`Mail::from_env`, `Token::from_env`, `Password::from_env`).
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let base = Base::new(PROCEDURE, env, aws)?;
        let mail = env.optional("SES_SECRET_NAME")?;
        let mail = mail.map(|secret| Mail::from_env(secret, env, aws)).transpose()?;
        let token = env.optional("TWILIO_SECRET_NAME")?;
        let token = token.map(|secret| Token::from_env(secret, env)).transpose()?;
        let password = env.optional("SEED_ADMIN_SECRET_NAME")?;
        let password = password.map(|secret| Password::from_env(secret, env)).transpose()?;
        Ok(Self { base, mail, token, password })
    }

    fn kinds(&self) -> impl Iterator<Item = Kind<'_>> {
        let mail = self.mail.as_ref().map(Kind::Mail);
        let token = self.token.as_ref().map(Kind::Token);
        let password = self.password.as_ref().map(Kind::Password);
        [mail, token, password].into_iter().flatten()
    }

    fn kind(&self, name: &str) -> Result<Kind<'_>, RotateError> {
        let kind = self.kinds().find(|kind| kind.secret() == name);
        kind.ok_or_else(|| RotateError::NotOurs { name: name.to_owned() })
    }

    fn names<'a>(&'a self, secret: &'a str) -> Names<'a> {
        Names {
            secret,
            function: &self.base.settings.function,
            user: self.mail.as_ref().map_or("", |mail| &mail.user),
            is_admin: self.password.as_ref().is_some_and(|password| password.secret == secret),
            adopt_commands: codes([
                command!(
                    "aws secretsmanager put-secret-value --secret-id {secret} --secret-string file://valor.txt",
                    secret
                ),
                secrets::rotate(secret),
            ]),
            off_commands: String::new(),
            again_commands: String::new(),
        }
    }

    /// The findings of a rotation that succeeded.
    fn findings(&self, secret: &str, applied: Option<Applied>) -> Vec<String> {
        let language = self.base.settings.language;
        match (self.kind(secret), applied) {
            (Ok(Kind::Mail(_) | Kind::Token(_)), _) => vec![text::rotation::to_come(language)],
            (Ok(Kind::Password(_)), Some(applied)) => text::rotation::password(language, &applied),
            _ => Vec::new(),
        }
    }
}

impl Rotation for App {
    type Error = RotateError;

    fn base(&self) -> &Base {
        &self.base
    }

    async fn admit(&self, attempt: &Attempt<'_>) -> Result<(), RotateError> {
        let kind = self.kind(&attempt.described.name)?;
        match attempt.current().await? {
            Some(current) => kind.admit(&self.base, &current),
            None => Ok(()),
        }
    }

    async fn compose(
        &self,
        attempt: &Attempt<'_>,
        current: Option<&SecretString>,
    ) -> Result<SecretString, RotateError> {
        self.kind(&attempt.described.name)?.compose(&self.base, attempt, current).await
    }

    async fn set(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        self.kind(&attempt.described.name)?.set(&self.base, attempt).await
    }

    async fn test(&self, attempt: &Attempt<'_>) -> Result<Outcome, RotateError> {
        self.kind(&attempt.described.name)?.test(&self.base, attempt).await
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Proof, RotateError> {
        let pending = attempt.pending().await?;
        let current = attempt.current().await?;
        if current.is_some_and(|current| current.expose_secret() == pending.value.expose_secret()) {
            let reason = "it is the current value".to_owned();
            return Err(RotationError::PendingRejected { reason }.into());
        }
        let (what, applied, proof) = match self.kind(&attempt.described.name)? {
            Kind::Mail(mail) => {
                mail.test(&self.base, attempt).await?;
                ("send a mail with the pending key", None, None)
            }
            Kind::Token(token) => {
                token.test(attempt).await?;
                ("read the account with the pending token", None, None)
            }
            Kind::Password(password) => {
                password.made_by_policy(&self.base, &pending.value)?;
                let (proof, applied) = password.prove(&self.base, attempt.request, &pending.value).await?;
                (proof.text(), applied, Some(proof))
            }
        };
        let mut findings = self.findings(&attempt.described.name, applied);
        findings
            .extend(proof.and_then(|proof| text::rotation::not_covered(self.base.settings.language, proof)));
        Ok(Proof { staged: pending.created, what, aftermath: Aftermath { window_from: None, findings } })
    }

    async fn aftermath(&self, attempt: &Attempt<'_>) -> Aftermath {
        let applied = notes::applied(&self.base, &attempt.request.token).await.unwrap_or_else(|error| {
            tracing::warn!(message = chain(&error), error_type = "EvidenceFailed");
            None
        });
        Aftermath { window_from: None, findings: self.findings(&attempt.described.name, applied) }
    }

    fn is_read_by_tasks(&self, name: &str) -> bool {
        !matches!(self.kind(name), Ok(Kind::Password(_)))
    }

    fn advise(&self, request: &Request, error: &RotateError) -> Advice {
        let secret = &request.secret_id;
        let clear = secrets::clear(secret, &request.token);
        let again_commands = codes([clear.clone(), secrets::rotate(secret)]);
        let cancel = command!("aws secretsmanager cancel-rotate-secret --secret-id {secret}", secret);
        // Cancelling a rotation leaves AWSPENDING on its version.
        let off_commands = codes([cancel, clear]);
        let names = self.names(request.secret_name());
        let names = Names { off_commands, again_commands, ..names };
        error.advise(self.base.settings.language, request, &names)
    }
}

/// Checks an event that is not a rotation step.
///
/// # Errors
///
/// [`RotateError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), RotateError> {
    event::Request::try_from(event).map(drop)
}

/// The answer to an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The outcome of a rotation step.
    Step(Outcome),
    /// The result of retiring, a line per secret.
    Retired(Vec<Line>),
}

/// Handles one event: a rotation step, or a request to retire old credentials.
///
/// # Errors
///
/// The rotation's; the first note's if a change could not be noted as reported, or [`RotateError::Retire`] if retiring
/// failed for some secret. Either comes after all secrets, and Lambda retries it.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, RotateError> {
    if event::is_step(&event) {
        return shared::rotation::handle(app, event, invocation).await.map(Answer::Step);
    }
    let request = event::Request::try_from(event)?;
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", format!("{day}/retire").as_str());
    let mut lines = Vec::new();
    let (mut failed, mut unsettled) = (Vec::new(), None);
    for kind in app.kinds() {
        let name = kind.secret();
        let declared = request.in_use.as_ref().filter(|declared| declared.secret == name);
        let retirement = invocation
            .before_deadline(REPORTING, retire::retire(&app.base, kind, declared, invocation.now))
            .await;
        let retirement = retirement.unwrap_or_else(|late| Err(RotationError::from(late).into()));
        let (line, is_news) =
            report::report(&app.base, &app.names(name), &retirement, declared, invocation).await;
        match &retirement {
            // Settle after reporting: if this attempt dies in between, the next one still reports the change.
            Ok(Retirement { arn, retired, .. }) => {
                if let Err(error) = notes::settle(&app.base, arn, retired, invocation.now).await {
                    tracing::error!(message = chain(&error), error_type = error.kind(), secret.name = name);
                    unsettled.get_or_insert(error);
                }
            }
            Err(error) => {
                tracing::error!(message = chain(error), error_type = error.kind(), secret.name = name);
                // Fail, which pages, only once a day for the same cause.
                failed.extend(is_news.then(|| name.to_owned()));
            }
        }
        lines.push(line);
    }
    match unsettled {
        Some(error) => Err(error),
        None if failed.is_empty() => Ok(Answer::Retired(lines)),
        None => Err(RotateError::Retire { secrets: failed.join(", ") }),
    }
}
