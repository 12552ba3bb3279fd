//! Logins with stored credentials.

use shared::database::secret::{self, Login};
use shared::database::{DatabaseError, ErrorKind, Session};
use shared::rotation::RotationError;

use crate::error::Why;
use crate::{App, aws};

impl App {
    /// Logs in; none if the server refuses the credential.
    pub(crate) async fn try_login(&self, login: &Login) -> Result<Option<Session>, DatabaseError> {
        match self.database.login(login).await {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.kind == ErrorKind::Auth => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn admin(&self, arn: &str, of: &Login) -> Result<Login, Why> {
        let value = aws::admin_secret(&self.base.secrets, arn).await.map_err(RotationError::from)?;
        let reason = || "the admin secret has no text value".to_owned();
        let value = value.ok_or_else(|| RotationError::WrongForm { reason: reason() })?;
        let admin = secret::admin_login(&value, of).map_err(Why::AdminForm)?;
        if !admin.host.eq_ignore_ascii_case(&of.host) || admin.port != of.port {
            let reason = "the admin secret and the secret itself name different hosts".to_owned();
            return Err(Why::Identity { reason });
        }
        // Objects and grants are in the application's database; the admin secret may name another one.
        Ok(Login { database: of.database.clone(), ..admin })
    }

    /// Whether the database accepts each of two credentials.
    pub(crate) async fn takes(&self, logins: [&Login; 2]) -> Result<[bool; 2], Why> {
        let mut takes = [false; 2];
        for (takes, login) in takes.iter_mut().zip(logins) {
            if let Some(session) = self.try_login(login).await? {
                session.close().await;
                *takes = true;
            }
        }
        Ok(takes)
    }
}
