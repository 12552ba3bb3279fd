//! What at least two procedures need, and nothing else.
//!
//! A module enters when a second procedure needs it, and leaves with its last but one. One that needs a client of
//! AWS or of the web stands behind a feature of its own name, so that a function links only what it uses.

pub mod access;
#[cfg(feature = "application")]
pub mod application;
pub mod audit;
pub mod aws;
#[cfg(feature = "copies")]
pub mod copies;
#[cfg(feature = "database")]
pub mod database;
pub mod document;
#[cfg(feature = "github")]
pub mod github;
pub use policy;
#[cfg(feature = "rotation")]
pub mod rotation;
pub mod run;
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
