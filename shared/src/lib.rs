//! What at least two procedures need, and nothing else.
//!
//! A module enters when a second procedure needs it, and leaves with its last but one. One that needs a client of
//! AWS or of the web stands behind a feature of its own name, so that a function links only what it uses.

pub mod access;
#[cfg(feature = "application")]
pub mod application;
#[cfg(feature = "buckets")]
pub mod buckets;
#[cfg(feature = "copies")]
pub mod copies;
#[cfg(feature = "database")]
pub mod database;
#[cfg(feature = "describe")]
pub mod describe;
pub mod document;
pub mod endpoint;
pub mod env;
pub mod event;
#[cfg(feature = "evidence")]
pub mod evidence;
pub mod failure;
pub mod findings;
#[cfg(feature = "paging")]
pub mod first_week;
#[cfg(feature = "github")]
pub mod github;
#[cfg(feature = "report")]
pub mod in_force;
pub mod lambda;
pub mod language;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "listing")]
pub mod listing;
mod log;
pub mod markdown;
pub mod metrics;
#[cfg(feature = "notify")]
pub mod notify;
#[cfg(feature = "paging")]
pub mod paging;
pub use policy;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "rotation")]
pub mod rotation;
#[cfg(feature = "scope")]
pub mod scope;
#[cfg(feature = "secrets")]
pub mod secrets;
#[cfg(feature = "report")]
mod serve;
pub mod settings;
#[cfg(feature = "sheet")]
pub mod sheet;
pub mod snapshots;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
#[cfg(feature = "versions")]
pub mod versions;
#[cfg(feature = "web")]
pub mod web;
