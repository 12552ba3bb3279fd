//! After an incident: ends the login that leaked, and proves that the database refuses it.
//!
//! Of alternating users the leaked login is the one that is not in use; it may no longer log in, and its sessions end. The
//! next rotation restores it with a password of its own. A single user's old password is dead since setSecret; what is left are
//! the sessions that it opened.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::aws::describe;
use shared::aws::secrets::{self, Listed};
use shared::database::secret::{Login, Secret};
use shared::database::{ErrorKind, Quotes, Session};
use shared::rotation::{RotationError, generate, was_made};
use shared::run::evidence::{Draft, Step as Recorded};
use shared::run::ledger::{self, InUse, Line, NotInUse, Row};
use shared::run::notify::Message;
use shared::runtime::failure::{CallError, Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;
use shared::runtime::time;

use crate::error::{RotateError, Why};
use crate::policy::{self, Strategy};
use crate::{App, DATABASE, PROCEDURE, aws};

/// Time kept back for the report.
const REPORTING: Duration = Duration::from_secs(6);

/// How often it is looked whether sessions that were ended are gone, and how long between two looks.
const LOOKS: usize = 10;
const BETWEEN: Duration = Duration::from_millis(200);

/// What was done with a leaked login; also the note that it was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Ended {
    /// The version that replaced what leaked.
    version: String,
    /// The database's user.
    user: String,
    /// Whether the user was disabled for it; a single user's password had changed already.
    is_shut_out: bool,
    /// Sessions that were ended.
    sessions: u64,
}

/// Where a secret's leaked login stands.
enum Course {
    /// No incident was declared.
    Nothing,
    /// Nobody knows that it is needed no more.
    Waits(Waits),
    /// It is dead.
    Ended(Ended),
    /// A later rotation replaced its password, and the leaked value is no longer stored, so it cannot be tried.
    Replaced(Replaced),
}

/// How a leaked password was replaced; also the stored note of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Replaced {
    /// The version that leaked.
    version: String,
    /// The one that replaced its password.
    replaced_by: String,
    /// Sessions that were ended, for all logins in the secret.
    sessions: u64,
}

/// Why a leaked login stays for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waits {
    /// A rotation may have given the login its next password.
    RotationRuns,
    /// Nobody knows that the current version is in use.
    NotInUse(NotInUse),
}

impl Waits {
    fn name(self) -> &'static str {
        match self {
            Self::RotationRuns => "rotation_runs",
            Self::NotInUse(why) => why.name(),
        }
    }
}

/// Whether an event asks for this rather than for a step of a rotation.
pub(crate) fn is_asked(event: &Value) -> bool {
    event.get("retire").is_some()
}

/// Whether the event is the one that asks for it.
pub(crate) fn check(event: &Value) -> Result<(), RotationError> {
    let is_whole = event.as_object().is_some_and(|event| event.len() == 1 && event["retire"] == true);
    if is_whole {
        return Ok(());
    }
    Err(RotationError::InvalidEvent { field: "retire", expected: r#"{"retire": true}"# })
}

/// The answer to `{"retire": true}`.
pub(crate) async fn retire(app: &App, invocation: &Invocation) -> Result<Vec<Line>, RotateError> {
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", format!("{day}/retire").as_str());
    let bucket = &app.base.reporter.evidence;
    let rows = ledger::rows(&bucket.client, &bucket.bucket).await.map_err(RotationError::from)?;
    let rows = rows.map_err(|reason| Why::Ledger { reason })?;
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for secret in app.leaked(&rows) {
        let done = invocation.before_deadline(REPORTING, app.end(&secret, &rows, invocation.now)).await;
        let done = done.unwrap_or_else(|late| Err(RotationError::from(late).into()));
        if let Err(why) = &done {
            let error_type = RotateError::from(why.clone()).kind();
            tracing::error!(message = chain(why), error_type, secret.name = secret);
        }
        let (line, is_news) = report(app, &secret, &done, invocation).await;
        // The alarm pages once a day for the same cause.
        failed.extend((done.is_err() && is_news).then_some(secret));
        lines.push(line);
    }
    if failed.is_empty() { Ok(lines) } else { Err(Why::Retire { secrets: failed.join(", ") }.into()) }
}

impl App {
    /// The secrets of this function whose value before may be known to others: the application's by its name, the others
    /// by the ARN of the ledger's row.
    fn leaked(&self, rows: &[Row]) -> Vec<String> {
        let mut secrets: Vec<String> = self.database_secret.iter().cloned().collect();
        for row in rows.iter().filter(|row| row.reason == "incident") {
            let is_ours = self.other_secrets.iter().any(|pattern| names(pattern, &row.arn));
            if is_ours && !secrets.contains(&row.arn) {
                secrets.push(row.arn.clone());
            }
        }
        secrets
    }

    async fn end(&self, secret: &str, rows: &[Row], now: Timestamp) -> Result<Course, Why> {
        let listed = describe::secret(&self.base.secrets, secret).await.map_err(RotationError::from)?;
        let Some(incident) = ledger::incident(&listed.arn, rows) else { return Ok(Course::Nothing) };
        let Some(leaked) = &incident.previous else { return Ok(Course::Nothing) };
        let evidence = &self.base.reporter.evidence;
        let note = format!("{}/retired/{}", listed.arn, incident.version);
        if let Some(ended) = evidence.get(&note).await.map_err(RotationError::from)? {
            return Ok(Course::Ended(ended));
        }
        let is_vouched = listed.tags.get(policy::IN_USE).map(String::as_str) == listed.labelled("AWSCURRENT");
        let since = match ledger::in_use(&listed, rows, is_vouched, now) {
            Ok(InUse { since, .. }) => since,
            Err(why) => return Ok(Course::Waits(Waits::NotInUse(why))),
        };
        let leaked = match self.login_of(&listed, leaked).await {
            Err(Why::LeakUnknown { version }) => {
                let course = self.replaced(&listed, incident, rows, version, since).await;
                return course.map(Course::Replaced);
            }
            leaked => leaked?,
        };
        let current = labelled(&listed)?;
        // Tasks of the deployment that brought the version into use are younger than the look that saw it move.
        let row = rows.iter().find(|row| row.arn == listed.arn && row.version == current);
        let before = row.and_then(|row| row.started).unwrap_or(since);
        let current = self.login_of(&listed, current).await?;
        if leaked.port != current.port || !leaked.host.eq_ignore_ascii_case(&current.host) {
            let reason = "the version that leaked and AWSCURRENT name different hosts".to_owned();
            return Err(Why::Identity { reason });
        }
        let (user, is_shut_out, sessions) = if leaked.user == current.user {
            let session = self.database.login(&current).await?;
            let sessions = end_sessions(&session, Some(before)).await?;
            session.close().await;
            (current.user.clone(), false, sessions)
        } else {
            if is_pending(&listed) {
                return Ok(Course::Waits(Waits::RotationRuns));
            }
            let sessions = self.shut_out(&listed, &leaked, &current).await?;
            (leaked.user.clone(), true, sessions)
        };
        self.must_be_refused(&leaked).await?;
        // The leaked login may still be valid in the database that replaces this one.
        if let Some(host) = aws::host(&self.rds, &current).await.map_err(Why::Rds)?
            && let Some(open) = self.blue_green(&host).await?
        {
            return Err(open);
        }
        let ended = Ended { version: incident.version.clone(), user, is_shut_out, sessions };
        evidence.put_new(&note, &ended).await.map_err(RotationError::from)?;
        Ok(Course::Ended(ended))
    }

    /// Finds the rotation that replaced a leaked password whose value is no longer stored, and ends the older sessions of the
    /// secret's logins.
    async fn replaced(
        &self,
        listed: &Listed,
        incident: &Row,
        rows: &[Row],
        leaked: String,
        since: Timestamp,
    ) -> Result<Replaced, Why> {
        let evidence = &self.base.reporter.evidence;
        let note = format!("{}/replaced/{}", listed.arn, incident.version);
        if let Some(replaced) = evidence.get(&note).await.map_err(RotationError::from)? {
            return Ok(replaced);
        }
        let is_later = |row: &&Row| !(row.arn == listed.arn && row.version == incident.version);
        let later = rows.iter().take_while(is_later).filter(|row| row.arn == listed.arn);
        let mut made = Vec::new();
        for row in later.filter(|row| matches!(row.outcome.as_str(), "proved" | "unproved")) {
            if was_made(evidence, &listed.arn, &row.version).await? {
                made.push(row);
            }
        }
        // Two users take turns: the rotation after the incident's changes the leaked login's password. Where a person put a
        // value in between, the turn is unknown, but two rotations change both passwords.
        let next = made.iter().find(|row| row.previous.as_ref() == Some(&incident.version));
        let Some(next) = next.or(made.get(1).and(made.first())) else {
            return Err(Why::LeakUnknown { version: leaked });
        };
        let before =
            rows.iter().find(|row| row.arn == listed.arn).and_then(|row| row.started).unwrap_or(since);
        let mut sessions = 0;
        for label in ["AWSCURRENT", "AWSPREVIOUS"] {
            let Some(version) = listed.labelled(label) else { continue };
            let login = self.login_of(listed, version).await?;
            // The old password of a single user is refused.
            if let Some(session) = self.try_login(&login).await? {
                sessions += end_sessions(&session, Some(before)).await?;
                session.close().await;
            }
        }
        let replaced = Replaced { version: leaked, replaced_by: next.version.clone(), sessions };
        evidence.put_new(&note, &replaced).await.map_err(RotationError::from)?;
        Ok(replaced)
    }

    async fn login_of(&self, listed: &Listed, version: &str) -> Result<Login, Why> {
        let value = secrets::value(&self.base.secrets, &listed.arn, Some(version)).await;
        let value = value.map_err(|call: CallError| match call.code.as_str() {
            // The service keeps the versions without a label for a while only.
            "ResourceNotFoundException" => Why::LeakUnknown { version: version.to_owned() },
            _ => RotationError::from(call).into(),
        })?;
        Ok(Secret::parse(&value)?.login().clone())
    }

    /// Disables the login that is not in use, and ends its sessions. That is done as the login itself, with a password that
    /// nobody keeps: the administrator would need a further right for it. Whoever is logged in as it can change its password,
    /// and cannot enable it.
    async fn shut_out(&self, listed: &Listed, leaked: &Login, current: &Login) -> Result<u64, Why> {
        let value = secrets::value(&self.base.secrets, &listed.arn, Some(labelled(listed)?)).await;
        let secret = Secret::parse(&value.map_err(RotationError::from)?)?;
        let strategy = self.strategy_of(listed, &secret)?;
        let pair = policy::pair(&current.user)?;
        let Strategy::AlternatingUsers { admin } = &strategy else {
            let reason = format!("{} leaked, and only one user is configured", leaked.user);
            return Err(Why::Identity { reason });
        };
        if pair.other(&current.user) != leaked.user {
            let reason = format!("{} and {} do not take turns", current.user, leaked.user);
            return Err(Why::Identity { reason });
        }
        let (generator, _) = policy::rule(&self.base.settings.policy.rotation, DATABASE)?;
        let ours = Login { password: generate(&generator)?, user: leaked.user.clone(), ..current.clone() };
        let admin = self.admin(admin, current).await?;
        let session = self.database.login_bound(&admin).await?;
        session.enable(&ours.user, &ours.password, async || self.is_as_before(listed).await).await?;
        let own = self.database.login(&ours).await;
        // Disable even if the login failed: a thief with open sessions can use up its connection limit.
        session.disable(&ours.user, async || self.is_as_before(listed).await).await?;
        session.close().await;
        let own = own?;
        let sessions = end_sessions(&own, None).await?;
        own.close().await;
        Ok(sessions)
    }

    /// That no rotation has begun, and AWSCURRENT is where it was: else the login may have become the one in use.
    async fn is_as_before(&self, listed: &Listed) -> Result<(), Why> {
        let now = describe::secret(&self.base.secrets, &listed.arn).await.map_err(RotationError::from)?;
        if now.labelled("AWSCURRENT") == listed.labelled("AWSCURRENT") && !is_pending(&now) {
            return Ok(());
        }
        Err(Why::RotationBegan)
    }

    /// Proves that the database refuses the leaked credential; an answer of another kind proves nothing.
    async fn must_be_refused(&self, leaked: &Login) -> Result<(), Why> {
        match self.database.login(leaked).await {
            Ok(session) => {
                session.close().await;
                Err(Why::StillAccepted { user: leaked.user.clone() })
            }
            Err(error) if error.kind == ErrorKind::Auth && error.sqlstate.is_some() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether an ARN of the template, which may end in the service's six characters as `?`, is this secret's.
fn names(pattern: &str, arn: &str) -> bool {
    match pattern.split_once(['?', '*']) {
        Some((stem, _)) => arn.starts_with(stem),
        None => pattern == arn,
    }
}

fn labelled(listed: &Listed) -> Result<&str, RotationError> {
    let reason = || "no version is AWSCURRENT".to_owned();
    listed.labelled("AWSCURRENT").ok_or_else(|| RotationError::WrongForm { reason: reason() })
}

fn is_pending(listed: &Listed) -> bool {
    let pending = listed.labelled("AWSPENDING");
    pending.is_some() && pending != listed.labelled("AWSCURRENT")
}

/// Ends the other sessions of the session's own login, those that began before a moment or all, and gives their number.
async fn end_sessions(session: &Session, before: Option<Timestamp>) -> Result<u64, Why> {
    const DURING: &str = "end the login's sessions";
    let older = before.map(|at| format!(" AND backend_start < '{at}'::pg_catalog.timestamptz"));
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE usename = session_user AND pid <> pg_catalog.pg_backend_pid(){}",
        older.unwrap_or_default()
    );
    // The first set-up made the login's role the owner, with the sessions that were open then; nobody logs in as it since.
    const OF_THE_OWNER: &str = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
        WHERE usename = current_user AND usename <> session_user";
    let mut ended = session.execute(DURING, OF_THE_OWNER).await?;
    // The owner, as which the login acts, may not end the login's sessions.
    session.run(DURING, "SET ROLE NONE", Quotes::Nothing).await?;
    for _ in 0..LOOKS {
        let left = session.execute(DURING, &sql).await?;
        if left == 0 {
            return Ok(ended);
        }
        ended = ended.max(left);
        tokio::time::sleep(BETWEEN).await;
    }
    Err(Why::SessionsLive { target: session.target.clone() })
}

/// Tells and records what was done, what failed once a day, and what waits since an incident once a day. Gives also whether
/// that is the first time.
async fn report(
    app: &App,
    secret: &str,
    done: &Result<Course, Why>,
    invocation: &Invocation,
) -> (Line, bool) {
    let settings = &app.base.settings;
    let day = time::local_date(invocation.now);
    let line =
        |did: &str, why: &str| Line { secret: secret.to_owned(), did: did.to_owned(), why: why.to_owned() };
    let (line, run_id, reported, outcome) = match done {
        Ok(Course::Nothing) => return (line("none", ""), false),
        Ok(Course::Waits(waits)) => {
            let line = line("waits", waits.name());
            let run_id = format!("{secret}/retire/{}/{day}", line.why);
            (line, run_id, waits_message(settings, secret, *waits), "waits".to_owned())
        }
        // The leaked value cannot be tried, so this is never reported as proved.
        Ok(Course::Replaced(replaced)) => {
            let run_id = format!("{}/retire/replaced", replaced.version);
            let reported = replaced_message(settings, secret, replaced);
            (line("replaced", ""), run_id, reported, "not proved: the leaked value is gone".to_owned())
        }
        Ok(Course::Ended(ended)) => {
            let run_id = format!("{}/retire/ended", ended.version);
            (line("ended", ""), run_id, ended_message(settings, secret, ended), "succeeded".to_owned())
        }
        Err(why) => {
            let error = RotateError::from(why.clone());
            let run_id = format!("{secret}/retire/{}/{day}", error.fingerprint());
            let reported = failed_message(settings, secret, &error);
            (line("failed", error.kind()), run_id, reported, format!("failed: {}", error.kind()))
        }
    };
    let begun = app.base.reporter.look(&run_id).await;
    let is_news = !begun.is_recorded();
    let result = if matches!(done, Ok(Course::Ended(_))) { "succeeded" } else { "failed" };
    let draft = Draft {
        trigger: "retire".to_owned(),
        subject: secret.to_owned(),
        steps: vec![Recorded::now(format!("retire: {}", line.did), outcome)],
        findings: done.as_ref().err().map(|why| chain(why)).into_iter().collect(),
        ..Draft::of(settings, &run_id, result, invocation.now)
    };
    app.base.reporter.report(draft, Some(&reported), begun, invocation).await;
    (line, is_news)
}

/// Asks for it at once.
pub(crate) fn command(settings: &Settings) -> String {
    format!(
        "`echo '{{\"retire\": true}}' | aws lambda invoke --function-name {} --payload fileb:///dev/stdin /dev/stdout`",
        settings.function
    )
}

fn ended_message(settings: &Settings, secret: &str, ended: &Ended) -> Message {
    let Ended { user, is_shut_out, sessions, .. } = ended;
    let line = match (settings.language, is_shut_out) {
        (Language::Portuguese, true) => format!(
            "O login vazado, `{user}`, não pode mais entrar, as sessões dele foram encerradas ({sessions}), e o banco recusa a credencial vazada (provado). A próxima rotação o restaura com uma senha nova; nada a fazer."
        ),
        (Language::English, true) => format!(
            "The leaked login, `{user}`, may no longer log in, its sessions were ended ({sessions}), and the database refuses the leaked credential (proved). The next rotation restores it with a new password; there is nothing to do."
        ),
        (Language::Portuguese, false) => format!(
            "A senha vazada de `{user}` é recusada pelo banco (provado), e as sessões abertas antes do deployment foram encerradas ({sessions}). Nada a fazer."
        ),
        (Language::English, false) => format!(
            "The database refuses the leaked password of `{user}` (proved), and the sessions that began before the deployment were ended ({sessions}). There is nothing to do."
        ),
    };
    let title = settings.language.pick("Credencial vazada está morta", "The leaked credential is dead");
    message(settings, title, secret, vec![line])
}

fn replaced_message(settings: &Settings, secret: &str, replaced: &Replaced) -> Message {
    let Replaced { version, replaced_by, sessions } = replaced;
    let language = settings.language;
    let line = match language {
        Language::Portuguese => format!(
            "O Secrets Manager não guarda mais o valor da versão vazada (`{version}`), por isso ela não pôde ser experimentada. Uma rotação posterior (`{replaced_by}`) deu outra senha ao login vazado, e as sessões abertas antes do deployment foram encerradas ({sessions}). Se alguém mudou senhas ou rótulos à mão desde então, rotacionar mais uma vez: `aws secretsmanager rotate-secret --secret-id '{secret}'`"
        ),
        Language::English => format!(
            "Secrets Manager no longer keeps the value of the version that leaked (`{version}`), so it could not be tried. A later rotation (`{replaced_by}`) gave the leaked login another password, and the sessions that began before the deployment were ended ({sessions}). If passwords or labels were changed by hand since, rotate once more: `aws secretsmanager rotate-secret --secret-id '{secret}'`"
        ),
    };
    let title = language.pick(
        "Credencial vazada foi substituída, sem prova",
        "The leaked credential was replaced, without proof",
    );
    message(settings, title, secret, vec![line])
}

fn waits_message(settings: &Settings, secret: &str, waits: Waits) -> Message {
    let language = settings.language;
    let (why, next) = match waits {
        Waits::RotationRuns => (
            language.pick(
                "uma rotação está em curso e pode ter dado a este login a senha seguinte",
                "a rotation is under way and may have given this login its next password",
            ),
            language.pick(
                "nenhum: quando ela terminar, e o acompanhamento dela, a credencial é encerrada. Se ela falhou, seguir a mensagem dela.",
                "none: the credential is ended when that and its follow-up are over. If it failed, follow its message.",
            )
            .to_owned(),
        ),
        Waits::NotInUse(why) => (
            match why {
                NotInUse::NotFollowed => language.pick(
                    "o acompanhamento (rotation-followup) ainda não pôs a versão atual em uso",
                    "the follow-up (rotation-followup) has not brought the current version into use yet",
                ),
                NotInUse::FollowupFailed => language.pick(
                    "o acompanhamento da versão atual falhou; ver a mensagem dele",
                    "the follow-up of the current version failed; see its message",
                ),
                NotInUse::NoReader => language.pick(
                    "nenhum serviço do cluster lê o segredo, então ninguém sabe se a versão atual está em uso",
                    "no service of the cluster reads the secret, so nobody knows whether the current version is in use",
                ),
                NotInUse::Pinned => language.pick(
                    "uma task definition fixa outra versão do segredo (valueFrom); a mensagem do acompanhamento diz qual",
                    "a task definition is pinned to another version of the secret (valueFrom); the follow-up's message names it",
                ),
            },
            format!(
                "{} {}",
                language.pick(
                    "resolver isso; a função tenta a cada hora. Para não esperar:",
                    "resolve that; the function tries each hour. Not to wait:",
                ),
                command(settings)
            ),
        ),
    };
    let title = language.pick("Credencial vazada ainda vale", "Leaked credential still good");
    let lines = vec![
        format!("{}: {why}.", language.pick("Motivo", "Reason")),
        format!("*{}*: {next}", language.pick("Próximo passo", "Next step")),
    ];
    message(settings, title, secret, lines)
}

fn failed_message(settings: &Settings, secret: &str, error: &RotateError) -> Message {
    let language = settings.language;
    let next = match &error.why {
        Why::StillAccepted { .. } | Why::LeakUnknown { .. } => format!(
            "{} `aws secretsmanager rotate-secret --secret-id '{secret}'`",
            language.pick(
                "*urgente*: rotacionar o segredo de novo, o que troca a senha do login vazado:",
                "*urgent*: rotate the secret again, which changes the leaked login's password:",
            )
        ),
        _ => format!(
            "{} {}",
            language.pick(
                "corrigir o que a linha miúda diz; a função tenta a cada hora. Para não esperar:",
                "correct what the small print says; the function tries each hour. Not to wait:",
            ),
            command(settings)
        ),
    };
    let title = language.pick(
        "Não se provou que a credencial vazada está morta",
        "The leaked credential was not proved dead",
    );
    let lines = vec![
        format!("*{}*: {}", error.kind(), error.why.cause(language)),
        format!("*{}*: {next}", language.pick("Próximo passo", "Next step")),
    ];
    let mut message = message(settings, title, secret, lines);
    message.context = format!("{} · {}", chain(&error.why), message.context);
    message
}

fn message(settings: &Settings, title: &str, secret: &str, lines: Vec<String>) -> Message {
    let title = format!("{title}: {secret} ({})", settings.environment);
    let context = format!("{PROCEDURE} · {} · {}", settings.project, settings.code_version);
    Message { title, lines, context }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_one_event_asks_for_it() {
        assert!(is_asked(&json!({"retire": true})) && check(&json!({"retire": true})).is_ok());
        assert!(!is_asked(&json!({"Step": "createSecret"})));
        for bad in
            [json!({"retire": false}), json!({"retire": true, "secret": "s"}), json!({"retire": "yes"})]
        {
            assert!(is_asked(&bad) && check(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_arn_of_the_template_may_leave_the_services_characters_open() {
        let arn = "arn:aws:secretsmanager:us-east-1:1:secret:reports-a1B2c3";
        assert!(names(arn, arn));
        assert!(names("arn:aws:secretsmanager:us-east-1:1:secret:reports-??????", arn));
        assert!(!names("arn:aws:secretsmanager:us-east-1:1:secret:report", arn));
    }
}
