//! Logins to the application's database with the application's credential.

use secrecy::{ExposeSecret, SecretString};
use shared::database::secret::Secret;
use shared::database::{Database, ErrorKind, Session};
use shared::runtime::failure::chain;

use crate::rules::kind::Kind;
use crate::rules::proof::Refused;

/// Ends every session that could continue without a password. Source: the application keeps the SHA-256 of each refresh
/// token in this table, which it creates at run time.
const END_SESSIONS: &str = "UPDATE auth_refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL";

/// Logs in with one version's value of `DATABASE_URL`.
pub(crate) async fn login(database: &Database, value: &SecretString) -> Result<Session, Refused> {
    let secret = Secret::parse(value).map_err(|error| Refused {
        kind: Kind::WrongForm,
        why: chain(&error),
        is_certain: names_no_server(value.expose_secret()),
    })?;
    database.login(secret.login()).await.map_err(|error| Refused {
        kind: kind(error.kind),
        is_certain: error.sqlstate.as_deref().is_some_and(|code| refuses(code, &error.reason)),
        why: chain(&error),
    })
}

fn kind(kind: ErrorKind) -> Kind {
    match kind {
        ErrorKind::Network => Kind::Network,
        ErrorKind::Tls => Kind::Tls,
        ErrorKind::Auth => Kind::Auth,
        ErrorKind::ConnectionLimit => Kind::ConnectionLimit,
        ErrorKind::ReadOnly => Kind::ReadOnly,
        ErrorKind::Permission => Kind::Permission,
        ErrorKind::Identity => Kind::Identity,
        ErrorKind::Busy => Kind::Busy,
        ErrorKind::ProofFailed => Kind::ProofFailed,
        ErrorKind::Pooler => Kind::Pooler,
        ErrorKind::Other => Kind::Database,
    }
}

/// Whether no reader can interpret the value as a URL. The application may accept a value that only this stack's reader
/// refuses.
fn names_no_server(value: &str) -> bool {
    !value.contains("://") && !value.trim_start().starts_with('{')
}

/// Whether the server refuses the login itself: a wrong password or user, or a database that does not exist or does not
/// admit the user. A refusal by `pg_hba.conf` is not certain: another rule may apply to the application's address.
fn refuses(sqlstate: &str, reason: &str) -> bool {
    match sqlstate {
        "28000" => !reason.contains("pg_hba.conf"),
        _ => matches!(sqlstate, "28P01" | "3D000" | "42501"),
    }
}

/// Revokes all refresh tokens and returns the number of valid ones. Without the table, no user has ever logged in.
pub(crate) async fn end_sessions(database: &Database, value: &SecretString) -> Result<u64, String> {
    let session =
        login(database, value).await.map_err(|refused| format!("{}: {}", refused.kind, refused.why))?;
    let ended = match session.execute("revoke refresh tokens", END_SESSIONS).await {
        Err(error) if error.sqlstate.as_deref() == Some("42P01") => Ok(0),
        ended => ended.map_err(|error| format!("{}: {}", error.kind.name(), chain(&error))),
    };
    session.close().await;
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_login_itself_is_certain() {
        for (sqlstate, reason, expected) in [
            ("28P01", "password authentication failed for user \"u\"", true),
            ("28000", "role \"u\" is not permitted to log in", true),
            ("28000", "no pg_hba.conf entry for host \"10.0.0.1\", user \"u\"", false),
            ("28000", "pg_hba.conf rejects connection for host \"10.0.0.1\"", false),
            ("3D000", "database \"d\" does not exist", true),
            ("42501", "permission denied for database \"d\"", true),
            ("53300", "too many connections for role \"u\"", false),
            ("57P03", "the database system is starting up", false),
            ("08P01", "unsupported startup parameter", false),
            ("XX000", "internal", false),
        ] {
            assert_eq!(refuses(sqlstate, reason), expected, "{sqlstate} {reason}");
        }
        for (value, expected) in [
            ("", true),
            ("changeme", true),
            ("postgres://u:p@h/d", false),
            ("postgres://u:p@h1,h2/d", false),
            ("  {\"host\": 1}", false),
        ] {
            assert_eq!(names_no_server(value), expected, "{value}");
        }
    }
}
