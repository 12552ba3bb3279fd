//! The daily synthetic event: a drill that goes the whole way, so that a broken pager is found by day.

use incident::signal::blank;
use incident::store::{Attribute, Attributes, Key, Row, instant};
use incident::{Change, DRILL, Incident, Signal, Source, is_own_drill};
use jiff::{SignedDuration, Timestamp};
use shared::runtime::time::SAO_PAULO;

/// How long it may take until a channel has accepted it: longer than the five minutes after which a page of its severity
/// goes by the second channel, whose attempt has to be seen.
const PATIENCE: SignedDuration = SignedDuration::from_mins(7);

/// The time after which DynamoDB may delete the item of a day.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 45);

/// The date in São Paulo whose event is to be published by `now`; none before the hour.
pub(crate) fn day(hour: u8, now: Timestamp) -> Option<String> {
    let local = now.to_zoned_datetime(SAO_PAULO);
    (local.hour() >= i8::try_from(hour).unwrap_or(i8::MAX)).then(|| local.date().to_string())
}

/// The dedup key, and so the problem, of a day's event.
pub(crate) fn problem(day: &str) -> String {
    format!("{DRILL}{day}")
}

/// Whether an incident is a drill of the pager itself, which calls nobody by name. Any other drill is an exercise of
/// people, and calls them.
pub(crate) fn is_synthetic(incident: &Incident) -> bool {
    incident.is_drill && is_own_drill(&incident.source, &incident.problem)
}

/// What is known about a day's event.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Noted {
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// When a channel had it.
    pub accepted_at: Option<Timestamp>,
}

impl Noted {
    /// The key of a day's note.
    pub(crate) fn key(day: &str) -> Key {
        Key { pk: format!("SYNTHETIC#{day}"), sk: "SYNTHETIC".to_owned() }
    }

    /// Reads a note.
    pub(crate) fn read(item: &Attributes) -> Self {
        Self { published_at: instant(item, "published_at"), accepted_at: instant(item, "accepted_at") }
    }

    /// The note's item.
    pub(crate) fn item(&self, day: &str, now: Timestamp) -> Attributes {
        let mut item = Self::key(day).attributes();
        let expires = now.checked_add(KEPT).unwrap_or(now).as_second();
        item.insert("expires_at".to_owned(), Attribute::Number(expires));
        for (name, at) in [("published_at", self.published_at), ("accepted_at", self.accepted_at)] {
            if let Some(at) = at {
                item.insert(name.to_owned(), Attribute::Number(at.as_millisecond()));
            }
        }
        item
    }
}

/// What to do about a day's event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Publish it.
    Publish,
    /// It is on its way.
    Wait,
    /// It is late: nobody may be paged.
    Ring,
    /// It came back, at this time: close its incident.
    Close(Timestamp),
    /// It is over.
    Nothing,
}

/// Decides by the day's note, and by its incident with the rows once there is one.
pub(crate) fn act(noted: Noted, found: Option<(&Incident, &[Row])>, now: Timestamp) -> Act {
    let Some(published_at) = noted.published_at else { return Act::Publish };
    if noted.accepted_at.is_some() {
        return Act::Nothing;
    }
    let rows = found.map(|(_, rows)| rows).unwrap_or_default();
    if let Some(accepted_at) = rows.iter().filter_map(|row| row.accepted_at).min() {
        return Act::Close(accepted_at);
    }
    // A mute of everything holds it back, too.
    let waits_until = found.and_then(|(incident, _)| incident.paged_at);
    let since = waits_until.map_or(published_at, |until| published_at.max(until));
    if now.duration_since(since) >= PATIENCE { Act::Ring } else { Act::Wait }
}

/// The signal that closes a day's incident.
pub(crate) fn over(day: &str, now: Timestamp) -> Signal {
    let event = format!("page|{}|resolve", problem(day));
    Signal { change: Change::Resolved, changed_at: Some(now), ..blank(Source::Page, problem(day), event) }
}

#[cfg(test)]
mod tests {
    use incident::store::{Channel, Purpose};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minute(minutes: i64) -> Timestamp {
        at("2026-11-29T13:00:00Z") + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn the_day_begins_at_its_hour_in_sao_paulo() {
        for (hour, now, expected) in [
            (10, "2026-11-29T12:59:59Z", None),
            (10, "2026-11-29T13:00:00Z", Some("2026-11-29")),
            (10, "2026-11-30T02:59:59Z", Some("2026-11-29")),
            (10, "2026-11-30T03:00:00Z", None),
            (0, "2026-11-30T03:00:00Z", Some("2026-11-30")),
            (23, "2026-11-30T02:30:00Z", Some("2026-11-29")),
            (24, "2026-11-30T02:30:00Z", None),
        ] {
            assert_eq!(day(hour, at(now)).as_deref(), expected, "{hour} {now}");
        }
    }

    #[test]
    fn it_is_published_once_watched_and_closed_when_a_channel_has_it() {
        let published = Noted { published_at: Some(minute(0)), accepted_at: None };
        let over = Noted { accepted_at: Some(minute(1)), ..published };
        let incident = |paged_at| Incident { paged_at, is_drill: true, ..Incident::default() };
        let row = |accepted_at| Row { accepted_at, ..Row::new("INC-1", Channel::Slack, Purpose::Post) };
        let (now, muted) = (incident(Some(minute(0))), incident(Some(minute(30))));
        let (waits, accepted) = ([row(None)], [row(Some(minute(3))), row(None), row(Some(minute(2)))]);
        for (noted, found, minutes, expected) in [
            (Noted::default(), None, 0, Act::Publish),
            (published, None, 6, Act::Wait),
            (published, None, 7, Act::Ring),
            (published, Some((&now, &waits[..])), 6, Act::Wait),
            (published, Some((&now, &waits[..])), 7, Act::Ring),
            (published, Some((&muted, &waits[..])), 36, Act::Wait),
            (published, Some((&muted, &waits[..])), 37, Act::Ring),
            (published, Some((&now, &accepted[..])), 9, Act::Close(minute(2))),
            (over, Some((&now, &accepted[..])), 9, Act::Nothing),
        ] {
            assert_eq!(act(noted, found, minute(minutes)), expected, "{minutes}");
        }
    }

    #[test]
    fn the_note_is_read_as_it_was_written_and_expires() {
        for noted in [
            Noted::default(),
            Noted { published_at: Some(minute(0)), accepted_at: None },
            Noted { published_at: Some(minute(0)), accepted_at: Some(minute(1)) },
        ] {
            let item = noted.item("2026-11-29", minute(1));
            assert_eq!(Noted::read(&item), noted);
            assert_eq!(Key::of(&item), Some(Noted::key("2026-11-29")));
            let days = instant(&item, "expires_at").map(|at| at.as_millisecond() - minute(1).as_second());
            assert_eq!(days, Some(45 * 24 * 3_600));
        }
    }

    #[test]
    fn only_the_drill_of_that_key_is_synthetic() {
        let incident = |problem: &str, is_drill| Incident {
            problem: problem.to_owned(),
            is_drill,
            ..Incident::default()
        };
        assert!(is_synthetic(&incident(&problem("2026-11-29"), true)));
        assert!(!is_synthetic(&incident(&problem("2026-11-29"), false)));
        assert!(!is_synthetic(&incident("drill|x", true)));
    }
}
