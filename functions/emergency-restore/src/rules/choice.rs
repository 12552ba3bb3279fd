//! What can be restored, and what each choice loses. No I/O, no clock.
//!
//! Source: [Restoring a DB instance to a specified time](https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Source;

/// Most snapshots that are listed, of those that can be restored and of those that cannot.
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
        /// Whether its name keeps the function's role from restoring it.
        #[serde(default)]
        barred: bool,
        /// `DbiResourceId` of its database; empty if RDS does not report it.
        #[serde(default)]
        resource: String,
    },
    /// Any instant of a window.
    Window {
        /// The earliest.
        from: Timestamp,
        /// The latest.
        to: Timestamp,
        /// `DbiResourceId` of its database; empty if RDS does not report it.
        #[serde(default)]
        resource: String,
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
    /// Major version of the database.
    pub major: Option<u32>,
    /// The last instant whose data it has; none while it is being made.
    pub data: Option<Timestamp>,
    /// Whether RDS made it by itself.
    pub automated: bool,
}

/// The names of the snapshots that the function's role may restore. The template's `EmergencyRestoreRole` has the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// Prefix of the environment's names.
    pub prefix: &'a str,
    /// The template's instance.
    pub instance: &'a str,
}

impl Names<'_> {
    /// Whether the role may restore the snapshot of this name.
    pub(crate) fn allow(self, snapshot: &str) -> bool {
        match snapshot.strip_prefix("rds:") {
            None => snapshot.starts_with(self.prefix) || snapshot.starts_with("awsbackup:"),
            Some(of) => {
                let is_of_instance =
                    of.strip_prefix(self.instance).is_some_and(|after| after.starts_with('-'));
                is_of_instance || of.starts_with(self.prefix)
            }
        }
    }
}

/// The automated backups of one database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// The earliest instant that can be restored.
    pub from: Timestamp,
    /// The latest.
    pub to: Timestamp,
    /// `DbiResourceId` of the database; empty if RDS does not report it.
    pub resource: String,
}

/// What a source has, as RDS described it when it was chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Contents {
    /// The last instant whose data it has.
    pub until: Timestamp,
    /// `DbiResourceId` of the instance that they are of; empty if RDS does not report it.
    pub resource: String,
    /// Major version of that instance.
    pub major: Option<u32>,
}

/// The choices: the newest snapshots that are available of each database that had the lost instance's name, and its
/// window.
pub(crate) fn choices(snapshots: &[Found], windows: &[Window], names: Names<'_>) -> Vec<Choice> {
    let available = |barred: bool| {
        let found = snapshots.iter().filter(|found| found.status == "available");
        let found = found.filter(|found| names.allow(&found.name) != barred);
        let mut newest: Vec<_> = found
            .filter_map(|found| {
                let (name, automated, resource) =
                    (found.name.clone(), found.automated, found.resource.clone());
                Some(Choice::Snapshot { name, data: found.data?, automated, barred, resource })
            })
            .collect();
        newest.sort_by_key(|choice| std::cmp::Reverse(choice.data()));
        let mut listed: BTreeMap<String, usize> = BTreeMap::new();
        newest.retain(|choice| {
            let count = listed.entry(choice.resource().to_owned()).or_default();
            *count += 1;
            *count <= LISTED
        });
        newest
    };
    // The barred ones take no place of the others.
    let mut all = [available(false), available(true)].concat();
    all.sort_by_key(|choice| std::cmp::Reverse(choice.data()));
    // A window is the least loss, so it is first.
    let windows = windows.iter().cloned();
    all.splice(0..0, windows.map(|Window { from, to, resource }| Choice::Window { from, to, resource }));
    all
}

/// The databases that had or have the instance's name: those of the choices and the present one, without those that RDS
/// does not name. More than one if the instance was made again since its snapshots.
pub(crate) fn resources<'a>(choices: &'a [Choice], present: Option<&'a str>) -> BTreeSet<&'a str> {
    let all = choices.iter().map(Choice::resource).chain(present);
    all.filter(|resource| !resource.is_empty()).collect()
}

/// The source with the least loss; of several databases, the newest window's.
pub(crate) fn latest(choices: &[Choice], present: Option<&str>) -> Source {
    let window = choices.iter().find(|choice| matches!(choice, Choice::Window { .. }));
    match window {
        Some(window) if resources(choices, present).len() > 1 => window.of_backup(None),
        _ => Source::Latest,
    }
}

impl Choice {
    /// The last instant whose data it has.
    pub(crate) fn data(&self) -> Timestamp {
        match self {
            Self::Snapshot { data, .. } => *data,
            Self::Window { to, .. } => *to,
        }
    }

    /// `DbiResourceId` of its database; empty if RDS does not report it.
    pub(crate) fn resource(&self) -> &str {
        match self {
            Self::Snapshot { resource, .. } | Self::Window { resource, .. } => resource,
        }
    }

    /// An instant of its database's automated backups, or the latest one.
    pub(crate) fn of_backup(&self, time: Option<Timestamp>) -> Source {
        Source::Backup { resource: self.resource().to_owned(), time }
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
        Source::Latest | Source::Backup { time: None, .. } => window.map(|(_, to)| to).ok_or_else(no_window),
        Source::Time(at) | Source::Backup { time: Some(at), .. } => {
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
            major: Some(15),
            data: minutes.map(at),
            automated: false,
        }
    }

    const NAMES: Names<'_> = Names { prefix: "moveongs-dev-", instance: "main" };

    #[test]
    fn the_choices_are_the_window_and_the_newest_available_snapshots() {
        let mut snapshots: Vec<_> =
            (0..7).map(|n| found(&format!("moveongs-dev-{n}"), "available", Some(n))).collect();
        snapshots.push(found("moveongs-dev-half", "creating", None));
        snapshots.push(found("moveongs-dev-bad", "failed", Some(100)));
        let shown = |snapshots: &[Found]| -> Vec<String> {
            let listed = choices(snapshots, &[window(-100, 50, "db-A")], NAMES);
            let shown = listed.into_iter().map(|choice| match choice {
                Choice::Snapshot { name, barred, .. } => format!("{name}{}", if barred { "!" } else { "" }),
                Choice::Window { .. } => "window".to_owned(),
            });
            shown.collect()
        };
        let newest = ["window"].into_iter().map(str::to_owned);
        let newest: Vec<_> = newest.chain((2..7).rev().map(|n| format!("moveongs-dev-{n}"))).collect();
        assert_eq!(shown(&snapshots), newest);
        assert_eq!(choices(&[], &[], NAMES), []);
        // What cannot be restored as it is hides nothing.
        snapshots.extend((0..7).map(|n| found(&format!("before-{n}"), "available", Some(10 + n))));
        let barred = (2..7).rev().map(|n| format!("before-{n}!"));
        let all = ["window".to_owned()].into_iter().chain(barred).chain(newest.into_iter().skip(1));
        assert_eq!(shown(&snapshots), all.collect::<Vec<_>>());
    }

    fn window(from: i64, to: i64, resource: &str) -> Window {
        Window { from: at(from), to: at(to), resource: resource.to_owned() }
    }

    #[test]
    fn each_database_that_had_the_name_is_listed_and_the_latest_names_one() {
        let of = |resource: &str, name: &str, minutes| Found {
            resource: resource.to_owned(),
            ..found(name, "available", Some(minutes))
        };
        let mut snapshots = vec![of("db-A", "moveongs-dev-lost", -50)];
        let windows = [window(-9, -1, "db-B"), window(-100, -20, "db-A")];
        // The new one's snapshots hide none of the lost one's.
        snapshots.extend((0..9).map(|n| of("db-B", &format!("moveongs-dev-{n}"), n)));
        let all = choices(&snapshots, &windows, NAMES);
        assert_eq!(all.len(), 2 + LISTED + 1);
        assert!(all.iter().any(|choice| choice.data() == at(-50)));
        for (snapshots, windows, present, count, backup) in [
            (&snapshots[..], &windows[..], Some("db-B"), 2, Some("db-B")),
            // An instance that is younger than its only backups.
            (&[], &windows[1..], Some("db-B"), 2, Some("db-A")),
            (&snapshots[..1], &[], Some("db-B"), 2, None),
            (&snapshots[..1], &windows[1..], Some("db-A"), 1, None),
            (&[], &windows[1..], None, 1, None),
            (&[], &[], None, 0, None),
        ] {
            let all = choices(snapshots, windows, NAMES);
            assert_eq!(resources(&all, present).len(), count);
            let backup = backup.map(|it| Source::Backup { resource: it.to_owned(), time: None });
            assert_eq!(latest(&all, present), backup.unwrap_or(Source::Latest));
        }
    }

    #[test]
    fn the_role_restores_the_environments_snapshots() {
        for (name, expected) in [
            ("moveongs-dev-20261130", true),
            ("awsbackup:job-1", true),
            ("rds:main-2026-11-30-05-10", true),
            ("rds:moveongs-dev-db-2026-11-30-05-10", true),
            ("before-a-migration", false),
            ("main-2026", false),
            ("moveongs-prod-20261130", false),
            ("rds:mainframe-2026-11-30-05-10", false),
        ] {
            assert_eq!(NAMES.allow(name), expected, "{name}");
        }
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
            (Source::Backup { resource: "db-A".to_owned(), time: None }, window, None, Ok(at(50))),
            (Source::Backup { resource: "db-A".to_owned(), time: Some(at(1)) }, window, None, Ok(at(1))),
            (
                Source::Backup { resource: "db-A".to_owned(), time: Some(at(51)) },
                window,
                None,
                Err("outside the window"),
            ),
            (
                Source::Backup { resource: "db-A".to_owned(), time: None },
                None,
                None,
                Err("no automated backups"),
            ),
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
