//! Which incidents get a post-mortem, and by when.

use incident::{Incident, is_own_drill};
use jiff::Timestamp;
use jiff::civil::Date;
use shared::policy::Policy;
use shared::policy::calendar::add_business_days;
use shared::runtime::time::SAO_PAULO;

/// Why an incident gets none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotNeeded {
    /// It is an exercise of the pager itself.
    OwnDrill,
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
        matches!(self, Self::Drill | Self::Severity)
    }

    /// The stable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OwnDrill => "own_drill",
            Self::FalseAlarm => "false_alarm",
            Self::Merged => "merged",
            Self::Drill => "drill",
            Self::Severity => "severity",
        }
    }
}

/// Whether an incident gets a post-mortem.
pub(crate) fn wanted(incident: &Incident, policy: &Policy) -> Result<(), NotNeeded> {
    let no = if is_own_drill(&incident.source, &incident.problem) {
        NotNeeded::OwnDrill
    } else if incident.is_false_alarm {
        NotNeeded::FalseAlarm
    } else if incident.is_merged() {
        NotNeeded::Merged
    } else if incident.is_drill {
        NotNeeded::Drill
    } else if !policy.incidents.postmortem.severities.contains(&incident.severity) {
        NotNeeded::Severity
    } else {
        return Ok(());
    };
    Err(no)
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
        for (incident, expected) in [
            (base.clone(), Ok(())),
            (Incident { severity: Severity::S3, ..base.clone() }, Err(NotNeeded::Severity)),
            (Incident { is_drill: true, ..base.clone() }, Err(NotNeeded::Drill)),
            (Incident { is_false_alarm: true, is_drill: true, ..base.clone() }, Err(NotNeeded::FalseAlarm)),
            (Incident { merged_into: "INC-1".to_owned(), ..base.clone() }, Err(NotNeeded::Merged)),
            (Incident { problem: format!("{}1", incident::DRILL), ..base.clone() }, Err(NotNeeded::OwnDrill)),
        ] {
            assert_eq!(wanted(&incident, &policy), expected);
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
