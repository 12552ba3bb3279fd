//! Strict parsing of events from people, pipelines and state machines; errors name the field.

pub use policy::event::{InvalidEvent, parse};
pub use policy::is_line;
