//! Decisions that need no AWS call. What an event changes is decided in `incident::store`.

pub(crate) mod webhook;
