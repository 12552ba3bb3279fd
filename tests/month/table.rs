//! The parsed table, and the observed results in the same notation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use shared::runtime::time::SAO_PAULO;

/// One secret.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Day of its first version.
    pub(crate) made: Date,
    /// The policy's greatest age, in days.
    pub(crate) age: Option<u16>,
    /// Its rotation by the service.
    pub(crate) rotation: Rotation,
    /// People's actions, with the day of June.
    pub(crate) acts: Vec<(i8, Act)>,
    /// Ledger, tasks and pages.
    pub(crate) expected: [String; 3],
}

/// A secret's rotation by the service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rotation {
    /// No rotation.
    None,
    /// The rotation of the stack, which also makes the secret.
    Stack,
    /// At an interval in days.
    Days { days: i64, is_off: bool },
    /// By a cron().
    Cron(String),
}

/// A person's action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Act {
    pub(crate) verb: String,
    /// The event is not delivered.
    pub(crate) is_missed: bool,
    /// The event is delivered a second time.
    pub(crate) is_twice: bool,
    /// The event is delivered on the next day.
    pub(crate) is_late: bool,
    /// CloudTrail sends no event.
    pub(crate) is_unreported: bool,
}

/// The lines of the table.
pub(crate) fn lines(table: &str) -> Vec<Line> {
    table.trim().lines().skip(1).map(line).collect()
}

fn line(text: &str) -> Line {
    let cells: Vec<_> = text.split('|').map(str::trim).collect();
    let [name, made, age, rotation, happens, expected @ ..] = &cells[..] else { panic!("{text}") };
    let (month, day) = made.split_once('-').unwrap();
    Line {
        name: (*name).to_owned(),
        made: date(2030, month.parse().unwrap(), day.parse().unwrap()),
        age: (*age != "-").then(|| age.parse().unwrap()),
        rotation: match *rotation {
            "-" => Rotation::None,
            "stack" => Rotation::Stack,
            cron if cron.starts_with("cron(") => Rotation::Cron(cron.to_owned()),
            days => {
                let (days, is_off) = days.strip_suffix(" off").map_or((days, false), |days| (days, true));
                Rotation::Days { days: days.parse().unwrap(), is_off }
            }
        },
        acts: happens.split("; ").filter(|act| *act != "-").map(act).collect(),
        expected: expected
            .iter()
            .map(|cell| (*cell).to_owned())
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("{text}")),
    }
}

fn act(text: &str) -> (i8, Act) {
    let mut words = text.split(' ');
    let (day, verb) = (words.next().unwrap().parse().unwrap(), words.next().unwrap());
    let how: Vec<_> = words.collect();
    let known = ["missed", "twice", "late", "unreported"];
    assert!(how.iter().all(|word| known.contains(word)), "{text}");
    let is = |word: &str| how.contains(&word);
    let act = Act {
        verb: verb.to_owned(),
        is_missed: is("missed"),
        is_twice: is("twice"),
        is_late: is("late"),
        is_unreported: is("unreported"),
    };
    (day, act)
}

/// The day of June of an instant, by the team's clock; 0 is 31 May.
pub(crate) fn day_of_june(at: Timestamp) -> i32 {
    let day = at.to_zoned_datetime(SAO_PAULO).date();
    day.since(date(2030, 5, 31)).unwrap().get_days()
}

/// Joined cells, or `-` if there are none.
pub(crate) fn cell(parts: &[String]) -> String {
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

/// Days in the table's notation: `1-5`, `7`, `9x2`. The key is the day, the value the number of times.
pub(crate) fn days(counts: &BTreeMap<i32, usize>) -> String {
    let mut runs: Vec<(i32, i32, usize)> = Vec::new();
    for (&day, &count) in counts {
        match runs.last_mut() {
            Some((_, last, of)) if *last + 1 == day && *of == count => *last = day,
            _ => runs.push((day, day, count)),
        }
    }
    let run = |(first, last, count): &(i32, i32, usize)| {
        let days = if first == last { first.to_string() } else { format!("{first}-{last}") };
        if *count == 1 { days } else { format!("{days}x{count}") }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_reported_in_runs() {
        let counts = |days: &[(i32, usize)]| days.iter().copied().collect();
        assert_eq!(super::days(&counts(&[(1, 1), (2, 1), (3, 1), (5, 1)])), "1-3, 5");
        assert_eq!(super::days(&counts(&[(1, 1), (2, 2), (4, 2)])), "1, 2x2, 4x2");
    }

    #[test]
    fn a_line_is_read() {
        let line = line("a | 05-20 | 30 | 30 off | 2 put missed late | - | v1 6- | Overdue 20-30");
        assert_eq!((line.made, line.age), (date(2030, 5, 20), Some(30)));
        assert_eq!(line.rotation, Rotation::Days { days: 30, is_off: true });
        let (day, act) = &line.acts[0];
        assert!(*day == 2 && act.verb == "put" && act.is_missed && act.is_late && !act.is_unreported);
        assert_eq!(line.expected, ["-", "v1 6-", "Overdue 20-30"]);
    }
}
