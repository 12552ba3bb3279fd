//! What the clock says about an incident, as the writes of one transaction.

use incident::store::{Channel, Context, Purpose, Row, Write, call, shown};
use incident::{Act, Action, Entry, Incident};

use super::notes::{Lgpd, Notes, Reminded, Told};
use super::timer::{Task, Timer};

/// Something to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Said {
    /// What the timeline records.
    pub(crate) action: Action,
    /// In the stack's language.
    pub(crate) text: String,
    /// Whom it calls.
    pub(crate) calls: &'static [Purpose],
    /// Whether it is a mail to the internal customers.
    pub(crate) is_mail: bool,
}

/// A mail to the internal customers. The template has the words for the incident as the sender then finds it.
pub(crate) const MAIL: Said =
    Said { action: Action::CustomersTold, text: String::new(), calls: &[], is_mail: true };

/// The notes once a timer's task is done.
pub(crate) fn done(notes: &Notes, timer: &Timer, incident: &Incident) -> Notes {
    let mut notes = notes.clone();
    match &timer.task {
        Task::Update { due, .. } => notes.update = Some(Reminded { since: due.since, at: timer.at }),
        Task::Support(_) => notes.support.is_done = true,
        Task::Lgpd { step } => {
            let before = notes.lgpd.filter(|lgpd| lgpd.known_at == timer.since);
            let owes_register = before.is_some_and(|lgpd| lgpd.owes_register);
            notes.lgpd = Some(Lgpd { known_at: timer.since, step: *step, is_closed: false, owes_register });
        }
        Task::Register => notes.lgpd.iter_mut().for_each(|lgpd| lgpd.owes_register = false),
        Task::Customers(moment) => {
            notes.customers = Some(Told { moment: *moment, updates: incident.known_updates });
        }
        Task::PostMortem => notes.postmortem = incident.resolved_at,
    }
    notes
}

/// The notes while the register of a «yes» could not be begun.
pub(crate) fn owing(notes: &Notes, timer: &Timer) -> Notes {
    let lgpd = Lgpd { known_at: timer.since, step: 0, is_closed: false, owes_register: true };
    Notes { lgpd: Some(lgpd), ..notes.clone() }
}

/// The writes: the incident with its next version, which fails if it has changed since it was read; the notes; the entry of
/// the timeline; the rows of the channels. `cause` tells apart entries of one instant.
pub(crate) fn writes(
    incident: &Incident,
    notes: &Notes,
    said: &Said,
    cause: &str,
    context: &Context<'_>,
) -> Vec<Write> {
    let now = context.now;
    let mut incident = Incident { version: incident.version + 1, ..incident.clone() };
    if said.is_mail {
        // By it, the desk knows that the customers have had a mail, and the clock which was the last.
        incident.acts.insert(said.action, Act { by: crate::PROCEDURE.to_owned(), at: now });
    }
    let entry =
        Entry { at: now, by: crate::PROCEDURE.to_owned(), action: said.action, text: said.text.clone() };
    let mut writes = vec![notes.write(&incident), incident.write(), entry.write(&incident.id, cause)];
    writes.extend(shown(&incident, context));
    writes.extend(said.calls.iter().flat_map(|purpose| call(&incident, *purpose, context.channels, now)));
    if said.is_mail {
        let (channel, purpose) = (Channel::Ses, Purpose::Customers);
        writes.push(Row::want(&incident.id, channel, purpose, incident.version, now, now));
    }
    writes
}
