//! AWS calls that several procedures share, and the interpretation of their answers.

#[cfg(feature = "buckets")]
pub mod buckets;
#[cfg(feature = "describe")]
pub mod describe;
#[cfg(feature = "incidents")]
pub mod incidents;
#[cfg(feature = "listing")]
pub mod listing;
#[cfg(feature = "rds")]
pub mod rds;
pub mod restores;
#[cfg(feature = "scope")]
pub mod scope;
#[cfg(feature = "secrets")]
pub mod secrets;
pub mod snapshots;
#[cfg(feature = "table")]
pub mod table;
#[cfg(feature = "versions")]
pub mod versions;
