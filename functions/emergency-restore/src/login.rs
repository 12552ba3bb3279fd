//! Logins to the new instance.

use secrecy::ExposeSecret;
use shared::database::secret::{Login, admin_login};
use shared::database::{DatabaseError, ErrorKind};
use shared::runtime::failure::chain;

use crate::observe::{self, Held};
use crate::rules::restore::Restore;
use crate::{App, RestoreError};

/// The login among the secrets that is the master user, so that its password must be the secret's. No other secret than
/// the application's own and the administrator's sets it.
pub(crate) fn master_of<'a>(secrets: &'a [Held], master: &str) -> Option<&'a Login> {
    let trusted = secrets.iter().filter(|held| held.may_be_master);
    trusted.filter_map(|held| held.login.as_ref()).find(|login| login.user == master)
}

/// A secret's login, for [`must_agree`].
#[derive(Clone, Copy)]
struct Named<'a> {
    secret: &'a str,
    login: &'a Login,
    may_be_master: bool,
}

/// Refuses secrets that disagree on a password, and one that would set the master's password.
///
/// # Errors
///
/// [`RestoreError::LoginRefused`].
pub(crate) fn must_agree(secrets: &[Held], master: &str) -> Result<(), RestoreError> {
    let named = secrets.iter().filter_map(|Held { listed, login, may_be_master, .. }| {
        Some(Named { secret: &listed.name, login: login.as_ref()?, may_be_master: *may_be_master })
    });
    agree(&named.collect::<Vec<_>>(), master)
}

fn agree(all: &[Named<'_>], master: &str) -> Result<(), RestoreError> {
    for (place, one) in all.iter().enumerate() {
        let refuse = |why| {
            let (secret, user) = (one.secret.to_owned(), one.login.user.clone());
            Err(RestoreError::LoginRefused { secret, user, why })
        };
        let same: Vec<_> = all.iter().filter(|other| other.login.user == one.login.user).collect();
        if one.login.user == master && !same.iter().any(|other| other.may_be_master) {
            return refuse(
                "it is the master user, whose password only the application's own secret or the administrator's sets",
            );
        }
        let password = one.login.password.expose_secret();
        let before = all.iter().take(place).filter(|other| other.login.user == one.login.user);
        if before.into_iter().any(|other| other.login.password.expose_secret() != password) {
            return refuse("another secret names the same login with another password");
        }
    }
    Ok(())
}

/// The login of the new instance's master user, in the application's database.
///
/// # Errors
///
/// [`RestoreError::LoginFailed`] without an address or a password.
pub(crate) async fn master(app: &App, restore: &Restore, secrets: &[Held]) -> Result<Login, RestoreError> {
    let target = &restore.target;
    let refuse = |reason: &str| {
        RestoreError::LoginFailed(DatabaseError {
            kind: ErrorKind::Other,
            during: "find the master's login",
            target: target.instance.clone(),
            sqlstate: None,
            reason: reason.to_owned(),
        })
    };
    let address = target.address.as_ref().ok_or_else(|| refuse("RDS names no address"))?;
    if let Some(login) = master_of(secrets, &target.master) {
        let login = Login { host: address.host.clone(), port: address.port, ..login.clone() };
        return Ok(login.with_system_names());
    }
    let of = match secrets.iter().find_map(|held| held.login.as_ref()) {
        Some(login) => login.clone(),
        None => observe::own_login(app).await?.1,
    };
    let of = Login { host: address.host.clone(), port: address.port, search_path: None, ..of };
    let secret = target.master_secret.as_ref();
    let secret = secret.ok_or_else(|| refuse("RDS keeps no password of the master"))?;
    let value = observe::value(app, secret, None).await?;
    admin_login(&value, &of)
        .map(Login::with_system_names)
        .map_err(|error| refuse(&format!("RDS's secret has an unknown form: {}", chain(&error))))
}

#[cfg(test)]
mod tests {
    use shared::database::secret::Secret;

    use super::*;

    fn login(user: &str, password: &str) -> Login {
        let url = format!("postgresql://{user}:{password}@old.example:5432/imm");
        Secret::parse(&url.into()).unwrap().login().clone()
    }

    #[test]
    fn a_password_is_set_by_one_secret_and_the_masters_only_by_a_trusted_one() {
        let refused = |all: &[(&str, &str, &str, bool)]| {
            let logins: Vec<_> = all.iter().map(|(_, user, password, _)| login(user, password)).collect();
            let named = all.iter().zip(&logins);
            let named: Vec<_> = named
                .map(|((secret, _, _, may_be_master), login)| Named {
                    secret,
                    login,
                    may_be_master: *may_be_master,
                })
                .collect();
            agree(&named, "master").err().map(|error| error.to_string())
        };
        let own = ("url", "imm", "one-password", true);
        assert_eq!(refused(&[own, ("report", "reader", "two-password", false)]), None);
        assert_eq!(refused(&[own, ("copy", "imm", "one-password", false)]), None);
        assert_eq!(refused(&[("url", "master", "one-password", true)]), None);
        for (all, told) in [
            ([own, ("copy", "imm", "two-password", false)], "another password"),
            ([own, ("report", "master", "two-password", false)], "the master user"),
        ] {
            let error = refused(&all).unwrap();
            assert!(error.contains(told) && error.contains(all[1].0), "{error}");
            assert!(!error.contains("two-password"), "{error}");
        }
    }
}
