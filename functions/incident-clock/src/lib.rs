//! Runs an incident's clocks to its end: reminders of updates, the case of AWS Support, the deadline of the LGPD, mail to the
//! internal customers, and the order for the post-mortem.
//!
//! Triggers: the table's stream, for each change of an incident; one-time schedules, named by incident, kind and number; a
//! sweep every five minutes; a person, who adds to the register of the LGPD. Source: the guide, 4.2 and 4.3.
//!
//! What is due follows from the incident, from what was done last (`rules/notes.rs`) and from the policy (`rules/timer.rs`),
//! whoever wakes the function. A schedule is a wake-up only: one that fires for what is overtaken finds nothing due, one
//! that is lost costs five minutes, and one that fires twice finds its work done. What is done is one transaction: the
//! incident's next version, the notes, an entry of the timeline and the rows that `incident-send` sends.

mod aws;
mod case;
mod error;
mod event;
mod look;
mod register;
mod rules;
mod sweep;

use std::cell::RefCell;
use std::collections::BTreeSet;

use aws_config::SdkConfig;
use incident::Incident;
use incident::store::{Channel, Channels, Context};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use shared::aws::table::{Table, WriteError};
use shared::run::report::Reporter;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{Failure, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;

use aws::{Schedules, Support};
pub use error::ClockError;
use event::Event;
use look::{Looked, look};
use rules::notes::Notes;

/// Name of the procedure: the function's folder.
pub const PROCEDURE: &str = "incident-clock";

/// Settings and clients of an invocation; built once per cold start.
pub struct App {
    base: Base,
    table: Table,
    schedules: Schedules,
    support: Support,
    channels: Vec<Channel>,
    /// False while the defaults stand in for a policy that could not be read: what cannot be taken back then waits.
    is_policy_read: bool,
    /// Names of schedules that this process has made.
    made: RefCell<BTreeSet<String>>,
}

/// Settings, and where the register is kept.
struct Base {
    settings: Settings,
    reporter: Reporter,
}

impl App {
    /// Reads the settings and makes the clients: those of [`Settings`], [`Reporter`] and [`Table`], `PAGE_CHANNELS`,
    /// `SCHEDULE_GROUP`, `SCHEDULE_ROLE_ARN`, `SCHEDULE_DEAD_LETTERS_ARN`, `CLOCK_ARN` and `POSTMORTEM_ARN`.
    ///
    /// # Errors
    ///
    /// [`EnvError`] for the first missing or invalid setting.
    pub fn new(env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let settings = Settings::from_env(env)?;
        let reporter = Reporter::new(PROCEDURE, &settings, env, aws)?;
        let channels: Channels = env.required("PAGE_CHANNELS")?;
        Ok(Self {
            base: Base { settings, reporter },
            table: Table::new(env, aws)?,
            schedules: Schedules::new(env, aws)?,
            support: Support::new(aws),
            channels: channels.0,
            is_policy_read: env.is_policy_read(),
            made: RefCell::default(),
        })
    }

    fn settings(&self) -> &Settings {
        &self.base.settings
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        self.base.settings.context(&self.channels, now, 0)
    }

    /// Writes notes alone; false if another invocation has changed them.
    ///
    /// # Errors
    ///
    /// [`ClockError::Table`].
    async fn noted(&self, notes: &Notes, incident: &Incident) -> Result<bool, ClockError> {
        match self.table.write(&notes.write(incident)).await {
            Ok(()) => Ok(true),
            Err(WriteError::Changed) => Ok(false),
            Err(WriteError::Call(call)) => Err(ClockError::Table(call)),
        }
    }
}

/// What an invocation did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// It looked at incidents.
    Looked {
        /// Things that were due and are done.
        done: usize,
        /// Schedules that were made.
        scheduled: usize,
        /// Of both, those whose schedule was lost.
        repaired: usize,
    },
    /// It changed the register.
    Registered(Registered),
}

/// The register of an incident, as it now is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Registered {
    /// The incident's id.
    pub incident: String,
    /// The last day for both notices.
    pub deadline: String,
    /// Whether both notices were given, or the reason for none.
    #[serde(rename = "closed")]
    pub is_closed: bool,
    /// The fields that nobody has given.
    pub missing: Vec<&'static str>,
    /// Where the page is.
    pub page: String,
}

impl From<Looked> for Answer {
    fn from(looked: Looked) -> Self {
        let Looked { done, scheduled, repaired } = looked;
        Self::Looked { done, scheduled, repaired }
    }
}

/// Checks that the function accepts an event.
///
/// # Errors
///
/// [`ClockError::InvalidEvent`] names the field.
pub fn check(event: Value) -> Result<(), ClockError> {
    Event::read(event)?;
    Ok(())
}

/// Looks at the incidents that an event names, or at all; or adds to the register.
///
/// # Errors
///
/// [`ClockError`]; what could not be done is left to the next sweep.
pub async fn handle(app: &App, event: Value, invocation: &Invocation) -> Result<Answer, ClockError> {
    match Event::read(event)? {
        Event::Changed(ids) => changed(app, &ids, invocation).await.map(Answer::from),
        Event::Timer(id) => look(app, &id, None, invocation).await.map(Answer::from),
        Event::Sweep => sweep::run(app, invocation).await.map(Answer::from),
        Event::Register(request) => register::add(app, &request, invocation).await.map(Answer::Registered),
    }
}

/// Looks at incidents that changed. One that fails holds up no other; Lambda then repeats the batch, for which what is done
/// stays done.
async fn changed(app: &App, ids: &BTreeSet<String>, invocation: &Invocation) -> Result<Looked, ClockError> {
    let (mut all, mut error) = (Looked::default(), None);
    for id in ids {
        match look(app, id, None, invocation).await {
            Ok(looked) => {
                all.done += looked.done;
                all.scheduled += looked.scheduled;
            }
            Err(again) => {
                failed(&again);
                error = error.or(Some(again));
            }
        }
    }
    error.map_or(Ok(all), Err)
}

/// Logs a failure that the next sweep mends.
fn failed(error: &ClockError) {
    tracing::error!(message = chain(error), error_type = error.kind());
}
