//! setSecret: gives the pending password to its login.

use shared::database::secret::{Login, Secret};
use shared::database::{ErrorKind, Session};
use shared::rotation::{Attempt, Outcome, RotationError};

use crate::error::{Seen, Why};
use crate::note::Change;
use crate::rules::policy::{self, Strategy};
use crate::{App, alternating, aws};

/// Maximum number of other versions to try when AWSCURRENT does not log in; each try costs a login.
const STRAYS: usize = 5;

/// A credential of one of the secret's versions.
struct Known {
    version: String,
    login: Login,
}

impl App {
    /// Sets the pending password. `seen` names the credential that logged in, as long as it is certainly valid.
    pub(crate) async fn change(
        &self,
        attempt: &Attempt<'_>,
        seen: &mut Option<Seen>,
    ) -> Result<Outcome, Why> {
        let pending = Secret::parse(&attempt.pending().await?.value)?;
        let current = self.current(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        policy::compare(&strategy, &pending, &current)?;
        let from = attempt.labelled("AWSCURRENT").unwrap_or_default().to_owned();
        let known = Known { version: from.clone(), login: current.login().clone() };
        let single_user = strategy == Strategy::SingleUser;
        let Some((session, known)) = self.enter(attempt, known, pending.login(), seen).await? else {
            if single_user {
                // An earlier attempt changed the password, and its note may be missing.
                let change = Change { from, at: shared::runtime::time::now(), rescued_by: None, single_user };
                self.save_change(attempt, &change).await?;
            }
            return Ok(Outcome::AlreadySet);
        };
        let rescued_by = (known.version != from).then_some(known.version);
        *seen = Some(rescued_by.clone().map_or(Seen::Current, Seen::Another));
        session.must_be_direct().await?;
        if single_user {
            // Run the policy's proof before changing the only password: the rights do not depend on the password.
            self.prove_session(attempt, &strategy, &known.login, &session).await?;
        }
        let change = Change { from, at: shared::runtime::time::now(), rescued_by, single_user };
        let is_first = match self.save_change(attempt, &change).await {
            // Without the note, a later failure would report the old password as valid.
            Err(error) if single_user => return Err(error),
            kept => kept.unwrap_or(true),
        };
        if !is_first && Self::has_moved(attempt, &self.saved_change(attempt.request).await) {
            // finishSecret would refuse, and a single user's AWSCURRENT would be refused until an operator acts.
            session.close().await;
            return Err(self.moved(pending.login(), current.login()).await?);
        }
        // Checked again under the database's lock: a slow invocation of an abandoned rotation would overwrite the next
        // rotation's password, or override an operator's choice of AWSCURRENT.
        let fence = async || attempt.must_be_unmoved().await.map_err(Why::from);
        match &strategy {
            Strategy::SingleUser => {
                let changed = session.set_own_password(&pending.login().password, fence).await;
                let is_refused =
                    |why: &Why| matches!(why, Why::Database(error) if error.is_refused_statement());
                if changed.as_ref().is_err_and(|why| !is_refused(why)) {
                    *seen = None;
                }
                session.close().await;
                changed?;
            }
            Strategy::AlternatingUsers { admin } => {
                session.close().await;
                let admin = self.admin(admin, &known.login).await?;
                let session = self.database.login_bound(&admin).await?;
                let pair = policy::pair(&known.login.user)?;
                alternating::hand_over(&session, &pair, &known.login, pending.login(), fence).await?;
                session.close().await;
            }
        }
        Ok(Outcome::Set)
    }

    /// Logs in as the current user; none if the user already has the pending password.
    ///
    /// If AWSCURRENT is refused, tries the secret's other versions, AWSPREVIOUS first: one of them may hold the
    /// credential that the database accepts.
    async fn enter(
        &self,
        attempt: &Attempt<'_>,
        current: Known,
        pending: &Login,
        seen: &mut Option<Seen>,
    ) -> Result<Option<(Session, Known)>, Why> {
        let refused = match self.database.login(&current.login).await {
            Ok(session) => return Ok(Some((session, current))),
            Err(error) if error.kind == ErrorKind::Auth => Box::new(error),
            Err(error) => return Err(error.into()),
        };
        *seen = Some(Seen::NotCurrent);
        if let Some(session) = self.try_login(pending).await? {
            session.close().await;
            return Ok(None);
        }
        let mut strays: Vec<_> = attempt.labelled("AWSPREVIOUS").map(str::to_owned).into_iter().collect();
        let all = aws::all_versions(&self.base.secrets, &attempt.request.secret_id).await;
        strays.extend(all.map_err(RotationError::from)?);
        let mut seen = vec![attempt.request.token.clone(), current.version.clone()];
        let mut another_user = None;
        for version in strays {
            if seen.contains(&version) || seen.len() >= STRAYS + 2 {
                continue;
            }
            seen.push(version.clone());
            let Some(found) = attempt.version(&version, None).await? else { continue };
            let Ok(secret) = Secret::parse(&found.value) else { continue };
            let login = secret.login().clone();
            if login.host != current.login.host || login.port != current.login.port {
                continue;
            }
            if let Some(session) = self.try_login(&login).await? {
                // The pending value does not belong to this user's turn. An operator can make this version current.
                if login.user != current.login.user {
                    session.close().await;
                    another_user.get_or_insert(version);
                    continue;
                }
                tracing::warn!(
                    message = format!(
                        "AWSCURRENT does not log in, but version {version} does; continuing the rotation with it"
                    ),
                    error_type = "Auth",
                );
                return Ok(Some((session, Known { version, login })));
            }
        }
        Err(Why::NoLogin { refused, tried: seen.len(), another_user })
    }
}
