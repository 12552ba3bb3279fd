//! Checks whether this function may rotate the secret now: before every step, and in createSecret, that the value is in
//! use.

use shared::aws::secrets::Listed;
use shared::database::secret::Secret;
use shared::rotation::{Attempt, RotationError, Step};
use shared::run::ledger::{self, NotInUse};
use shared::run::open_restore::Restores;

use crate::error::Why;
use crate::rules::policy;
use crate::{App, DATABASE, aws};

impl App {
    /// Refuses secrets that this function must not rotate, or not now.
    pub(crate) async fn check(&self, attempt: &Attempt<'_>) -> Result<(), Why> {
        if let Some(owner) = &attempt.described.owner {
            return Err(Why::ManagedSecret { owner: owner.clone() });
        }
        let current = self.current(attempt).await?;
        let strategy = self.strategy(attempt, &current)?;
        policy::next_user(&strategy, &current.login().user)?;
        // A restore brings back old passwords and gives the logins those of AWSCURRENT, which must not change meanwhile.
        let restores = Restores::read(&self.base.reporter.documents).await.map_err(RotationError::from)?;
        let restore = restores.open.map(|open| Why::RestoreInProgress { run: open.run });
        let host = aws::host(&self.rds, current.login()).await.map_err(Why::Rds)?;
        let Some(host) = host else { return restore.map_or(Ok(()), Err) };
        if host.is_managed {
            let user = current.login().user.clone();
            return Err(Why::ManagedMaster { user, kind: host.kind, id: host.id });
        }
        let open = if restore.is_some() {
            restore
        } else if host.is_changing {
            let user = current.login().user.clone();
            Some(Why::MasterChanging { user, kind: host.kind, id: host.id })
        } else {
            self.blue_green(&host).await?
        };
        let Some(open) = open else { return Ok(()) };
        let is_begun = self.saved_change(attempt.request).await.is_some_and(|change| change.single_user);
        // Once a single user's password has changed, only finishing the rotation makes a working credential current.
        if is_begun && (attempt.request.step != Step::SetSecret || self.takes_pending(attempt).await?) {
            return Ok(());
        }
        Err(open)
    }

    /// Whether the pending credential logs in.
    async fn takes_pending(&self, attempt: &Attempt<'_>) -> Result<bool, Why> {
        let pending = Secret::parse(&attempt.pending().await?.value)?;
        let session = self.try_login(pending.login()).await?;
        let takes = session.is_some();
        if let Some(session) = session {
            session.close().await;
        }
        Ok(takes)
    }

    /// The refusal if the server is in an open blue/green deployment.
    pub(crate) async fn blue_green(&self, host: &aws::Host) -> Result<Option<Why>, Why> {
        let found = aws::blue_green(&self.rds, host).await.map_err(Why::Rds)?;
        let open = found.into_iter().find(|(_, status)| policy::is_open(status));
        Ok(open.map(|(deployment, status)| Why::BlueGreen { server: host.id.clone(), deployment, status }))
    }

    /// Refuses a rotation that would change the password of a login that running tasks may still use.
    pub(crate) async fn must_be_in_use(&self, attempt: &Attempt<'_>) -> Result<(), Why> {
        // Other secrets may have no follow-up.
        let version = attempt.labelled("AWSCURRENT").filter(|_| self.variable(attempt) == DATABASE);
        let Some(version) = version else { return Ok(()) };
        let (documents, arn) = (&self.base.reporter.documents, &attempt.request.secret_id);
        let rows = ledger::rows(&documents.client, &documents.bucket).await.map_err(RotationError::from)?;
        let rows = rows.map_err(|reason| Why::Ledger { reason })?;
        let labels = attempt.described.versions.clone();
        let listed = Listed { arn: arn.clone(), labels, ..Listed::default() };
        if attempt.described.tags.get("in-use").is_some_and(|vouched| vouched == version) {
            return Ok(());
        }
        // After a rollback, the previous value is proved to be in use.
        if rows.iter().find(|row| row.arn == *arn).is_some_and(|row| row.outcome == "rolled back") {
            return Ok(());
        }
        let in_use = ledger::in_use(&listed, &rows, false, attempt.now);
        let made = match in_use {
            Err(NotInUse::NotFollowed) if attempt.was_made(version).await? => {
                attempt.version(version, Some("AWSCURRENT")).await?.and_then(|version| version.created)
            }
            _ => None,
        };
        let Some(why) = policy::waits_for(in_use, made, attempt.now) else { return Ok(()) };
        Err(Why::NotInUse { version: version.to_owned(), why: why.name() })
    }
}
