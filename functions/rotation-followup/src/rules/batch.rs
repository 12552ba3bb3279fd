//! A batch: the changes that one follow-up brings into use with one deployment. No I/O, no clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::ecs::readers::{Cause, Unreached};
use shared::run::ledger::Line;

use super::act::Act;
use super::change::{Change, Reason};
use super::failure::{Failed, implicates};
use super::keys::{ADMIN, JWT, RETIRED_BY};
use super::kind::Kind;
use super::proof::{self, Outcome, Proof};
use super::row::{Ending, Leak, Row};

/// Time after the last sign of life of a batch's execution until another execution takes the batch over.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(185);

/// Shortest time between two signs of life: each adds a version of the journal to S3, which stays for years.
const SIGN: SignedDuration = SignedDuration::from_mins(60);

/// Direction of a batch.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// To the new values.
    Forward,
    /// Back to the previous values.
    Back,
}

/// Changes that one deployment brings into use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Batch {
    /// The state machine's execution that works on it.
    pub execution: String,
    /// When the execution took it.
    pub taken: Timestamp,
    /// The changes, one for each secret.
    pub changes: Vec<Change>,
    /// The direction.
    pub phase: Phase,
    /// Start of the current direction: tasks of an earlier deployment may have other values.
    pub since: Timestamp,
    /// Start of the forward direction, kept for the rollback.
    #[serde(default)]
    pub began: Option<Timestamp>,
    /// The last sign of life of its execution.
    #[serde(default)]
    pub alive: Option<Timestamp>,
    /// The deployment of each service.
    pub deployments: BTreeMap<String, String>,
    /// Results of the last attempt at the proofs.
    pub proofs: Vec<Proof>,
    /// The reason why the forward direction failed, then why the rollback failed.
    pub failures: Vec<Failed>,
    /// The services that read each secret, by the secret's ARN.
    pub readers: BTreeMap<String, Vec<String>>,
    /// Readers of each secret that this function's deployments do not reach, by the secret's ARN.
    #[serde(default)]
    pub unreached: BTreeMap<String, Vec<Unreached>>,
    /// The services that read each secret and that others have deployed since, by the secret's ARN.
    #[serde(default)]
    pub reached: BTreeMap<String, Vec<String>>,
    /// Number of revoked refresh tokens.
    pub sessions_ended: Option<u64>,
    /// ARNs of the secrets whose label is moved back.
    pub moved: Vec<String>,
    /// Why the other labels stay, by the secret's name.
    pub stayed: BTreeMap<String, String>,
    /// The rows before old credentials are retired: the functions that retire them read these rows in the ledger.
    #[serde(default)]
    pub rows: Vec<Row>,
    /// Answers of the functions that retire old credentials.
    #[serde(default)]
    pub retired: Vec<Line>,
    /// Old values that became current again without a rotation, by the secret's ARN.
    #[serde(default)]
    pub old: BTreeMap<String, Old>,
}

/// An old value that is in force again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Old {
    /// The first version with the value.
    pub version: String,
    /// When that version was created: the value's age counts from there.
    pub made: Timestamp,
    /// All earlier versions with the value.
    pub same: Vec<String>,
    /// Whether a person has declared it leaked, or a follow-up has rolled it back.
    pub is_withdrawn: bool,
}

impl Batch {
    pub(super) fn new(execution: &str, now: Timestamp, changes: Vec<Change>) -> Self {
        Self {
            execution: execution.to_owned(),
            taken: now,
            changes,
            phase: Phase::Forward,
            since: now,
            began: Some(now),
            alive: Some(now),
            deployments: BTreeMap::new(),
            proofs: Vec::new(),
            failures: Vec::new(),
            readers: BTreeMap::new(),
            unreached: BTreeMap::new(),
            reached: BTreeMap::new(),
            sessions_ended: None,
            moved: Vec::new(),
            stayed: BTreeMap::new(),
            rows: Vec::new(),
            retired: Vec::new(),
            old: BTreeMap::new(),
        }
    }

    /// Notes a sign of life, at most once an hour.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        if now.duration_since(self.last_sign()) >= SIGN {
            self.alive = Some(now);
        }
    }

    fn last_sign(&self) -> Timestamp {
        self.alive.unwrap_or(self.taken)
    }

    /// Whether its execution has died: the lease is over.
    pub(super) fn is_dead(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_sign()) >= LEASE
    }

    /// Whether all labels moved back before any deployment.
    pub(crate) fn was_never_deployed(&self) -> bool {
        self.phase == Phase::Back
            && self.failures.first().is_some_and(|failed| failed.kind.prevents_deployment())
            && self.changes.iter().all(|change| self.moved.contains(&change.secret))
    }

    /// Whether a deployed service reads a secret.
    pub(crate) fn is_read(&self, change: &Change) -> bool {
        let some =
            |of: &BTreeMap<String, Vec<String>>| of.get(&change.secret).is_some_and(|it| !it.is_empty());
        some(&self.readers) || some(&self.reached)
    }

    /// Whether the rollback has failed too.
    pub(crate) fn has_failed_twice(&self) -> bool {
        let of_directions = self.failures.iter().filter(|failed| failed.kind != Kind::SessionsNotEnded);
        self.phase == Phase::Back && of_directions.count() > 1
    }

    /// Why the follow-up of one secret failed; none if only other secrets can have caused the failures and this
    /// secret's readers have its value.
    pub(crate) fn failure_of(&self, change: &Change) -> Option<&Failed> {
        if self.moved.contains(&change.secret) || self.has_failed_twice() {
            return self.failures.first();
        }
        let is_of = |failed: &&Failed| {
            let is_implicated = |key: &str| implicates(failed, key);
            let is_by_another = self.changes.iter().any(|other| is_implicated(&other.key));
            // After a rollback every service runs with the values in force.
            let was_deployed = self.phase == Phase::Back || !failed.kind.prevents_deployment();
            is_implicated(&change.key) || !(is_by_another && was_deployed)
        };
        self.failures.iter().find(is_of)
    }

    /// The version on which the batch leaves a secret; none for a secret outside the batch.
    pub(crate) fn in_force(&self, secret: &str) -> Option<&str> {
        let change = self.changes.iter().find(|change| change.secret == secret)?;
        let has_moved = self.moved.contains(&change.secret);
        Some(change.previous.as_deref().filter(|_| has_moved).unwrap_or(&change.version))
    }

    /// The answer about a secret's old credential; none if no function that retires them reported it.
    pub(crate) fn retired(&self, change: &Change) -> Option<&Line> {
        self.retired.iter().find(|line| line.secret == change.name || line.secret == change.secret)
    }

    /// State of the previous value, if a person has declared it leaked and the label did not move back to it.
    pub(crate) fn leak(&self, change: &Change) -> Option<Leak> {
        if !change.is_incident() || self.moved.contains(&change.secret) {
            return None;
        }
        if let Some(line) = self.retired(change) {
            let why = if line.why.is_empty() { &line.did } else { &line.why };
            return Some(if line.is_dead() { Leak::Dead } else { Leak::Alive(why.clone()) });
        }
        let is_refused = |proof: &Proof| proof.key == change.key && proof.is_refusal_of_old();
        Some(match change.key.as_str() {
            JWT if self.proofs.iter().any(is_refused) => Leak::Dead,
            JWT => Leak::Alive("OldTokenNotProved".to_owned()),
            key if RETIRED_BY.iter().any(|(known, _)| *known == key) => Leak::Alive("NotRetired".to_owned()),
            _ => Leak::NoProof,
        })
    }

    /// Proofs that cannot be made for a secret, because this function's deployments do not reach its readers.
    pub(crate) fn unproved_readers(&self, change: &Change) -> Vec<Proof> {
        let unreached = self.unreached.get(&change.secret).map(|all| &all[..]).unwrap_or_default();
        if change.key == ADMIN && unreached.is_empty() {
            return Vec::new();
        }
        if unreached.is_empty() && !self.is_read(change) {
            let why = "no service of the cluster reads the secret";
            return vec![proof::unproved("services", Kind::NoReader, why).of(&change.key)];
        }
        let unproved = |it: &Unreached| {
            let detail = format!("{}: {}", it.reader, it.cause.detail());
            proof::unproved("services", prevented(&it.cause), &detail).of(&change.key)
        };
        unreached.iter().map(unproved).collect()
    }

    /// The ledger's row of a change; `max_age_days` is the policy's limit for the secret.
    pub(crate) fn row(
        &self,
        change: &Change,
        act: Option<Act>,
        max_age_days: Option<u16>,
        now: Timestamp,
    ) -> Row {
        let has_moved = self.moved.contains(&change.secret);
        let proofs: Vec<Proof> =
            self.proofs.iter().filter(|proof| proof.concerns(&change.key)).cloned().collect();
        let mut services = self.readers.get(&change.secret).cloned().unwrap_or_default();
        services.retain(|name| self.deployments.contains_key(name));
        services.extend(self.reached.get(&change.secret).into_iter().flatten().cloned());
        let unreached = self.unreached.get(&change.secret).map(|all| &all[..]).unwrap_or_default();
        // Health and login do not prove a webhook's secret.
        let is_proved = !services.is_empty()
            && unreached.is_empty()
            && proofs.iter().any(|proof| proof.key == change.key)
            && proofs.iter().all(|proof| proof.outcome == Outcome::Passed);
        let failure = self.failure_of(change);
        let leak = self.leak(change);
        // No task reads the administrator's password: its proof is the refusal of the old one.
        let is_proved = match (change.key.as_str(), self.retired(change)) {
            (ADMIN, Some(line)) => line.did == "refused",
            _ => is_proved,
        } && leak.as_ref().is_none_or(|leak| *leak == Leak::Dead);
        let outcome = match failure {
            Some(_) if has_moved && !self.has_failed_twice() => Ending::RolledBack,
            Some(_) => Ending::Failed,
            None if is_proved => Ending::Proved,
            None => Ending::Unproved,
        };
        let (reason, by) = match (&change.declared, act) {
            (Some(declared), _) => (declared.reason, Some(declared.by.clone())),
            (None, Some(act)) => (act.reason, Some(act.by)),
            (None, None) if change.is_rotation => (Reason::Scheduled, None),
            (None, None) => (Reason::Unknown, None),
        };
        let old = self.old.get(&change.secret);
        let next_due =
            old.map(|old| old.made).or(change.made).zip(max_age_days).and_then(|(made, days)| {
                made.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
            });
        Row {
            secret: change.name.clone(),
            arn: change.secret.clone(),
            key: change.key.clone(),
            version: change.version.clone(),
            previous: change.previous.clone(),
            reason,
            by,
            made: change.made,
            started: change.noticed,
            ended: now,
            outcome,
            failure: failure.cloned(),
            services,
            pinned: unreached.iter().map(|it| format!("{} ({})", it.reader, it.cause.detail())).collect(),
            restored: has_moved,
            proofs,
            sessions_ended: self.sessions_ended.filter(|_| change.key == JWT),
            next_due: next_due.filter(|_| !has_moved),
            execution: self.execution.clone(),
            same_as: old.map(|old| old.version.clone()),
            value_made: old.map(|old| old.made),
            leak,
        }
    }
}

/// The name of the proof that the cause prevents.
fn prevented(cause: &Cause) -> Kind {
    match cause {
        Cause::Pinned(_) => Kind::PinnedReader,
        Cause::Controller(_) => Kind::OthersDeployment,
        Cause::Refused(_) => Kind::DeploymentRefused,
        Cause::Draining => Kind::ServiceDraining,
    }
}
