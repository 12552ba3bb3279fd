//! Code shared by at least two procedures.
//!
//! A module moves here when a second procedure needs it, and out again when only one is left. Modules that need an AWS
//! or web client are behind a feature of the same name, so that a function links only what it uses.

pub mod access;
#[cfg(feature = "application")]
pub mod application;
pub mod audit;
pub mod aws;
#[cfg(feature = "evidence")]
pub use chain;
#[cfg(feature = "copies")]
pub mod copies;
#[cfg(feature = "database")]
pub mod database;
pub mod document;
#[cfg(feature = "ecs")]
pub mod ecs;
#[cfg(feature = "github")]
pub mod github;
#[cfg(feature = "grafana")]
pub mod grafana;
pub use policy;
pub use policy::tr;
#[cfg(feature = "rotation")]
pub mod rotation;
pub mod run;
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "paging")]
pub mod workflow;
