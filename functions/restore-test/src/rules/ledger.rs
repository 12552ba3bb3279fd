//! The note of all runs: the one that has the only place, and those that the reaper has to clean up after.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::run::Run;

/// Name of the note. No execution's name contains a colon, so none can collide with it.
pub(crate) const NOTE: &str = "note:runs";

/// Name of the note with the reading of an execution's database.
pub(crate) fn reading(execution: &str, of: &str) -> String {
    format!("reading:{execution}/{of}")
}

/// The runs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Ledger {
    /// The run that has the only place, or had it last.
    pub active: Option<Run>,
    /// Dead runs whose place another run took.
    #[serde(default)]
    pub left: Vec<Run>,
}

impl Ledger {
    /// Takes the place for a run, if it is free, this execution's own, or a dead run's. Returns the run as noted, or the
    /// run that has the place.
    pub(crate) fn claim(&mut self, run: &Run, now: Timestamp, silent_minutes: u16) -> Result<Run, Box<Run>> {
        match self.active.take() {
            Some(active) if active.execution == run.execution => {
                self.active = Some(active.clone());
                return Ok(active);
            }
            Some(active) if !active.is_over() && !active.is_dead(now, silent_minutes) => {
                self.active = Some(active.clone());
                return Err(Box::new(active));
            }
            Some(active) if !active.is_over() => self.left.push(active),
            Some(_) | None => {}
        }
        self.active = Some(run.clone());
        Ok(run.clone())
    }

    /// Changes the run that has the place; none if it is not this execution's.
    pub(crate) fn change(&mut self, execution: &str, change: impl FnOnce(&mut Run)) -> Option<Run> {
        let run = self.active.as_mut().filter(|run| run.execution == execution)?;
        change(run);
        Some(run.clone())
    }

    /// Notes the outcome of a run, also of one whose place another has taken.
    pub(crate) fn settle(&mut self, execution: &str, change: impl FnOnce(&mut Run)) {
        let mut runs = self.active.iter_mut().chain(&mut self.left);
        if let Some(run) = runs.find(|run| run.execution == execution) {
            change(run);
        }
    }

    /// Notes that an execution ended without reporting itself.
    pub(crate) fn end(&mut self, execution: &str, status: &str, now: Timestamp) {
        self.change(execution, |run| {
            if !run.is_over() {
                run.ended.get_or_insert(now);
                run.stopped.get_or_insert_with(|| status.to_owned());
            }
        });
    }

    /// Moves a dead run out of the place, and returns all that have to be cleaned up after.
    pub(crate) fn dead(&mut self, now: Timestamp, silent_minutes: u16) -> Vec<Run> {
        if let Some(dead) = self.active.take_if(|run| run.is_dead(now, silent_minutes)) {
            self.left.push(dead);
        }
        self.left.clone()
    }

    /// Drops a run that left nothing behind.
    pub(crate) fn drop_left(&mut self, execution: &str) {
        self.left.retain(|run| run.execution != execution);
    }

    /// Every run that is known.
    pub(crate) fn find(&self, execution: &str) -> Option<&Run> {
        self.active.iter().chain(&self.left).find(|run| run.execution == execution)
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::at;
    use super::*;

    fn run(execution: &str, seen: i64) -> Run {
        Run { execution: execution.to_owned(), seen: at(seen), asked: Some(at(seen)), ..Run::default() }
    }

    #[test]
    fn two_runs_cannot_have_the_place() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.claim(&run("a", 0), at(0), 60).unwrap().execution, "a");
        assert_eq!(ledger.claim(&run("b", 1), at(1), 60).unwrap_err().execution, "a");
        // The same execution repeats its step: it finds what it noted.
        ledger.change("a", |run| run.available = Some(at(5))).unwrap();
        assert_eq!(ledger.claim(&run("a", 9), at(9), 60).unwrap().available, Some(at(5)));
        assert_eq!(ledger.change("b", |run| run.removed = Some(at(9))), None);
        // It ended, and left nothing.
        ledger.change("a", |run| {
            run.removed = Some(at(9));
            run.ended = Some(at(9));
            run.is_reported = true;
        });
        assert_eq!(ledger.claim(&run("b", 10), at(10), 60).unwrap().execution, "b");
        assert!(ledger.left.is_empty());
    }

    #[test]
    fn a_dead_run_gives_its_place_and_is_cleaned_up_after() {
        let mut ledger = Ledger::default();
        ledger.claim(&run("a", 0), at(0), 60).unwrap();
        assert_eq!(ledger.dead(at(60), 60), []);
        assert_eq!(ledger.claim(&run("b", 61), at(61), 60).unwrap().execution, "b");
        let left: Vec<_> = ledger.dead(at(61), 60).into_iter().map(|run| run.execution).collect();
        assert_eq!(left, ["a"]);
        // A stopped one is dead at once; another one's end is not its own.
        ledger.end("c", "ABORTED", at(62));
        assert_eq!(ledger.dead(at(62), 60).len(), 1);
        ledger.end("b", "ABORTED", at(62));
        let left = ledger.dead(at(62), 60);
        assert_eq!(left.len(), 2);
        assert_eq!(left.last().unwrap().stopped.as_deref(), Some("ABORTED"));
        assert!(ledger.active.is_none() && ledger.find("b").is_some());
        // It reports itself in the end.
        ledger.settle("a", |run| run.is_reported = true);
        assert!(ledger.find("a").unwrap().is_reported);
        ledger.drop_left("a");
        ledger.drop_left("b");
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn the_end_of_a_reported_run_changes_nothing() {
        let mut ledger = Ledger::default();
        let over = Run { ended: Some(at(1)), removed: Some(at(1)), is_reported: true, ..run("a", 0) };
        ledger.active = Some(over.clone());
        ledger.end("a", "FAILED", at(2));
        assert_eq!(ledger.active, Some(over));
        assert_eq!(ledger.dead(at(500), 60), []);
    }
}
