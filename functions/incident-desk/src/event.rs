//! The event: recognised by its shape, since one function has several callers.

use incident::person;
use serde_json::Value;
use shared::runtime::event::InvalidEvent;
use shared::runtime::url;

use crate::rules::slack::task::{Seal, Task};

/// An event.
pub(crate) enum Event {
    /// What a person asked for by invoking the function.
    Person(person::Request),
    /// A request of the function URL, not verified.
    Web(url::Request),
    /// What is left to do of a request of Slack's: the function invokes itself. The seal is not verified.
    Task(Box<Task>, Seal),
}

impl Event {
    /// Recognises an event.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the field; the person sees it.
    pub(crate) fn read(event: Value) -> Result<Self, InvalidEvent> {
        if url::Request::is(&event) {
            return Ok(Self::Web(url::Request::read(&event)));
        }
        if event.get("slack").is_some() {
            let seal = Seal::of(&event);
            return seal.task().map(|task| Self::Task(Box::new(task), seal));
        }
        person::Request::try_from(event).map(Self::Person)
    }
}
