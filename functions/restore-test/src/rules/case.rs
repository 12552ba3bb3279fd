//! A run and its proof, as far as they are known, for reports.

use jiff::{SignedDuration, Timestamp};
use proof::{Line, Reading, Verdict};

use super::run::Run;
use crate::event::{Cause, Request};

/// What a report is about.
pub(crate) struct Case {
    /// Name of the execution.
    pub execution: String,
    /// The database that the stack names.
    pub database: String,
    /// The run; none if it never had the place, or only read a baseline.
    pub run: Option<Run>,
    /// The requested test; none if the input was refused, for a baseline, and for the reaper.
    pub request: Option<Request>,
    /// The cluster that the database is, or is a member of; looked up only if the test was refused for it.
    pub cluster: Option<String>,
    /// Why the source was read, if the execution only did that.
    pub baseline: Option<Cause>,
    /// The checks of the proof; empty without a reading of the copy.
    pub lines: Vec<Line>,
    /// The proof's worst verdict; none without a reading of the copy.
    pub verdict: Option<Verdict>,
    /// Server, rows and times of the restored copy.
    pub restored: Option<Reading>,
    /// Whether the instance still exists.
    pub is_left: bool,
    /// Whether what exists under the instance's name no longer has the run's tags, so that nobody removes it.
    pub is_foreign: bool,
    /// Readings that exist and could not be read again, each with the reason.
    pub unread: Vec<String>,
    /// The region of the copies, if an instance is there whose run is not known.
    pub away: Option<String>,
}

impl Case {
    /// The case of an execution of which nothing is known.
    pub(crate) fn of(execution: &str, database: &str) -> Self {
        Self {
            execution: execution.to_owned(),
            database: database.to_owned(),
            run: None,
            request: None,
            cluster: None,
            baseline: None,
            lines: Vec::new(),
            verdict: None,
            restored: None,
            is_left: false,
            is_foreign: false,
            unread: Vec::new(),
            away: None,
        }
    }

    /// The snapshot that was tested or requested.
    pub(crate) fn snapshot(&self) -> Option<&str> {
        let run = self.run.as_ref().map(|run| run.snapshot.name.as_str());
        run.or_else(|| self.request.as_ref()?.snapshot.as_deref())
    }

    /// The region that was named.
    pub(crate) fn region(&self) -> Option<&str> {
        match &self.run {
            Some(run) => run.is_away.then_some(run.region.as_str()),
            None => self.away.as_deref().or_else(|| self.request.as_ref()?.region.as_deref()),
        }
    }

    /// The lines of a verdict.
    pub(crate) fn of_verdict(&self, verdict: Verdict) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.verdict == verdict)
    }

    /// The recovery time in its parts: a stable name, and the time from the request for the instance to the end of the
    /// part.
    pub(crate) fn recovery(&self) -> Vec<(&'static str, SignedDuration)> {
        let Some(run) = &self.run else { return Vec::new() };
        let times = self.restored.as_ref().map(|reading| &reading.times);
        let parts = [
            ("available", run.available),
            ("password set", run.password_set),
            ("first query", times.and_then(|times| times.first_query)),
            ("all tables read", times.and_then(|times| times.tables_read)),
            ("deleted", run.removed),
        ];
        parts.into_iter().filter_map(|(name, at)| Some((name, run.after_request(at)?))).collect()
    }

    /// Data, in time, that a restore of this snapshot would have lost when the run began.
    pub(crate) fn recovery_point(&self) -> Option<SignedDuration> {
        let run = self.run.as_ref()?;
        Some(run.begun.duration_since(run.data_time()?))
    }

    /// When the run began.
    pub(crate) fn begun(&self, now: Timestamp) -> Timestamp {
        self.run.as_ref().map_or(now, |run| run.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::Chosen;
    use super::super::run::tests::at;
    use super::*;

    #[test]
    fn the_recovery_time_has_its_parts() {
        let mut case = Case::of("e", "db");
        assert_eq!((case.recovery(), case.recovery_point()), (Vec::new(), None));
        let snapshot = Chosen { created: Some(at(-50)), ..Chosen::default() };
        case.run = Some(Run {
            begun: at(0),
            asked: Some(at(1)),
            available: Some(at(9)),
            removed: Some(at(31)),
            snapshot: snapshot.clone(),
            ..Run::default()
        });
        let mut reading = Reading::default();
        reading.times.tables_read = Some(at(21));
        case.restored = Some(reading);
        let minutes = SignedDuration::from_mins;
        let expected =
            [("available", minutes(8)), ("all tables read", minutes(20)), ("deleted", minutes(30))];
        assert_eq!(case.recovery(), expected);
        assert_eq!(case.recovery_point(), Some(minutes(50)));
        // RDS reports the last transaction, which is what counts.
        let snapshot = Chosen { database_time: Some(at(-60)), ..snapshot };
        case.run.as_mut().unwrap().snapshot = snapshot;
        assert_eq!(case.recovery_point(), Some(minutes(60)));
    }
}
