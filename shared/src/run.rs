//! The output of a run: evidence, messages, pages and tables. Also the policy in force for the run.

#[cfg(feature = "paging")]
pub mod base;
pub mod command;
#[cfg(feature = "csv")]
pub mod csv;
#[cfg(feature = "evidence")]
pub mod documents;
#[cfg(feature = "evidence")]
pub mod evidence;
#[cfg(feature = "report")]
pub mod in_force;
#[cfg(feature = "ledger")]
pub mod ledger;
pub mod markdown;
#[cfg(feature = "notify")]
pub mod notify;
#[cfg(feature = "evidence")]
pub mod open_restore;
#[cfg(feature = "paging")]
pub mod paging;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "report")]
pub(crate) mod serve;
