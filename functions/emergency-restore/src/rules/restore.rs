//! The restore: one document that says where it stands, changed by compare-and-swap. No I/O, no clock.
//!
//! An order takes effect in this document before the waiting task hears of it, so that neither a lost answer nor a dead
//! execution loses it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::command;
use shared::database::secret::Address;
use shared::run::command::Command;
use shared::run::open_restore::{Left, Move};

use super::choice::Choice;
use super::obstacle::Obstacle;
use super::proved::Proved;
use super::settings::Settings;
use super::smoke::Check;
use crate::answer::Status;
use crate::error::RestoreError;
use crate::event::{Order, Source};

/// Most closed restores, versions that they left, and executions that were replaced, that the document keeps. The evidence
/// has all.
const KEPT: usize = 50;

/// The document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Book {
    /// The open restore.
    #[serde(default)]
    pub open: Option<Restore>,
    /// Versions that closed restores left in force.
    #[serde(default)]
    pub left: Vec<Left>,
    /// The closed restores.
    #[serde(default)]
    pub past: Vec<Past>,
    /// Executions from which another one took over. What fails in one of them is no longer anybody's concern.
    #[serde(default)]
    pub replaced: Vec<String>,
}

/// A closed restore.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Past {
    /// Its name.
    pub run: String,
    /// Its last execution.
    pub execution: String,
    /// How it ended.
    pub ending: Ending,
}

/// What the restore does, or waits for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// List what can be restored.
    #[default]
    Choices,
    /// A person has to choose.
    Choose,
    /// RDS makes the new instance.
    Restore,
    /// The logins get their passwords.
    Align,
    /// The new instance is read.
    Prove,
    /// A person has to approve.
    Approve,
    /// The application is kept from deleting.
    Guard,
    /// The secrets are moved.
    Switch,
    /// The migration runs.
    Migrate,
    /// The services are deployed.
    Deploy,
    /// The application is checked.
    Smoke,
    /// In use, and a person decides.
    Hold,
}

/// The database that the application uses, or is about to use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// The new one.
    #[default]
    New,
    /// The old one.
    Old,
}

/// How a restore ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    /// With a database in use.
    Closed,
    /// Before anything was switched.
    Rejected,
}

/// The instance whose data are restored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Lost {
    /// Its identifier.
    pub instance: String,
    /// RDS's id of it, by which the backups of a deleted instance are found.
    pub resource: Option<String>,
    /// Its address, as the secret has it.
    pub address: Address,
    /// Whether RDS still has it.
    pub exists: bool,
}

/// The new instance.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Target {
    /// Its identifier.
    pub instance: String,
    /// Number of the try, from 1: another choice makes another instance.
    pub attempt: u16,
    /// Whether the request was noted as about to be sent.
    #[serde(default)]
    pub requested: Option<Timestamp>,
    /// Its address, once it is available.
    #[serde(default)]
    pub address: Option<Address>,
    /// Its ARN.
    #[serde(default)]
    pub arn: String,
    /// Name of its master user.
    #[serde(default)]
    pub master: String,
    /// Whether its settings were completed.
    #[serde(default)]
    pub completed: bool,
    /// Why it has no monitoring, if RDS refused it.
    #[serde(default)]
    pub unmonitored: Option<String>,
    /// ARN of the secret in which RDS keeps the master's password.
    #[serde(default)]
    pub master_secret: Option<String>,
    /// When it was first seen as available.
    #[serde(default)]
    pub available: Option<Timestamp>,
    /// The logins that agree with their secrets, and what that took.
    #[serde(default)]
    pub aligned: Vec<Aligned>,
    /// When that was proved.
    #[serde(default)]
    pub agrees: Option<Timestamp>,
    /// Whether it had the extension amcheck before the proof was prepared; none before.
    #[serde(default)]
    pub had_amcheck: Option<bool>,
    /// Whether what the proof needed was removed again.
    #[serde(default)]
    pub tidied: bool,
}

/// A login of the new instance that agrees with its secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Aligned {
    /// Name of the secret.
    pub secret: String,
    /// The login.
    pub user: String,
    /// What was needed: `nothing`, `password` or `role`.
    pub did: String,
}

/// A service with the guard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Guarded {
    /// ARN of its task definition with the guard.
    pub with: String,
    /// Id of the deployment that brought it; none if none was needed.
    #[serde(default)]
    pub deployment: Option<String>,
}

/// The approval.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The instance that was approved.
    #[serde(default)]
    pub instance: String,
    /// Why the person who started it approved it too.
    #[serde(default)]
    pub alone: Option<String>,
    /// Why it was approved although the proof is not good.
    #[serde(default)]
    pub despite: Option<String>,
}

/// The migration's task.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Migration {
    /// ARN of the task.
    pub task: String,
    /// Its exit code, once it has ended.
    #[serde(default)]
    pub exit: Option<i32>,
}

/// The error that stopped a step.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failure {
    /// Its stable kind.
    pub kind: String,
    /// Its message.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// A task of the state machine that waits for a person.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Wait {
    /// Its token; none while no task waits.
    #[serde(default)]
    pub token: Option<String>,
    /// How often the person was asked for the same.
    #[serde(default)]
    pub times: u16,
}

/// An order that was given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Given {
    /// The order.
    pub order: Order,
    /// When.
    pub at: Timestamp,
}

/// A version that another caller put in force during the restore.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Foreign {
    /// Its id.
    pub version: String,
    /// Whether a person ordered to go on in spite of it.
    #[serde(default)]
    pub overruled: bool,
}

/// A secret whose version in force is not the restore's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Changed {
    /// Its ARN.
    pub secret: String,
    /// Its name.
    pub name: String,
    /// The version that the restore put in force.
    pub due: String,
    /// The version in force; empty if none is.
    pub current: String,
}

impl Changed {
    /// Puts the restore's version in force again.
    pub(crate) fn put_back(&self) -> Command {
        let Self { name, due, current, .. } = self;
        command!(
            "aws secretsmanager update-secret-version-stage --secret-id {name} --version-stage AWSCURRENT --move-to-version-id {due} --remove-from-version-id {current}",
            name,
            due,
            current
        )
    }
}

/// A restore.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Restore {
    /// Its name, e.g. `r20261130-1`.
    pub run: String,
    /// The execution that may act.
    pub execution: String,
    /// Who started it.
    pub by: String,
    /// What happened.
    pub reason: String,
    /// The incident that it joins.
    #[serde(default)]
    pub incident: Option<String>,
    /// Whether it is an exercise.
    #[serde(default)]
    pub rehearsal: bool,
    /// Who learns by watching it.
    #[serde(default)]
    pub observer: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// The lost instance.
    pub lost: Lost,
    /// Settings of the new instance, as far as they are known.
    #[serde(default)]
    pub settings: Settings,
    /// Where the settings come from: `instance`, `terraform`, `backup`, `input`, with commas.
    #[serde(default)]
    pub settings_from: String,
    /// Address of the instance in the Terraform state, and the state's key.
    #[serde(default)]
    pub terraform: Option<(String, String)>,
    /// What can be restored.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// What will stop it after the approval.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
    /// What is restored.
    #[serde(default)]
    pub source: Option<Source>,
    /// The source of the execution's input, if it was refused.
    #[serde(default)]
    pub refused: Option<Source>,
    /// Last instant whose data the source has, and the minutes that are lost.
    #[serde(default)]
    pub data: Option<Timestamp>,
    /// `DbiResourceId` of the instance that these data are of; empty if RDS does not report it.
    #[serde(default)]
    pub data_resource: String,
    /// Major version of PostgreSQL that they were written by; none if unknown.
    #[serde(default)]
    pub data_major: Option<u32>,
    /// The new instance.
    #[serde(default)]
    pub target: Target,
    /// The proof.
    #[serde(default)]
    pub proof: Option<Proved>,
    /// The approval.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// The services with the guard, by name.
    #[serde(default)]
    pub guards: BTreeMap<String, Guarded>,
    /// The task definition of each service before the guard, by name.
    #[serde(default)]
    pub unguarded: BTreeMap<String, String>,
    /// The database that the application uses, or is about to use.
    #[serde(default)]
    pub direction: Direction,
    /// The secrets that were moved, or are about to be.
    #[serde(default)]
    pub moves: Vec<Move>,
    /// The instances that a secret named, or was about to name: they may have data that no other has.
    #[serde(default)]
    pub used: BTreeSet<String>,
    /// What was found in force after a move that is not the restore's, by the secret's ARN.
    #[serde(default)]
    pub foreign: BTreeMap<String, Foreign>,
    /// The instances of earlier tries; they stay.
    #[serde(default)]
    pub former: Vec<String>,
    /// When the present deployments began.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Ids of the present deployments, by service.
    #[serde(default)]
    pub deployments: BTreeMap<String, String>,
    /// The migration.
    #[serde(default)]
    pub migration: Option<Migration>,
    /// Number of the migrations that failed.
    #[serde(default)]
    pub migrations: u16,
    /// The last checks of the application.
    #[serde(default)]
    pub smoke: Vec<Check>,
    /// When each phase ended for the first time, by its word.
    #[serde(default)]
    pub times: BTreeMap<Phase, Timestamp>,
    /// When the application first worked with the new database.
    #[serde(default)]
    pub worked: Option<Timestamp>,
    /// The waiting task.
    #[serde(default)]
    pub wait: Wait,
    /// The error that stopped the present phase.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Number of errors that stopped a phase.
    #[serde(default)]
    pub failures: u16,
    /// Who resumed it, and when.
    #[serde(default)]
    pub resumed: Vec<(String, Timestamp)>,
    /// The orders, in their order.
    #[serde(default)]
    pub orders: Vec<Given>,
    /// How it ended; the report is due.
    #[serde(default)]
    pub ended: Option<Ending>,
}

impl Book {
    /// The open restore, if the execution may act on it.
    pub(crate) fn of(&mut self, execution: &str) -> Option<&mut Restore> {
        self.open.as_mut().filter(|open| open.execution == execution)
    }

    /// Lets another execution go on with the open restore, which must have this name. A repeated step changes nothing.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]: `NoOpenRestore` or `OtherRun`.
    pub(crate) fn take_over(
        &mut self,
        execution: &str,
        run: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Restore, RestoreError> {
        let open = self.open.as_mut().ok_or(RestoreError::NoOpenRestore)?;
        if open.run != run {
            return Err(RestoreError::OtherRun(open.run.clone(), run.to_owned()));
        }
        if open.execution != execution {
            self.replaced.push(std::mem::replace(&mut open.execution, execution.to_owned()));
            self.replaced.drain(..self.replaced.len().saturating_sub(KEPT));
            open.wait = Wait::default();
            open.resumed.push((by.to_owned(), now));
        }
        Ok(open.clone())
    }

    /// Closes the execution's restore. A repeated step changes nothing.
    pub(crate) fn close(&mut self, execution: &str, ending: Ending) {
        let Some(restore) = self.open.take_if(|open| open.execution == execution) else { return };
        for left in restore.in_force() {
            self.left.retain(|known| known.secret != left.secret);
            self.left.push(left);
        }
        self.past.push(Past { run: restore.run, execution: restore.execution, ending });
        self.left.drain(..self.left.len().saturating_sub(KEPT));
        self.past.drain(..self.past.len().saturating_sub(KEPT));
    }
}

impl Restore {
    /// The state to go on with.
    pub(crate) fn next(&self) -> Status {
        match (self.ended, &self.failure, self.phase) {
            (Some(_), ..) => Status::Finish,
            (None, Some(_), _) => Status::Repair,
            (None, None, phase) => match phase {
                Phase::Choices => Status::Choices,
                Phase::Choose => Status::Choose,
                Phase::Restore => Status::Restore,
                Phase::Align => Status::Align,
                Phase::Prove => Status::Prove,
                Phase::Approve => Status::Approve,
                Phase::Guard => Status::Guard,
                Phase::Switch => Status::Switch,
                Phase::Migrate => Status::Migrate,
                Phase::Deploy => Status::Deploy,
                Phase::Smoke => Status::Smoke,
                Phase::Hold => Status::Hold,
            },
        }
    }

    /// Whether a person has to act before anything else happens.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.next(), Status::Choose | Status::Approve | Status::Hold | Status::Repair)
    }

    /// Ends a phase and begins the next one. A repeated step changes nothing.
    pub(crate) fn advance(&mut self, from: Phase, to: Phase, now: Timestamp) {
        if self.phase != from {
            return;
        }
        self.times.entry(from).or_insert(now);
        self.phase = to;
        self.wait.times = 0;
    }

    /// The versions in force by the restore's own moves.
    pub(crate) fn in_force(&self) -> Vec<Left> {
        let version = |it: &Move| match self.direction {
            Direction::New => it.to.clone(),
            Direction::Old => it.from.clone(),
        };
        self.moves.iter().map(|it| Left { secret: it.secret.clone(), version: version(it) }).collect()
    }

    /// The secret of a move if another version is in force than the one that the direction demands.
    pub(crate) fn changed(&self, it: &Move, current: &str) -> Option<Changed> {
        let due = match self.direction {
            Direction::New => &it.to,
            Direction::Old => &it.from,
        };
        (due != current).then(|| Changed {
            secret: it.secret.clone(),
            name: it.name.clone(),
            due: due.clone(),
            current: current.to_owned(),
        })
    }

    /// What others put in force, as it was last told.
    pub(crate) fn told(&self) -> Vec<Changed> {
        self.moves.iter().filter_map(|it| self.changed(it, &self.foreign.get(&it.secret)?.version)).collect()
    }

    /// The databases that had or have the lost instance's name, by `DbiResourceId`.
    pub(crate) fn resources(&self) -> BTreeSet<&str> {
        super::choice::resources(&self.choices, self.lost.resource.as_deref())
    }

    /// The source with the least loss.
    pub(crate) fn latest(&self) -> Source {
        super::choice::latest(&self.choices, self.lost.resource.as_deref())
    }

    /// Whether an instance may have data that no other has.
    pub(crate) fn was_used(&self, instance: &str) -> bool {
        self.used.contains(instance) || (instance == self.target.instance && !self.moves.is_empty())
    }

    /// Whether a return may move the label of a secret away from this version.
    pub(crate) fn may_replace(&self, it: &Move, current: &str) -> bool {
        let foreign = self.foreign.get(&it.secret);
        current == it.to || foreign.is_some_and(|found| found.overruled && found.version == current)
    }

    /// Minutes of data that the restore loses; none before a choice. They are counted from its beginning; while the old
    /// database lives, it may be written to until every task is new, so until then.
    pub(crate) fn loss_minutes(&self, now: Timestamp) -> Option<i64> {
        let until = if self.lost.exists {
            self.times.get(&Phase::Deploy).copied().unwrap_or(now)
        } else {
            self.began
        };
        self.data.map(|data| super::choice::minutes(data, until))
    }

    /// Whether the loss still grows.
    pub(crate) fn is_losing(&self) -> bool {
        self.lost.exists && !self.times.contains_key(&Phase::Deploy)
    }

    /// Seconds from the beginning until the application first worked with the new database.
    pub(crate) fn rto_seconds(&self) -> Option<i64> {
        self.worked.map(|at| at.duration_since(self.began).as_secs())
    }

    /// Name of the stored reading of the new instance.
    pub(crate) fn reading(&self) -> String {
        format!("{}/copy", self.target.instance)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use shared::run::open_restore::Restores;

    use super::*;

    pub(crate) fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_795_996_800 + 60 * minutes).unwrap()
    }

    pub(crate) fn restore() -> Restore {
        Restore {
            run: "r20261130-1".to_owned(),
            execution: "e".to_owned(),
            by: "ana".to_owned(),
            reason: "disk lost".to_owned(),
            began: at(0),
            lost: Lost {
                instance: "moveongs-dev-db".to_owned(),
                address: Address { host: "old.rds".to_owned(), port: 5432 },
                exists: true,
                ..Lost::default()
            },
            target: Target {
                instance: "moveongs-dev-db-r20261130-1".to_owned(),
                attempt: 1,
                ..Target::default()
            },
            moves: vec![Move {
                secret: "arn".to_owned(),
                name: "n".to_owned(),
                from: "1".to_owned(),
                to: "2".to_owned(),
            }],
            ..Restore::default()
        }
    }

    /// The same, with the approval of its instance.
    pub(crate) fn approved() -> Restore {
        let restore = restore();
        let approval = Approval {
            by: "bia".to_owned(),
            at: at(2),
            instance: restore.target.instance.clone(),
            alone: None,
            despite: None,
        };
        Restore { approval: Some(approval), ..restore }
    }

    #[test]
    fn a_version_of_others_is_told_with_the_command_that_puts_the_restores_back() {
        let mut open = restore();
        let it = open.moves[0].clone();
        for (direction, current, due) in [
            (Direction::New, "2", None),
            (Direction::New, "1", Some("2")),
            (Direction::New, "3", Some("2")),
            (Direction::Old, "1", None),
            (Direction::Old, "2", Some("1")),
            (Direction::Old, "", Some("1")),
        ] {
            open.direction = direction;
            assert_eq!(
                open.changed(&it, current).map(|it| it.due).as_deref(),
                due,
                "{direction:?} {current}"
            );
        }
        assert_eq!(open.told(), []);
        open.foreign.insert("arn".to_owned(), Foreign { version: "3".to_owned(), overruled: false });
        assert_eq!(
            open.told()[0].put_back().to_string(),
            "aws secretsmanager update-secret-version-stage --secret-id n --version-stage AWSCURRENT --move-to-version-id 1 --remove-from-version-id 3"
        );
    }

    #[test]
    fn the_note_says_what_comes_next() {
        let mut open = restore();
        assert_eq!((open.next(), open.waits()), (Status::Choices, false));
        open.phase = Phase::Approve;
        assert_eq!((open.next(), open.waits()), (Status::Approve, true));
        open.failure = Some(Failure { kind: "RdsCall".to_owned(), detail: String::new(), at: at(1) });
        assert_eq!((open.next(), open.waits()), (Status::Repair, true));
        open.ended = Some(Ending::Rejected);
        assert_eq!((open.next(), open.waits()), (Status::Finish, false));
    }

    #[test]
    fn a_phase_ends_once_and_only_by_its_own_step() {
        let mut open = Restore { phase: Phase::Restore, ..restore() };
        open.advance(Phase::Restore, Phase::Align, at(1));
        open.advance(Phase::Restore, Phase::Align, at(2));
        assert_eq!((open.phase, open.times[&Phase::Restore]), (Phase::Align, at(1)));
        open.phase = Phase::Restore;
        open.advance(Phase::Restore, Phase::Align, at(3));
        assert_eq!(open.times[&Phase::Restore], at(1));
    }

    #[test]
    fn the_loss_grows_while_the_old_database_lives() {
        let mut open = Restore { data: Some(at(-3)), ..restore() };
        assert_eq!((open.loss_minutes(at(40)), open.is_losing()), (Some(43), true));
        open.times.insert(Phase::Deploy, at(50));
        assert_eq!((open.loss_minutes(at(90)), open.is_losing()), (Some(53), false));
        open.lost.exists = false;
        assert_eq!((open.loss_minutes(at(90)), open.is_losing()), (Some(3), false));
    }

    #[test]
    fn others_read_the_note_and_a_closed_restore_leaves_one_version() {
        let mut book = Book { open: Some(restore()), ..Book::default() };
        let read = |book: &Book| -> Restores {
            serde_json::from_str(&serde_json::to_string(book).unwrap()).unwrap()
        };
        assert_eq!(read(&book).open.unwrap().run, "r20261130-1");
        assert!(read(&book).made("arn", "1") && read(&book).made("arn", "2"));
        book.close("other", Ending::Closed);
        assert!(book.open.is_some());
        book.open.as_mut().unwrap().direction = Direction::Old;
        book.close("e", Ending::Closed);
        assert_eq!(read(&book).open, None);
        assert!(read(&book).made("arn", "1") && !read(&book).made("arn", "2"));
        assert_eq!(book.past[0].run, "r20261130-1");
    }

    #[test]
    fn the_document_is_read_as_it_was_written() {
        let mut open = restore();
        open.times.insert(Phase::Restore, at(5));
        open.orders.push(Given {
            order: serde_json::from_str(
                r#"{"order": "choose", "run": "r20261130-1", "by": "ana", "source": {"snapshot": "s"}}"#,
            )
            .unwrap(),
            at: at(1),
        });
        let book = Book { open: Some(open), ..Book::default() };
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), book);
    }
}
