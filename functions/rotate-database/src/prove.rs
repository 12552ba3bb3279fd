//! testSecret, and the proof before finishSecret: the pending credential logs in, reads and writes.

use secrecy::ExposeSecret;
use shared::database::secret::{Login, Secret};
use shared::database::{Expected, Session};
use shared::rotation::{Aftermath, Attempt, Outcome, Proof};

use crate::App;
use crate::error::Why;
use crate::note::Change;
use crate::rules::policy::{self, Strategy};
use crate::text;

impl App {
    pub(crate) async fn try_out(&self, attempt: &Attempt<'_>) -> Result<Outcome, Why> {
        let pending_text = attempt.pending().await?.value;
        let pending = Secret::parse(&pending_text)?;
        let strategy = self.strategy(attempt, &pending)?;
        let current = attempt.current().await?;
        if current.is_some_and(|current| current.expose_secret() == pending_text.expose_secret()) {
            // Secrets Manager tests the set-up. Before the first rotation no owner role exists to act as.
            self.prove_login(attempt, &Strategy::SingleUser, pending.login()).await?;
            return Ok(Outcome::TestedCopy);
        }
        self.prove_login(attempt, &strategy, pending.login()).await?;
        Ok(Outcome::Tested)
    }

    async fn prove_login(
        &self,
        attempt: &Attempt<'_>,
        strategy: &Strategy,
        login: &Login,
    ) -> Result<(), Why> {
        let session = self.database.login(login).await?;
        self.prove_session(attempt, strategy, login, &session).await?;
        session.close().await;
        Ok(())
    }

    pub(crate) async fn prove_session(
        &self,
        attempt: &Attempt<'_>,
        strategy: &Strategy,
        login: &Login,
        session: &Session,
    ) -> Result<(), Why> {
        let (_, test_sql) = policy::rule(&self.base.settings.policy.rotation, self.variable(attempt))?;
        let owner = match strategy {
            Strategy::SingleUser => None,
            Strategy::AlternatingUsers { .. } => Some(policy::pair(&login.user)?.owner),
        };
        let expected = Expected { login: login.user.clone(), owner };
        Ok(session.prove(&expected, test_sql).await?)
    }

    pub(crate) async fn prove_again(&self, attempt: &Attempt<'_>) -> Result<Proof, Why> {
        let version = attempt.pending().await?;
        let pending = Secret::parse(&version.value)?;
        let current = self.current(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        let change = self.saved_change(attempt.request).await;
        if Self::has_moved(attempt, &change) {
            return Err(self.moved(pending.login(), current.login()).await?);
        }
        policy::compare(&strategy, &pending, &current)?;
        self.prove_login(attempt, &strategy, pending.login()).await?;
        Ok(Proof {
            staged: version.created,
            what: "log in with the pending credential, read and write",
            aftermath: self.aftermath_of(change),
        })
    }

    /// The part of the final report that comes from setSecret's note.
    pub(crate) fn aftermath_of(&self, change: Option<Change>) -> Aftermath {
        let Some(change) = change else { return Aftermath::default() };
        let rescued =
            change.rescued_by.map(|version| text::failure::rescued(self.base.settings.language, &version));
        Aftermath {
            window_from: change.single_user.then_some(change.at),
            findings: rescued.into_iter().collect(),
        }
    }
}
