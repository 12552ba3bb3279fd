//! Which incidents get a post-mortem, and by when.

use incident::{Incident, Source, is_own_drill};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use shared::policy::Policy;
use shared::policy::calendar::add_business_days;
use shared::runtime::time::SAO_PAULO;

/// Begins the identity of the problems of this function's own pages.
pub(crate) const OWN_PAGES: &str = "postmortem/";

/// Age of an end after which a missing document is a finding: a daily run has failed to begin it.
pub(crate) const LATE: SignedDuration = SignedDuration::from_hours(26);

/// An incident that ended so long before this product's first record of a post-mortem gets none by itself: nobody was told
/// of it, and it would be overdue on the first day.
const BACKLOG: SignedDuration = SignedDuration::from_hours(24);

/// Why an incident gets none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotNeeded {
    /// It is an exercise of the pager itself.
    OwnDrill,
    /// It is a page of this function: a post-mortem about late post-mortems would be late as well. A person may ask for one.
    OwnPage,
    /// It never was an incident.
    FalseAlarm,
    /// It is a part of another one, which gets one.
    Merged,
    /// It is an exercise; a person may ask for one.
    Drill,
    /// The policy wants none for its severity; a person may ask for one.
    Severity,
}

impl NotNeeded {
    /// Whether a person may ask for one all the same.
    pub(crate) fn may_be_asked_for(self) -> bool {
        matches!(self, Self::OwnPage | Self::Drill | Self::Severity)
    }

    /// The stable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OwnDrill => "own_drill",
            Self::OwnPage => "own_page",
            Self::FalseAlarm => "false_alarm",
            Self::Merged => "merged",
            Self::Drill => "drill",
            Self::Severity => "severity",
        }
    }
}

/// Whether an incident gets a post-mortem; `is_asked` if a person asked for it.
pub(crate) fn wanted(incident: &Incident, policy: &Policy, is_asked: bool) -> Result<(), NotNeeded> {
    let no = if is_own_drill(&incident.source, &incident.problem) {
        NotNeeded::OwnDrill
    } else if incident.is_false_alarm {
        NotNeeded::FalseAlarm
    } else if incident.is_merged() {
        NotNeeded::Merged
    } else if incident.source == Source::Page.name() && incident.problem.starts_with(OWN_PAGES) {
        NotNeeded::OwnPage
    } else if incident.is_drill {
        NotNeeded::Drill
    } else if !policy.incidents.postmortem.severities.contains(&incident.severity) {
        NotNeeded::Severity
    } else {
        return Ok(());
    };
    if is_asked && no.may_be_asked_for() { Ok(()) } else { Err(no) }
}

/// Since when an end gets a document by itself, by when this product's first record was written: none if there is no record,
/// `MIN` if it could not be read. What nobody knows the beginning of is no reason to begin months of documents.
pub(crate) fn since(began: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let is_unread = began == Some(Timestamp::MIN);
    let (from, before) = if is_unread { (now, LATE) } else { (began.unwrap_or(now), BACKLOG) };
    from.checked_sub(before).unwrap_or(Timestamp::MIN)
}

/// The date of an instant in São Paulo.
pub(crate) fn local_date(at: Timestamp) -> Date {
    at.to_zoned_datetime(SAO_PAULO).date()
}

/// The day by which the post-mortem of an incident is to be closed: business days after the day on which it was resolved.
pub(crate) fn due(resolved_at: Timestamp, policy: &Policy) -> Date {
    let incidents = &policy.incidents;
    add_business_days(local_date(resolved_at), incidents.postmortem_business_days, &incidents.calendar)
}

#[cfg(test)]
mod tests {
    use incident::Severity;
    use serde_json::json;

    use super::*;

    #[test]
    fn exercises_false_alarms_parts_and_small_ones_get_none() {
        let policy: Policy = "".parse().unwrap();
        let base = Incident { severity: Severity::S1, ..Incident::default() };
        let page = |problem: &str| Incident {
            source: "page".to_owned(),
            problem: problem.to_owned(),
            ..base.clone()
        };
        for (incident, expected) in [
            (base.clone(), Ok(())),
            (Incident { severity: Severity::S3, ..base.clone() }, Err(NotNeeded::Severity)),
            (Incident { is_drill: true, ..base.clone() }, Err(NotNeeded::Drill)),
            (Incident { is_false_alarm: true, is_drill: true, ..base.clone() }, Err(NotNeeded::FalseAlarm)),
            (Incident { merged_into: "INC-1".to_owned(), ..base.clone() }, Err(NotNeeded::Merged)),
            (Incident { problem: format!("{}1", incident::DRILL), ..base.clone() }, Err(NotNeeded::OwnDrill)),
            (page("postmortem/dev/ActionOverdue/1"), Err(NotNeeded::OwnPage)),
            (page("rotation-audit/dev/Overdue/postmortem/1"), Ok(())),
            // Somebody else's words.
            (Incident { problem: "postmortem/x".to_owned(), ..base.clone() }, Ok(())),
        ] {
            assert_eq!(wanted(&incident, &policy, false), expected);
            let asked = expected.or_else(|no| if no.may_be_asked_for() { Ok(()) } else { Err(no) });
            assert_eq!(wanted(&incident, &policy, true), asked);
        }
    }

    #[test]
    fn what_ended_before_this_product_began_is_left_alone() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-30T12:30:00Z");
        for (began, expected) in [
            (Some(at("2026-11-01T12:00:00Z")), "2026-10-31T12:00:00Z"),
            (None, "2026-11-29T12:30:00Z"),
            (Some(Timestamp::MIN), "2026-11-29T10:30:00Z"),
        ] {
            assert_eq!(since(began, now), at(expected), "{began:?}");
        }
    }

    #[test]
    fn it_is_due_on_the_fifth_business_day_in_sao_paulo() {
        let policy =
            Policy::of(&json!({"incidents": {"calendar": {"carnival": true, "ash_wednesday": true}}}));
        let policy = policy.unwrap();
        for (resolved, expected) in [
            // Half past midnight in UTC is still Thursday in São Paulo.
            ("2026-11-13T00:30:00Z", "2026-11-19"),
            ("2026-11-13T12:00:00Z", "2026-11-23"),
            ("2026-12-28T12:00:00Z", "2027-01-05"),
            ("2026-02-12T12:00:00Z", "2026-02-24"),
            // Carnival's Tuesday is the leap day.
            ("2028-02-25T12:00:00Z", "2028-03-08"),
        ] {
            assert_eq!(due(resolved.parse().unwrap(), &policy).to_string(), expected, "{resolved}");
        }
    }
}
