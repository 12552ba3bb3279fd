//! What Slack sends: verified, read, and answered.

pub(crate) mod command;
pub(crate) mod payload;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod submission;
pub(crate) mod task;
pub(crate) mod verify;
