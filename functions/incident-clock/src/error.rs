//! Why an invocation failed; one variant for each different action of an operator. All but those of a person's request end
//! by themselves: what was to be done is still due, and the next sweep does it.

use shared::run::documents::DocumentError;
use shared::runtime::event::InvalidEvent;
use shared::runtime::failure::{CallError, Failure};

/// Why an invocation failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClockError {
    /// The event is neither the table's stream, a timer, a sweep, nor a person's request.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The incident that a person named does not exist.
    #[error("there is no incident {0}: see the id in the message of the channel")]
    NoIncident(String),
    /// Nobody said that the incident has to do with personal data.
    #[error(
        "nobody has said that personal data is compromised in {0}: say so first (sensitive_data of incident-desk), which begins the register"
    )]
    NotCompromised(String),
    /// What the clock remembers of an incident is not in the form in which it writes it: with it, it would repeat everything.
    #[error(
        "the item CLOCK of incident {0} cannot be read; compare it with a backup of the table, then mend or delete it"
    )]
    NotesUnreadable(String),
    /// The table could not be read or written.
    #[error("the table of incidents could not be read or written; the next sweep tries again")]
    Table(#[source] CallError),
    /// A schedule could not be made, or their list could not be read.
    #[error("EventBridge Scheduler did not do what it was asked; the sweep does what is due without it")]
    Scheduler(#[source] CallError),
    /// The case of AWS Support could not be opened or looked up, or it is not known whether it was.
    #[error(
        "AWS Support gave no clear answer; the next sweep looks for the case and tries again, three times in all"
    )]
    Support(#[source] CallError),
    /// The register of the LGPD could not be read or written.
    #[error(
        "the register of the LGPD could not be written; the next sweep, or the same request, tries again"
    )]
    Register(#[from] DocumentError),
    /// Others changed the incident at every attempt.
    #[error("incident {0} changed at each attempt; the next sweep tries again")]
    Busy(String),
}

impl Failure for ClockError {
    fn kind(&self) -> &'static str {
        match self {
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::NoIncident(_) => "NoIncident",
            Self::NotCompromised(_) => "NotCompromised",
            Self::NotesUnreadable(_) => "NotesUnreadable",
            Self::Table(_) => "TableCall",
            Self::Scheduler(_) => "SchedulerCall",
            Self::Support(_) => "SupportCall",
            Self::Register(_) => "RegisterNotWritten",
            Self::Busy(_) => "TableBusy",
        }
    }
}
