//! The administrator in the application: the password hash in its database, and the login.
//!
//! Source: the running application, observed. It stores bcrypt hashes of cost 12 in `users.password_hash`, and its own
//! password reset revokes the user's refresh tokens.

use reqwest::Method;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::application::{Application, Login};
use shared::database::secret::Secret;
use shared::database::{Database, DatabaseError, Quotes, STATEMENT_LIMIT, Session};
use tokio_postgres::types::{ToSql, Type};

use crate::error::RotateError;
use crate::rules::password::{Found, PasswordProof};

/// The application's bcrypt cost.
const COST: u32 = 12;

/// Reads the administrator's hash. The application's login compares addresses in lower case; the table has any case. A
/// schema without the column `is_active` has no inactive users.
const FIND: &str = "SELECT password_hash, to_jsonb(users) ->> 'is_active' = 'false' FROM users WHERE lower(email) = lower($1)";

/// Replaces only the hash that was read.
const CHANGE: &str =
    "UPDATE users SET password_hash = $1 WHERE lower(email) = lower($2) AND password_hash = $3";

/// Ends the administrator's sessions: a refresh token works without the password.
const END_SESSIONS: &str = "UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL AND user_id IN \
    (SELECT id FROM users WHERE lower(email) = lower($1))";

/// A session with the application's database, for the administrator's row.
pub(crate) struct Users {
    session: Session,
    email: String,
}

impl Users {
    /// Logs in to the database as the application does.
    ///
    /// # Errors
    ///
    /// [`RotateError::DatabaseForm`] if the URL holds no login, [`RotateError::Database`] if the login fails.
    pub(crate) async fn log_in(
        database: &Database,
        url: &SecretString,
        email: &str,
    ) -> Result<Self, RotateError> {
        let secret = Secret::parse(url).map_err(RotateError::DatabaseForm)?;
        Ok(Self { session: database.login(secret.login()).await?, email: email.to_owned() })
    }

    /// Ends the connection.
    pub(crate) async fn close(self) {
        self.session.close().await;
    }

    /// Finds the candidate that matches the administrator's hash; also returns the hash if the user is active.
    ///
    /// # Errors
    ///
    /// [`RotateError::SeveralUsers`], [`RotateError::Hash`] and [`RotateError::Database`].
    pub(crate) async fn find(
        &self,
        candidates: &[SecretString],
    ) -> Result<(Found, Option<Zeroizing<String>>), RotateError> {
        let rows = self.ask("read the administrator's hash", FIND, &[(&self.email, Type::TEXT)]).await?;
        let row = match &rows[..] {
            [] => return Ok((Found::NoUser, None)),
            [row] => row,
            several => return Err(RotateError::SeveralUsers { count: several.len() }),
        };
        if row.try_get::<_, Option<bool>>(1).map_err(|_| RotateError::Hash)?.unwrap_or_default() {
            return Ok((Found::Inactive, None));
        }
        let hash: Zeroizing<String> = Zeroizing::new(row.try_get(0).map_err(|_| RotateError::Hash)?);
        for (number, candidate) in candidates.iter().enumerate() {
            if bcrypt::verify(candidate.expose_secret(), &hash).map_err(|_| RotateError::Hash)? {
                return Ok((Found::Candidate(number), Some(hash)));
            }
        }
        Ok((Found::Unknown, Some(hash)))
    }

    /// Replaces `hash` with the hash of `password`, and ends the administrator's sessions.
    ///
    /// # Errors
    ///
    /// [`RotateError::HashMoved`] if the stored hash is no longer `hash`.
    pub(crate) async fn change(&self, hash: &str, password: &SecretString) -> Result<(), RotateError> {
        let new = bcrypt::hash(password.expose_secret(), COST).map_err(|_| RotateError::Hash)?;
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&new, Type::TEXT), (&self.email, Type::TEXT), (&hash, Type::TEXT)];
        let sent = self.session.client.execute_typed(CHANGE, &values);
        let sent = tokio::time::timeout(STATEMENT_LIMIT, sent).await;
        if self.session.answered("change the administrator's password", sent, Quotes::Rows)? == 0 {
            return Err(RotateError::HashMoved);
        }
        self.end_sessions().await
    }

    /// Revokes the administrator's refresh tokens. The application creates their table at the first login, so a missing
    /// table means that no user has logged in yet.
    pub(crate) async fn end_sessions(&self) -> Result<(), RotateError> {
        let values: [(&(dyn ToSql + Sync), Type); 1] = [(&self.email, Type::TEXT)];
        let sent = self.session.client.execute_typed(END_SESSIONS, &values);
        let sent = tokio::time::timeout(STATEMENT_LIMIT, sent).await;
        match self.session.answered("end the administrator's sessions", sent, Quotes::Rows) {
            Err(error) if error.sqlstate.as_deref() != Some("42P01") => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn ask(
        &self,
        during: &'static str,
        sql: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<tokio_postgres::Row>, DatabaseError> {
        let sent = tokio::time::timeout(STATEMENT_LIMIT, self.session.client.query_typed(sql, values)).await;
        match self.session.answered(during, sent, Quotes::Rows) {
            // A database without the table was never seeded.
            Err(error) if error.sqlstate.as_deref() == Some("42P01") => Ok(Vec::new()),
            rows => rows,
        }
    }
}

/// Logs in to the application with the administrator's password; returns the proof.
///
/// # Errors
///
/// [`RotateError::LoginRefused`] only for a definite refusal; [`RotateError::LoginLimited`],
/// [`RotateError::LoginUnclear`].
pub(crate) async fn log_in(
    application: &Application,
    email: &str,
    password: &SecretString,
) -> Result<PasswordProof, RotateError> {
    let body = json!({"email": email, "password": password.expose_secret()});
    let request = application.request(Method::POST, "/auth/login").json(&body);
    let answer =
        application.ask(request).await.map_err(|reason| RotateError::LoginUnclear { answer: reason })?;
    match answer.login() {
        Login::Token(_) => Ok(PasswordProof::Login),
        Login::Masked => Ok(PasswordProof::Masked),
        Login::SecondFactor => Ok(PasswordProof::SecondFactor),
        Login::Refused => Err(RotateError::LoginRefused { answer: answer.says() }),
        Login::Limited => Err(RotateError::LoginLimited { answer: answer.says() }),
        Login::NoToken | Login::Failed | Login::Unclear => {
            Err(RotateError::LoginUnclear { answer: answer.says() })
        }
    }
}
