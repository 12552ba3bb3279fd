//! After an incident: ends the login that leaked, its open sessions too, and proves that it is dead.
//!
//! With two users the login before lives on by design, and with one user its sessions do. Trigger: the follow-up's state
//! machine, once the new credential is in use; a schedule, as its net; a person. Only the ledger, which the follow-up alone
//! may write, says that there was an incident and that all readers use the current version.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::database::secret::{Login, Secret};
use shared::database::{DatabaseError, ErrorKind, Quotes, Session, stem};
use shared::event::{self, InvalidEvent};
use shared::evidence::{Draft, Step as Recorded};
use shared::failure::{Failure, chain};
use shared::lambda::{DeadlineExceeded, Invocation};
use shared::language::Language;
use shared::ledger::{self, InUse, NotInUse};
use shared::notify::Message;
use shared::rotation::RotationError;
use shared::secrets::{self, Listed};
use shared::{describe, time};
use tokio_postgres::types::Type;

use crate::App;
use crate::error::{RotateError, Why};
use crate::policy::Strategy;

/// Time kept back for the report.
const REPORTING: std::time::Duration = std::time::Duration::from_secs(10);

/// A session that began this long after setSecret has used the new password: no task has it earlier, since the follow-up
/// waits before it deploys.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);

/// What a state machine, a schedule or a person asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    retire: bool,
}

/// Whether an event is one of retiring, well formed or not.
pub(crate) fn is_asked(event: &Value) -> bool {
    event.get("retire").is_some()
}

/// What became of the login that leaked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// No incident was declared of the current version, or its login was ended before.
    Nothing,
    /// Nobody knows yet that the current version is in use everywhere.
    Waits(&'static str),
    /// The login is dead: refused by the database, without a session.
    Ended {
        /// The login's name.
        user: String,
        /// Sessions that were ended.
        sessions: u64,
    },
}

pub(crate) fn check(event: Value) -> Result<(), RotationError> {
    let request: Request = event::parse(event).map_err(refused)?;
    if request.retire { Ok(()) } else { Err(refused(InvalidEvent::at("retire", "expected true"))) }
}

/// Handles the event.
pub(crate) async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Done, RotateError> {
    check(event)?;
    let Some(name) = &app.database_secret else { return Ok(Done::Nothing) };
    let listed = describe::secret(&app.base.secrets, name).await.map_err(RotationError::from)?;
    let version = listed.labelled("AWSCURRENT").unwrap_or_default().to_owned();
    tracing::Span::current().record("run_id", format!("{version}/retire").as_str());
    let done = invocation.within(REPORTING, end(app, &listed, &version, invocation.now)).await;
    let done = done.unwrap_or_else(|late: DeadlineExceeded| Err(RotationError::from(late).into()));
    let done = done.map_err(RotateError::from);
    match &done {
        Ok(Done::Nothing | Done::Waits(_)) => {}
        _ => report(app, &listed, &version, &done, invocation).await,
    }
    if let Ok(Done::Ended { .. }) = &done {
        // Told, so that no later attempt has anything more to do about it.
        app.base.reporter.evidence.keep(&note(&version), &done_note()).await.map_err(RotationError::from)?;
    }
    done
}

fn refused(error: InvalidEvent) -> RotationError {
    tracing::warn!(message = error.to_string(), error_type = "InvalidEvent");
    RotationError::InvalidEvent { field: "retire", expected: "true, and no other field" }
}

fn note(version: &str) -> String {
    format!("{version}/retired")
}

fn done_note() -> Value {
    serde_json::json!({"retired": time::now()})
}

async fn end(app: &App, listed: &Listed, version: &str, now: Timestamp) -> Result<Done, Why> {
    let evidence = &app.base.reporter.evidence;
    let rows = ledger::rows(&evidence.client, &evidence.bucket).await.map_err(RotationError::from)?;
    let rows = rows.map_err(|reason| Why::Ledger { reason })?;
    let is_incident = rows
        .iter()
        .find(|row| row.arn == listed.arn && row.version == version)
        .is_some_and(|row| row.reason == "incident");
    if !is_incident || evidence.kept::<Value>(&note(version)).await.map_err(RotationError::from)?.is_some() {
        return Ok(Done::Nothing);
    }
    let in_use: Result<InUse, NotInUse> = ledger::in_use(listed, &rows, false, now);
    if let Err(why) = in_use {
        return Ok(Done::Waits(why.name()));
    }
    let Some(previous) = listed.labelled("AWSPREVIOUS") else { return Ok(Done::Waits("no_previous")) };
    let value = async |version: &str| {
        let value = secrets::value(&app.base.secrets, &listed.arn, Some(version)).await;
        Ok::<SecretString, Why>(value.map_err(RotationError::from)?)
    };
    let (current, leaked) = (Secret::parse(&value(version).await?)?, Secret::parse(&value(previous).await?)?);
    let strategy = app.strategy_of(listed, &current)?;
    let fence = async || {
        let again = describe::secret(&app.base.secrets, &listed.arn).await.map_err(RotationError::from)?;
        match again.labelled("AWSCURRENT") == Some(version) {
            true => Ok(()),
            false => Err(Why::from(RotationError::CurrentMoved { token: version.to_owned() })),
        }
    };
    let sessions = match &strategy {
        Strategy::SingleUser => {
            let since = app.changed_at(version).await.or(made(app, listed, version).await?);
            let since = since.and_then(|since| since.checked_add(SETTLED).ok());
            let session = app.database.login(current.login()).await?;
            let ended = terminate(&session, &leaked.login().user, since).await;
            session.close().await;
            ended?
        }
        Strategy::AlternatingUsers { admin } => {
            if leaked.login().user == current.login().user {
                let reason = "AWSPREVIOUS and AWSCURRENT name the same user".to_owned();
                return Err(Why::Identity { reason });
            }
            // Its own session may end its other ones; the administrator needs a privilege for that.
            let own = app.try_login(leaked.login()).await?;
            let admin = app.database.login_bound(&app.admin(admin, current.login()).await?).await?;
            disable(&admin, leaked.login(), fence).await?;
            let mut ended = 0;
            if let Some(own) = own {
                own.run("act as the login", "SET ROLE NONE", Quotes::Nothing).await?;
                ended = terminate(&own, &leaked.login().user, None).await?;
                own.close().await;
            }
            let rest = terminate(&admin, &leaked.login().user, None).await;
            admin.close().await;
            ended + rest?
        }
    };
    match app.database.login(leaked.login()).await {
        Err(error) if error.kind == ErrorKind::Auth => {
            Ok(Done::Ended { user: leaked.login().user.clone(), sessions })
        }
        Ok(session) => {
            session.close().await;
            Err(Why::StillAccepted { user: leaked.login().user.clone() })
        }
        Err(error) => Err(error.into()),
    }
}

async fn made(app: &App, listed: &Listed, version: &str) -> Result<Option<Timestamp>, Why> {
    let mut made = secrets::versions(&app.base.secrets, &listed.arn).await.map_err(RotationError::from)?;
    Ok(made.remove(version))
}

/// Takes the right to log in from a login. The next rotation gives it back, with a password of its own.
async fn disable(
    admin: &Session,
    login: &Login,
    fence: impl AsyncFnOnce() -> Result<(), Why>,
) -> Result<(), Why> {
    const DURING: &str = "disable the login that leaked";
    admin
        .in_transaction(stem(&login.user), async || {
            fence().await?;
            let name = postgres_protocol::escape::escape_identifier(&login.user);
            admin.run(DURING, &format!("ALTER ROLE {name} NOLOGIN PASSWORD NULL"), Quotes::Nothing).await?;
            admin.run(DURING, "COMMIT", Quotes::Nothing).await?;
            Ok(())
        })
        .await
}

/// Ends the sessions of a login but the one at work: all, or those that began before `since`.
async fn terminate(session: &Session, user: &str, since: Option<Timestamp>) -> Result<u64, DatabaseError> {
    const DURING: &str = "end the sessions of the login that leaked";
    const SQL: &str = "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity \
        WHERE usename = $1 AND pid <> pg_catalog.pg_backend_pid() \
        AND backend_start < coalesce(pg_catalog.to_timestamp($2), 'infinity')";
    let seconds = since.map(|since| since.as_millisecond() as f64 / 1000.0);
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&user, Type::TEXT), (&seconds, Type::FLOAT8)];
    let sent =
        tokio::time::timeout(shared::database::STATEMENT_LIMIT, session.client.query_typed(SQL, &values));
    let rows = session.answered(DURING, sent.await, Quotes::Nothing)?;
    let ended = rows.iter().filter(|row| row.try_get::<_, bool>(0).unwrap_or_default()).count();
    if ended < rows.len() {
        let reason = format!("{} sessions of {user} are still open", rows.len() - ended);
        return Err(session.error(ErrorKind::Busy, DURING, reason));
    }
    Ok(u64::try_from(ended).unwrap_or_default())
}

/// Tells and records what was done; a failure once a day.
async fn report(
    app: &App,
    listed: &Listed,
    version: &str,
    done: &Result<Done, RotateError>,
    invocation: &Invocation,
) {
    let settings = &app.base.settings;
    let language = settings.language;
    let (environment, name) = (&settings.environment, &listed.name);
    let (run_id, title, lines, result) = match done {
        Ok(done) => {
            let (user, sessions) = match done {
                Done::Ended { user, sessions } => (user.as_str(), *sessions),
                Done::Nothing | Done::Waits(_) => ("", 0),
            };
            let (title, line) = match language {
                Language::Portuguese => (
                    format!("Credencial vazada está morta: {name} ({environment})"),
                    format!(
                        "O login `{user}` da versão anterior foi encerrado: o banco recusa a credencial vazada (provado) e {sessions} sessões dela foram terminadas. A próxima rotação dá a ele uma senha nova."
                    ),
                ),
                Language::English => (
                    format!("The leaked credential is dead: {name} ({environment})"),
                    format!(
                        "The login `{user}` of the version before was ended: the database refuses the leaked credential (proved), and {sessions} of its sessions were terminated. The next rotation gives it a new password."
                    ),
                ),
            };
            (format!("{version}/retire/ended"), title, vec![line], "succeeded")
        }
        Err(error) => {
            let day = time::local_date(invocation.now);
            let title = match language {
                Language::Portuguese => format!("Credencial vazada ainda pode valer: {name} ({environment})"),
                Language::English => {
                    format!("The leaked credential may still be good: {name} ({environment})")
                }
            };
            let next = language.pick("Próximo passo", "Next step");
            let lines = vec![
                format!("*{}*: {}", error.kind(), error.why.cause(language)),
                format!("*{next}*: {}", next_step(settings, error)),
            ];
            (format!("{version}/retire/{}/{day}", error.fingerprint()), title, lines, "failed")
        }
    };
    let begun = app.base.reporter.look(&run_id, invocation.now).await;
    let outcome = match done {
        Ok(_) => "succeeded".to_owned(),
        Err(error) => format!("failed: {}", error.kind()),
    };
    let draft = Draft {
        trigger: "retire".to_owned(),
        subject: listed.arn.clone(),
        steps: vec![Recorded::now("end the login that leaked", outcome)],
        findings: done.as_ref().err().map(|error| chain(error)).into_iter().collect(),
        ..Draft::of(settings, &run_id, result, invocation.now)
    };
    let context = done.as_ref().err().map(|error| chain(error)).unwrap_or_default();
    let message = Message { title, lines, context: format!("{} · {context}", settings.function) };
    app.base.reporter.report(draft, Some(&message), begun, invocation).await;
}

fn next_step(settings: &shared::settings::Settings, error: &RotateError) -> String {
    let language = settings.language;
    let again = format!(
        "`aws lambda invoke --function-name {} --cli-binary-format raw-in-base64-out --payload '{{\"retire\": true}}' /dev/stdout`",
        settings.function
    );
    let cause = match &error.why {
        Why::Database(DatabaseError { kind: ErrorKind::Permission, .. }) => language.pick(
            "dar ao administrador do banco o direito de terminar sessões, como o usuário mestre: `GRANT pg_signal_backend TO ADMINISTRADOR`.",
            "give the database's administrator the right to end sessions, as the master user: `GRANT pg_signal_backend TO ADMINISTRATOR`.",
        ),
        _ => language.pick(
            "até que esta mensagem mude, tratar a credencial vazada como viva. A função tenta de novo a cada hora.",
            "until this message changes, treat the leaked credential as alive. The function tries again every hour.",
        ),
    };
    format!("{cause} {} {again}", language.pick("Tentar agora:", "Try now:"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_event_that_asks_for_it_is_one_of_retiring() {
        assert!(is_asked(&json!({"retire": true})) && is_asked(&json!({"retire": 1})));
        assert!(!is_asked(&json!({"Step": "setSecret"})) && !is_asked(&json!(null)));
        assert!(event::parse::<Request>(json!({"retire": true})).is_ok());
        for bad in [json!({"retire": "yes"}), json!({"retire": true, "user": "imm"}), json!({})] {
            assert!(event::parse::<Request>(bad).is_err());
        }
    }
}
