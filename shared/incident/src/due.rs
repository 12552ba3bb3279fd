//! When the next update of an incident is due.

use jiff::{SignedDuration, Timestamp};
use policy::Policy;

use crate::incident::{Action, Incident, State};
use crate::is_own_drill;

/// Minutes between updates once the impact is over: nobody waits for news, but an incident that nobody resolves would be
/// forgotten.
const DAY: u16 = 24 * 60;

/// An update that people wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Due {
    /// When there was news last: an update, a call, the end of the impact, a reopening.
    pub since: Timestamp,
    /// The longest time without news, in minutes.
    pub minutes: u16,
    /// When the next update is due.
    pub at: Timestamp,
}

/// The next update that is due. None if nobody waits for one: the incident is over or a part of another one, calls nobody,
/// is a drill of the pager itself, or is of a severity for which the policy asks for none.
///
/// A changed severity changes the interval, not its beginning. During a mute nobody is called, so its end is a beginning.
pub fn update(incident: &Incident, policy: &Policy) -> Option<Due> {
    let is_waited_for =
        incident.is_open() && !incident.is_merged() && !is_own_drill(&incident.source, &incident.problem);
    let paged_at = incident.paged_at.filter(|_| is_waited_for)?;
    let minutes = match (incident.severity.update_minutes(policy.incidents.update_minutes), incident.state) {
        (0, _) => return None,
        (_, State::Mitigated) => DAY,
        (minutes, _) => minutes,
    };
    let muted_until = incident.muted.as_ref().map(|mute| mute.until);
    let mitigated_at = incident.mitigated_at.filter(|_| incident.state == State::Mitigated);
    let reopened_at = incident.acts.get(&Action::Reopened).map(|act| act.at);
    let news = [incident.updated_at, muted_until, mitigated_at, reopened_at];
    let since = news.into_iter().flatten().fold(paged_at, Timestamp::max);
    let at = since.checked_add(SignedDuration::from_mins(minutes.into())).ok()?;
    Some(Due { since, minutes, at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Act, Mute, Severity};

    fn at(minutes: i64) -> Timestamp {
        "2026-12-31T23:50:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    fn policy() -> Policy {
        r#"{"incidents": {"update_minutes": {"S0": 15, "S1": 30, "S2": 60, "S3": 0}}}"#.parse().unwrap()
    }

    #[test]
    fn an_update_is_due_after_the_severitys_interval_since_the_last_news() {
        let paged = Incident { paged_at: Some(at(0)), ..Incident::default() };
        let mute = |until| Some(Mute { until: at(until), ..Mute::default() });
        for (incident, expected) in [
            (paged.clone(), Some((0, 30))),
            (Incident { severity: Severity::S0, ..paged.clone() }, Some((0, 15))),
            (Incident { updated_at: Some(at(20)), ..paged.clone() }, Some((20, 50))),
            // It came back after the last update.
            (Incident { updated_at: Some(at(-90)), paged_at: Some(at(5)), ..paged.clone() }, Some((5, 35))),
            (Incident { muted: mute(120), ..paged.clone() }, Some((120, 150))),
            (Incident { muted: mute(-10), ..paged.clone() }, Some((0, 30))),
            (Incident { state: State::Acknowledged, ..paged.clone() }, Some((0, 30))),
            (
                Incident { state: State::Mitigated, mitigated_at: Some(at(9)), ..paged.clone() },
                Some((9, 9 + 24 * 60)),
            ),
            // Of an impact that ended before it came back.
            (Incident { mitigated_at: Some(at(9)), ..paged.clone() }, Some((0, 30))),
            // Reopened after the impact had ended: the update of that end is hours old.
            (
                Incident {
                    updated_at: Some(at(9)),
                    acts: [(Action::Reopened, Act { by: "Ana".to_owned(), at: at(200) })].into(),
                    ..paged.clone()
                },
                Some((200, 230)),
            ),
            (Incident { severity: Severity::S3, ..paged.clone() }, None),
            (Incident { state: State::Resolved, ..paged.clone() }, None),
            (Incident { merged_into: "INC-2".to_owned(), ..paged.clone() }, None),
            (Incident { problem: format!("{}x", crate::DRILL), ..paged.clone() }, None),
            (Incident { paged_at: None, ..paged.clone() }, None),
        ] {
            let due = update(&incident, &policy());
            assert_eq!(
                due.map(|due| (due.since, due.at)),
                expected.map(|(since, due)| (at(since), at(due))),
                "{incident:?}"
            );
        }
    }
}
