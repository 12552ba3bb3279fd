//! Incidents, as data and as texts for people: no AWS SDK, no HTTP, no clock.

mod incident;
pub mod text;

pub use self::incident::{Action, Attempts, Entry, Incident, Mute, Severity, SlackPost, State};
pub use self::text::Language;
