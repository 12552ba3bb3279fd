//! One run of the test: what is fixed before RDS is asked, and when each thing happened.

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::runtime::hex::hex;

use super::choice::Chosen;

/// Characters of a run's part of the instance's name. Every project's and environment's prefix leaves room for them.
const NAME: usize = 12;

/// One run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Run {
    /// Name of the execution.
    pub execution: String,
    /// Who asked for it, and why.
    pub by: Option<String>,
    pub reason: Option<String>,
    pub region: String,
    /// Whether the region is that of the copies.
    #[serde(default)]
    pub is_away: bool,
    pub snapshot: Chosen,
    /// Name of the instance, fixed before RDS is asked for it.
    pub instance: String,
    pub begun: Timestamp,
    /// When the instance has to be gone.
    pub deadline: Timestamp,
    /// The last sign of life.
    pub seen: Timestamp,
    /// When RDS was first asked for the instance.
    pub asked: Option<Timestamp>,
    /// When RDS first showed it.
    pub shown: Option<Timestamp>,
    pub available: Option<Timestamp>,
    /// When RDS was first asked to set the master's password.
    pub password_asked: Option<Timestamp>,
    pub password_set: Option<Timestamp>,
    /// When the restored database was ready for the proof.
    pub opened: Option<Timestamp>,
    /// Executions whose baselines enclose the snapshot.
    pub before: Option<String>,
    pub after: Option<String>,
    /// SHA-256 of their documents.
    #[serde(default)]
    pub before_sha256: Option<String>,
    #[serde(default)]
    pub after_sha256: Option<String>,
    /// Why the source could not be read.
    pub source_unread: Option<String>,
    pub deletion_asked: Option<Timestamp>,
    pub removed: Option<Timestamp>,
    /// When the execution ended: it reported, or Step Functions said so.
    pub ended: Option<Timestamp>,
    /// Step Functions' status of an execution that was stopped or died.
    pub stopped: Option<String>,
    /// Whether it has its record.
    #[serde(default)]
    pub is_reported: bool,
}

impl Run {
    /// A run that begins now.
    pub(crate) fn begin(execution: &str, prefix: &str, hours: u16, now: Timestamp) -> Self {
        Self {
            execution: execution.to_owned(),
            instance: instance_name(prefix, execution),
            begun: now,
            deadline: now.saturating_add(i64::from(hours).hours()).unwrap_or(Timestamp::MAX),
            seen: now,
            ..Self::default()
        }
    }

    /// Whether it left nothing behind and is reported.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_some() && self.is_reported && (self.removed.is_some() || self.asked.is_none())
    }

    /// Whether nothing of it goes on by itself, so that the reaper has to clean up after it.
    pub(crate) fn is_dead(&self, now: Timestamp, silent_minutes: u16) -> bool {
        let silence = SignedDuration::from_mins(i64::from(silent_minutes));
        !self.is_over() && (self.ended.is_some() || now.duration_since(self.seen) > silence)
    }

    /// The last transaction inside the snapshot; its creation if RDS does not report it.
    pub(crate) fn data_time(&self) -> Option<Timestamp> {
        self.snapshot.data_time()
    }

    /// From the request for the instance to `until`.
    pub(crate) fn after_request(&self, until: Option<Timestamp>) -> Option<SignedDuration> {
        Some(until?.duration_since(self.asked?))
    }
}

/// Name of an execution's instance: a repeated step finds it again.
pub(crate) fn instance_name(prefix: &str, execution: &str) -> String {
    let digest = hex(&Sha256::digest(execution.as_bytes()));
    format!("{prefix}{}", digest.get(..NAME).unwrap_or(&digest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn an_executions_instance_always_has_the_same_name() {
        let name = instance_name("moveongs-staging-restore-test-", "0a1b-Quartal_4");
        assert_eq!(name, instance_name("moveongs-staging-restore-test-", "0a1b-Quartal_4"));
        assert_ne!(name, instance_name("moveongs-staging-restore-test-", "0a1b-Quartal_5"));
        assert!(name.len() <= 63 && !name.ends_with('-') && !name.contains("--"), "{name}");
    }

    #[test]
    fn a_run_is_dead_when_it_is_silent_or_ended_and_left_something() {
        let run = |ended: bool, reported: bool, asked: bool, removed: bool, seen: i64| Run {
            seen: at(seen),
            ended: ended.then(|| at(0)),
            is_reported: reported,
            asked: asked.then(|| at(0)),
            removed: removed.then(|| at(0)),
            ..Run::default()
        };
        for (run, is_over, is_dead) in [
            (run(false, false, true, false, 0), false, false),
            (run(false, false, true, false, -60), false, false),
            (run(false, false, true, false, -61), false, true),
            // It died between the removal and its report.
            (run(false, false, true, true, -61), false, true),
            // It was stopped.
            (run(true, false, true, false, 0), false, true),
            (run(true, false, false, false, 0), false, true),
            // It reported that its instance was not removed.
            (run(true, true, true, false, 0), false, true),
            (run(true, true, true, true, -61), true, false),
            (run(true, true, false, false, -61), true, false),
        ] {
            assert_eq!((run.is_over(), run.is_dead(at(0), 60)), (is_over, is_dead), "{}", run.seen);
        }
    }

    #[test]
    fn the_deadline_and_the_times_are_the_runs() {
        let run = Run::begin("e", "p-", 12, at(0));
        assert_eq!((run.deadline, run.seen), (at(720), at(0)));
        let run = Run { asked: Some(at(1)), available: Some(at(11)), ..run };
        assert_eq!(run.after_request(run.available), Some(SignedDuration::from_mins(10)));
        assert_eq!(run.after_request(run.removed), None);
    }
}
