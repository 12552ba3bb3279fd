//! Retires a leaked login after an incident, and proves that the database refuses it.
//!
//! With alternating users the leaked login is the unused one: it is disabled and its sessions are ended. The next
//! rotation restores it with a new password. A single user's old password died in setSecret, so only its open sessions
//! are ended.

use std::time::Duration;

use jiff::Timestamp;
use shared::aws::describe;
use shared::aws::secrets::{self, Listed};
use shared::database::secret::{Login, Secret};
use shared::database::{ErrorKind, Quotes, Session};
use shared::rotation::{RotationError, generate, was_made};
use shared::run::ledger::{self, InUse, Line, Row};
use shared::runtime::failure::{CallError, Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::time;

use crate::error::{RotateError, Why};
use crate::report::report;
use crate::rules::leak::{Course, Ended, Replaced, Waits, names};
use crate::rules::policy::{self, Strategy};
use crate::{App, DATABASE, aws};

/// Time reserved for the report.
const REPORTING: Duration = Duration::from_secs(6);

/// Number of checks whether terminated sessions are gone, and the time between two checks.
const CHECKS: usize = 10;
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Answers `{"retire": true}`.
pub(crate) async fn retire(app: &App, invocation: &Invocation) -> Result<Vec<Line>, RotateError> {
    let day = time::local_date(invocation.now);
    tracing::Span::current().record("run_id", format!("{day}/retire").as_str());
    let bucket = &app.base.reporter.documents;
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
        // Fail, which raises an alarm, at most once a day for the same cause.
        failed.extend((done.is_err() && is_news).then_some(secret));
        lines.push(line);
    }
    if failed.is_empty() { Ok(lines) } else { Err(Why::Retire { secrets: failed.join(", ") }.into()) }
}

impl App {
    /// The secrets whose previous value may have leaked: the application's by name, others by the ARN in the ledger.
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
        let documents = &self.base.reporter.documents;
        let note = format!("{}/retired/{}", listed.arn, incident.version);
        if let Some(ended) = documents.get(&note).await.map_err(RotationError::from)? {
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
        // The deployment's tasks started after the follow-up saw AWSCURRENT move.
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
        // The leaked login may still be valid in the blue/green deployment's other database.
        if let Some(host) = aws::host(&self.rds, &current).await.map_err(Why::Rds)?
            && let Some(open) = self.blue_green(&host).await?
        {
            return Err(open);
        }
        let ended = Ended { version: incident.version.clone(), user, is_shut_out, sessions };
        documents.put_new(&note, &ended).await.map_err(RotationError::from)?;
        Ok(Course::Ended(ended))
    }

    /// Finds the rotation that replaced a leaked password that is no longer stored, and ends the older sessions of the
    /// secret's logins.
    async fn replaced(
        &self,
        listed: &Listed,
        incident: &Row,
        rows: &[Row],
        leaked: String,
        since: Timestamp,
    ) -> Result<Replaced, Why> {
        let documents = &self.base.reporter.documents;
        let note = format!("{}/replaced/{}", listed.arn, incident.version);
        if let Some(replaced) = documents.get(&note).await.map_err(RotationError::from)? {
            return Ok(replaced);
        }
        let is_later = |row: &&Row| !(row.arn == listed.arn && row.version == incident.version);
        let later = rows.iter().take_while(is_later).filter(|row| row.arn == listed.arn);
        let mut made = Vec::new();
        for row in later.filter(|row| matches!(row.outcome.as_str(), "proved" | "unproved")) {
            if was_made(documents, &listed.arn, &row.version).await? {
                made.push(row);
            }
        }
        // Two users take turns, so the rotation after the incident's one changes the leaked login's password. If a
        // value was stored by hand in between, the turn is unknown, but two rotations change both passwords.
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
            // A single user's old password is refused.
            if let Some(session) = self.try_login(&login).await? {
                sessions += end_sessions(&session, Some(before)).await?;
                session.close().await;
            }
        }
        let replaced = Replaced { version: leaked, replaced_by: next.version.clone(), sessions };
        documents.put_new(&note, &replaced).await.map_err(RotationError::from)?;
        Ok(replaced)
    }

    async fn login_of(&self, listed: &Listed, version: &str) -> Result<Login, Why> {
        let value = secrets::value(&self.base.secrets, &listed.arn, Some(version)).await;
        let value = value.map_err(|call: CallError| match call.code.as_str() {
            // Secrets Manager deletes versions without labels after a while.
            "ResourceNotFoundException" => Why::LeakUnknown { version: version.to_owned() },
            _ => RotationError::from(call).into(),
        })?;
        Ok(Secret::parse(&value)?.login().clone())
    }

    /// Disables the unused login and ends its sessions. The sessions are ended as the login itself, with a throwaway
    /// password, because the administrator would need another right for that. An attacker in an open session can change
    /// its password, but cannot enable it again.
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
        let throwaway =
            Login { password: generate(&generator)?, user: leaked.user.clone(), ..current.clone() };
        let admin = self.admin(admin, current).await?;
        let session = self.database.login_bound(&admin).await?;
        session
            .enable(&throwaway.user, &throwaway.password, async || self.is_as_before(listed).await)
            .await?;
        let own = self.database.login(&throwaway).await;
        // Disable even if the login failed: an attacker's open sessions can use up its connection limit.
        session.disable(&throwaway.user, async || self.is_as_before(listed).await).await?;
        session.close().await;
        let own = own?;
        let sessions = end_sessions(&own, None).await?;
        own.close().await;
        Ok(sessions)
    }

    /// Checks that no rotation has begun and AWSCURRENT has not moved; otherwise the login may be in use now.
    async fn is_as_before(&self, listed: &Listed) -> Result<(), Why> {
        let now = describe::secret(&self.base.secrets, &listed.arn).await.map_err(RotationError::from)?;
        if now.labelled("AWSCURRENT") == listed.labelled("AWSCURRENT") && !is_pending(&now) {
            return Ok(());
        }
        Err(Why::RotationBegan)
    }

    /// Proves that the database refuses the leaked credential. Any other error is no proof.
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

fn labelled(listed: &Listed) -> Result<&str, RotationError> {
    let reason = || "no version is AWSCURRENT".to_owned();
    listed.labelled("AWSCURRENT").ok_or_else(|| RotationError::WrongForm { reason: reason() })
}

fn is_pending(listed: &Listed) -> bool {
    let pending = listed.labelled("AWSPENDING");
    pending.is_some() && pending != listed.labelled("AWSCURRENT")
}

/// Ends the login's other sessions, or only those that began before `before`, and returns their number.
async fn end_sessions(session: &Session, before: Option<Timestamp>) -> Result<u64, Why> {
    const DURING: &str = "end the login's sessions";
    let older = before.map(|at| format!(" AND backend_start < '{at}'::pg_catalog.timestamptz"));
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE usename = session_user AND pid <> pg_catalog.pg_backend_pid(){}",
        older.unwrap_or_default()
    );
    // The first set-up turned the login's role into the owner, together with its open sessions. The owner cannot log
    // in.
    const OF_THE_OWNER: &str = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
        WHERE usename = current_user AND usename <> session_user";
    let mut ended = session.execute(DURING, OF_THE_OWNER).await?;
    // The login acts as the owner, which may not end the login's sessions.
    session.run(DURING, "SET ROLE NONE", Quotes::Nothing).await?;
    for _ in 0..CHECKS {
        let left = session.execute(DURING, &sql).await?;
        if left == 0 {
            return Ok(ended);
        }
        ended = ended.max(left);
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
    Err(Why::SessionsLive { target: session.target.clone() })
}
