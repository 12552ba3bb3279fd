//! What is due when: all of it follows from the incident, the notes and the policy, so that no schedule has to be trusted.
//!
//! | timer | due |
//! | --- | --- |
//! | update | after the severity's interval without news, the commander; `update_backup_minutes` later, the backup; then both, each interval |
//! | support | when the impact has lasted `support_case_minutes`; at once if personal data is compromised |
//! | lgpd | at once if personal data is compromised; then as `lgpd::moments` says |
//! | register | at once, if it could not be begun with the checklist |
//! | customers | once a known person has taken it, or after `flap_minutes`; with each update of a known person; `flap_minutes` after its end. What an unknown person declared waits for a known one |
//! | postmortem | `flap_minutes` after its end |
//!
//! Of several reminders that are due, only the newest is sent: after an outage nobody needs those that were missed.

use std::fmt::{self, Display};

use incident::due::{self, Due};
use incident::{Action, Incident, SensitiveData, Source, State, is_own_drill};
use jiff::{SignedDuration, Timestamp};
use shared::policy::Policy;

use super::lgpd;
use super::notes::{Moment, Notes, Told};

/// What a timer is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Remind of an update.
    Update {
        /// The update that is missing.
        due: Due,
        /// 0 for the first reminder since the last news.
        step: u32,
    },
    /// Involve AWS Support.
    Support(Why),
    /// Tell what the LGPD asks for, or remind of it.
    Lgpd {
        /// 0 for the checklist.
        step: u16,
    },
    /// Begin the register of the LGPD, which failed before.
    Register,
    /// Write to the internal customers.
    Customers(Moment),
    /// Begin the post-mortem.
    PostMortem,
}

/// Why AWS Support is involved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// The impact lasts too long.
    Impact,
    /// Personal data is compromised.
    SensitiveData,
}

/// Something to do at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Timer {
    /// What.
    pub(crate) task: Task,
    /// Tells it apart from others of its kind; the same for the same thing at the same time.
    pub(crate) number: String,
    /// Since when it was known that it would be due.
    pub(crate) since: Timestamp,
    /// When it is due.
    pub(crate) at: Timestamp,
}

impl Timer {
    /// The kind, as names and logs have it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.task {
            Task::Update { .. } => "update",
            Task::Support(_) => "support",
            Task::Lgpd { .. } => "lgpd",
            Task::Register => "register",
            Task::Customers(_) => "customers",
            Task::PostMortem => "postmortem",
        }
    }

    /// The name of its schedule: incident, kind and number; at most 64 characters.
    pub(crate) fn name(&self, incident: &str) -> String {
        format!("{incident}-{}-{}", self.kind(), self.number)
    }
}

/// Everything that is still to be done about an incident, whether or not it is due.
pub(crate) fn wanted(incident: &Incident, notes: &Notes, policy: &Policy, now: Timestamp) -> Vec<Timer> {
    if is_own_drill(&incident.source, &incident.problem) {
        return vec![];
    }
    let mut timers = Vec::new();
    timers.extend(updates(incident, notes, policy, now));
    timers.extend(lgpd_of(incident, notes, policy, now));
    timers.extend(register(incident, notes));
    timers.extend(support(incident, notes, policy));
    timers.extend(customers(incident, notes, policy));
    timers.extend(postmortem(incident, notes, policy));
    timers
}

fn minutes(count: impl Into<i64>) -> SignedDuration {
    SignedDuration::from_mins(count.into())
}

fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The number of a timer that belongs to a time.
fn numbered(since: Timestamp, number: impl Display) -> String {
    format!("{}-{number}", since.as_second())
}

impl Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
        })
    }
}

/// When the company knew that personal data was compromised.
pub(crate) fn known_at(data: &SensitiveData) -> Timestamp {
    data.known_since.unwrap_or(data.at)
}

/// The newest reminder that is due, and the next one.
fn updates(incident: &Incident, notes: &Notes, policy: &Policy, now: Timestamp) -> Vec<Timer> {
    let Some(due) = due::update(incident, policy) else { return vec![] };
    let interval = minutes(due.minutes);
    // Once the impact is over, nobody is escalated to.
    let is_quiet = incident.state == State::Mitigated;
    let to_backup = if is_quiet { interval } else { minutes(policy.incidents.update_backup_minutes) };
    let at = |step: u32| match step {
        0 => due.at,
        step => {
            let more = interval.checked_mul(i32::try_from(step - 1).unwrap_or(i32::MAX));
            after(after(due.at, to_backup), more.unwrap_or(SignedDuration::MAX))
        }
    };
    let newest = (now >= due.at).then(|| {
        let late = now.duration_since(at(1)).as_secs();
        if late < 0 { 0 } else { u32::try_from(late / interval.as_secs().max(1) + 1).unwrap_or(u32::MAX) }
    });
    let reminded = notes.update.filter(|reminded| reminded.since == due.since).map(|reminded| reminded.at);
    let changed = incident.severity_changed_at.map_or(due.since, |changed| changed.max(due.since));
    [newest, Some(newest.map_or(0, |step| step.saturating_add(1)))]
        .into_iter()
        .flatten()
        .filter(|step| reminded.is_none_or(|reminded| at(*step) > reminded))
        .map(|step| Timer {
            task: Task::Update { due, step },
            number: numbered(due.since, at(step).duration_since(due.since).as_mins()),
            since: if step == 0 { changed } else { at(step - 1).max(changed) },
            at: at(step),
        })
        .collect()
}

/// One case for each incident, ever. Not for a mute's time, and not for an incident that calls nobody.
fn support(incident: &Incident, notes: &Notes, policy: &Policy) -> Option<Timer> {
    let is_wanted = !incident.is_false_alarm && !incident.is_merged();
    if notes.support.is_done || (!is_wanted && notes.support.tries == 0) {
        return None;
    }
    let timer = |why, since, at| Timer { task: Task::Support(why), number: "1".to_owned(), since, at };
    let data = incident.sensitive_data.as_ref().filter(|data| data.is_compromised);
    let data = data.map(|data| timer(Why::SensitiveData, data.at, data.at));
    let is_of_severity = policy.incidents.support.severities.contains(&incident.severity);
    let has_impact = incident.is_open() && incident.state != State::Mitigated && is_of_severity;
    let impact = incident.paged_at.filter(|_| has_impact).map(|paged_at| {
        let muted_until = incident.muted.as_ref().map_or(paged_at, |mute| mute.until);
        let called = paged_at.max(muted_until);
        let long = after(incident.impact_began(), minutes(policy.incidents.support_case_minutes));
        let since = incident.severity_changed_at.map_or(called, |changed| changed.max(called));
        timer(Why::Impact, since, long.max(called))
    });
    // Once it was claimed, it is brought to its end, whatever happens to the incident.
    let claimed = notes.support.claimed_at.map(|at| timer(Why::Impact, at, at));
    [data, impact, claimed].into_iter().flatten().min_by_key(|timer| timer.at)
}

/// The newest step that is due, and the next one. A merged incident keeps its clock: a person said «yes» to it.
fn lgpd_of(incident: &Incident, notes: &Notes, policy: &Policy, now: Timestamp) -> Vec<Timer> {
    let data = incident.sensitive_data.as_ref().filter(|data| data.is_compromised);
    let Some(data) = data.filter(|_| !incident.is_false_alarm) else { return vec![] };
    let known_at = known_at(data);
    let noted = notes.lgpd.filter(|lgpd| lgpd.known_at == known_at);
    if noted.is_some_and(|lgpd| lgpd.is_closed) {
        return vec![];
    }
    let moments = lgpd::moments(known_at, &policy.incidents.lgpd);
    // The checklist first, whatever was missed.
    let newest = match noted {
        None => Some(0),
        Some(_) => moments.iter().rposition(|at| *at <= now),
    };
    let next = newest.map_or(0, |step| step + 1);
    let steps = newest.into_iter().chain([next]);
    let timers = steps.filter_map(|step| {
        let (at, step) = (*moments.get(step)?, u16::try_from(step).ok()?);
        let is_done = noted.is_some_and(|lgpd| lgpd.step >= step);
        let number = numbered(known_at, step);
        (!is_done).then_some(Timer { task: Task::Lgpd { step }, number, since: known_at, at })
    });
    timers.collect()
}

/// The register that could not be begun, as long as somebody's «yes» stands.
fn register(incident: &Incident, notes: &Notes) -> Option<Timer> {
    let data = incident.sensitive_data.as_ref().filter(|data| data.is_compromised)?;
    let known_at = known_at(data);
    let is_owed = notes.lgpd.is_some_and(|lgpd| lgpd.known_at == known_at && lgpd.owes_register);
    let number = numbered(known_at, "begin");
    (is_owed && !incident.is_false_alarm && !incident.is_drill).then_some(Timer {
        task: Task::Register,
        number,
        since: known_at,
        at: known_at,
    })
}

/// What the internal customers have not been told. An alarm that ends by itself within the flap window writes to nobody,
/// unless a person took it; an end is told once it lasts. Only what known people do writes to customers by itself: anybody in
/// Slack may declare, take and update.
fn customers(incident: &Incident, notes: &Notes, policy: &Policy) -> Option<Timer> {
    let settings = &policy.incidents.customers;
    if settings.addresses.is_empty() || incident.is_drill || incident.is_merged() {
        return None;
    }
    let flap = minutes(policy.incidents.flap_minutes);
    let timer = |moment: Moment, since: Timestamp, at| Timer {
        task: Task::Customers(moment),
        number: numbered(since, moment),
        since: incident.severity_changed_at.map_or(since, |changed| changed.max(since)),
        at,
    };
    let told = told(incident, notes).filter(|told| told.moment != Moment::Resolved);
    match told {
        None if incident.is_open() && settings.severities.contains(&incident.severity) => {
            let paged_at = incident.paged_at?;
            let muted_until = incident.muted.as_ref().map_or(paged_at, |mute| mute.until);
            let is_declared = incident.source == Source::Person.name();
            let vouched_at = incident.vouched_at;
            let waits = if is_declared { paged_at.max(vouched_at?) } else { after(paged_at, flap) };
            let taken = incident.acknowledged_at.zip(vouched_at).map(|(taken, vouched)| taken.max(vouched));
            let at = taken.map_or(waits, |taken| taken.max(paged_at).min(waits));
            Some(timer(Moment::Opened, paged_at, at.max(muted_until)))
        }
        Some(_) if !incident.is_open() => {
            let resolved_at = incident.resolved_at?;
            Some(timer(Moment::Resolved, resolved_at, after(resolved_at, flap)))
        }
        Some(told) if told.updates < incident.known_updates => {
            let updated_at = incident.updated_at?;
            Some(timer(Moment::Updated, updated_at, updated_at))
        }
        _ => None,
    }
}

/// What the internal customers were told last, also if a person had them written to after the clock did: what somebody tells
/// them has an end that they hear of, whatever its severity. What a person wrote after the end has told it.
fn told(incident: &Incident, notes: &Notes) -> Option<Told> {
    let by_hand = incident.acts.get(&Action::CustomersTold).filter(|act| act.by != crate::PROCEDURE);
    let Some(by_hand) = by_hand else { return notes.customers };
    let is_over = !incident.is_open() && incident.resolved_at.is_some_and(|at| at <= by_hand.at);
    let moment = if is_over { Moment::Resolved } else { Moment::Updated };
    Some(Told { moment, updates: incident.customers_updates })
}

/// Ordered once for each end of the incident; `postmortem` decides whether there is one already.
fn postmortem(incident: &Incident, notes: &Notes, policy: &Policy) -> Option<Timer> {
    let is_wanted = !incident.is_open()
        && !incident.is_false_alarm
        && !incident.is_merged()
        && policy.incidents.postmortem.severities.contains(&incident.severity);
    let resolved_at = incident.resolved_at.filter(|_| is_wanted)?;
    let at = after(resolved_at, minutes(policy.incidents.flap_minutes));
    let number = resolved_at.as_second().to_string();
    (notes.postmortem != Some(resolved_at)).then_some(Timer {
        task: Task::PostMortem,
        number,
        since: resolved_at,
        at,
    })
}

#[cfg(test)]
mod tests;
