//! A deploy's request.

use serde::Deserialize;

/// A deploy that requests a snapshot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Name of the deploy, e.g. the pipeline's run, and the idempotency key: the same deploy always gets the same
    /// snapshot.
    pub deploy: String,
    /// Reason, one line.
    pub reason: String,
    /// The requesting person or pipeline, one line.
    pub by: String,
    /// The deployed commit.
    #[serde(default)]
    pub commit: Option<String>,
    /// Identifier of the database's instance or cluster; by default the template's.
    #[serde(default, alias = "cluster")]
    pub instance: Option<String>,
}
