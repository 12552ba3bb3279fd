//! The journal that all follow-ups share: waiting changes, the open batch, the version of each secret followed last,
//! and the ledger's rows. It is one document, changed by compare-and-swap, so its parts never disagree. No I/O, no
//! clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::run::paging::Page;

use super::act::Act;
use super::batch::{Batch, Phase};
use super::change::Change;
use super::row::{Ending, Row};

/// Most rows that the document keeps, because it is read and written as a whole. Older rows are in the evidence.
pub(crate) const ROWS: usize = 400;

/// Most acts that wait for their row: a principal that may change a secret can create any number of acts.
const ACTS: usize = 200;

/// The document's name.
pub(crate) const NAME: &str = "book";

/// The document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Journal {
    /// The version of each secret followed last, by the secret's ARN.
    pub handled: BTreeMap<String, String>,
    /// Changes that no execution has taken yet.
    pub waiting: Vec<Change>,
    pub open: Option<Batch>,
    /// Pages not published yet.
    #[serde(default)]
    pub unpaged: Vec<Page>,
    /// The act that made a version current, by ARN and version, until the row is written.
    #[serde(default)]
    pub acts: BTreeMap<String, Act>,
    /// The ledger, oldest first. A row never changes, except for `by` and `reason`, which may become known later.
    pub rows: Vec<Row>,
}

/// Answer to an execution that asks for the waiting changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Taken {
    /// The execution's batch.
    Batch(Box<Batch>),
    /// The changes wait; another execution has held its batch for this long.
    Busy(SignedDuration),
    /// No change waits: another execution took them all.
    Nothing,
}

impl Journal {
    /// The rows, oldest first, followed by those of a batch that is about to succeed.
    pub(crate) fn recorded(&self) -> Vec<&Row> {
        self.rows.iter().chain(self.open.iter().flat_map(|open| &open.rows)).collect()
    }

    /// Whether a secret's current version needs a follow-up: it differs from the version that the open batch, or else
    /// the last follow-up, leaves in force.
    pub(crate) fn needs_follow_up(&self, secret: &str, version: &str) -> bool {
        let of_batch = self.open.as_ref().and_then(|batch| batch.in_force(secret));
        of_batch.or(self.handled.get(secret).map(String::as_str)) != Some(version)
    }

    /// Notices a change and returns whether it waits now. A known change is kept once; of two changes of one secret
    /// only the newer counts.
    pub(crate) fn notice(&mut self, change: &Change) -> bool {
        let is_going_back = |open: &Batch| open.moved.contains(&change.secret);
        if let Some(open) = self.open.as_mut().filter(|open| !is_going_back(open))
            && let Some(known) = open.changes.iter_mut().find(|known| known.secret == change.secret)
            && known.version == change.version
        {
            known.declare(change.declared.as_ref());
            return false;
        }
        if change.declared.is_none() && !self.needs_follow_up(&change.secret, &change.version) {
            return false;
        }
        if let Some(known) = self.waiting.iter_mut().find(|known| known.secret == change.secret) {
            let declared = known.declared.clone();
            if known.version != change.version {
                *known = Change { declared, ..change.clone() };
            }
            known.declare(change.declared.as_ref());
        } else {
            self.waiting.push(change.clone());
        }
        true
    }

    /// Drops the waiting change of a secret whose label moved back to the version followed last.
    pub(crate) fn forget_stale(&mut self, secret: &str, version: &str) {
        if !self.needs_follow_up(secret, version) {
            self.waiting.retain(|change| change.secret != secret || change.version == version);
        }
    }

    /// Notes a version that another procedure made current with its own deployment: it needs no follow-up.
    pub(crate) fn settle(&mut self, secret: &str, version: &str) {
        self.waiting.retain(|change| change.secret != secret || change.declared.is_some());
        self.handled.insert(secret.to_owned(), version.to_owned());
    }

    /// Gives the waiting changes to an execution, unless another execution has an open batch.
    pub(crate) fn take(&mut self, execution: &str, now: Timestamp) -> Taken {
        match &self.open {
            Some(open) if open.execution == execution => return Taken::Batch(Box::new(open.clone())),
            Some(open) if !open.is_dead(now) => {
                let age = now.duration_since(open.taken);
                return if self.waiting.is_empty() { Taken::Nothing } else { Taken::Busy(age) };
            }
            // Its execution is dead. A rollback continues, since no other run would find it; the forward direction
            // restarts.
            Some(_) => return Taken::Batch(Box::new(self.adopt(execution, now))),
            None => {}
        }
        if self.waiting.is_empty() {
            return Taken::Nothing;
        }
        let batch = Batch::new(execution, now, std::mem::take(&mut self.waiting));
        self.open = Some(batch.clone());
        Taken::Batch(Box::new(batch))
    }

    /// Gives the batch of a dead execution to another execution.
    fn adopt(&mut self, execution: &str, now: Timestamp) -> Batch {
        let mut batch = self.open.take().unwrap_or_else(|| Batch::new(execution, now, Vec::new()));
        if batch.phase == Phase::Forward {
            batch = Batch::new(execution, now, batch.changes);
        }
        execution.clone_into(&mut batch.execution);
        batch.taken = now;
        batch.alive = Some(now);
        self.open = Some(batch.clone());
        batch
    }

    /// Whether the execution of the open batch has died.
    pub(crate) fn has_dead_batch(&self, now: Timestamp) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_dead(now))
    }

    /// The open batch, if it belongs to the execution.
    pub(crate) fn batch_of(&mut self, execution: &str) -> Option<&mut Batch> {
        self.open.as_mut().filter(|open| open.execution == execution)
    }

    /// Closes an execution's batch with its rows and its page; `false` if it was closed already.
    pub(crate) fn close(&mut self, execution: &str, rows: &[Row], page: Option<&Page>) -> bool {
        let Some(batch) = self.open.take_if(|open| open.execution == execution) else { return false };
        for change in &batch.changes {
            let in_force = batch.in_force(&change.secret).unwrap_or(&change.version).to_owned();
            // The event of this function's own move of the label may have arrived before the move was noted.
            self.waiting.retain(|other| {
                other.secret != change.secret || other.version != in_force || other.declared.is_some()
            });
            self.handled.insert(change.secret.clone(), in_force);
            self.acts.remove(&act_key(&change.secret, &change.version));
        }
        self.rows.extend(rows.iter().cloned());
        self.rows.drain(..self.rows.len().saturating_sub(ROWS));
        self.unpaged.extend(page.cloned());
        true
    }

    /// Notes the act that made a version current, and returns whether that changed a row. CloudTrail may be late, so
    /// the row may already exist.
    pub(crate) fn attribute(&mut self, arn: &str, version: &str, act: &Act) -> bool {
        let rows = self.rows.iter_mut().filter(|row| row.arn == arn && row.version == version);
        let row = rows.rev().find(|row| act.is_of(row.started));
        let Some(row) = row else {
            self.keep(act_key(arn, version), act);
            return false;
        };
        if row.by.is_some() {
            return false;
        }
        row.by = Some(act.by.clone());
        row.reason = act.reason;
        true
    }

    /// Keeps an act until its row is written, and drops acts that are too old for any row.
    fn keep(&mut self, key: String, act: &Act) {
        if self.acts.get(&key).is_some_and(|known| known.says_the_same(act)) {
            return;
        }
        self.acts.retain(|_, known| known.is_of(act.at));
        self.acts.insert(key, act.clone());
        while self.acts.len() > ACTS
            && let Some(oldest) = self.acts.iter().min_by_key(|(_, act)| act.at).map(|(key, _)| key.clone())
        {
            self.acts.remove(&oldest);
        }
    }

    /// The act that caused a change.
    pub(crate) fn act_of(&self, change: &Change) -> Option<&Act> {
        self.acts.get(&act_key(&change.secret, &change.version)).filter(|act| act.is_of(change.noticed))
    }

    /// The first follow-up of a change's version, if there was one: a service deployed since then has the value.
    pub(crate) fn first_followed(&self, change: &Change) -> Option<Timestamp> {
        let rows = self
            .rows
            .iter()
            .rev()
            .take_while(|row| row.arn != change.secret || row.version == change.version);
        rows.filter(|row| row.arn == change.secret).map(|row| row.started).last()
    }

    /// Whether the last follow-up of a version failed, so no rollback may restore it.
    pub(crate) fn has_failed(&self, arn: &str, version: &str) -> bool {
        let last = self.rows.iter().rev().find(|row| row.arn == arn && row.version == version);
        last.is_some_and(|row| match row.outcome {
            Ending::Failed | Ending::RolledBack => true,
            Ending::Proved | Ending::Unproved => false,
        })
    }

    /// Whether a version is in force because its successor was rolled back.
    pub(crate) fn is_restored(&self, arn: &str, version: &str) -> bool {
        let last = self.rows.iter().rev().find(|row| row.arn == arn);
        last.is_some_and(|row| {
            (row.restored || row.outcome == Ending::RolledBack) && row.previous.as_deref() == Some(version)
        })
    }
}

fn act_key(arn: &str, version: &str) -> String {
    format!("{arn} {version}")
}

/// Maximum age of a value for which an incident can be declared: a declaration follows soon after the rotation.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// Whether a value can be newer than an incident that is declared now: it is at most [`FRESH`] old, and no rollback
/// restored it.
pub(crate) fn is_fresh(journal: &Journal, change: &Change, now: Timestamp) -> bool {
    change.made.is_some_and(|made| now.duration_since(made) <= FRESH)
        && !journal.is_restored(&change.secret, &change.version)
        && journal.open.as_ref().is_none_or(|open| !open.moved.contains(&change.secret))
}

#[cfg(test)]
mod tests {
    use super::super::batch::LEASE;
    use super::super::change::{Declared, Reason};
    use super::super::failure::Failed;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400 + seconds).unwrap()
    }

    fn change(secret: &str, version: &str, previous: &str) -> Change {
        Change {
            secret: secret.to_owned(),
            name: secret.to_owned(),
            key: secret.to_owned(),
            version: version.to_owned(),
            previous: Some(previous.to_owned()),
            made: Some(at(0)),
            noticed: at(1),
            is_rotation: true,
            declared: None,
        }
    }

    fn taken(journal: &mut Journal, execution: &str, now: Timestamp) -> Option<Vec<String>> {
        match journal.take(execution, now) {
            Taken::Batch(batch) => Some(batch.changes.iter().map(|change| change.version.clone()).collect()),
            Taken::Busy(_) => Some(vec!["busy".to_owned()]),
            Taken::Nothing => None,
        }
    }

    fn incident() -> Option<Declared> {
        Some(Declared { reason: Reason::Incident, by: "ana".to_owned() })
    }

    #[test]
    fn secrets_that_change_together_are_one_batch_and_an_event_twice_is_one_change() {
        let mut journal = Journal::default();
        assert!(journal.notice(&change("a", "a2", "a1")));
        assert!(journal.notice(&change("b", "b2", "b1")));
        assert!(journal.notice(&change("a", "a2", "a1")));
        // It changed again before an execution took it.
        assert!(journal.notice(&change("b", "b3", "b2")));
        assert_eq!(taken(&mut journal, "one", at(10)).unwrap(), ["a2", "b3"]);
        // The same step twice; then the execution of another event.
        assert_eq!(taken(&mut journal, "one", at(11)).unwrap(), ["a2", "b3"]);
        assert_eq!(taken(&mut journal, "two", at(11)), None);
        assert!(!journal.notice(&change("a", "a2", "a1")));
        // A change during the batch waits.
        assert!(journal.notice(&change("c", "c2", "c1")));
        assert_eq!(taken(&mut journal, "two", at(12)).unwrap(), ["busy"]);
        assert!(journal.close("one", &[], None) && !journal.close("one", &[], None));
        assert_eq!(taken(&mut journal, "two", at(13)).unwrap(), ["c2"]);
        assert!(!journal.notice(&change("a", "a2", "a1")));
        assert_eq!(journal.handled["b"], "b3");
    }

    #[test]
    fn what_a_restore_made_current_needs_no_follow_up_and_what_comes_after_does() {
        let mut journal = Journal::default();
        journal.notice(&change("a", "a2", "a1"));
        journal.settle("a", "a2");
        assert_eq!(taken(&mut journal, "one", at(1)), None);
        assert!(!journal.notice(&change("a", "a2", "a1")));
        assert!(journal.notice(&change("a", "a3", "a2")));
        // A person's request stays.
        let declared = Change { declared: incident(), ..change("b", "b2", "b1") };
        journal.notice(&declared);
        journal.settle("b", "b2");
        assert_eq!(journal.waiting.len(), 2);
    }

    #[test]
    fn a_rollback_needs_no_follow_up_but_a_second_try_does() {
        let mut journal = Journal::default();
        journal.notice(&change("a", "a2", "a1"));
        journal.take("one", at(0));
        let batch = journal.batch_of("one").unwrap();
        batch.phase = Phase::Back;
        batch.moved.push("a".to_owned());
        // The event of this function's own move of the label.
        assert!(!journal.notice(&change("a", "a1", "a2")));
        journal.close("one", &[], None);
        assert_eq!(journal.handled["a"], "a1");
        assert!(!journal.notice(&change("a", "a1", "a2")));
        assert!(journal.notice(&change("a", "a2", "a1")));
    }

    #[test]
    fn a_person_may_repeat_a_follow_up_and_declare_an_incident_during_one() {
        let mut journal = Journal::default();
        journal.notice(&change("a", "a2", "a1"));
        journal.take("one", at(0));
        let declared = Change { declared: incident(), ..change("a", "a2", "a1") };
        assert!(!journal.notice(&declared));
        assert_eq!(journal.batch_of("one").unwrap().changes[0].declared, incident());
        journal.close("one", &[], None);
        assert!(journal.notice(&declared));
        // A later event does not revoke the declaration.
        assert!(!journal.notice(&change("a", "a2", "a1")));
        assert_eq!(journal.waiting[0].declared, incident());
    }

    #[test]
    fn another_execution_takes_over_a_batch_after_its_lease() {
        let mut journal = Journal::default();
        journal.notice(&change("a", "a2", "a1"));
        journal.take("dead", at(0));
        journal.batch_of("dead").unwrap().failures.push(Failed::new("x", ""));
        let lease = LEASE.as_secs();
        assert_eq!(taken(&mut journal, "next", at(lease - 1)), None);
        assert!(!journal.has_dead_batch(at(lease - 1)) && journal.has_dead_batch(at(lease)));
        assert_eq!(taken(&mut journal, "next", at(lease)).unwrap(), ["a2"]);
        assert!(journal.batch_of("dead").is_none() && !journal.close("dead", &[], None));
        // The forward direction restarts; a rollback continues.
        let batch = journal.batch_of("next").unwrap();
        assert_eq!((batch.failures.len(), batch.since), (0, at(lease)));
        batch.failures.push(Failed::new("x", ""));
        batch.phase = Phase::Back;
        batch.moved.push("a".to_owned());
        assert_eq!(taken(&mut journal, "third", at(2 * lease)).unwrap(), ["a2"]);
        let batch = journal.batch_of("third").unwrap();
        assert_eq!((batch.phase, batch.failures.len(), batch.since), (Phase::Back, 1, at(lease)));
        journal.close("third", &[], None);
        assert_eq!(journal.handled["a"], "a1");
    }

    #[test]
    fn a_label_moved_back_meanwhile_is_news_or_ends_the_wait() {
        let mut journal = Journal::default();
        journal.handled.insert("a".to_owned(), "a1".to_owned());
        journal.notice(&change("a", "a2", "a1"));
        journal.forget_stale("a", "a2");
        assert_eq!(journal.waiting.len(), 1);
        journal.forget_stale("a", "a1");
        assert_eq!(journal.waiting, []);
        journal.notice(&change("a", "a2", "a1"));
        journal.take("one", at(0));
        assert!(journal.notice(&change("a", "a1", "a2")));
        journal.close("one", &[], None);
        assert_eq!((journal.handled["a"].as_str(), journal.waiting[0].version.as_str()), ("a2", "a1"));
    }

    #[test]
    fn an_incident_stays_an_incident() {
        let mut journal = Journal::default();
        let manual = Some(Declared { reason: Reason::Manual, by: "bob".to_owned() });
        journal.notice(&Change { declared: incident(), ..change("a", "a2", "a1") });
        journal.notice(&Change { declared: manual.clone(), ..change("a", "a2", "a1") });
        assert!(journal.waiting[0].is_incident());
        journal.take("one", at(0));
        journal.notice(&Change { declared: manual, ..change("a", "a2", "a1") });
        assert!(journal.batch_of("one").unwrap().changes[0].is_incident());
    }

    fn row(version: &str) -> Row {
        Row {
            secret: "a".to_owned(),
            arn: "a".to_owned(),
            key: "a".to_owned(),
            version: version.to_owned(),
            previous: None,
            reason: Reason::Unknown,
            by: None,
            made: None,
            started: at(0),
            ended: at(0),
            outcome: Ending::Proved,
            failure: None,
            services: Vec::new(),
            proofs: Vec::new(),
            pinned: Vec::new(),
            restored: false,
            sessions_ended: None,
            next_due: None,
            execution: "e".to_owned(),
            same_as: None,
            value_made: None,
            leak: None,
        }
    }

    #[test]
    fn rows_and_acts_are_limited() {
        let mut journal = Journal { rows: vec![row("old"); ROWS], ..Journal::default() };
        journal.notice(&change("a", "a2", "a1"));
        journal.take("one", at(0));
        journal.close("one", &[row("new")], None);
        assert_eq!((journal.rows.len(), journal.rows[ROWS - 1].version.as_str()), (ROWS, "new"));
        let act = |seconds| Act { reason: Reason::Manual, by: "eve".to_owned(), at: at(seconds) };
        for number in 0..1000 {
            journal.attribute("a", &format!("v{number}"), &act(number));
        }
        assert_eq!(journal.acts.len(), ACTS);
        assert!(journal.acts.contains_key("a v999") && !journal.acts.contains_key("a v1"));
        // The same act again changes nothing, so the journal is not written.
        let before = journal.clone();
        journal.attribute("a", "v999", &act(1000));
        assert_eq!(journal, before);
        // An act older than a day belongs to no row.
        journal.attribute("a", "later", &act(3 * 86_400));
        assert_eq!(journal.acts.len(), 1);
    }

    #[test]
    fn a_sign_of_life_is_noted_now_and_then_and_keeps_the_lease() {
        let mut journal = Journal::default();
        journal.notice(&change("a", "a2", "a1"));
        journal.take("one", at(0));
        let batch = journal.batch_of("one").unwrap();
        batch.touch(at(3599));
        assert_eq!(batch.alive, Some(at(0)));
        batch.touch(at(3600));
        assert_eq!(batch.alive, Some(at(3600)));
        assert!(!journal.has_dead_batch(at(LEASE.as_secs() + 3599)));
        assert!(journal.has_dead_batch(at(LEASE.as_secs() + 3600)));
        journal.notice(&change("b", "b2", "b1"));
        let Taken::Busy(age) = journal.take("two", at(7200)) else { panic!("not busy") };
        assert_eq!(age.as_secs(), 7200);
    }

    #[test]
    fn each_secret_of_a_batch_has_its_own_outcome() {
        let keyed = |key: &str| Change { key: key.to_owned(), ..change(key, "v2", "v1") };
        let (jwt, database, webhook) =
            (keyed("JWT_SECRET"), keyed("DATABASE_URL"), keyed("NOTIFICATIONS_WEBHOOK_SECRET"));
        let changes = [jwt, database, webhook];
        let failing = |failures: &[Failed], moved: &[&str]| -> String {
            let mut batch = Batch::new("e", at(0), changes.to_vec());
            batch.failures = failures.to_vec();
            batch.moved = moved.iter().map(|secret| (*secret).to_owned()).collect();
            batch.phase = if moved.is_empty() { Phase::Forward } else { Phase::Back };
            let of = |change| if batch.failure_of(change).is_some() { 'x' } else { '.' };
            changes.iter().map(of).collect()
        };
        let plain = |kind: &str| Failed::new(kind, "");
        let refused = Failed::of("DATABASE_URL", "ValueRefused", "");
        for (failures, moved, expected) in [
            (vec![], &[][..], "..."),
            (vec![plain("RolloutFailed")], &[], "xxx"),
            (vec![plain("RolloutFailed")], &["JWT_SECRET"], "xxx"),
            (vec![plain("RolloutUnfinished")], &[], "xxx"),
            (vec![plain("EcsCall")], &[], "xxx"),
            (vec![plain("HealthFailed")], &[], "xxx"),
            (vec![plain("DatabaseRefused")], &[], ".x."),
            (vec![Failed::of("JWT_SECRET", "NewTokenRefused", "")], &[], "x.."),
            (vec![Failed::of("JWT_SECRET", "NewTokenRefused", "")], &["JWT_SECRET"], "x.."),
            // No value was deployed.
            (vec![refused.clone()], &[], "xxx"),
            // The rollback's deployment brought the others into use.
            (vec![refused.clone()], &["DATABASE_URL"], ".x."),
            // The rollback has failed too: the values in use are unknown.
            (vec![refused, plain("RolloutFailed")], &["DATABASE_URL"], "xxx"),
            (vec![Failed::of("JWT_SECRET", "SessionsNotEnded", "")], &[], "x.."),
        ] {
            assert_eq!(failing(&failures, moved), expected, "{failures:?} {moved:?}");
        }
    }

    #[test]
    fn the_first_follow_up_of_the_current_period_counts() {
        let mut journal = Journal { rows: vec![row("v1"), row("v2"), row("v2")], ..Journal::default() };
        journal.rows[1].started = at(5);
        journal.rows[2].started = at(9);
        assert_eq!(journal.first_followed(&change("a", "v2", "v1")), Some(at(5)));
        // Another version was in force in between.
        assert_eq!(journal.first_followed(&change("a", "v1", "v2")), None);
        assert_eq!(journal.first_followed(&change("b", "v2", "v1")), None);
    }

    #[test]
    fn a_label_that_went_back_restores_a_value_even_if_the_rollback_fails() {
        let back = Row { previous: Some("v1".to_owned()), ..row("v2") };
        for (outcome, restored, expected) in
            [(Ending::RolledBack, true, true), (Ending::Failed, true, true), (Ending::Failed, false, false)]
        {
            let row = Row { outcome, restored, ..back.clone() };
            assert_eq!(Journal { rows: vec![row], ..Journal::default() }.is_restored("a", "v1"), expected);
        }
    }

    #[test]
    fn the_journal_of_bc640d8_is_read() {
        let recorded = include_str!("../../../../tests/recorded/rotation-followup-journal.json");
        let journal: Journal = serde_json::from_str(recorded).unwrap();
        let batch = journal.open.unwrap();
        assert_eq!((batch.execution.as_str(), batch.sessions_ended), ("execution-1", Some(3)));
        assert!(batch.changes[0].is_incident());
        assert_eq!((journal.waiting.len(), journal.acts.len(), journal.handled.len()), (1, 1, 1));
        assert_eq!(journal.unpaged[0].dedup_key, "rotation-followup/execution-0");
        assert_eq!((journal.rows[0].version.as_str(), journal.rows[0].outcome), ("v1", Ending::Failed));
    }
}
