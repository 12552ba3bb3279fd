//! The event: the monthly schedule's, or a person's.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use shared::runtime::event::{InvalidEvent, is_line, parse};
use shared::runtime::time::local_date;

/// Longest seed and run id.
const LONGEST: usize = 100;

/// What a run was started for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trigger {
    /// The schedule, at this time.
    Scheduled(Timestamp),
    /// A person.
    Person(Asked),
}

/// A person's input.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// Seed of the sample, to repeat an earlier run's.
    #[serde(default)]
    seed: Option<String>,
    /// Id of a run that did not finish, to continue it.
    #[serde(default)]
    run: Option<String>,
}

/// The identity of a run, the same for all its retries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Run {
    /// Id of the run's record.
    pub id: String,
    /// Seed of its sample.
    pub seed: String,
}

impl TryFrom<Value> for Trigger {
    type Error = InvalidEvent;

    fn try_from(event: Value) -> Result<Self, Self::Error> {
        match event.get("detail-type").and_then(Value::as_str) {
            Some("Scheduled Event") => {
                let time = event.get("time").and_then(Value::as_str).and_then(|time| time.parse().ok());
                let time = time.ok_or_else(|| InvalidEvent::at("time", "expected the schedule's time"))?;
                Ok(Self::Scheduled(time))
            }
            Some(_) => Err(InvalidEvent::at("detail-type", "expected Scheduled Event")),
            None => {
                let asked: Asked = parse(event)?;
                for (field, text) in [("seed", &asked.seed), ("run", &asked.run)] {
                    if text.as_deref().is_some_and(|text| !is_line(text, LONGEST)) {
                        return Err(InvalidEvent::at(field, "expected one line of 1 to 100 characters"));
                    }
                }
                if asked.seed.is_some() && asked.run.is_some() {
                    return Err(InvalidEvent::at("run", "expected a run or a seed: a run has its own seed"));
                }
                Ok(Self::Person(asked))
            }
        }
    }
}

impl Trigger {
    /// The run. A schedule's is named after its day, so that an event that comes twice is one run; a person's after the
    /// request, which is the same for all tries of an asynchronous one.
    pub(crate) fn run(&self, request_id: &str, now: Timestamp) -> Run {
        match self {
            Self::Scheduled(time) => {
                let day = local_date(*time);
                Run { seed: day.clone(), id: day }
            }
            Self::Person(Asked { run: Some(id), .. }) => Run { id: id.clone(), seed: id.clone() },
            Self::Person(Asked { seed, run: None }) => {
                let id = format!("{}/{request_id}", local_date(now));
                Run { seed: seed.clone().unwrap_or_else(|| id.clone()), id }
            }
        }
    }

    /// Whether a person asked to continue a run.
    pub(crate) fn continues(&self) -> bool {
        matches!(self, Self::Person(Asked { run: Some(_), .. }))
    }

    /// The trigger in the record.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Scheduled(_) => "schedule",
            Self::Person(_) => "person",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_has_its_run() {
        let now: Timestamp = "2026-12-02T01:00:00Z".parse().unwrap();
        for (event, id, seed) in [
            // The evening before in São Paulo, however late it is delivered.
            (
                json!({"detail-type": "Scheduled Event", "time": "2026-12-01T02:00:00Z"}),
                "2026-11-30",
                "2026-11-30",
            ),
            (json!({}), "2026-12-01/r", "2026-12-01/r"),
            (json!({"seed": "2026-11-01"}), "2026-12-01/r", "2026-11-01"),
            (json!({"run": "2026-11-01"}), "2026-11-01", "2026-11-01"),
        ] {
            let run = Trigger::try_from(event.clone()).unwrap().run("r", now);
            assert_eq!((run.id.as_str(), run.seed.as_str()), (id, seed), "{event}");
        }
    }

    #[test]
    fn invalid_events_are_refused() {
        for (event, field) in [
            (json!({"detail-type": "Scheduled Event"}), "time"),
            (json!({"detail-type": "RDS DB Snapshot Event"}), "detail-type"),
            (json!({"seed": ""}), "seed"),
            (json!({"seed": "a\nb"}), "seed"),
            (json!({"run": "x".repeat(101)}), "run"),
            (json!({"seed": "a", "run": "b"}), "run"),
            (json!({"sample": 3}), "sample"),
        ] {
            assert_eq!(Trigger::try_from(event.clone()).unwrap_err().field, field, "{event}");
        }
    }
}
