//! Decides: no AWS, no runtime, no clock.

pub(crate) mod control;
pub(crate) mod cost;
pub(crate) mod fold;
pub(crate) mod ledger;
pub(crate) mod mail;
pub(crate) mod state;
pub(crate) mod view;
