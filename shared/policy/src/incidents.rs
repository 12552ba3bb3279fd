//! Settings for incidents: their times, their people, and who may do what.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::language::Language;
use crate::{PolicyError, Severity, is_line, oncall, within};

/// Most addresses of customers: SES takes 50 recipients in one message.
const MOST_ADDRESSES: usize = 50;

/// Settings for incidents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incidents {
    /// Longest interval between updates during an incident.
    pub update_minutes: UpdateMinutes,
    /// Minutes after a missed update until the backup commander is reminded too: 1 to 1440.
    pub update_backup_minutes: u16,
    /// Duration of the impact after which to involve AWS Support, in minutes.
    pub support_case_minutes: u16,
    /// Business days until the post-mortem is due.
    pub postmortem_business_days: u16,
    /// Minutes after a problem was resolved in which it reopens the same incident: 0 to 1440.
    pub flap_minutes: u16,
    /// Minutes that a page waits for its acknowledgement.
    pub acknowledge_minutes: oncall::AcknowledgeMinutes,
    /// Sources that have to be heard again and again, by the name of their alert or alarm, with the minutes after which
    /// their silence pages: 1 to 1440. Counted from the first time that they are heard.
    pub heartbeats: BTreeMap<String, u16>,
    /// Who may do what to an incident.
    pub desk: Desk,
    /// The internal customers who get mail about an incident.
    pub customers: Customers,
    /// When AWS Support is involved.
    pub support: Support,
    /// The notice of an incident with personal data (LGPD).
    pub lgpd: Lgpd,
    /// Which incidents get a post-mortem.
    pub postmortem: Postmortem,
    /// The days that are no business days.
    pub calendar: Calendar,
    /// The people, by name.
    pub people: BTreeMap<String, oncall::Contact>,
    /// The squads, by the name that the inventory uses.
    pub squads: BTreeMap<String, oncall::Squad>,
}

/// Minutes after an update until the next one is due, for each severity: 0 to 1440, where 0 means never. In the policy, one
/// number stands for all four.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UpdateMinutes {
    /// Of S0.
    pub s0: u16,
    /// Of S1.
    pub s1: u16,
    /// Of S2.
    pub s2: u16,
    /// Of S3.
    pub s3: u16,
}

impl<'de> Deserialize<'de> for UpdateMinutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(non_snake_case, reason = "the policy's keys")]
        struct Each {
            S0: u16,
            S1: u16,
            S2: u16,
            S3: u16,
        }
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = UpdateMinutes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("minutes, or an object with the minutes of S0, S1, S2 and S3")
            }

            fn visit_u64<E: Error>(self, all: u64) -> Result<UpdateMinutes, E> {
                let all = u16::try_from(all).map_err(E::custom)?;
                Ok(UpdateMinutes { s0: all, s1: all, s2: all, s3: all })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UpdateMinutes, A::Error> {
                let Each { S0: s0, S1: s1, S2: s2, S3: s3 } =
                    Each::deserialize(MapAccessDeserializer::new(map))?;
                Ok(UpdateMinutes { s0, s1, s2, s3 })
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// Who may do an action.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Everybody who reaches the desk, also a Slack user whom the policy does not know.
    Anyone,
    /// The people of the policy, and whoever may invoke the function.
    People,
    /// Who is on call in a squad of the incident; while nobody is, [`Who::People`].
    OnCall,
    /// The incident commander and the backup; while there is none, [`Who::People`].
    Commander,
}

/// Who may do each action of the desk.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Desk {
    /// Open an incident.
    pub declare: Who,
    /// Take an incident.
    pub acknowledge: Who,
    /// Confirm or change its severity.
    pub classify: Who,
    /// Become, or name, the incident commander or the backup.
    pub command: Who,
    /// Call a squad in.
    pub call: Who,
    /// Say how it stands.
    pub update: Who,
    /// Say that the impact is over.
    pub mitigate: Who,
    /// Say that it is over.
    pub resolve: Who,
    /// Say that it is not over.
    pub reopen: Who,
    /// Say that it never was one.
    pub false_alarm: Who,
    /// Say that it is another one.
    pub merge: Who,
    /// Say that personal data is compromised.
    pub sensitive_data_yes: Who,
    /// Say that no personal data is compromised.
    pub sensitive_data_no: Who,
    /// Say that it is an exercise, or is none.
    pub drill: Who,
    /// Say that its instructions are wrong.
    pub runbook_wrong: Who,
    /// Write to the internal customers.
    pub tell_customers: Who,
    /// Page nobody about a problem for some time.
    pub mute: Who,
    /// End a mute.
    pub unmute: Who,
}

/// The internal customers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Customers {
    /// Their e-mail addresses; nobody is written to if there are none.
    pub addresses: Vec<String>,
    /// The severities that they are written about when an incident opens, changes and ends.
    pub severities: Vec<Severity>,
    /// The mails' language.
    pub language: Language,
}

/// AWS Support.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Support {
    /// The severities for which a case is opened.
    pub severities: Vec<Severity>,
    /// The account's support plan.
    pub plan: Plan,
    /// Whether a case is only tried: everything but its creation.
    pub dry_run: bool,
}

/// A support plan.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// None whose API opens technical cases: a person does it, with a checklist.
    None,
    /// One whose API opens cases.
    Paid,
}

/// The notice to the authority and to the people concerned (LGPD, article 48).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Lgpd {
    /// Business days until both notices are due: 1 to 30.
    pub business_days: u16,
    /// Whether the company is a small processing agent, for which the authority doubles its deadlines.
    pub small_agent: bool,
}

/// Post-mortems.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Postmortem {
    /// The severities that get one.
    pub severities: Vec<Severity>,
}

impl Incidents {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        for severity in Severity::ALL {
            let minutes = severity.update_minutes(self.update_minutes);
            within(format!("{path}.update_minutes.{}", severity.name()), minutes, 0, 1440)?;
        }
        within(format!("{path}.update_backup_minutes"), self.update_backup_minutes, 1, 1440)?;
        within(format!("{path}.support_case_minutes"), self.support_case_minutes, 1, 1440)?;
        within(format!("{path}.postmortem_business_days"), self.postmortem_business_days, 1, 30)?;
        within(format!("{path}.flap_minutes"), self.flap_minutes, 0, 1440)?;
        self.acknowledge_minutes.check(&format!("{path}.acknowledge_minutes"))?;
        for (name, minutes) in &self.heartbeats {
            let path = format!("{path}.heartbeats.{name}");
            if !is_line(name, 100) {
                return Err(PolicyError::at(path, "expected a name, one line of at most 100 characters"));
            }
            within(path, *minutes, 1, 1440)?;
        }
        self.customers.check(&format!("{path}.customers"))?;
        within(format!("{path}.lgpd.business_days"), self.lgpd.business_days, 1, 30)?;
        self.calendar.check(&format!("{path}.calendar"))?;
        oncall::check(path, &self.people, &self.squads)
    }
}

impl Customers {
    fn check(&self, path: &str) -> Result<(), PolicyError> {
        if self.addresses.len() > MOST_ADDRESSES {
            let reason = format!("expected at most {MOST_ADDRESSES}, found {}", self.addresses.len());
            return Err(PolicyError::at(format!("{path}.addresses"), reason));
        }
        match self.addresses.iter().position(|address| !oncall::is_email(address)) {
            Some(index) => {
                let reason = "expected an e-mail address, or that of a list";
                Err(PolicyError::at(format!("{path}.addresses[{index}]"), reason))
            }
            None => Ok(()),
        }
    }
}
