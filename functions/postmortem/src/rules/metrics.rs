//! The metrics of a month: how long incidents took, which nobody took, which came back.
//!
//! A month has the incidents whose first event was in it, by São Paulo's calendar. Means hide a bad night, so there are none:
//! counts, medians, and the ninetieth percentile by nearest rank.

use std::collections::BTreeMap;

pub(crate) use incident::metrics::{Group, Metrics, Named, Repeated, Row, Stat};
use incident::{Incident, Severity, is_own_drill};
use jiff::{SignedDuration, Timestamp};
use shared::policy::Policy;

use super::journal::Journal;
use super::times::{Times, times};
use super::wanted::local_date;

/// The month of an instant in São Paulo: `2026-11`.
pub(crate) fn month(at: Timestamp) -> String {
    local_date(at).strftime("%Y-%m").to_string()
}

/// The metrics of a month's incidents at `now`. Parts of other incidents and exercises of the pager itself are not counted.
pub(crate) fn metrics(
    month: &str,
    incidents: &[Incident],
    journal: &Journal,
    definitions: BTreeMap<String, String>,
    policy: &Policy,
    now: Timestamp,
) -> Metrics {
    let counted = incidents
        .iter()
        .filter(|one| !one.is_merged() && !is_own_drill(&one.source, &one.problem))
        .map(|one| (group(one), one));
    let mut counted: Vec<_> = counted.collect();
    counted.sort_by(|(_, one), (_, other)| (one.first_at, &one.id).cmp(&(other.first_at, &other.id)));
    let mut by: BTreeMap<(Group, Severity), Vec<Times>> = BTreeMap::new();
    for (group, one) in &counted {
        by.entry((*group, one.severity)).or_default().push(times(one));
    }
    let named = |(group, one): &(Group, &Incident)| Named {
        incident: one.id.clone(),
        severity: one.severity,
        group: *group,
        first_at: one.first_at,
    };
    let is_unacknowledged =
        |one: &Incident| times(one).acknowledge.is_none() && !(one.is_open() && is_awaited(one, policy, now));
    let is_unclassified = |one: &Incident| {
        let is_missed = one.severity_confirmed_by.is_empty() || one.commander.is_empty();
        // It has as long as people wait for the first update.
        let is_new = one.is_open() && now.duration_since(one.first_at) < interval(one, policy);
        is_missed && !is_new
    };
    Metrics {
        month: month.to_owned(),
        definitions,
        rows: by.into_iter().map(|((group, severity), times)| row(group, severity, &times)).collect(),
        unacknowledged: counted.iter().filter(|(_, one)| is_unacknowledged(one)).map(named).collect(),
        unclassified: counted.iter().filter(|(_, one)| is_unclassified(one)).map(named).collect(),
        silent: counted.iter().filter(|(_, one)| is_silent(one, policy, now)).map(named).collect(),
        open: counted.iter().filter(|(_, one)| one.is_open()).map(named).collect(),
        repeated: counted
            .iter()
            .filter(|(group, _)| *group == Group::Incident)
            .filter_map(|(_, one)| repeated(one, journal))
            .collect(),
    }
}

/// Whether an incident's page still waits for its acknowledgement, or for the end of a mute.
fn is_awaited(incident: &Incident, policy: &Policy, now: Timestamp) -> bool {
    let minutes = incident.severity.acknowledge_minutes(policy.incidents.acknowledge_minutes);
    let since = incident.untaken_since.or(incident.paged_at).unwrap_or(incident.first_at);
    now.duration_since(since) < SignedDuration::from_mins(minutes.into())
}

/// The longest time without an update of an incident's severity; zero if nobody waits for one.
fn interval(incident: &Incident, policy: &Policy) -> SignedDuration {
    SignedDuration::from_mins(incident.severity.update_minutes(policy.incidents.update_minutes).into())
}

/// Whether an incident had fewer updates than its severity asks for, since people wait for them until the end of its impact. An
/// incident that nobody was paged for waits for none.
fn is_silent(incident: &Incident, policy: &Policy, now: Timestamp) -> bool {
    let interval = interval(incident, policy).as_mins();
    let Some(paged_at) = incident.paged_at.filter(|_| interval > 0) else { return false };
    let since = incident.awaited_since.unwrap_or(paged_at);
    let begin = incident.muted.as_ref().map_or(since, |mute| since.max(mute.until));
    // By the source's clock it may have been over before its page.
    let resolved = incident.resolved_at.filter(|_| !incident.is_open()).map(|at| at.max(begin));
    let mitigated = incident.mitigated_at.filter(|at| *at >= begin);
    let end = resolved.into_iter().chain(mitigated).min().unwrap_or(now);
    i64::from(incident.updates) < end.duration_since(begin).as_mins() / interval
}

/// The post-mortem after whose closing an incident's problem came back.
pub(crate) fn repeated(incident: &Incident, journal: &Journal) -> Option<Repeated> {
    let is_reopened = journal.postmortems.get(&incident.id).is_some_and(|own| {
        own.closed_at
            .is_some_and(|closed| incident.is_open() || incident.resolved_at.is_some_and(|at| at > closed))
    });
    let after = match is_reopened {
        true => Some(incident.id.as_str()),
        false => journal.closed_before(&incident.id, &incident.problem, incident.first_at),
    };
    after.map(|after| Repeated { incident: incident.id.clone(), after: after.to_owned() })
}

fn group(incident: &Incident) -> Group {
    match (incident.is_false_alarm, incident.is_drill) {
        (_, true) => Group::Drill,
        (true, _) => Group::FalseAlarm,
        _ => Group::Incident,
    }
}

fn row(group: Group, severity: Severity, all: &[Times]) -> Row {
    let of = |which: fn(&Times) -> Option<SignedDuration>| {
        stat(all.iter().filter_map(|times| Some(which(times)?.as_secs())).collect())
    };
    Row {
        group,
        severity,
        incidents: all.len(),
        tta: of(|times| times.acknowledge),
        ttm: of(|times| times.mitigate),
        ttr: of(|times| times.resolve),
        impact: of(|times| times.impact),
    }
}

fn stat(mut seconds: Vec<i64>) -> Stat {
    seconds.sort_unstable();
    let count = seconds.len();
    let at = |place: usize| seconds.get(place).copied();
    let median = match count % 2 {
        0 => count.checked_sub(2).and_then(|twice| Some((at(twice / 2)? + at(count / 2)?) / 2)),
        _ => at(count / 2),
    };
    let rank = (count * 9).div_ceil(10);
    Stat { count, median_seconds: median, p90_seconds: rank.checked_sub(1).and_then(at) }
}

#[cfg(test)]
mod tests {
    use incident::State;

    use super::super::journal::Postmortem;
    use super::*;

    #[test]
    fn medians_and_percentiles_are_those_of_the_textbook() {
        for (seconds, median, p90) in [
            (vec![], None, None),
            (vec![7], Some(7), Some(7)),
            (vec![9, 1], Some(5), Some(9)),
            (vec![3, 1, 2], Some(2), Some(3)),
            ((1..=10).collect(), Some(5), Some(9)),
            ((1..=11).collect(), Some(6), Some(10)),
            ((1..=100).rev().collect(), Some(50), Some(90)),
        ] {
            let count = seconds.len();
            assert_eq!(stat(seconds), Stat { count, median_seconds: median, p90_seconds: p90 });
        }
    }

    fn incident(id: &str, minutes: Option<i64>) -> Incident {
        let first_at: Timestamp = "2026-11-10T12:00:00Z".parse().unwrap();
        let after = |minutes: i64| first_at + SignedDuration::from_mins(minutes);
        Incident {
            id: id.to_owned(),
            state: State::Resolved,
            severity: Severity::S1,
            problem: format!("problem of {id}"),
            first_at,
            first_acknowledged_at: minutes.map(after),
            resolved_at: Some(after(60)),
            ..Incident::default()
        }
    }

    fn measured(incidents: &[Incident], journal: &Journal) -> Metrics {
        let now = "2026-11-10T20:00:00Z".parse().unwrap();
        metrics("2026-11", incidents, journal, BTreeMap::new(), &"".parse().unwrap(), now)
    }

    #[test]
    fn what_nobody_classified_and_what_had_too_few_updates_is_listed() {
        let known = |minutes: i64| {
            let whole = incident("INC-1", Some(2));
            let mitigated_at = Some(whole.first_at + SignedDuration::from_mins(minutes));
            let paged_at = Some(whole.first_at);
            let (ana, bia) = ("Ana".to_owned(), "Bia".to_owned());
            Incident { severity_confirmed_by: ana, commander: bia, paged_at, mitigated_at, ..whole }
        };
        let open = |updates| Incident {
            state: State::Acknowledged,
            mitigated_at: None,
            resolved_at: None,
            updates,
            ..known(0)
        };
        let ended = |seconds| Some(known(0).first_at + SignedDuration::from_secs(seconds));
        let none = String::new();
        let young = |minutes: i64| Incident {
            commander: String::new(),
            first_at: "2026-11-10T20:00:00Z".parse::<Timestamp>().unwrap()
                - SignedDuration::from_mins(minutes),
            ..open(16)
        };
        for (incident, expected) in [
            (young(29), (0, 0)),
            (young(30), (1, 0)),
            (Incident { state: State::Resolved, ..young(29) }, (1, 0)),
            (known(29), (0, 0)),
            (known(30), (0, 1)),
            (Incident { updates: 1, ..known(59) }, (0, 0)),
            (Incident { updates: 1, ..known(60) }, (0, 1)),
            (Incident { paged_at: None, ..known(59) }, (0, 0)),
            // Over before its page, by the source's clock.
            (Incident { mitigated_at: None, resolved_at: ended(-5), ..known(0) }, (0, 0)),
            // Paged again an hour later, and still silent; by an older program, that was not known.
            (Incident { paged_at: ended(3600), awaited_since: ended(0), ..known(60) }, (0, 1)),
            (Incident { paged_at: ended(3600), ..known(60) }, (0, 0)),
            // Eight hours so far.
            (open(15), (0, 1)),
            (open(16), (0, 0)),
            // It came back: the end before does not count.
            (Incident { mitigated_at: known(-5).mitigated_at, ..open(15) }, (0, 1)),
            (Incident { severity_confirmed_by: none.clone(), ..known(0) }, (1, 0)),
            (Incident { commander: none, ..known(0) }, (1, 0)),
        ] {
            let made = measured(std::slice::from_ref(&incident), &Journal::default());
            assert_eq!((made.unclassified.len(), made.silent.len()), expected, "{incident:?}");
        }
    }

    #[test]
    fn an_open_incident_is_unacknowledged_once_its_page_has_waited() {
        let now: Timestamp = "2026-11-10T20:00:00Z".parse().unwrap();
        let ago = |seconds: i64| now - SignedDuration::from_secs(seconds);
        let open = |severity, seconds| Incident {
            state: State::Triggered,
            severity,
            first_at: ago(seconds),
            paged_at: Some(ago(seconds)),
            resolved_at: None,
            ..incident("INC-1", None)
        };
        for (incident, expected) in [
            (open(Severity::S0, 299), 0),
            (open(Severity::S0, 300), 1),
            (open(Severity::S1, 299), 0),
            (open(Severity::S1, 300), 1),
            (open(Severity::S2, 1799), 0),
            (open(Severity::S2, 1800), 1),
            (open(Severity::S3, 1799), 0),
            (open(Severity::S3, 1800), 1),
            // By an older program, or with a source that mutes it, there is no page.
            (Incident { paged_at: None, ..open(Severity::S1, 299) }, 0),
            (Incident { paged_at: None, ..open(Severity::S1, 300) }, 1),
            // Paged anew since: the first page counts.
            (Incident { untaken_since: Some(ago(300)), ..open(Severity::S1, 60) }, 1),
            // Muted for another hour.
            (Incident { paged_at: Some(ago(-3600)), ..open(Severity::S1, 9000) }, 0),
            // It was over before its page had waited so long, and without anybody.
            (Incident { state: State::Resolved, resolved_at: Some(now), ..open(Severity::S1, 60) }, 1),
            (Incident { first_acknowledged_at: Some(now), ..open(Severity::S1, 9000) }, 0),
        ] {
            let made = measured(std::slice::from_ref(&incident), &Journal::default());
            assert_eq!(made.unacknowledged.len(), expected, "{incident:?}");
            // It is counted all the same.
            assert_eq!(made.rows[0].incidents, 1);
        }
    }

    #[test]
    fn groups_are_apart_and_what_nobody_took_is_listed_and_not_averaged() {
        let incidents = [
            incident("INC-1", Some(2)),
            incident("INC-2", Some(4)),
            incident("INC-3", None),
            Incident { is_drill: true, ..incident("INC-4", Some(50)) },
            Incident { is_false_alarm: true, ..incident("INC-5", None) },
            Incident { merged_into: "INC-1".to_owned(), ..incident("INC-6", Some(500)) },
            Incident { problem: format!("{}x", incident::DRILL), ..incident("INC-7", Some(500)) },
            Incident { severity: Severity::S0, state: State::Triggered, ..incident("INC-8", None) },
        ];
        let made = measured(&incidents, &Journal::default());
        let rows: Vec<_> = made
            .rows
            .iter()
            .map(|row| (row.group, row.severity, row.incidents, row.tta.count, row.tta.median_seconds))
            .collect();
        assert_eq!(
            rows,
            [
                (Group::Incident, Severity::S0, 1, 0, None),
                (Group::Incident, Severity::S1, 3, 2, Some(180)),
                (Group::Drill, Severity::S1, 1, 1, Some(3000)),
                (Group::FalseAlarm, Severity::S1, 1, 0, None),
            ]
        );
        let ids = |all: &[Named]| all.iter().map(|one| one.incident.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&made.unacknowledged), ["INC-3", "INC-5", "INC-8"]);
        assert_eq!(ids(&made.open), ["INC-8"]);
        assert_eq!(made.rows[1].ttr.median_seconds, Some(3600));
        // What is open has no end yet.
        assert_eq!(made.rows[0].ttr.count, 0);
    }

    #[test]
    fn what_came_back_after_its_post_mortem_was_closed_is_named() {
        let closed = |problem: &str, at: &str| Postmortem {
            problem: problem.to_owned(),
            closed_at: Some(at.parse().unwrap()),
            ..Postmortem::default()
        };
        let postmortems = [
            ("INC-0".to_owned(), closed("problem of INC-1", "2026-11-01T12:00:00Z")),
            ("INC-2".to_owned(), closed("problem of INC-2", "2026-11-10T12:30:00Z")),
        ];
        let journal = Journal { postmortems: postmortems.into_iter().collect(), ..Journal::default() };
        let incidents = [incident("INC-1", None), incident("INC-2", None), incident("INC-3", None)];
        let made = measured(&incidents, &journal);
        let repeated: Vec<_> =
            made.repeated.iter().map(|one| (one.incident.as_str(), one.after.as_str())).collect();
        assert_eq!(repeated, [("INC-1", "INC-0"), ("INC-2", "INC-2")]);
    }

    #[test]
    fn a_month_is_sao_paulos() {
        assert_eq!(month("2026-12-01T02:59:59Z".parse().unwrap()), "2026-11");
        assert_eq!(month("2026-12-01T03:00:00Z".parse().unwrap()), "2026-12");
    }
}
