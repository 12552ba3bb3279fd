//! The basics of every invocation: environment, clock, deadline, log, metrics, errors.

pub mod endpoint;
pub mod env;
pub mod event;
pub mod failure;
pub mod hex;
pub mod lambda;
pub mod language;
pub(crate) mod log;
pub mod metrics;
pub mod settings;
pub mod time;
#[cfg(feature = "url")]
pub mod url;
#[cfg(feature = "web")]
pub mod web;
