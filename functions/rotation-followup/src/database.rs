//! The application's database, logged in to as the application does.

use secrecy::SecretString;
use shared::database::secret::Secret;
use shared::database::{Database, Session};
use shared::failure::chain;

/// Ends every session that could be continued without a password. Source: the application keeps the SHA-256 of each refresh
/// token in this table, which it makes at run time.
const END_SESSIONS: &str = "UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL";

/// Logs in with the value of a version of `DATABASE_URL`; the error has a kind and says nothing secret.
pub(crate) async fn login(
    database: &Database,
    value: &SecretString,
) -> Result<Session, (&'static str, String)> {
    let secret = Secret::parse(value).map_err(|error| ("WrongForm", chain(&error)))?;
    database.login(secret.login()).await.map_err(|error| (error.kind.name(), chain(&error)))
}

/// Revokes all refresh tokens, and gives how many were not yet. Without the table nobody has ever logged in.
pub(crate) async fn end_sessions(database: &Database, value: &SecretString) -> Result<u64, String> {
    let session = login(database, value).await.map_err(|(kind, why)| format!("{kind}: {why}"))?;
    let ended = match session.execute("revoke refresh tokens", END_SESSIONS).await {
        Err(error) if error.sqlstate.as_deref() == Some("42P01") => Ok(0),
        ended => ended.map_err(|error| format!("{}: {}", error.kind.name(), chain(&error))),
    };
    session.close().await;
    ended
}
