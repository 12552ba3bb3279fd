//! How long it took: acknowledgement, mitigation, resolution. All from the first event, as the documents say beside them.

use incident::Incident;
use jiff::{SignedDuration, Timestamp};

/// The times of one incident; none for what did not happen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Times {
    /// TTA: from the first event to the first acknowledgement.
    pub acknowledge: Option<SignedDuration>,
    /// TTM: from the first event until the impact ended.
    pub mitigate: Option<SignedDuration>,
    /// TTR: from the first event until it was resolved.
    pub resolve: Option<SignedDuration>,
    /// From the beginning of the impact until it was resolved.
    pub impact: Option<SignedDuration>,
}

/// The times of an incident. Never negative: clocks differ.
pub(crate) fn times(incident: &Incident) -> Times {
    let since = |from: Timestamp, to: Option<Timestamp>| {
        to.map(|to| to.duration_since(from).max(SignedDuration::ZERO))
    };
    let resolved = incident.resolved_at.filter(|_| !incident.is_open());
    let first = incident.first_at;
    Times {
        acknowledge: since(first, incident.first_acknowledged_at.or(incident.acknowledged_at)),
        mitigate: since(first, incident.mitigated_at),
        resolve: since(first, resolved),
        impact: since(incident.impact_began(), resolved),
    }
}

/// A duration for people, to the minute, or to the second below one: `2 h 05 min`.
pub(crate) fn shown(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) if minutes == 0 => format!("{seconds} s"),
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use incident::State;

    use super::*;

    #[test]
    fn times_count_from_the_first_event_and_the_impact_from_when_it_began() {
        let at = |text: &str| Some(format!("2026-11-29T{text}:00Z").parse::<Timestamp>().unwrap());
        let incident = Incident {
            state: State::Resolved,
            first_at: at("12:00").unwrap(),
            impact_since: at("11:30"),
            first_acknowledged_at: at("12:04"),
            acknowledged_at: at("12:50"),
            mitigated_at: at("12:40"),
            resolved_at: at("13:30"),
            ..Incident::default()
        };
        let minutes = |minutes| Some(SignedDuration::from_mins(minutes));
        let expected = Times {
            acknowledge: minutes(4),
            mitigate: minutes(40),
            resolve: minutes(90),
            impact: minutes(120),
        };
        assert_eq!(times(&incident), expected);
        // Reopened: the old end does not count.
        let open = Incident { state: State::Triggered, ..incident.clone() };
        assert_eq!(times(&open).resolve, None);
        // Nobody took it; and a clock that is behind.
        let alone = Incident {
            first_acknowledged_at: None,
            acknowledged_at: None,
            mitigated_at: at("11:59"),
            ..incident
        };
        assert_eq!((times(&alone).acknowledge, times(&alone).mitigate), (None, minutes(0)));
    }

    #[test]
    fn a_duration_is_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (7500, "2 h 05 min"),
            (90_060, "1 d 01 h 01 min"),
        ] {
            assert_eq!(shown(SignedDuration::from_secs(seconds)), text);
        }
    }
}
