//! What can be restored, and what each choice loses. No I/O, no clock.
//!
//! Source: [Restoring a DB instance to a specified time](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Source;

/// Most snapshots that are listed.
pub(crate) const LISTED: usize = 5;

/// Something that can be restored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Choice {
    /// A snapshot.
    Snapshot {
        /// Its name.
        name: String,
        /// The last instant whose data it has.
        data: Timestamp,
        /// Whether RDS made it by itself.
        automated: bool,
    },
    /// Any instant of a window.
    Window {
        /// The earliest.
        from: Timestamp,
        /// The latest.
        to: Timestamp,
    },
}

/// A snapshot as RDS describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    /// Its name.
    pub name: String,
    /// RDS's status.
    pub status: String,
    /// The database's engine.
    pub engine: String,
    /// The database that it was taken of.
    pub instance: String,
    /// RDS's id of that database.
    pub resource: String,
    /// The last instant whose data it has; none while it is being made.
    pub data: Option<Timestamp>,
    /// Whether RDS made it by itself.
    pub automated: bool,
}

/// The choices: the newest snapshots of the lost instance that are available, and the window.
pub(crate) fn choices(snapshots: &[Found], window: Option<(Timestamp, Timestamp)>) -> Vec<Choice> {
    let available = snapshots.iter().filter(|found| found.status == "available");
    let mut all: Vec<_> = available
        .filter_map(|found| {
            Some(Choice::Snapshot { name: found.name.clone(), data: found.data?, automated: found.automated })
        })
        .collect();
    all.sort_by_key(|choice| std::cmp::Reverse(choice.data()));
    all.truncate(LISTED);
    // The window is the least loss, so it is first.
    all.splice(0..0, window.map(|(from, to)| Choice::Window { from, to }));
    all
}

impl Choice {
    /// The last instant whose data it has.
    pub(crate) fn data(&self) -> Timestamp {
        match self {
            Self::Snapshot { data, .. } => *data,
            Self::Window { to, .. } => *to,
        }
    }
}

/// The last instant whose data a source has, if it can be restored. `named` is the snapshot that it names, if RDS has it.
///
/// # Errors
///
/// Why it cannot be restored, for people.
pub(crate) fn data(
    source: &Source,
    window: Option<(Timestamp, Timestamp)>,
    named: Option<&Found>,
    lost: (&str, Option<&str>),
) -> Result<Timestamp, String> {
    let no_window =
        || "the instance has no automated backups, so no point in time can be restored".to_owned();
    match source {
        Source::Latest => window.map(|(_, to)| to).ok_or_else(no_window),
        Source::Time(at) => {
            let (from, to) = window.ok_or_else(no_window)?;
            if (from..=to).contains(at) {
                return Ok(*at);
            }
            Err(format!("{at} is outside the window that RDS can restore, {from} to {to}"))
        }
        Source::Snapshot(name) => {
            let found = named.ok_or_else(|| format!("there is no snapshot {name}"))?;
            let (instance, resource) = lost;
            if found.instance != instance && resource != Some(found.resource.as_str()) {
                return Err(format!("the snapshot {name} is of {}, not of {instance}", found.instance));
            }
            if found.engine != "postgres" {
                return Err(format!("the snapshot {name} is of the engine {}", found.engine));
            }
            match found.data.filter(|_| found.status == "available") {
                Some(data) => Ok(data),
                None => Err(format!("the snapshot {name} is {} and cannot be restored", found.status)),
            }
        }
    }
}

/// Whole minutes between the last data and `now`, rounded up; never negative.
pub(crate) fn minutes(data: Timestamp, now: Timestamp) -> i64 {
    let seconds = now.duration_since(data).as_secs().max(0);
    (seconds + 59) / 60
}

#[cfg(test)]
mod tests {
    use super::super::restore::tests::at;
    use super::*;

    fn found(name: &str, status: &str, minutes: Option<i64>) -> Found {
        Found {
            name: name.to_owned(),
            status: status.to_owned(),
            engine: "postgres".to_owned(),
            instance: "moveongs-dev-db".to_owned(),
            resource: "db-A".to_owned(),
            data: minutes.map(at),
            automated: false,
        }
    }

    #[test]
    fn the_choices_are_the_window_and_the_newest_available_snapshots() {
        let mut snapshots: Vec<_> = (0..7).map(|n| found(&format!("s{n}"), "available", Some(n))).collect();
        snapshots.push(found("half", "creating", None));
        snapshots.push(found("bad", "failed", Some(100)));
        let listed = choices(&snapshots, Some((at(-100), at(50))));
        let shown: Vec<_> = listed
            .iter()
            .map(|choice| match choice {
                Choice::Snapshot { name, .. } => name.as_str(),
                Choice::Window { .. } => "window",
            })
            .collect();
        assert_eq!(shown, ["window", "s6", "s5", "s4", "s3", "s2"]);
        assert_eq!(choices(&[], None), []);
    }

    #[test]
    fn a_loss_is_rounded_up() {
        for (seconds, expected) in [(0, 0), (1, 1), (60, 1), (61, 2), (-5, 0)] {
            let now = Timestamp::from_second(at(0).as_second() + seconds).unwrap();
            assert_eq!(minutes(at(0), now), expected, "{seconds}");
        }
    }

    #[test]
    fn a_choice_that_cannot_be_restored_says_why() {
        let window = Some((at(-100), at(50)));
        let lost = ("moveongs-dev-db", Some("db-A"));
        let of = |source: &Source, window, named: Option<Found>| data(source, window, named.as_ref(), lost);
        let snapshot = Source::Snapshot("s".to_owned());
        for (source, window, named, expected) in [
            (Source::Latest, window, None, Ok(at(50))),
            (Source::Latest, None, None, Err("no automated backups")),
            (Source::Time(at(50)), window, None, Ok(at(50))),
            (Source::Time(at(-100)), window, None, Ok(at(-100))),
            (Source::Time(at(51)), window, None, Err("outside the window")),
            (Source::Time(at(-101)), window, None, Err("outside the window")),
            (Source::Time(at(0)), None, None, Err("no automated backups")),
            (snapshot.clone(), window, Some(found("s", "available", Some(3))), Ok(at(3))),
            (snapshot.clone(), window, None, Err("no snapshot s")),
            (snapshot.clone(), window, Some(found("s", "creating", None)), Err("is creating")),
            (snapshot.clone(), window, Some(found("s", "available", None)), Err("cannot be restored")),
            (
                snapshot.clone(),
                window,
                Some(Found {
                    instance: "x".to_owned(),
                    resource: "db-B".to_owned(),
                    ..found("s", "available", Some(3))
                }),
                Err("is of x"),
            ),
            // A deleted instance of the same id that had another name.
            (
                snapshot.clone(),
                window,
                Some(Found { instance: "x".to_owned(), ..found("s", "available", Some(3)) }),
                Ok(at(3)),
            ),
            (
                snapshot.clone(),
                window,
                Some(Found { engine: "mysql".to_owned(), ..found("s", "available", Some(3)) }),
                Err("engine mysql"),
            ),
        ] {
            match (of(&source, window, named), expected) {
                (Ok(data), Ok(expected)) => assert_eq!(data, expected, "{source:?}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (other, expected) => panic!("{source:?}: {other:?}, not {expected:?}"),
            }
        }
    }
}
