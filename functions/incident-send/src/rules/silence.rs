//! Sources that have to be heard again and again, and are not.

use std::collections::BTreeMap;

use incident::signal::blank;
use incident::store::Heartbeat;
use incident::text::Language;
use incident::{Change, Severity, Signal, Source};
use jiff::{SignedDuration, Timestamp};

/// The problem of a silence.
pub(crate) fn problem(name: &str) -> String {
    format!("heartbeat|{name}")
}

/// What a heartbeat says at `now`: that it is silent for longer than the policy allows, or that it is heard. One silence
/// is one event, however often it is found; a return belongs to the silence before it, so the caller drops it if no
/// incident is open. None if the policy does not know the heartbeat.
pub(crate) fn signal(
    heartbeat: &Heartbeat,
    policy: &BTreeMap<String, u16>,
    language: Language,
    now: Timestamp,
) -> Option<Signal> {
    let Heartbeat { name, heard_at } = heartbeat;
    let minutes = *policy.get(name)?;
    let until = heard_at.checked_add(SignedDuration::from_mins(minutes.into())).ok()?;
    let is_silent = now >= until;
    let word = if is_silent { "silent" } else { "heard" };
    let title = if is_silent {
        shared::tr!(
            language,
            "{name} em silêncio há mais de {minutes} min",
            "{name} silent for more than {minutes} min"
        )
    } else {
        shared::tr!(language, "{name} voltou a ser ouvido", "{name} is heard again")
    };
    let reason = language.pick(
        "Enquanto esta fonte não é ouvida, os alertas dela podem não chegar: veja se o Prometheus e o Alertmanager rodam e alcançam o endereço dos webhooks.",
        "While this source is not heard, its alerts may not arrive: see whether Prometheus and Alertmanager run and reach the address of the webhooks.",
    );
    let event = format!("heartbeat|{name}|{word}|{}", heard_at.as_millisecond());
    Some(Signal {
        change: if is_silent { Change::Triggered } else { Change::Resolved },
        changed_at: Some(if is_silent { until } else { *heard_at }),
        title,
        reason: if is_silent { reason.to_owned() } else { String::new() },
        severity: Some(Severity::S1),
        labels: BTreeMap::from([("heartbeat".to_owned(), name.clone())]),
        runbook: Some("docs/incidentes.md#quando-uma-fonte-silencia".to_owned()),
        ..blank(Source::Page, problem(name), event)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        "2026-11-29T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn said(name: &str, seconds: i64) -> Option<Signal> {
        let policy = BTreeMap::from([("Watchdog".to_owned(), 15)]);
        let heartbeat = Heartbeat { name: name.to_owned(), heard_at: at(0) };
        signal(&heartbeat, &policy, Language::Portuguese, at(seconds))
    }

    #[test]
    fn a_heartbeat_is_silent_from_the_policys_minutes_on() {
        for (seconds, expected) in
            [(-60, Change::Resolved), (899, Change::Resolved), (900, Change::Triggered)]
        {
            assert_eq!(said("Watchdog", seconds).unwrap().change, expected, "{seconds}");
        }
        assert_eq!(said("Other", 9_999), None);
        let (first, again) = (said("Watchdog", 900).unwrap(), said("Watchdog", 9_000).unwrap());
        assert_eq!(first, again, "one silence is one event");
        assert_eq!(
            (first.changed_at, first.title.as_str()),
            (Some(at(900)), "Watchdog em silêncio há mais de 15 min")
        );
        let heard = said("Watchdog", 0).unwrap();
        assert_eq!((heard.problem == first.problem, heard.event == first.event), (true, false));
        assert_eq!(heard.changed_at, Some(at(0)));
    }

    #[test]
    fn a_heartbeat_that_is_heard_later_is_newer_than_the_silence_before() {
        let policy = BTreeMap::from([("Watchdog".to_owned(), 15)]);
        let silent = said("Watchdog", 901).unwrap();
        let later = Heartbeat { name: "Watchdog".to_owned(), heard_at: at(902) };
        let heard = signal(&later, &policy, Language::English, at(903)).unwrap();
        assert!(heard.changed_at > silent.changed_at && heard.change == Change::Resolved);
    }
}
